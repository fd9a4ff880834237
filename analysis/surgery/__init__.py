"""Carries a plan out on a model: in place, to try and to take back, or for good, to save."""
