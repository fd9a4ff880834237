"""Plans against models, plans against plans, plans as files."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.contracts import Freeze, Operation, Plan, Profile, Prune, Skip
from analysis.errors import DocumentError, PlanError
from analysis.i18n import render
from analysis.planning import check_plan, compare_plans, plan_in_words, plan_to_json, propose_plan, read_plan
from tests.builders import make_model, make_profile


@pytest.fixture(scope="module")
def profile() -> Profile:
    return make_profile()


@pytest.fixture(scope="module")
def plan(profile: Profile) -> Plan:
    return propose_plan(profile, amount="2", name="two")


def doing(plan: Plan, *operations: Operation) -> Plan:
    return plan.model_copy(update={"operations": operations})


def said(plan: Plan, **model: Any) -> list[str]:
    return [problem.in_english() for problem in check_plan(plan, make_model(**model))]


def test_a_plan_fits_the_model_it_was_made_for(plan: Plan, profile: Profile) -> None:
    assert check_plan(plan, profile.model) == ()


def test_a_layer_that_is_not_there_is_named_with_what_is(plan: Plan) -> None:
    assert "Layer 31 is not in this model: it has 28 layers (0 to 27). Make the plan again for this model." in said(
        doing(plan, Prune(blocks=(31,))), n_blocks=28
    )


def test_another_model_and_another_version_are_told_apart(plan: Plan) -> None:
    assert "not for other/model" in said(plan, name="other/model", commit="beef")[0]
    assert "version c0ffee" in said(plan, commit="beef")[0]
    assert any("30 layers and this model has 28" in problem for problem in said(plan, n_blocks=28, commit="beef"))


@pytest.mark.parametrize("eof", [29, 30, 500])
def test_freezing_everything_is_refused(plan: Plan, eof: int) -> None:
    assert f"given as {eof}" in said(doing(plan, Freeze(eof_layer=eof)))[0]


@pytest.mark.parametrize("eof", [-1, 0, 28])
def test_freezing_up_to_the_last_but_one_is_allowed(plan: Plan, eof: int) -> None:
    assert said(doing(plan, Freeze(eof_layer=eof))) == []


def test_removing_every_layer_is_refused_however_it_is_written(plan: Plan) -> None:
    everything = tuple(range(30))
    halves = (Prune(unit="attention", blocks=everything), Skip(unit="mlp", blocks=everything))
    mixed = (Prune(blocks=everything[:10]), Skip(blocks=everything[10:]))
    for operations in ((Prune(blocks=everything),), halves, mixed):
        assert any("takes out all 30 layers" in problem for problem in said(doing(plan, *operations)))
    assert said(doing(plan, halves[0])) == []


def test_a_unit_and_a_stack_that_the_model_does_not_have_are_named(plan: Plan) -> None:
    model = make_model()
    blocks = tuple(block.model_copy(update={"attention": None}) if block.index == 3 else block for block in model.stacks[0].blocks)
    without = model.model_copy(update={"stacks": (model.stacks[0].model_copy(update={"blocks": blocks}),)})
    problems = check_plan(doing(plan, Skip(unit="attention", blocks=(3,))), without)
    assert "no separate attention" in problems[0].in_english()
    assert 'named "encoder"' in said(doing(plan, Prune(blocks=(1,), stack="encoder")))[0]


def test_a_plan_is_said_in_one_line(plan: Plan) -> None:
    line = plan_in_words(doing(plan, Prune(blocks=(13, 14))))
    assert line.in_english() == "28 of 30 layers; removed 13, 14; counted from 0"
    assert render(line, "ja") == "30層中28層を残し、13、14を取り除く（番号は0から）"
    both = plan_in_words(doing(plan, Prune(blocks=(1,)), Freeze(eof_layer=3)))
    assert render(both, "en") == "29 of 30 layers; removed 1; counted from 0, and 1 more operation"


def test_two_plans_are_compared_by_what_they_share_and_save(profile: Profile) -> None:
    a, b = propose_plan(profile, amount="4"), propose_plan(profile, amount="2")
    blocks, *figures = compare_plans(a, b)
    assert blocks.shared == b.removed["block"]
    assert blocks.only_b == ()
    assert len(blocks.only_a) == 2  # type: ignore[arg-type]
    assert {row.kind for row in figures} == {"count", "bytes", "flops"}
    assert all(row.only_a == pytest.approx(2 * row.only_b) for row in figures)  # type: ignore[operator]


def test_plans_for_different_models_are_not_compared(profile: Profile) -> None:
    with pytest.raises(PlanError, match="different models"):
        compare_plans(propose_plan(profile), propose_plan(make_profile(6, model=make_model(6, commit="beef")), amount="1"))


def test_a_plan_survives_its_file(plan: Plan) -> None:
    text = plan_to_json(plan)
    assert json.loads(text)["id"] == plan.id
    assert read_plan(text.encode()) == plan
    assert read_plan(text.encode("utf-8-sig")) == plan


def test_a_plan_changed_by_hand_gets_its_own_identity(plan: Plan) -> None:
    fields = json.loads(plan_to_json(plan))
    fields["operations"][0]["blocks"] = [1, 2, 3]
    assert read_plan(json.dumps(fields).encode()).id != plan.id


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"kind": "profile"}, 'its "kind" is "profile"'),
        ({"kind": None}, '"kind" is null'),
        ({"schema_version": 2}, "schema version 2"),
        ({"operations": []}, "operations"),
        ({"operations": [{"op": "prune", "blocks": [1, 1]}]}, "named twice"),
        ({"operations": [{"op": "prune", "blocks": [-1]}]}, r"operations\.0\.prune\.blocks\.0"),
        ({"operations": [{"op": "drop", "blocks": [1]}]}, "operations"),
        ({"surprise": 1}, "surprise"),
        ({"model": 3}, "model"),
    ],
)
def test_a_damaged_plan_is_refused_in_one_sentence(plan: Plan, change: dict[str, Any], says: str) -> None:
    fields = json.loads(plan_to_json(plan)) | change
    with pytest.raises(DocumentError, match=says):
        read_plan(json.dumps(fields).encode())


@given(
    st.one_of(
        st.binary(max_size=60),
        st.recursive(st.none() | st.integers() | st.text(max_size=5), st.lists).map(lambda x: json.dumps(x).encode()),
    )
)
def test_hostile_bytes_are_refused_in_words(data: bytes) -> None:
    with pytest.raises(DocumentError):
        read_plan(data)


def test_deeply_nested_json_is_refused() -> None:
    with pytest.raises(DocumentError):
        read_plan(b"[" * 100_000)


def test_a_plan_edited_to_another_number_of_layers_is_found_out() -> None:
    profile = make_profile()
    plan = propose_plan(profile, amount="3")
    edited = plan.model_copy(update={"model": plan.model.model_copy(update={"n_blocks": 12})})
    assert "12 layers" in check_plan(edited, profile.model)[0].in_english()
