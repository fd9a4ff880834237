"""What every term of the product means: one sentence each, and which of them a text uses."""

from __future__ import annotations

import re
from functools import cache

from analysis.i18n import N_, Language, translator
from analysis.reporting.briefing_parts import Entry

TERMS: dict[str, str] = {
    N_("layer"): N_("One of the processing steps, stacked in order, that every token passes through; numbered from 0."),
    N_("attention"): N_("The part of a layer that lets a word look at other words."),
    N_("MLP"): N_("The part of a layer that reworks each word on its own."),
    N_("token"): N_("The small piece of text that a model reads and writes, about a word or less."),
    N_("workload"): N_("The prompts that stand for the work your model really does."),
    N_("slice"): N_("A part of the workload looked at on its own, such as order entry or customer mail."),
    N_("critical case"): N_("A prompt where a wrong answer is expensive, so it is judged more strictly."),
    N_("calibration / verification examples"): N_("The first are used to choose a plan; the second, never used for choosing, judge it."),
    N_("profile"): N_("What every layer did to your workload, measured in one pass."),
    N_("similarity"): N_("How alike two points of the model treat the same prompts; 1 means alike, 0 unrelated."),
    N_("Block Influence (BI)"): N_("How much a layer turns what passes through it; small means a small change, not that the layer can go."),
    N_("angular distance"): N_("The angle between what enters and what leaves a run of layers, from 0 (same) to 1 (opposite)."),
    N_("CKA"): N_("How alike two layers arrange the same set of prompts, whatever their axes."),
    N_("redundancy"): N_("Computation your workload pays for without needing it."),
    N_("ablation"): N_("Taking one layer out and measuring what breaks."),
    N_("consensus"): N_("Several measures vote on which layers are replaceable, so that no single one decides."),
    N_("semantic deviation"): N_("How far a layer's state still is from the meaning of the right word."),
    N_("freeze"): N_("Keep the weights of some layers as they are while the others are trained."),
    N_("eof-layer"): N_("The last frozen layer: it and all layers before it stay fixed; the layers after it are trained."),
    N_("skip"): N_("Leave a layer out while running; its weights stay, so it can come back."),
    N_("prune"): N_("Remove a layer from the saved model for good."),
    N_("expand"): N_("Make a model larger without changing what it answers, so that it can learn more."),
    N_("function-preserving"): N_("Built so that the output is the same before and after, and checked by running both."),
    N_("quantise"): N_("Store the weights with fewer digits to save memory."),
    N_("distil"): N_("Teach a smaller model to answer as the larger one does."),
    N_("fine-tuning"): N_("Training an existing model a little more on your own examples."),
    N_("healing"): N_("A short training after a cut that wins back quality."),
    N_("router"): N_("A small part that decides, for each token, whether a layer runs."),
    N_("cascade"): N_("The light model answers first; the full one takes over when the light one is unsure."),
    N_("perplexity"): N_("How unsure the model is about the right text; lower is better, and +10% is like choosing among 10% more words."),
    N_("latency"): N_("The time from a request to its answer."),
    N_("throughput"): N_("How many tokens or requests are served per second."),
    N_("FLOPs"): N_("The number of arithmetic steps; fewer does not always mean faster."),
    N_("KV cache"): N_("Memory that keeps what each layer has already read, so that long answers need not start over."),
    N_("plan"): N_("A file that says which layers are skipped, frozen, pruned or grown, and on what evidence."),
    N_("measured"): N_("The plan was run and this is what came out."),
    N_("projected"): N_("Worked out from measurements, not yet run."),
    N_("assumed"): N_("Put in by a person; you can change it."),
    N_("verification"): N_("Running the plan beside the original on examples it was not chosen from."),
    N_("guardrail"): N_('A limit set before the test, such as "perplexity at most +5%".'),
    N_("confidence interval"): N_("A range worked out from these prompts by a method that catches the true value 95 times in 100."),
    N_("robustness"): N_("How well answers hold when the input has typing errors or is attacked."),
    N_("trial fine-tune"): N_("A short training run that shows what a plan would cost and gain."),
    N_("pilot"): N_("The first stage in real use: little risk, few users, close watch."),
    N_("staged rollout"): N_("Widening the use step by step, each step with a condition to go on."),
    N_("safety valve"): N_("The switch that sends requests to the full model at once."),
    N_("fallback"): N_("One request goes to the full model because the light one was unsure."),
    N_("roll back"): N_("Return everything to the state before."),
    N_("audit log"): N_("The record of which request was handled how, and why."),
    N_("drift"): N_("Today's requests no longer look like those that were measured."),
    N_("ROI"): N_("What the plan returns compared with what it costs."),
    N_("payback period"): N_("Months until the savings have paid for the start-up cost."),
    N_("net present value (NPV)"): N_("All future savings in today's money, less the cost; above 0 it pays."),
    N_("internal rate of return (IRR)"): N_("The yearly return at which the plan just breaks even."),
    N_("discount rate"): N_("How much less next year's money counts than today's."),
    N_("break-even volume"): N_("The number of requests a month from which the plan pays."),
    N_("sensitivity"): N_("Which assumption moves the result most."),
    N_("depreciation"): N_("Spreading the price of a machine over its years of use."),
    N_("cash saving"): N_("Money that really stops being paid out."),
    N_("avoided purchase"): N_("A purchase that is no longer needed."),
    N_("freed capacity"): N_("Machine time that becomes free; worth money only when something uses it."),
}
"""Term -> its sentence; each is a sentence of its own for the translation."""

MANAGER_TERMS: tuple[str, ...] = (
    "layer",
    "workload",
    "slice",
    "critical case",
    "plan",
    "measured",
    "projected",
    "assumed",
    "verification",
    "trial fine-tune",
    "fine-tuning",
    "guardrail",
    "confidence interval",
    "latency",
    "freeze",
    "skip",
    "prune",
    "attention",
    "MLP",
    "quantise",
    "pilot",
    "staged rollout",
    "safety valve",
    "roll back",
    "ROI",
    "payback period",
    "net present value (NPV)",
    "internal rate of return (IRR)",
    "discount rate",
    "break-even volume",
    "sensitivity",
    "depreciation",
    "cash saving",
    "avoided purchase",
    "freed capacity",
)
"""Terms that may stand on a page for people who decide."""

_FORMS: dict[str, tuple[str, ...]] = {
    "trial fine-tune": ("trial fine-tune", "trial training", "the trial"),
    "fine-tuning": ("fine-tuning", "fine-tune"),
    "guardrail": ("guardrail", "limit"),
    "confidence interval": ("confidence interval", "95% interval"),
    "latency": ("latency", "answer time"),
    "freeze": ("freeze", "freezes", "frozen", "freezing"),
    "skip": ("skip", "skipped", "skipping"),
    "prune": ("prune", "pruned", "pruning"),
    "quantise": ("quantise", "quantised"),
    "pilot": ("pilot", "piloted"),
    "staged rollout": ("staged rollout", "rollout", "stage"),
    "roll back": ("roll back", "roll-back", "rolled back"),
    "payback period": ("payback", "pays back", "pay back"),
    "net present value (NPV)": ("net present value", "NPV"),
    "internal rate of return (IRR)": ("internal rate of return", "IRR"),
    "cash saving": ("cash saving", "cash"),
    "avoided purchase": ("avoided purchase", "purchases avoided", "purchase avoided", "avoided"),
    "freed capacity": ("freed capacity", "capacity"),
    "verification": ("verification", "verify", "verified"),
}
_JAPANESE_FORMS: dict[str, tuple[str, ...]] = {
    "trial fine-tune": ("試行学習",),
    "guardrail": ("許容基準", "基準"),
    "confidence interval": ("信頼区間", "95%信頼"),
    "latency": ("応答時間",),
    "staged rollout": ("段階導入", "段階"),
    "prune": ("剪定",),
    "payback period": ("回収期間", "回収"),
    "cash saving": ("現金削減",),
    "avoided purchase": ("投資回避",),
    "freed capacity": ("余力",),
    "break-even volume": ("損益分岐",),
    "plan": ("プラン",),
    "pilot": ("パイロット", "試行運用", "試行済み"),
}


def terms_in(text: str, language: Language) -> tuple[Entry, ...]:
    """The terms for people who decide that occur in a text, in the glossary's order, with their sentences.

    >>> [entry.term for entry in terms_in("Payback after the roll-back", "en")]
    ['roll back', 'payback period']
    """
    t = translator(language)
    return tuple(Entry(t(term), t(TERMS[term])) for term in MANAGER_TERMS if _pattern(term, language).search(text))


@cache
def _pattern(term: str, language: Language) -> re.Pattern[str]:
    if language == "ja":
        forms = _JAPANESE_FORMS.get(term) or _without_reading(translator("ja")(term))
        return re.compile("|".join(re.escape(form) for form in forms))
    forms = _FORMS.get(term, (term,))
    return re.compile("|".join(rf"(?<![\w-]){re.escape(form)}(?:s|es)?(?!\w)" for form in forms), re.IGNORECASE)


def _without_reading(said: str) -> tuple[str, ...]:
    """A Japanese term and the reading in its brackets: 層（レイヤー） occurs as 層 or as レイヤー."""
    outer, _, inner = said.removesuffix("）").partition("（")
    return tuple(form for form in (outer, inner if inner.isascii() or len(inner) > 3 else "") if form)
