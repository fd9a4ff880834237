"""The ROI page: bad input first, then the answer, the levers, the scenarios, and where every figure comes from."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from analysis.contracts import Assumptions, CaseEvidence, Pair, SliceVolume, TrainingEvidence
from analysis.economics.case import make_case
from analysis.economics.defaults import answer
from analysis.runs.client import Client
from pages.ui import business_plan, roi_work
from pages.ui.frame import Subject
from pages.ui.glossary import TERMS
from pages.ui.roi_edit import TITLES
from tests.business_builders import EvidenceKind, make_assumptions, make_evidence

ROOT = Path(__file__).parents[2]
Visit = Callable[..., AppTest]
HOSTILE = "<script>alert(1)</script> [x](javascript:alert(1)) **b** :red[r] $a$ `c`"
ENGINEERS = ("perplexity", "FLOPs", "KV cache", "token", "eof", "logit", "gradient", "attention")
"""Words that a manager's page gets by without."""


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the page does with an answer is tried here, not how many cases stand behind it."""
    monkeypatch.setattr(roi_work, "DRAWS", 300)


@pytest.fixture
def plan(client: Client) -> str:
    """A stored freeze plan of the sample, without its stored cases."""
    for case in client.cases():
        client.delete_case(case.id)
    return next(plan.id for plan in client.plans() if plan.eof_layer is not None)


@pytest.fixture
def about(plan: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., CaseEvidence]:
    """Says what was measured of the plan, and what this visit begins with."""

    def given(kind: EvidenceKind = "training", assumptions: Assumptions | None = None, **changes: Any) -> CaseEvidence:
        evidence = make_evidence(kind, **({"plan_id": plan} | changes))
        monkeypatch.setattr(Client, "evidence", lambda self, plan_id: evidence)
        begins = make_assumptions(kind) if assumptions is None else assumptions
        monkeypatch.setattr(roi_work, "default_assumptions", lambda *_, **__: begins)
        return evidence

    return given


@pytest.fixture
def billed(about: Callable[..., CaseEvidence]) -> CaseEvidence:
    """A tried freeze plan and a bill for fine-tuning."""
    return about()


def served(**changes: Any) -> Assumptions:
    """A million requests a month on a rented GPU."""
    given = make_assumptions("serving", **changes)
    given = answer(given, "gpu_price_per_hour", 900.0)
    given = answer(given, "utilisation_percent", 30.0, low=10, high=70)
    slices = tuple(one.model_copy(update={"requests_per_month": 400_000.0}) for one in given.slices)
    return given.model_copy(update={"slices": slices})


def said(app: AppTest) -> str:
    kinds = (app.title, app.header, app.subheader, app.markdown, app.caption, app.error, app.warning, app.info)
    tables = "\n".join(table.value.to_string() for table in app.table)
    metrics = "\n".join(f"{one.label} {one.value}" for one in app.metric)
    return ("\n".join(str(element.value) for kind in kinds for element in kind) + tables + metrics).replace("\\", "")


def field(app: AppTest, label: str) -> Any:
    return next(one for one in (*app.text_input, *app.slider) if label in one.label)


def type_in(app: AppTest, label: str, text: str) -> AppTest:
    field(app, label).set_value(text).run()
    assert not app.exception, app.exception[0].stack_trace
    return app


def sources(app: AppTest) -> Any:
    """The table of assumptions."""
    return next(table.value for table in app.table if "Source" in table.value.columns)


def problems(app: AppTest) -> str:
    return "\n".join(str(one.value) for one in (*app.error, *app.info)).replace("\\", "")


def primary(app: AppTest) -> list[str]:
    return [button.label for button in app.button if button.proto.type == "primary"]


# Bad input


def test_without_a_plan_the_way_to_one_is_shown(visit: Visit, client: Client) -> None:
    for one in client.plans():
        client.delete_plan(one.id)
    app = visit("roi")
    assert "There is no proposal to decide on yet" in app.title[0].value
    assert not app.metric


def test_without_a_bill_the_page_asks_for_it_and_promises_nothing(visit: Visit, client: Client, plan: str) -> None:
    app = visit("roi", plan=plan)
    assert app.title[0].value == "Answer the questions below, and this page says what the plan is worth."
    assert "No figure was given for monthly bill for fine-tuning" in problems(app)
    assert not app.error
    assert not app.metric
    assert primary(app) == ["Work it out"]


@pytest.mark.parametrize("text", ["-5", "▲5", "1e99", "99999999999999999999999"])
def test_a_negative_or_absurd_bill_is_said_beside_its_field_and_the_last_answer_stays(
    visit: Visit, billed: CaseEvidence, text: str
) -> None:
    app = visit("roi", plan=billed.plan_id)
    before = app.title[0].value
    type_in(app, "Monthly bill for fine-tuning", text)
    assert problems(app)
    assert app.title[0].value == before
    assert "This is the last answer that could be worked out: 1 of the figures below need a correction first." in said(app)
    assert primary(app) == ["Work it out"]


@pytest.mark.parametrize("text", ["a lot", "1.234,50", "12 34", "<b>"])
def test_what_is_no_figure_stays_in_its_field_and_is_said(visit: Visit, billed: CaseEvidence, text: str) -> None:
    app = visit("roi", plan=billed.plan_id)
    type_in(app, "Monthly bill for fine-tuning", text)
    assert field(app, "Monthly bill for fine-tuning").value == text
    assert "is not a figure" in problems(app) or "more than one way" in problems(app)
    type_in(app, "Monthly bill for fine-tuning", "900000")
    assert not app.error
    assert "last answer" not in said(app)


@pytest.mark.parametrize(
    ("text", "read"), [("１２０万円", "1,200,000"), ("¥1,234,567", "1,234,567"), ("1.2億円", "120,000,000"), ("９００，０００", "900,000")]
)
def test_what_was_typed_is_shown_back_as_it_was_read(visit: Visit, billed: CaseEvidence, text: str, read: str) -> None:
    app = visit("roi", plan=billed.plan_id)
    type_in(app, "Monthly bill for fine-tuning", text)
    assert field(app, "Monthly bill for fine-tuning").value == read
    assert not app.error


def test_no_requests_at_all_are_nothing_to_price(visit: Visit, about: Callable[..., CaseEvidence]) -> None:
    evidence = about("serving", served())
    app = visit("roi", plan=evidence.plan_id)
    assert app.metric
    type_in(app, "1. Requests a month", "0")
    assert "No requests a month were given" in problems(app)
    type_in(app, "1. Requests a month", "-1000")
    assert "0 to 1,000,000,000,000 is allowed" in problems(app)
    type_in(app, "1. Requests a month", "８００万")
    assert not app.error
    assert field(app, "1. Requests a month").value == "8,000,000"


def test_a_plan_that_costs_more_says_that_it_never_pays_back(visit: Visit, about: Callable[..., CaseEvidence]) -> None:
    dearer = Pair(today=1.0, plan=1.2, ratio_low=1.1, ratio_high=1.3)
    evidence = about(training=TrainingEvidence(hours=dearer, n_examples=67, epochs=3, tokens_per_run=10_880, n_trained=25))
    app = visit("roi", plan=evidence.plan_id)
    assert "never pays back" in app.title[0].value
    assert "never pays back" in said(app) or "saves nothing that counts" in said(app)


def test_another_currency_asks_for_its_rate_with_date_and_source(visit: Visit, billed: CaseEvidence) -> None:
    app = visit("roi", plan=billed.plan_id)
    next(one for one in app.radio if one.label == "Currency").set_value("USD").run()
    assert "without an exchange rate" in problems(app)
    assert "last answer" in said(app)
    type_in(app, "Rate", "-1")
    assert "it has to be above 0" in problems(app)
    type_in(app, "Rate", "0.0067")
    assert "without an exchange rate" in problems(app)
    type_in(app, "Date", "2026-11-20")
    type_in(app, "Where it comes from", "internal rate")
    assert not app.error
    assert "USD" in app.metric[0].value
    assert "internal rate (2026-11-20)" in said(app)


@pytest.mark.parametrize(
    ("standing", "words"),
    [
        ("outside", "Not recommended: the test missed a limit"),
        ("rough", "Rough estimate: nothing has been run yet"),
        ("undecided", "Not decided"),
    ],
)
def test_what_stands_against_a_case_is_said_above_its_money(
    visit: Visit, about: Callable[..., CaseEvidence], standing: str, words: str
) -> None:
    projected = {"training": None} if standing == "rough" else {}
    evidence = about(standing=standing, **projected)
    app = visit("roi", plan=evidence.plan_id)
    assert words in "\n".join(str(one.value) for one in (*app.error, *app.warning))


def test_a_cpu_time_is_not_priced_as_a_gpu_unless_someone_says_by_what_factor(visit: Visit, about: Callable[..., CaseEvidence]) -> None:
    evidence = about("serving", served(), device_name="a CPU", device_kind="cpu")
    app = visit("roi", plan=evidence.plan_id)
    assert "The times were measured on a CPU" in problems(app)
    assert not app.metric
    next(one for one in app.checkbox if one.label.startswith("Price it all the same")).check().run()
    assert "speed of the priced device" in problems(app)
    type_in(app, "Speed of the priced device", "20")
    assert not app.error
    assert "measured on another machine" in said(app)


def test_leased_machines_ask_for_the_end_of_their_contract(visit: Visit, about: Callable[..., CaseEvidence]) -> None:
    evidence = about("serving", served())
    app = visit("roi", plan=evidence.plan_id)
    next(one for one in app.radio if one.label == "2. Where it runs").set_value("reserved").run()
    assert "no end of the contract was given" in problems(app)
    assert any(one.label == "End of the contract or lease" for one in app.date_input)


def test_hostile_names_stay_text(visit: Visit, client: Client, about: Callable[..., CaseEvidence]) -> None:
    given = make_assumptions().model_copy(update={"slices": (SliceVolume(name=HOSTILE, requests_per_month=5.0),), "gpu": HOSTILE})
    evidence = about(assumptions=given, plan_name=HOSTILE, workload_name=HOSTILE, device_name=HOSTILE, slices=(HOSTILE,))
    client.rename_plan(evidence.plan_id, HOSTILE)
    app = visit("roi", plan=evidence.plan_id)
    type_in(app, "Name of the scenario", HOSTILE)
    app.button(key="roi_save").click().run()
    assert not app.exception
    for element in (*app.markdown, *app.caption, *app.title, *app.error, *app.warning):
        assert "](javascript" not in str(element.value).replace("\\]\\(", "")
    for table in app.table:
        assert "](javascript" not in table.value.to_string().replace("\\]\\(", "")


def test_a_link_that_is_no_web_address_is_not_made_a_link(visit: Visit, about: Callable[..., CaseEvidence]) -> None:
    given = answer(make_assumptions(), "internal_day", 40_000, source="ledger", source_url="javascript:alert(1)")
    safe = answer(given, "engineer_days", 10, source="plan", source_url="https://example.com/a(b)")
    evidence = about(assumptions=safe)
    app = visit("roi", plan=evidence.plan_id)
    assert "javascript" not in said(app)
    assert "(https://example.com/a%28b%29)" in said(app)


def test_what_could_not_be_read_never_blocks_an_answer_out_of_sight(visit: Visit, about: Callable[..., CaseEvidence]) -> None:
    evidence = about("serving", answer(served(), "bill_serving_per_month", 500_000.0))
    app = visit("roi", plan=evidence.plan_id)
    type_in(app, "1. Requests a month", "many")
    next(one for one in app.radio if one.label == "Where today's cost comes from").set_value("bill").run()
    assert "last answer" not in said(app)
    app.session_state.roi_edit = True
    app.run()
    next(one for one in app.radio if one.label == "Group").set_value("general").run()
    next(one for one in app.text_input if one.label == "Most").set_value("soon").run()
    app.session_state.roi_edit = False
    app.run()
    assert "soon is not a figure" in problems(app)
    next(one for one in app.button if one.label == "Let go of what could not be read").click().run()
    assert not app.error
    assert "last answer" not in said(app)


# The answer


def test_the_first_screen_says_what_it_saves_and_how_sure_that_is(visit: Visit, billed: CaseEvidence) -> None:
    app = visit("roi", plan=billed.plan_id)
    assert "a month" in app.title[0].value
    assert "of 100 simulated cases within 36 months" in app.title[0].value
    assert [one.label for one in app.metric] == ["Cash saving a month", "Purchase avoided a month", "Freed capacity a month"]
    assert primary(app) == ["Prepare the briefing"]


def test_money_is_projected_and_what_it_rests_on_is_one_click_below(visit: Visit, billed: CaseEvidence) -> None:
    app = visit("roi", plan=billed.plan_id)
    found = Counter(str(one.value).partition("[")[2].rstrip("]") for one in app.markdown if "badge" in str(one.value))
    assert found["projected"] >= 6
    assert found["measured"] == 1, "of the share that the plan saves, in the box that says where the figures come from"
    assert found["assumed"] == 3, "of the same box, the questions and the levers"


def test_every_link_of_the_contents_finds_its_heading(visit: Visit, billed: CaseEvidence) -> None:
    app = visit("roi", plan=billed.plan_id)
    listed = next(str(one.value) for one in app.markdown if "](#payback)" in str(one.value))
    wanted = re.findall(r"\]\(#([a-z-]+)\)", listed)
    assert len(wanted) >= 10
    assert set(wanted) <= {one.proto.anchor for one in app.header}


def test_a_sum_keeps_the_name_of_its_own_currency(visit: Visit, billed: CaseEvidence) -> None:
    app = visit("roi", plan=billed.plan_id)
    next(one for one in app.radio if one.label == "Currency").set_value("USD").run()
    assert any(one.label == "1. Monthly bill for fine-tuning (JPY)" for one in app.text_input)


def test_in_japanese_no_currency_is_a_code(visit: Visit, billed: CaseEvidence) -> None:
    app = visit("roi", plan=billed.plan_id, lang="ja")
    labels = [one.label for one in (*app.text_input, *app.slider)]
    assert not [label for label in labels if "JPY" in label]
    assert "プラン：次回の微調整に向けた凍結" in said(app)
    assert "JPY" not in said(app)


def test_the_run_that_is_named_is_the_one_that_the_plan_was_made_from(
    client: Client, billed: CaseEvidence, store_profile: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    older, newest = store_profile(), store_profile(id="another")
    monkeypatch.setattr(business_plan, "client", lambda: client)
    runs = {run.id: run for run in client.runs()}
    made = next(plan for plan in client.plans() if plan.id == billed.plan_id).model_copy(update={"profile_id": older})
    found = business_plan.of_plan(Subject(runs[newest], None), made)
    assert found == Subject(runs[older], made)
    sample = runs[older].model_copy(update={"id": "sample", "is_sample": True, "model_name": made.model_name})
    monkeypatch.setattr(Client, "runs", lambda self: (*runs.values(), sample))
    unsaid = made.model_copy(update={"profile_id": None, "is_sample": True})
    assert business_plan.of_plan(Subject(runs[newest], None), unsaid).run == sample
    gone = made.model_copy(update={"profile_id": "gone", "model_name": "of nobody"})
    assert business_plan.of_plan(Subject(runs[newest], None), gone).run == runs[newest]


def test_every_part_of_the_page_is_there(visit: Visit, billed: CaseEvidence) -> None:
    heads = [one.value for one in visit("roi", plan=billed.plan_id).header]
    order = ["Five questions, one answer", "The levers that matter most", "What changes in the monthly cost", "When the money is back"]
    order += ["What matters most", "What it comes to", "Targets, not results", "By fiscal year", "Other ways", "Scenarios"]
    assert [head for head in heads if head in order] == order
    assert "Where every figure comes from" in heads


def test_a_manager_meets_no_engineers_word(visit: Visit, billed: CaseEvidence) -> None:
    shown = said(visit("roi", plan=billed.plan_id))
    for sentence in TERMS.values():  # the glossary explains a guardrail by one
        shown = shown.replace(sentence, "")
    shown = shown.replace("**token**", "")
    assert not [word for word in ENGINEERS if word.lower() in shown.lower()]


def test_whole_machines_that_stay_are_said(visit: Visit, about: Callable[..., CaseEvidence]) -> None:
    own = answer(served(place="own"), "purchase_price", 4_000_000.0)
    for name, value in (("machines_today", 4.0), ("peak_factor", 3.0), ("spare_machines", 1.0), ("gpus_per_machine", 1.0)):
        own = answer(own, name, value)
    for name, value in (("life_years", 5.0), ("maintenance_percent_per_year", 10.0), ("pue", 1.5), ("gpu_power_watts", 700.0)):
        own = answer(own, name, value)
    evidence = about("serving", own)
    app = visit("roi", plan=evidence.plan_id)
    assert not app.error, problems(app)
    assert "Machines, before and after" in said(app)
    assert "Whole machines, spare ones among them" in said(app)


def test_figures_without_a_source_are_counted_and_stand_first(visit: Visit, billed: CaseEvidence) -> None:
    app = visit("roi", plan=billed.plan_id)
    rows = sources(app)
    without = [("no source" in source) for source in rows["Source"]]
    n = sum(without)
    assert f"{n} starting values have no source" in said(app)
    assert all(without[:n])


def test_moving_a_lever_moves_the_answer_and_it_can_be_put_back(visit: Visit, billed: CaseEvidence) -> None:
    app = visit("roi", plan=billed.plan_id)
    before, lever = app.metric[0].value, field(app, "Part of the bill that grows with use")
    order = [one.label for one in app.slider]
    assert 3 <= len(order) <= 6
    lever.set_value(lever.max).run()
    assert app.metric[0].value != before
    assert [one.label for one in app.slider] == order
    assert "set with the slider: please confirm" in said(app)
    next(one for one in app.button if one.label == "Put the sliders back").click().run()
    assert app.metric[0].value == before


def test_person_days_keep_the_shares_of_the_roles(visit: Visit, about: Callable[..., CaseEvidence]) -> None:
    given = answer(answer(make_assumptions(), "expert_days", 3.0), "legal_days", 2.0)
    evidence = about(assumptions=given)
    app = visit("roi", plan=evidence.plan_id)
    assert field(app, "4. Person-days to start").value == "15"
    type_in(app, "4. Person-days to start", "３０")
    rows = sources(app)
    days = {row["Figure"].replace("\\", ""): row["Value"] for _, row in rows.iterrows() if "Effort to start" in row["Figure"]}
    assert days["Effort to start: engineer (days)"] == "20"
    assert days["Effort to start: legal and security (days)"] == "4"


def test_the_price_of_an_error_is_empty_until_someone_fills_it(visit: Visit, billed: CaseEvidence) -> None:
    app = visit("roi", plan=billed.plan_id)
    assert field(app, "5. What a wrong answer costs").value == ""
    assert "no price given" in said(app)
    type_in(app, "5. What a wrong answer costs", "5,000円")
    assert field(app, "5. What a wrong answer costs").value == "5,000"
    assert not app.error


# Scenarios


def test_presets_are_made_of_what_was_entered_and_left_again(visit: Visit, billed: CaseEvidence) -> None:
    app = visit("roi", plan=billed.plan_id)
    as_entered = app.metric[0].value
    scenario = next(one for one in app.selectbox if one.label == "Scenario")
    scenario.set_value("cautious").run()
    cautious = app.metric[0].value
    next(one for one in app.selectbox if one.label == "Scenario").set_value("bold").run()
    assert len({as_entered, cautious, app.metric[0].value}) == 3
    next(one for one in app.selectbox if one.label == "Scenario").set_value("").run()
    assert app.metric[0].value == as_entered


def test_a_scenario_is_saved_found_again_and_deleted(visit: Visit, client: Client, billed: CaseEvidence) -> None:
    app = visit("roi", plan=billed.plan_id)
    type_in(app, "Monthly bill for fine-tuning", "2400000")
    type_in(app, "Name of the scenario", "twice the bill")
    app.button(key="roi_save").click().run()
    (stored,) = client.cases(billed.plan_id)
    assert stored.name == "twice the bill"
    again = visit("roi", plan=billed.plan_id, case=stored.id)
    assert field(again, "Monthly bill for fine-tuning").value == "2,400,000"
    again.button(key=f"roi_delete_{stored.id}").click().run()
    assert not client.cases(billed.plan_id)


def test_scenarios_stand_side_by_side(visit: Visit, billed: CaseEvidence) -> None:
    app = visit("roi", plan=billed.plan_id)
    app.session_state.roi_beside = True
    app.run()
    assert not app.exception
    beside = next(table.value for table in app.table if "cautious" in table.value.columns)
    assert list(beside.columns) == ["Figure", "shown now", "cautious", "standard", "bold"]


def test_a_case_file_made_elsewhere_opens_and_a_broken_one_is_refused(visit: Visit, client: Client, billed: CaseEvidence) -> None:
    app = visit("roi", plan=billed.plan_id)
    case = make_case(billed, answer(make_assumptions(), "bill_training_per_month", 3_000_000.0))
    for data, words in ((b"{]", "JSON"), (b'{"kind": "business_case"}', "")):
        app.file_uploader(key="roi_file").set_value(("case.json", data, "application/json")).run()
        app.button(key="roi_open_file").click().run()
        assert not app.exception
        assert app.error
        assert words in str(app.error[0].value)
    app.file_uploader(key="roi_file").set_value(("case.json", case.model_dump_json().encode(), "application/json")).run()
    app.button(key="roi_open_file").click().run()
    assert not app.exception
    assert field(app, "Monthly bill for fine-tuning").value == "3,000,000"
    given = answer(make_assumptions(), "bill_training_per_month", 4_000_000.0)
    app.file_uploader(key="roi_file").set_value(("assumptions.json", given.model_dump_json().encode(), "application/json")).run()
    app.button(key="roi_open_file").click().run()
    assert field(app, "Monthly bill for fine-tuning").value == "4,000,000"


# Changing any assumption


def test_every_group_of_assumptions_can_be_opened(visit: Visit, about: Callable[..., CaseEvidence]) -> None:
    evidence = about("serving", served())
    app = visit("roi", plan=evidence.plan_id)
    app.session_state.roi_edit = True
    app.run()
    groups = {title: name for name, title in TITLES.items()}
    for title in next(one for one in app.radio if one.label == "Group").options:
        next(one for one in app.radio if one.label == "Group").set_value(groups[title]).run()
        assert not app.exception, (title, app.exception[0].stack_trace)


def test_a_range_the_wrong_way_round_is_said(visit: Visit, billed: CaseEvidence) -> None:
    app = visit("roi", plan=billed.plan_id)
    app.session_state.roi_edit = True
    app.run()
    next(one for one in app.radio if one.label == "Group").set_value("bill").run()
    least = [one for one in app.text_input if one.label == "Least"]
    least[-1].set_value("90").run()
    assert "Put them in order" in problems(app)
    assert "last answer" in said(app)


def test_who_confirmed_a_figure_and_where_it_comes_from_is_kept(visit: Visit, billed: CaseEvidence) -> None:
    app = visit("roi", plan=billed.plan_id)
    n = len([one for one in app.table if "Source" in one.value.columns])
    app.session_state.roi_edit = True
    app.run()
    next(one for one in app.text_input if one.label == "Source").set_value("invoice of October").run()
    next(one for one in app.text_input if one.label == "Confirmed by").set_value("K. Mori").run()
    rows = sources(app)
    assert n == 1
    assert "K. Mori" in set(rows["Confirmed by"])
    assert any("invoice of October" in source for source in rows["Source"])


# Where it leads


def test_the_briefing_is_about_the_figures_that_were_entered(visit: Visit, billed: CaseEvidence) -> None:
    app = visit("roi", plan=billed.plan_id)
    type_in(app, "Monthly bill for fine-tuning", "2400000")
    bill = app.metric[0].value
    app.button(key="next_step").click().run()
    assert not app.exception, app.exception and app.exception[0].stack_trace
    app.switch_page("pages/roi.py").run()
    assert field(app, "Monthly bill for fine-tuning").value == "2,400,000"
    assert app.metric[0].value == bill


def test_files_can_be_taken_away_with_the_case_in_the_plan(visit: Visit, client: Client, billed: CaseEvidence) -> None:
    from pages.ui import roi_downloads

    case = make_case(billed, make_assumptions())
    packed = roi_downloads.zipped(case)
    assert packed[:2] == b"PK"
    app = visit("roi", plan=billed.plan_id)
    labels = [one.label for one in app.get("download_button")] if app.get("download_button") else []
    assert {"Download case.json", "Download plan.json", "Every table as CSV"} <= set(labels)
    found = json.loads(client.plan(billed.plan_id).model_copy(update={"business_case": case}).model_dump_json())
    assert found["business_case"]["id"] == case.id


def test_the_page_speaks_japanese(visit: Visit, billed: CaseEvidence) -> None:
    app = visit("roi", plan=billed.plan_id, locale="ja-JP")
    assert "か月" in app.title[0].value
    shown = said(app)
    english = [word for word in ("Figure", "Saving", "month", "assumed", "measured", "Payback", "starting value") if word in shown]
    assert not english
    assert "円" in app.metric[0].value


def test_an_address_with_a_case_opens_its_plan(visit: Visit, client: Client) -> None:
    stored = client.cases()[-1]
    app = visit("roi", case=stored.id)
    assert next(one for one in app.selectbox if one.label == "Scenario").value == stored.id
    assert client.case(stored.id).evidence.plan_name in said(app)


def test_a_rerun_reads_nothing_again(visit: Visit, billed: CaseEvidence, parsed: list[str]) -> None:
    app = visit("roi", plan=billed.plan_id)
    assert parsed
    parsed.clear()
    app.run()
    assert not parsed


def test_no_business_page_loads_torch() -> None:
    code = """
import sys
from streamlit.testing.v1 import AppTest
app = AppTest.from_file("app.py", default_timeout=60).run()
for page in ("roi", "briefing", "stages"):
    app.switch_page(f"pages/{page}.py").run()
    assert not app.exception, app.exception
heavy = {"torch", "transformers", "captum", "peft"} & set(sys.modules)
assert not heavy, heavy
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr[-2000:]
