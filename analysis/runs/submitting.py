"""What pages and terminal may ask workers to do. What was done before is answered from the store at once. Free of torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

from analysis.contracts import (
    DType,
    ExportRequest,
    HealRequest,
    Job,
    JobKind,
    ModelSource,
    Plan,
    ProfileRequest,
    RankingRequest,
    RobustnessRequest,
    SearchRequest,
    SemanticRequest,
    StepsRequest,
    TrialRequest,
    VerificationSettings,
    VerifyRequest,
    WorkloadChoice,
)
from analysis.errors import InputError, PlanError
from analysis.models.source import source_label
from analysis.planning import parse_amount
from analysis.planning.guardrails import parse_guardrail
from analysis.runs.executor import Executor
from analysis.runs.keys import (
    Known,
    heal_key,
    judged_on,
    ranking_key,
    request_key,
    robustness_key,
    semantics_key,
    shaping_key,
    trial_key,
    verify_key,
)
from analysis.runs.plan_evidence import lean
from analysis.runs.store import Store

LATENCY_POINTS = VerificationSettings()
"""Where latency is measured for projections: at the sizes a verification measures, so that the two can be compared."""


class Submitting(ABC):
    """The half of the client that hands work to workers."""

    _store: Store
    _executor: Executor

    def submit_profile(self, request: ProfileRequest, *, force: bool = False) -> Job:
        """Asks for a profile. The same inputs as before are answered from the store at once, unless `force` measures again.

        Raises:
            ModelError: there is no such device.
            WorkloadError: the workload cannot be read.
        """
        known = self._known(request, request.settings.device)
        key = request_key(request, **known) if known is not None else None
        answer = None if force or key is None else self._store.runs.answer(key)
        payload = {"request": request.model_dump(mode="json"), "force": force}
        name = request.name or source_label(request.model)
        return self._submit("profile", name, payload, request.settings.device, twin=(key,), result_id=answer)

    def submit_semantics(self, request: SemanticRequest, *, force: bool = False) -> Job:
        """Asks for traces, and the profile that comes out of the same pass. The same inputs as before are answered from the
        store at once, unless `force` measures again.

        Raises:
            ModelError: there is no such device.
            WorkloadError: the workload cannot be read.
        """
        known = self._known(request, request.settings.device)
        key = semantics_key(request, **known) if known is not None else None
        answer = None if force or key is None else self._store.semantics.answer(key)
        payload = {"request": request.model_dump(mode="json"), "force": force}
        name = request.name or source_label(request.model)
        return self._submit("semantics", name, payload, request.settings.device, twin=(key,), result_id=answer)

    def submit_search(self, request: SearchRequest, *, force: bool = False) -> Job:
        """Asks for an ablation scan, and for sets found by the strategies named in its settings.

        What is wholly measured already is answered at once, for smaller limits too; else only what is missing is run.
        `force` measures everything again.

        Raises:
            PlanError: the limit cannot be read.
            ModelError: there is no such device.
            WorkloadError: the workload cannot be read.
        """
        parse_amount(request.settings.limit)
        known = self._known(request, request.settings.device)
        key = shaping_key(request, **known) if known is not None else None
        answer = None if force or key is None else self._store.searches.answer(key, request.settings)
        payload = {"request": request.model_dump(mode="json"), "force": force}
        name = request.name or source_label(request.model)
        return self._submit("search", name, payload, request.settings.device, twin=(key,), result_id=answer)

    def submit_verify(self, request: VerifyRequest, *, force: bool = False) -> Job:
        """Asks for a plan to be run beside the untouched model. The same test on this machine is answered from the store,
        unless `force` runs it again.

        Raises:
            PlanError: the plan is for another model, or a limit cannot be read.
            ModelError: there is no such device.
            WorkloadError: the workload cannot be read.
        """
        for text in request.guardrails:
            parse_guardrail(text)
        self._check_fit(request.plan, request.model)
        asked = request.model_copy(update={"plan": lean(request.plan)})
        known = self._known(judged_on(asked), request.settings.device)
        key = verify_key(asked, **known, host=self._machine() or "") if known is not None else None
        answer = None if force or key is None else self._store.verifications.answer(key)
        payload = {"request": asked.model_dump(mode="json"), "force": force}
        name = request.plan.name or request.plan.id
        return self._submit("verify", name, payload, request.settings.device, twin=(key,), result_id=answer)

    def submit_trial(self, request: TrialRequest, *, force: bool = False) -> Job:
        """Asks for a plan to be tried: a real fine-tune beside full fine-tuning and LoRA, or a sweep over boundaries.
        The same trial on this machine is answered from the store, unless `force` trains again, or traces came since, by which
        more rules choose.

        Raises:
            PlanError: the plan is for another model.
            ModelError: there is no such device.
            WorkloadError: the workload cannot be read.
        """
        self._check_fit(request.plan, request.model)
        asked = request.model_copy(update={"plan": lean(request.plan)})
        known = self._known(judged_on(asked), request.settings.device)
        host = self._machine() or ""
        key = trial_key(asked, **known, host=host) if known is not None else None
        answer = None if force or known is None else self._store.trial_answer(asked, known, host)
        payload = {"request": asked.model_dump(mode="json"), "force": force}
        name = request.plan.name or request.plan.id
        return self._submit("trial", name, payload, request.settings.device, twin=(key,), result_id=answer)

    def submit_ranking(self, request: RankingRequest, *, force: bool = False) -> Job:
        """Asks for a ranking by many voters and their consensus, step by step where the settings name an amount.

        The same ranking is answered at once; one that was stopped goes on from its last step. `force` measures it all again.

        Raises:
            PlanError: the amount cannot be read.
            ModelError: there is no such device.
            WorkloadError: the workload cannot be read.
        """
        if request.settings.amount:
            parse_amount(request.settings.amount)
        known = self._known(request, request.settings.device)
        key = ranking_key(request, **known) if known is not None else None
        answer = None if force or key is None else self._store.rankings.answer(key)
        payload = {"request": request.model_dump(mode="json"), "force": force}
        name = request.name or source_label(request.model)
        return self._submit("ranking", name, payload, request.settings.device, twin=(key,), result_id=answer)

    def submit_heal(self, request: HealRequest, *, force: bool = False) -> Job:
        """Asks for a plan that cuts to be healed by a short training, beside the uncut model trained the same way. The same
        healing on this machine is answered from the store while the model it wrote is still there, unless `force` trains again.

        Raises:
            PlanError: the plan is for another model, or takes nothing out.
            ModelError: there is no such device.
            WorkloadError: the workload cannot be read.
        """
        self._check_cuts(request.plan, request.model)
        folder = str(Path(request.save_folder).expanduser().absolute()) if request.save_folder else None
        asked = request.model_copy(update={"plan": lean(request.plan), "save_folder": folder})
        known = self._known(judged_on(asked), request.settings.device)
        key = heal_key(asked, **known, host=self._machine() or "") if known is not None else None
        answer = None if force or key is None else self._store.healing_answer(key)
        payload = {"request": asked.model_dump(mode="json"), "force": force}
        name = request.plan.name or request.plan.id
        return self._submit("heal", name, payload, request.settings.device, twin=(key,), result_id=answer)

    def submit_robustness(self, request: RobustnessRequest, *, force: bool = False) -> Job:
        """Asks how well a plan and the original bear disturbed input. The same test on this machine is answered from the store,
        unless `force` runs it again.

        Raises:
            PlanError: the plan is for another model, or takes nothing out.
            ModelError: there is no such device.
            WorkloadError: the workload cannot be read.
        """
        self._check_cuts(request.plan, request.model)
        asked = request.model_copy(update={"plan": lean(request.plan)})
        known = self._known(judged_on(asked), request.settings.device)
        key = robustness_key(asked, **known, host=self._machine() or "") if known is not None else None
        answer = None if force or key is None else self._store.robustness.answer(key)
        payload = {"request": asked.model_dump(mode="json"), "force": force}
        name = request.plan.name or request.plan.id
        return self._submit("robustness", name, payload, request.settings.device, twin=(key,), result_id=answer)

    def submit_steps(self, request: StepsRequest) -> Job:
        """Asks how long a training step takes on a device of this machine, so that freeze plans can be projected in time.

        Raises:
            ModelError: there is no such device.
        """
        payload = {"request": request.model_dump(mode="json")}
        return self._submit("steps", source_label(request.model), payload, request.device)

    def submit_export(self, request: ExportRequest) -> Job:
        """Asks for a plan's model as a Hugging Face folder; without a folder named it goes to `export_folder`.

        Raises:
            PlanError: the plan is for another model.
            ModelError: there is no such device.
        """
        self._check_fit(request.plan, request.model)
        folder = request.folder.strip() or str(self.export_folder(request.plan))
        asked = request.model_copy(update={"plan": lean(request.plan), "folder": str(Path(folder).expanduser().absolute())})
        payload = {"request": asked.model_dump(mode="json")}
        return self._submit("export", request.plan.name or request.plan.id, payload, request.device)

    def submit_latency(
        self,
        source: ModelSource,
        device: str = "auto",
        *,
        dtype: DType = "auto",
        batch_sizes: Sequence[int] = LATENCY_POINTS.batch_sizes,
        prompt_tokens: Sequence[int] = LATENCY_POINTS.prompt_tokens,
    ) -> Job:
        """Asks how long a model takes on a device of this machine, so that plans for it can be projected.

        Raises:
            InputError: a size or length is below 1, or there is none.
            ModelError: there is no such device.
        """
        if not batch_sizes or not prompt_tokens or min(*batch_sizes, *prompt_tokens) < 1:
            raise InputError("Batch sizes and prompt lengths start at 1. Give at least one of each.")
        placed = self._executor.place(device)
        about = {"dtype": dtype, "batch_sizes": list(batch_sizes), "prompt_tokens": list(prompt_tokens)}
        payload = {"source": source.model_dump(mode="json"), "device": placed, **about}
        return self._submit("latency", source_label(source), payload, placed)

    def submit_describe(self, source: ModelSource) -> Job:
        """Asks for a model's card: anatomy, tokenizer, identity."""
        return self._submit("describe", source_label(source), {"source": source.model_dump(mode="json")}, "cpu")

    def submit_sample_model(self) -> Job:
        """Asks for the sample model to be prepared."""
        return self._submit("sample_model", "sample", {}, "cpu")

    @abstractmethod
    def export_folder(self, plan: Plan) -> Path:
        """Where a plan's exports go unless another folder is named."""

    @abstractmethod
    def _submit(
        self,
        kind: JobKind,
        name: str,
        payload: Mapping[str, object],
        device: str,
        *,
        twin: Sequence[str | None] = (),
        result_id: str | None = None,
    ) -> Job:
        """Queues a job, or one that is answered already."""

    @abstractmethod
    def _known(self, request: WorkloadChoice, device: str) -> Known | None:
        """What a request's key is made of; None while the model's card is not there: then only the worker can tell."""

    @abstractmethod
    def _check_fit(self, plan: Plan, source: ModelSource) -> None:
        """Refuses a plan for another model before a worker has to, where the model's card is there."""

    @abstractmethod
    def _machine(self) -> str | None:
        """The machine whose times may be shown; None: a cluster, whose machines are told apart by their devices."""

    def _check_cuts(self, plan: Plan, source: ModelSource) -> None:
        """Refuses a plan that does not fit, or that leaves the model whole: there is nothing to heal or to hold beside it."""
        self._check_fit(plan, source)
        if not any(plan.removed.values()):
            raise PlanError(
                "The plan {plan} takes nothing out of the model. Choose a plan that skips or prunes layers.", plan=plan.name or plan.id
            )
