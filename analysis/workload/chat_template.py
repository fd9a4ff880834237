"""A model's own chat template, run in a sandbox: the text a conversation becomes, and where each turn stands in it.

Templates come with models and are not trusted: they run in jinja2's immutable sandbox with the helpers that
transformers gives them, so that the text is the same, and see nothing but plain texts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.parser
import jinja2.sandbox

from analysis.workload.example import Turn

_MARK = "\ue0f0{}\ue0f1"


class TemplateRefusal(Exception):
    """The template cannot or will not write this conversation; the text says why."""


@dataclass(frozen=True)
class Rendered:
    """A conversation as one text; `spans[i]` is where the content of turn i stands, None when it could not be found."""

    text: str
    spans: tuple[tuple[int, int] | None, ...]


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
        spans = None if skeleton is None else _spans_between(text, turns, skeleton)
        return Rendered(text, spans if spans is not None else tuple(_spans_by_search(text, turns)))

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


def _spans_between(text: str, turns: Sequence[Turn], skeleton: Sequence[str]) -> tuple[tuple[int, int] | None, ...] | None:
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


def _spans_by_search(text: str, turns: Sequence[Turn]) -> Iterator[tuple[int, int] | None]:
    """For templates that change what they write with the content: each content's next occurrence."""
    position = 0
    for turn in turns:
        content = turn.content.strip()
        start = text.find(content, position) if content else -1
        if start < 0:
            yield None
            continue
        position = start + len(content)
        yield start, position


def _environment() -> jinja2.sandbox.ImmutableSandboxedEnvironment:
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_GenerationBlock, jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = _strftime_now
    return environment


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
