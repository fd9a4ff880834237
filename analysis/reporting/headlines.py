"""The first sentence of each page: the finding with its figure and its certainty, and what it says when the news is bad."""

from __future__ import annotations

from analysis.contracts import Freeze, Message, Plan, Profile, Unit, WorkloadPreview, influence

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
        return Message(id="none of its {N} layers turns the tokens by less than {x}%", values={"N": total, "x": _percent(threshold)})
    return Message(
        id="{n} of its {N} layers turn the tokens by less than {x}%", values={"n": n_small, "N": total, "x": _percent(threshold)}
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
    values = {"n": len(small), "N": len(known), "x": _percent(threshold)}
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
    """What the plan takes out and saves; what it does to quality is never guessed."""
    if plan.projection is None:
        return Message(id="{what}: what this saves has not been worked out.", values={"what": what_goes(plan)})
    saved = plan.projection.prefill_flops_per_token.saved_share
    values = {"what": what_goes(plan), "c": _percent(saved)}
    if saved < 0.0005:
        return Message(
            id="{what} saves no computation when the model runs. Quality is not known until the plan has been run.", values=values
        )
    warned = sum(reason.warning is not None for reason in plan.provenance.reasons)
    if warned:
        return Message(
            id="{what} saves {c}% of compute; warnings: {k}, see why below. Quality is not known until the plan has been run.",
            values={**values, "k": warned},
        )
    return Message(id="{what} saves {c}% of compute. Quality is not known until the plan has been run.", values=values)


def what_goes(plan: Plan) -> Message:
    """The start of a sentence: what the plan's first operation does to which layers."""
    operation = plan.operations[0]
    if isinstance(operation, Freeze):
        return Message(id="Freezing layers 0 to {eof}", values={"eof": operation.eof_layer})
    return Message(id=_WHAT[operation.op, operation.unit], values={"list": runs_of(operation.blocks)})


_WHAT = {
    ("prune", "block"): "Removing layers {list}",
    ("prune", "attention"): "Removing the attention of layers {list}",
    ("prune", "mlp"): "Removing the MLP of layers {list}",
    ("skip", "block"): "Skipping layers {list}",
    ("skip", "attention"): "Skipping the attention of layers {list}",
    ("skip", "mlp"): "Skipping the MLP of layers {list}",
}


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


def _percent(share: float) -> str:
    """A share as a percent figure: whole from 10 on, one decimal below, none where it is whole."""
    percent = 100 * share
    return f"{percent:.0f}" if abs(percent) >= 9.95 or abs(percent - round(percent)) < 0.05 else f"{percent:.1f}"
