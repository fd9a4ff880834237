"""The Verify page: before the run, while it runs, and with every verdict it can have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from analysis.contracts import Job, Machine, Message, Plan, Progress, Verification
from analysis.planning import propose_plan
from analysis.runs.client import Client
from pages.ui.guardrail_form import usual
from pages.ui.verdicts import change_words, estimate_words
from pages.ui.verify_cost import calibration_rows, cost_rows
from tests.measured_builders import make_cost_point, make_verification

Visit = Callable[..., AppTest]
StoreProfile = Callable[..., str]
StoreVerification = Callable[..., Verification]
HOSTILE = "<script>alert(1)</script> [x](javascript:alert(1)) **b** :red[r] $a$ `c`"


@pytest.fixture
def plan(client: Client, store_profile: StoreProfile) -> Plan:
    """A stored plan with its run."""
    run = store_profile()
    made = propose_plan(client.profile(run), amount="10%", name="three layers")
    client.save_plan(made, "three layers")
    return client.plan(made.id)


@pytest.fixture
def verified(client: Client, plan: Plan) -> StoreVerification:
    """Stores a made-up verification of the plan, as run on this machine."""

    def stored(**changes: Any) -> Verification:
        here = client.devices()[0].name
        machine = Machine(device="cpu", device_name=here, dtype="float32", started_at="2026-04-03T10:00:00+00:00", seconds=212.0)
        document = make_verification(plan, **({"machine": machine} | changes))
        found = client.import_document(document.model_dump_json().encode(), "verification.json")[1]
        return client.verification(found)

    return stored


def said(app: AppTest) -> str:
    kinds = (app.title, app.header, app.markdown, app.caption, app.error, app.warning, app.info, app.text)
    tables = "\n".join(table.value.to_string() for table in app.table)
    return ("\n".join(str(element.value) for kind in kinds for element in kind) + tables).replace("\\", "")


def primary(app: AppTest) -> list[str]:
    return [button.label for button in app.button if button.proto.type == "primary"]


def test_without_a_plan_the_way_to_one_is_shown(visit: Visit, store_profile: StoreProfile) -> None:
    store_profile()
    app = visit("verify")
    assert "No plan is chosen yet" in app.title[0].value
    assert primary(app) == ["Go to Plans"]


def test_a_stored_plan_can_be_chosen_here(visit: Visit, plan: Plan) -> None:
    app = visit("verify")
    app.selectbox(key="plan_to_verify").set_value(plan.id).run()
    assert "has not been run yet" in app.title[0].value
    assert app.query_params["plan"] == plan.id


def test_a_plan_that_was_not_run_asks_for_limits_first(visit: Visit, plan: Plan) -> None:
    app = visit("verify", plan=plan.id)
    assert "three layers" in app.title[0].value
    assert primary(app) == ["Verify it"]
    assert "perplexity<=+5%" in app.text_area[0].value
    assert "80 verification examples, none of which was used to make the plan" in said(app)


@pytest.mark.parametrize(
    "line", ["perplexity", "perplexity<=", "nonsense<=5%", "perplexity>=5%", "flips<=1.5abs", "<b>x</b><=1x", "x" * 300]
)
def test_a_limit_that_cannot_be_read_is_said_as_it_is_typed_and_nothing_starts(visit: Visit, plan: Plan, line: str) -> None:
    app = visit("verify", plan=plan.id)
    app.text_area(key=f"guardrails_{plan.id}").set_value(f"perplexity<=+5%\n{line}").run()
    assert len(app.error) == 1
    assert app.button(key="verify").disabled


def test_no_limit_is_allowed_and_said(visit: Visit, plan: Plan) -> None:
    app = visit("verify", plan=plan.id)
    app.text_area(key=f"guardrails_{plan.id}").set_value(" \n").run()
    assert not app.button(key="verify").disabled
    assert "there is no verdict" in said(app)


def test_the_helper_adds_a_limit(visit: Visit, plan: Plan) -> None:
    app = visit("verify", plan=plan.id)
    key = f"guardrails_{plan.id}"
    app.selectbox(key=f"metric_{key}").set_value("flips").run()
    app.selectbox(key=f"slice_{key}_quality").set_value("critical").run()
    app.button(key=f"add_{key}").click().run()
    assert app.text_area(key=key).value.splitlines()[-1] == "flips@critical<=10%"
    assert not app.error


@pytest.mark.parametrize("n_critical", [0, 3, 12, 60, 400])
def test_the_usual_limits_are_ones_that_so_few_cases_can_decide(n_critical: int) -> None:
    limits = usual(n_critical)
    shares = [float(limit.partition("<=")[2].rstrip("%")) / 100 for limit in limits if limit.startswith("flips")]
    assert all(1 - 0.05 ** (1 / n_critical) <= share for share in shares)


def test_the_run_gets_the_limits_the_settings_and_only_the_plans_own_prompts(
    visit: Visit, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    progress = Progress(stage=Message(id="Loading the model"), done=1, total=2, eta_seconds=42)
    job = Job(id="j1", kind="verify", state="running", device="cpu", name="x", created_at="2026", progress=progress)

    def submit(self: Client, request: Any, **_: Any) -> Job:
        asked.append(request)
        return job

    monkeypatch.setattr(Client, "submit_verify", submit)
    monkeypatch.setattr(Client, "job", lambda self, job_id: job)
    monkeypatch.setattr(Client, "ensure_worker", lambda self, device: None)
    app = visit("verify", plan=plan.id)
    app.number_input(key="verify_answers").set_value(8).run()
    app.button(key="verify").click().run()
    assert asked[0].plan.id == plan.id
    assert asked[0].guardrails[0] == "perplexity<=+5%"
    assert asked[0].settings.generate == 8
    assert asked[0].workload_paths == ()
    assert app.progress[0].value == 50
    assert app.query_params["verify_job"] == "j1"
    assert app.button(key="verify").disabled


def test_a_finished_run_is_shown_at_once(visit: Visit, plan: Plan, verified: StoreVerification, monkeypatch: pytest.MonkeyPatch) -> None:
    found = verified(verdict="within")
    job = Job(id="j1", kind="verify", state="done", device="cpu", name="x", created_at="2026", result_id=found.id)
    monkeypatch.setattr(Client, "job", lambda self, job_id: job)
    app = visit("verify", plan=plan.id, verify_job="j1")
    assert "Within limits" in app.title[0].value
    assert "verify_job" not in app.query_params


def test_a_failed_run_says_why(visit: Visit, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    job = Job(
        id="j1", kind="verify", state="failed", device="cpu", name="x", created_at="2026", error=Message(id="This model has no layers.")
    )
    monkeypatch.setattr(Client, "job", lambda self, job_id: job)
    app = visit("verify", plan=plan.id, verify_job="j1")
    assert [error.value for error in app.error] == ["This model has no layers."]
    assert primary(app) == ["Verify it"]


@pytest.mark.parametrize(
    ("verdict", "word", "step"),
    [
        ("within", "within limits", "Take the plan away"),
        ("outside", "outside limits", "Make another plan"),
        ("undecided", "not enough data", "Verify it"),
        (None, "no limit was set", "Take the plan away"),
    ],
)
def test_each_verdict_is_a_word_with_its_next_step(
    visit: Visit, plan: Plan, verified: StoreVerification, verdict: Any, word: str, step: str
) -> None:
    verified(verdict=verdict)
    app = visit("verify", plan=plan.id)
    assert word in said(app)
    assert primary(app) == [step]
    assert ("Not recommended" in said(app)) == (verdict == "outside")
    for chart in app.get("plotly_chart"):
        assert chart.proto.alt


@pytest.mark.parametrize("verdict", ["within", "outside", "undecided", None])
def test_each_verdict_is_said_in_japanese(visit: Visit, plan: Plan, verified: StoreVerification, verdict: Any) -> None:
    verified(verdict=verdict)
    app = visit("verify", plan=plan.id, locale="ja-JP")
    headings = [element.value for kind in (app.header, app.subheader) for element in kind if element.value != "verification.json"]
    assert all(any("\u3040" <= sign <= "\u9fff" for sign in heading) for heading in headings), headings


def test_evidence_stands_below_the_verdict(visit: Visit, plan: Plan, verified: StoreVerification) -> None:
    verified(verdict="outside")
    text = said(visit("verify", plan=plan.id))
    for needed in (
        "order entry",
        "critical prompts",
        "example-000",
        "Time to read the prompt",
        "Halves of layers that ran",
        "of 24 generated",
    ):
        assert needed in text, needed


def test_changed_answers_come_first_and_texts_can_be_hidden(visit: Visit, plan: Plan, verified: StoreVerification) -> None:
    verified(verdict="outside")
    app = visit("verify", plan=plan.id)
    assert "Order of 30 bearings." in [element.value for element in app.text]
    app.toggle(key="hide_texts").set_value(True).run()
    assert not app.text


def test_a_verification_without_texts_cost_or_projection_is_shown_all_the_same(
    visit: Visit, plan: Plan, verified: StoreVerification
) -> None:
    verified(verdict=None, texts=False, cost=False, projection_errors=(), critical=None)
    text = said(visit("verify", plan=plan.id))
    assert "No answers are stored" in text
    assert "were not measured" in text


def test_another_machines_times_are_said_to_be_another_machines(
    visit: Visit, client: Client, plan: Plan, verified: StoreVerification
) -> None:
    far = Machine(device="cuda:0", device_name="Elsewhere 9000", dtype="bfloat16", started_at="2026-04-03T10:00:00+00:00", seconds=20.0)
    verified(verdict="within", machine=far)
    assert "measured on another machine" in said(visit("verify", plan=plan.id))


def test_earlier_verifications_can_be_chosen_and_the_choice_stands_in_the_address(
    visit: Visit, plan: Plan, verified: StoreVerification
) -> None:
    first, second = verified(verdict="outside"), verified(verdict="within")
    app = visit("verify", plan=plan.id)
    app.selectbox(key="verification_shown").set_value(first.id).run()
    assert "Outside limits" in app.title[0].value
    assert app.query_params["verification"] == first.id
    assert "Within limits" in visit("verify", plan=plan.id, verification=second.id).title[0].value


def test_a_verification_that_is_gone_is_passed_over(visit: Visit, plan: Plan, verified: StoreVerification) -> None:
    verified(verdict="within")
    assert "Within limits" in visit("verify", plan=plan.id, verification="gone").title[0].value


def test_hostile_names_and_texts_stay_text(visit: Visit, client: Client, store_profile: StoreProfile) -> None:
    run = store_profile(slices=(HOSTILE, "two"))
    plan = propose_plan(client.profile(run), amount="10%")
    client.save_plan(plan, HOSTILE)
    bad = make_verification(plan, verdict="outside", slices=(HOSTILE, "two"))
    worse = tuple(one.model_copy(update={"prompt": HOSTILE, "plan": HOSTILE, "reference": HOSTILE}) for one in bad.generations)
    client.import_document(bad.model_copy(update={"generations": worse}).model_dump_json().encode(), "verification.json")
    app = visit("verify", plan=plan.id)
    kinds = (app.title, app.markdown, app.caption, app.error, app.warning, app.info)
    text = "\n".join(str(element.value) for kind in kinds for element in kind)
    text += "\n".join(table.value.to_string() for table in app.table)
    assert "<script>" not in text
    assert "](javascript" not in text
    assert " :red[" not in text


def test_changes_are_said_with_a_word_and_no_finer_than_their_interval() -> None:
    found = make_cost_point().prefill_ms.ratio
    assert change_words(found) == "12% less (−15% to −9%)"
    assert estimate_words(make_verification().quality.top1_agreement, share=True) == "93.0% (91.0% to 95.0%)"


def test_every_measured_cost_has_its_row_and_what_is_not_known_has_none() -> None:
    rows = cost_rows(make_cost_point())
    titles = [next(iter(row.values())) for row in rows]
    assert not any("Peak" in str(title) or "Energy" in str(title) for title in titles)
    assert len([title for title in titles if "95th percentile" in str(title)]) == 2
    assert any("Writing speed, reached in 95% of runs" in str(title) for title in titles)


def test_calibration_counts_how_often_the_measurement_fell_into_the_range() -> None:
    errors = [make_verification(verdict="within").projection_errors, make_verification(verdict="outside").projection_errors]
    row = next(row for row in calibration_rows(errors) if "Perplexity" in str(row["Figure"]))
    assert row["Comparisons"] == 2
    assert row["In the range"] == "1 of 2"


def test_overview_shows_state_and_verdict_of_each_plan(visit: Visit, plan: Plan, verified: StoreVerification) -> None:
    verified(verdict="outside")
    text = said(visit("overview"))
    assert "outside limits" in text
    assert "not recommended" in text


def test_overview_leads_an_unverified_plan_to_verification(visit: Visit, plan: Plan) -> None:
    assert primary(visit("overview", plan=plan.id)) == ["Verify this plan"]


def test_taking_the_plan_away_opens_the_export_where_the_button_was(visit: Visit, plan: Plan, verified: StoreVerification) -> None:
    verified()
    app = visit("verify", plan=plan.id)
    assert primary(app) == ["Take the plan away"]
    app.button(key="next_step").click().run()
    assert not app.exception
    assert primary(app) == ["Export the model folder"]


def test_an_earlier_verification_says_what_the_newest_one_found(visit: Visit, plan: Plan, verified: StoreVerification) -> None:
    earlier = verified(verdict="within")
    machine = earlier.machine.model_copy(update={"started_at": "2026-05-03T10:00:00+00:00"})
    verified(verdict="outside", machine=machine)
    newest = client_newest(visit("verify", plan=plan.id))
    shown = visit("verify", plan=plan.id, verification=earlier.id if newest != earlier.id else f"verification-{plan.id}-outside")
    assert any("This is an earlier verification. The newest one says" in warning.value for warning in shown.warning)
    assert not any("earlier verification" in warning.value for warning in visit("verify", plan=plan.id).warning)


def client_newest(app: AppTest) -> str:
    """The verification that the page shows when nobody asked for one."""
    return str(app.selectbox(key="verification_shown").value)


def test_a_limit_on_a_slice_that_the_workload_lacks_is_said_at_once(visit: Visit, plan: Plan) -> None:
    app = visit("verify", plan=plan.id)
    app.text_area(key=f"guardrails_{plan.id}").set_value("perplexity@nowhere<=+5%").run()
    assert any('has no slice "nowhere"' in warning.value for warning in app.warning)
    app.text_area(key=f"guardrails_{plan.id}").set_value("perplexity@code<=+5%").run()
    assert not any("has no slice" in warning.value for warning in app.warning)


def test_the_result_is_said_without_the_grammar_of_limits(visit: Visit, plan: Plan, verified: StoreVerification) -> None:
    verified(verdict="undecided")
    for locale in ("en-US", "ja-JP"):
        title = visit("verify", locale=locale, plan=plan.id).title[0].value
        assert "<=" not in title
        assert "4.3%" in title
