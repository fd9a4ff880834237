"""The examples that a plan is put to the test with, as a request names them."""

from __future__ import annotations

import pytest

from analysis.contracts import ModelSource, WorkloadChoice, WorkloadRef
from pages.ui.workload_choice import workload_fields


@pytest.mark.parametrize("is_sample", [True, False])
def test_prompts_that_were_masked_are_masked_again(is_sample: bool) -> None:
    paths = () if is_sample else ("mail.csv",)
    known = WorkloadRef(name="mail", content_hash="beef", paths=paths, mapping={"prompt": "text"}, is_sample=is_sample, masked=True)
    choice = WorkloadChoice(model=ModelSource(kind="sample"), **workload_fields(known))
    assert choice.mask_personal_data
    assert choice.workload_paths == paths


def test_without_a_known_workload_the_sample_is_meant() -> None:
    assert WorkloadChoice(model=ModelSource(kind="sample"), **workload_fields(None)).workload_paths == ()
