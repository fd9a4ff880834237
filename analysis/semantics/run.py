"""Traces a model on a workload: one pass gives the profile and the semantics."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from analysis.contracts import (
    AUTOMATIC_SLICES,
    GradientNorms,
    Message,
    ModelInfo,
    Profile,
    ProfileSettings,
    Progress,
    SemanticRequest,
    Semantics,
    SemanticSettings,
    content_hash,
)
from analysis.errors import Cancelled, InputError, ModelError, ResourceError
from analysis.models.final_norm import FinalNorm, final_norm
from analysis.models.head import Head
from analysis.models.load import load_model
from analysis.models.stack import LoadedModel, Stack
from analysis.profiling import distributed
from analysis.profiling.run import Asked, Loader, ProfileJob, check_can_run, resolve_settings
from analysis.profiling.stream import Watch
from analysis.semantics.bases import Bases
from analysis.semantics.curves import Tracer
from analysis.semantics.gradients import gradient_norms
from analysis.semantics.lens import Lens
from analysis.semantics.scores import TraceBook
from analysis.semantics.sums import TraceSums
from analysis.semantics.texts import token_traces
from analysis.semantics.tokens import TokenPlan, plan_tokens
from analysis.semantics.vocabulary import Ints, chosen_words
from analysis.workload import EncodedWorkload, Encoder

LENS_TOKENS = {True: 2048, False: 256}
GRADIENT_TOKENS = {True: 4096, False: 1024}
"""Where nobody says how many: on a GPU, and elsewhere."""
METHODS = {"bases": "1", "deviation": "1", "alignment": "1", "lens": "1", "fidelity": "1", "gradients": "1"}


def semantics_key(model: ModelInfo, workload_hash: str, settings: ProfileSettings, semantic: SemanticSettings) -> str:
    """What the traces' numbers depend on: the same key never needs computing twice (settings must be resolved)."""
    shaping = settings.model_dump(mode="json", exclude={"device", "batch_tokens"})
    return content_hash(model.commit, workload_hash, shaping, semantic.model_dump(mode="json"), METHODS)[:16]


def run_semantics(
    request: SemanticRequest,
    *,
    load: Loader = load_model,
    on_progress: Callable[[Progress], None] = lambda _progress: None,
    should_stop: Callable[[], bool] = lambda: False,
    checkpoint_folder: Path | None = None,
) -> tuple[Profile, Semantics]:
    """A profile and its traces for a request, from one pass; resumed when there is a checkpoint under `semantics_key`.

    Raises:
        InputError: the model, the workload, a word or a setting cannot be used.
        ResourceError: memory or disk ran out.
        Cancelled: `should_stop` said so.
    """
    asked = Asked.of(request, on_progress)
    encoded, encoder, semantic = asked.encode(), asked.encoder, by_device(request.semantics, asked.device)
    words = chosen_words(semantic, encoded, encoder)
    answered = {example.id for example in asked.workload.examples if example.response}
    plan = plan_tokens(encoded, semantic, words, answered=answered)
    key = semantics_key(asked.card.info, asked.workload.info.content_hash, asked.settings, semantic)
    watch = Watch(on_progress, should_stop)
    job = asked.job(encoded, key, load=load, watch=watch, checkpoint_folder=checkpoint_folder)
    with distributed.joined(asked.where, asked.device):
        return _TraceJob(job, semantic, plan, words, encoder).run()


def trace_model(
    loaded: LoadedModel,
    encoded: EncodedWorkload,
    settings: ProfileSettings | None = None,
    semantic: SemanticSettings | None = None,
    *,
    watch: Watch | None = None,
    answered: Collection[str] | None = None,
) -> tuple[Profile, Semantics]:
    """The same for a model in memory and an encoded workload. Token texts need the model's tokenizer beside it.

    Args:
        answered: ids of the examples that came with a response, to tell those whose response was cut away.

    Raises:
        InputError: there is nothing to trace, or no head to trace it to.
        Cancelled, ResourceError: see `Pass.run`.
    """
    semantic, settings = by_device(semantic or SemanticSettings(), loaded.device), settings or ProfileSettings()
    check_can_run(loaded.info, settings)
    resolved = resolve_settings(settings, loaded.info, loaded.device, loaded.dtype)
    encoder = _encoder(loaded)
    words = chosen_words(semantic, encoded, encoder)
    plan = plan_tokens(encoded, semantic, words, answered=answered)
    job = ProfileJob(loaded, encoded, resolved, watch or Watch())
    return _TraceJob(job, semantic, plan, words, encoder).run()


def by_device(semantic: SemanticSettings, device: torch.device) -> SemanticSettings:
    """The settings with every None replaced by what the device can well afford: the lens costs a head at every position."""
    lens, gradients = LENS_TOKENS[device.type == "cuda"], GRADIENT_TOKENS[device.type == "cuda"]
    return semantic.model_copy(
        update={
            "lens_tokens": lens if semantic.lens_tokens is None else semantic.lens_tokens,
            "gradient_tokens": semantic.gradient_tokens or gradients,
        }
    )


def head_weight(loaded: LoadedModel, stack: Stack) -> torch.Tensor:
    """The output head's weights [V, d], which the bases are made of.

    Raises:
        ModelError: the stack's states are not turned into words by a head of plain numbers.
    """
    model = loaded.model
    if model.config.is_encoder_decoder:
        raise ModelError(
            "{model} is an encoder-decoder: its words come from two stacks together, so one stack's states cannot be traced to words. "
            "Layers can still be frozen by budget (plan --op freeze --strategy train_last).",
            model=loaded.info.name,
        )
    if not stack.info.causal or not Head(loaded, stack).exists:
        raise ModelError(
            "{model} has no output head that predicts the next word, so there is nothing to trace its states to. "
            "Layers can still be frozen by budget (plan --op freeze --strategy train_last).",
            model=loaded.info.name,
        )
    output: nn.Module = model.get_output_embeddings()
    weight = getattr(output, "weight", None)
    if isinstance(weight, torch.Tensor) and weight.is_floating_point() and weight.shape[-1] != loaded.info.hidden_size:
        raise ModelError(
            "The output head of {model} reads {head} numbers for each token, but its layers hand on {width}, so their states cannot be "
            "compared with words. Layers can still be frozen by budget (plan --op freeze --strategy train_last).",
            model=loaded.info.name,
            head=weight.shape[-1],
            width=loaded.info.hidden_size,
        )
    if not isinstance(weight, torch.Tensor) or not weight.is_floating_point():
        raise ModelError(
            "The output head of {model} does not hold its weights as plain numbers, so no word's basis can be made. "
            "Load the model unquantised.",
            model=loaded.info.name,
        )
    return weight.detach()


@dataclass
class _TraceJob:
    """A profile job, and what to trace beside it. `words`: the sorted tokens of the bases, None: all."""

    job: ProfileJob
    semantic: SemanticSettings
    plan: TokenPlan
    words: Ints | None
    encoder: Encoder | None

    def run(self) -> tuple[Profile, Semantics]:
        """The pass, the backward pass, and both contracts."""
        started = time.monotonic()
        sums = self._sums()
        extra = time.monotonic() - started
        self.job.accumulators = (*self.job.accumulators, sums)
        profile = self.job.run()
        started = time.monotonic()
        gradients, notes = self._gradients()
        extra += time.monotonic() - started + float(sums.state()["seconds"]) / self.job.where.world
        return profile, self._semantics(profile, sums, gradients, notes, extra)

    def _sums(self) -> TraceSums:
        job = self.job
        weight = head_weight(job.loaded, job.stack)
        self._say(Message(id="Making the words' bases"))
        ids = None if self.words is None else torch.from_numpy(self.words)
        bases = Bases.of(weight, ids, device=job.features.device)
        norm = final_norm(job.loaded, job.stack)
        slices = sorted({example.slice for example in job.encoded.examples} - {"overall", *AUTOMATIC_SLICES})
        return TraceSums(
            Tracer.of(bases, norm, job.loaded.dtype),
            self._lens(norm, ids, len(weight)),
            self.plan,
            job.features,
            slices,
            job.settings.replicates,
            check=self._check,
        )

    def _lens(self, norm: FinalNorm | None, ids: torch.Tensor | None, n_rows: int) -> Lens | None:
        if norm is None or not self.plan.uses_lens:
            return None
        return Lens(Head(self.job.loaded, self.job.stack), n_rows, ids, self.job.loaded.device)

    def _check(self) -> None:
        if self.job.watch.should_stop():
            raise Cancelled("Stopped at your request.")

    def _say(self, stage: Message) -> None:
        self.job.watch.on_progress(Progress(stage=stage))

    def _gradients(self) -> tuple[GradientNorms | None, list[Message]]:
        if not self.semantic.gradients:
            return None, []
        job = self.job
        try:
            found = gradient_norms(
                job.loaded, job.stack, job.encoded, tokens=self.semantic.gradient_tokens or GRADIENT_TOKENS[False], watch=job.watch
            )
        except (InputError, ResourceError) as exc:
            return None, [Message(id="The gradients of the responses were left out."), exc.message]
        return found, []

    def _semantics(
        self, profile: Profile, sums: TraceSums, gradients: GradientNorms | None, notes: list[Message], extra: float
    ) -> Semantics:
        book, examples, bases = TraceBook(sums), self.job.encoded.examples, sums.tracer.bases
        excerpts = profile.settings.excerpts
        alone = profile.timing.profile_seconds
        return Semantics(
            id=semantics_key(profile.model, profile.workload.content_hash, profile.settings, self.semantic),
            name=profile.name,
            model=profile.model,
            stack=profile.stack,
            workload=profile.workload,
            counts=profile.counts,
            settings=profile.settings,
            semantic=self.semantic,
            methods=METHODS,
            default_curve=book.default,
            fidelity=book.fidelity,
            condition_number=bases.condition_number,
            ridge=bases.ridge,
            n_words=bases.n_words,
            overall=book.of("overall"),
            slices={name: book.of(name) for name in book.measured()},
            examples=book.examples(self.plan, examples, excerpts=excerpts),
            traces=token_traces(book, self.plan, examples, encoder=self.encoder, words=self.words, excerpts=excerpts),
            gradients=gradients,
            n_without_response=self.plan.n_without_response,
            n_response_cut=self.plan.n_response_cut,
            n_outside_vocabulary=self.plan.n_outside_vocabulary,
            extra_seconds=round(extra, 3),
            extra_share=round(extra / alone, 4) if alone > 0 else None,
            timing=profile.timing,
            versions=profile.versions,
            notes=(*book.notes(), *self._notes(sums), *notes),
        )

    def _notes(self, sums: TraceSums) -> list[Message]:
        bases, notes = sums.tracer.bases, []
        if sums.tracer.norm is None:
            notes.append(
                Message(
                    id=(
                        "What this model does to its last layer's output could not be confirmed by a test run, so states are traced "
                        "as they are."
                    )
                )
            )
        if bases.small:
            notes.append(
                Message(
                    id=(
                        "The vocabulary has fewer words ({words}) than the states have dimensions ({width}): what lies outside them "
                        "counts as distance."
                    ),
                    values={"words": bases.n_words, "width": len(bases.mean)},
                )
            )
        if bases.ridge:
            notes.append(Message(id="The words' bases were ill-conditioned, so a small number was added to make them stable."))
        return notes


def _encoder(loaded: LoadedModel) -> Encoder | None:
    """The tokenizer beside the model, when there is one."""
    folder = loaded.tokenizer_folder
    return Encoder.from_folder(folder) if folder is not None and (folder / "tokenizer.json").is_file() else None
