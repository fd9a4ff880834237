"""The trial at several boundaries side by side: what freezing keeps, what it costs, and which rule would have chosen well.

    python tests/benchmarks/bench_sweep.py --data questions.jsonl --map prompt=question --map response=answer \
        --boundaries 4,9,14,19,24,27 --epochs 3 --batch 16 --tokens 512 --lr 1e-5 3e-5 1e-4 --lora-lr 1e-4 3e-4 1e-3 --out trial.json

Semantic traces of the calibration half, then every boundary, full fine-tuning and LoRA, each with its own tuned learning rate at
the same number of tokens, judged on the verification half. Without --data the sample workload. Needs only torch, transformers,
peft and the engine.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from analysis.contracts import (
    ModelSource,
    Plan,
    ProfileSettings,
    Progress,
    SemanticRequest,
    Semantics,
    SemanticSettings,
    Trial,
    TrialArm,
    TrialRequest,
    TrialSettings,
)
from analysis.models.load import describe_model, load_model
from analysis.planning.freeze import propose_freeze
from analysis.planning.propose import workload_ref
from analysis.training.trial import run_trial
from analysis.workload import requested_workload


def main() -> None:
    """Parses the arguments, measures, trains, prints."""
    options = _options()
    source = ModelSource(kind="sample") if options.model == "sample" else ModelSource(kind="folder", location=options.model)
    semantics = None if options.no_semantics else _semantics(options, source)
    plan = _plan(options, source, semantics)
    settings = TrialSettings(
        device=options.device,
        dtype=options.dtype,
        max_tokens=options.tokens,
        chat_template=not options.no_chat_template,
        epochs=options.epochs,
        batch_size=options.batch,
        micro_batch=options.micro_batch,
        learning_rates=tuple(options.lr),
        lora_learning_rates=tuple(options.lora_lr),
        tuning_share=options.tuning_share,
        lora_rank=options.rank,
        lora_alpha=2 * options.rank,
        compare=tuple(options.compare),
        boundaries=() if options.release else tuple(options.boundaries),
        release=options.release,
        release_step=options.release_step,
        max_minutes=options.max_minutes,
        cache=options.cache,
        points=options.points,
        seed=options.seed,
    )
    request = TrialRequest(model=source, workload_paths=tuple(options.data), mapping=_mapping(options), plan=plan, settings=settings)
    started = time.perf_counter()
    trial = run_trial(request, load=load_model, on_progress=_show, semantics=semantics)
    if options.out is not None:
        options.out.write_text(trial.model_dump_json(indent=1), encoding="utf-8")
    if options.semantics_out is not None and semantics is not None:
        options.semantics_out.write_text(semantics.model_dump_json(), encoding="utf-8")
    report(trial, semantics, time.perf_counter() - started)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="sample", help="sample, or a folder")
    parser.add_argument("--data", nargs="*", default=[], help="workload files; none: the sample workload")
    parser.add_argument("--map", action="append", default=[], metavar="FIELD=COLUMN")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--boundaries", type=_numbers, default=[4, 9, 14, 19, 24, 27], help="last frozen layers, such as 9,19,24")
    parser.add_argument("--eof", type=int, default=None, help="the plan's own boundary; none: by the default rule, else the middle one")
    parser.add_argument("--release", action="store_true", help="free layers from the output side inward instead of a sweep")
    parser.add_argument("--release-step", type=int, default=None)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--micro-batch", type=int, default=None)
    parser.add_argument("--tokens", type=int, default=512, help="longest example")
    parser.add_argument("--lr", type=float, nargs="+", default=[1e-5, 3e-5, 1e-4])
    parser.add_argument("--lora-lr", type=float, nargs="+", default=[1e-4, 3e-4, 1e-3])
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--tuning-share", type=float, default=0.2)
    parser.add_argument("--compare", nargs="*", default=["full", "lora"], choices=("full", "lora", "lora_freeze"))
    parser.add_argument("--cache", default="auto", choices=("auto", "off", "memory", "disk"))
    parser.add_argument("--points", type=int, default=6)
    parser.add_argument("--max-minutes", type=float, default=None)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-chat-template", action="store_true")
    parser.add_argument("--no-semantics", action="store_true", help="train only; rules that read traces are not asked")
    parser.add_argument("--out", type=Path, default=None, help="the trial as JSON")
    parser.add_argument("--semantics-out", type=Path, default=None, help="the traces as JSON")
    return parser.parse_args()


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part]


def _mapping(options: argparse.Namespace) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in options.map)


def _semantics(options: argparse.Namespace, source: ModelSource) -> Semantics:
    from analysis.semantics.run import run_semantics

    request = SemanticRequest(
        model=source,
        workload_paths=tuple(options.data),
        mapping=_mapping(options),
        settings=ProfileSettings(
            device=options.device, dtype=options.dtype, max_tokens=options.tokens, chat_template=not options.no_chat_template
        ),
        semantics=SemanticSettings(),
    )
    _, semantics = run_semantics(request, on_progress=_show)
    return semantics


def _plan(options: argparse.Namespace, source: ModelSource, semantics: Semantics | None) -> Plan:
    """The default rule's boundary where there are traces, else what was given or the middle of those given."""
    info = describe_model(source).info
    eof = options.eof
    if eof is None and semantics is None:
        eof = sorted(options.boundaries)[len(options.boundaries) // 2]
    workload = requested_workload(
        TrialRequest(
            model=source,
            workload_paths=tuple(options.data),
            mapping=_mapping(options),
            plan=propose_freeze(info, eof_layer=0),
        )
    )
    return propose_freeze(info, semantics=semantics, workload=workload_ref(workload.info), eof_layer=eof, epochs=options.epochs)


def _show(progress: Progress) -> None:
    left = "" if progress.eta_seconds is None else f", {progress.eta_seconds:.0f} s left"
    print(f"{progress.fraction:6.1%} {progress.stage.in_english()}{left}", file=sys.stderr, flush=True)


# -- the report --------------------------------------------------------------------------------------------------------


def report(trial: Trial, semantics: Semantics | None, seconds: float) -> None:
    """Everything a note needs, the tables last."""
    machine, shape, settings = trial.machine, trial.shape, trial.settings
    print(f"\n{trial.model_name}, {machine.device_name}, torch {torch.__version__}, computed in {machine.dtype}, trained in float32;")
    print(
        f"{settings.epochs} epochs, batch {settings.batch_size}, padded length {shape.sequence_tokens} (at most {settings.max_tokens}),"
        f" {shape.response_tokens} response tokens each;"
    )
    print(
        f"{trial.n_training} examples trained on ({trial.counts.n_tokens} tokens), {trial.n_tuning} to choose by, "
        f"{trial.verification_counts.n_examples} judge; seed {settings.seed}; {seconds:.0f} s in all"
    )
    if semantics is not None:
        best = "; ".join(f"{one.curve} {one.right:.1%}" for one in semantics.fidelity)
        print(f"traces: default curve {semantics.default_curve}; right token named by: {best}; extra share {semantics.extra_share}")
    for note in trial.notes:
        print("note:", note.in_english())
    for arm in trial.arms:
        for note in arm.notes:
            print(f"note, {arm.name}:", note.in_english())
    _arms(trial.arms)
    _tried(trial.arms)
    _front(trial)
    _choices(trial)
    _errors(trial)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    print("\n| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
    for row in rows:
        print("| " + " | ".join(row) + " |")


def _arms(arms: Sequence[TrialArm]) -> None:
    heads = ["arm", "rate", "trains", "tokens", "seconds", "step ms first / later", "peak GiB", "cache", "loss before", "after"]
    heads += ["reduction", "of full's", "95 %", "at equal cost", "tuning reduction", "identical", "no gradient", "stop"]
    _table(heads, [_arm(arm) for arm in arms])


def _arm(arm: TrialArm) -> list[str]:
    cost, kept = arm.cost, arm.kept_at_tokens
    later = "" if cost.later_epochs_ms is None else f" / {cost.later_epochs_ms.p50:.2f}"
    last = arm.points[-1]
    return [
        arm.name,
        f"{arm.learning_rate:g}",
        f"{arm.n_trainable / 1e6:.1f} M",
        str(last.tokens),
        f"{last.seconds:.2f}",
        f"{cost.first_epoch_ms.p50:.2f}{later}",
        "" if cost.peak_memory_bytes is None else f"{cost.peak_memory_bytes / 2**30:.2f}",
        cost.cache,
        _number(arm.loss_before.value),
        _number(arm.loss_after.value),
        _number(arm.reduction.value),
        "" if kept is None or kept.value is None else f"{kept.value:.1%}",
        "" if kept is None or kept.low is None or kept.high is None else f"{kept.low:.1%} to {kept.high:.1%}",
        "" if arm.kept_at_cost is None else f"{arm.kept_at_cost:.1%}",
        "" if arm.tuning_reduction is None else _number(arm.tuning_reduction.value),
        str(arm.frozen_identical),
        str(arm.gradient_free),
        arm.stop,
    ]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _tried(arms: Sequence[TrialArm]) -> None:
    print("\nLoss on the tuning part by learning rate:")
    for arm in arms:
        losses = ", ".join(f"{rate}: {'diverged' if loss is None else f'{loss:.4f}'}" for rate, loss in arm.tried.items())
        print(f"  {arm.name:12} {losses or 'one rate only'}")


def _front(trial: Trial) -> None:
    if not trial.front:
        return
    rows = [[p.arm, f"{p.seconds:.2f}", f"{p.loss:.4f}", "yes" if p.on_front else "", ", ".join(p.chosen_by)] for p in trial.front]
    _table(["front: arm", "seconds", "verification loss", "on the front", "chosen by"], rows)
    if trial.released:
        print(f"\nreleased: {', '.join(trial.released)}; recommended boundary: {trial.recommended}")


def _choices(trial: Trial) -> None:
    """Every rule's choice and what the nearest boundary that was tried kept."""
    tried = {-1 if arm.kind == "full" else arm.eof_layer: arm for arm in trial.arms if arm.kind in ("freeze", "full")}
    rows = []
    for choice in trial.choices:
        if choice.eof_layer is None:
            rows.append([choice.strategy, "", "", "", "", "", choice.reason.in_english()])
            continue
        wanted = choice.eof_layer
        nearest = min(tried, key=lambda eof: (abs(eof - wanted), -eof))
        arm = tried[nearest]
        kept = 1.0 if arm.kind == "full" else None if arm.kept_at_tokens is None else arm.kept_at_tokens.value
        agreement = "" if choice.agreement is None else f"{choice.agreement:.0%} ({choice.low} to {choice.high})"
        cells = [choice.strategy, str(wanted), agreement, arm.name, "" if kept is None else f"{kept:.1%}", f"{arm.points[-1].seconds:.2f}"]
        rows.append([*cells, choice.reason.in_english()])
    _table(["rule", "last frozen", "agreement", "nearest arm", "kept", "seconds", "why"], rows)


def _errors(trial: Trial) -> None:
    rows = [[e.quantity, f"{e.projected:.6g}", f"{e.measured:.6g}", f"{e.error_share:+.1%}"] for e in trial.projection_errors]
    _table([f"{trial.own.name if trial.own else 'plan'}: projected", "projected", "measured", "error"], rows)
    if trial.steps is not None:
        fit = trial.steps.model_dump(include={"fixed_ms", "frozen_block_ms", "trained_block_ms", "cached_ms"})
        print(f"\nsteps fitted: {json.dumps(fit)}")
        print(f"largest error on a boundary that was not fitted: {trial.steps.error_share}")


if __name__ == "__main__":
    main()
