"""What a healing found: losses of uncut, cut, healed and control, by slice and along the training, and what it took."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial

import streamlit as st

from analysis.contracts import Estimate, HealArm, Healing, Progress
from analysis.i18n import N_, render
from analysis.i18n.numbers import amount, duration, number, size
from analysis.reporting.charts import healing as charts
from analysis.reporting.healing_words import METHODS, STOPS, arm, arms
from pages.ui.charts import draw, draw_now, look
from pages.ui.evidence import Rows, download_rows, how_do_we_know, section, table
from pages.ui.glossary import term
from pages.ui.language import language, plain, say, words
from pages.ui.ran_here import origin_here
from pages.ui.similarity_view import slice_title
from pages.ui.verdicts import estimate_words

ALONG: Mapping[charts.Along, str] = {"steps": N_("training steps"), "seconds": N_("seconds")}
_LARGEST = 700.0
"""Losses beyond which the perplexity is no number that a computer writes."""


def show_losses(found: Healing) -> None:
    """The models side by side, and their perplexities."""
    t = words()
    section(t("What the cut cost, and what came back"), origin_here(found), help=term("healing"))
    draw(partial(charts.losses_figure, found, look()), of=(found.id,), key="heal_losses", alt=charts.losses_alt(found, look()))
    table(loss_rows(found), alt=t("Loss and perplexity of the uncut, cut, healed and control model"))
    download_rows(loss_rows(found), "healing.csv", key="heal_losses")


def loss_rows(found: Healing) -> Rows:
    """One row a model, on the verification half."""
    t = words()
    return [
        {
            t("Model"): name,
            t("Loss (nats a token, 95% interval)"): estimate_words(loss, digits=3),
            t("Perplexity"): _perplexity(loss),
        }
        for name, _, loss in charts.loss_rows_of(found, look())
    ]


def _perplexity(loss: Estimate) -> str:
    if loss.value is None or loss.value > _LARGEST:
        return words()("not known")
    return number(math.exp(loss.value), language())


def show_heal_curves(found: Healing) -> None:
    """The loss along every training, by steps or by measured seconds."""
    t = words()
    section(t("How the loss fell"), origin_here(found))
    names: list[charts.Along] = list(ALONG)
    along = st.radio(t("Along"), names, format_func=lambda name: t(ALONG[name]), horizontal=True, key="heal_along", persist_state="session")
    draw(
        partial(charts.curves_figure, found, look(), along=along or "steps"),
        of=(found.id, along),
        key="heal_curves",
        alt=charts.curves_alt(found, look()),
    )


def show_heal_slices(found: Healing) -> None:
    """What came back by kind of work, the slice that is worst off first."""
    t = words()
    if not found.slices:
        return
    section(t("By kind of work"), origin_here(found), help=term("slice"))
    names = {name: slice_title(name) for name in found.slices}
    left, right = st.columns([4, 5], gap="large")
    with left:
        draw(
            partial(charts.slices_figure, found.slices, look(), names=names),
            of=(found.id,),
            key="heal_slices",
            alt=t("Chart: loss of the uncut, cut, healed and control model for each slice; the table beside it has the figures."),
        )
    with right:
        table(slice_rows(found), alt=t("Losses by slice, the slice that is worst off after healing first"))
        st.caption(t("Nats a token with 95% interval; the slice that is worst off after healing comes first."))
        download_rows(slice_rows(found), "healing_slices.csv", key="heal_slices")


def slice_rows(found: Healing) -> Rows:
    """The slices' losses, the slice that is worst off first."""
    t = words()
    return [
        {t("Slice"): slice_title(name)}
        | {t(title): estimate_words(getattr(found.slices[name], part), digits=2) for part, title in charts.PARTS.items()}
        | {t("Number of prompts"): found.slices[name].n_examples}
        for name in charts.worst_first(found.slices)
    ]


def show_heal_cost(found: Healing) -> None:
    """What every training took: time, memory, energy where the device tells it."""
    t = words()
    section(t("What it took"), origin_here(found))
    rows = cost_rows(found)
    table(rows, alt=t("Time, memory and weights of every training"))
    download_rows(rows, "healing_cost.csv", key="heal_cost")


def cost_rows(found: Healing) -> Rows:
    """One row a training; columns that say nothing in any row are left out."""
    rows = [_cost_row(one) for one in arms(found)]
    told = {head for row in rows for head, value in row.items() if value != ""}
    return [{head: value for head, value in row.items() if head in told} for row in rows]


def _cost_row(one: HealArm) -> dict[str, object]:
    t, code = words(), language()
    return {
        t("Training"): render(arm(one), code),
        t("Time"): duration(one.seconds, code),
        t("With all learning rates"): duration(one.all_seconds, code) if one.all_seconds else "",
        t("Of it, the uncut model as teacher"): "" if one.teacher_seconds is None else duration(one.teacher_seconds, code),
        t("Peak memory"): "" if one.peak_memory_bytes is None else size(one.peak_memory_bytes, code),
        t("Energy (Wh)"): "" if one.energy_wh is None else number(one.energy_wh, code),
        t("Weights that train"): f"{amount(one.n_trainable, code)} ({t(METHODS[one.method])})",
        t("Learning rate"): f"{one.learning_rate:g}",
        t("Best step"): one.best_step,
        t("How it ended"): t(STOPS[one.stop]),
    }


def show_parts(found: Healing) -> None:
    """Which examples did what, where the model went, and what the run had to remark."""
    t = words()
    st.caption(
        t(
            "Three parts without an example in common: {train} trained, {selection} chose rates and stops, {report} judged.",
            train=found.n_train,
            selection=found.n_selection,
            report=found.n_report,
        )
    )
    if found.folder is not None:
        difference = t("not known") if found.reload_difference is None else f"{found.reload_difference:.2g}"
        written = t(
            "The healed model is in {folder}. Reloaded, its logits differ by {difference} at most.",
            folder=plain(found.folder),
            difference=difference,
        )
        st.markdown(f":material/folder: {written}")
    for note in found.notes:
        st.caption(say(note))
    for one in arms(found):
        for note in one.notes:
            st.caption(t("{run}: {note}", run=say(arm(one)), note=say(note)))


def how_healing(found: Healing) -> None:
    """Formula, source, sample and interval, with every point of the curves."""
    t = words()
    how_do_we_know(
        formula=t(
            "recovered = (cut - healed) / (cut - uncut); against the control = 1 - (healed - control) / (cut - uncut), losses in nats"
        ),
        source=t("Real training on the first half of the examples; the loss is taken on the second half, from which nothing is learnt"),
        sample=t("{n} prompts, {tokens} tokens", n=found.n_report, tokens=found.verification_counts.n_tokens),
        interval=t("95%, paired bootstrap over prompts, {n} replicates", n=found.settings.replicates),
        rows=charts.curve_rows(found, look()),
        file_name="healing_curves.csv",
        key="healing",
    )


def show_heal_live(progress: Progress | None) -> None:
    """The trainings so far, inside the box of the job; the frame is there from the start, so that nothing jumps."""
    t = words()
    figure, alt, rows = charts.heal_live(progress, look())
    draw_now(figure, alt=alt, key="heal_live")
    with st.expander(t("These figures as a table"), icon=":material/table:", key="heal_live_table"):
        if not rows:
            st.caption(t("The first figures are not there yet."))
            return
        st.dataframe(rows, hide_index=True, height=240, alt=t("Loss so far of every way of training, as a table"))
