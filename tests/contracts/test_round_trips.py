"""What crosses JSON comes back the same, and nothing unknown gets in."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from analysis.contracts import (
    Freeze,
    Message,
    ModelRef,
    ModelSource,
    Plan,
    Profile,
    Progress,
    Provenance,
    Prune,
    Quantity,
    Skip,
    content_hash,
    influence,
)
from tests.builders import make_profile

BLOCKS = st.lists(st.integers(0, 60), min_size=1, max_size=12, unique=True)
UNITS = st.sampled_from(["block", "attention", "mlp"])
OPERATIONS = st.one_of(
    st.builds(Prune, unit=UNITS, blocks=BLOCKS.map(tuple)),
    st.builds(Skip, unit=UNITS, blocks=BLOCKS.map(tuple)),
    st.builds(Freeze, eof_layer=st.integers(-1, 59)),
)
MODEL = ModelRef(
    name="m", source=ModelSource(kind="sample"), commit="c" * 40, architecture="LlamaForCausalLM", n_blocks=61, stack="decoder"
)
PLANS = st.builds(
    Plan,
    name=st.text(max_size=40),
    model=st.just(MODEL),
    operations=st.lists(OPERATIONS, min_size=1, max_size=3).map(tuple),
    provenance=st.builds(Provenance, criterion=st.just("block_influence"), amount=st.just("20%")),
)


def reread(plan: Plan) -> Plan:
    fields = json.loads(plan.model_dump_json())
    fields.pop("id")
    return Plan.model_validate(fields)


@given(PLANS)
def test_a_plan_comes_back_from_json_as_it_was(plan: Plan) -> None:
    assert reread(plan) == plan
    assert reread(plan).id == plan.id


@given(PLANS, st.text(max_size=20))
def test_a_plans_id_is_what_it_does_to_which_model_and_nothing_else(plan: Plan, name: str) -> None:
    assert plan.model_copy(update={"name": name}).id == plan.id
    assert plan.model_copy(update={"provenance": Provenance(criterion="other", amount="1GiB")}).id == plan.id
    assert plan.model_copy(update={"model": MODEL.model_copy(update={"commit": "d" * 40})}).id != plan.id


@given(BLOCKS)
def test_the_order_in_which_blocks_are_named_makes_no_difference(blocks: list[int]) -> None:
    assert Prune(blocks=tuple(blocks)) == Prune(blocks=tuple(reversed(blocks)))


def test_a_plans_id_does_not_change_between_versions() -> None:
    plan = Plan(model=MODEL, operations=(Prune(blocks=(14, 3)),), provenance=Provenance(criterion="block_influence", amount="2 layers"))
    assert plan.id == "98c75c0b23ab"


def test_a_profile_comes_back_from_json_as_it_was() -> None:
    profile = make_profile()
    again = Profile.model_validate_json(profile.model_dump_json())
    assert again == profile
    assert json.loads(again.model_dump_json()) == json.loads(profile.model_dump_json())


@pytest.mark.parametrize("where", [(), ("overall",), ("settings",), ("model",), ("timing",)])
def test_unknown_fields_are_refused_wherever_they_stand(where: tuple[str, ...]) -> None:
    fields = make_profile().model_dump(mode="json")
    inner: Any = fields
    for name in where:
        inner = inner[name]
    inner["surprise"] = 1
    with pytest.raises(ValidationError, match="surprise"):
        Profile.model_validate(fields)


@pytest.mark.parametrize("field", ["schema_version", "kind"])
def test_another_version_or_kind_is_refused(field: str) -> None:
    fields = make_profile().model_dump(mode="json")
    fields[field] = "other"
    with pytest.raises(ValidationError):
        Profile.model_validate(fields)


def test_numbers_that_are_not_numbers_never_get_into_a_document() -> None:
    for wrong in (float("nan"), float("inf")):
        with pytest.raises(ValidationError):
            Quantity(before=wrong, after=1)


def test_a_contract_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        MODEL.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize("blocks", [(), (3, 3), (-1,)])
def test_a_removal_names_each_block_once_and_at_least_one(blocks: tuple[int, ...]) -> None:
    with pytest.raises(ValidationError):
        Prune(blocks=blocks)


def test_what_a_plan_removes_is_gathered_by_unit() -> None:
    operations = (Prune(blocks=(5, 3)), Skip(unit="attention", blocks=(7,)), Freeze(eof_layer=2))
    plan = Plan(model=MODEL, operations=operations, provenance=Provenance(criterion="x", amount="3 layers"))
    assert plan.removed == {"block": (3, 5), "attention": (7,), "mlp": ()}


def test_saved_share_is_negative_when_a_plan_adds() -> None:
    assert Quantity(before=100, after=80).saved_share == pytest.approx(0.2)
    assert Quantity(before=100, after=120).saved_share == pytest.approx(-0.2)
    assert Quantity(before=0, after=0).saved_share == 0.0


@given(st.dictionaries(st.text(), st.one_of(st.integers(), st.text(), st.booleans())))
def test_a_content_hash_does_not_depend_on_the_order_of_fields(fields: dict[str, Any]) -> None:
    assert content_hash(fields) == content_hash(dict(reversed(fields.items())))


def test_small_facts() -> None:
    profile = make_profile()
    assert influence(profile.overall, "mlp") == profile.overall.mlp_influence
    assert profile.n_blocks == 30
    assert Progress(stage=Message(id="x"), done=1, total=4).fraction == 0.25
    assert Progress(stage=Message(id="x")).fraction == 0.0
    assert Message(id="{n} of {list}", values={"n": 1, "list": (1, 2)}).in_english() == "1 of 1, 2"


def test_a_sentence_within_a_sentence_is_one_again_when_it_is_read_back() -> None:
    parts = Message(
        id="Several: {parts}, {one}", values={"parts": [Message(id="a"), Message(id="b {n}", values={"n": 2})], "one": Message(id="c")}
    )
    assert Message.model_validate_json(parts.model_dump_json()) == parts
    assert Message.model_validate_json(parts.model_dump_json()).in_english() == "Several: a, b 2, c"
