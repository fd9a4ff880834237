"""A ranking in a few lines: who votes how, who is the odd one, what each step cost, and what is lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import typer

from analysis.cli.figures import UNKNOWN, aligned, change, figure, with_interval
from analysis.cli.terminal import Terminal
from analysis.contracts import Estimate, LostWith, Message, PartLoss, Ranking, RankingStep, Unit, UnitRef
from analysis.errors import PlanError
from analysis.i18n import N_, render
from analysis.i18n.numbers import number, span
from analysis.planning.agreement import Agreement, agreement
from analysis.planning.consensus import Consensus, a_fifth, consensus
from analysis.planning.consensus_odds import membership
from analysis.planning.voters import RULE_WORDS, VOTER_WORDS
from analysis.reporting.headlines_consensus import consensus_headline, unit_in_words
from analysis.reporting.token_kind_words import KIND_TITLES

_MOST_ROWS = 40
"""Units shown at most; the file holds them all."""
_UNITS: Mapping[Unit, str] = {"block": N_("layer"), "attention": N_("attention"), "mlp": N_("MLP")}
_WORST_PROMPTS = 3


@dataclass(frozen=True)
class _View:
    """A ranking's first step as it was voted, seen by someone in a terminal."""

    ranking: Ranking
    found: Consensus
    terminal: Terminal

    @property
    def first(self) -> RankingStep:
        return self.ranking.steps[0]

    @property
    def k(self) -> int:
        """How many count as the most replaceable: as many as were taken, else a fifth."""
        return len(self.ranking.taken) or a_fifth(len(self.first.candidates))


def summarise_ranking(ranking: Ranking, out: Path | None, terminal: Terminal, profile: str | None = None) -> None:
    """The headline, the table of ranks, the odd voice, the steps with their cost, and what is lost."""
    if terminal.quiet:
        return
    settings, step = ranking.settings, ranking.steps[0]
    try:
        found = consensus(step.votes, step.candidates, rule=settings.rule, weights=settings.weights)
        terminal.hear(consensus_headline(ranking))
    except PlanError as exc:  # nobody votes: the notes say why
        terminal.hear(exc.message)
    else:
        view = _View(ranking, found, terminal)
        _tell_order(view)
        _tell_agreement(view)
    _tell_silent(ranking, terminal)
    _tell_steps(ranking, terminal)
    _tell_lost(ranking, terminal)
    for note in ranking.notes:
        terminal.hear(note)
    if out is not None and str(out) != "-":
        source = f"--profile {profile}" if profile else f"--ranking {out}"
        terminal.tell(
            "Wrote {path}. Next: {command}",
            path=str(out),
            command=f"python -m analysis plan --op prune --criterion consensus {source} --out plan.json",
        )


def _tell_order(view: _View) -> None:
    terminal, found = view.terminal, view.found
    terminal.tell(
        "Order by consensus ({rule}), with nothing taken out. Ranks: 1 = most replaceable, - = the measure says nothing.",
        rule=Message(id=RULE_WORDS[found.rule].title),
    )
    if view.ranking.replicate_ranks:
        terminal.tell("The column in % says in how many resamples of the prompts a layer is among the {k} most replaceable.", k=view.k)
    for line in aligned(list(_rows(view))):
        typer.echo(line, err=True)
    left_out = len(found.order) - _MOST_ROWS
    if left_out > 0:
        terminal.tell("{n} more stand in the file.", n=left_out)
    legend = [f"{number + 1} {terminal.t(VOTER_WORDS[voter].title)}" for number, voter in enumerate(found.voters)]
    typer.echo("  ".join(legend), err=True)


def _rows(view: _View) -> Iterator[list[str]]:
    """A head, a row for every unit in the consensus' order, and who agrees with the others how much."""
    ranking, found, terminal = view.ranking, view.found, view.terminal
    sure = membership(ranking, view.k, protect=ranking.settings.protect) if ranking.replicate_ranks else ()
    numbers = [str(place + 1) for place in range(len(found.voters))]
    yield [terminal.t(_UNITS[ranking.settings.unit]), terminal.t("score"), *(["%"] if sure else []), *numbers]
    votes = [vote for vote in view.first.votes if vote.voter in found.voters]
    for ref in found.order[:_MOST_ROWS]:
        place = found.candidates.index(ref)
        shares = [UNKNOWN if sure[place] is None else f"{100 * (sure[place] or 0):.0f}"] if sure else []
        ranks = [_rank(vote.ranks[place]) for vote in votes]
        yield [str(ref[1]), _rank(found.scores[place]), *shares, *ranks]


def _rank(value: float | None) -> str:
    """Ranks of ties are halves; a whole one is written as such."""
    return UNKNOWN if value is None else f"{value:.1f}".removesuffix(".0")


def _tell_agreement(view: _View) -> None:
    terminal, found = view.terminal, view.found
    agreed = agreement(view.first.votes, view.first.candidates)
    means = [
        f"{terminal.t(VOTER_WORDS[voter].title)} {figure(mean, terminal, 2)}"
        for voter, mean in sorted(zip(agreed.voters, agreed.mean, strict=True), key=lambda pair: -2.0 if pair[1] is None else pair[1])
    ]
    if len(means) > 1:
        terminal.tell("Agreement with the others (mean rank correlation, lowest first): {means}.", means=means)
    _tell_odd(agreed, terminal)
    unanimous = found.unanimous_within(view.k)
    if unanimous:
        terminal.tell("All measures that rank them find these among the {k} most replaceable: {units}.", k=view.k, units=_units(unanimous))
    elif len(found.voters) > 1:
        terminal.tell("No layer is among the {k} most replaceable of every measure.", k=view.k)
    for tied in found.ties:
        terminal.tell("Equal by consensus, in the order of their rank sums: {units}.", units=_units(tied))


def _tell_odd(agreed: Agreement, terminal: Terminal) -> None:
    if agreed.odd is None:
        return
    odd = Message(id=VOTER_WORDS[agreed.odd].title)
    if agreed.odd_unit is None:
        terminal.tell("The odd voice: {measure}.", measure=odd)
    else:
        terminal.tell("The odd voice: {measure}, most of all about {what}.", measure=odd, what=unit_in_words(agreed.odd_unit))


def _tell_silent(ranking: Ranking, terminal: Terminal) -> None:
    """Who could not vote, and why; and what else measures have to say of their own votes: each reason once, with all it is true of."""
    silent, noted = dict[str, list[Message]](), dict[str, list[Message]]()
    for vote in ranking.steps[0].votes:
        measure = Message(id=VOTER_WORDS[vote.voter].title)
        if vote.abstained is not None:
            silent.setdefault(render(vote.abstained, terminal.language), []).append(measure)
            continue
        for note in vote.notes:
            noted.setdefault(render(note, terminal.language), []).append(measure)
    for reason, measures in silent.items():
        terminal.tell("Could not vote: {measures}. {reason}", measures=measures, reason=reason)
    for remark, measures in noted.items():
        terminal.tell("{measures}: {note}", measures=measures, note=remark)


def _tell_steps(ranking: Ranking, terminal: Terminal) -> None:
    """What every step took, what that cost in loss, and what measuring it took."""
    taken = [step for step in ranking.steps if step.chosen]
    if taken:
        if ranking.objective == "loss":
            terminal.tell("Taken out step by step, everything measured again in between (loss: nats per token, with 95% interval):")
        else:
            terminal.tell("Taken out step by step, everything measured again in between (loss: 1 - cosine of the final states):")
        heads = [N_("step no."), N_("out"), N_("loss"), N_("change"), N_("passes"), N_("s model"), N_("s measures")]
        rows = [[terminal.t(head) for head in heads], *(_step_row(n, step, terminal) for n, step in enumerate(taken, start=1))]
        for line in aligned(rows):
            typer.echo(line, err=True)
    run, naive = (sum(getattr(step.cost, name) for step in ranking.steps) for name in ("block_calls", "naive_block_calls"))
    if run:
        terminal.tell(
            "Measuring took {run} passes of all tokens through one layer; one forward for every layer and every member that was asked "
            "would have taken {naive} ({times} times as many). {seconds} s in the model, {metric} s in the measures.",
            run=number(run, terminal.language, 0),
            naive=number(naive, terminal.language, 0),
            times=number(naive / run, terminal.language, 1),
            seconds=number(sum(step.cost.pass_seconds for step in ranking.steps), terminal.language, 1),
            metric=number(sum(step.cost.metric_seconds for step in ranking.steps), terminal.language, 1),
        )
    if not ranking.complete:
        terminal.tell("This ranking was stopped on the way; the same command goes on from there.")


def _step_row(number_: int, step: RankingStep, terminal: Terminal) -> list[str]:
    told = change(step.change, terminal)
    if step.interval is not None and step.change is not None:
        low, high = (figure(end, terminal) for end in step.interval)
        told = f"{told} ({span(low, high, terminal.language)})"
    cost = step.cost
    return [
        str(number_),
        ", ".join(str(block) for _, block in step.chosen),
        figure(step.loss, terminal),
        told,
        number(cost.block_calls, terminal.language, 0),
        number(cost.pass_seconds, terminal.language, 1),
        number(cost.metric_seconds, terminal.language, 1),
    ]


def _tell_lost(ranking: Ranking, terminal: Terminal) -> None:
    """What is lost with everything that was taken out; where nothing was, with the unit that the consensus takes first."""
    together = ranking.lost_together[-1:]
    scores = {ref: score for ref, score in zip(ranking.steps[0].candidates, ranking.steps[0].scores, strict=True) if score is not None}
    best = min(scores, key=scores.__getitem__, default=None)
    lost = next(iter(together), None) or next((one for one in ranking.lost if one.removed == (best,)), None)
    if lost is None:
        return
    told = {"units": _units(lost.removed), "change": with_interval(lost.change, terminal, signed=True)}
    if ranking.objective == "loss":
        terminal.tell("Lost without {units}: {change} nats per token.", **told)
    else:
        terminal.tell("Moved without {units}: final states turn by {change} (1 - cosine).", **told)
    _tell_worst("  most on the slices: {parts}", lost.slices, terminal)
    _tell_worst("  most on: {parts}", {terminal.t(KIND_TITLES[kind]): part for kind, part in lost.kinds.items()}, terminal)
    _tell_prompts(lost, terminal)


def _tell_worst(sentence: str, parts: Mapping[str, PartLoss], terminal: Terminal) -> None:
    known = [(name, part.change) for name, part in parts.items() if part.change.value is not None]
    worst = sorted(known, key=lambda pair: -(pair[1].value or 0))[:3]
    said = [f"{name} {_rise(found, terminal)}" for name, found in worst]
    if said:
        terminal.tell(sentence, parts=said)


def _rise(found: Estimate, terminal: Terminal) -> str:
    return with_interval(found, terminal, 2, signed=True)


def _tell_prompts(lost: LostWith, terminal: Terminal) -> None:
    for prompt in lost.prompts[:_WORST_PROMPTS]:
        told = {"change": change(prompt.change, terminal, 2), "slice": prompt.slice, "text": prompt.excerpt or prompt.example_id}
        if prompt.critical:
            terminal.tell("  {change} ({slice}, critical): {text}", **told)
        else:
            terminal.tell("  {change} ({slice}): {text}", **told)


def _units(refs: tuple[UnitRef, ...]) -> tuple[Message, ...]:
    return tuple(unit_in_words(ref) for ref in refs)
