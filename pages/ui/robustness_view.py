"""What a robustness test found: the rise of the loss under every disturbance, work it never saw, energy and carbon, what is open."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import streamlit as st

from analysis.contracts import ATTACKS, Disturbed, Estimate, Robustness
from analysis.i18n import render
from analysis.i18n.numbers import percent
from analysis.reporting.charts.robustness import rise_alt, rise_figure, rise_rows, shared_reach
from analysis.reporting.robustness_words import DISTURBANCES, ON_UNKNOWN_WORK, Stand, level, not_tested, standing_of, stands
from pages.ui.charts import draw, look
from pages.ui.evidence import Rows, download_rows, how_do_we_know, section, table
from pages.ui.glossary import term
from pages.ui.language import language, plain, say, words
from pages.ui.ran_here import origin_here
from pages.ui.similarity_view import slice_title
from pages.ui.verdicts import estimate_words

_PANEL = 240
"""Width of a small chart: five stand side by side on a desktop, one on a phone."""


def show_rises(found: Robustness) -> None:
    """A small chart for each disturbance, noise and attacks each on one scale, and the same as a table."""
    t, tested = words(), stands(found)
    section(t("Rise of the loss under each disturbance"), origin_here(found), help=term("robustness"))
    if not tested:
        st.caption(t("No disturbance was asked for in this test."))
        return
    st.write(
        t(
            "Undisturbed, the loss is {original} nats a token with the original and {plan} with the plan. A model that is worse to "
            "begin with has less to lose: less sensitive does not mean better.",
            original=estimate_words(found.clean_original, digits=2),
            plan=estimate_words(found.clean_plan, digits=2),
        )
    )
    noise = [stand for stand in tested if stand.kind not in ATTACKS]
    attacks = [stand for stand in tested if stand.kind in ATTACKS]
    if noise:
        st.caption(t("Nats a token over how much of the text was changed, each model against itself; all charts of noise on one scale."))
        _panels(found, noise)
    if attacks:
        st.caption(
            t(
                "Attacks change the numbers that words are read as, not the text: they show how near the edge a model stands, not what "
                "a user can do to it. A scale of their own."
            )
        )
        _panels(found, attacks)
    table(stand_rows(tested), alt=t("Every disturbance with the difference between plan and original"))
    download_rows(rise_rows(found, look()), "robustness.csv", key="robustness")


def _panels(found: Robustness, shown: Sequence[Stand]) -> None:
    limits = shared_reach(shown)
    with st.container(horizontal=True, gap="small"):
        for stand in shown:
            with st.container(width=_PANEL):
                draw(
                    partial(rise_figure, stand, look(), limits),
                    of=(found.id, stand.kind),
                    key=f"rise_{stand.kind}",
                    alt=rise_alt(stand, look()),
                )


def stand_rows(tested: Sequence[Stand]) -> Rows:
    """One row for each disturbance; columns that say nothing in any row are left out."""
    rows = [_stand_row(stand) for stand in tested]
    told = {head for row in rows for head, value in row.items() if value != ""}
    return [{head: value for head, value in row.items() if head in told} for row in rows]


def _stand_row(stand: Stand) -> dict[str, object]:
    t, code, strongest = words(), language(), stand.strongest
    return {
        t("Disturbance"): t(DISTURBANCES[stand.kind]),
        t("With the plan"): render(standing_of(stand), code),
        t("Difference at the greatest strength (nats a token, 95% interval)"): signed(strongest.difference),
        t("Strength"): level(stand.kind, strongest.level, code),
        t("Really changed"): "" if strongest.touched is None else percent(strongest.touched, code, 1),
        t("First choice stays, original and plan"): _agreement(strongest),
        t("Most affected slice"): _worst_slice(strongest),
        t("For example"): ", ".join(f"{before} → {after}" for before, after in strongest.examples[:2]),
        t("Number of prompts"): strongest.n_examples,
    }


def signed(found: Estimate) -> str:
    """A difference with its sign and interval, in nats; no sign where it rounds to nothing."""
    said = estimate_words(found, digits=2).replace("-", "−")
    return f"+{said}" if found.value is not None and round(found.value, 2) > 0 else said


def _agreement(row: Disturbed) -> str:
    first, second = row.agreement_original, row.agreement_plan
    if first is None or second is None or first.value is None or second.value is None:
        return ""
    return f"{percent(first.value, language())} · {percent(second.value, language())}"


def _worst_slice(row: Disturbed) -> str:
    """The slice whose difference is largest, where any is above 0."""
    known = {name: part.value for name, part in row.slices.items() if part.value is not None and part.value > 0}
    return slice_title(max(known, key=lambda name: known[name])) if known and row.comparison == "worse" else ""


def show_unknown_work(found: Robustness) -> None:
    """Whether work that nothing was chosen by loses more than the rest."""
    t = words()
    section(t("Unknown work"), origin_here(found), help=t("Slices that were held out when the plan was chosen."))
    if not found.unknown_work:
        st.caption(t("Not tested: no slice was held out. Name one when you test again, or choose the plan anew without it."))
        return
    rows = [
        {
            t("Slice"): slice_title(part.slice),
            t("Compared with the rest"): t(ON_UNKNOWN_WORK[part.comparison]),
            t("Change of its loss (95% interval)"): signed(part.change),
            t("Change on the other slices"): signed(part.others),
            t("Difference (95% interval)"): signed(part.difference),
            t("Number of prompts"): part.n_examples,
        }
        for part in found.unknown_work
    ]
    table(rows, alt=t("Change of loss on unknown work beside the slices that the plan was chosen by"))
    st.caption(t("Nats a token, with the plan minus without it, on undisturbed text."))
    download_rows(rows, "unknown_work.csv", key="unknown_work")


def show_open(found: Robustness) -> None:
    """What was not tested, and what the run had to remark."""
    t = words()
    section(t("What was not tested"), None)
    said = [say(one) for one in (*not_tested(found), *found.notes)]
    remarks = [
        f"{t(DISTURBANCES[row.kind])}, {level(row.kind, row.level, language())}: {say(row.note)}" for row in found.results if row.note
    ]
    st.markdown("\n".join(f"- {one}" for one in dict.fromkeys([*said, *remarks])))


def how_robustness(found: Robustness) -> None:
    """Formula, source, sample and interval, with every row."""
    t = words()
    how_do_we_know(
        formula=t(
            "rise = loss under the disturbance - loss without it, each model against itself; "
            "difference = rise of the plan - rise of the original"
        ),
        source=t("Paired bootstrap over prompts; noise is drawn from the text of each prompt, attacks by FGSM and PGD (captum.robust)"),
        sample=t("{n} prompts, {tokens} tokens", n=found.n_examples, tokens=found.counts.n_tokens),
        interval=t("95%, two-sided; {n} bootstrap replicates", n=found.settings.replicates),
        rows=rise_rows(found, look()),
        file_name="robustness_rows.csv",
        key="robustness_rows",
    )


def machine_line(found: Robustness) -> str:
    """Where and when it ran."""
    t, machine = words(), found.machine
    return t(
        "Tested on {device} in {dtype} on {date}, {n} prompts.",
        device=plain(machine.device_name),
        dtype=machine.dtype,
        date=machine.started_at[:10],
        n=found.n_examples,
    )
