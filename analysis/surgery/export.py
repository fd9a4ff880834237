"""A plan carried out for good: a model folder with fewer layers, proved to be the same model as the plan run in place."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import PreTrainedModel

from analysis.contracts import ExportReport, ExportRequest, Message, ModelInfo, Progress, Quantity
from analysis.errors import Cancelled, ModelError, PlanError
from analysis.models import gguf
from analysis.models.anatomy import count
from analysis.models.card import ModelCard
from analysis.models.device import resolve_device
from analysis.models.files import ModelFiles, find_files
from analysis.models.gguf import first_line
from analysis.models.load import describe_model, load_model, model_class
from analysis.models.memory import available_bytes
from analysis.models.stack import LoadedModel
from analysis.surgery import compare
from analysis.surgery.compare import Answers, Questions
from analysis.surgery.config_cut import cut_for_stack, own_config
from analysis.surgery.export_blocks import Side, prove_block_by_block
from analysis.surgery.export_folder import REPORT, checked_target, companions, require_apart, require_space, written_whole
from analysis.surgery.export_plan import StackCut, all_left_out, cuts_of, notes_of
from analysis.surgery.export_zeroed import output_projections
from analysis.surgery.shards import Piece, Writing, block_prefix, pieces_of_files, pieces_of_model, renumbered, write_shards, write_synced

_MARGIN = 1.25
"""Of a model in float32: room for what it computes beside its weights."""

OnProgress = Callable[[Progress], None]


def _silent(_: Progress) -> None:
    """Progress that nobody listens to."""


def _never() -> bool:
    """Nobody asks to stop."""
    return False


def run_export(
    request: ExportRequest,
    *,
    load: Callable[..., LoadedModel] = load_model,
    on_progress: OnProgress = _silent,
    should_stop: Callable[[], bool] = _never,
    memory: Callable[[torch.device], int | None] = available_bytes,
) -> ExportReport:
    """Writes the plan's model as a Hugging Face folder and proves it; the folder appears whole and proved, or not at all.

    Args:
        request: plan, where its model is now, and where to write.
        load: loads a model, as `load_model`; what it hands out is changed, so it has to be a fresh one.
        on_progress: told bytes while writing, and what is being checked.
        should_stop: asked between tensors and between checks.
        memory: bytes free on a device; decides whether whole models are compared or block by block.

    Raises:
        PlanError: the plan does not fit, cannot be written for this architecture, or the written model was not the same.
        ModelError: the model cannot be used.
        InputError: something else is where the export should go.
        ResourceError: disk or memory ran out.
        Cancelled: `should_stop` said so; nothing was left behind.
    """
    job = _prepared(request, load, on_progress, should_stop, memory)
    target = checked_target(request.folder, overwrite=request.overwrite)
    require_apart(target, job.source_places())
    config = job.cut_config()
    if job.whole:
        job.run_in_place()
    pieces = job.pieces()
    require_space(target, sum(piece.n_bytes for piece in pieces) + 2**20)
    with written_whole(target) as folder:
        job.write(folder, pieces, config)
        found = job.prove(folder, pieces)
        report = job.report(target, folder, found)
        write_synced(folder / REPORT, report.model_dump_json(indent=1).encode())
        job.check_stop()
    return report


@dataclass(frozen=True)
class _Proof:
    method: Literal["reloaded", "block_by_block"]
    difference: float
    n_random: int
    n_real: int
    n_parameters: int


@dataclass
class _Job:
    """One export from the checks to the report."""

    request: ExportRequest
    files: ModelFiles
    card: ModelCard
    cuts: tuple[StackCut, ...]
    source: PreTrainedModel
    load: Callable[..., LoadedModel]
    on_progress: OnProgress
    should_stop: Callable[[], bool]
    whole: bool
    notes: list[Message] = field(default_factory=list)
    questions: Questions = field(default_factory=lambda: Questions((), ()))
    answers: Answers = field(default_factory=lambda: Answers((), None))
    zeros: tuple[str, ...] = ()
    tensors: dict[str, Any] | None = None
    generation: str | None = None

    @property
    def info(self) -> ModelInfo:
        """The source model."""
        return self.card.info

    def check_stop(self) -> None:
        """Raises Cancelled when it should stop."""
        if self.should_stop():
            raise Cancelled("Stopped at your request.")

    def say(self, stage: Message) -> None:
        """Tells what is going on, and listens."""
        self.check_stop()
        self.on_progress(Progress(stage=stage))

    def cut_config(self) -> Any:
        """The config of the written model; its layers are already checked to be what they were."""
        config = self.source.config
        for cut in self.cuts:
            if cut.is_cut:
                own = own_config(self.source, config, cut.info.path)
                config = cut_for_stack(config, own, cut.keep, n_blocks=cut.info.n_blocks, stack=cut.info.name)
        config.architectures = [type(self.source).__name__]
        written = compare.without_weights(config, type(self.source))
        for cut in self.cuts:
            compare.check_settings(self.source, written, cut.info.path, cut.keep)
        return config

    def run_in_place(self) -> None:
        """The plan run in the source model, in float32: what the written model will have to give."""
        merged = self.files.gguf is not None or self.files.adapter is not None
        loaded = self.load(self.request.model, device=self.request.device, dtype=self.info.dtype if merged else "float32")
        if merged:
            self.tensors = dict(loaded.model.state_dict())
        if self.files.gguf is not None and loaded.model.generation_config is not None:
            self.generation = loaded.model.generation_config.to_json_string()
        compare.in_float32(loaded.model)
        ids = compare.real_ids(self.card.tokenizer_folder)
        self.questions = compare.questions_for(loaded.model, ids, self.info.max_context_tokens)
        self.say(Message(id="Running the plan in the source model"))
        for cut in self.cuts:
            if cut.halves:
                self.zeros += output_projections(loaded, loaded.stack(cut.info.name), cut.halves, self.questions.random[0])
        first = {cut.info.name: loaded.stack(cut.info.name).blocks[cut.keep[0]] for cut in self.cuts}
        with all_left_out(loaded, self.cuts), compare.reaching(first):
            try:
                self.answers = compare.ask(loaded.model, self.questions)
            except compare.FAILURES as exc:
                raise ModelError(
                    "{model} cannot run the test input that an export is proved with ({reason}). Skip the layers at run time instead "
                    "(python -m analysis run-plan).",
                    model=self.info.name,
                    reason=first_line(exc),
                ) from exc
        del loaded
        gc.collect()

    def source_places(self) -> list[Path]:
        """Where the source lies."""
        checkpoint = None if self.files.checkpoint is None else self.files.checkpoint.folder
        return [place for place in (self.files.gguf, checkpoint, self.files.adapter) if place is not None]

    def pieces(self) -> list[Piece]:
        """The tensors of the written model under their new names, in the source's order."""
        if self.tensors is None:
            assert self.files.checkpoint is not None
            pieces = self._used(pieces_of_files(self.files.checkpoint.weight_files))
        else:
            pieces = pieces_of_model(self.tensors)
        if missing := sorted(set(self.zeros) - {piece.name for piece in pieces}):
            raise PlanError(
                "The weight files hold {name} under another name, so it cannot be set to zero there. Skip it at run time instead "
                "(python -m analysis run-plan).",
                name=missing[0],
            )
        pieces = [piece.zeroed() if piece.name in self.zeros else piece for piece in pieces]
        for cut in self.cuts:
            if cut.is_cut:
                pieces = _without(pieces, cut)
        return pieces

    def _used(self, pieces: list[Piece]) -> list[Piece]:
        """Without the weights that the model's class does not read; one that it reads and that is missing is an error."""
        report = compare.loading_report(self.files.checkpoint.folder if self.files.checkpoint else Path(), type(self.source))
        if missing := sorted(report["missing_keys"]):
            raise ModelError(
                "{model} lacks the weights of {key} and would get random ones, so an export could not be proved. Save the model with "
                "the class it is used with (save_pretrained) and export that folder.",
                model=self.info.name,
                key=missing[0],
            )
        unused = set(report["unexpected_keys"])
        if gone := [piece.name for piece in pieces if piece.name in unused]:
            self.notes.append(
                Message(
                    id="{count} weights of the source that {architecture} does not use, such as {name}, were left out.",
                    values={"count": len(gone), "architecture": type(self.source).__name__, "name": gone[0]},
                )
            )
        return [piece for piece in pieces if piece.name not in unused]

    def write(self, folder: Path, pieces: Sequence[Piece], config: Any) -> None:
        """Weights, config, tokenizer and the rest."""
        sizes = [file.stat().st_size for file in self.files.checkpoint.weight_files] if self.files.checkpoint else [2**62]
        writing = Writing(sum(piece.n_bytes for piece in pieces), self.on_progress, self.should_stop)
        write_shards(folder, pieces, max(sizes), writing)
        raw = self.files.checkpoint.config if self.files.checkpoint else {}
        write_synced(folder / "config.json", _config_text(config, raw))
        for file in self._companions():
            write_synced(folder / file.name, file.read_bytes())
        if self.generation is not None:
            write_synced(folder / "generation_config.json", self.generation.encode())

    def _companions(self) -> list[Path]:
        """Tokenizer, chat template and the like; an adapter's own win over its model's, a converted tokenizer fills in."""
        checkpoint = self.files.checkpoint.folder if self.files.checkpoint else None
        return companions([self.card.tokenizer_folder if self.files.gguf else None, checkpoint, self.files.adapter])

    def prove(self, folder: Path, pieces: Sequence[Piece]) -> _Proof:
        """Loads the written folder anew and compares; raises when anything differs."""
        self.say(Message(id="Checking the written model"))
        if not self.whole:
            return self._prove_block_by_block(folder, pieces)
        model = compare.reload(folder, device=resolve_device(self.request.device))
        self._check_tokenizer(folder)
        try:
            difference = compare.difference(self.answers, compare.ask(model, self.questions))
        except compare.FAILURES as exc:
            raise PlanError(
                "The written model loads but does not run ({reason}), so it was not kept. Choose other layers, or skip these at run time "
                "instead (python -m analysis run-plan).",
                reason=first_line(exc),
            ) from exc
        _require_equal(difference)
        if not self.questions.real:
            self.notes.append(Message(id="The model has no tokenizer that reads prompts, so it was compared on random input only."))
        return _Proof("reloaded", difference, self.questions.n_random_tokens, self.questions.n_real_tokens, count(model))

    def _prove_block_by_block(self, folder: Path, pieces: Sequence[Piece]) -> _Proof:
        assert self.files.checkpoint is not None
        source = Side(self.source, pieces_of_files(self.files.checkpoint.weight_files))
        device = resolve_device(self.request.device)
        model, difference, n_tokens = prove_block_by_block(source, pieces, folder, self.cuts, device=device, checkpoint=self.check_stop)
        _require_equal(difference)
        self.notes.append(
            Message(
                id=(
                    "The model does not fit into the memory of {device}, so it was not run as a whole: every weight is equal to its source "
                    "bit for bit, and every layer was run alone in both models."
                ),
                values={"device": str(device)},
            )
        )
        return _Proof("block_by_block", difference, n_tokens, 0, count(model))

    def _check_tokenizer(self, folder: Path) -> None:
        """The tokenizer that was copied reads prompts as the source's does."""
        if (folder / "tokenizer.json").is_file() and compare.real_ids(folder) != compare.real_ids(self.card.tokenizer_folder):
            raise PlanError("The written tokenizer reads prompts differently from the model's own, so the export was not kept. Try again.")

    def report(self, target: Path, folder: Path, proof: _Proof) -> ExportReport:
        """What was written, and the proof."""
        first = self.cuts[0]
        return ExportReport(
            plan_id=self.request.plan.id,
            model_name=self.info.name,
            model_commit=self.info.commit,
            folder=str(target),
            files={file.name: file.stat().st_size for file in sorted(folder.iterdir())},
            n_blocks=Quantity(before=first.info.n_blocks, after=len(first.keep)),
            n_parameters=Quantity(before=self.info.n_parameters, after=proof.n_parameters),
            method=proof.method,
            max_logit_difference=proof.difference,
            n_random_tokens=proof.n_random,
            n_real_tokens=proof.n_real,
            notes=(*self.notes, *notes_of(self.request.plan, self.cuts)),
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )


def _prepared(
    request: ExportRequest,
    load: Callable[..., LoadedModel],
    on_progress: OnProgress,
    should_stop: Callable[[], bool],
    memory: Callable[[torch.device], int | None],
) -> _Job:
    """Everything that can be refused without reading a weight."""

    def tell(stage: Message) -> None:
        on_progress(Progress(stage=stage))

    card = describe_model(request.model, on_progress=tell)
    cuts = cuts_of(request.plan, card.info, zeroed=request.zeroed)
    files = find_files(request.model, weights=True, on_progress=tell)
    if files.checkpoint is not None and "quantization_config" in files.checkpoint.config:
        raise ModelError(
            "{model} is quantised, and its packed weights cannot be cut layer by layer. Export the unquantised model, then quantise that.",
            model=files.name,
        )
    merged = files.gguf is not None or files.adapter is not None
    whole = merged or _fits(card.info, resolve_device(request.device), memory)
    if not whole and request.zeroed:
        raise PlanError(
            "{model} does not fit into memory, so zeroed output projections could not be proved. Export it on a larger machine, or skip "
            "the units at run time (python -m analysis run-plan).",
            model=files.name,
        )
    return _Job(
        request, files, card, cuts, _source(files, card.info), load, on_progress, should_stop, whole, _merged_notes(files, card.info)
    )


def _fits(info: ModelInfo, device: torch.device, memory: Callable[[torch.device], int | None]) -> bool:
    """Whether the model can be run as a whole in float32. The two are run one after the other, never both at once."""
    free = memory(device)
    return free is None or info.n_parameters * 4 * _MARGIN <= free


def _source(files: ModelFiles, info: ModelInfo) -> PreTrainedModel:
    """The source model without weights."""
    if files.gguf is not None:
        config = gguf.read_config(files.gguf)
        config.dtype = info.dtype
    else:
        assert files.checkpoint is not None
        config = compare.read_folder_config(files.checkpoint.folder)
    return compare.without_weights(config, model_class(files.name, config))


def _merged_notes(files: ModelFiles, info: ModelInfo) -> list[Message]:
    if files.gguf is None and files.adapter is None:
        return []
    return [
        Message(
            id="The weights were written in {dtype}, as the expanded or merged model has them on a GPU; that model is what was compared.",
            values={"dtype": info.dtype},
        )
    ]


def _without(pieces: Sequence[Piece], cut: StackCut) -> list[Piece]:
    prefix = block_prefix([piece.name for piece in pieces], cut.info.path, cut.info.n_blocks)
    named = [(piece, renumbered(piece.name, prefix, cut.keep)) for piece in pieces]
    return [piece.renamed(name) for piece, name in named if name is not None]


def _config_text(config: Any, raw: Mapping[str, Any]) -> bytes:
    """What the source's config.json says, and whatever else is not the class's default."""
    full, needed = json.loads(config.to_json_string(use_diff=False)), json.loads(config.to_json_string(use_diff=True))
    kept = {name: value for name, value in full.items() if (name in raw or name in needed) and name != "auto_map"}  # its code stays behind
    return (json.dumps(kept, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _require_equal(difference: float) -> None:
    if difference != 0.0:
        raise PlanError(
            "The written model is not the plan run in the source model: their scores differ by up to {difference}. It was not kept. Skip "
            "these layers at run time instead (python -m analysis run-plan).",
            difference=f"{difference:.3g}",
        )
