"""A plan carried out in place, and taken back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

from analysis.contracts import Operation, Plan, Prune, Skip
from analysis.contracts.search import UnitRef, ordered
from analysis.errors import PlanError
from analysis.models.stack import LoadedModel
from analysis.planning.check import check_plan
from analysis.surgery.skip import left_out


@contextmanager
def apply_plan(loaded: LoadedModel, plan: Plan) -> Iterator[LoadedModel]:
    """Inside, the model runs as the plan says; afterwards it is what it was, bit for bit, also after an exception.

    Skips and prunes are both run by leaving the units out: a pruned model gives the same numbers. Freezes change only
    what is trained, so they change nothing here.

    Raises:
        PlanError: the plan is for another model, another version or another stack of it, or for units that cannot be
            left out; the sentence says which.
    """
    problems = check_plan(plan, loaded.info)
    if problems:
        raise PlanError.from_message(problems[0])
    stacks = dict.fromkeys(operation.stack or plan.model.stack for operation in plan.operations)
    with ExitStack() as cleanup:
        for name in stacks:
            cleanup.enter_context(left_out(loaded.stack(name), removed_units(plan, name)))
        yield loaded


def removed_units(plan: Plan | Iterable[Operation], stack: str | None = None) -> tuple[UnitRef, ...]:
    """The units that prunes and skips take out, in the one order in which sets of units are written.

    Args:
        plan: a plan, or operations alone.
        stack: only those of this stack; None: of all.
    """
    operations, default = (plan.operations, plan.model.stack) if isinstance(plan, Plan) else (tuple(plan), None)
    removals = (operation for operation in operations if isinstance(operation, Prune | Skip))
    mine = (removal for removal in removals if stack in (None, removal.stack or default or stack))
    return ordered(tuple((removal.unit, block) for removal in mine for block in removal.blocks))
