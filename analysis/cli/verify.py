"""`verify`: run a plan beside the untouched model, and hold it against limits set beforehand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from analysis.cli import options
from analysis.cli.choosing import chosen_workload, stoppable
from analysis.cli.documents import read_plan, write_document, write_text
from analysis.cli.progress import shown_progress
from analysis.cli.terminal import Terminal, check_output, examples, paragraphs, stopping, terminal_of
from analysis.contracts import LatencyModel, ModelInfo, Plan, Progress, Projection, Verification, VerificationSettings, VerifyRequest
from analysis.errors import GuardrailMissed
from analysis.i18n import N_, Language, render
from analysis.i18n.numbers import number
from analysis.planning.guardrails import parse_guardrail

if TYPE_CHECKING:
    from analysis.runs.slot import ModelSlot
    from analysis.runs.store import Store

SHORT_HELP = N_("Test a plan on prompts it was not chosen from.")
HELP = paragraphs(
    N_("Run a plan beside the untouched model on the half of a workload that it was not chosen from, and hold it against limits."),
    N_("Examples:"),
    examples(
        'python -m analysis verify --plan plan.json --workload prompts.jsonl --guardrail "perplexity<=1.05x" --out verification.json',
        'python -m analysis verify --plan plan.json --guardrail "perplexity@order entry<=+8%" --guardrail "flips@critical<=25%" \\',
        "    --certificate certificate.html --made-by Sato",
    ),
    N_(
        "Exits with 3 when a limit is missed, or when the data cannot decide it and --allow-undecided is not given. "
        "The result file is written before that. It holds no prompt and no answer unless --texts is given."
    ),
)
_DEFAULTS = VerificationSettings()


def verify(
    ctx: typer.Context,
    plan: options.PlanFile,
    model: options.PlansModel = None,
    workload: options.Tested = None,
    guardrail: options.Guardrails = None,
    out: options.OutVerification = None,
    allow_undecided: options.AllowUndecided = False,
    texts: options.Texts = False,
    certificate: options.CertificateFile = None,
    made_by: options.MadeBy = "",
    checked_by: options.CheckedBy = "",
    approved_by: options.ApprovedBy = "",
    generate: options.Generate = _DEFAULTS.generate,
    new_tokens: options.NewTokens = _DEFAULTS.new_tokens,
    cost: options.Cost = True,
    batch_size: options.BatchSizes = None,
    prompt_tokens: options.PromptTokens = None,
    task: options.Tasks = None,
    map_: options.Mapping = None,
    slicing: options.Slicing = "given",
    mask: options.Mask = False,
    slice_: options.Slices = None,
    chat_template: options.ChatTemplate = True,
    device: options.Device = "auto",
    dtype: options.Number = "auto",
    max_tokens: options.MaxTokens = 1024,
    batch_tokens: options.BatchTokens = None,
    store: options.KeepVerification = True,
) -> None:
    """Tests, writes what came of it, says each limit's verdict, and fails when one is missed."""
    from analysis.models.source import parse_source

    terminal = terminal_of(ctx)
    for path in (out, certificate):
        if path is not None and str(path) != "-":
            check_output(path)
    for text in guardrail or ():
        parse_guardrail(text)
    tested = read_plan(plan, terminal)
    settings = VerificationSettings(
        device=device,
        dtype=dtype,
        max_tokens=max_tokens,
        batch_tokens=batch_tokens,
        chat_template=chat_template,
        slices=tuple(slice_ or ()),
        generate=generate,
        new_tokens=new_tokens,
        batch_sizes=tuple(batch_size or _DEFAULTS.batch_sizes),
        prompt_tokens=tuple(prompt_tokens or _DEFAULTS.prompt_tokens),
        cost=cost,
        tasks=tuple(task or ()),
    )
    choice = chosen_workload(parse_source(model) if model else tested.model.source, workload, map_, slicing, mask)
    lean = tested.model_copy(update={"verification": None, "business_case": None})
    request = VerifyRequest(**choice.model_dump(), plan=lean, settings=settings, guardrails=tuple(guardrail or ()))
    found = _verified(request, terminal, store, out, _Page(certificate, (made_by, checked_by, approved_by), texts))
    summarise(found, out, terminal)
    _end(found, allow_undecided, plan, out, terminal)


@dataclass(frozen=True)
class _Page:
    """The certificate that was asked for."""

    path: Path | None
    names: tuple[str, str, str]
    texts: bool

    def write(self, found: Verification, plan: Plan, terminal: Terminal) -> None:
        """Writes it, in the terminal's language."""
        if self.path is None:
            return
        from analysis.reporting.certificate import Names, certificate_html

        page = certificate_html(found, plan, language=terminal.language, names=Names(*self.names), with_texts=self.texts)
        write_text(page, self.path)
        if str(self.path) != "-":
            terminal.tell("Wrote {path}.", path=str(self.path))


def _verified(request: VerifyRequest, terminal: Terminal, keep: bool, out: Path | None, page: _Page) -> Verification:
    """The verification; its files are written first, so that a store that is full or locked costs nothing."""
    from analysis.runs.slot import ModelSlot
    from analysis.runs.store import open_store
    from analysis.verification.run import run_verification

    store, slot = open_store() if keep else None, ModelSlot()
    with stopping() as should_stop:
        with shown_progress(terminal) as show:
            watch = stoppable(show, should_stop)
            projection = request.plan.projection
            if store is not None:
                projection = _promised(request, terminal, store, slot, watch, should_stop)
            found = run_verification(
                request,
                load=slot.load,
                on_progress=watch,
                should_stop=should_stop,
                projection=projection,
                store_texts=keep or page.texts,
            )
        if out is not None:
            write_document(found if page.texts else found.without_texts(), out)
        page.write(found, request.plan, terminal)
        if store is not None:
            store.keep_verification(request, found)
    return found


def _promised(
    request: VerifyRequest,
    terminal: Terminal,
    store: Store,
    slot: ModelSlot,
    show: Callable[[Progress], None],
    should_stop: Callable[[], bool],
) -> Projection | None:
    """What the plan promises by all that is kept for this machine; times are measured first where none are."""
    from analysis.models.device import device_name
    from analysis.runs.jobs_measured import projection_here
    from analysis.runs.machine import latency_here, measure_here
    from analysis.workload import requested_workload

    settings, plan = request.settings, request.plan
    if settings.cost and plan.projection is not None and _fits(request):
        requested_workload(request)  # a workload that cannot be read is said before anything is measured
        loaded = slot.load(request.model, settings.device, settings.dtype)
        known = latency_here(store, loaded.info, settings.device, settings.dtype, plan.model.stack)
        if known is None or not _reach(known, settings, loaded.info):
            terminal.tell(
                "No times of {model} on {device} are kept, so they are measured first, at batch sizes {batches} and {lengths} tokens.",
                model=loaded.info.name,
                device=device_name(loaded.device),
                batches=settings.batch_sizes,
                lengths=settings.prompt_tokens,
            )
            measure_here(
                store,
                loaded,
                plan.model.stack,
                batch_sizes=settings.batch_sizes,
                prompt_tokens=settings.prompt_tokens,
                on_progress=show,
                should_stop=should_stop,
            )
    return projection_here(store, request)


def _reach(known: LatencyModel, settings: VerificationSettings, info: ModelInfo) -> bool:
    """Whether the times that are kept were measured at the sizes that are asked for, as far as the model can read them."""
    longest = info.max_context_tokens or max(settings.prompt_tokens)
    sizes = {(shape.batch_size, shape.context_tokens) for shape in known.shapes}
    return sizes >= {(batch, length) for batch in settings.batch_sizes for length in settings.prompt_tokens if length <= longest}


def _fits(request: VerifyRequest) -> bool:
    """Whether the plan is for this model; if not, the verification itself says why, before anything is measured."""
    from analysis.models.load import describe_model
    from analysis.planning import check_plan

    return not check_plan(request.plan, describe_model(request.model).info)


def summarise(found: Verification, out: Path | None, terminal: Terminal) -> None:
    """What came of it: quality, cost, each limit."""
    language = terminal.language
    for note in found.notes:
        terminal.hear(note)
    ratio = found.quality.perplexity_ratio
    if ratio.value is not None:
        terminal.tell(
            "Perplexity {before} -> {after}: {ratio}x ({low} to {high}), over {n} prompts that the plan was not chosen from.",
            before=_figure(found.quality.perplexity_original.value, language),
            after=_figure(found.quality.perplexity_plan.value, language),
            ratio=_figure(ratio.value, language),
            low=_figure(ratio.low, language),
            high=_figure(ratio.high, language),
            n=found.quality.n_examples,
        )
    for point in found.cost:
        terminal.tell(
            "Batch of {batch}, prompts of {length} tokens: {before} -> {after} ms to read, on {device}.",
            batch=point.batch_size,
            length=point.prompt_tokens,
            before=number(point.prefill_ms.original.p50, language, 1),
            after=number(point.prefill_ms.plan.p50, language, 1),
            device=found.machine.device_name,
        )
    for result in found.guardrails:
        terminal.tell("{limit}: {reason}", limit=result.guardrail.text, reason=render(result.reason, language))
    if out is not None and str(out) != "-":
        terminal.tell("Wrote {path}.", path=str(out))


def _figure(value: float | None, language: Language) -> str:
    return "-" if value is None else number(value, language, 3)


def _end(found: Verification, allow_undecided: bool, plan: str, out: Path | None, terminal: Terminal) -> None:
    """The last line: a limit that was missed, or else the command that goes on from the file."""
    _gate(found, allow_undecided)
    if out is not None and str(out) != "-":
        command = f"python -m analysis roi --plan {plan} --verification {out} --bill 1200000 --out case.json"
        terminal.tell("Next: {command}", command=command)


def _gate(found: Verification, allow_undecided: bool) -> None:
    """Fails a build whose plan missed a limit.

    Raises:
        GuardrailMissed: a limit was missed, or is undecided and that is not allowed.
    """
    missed = _limits(found, "outside")
    if missed:
        raise GuardrailMissed("Outside the limits set beforehand: {limits}. Remove less, or choose another plan.", limits=missed)
    undecided = _limits(found, "undecided")
    if undecided and not allow_undecided:
        raise GuardrailMissed(
            "There is not enough data to decide: {limits}. Give more prompts, or accept this with --allow-undecided.", limits=undecided
        )


def _limits(found: Verification, verdict: str) -> tuple[str, ...]:
    return tuple(result.guardrail.text for result in found.guardrails if result.verdict == verdict)
