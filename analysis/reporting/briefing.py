"""The briefing: one A4 page for people who decide, with the sentences, questions, terms and ringi text that go with it.

No prompt and no answer is in it. Names are printed as they were entered. What the evidence does not carry stands in a banner
that no argument switches off, and changes the sentences.
"""

from __future__ import annotations

from dataclasses import replace

from analysis.contracts import BusinessCase, Message
from analysis.economics.stage_language import case_in_language
from analysis.i18n import N_, Language, Translator, translator
from analysis.reporting import briefing_page as page
from analysis.reporting.briefing_charts import stack_svg
from analysis.reporting.briefing_clean import clean
from analysis.reporting.briefing_facts import Facts, facts
from analysis.reporting.briefing_figures import counts, figures
from analysis.reporting.briefing_html import render_html as render_html
from analysis.reporting.briefing_parts import Briefing as Briefing
from analysis.reporting.briefing_parts import Part, PartName, Signature
from analysis.reporting.briefing_questions import questions
from analysis.reporting.briefing_sentences import argues_against, sentences
from analysis.reporting.briefing_table import alternatives, alternatives_head, table, table_head
from analysis.reporting.glossary_terms import terms_in
from analysis.reporting.money_words import day
from analysis.reporting.ringi import ringi_from

_HEADINGS: tuple[tuple[PartName, str], ...] = (
    ("short", N_("In short")),
    ("points", N_("Three points")),
    ("table", N_("Today and after")),
    ("risks", N_("What could go wrong, and what catches it")),
    ("stages", N_("Stages and stop rule")),
    ("ask", N_("What we ask for")),
    ("sources", N_("Where the figures come from")),
)
_ROLES = (N_("Drafted"), N_("Reviewed"), N_("Decided"))


def make_briefing(
    case: BusinessCase,
    language: Language,
    *,
    author: str = "",
    decision_on: str = "",
    signed: tuple[str, str, str] = ("", "", ""),
    with_texts: bool = False,
) -> Briefing:
    """All words of the briefing in one language.

    Args:
        case: what the plan is worth, with its rollout where there is one.
        language: of the whole document.
        author: as typed; printed with the remark that nobody verified it.
        decision_on: date by which a decision is asked for; empty: the rollout's.
        signed: who drafted, reviewed and decided, as typed; empty: a box to sign by hand.
        with_texts: prints the workload's own name, which may name a customer. A case holds no prompt and no answer.
    """
    t, case = translator(language), case_in_language(case, language)
    known = facts(case, language, decision_on=decision_on)
    points, rows = page.points(case, known, language), table(case, language)
    said, left_out = sentences(case, known, language)
    listed = figures(case, known, rows, language)
    made = Briefing(
        language=language,
        standing=case.standing,
        title=page.title(case, known, t),
        subtitle=_subtitle(case, known, t),
        stamp=page.stamp(case, t),
        author=clean(author, 60),
        date=day(case.created_at, language) or "",
        banner=page.banner(case, t),
        parts=(),
        points=points,
        table_head=table_head(t),
        table=rows,
        risks=page.risks(case, known, language),
        stages=page.stage_boxes(case, language),
        stop=page.stop_sentence(case, known, t),
        ask=page.asked(case, known, language),
        sources=page.sources(case, known, language, with_texts=with_texts),
        sentences=said,
        dropped=left_out,
        questions=questions(case, known, language, with_texts=with_texts),
        glossary=(),
        alternatives_head=alternatives_head(case, language),
        alternatives=alternatives(case, known, language),
        ringi=ringi_from(case, known, language),
        signatures=tuple(Signature(t(role), clean(name, 40)) for role, name in zip(_ROLES, signed, strict=True)),
        counts=counts(listed),
        figures=listed,
        words=known,
        drawing=_drawing(case, known, language),
    )
    made = replace(made, parts=_parts(made, case, known, t))
    return replace(made, glossary=terms_in(" ".join(all_texts(made)), language))


def _parts(made: Briefing, case: BusinessCase, known: Facts, t: Translator) -> tuple[Part, ...]:
    """The parts in their fixed order; tables and boxes stand beside as data."""
    bodies: dict[PartName, tuple[str, ...]] = {
        "short": page.in_short(case, known, made.language),
        "points": made.points,
        "table": (),
        "risks": (),
        "stages": (page.rollout_sentence(case, known, t),),
        "ask": made.ask,
        "sources": made.sources,
    }
    return tuple(Part(number, name, t(heading), bodies[name]) for number, (name, heading) in enumerate(_HEADINGS, start=1))


def _subtitle(case: BusinessCase, known: Facts, t: Translator) -> str:
    """The model and what the plan does; a sample says that it is one."""
    said = t("{model}: {plan}", model=known["model"], plan=known["plan_words"])
    if case.standing == "measured" and not argues_against(case):
        said = known["model"]  # the first part says what the plan does
    if case.is_sample or case.evidence.is_sample:
        return t("{subject}. {remark}", subject=said, remark=t("These are the sample's figures, not yours."))
    return said


def _drawing(case: BusinessCase, known: Facts, language: Language) -> str:
    """The stack before and after; its description says what the plan does in words that were cut to their place."""
    words = Message(id="{name}", values={"name": known["plan_words"]})
    return stack_svg(case.evidence.model_copy(update={"words": words}), language)


def all_texts(made: Briefing) -> tuple[str, ...]:
    """Every sentence and cell that the document prints, without the glossary."""
    return (
        made.title,
        made.subtitle,
        made.stamp,
        made.banner or "",
        *(text for part in made.parts for text in (part.heading, *part.body)),
        *(text for row in made.table for text in (row.label, row.today, row.after, row.change, row.origin)),
        *(text for risk in made.risks for text in (risk.concern, risk.limit, risk.who)),
        *(text for box in made.stages for text in (box.title, *box.lines, box.go_on)),
        made.stop,
        *(sentence.text for sentence in made.sentences),
        *(text for answer in made.questions for text in (answer.question, answer.answer)),
        *(text for row in made.alternatives for text in (row.label, row.quality, row.note)),
    )
