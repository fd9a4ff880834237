"""What kinds of tokens are called, wherever they are listed."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.contracts import TokenKind
from analysis.i18n import N_

KIND_TITLES: Mapping[TokenKind, str] = {
    "digits": N_("digits"),
    "codes": N_("codes and part numbers"),
    "kanji": N_("kanji"),
    "kana": N_("kana"),
    "latin": N_("words in Latin letters"),
    "program": N_("program text"),
    "punctuation": N_("punctuation"),
    "other": N_("other signs"),
}
