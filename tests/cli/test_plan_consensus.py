"""`plan --criterion consensus`: the kept ranking of a profile, or a named one, and how its vote is counted."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from analysis.cli import app
from analysis.contracts import Plan, Profile, Ranking
from analysis.runs.documents import parse_document
from analysis.runs.store import open_store
from tests.builders import make_profile
from tests.consensus_builders import make_ranking


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRATA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    found = make_profile(30)
    (tmp_path / "profile.json").write_text(found.model_dump_json(), encoding="utf-8")
    return found


@pytest.fixture
def ranking(profile: Profile, tmp_path: Path) -> Ranking:
    found = make_ranking(30, id="7a" * 8, model=profile.model, stack=profile.stack, workload=profile.workload)
    (tmp_path / "ranking.json").write_text(found.model_dump_json(), encoding="utf-8")
    return found


def invoke(*args: str | Path) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args])


def planned(tmp_path: Path, *args: str | Path) -> Plan:
    out = tmp_path / "plan.json"
    result = invoke("plan", *args, "--out", out)
    assert result.exit_code == 0, result.output
    plan = parse_document(out.read_bytes(), out.name)
    assert isinstance(plan, Plan)
    return plan


def test_the_kept_ranking_of_a_profile_is_taken_and_named(profile: Profile, ranking: Ranking, tmp_path: Path) -> None:
    open_store().rankings.keep(ranking)
    plan = planned(tmp_path, "--op", "prune", "--criterion", "consensus", "--budget", "20%", "--profile", tmp_path / "profile.json")
    assert set(plan.operations[0].blocks) == {block for _, block in ranking.taken}  # type: ignore[union-attr]
    choice = plan.provenance.consensus
    assert choice is not None
    assert (plan.provenance.criterion, plan.provenance.profile_id, choice.ranking_id) == ("consensus", profile.id, ranking.id)
    assert (choice.rule, choice.step_by_step) == ("rank_sum", True)
    assert open_store().plans.plan(plan.id).provenance.consensus == choice


def test_without_a_budget_all_that_was_taken_goes(ranking: Ranking, tmp_path: Path) -> None:
    plan = planned(tmp_path, "--ranking", tmp_path / "ranking.json", "--op", "skip", "--name", "by vote", "--no-store")
    assert (plan.name, plan.operations[0].op, len(plan.operations[0].blocks)) == ("by vote", "skip", 6)  # type: ignore[union-attr]


def test_rule_weights_measures_protection_and_one_shot_are_obeyed(ranking: Ranking, tmp_path: Path) -> None:
    named = ("--criterion", "consensus", "--ranking", tmp_path / "ranking.json", "--budget", "3layers", "--no-store")
    weighed = planned(tmp_path, *named, "--rule", "borda", "--weights", "cka=3,taylor=0", "--one-shot").provenance.consensus
    assert weighed is not None
    assert (weighed.rule, weighed.weights["cka"], weighed.weights["taylor"], weighed.step_by_step) == ("borda", 3.0, 0.0, False)
    members = planned(tmp_path, *named, "--criteria", "members").provenance.consensus
    assert members is not None
    assert "ablation_loss" not in members.voters
    first = planned(tmp_path, *named).operations[0].blocks[0]  # type: ignore[union-attr]
    kept = planned(tmp_path, *named, "--protect", str(first))
    assert first not in kept.operations[0].blocks  # type: ignore[union-attr]
    assert kept.provenance.protected == (first,)


def test_a_kept_ranking_is_found_by_the_start_of_its_id_and_by_its_unit(ranking: Ranking, tmp_path: Path) -> None:
    open_store().rankings.keep(ranking)
    assert planned(tmp_path, "--ranking", "7a7a", "--budget", "1layer").provenance.consensus is not None
    about = ("--criterion", "consensus", "--profile", tmp_path / "profile.json")
    missing = invoke("plan", *about, "--unit", "mlp", "--budget", "1layer")
    assert missing.exit_code == 2
    assert "(unit: mlp)" in missing.stderr
    assert "--unit mlp --steps 20%" in missing.stderr


def test_a_profile_that_was_never_ranked_says_how_to_rank_it(profile: Profile, tmp_path: Path) -> None:
    result = invoke("plan", "--criterion", "consensus", "--budget", "20%", "--profile", tmp_path / "profile.json")
    assert result.exit_code == 2
    assert f"python -m analysis rank --profile {tmp_path / 'profile.json'}" in result.stderr
    japanese = invoke("plan", "--criterion", "consensus", "--profile", tmp_path / "profile.json", "--lang", "ja")
    assert "順位付け" in japanese.stderr


@pytest.mark.parametrize(
    "args",
    [
        ("--criterion", "consensus"),
        ("--ranking", "missing"),
        ("--ranking", "PROFILE"),
        ("--ranking", "RANKING", "--search", "s.json"),
        ("--ranking", "RANKING", "--strategy", "beam"),
        ("--ranking", "RANKING", "--unit", "mlp"),
        ("--ranking", "RANKING", "--unit", "block", "--unit", "mlp"),
        ("--ranking", "RANKING", "--weights", "cka=2"),
        ("--ranking", "RANKING", "--rule", "borda", "--weights", "loudness=2"),
        ("--ranking", "RANKING", "--criteria", "loudness"),
        ("--ranking", "RANKING", "--criteria", "conductance"),
        ("--ranking", "RANKING", "--budget", "some"),
        ("--ranking", "RANKING", "--criterion", "block_influence", "--budget", "20%"),
        ("--ranking", "RANKING", "--op", "freeze"),
        ("--profile", "PROFILE", "--rule", "borda", "--budget", "20%"),
        ("--profile", "PROFILE", "--one-shot", "--budget", "20%"),
        ("--profile", "PROFILE"),
    ],
)
def test_a_request_that_makes_no_sense_exits_2_with_words(ranking: Ranking, tmp_path: Path, args: tuple[str, ...]) -> None:
    files = {"PROFILE": str(tmp_path / "profile.json"), "RANKING": str(tmp_path / "ranking.json")}
    result = invoke("plan", *(files.get(arg, arg) for arg in args))
    assert result.exit_code == 2, result.output
    assert not [one for one in open_store().plans.plans() if not one.is_sample]


def test_what_is_kept_is_listed_opened_and_deleted(ranking: Ranking, tmp_path: Path) -> None:
    open_store().rankings.keep(ranking)
    assert "ranking" in invoke("runs").stdout
    assert invoke("runs", "open", "7a7a", "--out", tmp_path / "r.json").exit_code == 0
    assert parse_document((tmp_path / "r.json").read_bytes(), "r.json") == ranking
    assert invoke("runs", "rename", "7a7a", "x").exit_code == 2
    assert invoke("runs", "delete", "7a7a", "--yes").exit_code == 0
    assert not [one for one in open_store().rankings.rankings() if not one.is_sample]
