"""One prompt, two prompts: English words agree with the number before them. Japanese has no plural."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

_NOUNS = re.findall(
    r"\w+",
    """
    answers adapters assumptions bits boundaries bytes candidates cases characters classes days dimensions directions disturbances
    draws epochs examples figures files folds groups hours jobs layers limits lines lists machines measures minutes months operations
    others parameters parts passes pieces points positions prompts purchases questions rates remarks replicates requests resamples
    rounds runs seconds sequences sets slices stages steps strengths things tokens units values verifications ways weeks weights
    words years
    """,
)
_IRREGULAR = {"boundaries": "boundary", "passes": "pass", "classes": "class"}
_VERBS = {"are": "is", "were": "was", "have": "has", "do": "does", "go": "goes"} | {
    verb: f"{verb}s" for verb in ["agree", "choose", "count", "decide", "differ", "judge", "need", "stand", "train", "turn"]
}
_COUNT = re.compile(
    r"\{(?P<name>\w+)\} (?P<between>(?:(?!of |on |in |to |and |or |chose )[a-z-]+ )??)"
    rf"(?P<noun>{'|'.join(_NOUNS)})\b(?: (?P<verb>{'|'.join(_VERBS)})\b)?"
)

_LISTED = re.compile(r"\b(?P<noun>[Ll]ayers) \{(?P<name>\w+)\}(?! (?:to|and) )")
"""A noun before what is listed: layers 3 and 7, but layer 17."""


def agreed(sentence: str, written: Mapping[str, object]) -> str:
    """An English sentence, still with its placeholders, whose nouns and verbs agree with a number that is written as 1.

    >>> agreed("{n} prompts have no response; {m} more limits.", {"n": "1", "m": "3"})
    '{n} prompt has no response; {m} more limits.'
    >>> agreed("{n} of {total} training examples", {"n": "1", "total": "12"})
    '{n} of {total} training examples'
    >>> agreed("Removing layers {list}", {"list": "17"}), agreed("Removing layers {list}", {"list": "16-18"})
    ('Removing layer {list}', 'Removing layers {list}')
    """
    ones = frozenset(name for name, value in written.items() if value in ("1", 1) and value is not True)
    alone = frozenset(name for name, value in written.items() if str(value).isdecimal())
    return _singular(sentence, ones, alone) if alone or ones else sentence


@cache
def _singular(sentence: str, ones: frozenset[str], alone: frozenset[str]) -> str:
    """Once for each sentence and set of places: a page says the same sentences again at every click."""

    def one(match: re.Match[str]) -> str:
        if match["name"] not in ones:
            return match[0]
        noun, verb = match["noun"], match["verb"]
        return f"{{{match['name']}}} {match['between']}{_IRREGULAR.get(noun, noun[:-1])}" + (f" {_VERBS[verb]}" if verb else "")

    def single(match: re.Match[str]) -> str:
        return f"{match['noun'][:-1]} {{{match['name']}}}" if match["name"] in alone else match[0]

    return _LISTED.sub(single, _COUNT.sub(one, sentence))
