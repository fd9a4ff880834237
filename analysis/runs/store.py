"""The store: rows in a database, documents in files, several views on them."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path

from analysis.contracts import (
    BusinessCase,
    CaseEvidence,
    Plan,
    Profile,
    ProfileRequest,
    Search,
    SearchRequest,
    SemanticRequest,
    Semantics,
    Trial,
    TrialRequest,
    Verification,
    VerifyRequest,
    WorkloadInfo,
)
from analysis.economics.evidence import evidence_of
from analysis.errors import InputError
from analysis.home import home
from analysis.runs.artifacts import Artifacts
from analysis.runs.case_library import CaseLibrary
from analysis.runs.database import Database
from analysis.runs.document_library import Origin
from analysis.runs.keys import Known, request_key, semantics_key, shaping_key, stack_of, trial_key, verify_key, was_traced
from analysis.runs.queue import Queue
from analysis.runs.records import ExportBook, LatencyBook, StepBook
from analysis.runs.rollout_library import RolloutLibrary
from analysis.runs.run_library import SAMPLE_RUN, RunLibrary
from analysis.runs.samples import Samples
from analysis.runs.search_library import SearchLibrary
from analysis.runs.semantics_library import SemanticsLibrary
from analysis.runs.shelf import PlanShelf
from analysis.runs.trial_library import TrialLibrary
from analysis.runs.verification_library import VerificationLibrary
from analysis.runs.workers import Workers


class Store:
    """Everything that outlives a process.

    Attributes:
        queue: jobs.
        workers: who works on which device.
        runs: stored profiles.
        plans: stored plans.
        searches: stored searches.
        verifications: stored verifications.
        semantics: stored traces.
        trials: stored trials and sweeps.
        cases: stored business cases.
        rollouts: stored rollouts, one of a plan.
        latencies: stored latency models.
        steps: stored models of a training step's time.
        exports: what was exported.
    """

    def __init__(self, database: Database, artifacts: Artifacts, sample: Path = SAMPLE_RUN) -> None:
        samples = Samples(database, sample.parent)
        self.database = database
        self.queue = Queue(database)
        self.workers = Workers(database)
        self.runs = RunLibrary(database, artifacts, sample)
        self.plans = PlanShelf(database, artifacts, samples)
        self.searches = SearchLibrary(database, artifacts, samples)
        self.verifications = VerificationLibrary(database, artifacts, samples)
        self.semantics = SemanticsLibrary(database, artifacts, samples)
        self.trials = TrialLibrary(database, artifacts, samples)
        self.cases = CaseLibrary(database, artifacts, samples)
        self.rollouts = RolloutLibrary(database, samples)
        self.latencies = LatencyBook(database)
        self.steps = StepBook(database)
        self.exports = ExportBook(database)

    def keep(self, request: ProfileRequest, profile: Profile, *, again: bool = False) -> str:
        """Stores what a request came to, so that the same request is answered at once from now on; returns the run id."""
        run_id = self.runs.add(profile, again=again)
        commit, workload, device = profile.model.commit, profile.workload.content_hash, profile.timing.device
        self.runs.remember(request_key(request, commit=commit, workload_hash=workload, device=device), run_id)
        return run_id

    def keep_search(self, request: SearchRequest, search: Search) -> str:
        """Stores a finished search, so that whatever it holds is answered at once from now on; returns its id."""
        search_id = self.searches.keep(search, asked=request.settings)
        commit, workload, device = search.model.commit, search.workload.content_hash, search.settings.device
        self.searches.remember(shaping_key(request, commit=commit, workload_hash=workload, device=device), search_id)
        return search_id

    def keep_semantics(self, request: SemanticRequest, profile: Profile, found: Semantics, *, again: bool = False) -> str:
        """Stores both halves of what a traces request came to: the profile as any other, and the traces, whose id is returned."""
        self.keep(request, profile, again=again)
        semantics_id = self.semantics.add(found, again=again)
        commit, workload, device = found.model.commit, found.workload.content_hash, found.timing.device
        self.semantics.remember(semantics_key(request, commit=commit, workload_hash=workload, device=device), semantics_id)
        return semantics_id

    def keep_verification(self, request: VerifyRequest, verification: Verification) -> str:
        """Stores a verification and writes it into its plan; returns its id."""
        commit, workload, device = verification.model_commit, verification.workload.content_hash, verification.machine.device
        key = verify_key(request, commit=commit, workload_hash=workload, device=device, host=this_host())
        return self._attached(request.plan, verification, "measured", key)

    def keep_trial(self, request: TrialRequest, trial: Trial) -> str:
        """Stores a trial, writes it into its plan, and keeps the step times measured on the way; returns its id."""
        commit, workload, device = trial.model_commit, trial.workload.content_hash, trial.machine.device
        key = trial_key(request, commit=commit, workload_hash=workload, device=device, host=this_host(), traced=was_traced(trial))
        if trial.steps is not None:
            self.steps.keep(trial.steps, this_host())
        return self._tried(request.plan, trial, "measured", key)

    def trial_answer(self, request: TrialRequest, known: Known, host: str) -> str | None:
        """The id of the trial that says all that this one would: what rules by traces choose too, if there are traces now."""
        traces = self.semantics.for_model(known["commit"], stack_of(request), known["workload_hash"])
        enough = (True, False) if traces is None else (True,)
        keys = (trial_key(request, **known, host=host, traced=traced) for traced in enough)
        return next(filter(None, map(self.trials.answer, keys)), None)

    def add_trial(self, trial: Trial) -> str:
        """Stores a trial made elsewhere, and writes it into its plan if that is here; its times stay that machine's. Returns its id."""
        if any(plan.id == trial.plan_id for plan in self.plans.plans()):
            return self._tried(self.plans.plan(trial.plan_id), trial, "imported", "")
        return self.trials.add(trial, origin="imported")

    def delete_trial(self, trial_id: str) -> None:
        """Takes a trial out of the store and out of its plan."""
        plan_id = self.trials.delete(trial_id)
        if plan_id is not None:
            self.plans.detach_trial(plan_id, trial_id, self.trials.newest_of(plan_id))

    def add_verification(self, verification: Verification) -> str:
        """Stores a verification made elsewhere, and writes it into its plan if that is here; returns its id."""
        if any(plan.id == verification.plan_id for plan in self.plans.plans()):
            return self._attached(self.plans.plan(verification.plan_id), verification, "imported", "")
        return self.verifications.add(verification, origin="imported")

    def add_plan(self, plan: Plan) -> str:
        """Stores a plan made elsewhere with the verification, the trial and the case it carries, or that came before it; returns its id."""
        plan_id = self.plans.save(plan)
        if plan.verification is not None:
            self.verifications.add(plan.verification, origin="imported")
        if plan.trial is not None:
            self.trials.add(plan.trial, origin="imported")
        if plan.business_case is not None:
            self.add_case(plan.business_case)
        stored = self.plans.plan(plan_id)
        if stored.verification is None and (verification := self.verifications.newest_of(plan_id)) is not None:
            self.plans.attach(stored, verification)
        if stored.trial is None and (trial := self.trials.newest_of(plan_id)) is not None:
            self.plans.attach_trial(stored, trial)
        return plan_id

    def delete_verification(self, verification_id: str) -> None:
        """Takes a verification out of the store and out of its plan."""
        plan_id = self.verifications.delete(verification_id)
        if plan_id is not None:
            self.plans.detach(plan_id, verification_id, self.verifications.newest_of(plan_id))

    def add_case(self, case: BusinessCase) -> str:
        """Stores a business case made elsewhere; one that is here already stays as it is. Returns its id."""
        known = any(found.id == case.id for found in self.cases.cases(case.evidence.plan_id))
        return case.id if known else self.cases.save(case, origin="imported")

    def evidence(self, plan_id: str) -> CaseEvidence:
        """What is known of a stored plan: it carries its newest verification and its newest trial."""
        return evidence_of(self.plans.plan(plan_id))

    def workload_of(self, plan: Plan) -> WorkloadInfo | None:
        """The workload of a plan's run, else of its verification or trial; None: none of these is kept."""
        if plan.provenance.profile_id is not None:
            with suppress(InputError):
                return self.runs.profile(plan.provenance.profile_id).workload
        tested = plan.verification or plan.trial
        return tested.workload if tested is not None else None

    def _attached(self, plan: Plan, verification: Verification, origin: Origin, key: str) -> str:
        found = self.verifications.add(verification, origin=origin, request_key=key)
        self.plans.attach(plan, verification.model_copy(update={"id": found}))
        return found

    def _tried(self, plan: Plan, trial: Trial, origin: Origin, key: str) -> str:
        found = self.trials.add(trial, origin=origin, request_key=key)
        self.plans.attach_trial(plan, trial.model_copy(update={"id": found}))
        return found


def database_url() -> str:
    """``STRATA_DATABASE``, or an SQLite file under the storage folder."""
    return os.environ.get("STRATA_DATABASE") or f"sqlite:///{home() / 'strata.db'}"


def artifacts_url() -> str:
    """``STRATA_ARTIFACTS`` (any fsspec URL, for a team that shares its runs), or a folder under the storage folder."""
    return os.environ.get("STRATA_ARTIFACTS") or str(home() / "artifacts")


def open_store(sample: Path = SAMPLE_RUN) -> Store:
    """The store of this machine, made on first use.

    Raises:
        ResourceError: it cannot be written, is full, locked or damaged.
        InputError: STRATA_DATABASE names no usable database, or the store is of another version.
    """
    return Store(Database(database_url()), Artifacts(artifacts_url()), sample)


def this_host() -> str:
    """This machine's name, under which it takes jobs."""
    return socket.gethostname()
