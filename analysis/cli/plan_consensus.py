"""`plan --criterion consensus`: from a ranking that is kept, or in a file, to the plan that its measures voted for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from analysis.cli.documents import client_of, read_profile, read_ranking
from analysis.cli.voting import check_weights, voters_named, weights_named
from analysis.contracts import Plan, Profile, Ranking, Rule, Unit, Voter
from analysis.errors import DocumentError, InputError
from analysis.planning.from_ranking import CONSENSUS, plan_from_ranking

__all__ = ["CONSENSUS", "Asked", "Voting", "voted_plan"]


@dataclass(frozen=True)
class Asked:
    """What a plan is asked for, whatever it is made from."""

    amount: str | None
    op: Literal["prune", "skip"]
    protect: tuple[int, ...]
    context_tokens: int
    name: str

    @property
    def needed(self) -> str:
        """The amount, where there is no plan without one. InputError: none was given."""
        if self.amount is None:
            raise InputError("--budget is missing. Say how much to remove, for example --budget 20%.")
        return self.amount


@dataclass(frozen=True)
class Voting:
    """How the vote of a ranking is counted, as it was typed; None: as the ranking was made."""

    ranking: str | None
    rule: Rule | None
    weights: str | None
    criteria: str | None
    one_shot: bool

    @property
    def given(self) -> Mapping[str, object]:
        """The options that mean something only here."""
        options = {"--ranking": self.ranking, "--rule": self.rule, "--weights": self.weights, "--criteria": self.criteria}
        return {**options, "--one-shot": self.one_shot or None}

    def refuse(self) -> None:
        """Refuses these options where nothing is voted on.

        Raises:
            InputError: one of them was given.
        """
        wrong = tuple(option for option, value in self.given.items() if value is not None)
        if wrong:
            raise InputError("{options} can only be used with --criterion consensus. Add that, or leave them out.", options=wrong)

    def voters(self, ranking: Ranking) -> tuple[Voter, ...] | None:
        """Whose votes count: of a group those that the ranking asked; None: all of them."""
        if self.criteria is None:
            return None
        named, there = voters_named(self.criteria), {vote.voter for vote in ranking.steps[0].votes}
        return tuple(voter for voter in named if voter in there) or named

    def the_weights(self, ranking: Ranking) -> dict[Voter, float] | None:
        """Weights as typed; None: the ranking's own."""
        if self.weights is None:
            return None
        found = weights_named(self.weights)
        check_weights(self.rule or ranking.settings.rule, found)
        return found


def voted_plan(voting: Voting, profile: str | None, units: tuple[Unit, ...], others: Mapping[str, object], asked: Asked) -> Plan:
    """The plan that the measures of a ranking voted for.

    Args:
        voting: how votes are counted, and the ranking if one was named.
        profile: where no ranking was named: the kept one of its model and prompts is meant.
        units: the kind of unit that was ranked; empty: as the named ranking has it, else whole layers.
        others: further options, of which none goes with a vote.
        asked: what every plan is asked for.

    Raises:
        InputError: neither a ranking nor a profile was given, or something beside them.
        DocumentError: there is no such ranking.
    """
    wrong = tuple(option for option, value in others.items() if value)
    if wrong:
        raise InputError("{options} cannot be used with --criterion consensus. Leave it out.", options=wrong)
    if len(units) > 1:
        raise InputError("A ranking is of one kind of unit. Give --unit once.")
    measured = read_profile(profile) if profile is not None else None
    ranking = _ranking(voting, measured, profile or "", units)
    return plan_from_ranking(
        ranking,
        amount=asked.amount,
        rule=voting.rule,
        weights=voting.the_weights(ranking),
        voters=voting.voters(ranking),
        step_by_step=not voting.one_shot,
        op=asked.op,
        protect=asked.protect,
        context_tokens=asked.context_tokens,
        name=asked.name,
        profile=measured,
    )


def _ranking(voting: Voting, profile: Profile | None, given: str, units: tuple[Unit, ...]) -> Ranking:
    if voting.ranking is not None:
        named = read_ranking(voting.ranking)
        if units and named.settings.unit not in units:
            raise InputError(
                "The ranking {ranking} is of the unit {known}, not {unit}. Leave out --unit, or rank with it.",
                ranking=voting.ranking,
                known=named.settings.unit,
                unit=units[0],
            )
        return named
    if profile is None:
        raise InputError("A plan by consensus needs a ranking: give --ranking, or --profile to take the kept one of its model and prompts.")
    unit: Unit = units[0] if units else "block"
    found = client_of().ranking_for(profile, unit)
    if found is None:
        raise DocumentError(
            "No ranking of {model} on these prompts is kept (unit: {unit}). Make one: "
            "python -m analysis rank --profile {profile} --unit {unit} --steps 20%",
            model=profile.model.name,
            profile=given,
            unit=unit,
        )
    return found
