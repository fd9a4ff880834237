"""Measures what leaving layers out costs, many candidates at once, and searches for the best set to leave out."""
