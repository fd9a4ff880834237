"""Strata's engine: which layers of a transformer a workload needs, and what acting on that is worth."""

__version__ = "0.1.0"
