"""Examples with slips in what stands before the judged words, while the judged words stay exactly what they were.

Judged is the response where there is one; else the later half of the prompt: it is cut at the space nearest its middle. Slips
fall only into what the user wrote before that, never into system texts, earlier answers, tools or the chat template. The disturbed
text is encoded as a whole, and the clean tokens from the first judged one on are put behind what came before them, so that every
disturbance judges the same tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from analysis.contracts.robustness import NOISES, NoiseKind
from analysis.verification.batches import Ints
from analysis.verification.noise import Slips, applied, shown_slip, slips
from analysis.workload import PROMPT, RESPONSE, EncodedExample, Encoder, Example, Turn

Bools = npt.NDArray[np.bool_]
_NO_LIMIT = 10**9
_SHOWN_CHARACTERS = 24


@dataclass(frozen=True, eq=False)
class Judged:
    """An example that is judged, untouched.

    Attributes:
        encoded: as the model gets it.
        source: its texts.
        start: the first judged token; what stands before it may be disturbed.
        counts: bool [S], the judged tokens.
        touchable: what may be disturbed: turn -> how many of its characters from the front.
    """

    encoded: EncodedExample
    source: Example
    start: int
    counts: Bools
    touchable: Mapping[int, int]

    @property
    def n_judged(self) -> int:
        """How many tokens are judged."""
        return int(self.counts.sum())


@dataclass(frozen=True, eq=False)
class Noisy:
    """One example under one noise.

    Attributes:
        ids: int64, its tokens with the slips in them.
        counts: bool, the judged ones: the same tokens as in the clean example.
        slips: how many letters (words) were changed, of how many.
        shown: one changed word before and after; None: nothing was changed.
        shortened: it would not have fitted the model's context, so its beginning was left out.
    """

    ids: Ints
    counts: Bools
    slips: Slips
    shown: tuple[str, str] | None
    shortened: bool = False


@dataclass(frozen=True)
class Writing:
    """How examples become tokens.

    Attributes:
        encoder: the model's tokenizer and chat template.
        max_tokens: of a clean example.
        chat_template: whether it is used.
        context: what the model can take at most; None: not known.
    """

    encoder: Encoder
    max_tokens: int
    chat_template: bool
    context: int | None = None

    def whole(self, example: Example) -> EncodedExample:
        """An example as tokens, not cut."""
        return self.encoder.encode(example, max_tokens=_NO_LIMIT, chat_template=self.chat_template)


def judged_examples(encoded: Iterable[EncodedExample], sources: Mapping[str, Example], writing: Writing) -> list[Judged]:
    """The examples with something to judge and something before it, in the order they came in."""
    found = (_judged(example, sources[example.example_id], writing) for example in encoded)
    return [example for example in found if example is not None]


def _judged(encoded: EncodedExample, source: Example, writing: Writing) -> Judged | None:
    users = [place for place, turn in enumerate(source.turns) if turn.role == "user"]
    touchable = {place: len(source.turns[place].content) for place in users}
    if (encoded.kinds == RESPONSE).any():
        counts = encoded.kinds == RESPONSE
        start = int(np.flatnonzero(counts)[0])
    else:
        touchable[users[-1]] = _middle(source.turns[users[-1]].content, encoded)
        start = _first_of_later_half(source, users[-1], touchable[users[-1]], writing)
        counts = encoded.kinds == PROMPT
        counts[:start] = False
    counts[:1] = False
    return Judged(encoded, source, start, counts, touchable) if start > 0 and counts.any() else None


def _middle(text: str, encoded: EncodedExample) -> int:
    """The space nearest the middle of that part of a prompt which is read; the middle itself where there is none."""
    kept = encoded.n_counted / (encoded.n_counted + encoded.n_cut)
    middle = round(len(text) * kept / 2)
    spaces = [place for place, letter in enumerate(text) if letter.isspace() and 0 < place < len(text) * kept]
    return min(spaces, key=lambda place: abs(place - middle), default=middle)


def _first_of_later_half(source: Example, turn: int, cut: int, writing: Writing) -> int:
    """The first token that the text before the cut has no part in; 0 where nothing stands before the cut."""
    text = source.turns[turn].content
    if not 0 < cut < len(text):
        return 0
    clean = writing.whole(source).input_ids
    before, after = (writing.whole(_with_turns(source, {turn: part})).input_ids for part in (text[:cut], text[cut:]))
    return max(len(clean) - _common(clean[::-1], after[::-1]), _common(clean, before))


def _common(one: Ints, other: Ints) -> int:
    """How many tokens two sequences begin with in common."""
    n = min(len(one), len(other))
    differ = np.flatnonzero(one[:n] != other[:n])
    return int(differ[0]) if len(differ) else n


def _with_turns(source: Example, texts: Mapping[int, str]) -> Example:
    turns = (Turn(turn.role, texts.get(place, turn.content)) for place, turn in enumerate(source.turns))
    return replace(source, turns=tuple(turns))


def disturb(judged: Judged, kind: NoiseKind, level: float, writing: Writing, *, seed: int) -> Noisy:
    """An example with slips of one kind; chance depends on the seed, the kind and the example alone, so levels are nested."""
    texts = {place: judged.source.turns[place].content[:length] for place, length in judged.touchable.items()}
    together = "\n".join(texts.values())
    random = np.random.default_rng([seed, NOISES.index(kind), int(judged.encoded.example_id[:12], 16)])
    found = slips(kind, together, level, random)
    if not found.edits:
        return Noisy(judged.encoded.input_ids, judged.counts, found, None)
    noisy = _with_turns(judged.source, _put_back(judged, texts, applied(together, found.edits), found))
    ids, shortened = _spliced(judged, writing.whole(noisy).input_ids, writing.context)
    counts = np.concatenate([np.zeros(len(ids) - len(judged.counts[judged.start :]), dtype=bool), judged.counts[judged.start :]])
    before, after = shown_slip(together, found.edits[0])
    assert np.array_equal(ids[counts], judged.encoded.input_ids[judged.counts]), "what is judged must stay clean"
    return Noisy(ids, counts, found, (before[:_SHOWN_CHARACTERS], after[:_SHOWN_CHARACTERS]), shortened)


def _put_back(judged: Judged, texts: Mapping[int, str], changed: str, found: Slips) -> dict[int, str]:
    """The disturbed texts, each in its turn, what may not be touched behind it."""
    whole: dict[int, str] = {}
    first = position = 0
    for place, text in texts.items():
        mine = [edit for edit in found.edits if first <= edit.start <= first + len(text)]
        length = len(text) + sum(len(edit.new) - (edit.end - edit.start) for edit in mine)
        rest = judged.source.turns[place].content[len(text) :]
        whole[place] = changed[position : position + length] + rest
        first, position = first + len(text) + 1, position + length + 1
    return whole


def _spliced(judged: Judged, disturbed: Ints, context: int | None) -> tuple[Ints, bool]:
    """What was disturbed up to the first judged token, and the clean tokens from there on."""
    tail = judged.encoded.input_ids[judged.start :]
    behind = len(tail) + judged.encoded.n_cut
    before = disturbed[: max(1, len(disturbed) - behind)]
    room = len(before) if context is None else max(1, context - len(tail))
    return np.concatenate([before[max(0, len(before) - room) :], tail]), len(before) > room


def share_touched(noisy: Sequence[Noisy]) -> float | None:
    """Share of the letters (words) that could be changed which really were; None: there were none."""
    eligible = sum(example.slips.n_eligible for example in noisy)
    return sum(example.slips.n_changed for example in noisy) / eligible if eligible else None
