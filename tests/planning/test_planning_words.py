"""Every sentence of planning and reporting stands in its own catalogue, with the same places."""

from __future__ import annotations

import ast
import string
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

ROOT = Path(__file__).parents[2] / "analysis"
MARKERS = {"Message", "PlanError", "DocumentError", "N_", "t", "Measure"}


def sentences(room: str) -> Iterator[str]:
    for path in sorted((ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                yield from _marked(node)
            elif isinstance(node, ast.Dict):
                keys = [key for key in node.keys if isinstance(key, ast.Tuple | ast.Constant)]
                if keys and all(isinstance(value, ast.Constant) and isinstance(value.value, str) for value in node.values):
                    yield from (value.value for value in node.values if isinstance(value, ast.Constant) and "{" in str(value.value))


def _marked(node: ast.Call) -> Iterator[str]:
    name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr if isinstance(node.func, ast.Attribute) else ""
    if name not in MARKERS:
        return
    given = next((keyword.value for keyword in node.keywords if keyword.arg == "id"), node.args[0] if node.args else None)
    for part in (given.body, given.orelse) if isinstance(given, ast.IfExp) else (given,):
        if isinstance(part, ast.Constant) and isinstance(part.value, str) and name != "Measure":
            yield part.value


def catalogue(room: str) -> dict[str, str]:
    with (ROOT / "i18n" / "ja" / f"{room}.po").open("rb") as file:
        return {str(message.id): str(message.string) for message in read_po(file, locale="ja") if message.id}


def places(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name}


@pytest.mark.parametrize("room", ["planning", "reporting"])
def test_every_sentence_has_japanese_with_the_same_places(room: str) -> None:
    known = catalogue(room)
    everywhere = {text: said for path in (ROOT / "i18n" / "ja").glob("*.po") for text, said in catalogue(path.stem).items()}
    missing = sorted(set(sentences(room)) - set(everywhere))
    assert not missing
    assert all(text and places(text) == places(sentence) for sentence, text in known.items())


@pytest.mark.parametrize("room", ["planning", "reporting"])
def test_no_catalogue_entry_is_left_over(room: str) -> None:
    assert not sorted(set(catalogue(room)) - set(sentences("planning")) - set(sentences("reporting")))


@pytest.mark.parametrize("room", ["planning", "reporting"])
def test_its_sentences_stand_in_no_other_catalogue(room: str) -> None:
    mine = set(catalogue(room))
    for path in (ROOT / "i18n" / "ja").glob("*.po"):
        assert path.stem == room or not mine & set(catalogue(path.stem)), path.stem
