"""Settings of this room's tests."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("patient", deadline=None)
settings.load_profile("patient")  # what a shared machine does meanwhile says nothing about the arithmetic
