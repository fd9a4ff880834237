"""The rest of the Consensus page: what it asks before there is a ranking, the order in words, and how the ranking was made."""

from __future__ import annotations

import streamlit as st

from analysis.contracts import Message, Ranking, RankingSummary
from analysis.i18n.numbers import listed, number
from analysis.planning.consensus import Consensus
from analysis.planning.voters import RULE_WORDS, VOTER_WORDS
from analysis.reporting.headlines_consensus import consensus_headline
from pages.ui.consensus_matrix import free_order, plainly, units_words
from pages.ui.consensus_weights import Weighed
from pages.ui.evidence import section, table
from pages.ui.frame import Subject, headline, standing
from pages.ui.language import language, plain, say, words
from pages.ui.picker import delete_button, json_button
from pages.ui.session import client, forget, remember
from pages.ui.similarity_view import slice_title


def ask_first(about: Subject) -> None:
    """Nothing was voted yet for this run: what a vote is, and the sample's to look at."""
    t = words()
    headline(
        t(
            "Which layers of {model} can go? No single measure decides that: let several vote.",
            model=plain(about.run.model_name) if about.run else "",
        )
    )
    standing(about)
    st.markdown(
        t(
            "Every layer is left out in turn, on the calibration examples. Eight measures compare the model's final states, others look at "
            "the layer itself, at the loss and at its gradients. Their ranks are added up; the model's files are not touched."
        )
    )
    sample = next((one for one in client().rankings() if one.is_sample), None)
    if sample is not None and st.button(
        t("Look at the sample's ranking first"), key="see_sample", type="tertiary", icon=":material/visibility:"
    ):
        forget("plan")
        forget("run")
        remember("ranking", sample.id)
        st.query_params.pop("run", None)
        st.rerun()


def answer_of(found: Ranking, weighed: Weighed) -> str:
    """The page's first sentence, as the measures are put together now."""
    told = consensus_headline(found, rule=weighed.rule, weights=weighed.by_voter, voters=weighed.voters, k=weighed.k)
    return say(_with_slices(told))


def _with_slices(message: Message) -> Message:
    """The sample's slices in the language being spoken; slices of one's own are called what the file calls them."""

    def said(name: str, value: object) -> object:
        if isinstance(value, Message):
            return _with_slices(value)
        return slice_title(value) if name == "slice" and isinstance(value, str) else value

    return Message(id=message.id, values={name: said(name, value) for name, value in message.values.items()})


def order_table(found: Ranking, weighed: Weighed, now: Consensus) -> None:
    """The order in words: by the rule chosen, and by the plain sum of ranks where that is another."""
    t, code = words(), language()
    n = max(weighed.k, 10)
    first = listed([str(block) for _, block in free_order(found, now)[:n]], code)
    st.markdown(t("Most replaceable first: {list}.", list=first))
    if weighed.rule != "rank_sum":
        plain_sum = listed([str(block) for _, block in free_order(found, plainly(found, weighed))[:n]], code)
        st.caption(t("By the plain sum of ranks: {list}.", list=plain_sum))
    if now.ties:
        groups = listed([units_words(tuple(group)) for group in now.ties[:3]], code)
        st.caption(t("Equal scores, ordered by the sum of ranks and then by place: {groups}.", groups=groups))
    for voter, why in now.abstained.items():
        st.caption(t("{voter} does not vote: {why}", voter=t(VOTER_WORDS[voter].title), why=say(why)))


def about_ranking(found: Ranking, shown: RankingSummary) -> None:
    """When, where and from what the ranking was made, its notes, and ranking.json to take away."""
    t, code = words(), language()
    section(t("About this ranking"), "measured")
    settings = found.settings
    said = [
        t(
            "Measured on {device} in {dtype} on {date}: {n} prompts, {tokens} tokens whose loss counts.",
            device=plain(found.device_name),
            dtype=settings.dtype,
            date=found.created_at[:10],
            n=found.n_examples,
            tokens=found.n_tokens,
        ),
        t("Every step was decided by: {rule}.", rule=t(RULE_WORDS[settings.rule].title)),
    ]
    if found.objective == "state_change":
        said.append(t("This model writes no words: loss is how far its final states turn (1 - cosine), not perplexity."))
    if settings.protect:
        said.append(t("Layers that had to stay: {list}.", list=listed([str(block) for block in settings.protect], code)))
    notes = [say(note) for note in found.notes]
    for vote in found.steps[0].votes:
        notes += [t("{voter}: {note}", voter=t(VOTER_WORDS[vote.voter].title), note=say(note)) for note in vote.notes]
    st.caption("\n".join(f"- {sentence}" for sentence in (*said, *notes)))
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        inside = t("All votes, steps and losses. The beginnings of the prompts that lose most are in it where they were kept.")
        json_button(found, "ranking", note=inside)
        gone = t("The ranking is deleted from this machine and cannot be brought back. Plans made from it stay. Files you downloaded stay.")
        delete_button(t("Delete this ranking"), shown.id, "ranking", gone, client().delete_ranking)
    _seconds_of(found)


def _seconds_of(found: Ranking) -> None:
    """What each measure's own arithmetic took, one click below."""
    t, code = words(), language()
    with st.expander(t("The measures one by one"), icon=":material/list:"):
        rows = [
            {
                t("Measure"): t(VOTER_WORDS[vote.voter].title),
                t("What a low value says"): t(VOTER_WORDS[vote.voter].meaning),
                t("Source"): VOTER_WORDS[vote.voter].source,
                t("Samples"): number(vote.n_samples, code),
                t("Seconds"): number(vote.seconds, code, 1),
            }
            for vote in found.steps[0].votes
        ]
        table(rows, alt=t("What every measure says, where it comes from, and how long it took"))
