"""Which layers to take out or freeze, what that should save, and whether a plan fits a model: arithmetic on contracts, no torch."""

from analysis.planning.agreement import Agreement
from analysis.planning.amount import Amount, parse_amount
from analysis.planning.check import check_plan, plan_in_words
from analysis.planning.compare import QUANTITIES, ComparedRow, compare_plans
from analysis.planning.consensus import Consensus
from analysis.planning.consensus_odds import membership
from analysis.planning.consensus_rules import consensus_scores, mid_ranks
from analysis.planning.criteria import CRITERIA, Criterion, criteria_for
from analysis.planning.documents import plan_to_json, read_plan
from analysis.planning.eof import DEFAULT_STRATEGY, all_choices, choose_eof, default_rule, virtual_curve
from analysis.planning.eof_budget import TrainBudget, parse_train_budget, within
from analysis.planning.evidence import says_harmless
from analysis.planning.freeze import project_training, propose_freeze
from analysis.planning.from_ranking import plan_from_ranking
from analysis.planning.from_search import STRATEGY_WORDS, StrategyWords, plan_from_set, propose_from_search
from analysis.planning.guardrails import CRITICAL, METRICS, Metric, judge, parse_guardrail, worst
from analysis.planning.latency import fit_latency, predict_ms, project_latency
from analysis.planning.memory import kv_bytes, peak_memory
from analysis.planning.pareto import ParetoPoint, front_only, pareto_front
from analysis.planning.project_more import enriched
from analysis.planning.projection import DEFAULT_CONTEXT_TOKENS, project
from analysis.planning.propose import model_ref, propose_plan
from analysis.planning.quality import QualityModel
from analysis.planning.rank import Order, RankedUnit, Span, best_span, rank_units, spans_of
from analysis.planning.spending import COSTS, Cost, Limit, Savings, limit_of, savings_of
from analysis.planning.steps import fit_steps, predict_peak, predict_step
from analysis.planning.sweep_front import at_cost, front, kept
from analysis.planning.training_flops import step_flops
from analysis.planning.training_memory import TrainingBytes, training_bytes
from analysis.planning.voters import RULE_WORDS, VOTER_WORDS, RuleWords, VoterWords

__all__ = [
    "Agreement",
    "Amount",
    "COSTS",
    "CRITERIA",
    "CRITICAL",
    "ComparedRow",
    "Consensus",
    "Cost",
    "Criterion",
    "DEFAULT_CONTEXT_TOKENS",
    "DEFAULT_STRATEGY",
    "Limit",
    "METRICS",
    "Metric",
    "ParetoPoint",
    "QUANTITIES",
    "QualityModel",
    "RULE_WORDS",
    "RankedUnit",
    "RuleWords",
    "Order",
    "STRATEGY_WORDS",
    "Savings",
    "Span",
    "StrategyWords",
    "TrainBudget",
    "TrainingBytes",
    "VOTER_WORDS",
    "VoterWords",
    "all_choices",
    "at_cost",
    "best_span",
    "check_plan",
    "choose_eof",
    "default_rule",
    "compare_plans",
    "consensus_scores",
    "criteria_for",
    "enriched",
    "fit_latency",
    "fit_steps",
    "front",
    "front_only",
    "judge",
    "kept",
    "kv_bytes",
    "limit_of",
    "membership",
    "mid_ranks",
    "model_ref",
    "pareto_front",
    "parse_amount",
    "parse_guardrail",
    "parse_train_budget",
    "peak_memory",
    "plan_from_ranking",
    "plan_from_set",
    "plan_in_words",
    "plan_to_json",
    "predict_ms",
    "predict_peak",
    "predict_step",
    "project",
    "project_latency",
    "project_training",
    "propose_freeze",
    "propose_from_search",
    "propose_plan",
    "rank_units",
    "read_plan",
    "savings_of",
    "says_harmless",
    "spans_of",
    "step_flops",
    "training_bytes",
    "virtual_curve",
    "within",
    "worst",
]
