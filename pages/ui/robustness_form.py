"""Starting a robustness test: which disturbances, unknown work, energy and carbon, on which examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import streamlit as st

from analysis.contracts import ATTACKS, NOISES, Disturbance, ModelInfo, Plan, RobustnessRequest, RobustnessSettings, WorkloadInfo
from analysis.errors import InputError, StrataError
from analysis.i18n.numbers import duration
from analysis.planning.carbon import COUNTRIES
from analysis.reporting.robustness_words import DISTURBANCES, country_name, level
from pages.ui.glossary import term
from pages.ui.job_box import running, started
from pages.ui.language import language, plain, say, words
from pages.ui.messages import saying_errors
from pages.ui.plan_examples import examples_field
from pages.ui.session import client, robustness
from pages.ui.similarity_view import slice_title
from pages.ui.workload_form import device_field

DEFAULTS = RobustnessSettings()
LEVELS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
EPSILONS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
D = TypeVar("D", bound=Disturbance)


def robustness_box(plan: Plan, info: ModelInfo | None, workload: WorkloadInfo | None, *, primary: bool) -> None:
    """What is disturbed and how, and the button that starts the test.

    Args:
        plan: what is put to the test.
        info: its model, where a stored run tells of it.
        workload: what is known of the plan's workload.
        primary: whether starting is the page's next step.
    """
    t = words()
    choice = examples_field(
        plan, workload, key="robustness", caption=t("Only the verification half is run; what is judged of it stays clean.")
    )
    settings: RobustnessSettings | None = None
    try:
        settings = _settings(plan, workload)
    except StrataError as error:
        st.error(say(error), icon=":material/error:")
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        pressed = st.button(
            t("Test the robustness"),
            type="primary" if primary else "secondary",
            icon=":material/play_arrow:",
            key="test_robustness",
            disabled=settings is None or choice is None or running("robustness_job"),
        )
        again = st.checkbox(
            t("Measure again"),
            key="robustness_again",
            help=t("The same plan, examples and settings are answered from the store at once. Tick to run them anew."),
        )
    st.caption(_what_it_takes(plan))
    if pressed and choice is not None and settings is not None:
        with saying_errors():
            source = info.source if info and info.commit == plan.model.commit else plan.model.source
            request = RobustnessRequest(plan=plan, model=source, settings=settings, **choice)
            started("robustness_job", client().submit_robustness(request, force=again))
            st.rerun()


def _settings(plan: Plan, workload: WorkloadInfo | None) -> RobustnessSettings:
    """What is disturbed, and what else is measured.

    Raises:
        InputError: nothing is left to test.
    """
    asked = {**_disturbances(), **_unknown_work(plan, workload), **_energy(), **_more()}
    if not (asked["noises"] or asked["attacks"] or asked["held_out"] or asked["energy"]):
        raise InputError("Nothing is left to test: choose at least one noise or attack, a held-out slice, or energy.")
    if (asked["noises"] and not asked["levels"]) or (asked["attacks"] and not asked["epsilons"]):
        raise InputError('No strength is chosen: choose at least one under "More", or untick what is not to be tested.')
    return RobustnessSettings(stack=plan.model.stack, **asked)


def _disturbances() -> dict[str, Any]:
    t = words()
    noises = _ticked(t("Noise in what the user wrote"), NOISES, help=term("robustness"))
    about = t("On the numbers that words are read as, each model by its own gradients: no texts that anybody could type.")
    return {"noises": noises, "attacks": _ticked(t("Attacks"), ATTACKS, help=about)}


def _ticked(title: str, kinds: Sequence[D], *, help: str) -> tuple[D, ...]:
    """Those of some disturbances that are ticked; all of them at first."""
    t = words()
    st.markdown(title, help=help)
    with st.container(horizontal=True, gap="medium"):
        ticked = {
            kind: st.checkbox(t(DISTURBANCES[kind]), value=True, key=f"robustness_{kind}", persist_state="session", width="content")
            for kind in kinds
        }
    return tuple(kind for kind in kinds if ticked[kind])


def _unknown_work(plan: Plan, workload: WorkloadInfo | None) -> dict[str, Any]:
    """Slices that the plan was not chosen by, and how many prompts are attacked."""
    t = words()
    named = plan.provenance.consensus.held_out if plan.provenance.consensus else ()
    slices = sorted({*named, *(one.name for one in (workload.slices if workload else ()))})
    a, b = st.columns([5, 4], gap="large")
    held_out = a.multiselect(
        t("Unknown work: slices that nothing was chosen by"),
        slices,
        default=list(named),
        format_func=slice_title,
        key=f"robustness_held_out_{plan.id}",
        placeholder=t("none"),
        help=t(
            "Whether the plan loses more there than on the slices it was chosen by. A slice that was looked at when choosing proves little."
        ),
    )
    attacked = b.number_input(
        t("Prompts attacked at most"),
        min_value=1,
        max_value=100_000,
        value=DEFAULTS.attack_examples,
        key="robustness_attacked",
        persist_state="session",
        help=t("Attacks take a backward pass a step. Slices take turns, critical prompts first."),
    )
    return {"held_out": tuple(held_out), "attack_examples": int(attacked or DEFAULTS.attack_examples)}


def _energy() -> dict[str, Any]:
    """Energy, the grid it comes from, and an assumed power."""
    t, code = words(), language()
    a, b, c, d = st.columns([3, 4, 4, 4], gap="medium", vertical_alignment="bottom")
    energy = a.checkbox(t("Energy and carbon too"), value=True, key="robustness_energy", persist_state="session")
    country = b.selectbox(
        t("Electricity of"),
        sorted(COUNTRIES, key=lambda one: country_name(one, code)),
        index=None,
        format_func=lambda one: country_name(one, code),
        key="robustness_country",
        persist_state="session",
        placeholder=t("no country: energy only"),
        disabled=not energy,
        help=t("A yearly average of the country's generation. The factor of your own utility goes before it."),
    )
    own = c.number_input(
        t("Own factor (kg CO2 per kWh)"),
        min_value=0.0,
        max_value=10.0,
        value=None,
        step=0.01,
        format="%.3f",
        key="robustness_grid",
        persist_state="session",
        placeholder=t("the country's"),
        disabled=not energy,
    )
    watts = d.number_input(
        t("Assumed power (watts)"),
        min_value=0.1,
        max_value=1_000_000.0,
        value=None,
        step=5.0,
        key="robustness_watts",
        persist_state="session",
        placeholder=t("none: only if measured"),
        disabled=not energy,
        help=t("Used only where the device has no counter; the energy is then projected from the measured time."),
    )
    return {
        "energy": energy,
        "country": country if energy else None,
        "grid_kg_per_kwh": float(own) if energy and own is not None else None,
        "watts": float(watts) if energy and watts else None,
    }


def _more() -> dict[str, Any]:
    """Settings that most tests leave as they are."""
    t = words()
    with st.expander(t("More"), icon=":material/tune:"):
        strengths = _strengths()
        a, b, c = st.columns(3, gap="medium", vertical_alignment="bottom")
        with a:
            device = device_field(key="robustness_device")
        longest = b.number_input(
            t("Longest example (tokens)"),
            min_value=8,
            max_value=131_072,
            value=DEFAULTS.max_tokens,
            step=64,
            key="robustness_tokens",
            persist_state="session",
            help=t("Longer ones are cut at the end; how many is counted and shown."),
        )
        seed = c.number_input(t("Seed"), min_value=0, max_value=2**31 - 1, value=0, key="robustness_seed", persist_state="session")
    return strengths | {"device": device or "auto", "max_tokens": int(longest or DEFAULTS.max_tokens), "seed": int(seed or 0)}


def _strengths() -> dict[str, Any]:
    """How strong noise and attacks are, each strength one comparison."""
    t, code = words(), language()
    a, b, c = st.columns([4, 4, 3], gap="medium", vertical_alignment="bottom")
    levels = a.multiselect(
        t("Strengths of noise"),
        LEVELS,
        default=DEFAULTS.levels,
        format_func=lambda one: level("keyboard", one, code),
        key="robustness_levels",
        persist_state="session",
        placeholder=t("none"),
        help=t("Share of the letters that are changed, for other words: of the words. Each strength is tested by itself."),
    )
    epsilons = b.multiselect(
        t("Strengths of attacks (epsilon)"),
        EPSILONS,
        default=DEFAULTS.epsilons,
        format_func=lambda one: level("fgsm", one, code),
        key="robustness_epsilons",
        persist_state="session",
        placeholder=t("none"),
        help=t("The most that each number of a word's embedding may change, in root mean squares of the model's embeddings."),
    )
    steps = c.number_input(
        t("Steps of PGD"), min_value=1, max_value=1000, value=DEFAULTS.pgd_steps, key="robustness_pgd_steps", persist_state="session"
    )
    return {"levels": tuple(sorted(levels)), "epsilons": tuple(sorted(epsilons)), "pgd_steps": int(steps or DEFAULTS.pgd_steps)}


def _what_it_takes(plan: Plan) -> str:
    """How long this model's last test took, where there was one; nothing is guessed."""
    t = words()
    past = next((one for one in client().robustness_tests() if one.model_name == plan.model.name), None)
    if past is None:
        return t("How long it takes is shown as soon as it runs; it can be cancelled.")
    return t(
        "The last test of this model took {time} on {device} for {n} comparisons.",
        time=duration(robustness(past.id).machine.seconds, language()),
        device=plain(past.device_name),
        n=past.n_tested,
    )
