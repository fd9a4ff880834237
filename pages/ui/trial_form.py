"""Starting a trial: which examples, which ways of training, how long at most."""

from __future__ import annotations

import re
from typing import Any, Literal

import streamlit as st

from analysis.contracts import ArmKind, CacheKind, ModelInfo, Plan, TrialRequest, TrialSettings, WorkloadInfo
from analysis.errors import InputError, StrataError
from analysis.i18n import N_
from analysis.i18n.numbers import duration
from analysis.reporting.training_words import KINDS
from pages.ui.freeze_words import frozen_words
from pages.ui.glossary import term
from pages.ui.job_box import running, started
from pages.ui.language import language, plain, say, words
from pages.ui.messages import saying_errors
from pages.ui.plan_examples import examples_field
from pages.ui.session import client, trial
from pages.ui.workload_form import device_field

Way = Literal["own", "sweep", "release"]
WAYS: dict[Way, str] = {
    "own": N_("The plan's boundary"),
    "sweep": N_("Several boundaries"),
    "release": N_("Free layers until it stops helping"),
}
CACHES: dict[CacheKind, str] = {
    "auto": N_("automatic"),
    "memory": N_("in memory"),
    "disk": N_("on disk"),
    "off": N_("off: compute them every time"),
}
COMPARED: tuple[ArmKind, ...] = ("full", "lora", "lora_freeze")
MOST_RATES, GIB = 8, 1 << 30


def trial_box(plan: Plan, info: ModelInfo | None, workload: WorkloadInfo | None, *, primary: bool) -> None:
    """What is tried, on which examples, and the button that starts it.

    Args:
        plan: the boundary that is put to the test.
        info: its model, where a stored run tells of it.
        workload: what is known of the plan's workload.
        primary: whether starting is the page's next step.
    """
    t = words()
    caption = t("One half of the examples trains; the other half, from which nothing is ever learnt, judges. Only responses count.")
    choice = examples_field(plan, workload, key="trial", caption=caption)
    settings: TrialSettings | None = None
    try:
        settings = _settings(plan)
    except StrataError as error:
        st.error(say(error), icon=":material/error:")
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        pressed = st.button(
            t("Start the trial"),
            type="primary" if primary else "secondary",
            icon=":material/play_arrow:",
            key="start_trial",
            disabled=settings is None or choice is None or running("trial_job"),
        )
        again = st.checkbox(
            t("Train again"),
            key="trial_again",
            help=t("The same plan, examples and settings are answered from the store at once. Tick to train anew."),
        )
    st.caption(_what_it_takes(plan))
    if pressed and choice is not None and settings is not None:
        with saying_errors():
            source = info.source if info and info.commit == plan.model.commit else plan.model.source
            request = TrialRequest(plan=plan, model=source, settings=settings, **choice)
            started("trial_job", client().submit_trial(request, force=again))
            st.rerun()


def _settings(plan: Plan) -> TrialSettings:
    """What is trained and how.

    Raises:
        InputError: a learning rate cannot be read.
    """
    return TrialSettings(stack=plan.model.stack, **_what(plan), **_how(), **_more())


def _what(plan: Plan) -> dict[str, Any]:
    """The arms: the plan's boundary alone or several, and what stands beside them."""
    t, n_blocks = words(), plan.model.n_blocks
    eof_layer = -1 if plan.eof_layer is None else plan.eof_layer
    a, b = st.columns([5, 4], gap="large")
    with a:
        way = st.radio(
            t("What is tried"),
            list(WAYS),
            format_func=lambda name: t(WAYS[name]),
            horizontal=True,
            key="trial_way",
            persist_state="session",
            help=t(
                "Several boundaries side by side show which rule would have chosen well. "
                "Freeing layers starts at the output and goes one step deeper as long as the loss falls by more than its interval."
            ),
        )
        boundaries = _boundaries(n_blocks, eof_layer) if way == "sweep" else ()
    compare = b.multiselect(
        t("Compare with"),
        COMPARED,
        default=["full", "lora"],
        format_func=lambda name: t(KINDS[name]),
        key="trial_compare",
        persist_state="session",
        help=t("Trained on the same tokens, each with its own best learning rate. Without full fine-tuning no kept gain can be told."),
    )
    return {"compare": tuple(compare), "boundaries": boundaries, "release": way == "release"}


def _how() -> dict[str, Any]:
    """How long and how fast is learnt.

    Raises:
        InputError: a learning rate cannot be read.
    """
    t = words()
    a, b, c, d = st.columns(4, gap="medium")
    epochs = a.number_input(t("Epochs"), min_value=1, max_value=1000, value=3, key="trial_epochs", persist_state="session")
    batch = b.number_input(t("Batch size"), min_value=1, max_value=4096, value=8, key="trial_batch", persist_state="session")
    rates = c.text_input(
        t("Learning rates"),
        key="trial_rates",
        persist_state="session",
        max_chars=120,
        placeholder="3e-5, 1e-4, 3e-4",
        help=t("Separated by commas; the best is chosen on examples kept back from training, never on those that judge."),
    )
    minutes = d.number_input(
        t("Minutes at most"),
        min_value=0.1,
        max_value=100_000.0,
        value=None,
        step=1.0,
        key="trial_minutes",
        persist_state="session",
        placeholder=t("no limit"),
        help=t("Training time over everything that is tried; what is left over is said to be."),
    )
    return {
        "epochs": int(epochs or 3),
        "batch_size": int(batch or 8),
        "learning_rates": read_rates(rates or ""),
        "max_minutes": float(minutes) if minutes else None,
    }


def _boundaries(n_blocks: int, eof_layer: int) -> tuple[int, ...]:
    """The boundaries of a sweep, beside the plan's own."""
    t = words()
    chosen = st.multiselect(
        t("Boundaries beside the plan's own"),
        [one for one in range(-1, n_blocks - 1) if one != eof_layer],
        default=usual_boundaries(n_blocks, eof_layer),
        format_func=frozen_words,
        key=f"trial_boundaries_{n_blocks}_{eof_layer}",
        persist_state="session",
        help=term("eof-layer"),
    )
    return tuple(sorted(chosen))


def usual_boundaries(n_blocks: int, eof_layer: int) -> list[int]:
    """Boundaries that show the trade: a third, half, two thirds, five sixths of the stack, and all but the last layer.

    >>> usual_boundaries(30, 19)
    [9, 14, 24, 28]
    """
    shares = (1 / 3, 1 / 2, 2 / 3, 5 / 6)
    found = {max(0, round(n_blocks * share) - 1) for share in shares} | {n_blocks - 2}
    return sorted(one for one in found if one != eof_layer and 0 <= one <= n_blocks - 2)


def _more() -> dict[str, Any]:
    """Settings that most trials leave as they are."""
    with st.expander(words()("Settings"), icon=":material/tune:"):
        return {**_where(), **_memory(), **_adapters()}


def _where() -> dict[str, Any]:
    """Device, length and seed."""
    t = words()
    a, b, c = st.columns(3, gap="medium")
    with a:
        device = device_field(key="trial_device")
    longest = b.number_input(
        t("Longest example (tokens)"),
        min_value=8,
        max_value=131_072,
        value=512,
        step=64,
        key="trial_tokens",
        persist_state="session",
        help=t("Longer ones are cut at the end; how many is counted and shown."),
    )
    seed = c.number_input(t("Seed"), min_value=0, max_value=2**31 - 1, value=0, key="trial_seed", persist_state="session")
    return {"device": device or "auto", "max_tokens": int(longest or 512), "seed": int(seed or 0)}


def _memory() -> dict[str, Any]:
    """The cache of the frozen layers' output, and examples in one pass."""
    t = words()
    a, b, c = st.columns(3, gap="medium")
    cache = a.selectbox(
        t("Keep the frozen layers' output"),
        list(CACHES),
        format_func=lambda name: t(CACHES[name]),
        key="trial_cache",
        persist_state="session",
        help=t("What frozen layers answer never changes, so from the second epoch on it need not be computed again."),
    )
    limit = b.number_input(
        t("At most (GiB)"),
        min_value=0.01,
        max_value=100_000.0,
        value=None,
        key="trial_cache_limit",
        persist_state="session",
        placeholder=t("half of what is free"),
        disabled=cache == "off",
    )
    micro = c.number_input(
        t("Examples in one pass"),
        min_value=1,
        max_value=4096,
        value=None,
        key="trial_micro",
        persist_state="session",
        placeholder=t("the whole batch"),
        help=t("Fewer take less memory; the result is the same."),
    )
    return {
        "cache": cache or "auto",
        "cache_bytes": int(limit * GIB) if limit and cache != "off" else None,
        "micro_batch": int(micro) if micro else None,
    }


def _adapters() -> dict[str, Any]:
    """LoRA, and the final norm.

    Raises:
        InputError: a learning rate cannot be read.
    """
    t = words()
    a, b, c = st.columns(3, gap="medium", vertical_alignment="bottom")
    lora_rates = a.text_input(
        t("Learning rates of LoRA"), key="trial_lora_rates", persist_state="session", max_chars=120, placeholder="1e-4, 3e-4, 1e-3"
    )
    rank = b.number_input(t("Rank of LoRA"), min_value=1, max_value=1024, value=16, key="trial_rank", persist_state="session")
    norm = c.checkbox(
        t("The final norm trains too"),
        value=True,
        key="trial_norm",
        persist_state="session",
        help=t("Embeddings and the output head never train in a freeze plan."),
    )
    return {"lora_learning_rates": read_rates(lora_rates or ""), "lora_rank": int(rank or 16), "train_norm": norm}


def read_rates(text: str) -> tuple[float, ...]:
    """Learning rates as people write them.

    Raises:
        InputError: one is no number above 0 and below 1, or there are too many.

    >>> read_rates("1e-5, 0.0003"), read_rates("")
    ((1e-05, 0.0003), ())
    """
    parts = [part for part in re.split(r"[,、\s]+", text) if part]
    if len(parts) > MOST_RATES:
        raise InputError("{n} learning rates were given; at most {most} are tried. Leave some out.", n=len(parts), most=MOST_RATES)
    return tuple(dict.fromkeys(_rate(part) for part in parts))


def _rate(part: str) -> float:
    try:
        rate = float(part)
    except ValueError:
        rate = 0.0
    if not 0.0 < rate < 1.0:
        raise InputError('"{text}" is no learning rate: write numbers above 0 and below 1, such as 1e-5, 3e-5.', text=part)
    return rate


def _what_it_takes(plan: Plan) -> str:
    """What is known of the time: how long this model's last trial took; nothing is guessed."""
    t = words()
    past = next((one for one in client().trials() if one.model_name == plan.model.name), None)
    if past is None:
        return t(
            "How long it takes is shown as soon as it runs. It can be cancelled, and goes on from where it stopped when started again."
        )
    return t(
        "The last trial of this model took {time} on {device} for {n} ways of training. A cancelled one goes on when started again.",
        time=duration(trial(past.id).machine.seconds, language()),
        device=plain(past.device_name),
        n=past.n_arms,
    )
