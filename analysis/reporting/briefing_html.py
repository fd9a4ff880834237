"""The briefing as one HTML document that prints on A4: page one for those who decide, overleaf what helps in the meeting.

Self-contained: no scripts, no fonts or pictures from elsewhere. Everything that comes from a document is escaped and cut.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from analysis.i18n import Translator, translator
from analysis.reporting.briefing_clean import clean
from analysis.reporting.briefing_parts import Briefing, PartName
from analysis.reporting.briefing_style import CSS

_LONGEST = 420
_MOST_FIGURES = 60


def render_html(briefing: Briefing) -> str:
    """The whole document.

    Args:
        briefing: its words; the banner is printed whenever it has one.
    """
    t = translator(briefing.language)
    return (
        f'<!DOCTYPE html>\n<html lang="{briefing.language}">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width">\n<title>{_text(briefing.title, 120)}</title>\n'
        f"<style>{CSS}</style>\n</head>\n<body>\n{first_page(briefing, t)}\n{_overleaf(briefing, t)}\n</body>\n</html>\n"
    )


def first_page(briefing: Briefing, t: Translator) -> str:
    """The one page: seven parts in their fixed order."""
    parts = (
        _head(briefing, t),
        _banner(briefing),
        f'<section class="short">{_heading(briefing, "short")}{_paragraphs(briefing.part("short").body)}</section>',
        f'<section>{_heading(briefing, "points")}<ol class="points">{_items(briefing.points)}</ol></section>',
        _today_and_after(briefing),
        _risks(briefing),
        _stages(briefing),
        f'<div class="two"><section>{_heading(briefing, "ask")}{_paragraphs(briefing.ask)}</section>'
        f"<section>{_heading(briefing, 'sources')}{_paragraphs(briefing.sources)}</section></div>",
    )
    return "<main>\n" + "\n".join(part for part in parts if part) + "\n</main>"


def _head(briefing: Briefing, t: Translator) -> str:
    author = ""
    if briefing.author:
        author = f"<span>{_text(t('{name} (as entered, not verified)', name=briefing.author), 90)}</span>"
    stamp = f'<span class="stamp">{_text(briefing.stamp)}</span>'
    title = f"<h1>{_text(briefing.title, 120)}</h1><p>{_text(briefing.subtitle, 220)}</p>"
    if briefing.language == "ja":
        meta = f'<p class="line">{stamp} <span>{_text(briefing.date)}</span> {author}</p>'
        return f'<header><div class="head">{title}{meta}</div>{_signatures(briefing, t)}</header>'
    meta = f"<p>{stamp}</p><p>{_text(briefing.date)}</p><p>{author}</p>"
    return f'<header><div class="head">{title}</div><div class="meta">{meta}</div></header>'


def _signatures(briefing: Briefing, t: Translator) -> str:
    """起案・審査・決裁: names as typed, else room for a seal."""
    mark = f'<small class="unproved">{_text(t("as entered, not verified"))}</small>'
    cells = "".join(
        f"<td><small>{_text(one.role)}</small>{_text(one.name, 20)}{mark if one.name else ''}</td>" for one in briefing.signatures
    )
    return f'<table class="sign"><tr>{cells}</tr></table>'


def _banner(briefing: Briefing) -> str:
    return "" if briefing.banner is None else f'<p class="banner" role="note">{_text(briefing.banner, 260)}</p>'


def _today_and_after(briefing: Briefing) -> str:
    rows = [(row.label, row.today, row.after, row.change, row.origin) for row in briefing.table]
    table = _table(briefing.table_head, rows, "figures")
    drawing = "".join(sign if sign.isprintable() or sign == "\n" else " " for sign in briefing.drawing)
    drawn = f"<div>{drawing}</div>" if drawing else ""
    inner = f'<div class="pair">{drawn}<div>{table}</div></div>' if drawn else table
    return f"<section>{_heading(briefing, 'table')}{inner}</section>"


def _risks(briefing: Briefing) -> str:
    items = "".join(
        f"<li>{_text(' → '.join(cell for cell in (row.concern, row.limit, row.who) if cell), 260)}</li>" for row in briefing.risks
    )
    return f'<section>{_heading(briefing, "risks")}<ol class="points">{items}</ol></section>'


def _stages(briefing: Briefing) -> str:
    if not briefing.stages:
        return f"<section>{_heading(briefing, 'stages')}{_paragraphs(briefing.part('stages').body)}</section>"
    separator = "、" if briefing.language == "ja" else ", "
    boxes = "".join(
        f'<div class="box"><b>{_text(box.title)}</b><p>{_text(separator.join(box.lines), 160)}</p></div>' for box in briefing.stages
    )
    first = next((box.go_on for box in briefing.stages if box.go_on), "")
    gap = "" if briefing.language == "ja" else " "
    after = f'<p class="stop">{_text(gap.join(part for part in (first, briefing.stop) if part), 300)}</p>'
    return f'<section>{_heading(briefing, "stages")}<div class="boxes">{boxes}</div>{after}</section>'


def _overleaf(briefing: Briefing, t: Translator) -> str:
    """Sentences, questions, alternatives, every figure with its source, and the terms that were used."""
    parts = (
        _section(t("Sentences for the meeting"), _sentences(briefing, t)),
        _section(t("Questions the board will ask"), _definitions(((one.question, one.answer) for one in briefing.questions), "qa")),
        _section(t("Alternatives"), _alternatives(briefing)) if briefing.alternatives else "",
        _section(t("Every figure and its source"), _figures(briefing, t)),
        _section(t("Terms used"), _definitions(((one.term, one.meaning) for one in briefing.glossary), "")),
    )
    return '<div class="over">\n' + "\n".join(part for part in parts if part) + "\n</div>"


def _sentences(briefing: Briefing, t: Translator) -> str:
    said = "".join(f'<li value="{one.number}">{_text(one.text)}</li>' for one in briefing.sentences)
    left_out = ""
    if briefing.dropped:
        listed = t("; ").join(t("{value} ({range})", value=one.number, range=clean(one.why, 80)) for one in briefing.dropped)
        left_out = f"<p>{_text(t('Sentences left out, by number, and why: {list}.', list=listed), 900)}</p>"
    return f'<ol class="points">{said}</ol>{left_out}'


def _alternatives(briefing: Briefing) -> str:
    head = "".join(f'<th scope="col">{_text(title)}</th>' for title in briefing.alternatives_head)
    body = "".join(
        ('<tr class="own">' if row.own else "<tr>")
        + "".join(
            f"<td>{_text(cell, 80)}</td>" for cell in (row.label, row.start, row.cost, row.saving, row.payback, row.quality, row.origin)
        )
        + "</tr>"
        for row in briefing.alternatives
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _figures(briefing: Briefing, t: Translator) -> str:
    marks = {
        "measured": t("measured"),
        "projected": t("projected"),
        "assumed": t("assumed"),
        "elsewhere": t("measured on another machine"),
    }
    rows = [(one.label, one.text, marks[one.origin], one.source) for one in briefing.figures[:_MOST_FIGURES]]
    return _table((t("Figure"), t("Value"), t("Mark"), t("Source")), rows, "all")


def _section(heading: str, body: str) -> str:
    return f"<section><h2>{_text(heading)}</h2>{body}</section>"


def _heading(briefing: Briefing, name: PartName) -> str:
    return f"<h2>{_text(briefing.part(name).heading)}</h2>"


def _paragraphs(texts: Iterable[str]) -> str:
    return "".join(f"<p>{_text(text)}</p>" for text in texts)


def _items(texts: Iterable[str]) -> str:
    return "".join(f"<li>{_text(text)}</li>" for text in texts)


def _definitions(pairs: Iterable[tuple[str, str]], kind: str) -> str:
    inner = "".join(f"<dt>{_text(term)}</dt><dd>{_text(meaning)}</dd>" for term, meaning in pairs)
    return f'<dl class="{kind}">{inner}</dl>'


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], kind: str) -> str:
    top = "".join(f'<th scope="col">{_text(title)}</th>' for title in head)
    body = "".join(
        f'<tr><th scope="row">{_text(row[0], 120)}</th>' + "".join(f"<td>{_text(cell, 160)}</td>" for cell in row[1:]) + "</tr>"
        for row in rows
    )
    return f'<table class="{kind}"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>'


def _text(text: str, longest: int = _LONGEST) -> str:
    """Text that a browser shows as it stands, on one line, cut where it would break the page."""
    return html.escape(clean(text, longest))
