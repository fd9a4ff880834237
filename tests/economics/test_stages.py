"""Stages to begin with, what may happen to them and when, and whether a rollout hangs together."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, get_args

import pytest

from analysis.contracts import (
    ChecklistItem,
    GuardrailResult,
    Message,
    MonitoringRow,
    Rehearsal,
    Rollout,
    SliceVolume,
    StageAction,
    StageEvent,
)
from analysis.contracts.rollout import CheckName
from analysis.contracts.verification import Estimate
from analysis.economics.stages import act, check_item, check_rollout, default_rollout, in_language, rehearse
from analysis.errors import PlanError
from analysis.i18n import LANGUAGES, render
from analysis.planning.limits import parse_guardrail
from tests.business_builders import make_assumptions, make_evidence, make_rollout

TODAY = date(2026, 11, 22)
REHEARSAL = Rehearsal(minutes=12, on="2026-11-23", who="Operations", steps=("Switch the route back",))


def limit_result(text: str) -> GuardrailResult:
    return GuardrailResult(
        guardrail=parse_guardrail(text), verdict="within", measured=Estimate(value=1.0), n=84, reason=Message(id="Within.")
    )


def event(action: StageAction, stage: int = 1, at: str = "2026-12-01", who: str = "A. Sato", note: str = "") -> StageEvent:
    return StageEvent(stage=stage, action=action, who=who, at=at, note=note)


def settled(rollout: Rollout) -> Rollout:
    done = tuple(item.model_copy(update={"done": True}) for item in rollout.checklist)
    return rollout.model_copy(update={"checklist": done, "rehearsal": REHEARSAL})


def ready() -> Rollout:
    """A rollout with everything settled and the first stage approved."""
    return act(settled(default_rollout(make_evidence("serving"), make_assumptions("serving"), today=TODAY)), event("approve"))


def good_days(rollout: Rollout, stage: int = 1, days: int = 28) -> Rollout:
    entry = rollout.stages[stage - 1]
    first = date.fromisoformat(entry.starts_on)
    rows = tuple(
        MonitoringRow(
            date=(first + timedelta(days=place)).isoformat(),
            slice=name,
            requests=1000,
            on_plan=round(1000 * entry.traffic),
            perplexity_ratio=1.01 + 0.001 * (place % 3),
            critical=3,
            checked=20,
            changed=0,
            critical_changed=0,
        )
        for place in range(days)
        for name in entry.slices
    )
    return rollout.model_copy(update={"monitoring": (*rollout.monitoring, *rows)})


# --- the rollout to begin with


def test_quiet_slices_come_first_and_critical_ones_last() -> None:
    rollout = default_rollout(make_evidence("serving"), make_assumptions("serving"), today=TODAY)
    critical = make_assumptions().slices[0].name
    assert [stage.traffic for stage in rollout.stages] == [0.2, 0.5, 1.0, 1.0]
    assert all(critical not in stage.slices for stage in rollout.stages[:-1])
    assert critical in rollout.stages[-1].slices
    assert set(rollout.stages[0].slices) < set(rollout.stages[1].slices) < set(rollout.stages[-1].slices)


def test_the_first_stage_takes_the_smallest_slices_up_to_a_third() -> None:
    volumes = {"a": 600.0, "b": 700.0, "c": 900.0, "d": 1200.0, "e": 1500.0, "f": 1800.0, "g": 9000.0}
    slices = tuple(SliceVolume(name=name, requests_per_month=volume, critical=name == "g") for name, volume in volumes.items())
    rollout = default_rollout(make_evidence(slices=tuple(volumes)), make_assumptions(slices=slices), today=TODAY)
    assert rollout.stages[0].slices == ("a", "b", "c")


def test_without_critical_slices_there_are_three_stages() -> None:
    slices = tuple(entry.model_copy(update={"critical": False}) for entry in make_assumptions().slices)
    rollout = default_rollout(make_evidence(), make_assumptions(slices=slices), today=TODAY)
    assert [stage.traffic for stage in rollout.stages] == [0.2, 0.5, 1.0]


@pytest.mark.parametrize(
    "slices",
    [
        (),
        (SliceVolume(name="all", requests_per_month=0),),
        (SliceVolume(name="mail", requests_per_month=10, critical=True), SliceVolume(name="code", requests_per_month=5, critical=True)),
    ],
)
def test_a_rollout_is_made_of_no_slice_one_slice_or_critical_ones_alone(slices: tuple[SliceVolume, ...]) -> None:
    evidence = make_evidence("serving", slices=())
    rollout = default_rollout(evidence, make_assumptions(slices=slices), today=TODAY)
    assert [stage.traffic for stage in rollout.stages] == [0.2, 0.5, 1.0]
    assert not check_rollout(rollout, evidence)


def test_slices_without_volume_count_the_same() -> None:
    slices = tuple(entry.model_copy(update={"requests_per_month": 0.0}) for entry in make_assumptions().slices)
    rollout = default_rollout(make_evidence(), make_assumptions(slices=slices), today=TODAY)
    assert len(rollout.stages[0].slices) == 2


def test_the_limits_are_those_of_the_verification_that_real_use_can_show() -> None:
    texts = ("perplexity<=+8%", "kl<=0.05", "latency_ms<=0.95x", "flips@critical<=10%", "perplexity@code<=1.2x")
    rollout = default_rollout(
        make_evidence("serving", guardrails=tuple(map(limit_result, texts))), make_assumptions("serving"), today=TODAY
    )
    first, last = rollout.stages[0], rollout.stages[-1]
    assert first.guardrails == ("perplexity<=+8%", "latency_ms<=0.95x")
    assert last.guardrails == ("perplexity<=+8%", "latency_ms<=0.95x", "flips@critical<=10%", "perplexity@code<=1.2x")
    assert rollout.guardrails_set_on == "2026-11-22"
    assert any("29" in words for words in last.entry)  # unchanged cases that a limit of 10 % takes


def test_without_a_verification_careful_limits_are_set_today() -> None:
    serving = default_rollout(make_evidence("serving"), make_assumptions("serving"), today=TODAY)
    training = default_rollout(make_evidence("training"), make_assumptions("training"), today=TODAY)
    assert serving.stages[0].guardrails == ("perplexity<=+5%",)
    assert training.stages[0].guardrails == ("accuracy>=-5%", "latency_ms<=1.1x")
    assert "flips@critical<=5%" in serving.stages[-1].guardrails
    assert serving.guardrails_set_on == TODAY.isoformat()


@pytest.mark.parametrize(("saving", "said"), [((0.2, 0.4), "lighter plan"), ((0.01, 0.04), "its own first step"), ((0.05, 0.15), "")])
def test_a_plan_beyond_ten_to_twenty_percent_says_so(saving: tuple[float, float], said: str) -> None:
    evidence = make_evidence("serving", "rough", projected_saving=saving)
    rollout = default_rollout(evidence, make_assumptions("serving"), today=TODAY)
    words = " ".join(rollout.stages[0].entry)
    assert rollout.stages[0].compression == pytest.approx(saving[1])
    assert (said in words) if said else ("lighter plan" not in words and "own first step" not in words)
    assert "has shown" in words  # nothing has been run yet


def test_a_freeze_plan_fine_tunes_the_first_slices_model_first() -> None:
    rollout = default_rollout(make_evidence("training"), make_assumptions("training"), today=TODAY)
    assert any("fine-tuned" in words for words in rollout.stages[0].entry)
    assert rollout.stages[0].compression == pytest.approx(1 - 0.00065 / 0.00081, abs=1e-3)


def test_stages_follow_each_other_and_full_use_comes_when_the_case_says() -> None:
    rollout = default_rollout(make_evidence(), make_assumptions(), today=TODAY)
    starts = [date.fromisoformat(stage.starts_on) for stage in rollout.stages]
    assert starts[0] == date(2026, 12, 1)
    for before, after, stage in zip(starts, starts[1:], rollout.stages, strict=False):
        assert (after - before).days == 7 * stage.weeks
    assert 70 <= (starts[-1] - starts[0]).days <= 100  # three months by default
    assert rollout.review_on == "2027-06-01"
    assert rollout.decision_on == "2026-11-30"


def test_a_start_in_the_past_becomes_the_first_of_next_month() -> None:
    rollout = default_rollout(make_evidence(), make_assumptions(starts_on="2025-01-01"), today=date(2026, 12, 15))
    assert rollout.starts_on == "2027-01-01"
    assert rollout.decision_on == "2026-12-31"


def test_people_days_of_all_stages_are_those_of_the_case() -> None:
    assumptions = make_assumptions()
    rollout = default_rollout(make_evidence(), assumptions, today=TODAY)
    assert sum(stage.start_days for stage in rollout.stages) == pytest.approx(10 + 3 + 2)


def test_the_checklist_has_its_ten_items_open_and_nobody_is_named() -> None:
    rollout = default_rollout(make_evidence(), make_assumptions(), today=TODAY)
    assert [item.name for item in rollout.checklist] == list(get_args(CheckName))
    assert len(rollout.checklist) == 10
    assert not any(item.done for item in rollout.checklist)
    assert not rollout.roles


def test_a_rollout_is_written_in_the_language_asked_for() -> None:
    rollout = default_rollout(make_evidence(), make_assumptions(), today=TODAY, language="ja")
    for stage in rollout.stages:
        for words in (*stage.entry, *stage.exit, stage.stop_rule):
            assert any("\u3040" <= character <= "\u9fff" for character in words), words


@pytest.mark.parametrize("kind", ["training", "serving"])
def test_what_was_proposed_is_said_in_the_readers_language_and_what_a_person_wrote_stays(kind: Any) -> None:
    evidence, assumptions = make_evidence(kind), make_assumptions(kind)
    english, japanese = (default_rollout(evidence, assumptions, today=TODAY, language=language) for language in LANGUAGES)
    assert in_language(english, evidence, "ja") == japanese
    assert in_language(japanese, evidence, "en") == english
    own = english.stages[0].model_copy(update={"stop_rule": "two complaints a day"})
    edited = english.model_copy(update={"stages": (own, *english.stages[1:])})
    assert in_language(edited, evidence, "ja").stages[0].stop_rule == "two complaints a day"


@pytest.mark.parametrize("kind", ["training", "serving"])
@pytest.mark.parametrize("standing", ["measured", "undecided", "rough", "outside"])
def test_a_rollout_to_begin_with_passes_its_own_check(kind: Any, standing: Any) -> None:
    evidence = make_evidence(kind, standing)
    assert not check_rollout(default_rollout(evidence, make_assumptions(kind), today=TODAY), evidence)


# --- whether it hangs together


def problems(**changes: Any) -> dict[str, str]:
    evidence = make_evidence("serving")
    rollout = default_rollout(evidence, make_assumptions("serving"), today=TODAY).model_copy(update=changes)
    return {found.field: render(found.message, "en") for found in check_rollout(rollout, evidence)}


def stage_problems(place: int = 0, **changes: Any) -> dict[str, str]:
    stages = list(default_rollout(make_evidence("serving"), make_assumptions("serving"), today=TODAY).stages)
    stages[place] = stages[place].model_copy(update=changes)
    return problems(stages=tuple(stages))


def test_a_rollout_of_another_plan_is_refused() -> None:
    assert "another plan" in problems(plan_id="other")["plan_id"]


def test_a_checklist_without_the_four_needed_items_is_refused() -> None:
    assert "licence" in problems(checklist=(ChecklistItem(name="training"),))["checklist"]
    twice = tuple(ChecklistItem(name=name) for name in ("training", "legal", "security", "licence", "legal"))
    assert "once" in problems(checklist=twice)["checklist"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"decision_on": "2027-12-01"}, "decision_on"),
        ({"review_on": "2026-11-01"}, "review_on"),
        ({"starts_on": "next week"}, "starts_on"),
    ],
)
def test_dates_that_do_not_fit_are_said(changes: dict[str, str], field: str) -> None:
    assert field in problems(**changes)


@pytest.mark.parametrize(
    ("place", "changes", "field", "said"),
    [
        (0, {"compression": 0.5}, "compression", "at most that"),
        (0, {"compression": 0.05}, "compression", "lighter plan"),
        (1, {"compression": 0.05, "plan_id": "lighter"}, "compression", "less light than the stage before"),
        (0, {"slices": ("payroll",)}, "slices", "payroll"),
        (0, {"weeks": 500.0}, "weeks", "104"),
        (0, {"stop_rule": " "}, "stop_rule", "stop rule"),
        (0, {"guardrails": ()}, "guardrails", "at least one"),
        (0, {"guardrails": ("perplexity<5",)}, "guardrails[0]", "cannot be read"),
        (0, {"guardrails": ("kl<=0.05",)}, "guardrails[0]", "cannot be watched"),
        (0, {"guardrails": ("flips@code<=5%",)}, "guardrails[0]", "does not serve"),
        (1, {"starts_on": "2026-12-02"}, "starts_on", "before the stage before it is over"),
        (1, {"starts_on": "soon"}, "starts_on", "not a date"),
        (1, {"number": 7}, "", "1, 2, 3"),
    ],
)
def test_a_stage_that_does_not_fit_is_said(place: int, changes: dict[str, Any], field: str, said: str) -> None:
    found = stage_problems(place, **changes)
    key = f"stages[{place}].{field}" if field else "stages"
    assert said in found[key]


def test_a_lighter_plan_may_come_first() -> None:
    assert not stage_problems(0, compression=0.05, plan_id="lighter0001")


# --- what may happen and when


def test_a_stage_runs_holds_resumes_and_passes() -> None:
    rollout = good_days(act(ready(), event("start")))
    assert rollout.stages[0].state == "running"
    rollout = act(rollout, event("hold", at="2026-12-10"))
    assert rollout.stages[0].state == "held"
    rollout = act(rollout, event("resume", at="2026-12-11"))
    rollout = act(rollout, event("pass", at="2026-12-29"))
    assert rollout.stages[0].state == "passed"
    assert [done.action for done in rollout.events] == ["approve", "start", "hold", "resume", "pass"]
    assert rollout.events[-1].advice == "go"
    assert [done.advice is None for done in rollout.events] == [True, True, False, False, False]


def test_what_was_recorded_stays_as_it_was() -> None:
    before = ready()
    after = act(before, event("start"))
    assert after.events[: len(before.events)] == before.events
    assert before.stages[0].state == "planned"


@pytest.mark.parametrize("at", ["2026-W49-2", "20261201", "2026-12-01zzz"])
def test_a_day_that_would_sort_as_another_is_no_date(at: str) -> None:
    with pytest.raises(PlanError, match="is not a date"):
        act(make_rollout(), StageEvent(stage=1, action="approve", who="A. Sato", at=at))


def test_a_rehearsal_that_took_longer_than_a_week_is_a_slip() -> None:
    with pytest.raises(PlanError, match="at most 10,?080"):
        rehearse(make_rollout(), Rehearsal(minutes=1e300, on="2026-12-01", who="A. Sato"))


@pytest.mark.parametrize("who", ["", "   ", "\u200b"])
def test_every_step_needs_a_name(who: str) -> None:
    with pytest.raises(PlanError, match="Nobody is named"):
        act(ready(), event("start", who=who))


def test_a_step_needs_a_date_and_is_never_dated_before_another() -> None:
    with pytest.raises(PlanError, match="not a date"):
        act(ready(), event("start", at="tomorrow"))
    with pytest.raises(PlanError, match="before the newest"):
        act(ready(), event("start", at="2026-11-30"))


def test_nothing_starts_without_an_approval() -> None:
    unapproved = settled(default_rollout(make_evidence(), make_assumptions(), today=TODAY))
    with pytest.raises(PlanError, match="nobody has approved"):
        act(unapproved, event("start"))
    assert act(act(unapproved, event("approve", stage=0)), event("start")).stages[0].state == "running"


@pytest.mark.parametrize("name", get_args(CheckName))
def test_nothing_starts_while_an_item_of_the_checklist_is_open(name: CheckName) -> None:
    rollout = ready()
    items = tuple(item.model_copy(update={"done": item.name != name}) for item in rollout.checklist)
    with pytest.raises(PlanError, match="checklist is open"):
        act(rollout.model_copy(update={"checklist": items}), event("start"))


def test_an_empty_checklist_is_an_open_one() -> None:
    with pytest.raises(PlanError, match="training of staff, legal review, information security review, model licence checked"):
        act(ready().model_copy(update={"checklist": ()}), event("start"))


def test_nothing_starts_before_the_way_back_was_rehearsed() -> None:
    with pytest.raises(PlanError, match="rehearsed"):
        act(ready().model_copy(update={"rehearsal": None}), event("start"))


def test_a_later_stage_waits_for_the_one_before() -> None:
    rollout = act(ready(), event("approve", stage=2))
    with pytest.raises(PlanError, match="stage 1 has not passed"):
        act(rollout, event("start", stage=2))
    passed = act(good_days(act(rollout, event("start"))), event("pass", at="2026-12-29"))
    assert act(passed, event("start", stage=2, at="2026-12-29")).stages[1].state == "running"


def test_going_on_while_a_limit_is_outside_needs_a_reason() -> None:
    bad = good_days(act(ready(), event("start")))
    rows = tuple(row.model_copy(update={"perplexity_ratio": 1.3}) for row in bad.monitoring)
    bad = bad.model_copy(update={"monitoring": rows})
    with pytest.raises(PlanError, match="a limit is outside"):
        act(bad, event("pass", at="2026-12-29"))
    done = act(bad, event("pass", at="2026-12-29", note="The sample was wrong."))
    assert (done.stages[0].state, done.events[-1].advice) == ("passed", "roll_back")


def test_going_on_against_the_advice_needs_a_reason_in_both_languages() -> None:
    few = good_days(act(ready(), event("start")), days=6)
    with pytest.raises(PlanError, match="against the advice") as caught:
        act(few, event("pass", at="2026-12-07"))
    assert "6" in render(caught.value.message, "en")
    assert "推奨に反して" in render(caught.value.message, "ja")


def test_a_rolled_back_stage_needs_a_new_approval() -> None:
    rollout = act(act(ready(), event("start")), event("roll_back", at="2026-12-03"))
    assert rollout.stages[0].state == "rolled_back"
    with pytest.raises(PlanError, match="nobody has approved"):
        act(rollout, event("start", at="2026-12-04"))
    again = act(act(rollout, event("approve", at="2026-12-04")), event("start", at="2026-12-04"))
    assert again.stages[0].state == "running"


def test_a_stage_under_one_in_use_cannot_be_rolled_back() -> None:
    rollout = act(act(good_days(act(ready(), event("start"))), event("pass", at="2026-12-29")), event("approve", stage=2, at="2026-12-29"))
    rollout = act(rollout, event("start", stage=2, at="2026-12-29"))
    with pytest.raises(PlanError, match="Roll back stage 2 first"):
        act(rollout, event("roll_back", at="2026-12-30"))
    back = act(rollout, event("roll_back", stage=2, at="2026-12-30"))
    assert act(back, event("roll_back", at="2026-12-30")).stages[0].state == "rolled_back"


def test_stopping_the_whole_stops_the_stage_at_hand() -> None:
    rollout = act(act(ready(), event("start")), event("stop", stage=0, at="2026-12-02"))
    assert rollout.stages[0].state == "stopped"
    with pytest.raises(PlanError, match="cannot start now"):
        act(rollout, event("start", at="2026-12-03"))


@pytest.mark.parametrize("action", ["pass", "hold", "resume", "roll_back"])
def test_a_planned_stage_can_only_be_approved_started_or_stopped(action: StageAction) -> None:
    with pytest.raises(PlanError, match="now"):
        act(ready(), event(action))


@pytest.mark.parametrize("action", ["start", "pass", "hold", "resume", "roll_back"])
def test_the_whole_cannot_do_what_a_stage_does(action: StageAction) -> None:
    with pytest.raises(PlanError, match="Only a stage"):
        act(ready(), event(action, stage=0))


def test_a_stage_that_is_not_there_is_said() -> None:
    with pytest.raises(PlanError, match="no stage 9: this rollout has 4"):
        act(ready(), event("note", stage=9, note="hello"))


def test_an_empty_note_is_refused() -> None:
    with pytest.raises(PlanError, match="note is empty"):
        act(ready(), event("note"))


def test_a_rehearsal_is_recorded_with_its_minutes_and_never_before_what_is_there() -> None:
    rollout = rehearse(ready().model_copy(update={"rehearsal": None}), REHEARSAL)
    assert rollout.rehearsal == REHEARSAL
    assert (rollout.events[-1].action, rollout.events[-1].at) == ("rehearse", "2026-12-01")
    with pytest.raises(PlanError, match="measured minutes"):
        act(ready().model_copy(update={"rehearsal": None}), event("rehearse", stage=0))


def test_a_checklist_item_is_settled_with_a_name() -> None:
    rollout = check_item(
        default_rollout(make_evidence(), make_assumptions(), today=TODAY), "legal", who="C. Abe", at="2026-11-25", note="ok"
    )
    item = next(item for item in rollout.checklist if item.name == "legal")
    assert (item.done, item.who, item.on, item.note) == (True, "C. Abe", "2026-11-25", "ok")
    assert rollout.events[-1].action == "check"
    with pytest.raises(PlanError, match="Nobody is named"):
        check_item(rollout, "legal", who=" ", at="2026-11-26")
    with pytest.raises(PlanError, match="no item budget"):
        check_item(make_rollout(), "budget", who="C. Abe", at="2026-11-26")


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_refusal_is_said_in_both_languages(language: Any) -> None:
    with pytest.raises(PlanError) as caught:
        act(ready().model_copy(update={"checklist": ()}), event("start"))
    said = render(caught.value.message, language)
    assert "{" not in said
    assert ("法務" in said) == (language == "ja")
