"""Documents made elsewhere: ours are opened, everything else is refused in one sentence."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analysis.contracts import Plan, Profile
from analysis.errors import DocumentError
from analysis.runs import documents
from analysis.runs.documents import parse_document
from analysis.runs.store import Store
from tests import builders

MakeProfile = Callable[..., Profile]
MakePlan = Callable[..., Plan]


def _changed(document: Profile | Plan, **fields: Any) -> bytes:
    return json.dumps({**document.model_dump(mode="json"), **fields}).encode()


def _without(document: Profile, *path: str) -> bytes:
    fields = document.model_dump(mode="json")
    inner = fields
    for name in path[:-1]:
        inner = inner[name]
    del inner[path[-1]]
    return json.dumps(fields).encode()


def test_profiles_and_plans_come_back_as_they_went(make_profile: MakeProfile, make_plan: MakePlan) -> None:
    text = make_profile().model_dump_json().encode()
    assert parse_document(text, "p") == make_profile()
    assert parse_document(b"\xef\xbb\xbf" + text, "p") == make_profile()
    assert parse_document(gzip.compress(text), "p") == make_profile()
    assert parse_document(make_plan().model_dump_json().encode(), "p") == make_plan()


def test_a_plan_id_that_does_not_fit_is_worked_out_again(make_plan: MakePlan) -> None:
    plan = parse_document(_changed(make_plan(), id="../../etc"), "p")
    assert isinstance(plan, Plan)
    assert plan.id == make_plan().id


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe{\x00}\x00", "not UTF-8"),
        ("品質".encode("cp932"), "not UTF-8"),
        (b"{", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"a":' * 100_000, "not JSON"),
        (b'{"kind": NaN}', "not JSON"),
        (b"[]", "neither a profile nor a plan"),
        (b'{"kind": "recipe"}', "neither a profile nor a plan"),
        (b'{"kind": ["profile"]}', "neither a profile nor a plan"),
        (b'{"kind": "profile", "schema_version": 2}', "schema version 2"),
        (b'{"kind": "plan"}', "schema version None"),
        (b'{"kind": "plan", "schema_version": true}', "schema version True"),
        (b'{"kind": "profile", "schema_version": 1}', "damaged"),
        (b"\x1f\x8b rubbish", "gzip"),
    ],
)
def test_what_is_not_ours_is_refused_in_one_sentence(data: bytes, sentence: str) -> None:
    with pytest.raises(DocumentError, match=sentence):
        parse_document(data, "file.json")


def test_a_damaged_field_is_named(make_profile: MakeProfile) -> None:
    with pytest.raises(DocumentError, match=r"overall\.norms: Field required"):
        parse_document(_without(make_profile(), "overall", "norms"), "p")
    with pytest.raises(DocumentError, match="surprise: Extra inputs"):
        parse_document(_changed(make_profile(), surprise=1), "p")
    with pytest.raises(DocumentError, match="damaged"):
        parse_document(_changed(make_profile(), kind="plan"), "p")


def test_a_document_at_odds_with_itself_is_refused(make_profile: MakeProfile, make_plan: MakePlan) -> None:
    scores = make_profile().overall.model_dump(mode="json")
    with pytest.raises(DocumentError, match=r"overall\.norms"):
        parse_document(_changed(make_profile(), overall={**scores, "norms": [1.0]}), "p")
    with pytest.raises(DocumentError, match=r"slices\.mail\.cosine_similarity"):
        parse_document(_changed(make_profile(), slices={"mail": {**scores, "cosine_similarity": [[1.0]]}}), "p")
    with pytest.raises(DocumentError, match="stack"):
        parse_document(_changed(make_profile(), stack="encoder"), "p")
    with pytest.raises(DocumentError, match=r"operations\.0"):
        parse_document(_changed(make_plan(), operations=[{"op": "prune", "unit": "block", "blocks": [2]}]), "p")


@pytest.mark.parametrize("name", ["angular_distance", "linear_cka"])
def test_intervals_of_another_shape_than_their_measure_are_refused(name: str) -> None:
    whole = builders.make_profile(4)
    assert whole.overall.intervals is not None
    assert parse_document(_changed(whole), "p") == whole
    overall = whole.overall.model_dump(mode="json")
    with pytest.raises(DocumentError, match=rf"overall\.intervals\.{name}"):
        parse_document(_changed(whole, overall={**overall, "intervals": {**overall["intervals"], name: [[]]}}), "p")


@pytest.mark.parametrize("sentence", ["{n.__class__}", "{n!r}", "{n:>999999999}", "{missing}", "{", "{0}", 7])
def test_sentences_that_would_do_more_than_name_a_value_are_refused(make_profile: MakeProfile, sentence: object) -> None:
    with pytest.raises(DocumentError, match="damaged"):
        parse_document(_changed(make_profile(), notes=[{"id": sentence, "values": {"n": 1}}]), "p")


def test_a_document_that_unpacks_to_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "DOCUMENT_LIMIT_BYTES", 2**20)
    bomb = gzip.compress(b" " * 2**22)
    for data in (bomb, b" " * 2**22):
        with pytest.raises(DocumentError, match="larger than 1 MiB"):
            parse_document(data, "bomb.json.gz")


def test_a_hostile_content_key_leads_nowhere(store: Store, make_profile: MakeProfile) -> None:
    profile = parse_document(_changed(make_profile(), id="../../../etc/passwd", name="x" * 5000), "p")
    assert isinstance(profile, Profile)
    run_id = store.runs.add(profile, origin="imported")
    assert run_id.isalnum()
    assert len(store.runs.runs()[0].name) == 200


_QUIET = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@_QUIET
@given(st.binary(max_size=400))
def test_any_bytes_are_refused_in_words(data: bytes) -> None:
    with pytest.raises(DocumentError):
        parse_document(data, "file")


@_QUIET
@given(data=st.data())
def test_a_document_with_bytes_changed_is_ours_or_refused_in_words(data: st.DataObject, make_profile: MakeProfile) -> None:
    text = bytearray(make_profile().model_dump_json().encode())
    for _ in range(data.draw(st.integers(1, 3))):
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    try:
        assert isinstance(parse_document(bytes(text), "file"), Profile)
    except DocumentError:
        return


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@_QUIET
@given(name=st.sampled_from(sorted(Profile.model_fields)), value=_JSON)
def test_a_field_filled_with_anything_is_ours_or_refused_in_words(name: str, value: object, make_profile: MakeProfile) -> None:
    try:
        assert isinstance(parse_document(_changed(make_profile(), **{name: value}), "file"), Profile)
    except DocumentError:
        return
