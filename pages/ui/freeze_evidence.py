"""Why the boundary lies where it lies: the reason, how sure it is, what other rules say, and what the bases are worth."""

from __future__ import annotations

from functools import partial

import streamlit as st

from analysis.contracts import EofChoice, Plan, Semantics, Trial
from analysis.i18n.numbers import number, percent, span
from analysis.reporting.charts.gradients import gradient_alt, gradient_bars
from analysis.reporting.rules_judged import rules_message
from pages.ui.charts import draw, look
from pages.ui.evidence import Rows, download_rows, section, table
from pages.ui.freeze_charts import excerpt_words, fidelity_rows, fidelity_words
from pages.ui.freeze_rule import rule_title
from pages.ui.freeze_words import frozen_words, surely, what_trains
from pages.ui.language import language, say, words
from pages.ui.similarity_view import slice_title
from pages.ui.trial_sweep import kept_in_sweep


def why_here(plan: Plan, recommended: Plan | None, n_blocks: int) -> None:
    """What trains, why the boundary lies here, and how sure that is; by hand: what the rule would have chosen."""
    t = words()
    eof_layer = -1 if plan.eof_layer is None else plan.eof_layer
    st.markdown(f"**{what_trains(eof_layer, n_blocks)}**")
    choice, remarks = plan.provenance.eof_choice, [say(note) for note in plan.provenance.notes]
    if choice is not None and choice.eof_layer == eof_layer:
        st.markdown(say(choice.reason))
        remarks = [sure, *remarks] if (sure := surely(choice)) else remarks
    elif recommended is not None and recommended.eof_layer is not None:
        st.markdown(t("Placed by hand. The rule chosen above says: {boundary}.", boundary=frozen_words(recommended.eof_layer)))
    if remarks:
        st.caption("\n".join(f"- {remark}" for remark in remarks))


def show_rules(choices: tuple[EofChoice, ...], swept: Trial | None = None) -> None:
    """What every rule would choose without a limit, how sure, and why; and, after a sweep, whether it would have chosen well."""
    t = words()
    swept = swept if swept is not None and swept.is_sweep else None
    section(t("What every rule would choose"), "measured")
    if swept is not None and (judged := rules_message(swept, choices)):
        st.markdown(say(judged))
    table(rule_rows(choices, swept), alt=t("Every rule with the layer it would freeze up to, and how sure it is"))
    with st.container(horizontal=True, gap="small"):
        with st.popover(t("Why each rule says so"), icon=":material/help:"):
            for choice in _ordered(choices):
                st.markdown(f"**{rule_title(choice.strategy)}**  \n{say(choice.reason)}")
        download_rows(rule_rows(choices, swept), "rules.csv", key="rules")


def _ordered(choices: tuple[EofChoice, ...]) -> list[EofChoice]:
    """Rules that have an answer, then the others."""
    return sorted(choices, key=lambda choice: choice.eof_layer is None)


def rule_rows(choices: tuple[EofChoice, ...], swept: Trial | None = None) -> Rows:
    """Each rule with its answer, what a sweep measured there, how many resamples agree, and what most prompts choose for themselves."""
    t = words()
    return [
        {
            t("Rule"): rule_title(choice.strategy),
            t("Freezes"): t("no answer") if choice.eof_layer is None else frozen_words(choice.eof_layer),
            **({} if swept is None else {t("Kept gain in the sweep"): kept_in_sweep(swept, choice.eof_layer)}),
            t("Resamples that agree, and their range"): _agreement(choice),
            t("Most prompts choose"): _vote(choice),
        }
        for choice in _ordered(choices)
    ]


def _agreement(choice: EofChoice) -> str:
    if choice.agreement is None:
        return ""
    share = percent(choice.agreement, language())
    if choice.low is None or choice.high is None:
        return share
    low_high = str(choice.low) if choice.low == choice.high else span(str(choice.low), str(choice.high), language())
    return f"{share} ({low_high})"


def _vote(choice: EofChoice) -> str:
    if not choice.votes:
        return ""
    t, total = words(), sum(choice.votes.values())
    eof_layer, n = max(choice.votes.items(), key=lambda vote: vote[1])
    return t("{boundary} ({n} of {total})", boundary=frozen_words(eof_layer), n=n, total=total)


def show_slice_choices(choice: EofChoice | None) -> None:
    """Where the rule would place the boundary for each kind of work alone."""
    t = words()
    if choice is None or not choice.by_slice:
        return
    st.subheader(t("The same rule for each kind of work alone"), anchor=False)
    rows = [{t("Slice"): slice_title(name), t("Freezes"): frozen_words(eof_layer)} for name, eof_layer in sorted(choice.by_slice.items())]
    table(rows, alt=t("Each slice with the layer that the rule would freeze up to for it"))


def show_fidelity(traces: Semantics) -> None:
    """What a deviation is worth: how often the nearest meaning belongs to the right word."""
    t, code = words(), language()
    section(t("What these curves are worth"), "measured")
    st.markdown(fidelity_words(traces))
    if traces.fidelity:
        table(fidelity_rows(traces), alt=t("Each way to give words a meaning, with how often it names the right word"))
    st.caption(excerpt_words(traces))
    if traces.condition_number is not None and traces.ridge:
        condition, added = number(traces.condition_number, code, 0), number(traces.ridge, code)
        st.caption(
            t("The words' matrix is ill-conditioned ({condition}), so {ridge} was added to its diagonal.", condition=condition, ridge=added)
        )
    for note in _left_out(traces):
        st.caption(note)
    for told in traces.notes:
        st.caption(say(told))


def _left_out(traces: Semantics) -> list[str]:
    """What was left out, counted."""
    t, said = words(), []
    if traces.n_without_response:
        said.append(t("{n} prompts without a response were left out.", n=traces.n_without_response))
    if traces.n_response_cut:
        said.append(t("{n} prompts were left out: their response was cut away with the end of a long prompt.", n=traces.n_response_cut))
    if traces.n_outside_vocabulary:
        said.append(t("{n} response tokens were left out: they are not among the words chosen.", n=traces.n_outside_vocabulary))
    if traces.extra_share is not None:
        said.append(
            t("The traces took {share} more time than the profile alone, in the same run.", share=percent(traces.extra_share, language()))
        )
    return said


def gradient_rows(traces: Semantics) -> Rows:
    """The gradient of every layer, from one backward pass."""
    t, code, found = words(), language(), traces.gradients
    if found is None:
        return []
    largest = max((value for value in found.per_parameter if value is not None), default=0.0)
    return [
        {
            t("Layer"): block,
            t("Gradient per weight"): None if value is None else float(value),
            t("Share of the largest"): "" if value is None or not largest else percent(value / largest, code),
            t("Relative to the weights"): found.relative[block],
        }
        for block, value in enumerate(found.per_parameter)
    ]


def show_gradients(traces: Semantics) -> None:
    """How much training would pull on each layer to begin with."""
    t, found = words(), traces.gradients
    if found is None:
        return
    st.subheader(t("How much training pulls on each layer"), anchor=False)
    st.caption(
        t(
            "One backward pass over {n} tokens of {prompts} prompts, nothing changed. Layers with little pull learn little at first.",
            n=found.n_tokens,
            prompts=found.n_examples,
        )
    )
    draw(partial(gradient_bars, traces, look()), of=(traces.id,), key="gradient_bars", alt=gradient_alt(traces, look()))
    download_rows(gradient_rows(traces), "gradients.csv", key="gradients")
