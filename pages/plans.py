"""Plans: how much to take out, which layers that is and why, what it should save and cost; saved, moved on, taken away."""

from functools import partial

import streamlit as st

from analysis.contracts import Freeze, Plan
from analysis.errors import StrataError
from analysis.planning import DEFAULT_CONTEXT_TOKENS, check_plan, plan_in_words
from analysis.reporting import headlines
from analysis.reporting.charts.small import savings_rows
from analysis.reporting.charts.stack import stack_figure
from pages.ui.charts import draw, look
from pages.ui.evidence import download_rows, how_do_we_know, section, table
from pages.ui.exports import export_box
from pages.ui.frame import empty_state, footer, headline, next_of_plan, standing, stop_with, subject
from pages.ui.language import plain, say, words
from pages.ui.latency_box import latency_box
from pages.ui.messages import stopping_on_errors
from pages.ui.pareto import show_front
from pages.ui.plan_shelf import compare_box, save_box, saved_box, show_comparison, upload_box, with_figures
from pages.ui.plan_state import state_box
from pages.ui.plan_view import method_of, projection_table, quality_note, reasons_table, sample_of, warnings_of
from pages.ui.plan_ways import freeze_door, made_plan, vote_door
from pages.ui.search_job import measure_more, watch_search
from pages.ui.session import ensure_session, profile, search_of, stored_plan
from pages.ui.stored import plan_marks

TERMS = (
    "plan",
    "layer",
    "attention",
    "MLP",
    "prune",
    "skip",
    "Block Influence (BI)",
    "angular distance",
    "ablation",
    "perplexity",
    "calibration / verification examples",
    "FLOPs",
    "KV cache",
    "projected",
    "assumed",
)

ensure_session("plans")
t, about = words(), subject()
if about.run is None:
    empty_state(about, t("There is nothing to plan from yet: a plan is made from the figures of a run."))
with stopping_on_errors():
    found = profile(about.run.id)
    search = search_of(about.run.id)

answer, running, choices = st.container(), st.container(), st.container(border=about.plan is None)
if search is None:
    with running:
        watch_search()
keep, beside = st.columns([5, 3], gap="medium", vertical_alignment="bottom")
plan: Plan | None = None
made: Plan | None = None
problem: StrataError | None = None
try:
    if about.plan:
        with keep:
            stored = made = stored_plan(about.plan)
            plan = saved_box(stored, about.plan, found.model, search)
    else:
        with choices:
            made = plan = made_plan(about.run.id, found, search)
        if made and made.projection:
            plan = with_figures(made, found.model, made.projection.context_tokens, search)
            with keep:
                save_box(made)
except StrataError as error:
    problem = error
if problem and not search:
    stop_with(answer, about, problem, TERMS)
with answer:
    unknown = t("What removing layers of {model} costs has not been measured yet.", model=plain(found.model.name))
    headline(say(problem) if problem else say(headlines.plans(plan)) if plan else unknown)
    if about.plan and about.plan.verdict:
        st.markdown(plan_marks(about.plan))
    label, page = next_of_plan(about.plan) if about.plan else (None, None)
    standing(about, next_label=label, next_page=page, sample=headlines.is_sample(found))
if about.plan:
    state_box(about.plan)

other = None
if plan:
    for wrong in check_plan(plan, found.model):
        st.error(say(wrong), icon=":material/error:")
    with beside:
        other = compare_box(plan)
    if other:
        show_comparison(plan, other)
left, right = st.columns([6, 5], gap="large")
with left:
    first = plan.operations[0] if plan else None
    unit = "block" if first is None or isinstance(first, Freeze) else first.unit
    section(t("The layers, and what the plan does to them") if plan else t("The model as a stack of layers"), "measured")
    shown = [one for one in (plan, other) if one and one.model.n_blocks == found.n_blocks]
    draw(
        partial(stack_figure, found.model, look(), stack=found.stack, profile=found, plans=shown, unit=unit),
        of=(about.run.id, unit, *((one.id, one.name) for one in shown)),
        key="plan_stack",
        alt=t("The model's layers as a stack of bars. {plan}.", plan=plan_in_words(plan) if plan else found.model.name),
    )
    if plan and made:
        section(t("Which layers, and why"), "measured")
        warnings_of(plan)
        meaning, source = method_of(made)
        reasons = reasons_table(made)
        if len(reasons):
            st.dataframe(reasons, hide_index=True, alt=t("The removed layers with the figures that speak for and against each"))
        sample, interval = sample_of(made, found, search)
        how_do_we_know(formula=meaning, source=source, sample=sample, interval=interval, rows=reasons, file_name="reasons.csv", key="plan")
with right:
    if search:
        tokens = plan.projection.context_tokens if plan and plan.projection else DEFAULT_CONTEXT_TOKENS
        show_front(found, search, plan, tokens)
        measure_more(found, search)
    if plan:
        section(t("What it should save"), "projected")
    if plan and plan.projection:
        table(projection_table(plan.projection), alt=t("Projected figures before and after the plan"))
        st.caption(t("For requests of {n} tokens: an assumption that you can change above.", n=plan.projection.context_tokens))
        download_rows(savings_rows(plan.projection, look()), "projection.csv", key="projection")
        latency_box(found)
    if plan:
        st.info(quality_note(plan.projection), icon=":material/help:")
    vote_door()
    freeze_door()

if plan:
    section(t("Take the plan away"), None)
    export_box(plan, found.model)
upload_box(found.model)
footer(TERMS)
