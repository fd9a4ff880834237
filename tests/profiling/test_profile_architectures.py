"""Every supported architecture, in padded batches, gives the numbers of its definition on unpadded single prompts."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.contracts import ProfileSettings
from analysis.errors import ModelError
from analysis.models.stack import LoadedModel
from analysis.profiling.run import profile_model
from tests.models.tiny import TINY, build
from tests.profiling import oracle, tiny

SETTINGS = ProfileSettings(unit_tokens=120, cka_minibatch=16, batch_tokens=80)
EXAMPLES = tiny.examples(8, longest=20, slices=("a",))
READS_TEXT = [name for name in TINY if name not in ("vit", "whisper")]


@pytest.mark.parametrize("name", READS_TEXT)
def test_a_profile_agrees_with_the_definitions(name):
    model = tiny.loaded(build(name))
    for stack in model.stacks:
        _assert_agrees(model, stack.info.name)


def _assert_agrees(model: LoadedModel, stack: str) -> None:
    found = profile_model(model, tiny.encoded(EXAMPLES), SETTINGS.model_copy(update={"stack": stack})).overall
    wanted = oracle.scores(model.stack(stack), EXAMPLES, "overall")
    for name, values in (("block", found.block_influence), ("angle", found.angular_distance), ("last", found.angular_distance_last_token)):
        np.testing.assert_allclose(np.array(values, dtype=float), wanted[name], atol=3e-5, err_msg=name)
    for name, values in (("attention", found.attention_influence), ("mlp", found.mlp_influence)):
        if name in wanted:
            np.testing.assert_allclose(np.array(values, dtype=float), wanted[name], atol=3e-5, err_msg=name)
        else:
            assert set(values) == {None}


@pytest.mark.parametrize("name", ["vit", "whisper"])
def test_what_cannot_run_on_prompts_is_refused_in_words(name):
    model = tiny.loaded(build(name))
    with pytest.raises(ModelError) as refused:
        profile_model(model, tiny.encoded(EXAMPLES), SETTINGS)
    assert refused.value.message == model.info.refusal
