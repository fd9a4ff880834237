"""Still drawings: safe, small, readable by a screen reader, and true to the case."""

from __future__ import annotations

import itertools
import re
from xml.etree import ElementTree

import pytest

from analysis.contracts import BusinessCase, Estimate, Freeze, Guardrail, GuardrailResult, Message, Prune, Skip, Spread
from analysis.i18n import LANGUAGES, Language, translator
from analysis.reporting.briefing import make_briefing
from analysis.reporting.briefing_charts import cash_flow_svg, quality_svg, stack_svg, stages_svg, waterfall_svg
from analysis.reporting.case_pictures import (
    critical_words,
    gain_picture,
    money_unit,
    quality_picture,
    step_words,
    treatments,
    waterfall_steps,
)
from analysis.reporting.svg import COLOURS
from tests.business_builders import make_case, make_evidence, make_rollout

SVG = "{http://www.w3.org/2000/svg}"


def _all(case: BusinessCase, language: Language) -> dict[str, str]:
    assert case.rollout is not None
    return {
        "stack": stack_svg(case.evidence, language),
        "waterfall": waterfall_svg(case, language),
        "cash-flow": cash_flow_svg(case, language),
        "quality": quality_svg(case, language),
        "stages": stages_svg(case.rollout, language),
    }


def _texts(drawing: str) -> list[str]:
    return [found.text or "" for found in ElementTree.fromstring(drawing).iter(SVG + "text")]


def _limited(value: float, slice_name: str | None = None) -> GuardrailResult:
    return GuardrailResult(
        guardrail=Guardrail(text="", metric="perplexity", slice=slice_name, op="<=", value=value, unit="%"),
        verdict="within",
        measured=Estimate(value=2.1, low=0.1, high=4.1),
        n=84,
        reason=Message(id="Within limits."),
    )


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", ["training", "serving"])
def test_every_drawing_is_wellformed_small_still_and_described(kind: str, language: Language) -> None:
    for key, drawing in _all(make_case(kind), language).items():  # type: ignore[arg-type]
        root = ElementTree.fromstring(drawing)
        assert root.get("lang") == language
        assert root.get("aria-labelledby") == f"{key}-title {key}-desc"
        assert (root.findtext(SVG + "title") or "").strip()
        assert len(root.findtext(SVG + "desc") or "") > 20
        assert len(drawing.encode()) < 8_000
        assert "Noto Sans JP" in (root.get("font-family") or "")
        assert not re.search(r"<script|<style|<image|<foreignObject|href|@import|\son\w+=", drawing)
        assert "http" not in drawing.replace('xmlns="http://www.w3.org/2000/svg"', "")


@pytest.mark.parametrize("language", LANGUAGES)
def test_texts_stay_inside_the_drawing(language: Language) -> None:
    from analysis.reporting.lettering import text_width

    for drawing in _all(make_case(), language).values():
        root = ElementTree.fromstring(drawing)
        width, height = map(float, (root.get("viewBox") or "").split()[2:])
        for text in root.iter(SVG + "text"):
            x, y, wide = float(text.get("x", 0)), float(text.get("y", 0)), text_width(text.text or "", float(text.get("font-size", 0)))
            left = x - {None: 0.0, "middle": wide / 2, "end": wide}[text.get("text-anchor")]
            assert left >= -6, text.text
            assert left + wide <= width + 8, text.text
            assert 0 < y <= height


def test_names_from_a_file_cannot_break_a_drawing() -> None:
    rollout = make_rollout()
    name = '</text><script>alert("x")</script>&'
    hostile = rollout.model_copy(update={"stages": tuple(stage.model_copy(update={"slices": (name,)}) for stage in rollout.stages)})
    drawing = stages_svg(hostile, "en")
    assert "<script" not in drawing
    assert ElementTree.fromstring(drawing) is not None


def test_operations_stay_apart_by_pattern_and_prune_is_hollow_and_dashed() -> None:
    evidence = make_evidence(
        "serving", operations=(Skip(unit="attention", blocks=(3,)), Prune(blocks=(7, 8)), Freeze(eof_layer=1)), eof_layer=1
    )
    drawing = stack_svg(evidence, "en")
    assert {f"stack-{kind}" for kind in ("skip", "freeze")} == set(re.findall(r'pattern id="([^"]+)"', drawing))
    assert re.search(rf'fill="none" stroke="{COLOURS["prune"]}" stroke-width="1" stroke-dasharray', drawing)
    assert [text for text in _texts(drawing) if text in ("trained", "prune", "skip", "freeze", "expand")] == [
        "trained",
        "prune",
        "skip",
        "freeze",
    ]


def test_the_paper_has_the_colours_of_the_light_theme() -> None:
    palette = pytest.importorskip("analysis.reporting.charts.palette").PALETTES["light"]
    assert {kind: palette.operations[kind] for kind in COLOURS} == dict(COLOURS)


def test_a_removed_layer_is_treated_before_a_frozen_one_and_blocks_outside_the_model_are_not_drawn() -> None:
    evidence = make_evidence(n_blocks=4, operations=(Freeze(eof_layer=2), Prune(blocks=(1, 9))))
    found = treatments(evidence)
    assert found[("mlp", 1)] == "prune"
    assert found[("attention", 0)] == "freeze"
    assert ("mlp", 9) not in found
    assert ("mlp", 3) not in found


def test_a_hundred_layers_are_still_a_few_kilobytes() -> None:
    assert len(stack_svg(make_evidence("serving", n_blocks=126, operations=(Prune(blocks=tuple(range(20, 40))),)), "ja").encode()) < 16_000


def test_the_waterfall_goes_from_today_to_the_plan_without_a_gap() -> None:
    result = make_case().result
    steps = waterfall_steps(result, "en")
    assert [(step.label, step.amount) for step in steps] == [
        ("today", 1_200_000),
        ("Cloud", -156_000),
        ("People", 60_000),
        ("with the plan", 1_104_000),
    ]
    for before, after in itertools.pairwise(steps[:-1]):
        assert after.start == before.end
    assert steps[-1].end == pytest.approx(steps[-2].end)


def test_money_units_keep_figures_short_and_say_the_unit_once() -> None:
    assert money_unit("JPY", [1_200_000], "ja").name == "千円"
    assert money_unit("JPY", [1_200_000], "ja").figure(-156_000, "ja", signed=True) == "−156"
    assert money_unit("USD", [9_000], "en").figure(1_250.4, "en") == "1,250"
    assert money_unit("EUR", [3e8], "en").name == "million EUR"
    assert money_unit("JPY", [], "en").scale == 1.0


def test_payback_is_marked_where_there_is_one_and_said_where_there_is_none() -> None:
    assert "back within 7 months" in _texts(cash_flow_svg(make_case(), "en"))
    never = _texts(cash_flow_svg(make_case(pays=False), "ja"))
    assert translator("ja")("does not pay back") in never
    assert "−2,000" in never


def test_a_cash_flow_without_simulated_months_has_no_band() -> None:
    case = make_case()
    simulation = case.result.simulation.model_copy(update={"cumulative_p10": ()})
    bare = case.model_copy(update={"result": case.result.model_copy(update={"simulation": simulation})})
    assert "band" in cash_flow_svg(case, "en")
    assert "band" not in cash_flow_svg(bare, "en")


def test_quality_is_drawn_against_the_limit_of_all_prompts_and_a_slices_own() -> None:
    evidence = make_evidence("serving", guardrails=(_limited(5.0), _limited(8.0, "code")))
    picture = quality_picture(evidence, "en")
    assert picture is not None
    assert picture.limit == 5.0
    assert {row.label: row.limit for row in picture.rows}["code"] == 8.0
    assert picture.rows[0].label == "all prompts"
    assert [row.value for row in picture.rows[1:]] == sorted((row.value for row in picture.rows[1:]), reverse=True)
    assert "limit +5%" in _texts(quality_svg(make_case("serving", evidence=evidence), "en"))
    assert "no limit was set" in _texts(quality_svg(make_case("serving"), "en"))


def test_a_limit_as_a_factor_is_read_as_percent() -> None:
    factor = _limited(5.0).model_copy(update={"guardrail": Guardrail(text="", metric="perplexity", op="<=", value=1.08, unit="x")})
    picture = quality_picture(make_evidence("serving", guardrails=(factor,)), "en")
    assert picture is not None
    assert picture.limit == pytest.approx(8.0)


def test_a_trial_without_limits_shows_the_gain_it_kept_and_a_projection_says_so() -> None:
    case = make_case("training")
    gain = gain_picture(case.evidence, "en")
    assert gain is not None
    assert gain.rows[0].value == pytest.approx(94.7)
    assert {"limit 90%", "95%"} <= set(_texts(quality_svg(case, "en")))
    assert any("projected" in text for text in _texts(quality_svg(make_case("serving", "rough"), "en")))


def test_nothing_is_drawn_where_quality_is_not_known() -> None:
    from analysis.contracts import QualityEvidence

    assert quality_svg(make_case("serving", evidence=make_evidence("serving", quality=QualityEvidence())), "en") == ""


@pytest.mark.parametrize(
    ("changed", "words"), [(0, "None of 12"), (2, "2 of 12 critical answers changed; the true rate may be as high as 44%.")]
)
def test_critical_cases_never_promise_more_than_their_number_allows(changed: int, words: str) -> None:
    evidence = make_evidence("serving")
    critical = evidence.quality.critical
    assert critical is not None
    found = critical.model_copy(update={"changed": changed, "upper": 0.221 if not changed else 0.438})
    said = critical_words(evidence.model_copy(update={"quality": evidence.quality.model_copy(update={"critical": found})}))
    assert said is not None
    assert said.in_english().startswith(words)


def test_the_steps_of_cost_are_told_in_the_digits_of_the_page() -> None:
    case = make_case("serving")
    lines = (case.result.lines[0].model_copy(update={"plan": 1_200_000 - 129_687.57}), case.result.lines[1])
    spread = Spread(p10=-6_576, p50=71_393, p90=163_513)
    found = case.result.model_copy(
        update={
            "lines": lines,
            "net_per_month": 69_687.57,
            "simulation": case.result.simulation.model_copy(update={"net_per_month": spread}),
        }
    )
    case = case.model_copy(update={"result": found})
    unit = money_unit("JPY", [1_200_000], "ja")
    assert step_words(case, waterfall_steps(found, "ja"), unit, "ja") == ["1,200", "−130", "+60", "1,130"]
    assert make_briefing(case, "ja").table[0].after == "1,130"


def test_what_is_skipped_has_a_line_around_it_for_grey_print() -> None:
    drawn = stack_svg(make_evidence("serving"), "en")
    assert drawn.count('stroke="#31333F"') >= 3  # two halves and the legend
