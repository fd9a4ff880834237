"""The measures that vote on which layers are replaceable: what each is called, what a low value says, where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from analysis.contracts import Rule, Voter
from analysis.i18n import N_

Family = Literal["final features", "inside the layer", "loss", "gradients"]

_CONSENSUS = "Layer Pruning with Consensus (arXiv 2411.14345)"
_SHARED = N_("Little: one shared pass for all measures of this kind.")
_GRADIENT = N_("One forward and one backward pass over the prompts.")
_PATH = N_("One forward and one backward pass over the prompts for every step of the path (16 by default).")


@dataclass(frozen=True)
class VoterWords:
    """A measure in words.

    Attributes:
        name: as it stands in a ranking and on the command line.
        title: short name for an axis or a column (English; its own translation key).
        meaning: one sentence on what a low value says.
        source: where it comes from, in words, with its number.
        cost: what asking it costs, in one sentence.
        family: what it looks at.
    """

    name: Voter
    title: str
    meaning: str
    source: str
    cost: str
    family: Family


VOTER_WORDS: Mapping[Voter, VoterWords] = {
    words.name: words
    for words in (
        VoterWords(
            "cka",
            N_("Linear CKA"),
            N_("Low: without the layer, the model's final states arrange the tokens almost as before (1 - CKA)."),
            f"{_CONSENSUS}; arXiv 1905.00414, biased",
            _SHARED,
            "final features",
        ),
        VoterWords(
            "procrustes",
            N_("Procrustes"),
            N_("Low: a mere rotation turns the final states without the layer into those with it."),
            f"{_CONSENSUS}, linear shape metric with alpha = 1; arXiv 2110.14739",
            _SHARED,
            "final features",
        ),
        VoterWords(
            "cca",
            N_("CCA"),
            N_("Low: a linear map, fitted on other prompts, turns the final states without the layer into those with it."),
            f"{_CONSENSUS}, linear shape metric with alpha = 0; arXiv 2110.14739",
            _SHARED,
            "final features",
        ),
        VoterWords(
            "permutation",
            N_("Permutation"),
            N_("Low: swapping directions is enough to turn the final states without the layer into those with it."),
            f"{_CONSENSUS}; arXiv 2110.14739",
            _SHARED,
            "final features",
        ),
        VoterWords(
            "gaussian_0",
            N_("Gaussian, spread"),
            N_("Low: without the layer, each class of tokens keeps the spread of its final states (covariances)."),
            f"{_CONSENSUS}, stochastic shape metric with alpha = 0; arXiv 2211.11665",
            _SHARED,
            "final features",
        ),
        VoterWords(
            "gaussian_1",
            N_("Gaussian, both"),
            N_("Low: without the layer, each class of tokens keeps the centre and the spread of its final states."),
            f"{_CONSENSUS}, stochastic shape metric with alpha = 1; arXiv 2211.11665",
            _SHARED,
            "final features",
        ),
        VoterWords(
            "gaussian_2",
            N_("Gaussian, centres"),
            N_("Low: without the layer, each class of tokens keeps the centre of its final states (means)."),
            f"{_CONSENSUS}, stochastic shape metric with alpha = 2; arXiv 2211.11665",
            _SHARED,
            "final features",
        ),
        VoterWords(
            "wasserstein",
            N_("Wasserstein"),
            N_("Low: without the layer, the values in the final states are distributed almost as before."),
            f"{_CONSENSUS}; Wasserstein-1 of all values",
            _SHARED,
            "final features",
        ),
        VoterWords(
            "block_influence",
            N_("Block Influence"),
            N_("Low: the layer hardly turns what passes through it."),
            "ShortGPT (arXiv 2403.03853); attention and MLP: What Matters in Transformers (arXiv 2406.15786)",
            _SHARED,
            "inside the layer",
        ),
        VoterWords(
            "angular_distance",
            N_("Angular distance"),
            N_("Low: what leaves the layer points almost the same way as what enters it."),
            "The Unreasonable Ineffectiveness of the Deeper Layers (arXiv 2403.17887)",
            _SHARED,
            "inside the layer",
        ),
        VoterWords(
            "ablation_loss",
            N_("Loss without it"),
            N_("Low: without the layer, the model predicts the text about as well as before."),
            "Shortened LLaMA (arXiv 2402.02834); SLEB (arXiv 2402.09025)",
            _SHARED,
            "loss",
        ),
        VoterWords(
            "taylor",
            N_("Taylor"),
            N_("Low: by the slope at its weights, setting them to zero would hardly change the loss."),
            "Shortened LLaMA (arXiv 2402.02834); arXiv 1906.10771",
            _GRADIENT,
            "gradients",
        ),
        VoterWords(
            "gradient_x_activation",
            N_("Gradient x activation"),
            N_("Low: by the slope at what the layer adds, leaving it out would hardly change the loss."),
            "Captum, layer gradient x activation; arXiv 1605.01713",
            _GRADIENT,
            "gradients",
        ),
        VoterWords(
            "conductance",
            N_("Conductance"),
            N_("Low: on the way from an empty input to the prompts, little of the loss flows through the layer."),
            "Captum, layer conductance; arXiv 1805.12233",
            _PATH,
            "gradients",
        ),
        VoterWords(
            "integrated_gradients",
            N_("Integrated gradients"),
            N_("Low: brought in step by step, what the layer adds hardly changes the loss."),
            "Captum, layer integrated gradients; arXiv 1703.01365",
            _PATH,
            "gradients",
        ),
    )
}
"""The fifteen measures in the order they are offered. All point one way: low = replaceable."""


@dataclass(frozen=True)
class RuleWords:
    """A rule that makes one order of many, in words."""

    name: Rule
    title: str
    meaning: str
    source: str


RULE_WORDS: Mapping[Rule, RuleWords] = {
    words.name: words
    for words in (
        RuleWords("rank_sum", N_("Sum of ranks"), N_("Adds up the ranks of all measures; every measure has one say."), _CONSENSUS),
        RuleWords(
            "borda", N_("Weighted sum of ranks"), N_("Adds up the ranks, each measure with the weight you give it."), "Borda 1781, weighted"
        ),
        RuleWords(
            "unanimity",
            N_("Worst rank"),
            N_("Goes by the worst rank that any measure gives, so that one objection is enough."),
            "Minimax; the reading of the consensus by which a layer goes only if all measures find it low",
        ),
        RuleWords(
            "median_rank",
            N_("Median rank"),
            N_("Goes by the middle rank, so that single outliers do not count."),
            "Median rank aggregation",
        ),
        RuleWords(
            "kemeny",
            N_("Fewest contradictions (Kemeny)"),
            N_("Takes the order that contradicts the measures over the fewest pairs of layers."),
            "Kemeny 1959; Rank aggregation methods for the web (Dwork et al. 2001)",
        ),
    )
}
"""The five rules in the order they are offered."""
