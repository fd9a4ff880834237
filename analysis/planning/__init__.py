"""Which layers to take out, what that should save, and whether a plan fits a model: arithmetic on contracts, no torch."""

from analysis.planning.amount import Amount, parse_amount
from analysis.planning.check import check_plan, plan_in_words
from analysis.planning.compare import QUANTITIES, ComparedRow, compare_plans
from analysis.planning.criteria import CRITERIA, Criterion, criteria_for
from analysis.planning.documents import plan_to_json, read_plan
from analysis.planning.evidence import says_harmless
from analysis.planning.projection import DEFAULT_CONTEXT_TOKENS, project
from analysis.planning.propose import model_ref, propose_plan
from analysis.planning.rank import RankedUnit, Ranking, Span, best_span, rank_units, spans_of

__all__ = [
    "Amount",
    "CRITERIA",
    "ComparedRow",
    "Criterion",
    "DEFAULT_CONTEXT_TOKENS",
    "QUANTITIES",
    "RankedUnit",
    "Ranking",
    "Span",
    "best_span",
    "check_plan",
    "compare_plans",
    "criteria_for",
    "model_ref",
    "parse_amount",
    "plan_in_words",
    "plan_to_json",
    "project",
    "propose_plan",
    "rank_units",
    "read_plan",
    "says_harmless",
    "spans_of",
]
