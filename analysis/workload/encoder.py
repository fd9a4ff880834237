"""From an example to token ids, without transformers: the model's tokenizer.json and its chat template.

The ids are those that transformers gives for the same text. Every token also gets its kind: what the user asked,
what was answered, or what the template put around them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import AddedToken, Tokenizer

from analysis.errors import ModelError, WorkloadError
from analysis.workload.chat_template import ChatTemplate, Rendered, TemplateRefusal
from analysis.workload.example import Example, Turn
from analysis.workload.shown import shown

TEMPLATE, PROMPT, RESPONSE = 0, 1, 2
EXCERPT_CHARACTERS = 80
_ORDER = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


@dataclass(frozen=True, eq=False)
class EncodedExample:
    """One example as the model gets it.

    Attributes:
        input_ids: int64 [S].
        kinds: uint8 [S]; 0 template, system text and special tokens, 1 prompt (all turns before the answer), 2 response.
        n_cut: tokens left out at the end because the example was longer than allowed.
        excerpt: the first 80 characters of what the user asked.
        system_joined: the template knows no system turn, so the system text stands at the start of the first user turn.
    """

    example_id: str
    slice: str
    weight: float
    critical: bool
    input_ids: NDArray[np.int64]
    kinds: NDArray[np.uint8]
    n_cut: int
    excerpt: str
    system_joined: bool = False

    @property
    def n_counted(self) -> int:
        """Tokens of prompt and response: those that the default scores count."""
        return int(np.count_nonzero(self.kinds))


@dataclass(frozen=True)
class Encoder:
    """A model's tokenizer and, when it has one, its chat template."""

    tokenizer: Tokenizer
    template_source: str | None
    special_tokens: Mapping[str, str]

    @classmethod
    def from_folder(cls, folder: Path) -> Encoder:
        """Reads tokenizer.json, tokenizer_config.json, special_tokens_map.json and chat_template.jinja.

        Raises:
            ModelError: there is no tokenizer.json, or one of the files is damaged.
        """
        path = folder / "tokenizer.json"
        if not path.is_file():
            raise ModelError(
                "The folder {folder} has no tokenizer.json, so its prompts cannot be counted. "
                "Save the model's fast tokenizer there (AutoTokenizer.from_pretrained(...).save_pretrained(folder)).",
                folder=str(folder),
            )
        try:
            tokenizer = Tokenizer.from_file(str(path))
        except Exception as exc:  # the library raises bare Exception for a file it cannot read
            raise _damaged(path, exc) from exc
        tokenizer.no_truncation()
        tokenizer.no_padding()
        config = _json_object(folder / "tokenizer_config.json")
        special = _special_tokens(config, _json_object(folder / "special_tokens_map.json"))
        _add_missing(tokenizer, config, special)
        return cls(tokenizer, _template_source(folder, config), special)

    @property
    def has_chat_template(self) -> bool:
        """Whether the model brings its own way to write conversations."""
        return self.template_source is not None

    @cached_property
    def _template(self) -> ChatTemplate | None:
        return None if self.template_source is None else ChatTemplate(self.template_source, self.special_tokens)

    def encode(self, example: Example, *, max_tokens: int, chat_template: bool) -> EncodedExample:
        """One example as token ids, with its response when there is one, cut at the end to `max_tokens`.

        Raises:
            WorkloadError: the chat template refuses the conversation, with and without a system turn of its own.
        """
        rendered, turns, joined = self._written(example, chat_template and self.has_chat_template)
        encoding = self.tokenizer.encode(rendered.text, add_special_tokens=not (chat_template and self.has_chat_template))
        ids = np.asarray(encoding.ids, dtype=np.int64)
        kinds = _kinds(encoding, rendered, _kind_of_turns(turns, example.response is not None))
        return EncodedExample(
            example_id=example.id,
            slice=example.slice,
            weight=example.weight,
            critical=example.critical,
            input_ids=ids[:max_tokens],
            kinds=kinds[:max_tokens],
            n_cut=max(0, len(ids) - max_tokens),
            excerpt=shown(example.prompt, EXCERPT_CHARACTERS),
            system_joined=joined,
        )

    def _written(self, example: Example, with_template: bool) -> tuple[Rendered, tuple[Turn, ...], bool]:
        turns = (*example.turns, *(() if example.response is None else (Turn("assistant", example.response),)))
        if not with_template:
            return _plain(turns), turns, False
        ask = example.response is None
        try:
            assert self._template is not None
            try:
                return self._template.render(turns, add_generation_prompt=ask), turns, False
            except TemplateRefusal:
                merged = _system_joined(turns)
                if merged == turns:
                    raise
                return _without_system(self._template.render(merged, add_generation_prompt=ask), merged, turns), merged, True
        except TemplateRefusal as exc:
            raise WorkloadError(
                "The model's chat template cannot write the conversation that asks '{prompt}' ({reason}). "
                "Correct its turns, or profile without the chat template (--no-chat-template).",
                prompt=shown(example.prompt),
                reason=shown(str(exc), 120),
            ) from exc


def _plain(turns: Sequence[Turn]) -> Rendered:
    """The contents one under the other, for models without a template."""
    spans, position = [], 0
    for turn in turns:
        spans.append((position, position + len(turn.content)))
        position += len(turn.content) + 1
    return Rendered("\n".join(turn.content for turn in turns), tuple(spans))


def _system_joined(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    """System texts put in front of the first user turn."""
    system = "\n\n".join(turn.content for turn in turns if turn.role == "system")
    others = [turn for turn in turns if turn.role != "system"]
    first = next(index for index, turn in enumerate(others) if turn.role == "user")
    if system:
        others[first] = Turn("user", f"{system}\n\n{others[first].content}")
    return tuple(others)


def _without_system(rendered: Rendered, merged: Sequence[Turn], turns: Sequence[Turn]) -> Rendered:
    """Takes the joined system text out of the first user turn's place, so that only what the user said counts."""
    asked = next(turn.content for turn in turns if turn.role == "user")
    first = next(index for index, turn in enumerate(merged) if turn.role == "user")
    span = rendered.spans[first]
    if span is None:
        return rendered
    form = next((form for form in (asked, asked.rstrip()) if rendered.text[slice(*span)].endswith(form)), "")
    own = (span[1] - len(form), span[1]) if form else span
    return Rendered(rendered.text, (*rendered.spans[:first], own, *rendered.spans[first + 1 :]))


def _kind_of_turns(turns: Sequence[Turn], answered: bool) -> list[int]:
    kinds = [TEMPLATE if turn.role == "system" else PROMPT for turn in turns]
    if answered:
        kinds[-1] = RESPONSE
    return kinds


def _kinds(encoding: Any, rendered: Rendered, kind_of_turns: Sequence[int]) -> NDArray[np.uint8]:
    """uint8 [S]: the kind of the content that a token overlaps; tokens the tokenizer adds by itself are template."""
    offsets = np.asarray(encoding.offsets, dtype=np.int64).reshape(-1, 2)
    added = np.asarray(encoding.special_tokens_mask, dtype=bool) & (offsets[:, 0] == offsets[:, 1])
    # Spaces alone become an empty place at their end where offsets are trimmed, as GPT-2's are.
    start = np.where((offsets[:, 0] == offsets[:, 1]) & (offsets[:, 0] > 0), offsets[:, 0] - 1, offsets[:, 0])
    end = np.maximum(offsets[:, 1], start + 1)
    kinds = np.zeros(len(offsets), dtype=np.uint8)
    for span, kind in zip(rendered.spans, kind_of_turns, strict=True):
        if span is not None and kind != TEMPLATE:
            kinds[(start < span[1]) & (end > span[0])] = kind
    kinds[added] = TEMPLATE
    return kinds


def _template_source(folder: Path, config: Mapping[str, Any]) -> str | None:
    """chat_template.jinja, or the config's template: a text, or a list of named ones of which "default" is meant."""
    path = folder / "chat_template.jinja"
    if path.is_file():
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            raise _damaged(path, exc) from exc
    template = config.get("chat_template")
    if isinstance(template, list):
        named = {entry.get("name"): entry.get("template") for entry in template if isinstance(entry, dict)}
        template = named.get("default")
    return template if isinstance(template, str) else None


def _special_tokens(config: Mapping[str, Any], token_map: Mapping[str, Any]) -> dict[str, str]:
    """bos_token and the others as texts; the map of older folders wins, unless the config lists the added tokens itself."""
    entries = dict(config) if "added_tokens_decoder" in config else {**config, **token_map}
    found = {}
    for name, token in entries.items():
        text = token.get("content") if isinstance(token, dict) else token
        if name.endswith("_token") and isinstance(text, str):
            found[name] = text
    return found


def _add_missing(tokenizer: Tokenizer, config: Mapping[str, Any], special: Mapping[str, str]) -> None:
    """Tokens that only the config names are added, as transformers does."""
    known = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    listed = config.get("added_tokens_decoder")
    for entry in listed.values() if isinstance(listed, dict) else ():
        content = entry.get("content") if isinstance(entry, dict) else None
        if isinstance(content, str) and content and content not in known:
            flags = {name: bool(entry.get(name)) for name in ("single_word", "lstrip", "rstrip", "normalized", "special")}
            tokenizer.add_tokens([AddedToken(content, **flags)])
            known.add(content)
    extra = [token for name in ("additional_special_tokens", "extra_special_tokens") for token in _texts(config.get(name))]
    named = [special[name] for name in sorted(special, key=lambda name: _ORDER.index(name) if name in _ORDER else len(_ORDER))]
    missing = [token for token in dict.fromkeys([*named, *extra]) if token and token not in known]
    if missing:
        tokenizer.add_special_tokens(missing)


def _texts(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _json_object(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as exc:
        raise _damaged(path, exc) from exc
    return value if isinstance(value, dict) else {}


def _damaged(path: Path, exc: Exception) -> ModelError:
    return ModelError(
        "The tokenizer file {file} cannot be read ({reason}). Download or save the model again.",
        file=str(path),
        reason=shown(str(exc), 120),
    )
