"""Whether a plan fits a model, and a plan in words."""

from __future__ import annotations

from collections.abc import Iterator

from analysis.contracts import Freeze, Message, ModelInfo, Plan, Prune, Skip, StackInfo
from analysis.planning.rank import units_in
from analysis.planning.staged import stage_problems


def check_plan(plan: Plan, info: ModelInfo) -> tuple[Message, ...]:
    """Everything that keeps the plan from being used on this model, in sentences; empty: it fits."""
    problems = list(_identity_problems(plan, info))
    for operation in plan.operations:
        stack = next((stack for stack in info.stacks if stack.name == (operation.stack or plan.model.stack)), None)
        if stack is None:
            problems.append(
                Message(
                    id='The plan is for a stack named "{stack}". This model has: {names}. Make the plan again for this model.',
                    values={"stack": operation.stack or plan.model.stack, "names": [stack.name for stack in info.stacks]},
                )
            )
        elif isinstance(operation, Freeze):
            problems += _freeze_problems(operation, stack)
        else:
            problems += (*_removal_problems(operation, stack), *stage_problems(stack, operation.blocks))
    return (*problems, *_emptied(plan, info))


def plan_in_words(plan: Plan) -> Message:
    """What the plan does, in one line: "28 of 30 layers; removed 13, 14; counted from 0"."""
    operation = plan.operations[0]
    if len(plan.operations) > 1:
        parts = tuple(plan_in_words(plan.model_copy(update={"operations": (one,)})) for one in plan.operations)
        return Message(id="{first}, and {n} more operations", values={"first": parts[0], "n": len(parts) - 1})
    n_blocks = plan.model.n_blocks
    if isinstance(operation, Freeze) and operation.eof_layer < 0:
        return Message(id="All {n_blocks} layers train; none is frozen", values={"n_blocks": n_blocks})
    if isinstance(operation, Freeze):
        return Message(
            id="{n} of {n_blocks} layers frozen (0 to {eof}); counted from 0",
            values={"n": operation.eof_layer + 1, "n_blocks": n_blocks, "eof": operation.eof_layer},
        )
    left = n_blocks - len(operation.blocks)
    return Message(id=_SENTENCES[operation.op, operation.unit], values={"left": left, "n_blocks": n_blocks, "blocks": operation.blocks})


_SENTENCES = {
    ("prune", "block"): "{left} of {n_blocks} layers; removed {blocks}; counted from 0",
    ("skip", "block"): "{left} of {n_blocks} layers run; skipped {blocks}; counted from 0",
    ("prune", "attention"): "Attention in {left} of {n_blocks} layers; removed from {blocks}; counted from 0",
    ("skip", "attention"): "Attention runs in {left} of {n_blocks} layers; skipped in {blocks}; counted from 0",
    ("prune", "mlp"): "MLP in {left} of {n_blocks} layers; removed from {blocks}; counted from 0",
    ("skip", "mlp"): "MLP runs in {left} of {n_blocks} layers; skipped in {blocks}; counted from 0",
}


def _identity_problems(plan: Plan, info: ModelInfo) -> Iterator[Message]:
    n_blocks = info.stack(plan.model.stack).n_blocks
    if n_blocks != plan.model.n_blocks:
        yield Message(
            id="The plan is for {planned} layers and this model has {n_blocks}. Make the plan again for this model.",
            values={"planned": plan.model.n_blocks, "n_blocks": n_blocks},
        )
    if plan.model.commit == info.commit:
        return
    if plan.model.name != info.name:
        yield Message(
            id="The plan is for the model {planned}, not for {given}. Open that model, or make the plan again for this one.",
            values={"planned": plan.model.name, "given": info.name},
        )
    else:
        yield Message(
            id="The plan was made for version {planned} of {name}; this is {given}. Profile this version and make the plan again.",
            values={"name": info.name, "planned": plan.model.commit[:12], "given": info.commit[:12]},
        )


def _removal_problems(operation: Prune | Skip, stack: StackInfo) -> Iterator[Message]:
    have = set(units_in(stack, operation.unit))
    for block in operation.blocks:
        if block >= stack.n_blocks:
            yield Message(
                id="Layer {block} is not in this model: it has {n_blocks} layers (0 to {last}). Make the plan again for this model.",
                values={"block": block, "n_blocks": stack.n_blocks, "last": stack.n_blocks - 1},
            )
        elif block not in have:
            yield Message(
                id="Layer {block} of this model has no separate {unit} that could be removed. Make the plan again with whole layers.",
                values={"block": block, "unit": {"attention": "attention", "mlp": "MLP"}.get(operation.unit, operation.unit)},
            )


def _freeze_problems(operation: Freeze, stack: StackInfo) -> Iterator[Message]:
    if not -1 <= operation.eof_layer <= stack.n_blocks - 2:
        yield Message(
            id="The last frozen layer is given as {eof}. In a model of {n_blocks} layers it is -1 (none) to {last}: "
            "at least one layer must train.",
            values={"eof": operation.eof_layer, "n_blocks": stack.n_blocks, "last": stack.n_blocks - 2},
        )


def _emptied(plan: Plan, info: ModelInfo) -> Iterator[Message]:
    for stack in info.stacks:
        gone: dict[str, set[int]] = {"block": set(), "attention": set(), "mlp": set()}
        for operation in plan.operations:
            if isinstance(operation, Prune | Skip) and (operation.stack or plan.model.stack) == stack.name:
                gone[operation.unit].update(operation.blocks)
        if set(range(stack.n_blocks)) <= gone["block"] | (gone["attention"] & gone["mlp"]):
            yield Message(
                id="The plan takes out all {n_blocks} layers. At least one has to stay: make the plan again with less.",
                values={"n_blocks": stack.n_blocks},
            )
