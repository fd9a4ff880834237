"""A stage more or less: refusals first, then that every list of stages made so can be used, and that nothing recorded is lost."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.contracts import ChecklistItem, Rollout, StageEvent
from analysis.economics.stage_language import in_language
from analysis.economics.stage_list import MOST_STAGES, add_stage, remove_stage, why_not_removed
from analysis.economics.stages import act, check_rollout, default_rollout
from analysis.errors import PlanError
from analysis.i18n import LANGUAGES, Language
from tests.business_builders import make_assumptions, make_evidence

TODAY = date(2026, 11, 22)


def proposed(language: Language = "en", **changes: Any) -> Rollout:
    found = default_rollout(make_evidence("serving"), make_assumptions("serving"), today=TODAY, language=language)
    return found.model_copy(update=changes)


def more(rollout: Rollout, language: Language = "en") -> Rollout:
    return add_stage(rollout, make_evidence("serving"), make_assumptions("serving"), today=TODAY, language=language)


def less(rollout: Rollout, number: int) -> Rollout:
    return remove_stage(rollout, number, make_evidence("serving"))


def in_state(rollout: Rollout, **states: str) -> Rollout:
    stages = tuple(one.model_copy(update={"state": states.get(f"s{one.number}", one.state)}) for one in rollout.stages)
    return rollout.model_copy(update={"stages": stages})


def event(action: str, stage: int) -> StageEvent:
    return StageEvent(stage=stage, action=action, who="A. Sato", at="2026-12-01", note="seen")  # type: ignore[arg-type]


# --- refused


def test_there_is_a_most_and_a_least_of_stages() -> None:
    full = proposed()
    while len(full.stages) < MOST_STAGES:
        full = more(full)
    with pytest.raises(PlanError, match=f"at most {MOST_STAGES} stages"):
        more(full)
    one = less(less(less(proposed(), 4), 3), 2)
    with pytest.raises(PlanError, match="at least one stage"):
        less(one, 1)


@pytest.mark.parametrize("number", [0, -1, 5])
def test_a_stage_that_is_not_there_is_not_taken_out(number: int) -> None:
    with pytest.raises(PlanError, match=f"There is no stage {number}"):
        less(proposed(), number)


@pytest.mark.parametrize(("number", "recorded"), [(2, 2), (2, 3), (1, 4)])
def test_a_stage_stays_while_something_is_recorded_of_it_or_of_a_later_one(number: int, recorded: int) -> None:
    for action in ("approve", "note"):
        with pytest.raises(PlanError, match=f"something is recorded of stage {recorded}"):
            less(act(proposed(), event(action, recorded)), number)


@pytest.mark.parametrize("state", ["running", "held", "passed", "rolled_back", "stopped"])
def test_a_stage_that_has_begun_stays(state: str) -> None:
    with pytest.raises(PlanError, match="something is recorded of stage 2"):
        less(in_state(proposed(), s2=state), 1)


def test_a_rollout_is_not_over_because_its_last_stage_is_taken_out() -> None:
    with pytest.raises(PlanError, match="the rollout would be over"):
        less(in_state(proposed(), s1="passed", s2="passed", s3="passed"), 4)


def test_nothing_follows_a_project_that_was_stopped() -> None:
    with pytest.raises(PlanError, match="was stopped"):
        more(in_state(proposed(), s1="stopped"))


def test_a_new_stage_is_never_approved_unseen() -> None:
    with pytest.raises(PlanError, match="approved as a whole"):
        more(proposed(events=(event("approve", 0),)))
    grown = more(act(proposed(), event("approve", 4)))
    ready = grown.model_copy(update={"checklist": tuple(ChecklistItem(name=item.name, done=True) for item in grown.checklist)})
    with pytest.raises(PlanError, match="nobody has approved it"):
        act(in_state(ready, s1="passed", s2="passed", s3="passed", s4="passed"), event("start", 5))


# --- done


def test_the_next_step_is_wider_until_everything_runs_with_the_plan() -> None:
    one = less(less(less(proposed(), 4), 3), 2)
    steps = [one]
    for _ in range(3):
        steps.append(more(steps[-1]))
    every = {given.name for given in make_assumptions("serving").slices}
    assert [found.stages[-1].traffic for found in steps] == [0.2, 0.5, 1.0, 1.0]
    assert set(steps[2].stages[-1].slices) == set(one.stages[0].slices)
    assert set(steps[3].stages[-1].slices) == every
    assert any("critical" in text for text in steps[3].stages[-1].guardrails), "critical work brings its limit"
    assert not any("critical" in text for text in steps[2].stages[-1].guardrails)


def test_a_new_stage_begins_when_the_last_is_over_and_not_in_the_past() -> None:
    last, added = more(proposed()).stages[-2:]
    assert (date.fromisoformat(added.starts_on) - date.fromisoformat(last.starts_on)).days == 7 * last.weeks
    late = add_stage(proposed(), make_evidence("serving"), make_assumptions("serving"), today=date(2030, 1, 1))
    assert late.stages[-1].starts_on == "2030-01-01"


def test_the_sentences_follow_the_places() -> None:
    grown, before = more(proposed()), proposed()
    assert before.stages[-1].exit[-1] == grown.stages[-1].exit[-1] == "the real bill has been compared with the plan"
    assert grown.stages[-2].exit == before.stages[0].exit, "no longer the last one"
    shorter = less(before, 4)
    assert shorter.stages[-1].exit == before.stages[-1].exit
    assert less(before, 2).stages[1].entry[0] == "stage 1 has passed, and this one is approved by name"
    assert less(before, 1).stages[0].entry == before.stages[0].entry


def test_what_a_person_wrote_stays_as_it_is() -> None:
    own = tuple(one.model_copy(update={"exit": ("the plant manager agrees",), "entry": (*one.entry, "own")}) for one in proposed().stages)
    kept = less(proposed(stages=own), 1)
    assert [one.exit for one in kept.stages] == [("the plant manager agrees",)] * 3
    assert kept.stages[1].entry == ("stage 1 has passed, and this one is approved by name", *own[2].entry[1:])


def test_later_stages_move_up_in_time_and_the_first_keeps_the_days_to_begin() -> None:
    before = proposed()
    after = less(before, 1)
    assert [one.starts_on for one in after.stages] == [one.starts_on for one in before.stages[:3]]
    assert after.stages[0].start_days == before.stages[0].start_days
    assert less(before, 3).stages[2].starts_on == before.stages[2].starts_on


@pytest.mark.parametrize("language", LANGUAGES)
@settings(max_examples=40, deadline=None)
@given(steps=st.lists(st.integers(0, 6), max_size=8))
def test_whatever_is_added_and_taken_out_can_be_used_and_loses_nothing(language: Language, steps: list[int]) -> None:
    recorded = act(proposed(language), event("note", 1))
    rollout = recorded
    for step in steps:
        if step == 0:
            rollout = more(rollout, language)
        elif why_not_removed(rollout, step) is None:
            rollout = less(rollout, step)
        assert check_rollout(rollout, make_evidence("serving")) == ()
        assert rollout.events == recorded.events
        assert rollout.stages[0] == in_language(rollout, make_evidence("serving"), language).stages[0]
        assert Rollout.model_validate_json(rollout.model_dump_json()) == rollout
    assert rollout.stages[0].number == 1


@pytest.mark.parametrize("language", LANGUAGES)
def test_stages_put_into_the_other_language_and_back_are_the_same(language: Language) -> None:
    evidence, rollout = make_evidence("serving"), more(proposed(language), language)
    for other in LANGUAGES:
        said = in_language(rollout, evidence, other)
        assert in_language(said, evidence, language) == rollout
        assert (said == rollout) == (other == language)
