"""Semantic traces: how every layer moves the state towards the right word, measured in the profile's own pass."""
