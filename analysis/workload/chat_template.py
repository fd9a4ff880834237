"""A model's own chat template, run in a sandbox: the text a conversation becomes, and where each turn stands in it.

Templates come with models and are not trusted: they run in jinja2's immutable sandbox with the helpers that
transformers gives them, so that the text is the same, and see nothing but plain texts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn

import jinja2
import jinja2.exceptions
import jinja2.ext
import jinja2.nodes
import jinja2.parser
import jinja2.sandbox
import jinja2.utils

from analysis.workload.example import Turn

Spans = tuple[tuple[int, int] | None, ...]
_MARK = "\ue0f0{}\ue0f1"


class TemplateRefusal(Exception):
    """The template cannot or will not write this conversation; the text says why."""


@dataclass(frozen=True)
class Rendered:
    """A conversation as one text; `spans[i]` is where the content of turn i stands, None when it could not be found."""

    text: str
    spans: Spans


class ChatTemplate:
    """One compiled template with the model's special tokens."""

    def __init__(self, source: str, special_tokens: Mapping[str, str]) -> None:
        self._special_tokens = dict(special_tokens)
        self._skeletons: dict[tuple[tuple[str, ...], bool], tuple[str, ...] | None] = {}
        try:
            self._template = _environment().from_string(source)
        except (jinja2.TemplateError, RecursionError) as exc:
            raise TemplateRefusal(str(exc)) from exc

    def render(self, turns: Sequence[Turn], *, add_generation_prompt: bool) -> Rendered:
        """The text of a conversation and the place of each turn's content in it.

        Raises:
            TemplateRefusal: the template stops at this conversation.
        """
        text = self._text(turns, add_generation_prompt)
        skeleton = self._skeleton(turns, add_generation_prompt)
        exact = None if skeleton is None else _spans_between(text, turns, skeleton)
        if skeleton is None or exact is not None:
            return Rendered(text, exact or _spans_by_search(text, turns))
        searched = _spans_by_search(text, turns)
        return Rendered(text, searched if None not in searched else _spans_of_regions(text, skeleton) or searched)

    def _text(self, turns: Sequence[Turn], add_generation_prompt: bool) -> str:
        messages = [{"role": turn.role, "content": turn.content} for turn in turns]
        try:
            return self._template.render(
                messages=messages, tools=None, documents=None, add_generation_prompt=add_generation_prompt, **self._special_tokens
            )
        except Exception as exc:  # a template is a foreign program: it can fail in any way
            raise TemplateRefusal(str(exc) or type(exc).__name__) from exc

    def _skeleton(self, turns: Sequence[Turn], add_generation_prompt: bool) -> tuple[str, ...] | None:
        """What the template itself writes around the contents for these roles: one piece more than there are turns."""
        key = (tuple(turn.role for turn in turns), add_generation_prompt)
        if key not in self._skeletons:
            self._skeletons[key] = self._make_skeleton(key[0], add_generation_prompt)
        return self._skeletons[key]

    def _make_skeleton(self, roles: tuple[str, ...], add_generation_prompt: bool) -> tuple[str, ...] | None:
        marked = [Turn(role, _MARK.format(index)) for index, role in enumerate(roles)]  # type: ignore[arg-type]
        try:
            rest = self._text(marked, add_generation_prompt)
        except TemplateRefusal:
            return None
        pieces = []
        for turn in marked:
            before, found, rest = rest.partition(turn.content)
            if not found:
                return None
            pieces.append(before)
        return (*pieces, rest)


def _spans_between(text: str, turns: Sequence[Turn], skeleton: Sequence[str]) -> Spans | None:
    """Spans when the text is the skeleton with the contents, stripped or not, put in; None when it is not."""
    spans: list[tuple[int, int] | None] = []
    position = 0
    for turn, before, after in zip(turns, skeleton, skeleton[1:], strict=False):
        if not text.startswith(before, position):
            return None
        start = position + len(before)
        forms = (turn.content, turn.content.strip(), turn.content.rstrip(), turn.content.lstrip())
        form = next((form for form in forms if text.startswith(form, start) and text.startswith(after, start + len(form))), None)
        if form is None:
            return None
        position = start + len(form)
        spans.append((start, position))
    return tuple(spans) if text[position:] == skeleton[-1] else None


def _spans_by_search(text: str, turns: Sequence[Turn]) -> Spans:
    """For templates that write something else around some contents: each content's next occurrence."""
    spans: list[tuple[int, int] | None] = []
    position = 0
    for turn in turns:
        content = turn.content.strip()
        start = text.find(content, position) if content else -1
        spans.append(None if start < 0 else (start, start + len(content)))
        position = max(position, start + len(content) if start >= 0 else 0)
    return tuple(spans)


def _spans_of_regions(text: str, skeleton: Sequence[str]) -> Spans | None:
    """For templates that change contents, such as leaving out a model's thoughts: what stands between their own words."""
    spans: list[tuple[int, int] | None] = []
    position = len(skeleton[0]) if text.startswith(skeleton[0]) else -1
    for number, after in enumerate(skeleton[1:], start=1):
        last = number == len(skeleton) - 1
        end = len(text) - len(after) if last and text.endswith(after) else text.find(after, position)
        if position < 0 or end < position:
            return None
        spans.append((position, end))
        position = end + len(after)
    return tuple(spans)


def _environment() -> jinja2.sandbox.ImmutableSandboxedEnvironment:
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_GenerationBlock, jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = _strftime_now
    environment.globals["namespace"] = _Namespace
    return environment


class _Namespace(jinja2.utils.Namespace):
    """A namespace that keeps no names with an underscore in front, which could reach Python's own workings."""

    def __init__(self, **attributes: Any) -> None:
        for name in attributes:
            _check_plain(name)
        super().__init__(**attributes)

    def __setitem__(self, name: str, value: Any) -> None:
        _check_plain(name)
        super().__setitem__(name, value)


def _check_plain(name: str) -> None:
    if name.startswith("_"):
        raise jinja2.exceptions.SecurityError(f"a namespace cannot keep {name!r}")


class _GenerationBlock(jinja2.ext.Extension):
    """``{% generation %}`` marks the model's own words for training; here it only has to be passed through."""

    tags = {"generation"}  # noqa: RUF012  # jinja2 declares it so

    def parse(self, parser: jinja2.parser.Parser) -> list[jinja2.nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _tojson(value: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise_exception(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def _strftime_now(form: str) -> str:
    return datetime.now().strftime(form)
