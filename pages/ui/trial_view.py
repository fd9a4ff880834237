"""What a trial found: curves, what every way of training cost and gained, checks, what was projected beside what came out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal

import streamlit as st

from analysis.contracts import Estimate, ProjectionError, Trial, TrialArm
from analysis.i18n import N_
from analysis.i18n.numbers import amount, number, percent, size
from analysis.reporting.charts import training as charts
from analysis.reporting.training_words import FIGURES, STOPS, arm
from pages.ui.charts import draw, look
from pages.ui.evidence import Rows, download_rows, section, table
from pages.ui.glossary import term
from pages.ui.language import language, plain, say, words
from pages.ui.session import client
from pages.ui.similarity_view import slice_title
from pages.ui.verdicts import estimate_words

AGAINST: dict[charts.Against, str] = {"tokens": N_("tokens"), "seconds": N_("seconds")}
FEW_ARMS = 5
CACHED_STEP = N_("Time of a step with the cached output")


def origin_of_trial(found: Trial) -> Literal["measured", "elsewhere"]:
    """Whether it ran here; times of another machine are not this one's."""
    return "measured" if _ran_here(found.id, found.machine.device_name) else "elsewhere"


@st.cache_data(show_spinner=False, max_entries=64)
def _ran_here(trial_id: str, device_name: str) -> bool:
    return device_name in {device.name for device in client().devices()}


def arm_words(found: TrialArm) -> str:
    """A way of training in words, as plain text."""
    return say(arm(found)).replace("\\", "")


def show_curves(found: Trial) -> None:
    """How the loss fell along the training, by tokens or by measured seconds."""
    t = words()
    section(t("How the loss fell"), origin_of_trial(found), help=term("trial fine-tune"))
    shown = found.arms
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        against = st.radio(
            t("Along"),
            list(AGAINST),
            format_func=lambda name: t(AGAINST[name]),
            horizontal=True,
            key="curves_against",
            persist_state="session",
            width="content",
        )
        if len(shown) > FEW_ARMS and not st.toggle(t("Every boundary that was tried"), key="curves_all", persist_state="session"):
            shown = tuple(one for one in shown if one.kind != "freeze" or one is found.own)
    draw(
        partial(charts.learning_curves, shown, look(), against=against or "tokens"),
        of=(found.id, against, len(shown)),
        key="learning",
        alt=charts.learning_curves_alt(shown, look()),
    )


def show_arms(found: Trial) -> None:
    """Every way of training: what it gained and kept, what a step took."""
    t = words()
    section(t("What each way of training gained"), origin_of_trial(found))
    table(arm_rows(found), alt=t("Every way of training with its gain, its cost and how it ended"))
    download_rows([_arm_row(one) | _cost_row(one) | _more_of(one) for one in _ordered(found)], "trial.csv", key="arms")
    st.caption(
        t(
            "Loss in nats per response token on {n} examples that nothing learns from; kept: share of full fine-tuning's gain at the same "
            "number of tokens; at equal time: at the same measured seconds, above 100% is better.",
            n=found.verification_counts.n_examples,
        )
    )


def arm_rows(found: Trial) -> Rows:
    """What every way of training gained, the plan's own boundary first."""
    return _told([_arm_row(one) for one in _ordered(found)])


def _ordered(found: Trial) -> list[TrialArm]:
    return sorted(found.arms, key=lambda one: (one is not found.own, one.kind != "full", one.kind, one.eof_layer))


def _told(rows: list[dict[str, object]]) -> Rows:
    """The table without columns that say nothing in any row: a phone has little room."""
    told = {head for row in rows for head, value in row.items() if value != ""}
    return [{head: value for head, value in row.items() if head in told} for row in rows]


def _arm_row(one: TrialArm) -> dict[str, object]:
    t, code = words(), language()
    return {
        t("Way of training"): arm_words(one),
        t("Kept gain (95% interval)"): estimate_words(one.kept_at_tokens, share=True),
        t("Gain (95% interval)"): estimate_words(one.reduction),
        t("At equal time"): "" if one.kept_at_cost is None else percent(one.kept_at_cost, code),
        t("Loss, before to after"): _before_after(one),
        t("How it ended"): "" if one.stop == "done" else t(STOPS[one.stop]),
    }


def cost_rows(found: Trial) -> Rows:
    """What a step of every way of training took."""
    return _told([_cost_row(one) for one in _ordered(found)])


def _cost_row(one: TrialArm) -> dict[str, object]:
    t, code, cost = words(), language(), one.cost
    return {
        t("Way of training"): arm_words(one),
        t("Step"): t("{n} ms", n=number(cost.first_epoch_ms.p50, code, 1)),
        t("Step, cached"): "" if cost.later_epochs_ms is None else t("{n} ms", n=number(cost.later_epochs_ms.p50, code, 1)),
        t("Peak memory"): "" if cost.peak_memory_bytes is None else size(cost.peak_memory_bytes, code),
        t("Weights that train"): amount(one.n_trainable, code),
        t("Learning rate"): f"{one.learning_rate:g}",
    }


def _before_after(one: TrialArm) -> str:
    before, after, code = one.loss_before.value, one.loss_after.value, language()
    if before is None or after is None:
        return words()("not known")
    return f"{number(before, code, 2)} → {number(after, code, 2)}"


def _more_of(one: TrialArm) -> dict[str, object]:
    """What only the file has room for."""
    t, code = words(), language()
    tried = "; ".join(f"{rate}: {t('diverged') if loss is None else number(loss, code, 3)}" for rate, loss in one.tried.items())
    return {
        t("Learning rates tried, loss on the tuning part"): tried,
        t("Steps"): one.cost.n_steps,
        t("Tokens per second"): number(one.cost.tokens_per_second, code, 0),
        t("Energy (Wh)"): "" if one.cost.energy_wh is None else number(one.cost.energy_wh, code),
    }


def show_costs(found: Trial) -> None:
    """Time and memory of a training step, as bars."""
    t = words()
    section(t("What a training step took"), origin_of_trial(found))
    draw(partial(charts.step_bars, found, look()), of=(found.id,), key="step_bars", alt=charts.step_alt(found, look()))
    table(cost_rows(found), alt=t("Time, memory and weights of a training step, by way of training"))
    draw(partial(charts.memory_bars, found, look()), of=(found.id,), key="memory_bars", alt=charts.memory_alt(found, look()))
    download_rows(charts.cost_rows(found, look()), "cost.csv", key="trial_cost")


def show_projections(found: Trial) -> None:
    """Each projected figure of the plan's own boundary beside the measured one."""
    t = words()
    section(t("Projected against measured"), origin_of_trial(found), help=term("projected"))
    if not found.projection_errors:
        st.caption(t("Nothing was projected for this training, so there is nothing to compare."))
        return
    rows = [_error_row(error) for error in found.projection_errors]
    table(rows, alt=t("Projected and measured figures of training side by side"))
    download_rows(rows, "projected_against_measured.csv", key="trial_errors")


def _error_row(error: ProjectionError) -> dict[str, object]:
    t, code = words(), language()
    name = error.quantity.partition("@")[0]
    title = t(CACHED_STEP) if name == "cached_step_ms" else t(FIGURES[name]) if name in FIGURES else name
    off = percent(abs(error.error_share), code, 1)
    said = (
        t("exact")
        if not round(error.error_share * 1000)
        else t("{percent} too high", percent=off)
        if error.error_share > 0
        else t("{percent} too low", percent=off)
    )
    return {
        t("Figure"): title,
        t("Projected"): _quantity(name, error.projected),
        t("Measured"): _quantity(name, error.measured),
        t("Projection was"): said,
    }


def _quantity(name: str, value: float) -> str:
    code = language()
    if name.endswith("_bytes"):
        return size(value, code)
    if name.endswith("_ms"):
        return words()("{n} ms", n=number(value, code))
    return amount(value, code)


def show_checks(found: Trial) -> None:
    """Whether what was frozen stayed as it was, in words."""
    t = words()
    section(t("Checks"), origin_of_trial(found))
    if changed := [one for one in found.arms if one.frozen_identical is False]:
        st.error(t("Frozen weights changed in: {arms}. Do not use this trial.", arms=_names(changed)), icon=":material/error:")
    elif any(one.frozen_identical for one in found.arms):
        st.markdown(t("Every frozen weight is bit for bit what it was."))
    if pulled := [one for one in found.arms if one.gradient_free is False]:
        said = t("Weights below the boundary had gradients in: {arms}. The saving is smaller than it should be.", arms=_names(pulled))
        st.error(said, icon=":material/error:")
    elif any(one.gradient_free for one in found.arms):
        st.markdown(t("No weight below the boundary ever had a gradient, so nothing was computed for it."))
    st.caption(
        t(
            "{n} examples trained, {tuning} more chose the learning rates, {judges} others judged.",
            n=found.n_training,
            tuning=found.n_tuning,
            judges=found.verification_counts.n_examples,
        )
    )
    for note in (*found.notes, *(note for one in found.arms for note in one.notes)):
        st.caption(say(note))


def _names(arms: Sequence[TrialArm]) -> str:
    return plain(", ".join(map(arm_words, arms)))


def show_slices(found: Trial) -> None:
    """The gain for each kind of work: the plan's own boundary beside full fine-tuning."""
    t, own = words(), found.own
    full = next((one for one in found.arms if one.kind == "full"), None)
    if own is None or not own.slices:
        return
    section(t("Gain by kind of work"), origin_of_trial(found), help=term("slice"))
    rows = [
        {
            t("Slice"): slice_title(name),
            t("With the plan"): estimate_words(gained, digits=2),
            t("Everything trained"): _of(full, name),
        }
        for name, gained in own.slices.items()
    ]
    table(rows, alt=t("Loss taken off each slice, by the plan and by full fine-tuning"))
    st.caption(t("Nats per response token taken off the loss; more is better."))


def _of(one: TrialArm | None, name: str) -> str:
    found: Estimate | None = one.slices.get(name) if one else None
    return estimate_words(found, digits=2)


def curve_rows(found: Trial) -> Rows:
    """Every point of every curve, as a table."""
    return charts.learning_rows(found, look())
