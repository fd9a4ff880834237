"""Tasks of EleutherAI's lm-eval, run on both models in memory. The library is an extra: requirements-eval.txt.

Only tasks that come with the library are run by name: a task file of one's own may hold program code.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis.contracts import Message, Progress, TaskResult
from analysis.errors import Cancelled, InputError, ResourceError
from analysis.models.gguf import first_line
from analysis.profiling.stream import out_of_memory
from analysis.verification.batches import Runner
from analysis.verification.quality import Applied

_LIBRARY = "lm_eval"


def require(tasks: Sequence[str]) -> None:
    """Found out before anything is loaded: whether tasks were asked for that cannot be run.

    Raises:
        InputError: the library is not installed.
    """
    if tasks and importlib.util.find_spec(_LIBRARY) is None:
        raise InputError(
            "The tasks {tasks} need lm-eval, which is not installed here. Install it (pip install -r requirements-eval.txt), or verify "
            "without tasks.",
            tasks=tuple(tasks),
        )


def run_tasks(runner: Runner, tasks: Sequence[str], applied: Applied, *, task_folder: Path | None = None) -> tuple[TaskResult, ...]:
    """Every metric of every task, for the original and for the plan.

    Args:
        runner: the loaded model.
        tasks: names of lm-eval tasks.
        applied: inside it, the plan is carried out.
        task_folder: a folder of trusted task files; with it only those are known.

    Raises:
        InputError: a task is not known, or its data cannot be had.
        ResourceError: memory ran out.
        Cancelled: whoever waits said so.
    """
    if not tasks:
        return ()
    require(tasks)
    evaluator, manager = importlib.import_module("lm_eval.evaluator"), _manager(task_folder)
    unknown = tuple(task for task in tasks if task not in manager.all_tasks)
    if unknown:
        raise InputError("lm-eval has no task named {tasks}. List its tasks with: lm-eval ls tasks.", tasks=unknown)
    model = _in_memory(runner)
    found: list[TaskResult] = []
    for number, task in enumerate(tasks):
        stage = Message(id="Running the lm-eval task {task} on both models", values={"task": task})
        runner.watch.on_progress(Progress(stage=stage, done=number, total=len(tasks)))
        with runner.interruptible():
            original = _evaluated(evaluator, model, task, manager)
            with applied():
                plan = _evaluated(evaluator, model, task, manager)
        found += results_of(original, plan)
    return tuple(found)


def _manager(task_folder: Path | None) -> Any:
    tasks = importlib.import_module("lm_eval.tasks")
    return tasks.TaskManager() if task_folder is None else tasks.TaskManager(include_path=str(task_folder), include_defaults=False)


def _in_memory(runner: Runner) -> Any:
    from transformers import AutoTokenizer

    loaded = runner.loaded
    tokenizer = AutoTokenizer.from_pretrained(str(loaded.tokenizer_folder), local_files_only=True, trust_remote_code=False)
    return importlib.import_module("lm_eval.models.huggingface").HFLM(pretrained=loaded.model, tokenizer=tokenizer, batch_size=1)


def _evaluated(evaluator: Any, model: Any, task: str, manager: Any) -> Mapping[str, Any]:
    try:
        return dict(evaluator.simple_evaluate(model=model, tasks=[task], task_manager=manager, bootstrap_iters=1000, log_samples=False))
    except Cancelled:
        raise
    except Exception as exc:  # a task reads data from the hub and runs its own code: anything may be raised
        if out_of_memory(exc):
            raise ResourceError("The lm-eval task {task} does not fit the memory. Use a device with more memory.", task=task) from exc
        raise InputError(
            "The lm-eval task {task} could not be run ({reason}). Its data comes from the hub: check the connection, or verify without it.",
            task=task,
            reason=first_line(exc),
        ) from exc


def results_of(original: Mapping[str, Any], plan: Mapping[str, Any]) -> Iterator[TaskResult]:
    """One row for each figure; lm-eval names them ``metric,filter`` and their errors ``metric_stderr,filter``."""
    for task, figures in original["results"].items():
        others = plan["results"][task]
        for key, value in figures.items():
            metric, _, kind = key.partition(",")
            if metric.endswith("_stderr") or not isinstance(value, int | float) or not isinstance(others.get(key), int | float) or not kind:
                continue
            error = f"{metric}_stderr,{kind}"
            yield TaskResult(
                task=task,
                metric=metric if kind == "none" else f"{metric} ({kind})",
                original=float(value),
                plan=float(others[key]),
                stderr_original=_number(figures.get(error)),
                stderr_plan=_number(others.get(error)),
                n=_count(original, task),
            )


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _count(results: Mapping[str, Any], task: str) -> int:
    counted = results.get("n-samples", {}).get(task, {})
    return int(counted.get("effective", 0))
