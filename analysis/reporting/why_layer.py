"""Why this layer: one A4 page to hand to a compliance department, about a plan that freezes layers for a fine-tune.

Self-contained HTML: no scripts, no fonts from elsewhere, readable in grey. No prompt text is on it. Everything that comes
from a document is escaped and cut to a length that keeps the page.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

from analysis.contracts import Estimate, Plan, Semantics, Trial, TrialArm
from analysis.contracts.freezing import EofChoice, EofStrategy
from analysis.errors import PlanError
from analysis.i18n import Language, Translator, render, translator
from analysis.i18n.numbers import number, percent, size, span
from analysis.reporting import headlines_training, why_curve
from analysis.reporting import training_words as words
from analysis.reporting.certificate_style import CSS, FONT
from analysis.reporting.step_times import how_timed

_MOST_ARMS = 8
_MOST_SLICES = 6
_LONG_REASON = 320
_LONGEST_REASON = 640
_LONGEST = 110
_READ_THE_CURVE: frozenset[EofStrategy] = frozenset({"smallest_deviation", "gain", "scaled_gain", "exponent"})
_STYLE = (
    ".lead{font-size:11pt;border:1pt solid #1a1a1a;padding:2mm 3mm;margin:3mm 0 0}"
    "main{font-size:8.6pt;line-height:1.3}"
    "h1{font-size:15pt}h2{font-size:9.8pt;margin:2.2mm 0 .8mm}"
    "th,td{padding:.4mm 1.3mm}"
    "svg{display:block;width:100%;height:auto}"
    ".trials td:nth-child(n+2){text-align:right;white-space:nowrap}"
    ".pair{align-items:start}.pair .facts th{width:44%}"
    "main.dense{font-size:7.6pt;line-height:1.2}main.dense .lead{font-size:9.5pt}main.dense svg{width:80%;margin:0 auto}"
    "figure{margin:0}figcaption{color:#444;font-size:7.8pt}"
)


def why_page(plan: Plan, semantics: Semantics | None, trial: Trial | None, language: Language) -> str:
    """The page as one HTML document.

    Args:
        plan: freezes layers 0 to its eof_layer.
        semantics: the traces behind the choice; None: chosen without them, and the page says so.
        trial: of this plan; None: none has run, and the page says so.
        language: of the whole page.

    Raises:
        PlanError: the plan freezes nothing.
    """
    if plan.eof_layer is None:
        raise PlanError("This page explains why layers are frozen, and the plan freezes none. Choose a plan that freezes layers.")
    page = _Page(plan, semantics, trial, plan.eof_layer, translator(language), language)
    body = (
        page.head(),
        page.why(),
        f'<div class="pair">{page.sureness()}{page.worth()}</div>',
        page.tried(),
        f'<div class="pair">{page.unknown()}{page.provenance()}</div>',
    )
    title = _text(page.t("Why this layer"))
    return (
        f'<!DOCTYPE html>\n<html lang="{language}">\n<head>\n<meta charset="utf-8">\n<title>{title} {plan.id}</title>\n'
        f"<style>{FONT}{CSS}{_STYLE}</style>\n</head>\n<body>\n<main{page.density}>\n" + "\n".join(body) + "\n</main>\n</body>\n</html>\n"
    )


@dataclass(frozen=True)
class _Page:
    """The parts of the page, top to bottom."""

    plan: Plan
    semantics: Semantics | None
    trial: Trial | None
    eof_layer: int
    t: Translator
    language: Language

    @property
    def choice(self) -> EofChoice | None:
        return self.plan.provenance.eof_choice

    @property
    def density(self) -> str:
        """Smaller type where so much is told that it would not stay on one page."""
        return ' class="dense"' if len(self._reason()) > _LONG_REASON or len(self._differing()) > _MOST_SLICES else ""

    def head(self) -> str:
        t, plan = self.t, self.plan
        says = render(headlines_training.freeze(plan, self.trial, self.semantics), self.language)
        return (
            f"<header><h1>{_text(t('Why this layer'))}</h1>"
            f"<p>{_text(t('Plan {id}', id=plan.id))}<br>{_text(plan.provenance.created_at[:10])}</p></header>"
            f'<p class="lead">{_text(says, 420)}</p>'
        )

    def why(self) -> str:
        t = self.t
        meaning = t(
            "Freezing keeps the weights of the first layers as they are; only the layers after the last frozen one are trained. "
            "The model's answers change only through the trained layers."
        )
        parts = [f"<p>{_text(meaning, 400)}</p>", f"<p>{_text(self._reason(), _LONGEST_REASON)}</p>"]
        if self.semantics is not None:
            curve = self.semantics.overall.curves.get(self.semantics.default_curve)
            if curve is not None:
                caption = t(
                    "How far the model still is from the right word after each layer (less is nearer; grey band: 95% interval; "
                    "hatched: frozen)."
                )
                if self.choice is None or self.choice.strategy not in _READ_THE_CURVE:
                    caption = f"{caption} {t('For comparison only: the choice did not use this curve.')}"
                drawn = why_curve.drawing(curve, self.eof_layer, self.t)
                parts.append(f"<figure>{drawn}<figcaption>{_text(caption, 300)}</figcaption></figure>")
        return f"<section><h2>{_text(t('Why this layer was chosen'))}</h2>{''.join(parts)}</section>"

    def _reason(self) -> str:
        t, choice = self.t, self.choice
        if choice is None:
            return t("The last frozen layer was set by a person, not by a rule: layer {eof}.", eof=self.eof_layer)
        rule = words.RULES[choice.strategy]
        said = t("Rule: {rule}. {meaning}", rule=words.rule(choice.strategy), meaning=t(rule.meaning))
        return " ".join(part for part in (render(choice.reason, self.language), said, self._moved(choice)) if part)

    def _moved(self, choice: EofChoice) -> str:
        """Said where the plan does not end where the rule said; what a budget moved, the rule's own reason tells."""
        t = self.t
        if choice.eof_layer != self.eof_layer:
            return t("A person then set the last frozen layer to {eof}.", eof=self.eof_layer)
        return ""

    def sureness(self) -> str:
        t, choice = self.t, self.choice
        title = f"<h2>{_text(t('How sure this is'))}</h2>"
        if choice is not None and choice.strategy == "sweep" and self.trial is not None:
            return f"<section>{title}{self._swept(self.trial)}</section>"
        if choice is None or choice.agreement is None:
            said = t("Not worked out: the layer was not chosen from prompts that could be drawn again.")
            return f"<section>{title}<p>{_text(said)}</p></section>"
        facts = [(t("Resamples that agree"), percent(choice.agreement, self.language))]
        if choice.low is not None and choice.high is not None:
            facts.append((t("Range over resamples"), t("layers {range}", range=span(str(choice.low), str(choice.high), self.language))))
        differing = self._differing()
        if choice.by_slice:
            facts.append((t("Slices that would choose another layer"), f"{len(differing)} / {len(choice.by_slice)}"))
        shown = "; ".join(f"{_cut(name, 24)}: {layer}" for name, layer in differing[:_MOST_SLICES])
        more = f"<p>{_text(shown, 150)}</p>" if shown else ""
        return f"<section>{title}{_facts(facts)}{more}</section>"

    def _swept(self, trial: Trial) -> str:
        """What the sweep found at the chosen boundary and at the next deeper one."""
        t = self.t
        arms = sorted((arm for arm in trial.arms if arm.kind == "freeze"), key=lambda arm: arm.eof_layer)
        chosen = [arm for arm in arms if arm.eof_layer == self.eof_layer][:1]
        deeper = [arm for arm in arms if arm.eof_layer > self.eof_layer][:1]
        facts = [(t("Boundaries tried"), number(len(arms), self.language))]
        for arm in (*chosen, *deeper):
            name = t("Gain kept: {arm}", arm=render(words.arm(arm), self.language))
            facts.append((name, "-" if arm.kept_at_tokens is None else self._kept(arm.kept_at_tokens)))
        note = t("Intervals: 95%, from drawing the judged examples again. Another training run may differ by more.")
        return f"{_facts(facts)}<p>{_text(note, 200)}</p>"

    def _differing(self) -> list[tuple[str, int]]:
        """Slices that would choose another layer for themselves."""
        by_slice = self.choice.by_slice if self.choice else {}
        return [(name, layer) for name, layer in by_slice.items() if layer != self.eof_layer]

    def worth(self) -> str:
        t, semantics = self.t, self.semantics
        title = f"<h2>{_text(t('What the measure is worth'))}</h2>"
        if semantics is None:
            said = t("The choice used no measurement of meaning.")
            return f"<section>{title}<p>{_text(said)}</p></section>"
        known = {one.curve: one for one in semantics.fidelity}
        own, lens = known.get(semantics.default_curve), known.get("lens")
        facts = [(t("Measured against"), t(words.CURVE_TITLES[semantics.default_curve]))]
        if own is not None:
            facts.append((t("Names the right word"), self._share(own.right, own.interval)))
        if lens is not None and semantics.default_curve != "lens":
            facts.append((t("The model itself does"), percent(lens.right, self.language, 1)))
        facts.append((t("Response tokens measured"), number(semantics.overall.n_tokens, self.language)))
        note = t("The nearer this share is to the model's own, the more the curve says about its answers.")
        return f"<section>{title}{_facts(facts)}<p>{_text(note, 200)}</p></section>"

    def _share(self, value: float, interval: tuple[float, float] | None) -> str:
        said = percent(value, self.language, 1)
        if interval is None:
            return said
        return f"{said} ({span(f'{100 * interval[0]:.1f}', f'{100 * interval[1]:.1f}%', self.language)})"

    def tried(self) -> str:
        t, trial = self.t, self.trial
        title = f"<h2>{_text(t('What was tried'))}</h2>"
        if trial is None:
            said = t("Nothing yet: no trial has run, so what freezing keeps of the quality is not known.")
            return f"<section>{title}<p>{_text(said, 200)}</p></section>"
        head = (
            t("Way of training"),
            t("Loss before"),
            t("Loss after"),
            t("Gain kept"),
            t("Time of a step"),
            t("later epochs"),
            t("Weights unchanged"),
        )
        arms = self._arms(trial)
        rows = [self._arm_row(arm) for arm in arms[:_MOST_ARMS]]
        said = t(
            "{n} examples trained on, {m} examples judged that nothing learnt from; {device}.",
            n=trial.n_training,
            m=trial.verification_counts.n_examples,
            device=_cut(trial.machine.device_name, 40),
        )
        timed = how_timed(trial)
        if timed is not None:
            said = f"{said} {render(timed, self.language)}"
        if len(arms) > _MOST_ARMS:
            said = f"{said} {t('More ways of training in the trial file: {n}.', n=len(arms) - _MOST_ARMS)}"
        return f"<section>{title}{_table(head, rows)}<p>{_text(said, 420)}</p></section>"

    def _arms(self, trial: Trial) -> list[TrialArm]:
        """The plan's own first, full fine-tuning second, then the rest from shallow to deep."""
        rank = {"full": 1, "lora": 2, "lora_freeze": 2, "freeze": 3}
        return sorted(trial.arms, key=lambda arm: (0 if arm is trial.own else rank[arm.kind], arm.eof_layer))

    def _arm_row(self, arm: TrialArm) -> tuple[str, ...]:
        t = self.t
        later = arm.cost.later_epochs_ms
        identical = {True: t("yes"), False: t("no"), None: "-"}[arm.frozen_identical]
        return (
            render(words.arm(arm), self.language),
            self._estimate(arm.loss_before, 2),
            self._estimate(arm.loss_after, 2),
            "-" if arm.kept_at_tokens is None else self._kept(arm.kept_at_tokens),
            t("{n} ms", n=round(arm.cost.first_epoch_ms.p50, 1)),
            "-" if later is None else t("{n} ms", n=round(later.p50, 1)),
            identical,
        )

    def _estimate(self, found: Estimate, digits: int) -> str:
        return "-" if found.value is None else f"{found.value:.{digits}f}"

    def _kept(self, found: Estimate) -> str:
        if found.value is None:
            return "-"
        if found.low is None or found.high is None:
            return percent(found.value, self.language)
        return f"{percent(found.value, self.language)} ({span(f'{100 * found.low:.0f}', f'{100 * found.high:.0f}%', self.language)})"

    def unknown(self) -> str:
        items = "".join(f"<li>{_text(one, 220)}</li>" for one in self._unknowns())
        return f"<section><h2>{_text(self.t('What is not known'))}</h2><ul>{items}</ul></section>"

    def _unknowns(self) -> Sequence[str]:
        t = self.t
        found = [t("Other inputs than these prompts were not tested, and what the trained layers learn depends on the examples.")]
        if self.choice is not None and self.choice.interpretation:
            found.append(t("The formula of this rule is our reading: the published text does not give it."))
        if self.trial is None:
            found.append(t("Time and memory are projections until a trial has run on this machine."))
        else:
            found.append(t("Times hold for the machine of the trial only; a longer training may end elsewhere."))
        if self.semantics is not None and self.semantics.workload.is_sample:
            found.append(t("These are the sample's figures, not yours."))
        return found

    def provenance(self) -> str:
        t, plan = self.t, self.plan
        workload = (
            plan.workload.content_hash[:16] if plan.workload else self.semantics.workload.content_hash[:16] if self.semantics else "-"
        )
        facts = [
            (t("Model"), _cut(plan.model.name, 60)),
            (t("Version"), plan.model.commit[:40]),
            (t("Frozen"), render(words.frozen_layers(self.eof_layer), self.language)),
            (t("Trained"), render(words.trained_layers(self.eof_layer, plan.model.n_blocks), self.language)),
            (t("Data, fingerprint"), workload),
            (t("Plan number"), plan.id),
        ]
        if self.trial is not None:
            facts.append((t("Trial"), f"{self.trial.id[:16]}, {self.trial.machine.started_at[:10]}"))
            memory = self.trial.own.cost.peak_memory_bytes if self.trial.own else None
            if memory is not None:
                facts.append((t("Peak memory"), size(memory, self.language)))
        return f"<section><h2>{_text(t('Where this comes from'))}</h2>{_facts(facts)}</section>"


def _facts(rows: Sequence[tuple[str, str]]) -> str:
    cells = "".join(f"<tr><th>{_text(name)}</th><td>{_text(value)}</td></tr>" for name, value in rows)
    return f'<table class="facts">{cells}</table>'


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{_text(title)}</th>" for title in head)
    body = "".join("<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<table class="trials"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>'


def _text(text: str, longest: int = _LONGEST) -> str:
    """Text that a browser shows as it stands, without control characters, cut where it would break the page."""
    return html.escape(_cut("".join(sign if sign.isprintable() else " " for sign in text), longest))


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
