"""The Stages page: bad input first, then a rollout from the proposal to its last stage, in both languages."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import pytest
from streamlit.testing.v1 import AppTest

from analysis.contracts import ChecklistItem, MonitoringRow, Plan, Rehearsal, Rollout, Semantics, Stage, StageEvent
from analysis.economics.case import make_case
from analysis.planning.freeze import propose_freeze
from analysis.runs.client import Client
from tests.business_builders import make_assumptions, make_rollout
from tests.trained_builders import make_semantics, make_trial

Visit = Callable[..., AppTest]
StoreProfile = Callable[..., str]
StoreRollout = Callable[..., Rollout]
HOSTILE = "<script>alert(1)</script> [x](javascript:alert(1)) **b** :red[r] $a$ `c`"
CHECKS = ("training", "legal", "security", "licence", "privacy", "monitoring", "rollback", "critical_cases", "owner", "budget")
TODAY = date.today()
SLICES = ("inspection notes", "order entry", "customer mail")
HEAD = "date,slice,requests,on_plan,checked,changed,wrong,wrong_original,latency_ms,latency_ms_original"


@pytest.fixture
def traced(client: Client, store_profile: StoreProfile) -> Semantics:
    """Stored traces with their run, and none of the bundled plans."""
    for stored in client.plans():
        client.delete_plan(stored.id)
    found = client.profile(store_profile())
    traces = make_semantics(found.n_blocks, profile=found, model=found.model)
    return client.semantics(client.import_document(traces.model_dump_json().encode(), "semantics.json")[1])


@pytest.fixture
def draft(client: Client, traced: Semantics) -> Plan:
    """A stored freeze plan that nobody tried."""
    made = propose_freeze(traced.model, semantics=traced, eof_layer=19, workload=None)
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
    assumptions = make_assumptions(starts_on=TODAY.replace(day=1).isoformat(), accept_other_device=True)
    client.save_case(make_case(client.evidence(plan.id), assumptions))
    return plan


@pytest.fixture
def staged(client: Client) -> StoreRollout:
    """Stores a rollout that is ready to start, or as it is changed."""

    def stored(plan: Plan, **changes: object) -> Rollout:
        ready = {
            "plan_id": plan.id,
            "stages": tuple(stage_of(number) for number in (1, 2)),
            "checklist": tuple(ChecklistItem(name=name, done=True, who="Legal", on="2026-11-20") for name in CHECKS),  # type: ignore[arg-type]
            "rehearsal": Rehearsal(minutes=12, on="2026-11-20", who="Operations", steps=("Switch the route back",)),
            "events": (StageEvent(stage=0, action="approve", who="Board", at=f"{TODAY}T08:00:00+00:00"),),
        }
        rollout = make_rollout(**(ready | changes))
        client.save_rollout(rollout)
        return rollout

    return stored


def stage_of(number: int, **changes: object) -> Stage:
    given = {
        "number": number,
        "compression": 0.15,
        "slices": SLICES[: number + 1],
        "traffic": 0.2,
        "weeks": 1,
        "guardrails": ("latency_ms<=1.1x",),
        "owner": "A. Sato",
        "starts_on": TODAY.isoformat(),
        "start_days": 5,
    }
    return Stage.model_validate(given | changes)


def days(n: int, slices: tuple[str, ...] = SLICES) -> tuple[MonitoringRow, ...]:
    """Quiet days up to yesterday."""
    return tuple(
        MonitoringRow(
            date=(TODAY - timedelta(days=n - place)).isoformat(),
            slice=name,
            requests=500,
            on_plan=100,
            checked=80,
            changed=0,
            wrong=1,
            wrong_original=1,
            perplexity_ratio=1.01,
            latency_ms=90,
            latency_ms_original=100,
        )
        for place in range(n)
        for name in slices
    )


def said(app: AppTest) -> str:
    kinds = (app.title, app.header, app.subheader, app.markdown, app.caption, app.error, app.warning, app.info)
    tables = "\n".join(table.value.to_string() for table in app.table)
    return ("\n".join(str(element.value) for kind in kinds for element in kind) + tables).replace("\\", "").replace("\u2060", "")


def primary(app: AppTest) -> list[str]:
    return [button.label for button in app.button if button.proto.type == "primary"]


def at_tab(app: AppTest, label: str) -> AppTest:
    app.session_state["stages_tabs"] = label
    app.run()
    assert not app.exception, app.exception[0].stack_trace
    return app


def press(app: AppTest, label: str) -> AppTest:
    found = next(button for button in app.button if button.label == label)
    found.click().run()
    assert not app.exception, app.exception[0].stack_trace
    return app


def field(elements: object, start: str) -> object:
    """The widget whose key begins so."""
    return next(one for one in elements if one.key and one.key.startswith(start))  # type: ignore[attr-defined]


def decide(app: AppTest, action: str, who: str = "A. Sato", note: str = "", stage: int | None = None) -> AppTest:
    at_tab(app, "Decide")
    if stage is not None:
        field(app.selectbox, "decide_stage_").set_value(stage).run()  # type: ignore[attr-defined]
    field(app.radio, "decide_action_").set_value(action)  # type: ignore[attr-defined]
    field(app.text_input, "decide_who_").set_value(who)  # type: ignore[attr-defined]
    field(app.text_input, "decide_note_").set_value(note)  # type: ignore[attr-defined]
    return press(app, "Keep this decision")


# Bad input


def test_without_a_plan_the_page_says_what_comes_first(visit: Visit, traced: Semantics) -> None:
    app = visit("stages")
    assert "There is no proposal to decide on yet" in app.title[0].value
    assert primary(app) == ["Go to Plans"]


def test_a_decision_without_a_name_is_refused_and_nothing_is_kept(visit: Visit, client: Client, plan: Plan, staged: StoreRollout) -> None:
    before = staged(plan)
    app = decide(visit("stages", plan=plan.id), "approve", who="  ")
    assert "Nobody is named" in said(app)
    assert client.rollout(plan.id) == before


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"events": ()}, "nobody has approved it"),
        ({"checklist": (ChecklistItem(name="legal"),)}, "the checklist is open"),
        ({"rehearsal": None}, "has not been rehearsed"),
    ],
)
def test_a_stage_does_not_start_before_everything_is_settled(
    visit: Visit, client: Client, plan: Plan, staged: StoreRollout, changes: dict[str, object], reason: str
) -> None:
    before = staged(plan, **changes)
    app = decide(visit("stages", plan=plan.id), "start")
    assert reason in said(app)
    assert client.rollout(plan.id) == before
    assert client.plans()[0].state == "verified"


def test_a_plan_that_was_never_run_does_not_go_into_use(visit: Visit, client: Client, draft: Plan, staged: StoreRollout) -> None:
    before = staged(draft)
    app = decide(visit("stages", plan=draft.id), "start")
    assert 'A plan that is "draft" cannot become "in pilot"' in said(app)
    assert client.rollout(draft.id) == before


def test_what_someone_else_changed_meanwhile_is_not_overwritten(
    visit: Visit, client: Client, plan: Plan, staged: StoreRollout, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = staged(plan)
    theirs = before.model_copy(update={"review_on": "2027-12-01"})
    app = at_tab(visit("stages", plan=plan.id), "Decide")
    client.save_rollout(theirs)
    real = Client.rollout
    monkeypatch.setattr(Client, "rollout", lambda self, plan_id, language="en": before)
    field(app.text_input, "decide_who_").set_value("A. Sato")  # type: ignore[attr-defined]
    press(app, "Keep this decision")
    monkeypatch.setattr(Client, "rollout", real)
    assert "was changed on another page" in said(app)
    assert client.rollout(plan.id) == theirs


@pytest.mark.parametrize(
    ("start", "value", "named"),
    [("limits_", "faster please", "Limits watched daily"), ("limits_", "perplexity<=", "Limits watched daily")],
)
def test_a_field_that_cannot_be_used_is_named_with_the_reason(
    visit: Visit, client: Client, plan: Plan, staged: StoreRollout, start: str, value: str, named: str
) -> None:
    before = staged(plan)
    app = at_tab(visit("stages", plan=plan.id), "Change the stages")
    field(app.text_area, start).set_value(value)  # type: ignore[attr-defined]
    press(app, "Keep this stage")
    assert named in "\n".join(error.value for error in app.error)
    assert client.rollout(plan.id) == before


def test_dates_in_the_wrong_order_are_refused_in_words(visit: Visit, client: Client, plan: Plan, staged: StoreRollout) -> None:
    before = staged(plan)
    app = at_tab(visit("stages", plan=plan.id), "Change the stages")
    field(app.date_input, "review_on_").set_value(date(2020, 1, 1))  # type: ignore[attr-defined]
    press(app, "Keep dates and people")
    assert app.error
    assert client.rollout(plan.id) == before


def test_a_rehearsal_is_kept_only_whole(visit: Visit, client: Client, plan: Plan, staged: StoreRollout) -> None:
    staged(plan, rehearsal=None)
    app = press(visit("stages", plan=plan.id), "Keep the rehearsal")
    assert "fill in the minutes (above 0), who did it" in said(app)
    assert client.rollout(plan.id).rehearsal is None  # type: ignore[union-attr]


def test_a_tick_needs_a_name(visit: Visit, client: Client, plan: Plan, staged: StoreRollout) -> None:
    staged(plan, checklist=(ChecklistItem(name="legal"),))
    app = visit("stages", plan=plan.id)
    field(app.checkbox, "check_legal").check()  # type: ignore[attr-defined]
    press(app, "Keep the checklist")
    assert "A tick needs a name" in said(app)
    assert not client.rollout(plan.id).checklist[0].done  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not,a,table\n1,2,3\n",
        bytes(range(256)),
        f"{HEAD}\n2026-13-45,order entry,5,5,,,,,,\n".encode(),
        f"{HEAD}\n{TODAY - timedelta(days=1)},order entry,5,50,,,,,,\n".encode(),
        f"{HEAD}\n{TODAY - timedelta(days=1)},no such slice,5,5,,,,,,\n".encode(),
        f"{HEAD}\n{TODAY - timedelta(days=1)},order entry,many,5,,,,,,\n".encode(),
    ],
)
def test_a_bad_file_of_days_is_refused_in_one_sentence(visit: Visit, client: Client, plan: Plan, staged: StoreRollout, data: bytes) -> None:
    before = staged(plan)
    app = at_tab(visit("stages", plan=plan.id), "Watch")
    app.file_uploader[0].set_value(("days.csv", data, "text/csv")).run()
    assert len(app.error) == 1
    assert not app.exception
    assert "Keep these figures" not in [button.label for button in app.button]
    assert client.rollout(plan.id) == before


@pytest.mark.parametrize(
    "data", [b"", b"month\n2026-12\n", "月,請求額,件数\n2026-12,千円,5\n".encode(), b"month,bill,requests\n2026-12,-5,1\n"]
)
def test_a_bad_bill_is_refused_in_one_sentence(visit: Visit, billed: Plan, staged: StoreRollout, data: bytes) -> None:
    staged(billed)
    app = at_tab(visit("stages", plan=billed.id), "Plan against actual")
    app.file_uploader[0].set_value(("bill.csv", data, "text/csv")).run()
    assert len(app.error) == 1
    assert not app.exception


def test_names_and_notes_of_others_are_shown_as_they_are(visit: Visit, plan: Plan, staged: StoreRollout) -> None:
    said_by = StageEvent(stage=0, action="note", who=HOSTILE, at=f"{TODAY}T08:00:00+00:00", note=HOSTILE)
    staged(plan, events=(said_by,), rehearsal=Rehearsal(minutes=3, on="2026-11-20", who=HOSTILE, steps=(HOSTILE,)), plan_name=HOSTILE)
    app = visit("stages", plan=plan.id)
    at_tab(app, "Decide")
    shown = "\n".join(str(element.value) for kind in (app.markdown, app.caption) for element in kind)
    shown += "\n".join(table.value.to_string() for table in app.table)
    assert "<script>" not in shown
    assert "[x](javascript" not in shown


# The way through


def test_the_stages_of_a_plan_outside_its_limits_say_that_it_is_not_recommended(visit: Visit, client: Client) -> None:
    outside = next(plan for plan in client.plans() if plan.verdict == "outside")
    for page in ("stages", "roi"):
        app = visit(page, plan=outside.id)
        assert any("Not recommended: the test missed a limit" in str(one.value) for one in app.error), page


def test_the_stages_of_a_plan_that_nobody_tried_lead_to_its_test(visit: Visit, draft: Plan) -> None:
    app = visit("stages", plan=draft.id)
    assert any("nothing has been run yet" in str(one.value) for one in app.warning)
    assert "Try it" in [button.label for button in app.button]
    assert primary(app) == ["Prepare the briefing"]


def test_stages_begin_as_a_proposal_and_say_so(visit: Visit, client: Client, plan: Plan) -> None:
    app = visit("stages", plan=plan.id)
    assert "Stage 1 of" in app.title[0].value
    assert "a proposal made from the plan" in said(app)
    assert primary(app) == ["Prepare the briefing"]
    assert len(app.get("plotly_chart")) == 1
    assert client.rollout(plan.id) is None


def test_a_stage_runs_from_its_start_to_the_end_and_the_plan_follows(
    visit: Visit, client: Client, plan: Plan, staged: StoreRollout
) -> None:
    staged(plan)
    decide(visit("stages", plan=plan.id), "start", note="as agreed")
    assert client.plans()[0].state == "in_pilot"
    assert client.rollout(plan.id).current.number == 1  # type: ignore[union-attr]
    decide(visit("stages", plan=plan.id), "pass", note="quiet weeks")
    decide(visit("stages", plan=plan.id), "start")
    app = decide(visit("stages", plan=plan.id), "pass", note="quiet weeks")
    assert client.plans()[0].state == "rolled_out"
    assert [event.state for event in client.plan_history(plan.id)][-3:] == ["in_pilot", "approved", "rolled_out"]
    events = client.rollout(plan.id).events  # type: ignore[union-attr]
    assert [event.action for event in events] == ["approve", "start", "pass", "start", "pass"]
    assert "A. Sato (as entered, not verified)" in said(app)
    assert "All 2 stages are passed." in app.title[0].value


def test_stopping_the_project_withdraws_the_plan(visit: Visit, client: Client, plan: Plan, staged: StoreRollout) -> None:
    staged(plan)
    decide(visit("stages", plan=plan.id), "stop", note="another way was found")
    assert client.plans()[0].state == "withdrawn"


def test_rolling_back_and_holding_are_kept_with_what_was_advised(visit: Visit, client: Client, plan: Plan, staged: StoreRollout) -> None:
    staged(plan)
    decide(visit("stages", plan=plan.id), "start")
    decide(visit("stages", plan=plan.id), "hold")
    decide(visit("stages", plan=plan.id), "resume")
    decide(visit("stages", plan=plan.id), "roll_back", note="too slow")
    rollout = client.rollout(plan.id)
    assert rollout is not None
    assert rollout.stages[0].state == "rolled_back"
    assert rollout.events[-1].advice == "hold", "what was advised at that moment"


def test_days_are_read_said_back_and_kept(visit: Visit, client: Client, plan: Plan, staged: StoreRollout) -> None:
    staged(plan)
    day = TODAY - timedelta(days=1)
    data = "日付,区分,件数,プラン処理件数,確認件数,変化件数\r\n" + f"{day.year}年{day.month}月{day.day}日,order entry,１２３４,200,40,1\r\n"
    app = at_tab(visit("stages", plan=plan.id), "Watch")
    app.file_uploader[0].set_value(("days.csv", data.encode("cp932"), "text/csv")).run()
    assert "read as Shift" in said(app)
    assert "1 line read" in said(app)
    press(app, "Keep these figures")
    rows = client.rollout(plan.id).monitoring  # type: ignore[union-attr]
    assert [(row.requests, row.on_plan, row.changed) for row in rows] == [(1234, 200, 1)]


def test_limits_are_held_against_the_days_in_a_managers_words(visit: Visit, plan: Plan, staged: StoreRollout) -> None:
    started = StageEvent(stage=1, action="start", who="A. Sato", at=f"{TODAY - timedelta(days=8)}T08:00:00+00:00")
    running = (stage_of(1, state="running", guardrails=("latency_ms<=1.1x", "perplexity<=+5%")), stage_of(2))
    staged(plan, stages=running, events=(started,), monitoring=days(7))
    app = at_tab(visit("stages", plan=plan.id), "Watch")
    text = said(app)
    assert "Quality loss: at most +5" in text
    assert not any("perplexity" in table.value.to_string().lower() for table in app.table)
    assert "Time to read a request" in text


def test_the_bill_is_held_against_the_plan(visit: Visit, client: Client, billed: Plan, staged: StoreRollout) -> None:
    staged(billed)
    app = at_tab(visit("stages", plan=billed.id), "Plan against actual")
    assert "No month is in yet" in said(app)
    app.file_uploader[0].set_value(
        ("請求.csv", f"月,請求額（円）,件数\r\n{TODAY:%Y-%m},1150000,12000\r\n".encode("cp932"), "text/csv")
    ).run()
    assert "read as Shift" in said(app)
    press(app, "Keep these months")
    assert [row.bill for row in client.rollout(billed.id).actuals] == [1_150_000]  # type: ignore[union-attr]
    app = at_tab(visit("stages", plan=billed.id), "Plan against actual")
    assert {metric.label for metric in app.metric} == {"Payback as planned", "Payback as it looks now"}
    assert len(app.get("plotly_chart")) == 3


def test_without_figures_the_stages_are_there_and_the_way_to_the_money(visit: Visit, plan: Plan) -> None:
    app = visit("stages", plan=plan.id)
    assert "enter your figures on the ROI page" in said(app)
    assert "answer the questions on the ROI page first" in said(at_tab(app, "Plan against actual"))


def test_what_each_stage_costs_brings_and_risks(visit: Visit, billed: Plan) -> None:
    tables = [table.value for table in visit("stages", plan=billed.id).table]
    assert any("At stake" in "".join(map(str, table.columns)).replace("\u2060", "") for table in tables)


def test_a_stage_is_changed_and_kept(visit: Visit, client: Client, plan: Plan) -> None:
    app = at_tab(visit("stages", plan=plan.id), "Change the stages")
    field(app.number_input, "traffic_").set_value(10.0)  # type: ignore[attr-defined]
    field(app.text_input, "owner_").set_value("B. Ito")  # type: ignore[attr-defined]
    press(app, "Keep this stage")
    stage = client.rollout(plan.id).stages[0]  # type: ignore[union-attr]
    assert (stage.traffic, stage.owner) == (0.1, "B. Ito")


def test_a_stage_is_added_after_the_last_and_shown_for_changing(visit: Visit, client: Client, plan: Plan) -> None:
    app = at_tab(visit("stages", plan=plan.id), "Change the stages")
    n = len(app.selectbox(key=f"edit_{plan.id}").options)
    press(app, f"Add stage {n + 1}")
    rollout = client.rollout(plan.id)
    assert rollout is not None
    assert [stage.number for stage in rollout.stages] == list(range(1, n + 2))
    assert app.selectbox(key=f"edit_{plan.id}").value == n + 1
    press(app, f"Add stage {n + 2}")
    assert len(client.rollout(plan.id).stages) == n + 2  # type: ignore[union-attr]


def test_before_a_stage_is_deleted_the_page_asks(visit: Visit, client: Client, plan: Plan, staged: StoreRollout) -> None:
    before = staged(plan, stages=tuple(stage_of(number) for number in (1, 2, 3)), events=())
    app = at_tab(visit("stages", plan=plan.id), "Change the stages")
    app.selectbox(key=f"edit_{plan.id}").set_value(2).run()
    press(app, "Delete stage 2")
    assert "no decision is lost" in said(app)
    assert {"Delete", "Keep it"} <= {button.label for button in app.button}
    assert client.rollout(plan.id) == before


def test_a_stage_with_a_record_cannot_be_deleted_and_the_reason_is_said(
    visit: Visit, client: Client, plan: Plan, staged: StoreRollout
) -> None:
    approved = StageEvent(stage=2, action="approve", who="Board", at=f"{TODAY}T08:00:00+00:00")
    before = staged(plan, events=(approved,))
    app = at_tab(visit("stages", plan=plan.id), "Change the stages")
    assert "something is recorded of stage 2" in said(app)
    assert next(button for button in app.button if button.label == "Delete stage 1").disabled
    press(app, "Add stage 3")
    rollout = client.rollout(plan.id)
    assert rollout is not None
    assert rollout.events == before.events
    assert rollout.stages[:2] == before.stages


def test_what_was_proposed_in_one_language_is_read_in_the_other_and_can_be_decided_there(visit: Visit, client: Client, plan: Plan) -> None:
    app = at_tab(visit("stages", plan=plan.id), "Change the stages")
    press(app, "Add stage 4" if len(app.selectbox(key=f"edit_{plan.id}").options) == 3 else "Add stage 5")
    stored = client.rollout(plan.id)
    assert stored is not None
    assert stored.stages[0].exit[0].startswith("every limit has held")
    app = visit("stages", locale="ja-JP", plan=plan.id)
    assert "すべて基準内" in said(app)
    assert "every limit has held" not in said(app)
    field(app.checkbox, "check_legal").check()  # type: ignore[attr-defined]
    field(app.text_input, "check_who").set_value("佐藤")  # type: ignore[attr-defined]
    press(app, "確認事項を記録")
    assert [one.who for one in client.rollout(plan.id).events] == ["佐藤"]  # type: ignore[union-attr]


def test_the_days_that_a_stage_asks_for_follow_its_weeks(visit: Visit, client: Client, plan: Plan) -> None:
    app = at_tab(visit("stages", plan=plan.id), "Change the stages")
    field(app.number_input, "weeks_").set_value(2.0)  # type: ignore[attr-defined]
    press(app, "Keep this stage")
    assert client.rollout(plan.id).stages[0].exit[0] == "every limit has held over 10 days with data"  # type: ignore[union-attr]


def test_dates_and_people_are_kept(visit: Visit, client: Client, plan: Plan) -> None:
    app = at_tab(visit("stages", plan=plan.id), "Change the stages")
    field(app.text_input, "role_owner").set_value("A. Sato")  # type: ignore[attr-defined]
    press(app, "Keep dates and people")
    assert client.rollout(plan.id).roles == {"owner": "A. Sato"}  # type: ignore[union-attr]


def test_a_rehearsal_is_kept_with_its_minutes(visit: Visit, client: Client, plan: Plan) -> None:
    app = visit("stages", plan=plan.id)
    app.button(key="start_clock").click().run()
    app.button(key="stop_clock").click().run()
    assert field(app.number_input, "rehearsal_minutes").value >= 0.1  # type: ignore[attr-defined]
    field(app.text_input, "rehearsal_who").set_value("Operations")  # type: ignore[attr-defined]
    field(app.text_area, "rehearsal_steps").set_value("Switch the route back\nWatch one request")  # type: ignore[attr-defined]
    press(app, "Keep the rehearsal")
    tried = client.rollout(plan.id).rehearsal  # type: ignore[union-attr]
    assert tried is not None
    assert tried.steps == ("Switch the route back", "Watch one request")
    assert "Operations (as entered, not verified)" in said(visit("stages", plan=plan.id))


def test_the_checklist_is_kept_with_who_and_when(visit: Visit, client: Client, plan: Plan) -> None:
    app = visit("stages", plan=plan.id)
    field(app.checkbox, "check_legal").check()  # type: ignore[attr-defined]
    field(app.text_input, "check_who").set_value("Legal")  # type: ignore[attr-defined]
    press(app, "Keep the checklist")
    rollout = client.rollout(plan.id)
    assert rollout is not None
    done = {item.name: (item.done, item.who, item.on) for item in rollout.checklist}["legal"]
    assert done == (True, "Legal", TODAY.isoformat()) or done[:2] == (True, "Legal")
    assert [event.action for event in rollout.events] == ["check"]


@pytest.mark.parametrize("tab", ["開始前の準備", "判断", "監視", "予定と実績", "段階の変更", "他システム用の出力"])
def test_every_part_speaks_japanese(visit: Visit, plan: Plan, staged: StoreRollout, tab: str) -> None:
    staged(plan, monitoring=days(3))
    app = at_tab(visit("stages", locale="ja-JP", plan=plan.id), tab)
    assert "第1段階" in app.title[0].value
    assert not app.error
