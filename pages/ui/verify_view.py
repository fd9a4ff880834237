"""What a verification found, as evidence: limits, slices, prompts, answers side by side."""

from __future__ import annotations

from functools import partial

import streamlit as st

from analysis.contracts import ExampleOutcome, Generation, GuardrailResult, Plan, Profile, QualityScores, TaskScore, Verification
from analysis.i18n import N_, render
from analysis.i18n.numbers import number, percent
from analysis.planning import plan_in_words
from analysis.planning.limits import CRITICAL
from analysis.reporting.charts.stack import stack_figure
from analysis.reporting.charts.verification import limits_figure, slices_figure
from analysis.reporting.verification_words import estimate, item, limit, remark
from pages.ui.charts import draw, look
from pages.ui.evidence import Rows, download_rows, section, table
from pages.ui.glossary import term
from pages.ui.language import language, plain, say, words
from pages.ui.similarity_view import slice_title
from pages.ui.verdicts import change_words, estimate_words, origin_of, verdict_mark

SHOWN_PROMPTS, SHOWN_ANSWERS, ID_LETTERS = 10, 4, 12
TASKS = {"choices": N_("choices"), "exact": N_("exact match"), "normalised": N_("match after normalising")}


def spoken(found: Verification) -> Verification:
    """The same with the sample's slices called by their names in the language spoken, to stand inside sentences."""
    return found.model_copy(update={"guardrails": tuple(_spoken_result(result) for result in found.guardrails)})


def _spoken_result(result: GuardrailResult) -> GuardrailResult:
    guardrail, worst = result.guardrail, result.worst_slice
    named = guardrail.slice if guardrail.slice in (None, CRITICAL) else slice_title(str(guardrail.slice))
    values = {
        name: slice_title(value) if name == "slice" and isinstance(value, str) else value for name, value in result.reason.values.items()
    }
    return result.model_copy(
        update={
            "guardrail": guardrail.model_copy(update={"slice": named}),
            "worst_slice": slice_title(worst) if worst else None,
            "reason": result.reason.model_copy(update={"values": values}),
        }
    )


def show_limits(found: Verification) -> None:
    """Item, criterion, result with its interval, verdict; and what decided it."""
    t = words()
    section(t("Limits and results"), origin_of(found), help=term("guardrail"))
    if not found.guardrails:
        st.caption(t("No limit was set before this run, so there is no verdict."))
        return
    rows = _without_empty([_limit_row(result) for result in spoken(found).guardrails])
    table(rows, alt=t("Each limit with its result and verdict"), marked=(t("Verdict"),))
    draw(
        partial(limits_figure, found.guardrails, look(), names=_titles(found)),
        of=(found.id,),
        key="limits",
        alt=t("Chart: each result with its interval against its limit; the table above has the figures."),
    )
    decided = [result for result in found.guardrails if result.decided_by]
    if decided:
        with st.expander(t("Which prompts decided it"), icon=":material/search:"):
            for result in decided:
                st.markdown(f"**{say(item(result.guardrail))}**: {', '.join(plain(short_id(one)) for one in result.decided_by)}")


def _limit_row(result: GuardrailResult) -> dict[str, str]:
    t, code, guardrail = words(), language(), result.guardrail
    return {
        t("Item"): render(item(guardrail), code),
        t("Criterion"): render(limit(guardrail), code),
        t("Result (95% interval)"): estimate(result.measured, guardrail, code),
        t("Verdict"): verdict_mark(result.verdict),
        t("Remark"): render(said, code) if (said := remark(result)) else "",
    }


def _without_empty(rows: Rows) -> Rows:
    """The table without columns that say nothing in any row: a phone has little room."""
    told = {head for row in rows for head, value in row.items() if value != ""}
    return [{head: value for head, value in row.items() if head in told} for row in rows]


def show_stack(run: Profile, plan: Plan) -> None:
    """The model's layers, and what the plan that was run does to them."""
    t = words()
    st.subheader(t("The layers, and what the plan does to them"), anchor=False)
    draw(
        partial(stack_figure, run.model, look(), stack=run.stack, plans=(plan,), compact=True),
        of=(run.id, plan.id, plan.name),
        key="verified_stack",
        alt=t("The model's layers as a stack of bars. {plan}.", plan=plan_in_words(plan)),
    )
    st.caption(say(plan_in_words(plan)))


def show_slices(found: Verification) -> None:
    """Quality by slice, the critical prompts among them."""
    t = words()
    section(t("Quality by kind of work"), origin_of(found), help=term("slice"))
    left, right = st.columns([4, 5], gap="large")
    with left:
        build = partial(slices_figure, found.slices, look(), overall=found.quality, limit_ratio=_limit_ratio(found), names=_titles(found))
        alt = t("Chart: change of perplexity with its interval for each slice; the table beside it has the figures.")
        draw(build, of=(found.id,), key="slices", alt=alt)
    with right:
        table(_without_empty(slice_rows(found)), alt=t("Quality of original and plan, by slice"))
        download_rows(slice_rows(found, more=True), "slices.csv", key="slices")


def _titles(found: Verification) -> dict[str, str]:
    return {name: slice_title(name) for name in found.slices}


def _limit_ratio(found: Verification) -> float | None:
    """The limit on perplexity over all prompts as a ratio, for the chart; None: there is none that is one."""
    for result in found.guardrails:
        limit_of = result.guardrail
        if limit_of.metric == "perplexity" and limit_of.slice is None and limit_of.unit in ("x", "%"):
            return limit_of.value if limit_of.unit == "x" else 1 + limit_of.value / 100
    return None


def slice_rows(found: Verification, *, more: bool = False) -> Rows:
    """All prompts, the critical ones, then each slice; `more`: with the figures that only the file has room for."""
    t = words()
    parts = [(t("all prompts"), found.quality)]
    if found.critical:
        parts.append((t("critical prompts"), found.critical))
    parts += [(slice_title(name), scores) for name, scores in found.slices.items()]
    return [_slice_row(title, scores) | (_more_of(scores) if more else {}) for title, scores in parts]


def _more_of(scores: QualityScores) -> dict[str, object]:
    t = words()
    return {
        t("KL divergence"): estimate_words(scores.kl),
        t("Same next word"): estimate_words(scores.top1_agreement, share=True),
        t("Right answers, change"): "; ".join(
            f"{t(TASKS[task.kind])}: {estimate_words(task.change, share=True, signed=True)}" for task in scores.tasks
        ),
    }


def _slice_row(title: str, scores: QualityScores) -> dict[str, object]:
    t = words()
    flips = t("{changed} of {n}", changed=scores.flips.changed, n=scores.flips.n) if scores.flips else ""
    tasks = "; ".join(right for task in scores.tasks if (right := _right(task)))
    return {
        t("Slice"): title,
        t("Prompts"): scores.n_examples,
        t("Perplexity (95% interval)"): change_words(scores.perplexity_ratio),
        t("Changed answers"): flips,
        t("Answers that were right"): tasks,
    }


def _right(task: TaskScore) -> str:
    """How many answers were right before and after: a share of so few cases says less."""
    if task.original.value is None or task.plan.value is None:
        return ""
    before, after = (round(task.n * share) for share in (task.original.value, task.plan.value))
    if before == after == 0:  # nothing that could be lost
        return ""
    return words()("{kind}: {before}, now {after} of {n}", kind=words()(TASKS[task.kind]), before=before, after=after, n=task.n)


def short_id(example_id: str) -> str:
    """Enough of a prompt's id to find it again; ids are hashes of what the prompt says."""
    return example_id[:ID_LETTERS]


def show_prompts(found: Verification) -> None:
    """The prompts that changed most, without a word of them."""
    t = words()
    section(t("Prompts that changed most"), origin_of(found))
    rows = prompt_rows(found)[:SHOWN_PROMPTS]
    table(rows, alt=t("Prompts with the largest change in loss or a changed answer, worst first"))


def prompt_rows(found: Verification, *, whole_ids: bool = False) -> Rows:
    """Every prompt: changed answers first, critical ones before others, then by added loss."""
    moved = sorted(found.examples, key=lambda one: (-bool(one.flipped), -(one.critical and bool(one.flipped)), -_added(one)))
    return [_prompt_row(one, whole_ids) for one in moved]


def _added(one: ExampleOutcome) -> float:
    return 0.0 if one.loss_plan is None or one.loss_original is None else one.loss_plan - one.loss_original


def _prompt_row(one: ExampleOutcome, whole_ids: bool) -> dict[str, object]:
    t, code = words(), language()
    added = _added(one)
    answer = "" if one.flipped is None else t("changed") if one.flipped else t("unchanged")
    return {
        t("Prompt"): one.example_id if whole_ids else short_id(one.example_id),
        t("Slice"): slice_title(one.slice),
        t("Critical"): t("critical") if one.critical else "",
        t("Answer"): answer,
        t("Loss, change"): ("+" if added >= 0 else "−") + number(abs(added), code, 3),
        t("Same next word"): "" if one.top1_agreement is None else percent(one.top1_agreement, code),
    }


def show_answers(found: Verification) -> None:
    """What both models answered, side by side, changed ones first; texts can be hidden from onlookers."""
    t = words()
    section(t("Answers side by side"), origin_of(found))
    if not found.generations:
        st.caption(t("No answers are stored with this verification: none were generated, or the file came without texts."))
        return
    changed = sum(one.changed for one in found.generations)
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.markdown(t("{changed} of {n} generated answers differ.", changed=changed, n=len(found.generations)), width="content")
        hidden = st.toggle(t("Hide texts"), key="hide_texts", persist_state="session", help=t("For a shared screen."))
    if hidden:
        return
    ordered = sorted(found.generations, key=lambda one: (not one.changed, not one.critical))
    key = f"all_answers_{found.id}"
    shown = ordered if st.session_state.get(key) else ordered[:SHOWN_ANSWERS]
    for one in shown:
        _side_by_side(one)
    if len(shown) < len(ordered):
        st.button(
            t("Show all {n}", n=len(ordered)),
            key=f"show_{key}",
            type="tertiary",
            on_click=st.session_state.__setitem__,
            args=(key, True),
        )


def _side_by_side(one: Generation) -> None:
    t = words()
    with st.container(border=True):
        marks = [slice_title(one.slice)] + ([t("critical")] if one.critical else []) + [t("changed") if one.changed else t("unchanged")]
        st.caption(plain(" · ".join(marks)))
        st.text(one.prompt)
        left, right = st.columns(2, gap="medium")
        for column, title, text in ((left, t("Original"), one.original), (right, t("With the plan"), one.plan)):
            with column:
                st.markdown(f"**{title}**")
                st.text(text or t("(empty)"))
        if one.reference:
            st.caption(t("Expected: {text}", text=plain(one.reference)))
