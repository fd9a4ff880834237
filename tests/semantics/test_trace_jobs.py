"""The job as the store runs it: from a request to profile and traces; two ranks as one; the real sample model."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from analysis.contracts import ModelSource, ProfileSettings, SemanticRequest, Semantics, SemanticSettings
from analysis.errors import Cancelled, InputError, WorkloadError
from analysis.profiling.run import run_profile
from analysis.semantics.run import run_semantics, semantics_key, trace_model
from tests.models.tiny import build, save_tokenizer
from tests.profiling import tiny

ROOT = Path(__file__).parents[2]
SETTINGS = ProfileSettings(unit_tokens=100, cka_minibatch=16, batch_tokens=100, device="cpu")
SEMANTIC = SemanticSettings(lens_tokens=20, gradients=False)
EXAMPLES = tiny.examples(20, slices=("a", "b"))
SCRIPT = """
import sys
from analysis.profiling import distributed
from analysis.profiling.run import ProfileJob, resolve_settings
from analysis.semantics.run import _TraceJob
from analysis.semantics.tokens import plan_tokens
from tests.profiling import tiny
from tests.semantics.test_trace_jobs import SETTINGS, SEMANTIC, EXAMPLES
model, encoded = tiny.loaded(tiny.tiny_llama()), tiny.encoded(EXAMPLES)
where = distributed.place()
with distributed.joined(where, model.device):
    job = ProfileJob(model, encoded, resolve_settings(SETTINGS, model.info, model.device, model.dtype), where=where)
    _, found = _TraceJob(job, SEMANTIC, plan_tokens(encoded, SEMANTIC, None), None, None).run()
open(sys.argv[1] + where.name, "w").write(found.model_dump_json())
"""


def test_two_ranks_agree_with_one(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        group = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(probe.getsockname()[1])}
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "out")]
    ranks = [
        subprocess.Popen(command, cwd=ROOT, env={**os.environ, **group, "RANK": rank, "LOCAL_RANK": rank}, stderr=subprocess.PIPE)
        for rank in ("0", "1")
    ]
    for process in ranks:
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0, said.decode()
    _, one = trace_model(tiny.loaded(tiny.tiny_llama()), tiny.encoded(EXAMPLES), SETTINGS, SEMANTIC)
    found = [Semantics.model_validate_json((tmp_path / f"out-{rank}of2").read_text()) for rank in range(2)]
    assert found[0].overall == found[1].overall
    assert found[0].traces == found[1].traces
    assert (found[0].overall.n_tokens, found[0].overall.lens.n_tokens) == (one.overall.n_tokens, one.overall.lens.n_tokens)
    for name, curve in one.overall.curves.items():
        np.testing.assert_allclose(np.array(found[0].overall.curves[name].mean), np.array(curve.mean), atol=2e-6)


@pytest.fixture
def request_of(tmp_path):
    folder, file = tmp_path / "model", tmp_path / "prompts.jsonl"
    build("llama").save_pretrained(folder)
    save_tokenizer(folder)
    generator = np.random.default_rng(0)

    def words(n: int) -> str:
        return " ".join(generator.choice(["a", "b", "c"], n))

    def make(*, answered: bool = True, long: bool = False, **more) -> SemanticRequest:
        rows = [
            {"prompt": words(60 if long else 9), "slice": "ab"[n % 2]} | ({"response": words(5)} if answered else {}) for n in range(24)
        ]
        file.write_text("\n".join(json.dumps(row) for row in rows))
        semantics = SEMANTIC.model_copy(update=more)
        settings = SETTINGS.model_copy(update={"max_tokens": 40})
        return SemanticRequest(
            model=ModelSource(kind="folder", location=str(folder)), workload_paths=(str(file),), settings=settings, semantics=semantics
        )

    return make


def test_a_request_becomes_a_profile_and_its_traces(request_of, tmp_path):
    asked = request_of()
    profile, found = run_semantics(asked, checkpoint_folder=tmp_path)
    assert found.id == semantics_key(profile.model, profile.workload.content_hash, profile.settings, found.semantic)
    assert found.semantic.lens_tokens
    assert found.semantic.gradient_tokens
    assert profile.id == run_profile(asked).id
    assert (tmp_path / f"{found.id}.npz").exists()
    assert found.overall.n_tokens == 5 * found.overall.n_examples == profile.counts.n_response
    assert {text for trace in found.traces for text in trace.tokens} <= {"a", "b", "c", " a", " b", " c"}
    again, resumed = run_semantics(asked, checkpoint_folder=tmp_path)
    assert again.timing.resumed
    assert (resumed.overall, resumed.traces) == (found.overall, found.traces)


def test_words_of_a_domain_are_looked_up_in_the_models_own_tokenizer(request_of):
    _, found = run_semantics(request_of(vocabulary="words", words=("a", "b")))
    assert found.n_words == 2
    assert found.n_outside_vocabulary > 0
    with pytest.raises(InputError, match="unicorn"):
        run_semantics(request_of(vocabulary="words", words=("a", "unicorn")))


def test_nothing_to_trace_is_said_before_any_weight_is_loaded(request_of):
    def load(*_args, **_more):
        pytest.fail("loaded")

    with pytest.raises(WorkloadError, match="None of the prompts has a response"):
        run_semantics(request_of(answered=False), load=load)
    with pytest.raises(WorkloadError, match="cut away"):
        run_semantics(request_of(long=True), load=load)


def test_a_job_stops_when_asked(request_of):
    with pytest.raises(Cancelled):
        run_semantics(request_of(), should_stop=lambda: True)


@pytest.mark.sample_model
def test_on_the_sample_model_the_whitened_bases_come_nearer_to_the_head_than_the_published_ones(sample_model):
    """Also: the deviation falls late, and the words' Gram is conditioned as it was once measured (8e3)."""
    from analysis.workload import Encoder, encode_workload, sample_workload

    encoded = encode_workload(sample_workload(), Encoder.from_folder(sample_model.tokenizer_folder), max_tokens=160, chat_template=True)
    few = type(encoded)(encoded.info, encoded.examples[:12], encoded.counts, encoded.slice_tokens)
    _, found = trace_model(sample_model, few, ProfileSettings(), SemanticSettings(lens_tokens=48, gradients=False, traces=2))
    right = {one.curve: one.right for one in found.fidelity}
    assert right["literal"] < 0.5 * right["lens"]
    assert right["literal"] < right["whitened"] < right["lens"]
    assert found.default_curve == "whitened"
    assert found.condition_number == pytest.approx(8324, rel=0.01)
    for name in ("literal", "centred", "whitened", "literal_raw"):
        mean = np.array(found.overall.curves[name].mean)
        assert mean[1:18].min() > mean[30]
    assert found.overall.lens.loss[30] < 0.4 * found.overall.lens.loss[12]
    assert found.traces[0].tokens
    assert len(found.traces[0].top_words[0]) == 31
