"""The rank matrix and what follows from it: the order, who agrees with whom, and how sure the choice is."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from analysis.contracts import Interval, Ranking, UnitRef, Voter
from analysis.i18n.numbers import listed, number, percent
from analysis.planning.agreement import Agreement, agreement
from analysis.planning.consensus import Consensus, consensus
from analysis.planning.consensus_odds import membership
from analysis.planning.consensus_rules import mid_ranks
from analysis.planning.voters import RULE_WORDS, VOTER_WORDS
from analysis.reporting.charts.agreement import agreement_matrix, agreement_rows
from analysis.reporting.charts.membership import SURE, membership_bars, membership_rows
from analysis.reporting.charts.palette import Look
from analysis.reporting.charts.rank_matrix import (
    Columns,
    MatrixRow,
    consensus_row,
    matrix_rows,
    rank_matrix,
    rank_rows,
    rank_spans,
    voter_row,
)
from analysis.reporting.headlines_consensus import UNIT_OF_LAYER
from pages.ui.charts import draw, look
from pages.ui.consensus_weights import Weighed, mark_of_ranking
from pages.ui.evidence import how_do_we_know, section
from pages.ui.glossary import term
from pages.ui.language import language, words

if TYPE_CHECKING:
    import plotly.graph_objects as go

Mark = tuple[str, str, int, bool]


@st.cache_data(show_spinner=False, max_entries=256)
def voted(mark: Mark, weighed: Weighed, _found: Ranking) -> Consensus:
    """The consensus of the first step as it is weighed now."""
    step = _found.steps[0]
    return consensus(step.votes, step.candidates, rule=weighed.rule, weights=weighed.by_voter, voters=weighed.voters, k=weighed.k)


@st.cache_data(show_spinner=False, max_entries=64)
def _plain(mark: Mark, voters: tuple[Voter, ...], _found: Ranking) -> Consensus:
    step = _found.steps[0]
    return consensus(step.votes, step.candidates, voters=voters)


@st.cache_data(show_spinner=False, max_entries=256)
def _shares(mark: Mark, weighed: Weighed, _found: Ranking) -> tuple[float | None, ...]:
    return membership(
        _found, weighed.k, rule=weighed.rule, weights=weighed.by_voter, voters=weighed.voters, protect=_found.settings.protect
    )


@st.cache_data(show_spinner=False, max_entries=16)
def _spans(mark: Mark, _found: Ranking) -> Mapping[Voter, tuple[Interval | None, ...]]:
    return rank_spans(_found)


@st.cache_data(show_spinner=False, max_entries=16)
def _rows(mark: Mark, shown: Look, _found: Ranking) -> list[dict[str, object]]:
    """Everything behind the matrix: it does not change with the weights, and is longer to make than the consensus itself."""
    return matrix_rows(_found, {name: shown.t(one.title) for name, one in VOTER_WORDS.items()}, shown)


@st.cache_data(show_spinner=False, max_entries=64)
def _agreed(mark: Mark, voters: tuple[Voter, ...], _found: Ranking) -> Agreement:
    step = _found.steps[0]
    return agreement([vote for vote in step.votes if vote.voter in voters], step.candidates)


def plainly(found: Ranking, weighed: Weighed) -> Consensus:
    """The same voters by the un-weighted sum of ranks, as released, to be seen beside."""
    return _plain(mark_of_ranking(found), weighed.voters, found)


def free_order(found: Ranking, now: Consensus) -> tuple[UnitRef, ...]:
    """What may be taken, most replaceable first."""
    return tuple(ref for ref in now.order if ref[1] not in found.settings.protect)


def columns_of(found: Ranking, now: Consensus, by_consensus: bool, taken: Collection[UnitRef], selected: UnitRef | None = None) -> Columns:
    """The candidates as columns: by the consensus or by their place, with what is taken and what is looked at marked."""
    candidates = found.steps[0].candidates
    places = {ref: place for place, ref in enumerate(candidates)}
    return Columns(
        unit=found.settings.unit,
        blocks=tuple(block for _, block in candidates),
        order=tuple(places[ref] for ref in (*now.order, *now.unranked)) if by_consensus else tuple(range(len(candidates))),
        taken=frozenset(places[ref] for ref in taken if ref in places),
        selected=None if selected is None else places.get(selected),
    )


def unit_words(ref: UnitRef) -> str:
    """One unit in words."""
    return words()(UNIT_OF_LAYER[ref[0]], i=ref[1])


def units_words(refs: tuple[UnitRef, ...]) -> str:
    """Several units of one kind in words."""
    t, code = words(), language()
    blocks = listed([str(block) for block in sorted(block for _, block in refs)], code)
    kinds = {"block": t("layers {list}", list=blocks), "attention": t("the attention of layers {list}", list=blocks)}
    return unit_words(refs[0]) if len(refs) == 1 else kinds.get(refs[0][0]) or t("the MLP of layers {list}", list=blocks)


def show_matrix(found: Ranking, weighed: Weighed, now: Consensus, columns: Columns) -> None:
    """Every measure's ranks under the consensus; a click opens what is lost with that layer."""
    t, mark = words(), mark_of_ranking(found)
    draw(
        partial(_matrix, found, weighed, now, columns, look()),
        of=(mark, weighed, columns),
        key="rank_matrix",
        alt=t("Matrix of ranks: one row a measure, one column a layer. The same figures are in the table below."),
        on_click=lambda at: _select(found, at),
    )
    _rank_table(found, weighed, now, columns)
    info = found.features
    how_do_we_know(
        formula=t(
            "rank of each layer by every measure, low = replaceable, equal values share their mean rank; {rule}",
            rule=t(RULE_WORDS[weighed.rule].meaning),
        ),
        source=RULE_WORDS[weighed.rule].source,
        sample=t("{n} prompts, {tokens} tokens", n=found.n_examples, tokens=found.n_tokens)
        + (
            "; "
            + t(
                "final features: {n} positions ({fit} to fit maps, {test} to judge them), {dim} directions with {share} of the variance",
                n=info.n_positions,
                fit=info.n_fit,
                test=info.n_test,
                dim=info.dimension,
                share=percent(info.variance_kept, language()),
            )
            if info
            else ""
        ),
        interval=t("95%, by drawing the prompts anew {n} times (bootstrap)", n=len(found.replicate_ranks)) if found.replicate_ranks else "",
        rows=_rows(mark, look(), found),
        file_name="ranks.csv",
        key="rank_matrix",
    )


def _select(found: Ranking, at: list[int]) -> None:
    candidates = found.steps[0].candidates
    if at and 0 <= at[0] < len(candidates):
        st.session_state[f"lost_{found.id}"] = f"one-{at[0]}"


def _rank_table(found: Ranking, weighed: Weighed, now: Consensus, columns: Columns) -> None:
    """The matrix as a table that scrolls sideways under its fixed first column: on a phone its cells are too small to read."""
    t = words()
    box = st.expander(t("The ranks as a table"), icon=":material/table:", key="rank_table", on_change="rerun")
    if not box.open:
        return
    rows = rank_rows([row for part in _matrix_rows(found, weighed, now, columns, look()) for row in part], columns, look())
    narrow = {name: st.column_config.NumberColumn(width=52) for name in list(rows[0])[1:]}
    first = {next(iter(rows[0])): st.column_config.TextColumn(pinned=True, width=140)}
    box.dataframe(rows, hide_index=True, column_config=first | narrow, alt=t("Rank of every layer by every measure, 1 = most replaceable"))


def _matrix(found: Ranking, weighed: Weighed, now: Consensus, columns: Columns, shown: Look) -> go.Figure:
    return rank_matrix(*_matrix_rows(found, weighed, now, columns, shown), columns, shown)


def _matrix_rows(
    found: Ranking, weighed: Weighed, now: Consensus, columns: Columns, shown: Look
) -> tuple[list[MatrixRow], list[MatrixRow]]:
    """The consensus, beside the plain sum where the rule is another, and the measures."""
    t, spans = shown.t, _spans(mark_of_ranking(found), found)
    ranks = tuple(None if rank != rank else float(rank) for rank in mid_ranks([_or_nan(score) for score in now.scores]))
    top = [consensus_row(t("Consensus"), ranks, now.scores, columns, shown)]
    if weighed.rule != "rank_sum":
        plain = plainly(found, weighed)
        beside = tuple(None if rank != rank else float(rank) for rank in mid_ranks([_or_nan(score) for score in plain.scores]))
        top.append(consensus_row(t("Plain sum of ranks"), beside, plain.scores, columns, shown))
    asked = [vote for vote in found.steps[0].votes if vote.voter in weighed.voters or not vote.votes]
    rows = [voter_row(vote, t(VOTER_WORDS[vote.voter].title), columns, shown, spans.get(vote.voter, ())) for vote in asked]
    return top, rows


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value


def show_sureness(found: Ranking, weighed: Weighed, now: Consensus, columns: Columns) -> None:
    """In which share of resamples each layer is among those taken, and which layers every measure finds low."""
    t, code = words(), language()
    section(t("How sure the choice is"), "measured", help=term("confidence interval"))
    shares = _shares(mark_of_ranking(found), weighed, found)
    if all(share is None for share in shares):
        st.caption(t("Not known: the prompts were not drawn again for this ranking."))
    else:
        taken = [shares[place] for place in columns.taken]
        sure = sum(share is not None and share >= SURE for share in taken)
        st.markdown(
            t(
                "{sure} of the {k} chosen are among the {k} most replaceable in at least {share} of the resamples.",
                sure=sure,
                k=weighed.k,
                share=percent(SURE, code),
            )
        )
        draw(
            partial(membership_bars, shares, columns, weighed.k, look()),
            of=(mark_of_ranking(found), weighed, columns),
            key="membership",
            alt=t("Bars: the share of resamples in which each layer is among the most replaceable. The table below has the figures."),
            on_click=lambda at: _select(found, at),
        )
        how_do_we_know(
            formula=t("share of resampled prompt sets in which the layer is among the {k} lowest by the consensus", k=weighed.k),
            source="",
            sample=t("{n} resamples of {prompts} prompts", n=len(found.replicate_ranks), prompts=found.n_examples),
            interval=t("only the prompts are drawn anew; other work may rank otherwise"),
            rows=membership_rows(shares, columns, weighed.k, look()),
            file_name="membership.csv",
            key="membership",
        )
    low = tuple(ref for ref in now.unanimous if ref[1] not in found.settings.protect)
    st.markdown(
        t("Low by every measure, among the {k} most replaceable of each: {units}.", k=weighed.k, units=units_words(low))
        if low
        else t("No layer is among the {k} most replaceable of every measure.", k=weighed.k)
    )


def show_agreement(found: Ranking, weighed: Weighed) -> None:
    """Which measures rank alike, and the odd voice."""
    t, code = words(), language()
    section(t("Which measures agree"), "measured", help=t("Rank correlation (Spearman): 1 means the same order, 0 unrelated, -1 reversed."))
    agreed = _agreed(mark_of_ranking(found), weighed.voters, found)
    titles = [t(VOTER_WORDS[name].title) for name in agreed.voters]
    if len(titles) < 2:
        st.caption(t("Only one measure votes, so there is nothing to agree with."))
        return
    odd = agreed.voters.index(agreed.odd) if agreed.odd else None
    if odd is None:
        st.markdown(t("No measure stands apart: all agree with the others about alike."))
    else:
        mean = agreed.mean[odd]
        st.markdown(
            t(
                "{voter} is the odd voice: its mean rank correlation with the others is {mean}. It disagrees most over {unit}.",
                voter=f"**{titles[odd]}**",
                mean="" if mean is None else number(mean, code, 2),
                unit=unit_words(agreed.odd_unit) if agreed.odd_unit else t("none"),
            )
        )
    draw(
        partial(agreement_matrix, titles, agreed.matrix, look(), odd=odd),
        of=(mark_of_ranking(found), weighed.voters),
        key="agreement",
        alt=t("Matrix: rank correlation of every two measures. The same figures are in the table below."),
    )
    how_do_we_know(
        formula=t("Spearman rank correlation over the layers that both rank; odd: 0.15 below the median of the others' means"),
        source="",
        sample=t("{n} prompts, {tokens} tokens", n=found.n_examples, tokens=found.n_tokens),
        interval="",
        rows=agreement_rows(titles, agreed.matrix, look()),
        file_name="agreement.csv",
        key="agreement",
    )
