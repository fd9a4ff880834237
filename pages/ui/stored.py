"""The stored runs and plans as rows, and what opening, comparing and deleting one means for this visit."""

from __future__ import annotations

import streamlit as st

from analysis.contracts import PlanSummary, RunSummary
from analysis.errors import StrataError
from analysis.i18n.numbers import percent
from analysis.planning import plan_in_words
from pages.ui.charts import forget_charts
from pages.ui.frame import PLAN_STATES, Subject
from pages.ui.language import language, plain, say, title_of, words
from pages.ui.session import chosen, client, forget, go, only_freezes, profile, remember, stored_plan
from pages.ui.shelf import Item, shelf
from pages.ui.verdicts import verdict_mark


def stored_runs(about: Subject) -> None:
    """All runs, newest first."""
    shelf([_run_item(run, about) for run in client().runs()], key="run")


def stored_plans(about: Subject) -> None:
    """All plans with their state, newest first."""
    shelf([_plan_item(plan, about) for plan in client().plans()], key="plan")


def _open_run(run_id: str) -> None:
    """Makes a run the one that all pages are about, and shows it."""
    remember("run", run_id)
    forget("plan")
    forget("ranking")
    go("similarity")


def _compare_runs(run_id: str) -> None:
    """Sets a run beside the one in use."""
    remember("compare", f"run:{run_id}")
    go("similarity")


def _delete_run(run_id: str) -> None:
    """Deletes a run and forgets that it was in use."""
    client().delete_run(run_id)
    profile.clear(run_id)  # another file may come in under the same id later
    st.cache_data.clear()
    forget_charts()
    if chosen("run") == run_id:
        forget("run")


def _open_plan(plan_id: str) -> None:
    """Shows a stored plan where its kind is made, on the run that it was made from where that is still there."""
    use_plan(plan_id)
    go("freeze" if client().plan(plan_id).eof_layer is not None else "plans")


def _verify_plan(plan_id: str) -> None:
    """Shows what a stored plan's verification found, or where it is started."""
    use_plan(plan_id)
    go("verify")


def _try_plan(plan_id: str) -> None:
    """Shows what a freeze plan's trial found, or where it is started."""
    use_plan(plan_id)
    go("trials")


def use_plan(plan_id: str) -> None:
    """Makes a stored plan what this visit is about, with the run that it was made from where that is still there."""
    remember("plan", plan_id)
    forget("verification")
    forget("trial")
    forget("healing")
    forget("robustness")
    forget("set")
    made_from = client().plan(plan_id).provenance.profile_id
    if made_from in {run.id for run in client().runs()}:
        remember("run", made_from)


def _compare_plans(plan_id: str) -> None:
    """Sets a plan beside the one in use."""
    remember("compare_plan", plan_id)
    go("plans")


def _delete_plan(plan_id: str) -> None:
    """Deletes a plan and forgets that it was in use."""
    client().delete_plan(plan_id)
    if chosen("plan") == plan_id:
        forget("plan")


def _run_item(run: RunSummary, about: Subject) -> Item:
    """A run as a row."""
    used = bool(about.run and about.run.id == run.id)
    marks = f":gray-badge[{words()('sample')}]" if run.is_sample else ""
    return Item(run.id, run.name, lambda: _run_facts(run), used, _open_run, client().rename_run, _delete_run, _compare_runs, marks)


def _run_facts(run: RunSummary) -> str:
    return words()(
        "{model} · {workload} · prompts: {n}, tokens: {tokens} · {device} · {date}",
        model=plain(run.model_name),
        workload=plain(run.workload_name),
        n=run.n_examples,
        tokens=run.n_tokens,
        device=plain(run.device_name),
        date=run.created_at[:10],
    )


def _plan_item(plan: PlanSummary, about: Subject) -> Item:
    """A plan as a row."""
    used, freezes = bool(about.plan and about.plan.id == plan.id), plan.eof_layer is not None
    return Item(
        plan.id,
        title_of(plan.name, plan.is_sample),
        lambda: _plan_facts(plan),
        used,
        _open_plan,
        client().rename_plan,
        _delete_plan,
        None if freezes else _compare_plans,
        plan_marks(plan),
        None if only_freezes(plan) else _verify_plan,
        _try_plan if freezes else None,
    )


def plan_marks(plan: PlanSummary) -> str:
    """A plan's state and verdict in words; one that missed its limits is not recommended, and says so."""
    t = words()
    marks = [f":gray-badge[{t('sample')}]"] if plan.is_sample else []
    marks.append(f":gray-badge[{t(PLAN_STATES[plan.state])}]")
    if plan.eof_layer is not None:
        marks.append(f":gray-badge[{kept_words(plan)}]")
    if only_freezes(plan):
        return " ".join(marks)
    if plan.verdict or plan.state == "draft":
        marks.append(verdict_mark(plan.verdict))
    if plan.verdict == "outside":
        marks.append(f"**{t('not recommended')}**")
    return " ".join(marks)


def kept_words(plan: PlanSummary) -> str:
    """What a freeze plan's newest trial kept of full fine-tuning's gain, in words."""
    t = words()
    if plan.kept_gain is None:
        return t("not tried yet") if plan.state == "draft" else t("kept gain not known")
    return t("kept {share} of the gain", share=percent(plan.kept_gain, language()))


def _plan_facts(plan: PlanSummary) -> str:
    try:
        operations = say(plan_in_words(stored_plan(plan)))
    except StrataError as error:  # its file is gone or damaged: the row stays, so that it can be deleted
        operations = say(error)
    return words()("{model} · {operations} · {date}", model=plain(plan.model_name), operations=operations, date=plan.created_at[:10])
