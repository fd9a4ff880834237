"""Find, load and describe a model.

Nothing here loads torch by being imported: `source`, `card`, `checkpoint` and `estimate` are torch-free, the others
are imported where a model is really needed.
"""
