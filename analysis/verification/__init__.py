"""Runs a plan beside the untouched model on examples it was not made from: one question per module."""
