"""Where the prompts of a stored run or plan are read from again."""

from __future__ import annotations

from typing import Any

from analysis.contracts import WorkloadInfo, WorkloadRef


def workload_fields(workload: WorkloadInfo | WorkloadRef | None) -> dict[str, Any]:
    """The fields of a request that name the same prompts, masked as they were then; the sample's where none are known."""
    if workload is None:
        return {"workload_paths": ()}
    read_as = {"slicing": workload.slicing, "mask_personal_data": workload.masked}
    if workload.is_sample:
        return {"workload_paths": (), **read_as}
    paths = workload.paths if isinstance(workload, WorkloadRef) else tuple(file.path for file in workload.files)
    return {"workload_paths": paths, "mapping": workload.mapping, **read_as}
