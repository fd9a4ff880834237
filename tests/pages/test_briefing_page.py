"""The Briefing page: without figures, with a case of every standing, with hostile names, in both languages."""

from __future__ import annotations

import base64
import io
import zipfile
from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from analysis.contracts import Plan, Semantics
from analysis.economics.case import make_case
from analysis.planning.freeze import propose_freeze
from analysis.runs.client import Client
from pages.ui.briefing_downloads import zipped
from pages.ui.business_plan import plan_that_holds
from tests.business_builders import make_assumptions
from tests.business_builders import make_case as written_case
from tests.trained_builders import make_semantics, make_trial

Visit = Callable[..., AppTest]
StoreProfile = Callable[..., str]
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)> [x](javascript:alert(1)) **b** :red[r]"


@pytest.fixture
def draft(client: Client, store_profile: StoreProfile) -> Plan:
    """A stored freeze plan that nobody tried, and none of the bundled plans."""
    for stored in client.plans():
        client.delete_plan(stored.id)
    found = client.profile(store_profile())
    traces: Semantics = make_semantics(found.n_blocks, profile=found, model=found.model)
    client.import_document(traces.model_dump_json().encode(), "semantics.json")
    made = propose_freeze(traces.model, semantics=traces, eof_layer=19, workload=None)
    client.save_plan(made, "two thirds")
    return client.plan(made.id)


@pytest.fixture
def plan(client: Client, draft: Plan) -> Plan:
    """The same plan, tried."""
    client.import_document(make_trial(19, plan=draft).model_dump_json().encode(), "trial.json")
    return client.plan(draft.id)


@pytest.fixture
def billed(client: Client, plan: Plan) -> Plan:
    """The plan with a stored case that starts from a bill."""
    client.save_case(make_case(client.evidence(plan.id), make_assumptions(accept_other_device=True)))
    return plan


def said(app: AppTest) -> str:
    kinds = (app.title, app.markdown, app.caption, app.error, app.warning, app.info, app.code)
    return "\n".join(str(element.value) for kind in kinds for element in kind).replace("\\", "")


def primary(app: AppTest) -> list[str]:
    buttons = [button.label for button in app.button if button.proto.type == "primary"]
    return buttons + [one.label for one in app.get("download_button") if one.proto.type == "primary"]


def paper(app: AppTest) -> str:
    """The document as it stands in the preview."""
    source = app.get("iframe")[0].proto.src
    return base64.b64decode(source.partition(",")[2]).decode()


# Bad input


def test_without_a_plan_the_page_says_what_comes_first(visit: Visit, client: Client, draft: Plan) -> None:
    client.delete_plan(draft.id)
    app = visit("briefing")
    assert "There is no proposal to decide on yet" in app.title[0].value
    assert primary(app) == ["Go to Plans"]


def test_without_figures_nothing_is_guessed(visit: Visit, plan: Plan) -> None:
    app = visit("briefing", plan=plan.id)
    assert "a figure is missing, and none is guessed" in app.title[0].value
    assert primary(app) == ["Answer the questions"]
    assert len(app.warning) == 1
    assert not app.get("iframe")


def test_names_are_printed_as_text(visit: Visit, billed: Plan) -> None:
    app = visit("briefing", plan=billed.id)
    for key in ("briefing_author", "briefing_drafted", "briefing_reviewed", "briefing_approved"):
        app.text_input(key=key).set_value(HOSTILE)
    app.run()
    assert not app.exception
    assert "<script>" not in paper(app)
    assert "<img" not in paper(app)
    assert "default-src 'none'" in paper(app)


def test_the_frame_cannot_reach_the_page_around_it(visit: Visit, billed: Plan) -> None:
    assert visit("briefing", plan=billed.id).get("iframe")[0].proto.src.startswith("data:text/html")


def test_dates_that_are_left_empty_are_named_as_missing(visit: Visit, billed: Plan) -> None:
    app = visit("briefing", plan=billed.id)
    app.date_input(key=f"briefing_decision_{billed.id}").set_value(None)
    app.date_input(key=f"briefing_review_{billed.id}").set_value(None).run()
    assert not app.exception
    assert "The date of the decision is empty" in said(app)
    assert "The date of the review is empty" in said(app)


# The page


def test_the_headline_counts_where_the_figures_come_from(visit: Visit, billed: Plan) -> None:
    app = visit("briefing", plan=billed.id)
    assert "figures are measured" in app.title[0].value
    assert "assumed" in app.title[0].value
    assert primary(app) == ["Download the briefing"]


def test_what_is_missing_leads_to_where_it_is_filled_in(visit: Visit, billed: Plan) -> None:
    app = visit("briefing", plan=billed.id)
    assert "The roll-back was not rehearsed" in said(app)
    assert "The author's name is empty" in said(app)
    assert {"To ROI", "To Stages"} <= {button.label for button in app.button}


def test_the_author_is_no_longer_missing_once_typed(visit: Visit, billed: Plan) -> None:
    app = visit("briefing", plan=billed.id)
    app.text_input(key="briefing_author").set_value("A. Sato").run()
    assert "The author's name is empty" not in said(app)
    assert "A. Sato" in paper(app)


def test_the_document_has_a_language_of_its_own(visit: Visit, billed: Plan) -> None:
    app = visit("briefing", plan=billed.id)
    app.radio(key="briefing_language").set_value("ja").run()
    assert 'lang="ja"' in paper(app)
    assert "ready to print" in app.title[0].value
    assert "件名" in said(app)


def test_a_projection_alone_carries_a_banner_that_nothing_switches_off(visit: Visit, client: Client, draft: Plan) -> None:
    client.save_case(make_case(client.evidence(draft.id), make_assumptions(accept_other_device=True)))
    app = visit("briefing", plan=draft.id)
    assert app.error
    banner = str(app.error[0].value).strip("*").replace("\\", "")
    assert banner.split(".")[0] in paper(app)
    assert "The plan has not been run yet" in said(app)


def test_everything_for_the_meeting_is_there(visit: Visit, billed: Plan) -> None:
    app = visit("briefing", plan=billed.id)
    assert [tab.label for tab in app.tabs] == [
        "Sentences for the meeting",
        "Questions and answers",
        "Ringi text",
        "Where the figures come from",
        "Terms used",
    ]
    assert len(app.code) == 2
    assert any("measured" in table.value.to_string() for table in app.table)


def test_every_part_speaks_japanese(visit: Visit, billed: Plan) -> None:
    app = visit("briefing", locale="ja-JP", plan=billed.id)
    assert "A4で1枚" in app.title[0].value
    assert 'lang="ja"' in paper(app)


@pytest.mark.parametrize("language", ["en", "ja"])
def test_every_table_is_in_the_archive(language: str) -> None:
    archive = zipfile.ZipFile(io.BytesIO(zipped(written_case(), language)))  # type: ignore[arg-type]
    assert len(archive.namelist()) >= 5
    assert all(archive.read(name).startswith(b"\xef\xbb\xbf") for name in archive.namelist())


def test_the_plan_that_holds_comes_before_one_that_does_not(client: Client) -> None:
    found = plan_that_holds(client.plans())
    assert found is not None
    assert found.verdict != "outside"
    assert found.eof_layer is not None
