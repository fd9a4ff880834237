"""What a training step of one arm takes beside one of full fine-tuning, for pages and reports."""

from __future__ import annotations

from analysis.planning.step_times import StepTimes, how_timed, step_times

__all__ = ["StepTimes", "how_timed", "step_times"]
