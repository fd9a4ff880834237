"""The training loop: transformers' Trainer, given whole optimiser steps, timed, asked to stop, and told when memory runs out."""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from analysis.contracts import Message, Progress
from analysis.contracts.trial import TrialPoint
from analysis.errors import Cancelled, ResourceError
from analysis.models.stack import Stack
from analysis.profiling.stream import out_of_memory
from analysis.training.curve import RunningCurve
from analysis.training.diary import Diary, Task
from analysis.training.trainee import Trainee
from analysis.verification.batches import Batch

INTERVALS = 6
"""Parts of a full arm whose gradient norms are told apart."""
_ASK_EVERY_SECONDS = 0.25


class StepTrainer(Trainer):  # type: ignore[misc]
    """Trainer whose unit of data is a whole optimiser step, which it divides into passes by itself.

    So the loss of a step is the mean over its response tokens however many passes it takes, and a step that does not fit the memory
    is done again in smaller passes, with the same result.
    """

    def __init__(self, trainee: Trainee, task: Task, diary: Diary, arguments: TrainingArguments, device: torch.device) -> None:
        self.task, self.diary, self.device = task, diary, device
        self.latest = torch.zeros(())
        super().__init__(model=trainee, args=arguments, train_dataset=_Numbers(len(task.steps)))
        self.remove_callback(PrinterCallback)
        self.add_callback(Recorder(self))

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Tensor:
        """One optimiser step's gradients, and its loss."""
        if not model.training:
            model.train()
        members = self.task.steps[self.state.global_step]
        while True:
            loss = self._passes(model, members)
            if loss is not None:
                break
        self._look_at_gradients()
        self.latest = loss
        return loss.to(self.args.device)

    def _passes(self, model: Any, members: Sequence[int]) -> Tensor | None:
        """The step's loss, or None: memory ran out, and passes are smaller from now on."""
        try:
            total = torch.zeros((), device=self.device)
            flops = 0.0
            for batch, weights in self.task.data.micro_batches(members, self.diary.micro_batch):
                self.check()
                recalled = model.cache is not None and model.cache.knows(batch.members.tolist())
                loss = model(**inputs_of(batch, weights, self.device))
                self.accelerator.backward(loss)
                total += loss.detach().to(self.device)
                examples, width = batch.ids.shape
                flops += self.task.flops(examples, width, len(batch.rows), recalled)
        except (MemoryError, RuntimeError) as exc:
            if not out_of_memory(exc):
                raise
            longest = max(len(self.task.data.examples[member].input_ids) for member in members)
            if self.diary.micro_batch == 1:
                raise ResourceError(
                    "Training on an example of {tokens} tokens does not fit the memory even on its own. Freeze more layers, train "
                    "adapters, allow fewer tokens per example (--max-tokens), or use a device with more memory.",
                    tokens=longest,
                ) from exc
        else:
            self.diary.flops += flops
            return total
        self.diary.micro_batch = max(1, min(self.diary.micro_batch, len(members)) // 2)
        self.diary.halvings += 1
        model.zero_grad(set_to_none=True)
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        return None

    def forget(self) -> None:
        """Gives the optimiser's memory back at once: loop and callbacks hold each other."""
        for holder in (self, self.callback_handler):
            holder.optimizer = holder.lr_scheduler = None
        self.accelerator.free_memory()

    def check(self) -> None:
        """Raises Cancelled when whoever waits said so."""
        if self.task.watch.should_stop():
            raise Cancelled("Stopped at your request.")

    @torch.no_grad()
    def _look_at_gradients(self) -> None:
        """Before anything clips them: what has one, what they take, and how large they are in each block."""
        self.diary.gradient_free &= self.task.frozen.gradient_free()
        step = self.state.global_step
        if self.diary.gradient_bytes == 0:
            gradients = [parameter.grad for parameter in self.model.parameters() if parameter.grad is not None]
            self.diary.gradient_bytes = sum(gradient.numel() * gradient.element_size() for gradient in gradients)
        if self.task.norms_of:
            scaler = self.accelerator.scaler  # float16's gradients are scaled up
            scale = 1.0 if scaler is None else float(scaler.get_scale())
            self.recorder.add_norms(step, [_l1(parameters, self.device) / scale for parameters in self.task.norms_of])

    @property
    def recorder(self) -> Recorder:
        """What writes the diary."""
        found = next(callback for callback in self.callback_handler.callbacks if isinstance(callback, Recorder))
        assert isinstance(found, Recorder)
        return found


class Recorder(TrainerCallback):  # type: ignore[misc]
    """Times the steps, judges the arm at its moments, tells how far it is, and ends it when it has to end."""

    def __init__(self, trainer: StepTrainer) -> None:
        self.trainer = trainer
        self.generators: dict[str, Any] = {}
        self._norms: list[Tensor] = []
        self._interval = -1
        self._started = 0.0
        self._energy: float | None = None
        self._curve = RunningCurve(len(trainer.task.steps))

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Judges the untouched weights, or goes on where a checkpoint was left."""
        tokens, task = 0, self.trainer.task
        for members, loss in zip(task.steps, self.trainer.diary.losses, strict=False):
            tokens += task.data.tokens(members)
            self._curve.add(tokens, loss)
        self._judge(state.global_step)

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Starts the clock."""
        self.generators = generators(self.trainer.device)
        if self.trainer.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.trainer.device)
        if self._energy is None and self.trainer.task.meter is not None:
            self._energy = self.trainer.task.meter()
        self._started = self._now()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Stops the clock, and does what is due."""
        diary, task = self.trainer.diary, self.trainer.task
        spent = self._now() - self._started
        self.generators = {}
        diary.step_ms.append(spent * 1e3)
        diary.seconds += spent
        diary.tokens += task.data.tokens(task.steps[state.global_step - 1])
        diary.losses.append(float(self.trainer.latest))
        self._curve.add(diary.tokens, diary.losses[-1])
        if diary.optimizer_bytes == 0:
            diary.optimizer_bytes = _state_bytes(self.trainer.optimizer)
        if self.trainer.device.type == "cuda":
            diary.peak_bytes = max(diary.peak_bytes or 0, torch.cuda.max_memory_allocated(self.trainer.device))
        self._tell(state.global_step)
        if not np.isfinite(diary.losses[-1]):
            diary.diverged = True
        elif task.max_seconds is not None and diary.seconds >= task.max_seconds and state.global_step < len(task.steps):
            diary.stop = "budget"
        if diary.diverged or diary.stop == "budget":
            control.should_training_stop = True
        if not diary.diverged:
            self._judge(state.global_step, now=diary.stop == "budget")
        unfinished = diary.stop == "done" and not diary.diverged and state.global_step < len(task.steps)
        if unfinished and task.enough is not None and task.enough(diary.points):
            diary.stop = "no_gain"
            control.should_training_stop = True

    def rewind(self) -> None:
        """Chance as it stood before a step that was not finished."""
        if self.generators:
            set_generators(self.generators, self.trainer.device)

    def finish(self) -> None:
        """Puts what is still being summed up into the diary."""
        self._pause()
        self._close_interval()

    def add_norms(self, step: int, norms: list[Tensor]) -> None:
        """Adds a step's norms to those of its interval."""
        interval = step * INTERVALS // len(self.trainer.task.steps)
        if interval != self._interval:
            self._close_interval()
            self._interval = interval
        stacked = torch.stack(norms)
        self._norms = [stacked if not self._norms else self._norms[0] + stacked]

    def _close_interval(self) -> None:
        if self._norms:
            done, found = self.trainer.diary.block_gradients, [float(norm) for norm in self._norms[0].tolist()]
            if self._interval < len(done):  # an interval that a checkpoint had cut in two
                done[self._interval] = [before + more for before, more in zip(done[self._interval], found, strict=True)]
            else:
                done.append(found)
        self._norms = []

    def _judge(self, step: int, *, now: bool = False) -> None:
        diary, task = self.trainer.diary, self.trainer.task
        if (step not in task.moments and not now) or any(point.step == step for point in diary.points):
            return
        self._pause()
        last = diary.points[-1].step if diary.points else 0
        recent = diary.losses[last:step]
        draft = TrialPoint(
            step=step,
            tokens=diary.tokens,
            seconds=diary.seconds,
            flops=diary.flops,
            train_loss=float(np.mean(recent)) if recent else None,
        )
        if task.evaluate is not None:
            with self.trainer.model.judging():
                draft = task.evaluate(draft)
        diary.points.append(draft)

    def _pause(self) -> None:
        """Energy of evaluations does not count."""
        if self._energy is not None and self.trainer.task.meter is not None:
            used = max(self.trainer.task.meter() - self._energy, 0.0)
            self.trainer.diary.millijoules = (self.trainer.diary.millijoules or 0.0) + used
        self._energy = None

    def _now(self) -> float:
        if self.trainer.device.type == "cuda":
            torch.cuda.synchronize(self.trainer.device)
        return time.perf_counter()

    def _tell(self, done: int) -> None:
        diary, total = self.trainer.diary, len(self.trainer.task.steps)
        recent = float(np.median(diary.step_ms[-20:])) / 1e3
        self.trainer.task.watch.on_progress(
            Progress(
                stage=Message(id="Training: {arm}", values={"arm": self.trainer.task.name}),
                done=done,
                total=total,
                tokens_per_second=diary.tokens / diary.seconds if diary.seconds else None,
                eta_seconds=recent * (total - done),
                training_curve=self._curve.points,
            )
        )


@contextmanager
def interruptible(stack: Stack, check: Callable[[], None]) -> Iterator[None]:
    """Inside, every layer asks on its way forward and back whether to go on, so that stopping never waits for a whole pass."""
    asked = time.monotonic()

    def ask(*_: object) -> None:
        nonlocal asked
        if time.monotonic() - asked >= _ASK_EVERY_SECONDS:
            asked = time.monotonic()
            check()

    def leaves(_: Any, __: Any, output: Any) -> None:
        stream = output[0] if isinstance(output, tuple) else output
        if stream.requires_grad:
            stream.register_hook(ask)

    with ExitStack() as cleanup:
        for block in stack.blocks:
            cleanup.callback(block.register_forward_pre_hook(ask).remove)
            cleanup.callback(block.register_forward_hook(leaves).remove)
        yield


def inputs_of(batch: Batch, weights: np.ndarray[Any, np.dtype[np.float64]], device: torch.device) -> dict[str, Any]:
    """A batch as the trainee takes it."""
    return {
        "input_ids": torch.from_numpy(batch.ids).to(device),
        "attention_mask": None if batch.mask.all() else torch.from_numpy(batch.mask).to(device),
        "rows": torch.from_numpy(batch.rows).to(device),
        "targets": torch.from_numpy(batch.targets).to(device),
        "weights": torch.from_numpy(weights.astype(np.float32)).to(device),
        "indices": tuple(batch.members.tolist()),
    }


def arguments(
    folder: Path, *, steps: int, learning_rate: float, warmup_share: float, weight_decay: float, seed: int, device: torch.device, half: bool
) -> TrainingArguments:
    """Trainer's settings: nothing is logged, sent, evaluated or saved by itself."""
    made = TrainingArguments(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=1,
        learning_rate=learning_rate,
        warmup_steps=round(warmup_share * steps),
        weight_decay=weight_decay,
        lr_scheduler_type="linear",
        optim="adamw_torch_fused" if device.type == "cuda" else "adamw_torch",
        seed=seed,
        fp16=half,
        use_cpu=device.type == "cpu",
        report_to="none",
        logging_strategy="no",
        logging_nan_inf_filter=False,
        eval_strategy="no",
        save_strategy="no",
        disable_tqdm=True,
        dataloader_num_workers=0,
        dataloader_pin_memory=False,
        remove_unused_columns=False,
        label_names=[],
    )
    made._n_gpu = 1  # else all GPUs of the machine get copies of the model
    return made


def generators(device: torch.device) -> dict[str, Any]:
    """Where all generators of chance stand."""
    found = {"python": random.getstate(), "numpy": np.random.get_state(), "cpu": torch.get_rng_state()}
    return {**found, "cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else found


def set_generators(stood: dict[str, Any], device: torch.device) -> None:
    """Puts them back there."""
    random.setstate(stood["python"])
    np.random.set_state(stood["numpy"])
    torch.set_rng_state(stood["cpu"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(stood["cuda"], device)


class _Numbers(torch.utils.data.Dataset[dict[str, int]]):
    """As many items as steps; what a step trains on is decided by its number alone."""

    def __init__(self, n: int) -> None:
        self._n = n

    def __len__(self) -> int:
        return self._n

    def __getitem__(self, index: int) -> dict[str, int]:
        return {"step": index}


def _l1(parameters: Sequence[torch.nn.Parameter], device: torch.device) -> Tensor:
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not gradients:
        return torch.zeros((), device=device)
    return torch.stack([norm.to(device, torch.float32) for norm in torch._foreach_norm(gradients, 1)]).sum()


def _state_bytes(optimizer: Any) -> int:
    tensors = [value for state in optimizer.state.values() for value in state.values() if isinstance(value, Tensor) and value.dim()]
    return sum(value.numel() * value.element_size() for value in tensors)
