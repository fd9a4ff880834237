"""Every sentence of the product is there in English and in Japanese, once, with the same places."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scripts.sentences import Found, catalogues, find_sentences, places, sources, untranslated

CATALOGUE = catalogues()
PAIRS = [(sentence, said) for sentence, entries in CATALOGUE.items() for _, said in entries]


@pytest.fixture(scope="module")
def found() -> Found:
    return find_sentences(sources())


def listed(problems: list[str]) -> str:
    return "\n" + "\n".join(problems)


def test_every_sentence_has_a_japanese_form(found: Found) -> None:
    missing = untranslated(found, CATALOGUE)
    assert not missing, f"{len(missing)} sentences without Japanese:{listed(missing)}"


def test_a_sentence_stands_in_exactly_one_catalogue() -> None:
    twice = [f"{[name for name, _ in entries]}: {sentence!r}" for sentence, entries in CATALOGUE.items() if len(entries) > 1]
    assert not twice, listed(twice)


def test_no_catalogue_keeps_a_sentence_that_nobody_says(found: Found) -> None:
    unused = [f"{entries[0][0]}: {sentence!r}" for sentence, entries in CATALOGUE.items() if sentence not in found.literals]
    assert not unused, listed(unused)


def test_a_sentence_is_never_put_together_at_run_time(found: Found) -> None:
    assert not found.built, f"write one literal with named places instead of an f-string or +:{listed(list(found.built))}"


def test_both_languages_have_the_same_named_places() -> None:
    different = [
        f"{sentence!r}: {sorted(places(sentence))} but {sorted(places(said))}"
        for sentence, said in PAIRS
        if places(sentence) != places(said)
    ]
    assert not different, listed(different)


@pytest.mark.parametrize(
    ("why", "pattern"),
    [
        ("the range mark is 〜 (U+301C), not its look-alike", "\uff5e"),
        ("rings, triangles and ticks are read as verdicts or as minus in Japan", "[○◎●△▲✓✔✗]"),
        ("digits are half-width", "[０-９]"),
        ("% is half-width and follows its figure without a space", "％|[0-9}] %"),
        ("no hype", "を実現|が可能となります|ソリューション|AIが判断|ドロップ"),
    ],
    ids=["tilde", "marks", "digits", "percent", "hype"],
)
def test_japanese_follows_the_house_rules(why: str, pattern: str) -> None:
    against = [said for _, said in PAIRS if re.search(pattern, said)]
    assert not against, f"{why}:{listed(against)}"


def test_english_says_layer_on_pages_and_never_budget_or_that_other_word_for_removing(found: Found) -> None:
    against = [s for s in found.sentences if re.search(r"\bdrop(s|ped|ping)?\b", s.text, re.IGNORECASE)]
    against += [
        s for s in found.sentences if s.on_page and re.search(r"\b(budget|blocks?)\b", re.sub(r"{.*?}|Block Influence", "", s.text))
    ]
    assert not against, listed([f"{s.place}: {s.text!r}" for s in against])


def test_the_finder_sees_each_way_of_saying_something(tmp_path: Path) -> None:
    code = """
from analysis.errors import InputError, StrataError
class OwnError(StrataError): ...
def f(t, say, x, terminal):
    raise InputError("one {a}", a=1)
    raise OwnError("two")
    Message(id="three")
    t("four" if x else "five")
    N_("six")
    u = translator("ja")
    u("seven " "and more")
    words()("eight")
    terminal.tell("nine")
    t(f"built {x}")
    print("not a sentence")
"""
    (tmp_path / "pages").mkdir()
    path = tmp_path / "pages" / "x.py"
    path.write_text(code)
    found = find_sentences([path], tmp_path)
    assert [s.text for s in sorted(found.sentences, key=lambda s: int(s.place.split(":")[1]))] == [
        "one {a}", "two", "three", "four", "five", "six", "seven and more", "eight", "nine",
    ]  # fmt: skip
    assert found.built == ("pages/x.py:14",)
