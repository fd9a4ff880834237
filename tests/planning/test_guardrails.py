"""Limits: what can be written, what cannot, and when one is kept, missed or open."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.contracts import CostPoint, Distribution, Estimate, ExampleOutcome, FlipCount, Measured, QualityScores, TaskScore
from analysis.errors import PlanError
from analysis.i18n import render
from analysis.planning.guardrails import METRICS, Parts, cases_needed, judge, parse_guardrail, worst

# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "cannot be read"),
        ("perplexity", "cannot be read"),
        ("perplexity=1.05x", "cannot be read"),
        ("perplexity<1.05x", "cannot be read"),
        ("perplexity<=+5%<=+6%", "cannot be read"),
        ("bleu>=30abs", 'names "bleu", which is not measured. Metrics: perplexity, flips'),
        ("<=5%", 'names "", which is not measured'),
        ("perplexity>=+5%", "perplexity is better when smaller. Write perplexity<=+5%."),
        ("accuracy<=-2%", "accuracy is better when larger. Write accuracy>=-2%."),
        ("perplexity<=", "has no number after <=. Write a value, such as perplexity<=+5%."),
        ("perplexity<=much", "has no number"),
        ("perplexity<=nan%", "has no number"),
        ("perplexity<=1.05", "has no unit"),
        ("decode_tokens_per_second>=1.1", "has no unit"),
        ("perplexity<=5ms", 'has the unit "ms". perplexity takes: x, %, abs'),
        ("kl<=5%", 'has the unit "%". kl takes: abs'),
        ("flips<=1.5x", 'has the unit "x". flips takes: %, abs'),
        ("top1_agreement>=95", "has the value 95. In this unit top1_agreement takes 0 to 1"),
        ("top1_agreement>=101%", "takes 0 to 100"),
        ("perplexity<=-101%", "takes -100"),
        ("perplexity<=0x", "has the value 0"),
        ("kl<=1e999", "has the value inf"),
        ("kl<=-0.1", "takes 0 to"),
        ("flips<=2.5abs", "a whole number. Write it as flips<=3abs."),
        ("accuracy>=80%", "read in two ways. Write a change with its sign (accuracy>=-2%), or the plan's own figure (accuracy>=0.8abs)."),
        ("perplexity<=105%", "the plan's own figure (perplexity<=1.05x)"),
        ("latency_ms<=90%", "Write a change with its sign (latency_ms<=-10%), or the plan's own figure (latency_ms<=0.9x)."),
        ("perplexity@<=+5%", "has no slice after the @"),
        ("latency_ms@mail<=0.9x", "not by slice"),
        ("perplexity<=+5%\n", "control characters"),
        ("perplexity\x00<=+5%", "control characters"),
        ("x" * 201, "A limit of 201 characters was given"),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_can(text: str, said: str) -> None:
    with pytest.raises(PlanError) as refused:
        parse_guardrail(text)
    assert said in str(refused.value)
    assert render(refused.value.message, "ja") != render(refused.value.message, "en")


PIECES = st.sampled_from(
    [*METRICS, "@", "critical", "<=", ">=", "≦", "+", "-", "5", "１", "0.9", "1e9", "x", "%", "％", "abs", " ", "\n", "e", "."]
)


@given(st.one_of(st.text(max_size=250), st.lists(PIECES, max_size=9).map("".join)))
def test_any_text_is_read_or_refused_in_words(text: str) -> None:
    try:
        metric = parse_guardrail(text).metric
    except PlanError as exc:
        metric = exc.message.id
    assert metric in METRICS or metric.startswith(("The limit", "A limit"))


# -- what is read ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("perplexity<=+5%", ("perplexity", None, "<=", 5.0, "%")),
        ("perplexity<=5%", ("perplexity", None, "<=", 5.0, "%")),
        ("perplexity@order-entry<=1.08x", ("perplexity", "order-entry", "<=", 1.08, "x")),
        ("perplexity <= 30 abs", ("perplexity", None, "<=", 30.0, "abs")),
        ("flips@critical<=0", ("flips", "critical", "<=", 0.0, "abs")),
        ("flips<=3abs", ("flips", None, "<=", 3.0, "abs")),
        ("latency_ms<=0.9x", ("latency_ms", None, "<=", 0.9, "x")),
        ("latency_ms<=-10%", ("latency_ms", None, "<=", -10.0, "%")),
        ("kl<=0.05", ("kl", None, "<=", 0.05, "abs")),
        ("top1_agreement>=95%", ("top1_agreement", None, ">=", 95.0, "%")),
        ("accuracy>=-2%", ("accuracy", None, ">=", -2.0, "%")),
        ("accuracy>=0.8", ("accuracy", None, ">=", 0.8, "abs")),
        ("peak_memory_bytes<=0.9x", ("peak_memory_bytes", None, "<=", 0.9, "x")),
        ("decode_tokens_per_second>=1.1x", ("decode_tokens_per_second", None, ">=", 1.1, "x")),
        ("similarity>=0.99", ("similarity", None, ">=", 0.99, "abs")),
        ("Ｐｅｒｐｌｅｘｉｔｙ＠受注 入力≦＋５％", ("perplexity", "受注 入力", "<=", 5.0, "%")),
        ("flips＠critical＜＝１０％", ("flips", "critical", "<=", 10.0, "%")),
        ("accuracy≥−2％", ("accuracy", None, ">=", -2.0, "%")),
        ("perplexity@a@b<=1.1x", ("perplexity", "a@b", "<=", 1.1, "x")),
    ],
)
def test_limits_are_read_as_people_write_them(text: str, expected: tuple[Any, ...]) -> None:
    found = parse_guardrail(text)
    assert (found.metric, found.slice, found.op, found.value, found.unit) == expected
    assert found.text == text


def test_every_metric_has_an_example_that_can_be_read_and_japanese_words() -> None:
    from analysis.i18n import translator

    say = translator("ja")
    for name, metric in METRICS.items():
        assert parse_guardrail(metric.example).metric == name
        assert say(metric.title) != metric.title
        assert say(metric.meaning) != metric.meaning


# -- verdicts ----------------------------------------------------------------------------------------------------------


def scores(**changes: Any) -> QualityScores:
    unknown = Estimate(value=None)
    fields: dict[str, Any] = {
        "n_examples": 40,
        "n_tokens": 400,
        "perplexity_original": Estimate(value=20.0, low=18.0, high=22.0),
        "perplexity_plan": Estimate(value=20.8, low=19.0, high=23.0),
        "perplexity_ratio": Estimate(value=1.04, low=1.02, high=1.06),
        "loss_change": unknown,
        "kl": Estimate(value=0.04, low=0.03, high=0.05),
        "top1_agreement": Estimate(value=0.95, low=0.94, high=0.96),
    }
    return QualityScores(**(fields | changes))


def flips(changed: int, n: int, low: float, high: float, upper: float) -> FlipCount:
    return FlipCount(n=n, changed=changed, rate=Estimate(value=changed / n, low=low, high=high), upper=upper)


def result(text: str, parts: Parts | QualityScores | None = None) -> Any:
    given_parts = parts if isinstance(parts, Parts) else Parts(parts or scores())
    (found,) = judge([parse_guardrail(text)], given_parts)
    assert render(found.reason, "ja") != render(found.reason, "en")
    return found


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("perplexity<=1.06x", "within"),  # the bound meets the limit exactly
        ("perplexity<=+6%", "within"),
        ("perplexity<=1.059x", "undecided"),
        ("perplexity<=1.02x", "undecided"),  # the other bound just meets it
        ("perplexity<=1.019x", "outside"),
        ("perplexity<=+1.9%", "outside"),
        ("perplexity<=23abs", "within"),
        ("perplexity<=22abs", "undecided"),
        ("perplexity<=18abs", "outside"),
        ("kl<=0.05", "within"),
        ("kl<=0.049", "undecided"),
        ("kl<=0.029", "outside"),
        ("top1_agreement>=94%", "within"),
        ("top1_agreement>=0.94", "within"),
        ("top1_agreement>=95%", "undecided"),
        ("top1_agreement>=96%", "undecided"),
        ("top1_agreement>=96.1%", "outside"),
    ],
)
def test_a_limit_is_kept_or_missed_by_the_bounds_of_the_interval(text: str, verdict: str) -> None:
    assert result(text).verdict == verdict


def test_the_measured_figure_is_in_the_limits_own_unit() -> None:
    found = result("perplexity<=+6%")
    assert found.measured.value == pytest.approx(4.0)
    assert found.measured.high == pytest.approx(6.0)
    assert found.reason.in_english() == "Within limits: +4.0% (+2.0% to +6.0%) meets perplexity<=+6%."


def test_no_changed_answer_among_twelve_is_not_enough_for_ten_percent() -> None:
    twelve = scores(flips=flips(0, 12, 0.0, 0.2646, 0.2209))
    assert result("flips<=10%", twelve).verdict == "undecided"
    assert result("flips<=22%", twelve).verdict == "undecided"  # 22.09 %
    assert result("flips<=23%", twelve).verdict == "within"
    said = result("flips<=10%", twelve).reason.in_english()
    assert "none of 12 answers changed" in said
    assert "up to 22.1%" in said
    assert "12 cases can decide flips<=23%" in said
    assert "29 unchanged cases" in said


def test_zero_changed_answers_can_be_missed_but_never_proved() -> None:
    none = result("flips@critical<=0", Parts(scores(), critical=scores(flips=flips(0, 12, 0.0, 0.2646, 0.2209))))
    assert none.verdict == "undecided"
    assert "no number of cases proves" in none.reason.in_english()
    assert "flips@critical<=23%" in none.reason.in_english()
    many = result("flips<=0", scores(flips=flips(0, 10_000, 0.0, 0.0004, 0.0003)))
    assert many.verdict == "undecided"
    one = result("flips@critical<=0", Parts(scores(), critical=scores(flips=flips(1, 12, 0.0021, 0.3848, 0.3387))))
    assert one.verdict == "outside"


def test_a_number_of_changed_answers_is_a_rate_of_those_asked() -> None:
    ten = scores(flips=flips(1, 100, 0.00025, 0.0545, 0.0466))
    assert result("flips<=5abs", ten).verdict == "within"
    assert result("flips<=4abs", ten).verdict == "undecided"
    assert result("flips<=5abs", ten).measured.value == 1


@pytest.mark.parametrize(("rate", "n"), [(0.5, 5), (0.22, 13), (0.221, 12), (0.1, 29), (0.05, 59), (0.01, 299), (0.99, 1)])
def test_cases_needed_is_the_smallest_number_whose_bound_is_below_the_rate(rate: float, n: int) -> None:
    assert cases_needed(rate) == n
    assert 1 - 0.05 ** (1 / n) <= rate
    assert n == 1 or 1 - 0.05 ** (1 / (n - 1)) > rate


def test_fewer_than_eight_prompts_decide_nothing_by_bootstrap() -> None:
    found = result("perplexity@mail<=+50%", Parts(scores(), slices={"mail": scores(n_examples=7)}))
    assert found.verdict == "undecided"
    assert "7 prompts decide nothing; at least 8" in found.reason.in_english()
    assert result("perplexity@mail<=+50%", Parts(scores(), slices={"mail": scores(n_examples=8)})).verdict == "within"


def test_accuracy_is_a_change_in_points_or_a_share() -> None:
    task = TaskScore(
        kind="choices",
        n=30,
        original=Estimate(value=0.9, low=0.7, high=0.97),
        plan=Estimate(value=0.87, low=0.69, high=0.96),
        change=Estimate(value=-0.03, low=-0.1, high=0.02),
    )
    scored = scores(tasks=(task,))
    assert result("accuracy>=-10%", scored).verdict == "within"
    assert result("accuracy>=-2%", scored).verdict == "undecided"
    assert result("accuracy>=+3%", scored).verdict == "outside"
    assert result("accuracy>=0.6", scored).verdict == "within"
    assert result("accuracy>=0.6", scored).measured.value == 0.87


# -- cost --------------------------------------------------------------------------------------------------------------


def measured(ratio: float, low: float, high: float, original: float = 100.0) -> Measured:
    return Measured(
        original=Distribution(p50=original, p95=original * 1.1, n=10),
        plan=Distribution(p50=original * ratio, p95=original * ratio * 1.1, n=10),
        ratio=Estimate(value=ratio, low=low, high=high),
    )


def point(batch: int = 1, ratio: tuple[float, float, float] = (0.85, 0.8, 0.9), **changes: Any) -> CostPoint:
    fields: dict[str, Any] = {
        "batch_size": batch,
        "prompt_tokens": 64,
        "new_tokens": 8,
        "prefill_ms": measured(*ratio),
        "first_token_ms": measured(*ratio),
        "weight_bytes": (1000, 900),
        "layer_calls": (60, 54),
    }
    return CostPoint(**(fields | changes))


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("latency_ms<=0.9x", "within"),
        ("latency_ms<=-10%", "within"),
        ("latency_ms<=0.89x", "undecided"),
        ("latency_ms<=0.79x", "outside"),
        ("latency_ms<=90abs", "within"),
        ("latency_ms<=79abs", "outside"),
        ("weight_bytes<=0.9x", "within"),
        ("weight_bytes<=0.899x", "outside"),
        ("weight_bytes<=900abs", "within"),
        ("peak_memory_bytes<=0.9x", "undecided"),
        ("decode_tokens_per_second>=1.1x", "undecided"),
        ("energy_mwh<=0.9x", "undecided"),
    ],
)
def test_costs_are_judged_too_and_what_the_device_does_not_tell_stays_open(text: str, verdict: str) -> None:
    found = result(text, Parts(scores(), cost=(point(),)))
    assert found.verdict == verdict
    if found.measured.value is None:
        assert "this device cannot tell" in found.reason.in_english()


def test_of_several_sizes_the_worst_one_decides() -> None:
    sizes = (point(), point(batch=8, ratio=(1.0, 0.97, 1.02)))
    found = result("latency_ms<=0.95x", Parts(scores(), cost=sizes))
    assert (found.verdict, found.measured.value) == ("outside", 1.0)


def test_a_single_reading_of_a_meter_decides_nothing() -> None:
    found = result("energy_mwh<=0.9x", Parts(scores(), cost=(point(energy_mwh=(1.0, 0.5)),)))
    assert found.verdict == "undecided"
    assert found.measured.value == 0.5
    assert "single reading" in found.reason.in_english()


# -- what was not measured ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("perplexity@critical<=+5%", "marked as critical"),
        ("perplexity@mail<=+5%", 'no prompt of the slice "mail"'),
        ("flips<=5%", "none of these prompts was answered"),
        ("accuracy>=-2%", "no right answer is known"),
        ("similarity>=0.99", "similarity is for models that do not write"),
        ("latency_ms<=0.9x", "no cost was measured"),
    ],
)
def test_what_was_not_measured_stays_open_and_says_why(text: str, said: str) -> None:
    found = result(text)
    assert found.verdict == "undecided"
    assert found.measured.value is None
    assert said in found.reason.in_english()


def test_a_model_that_writes_no_words_is_judged_by_similarity() -> None:
    unknown = Estimate(value=None)
    encoder = scores(
        perplexity_ratio=unknown,
        perplexity_original=unknown,
        perplexity_plan=unknown,
        kl=unknown,
        top1_agreement=unknown,
        similarity=Estimate(value=0.995, low=0.992, high=0.997),
    )
    assert result("similarity>=0.99", encoder).verdict == "within"
    assert result("similarity>=99%", encoder).verdict == "within"
    assert "Set a limit on its similarity" in result("perplexity<=+5%", encoder).reason.in_english()


# -- who decided it ----------------------------------------------------------------------------------------------------


def outcome(name: str, slice_name: str, change: float, **more: Any) -> ExampleOutcome:
    return ExampleOutcome(example_id=name, slice=slice_name, n_tokens=10, loss_original=2.0, loss_plan=2.0 + change, **more)


def test_the_prompts_that_moved_it_most_and_the_worst_slice_are_named() -> None:
    examples = (
        outcome("a", "mail", 0.1),
        outcome("b", "mail", 0.5, critical=True, flipped=True),
        outcome("c", "code", 0.9, flipped=True),
        outcome("d", "code", -0.2),
    )
    worse = Estimate(value=1.2, low=1.1, high=1.3)
    parts = Parts(scores(perplexity_ratio=worse), slices={"mail": scores(), "code": scores(perplexity_ratio=worse)}, examples=examples)
    found = result("perplexity<=+5%", parts)
    assert found.decided_by == ("c", "b", "a")
    assert found.worst_slice == "code"
    assert "code decided it" in found.reason.in_english()
    assert result("perplexity@mail<=+5%", parts).decided_by == ("b", "a")
    flipped = result("flips<=1abs", Parts(scores(flips=flips(2, 4, 0.0676, 0.9324, 0.9024)), examples=examples))
    assert flipped.decided_by == ("b", "c")  # critical first


def test_the_worst_verdict_is_the_verdict() -> None:
    texts = ["perplexity<=1.06x", "perplexity<=1.03x", "perplexity<=1.01x"]
    found = judge([parse_guardrail(text) for text in texts], Parts(scores()))
    assert [one.verdict for one in found] == ["within", "undecided", "outside"]
    assert worst(found) == "outside"
    assert worst(found[:2]) == "undecided"
    assert worst(found[:1]) == "within"
    assert worst(()) is None


@pytest.mark.parametrize("text", ["perplexity<=1,05x", "latency_ms<=1,000abs", "perplexity<=１，０５倍"])
def test_a_comma_in_a_number_is_refused_because_it_has_two_meanings(text: str) -> None:
    with pytest.raises(PlanError, match="has a comma in its number. Write decimals behind a point"):
        parse_guardrail(text)
