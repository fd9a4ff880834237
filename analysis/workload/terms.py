"""The words that a workload's responses are written in: a proposal for a domain vocabulary, for a person to edit."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from analysis.workload.example import Example

_KANJI, _KATAKANA, _HIRAGANA = "\u4e00-\u9fff\u3005\u3006", "\u30a1-\u30fa\u30fc", "\u3041-\u309f"
_LETTER = f"[^\\W\\d_{_KANJI}{_KATAKANA}{_HIRAGANA}]"
_WORD = re.compile(f"[{_KANJI}]+|[{_KATAKANA}]+|{_LETTER}+(?:['\u2019-]{_LETTER}+)*")
"""Runs of kanji, runs of katakana, words of letters. Figures are no words, and hiragana alone is mostly grammar."""


def response_terms(examples: Iterable[Example], limit: int = 200) -> tuple[str, ...]:
    """Words of the calibration half's responses, those of most responses first.

    Args:
        examples: of a workload.
        limit: words at most.

    Returns:
        Each word once, as it is written; words of as many responses by their letters.

    >>> [term for term in _WORD.findall("pass: in tolerance, \u5408\u683c\u3067\u3059\u3002 24.9 mm")]
    ['pass', 'in', 'tolerance', '\u5408\u683c', 'mm']
    """
    found: Counter[str] = Counter()
    for example in examples:
        if example.part == "calibration" and example.response:
            found.update(set(_WORD.findall(example.response)))
    ranked = sorted(found, key=lambda term: (-found[term], term))
    return tuple(ranked[:limit])
