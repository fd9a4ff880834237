"""A plan in figures and reasons: what it should save, which units go, and why."""

from __future__ import annotations

from collections.abc import Iterator

import streamlit as st

from analysis.contracts import ConsensusChoice, Estimate, Plan, Profile, Projection, Quantity, Search, UnitReason
from analysis.i18n.numbers import amount, number, percent, size, span
from analysis.planning import CRITERIA, ComparedRow, compare_plans
from analysis.planning.compare import QUANTITIES
from analysis.planning.from_search import STRATEGY_WORDS
from analysis.planning.voters import RULE_WORDS, VOTER_WORDS
from pages.ui.evidence import Rows
from pages.ui.language import language, plain, say, words
from pages.ui.plan_form import UNITS
from pages.ui.similarity_charts import bootstrap_words
from pages.ui.similarity_view import slice_title
from pages.ui.verdicts import change_words

CHOSEN = "chosen"
"""The strategy of a plan whose set a person picked."""


def projection_table(projection: Projection) -> Rows:
    """Before, after and change of every projected figure, with units."""
    t, code = words(), language()
    rows = []
    for field, title, kind in QUANTITIES:
        quantity: Quantity = getattr(projection, field)
        if not quantity.before:
            continue
        rows.append(
            {
                t("Projected figure"): t(title),
                t("Before"): _written(quantity.before, kind),
                t("After"): _written(quantity.after, kind),
                t("Change"): _change(quantity, code),
            }
        )
    return [*rows, *_more_rows(projection)]


def _more_rows(projection: Projection) -> Iterator[dict[str, object]]:
    """What is known only after more was measured: memory in use, times, quality."""
    t, code = words(), language()
    heads = t("Projected figure"), t("Before"), t("After"), t("Change")
    if found := projection.peak_memory_bytes:
        figures = t("Most memory in use"), _written(found.before, "bytes"), _written(found.after, "bytes"), _change(found, code)
        yield dict(zip(heads, figures, strict=True))
    for one in projection.latency:
        title = (
            t("Time to read {n} tokens, batch of {batch}", n=one.context_tokens, batch=one.batch_size)
            if one.phase == "prefill"
            else t("Time to write one token after {n}, batch of {batch}", n=one.context_tokens, batch=one.batch_size)
        )
        before, after = (t("{n} ms", n=number(value, code)) for value in (one.ms.before, one.ms.after))
        yield dict(zip(heads, (title, before, after, _change(one.ms, code)), strict=True))
    if quality := projection.quality:
        low, high = quality.perplexity_ratio_interval
        change = change_words(Estimate(value=quality.perplexity_ratio, low=low, high=high))
        yield dict(zip(heads, (t("Perplexity"), "", "", change), strict=True))


def quality_note(projection: Projection | None) -> str:
    """Where the projected quality comes from, and that it decides nothing yet."""
    t = words()
    quality = projection.quality if projection else None
    if quality is None:
        return t("What this does to quality is not known until the plan is verified. A small change is not yet safe to remove.")
    if quality.measured:
        return t(
            "Quality: this very set was measured, but on the examples it was chosen from (95% interval). "
            "Verification on other examples decides."
        )
    return t(
        "Quality: worked out from single layers and pairs that were measured on the calibration examples (90% interval). "
        "Verification on other examples decides."
    )


def is_from_search(plan: Plan) -> bool:
    """Whether the plan was made from measured removals, so that its reasons are changes in loss."""
    name = plan.provenance.criterion
    if name in CRITERIA:  # one name stands for both ways; only a profile knows of single slices
        return name in STRATEGY_WORDS and all(reason.worst_slice_score is None for reason in plan.provenance.reasons)
    return name == CHOSEN or name in STRATEGY_WORDS


def _written(value: float, kind: str) -> str:
    code = language()
    if kind == "bytes":
        return size(value, code)
    return amount(value, code) if value >= 1000 else number(value, code)


def _change(quantity: Quantity, code: str) -> str:
    t, share = words(), quantity.saved_share
    if not share:
        return t("unchanged")
    size_of_it = percent(abs(share), code, 1)
    return t("{percent} less", percent=size_of_it) if share > 0 else t("{percent} more", percent=size_of_it)


def comparison_table(first: Plan, second: Plan) -> Rows:
    """What two plans take out and should leave, side by side.

    Raises:
        PlanError: the plans are for different models.
    """
    t = words()
    heads = [f"{place}. {plan.name or plan.id}" for place, plan in enumerate((first, second), start=1)]
    return [
        {
            t("Projected figure"): t(row.label),
            heads[0]: _cell(row, row.a, row.only_a),
            heads[1]: _cell(row, row.b, row.only_b),
            t("Alike in both, or before"): _cell(row, row.shared, None),
        }
        for row in compare_plans(first, second)
    ]


def _cell(row: ComparedRow, value: object, saved: object) -> str:
    t, code = words(), language()
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or t("none")
    if not isinstance(value, int | float):
        return t("differs")
    written = _written(value, row.kind)
    return f"{written} ({t('{percent} less', percent=percent(saved, code, 1))})" if isinstance(saved, float) and saved > 0 else written


def reasons_table(plan: Plan) -> list[dict[str, object]]:
    """Which units go and on what evidence, one a row."""
    t = words()
    if plan.provenance.consensus:
        return _voted_reasons(plan, plan.provenance.consensus)
    if is_from_search(plan):
        return [_loss_reason(reason) for reason in plan.provenance.reasons]
    return [
        {
            t("Layer"): reason.block,
            t("Unit"): t(UNITS[reason.unit]),
            t("Rank (1 = least change)"): reason.rank,
            t("Change"): _figure(reason.score),
            t("95% interval"): span(_figure(reason.interval[0]), _figure(reason.interval[1]), language()) if reason.interval else "",
            t("On first and sink tokens"): _figure(reason.sink_score),
            t("Most affected slice"): _worst(reason),
        }
        for reason in plan.provenance.reasons
    ]


def _loss_reason(reason: UnitReason) -> dict[str, object]:
    t = words()
    return {
        t("Layer"): reason.block,
        t("Unit"): t(UNITS[reason.unit]),
        t("Rank (1 = least loss)"): reason.rank,
        t("Loss when left out alone"): _figure(reason.score),
        t("95% interval"): span(_figure(reason.interval[0]), _figure(reason.interval[1]), language()) if reason.interval else "",
    }


def _voted_reasons(plan: Plan, choice: ConsensusChoice) -> list[dict[str, object]]:
    """What the measures voted out: each unit's place, how sure it is, and what is lost without it alone."""
    t, reasons = words(), plan.provenance.reasons
    shares = choice.probabilities if len(choice.probabilities) == len(reasons) else (None,) * len(reasons)
    return [
        {
            t("Layer"): reason.block,
            t("Unit"): t(UNITS[reason.unit]),
            t("Rank by the consensus"): reason.rank,
            t("Share of resamples in which it goes"): "" if share is None else percent(share, language()),
            t("Loss when left out alone"): _figure(reason.score),
            t("95% interval"): span(_figure(reason.interval[0]), _figure(reason.interval[1]), language()) if reason.interval else "",
            t("Most affected slice"): _worst(reason),
        }
        for reason, share in zip(reasons, shares, strict=True)
    ]


def _worst(reason: UnitReason) -> str:
    return f"{slice_title(reason.worst_slice)} ({_figure(reason.worst_slice_score)})" if reason.worst_slice else ""


def _figure(value: float | None) -> str:
    return "" if value is None else number(value, language(), 3)


def consensus_words(choice: ConsensusChoice) -> str:
    """By which rule the units were voted out, how many measures agree, and whose voice is odd."""
    t = words()
    rule = t(RULE_WORDS[choice.rule].title)
    agreed = t(
        "Chosen by several measures ({rule}); {n} of {m} count at least half of these units among their most replaceable.",
        rule=rule,
        n=choice.n_agree,
        m=len(choice.voters),
    )
    if choice.odd is None:
        return f"{agreed} {t('No measure stands clearly apart from the others.')}"
    odd = t(VOTER_WORDS[choice.odd].title)
    return f"{agreed} {t('{odd} disagrees most with the others.', odd=odd)}"


def warnings_of(plan: Plan) -> None:
    """Who voted for the choice, what speaks against single removals, and what a reader should know about it."""
    if plan.provenance.consensus:
        st.markdown(consensus_words(plan.provenance.consensus))
    for reason in plan.provenance.reasons:
        if reason.warning:
            st.warning(say(reason.warning), icon=":material/warning:")
    for note in plan.provenance.notes:
        st.caption(say(note))


def method_of(plan: Plan) -> tuple[str, str]:
    """What the plan's strategy means, and where it comes from."""
    t, name = words(), plan.provenance.criterion
    if choice := plan.provenance.consensus:
        return t(RULE_WORDS[choice.rule].meaning), RULE_WORDS[choice.rule].source
    if name == CHOSEN:
        return t("A set picked by hand among those that were measured."), ""
    found = STRATEGY_WORDS.get(name) if is_from_search(plan) else CRITERIA.get(name)
    return (t(found.meaning), found.source) if found else (plain(name), "")


def sample_of(plan: Plan, found: Profile, search: Search | None) -> tuple[str, str]:
    """What stands behind the reasons: how many prompts and tokens, and how the intervals were had."""
    t = words()
    if choice := plan.provenance.consensus:
        voters = t("{n} of {m} measures count at least half of them among their most replaceable", n=choice.n_agree, m=len(choice.voters))
        return voters, t("95%, paired bootstrap over prompts")
    if is_from_search(plan) and search:
        counted = t("{n} prompts, {tokens} tokens", n=search.counts.n_examples, tokens=search.n_tokens)
        return counted, t("95%, paired bootstrap over prompts")
    counts = found.counts
    counted = t("{n} prompts, {tokens} tokens", n=counts.n_examples, tokens=counts.n_prompt + counts.n_response)
    return counted, bootstrap_words(found)
