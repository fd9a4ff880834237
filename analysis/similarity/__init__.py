"""Pure measures of how alike two states, or two sets of states, are; and the registry that names and versions them."""

from analysis.similarity.angular import angles_from_cosines, angular_distance
from analysis.similarity.cka import cka_from_hsic, linear_cka, pairwise_hsic
from analysis.similarity.cosine import block_influence, cosines_from_gram
from analysis.similarity.registry import MEASURES, Measure, method_versions

__all__ = [
    "MEASURES",
    "Measure",
    "angles_from_cosines",
    "angular_distance",
    "block_influence",
    "cka_from_hsic",
    "cosines_from_gram",
    "linear_cka",
    "method_versions",
    "pairwise_hsic",
]
