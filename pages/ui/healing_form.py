"""Starting a healing: on which examples, by which method and objective, how long, against a control, and where the model goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

from analysis.contracts import HealMethod, HealObjective, HealRequest, HealSettings, ModelInfo, Plan, WorkloadInfo
from analysis.errors import InputError, StrataError
from analysis.i18n.numbers import duration
from analysis.reporting.healing_words import METHODS, OBJECTIVES
from pages.ui.glossary import term
from pages.ui.job_box import running, started
from pages.ui.language import language, plain, say, words
from pages.ui.messages import saying_errors
from pages.ui.plan_examples import examples_field
from pages.ui.session import client, healing
from pages.ui.trial_form import read_rates
from pages.ui.workload_form import device_field

DEFAULTS = HealSettings()
PATH_LIMIT = 1000


def healing_box(plan: Plan, info: ModelInfo | None, workload: WorkloadInfo | None, *, primary: bool) -> None:
    """How the cut model is trained, and the button that starts it.

    Args:
        plan: takes layers out.
        info: its model, where a stored run tells of it.
        workload: what is known of the plan's workload.
        primary: whether starting is the page's next step.
    """
    t = words()
    caption = t(
        "The first half of the examples trains and chooses when to stop; the other half, from which nothing is ever learnt, judges."
    )
    choice = examples_field(plan, workload, key="heal", caption=caption)
    settings: HealSettings | None = None
    folder: str | None = None
    try:
        settings = HealSettings(stack=plan.model.stack, **_what(), **_how(), **_more())
        folder = _folder()
    except StrataError as error:
        st.error(say(error), icon=":material/error:")
        settings = None
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        pressed = st.button(
            t("Start healing"),
            type="primary" if primary else "secondary",
            icon=":material/play_arrow:",
            key="start_healing",
            disabled=settings is None or choice is None or running("heal_job"),
        )
        again = st.checkbox(
            t("Train again"),
            key="heal_again",
            help=t("The same plan, examples and settings are answered from the store at once. Tick to train anew."),
        )
    st.caption(_what_it_takes(plan))
    if pressed and choice is not None and settings is not None:
        with saying_errors():
            source = info.source if info and info.commit == plan.model.commit else plan.model.source
            request = HealRequest(plan=plan, model=source, settings=settings, save_folder=folder, **choice)
            started("heal_job", client().submit_heal(request, force=again))
            st.rerun()


def _what() -> dict[str, Any]:
    """Method, objective, and what stands beside them."""
    t = words()
    a, b = st.columns([4, 5], gap="large")
    methods: list[HealMethod] = list(METHODS)
    method = a.radio(
        t("What is trained"),
        methods,
        format_func=lambda name: t(METHODS[name]),
        horizontal=True,
        key="heal_method",
        persist_state="session",
        help=t(
            "Adapters take little memory and become part of the weights at the end; all weights can win back "
            "more and need several times the memory."
        ),
    )
    objectives: list[HealObjective] = list(OBJECTIVES)
    objective = b.radio(
        t("What it learns from"),
        objectives,
        index=objectives.index(DEFAULTS.objective),
        format_func=lambda name: t(OBJECTIVES[name]),
        horizontal=True,
        key="heal_objective",
        persist_state="session",
        help=t("The next token of the examples, the uncut model's own choices (distillation), or both."),
    )
    compare = a.multiselect(
        t("Other objectives beside it"),
        [one for one in objectives if one != objective],
        format_func=lambda name: t(OBJECTIVES[name]),
        key="heal_compare",
        placeholder=t("none"),
        help=t("Each is a training of its own and takes as long again."),
    )
    control = b.checkbox(
        t("Train the uncut model too, as a control"),
        value=DEFAULTS.control,
        key="heal_control",
        persist_state="session",
        help=t("What it gains by the same training is no healing. Without it nothing tells the two apart."),
    )
    return {"method": method or "lora", "objective": objective or "both", "compare": tuple(compare), "control": control}


def _how() -> dict[str, Any]:
    """How long and how fast is learnt.

    Raises:
        InputError: a learning rate cannot be read.
    """
    t = words()
    a, b, c, d = st.columns(4, gap="medium")
    steps = a.number_input(
        t("Steps at most"), min_value=1, max_value=1_000_000, value=DEFAULTS.steps, step=50, key="heal_steps", persist_state="session"
    )
    batch = b.number_input(
        t("Batch size"), min_value=1, max_value=4096, value=DEFAULTS.batch_size, key="heal_batch", persist_state="session"
    )
    rates = c.text_input(
        t("Learning rates"),
        key="heal_rates",
        persist_state="session",
        max_chars=120,
        placeholder=t("by method"),
        help=t("Separated by commas; the best is chosen on examples kept back from training, never on those that judge."),
    )
    minutes = d.number_input(
        t("Minutes at most"),
        min_value=0.1,
        max_value=100_000.0,
        value=None,
        step=1.0,
        key="heal_minutes",
        persist_state="session",
        placeholder=t("no limit"),
        help=t("Training time over everything that is tried; what is left over is said to be."),
    )
    return {
        "steps": int(steps or DEFAULTS.steps),
        "batch_size": int(batch or DEFAULTS.batch_size),
        "learning_rates": read_rates(rates or ""),
        "max_minutes": float(minutes) if minutes else None,
    }


def _folder() -> str | None:
    """Where the healed model is written.

    Raises:
        InputError: there is something at that place already.
    """
    t = words()
    typed = st.text_input(
        t("Write the healed model to this folder"),
        key="heal_folder",
        max_chars=PATH_LIMIT,
        placeholder=t("leave empty: only the figures are kept"),
        help=t("On the server, as a plain Hugging Face folder; it is loaded again and compared. The original model is never changed."),
    )
    path = (typed or "").strip()
    if path and Path(path).expanduser().exists() and not _is_empty(Path(path).expanduser()):
        raise InputError("There is something at {path} already. Name a folder that does not exist yet.", path=path)
    return path or None


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def _more() -> dict[str, Any]:
    """Settings that most healings leave as they are."""
    with st.expander(words()("Settings"), icon=":material/tune:"):
        return {**_where(), **_looks(), **_teacher()}


def _where() -> dict[str, Any]:
    """Device, length and seed."""
    t = words()
    a, b, c = st.columns(3, gap="medium")
    with a:
        device = device_field(key="heal_device")
    longest = b.number_input(
        t("Longest example (tokens)"),
        min_value=8,
        max_value=131_072,
        value=DEFAULTS.max_tokens,
        step=64,
        key="heal_tokens",
        persist_state="session",
        help=t("Longer ones are trained on in windows of that length."),
    )
    seed = c.number_input(t("Seed"), min_value=0, max_value=2**31 - 1, value=0, key="heal_seed", persist_state="session")
    return {"device": device or "auto", "max_tokens": int(longest or DEFAULTS.max_tokens), "seed": int(seed or 0)}


def _looks() -> dict[str, Any]:
    """How often it is judged while it trains, and when it stops."""
    t = words()
    a, b, c = st.columns(3, gap="medium")
    every = a.number_input(
        t("Steps between two looks"),
        min_value=1,
        max_value=100_000,
        value=DEFAULTS.evaluate_every,
        key="heal_every",
        persist_state="session",
    )
    patience = b.number_input(
        t("Looks without a gain before it stops"),
        min_value=1,
        max_value=1000,
        value=DEFAULTS.patience,
        key="heal_patience",
        persist_state="session",
        help=t("A look judges on examples kept back from training; the weights of the best look are kept."),
    )
    micro = c.number_input(
        t("Examples in one pass"),
        min_value=1,
        max_value=4096,
        value=None,
        key="heal_micro",
        persist_state="session",
        placeholder=t("the whole batch"),
        help=t("Fewer take less memory; the result is the same."),
    )
    return {
        "evaluate_every": int(every or DEFAULTS.evaluate_every),
        "patience": int(patience or DEFAULTS.patience),
        "micro_batch": int(micro) if micro else None,
    }


def _teacher() -> dict[str, Any]:
    """The uncut model as a teacher, and the adapters' size."""
    t = words()
    a, b, c = st.columns(3, gap="medium")
    weight = a.slider(
        t("Weight of distillation where both are learnt from"),
        0.0,
        1.0,
        DEFAULTS.distillation_weight,
        key="heal_weight",
        persist_state="session",
    )
    hidden = b.number_input(
        t("Weight of matching the final states"),
        min_value=0.0,
        max_value=100.0,
        value=DEFAULTS.hidden_weight,
        step=0.1,
        key="heal_hidden",
        persist_state="session",
        help=term("distil"),
    )
    rank = c.number_input(
        t("Rank of LoRA"), min_value=1, max_value=1024, value=DEFAULTS.lora_rank, key="heal_rank", persist_state="session"
    )
    return {"distillation_weight": float(weight), "hidden_weight": float(hidden or 0.0), "lora_rank": int(rank or DEFAULTS.lora_rank)}


def _what_it_takes(plan: Plan) -> str:
    """How long this model's last healing took, where there was one; nothing is guessed."""
    t = words()
    past = next((one for one in client().healings() if one.model_name == plan.model.name), None)
    if past is None:
        return t(
            "How long it takes is shown as soon as it runs. It can be cancelled, and goes on from where it stopped when started again."
        )
    return t(
        "The last healing of this model took {time} on {device}. A cancelled one goes on when started again.",
        time=duration(healing(past.id).machine.seconds, language()),
        device=plain(past.device_name),
    )
