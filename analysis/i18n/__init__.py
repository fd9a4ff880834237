"""English and Japanese: catalogues by room, messages put into words, numbers written as the language writes them.

An English sentence is its own key. Catalogues are `ja/<room>.po`; they are merged, and a sentence stands in exactly
one of them. Mark a sentence for translation by passing it as a literal to `Message(id=...)`, an error of
`analysis.errors`, `N_(...)`, or a translator made by `translator(language)`.
"""

from __future__ import annotations

import gettext
import io
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Literal

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from analysis.contracts.message import Message
from analysis.i18n.counting import agreed
from analysis.i18n.numbers import listed, number

Language = Literal["en", "ja"]
LANGUAGES: tuple[Language, ...] = ("en", "ja")
_HERE = Path(__file__).parent

Translator = Callable[..., str]


def N_(sentence: str) -> str:
    """Marks a sentence for translation without translating it yet."""
    return sentence


def language_of(locale: str | None) -> Language:
    """The language to speak to a browser or terminal locale such as ``ja-JP`` or ``en_US.UTF-8``."""
    return "ja" if (locale or "").lower().startswith("ja") else "en"


def render(message: Message, language: Language) -> str:
    """A message in words."""
    return translator(language)(message.id, **message.values)


@cache
def translator(language: Language) -> Translator:
    """A function ``t(sentence, **values)`` that says a sentence in that language.

    Numbers among the values are written with the language's separators, lists with its way of listing; a value
    that is already a string goes in as it is. English words agree with a count of one.
    """
    catalogue = _catalogue(language)

    def t(sentence: str, **values: object) -> str:
        said = catalogue.gettext(sentence)
        if not values:
            return said
        written = {name: _written(value, language) for name, value in values.items()}
        return (agreed(said, written) if language == "en" else said).format(**written)

    return t


def _written(value: object, language: Language) -> object:
    if isinstance(value, Message):
        return render(value, language)
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        return number(value, language)
    if isinstance(value, tuple | list):
        return listed([str(_written(item, language)) for item in value], language)
    return value


@cache
def _catalogue(language: Language) -> gettext.NullTranslations:
    merged: gettext.NullTranslations = gettext.NullTranslations()
    for path in sorted((_HERE / language).glob("*.po")):
        compiled = io.BytesIO()
        with path.open("rb") as file:
            write_mo(compiled, read_po(file, locale=language))
        compiled.seek(0)
        part = gettext.GNUTranslations(compiled)
        part.add_fallback(merged)
        merged = part
    return merged
