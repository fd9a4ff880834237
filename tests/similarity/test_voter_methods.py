"""How each voter is computed, by name and version; profiles' keys know nothing of it."""

from __future__ import annotations

from analysis.contracts import MEMBERS
from analysis.contracts.ranking import VOTERS
from analysis.similarity import MEASURES, VOTER_METHODS, method_versions, voter_versions


def test_every_voter_has_a_version_and_a_source():
    assert set(VOTER_METHODS) == set(VOTERS)
    assert all(measure.version and measure.source for measure in VOTER_METHODS.values())
    assert voter_versions()["cka"] == VOTER_METHODS["cka"].version
    assert all("2411.14345" in VOTER_METHODS[member].source for member in MEMBERS)


def test_the_versions_in_profiles_keys_are_those_they_always_were():
    assert method_versions() == {
        "block_influence": "1",
        "cosine_similarity": "1",
        "angular_distance": "1",
        "linear_cka": "unbiased-minibatch-1",
        "relative_contribution": "1",
        "sink_tokens": "4x-median-1",
        "intervals": "poisson-bootstrap-2",
    }
    assert not set(MEASURES) & set(MEMBERS)
