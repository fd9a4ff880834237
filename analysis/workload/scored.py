"""Which tokens of an example judge a model: those of its response given its prompt, else those of its prompt."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from analysis.workload.encoder import PROMPT, RESPONSE, EncodedExample


def scored(example: EncodedExample, *, causal: bool = True) -> NDArray[np.bool_]:
    """bool [S]: tokens whose prediction counts. Template and system text never do.

    With a response only its tokens count; without one all of the prompt's. A causal model cannot predict the first
    token of a text, so that one is left out; if nothing is left, nothing counts.
    """
    answered = bool((example.kinds == RESPONSE).any())
    counts: NDArray[np.bool_] = np.equal(example.kinds, RESPONSE if answered else PROMPT)
    if causal:
        counts[:1] = False
    return counts
