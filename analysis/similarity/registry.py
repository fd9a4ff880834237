"""The measures by name: what each means, where it comes from, and the version of the way it is computed here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from analysis.contracts.ranking import Voter


@dataclass(frozen=True)
class Measure:
    """One measure. `version` changes whenever its numbers would: it is part of every run's content key."""

    name: str
    version: str
    alike: float
    source: str


MEASURES: dict[str, Measure] = {
    measure.name: measure
    for measure in (
        Measure("block_influence", "1", 0.0, "ShortGPT, arXiv 2403.03853; sub-blocks with their residual as in arXiv 2406.15786"),
        Measure("cosine_similarity", "1", 1.0, "mean cosine of one token's states at two positions"),
        Measure("angular_distance", "1", 0.0, "Gromov et al., arXiv 2403.17887; over all counted tokens and over last tokens"),
        Measure(
            "linear_cka", "unbiased-minibatch-1", 1.0, "arXiv 1905.00414, unbiased HSIC (JMLR 13, 2012), minibatches as in arXiv 2010.15327"
        ),
        Measure("relative_contribution", "1", 0.0, "mean |f(x)| / |x + f(x)|"),
        Measure("sink_tokens", "4x-median-1", 0.0, "first token of a sequence, or norm over 4 x its example's median at some position"),
        Measure("intervals", "poisson-bootstrap-2", 0.0, "200 Poisson replicates over prompts, seeded by each prompt's hash"),
    )
}


def method_versions() -> dict[str, str]:
    """Measure -> version of its method."""
    return {name: measure.version for name, measure in MEASURES.items()}


_CONSENSUS = "between final features without and with a unit left out, arXiv 2411.14345"
_SHAPES = "Williams et al., arXiv 2110.14739"
_CLOUDS = "Duong et al., arXiv 2211.11665"
_IN_PCA = "in the PCA space of the untouched model's features"
VOTER_METHODS: Mapping[Voter, Measure] = {
    "cka": Measure("cka", "biased-1", 0.0, f"1 - linear CKA, biased as published, arXiv 1905.00414; {_CONSENSUS}"),
    "procrustes": Measure("procrustes", "pca-held-out-1", 0.0, f"linear shape metric, alpha 1, {_IN_PCA}: {_SHAPES}; {_CONSENSUS}"),
    "cca": Measure("cca", "pca-held-out-1", 0.0, f"linear shape metric, alpha 0, {_IN_PCA}: {_SHAPES}; {_CONSENSUS}"),
    "permutation": Measure(
        "permutation", "pca-held-out-1", 0.0, f"angle after the best matching of axes, {_IN_PCA}: {_SHAPES}; {_CONSENSUS}"
    ),
    "gaussian_0": Measure("gaussian_0", "pca-ridge-2", 0.0, f"covariances of classes, {_IN_PCA}: {_CLOUDS}; {_CONSENSUS}"),
    "gaussian_1": Measure("gaussian_1", "pca-ridge-2", 0.0, f"means and covariances of classes, {_IN_PCA}: {_CLOUDS}; {_CONSENSUS}"),
    "gaussian_2": Measure("gaussian_2", "pca-ridge-1", 0.0, f"means of classes, {_IN_PCA}: {_CLOUDS}; {_CONSENSUS}"),
    "wasserstein": Measure("wasserstein", "all-values-1", 0.0, f"Wasserstein-1 of all feature values in one heap; {_CONSENSUS}"),
    "block_influence": MEASURES["block_influence"],
    "angular_distance": MEASURES["angular_distance"],
    "ablation_loss": Measure("ablation_loss", "1", 0.0, "rise of the loss per token with the unit left out, SLEB, arXiv 2402.09025"),
    "taylor": Measure(
        "taylor", "abs-grouped-1", 0.0, "sum of |gradient x weight| over a unit's parameters, Shortened LLaMA, arXiv 2402.02834"
    ),
    "gradient_x_activation": Measure(
        "gradient_x_activation", "1", 0.0, "|gradient x what the unit adds|, summed; captum's LayerGradientXActivation"
    ),
    "conductance": Measure("conductance", "1", 0.0, "captum's LayerConductance, arXiv 1805.12233, absolute values summed"),
    "integrated_gradients": Measure(
        "integrated_gradients", "1", 0.0, "captum's LayerIntegratedGradients, arXiv 1703.01365, absolute values summed"
    ),
}
"""Voter -> how it is computed. Apart from MEASURES, whose versions are part of every profile's key."""


def voter_versions() -> dict[Voter, str]:
    """Voter -> version of its method."""
    return {voter: measure.version for voter, measure in VOTER_METHODS.items()}
