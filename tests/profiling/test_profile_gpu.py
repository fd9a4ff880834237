"""On a machine with a GPU: the fused kernel reads what plain torch operations read, and a profile is the CPU's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from analysis.contracts import ProfileSettings
from analysis.profiling import fused
from analysis.profiling.run import profile_model
from analysis.profiling.taps import _dots
from analysis.similarity.cka import pairwise_hsic
from tests.profiling import tiny

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
SETTINGS = ProfileSettings(unit_tokens=200, cka_minibatch=32, batch_tokens=128)


@pytest.mark.parametrize("width", [32, 576, 4096, 5000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("parallel", [False, True])
@pytest.mark.parametrize("same", [False, True])
def test_the_fused_kernel_reads_what_torch_reads(width, dtype, parallel, same):
    torch.manual_seed(0)
    x, a, b, y = (torch.randn(3, 17, width, device="cuda", dtype=dtype) for _ in range(4))
    b = a if same else b
    rows = torch.randperm(51, device="cuda")[:40]
    slots = torch.randperm(64, device="cuda")[:40]
    states = torch.full((64, 5, width), torch.nan, device="cuda", dtype=dtype)
    squares = torch.full((64, 5), torch.nan, device="cuda")
    dots = torch.full((64, 4, 4), torch.nan, device="cuda")
    assert fused.usable(y)
    fused.read_block(fused.Block(x, a, b, y, parallel=parallel), states, squares, dots, 2, rows, slots)
    assert torch.equal(states[slots, 3], y.reshape(-1, width)[rows])
    wanted = _dots(x.double(), a.double(), b.double(), y.double(), parallel=parallel)[rows]
    torch.testing.assert_close(dots[slots, 2], wanted, rtol=1e-4, atol=1e-3 * width**0.5)
    torch.testing.assert_close(squares[slots, 3], y.double().reshape(-1, width)[rows].square().sum(-1).float(), rtol=1e-5, atol=0)
    untouched = torch.ones(64, dtype=torch.bool, device="cuda").index_fill_(0, slots, False)
    assert dots[untouched].isnan().all()
    assert states[untouched].isnan().all()


@pytest.mark.parametrize("positions", [3, 16, 31, 33, 65, 81, 129])
@pytest.mark.parametrize("width", [48, 576])
def test_token_grams_are_exact_products(positions, width):
    states = torch.randn(37, positions, width, device="cuda", dtype=torch.bfloat16)
    wanted = states.double() @ states.double().mT
    torch.testing.assert_close(fused.token_grams(states).double(), wanted, rtol=1e-5, atol=1e-4)
    alike = states[:, :1].expand(-1, positions, -1).contiguous()
    grams = fused.token_grams(alike)
    assert (grams == grams[:, :1, :1]).all()


@pytest.mark.parametrize("m", [8, 24, 120, 128, 200])
def test_hsic_on_the_gpu_is_hsic_on_the_cpu(m):
    torch.manual_seed(0)
    states = torch.randn(5, 4, m, 40) + 3
    grams = states @ states.mT
    counted = torch.rand(5, m) > 0.2
    counted[3] = False
    grams[0, :, ~counted[0]] = torch.nan
    grams[0, :, :, ~counted[0]] = torch.nan
    wanted, tokens = pairwise_hsic(grams.double(), counted)
    found, tokens_gpu = pairwise_hsic(grams.cuda(), counted.cuda())
    torch.testing.assert_close(found.cpu(), wanted, rtol=1e-4, atol=1e-4)
    assert torch.equal(tokens_gpu.cpu(), tokens)


def test_a_profile_on_the_gpu_is_the_profile_on_the_cpu():
    made = tiny.examples(30, longest=60)
    model = tiny.tiny_llama(n_blocks=6, width=64)
    cpu = profile_model(tiny.loaded(model), tiny.encoded(made), SETTINGS).overall
    gpu = profile_model(tiny.loaded(model.cuda()), tiny.encoded(made), SETTINGS).overall
    for name in ("block_influence", "attention_influence", "mlp_influence", "cosine_similarity", "angular_distance", "linear_cka"):
        np.testing.assert_allclose(np.array(getattr(gpu, name)), np.array(getattr(cpu, name)), atol=2e-5, err_msg=name)


def test_half_precision_stays_near_full_precision():
    made = tiny.examples(30, longest=60)
    model = tiny.tiny_llama(n_blocks=6, width=64).cuda()
    full = profile_model(tiny.loaded(model), tiny.encoded(made), SETTINGS).overall
    half = profile_model(tiny.loaded(model.bfloat16()), tiny.encoded(made), SETTINGS).overall
    np.testing.assert_allclose(np.array(half.block_influence), np.array(full.block_influence), atol=0.01)
    np.testing.assert_allclose(np.array(half.linear_cka), np.array(full.linear_cka), atol=0.03)
    for row in range(7):
        assert half.angular_distance[row][row] == 0
