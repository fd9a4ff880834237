"""The verification certificate 検証成績書: one A4 page that a manufacturer's reader knows how to read.

Self-contained HTML: no scripts, no fonts from elsewhere, readable in grey. Everything that comes from a document is
escaped and cut to a length that keeps the page. No prompt and no answer is on it, unless asked for: then on a second page.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from analysis.contracts import GuardrailResult, Message, Plan, ProjectionError, Verdict, Verification
from analysis.i18n import N_, Language, Translator, render, translator
from analysis.i18n.numbers import number, percent, span
from analysis.reporting import headlines
from analysis.reporting import verification_words as words
from analysis.reporting.certificate_style import CSS, FONT, bar
from analysis.reporting.exports import in_words

_MOST_LIMITS = 8
_MOST_PROJECTIONS = 6
_MOST_REMARKS = 5
_PROJECTIONS_FIRST = ("perplexity_ratio", "prefill_ms", "prefill_ratio", "decode_ms", "decode_ratio", "peak_memory_bytes")
"""What can be wrong comes before what is exact by construction."""
_LONGEST = 90
_LONGEST_REMARK = 170

VERDICT_WORDS: dict[Verdict | None, str] = {
    "within": N_("Within limits"),
    "outside": N_("Outside limits"),
    "undecided": N_("Not enough data"),
    None: N_("No limit set"),
}
"""A verdict as the certificate prints it: 合格, 不合格, 判定保留."""


@dataclass(frozen=True)
class Names:
    """Who made, checked and approved, as typed without a login; empty: a blank line to sign on."""

    made_by: str = ""
    checked_by: str = ""
    approved_by: str = ""


def certificate_html(
    verification: Verification, plan: Plan, *, language: Language, names: Names | None = None, with_texts: bool = False
) -> str:
    """The certificate as one HTML document.

    Args:
        verification: what was measured.
        plan: the plan that was tested.
        language: of the whole page.
        names: who signs, printed as entered and marked as not verified.
        with_texts: adds a second page with prompts and answers side by side.
    """
    page = _Page(verification, plan, translator(language), language)
    t = page.t
    body = [
        page.head(),
        page.subject_and_conditions(),
        page.results(),
        f'<div class="pair">{page.critical()}{page.projection()}</div>',
        page.remarks(),
        _signatures(names or Names(), t),
    ]
    second = page.texts() if with_texts and verification.generations else ""
    dense = ' class="dense"' if page.is_full else ""
    return (
        f'<!DOCTYPE html>\n<html lang="{language}">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{_text(t('Verification certificate'))} {_text(verification.id[:12])}</title>\n"
        f"<style>{FONT}{CSS}</style>\n</head>\n<body>\n<main{dense}>\n" + "\n".join(body) + f"\n</main>\n{second}</body>\n</html>\n"
    )


@dataclass(frozen=True)
class _Page:
    """The parts of the page, top to bottom."""

    verification: Verification
    plan: Plan
    t: Translator
    language: Language

    @property
    def is_full(self) -> bool:
        """Whether there is so much to print that it needs smaller type to stay on one page."""
        found = self.verification
        rows = min(len(found.guardrails), _MOST_LIMITS) + min(len(found.projection_errors), _MOST_PROJECTIONS) + len(found.notes)
        return rows > 10 or len(self.say(in_words(self.plan))) > 200

    def say(self, message: Message) -> str:
        return render(message, self.language)

    def head(self) -> str:
        t, found = self.t, self.verification
        verdict = t(VERDICT_WORDS[found.verdict])
        return (
            f"<header><h1>{_text(t('Verification certificate'))}</h1>"
            f"<p>{_text(t('No. {number}', number=found.id[:12]))}<br>{_text(_day(found.machine.started_at))}</p></header>"
            f'<p class="verdict"><strong>{_text(verdict)}</strong> <span>{_text(self.say(headlines.in_short(found)), 220)}</span></p>'
        )

    def subject_and_conditions(self) -> str:
        t, found, plan = self.t, self.verification, self.plan
        settings, workload = found.settings, found.workload
        subject = (
            (t("Model"), _cut(found.model_name, 80)),
            (t("Version"), found.model_commit[:40]),
            (t("Plan tested"), f"{_cut(plan.name, 60)} ({plan.id})" if plan.name else plan.id),
            (t("What it does"), self.say(in_words(plan))),
        )
        counted = t(
            "{name}: {n} prompts, {tokens} tokens, {slices} slices",
            name=_cut(workload.name, 40),
            n=found.quality.n_examples,
            tokens=found.quality.n_tokens,
            slices=len(found.slices),
        )
        conditions = (
            (t("Machine"), f"{_cut(found.machine.device_name, 60)}, {found.machine.dtype}"),
            (t("Data"), counted),
            (t("Data, fingerprint"), workload.content_hash[:16]),
            (t("Date"), found.machine.started_at[:16].replace("T", " ")),
            (
                t("Seed, resamples"),
                f"{settings.seed}, {number(settings.replicates, self.language)}",
            ),
        )
        return (
            f'<div class="pair"><section><h2>{_text(t("Subject"))}</h2>{_facts(subject)}</section>'
            f"<section><h2>{_text(t('Conditions'))}</h2>{_facts(conditions)}</section></div>"
        )

    def results(self) -> str:
        t = self.t
        head = (t("Item"), t("Criterion"), t("Result (95% interval)"), t("Against the limit"), t("Cases"), t("Verdict"))
        order = {"outside": 0, "undecided": 1, "within": 2}
        limits = sorted(self.verification.guardrails, key=lambda result: order[result.verdict])
        rows = [self._limit_row(result) for result in limits[:_MOST_LIMITS]] or [self._without_limit()]
        rest = limits[_MOST_LIMITS:]
        more = ""
        if rest:
            missed = sum(result.verdict != "within" for result in rest)
            said = t("{n} more limits, {missed} of them not met, stand in the verification file.", n=len(rest), missed=missed)
            more = f"<p>{_text(said)}</p>"
        return f"<section><h2>{_text(t('Results'))}</h2>{_table(head, rows, 'results')}{more}</section>"

    def _limit_row(self, result: GuardrailResult) -> tuple[str, ...]:
        t = self.t
        return (
            _text(self.say(words.item(result.guardrail)), 48),
            _text(self.say(words.limit(result.guardrail))),
            _text(words.measured(result, self.language)),
            bar(result),
            _text(number(result.n, self.language)),
            f"<strong>{_text(t(VERDICT_WORDS[result.verdict]))}</strong>",
        )

    def _without_limit(self) -> tuple[str, ...]:
        t, found = self.t, self.verification.quality
        ratio = found.perplexity_ratio
        shown = "-" if ratio.value is None else f"{ratio.value:.3f}x"
        if ratio.low is not None and ratio.high is not None:
            shown += f" ({span(f'{ratio.low:.3f}', f'{ratio.high:.3f}x', self.language)})"
        name = t("Perplexity, plan against original")
        return (_text(name), "-", _text(shown), "", _text(number(found.n_examples, self.language)), _text(t(VERDICT_WORDS[None])))

    def critical(self) -> str:
        t, found = self.t, self.verification.critical
        flips = found.flips if found else None
        if found is None or flips is None or flips.n == 0:
            none = t("No critical case was answered in this test.")
            return f"<section><h2>{_text(t('Critical cases'))}</h2><p>{_text(none)}</p></section>"
        upper = "-" if flips.upper is None else percent(flips.upper, self.language, 1)
        facts = (
            (t("Cases"), number(flips.n, self.language)),
            (t("Answers that changed"), number(flips.changed, self.language)),
            (t("True rate at most (95%)"), upper),
        )
        return f"<section><h2>{_text(t('Critical cases'))}</h2>{_facts(facts)}</section>"

    def projection(self) -> str:
        t, errors = self.t, self.verification.projection_errors
        title = f"<h2>{_text(t('Difference from the projection'))}</h2>"
        if not errors:
            return f"<section>{title}<p>{_text(t('There was no projection to compare with.'))}</p></section>"
        rows = [
            (
                _text(self.say(words.quantity(error.quantity)), 60),
                _text(words.quantity_value(error.quantity, error.projected, self.language)),
                _text(words.quantity_value(error.quantity, error.measured, self.language)),
                _text(words.projection_error(error)),
            )
            for error in sorted(errors, key=_projection_rank)[:_MOST_PROJECTIONS]
        ]
        return f"<section>{title}{_table((t('Item'), t('Projected'), t('Measured'), t('Difference')), rows, 'figures')}</section>"

    def remarks(self) -> str:
        t, found = self.t, self.verification
        said = [*self._standing_remarks(), *(self.say(note) for note in found.notes)]
        shown = [*dict.fromkeys(said)][:_MOST_REMARKS]
        if len({*said}) > len(shown):
            shown.append(t("{n} more remarks stand in the verification file.", n=len({*said}) - len(shown)))
        items = "".join(f"<li>{_text(remark, _LONGEST_REMARK)}</li>" for remark in shown)
        return f"<section><h2>{_text(t('Remarks'))}</h2><ul>{items}</ul></section>"

    def _standing_remarks(self) -> Iterable[str]:
        """What holds for every certificate; what this very test left out stands in the verification's own notes."""
        t, found = self.t, self.verification
        if found.workload.is_sample or found.model_source.kind == "sample":
            yield t("These are the sample's figures, not yours.")
        if not found.guardrails:
            yield t("No limit was set before the run, so there is no verdict.")
        yield t("Times and memory hold for this machine only; other inputs than these prompts were not tested.")

    def texts(self) -> str:
        t = self.t
        head = (t("Prompt"), t("Original"), t("With the plan"), t("Changed"))
        rows = [
            (
                _text(one.prompt, 400),
                _text(one.original, 400),
                _text(one.plan, 400),
                _text(t("yes") if one.changed else t("no")),
            )
            for one in self.verification.generations
        ]
        return f'<section class="texts"><h2>{_text(t("Prompts and answers"))}</h2>{_table(head, rows)}</section>'


def _signatures(names: Names, t: Translator) -> str:
    given = ((t("Made by"), names.made_by), (t("Checked by"), names.checked_by), (t("Approved by"), names.approved_by))
    mark = t("as entered, not verified")
    cells = "".join(
        f"<td><h3>{_text(title)}</h3><p>{_text(name, 40)}</p><small>{_text(mark) if name.strip() else '&nbsp;'}</small></td>"
        for title, name in given
    )
    return f'<table class="signatures"><tr>{cells}</tr></table>'


def _facts(rows: Sequence[tuple[str, str]]) -> str:
    cells = "".join(f"<tr><th>{_text(name)}</th><td>{_text(value, 400)}</td></tr>" for name, value in rows)
    return f'<table class="facts">{cells}</table>'


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    """A table; the head is escaped here, cells are given as HTML."""
    top = "".join(f"<th>{_text(title)}</th>" for title in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<table class="{kind}"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>'


def _text(text: str, longest: int = _LONGEST) -> str:
    """Text that a browser shows as it stands, without control characters, cut where it would break the page."""
    return html.escape(_cut("".join(c if c.isprintable() else " " for c in text), longest))


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _day(moment: str) -> str:
    return moment[:10]


def _projection_rank(error: ProjectionError) -> int:
    kind = error.quantity.partition("@")[0]
    return _PROJECTIONS_FIRST.index(kind) if kind in _PROJECTIONS_FIRST else len(_PROJECTIONS_FIRST)
