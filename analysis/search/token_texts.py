"""What each token of an example reads as, and of which kind it is."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.contracts import TokenKind
from analysis.models.stack import LoadedModel
from analysis.search.token_losses import TokenLosses
from analysis.workload import Encoder
from analysis.workload.token_kinds import kinds_of

_HALF = "\ufffd"
"""How a decoder writes a character of which it has seen a part only."""
_WINDOW = 32


def token_kinds(losses: TokenLosses, encoder: Encoder | None) -> tuple[TokenKind, ...]:
    """[T] the kind of each token that had to be predicted; empty where the model has no tokenizer beside it."""
    if encoder is None:
        return ()
    kinds = [kinds_of(token_texts(encoder, example.input_ids.tolist())) for example in losses.examples]
    return tuple(kinds[owner][place] for owner, place in zip(losses.owners.tolist(), losses.positions.tolist(), strict=True))


def token_texts(encoder: Encoder, ids: Sequence[int]) -> tuple[str, ...]:
    """Each token as it reads behind those before it; a character of several tokens stands with the last of them."""
    found: list[str] = []
    start, before = 0, ""
    for end in range(1, len(ids) + 1):
        whole = encoder.tokenizer.decode(ids[start:end], skip_special_tokens=False)
        if whole.endswith(_HALF) and end < len(ids):
            found.append("")
            continue
        found.append(whole[len(before) :])
        before = whole
        if end - start > _WINDOW:  # the last token stays in sight: on its own a word would lose the space in front of it
            start, before = end - 1, encoder.tokenizer.decode(ids[end - 1 : end], skip_special_tokens=False)
    return tuple(found)


def encoder_of(loaded: LoadedModel) -> Encoder | None:
    """The tokenizer beside the model, when there is one."""
    folder = loaded.tokenizer_folder
    return Encoder.from_folder(folder) if folder is not None and (folder / "tokenizer.json").is_file() else None
