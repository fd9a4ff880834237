"""Which rule would have chosen well: by what was tried, by its neighbours, and when nothing can be said."""

from __future__ import annotations

from analysis.contracts import EofChoice, EofStrategy, Estimate, Message, Trial
from analysis.i18n import render
from analysis.reporting.rules_judged import deepest_good, fit, neighbours, rules_message
from tests.trained_builders import make_trial


def chosen(strategy: EofStrategy, eof_layer: int | None) -> EofChoice:
    return EofChoice(strategy=strategy, eof_layer=eof_layer, reason=Message(id="no layer frozen"))


def swept(kept: dict[int, float], *choices: EofChoice) -> Trial:
    """A sweep whose boundaries kept this."""
    trial = make_trial(min(kept), boundaries=tuple(kept), kinds=("full",), choices=choices)
    shares = {eof_layer: Estimate(value=share) for eof_layer, share in kept.items()}
    arms = tuple(arm.model_copy(update={"kept_at_tokens": shares.get(arm.eof_layer)}) for arm in trial.arms)
    return trial.model_copy(update={"arms": arms})


KEPT = {4: 0.95, 9: 0.88, 14: 0.79, 24: 0.54}


def test_a_boundary_is_judged_by_the_sweep_or_by_what_was_tried_before_it() -> None:
    trial = swept(KEPT)
    assert deepest_good(trial) == 4
    found = {eof_layer: fit(trial, eof_layer) for eof_layer in (-1, 0, 4, 7, 9, 23)}
    assert found == {-1: "shallow", 0: "shallow", 4: "well", 7: "unknown", 9: "deep", 23: "deep"}
    assert [arm and arm.eof_layer for arm in neighbours(trial, 23)] == [14, 24]
    assert neighbours(trial, 0)[0] is None


def test_that_no_rule_chose_well_is_said_with_what_each_did_wrong() -> None:
    said = rules_message(swept(KEPT, chosen("gain", 0), chosen("exponent", 23), chosen("sweep", 4), chosen("lens", None)))
    assert said is not None
    assert render(said, "en") == (
        "No rule chose well here; only trying several boundaries did. Too much frozen to keep 90% of the gain: steepest fall. "
        "Less frozen than could be: largest gain."
    )
    assert "どの規則もよい境目を選べませんでした" in render(said, "ja")


def test_a_rule_that_chose_as_the_sweep_is_named() -> None:
    said = rules_message(swept(KEPT, chosen("gain", 4), chosen("exponent", 23)))
    assert said is not None
    assert render(said, "en") == "Chose as this sweep does: largest gain."


def test_where_no_boundary_kept_enough_no_rule_chose_well() -> None:
    said = rules_message(swept({4: 0.7, 9: 0.6}, chosen("gain", 9)))
    assert said is not None
    assert render(said, "en").startswith("No boundary of this sweep kept 90% of the gain, so no rule chose well.")


def test_without_choices_or_known_gains_nothing_is_said() -> None:
    assert rules_message(swept(KEPT)) is None
    assert rules_message(swept(KEPT, chosen("sweep", 4))) is None
