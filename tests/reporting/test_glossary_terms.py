"""Terms: each with its sentence in both languages, found in a text where it occurs and nowhere else."""

from __future__ import annotations

import pytest

from analysis.i18n import Language, translator
from analysis.reporting.glossary_terms import MANAGER_TERMS, TERMS, terms_in
from pages.ui import glossary


def test_the_pages_and_the_briefing_share_one_glossary() -> None:
    assert glossary.TERMS is TERMS


def test_every_term_for_those_who_decide_is_explained_in_japanese() -> None:
    japanese = translator("ja")
    assert set(MANAGER_TERMS) <= set(TERMS)
    assert all(japanese(TERMS[term]) != TERMS[term] for term in MANAGER_TERMS)


@pytest.mark.parametrize(
    ("text", "language", "terms"),
    [
        ("Payback after the roll-back", "en", ["roll back", "payback period"]),
        ("The frozen layers were measured.", "en", ["layer", "measured", "freeze"]),
        ("A planet, an unmeasured planner", "en", []),
        ("回収は7か月、余力は0円", "ja", ["投資回収期間", "余力（空く能力）"]),
        ("0〜4層を凍結", "ja", ["層", "凍結"]),
        ("", "ja", []),
    ],
)
def test_terms_are_found_where_they_occur(text: str, language: Language, terms: list[str]) -> None:
    assert [entry.term for entry in terms_in(text, language)] == terms
