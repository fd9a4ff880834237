"""What a boundary saves in training: the training asked about, and its projected time, memory, energy and money."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, cast

import streamlit as st

from analysis.contracts import Change, Profile, StepModel, StepsRequest, TrainingProjection, TrainingShape, TrainMethod
from analysis.i18n import N_
from analysis.i18n.numbers import amount, duration, number, percent, size
from analysis.reporting.training_words import FIGURES
from pages.ui.evidence import Rows, badge, download_rows, section, table
from pages.ui.glossary import term
from pages.ui.job_box import running, watched
from pages.ui.language import language, plain, say, words
from pages.ui.messages import saying_errors
from pages.ui.session import client, remember

Format = Literal["bfloat16", "float16", "float32"]
DTYPES: tuple[Format, ...] = ("bfloat16", "float16", "float32")
METHODS: dict[TrainMethod, str] = {"full": N_("All weights of the free layers"), "lora": N_("LoRA in the free layers")}
BITS: dict[int, str] = {32: N_("32 bits"), 16: N_("16 bits"), 8: N_("8 bits (quantised)"), 4: N_("4 bits (quantised)")}
_KINDS = {
    "step_ms": "ms",
    "tokens_per_second": "amount",
    "step_flops": "amount",
    "peak_memory_bytes": "bytes",
    "weight_bytes": "bytes",
    "gradient_bytes": "bytes",
    "optimizer_bytes": "bytes",
    "activation_bytes": "bytes",
    "n_trainable": "amount",
    "hours": "hours",
    "energy_wh": "energy",
    "cost": "money",
}
"""Field of a projection -> how it is written, in reading order."""
CURRENCY_LIMIT, LARGEST_PRICE = 8, 1e9
SECONDS_PER_HOUR, MEASURED_BITS = 3600, 16


@dataclass(frozen=True)
class Training:
    """The training that is asked about."""

    shape: TrainingShape
    epochs: int
    price_per_hour: float | None
    currency: str


def training_fields(found: Profile) -> Training:
    """The training asked about: assumptions that can be edited."""
    t = words()
    with st.expander(t("The training that is meant"), icon=":material/tune:"):
        badge("assumed")
        a, b, c = st.columns(3, gap="medium")
        method = a.selectbox(
            t("Method"), list(METHODS), format_func=lambda name: t(METHODS[name]), key="train_method", persist_state="session"
        )
        bits = b.selectbox(
            t("Frozen weights"),
            list(BITS) if method == "lora" else [32, 16],
            format_func=lambda name: t(BITS[name]),
            key=f"train_bits_{method}",
            persist_state="session",
            help=t("Bits of the weights that do not train. 8 and 4: a quantised base, for LoRA only; projected, not run here."),
        )
        dtype = c.selectbox(
            t("Computed in"),
            DTYPES,
            index=DTYPES.index(usual_dtype(found)),
            key=f"train_dtype_{found.id}",
            persist_state="session",
            help=t("The number format of the computation; weights that train, their gradients and the optimiser's state keep 32 bits."),
        )
        a, b, c = st.columns(3, gap="medium")
        epochs = a.number_input(t("Epochs"), min_value=1, max_value=1000, value=3, key="train_epochs", persist_state="session")
        batch = b.number_input(t("Batch size"), min_value=1, max_value=4096, value=8, key="train_batch", persist_state="session")
        tokens = c.number_input(
            t("Tokens of an example"),
            min_value=8,
            max_value=1_048_576,
            value=usual_tokens(found),
            step=64,
            key=f"train_tokens_{found.id}",
            persist_state="session",
            help=t("Prompt and response together, as long as the longest of a batch: shorter ones are padded to it."),
        )
        a, b = st.columns(2, gap="medium")
        price = a.number_input(
            t("Price of a machine hour"),
            min_value=0.0,
            max_value=LARGEST_PRICE,
            value=None,
            key="train_price",
            persist_state="session",
            placeholder=t("not set"),
            help=t("From your own bill or price list. Money is shown once it is set."),
        )
        currency = b.text_input(t("Currency"), key="train_currency", persist_state="session", max_chars=CURRENCY_LIMIT, placeholder="EUR")
    shape = TrainingShape(
        method=method or "full",
        batch_size=int(batch or 8),
        sequence_tokens=int(tokens or usual_tokens(found)),
        dtype=dtype or usual_dtype(found),
        weight_bits=cast(Literal[4, 8, 16, 32], bits or 32),
    )
    return Training(shape, int(epochs or 3), float(price) if price else None, (currency or "").strip())


def usual_tokens(found: Profile) -> int:
    """Tokens of a batch's examples where nobody said: the mean of these prompts, rounded up to 64.

    >>> from tests.builders import make_profile
    >>> usual_tokens(make_profile(4)) % 64
    0
    """
    mean = found.counts.n_tokens / max(found.counts.n_examples, 1)
    return max(64, -(-int(mean) // 64) * 64)


def usual_dtype(found: Profile) -> Format:
    """The number format that the run was measured in, where training can use it."""
    return next((name for name in DTYPES if name == found.timing.dtype), "bfloat16")


def show_savings(projected: TrainingProjection, steps: StepModel | None) -> None:
    """What the boundary saves, as a table, and where the times come from."""
    t, code = words(), language()
    section(t("What it saves in training"), "projected", help=term("fine-tuning"))
    rows = saving_rows(projected)
    table(rows, alt=t("Projected cost of training with everything trained and with the plan"))
    if steps:
        st.caption(
            t(
                "Times: from steps measured on {device} on {date}; points that were not fitted lie at most {error} off.",
                device=plain(steps.device_name),
                date=steps.measured_at[:10],
                error=percent(steps.error_share, code, 1),
            )
            if steps.error_share is not None
            else t("Times: from steps measured on {device} on {date}.", device=plain(steps.device_name), date=steps.measured_at[:10])
        )
    else:
        st.caption(t("Times, energy and money are not known until training steps were measured on this machine."))
    download_rows(rows, "training.csv", key="training")


def saving_rows(projected: TrainingProjection) -> Rows:
    """Every projected figure with everything trained and with the plan, and the share saved; once more where the cache changes it."""
    t, code = words(), language()
    heads = t("Training"), t("Everything trained"), t("With the plan"), t("Saved")
    rows: list[dict[str, str]] = []
    for title, full, plan, kind in _figures(projected):
        figures = _written(full, kind, projected), _written(plan, kind, projected), _saved(full, plan, code)
        rows.append(dict(zip(heads, (title, *figures), strict=True)))
    if projected.cache_bytes:
        rows.append(dict(zip(heads, (t("Cached output of the frozen layers"), "", size(projected.cache_bytes, code), ""), strict=True)))
    return rows


def _figures(projected: TrainingProjection) -> Iterator[tuple[str, float, float, str]]:
    """Title, everything trained, with the plan, and kind, in reading order: time and work first, then the memory and its parts."""
    t = words()
    for field, kind in _KINDS.items():
        change: Change | None = getattr(projected, field)
        if change is None or not (change.full or change.plan):
            continue
        yield t(FIGURES[field]), change.full, change.plan, kind
        if change.cached is not None:
            titles = {"step_ms": t("· from the 2nd epoch, cached"), "step_flops": t("· from the 2nd epoch, cached")}
            yield titles.get(field, t("· with the cache")), change.full, change.cached, kind


def _written(value: float, kind: str, projected: TrainingProjection) -> str:
    t, code = words(), language()
    if kind == "bytes":
        return size(value, code)
    if kind == "ms":
        return t("{n} ms", n=number(value, code))
    if kind == "hours":
        return duration(value * SECONDS_PER_HOUR, code)
    if kind == "energy":
        return t("{n} Wh", n=number(value, code))
    if kind == "money":
        return f"{number(value, code, 2)} {projected.currency}".strip()
    return amount(value, code)


def _saved(full: float, plan: float, code: str) -> str:
    """The change as a share, with the word that says which way."""
    t, change = words(), (plan - full) / full if full else 0.0
    if not round(change * 100):
        return t("unchanged")
    share = percent(abs(change), code)
    return t("{percent} more", percent=share) if change > 0 else t("{percent} less", percent=share)


def steps_box(found: Profile, shape: TrainingShape, steps: StepModel | None) -> None:
    """The button that measures training steps of this model on this machine, and the job while it runs."""
    t = words()
    if shape.weight_bits < MEASURED_BITS:
        st.caption(t("Steps on quantised weights are projected, not measured."))
        return
    pressed = st.button(
        t("Measure training steps again") if steps else t("Measure training steps on this machine"),
        key="measure_steps",
        icon=":material/timer:",
        type="tertiary" if steps else "secondary",
        disabled=running("steps_job"),
        help=t("A few steps of this very training, with everything trained and with parts frozen. No weight is kept, no file is touched."),
    )
    if steps is None:
        _other_steps(found)
    if pressed:
        with saying_errors():
            request = StepsRequest(model=found.model.source, stack=found.stack, device=found.settings.device, shape=shape)
            remember("steps_job", client().submit_steps(request).id)
            st.rerun()
    over = watched("steps_job")
    if over is not None:
        for note in over.notes:
            st.caption(say(note))
        st.rerun()


def _other_steps(found: Profile) -> None:
    """Steps of another training that were measured here, and the way to mean that one."""
    t, known = words(), client().step_model(found.model.commit, stack=found.stack)
    if known is None:
        return
    shape = known.shape

    def take() -> None:
        state = st.session_state
        state["train_method"], state[f"train_bits_{shape.method}"] = shape.method, shape.weight_bits
        state["train_batch"], state[f"train_tokens_{found.id}"] = shape.batch_size, shape.sequence_tokens
        state[f"train_dtype_{found.id}"] = shape.dtype

    told = t(
        "Steps measured here are of another training: {method}, batches of {batch}, {tokens} tokens, {dtype}.",
        method=t(METHODS[shape.method]),
        batch=shape.batch_size,
        tokens=shape.sequence_tokens,
        dtype=shape.dtype,
    )
    st.caption(told)
    st.button(t("Mean that training"), key="take_steps", type="tertiary", on_click=take)
