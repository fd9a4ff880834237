"""Starting a verification: on which examples, against which limits, with which settings."""

from __future__ import annotations

import streamlit as st

from analysis.contracts import ModelInfo, Plan, VerificationSettings, VerifyRequest, WorkloadInfo
from analysis.i18n.numbers import duration
from pages.ui.guardrail_form import guardrail_fields
from pages.ui.job_box import running, started
from pages.ui.language import language, plain, words
from pages.ui.messages import saying_errors
from pages.ui.plan_examples import examples_field, same_workload
from pages.ui.session import client, verification
from pages.ui.workload_form import device_field

BATCHES = (1, 2, 4, 8, 16, 32, 64)
LENGTHS = (64, 128, 256, 512, 1024, 2048, 4096)


def verify_box(plan: Plan, info: ModelInfo | None, workload: WorkloadInfo | None, *, primary: bool) -> None:
    """The limits, the data, the settings, and the button that starts the run.

    Args:
        plan: what is put to the test.
        info: its model, where a stored run tells of it.
        workload: what is known of the plan's workload, for its slices and critical prompts.
        primary: whether starting is the page's next step.
    """
    t = words()
    st.markdown(t("Set the limits first: a limit that is set after the result is known proves nothing."))
    slices = [one.name for one in workload.slices] if workload else []
    n_critical = sum(min(one.n_critical, one.n_verification) for one in workload.slices) if workload else 0
    limits = guardrail_fields(plan.id, slices, n_critical // 2 if workload else 0)
    others = t("Of these prompts only the verification half is run.")
    choice = examples_field(plan, workload, key="verify", caption=_own_prompts(plan, workload), caption_of_others=others)
    settings = _settings()
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        pressed = st.button(
            t("Verify it"),
            type="primary" if primary else "secondary",
            icon=":material/play_arrow:",
            key="verify",
            disabled=limits is None or choice is None or running("verify_job"),
        )
        again = st.checkbox(
            t("Measure again"),
            key="verify_again",
            help=t("The same plan, prompts, limits and settings are answered from the store at once. Tick to run them anew."),
        )
    if took := _last_took(plan):
        st.caption(took)
    if pressed and choice is not None and limits is not None:
        with saying_errors():
            source = info.source if info and info.commit == plan.model.commit else plan.model.source
            request = VerifyRequest(plan=plan, model=source, settings=settings, guardrails=limits, **choice)
            started("verify_job", client().submit_verify(request, force=again))
            st.rerun()


def _last_took(plan: Plan) -> str:
    """How long this model's last verification took in this store: what is known of the time, nothing is guessed."""
    t = words()
    past = next((one for one, _ in client().calibration() if one.model_name == plan.model.name), None)
    if past is None:
        return ""
    seconds = verification(past.id).machine.seconds
    return t(
        "The last verification of this model took {time} for {n} prompts on {device}.",
        time=duration(seconds, language()),
        n=past.n_examples,
        device=plain(past.device_name),
    )


def _own_prompts(plan: Plan, workload: WorkloadInfo | None) -> str:
    """Which of the plan's own prompts are run."""
    if plan.workload is None:
        return ""
    t, name, same = words(), plain(plan.workload.name), same_workload(plan, workload)
    if same is None:
        return t("{name}: only its verification examples are run; none of them was used to make the plan.", name=name)
    return t("{name}: {n} verification examples, none of which was used to make the plan.", name=name, n=same.n_verification)


def _settings() -> VerificationSettings:
    t = words()
    with st.expander(t("Settings"), icon=":material/tune:"):
        a, b, c = st.columns(3, gap="medium")
        with a:
            device = device_field(key="verify_device")
        batches = b.multiselect(
            t("Batch sizes"), BATCHES, default=[1], key="verify_batches", persist_state="session", help=t("Sequences that run at once.")
        )
        lengths = c.multiselect(t("Prompt lengths (tokens)"), LENGTHS, default=[256], key="verify_lengths", persist_state="session")
        a, b, c = st.columns(3, gap="medium", vertical_alignment="bottom")
        answers = a.number_input(
            t("Answers to generate"),
            min_value=0,
            max_value=1000,
            value=24,
            key="verify_answers",
            persist_state="session",
            help=t("Prompts that both models answer; critical ones first. Changed answers are counted among these."),
        )
        new_tokens = b.number_input(
            t("Longest answer (tokens)"), min_value=1, max_value=1024, value=32, key="verify_new_tokens", persist_state="session"
        )
        cost = c.checkbox(
            t("Measure time and memory too"),
            value=True,
            key="verify_cost",
            persist_state="session",
            help=t("Original and plan run in turns; close other programs for steady times."),
        )
    return VerificationSettings(
        device=device,
        generate=int(24 if answers is None else answers),
        new_tokens=int(new_tokens or 32),
        batch_sizes=tuple(sorted(batches)) or (1,),
        prompt_tokens=tuple(sorted(lengths)) or (256,),
        cost=cost and bool(batches) and bool(lengths),
    )
