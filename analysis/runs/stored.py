"""What is stored, as pages and terminal may ask for it: runs, traces, searches, rankings, plans and what they were run by,
exports, cases, rollouts. Free of torch."""

from __future__ import annotations

from typing import Literal

from analysis.contracts import (
    Assumptions,
    BusinessCase,
    CaseEvidence,
    CaseSummary,
    ExportReport,
    Healing,
    HealingSummary,
    Plan,
    PlanEvent,
    PlanState,
    PlanSummary,
    Profile,
    ProjectionError,
    Ranking,
    RankingSummary,
    Robustness,
    RobustnessSummary,
    Rollout,
    RunSummary,
    Search,
    SearchSummary,
    Semantics,
    SemanticsSummary,
    Trial,
    TrialSummary,
    Unit,
    Verification,
    VerificationSummary,
    WorkloadInfo,
)
from analysis.i18n import Language
from analysis.runs.case_check import checked
from analysis.runs.documents import parse_document
from analysis.runs.store import Store
from analysis.runs.uploads import safe_name

DocumentKind = Literal[
    "profile",
    "plan",
    "search",
    "verification",
    "semantics",
    "trial",
    "business_case",
    "rollout",
    "assumptions",
    "ranking",
    "healing",
    "robustness",
]


class StoredThings:
    """The half of the client that needs no worker."""

    _store: Store

    # Runs

    def runs(self) -> list[RunSummary]:
        """Stored runs, newest first; the bundled sample comes last."""
        return self._store.runs.runs()

    def profile(self, run_id: str) -> Profile:
        """The profile of a run, by run id or content key. InputError: no such run."""
        return self._store.runs.profile(run_id)

    def rename_run(self, run_id: str, name: str) -> None:
        """Gives a run another name."""
        self._store.runs.rename(run_id, name)

    def delete_run(self, run_id: str) -> None:
        """Takes a run out of the store (the sample is only hidden)."""
        self._store.runs.delete(run_id)

    # Traces

    def semantics_list(self) -> list[SemanticsSummary]:
        """Stored traces, newest first; the bundled sample comes last."""
        return self._store.semantics.semantics_list()

    def semantics(self, semantics_id: str) -> Semantics:
        """Stored traces, by id or content key. InputError: no such traces."""
        return self._store.semantics.semantics(semantics_id)

    def semantics_for(self, profile: Profile) -> Semantics | None:
        """The traces of a profile's model on its workload; None: not measured yet."""
        return self._store.semantics.for_profile(profile)

    def semantics_of(self, model_commit: str, stack: str, workload_hash: str) -> Semantics | None:
        """The traces of a model's stack on a workload; None: not measured yet."""
        return self._store.semantics.for_model(model_commit, stack, workload_hash)

    def delete_semantics(self, semantics_id: str) -> None:
        """Takes traces out of the store (the sample is only hidden). Plans made from them stay."""
        self._store.semantics.delete(semantics_id)

    # Searches

    def searches(self) -> list[SearchSummary]:
        """Stored searches, the one that grew last first; the bundled sample comes last."""
        return self._store.searches.searches()

    def search(self, search_id: str) -> Search:
        """A stored search, by id or content key. InputError: no such search."""
        return self._store.searches.search(search_id)

    def search_for(self, profile: Profile) -> Search | None:
        """What was measured by leaving units out of a profile's model on its workload; None: nothing yet."""
        return self._store.searches.for_profile(profile)

    def delete_search(self, search_id: str) -> None:
        """Takes a search out of the store (the sample is only hidden). Plans made from it stay."""
        self._store.searches.delete(search_id)

    # Rankings

    def rankings(self) -> list[RankingSummary]:
        """Stored rankings, the one that grew last first; the bundled sample comes last."""
        return self._store.rankings.rankings()

    def ranking(self, ranking_id: str) -> Ranking:
        """A stored ranking, by id or content key. InputError: no such ranking."""
        return self._store.rankings.ranking(ranking_id)

    def rankings_for(self, model_commit: str, stack: str, workload_hash: str) -> list[RankingSummary]:
        """The rankings of a model's stack on a workload: measured here before imported, the newest first, the sample last."""
        return self._store.rankings.all_of(model_commit, stack, workload_hash)

    def ranking_for(self, profile: Profile, unit: Unit | None = None) -> Ranking | None:
        """The ranking of a profile's model on its workload to plan by, of that kind of unit or of any; complete before stopped on
        the way, the newest first; None: not measured yet."""
        return self._store.rankings.for_model(profile.model.commit, profile.stack, profile.workload.content_hash, unit)

    def delete_ranking(self, ranking_id: str) -> None:
        """Takes a ranking out of the store (the sample is only hidden). Plans made from it stay."""
        self._store.rankings.delete(ranking_id)

    # Plans

    def plans(self) -> list[PlanSummary]:
        """Stored plans, newest first; the bundled samples come last."""
        return self._store.plans.plans()

    def plan(self, plan_id: str) -> Plan:
        """A stored plan, with its newest verification (without texts), trial, healing and robustness test. InputError: no such plan."""
        return self._store.plans.plan(plan_id)

    def save_plan(self, plan: Plan, name: str | None = None) -> str:
        """Stores a plan and returns its id; one that is there keeps its state and what it was run by."""
        return self._store.plans.save(plan, name)

    def rename_plan(self, plan_id: str, name: str) -> None:
        """Gives a plan another name."""
        self._store.plans.rename(plan_id, name)

    def delete_plan(self, plan_id: str) -> None:
        """Takes a plan out of the store (a sample is only hidden). What it was run by stays."""
        self._store.plans.delete(plan_id)

    def plan_history(self, plan_id: str) -> list[PlanEvent]:
        """The states a plan went through, oldest first: who (as entered), when and why."""
        return self._store.plans.history(plan_id)

    def set_plan_state(self, plan_id: str, state: PlanState, who: str = "", note: str = "") -> None:
        """Moves a plan to another state (`analysis.runs.plan_life.next_states` says which) and keeps who said so and why.

        Raises:
            PlanError: not from here; only a run makes "verified"; or a pilot outside its limits needs a note.
        """
        self._store.plans.set_state(plan_id, state, who, note)

    # Verifications

    def verifications(self, plan_id: str | None = None) -> list[VerificationSummary]:
        """Stored verifications, of one plan or all, newest first; the bundled samples come last."""
        return self._store.verifications.verifications(plan_id)

    def verification(self, verification_id: str) -> Verification:
        """A stored verification, with the texts both models wrote. InputError: no such verification."""
        return self._store.verifications.verification(verification_id)

    def delete_verification(self, verification_id: str) -> None:
        """Takes a verification out of the store and out of its plan; a verified plan without another one is a draft again."""
        self._store.delete_verification(verification_id)

    def calibration(self) -> list[tuple[VerificationSummary, tuple[ProjectionError, ...]]]:
        """How far projections were off in every verification run here, newest first; devices are told apart by their name."""
        return self._store.verifications.calibration()

    # Trials

    def trials(self, plan_id: str | None = None) -> list[TrialSummary]:
        """Stored trials and sweeps, of one plan or all, newest first; the bundled samples come last."""
        return self._store.trials.trials(plan_id)

    def trial(self, trial_id: str) -> Trial:
        """A stored trial. InputError: no such trial."""
        return self._store.trials.trial(trial_id)

    def trial_for(self, model_commit: str, stack: str, workload_hash: str) -> Trial | None:
        """What was learnt by training a model on a workload: the newest sweep, else the newest trial; None: neither."""
        return self._store.trials.for_model(model_commit, stack, workload_hash)

    def delete_trial(self, trial_id: str) -> None:
        """Takes a trial out of the store and out of its plan; a verified plan that nothing else proves is a draft again."""
        self._store.delete_trial(trial_id)

    # Healings and robustness tests

    def healings(self, plan_id: str | None = None) -> list[HealingSummary]:
        """Stored healings, of one plan or all, newest first; the bundled samples come last."""
        return self._store.healings.healings(plan_id)

    def healing(self, healing_id: str) -> Healing:
        """A stored healing. InputError: no such healing."""
        return self._store.healings.healing(healing_id)

    def delete_healing(self, healing_id: str) -> None:
        """Takes a healing out of the store and out of its plan; a model it wrote stays where it is."""
        self._store.delete_healing(healing_id)

    def robustness_tests(self, plan_id: str | None = None) -> list[RobustnessSummary]:
        """Stored robustness tests, of one plan or all, newest first; the bundled samples come last."""
        return self._store.robustness.robustness_tests(plan_id)

    def robustness(self, robustness_id: str) -> Robustness:
        """A stored robustness test. InputError: no such test."""
        return self._store.robustness.robustness(robustness_id)

    def ran_here(self, document_id: str) -> bool:
        """Whether a healing or a robustness test was run by this store's own workers."""
        return self._store.healings.ran_here(document_id) or self._store.robustness.ran_here(document_id)

    def delete_robustness(self, robustness_id: str) -> None:
        """Takes a robustness test out of the store and out of its plan."""
        self._store.delete_robustness(robustness_id)

    # Exports

    def export_report(self, export_id: str) -> ExportReport:
        """What an export wrote, by the `result_id` of its job. InputError: no such export."""
        return self._store.exports.report(export_id)

    def exports(self, plan_id: str) -> list[tuple[str, ExportReport]]:
        """A plan's exports, newest first, with their ids."""
        return self._store.exports.of_plan(plan_id)

    # Business cases

    def cases(self, plan_id: str | None = None) -> list[CaseSummary]:
        """Stored business cases (scenarios), of one plan or all, newest first; the bundled samples come last."""
        return self._store.cases.cases(plan_id)

    def case(self, case_id: str) -> BusinessCase:
        """A stored business case. InputError: no such case."""
        return self._store.cases.case(case_id)

    def save_case(self, case: BusinessCase, name: str | None = None) -> str:
        """Stores a business case and returns its id; the same evidence and assumptions are the same case."""
        return self._store.cases.save(case, name)

    def rename_case(self, case_id: str, name: str) -> None:
        """Gives a business case another name."""
        self._store.cases.rename(case_id, name)

    def delete_case(self, case_id: str) -> None:
        """Takes a business case out of the store (a sample is only hidden)."""
        self._store.cases.delete(case_id)

    def evidence(self, plan_id: str) -> CaseEvidence:
        """What is known of a plan for its business case: its newest verification, its newest trial, else its projection.

        Raises:
            InputError: no such plan.
        """
        return self._store.evidence(plan_id)

    def workload_of(self, plan: Plan) -> WorkloadInfo | None:
        """The workload a plan was made from: of its run, else of what it was run by; None: nothing of these is kept."""
        return self._store.workload_of(plan)

    # Rollouts

    def rollout(self, plan_id: str, language: Language = "en") -> Rollout | None:
        """A plan's staged rollout, the sample's in that language; None: nobody has begun one."""
        return self._store.rollouts.rollout(plan_id, language)

    def save_rollout(self, rollout: Rollout, seen: Rollout | None = None) -> None:
        """Stores a plan's rollout; events, days and approvals are only ever added.

        Args:
            seen: what was read before the change: then nothing at all may have been changed since.

        Raises:
            PlanError: something that is stored would be lost: it was changed elsewhere, so reload it.
        """
        self._store.rollouts.save(rollout, seen)

    def delete_rollout(self, plan_id: str) -> None:
        """Takes a plan's rollout with all its events out of the store (a sample is only hidden). InputError: there is none."""
        self._store.rollouts.delete(plan_id)

    # Documents made elsewhere

    def import_document(self, data: bytes, filename: str) -> tuple[DocumentKind, str]:
        """Opens a document made elsewhere (profile, plan, ranking, healing, case, ...: see `DocumentKind`) and returns what it is
        and its id here. Assumptions are kept nowhere: their id is empty, and who opened the file reads them out of it.

        Raises:
            DocumentError: it is none of these, it is damaged, or it contradicts itself.
        """
        document = checked(parse_document(data, safe_name(filename)), safe_name(filename))
        if isinstance(document, Profile):
            return "profile", self._store.runs.add(document, origin="imported")
        if isinstance(document, Search):
            return "search", self._store.searches.add_imported(document)
        if isinstance(document, Ranking):
            return "ranking", self._store.rankings.add_imported(document)
        if isinstance(document, Verification | Trial | Healing | Robustness):
            return document.kind, self._store.add_evidence(document)
        if isinstance(document, Semantics):
            return "semantics", self._store.semantics.add(document, origin="imported")
        if isinstance(document, BusinessCase):
            return "business_case", self._store.add_case(document)
        if isinstance(document, Rollout):
            self._store.rollouts.save(document)
            return "rollout", document.plan_id
        if isinstance(document, Assumptions):
            return "assumptions", ""
        return "plan", self._store.add_plan(document)
