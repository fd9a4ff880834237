"""Overview: what was found last, the model as a stack, and everything that is stored."""

import streamlit as st

from analysis.reporting import headlines
from analysis.reporting.charts.anatomy import stack_rows
from analysis.reporting.charts.stack import stack_figure
from pages.ui.charts import draw, look
from pages.ui.evidence import how_do_we_know, section
from pages.ui.frame import footer, headline, standing, subject
from pages.ui.imports import import_box
from pages.ui.language import say, words
from pages.ui.messages import stopping_on_errors
from pages.ui.next_step import doors, step_after
from pages.ui.session import client, ensure_session, profile, stored_plan
from pages.ui.similarity_charts import bootstrap_words, sample_words
from pages.ui.stored import stored_plans, stored_runs

TERMS = (
    "layer",
    "workload",
    "slice",
    "critical case",
    "plan",
    "measured",
    "projected",
    "verification",
    "confidence interval",
    "prune",
    "skip",
    "freeze",
)

ensure_session("overview")
t, about = words(), subject()
plans = client().plans()
if about.run is None:
    headline(t("Nothing was measured yet: choose a model and its prompts, and see which of its layers change little."))
    standing(about, next_label=t("I examine a model"), next_page="workload")
    st.markdown(t("The sample model and the sample workload come with Strata; a first run with them is a good start."))
else:
    with stopping_on_errors():
        found = profile(about.run.id)
        plan = stored_plan(about.plan) if about.plan else None
    sample = headlines.is_sample(found)
    ranked = client().rankings_for(found.model.commit, found.stack, found.workload.content_hash)
    step = step_after(about, plans, sample, ranked=bool(ranked))
    headline(say(headlines.overview(found, step.message)))
    standing(about, next_label=step.label, next_page=step.page, sample=sample)

left, right = st.columns([6, 5], gap="large") if about.run else (st.empty(), st.container())
with left:
    if about.run is not None:
        section(t("The model as a stack of layers"), "measured")
        shown = [plan] if plan and plan.model.n_blocks == found.n_blocks else []
        draw(
            lambda: stack_figure(found.model, look(), stack=found.stack, profile=found, plans=shown),
            of=(about.run.id, *(one.id for one in shown)),
            key="stack",
            alt=t("The model's layers as a stack of bars; beside each bar a dot shows how much the layer changes."),
        )
        if few := headlines.too_few_prompts(found):
            st.caption(say(few))
        how_do_we_know(
            formula=t("1 - mean cosine between what enters and what leaves a layer; 0: unchanged, 2: turned around"),
            source="ShortGPT (arXiv 2403.03853)",
            sample=sample_words(found.overall, ""),
            interval=bootstrap_words(found),
            rows=stack_rows(found.model, look(), profile=found, plans=shown),
            file_name="stack.csv",
            key="stack",
        )
with right:
    doors(about, plans)
    st.header(t("Plans"), anchor=False)
    stored_plans(about)
    if not plans:
        st.caption(t("No plan is stored yet. A plan says which layers are taken out, and on what evidence."))
    st.header(t("Runs"), anchor=False)
    stored_runs(about)
    if about.run is None:
        st.caption(t("No run is stored yet. A run is one measurement of a model on its prompts."))
    import_box()
footer(TERMS)
