"""Every sentence of the product and its translation, compared. Run it to see what is missing: python scripts/sentences.py

A sentence is a literal in an error of `analysis.errors`, `Message(id=...)`, `N_(...)`, `t(...)`, `....tell(...)`, or a
call of anything made by `translator(...)` or `words()`.
"""

from __future__ import annotations

import ast
import string
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from babel.messages.pofile import read_po  # noqa: E402

from analysis import errors  # noqa: E402

_ERRORS = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.StrataError)}
_MARKS = _ERRORS | {"Message", "N_", "t", "tell"}
_MAKERS = {"translator", "words"}


@dataclass(frozen=True)
class Sentence:
    """A sentence where it stands in the code."""

    text: str
    place: str
    on_page: bool


@dataclass(frozen=True)
class Found:
    """What the code says: its sentences, what looks like one but is put together at run time, and every literal there is."""

    sentences: tuple[Sentence, ...]
    built: tuple[str, ...]
    literals: frozenset[str]


def sources(root: Path = ROOT) -> list[Path]:
    """The files whose sentences reach a user."""
    return [*sorted((root / "analysis").rglob("*.py")), *sorted((root / "pages").rglob("*.py")), *root.glob("app.py")]


def find_sentences(paths: list[Path], root: Path = ROOT) -> Found:
    """All sentences in these files."""
    sentences, built, literals = list[Sentence](), list[str](), set[str]()
    for path in paths:
        name, tree = path.relative_to(root).as_posix(), ast.parse(path.read_text(encoding="utf-8"))
        literals |= {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
        for call in _marked_calls(tree):
            for node in _branches(_sentence_of(call)):
                place = f"{name}:{node.lineno}"
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    sentences.append(Sentence(node.value, place, not name.startswith("analysis/")))
                elif isinstance(node, ast.JoinedStr | ast.BinOp):
                    built.append(place)
    return Found(tuple(sentences), tuple(built), frozenset(literals))


def _marked_calls(tree: ast.AST) -> Iterator[ast.Call]:
    marks = _MARKS | set(_own_marks(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (
            _name(node.func) in marks or (isinstance(node.func, ast.Call) and _name(node.func.func) in _MAKERS)
        ):
            yield node


def _own_marks(tree: ast.AST) -> Iterator[str]:
    """Names that this file gives to translators, and its own kinds of error."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and _name(node.value.func) in _MAKERS:
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        if isinstance(node, ast.ClassDef) and any(_name(base) in _ERRORS for base in node.bases):
            yield node.name


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _sentence_of(call: ast.Call) -> ast.expr | None:
    if _name(call.func) == "Message":
        return next((keyword.value for keyword in call.keywords if keyword.arg == "id"), None)
    return call.args[0] if call.args else None


def _branches(node: ast.expr | None) -> Iterator[ast.expr]:
    if isinstance(node, ast.IfExp):
        yield from _branches(node.body)
        yield from _branches(node.orelse)
    elif node is not None:
        yield node


def catalogues(language: str = "ja", root: Path = ROOT) -> Mapping[str, list[tuple[str, str]]]:
    """Sentence -> the catalogues it stands in, with its translation in each."""
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for path in sorted((root / "analysis" / "i18n" / language).glob("*.po")):
        with path.open("rb") as file:
            for entry in read_po(file, locale=language):
                if entry.id:
                    found[str(entry.id)].append((path.name, "" if entry.fuzzy else str(entry.string)))
    return found


def places(text: str) -> set[str]:
    """The named places of a sentence."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def untranslated(found: Found, catalogue: Mapping[str, list[tuple[str, str]]]) -> list[str]:
    """Sentences without a Japanese form, with where they stand."""
    return [
        f"{sentence.place}: {sentence.text!r}"
        for sentence in found.sentences
        if not any(said for _, said in catalogue.get(sentence.text, []))
    ]


if __name__ == "__main__":
    missing = untranslated(find_sentences(sources()), catalogues())
    print("\n".join(missing) or "Every sentence has its Japanese form.")
    sys.exit(1 if missing else 0)
