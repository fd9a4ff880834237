"""How much of what a cut costs a short training wins back, beside the uncut model with the same training.

    python tests/benchmarks/bench_heal.py --device cuda --removed 14,3,13,26,10,20 --data text.txt --method lora --steps 300
    python tests/benchmarks/bench_heal.py --device cuda --removed 14,3,13,26,10,20 --method full --compare distillation,next_token

Plain text (.txt) is joined into pieces of about one window unless --lines is given, and is not put into a chat template; any other
workload file is read as it is, and without --data the sample workload is. Half of it trains and selects, the other half reports. Wanted
on an H200 with six layers of the sample model out: recovered against the control >= 60 % within 10 minutes. Needs only torch,
transformers, peft and the engine.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from analysis.contracts import Estimate, ModelInfo, ModelRef, ModelSource, Plan, Progress, Provenance, Skip
from analysis.contracts.healing import HealArm, Healing, HealSettings
from analysis.contracts.plan import HealRequest
from analysis.models.load import describe_model
from analysis.training.heal import run_heal

CHARACTERS_PER_TOKEN = 4.5


def main() -> None:
    """Parses the arguments, heals, prints a table."""
    options = _options()
    started = time.monotonic()
    source = ModelSource(kind="sample") if options.model == "sample" else ModelSource(kind="folder", location=options.model)
    info = describe_model(source).info
    request = HealRequest(
        model=source,
        plan=_plan(info, source, options.removed),
        workload_paths=() if options.data is None else (options.data,),
        joined_characters=round(options.tokens * CHARACTERS_PER_TOKEN) if _plain(options) and not options.lines else None,
        settings=_settings(options),
        save_folder=options.save,
    )
    healing = run_heal(request, on_progress=_show)
    print(file=sys.stderr)
    if options.out:
        Path(options.out).write_text(healing.model_dump_json(indent=1), encoding="utf-8")
    _report(healing, time.monotonic() - started)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = HealSettings()
    parser.add_argument("--model", default="sample", help="sample, or a folder")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--removed", type=_numbers, default=[14, 3, 13, 26, 10, 20], help="layers that are out, counted from 0")
    parser.add_argument("--data", default=None, help="plain text or a workload file; none: the sample workload")
    parser.add_argument("--lines", action="store_true", help="plain text: every line is a prompt of its own")
    parser.add_argument("--chat", action="store_true", help="plain text: put it into the model's chat template")
    parser.add_argument("--method", choices=("lora", "full"), default=default.method)
    parser.add_argument("--objective", choices=("both", "distillation", "next_token"), default=default.objective)
    parser.add_argument("--compare", type=_words, default=[], help="further objectives, such as distillation,next_token")
    parser.add_argument("--weight", type=float, default=default.distillation_weight, help="of the distillation, where both are asked for")
    parser.add_argument("--hidden", type=float, default=default.hidden_weight)
    parser.add_argument("--temperature", type=float, default=default.temperature)
    parser.add_argument("--steps", type=int, default=default.steps)
    parser.add_argument("--batch", type=int, default=default.batch_size)
    parser.add_argument("--micro-batch", type=int, default=None)
    parser.add_argument("--tokens", type=int, default=default.max_tokens)
    parser.add_argument("--rates", type=_rates, default=[], help="learning rates; none: the method's own")
    parser.add_argument("--rank", type=int, default=default.lora_rank)
    parser.add_argument("--alpha", type=int, default=default.lora_alpha)
    parser.add_argument("--evaluate-every", type=int, default=default.evaluate_every)
    parser.add_argument("--patience", type=int, default=default.patience)
    parser.add_argument("--selection-share", type=float, default=default.selection_share)
    parser.add_argument("--no-control", action="store_true")
    parser.add_argument("--minutes", type=float, default=8.0, help="of training over all arms")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", default=None, help="a new folder for the healed model")
    parser.add_argument("--out", default=None, help="a file for the whole result")
    return parser.parse_args()


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part]


def _words(text: str) -> list[str]:
    return [part for part in text.split(",") if part]


def _rates(text: str) -> list[float]:
    return [float(part) for part in text.split(",") if part]


def _plan(info: ModelInfo, source: ModelSource, removed: Sequence[int]) -> Plan:
    stack = info.stacks[0]
    reference = ModelRef(
        name=info.name, source=source, commit=info.commit, architecture=info.architecture, n_blocks=stack.n_blocks, stack=stack.name
    )
    provenance = Provenance(criterion="by hand", amount=f"{len(removed)} layers")
    return Plan(name="bench", model=reference, operations=(Skip(blocks=tuple(sorted(removed))),), provenance=provenance)


def _plain(options: argparse.Namespace) -> bool:
    return options.data is not None and Path(options.data).suffix == ".txt"


def _settings(options: argparse.Namespace) -> HealSettings:
    return HealSettings(
        device=options.device,
        dtype=options.dtype,
        max_tokens=options.tokens,
        chat_template=options.chat or not _plain(options),
        method=options.method,
        objective=options.objective,
        compare=tuple(options.compare),
        distillation_weight=options.weight,
        hidden_weight=options.hidden,
        temperature=options.temperature,
        steps=options.steps,
        batch_size=options.batch,
        micro_batch=options.micro_batch,
        learning_rates=tuple(options.rates),
        lora_rank=options.rank,
        lora_alpha=options.alpha,
        selection_share=options.selection_share,
        evaluate_every=options.evaluate_every,
        patience=options.patience,
        control=not options.no_control,
        max_minutes=options.minutes,
        seed=options.seed,
    )


def _show(progress: Progress) -> None:
    stage = progress.stage.in_english()
    print(f"\r{stage[:90]:90} {progress.fraction:4.0%}", end="", file=sys.stderr, flush=True)


def _report(healing: Healing, seconds: float) -> None:
    settings, machine = healing.settings, healing.machine
    print(f"{healing.model_name} on {machine.device_name} in {machine.dtype}, {settings.method}, {settings.objective}")
    print(
        f"out: {', '.join(str(block) for _, block in healing.removed)}; texts: {healing.n_train} train ({healing.counts.n_tokens} tokens), "
    )
    print(f"  {healing.n_selection} select, {healing.n_report} report ({healing.verification_counts.n_tokens} tokens)\n")
    print(f"{'':14}{'loss, nats per token':28}{'perplexity':>11}")
    print(f"{'base':14}{_interval(healing.base_loss):28}{_perplexity(healing.base_loss):>11}")
    print(f"{'cut':14}{_interval(healing.cut_loss):28}{_perplexity(healing.cut_loss):>11}")
    arms = [arm for arm in (healing.healed, healing.control, *healing.others) if arm is not None]
    for arm in arms:
        print(f"{arm.name:14}{_interval(arm.loss_after):28}{_perplexity(arm.loss_after):>11}")
    print(f"\nrecovered                 {_interval(healing.recovered)}")
    if healing.recovered_against_control is not None:
        print(f"recovered against control {_interval(healing.recovered_against_control)}")
    for arm in healing.others:
        print(f"recovered by {arm.name:13}{_recovered(healing, arm)}")
    print(
        f"\n{'arm':14}{'rate':>9}{'best step':>10}{'steps':>7}{'stop':>9}{'seconds':>9}{'all':>8}{'teacher':>9}{'GiB':>7}{'Wh':>8}  tried"
    )
    for arm in arms:
        print(_row(arm))
    if healing.folder:
        print(f"\nwritten to {healing.folder}; reloaded, its scores differ by at most {healing.reload_difference:.3g}")
    for note in (*healing.notes, *(note for arm in arms for note in arm.notes)):
        print(f"- {note.in_english()}")
    print(f"\n{seconds:.0f} seconds in all, with loading; wanted: at least 60 % against the control within 600 seconds")


def _row(arm: HealArm) -> str:
    memory = "" if arm.peak_memory_bytes is None else f"{arm.peak_memory_bytes / 2**30:.2f}"
    energy = "" if arm.energy_wh is None else f"{arm.energy_wh:.2f}"
    teacher = "" if arm.teacher_seconds is None else f"{arm.teacher_seconds:.1f}"
    tried = ", ".join(f"{rate}: {'diverged' if loss is None else f'{loss:.4f}'}" for rate, loss in arm.tried.items())
    cells = f"{arm.name:14}{arm.learning_rate:>9g}{arm.best_step:>10}{arm.points[-1].step:>7}{arm.stop:>9}"
    return f"{cells}{arm.seconds:>9.1f}{arm.all_seconds:>8.1f}{teacher:>9}{memory:>7}{energy:>8}  {tried}"


def _interval(found: Estimate) -> str:
    if found.value is None:
        return "undefined"
    return f"{found.value:.4f}" if found.low is None else f"{found.value:.4f} ({found.low:.4f} to {found.high:.4f})"


def _perplexity(found: Estimate) -> str:
    return "" if found.value is None else f"{torch.tensor(found.value).exp().item():.2f}"


def _recovered(healing: Healing, arm: HealArm) -> str:
    losses = (healing.cut_loss.value, healing.base_loss.value, arm.loss_after.value)
    if healing.recovered.value is None or any(value is None for value in losses):
        return "undefined"
    cut, base, healed = (float(value or 0.0) for value in losses)
    return f"{(cut - healed) / (cut - base):.4f}"


if __name__ == "__main__":
    main()
