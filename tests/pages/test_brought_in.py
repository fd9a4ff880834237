"""What a file brought in leads to when there is nothing here yet that it belongs to."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from analysis.planning import propose_plan
from analysis.runs.client import Client
from pages.ui import imports
from tests.builders import make_profile
from tests.measured_builders import make_search, make_verification

StoreProfile = Callable[..., str]


@pytest.fixture
def went(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Where the page would lead, and what it would say."""
    seen: dict[str, list[str]] = {"to": [], "said": []}
    monkeypatch.setattr(imports, "go", seen["to"].append)
    monkeypatch.setattr(imports.st, "warning", lambda text, **_: seen["said"].append(text))
    return seen


def test_a_verification_of_a_plan_that_is_not_here_is_kept_and_asks_for_its_plan(client: Client, went: dict[str, list[str]]) -> None:
    found = make_verification(propose_plan(make_profile(), amount="10%", name="not here"))
    kind, name = client.import_document(found.model_dump_json().encode(), "verification.json")
    imports._open(kind, name)
    assert went["to"] == []
    assert "not here" in went["said"][0]
    assert client.verification(name).plan_name == "not here"


def test_a_search_opens_on_its_run_and_without_one_asks_for_it(
    client: Client, store_profile: StoreProfile, went: dict[str, list[str]]
) -> None:
    kind, name = client.import_document(make_search().model_dump_json().encode(), "search.json")
    imports._open(kind, name)
    assert went["to"] == []
    assert "No run here" in went["said"][0]
    store_profile()
    imports._open(kind, name)
    assert went["to"] == ["plans"]


def test_a_search_with_another_number_of_layers_than_its_run_does_not_take_the_page_down(
    client: Client, store_profile: StoreProfile, visit: Callable[..., object]
) -> None:
    run = store_profile(make_profile(n_blocks=12))
    client.import_document(make_search(30).model_dump_json().encode(), "search.json")
    visit("plans", run=run)
