"""What is known of a workload without its texts."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field, NonNegativeInt

from analysis.contracts.base import Contract
from analysis.contracts.message import Message


class WorkloadFile(Contract):
    """One file of a workload. `path` is where it was read from, so that later commands can reopen it."""

    name: str
    path: str
    sha256: str
    encoding: str = Field(description="the encoding found, e.g. utf-8, cp932; 'binary' for xlsx and Parquet")
    n_examples: NonNegativeInt


class SliceInfo(Contract):
    """One slice of a workload, in examples."""

    name: str
    n_examples: NonNegativeInt
    n_calibration: NonNegativeInt
    n_verification: NonNegativeInt
    n_critical: NonNegativeInt = 0
    requests_per_month: float | None = None

    @property
    def verifiable(self) -> bool:
        """Whether there are enough verification examples (8) to say anything about this slice."""
        return self.n_verification >= 8


class WorkloadInfo(Contract):
    """A workload's identity and make-up."""

    name: str
    content_hash: str = Field(description="SHA-256 over the examples, whatever file or order they came in")
    files: tuple[WorkloadFile, ...]
    mapping: Mapping[str, str] = Field(default_factory=dict, description="field -> column, as given by --map")
    slicing: str = Field(default="given", description="given, language, length or none")
    n_examples: NonNegativeInt
    n_calibration: NonNegativeInt
    n_verification: NonNegativeInt
    n_with_response: NonNegativeInt
    n_duplicates: NonNegativeInt = 0
    n_personal_data: NonNegativeInt = Field(default=0, description="examples with a likely mail address or telephone number")
    masked: bool = False
    is_sample: bool = False
    slices: tuple[SliceInfo, ...]
    notes: tuple[Message, ...] = ()


class TokenCounts(Contract):
    """What tokenising a workload's calibration half for one model gives."""

    n_examples: NonNegativeInt
    n_tokens: NonNegativeInt = Field(description="all tokens that will be run, template included")
    n_prompt: NonNegativeInt
    n_response: NonNegativeInt
    n_template: NonNegativeInt = Field(description="chat template and system prompt: run, counted, left out of the default scores")
    n_truncated_examples: NonNegativeInt = 0
    n_truncated_tokens: NonNegativeInt = 0
    n_empty: NonNegativeInt = Field(default=0, description="examples left out because no token of theirs would count")
    chat_template: bool = False


class WorkloadPreview(Contract):
    """What the Workload page shows before anything runs."""

    workload: WorkloadInfo
    counts: TokenCounts
    slice_tokens: Mapping[str, int]
    lengths: tuple[int, ...] = Field(description="tokens of each calibration example, as run")
    examples: tuple[Mapping[str, str], ...] = Field(description="three example rows: slice, prompt, response (shortened)")
