"""Where the prompts of a stored run or plan are read from again."""

from __future__ import annotations

from typing import Any

from analysis.contracts import WorkloadInfo, WorkloadRef


def workload_fields(workload: WorkloadInfo | WorkloadRef | None) -> dict[str, Any]:
    """The fields of a request that name the same prompts; the sample's where none are known."""
    if workload is None or workload.is_sample:
        return {"workload_paths": (), "slicing": workload.slicing if workload else "given"}
    if isinstance(workload, WorkloadRef):
        return {"workload_paths": workload.paths, "mapping": workload.mapping, "slicing": workload.slicing}
    return {
        "workload_paths": tuple(file.path for file in workload.files),
        "mapping": workload.mapping,
        "slicing": workload.slicing,
        "mask_personal_data": workload.masked,
    }
