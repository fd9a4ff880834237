"""The store: rows in a database, documents in files, several views on them."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from analysis.contracts import (
    BusinessCase,
    CaseEvidence,
    Healing,
    HealRequest,
    Plan,
    Profile,
    ProfileRequest,
    Ranking,
    RankingRequest,
    Robustness,
    RobustnessRequest,
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
from analysis.errors import DocumentError, InputError
from analysis.home import home
from analysis.runs.artifacts import Artifacts
from analysis.runs.case_library import CaseLibrary
from analysis.runs.database import Database
from analysis.runs.document_library import Origin
from analysis.runs.healing_library import HealingLibrary
from analysis.runs.keys import (
    Known,
    heal_key,
    ranking_key,
    request_key,
    robustness_key,
    semantics_key,
    shaping_key,
    stack_of,
    trial_key,
    verify_key,
    was_traced,
)
from analysis.runs.plan_documents import PlanDocuments
from analysis.runs.plan_evidence import Evidence, evidence_in
from analysis.runs.queue import Queue
from analysis.runs.ranking_library import RankingLibrary
from analysis.runs.records import ExportBook, LatencyBook, StepBook
from analysis.runs.robustness_library import RobustnessLibrary
from analysis.runs.rollout_library import RolloutLibrary
from analysis.runs.run_library import SAMPLE_RUN, RunLibrary
from analysis.runs.samples import Samples
from analysis.runs.search_library import SearchLibrary
from analysis.runs.semantics_library import SemanticsLibrary
from analysis.runs.shelf import PlanShelf
from analysis.runs.trial_library import TrialLibrary
from analysis.runs.verification_library import VerificationLibrary
from analysis.runs.workers import Workers

E = TypeVar("E", Verification, Trial, Healing, Robustness)


class Store:
    """Everything that outlives a process.

    Attributes:
        queue: jobs.
        workers: who works on which device.
        runs: stored profiles.
        plans: stored plans.
        searches: stored searches.
        rankings: stored rankings.
        verifications: stored verifications.
        semantics: stored traces.
        trials: stored trials and sweeps.
        healings: stored healings.
        robustness: stored robustness tests.
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
        self.rankings = RankingLibrary(database, artifacts, samples)
        self.verifications = VerificationLibrary(database, artifacts, samples)
        self.semantics = SemanticsLibrary(database, artifacts, samples)
        self.trials = TrialLibrary(database, artifacts, samples)
        self.healings = HealingLibrary(database, artifacts, samples)
        self.robustness = RobustnessLibrary(database, artifacts, samples)
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

    def keep_ranking(self, request: RankingRequest, ranking: Ranking) -> str:
        """Stores a ranking; a complete one answers the same request at once from now on. Returns its id."""
        ranking_id = self.rankings.keep(ranking)
        if ranking.complete:
            commit, workload, device = ranking.model.commit, ranking.workload.content_hash, ranking.settings.device
            self.rankings.remember(ranking_key(request, commit=commit, workload_hash=workload, device=device), ranking_id)
        return ranking_id

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
        return self._attached(self.verifications, request.plan, verification, "measured", key)

    def keep_trial(self, request: TrialRequest, trial: Trial) -> str:
        """Stores a trial, writes it into its plan, and keeps the step times measured on the way; returns its id."""
        commit, workload, device = trial.model_commit, trial.workload.content_hash, trial.machine.device
        key = trial_key(request, commit=commit, workload_hash=workload, device=device, host=this_host(), traced=was_traced(trial))
        if trial.steps is not None:
            self.steps.keep(trial.steps, this_host())
        return self._attached(self.trials, request.plan, trial, "measured", key)

    def keep_healing(self, request: HealRequest, healing: Healing) -> str:
        """Stores a healing and writes it into its plan; returns its id."""
        commit, workload, device = healing.model_commit, healing.workload.content_hash, healing.machine.device
        key = heal_key(request, commit=commit, workload_hash=workload, device=device, host=this_host())
        return self._attached(self.healings, request.plan, healing, "measured", key)

    def keep_robustness(self, request: RobustnessRequest, found: Robustness) -> str:
        """Stores a robustness test and writes it into its plan; returns its id."""
        commit, workload, device = found.model_commit, found.workload.content_hash, found.machine.device
        key = robustness_key(request, commit=commit, workload_hash=workload, device=device, host=this_host())
        return self._attached(self.robustness, request.plan, found, "measured", key)

    def trial_answer(self, request: TrialRequest, known: Known, host: str) -> str | None:
        """The id of the trial that says all that this one would: what rules by traces choose too, if there are traces now."""
        traces = self.semantics.for_model(known["commit"], stack_of(request), known["workload_hash"])
        enough = (True, False) if traces is None else (True,)
        keys = (trial_key(request, **known, host=host, traced=traced) for traced in enough)
        return next(filter(None, map(self.trials.answer, keys)), None)

    def healing_answer(self, key: str) -> str | None:
        """The id of the healing that answers a request, as long as the model it wrote is still where it was written."""
        found = self.healings.answer(key)
        if found is None:
            return None
        with suppress(DocumentError):
            folder = self.healings.healing(found).folder
            return found if folder is None or Path(folder).is_dir() else None
        return None

    def add_evidence(self, found: Evidence) -> str:
        """Stores what a plan was run by elsewhere, and writes it into its plan if that is here; its times stay that machine's.
        Returns its id."""
        if isinstance(found, Verification):
            return self._brought(self.verifications, found)
        if isinstance(found, Trial):
            return self._brought(self.trials, found)
        return self._brought(self.healings, found) if isinstance(found, Healing) else self._brought(self.robustness, found)

    def add_trial(self, trial: Trial) -> str:
        """Stores a trial made elsewhere; see `add_evidence`."""
        return self._brought(self.trials, trial)

    def add_verification(self, verification: Verification) -> str:
        """Stores a verification made elsewhere; see `add_evidence`."""
        return self._brought(self.verifications, verification)

    def delete_verification(self, verification_id: str) -> None:
        """Takes a verification out of the store and out of its plan."""
        self._delete(self.verifications, verification_id)

    def delete_trial(self, trial_id: str) -> None:
        """Takes a trial out of the store and out of its plan."""
        self._delete(self.trials, trial_id)

    def delete_healing(self, healing_id: str) -> None:
        """Takes a healing out of the store and out of its plan; a model it wrote stays."""
        self._delete(self.healings, healing_id)

    def delete_robustness(self, robustness_id: str) -> None:
        """Takes a robustness test out of the store and out of its plan."""
        self._delete(self.robustness, robustness_id)

    def add_plan(self, plan: Plan) -> str:
        """Stores a plan made elsewhere with the evidence and the case it carries, or that came before it; returns its id."""
        plan_id = self.plans.save(plan)
        for carried in evidence_in(plan).values():
            self.add_evidence(carried)
        if plan.business_case is not None:
            self.add_case(plan.business_case)
        stored = self.plans.plan(plan_id)
        waiting: dict[str, Evidence | None] = {
            "verification": self.verifications.newest_of(plan_id),
            "trial": self.trials.newest_of(plan_id),
            "healing": self.healings.newest_of(plan_id),
            "robustness": self.robustness.newest_of(plan_id),
        }
        for field, found in waiting.items():
            if found is not None and field not in evidence_in(stored):
                self.plans.attach(stored, found)
        return plan_id

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

    def _attached(self, library: PlanDocuments[E], plan: Plan, found: E, origin: Origin, key: str) -> str:
        document_id = library.add(found, origin=origin, request_key=key)
        self.plans.attach(plan, found.model_copy(update={"id": document_id}))
        return document_id

    def _brought(self, library: PlanDocuments[E], found: E) -> str:
        if any(plan.id == found.plan_id for plan in self.plans.plans()):
            return self._attached(library, self.plans.plan(found.plan_id), found, "imported", "")
        return library.add(found, origin="imported")

    def _delete(self, library: PlanDocuments[E], document_id: str) -> None:
        plan_id = library.delete(document_id)
        if plan_id is not None:
            self.plans.detach(plan_id, document_id, library.evidence, library.newest_of(plan_id))


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
