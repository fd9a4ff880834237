"""The measures by name: what each means, where it comes from, and the version of the way it is computed here."""

from __future__ import annotations

from dataclasses import dataclass


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
