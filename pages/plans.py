"""Plans: how much to take out, which layers that is and why, what it should save; saved, downloaded, compared."""

import streamlit as st

from analysis.contracts import Freeze
from analysis.errors import StrataError
from analysis.planning import check_plan, plan_in_words
from analysis.reporting import headlines
from analysis.reporting.charts.small import savings_rows
from analysis.reporting.charts.stack import stack_figure
from pages.ui.charts import draw, look
from pages.ui.evidence import download_rows, how_do_we_know, section
from pages.ui.frame import empty_state, footer, headline, standing, stop_with, subject
from pages.ui.language import say, words
from pages.ui.messages import stopping_on_errors
from pages.ui.plan_form import controls, proposed
from pages.ui.plan_shelf import compare_box, save_box, saved_box, show_comparison, upload_box
from pages.ui.plan_view import method_of, projection_table, reasons_table, warnings_of
from pages.ui.session import ensure_session, profile, stored_plan
from pages.ui.similarity_charts import bootstrap_words

TERMS = (
    "plan",
    "layer",
    "attention",
    "MLP",
    "prune",
    "skip",
    "Block Influence (BI)",
    "angular distance",
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

answer, choices = st.container(), st.container(border=about.plan is None)
keep, beside = st.columns([5, 3], gap="medium", vertical_alignment="bottom")
try:
    if about.plan:
        with keep:
            plan = saved_box(stored_plan(about.plan.id, about.plan.name), about.plan, found.model)
    else:
        with choices:
            asked = controls(found)
        plan = proposed(about.run.id, asked, found)
        with keep:
            save_box(plan)
except StrataError as error:
    stop_with(answer, about, error, TERMS)
with answer:
    headline(say(headlines.plans(plan)))
    standing(about, sample=headlines.is_sample(found))

problems = check_plan(plan, found.model)
for problem in problems:
    st.error(say(problem), icon=":material/error:")
with beside:
    other = compare_box(plan)
if other:
    show_comparison(plan, other)
left, right = st.columns([6, 5], gap="large")
with left:
    section(t("The layers, and what the plan does to them"), "measured")
    first = plan.operations[0]
    shown = [one for one in (plan, other) if one and one.model.n_blocks == found.n_blocks]
    unit = "block" if isinstance(first, Freeze) else first.unit
    draw(
        lambda: stack_figure(found.model, look(), stack=found.stack, profile=found, plans=shown, unit=unit),
        of=(about.run.id, unit, *((one.id, one.name) for one in shown)),
        key="plan_stack",
        alt=t("The model's layers as a stack of bars. {plan}.", plan=plan_in_words(plan)),
    )
with right:
    section(t("What it should save"), "projected")
    if plan.projection:
        st.dataframe(projection_table(plan.projection), hide_index=True, alt=t("Projected figures before and after the plan"))
        st.caption(t("For requests of {n} tokens: an assumption that you can change above.", n=plan.projection.context_tokens))
        download_rows(savings_rows(plan.projection, look()), "projection.csv", key="projection")
    st.info(
        t("What this does to quality is not known until the plan is verified. A small change is not yet safe to remove."),
        icon=":material/help:",
    )

section(t("Which layers, and why"), "measured")
warnings_of(plan)
meaning, source = method_of(plan)
reasons = reasons_table(plan)
if len(reasons):
    st.dataframe(reasons, hide_index=True, alt=t("The removed layers with the figures that speak for and against each"))
counts = found.counts
how_do_we_know(
    formula=meaning,
    source=source,
    sample=t("{n} prompts, {tokens} tokens", n=counts.n_examples, tokens=counts.n_prompt + counts.n_response),
    interval=bootstrap_words(found),
    rows=reasons,
    file_name="reasons.csv",
    key="plan",
)
upload_box(found.model)
footer(TERMS)
