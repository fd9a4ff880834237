"""Which layers to take out, what that should save, and whether a plan fits a model: arithmetic on contracts, no torch."""

from analysis.planning.amount import Amount, parse_amount
from analysis.planning.check import check_plan, plan_in_words
from analysis.planning.compare import QUANTITIES, ComparedRow, compare_plans
from analysis.planning.criteria import CRITERIA, Criterion, criteria_for
from analysis.planning.documents import plan_to_json, read_plan
from analysis.planning.evidence import says_harmless
from analysis.planning.from_search import STRATEGY_WORDS, StrategyWords, plan_from_set, propose_from_search
from analysis.planning.guardrails import CRITICAL, METRICS, Metric, judge, parse_guardrail, worst
from analysis.planning.latency import fit_latency, predict_ms, project_latency
from analysis.planning.memory import kv_bytes, peak_memory
from analysis.planning.pareto import ParetoPoint, front_only, pareto_front
from analysis.planning.project_more import enriched
from analysis.planning.projection import DEFAULT_CONTEXT_TOKENS, project
from analysis.planning.propose import model_ref, propose_plan
from analysis.planning.quality import QualityModel
from analysis.planning.rank import RankedUnit, Ranking, Span, best_span, rank_units, spans_of
from analysis.planning.spending import COSTS, Cost, Limit, Savings, limit_of, savings_of

__all__ = [
    "Amount",
    "COSTS",
    "CRITERIA",
    "CRITICAL",
    "ComparedRow",
    "Cost",
    "Criterion",
    "DEFAULT_CONTEXT_TOKENS",
    "Limit",
    "METRICS",
    "Metric",
    "ParetoPoint",
    "QUANTITIES",
    "QualityModel",
    "RankedUnit",
    "Ranking",
    "STRATEGY_WORDS",
    "Savings",
    "Span",
    "StrategyWords",
    "best_span",
    "check_plan",
    "compare_plans",
    "criteria_for",
    "enriched",
    "fit_latency",
    "front_only",
    "judge",
    "kv_bytes",
    "limit_of",
    "model_ref",
    "pareto_front",
    "parse_amount",
    "parse_guardrail",
    "peak_memory",
    "plan_from_set",
    "plan_in_words",
    "plan_to_json",
    "predict_ms",
    "project",
    "project_latency",
    "propose_from_search",
    "propose_plan",
    "rank_units",
    "read_plan",
    "savings_of",
    "says_harmless",
    "spans_of",
    "worst",
]
