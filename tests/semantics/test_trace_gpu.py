"""On a GPU the traces are those of a CPU; in half precision they come near. Skipped where there is none."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from analysis.contracts import ProfileSettings, SemanticSettings
from analysis.profiling.run import ProfileJob, profile_model, resolve_settings
from analysis.profiling.stream import Saving
from analysis.semantics.run import _TraceJob, trace_model
from analysis.semantics.tokens import plan_tokens
from tests.models.tiny import build
from tests.profiling import tiny

SETTINGS = ProfileSettings(unit_tokens=100, cka_minibatch=16, batch_tokens=100)
EXAMPLES = tiny.examples(16, slices=("a", "b"))
SEMANTIC = SemanticSettings(lens_tokens=30)

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float32, 1e-4), (torch.bfloat16, 0.06), (torch.float16, 0.01)])
@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma2", "gpt_oss"])
def test_a_gpu_gives_the_traces_of_a_cpu(name, dtype, atol):
    model = build(name)
    _, wanted = trace_model(tiny.loaded(copy.deepcopy(model)), tiny.encoded(EXAMPLES), SETTINGS, SEMANTIC)
    _, found = trace_model(tiny.loaded(model.to("cuda", dtype)), tiny.encoded(EXAMPLES), SETTINGS, SEMANTIC)
    for curve, values in wanted.overall.curves.items():
        if curve != "lens":
            np.testing.assert_allclose(np.array(found.overall.curves[curve].mean), np.array(values.mean), atol=atol, err_msg=curve)
    np.testing.assert_allclose(np.array(found.overall.lens.loss), np.array(wanted.overall.lens.loss), rtol=0.05)
    np.testing.assert_allclose(np.array(found.gradients.l2), np.array(wanted.gradients.l2), rtol=0.1)
    assert found.extra_seconds > 0


def test_the_profile_beside_the_traces_is_the_same():
    model = tiny.loaded(tiny.tiny_llama().to("cuda"))
    both, _ = trace_model(model, tiny.encoded(EXAMPLES), SETTINGS, SEMANTIC)
    assert both.overall == profile_model(model, tiny.encoded(EXAMPLES), SETTINGS).overall


def test_a_finished_run_is_read_from_its_checkpoint(tmp_path):
    model, encoded = tiny.loaded(tiny.tiny_llama().to("cuda")), tiny.encoded(EXAMPLES)
    settings = resolve_settings(SETTINGS, model.info, model.device, model.dtype)
    found = []
    for _ in range(2):
        job = ProfileJob(model, encoded, settings, saving=Saving(tmp_path / "run.npz", "key"))
        found.append(_TraceJob(job, SEMANTIC, plan_tokens(encoded, SEMANTIC, None), None, None).run())
    assert found[1][0].timing.resumed
    assert found[0][1].overall == found[1][1].overall
