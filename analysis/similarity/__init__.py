"""Pure measures of how alike two states, or two sets of states, are; and the registry that names and versions them."""

from analysis.similarity.angular import angles_from_cosines, angular_distance
from analysis.similarity.cka import cka_from_hsic, linear_cka, pairwise_hsic
from analysis.similarity.cosine import block_influence, cosines_from_gram
from analysis.similarity.feature_bank import FeatureBank
from analysis.similarity.members import MemberScores, member_scores
from analysis.similarity.permutation import permutation_distance
from analysis.similarity.registry import MEASURES, VOTER_METHODS, Measure, method_versions, voter_versions
from analysis.similarity.shape import cka_distance, linear_shape_distance
from analysis.similarity.stochastic import gaussian_stochastic_distance
from analysis.similarity.wasserstein import wasserstein_distance

__all__ = [
    "MEASURES",
    "VOTER_METHODS",
    "FeatureBank",
    "Measure",
    "MemberScores",
    "angles_from_cosines",
    "angular_distance",
    "block_influence",
    "cka_distance",
    "cka_from_hsic",
    "cosines_from_gram",
    "gaussian_stochastic_distance",
    "linear_cka",
    "linear_shape_distance",
    "member_scores",
    "method_versions",
    "pairwise_hsic",
    "permutation_distance",
    "voter_versions",
    "wasserstein_distance",
]
