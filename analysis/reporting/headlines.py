"""The first sentence of each page: the finding with its figure and its certainty, and what it says when the news is bad."""

from __future__ import annotations

from collections.abc import Callable

from analysis.contracts import (
    Freeze,
    GuardrailResult,
    Message,
    Plan,
    Profile,
    ProjectedQuality,
    Prune,
    Skip,
    Unit,
    Verdict,
    Verification,
    WorkloadPreview,
    influence,
)
from analysis.i18n import N_
from analysis.reporting.figures import percent_figure
from analysis.reporting.headlines_business import briefing as briefing
from analysis.reporting.headlines_business import roi as roi
from analysis.reporting.headlines_business import roi_buckets as roi_buckets
from analysis.reporting.headlines_business import stages as stages
from analysis.reporting.headlines_training import freeze as freeze
from analysis.reporting.headlines_training import freeze_no_trial as freeze_no_trial
from analysis.reporting.headlines_training import trials as trials
from analysis.reporting.verification_words import in_limits_unit, item, limit, none_changed, remark, speed

SMALL_CHANGE = 0.05
"""Share below which a layer's change is called small where nobody set another."""

SAMPLE = Message(id="These are the sample's figures, not yours.")


def is_sample(profile: Profile) -> bool:
    """Whether the figures come from the sample model or the sample workload."""
    return profile.workload.is_sample or profile.model.source.kind == "sample"


def overview(profile: Profile, next_step: Message, *, threshold: float = SMALL_CHANGE) -> Message:
    """What the newest run found, and what to do next."""
    return Message(
        id="{model} on {n_prompts} of your prompts: {finding}. Next: {next_step}."
        if not is_sample(profile)
        else "{model} on {n_prompts} sample prompts: {finding}. Next: {next_step}.",
        values={
            "model": profile.model.name,
            "n_prompts": profile.counts.n_examples,
            "finding": finding(profile, threshold),
            "next_step": next_step,
        },
    )


def finding(profile: Profile, threshold: float = SMALL_CHANGE) -> Message:
    """The run's finding without a full stop, to stand inside a sentence."""
    n_small, total = len(small_layers(profile, threshold=threshold)), profile.n_blocks
    if n_small == 0:
        return Message(id="none of its {N} layers turns the tokens by less than {x}%", values={"N": total, "x": percent_figure(threshold)})
    return Message(
        id="{n} of its {N} layers turn the tokens by less than {x}%", values={"n": n_small, "N": total, "x": percent_figure(threshold)}
    )


def next_step(*, has_plan: bool, sample: bool) -> Message:
    """What to do after a run, among the steps that exist."""
    if not has_plan:
        return Message(id="make a plan")
    if sample:
        return Message(id="profile your own model and prompts")
    return Message(id="compare plans and download one")


def workload(preview: WorkloadPreview, *, eta: str | None, device: str) -> Message:
    """What will be run and for how long; `eta` is already in words, None when it is not known."""
    values = {
        "n_prompts": preview.counts.n_examples,
        "n_slices": len(preview.slice_tokens),
        "n_tokens": preview.counts.n_tokens,
        "device": device,
    }
    if preview.counts.n_examples == 0:
        return Message(id="No prompt of this workload can be run: add prompts, or look at the notes below.")
    if eta is None:
        return Message(
            id="{n_prompts} prompts, {n_slices} slices, {n_tokens} tokens on {device}; how long it takes is not known yet.", values=values
        )
    return Message(id="{n_prompts} prompts, {n_slices} slices, {n_tokens} tokens: about {eta} on {device}.", values={**values, "eta": eta})


def similarity(profile: Profile, *, slice_name: str | None = None, unit: Unit = "block", threshold: float = SMALL_CHANGE) -> Message:
    """How many layers change the tokens little, and for how many the interval says so too."""
    scores = profile.slices[slice_name] if slice_name else profile.overall
    known = [score for score in influence(scores, unit) if score is not None]
    small = small_layers(profile, slice_name=slice_name, unit=unit, threshold=threshold)
    values = {"n": len(small), "N": len(known), "x": percent_figure(threshold)}
    if not known:
        return Message(id="No influence is defined here: too few tokens, or no part of this kind. Choose another slice or part.")
    if not small:
        return Message(
            id="None of {N} layers turns this workload's tokens by less than {x}%: no layer looks replaceable by this measure.",
            values=values,
        )
    if scores.intervals is None:
        return Message(
            id="{n} of {N} layers turn this workload's tokens by less than {x}%. "
            "Small change is not yet safe to remove: verification decides.",
            values=values,
        )
    return Message(
        id="{n} of {N} layers turn this workload's tokens by less than {x}%; for {m} of them the 95% interval stays below it too. "
        "Small change is not yet safe to remove: verification decides.",
        values={**values, "m": len(_surely_small(profile, unit, threshold, slice_name))},
    )


def small_layers(
    profile: Profile, *, slice_name: str | None = None, unit: Unit = "block", threshold: float = SMALL_CHANGE
) -> tuple[int, ...]:
    """Layers whose influence is below the threshold on the default tokens, or on one slice."""
    scores = profile.slices[slice_name] if slice_name else profile.overall
    return tuple(block for block, score in enumerate(influence(scores, unit)) if score is not None and score < threshold)


def too_few_prompts(profile: Profile) -> Message | None:
    """Said when more than a tenth of the layers might still enter or leave the least influential fifth; else None."""
    unsettled = unsettled_layers(profile)
    if len(unsettled) < max(2, profile.n_blocks / 10):
        return None
    return Message(
        id="{n_prompts} prompts are enough to see the pattern, not to decide: the ranks of {k} layers may still swap.",
        values={"n_prompts": profile.counts.n_examples, "k": len(unsettled)},
    )


def unsettled_layers(profile: Profile) -> tuple[int, ...]:
    """Layers whose 95 % rank interval crosses the border of the least influential fifth."""
    intervals = profile.overall.intervals
    border = max(1, profile.n_blocks // 5)
    return tuple(block for block, rank in enumerate(intervals.block_rank if intervals else ()) if rank and rank[0] <= border < rank[1])


def plans(plan: Plan) -> Message:
    """What the plan takes out and saves, and what it is projected to do to quality; without a search that is never guessed."""
    if plan.projection is None:
        return Message(id="{what}: what this saves has not been worked out.", values={"what": what_goes(plan)})
    saved = plan.projection.prefill_flops_per_token.saved_share
    values = {"what": what_goes(plan), "c": percent_figure(saved)}
    if saved < 0.0005:
        return Message(
            id="{what} saves no computation when the model runs. Quality is not known until the plan has been run.", values=values
        )
    if plan.projection.quality is not None:
        return _with_quality(plan.projection.quality, values)
    warned = sum(reason.warning is not None for reason in plan.provenance.reasons)
    if warned:
        return Message(
            id="{what} saves {c}% of compute; warnings: {k}, see why below. Quality is not known until the plan has been run.",
            values={**values, "k": warned},
        )
    return Message(id="{what} saves {c}% of compute. Quality is not known until the plan has been run.", values=values)


def no_plan_within(limit_share: float, smallest_share: float) -> Message:
    """Said when even the smallest cut raises perplexity by more than the limit (shares: 0.05 = 5 %)."""
    return Message(
        id="No cut of this kind stays within your limit of {g}%: the smallest costs {p}%. "
        "Freezing for training, or a cut followed by healing, may.",
        values={"g": percent_figure(limit_share), "p": percent_figure(smallest_share)},
    )


def verify(verification: Verification | None) -> Message:
    """The verdict in one sentence a manager understands, with its figures; None: the plan was not run yet."""
    if verification is None:
        return Message(id="Not run yet: what this plan does to quality and speed is not known until it runs beside the original.")
    if verification.verdict == "outside":
        return _outside(verification)
    if verification.verdict == "undecided":
        return _undecided(verification)
    says = {
        "within": Message(id="Within limits: {figures}.", values={"figures": _figures(verification)}),
        None: Message(id="No limit was set: {figures}.", values={"figures": _figures(verification)}),
    }[verification.verdict]
    return _with_critical(says, verification)


def in_short(verification: Verification) -> Message:
    """The finding for a place that has said the verdict already: the limit that decided, else the figures."""
    if verification.verdict in ("outside", "undecided"):
        values = _limit_values(_deciding(verification, verification.verdict))
        return Message(id="{metric} {value}, limit {limit}.", values=values)
    return _with_critical(Message(id="{figures}.", values={"figures": _figures(verification)}), verification)


def _with_critical(says: Message, verification: Verification) -> Message:
    critical = critical_cases(verification)
    return says if critical is None else Message(id="{first} {second}", values={"first": says, "second": critical})


def critical_cases(verification: Verification) -> Message | None:
    """How many answers to critical prompts changed, and what so few cases cannot rule out; None: none were answered."""
    found = verification.critical.flips if verification.critical else None
    if found is None or found.n == 0:
        return None
    if found.changed and not any(result.guardrail.metric == "flips" for result in verification.guardrails):
        return Message(
            id="{f} of {n_critical} critical answers changed; no limit was set on changed answers.",
            values={"f": found.changed, "n_critical": found.n},
        )
    if found.changed:
        return Message(id="{f} of {n_critical} critical answers changed.", values={"f": found.changed, "n_critical": found.n})
    upper = found.upper if found.upper is not None else 1 - 0.05 ** (1 / found.n)
    return Message(
        id="None of {n_critical} critical answers changed. With so many cases a true rate of up to {u}% cannot be ruled out.",
        values={"n_critical": found.n, "u": percent_figure(upper)},
    )


def _outside(verification: Verification) -> Message:
    missed = _deciding(verification, "outside")
    values = _limit_values(missed)
    if missed.worst_slice is None:
        return Message(id="Outside limits: {metric} {value}, limit {limit}.", values=values)
    values["slice"] = missed.worst_slice
    return Message(id="Outside limits: {metric} {value}, limit {limit}; {slice} decided it.", values=values)


def _undecided(verification: Verification) -> Message:
    """Which limit is open, how wide the doubt is, and what would decide it."""
    open_limit = _deciding(verification, "undecided")
    _, low, high = in_limits_unit(open_limit.measured, open_limit.guardrail)
    values = {**_limit_values(open_limit), "low": low, "high": high, "why": remark(open_limit)}
    if low is None or high is None or none_changed(open_limit):
        return Message(id="Not enough data: {metric}, limit {limit}. {why}", values=values)
    return Message(id="Not enough data: {metric} {value} ({low} to {high}), limit {limit}. {why}", values=values)


def _deciding(verification: Verification, verdict: Verdict) -> GuardrailResult:
    """The first limit with the verdict of the whole."""
    return next(result for result in verification.guardrails if result.verdict == verdict)


def _limit_values(result: GuardrailResult) -> dict[str, object]:
    return {
        "metric": item(result.guardrail),
        "value": in_limits_unit(result.measured, result.guardrail)[0],
        "limit": limit(result.guardrail),
    }


def _figures(verification: Verification) -> Message:
    """Quality, and speed where it was measured, to stand inside a sentence."""
    quality, fast = _quality_figure(verification), speed(verification)
    values = {"quality": quality, "device": verification.machine.device_name}
    if fast is None or fast.value is None:
        return quality
    if fast.low is None or fast.high is None:
        return Message(id="{quality}, {v}x as fast on {device}", values={**values, "v": f"{fast.value:.2f}"})
    if fast.low <= 1 <= fast.high:
        return Message(id="{quality}, no measurable difference in speed on {device}", values=values)
    digits = 2 if fast.high - fast.low < 0.5 else 1
    return Message(id="{quality}, {v}x as fast on {device}", values={**values, "v": f"{fast.value:.{digits}f}"})


def _quality_figure(verification: Verification) -> Message:
    scores = verification.quality
    if verification.objective == "state_change":
        alike = scores.similarity.value if scores.similarity else None
        return Message(id="the results are alike to {s} (1 is the same)", values={"s": "-" if alike is None else f"{alike:.3f}"})
    found = scores.perplexity_ratio
    if found.value is None:
        return Message(id="perplexity is not defined here")
    change, low, high = found.value - 1, *(None if end is None else end - 1 for end in (found.low, found.high))
    if low is None or high is None:
        return Message(id="perplexity {p}% higher" if change >= 0 else "perplexity {p}% lower", values={"p": percent_figure(abs(change))})
    write = _writer(high - low)
    if low < 0 < high:
        values = {"p": write(abs(change)), "lo": write(-low), "hi": write(high)}
        return Message(
            id="perplexity {p}% higher (between {lo}% lower and {hi}% higher)"
            if change >= 0
            else "perplexity {p}% lower (between {lo}% lower and {hi}% higher)",
            values=values,
        )
    ends = (low, high) if change >= 0 else (-high, -low)
    values = {"p": write(abs(change)), "lo": write(ends[0]), "hi": write(ends[1])}
    return Message(id="perplexity {p}% higher ({lo} to {hi}%)" if change >= 0 else "perplexity {p}% lower ({lo} to {hi}%)", values=values)


_MANY = 10.0
"""Perplexity ratio from which it is told as a multiple, not as a percentage."""


def _with_quality(quality: ProjectedQuality, values: dict[str, object]) -> Message:
    ratio, (low, high) = quality.perplexity_ratio, quality.perplexity_ratio_interval
    if ratio >= _MANY:
        return Message(
            id="{what} saves {c}% of compute and makes the model unusable: perplexity is projected to be {x} times as high.",
            values={**values, "x": round(ratio)},
        )
    rises, write = ratio >= 1, _writer(high - low)
    ends = (low - 1, high - 1) if rises else (1 - high, 1 - low)
    values |= {"p": write(abs(ratio - 1)), "lo": write(ends[0]), "hi": write(ends[1])}
    if quality.measured:
        return Message(
            id="{what} saves {c}% of compute; on the calibration prompts it raised perplexity by {p}% ({lo} to {hi}). Verification decides."
            if rises
            else "{what} saves {c}% of compute; on the calibration prompts it lowered perplexity by {p}% ({lo} to {hi}). "
            "Verification decides.",
            values=values,
        )
    return Message(
        id="{what} saves {c}% of compute and is projected to raise perplexity by {p}% ({lo} to {hi})."
        if rises
        else "{what} saves {c}% of compute and is projected to lower perplexity by {p}% ({lo} to {hi}).",
        values=values,
    )


def what_goes(plan: Plan) -> Message:
    """The start of a sentence: what the plan does to which layers."""
    removals = [operation for operation in plan.operations if isinstance(operation, Prune | Skip)]
    if not removals:
        frozen = next(operation for operation in plan.operations if isinstance(operation, Freeze))
        return Message(id="Freezing layers 0 to {eof}", values={"eof": frozen.eof_layer})
    first = removals[0]
    if len(removals) == 1:
        return Message(id=_WHAT[first.op, first.unit], values={"list": runs_of(first.blocks)})
    parts = tuple(Message(id=PARTS[removal.unit], values={"list": runs_of(removal.blocks)}) for removal in removals)
    return Message(id="Skipping {parts}" if first.op == "skip" else "Removing {parts}", values={"parts": parts})


_WHAT = {
    ("prune", "block"): "Removing layers {list}",
    ("prune", "attention"): "Removing the attention of layers {list}",
    ("prune", "mlp"): "Removing the MLP of layers {list}",
    ("skip", "block"): "Skipping layers {list}",
    ("skip", "attention"): "Skipping the attention of layers {list}",
    ("skip", "mlp"): "Skipping the MLP of layers {list}",
}
PARTS: dict[Unit, str] = {
    "block": N_("layers {list}"),
    "attention": N_("the attention of layers {list}"),
    "mlp": N_("the MLP of layers {list}"),
}
"""What a plan takes out, to stand inside a sentence."""


def runs_of(blocks: tuple[int, ...]) -> tuple[int | str, ...]:
    """Blocks in short: three or more in a row become one range.

    >>> runs_of((3, 7, 8, 15, 16, 17))
    (3, 7, 8, '15–17')
    """
    short: list[int | str] = []
    run: list[int] = []
    for block in (*blocks, None):
        if run and block == run[-1] + 1:
            run.append(run[-1] + 1)
            continue
        short += [f"{run[0]}–{run[-1]}"] if len(run) > 2 else run
        run = [] if block is None else [block]
    return tuple(short)


def _surely_small(profile: Profile, unit: Unit, threshold: float, slice_name: str | None) -> tuple[int, ...]:
    scores = profile.slices[slice_name] if slice_name else profile.overall
    if scores.intervals is None:
        return ()
    intervals = {
        "block": scores.intervals.block_influence,
        "attention": scores.intervals.attention_influence,
        "mlp": scores.intervals.mlp_influence,
    }[unit]
    small = small_layers(profile, slice_name=slice_name, unit=unit, threshold=threshold)
    return tuple(block for block in small if (interval := intervals[block]) and interval[1] < threshold)


def _writer(width: float) -> Callable[[float], str]:
    """Writes shares as percent figures with the digits that an interval of this width allows."""
    digits = 0 if width >= 0.05 else 1

    def write(share: float) -> str:
        rounded = round(100 * share, digits)
        return f"{abs(rounded):.0f}" if rounded == 0 else f"{rounded:.{digits}f}".removesuffix(".0").replace("-", "−")

    return write
