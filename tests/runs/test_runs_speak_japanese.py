"""Every sentence of the room has its Japanese."""

from __future__ import annotations

import ast
import string
from collections.abc import Iterator
from pathlib import Path

from babel.messages.pofile import read_po

import analysis.runs
from analysis import errors
from analysis.errors import StrataError

ROOM = Path(analysis.runs.__file__).parent
CATALOGUES = tuple(ROOM.parent / "i18n" / "ja" / name for name in ("runs.po", "runs_training.po", "runs_business.po", "consensus_store.po"))
KINDS = {"Message", *(name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, StrataError))}


def _sentences() -> Iterator[str]:
    for path in ROOM.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in KINDS:
                first = node.args[0] if node.args else next((word.value for word in node.keywords if word.arg == "id"), None)
                if isinstance(first, ast.Constant):
                    yield first.value


def _catalogue(path: Path) -> Iterator[tuple[str, str]]:
    with path.open("rb") as file:
        yield from [(str(message.id), str(message.string)) for message in read_po(file, locale="ja") if message.id]


def _places(sentence: str) -> set[str | None]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence)} - {None}


def test_every_sentence_of_the_room_has_its_japanese_and_nothing_else_stands_there() -> None:
    said = dict(entry for path in CATALOGUES for entry in _catalogue(path))
    assert set(_sentences()) == set(said)
    assert [sentence for sentence, japanese in said.items() if not japanese or _places(str(sentence)) != _places(str(japanese))] == []
