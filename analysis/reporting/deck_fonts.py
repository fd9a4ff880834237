"""Faces and language of a deck: PowerPoint takes Japanese letters from the east-Asian face, and spells by the language of each run.

python-pptx sets the Latin face alone. Without the other one Japanese falls back to whatever the machine has, and without a
language every word is underlined as misspelt. So both stand on the theme, on every run and in every chart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from analysis.i18n import Language

LATIN, EAST_ASIAN = "Arial", "Yu Gothic"
TAGS: Mapping[Language, str] = {"en": "en-US", "ja": "ja-JP"}
_OTHER: Mapping[Language, str] = {"en": "ja-JP", "ja": "en-US"}
_DRAWING = "http://schemas.openxmlformats.org/drawingml/2006/main"
_CHART = "http://schemas.openxmlformats.org/drawingml/2006/chart"
_AFTER_FACES = ("cs", "sym", "hlinkClick", "hlinkMouseOver", "rtl", "extLst")
_ACCENTS = ("334155", "7F8999", "0963AD", "BA7800", "38966A", "A33B00")


def speak(presentation: Any, language: Language) -> None:
    """Sets faces and language on the themes, on every run of slides and notes, and in every chart's own XML."""
    for part in _themed_parts(presentation):
        _dress_theme(part)
    presentation.core_properties.language = TAGS[language]
    for slide in presentation.slides:
        _mark(slide._element, language)
        if slide.has_notes_slide:
            _mark(slide.notes_slide._element, language)
        for shape in slide.shapes:
            if shape.has_chart:
                _mark_chart(shape.chart._chartSpace, language)


def _themed_parts(presentation: Any) -> Iterator[Any]:
    from pptx.opc.constants import RELATIONSHIP_TYPE

    masters = [master.part for master in presentation.slide_masters]
    if any(slide.has_notes_slide for slide in presentation.slides):
        masters.append(presentation.notes_master.part)
    for part in masters:
        yield part.part_related_by(RELATIONSHIP_TYPE.THEME)


def _dress_theme(part: Any) -> None:
    """Both faces as headings and body, and the deck's own colours in place of the template's."""
    from pptx.opc.oxml import serialize_part_xml
    from pptx.oxml import parse_xml

    made_here = getattr(part, "_element", None)  # the theme of the notes is made by python-pptx, the slides' own is only read
    root = parse_xml(part.blob) if made_here is None else made_here
    for fonts in (*root.iter(_a("majorFont")), *root.iter(_a("minorFont"))):
        fonts.find(_a("latin")).set("typeface", LATIN)
        fonts.find(_a("ea")).set("typeface", EAST_ASIAN)
        for font in fonts.findall(_a("font")):
            if font.get("script") == "Jpan":
                font.set("typeface", EAST_ASIAN)
    for number, colour in enumerate(_ACCENTS, 1):
        for accent in root.iter(_a(f"accent{number}")):
            accent.clear()
            accent.append(accent.makeelement(_a("srgbClr"), {"val": colour}))
    if made_here is None:
        part._blob = serialize_part_xml(root)


def _mark(root: Any, language: Language) -> None:
    """Every run, field and paragraph end under an element."""
    for paragraph in root.iter(_a("p")):
        for run in (*paragraph.findall(_a("r")), *paragraph.findall(_a("fld")), *paragraph.findall(_a("br"))):
            properties = run.find(_a("rPr"))
            if properties is None:
                properties = run.makeelement(_a("rPr"), {})
                run.insert(0, properties)
            _faces(properties, language)
        end = paragraph.find(_a("endParaRPr"))
        if end is None:
            end = paragraph.makeelement(_a("endParaRPr"), {})
            paragraph.append(end)
        _faces(end, language)


def _mark_chart(space: Any, language: Language) -> None:
    """A chart's texts take faces and language from their default run properties; the chart itself names its language too."""
    for name in ("lang", "roundedCorners"):
        for old in space.findall(_c(name)):
            space.remove(old)
    place = 1 if space.find(_c("date1904")) is not None else 0
    space.insert(place, space.makeelement(_c("lang"), {"val": TAGS[language]}))
    space.insert(place + 1, space.makeelement(_c("roundedCorners"), {"val": "0"}))
    _mark(space, language)
    for properties in space.iter(_a("defRPr")):
        _faces(properties, language)


def _faces(properties: Any, language: Language) -> None:
    properties.set("lang", TAGS[language])
    properties.set("altLang", _OTHER[language])
    for name in ("latin", "ea"):
        for old in properties.findall(_a(name)):
            properties.remove(old)
    later = {_a(name) for name in _AFTER_FACES}
    place = next((number for number, child in enumerate(properties) if child.tag in later), len(properties))
    for name, face in (("ea", EAST_ASIAN), ("latin", LATIN)):
        properties.insert(place, properties.makeelement(_a(name), {"typeface": face}))


def _a(name: str) -> str:
    return f"{{{_DRAWING}}}{name}"


def _c(name: str) -> str:
    return f"{{{_CHART}}}{name}"
