"""The deck: seven slides that say what the evidence allows, Japanese faces everywhere, nothing that overflows, charts that add up."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from analysis.contracts import BusinessCase, Estimate, Guardrail, GuardrailResult, Message, Prune, SliceVolume, Standing
from analysis.i18n import LANGUAGES, Language, translator
from analysis.reporting.briefing import make_briefing
from analysis.reporting.case_pictures import waterfall_steps
from analysis.reporting.deck import make_deck
from analysis.reporting.deck_board import Line, lines_of, text_height
from analysis.reporting.deck_fonts import EAST_ASIAN, TAGS
from tests.business_builders import EvidenceKind, make_case, make_evidence

pptx = pytest.importorskip("pptx", reason="python-pptx is not installed")

ROOT = Path(__file__).parents[2]
A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
C = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
EMU = 914_400
# kind, standing, whether it pays back
CASES: tuple[tuple[EvidenceKind, Standing, bool], ...] = (
    ("training", "measured", True),
    ("serving", "measured", True),
    ("serving", "undecided", True),
    ("serving", "rough", True),
    ("serving", "outside", True),
    ("training", "measured", False),
)


def _case(kind: EvidenceKind, standing: Standing, pays: bool = True) -> BusinessCase:
    case = make_case(kind, standing, pays=pays)
    if kind == "training" or standing == "rough":
        return case
    quality = case.evidence.quality.quality_change
    assert quality is not None
    measured = Estimate(**{name: 100 * value for name, value in quality.model_dump().items()})
    limit = GuardrailResult(
        guardrail=Guardrail(text="perplexity<=+5%", metric="perplexity", op="<=", value=5, unit="%"),
        verdict=case.evidence.verdict or "within",
        measured=measured,
        n=84,
        reason=Message(id="Within limits."),
    )
    return case.model_copy(update={"evidence": case.evidence.model_copy(update={"guardrails": (limit,)})})


def _opened(case: BusinessCase, language: Language) -> Any:
    return pptx.Presentation(io.BytesIO(make_deck(make_briefing(case, language), case, language)))


@pytest.fixture(
    scope="module", params=[(*case, language) for case in CASES for language in LANGUAGES], ids=lambda case: "-".join(map(str, case))
)
def deck(request: pytest.FixtureRequest) -> tuple[Any, BusinessCase, Language]:
    kind, standing, pays, language = request.param
    case = _case(kind, standing, pays)
    return _opened(case, language), case, language


def _charts(slide: Any) -> list[Any]:
    return [shape.chart for shape in slide.shapes if shape.has_chart]


def _said(slide: Any) -> str:
    texts = [shape.text_frame.text for shape in slide.shapes if shape.has_text_frame]
    cells = [cell.text for shape in slide.shapes if shape.has_table for row in shape.table.rows for cell in row.cells]
    return "\n".join([*texts, *cells])


def _frames(slide: Any) -> Iterator[tuple[str, Any, float, float]]:
    """Every text frame with the width and height of its place in inches."""
    for shape in slide.shapes:
        if shape.has_text_frame and shape.text_frame.text:
            yield shape.name, shape.text_frame, shape.width / EMU, shape.height / EMU
        if shape.has_table:
            for row in shape.table.rows:
                for cell, column in zip(row.cells, shape.table.columns, strict=True):
                    yield shape.name, cell.text_frame, column.width / EMU, row.height / EMU


def test_seven_wide_slides_each_with_one_title_of_at_most_two_lines(deck: tuple[Any, BusinessCase, Language]) -> None:
    presentation, _, _ = deck
    assert len(presentation.slides) == 7
    assert presentation.slide_width / presentation.slide_height == pytest.approx(16 / 9, abs=0.001)
    titles = [slide.shapes.title.text_frame for slide in presentation.slides]
    assert len({title.text for title in titles}) == 7
    for title in titles:
        size = title.paragraphs[0].runs[0].font.size.pt
        assert size >= 18
        assert lines_of(title.text, 12.1, size) <= 2


def test_every_run_names_its_language_and_an_east_asian_face(deck: tuple[Any, BusinessCase, Language]) -> None:
    presentation, _, language = deck
    roots = [slide._element for slide in presentation.slides]
    roots += [slide.notes_slide._element for slide in presentation.slides]
    roots += [chart._chartSpace for slide in presentation.slides for chart in _charts(slide)]
    properties = [found for root in roots for name in ("rPr", "endParaRPr", "defRPr") for found in root.iter(A + name)]
    assert len(properties) > 150
    for found in properties:
        assert found.get("lang") == TAGS[language]
        assert found.find(A + "ea").get("typeface") == EAST_ASIAN
    for root in roots:
        assert all(run.find(A + "rPr") is not None for run in root.iter(A + "r"))
        assert all(paragraph[-1].tag == A + "endParaRPr" for paragraph in root.iter(A + "p"))


def test_theme_and_charts_name_them_too(deck: tuple[Any, BusinessCase, Language]) -> None:
    presentation, _, language = deck
    from pptx.opc.constants import RELATIONSHIP_TYPE

    for master in (presentation.slide_master.part, presentation.notes_master.part):
        theme = master.part_related_by(RELATIONSHIP_TYPE.THEME).blob.decode()
        assert theme.count(f'<a:ea typeface="{EAST_ASIAN}"/>') == 2
    spaces = [chart._chartSpace for slide in presentation.slides for chart in _charts(slide)]
    assert spaces
    assert {space.find(C + "lang").get("val") for space in spaces} == {TAGS[language]}
    assert presentation.core_properties.language == TAGS[language]


def test_no_text_is_taller_or_wider_than_its_place(deck: tuple[Any, BusinessCase, Language]) -> None:
    presentation, _, _ = deck
    for number, slide in enumerate(presentation.slides, 1):
        for name, frame, width, height in _frames(slide):
            runs = [run for paragraph in frame.paragraphs for run in paragraph.runs]
            size = max((run.font.size.pt for run in runs), default=10)
            lines = [Line(paragraph.text) for paragraph in frame.paragraphs]
            gap = max((paragraph.space_before.pt if paragraph.space_before else 0.0) / (1.25 * size) for paragraph in frame.paragraphs)
            assert text_height(lines, width, size, gap) <= height + 0.02, (number, name, frame.text)


def test_everything_stands_on_the_slide_and_text_is_large_enough(deck: tuple[Any, BusinessCase, Language]) -> None:
    presentation, _, _ = deck
    for slide in presentation.slides:
        for shape in slide.shapes:
            assert shape.left >= 0
            assert shape.top >= 0
            assert shape.left + shape.width <= presentation.slide_width + EMU // 100
            assert shape.top + shape.height <= presentation.slide_height
        sizes = [run.font.size.pt for _, frame, _, _ in _frames(slide) for paragraph in frame.paragraphs for run in paragraph.runs]
        assert min(sizes) >= 9.5


def test_no_placeholder_is_left_empty_and_the_file_is_small(deck: tuple[Any, BusinessCase, Language]) -> None:
    presentation, _, _ = deck
    for slide in presentation.slides:
        assert all(holder.text_frame.text.strip() for holder in slide.placeholders)
    written = io.BytesIO()
    presentation.save(written)
    assert len(written.getvalue()) < 200_000


def test_a_banner_stands_on_every_slide_of_a_case_that_its_evidence_does_not_carry(deck: tuple[Any, BusinessCase, Language]) -> None:
    presentation, case, language = deck
    banner = make_briefing(case, language).banner
    assert (banner is None) == (case.standing == "measured")
    for slide in presentation.slides:
        names = [shape.name for shape in slide.shapes if shape.has_text_frame]
        assert (translator(language)("Banner") in names) == (banner is not None)
        assert banner is None or banner in _said(slide)


def test_the_samples_figures_are_called_the_samples_on_every_slide(deck: tuple[Any, BusinessCase, Language]) -> None:
    presentation, _, language = deck
    sentence = translator(language)("These are the sample's figures, not yours.")
    assert all(sentence in _said(slide) for slide in presentation.slides)


def test_ones_own_figures_are_not_called_the_samples() -> None:
    sentence = translator("en")("These are the sample's figures, not yours.")
    own = make_case(is_sample=False, evidence=make_evidence(is_sample=False))
    assert not any(sentence in _said(slide) for slide in _opened(own, "en").slides)


def test_every_slide_says_where_its_figures_come_from(deck: tuple[Any, BusinessCase, Language]) -> None:
    presentation, case, language = deck
    t = translator(language)
    marks = {"en": ("Measured", "Projected", "Assumed", "Workload", "Plan"), "ja": ("実測", "予測", "前提", "ワークロード", "プラン")}[
        language
    ]
    for number, slide in enumerate(presentation.slides, 1):
        if number == 5:
            assert t("Assumed: bill or prices, volume and days (slide 7).") in _said(slide)
            assert f"{case.result.simulation.draws:,}" in _said(slide)
            continue
        source = next(shape.text_frame.text for shape in slide.shapes if shape.name == t("Source"))
        assert source.startswith(marks) or "{" not in source


def test_the_bad_news_is_in_the_titles() -> None:
    outside = [slide.shapes.title.text_frame.text for slide in _opened(_case("serving", "outside"), "en").slides]
    assert outside[0] == "Tested, and not recommended"
    assert outside[3] == "Outside the limit: not recommended"
    assert not any("Back in" in title or "Stage 1" in title for title in outside)
    never = [slide.shapes.title.text_frame.text for slide in _opened(_case("training", "measured", False), "ja").slides]
    assert never[0] == "現在の処理量では採算が合いません"
    assert never[4] == "現在の処理量では回収できません"
    assert "第1段階" not in never[5]
    good = [slide.shapes.title.text_frame.text for slide in _opened(_case("serving", "measured"), "ja").slides]
    assert good[3] == "品質は事前の基準内"
    assert good[4].startswith("回収は7か月、鍵は")
    assert good[5] == "まず第1段階、中止の条件も明確に"


def test_the_waterfalls_columns_reach_where_the_case_says() -> None:
    case = _case("serving", "measured")
    chart = _charts(_opened(case, "en").slides[4])[0]
    columns = {series.name: list(series.values) for series in chart.plots[0].series}
    steps = waterfall_steps(case.result, "en")
    base = columns.pop("base (not painted)")
    tops = [start + sum(values[place] or 0 for values in columns.values()) for place, start in enumerate(base)]
    assert tops == pytest.approx([max(step.start, step.end) / 1000 for step in steps])
    assert list(chart.plots[0].categories) == [step.label for step in steps]
    assert [series.name for series in chart.plots[1].series] == ["labels (not painted)"]


def test_the_cash_flow_is_an_area_between_the_cautious_and_the_optimistic_case_under_a_line() -> None:
    case = _case("serving", "measured")
    chart = _charts(_opened(case, "en").slides[4])[1]
    low, width = (list(series.values) for series in chart.plots[0].series)
    found = case.result.simulation
    assert low == pytest.approx([value / 1000 for value in found.cumulative_p10])
    assert [a + b for a, b in zip(low, width, strict=True)] == pytest.approx([value / 1000 for value in found.cumulative_p90])
    zero, line = (list(series.values) for series in chart.plots[1].series)
    assert set(zero) == {0.0}
    assert line == pytest.approx([value / 1000 for value in case.result.cumulative])


def test_quality_columns_carry_their_intervals_and_the_limit_as_a_line() -> None:
    case = _case("serving", "measured")
    (chart,) = _charts(_opened(case, "en").slides[3])
    assert len(chart.plots[0].series[0].values) == 9
    assert set(chart.plots[1].series[0].values) == {5.0}
    bars = next(chart._chartSpace.iter(C + "errBars"))
    plus, minus = ([float(point.find(C + "v").text) for point in bars.find(C + side).iter(C + "pt")] for side in ("plus", "minus"))
    assert plus[0] == pytest.approx(2.0)
    assert minus[0] == pytest.approx(2.0)
    highest = max(row.high for row in case.evidence.quality.by_slice.values() if row.high is not None)
    assert chart.value_axis.maximum_scale > 100 * highest


def test_a_column_without_an_interval_has_no_whisker() -> None:
    case = _case("training", "measured")
    bare = {name: Estimate(value=one.value) for name, one in case.evidence.quality.by_slice.items()}
    evidence = case.evidence.model_copy(update={"quality": case.evidence.quality.model_copy(update={"by_slice": bare})})
    (chart,) = _charts(_opened(case.model_copy(update={"evidence": evidence}), "en").slides[3])
    bars = next(chart._chartSpace.iter(C + "errBars"))
    for side in ("plus", "minus"):
        assert [point.get("idx") for point in bars.find(C + side).iter(C + "pt")] == ["0"], "only all prompts together have one"


ORDER = {
    "ser": ("idx", "order", "tx", "spPr", "invertIfNegative", "marker", "dPt", "dLbls", "trendline", "errBars", "cat", "val", "smooth"),
    "chartSpace": ("date1904", "lang", "roundedCorners", "style", "chart", "spPr", "txPr", "externalData"),
    "lineChart": ("grouping", "varyColors", "ser", "dLbls", "marker", "axId"),
    "plotArea": ("layout", "barChart", "areaChart", "lineChart", "catAx", "valAx"),
    "dLbl": ("idx", "layout", "tx", "numFmt", "spPr", "txPr", "dLblPos", "showLegendKey", "showVal", "showCatName", "showSerName"),
    "errBars": ("errBarType", "errValType", "noEndCap", "plus", "minus"),
}


def test_parts_of_a_chart_stand_in_the_order_that_powerpoint_insists_on(deck: tuple[Any, BusinessCase, Language]) -> None:
    presentation, _, _ = deck
    for space in (chart._chartSpace for slide in presentation.slides for chart in _charts(slide)):
        for name, order in ORDER.items():
            for element in space.iter(C + name):
                tags = [child.tag.removeprefix(C) for child in element if child.tag.removeprefix(C) in order]
                assert tags == sorted(tags, key=order.index), name


def test_notes_hold_what_to_say_and_what_is_not_known(deck: tuple[Any, BusinessCase, Language]) -> None:
    presentation, case, language = deck
    briefing = make_briefing(case, language)
    notes = "\n".join(slide.notes_slide.notes_text_frame.text for slide in presentation.slides)
    assert all(sentence.text in notes for sentence in briefing.sentences)
    assert all(one.why in notes for one in briefing.dropped if one.number <= 8)
    assert all(answer.question in notes for answer in briefing.questions)
    assert all(figure.source in notes for figure in briefing.figures)


@pytest.mark.parametrize("language", LANGUAGES)
def test_hostile_names_long_texts_and_deep_models_stay_on_the_slides(language: Language) -> None:
    names = ("<b>&\x07", "=1+1", "a" * 300, "受注" * 120, *(f"slice {place}" for place in range(30)))
    evidence = make_evidence(
        "serving",
        n_blocks=126,
        slices=names,
        model_name="model " * 40,
        workload_name="\x00work",
        operations=(Prune(blocks=tuple(range(40, 60))),),
        is_sample=False,
    )
    case = make_case("serving", evidence=evidence, is_sample=False)
    volumes = tuple(SliceVolume(name=name, requests_per_month=10.0 + place) for place, name in enumerate(names))
    case = case.model_copy(update={"assumptions": case.assumptions.model_copy(update={"slices": volumes})})
    presentation = _opened(case, language)
    test_no_text_is_taller_or_wider_than_its_place((presentation, case, language))
    test_everything_stands_on_the_slide_and_text_is_large_enough((presentation, case, language))
    assert len(list(_charts(presentation.slides[1])[0].plots[0].categories)) == 12


def test_a_case_without_rollout_band_slices_or_quality_still_makes_a_deck() -> None:
    case = _case("serving", "undecided")
    bare = case.evidence.model_copy(
        update={"quality": case.evidence.quality.model_copy(update={"quality_change": None, "by_slice": {}, "critical": None})}
    )
    simulation = case.result.simulation.model_copy(update={"cumulative_p10": (), "cumulative_p50": (), "cumulative_p90": ()})
    result = case.result.model_copy(update={"simulation": simulation, "tornado": (), "alternatives": ()})
    assumptions = case.assumptions.model_copy(update={"slices": ()})
    small = case.model_copy(update={"evidence": bare, "rollout": None, "result": result, "assumptions": assumptions})
    presentation = _opened(small, "ja")
    assert [len(_charts(slide)) for slide in presentation.slides] == [0, 0, 0, 0, 2, 0, 0]
    assert translator("ja")("not yet tested") in _said(presentation.slides[3])


def test_the_deck_loads_its_library_only_when_it_is_made() -> None:
    rooms = "analysis.reporting.deck, analysis.reporting.briefing_charts"
    script = f"import sys; import {rooms}; print('pptx' in sys.modules, 'plotly' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["False", "False"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_workload_is_named_only_where_the_author_asked_for_it(language: Language) -> None:
    case = make_case("serving", evidence=make_evidence("serving", workload_name="mails-of-acme"))
    for with_texts in (False, True):
        made = make_deck(make_briefing(case, language, with_texts=with_texts), case, language)
        said = " ".join(
            shape.text_frame.text for slide in pptx.Presentation(io.BytesIO(made)).slides for shape in slide.shapes if shape.has_text_frame
        )
        assert ("acme" in said) == with_texts


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_projection_without_examples_counts_none(language: Language) -> None:
    case = make_case("serving", "rough", evidence=make_evidence("serving", "rough", n_prompts=0, n_judged=0, n_critical=0, slices=()))
    slide = _opened(case, language).slides[1]
    said = [shape.text_frame.text for shape in slide.shapes if shape.has_text_frame]
    assert translator(language)("Projected only; nothing has been run yet") in said
    assert translator(language)("not yet tested") in said
    assert not any(text.startswith("0") for text in said)
