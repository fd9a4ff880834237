"""What a plan was run by, and where it stands in the plan: its newest verification, trial, healing and robustness test travel with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from analysis.contracts import Healing, Plan, Robustness, Trial, Verification

Evidence = Verification | Trial | Healing | Robustness
EvidenceField = Literal["verification", "trial", "healing", "robustness"]
EVIDENCE: Mapping[EvidenceField, type[Evidence]] = {
    "verification": Verification,
    "trial": Trial,
    "healing": Healing,
    "robustness": Robustness,
}


def field_of(evidence: Evidence) -> EvidenceField:
    """The plan's field that holds evidence of this kind."""
    return evidence.kind


def evidence_in(plan: Plan) -> Mapping[str, Evidence]:
    """What a plan carries, by field."""
    held: Mapping[EvidenceField, Evidence | None] = {field: getattr(plan, field) for field in EVIDENCE}
    return {field: found for field, found in held.items() if found is not None}


def travelling(evidence: Evidence) -> Evidence:
    """Evidence as it goes into a plan: texts that models wrote stay in the store."""
    return evidence.without_texts() if isinstance(evidence, Verification) else evidence


def lean(plan: Plan) -> Plan:
    """The plan without what it was run by before and what it is worth, which no job needs to be told."""
    return plan.model_copy(update={**dict.fromkeys(EVIDENCE), "business_case": None})
