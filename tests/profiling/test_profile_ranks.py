"""Two processes under torchrun's environment end with the numbers of one."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np

from analysis.contracts import Profile, ProfileSettings
from analysis.profiling.run import profile_model
from tests.profiling import tiny

SETTINGS = ProfileSettings(unit_tokens=100, cka_minibatch=16, batch_tokens=100)
ROOT = Path(__file__).parents[2]
SCRIPT = """
import sys
from analysis.profiling import distributed
from analysis.profiling.run import ProfileJob, resolve_settings
from tests.profiling import tiny
from tests.profiling.test_profile_ranks import SETTINGS, EXAMPLES
model = tiny.loaded(tiny.tiny_llama())
where = distributed.place()
with distributed.joined(where, model.device):
    job = ProfileJob(model, tiny.encoded(EXAMPLES), resolve_settings(SETTINGS, model.info, model.device, model.dtype), where=where)
    found = job.run()
open(sys.argv[1] + where.name, "w").write(found.model_dump_json())
"""
EXAMPLES = tiny.examples(20, slices=("a", "b"))


def test_two_ranks_agree_with_one(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(tmp_path / "out")],
            cwd=ROOT,
            env={
                **os.environ,
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "WORLD_SIZE": "2",
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(port),
            },
            stderr=subprocess.PIPE,
        )
        for rank in range(2)
    ]
    for process in ranks:
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0, said.decode()
    one = profile_model(tiny.loaded(tiny.tiny_llama()), tiny.encoded(EXAMPLES), SETTINGS)
    found = [Profile.model_validate_json((tmp_path / f"out-{rank}of2").read_text()) for rank in range(2)]
    assert found[0].overall == found[1].overall
    assert found[0].overall.n_tokens == one.overall.n_tokens
    for name in ("block_influence", "attention_influence", "mlp_influence", "cosine_similarity", "angular_distance", "linear_cka"):
        np.testing.assert_allclose(np.array(getattr(found[0].overall, name)), np.array(getattr(one.overall, name)), atol=2e-6)
    assert [row.example_id for row in found[0].examples] == [row.example_id for row in one.examples]
    assert found[0].slices.keys() == one.slices.keys()
