"""Profiles a model on a workload: from a request to the finished contract."""

from __future__ import annotations

import math
import platform
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import torch

from analysis.contracts import (
    AUTOMATIC_SLICES,
    Message,
    ModelInfo,
    Profile,
    ProfileRequest,
    ProfileSettings,
    Progress,
    Timing,
    content_hash,
)
from analysis.errors import ModelError, WorkloadError
from analysis.models import estimate
from analysis.models.card import ModelCard
from analysis.models.device import device_name, resolve_device, resolve_dtype
from analysis.models.load import describe_model, load_model
from analysis.models.origin import versions
from analysis.models.stack import LoadedModel, Stack
from analysis.profiling import distributed
from analysis.profiling.accumulators import Accumulator, CkaSums, ExampleTable, ScoreSums, Sums
from analysis.profiling.features import Features
from analysis.profiling.scores import ScoreBook, defined_units, example_scores, stability
from analysis.profiling.stream import Pass, Saving, Watch
from analysis.profiling.units import Unit, cut_units
from analysis.similarity.registry import method_versions
from analysis.workload import EncodedWorkload, Encoder, Workload, encode_workload, requested_workload

Loader = Callable[..., LoadedModel]


@dataclass
class ProfileSums:
    """The accumulators of a full profile."""

    scores: ScoreSums
    cka: CkaSums
    examples: ExampleTable

    @classmethod
    def empty(cls, features: Features, encoded: EncodedWorkload, replicates: int) -> ProfileSums:
        """Nothing added yet."""
        names = sorted({example.slice for example in encoded.examples} - set(AUTOMATIC_SLICES))
        return cls(
            scores=ScoreSums(features, names, replicates),
            cka=CkaSums(features, names, replicates),
            examples=ExampleTable(features, len(encoded.examples)),
        )

    def all(self) -> tuple[ScoreSums, CkaSums, ExampleTable]:
        """In the order they are saved."""
        return self.scores, self.cka, self.examples

    def merge(self, other: ProfileSums) -> None:
        """Adds the sums of another part of the workload."""
        for mine, theirs in zip(self.all(), other.all(), strict=True):
            mine.merge(theirs)


def content_key(model: ModelInfo, workload_hash: str, settings: ProfileSettings) -> str:
    """What a profile's numbers depend on: the same key never needs computing twice (settings must be resolved)."""
    shaping = settings.model_dump(mode="json", exclude={"device", "batch_tokens"})
    return content_hash(model.commit, workload_hash, shaping, method_versions())[:16]


def resolve_settings(settings: ProfileSettings, model: ModelInfo, device: torch.device, dtype: torch.dtype) -> ProfileSettings:
    """The settings with every "auto" and None replaced by what will be done."""
    stack = model.stack(settings.stack)
    on_cpu = device.type != "cuda"
    unit = settings.unit_tokens or estimate.unit_tokens(
        model, (stack.n_blocks + 1) * model.hidden_size * dtype.itemsize, on_cpu=on_cpu, device_bytes=memory_bytes(device)
    )
    return settings.model_copy(
        update={
            "stack": stack.name,
            "device": str(device),
            "dtype": str(dtype).removeprefix("torch."),
            "max_tokens": estimate.longest_prompt(model, settings.max_tokens),
            "unit_tokens": unit,
            "batch_tokens": settings.batch_tokens or estimate.batch_tokens(unit, on_cpu=on_cpu),
        }
    )


def run_profile(
    request: ProfileRequest,
    *,
    load: Loader = load_model,
    on_progress: Callable[[Progress], None] = lambda _progress: None,
    should_stop: Callable[[], bool] = lambda: False,
    checkpoint_folder: Path | None = None,
    known: Callable[[str], Profile | None] = lambda _key: None,
) -> Profile:
    """A profile for a request; answered by `known` when there already is one, resumed when there is a checkpoint.

    Raises:
        InputError: the model, the workload or a setting cannot be used.
        ResourceError: memory or disk ran out.
        Cancelled: `should_stop` said so.
    """
    asked = Asked.of(request, on_progress)
    found = known(asked.key) if asked.where.world == 1 else None  # several ranks measure together or not at all
    if found is not None:
        return found
    job = asked.job(asked.encode(), asked.key, load=load, watch=Watch(on_progress, should_stop), checkpoint_folder=checkpoint_folder)
    with distributed.joined(asked.where, asked.device):
        return job.run()


@dataclass(frozen=True)
class Asked:
    """A request looked at but not begun: its workload and model are there, its settings are resolved, no weight is loaded."""

    request: ProfileRequest
    workload: Workload
    card: ModelCard
    settings: ProfileSettings
    where: distributed.Place
    device: torch.device

    @classmethod
    def of(cls, request: ProfileRequest, on_progress: Callable[[Progress], None]) -> Asked:
        """Reads the workload, looks at the model, checks that the one can run through the other."""
        _say(on_progress, Message(id="Reading the workload"))
        workload = requested_workload(request)
        where = distributed.place()
        device = resolve_device(where.device(request.settings.device))
        _say(on_progress, Message(id="Looking at the model"))
        card = describe_model(request.model, on_progress=lambda stage: _say(on_progress, stage))
        check_can_run(card.info, request.settings)
        dtype = resolve_dtype(request.settings.dtype, device, getattr(torch, card.info.dtype))
        return cls(request, workload, card, resolve_settings(request.settings, card.info, device, dtype), where, device)

    @property
    def key(self) -> str:
        """The profile's content key."""
        return content_key(self.card.info, self.workload.info.content_hash, self.settings)

    @property
    def encoder(self) -> Encoder:
        """The model's tokenizer."""
        assert self.card.tokenizer_folder is not None
        return Encoder.from_folder(self.card.tokenizer_folder)

    def encode(self) -> EncodedWorkload:
        """The calibration half as tokens."""
        settings = self.settings
        return encode_workload(
            self.workload, self.encoder, max_tokens=settings.max_tokens, chat_template=settings.chat_template, slices=settings.slices
        )

    def job(
        self, encoded: EncodedWorkload, key: str, *, load: Loader = load_model, watch: Watch, checkpoint_folder: Path | None = None
    ) -> ProfileJob:
        """The model loaded and everything ready to run; `key` names the checkpoint."""
        _say(watch.on_progress, Message(id="Loading the model"))
        started = time.monotonic()
        loaded = load(self.request.model, device=str(self.device), dtype=self.settings.dtype)
        loading = time.monotonic() - started
        saving = Saving(checkpoint_folder / f"{key}{self.where.name}.npz", key) if checkpoint_folder else None
        return ProfileJob(loaded, encoded, self.settings, watch, saving, name=self.request.name, load_seconds=loading, where=self.where)


def profile_model(
    loaded: LoadedModel,
    encoded: EncodedWorkload,
    settings: ProfileSettings | None = None,
    *,
    watch: Watch | None = None,
    saving: Saving | None = None,
    accumulators: Sequence[Accumulator] = (),
) -> Profile:
    """One streaming pass of a loaded model over an encoded workload.

    `accumulators` see every unit too, before the profile's own; those that are `Sums` are saved, resumed and reduced with them.

    Raises:
        ModelError: the model cannot be run on prompts.
        Cancelled, ResourceError: see `Pass.run`.
    """
    settings = settings or ProfileSettings()
    check_can_run(loaded.info, settings)
    resolved = resolve_settings(settings, loaded.info, loaded.device, loaded.dtype)
    return ProfileJob(loaded, encoded, resolved, watch or Watch(), saving, accumulators).run()


@dataclass
class ProfileJob:
    """A loaded model, an encoded workload and resolved settings, ready to run."""

    loaded: LoadedModel
    encoded: EncodedWorkload
    settings: ProfileSettings
    watch: Watch = field(default_factory=Watch)
    saving: Saving | None = None
    accumulators: Sequence[Accumulator] = ()
    name: str | None = None
    load_seconds: float = 0.0
    where: distributed.Place = field(default_factory=distributed.Place)

    def __post_init__(self) -> None:
        if not self.encoded.examples:
            raise WorkloadError("No example of this workload has a token to measure. Give prompts with text in them.")
        _check_vocabulary(self.loaded, self.encoded)
        self.stack: Stack = self.loaded.stack(self.settings.stack)
        self.features = Features(
            n_blocks=len(self.stack.blocks),
            device=torch.device("cpu") if self.loaded.device.type == "mps" else self.loaded.device,  # MPS has no float64
            parallel=tuple(taps.layout == "parallel" for taps in self.stack.taps),
        )
        self.sums = ProfileSums.empty(self.features, self.encoded, self.settings.replicates)

    def units(self) -> list[Unit]:
        """The workload, cut."""
        assert self.settings.unit_tokens is not None
        return cut_units(self.encoded.examples, self.settings.unit_tokens, self.settings.cka_minibatch)

    def all_sums(self) -> tuple[Sums, ...]:
        """What is saved, resumed and added up over ranks: brought sums first, because the profile's own may centre the states."""
        return (*self.brought(), *self.sums.all())

    def brought(self) -> tuple[Sums, ...]:
        """The accumulators of other rooms that are sums."""
        return tuple(one for one in self.accumulators if isinstance(one, Sums))

    def stream(self, units: Sequence[Unit]) -> Pass:
        """A pass over some of the units, adding to this job's sums."""
        assert self.settings.batch_tokens is not None
        return Pass(
            stack=self.stack,
            units=units,
            features=self.features,
            device=self.loaded.device,
            width=self.loaded.info.hidden_size,
            dtype=self.loaded.dtype,
            batch_tokens=self.settings.batch_tokens,
            sums=self.all_sums(),
            others=[one for one in self.accumulators if not isinstance(one, Sums)],
            watch=self.watch,
            saving=self.saving,
        )

    def run(self) -> Profile:
        """The whole pass and its profile; with several ranks, this rank's share and the profile of all."""
        _reset_peak(self.loaded.device)
        started = datetime.now(UTC)
        stream = self.stream(self.units()[self.where.rank :: self.where.world])
        stream.run()
        stream.seconds = max(0.0, stream.seconds - sum(one.own_seconds for one in self.brought()))
        distributed.add_up(self.where, self.all_sums())
        stream.seconds = distributed.total(self.where, stream.seconds, self.features.device, largest=True)
        stream.tokens = round(distributed.total(self.where, stream.tokens, self.features.device))
        return self.profile(stream, started)

    def profile(self, stream: Pass, started: datetime) -> Profile:
        """The contract from finished sums."""
        book = ScoreBook(self.sums.scores, self.sums.cka, defined_units([taps.layout for taps in self.stack.taps], self.features.n_blocks))
        names = [name for name in self.sums.scores.groups if name != "overall"]
        slices = {name: book.of(name) for name in names}
        examples = self.encoded.examples
        return Profile(
            id=content_key(self.loaded.info, self.encoded.info.content_hash, self.settings),
            name=self.name or f"{self.loaded.info.name} · {self.encoded.info.name}",
            model=self.loaded.info,
            stack=self.stack.info.name,
            workload=self.encoded.info,
            counts=self.encoded.counts,
            settings=self.settings,
            methods=method_versions(),
            overall=book.of("overall"),
            slices={name: scores for name, scores in slices.items() if scores.n_tokens},
            examples=example_scores(self.sums.examples, examples, excerpts=self.settings.excerpts),
            rank_stability=stability(self.sums.examples, examples),
            timing=self._timing(stream, started),
            versions=versions(),
            notes=self._notes(stream),
        )

    def _timing(self, stream: Pass, started: datetime) -> Timing:
        assert self.settings.batch_tokens is not None
        assert self.settings.unit_tokens is not None
        return Timing(
            device=str(self.loaded.device),
            device_name=device_name(self.loaded.device),
            dtype=str(self.loaded.dtype).removeprefix("torch."),
            started_at=started.isoformat(timespec="seconds"),
            load_seconds=round(self.load_seconds, 3),
            profile_seconds=round(stream.seconds, 3),
            tokens_per_second=round(stream.tokens / max(stream.seconds, 1e-9), 1),
            peak_memory_bytes=_peak(self.loaded.device),
            batch_tokens=stream.batch_tokens,
            unit_tokens=self.settings.unit_tokens,
            batch_halvings=stream.halvings,
            resumed=stream.resumed,
        )

    def _notes(self, stream: Pass) -> tuple[Message, ...]:
        notes = []
        invalid = round(float(self.sums.scores.state()["invalid"]))
        if invalid:
            notes.append(
                Message(
                    id="{n} tokens were left out because the model's numbers overflowed there. Use bfloat16 or float32 instead of {dtype}.",
                    values={"n": invalid, "dtype": str(self.loaded.dtype).removeprefix("torch.")},
                )
            )
        if stream.halvings:
            notes.append(
                Message(
                    id="Memory ran short: batches were made smaller ({tokens} tokens) and the run went on. The results are the same.",
                    values={"tokens": stream.batch_tokens},
                )
            )
        return tuple(notes)


def check_can_run(info: ModelInfo, settings: ProfileSettings) -> None:
    """Raises ModelError when the model does not read text, or has no stack of the name asked for."""
    if info.refusal is not None:
        raise ModelError.from_message(info.refusal)
    names = [stack.name for stack in info.stacks]
    if settings.stack is not None and settings.stack not in names:
        raise ModelError("{model} has no stack named {name}. It has: {names}.", model=info.name, name=settings.stack, names=tuple(names))


def _check_vocabulary(loaded: LoadedModel, encoded: EncodedWorkload) -> None:
    """Found out here in words, because a GPU would end the whole process over it."""
    known = loaded.model.get_input_embeddings().weight.shape[0]
    largest = max(int(example.input_ids.max()) for example in encoded.examples)
    if largest >= known:
        raise ModelError(
            "The tokenizer of {model} gives token number {token}, but the model knows only {known} tokens. Copy the tokenizer that "
            "belongs to this model beside its weights.",
            model=loaded.info.name,
            token=largest,
            known=known,
        )


def _say(on_progress: Callable[[Progress], None], stage: Message) -> None:
    on_progress(Progress(stage=stage))


def memory_bytes(device: torch.device) -> float:
    """All memory of a GPU; infinite for other devices, whose buffer is small."""
    return float(torch.cuda.get_device_properties(device).total_memory) if device.type == "cuda" else math.inf


def _reset_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def _peak(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if platform.system() == "Darwin" else peak * 1024
