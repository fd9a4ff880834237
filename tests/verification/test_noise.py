"""Typing slips: exact shares, whole letters, the same every time, Japanese typed as Japanese is."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.contracts.robustness import NOISES, NoiseKind
from analysis.verification.noise import Edit, Slips, applied, is_japanese, neighbours, shown_slip, slips

LONG = "Please ship twelve ball valves to the northern warehouse before the end of May, and send the invoice to our office. " * 8
JAPANESE = "納期を一週間早められますか。ポンプから異音がします。BV-40の在庫を至急ご確認ください。" * 6


def seeded(kind: NoiseKind, text: str, level: float, seed: int = 0) -> Slips:
    return slips(kind, text, level, np.random.default_rng(seed))


def changed(kind: NoiseKind, text: str, level: float, seed: int = 0) -> str:
    return applied(text, seeded(kind, text, level, seed).edits)


@pytest.mark.parametrize("kind", NOISES)
@pytest.mark.parametrize("text", ["", " ", "\n\n", "!?。、", "👩‍🔧🇯🇵", "\u0301\u0301", "12"])
def test_text_with_nothing_to_hit_stays_or_is_told_as_changed(kind: NoiseKind, text: str) -> None:
    found = seeded(kind, text, 1.0)
    assert (applied(text, found.edits) == text) == (found.n_changed == 0)


@given(st.text(max_size=60), st.sampled_from(NOISES), st.floats(0.001, 1.0), st.integers(0, 2**20))
def test_slips_lie_in_order_inside_the_text_and_are_no_more_than_it_holds(text: str, kind: NoiseKind, level: float, seed: int) -> None:
    found = seeded(kind, text, level, seed)
    assert all(0 <= edit.start <= edit.end <= len(text) for edit in found.edits)
    assert all(one.end <= other.start for one, other in zip(found.edits, found.edits[1:], strict=False))
    assert found.n_changed <= max(found.n_eligible, 2 * len(found.edits))
    applied(text, found.edits).encode()


@given(st.text(max_size=60), st.sampled_from(NOISES), st.integers(0, 2**20))
def test_an_accent_or_joiner_never_loses_its_letter(text: str, kind: NoiseKind, seed: int) -> None:
    def marked(said: str) -> list[str]:
        return [said[at - 1 : at + 1] for at in range(1, len(said)) if unicodedata.category(said[at]) in ("Mn", "Mc", "Me", "Cf")]

    if kind != "words":  # an English word of the list may stand before a mark only by accident of the generator
        assert marked(changed(kind, text, 0.5, seed)) == marked(text)


@given(st.sampled_from(NOISES), st.integers(0, 2**20))
def test_slips_of_a_low_level_are_among_those_of_a_higher_one(kind: NoiseKind, seed: int) -> None:
    low, high = (set(seeded(kind, LONG + JAPANESE, level, seed).edits) for level in (0.02, 0.1))
    assert low <= high


@pytest.mark.parametrize("kind", ["keyboard", "swap", "case", "spacing"])
@pytest.mark.parametrize("text", [LONG, JAPANESE], ids=["english", "japanese"])
@pytest.mark.parametrize("level", [0.02, 0.05, 0.1])
def test_the_share_asked_for_is_met_to_the_nearest_slip(kind: NoiseKind, text: str, level: float) -> None:
    found = seeded(kind, text, level)
    assert abs(found.n_changed - level * found.n_eligible) < (2 if kind == "swap" else 1)


@pytest.mark.parametrize("kind", NOISES)
def test_over_many_short_texts_the_share_asked_for_is_met(kind: NoiseKind) -> None:
    found = [seeded(kind, "Order new parts", 0.05, seed) for seed in range(600)]
    assert {len(one.edits) for one in found} == {0, 1}
    assert sum(one.n_changed for one in found) / sum(one.n_eligible for one in found) == pytest.approx(0.05, abs=0.012)


@pytest.mark.parametrize("kind", ["keyboard", "swap", "case", "spacing"])
@given(seed=st.integers(0, 2**20))
def test_where_the_level_asks_for_a_slip_there_is_one(kind: NoiseKind, seed: int) -> None:
    assert seeded(kind, "Order six bolts", 0.2, seed).edits


@pytest.mark.parametrize("kind", NOISES)
def test_the_same_seed_makes_the_same_slips_and_another_seed_others(kind: NoiseKind) -> None:
    assert changed(kind, LONG, 0.1, 3) == changed(kind, LONG, 0.1, 3) != changed(kind, LONG, 0.1, 4)


def test_a_slip_of_the_finger_lands_on_a_key_nearby_in_the_same_case() -> None:
    for edit in seeded("keyboard", "Gear SHAFT 7", 1.0).edits:
        before = "Gear SHAFT 7"[edit.start]
        assert edit.new in neighbours()[before]
        assert (edit.new.isupper(), edit.new.isdigit()) == (before.isupper(), before.isdigit())


def test_neighbours_go_both_ways_and_nothing_is_its_own() -> None:
    near = neighbours()
    assert {"w", "s", "d", "r"} <= set(near["e"])
    assert "p" not in near["q"]
    assert all(letter in near[other] and other != letter for letter, others in near.items() for other in others)


def test_kana_slip_to_kana_of_their_own_kind() -> None:
    text = "かきくけこポンプ"
    for edit in seeded("keyboard", text, 1.0).edits:
        before = text[edit.start]
        assert is_japanese(edit.new)
        assert ("ぁ" <= before <= "ゖ") == ("ぁ" <= edit.new <= "ゖ")


def test_kanji_are_left_to_the_words() -> None:
    assert seeded("keyboard", "納期確認", 1.0).n_eligible == 0
    assert seeded("swap", "納期確認", 1.0).edits == ()


def test_swapped_letters_stay_within_their_word_and_are_different() -> None:
    before = "all bees see 11"
    after = changed("swap", before, 1.0)
    assert [sorted(word) for word in after.split()] == [sorted(word) for word in before.split()]
    assert after != before
    assert after.split()[-1] == "11"


def test_case_flips_letters_and_leaves_those_alone_that_have_no_single_other_form() -> None:
    assert changed("case", "aB", 1.0) == "Ab"
    assert changed("case", "ß ı ǅ 5", 1.0) == "ß ı ǅ 5"


def test_japanese_letters_change_their_width_where_others_change_their_case() -> None:
    assert changed("case", "第ＢＶ４0号ガス", 1.0) == "第BV4０号ｶﾞｽ"


def test_spaces_are_lost_and_gained_but_lines_stay() -> None:
    text = "one two three\nfour five six"
    after = changed("spacing", text, 0.5)
    assert after.count("\n") == 1
    assert after.replace(" ", "") == text.replace(" ", "")
    assert any(edit.new == "" for edit in seeded("spacing", text, 0.5).edits)
    assert any(edit.new == " " for edit in seeded("spacing", text, 0.5).edits)


def test_japanese_gets_the_wide_space() -> None:
    assert "\u3000" in changed("spacing", "在庫はありますか", 0.2)


@pytest.mark.parametrize("make", [lambda text: text[:0], str.upper])
def test_shown_slips_hold_one_word_and_not_the_prompt(make: Callable[[str], str]) -> None:
    text = "ship the order " + make("now") + " " + "x" * 500
    for edit in seeded("keyboard", text, 1.0).edits:
        before, after = shown_slip(text, edit)
        assert before != after
        assert len(before) <= 21
        assert " " not in before


def test_edits_are_made_together() -> None:
    assert applied("abc", [Edit(0, 1, "xx"), Edit(1, 1, " "), Edit(2, 3, "")]) == "xx b"
