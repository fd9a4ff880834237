"""The briefing as a PowerPoint deck: six slides and the sources, native charts, and the sentences to say in the notes."""

from __future__ import annotations

import io
from typing import Any

from analysis.contracts import BusinessCase
from analysis.economics.stage_language import case_in_language
from analysis.i18n import Language, translator
from analysis.reporting import deck_slides
from analysis.reporting.briefing_parts import Briefing
from analysis.reporting.deck_board import HEIGHT, WIDTH, Board
from analysis.reporting.deck_fonts import speak
from analysis.reporting.deck_text import SAID_ON, titles

_TITLE_ONLY = "Title Only"


def make_deck(briefing: Briefing, case: BusinessCase, language: Language) -> bytes:
    """A .pptx file of seven slides, 16:9.

    Args:
        briefing: the page's words, in the deck's language.
        case: its figures, for the charts.
        language: of the deck; the briefing has to be in it.
    """
    assert briefing.language == language
    case, presentation = case_in_language(case, language), _empty()
    talk = deck_slides.Talk(briefing, case, titles(briefing, case))
    makers = (
        deck_slides.saving,
        deck_slides.basis,
        deck_slides.change,
        deck_slides.quality,
        deck_slides.money,
        deck_slides.stages,
        deck_slides.sources,
    )
    layout = presentation.slide_layouts.get_by_name(_TITLE_ONLY)
    for number, make in enumerate(makers, 1):
        board = Board(presentation.slides.add_slide(layout))
        make(board, talk)
        board.notes(_notes(number, talk))
    presentation.core_properties.title = briefing.title
    presentation.core_properties.author = briefing.author
    presentation.core_properties.comments = case.id
    speak(presentation, language)
    written = io.BytesIO()
    presentation.save(written)
    return written.getvalue()


def _empty() -> Any:
    """python-pptx's own template, widened to 16:9 with all that its layouts hold; layouts that no slide uses are left out."""
    from pptx import Presentation
    from pptx.util import Inches

    presentation = Presentation()
    stretch = Inches(WIDTH) / presentation.slide_width
    presentation.slide_width, presentation.slide_height = Inches(WIDTH), Inches(HEIGHT)
    for layout in list(presentation.slide_layouts):
        if layout.name != _TITLE_ONLY:
            presentation.slide_layouts.remove(layout)
    for sheet in (presentation.slide_master, *presentation.slide_layouts):
        for shape in sheet.placeholders:
            shape.left, shape.top, shape.width, shape.height = (
                round(shape.left * stretch),
                shape.top,
                round(shape.width * stretch),
                shape.height,
            )
    return presentation


def _notes(number: int, talk: deck_slides.Talk) -> list[str]:
    """What to say on a slide; on the last one the questions that may come, and every figure with its source."""
    t, briefing = translator(talk.language), talk.briefing
    said = [one.text for one in briefing.sentences if one.number in SAID_ON.get(number, ())]
    not_said = [t("Not said ({why}).", why=one.why) for one in briefing.dropped if one.number in SAID_ON.get(number, ())]
    if number < 7:
        return [*said, *not_said]
    questions = [line for one in briefing.questions for line in (one.question, one.answer, "")]
    colon = {"en": ": ", "ja": "："}[talk.language]
    figures = [f"{one.label}{colon}{t('{value} ({range})', value=one.text, range=one.source)}" for one in briefing.figures]
    terms = [f"{one.term}{colon}{one.meaning}" for one in briefing.glossary]
    return [*questions, *figures, "", *terms]
