"""What an export will do: which blocks of which stack stay, which halves become zero, and whether that can be written at all."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass

from analysis.contracts import Freeze, Message, ModelInfo, Plan, Prune, Skip, StackInfo
from analysis.contracts.search import UnitRef, ordered
from analysis.errors import PlanError
from analysis.models.stack import LoadedModel
from analysis.planning.check import check_plan
from analysis.surgery.skip import left_out


@dataclass(frozen=True)
class StackCut:
    """What happens to one stack: blocks that stay, and halves of those that are to add nothing."""

    info: StackInfo
    keep: tuple[int, ...]
    halves: tuple[UnitRef, ...]

    @property
    def removed(self) -> tuple[UnitRef, ...]:
        """The same as units to leave out."""
        gone = [("block", block.index) for block in self.info.blocks if block.index not in self.keep]
        return ordered((*gone, *self.halves))  # type: ignore[arg-type]  # the literals are units

    @property
    def is_cut(self) -> bool:
        """Whether whole blocks go."""
        return len(self.keep) < self.info.n_blocks


def cuts_of(plan: Plan, info: ModelInfo, *, zeroed: bool) -> tuple[StackCut, ...]:
    """What the plan does to each stack it touches.

    Raises:
        PlanError: the plan does not fit the model, removes nothing, or removes halves, which no stock class can express.
    """
    for problem in check_plan(plan, info):
        raise PlanError(problem.id, **problem.values)
    cuts = tuple(cut for stack in info.stacks if (cut := _cut(plan, stack)).removed)
    if not cuts:
        raise PlanError("The plan removes no layer, attention or MLP, so there is nothing to export. Choose a plan that skips or prunes.")
    if not zeroed and any(cut.halves for cut in cuts):
        raise PlanError(
            "A Hugging Face folder cannot hold layers without their attention or MLP: the model's class always builds both. Skip them at "
            "run time (python -m analysis run-plan, or the Python snippet), or export with zeroed output projections (--zeroed), which "
            "gives the same answers as the plan but no speed."
        )
    return cuts


def all_left_out(loaded: LoadedModel, cuts: Sequence[StackCut]) -> AbstractContextManager[object]:
    """The plan run in place, in every stack it touches."""
    stack = ExitStack()
    try:
        for cut in cuts:
            stack.enter_context(left_out(loaded.stack(cut.info.name), cut.removed))
    except BaseException:
        stack.close()
        raise
    return stack


def notes_of(plan: Plan, cuts: Sequence[StackCut]) -> list[Message]:
    """What the export's reader has to know about the plan."""
    notes = []
    if any(isinstance(operation, Skip) and operation.unit == "block" for operation in plan.operations):
        notes.append(
            Message(id="The plan skips layers at run time. In the exported folder they are gone for good; the answers are the same.")
        )
    if any(isinstance(operation, Freeze) for operation in plan.operations):
        notes.append(Message(id="The plan also freezes layers. That concerns training and is not part of the exported model."))
    attentions = tuple(block for cut in cuts for unit, block in cut.halves if unit == "attention")
    mlps = tuple(block for cut in cuts for unit, block in cut.halves if unit == "mlp")
    if attentions:
        notes.append(
            Message(
                id=(
                    "The output projections of the attention in layers {layers} were set to zero. The model answers exactly as the plan "
                    "does, and is not faster: what they multiply is still computed."
                ),
                values={"layers": attentions},
            )
        )
    if mlps:
        notes.append(
            Message(
                id=(
                    "The output projections of the MLP in layers {layers} were set to zero. The model answers exactly as the plan "
                    "does, and is not faster: what they multiply is still computed."
                ),
                values={"layers": mlps},
            )
        )
    return notes


def _cut(plan: Plan, stack: StackInfo) -> StackCut:
    gone: dict[str, set[int]] = {"block": set(), "attention": set(), "mlp": set()}
    for operation in plan.operations:
        if isinstance(operation, Prune | Skip) and (operation.stack or plan.model.stack) == stack.name:
            gone[operation.unit].update(operation.blocks)
    keep = tuple(block.index for block in stack.blocks if block.index not in gone["block"])
    halves: list[UnitRef] = [("attention", block) for block in keep if block in gone["attention"]]
    halves += [("mlp", block) for block in keep if block in gone["mlp"]]
    return StackCut(stack, keep, ordered(tuple(halves)))
