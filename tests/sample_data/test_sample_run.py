"""The stored run belongs to the workload and the methods that are here now."""

from __future__ import annotations

import gzip

from analysis.contracts import Profile
from analysis.runs.run_library import SAMPLE_RUN
from analysis.similarity.registry import method_versions
from analysis.workload import sample_workload


def test_the_stored_run_is_of_this_workload_and_these_methods():
    stored = Profile.model_validate_json(gzip.decompress(SAMPLE_RUN.read_bytes()))
    assert stored.workload.content_hash == sample_workload().info.content_hash
    assert stored.methods == method_versions()
    assert stored.n_blocks == 30
    assert stored.model.source.kind == "sample"
    assert stored.counts.n_tokens < 9000
    assert SAMPLE_RUN.stat().st_size < 1_000_000


def test_the_stored_run_shows_what_the_default_scores_hide():
    stored = Profile.model_validate_json(gzip.decompress(SAMPLE_RUN.read_bytes()))
    assert stored.overall.block_influence[11] < 0.05 < 0.3 < stored.slices["sink"].block_influence[11]
