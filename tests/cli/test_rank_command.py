"""`rank`: what a person types, what comes of it, and every way it goes wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM
from typer.testing import CliRunner, Result

from analysis.cli import app
from analysis.cli.ranking import n_steps
from analysis.cli.voting import most_perplexity_of, voters_named, weights_named
from analysis.contracts import CHEAP_VOTERS, DEFAULT_VOTERS, MEMBERS, VOTERS, Ranking, RankingRequest, RankingSettings
from analysis.errors import Cancelled, InputError, ResourceError
from analysis.runs.documents import parse_document
from analysis.runs.store import open_store
from tests.builders import make_profile
from tests.consensus_builders import make_ranking
from tests.workload.tokenizer_zoo import model_folder

WORDS = ("the valve leaks", "check the pump and the motor", "order four bearings", "why is the line down")
ENGLISH = re.compile(r"\b[A-Z][a-z]+ [a-z]+ [a-z]+ [a-z]+")


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRATA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = model_folder(tmp_path_factory.mktemp("models") / "tiny", "byte level")
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 6, "num_attention_heads": 2, "num_key_value_heads": 1}
    LlamaForCausalLM(LlamaConfig(vocab_size=300, initializer_range=0.2, **sizes)).save_pretrained(folder)
    return folder


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.jsonl"
    path.write_text(
        "\n".join(json.dumps({"prompt": f"{WORDS[n % 4]}, number {n}", "slice": ("mail", "orders")[n % 2]}) for n in range(32)),
        encoding="utf-8",
    )
    return path


def invoke(*args: str | Path) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args])


def _opened(path: Path) -> Any:
    return parse_document(path.read_bytes(), path.name)


SHORT = ("--replicates", "8", "--feature-tokens", "64", "--device", "cpu")


def test_from_a_profile_to_a_ranking_that_is_kept_and_a_plan_by_consensus(model: Path, prompts: Path, tmp_path: Path) -> None:
    profile, out, plan = tmp_path / "profile.json", tmp_path / "ranking.json", tmp_path / "plan.json"
    assert invoke("profile", "--model", model, "--workload", prompts, "--device", "cpu", "--out", profile).exit_code == 0
    voters = ("--criteria", "cka,wasserstein,block_influence,taylor,ablation_loss")
    ranked = invoke("rank", "--profile", profile, *voters, "--steps", "2layers", *SHORT, "--out", out)
    assert ranked.exit_code == 0, ranked.output
    ranking: Ranking = _opened(out)
    assert (len(ranking.steps), len(ranking.taken), ranking.complete) == (2, 2, True)
    assert [one.id for one in open_store().rankings.rankings() if not one.is_sample] == [ranking.id[:12]]
    assert "To be left out one at a time: 6 units" in ranked.stderr
    assert "Order by consensus (Sum of ranks)" in ranked.stderr
    assert "Taken out step by step" in ranked.stderr
    assert "Lost without" in ranked.stderr
    assert f"plan --op prune --criterion consensus --profile {profile}" in ranked.stderr
    again = invoke("rank", "--profile", profile, *voters, "--steps", "2layers", *SHORT, "--out", tmp_path / "again.json")
    assert "The same ranking was kept already" in again.stderr
    assert (tmp_path / "again.json").read_bytes() == out.read_bytes()
    chosen = invoke("plan", "--op", "prune", "--criterion", "consensus", "--profile", profile, "--budget", "40%", "--out", plan)
    assert chosen.exit_code == 0, chosen.output
    assert {block for _, block in ranking.taken} == set(_opened(plan).operations[0].blocks)
    assert _opened(plan).provenance.profile_id == _opened(profile).id


@pytest.fixture
def rankings(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A ranking without a model; what it was asked stands in "request", what it says in "found"."""
    told: dict[str, Any] = {"found": make_ranking(30)}

    def run(request: RankingRequest, **given: Any) -> Ranking:
        told["request"], told["given"] = request, given
        for part in told.get("parts", ()):
            given["keep"](part)
        if told.get("error"):
            raise told["error"]
        found: Ranking = told["found"]
        return found

    monkeypatch.setattr("analysis.search.ranking_run.run_ranking", run)
    monkeypatch.setattr("analysis.cli.rank.announce", lambda *_: None)
    return told


def test_settings_reach_the_ranking(rankings: dict[str, Any], prompts: Path) -> None:
    args = (
        *("--model", "sample", "--workload", prompts, "--map", "prompt=text", "--slicing", "language", "--criteria", "members,taylor"),
        *("--rule", "borda", "--weights", "cka=2, taylor=0.5", "--steps", "20%", "--per-step", "2", "--protect", "0,1", "--unit", "mlp"),
        *("--most-perplexity", "+50%", "--held-out", "mail", "--slice", "orders", "--slice", "mail", "--replicates", "0"),
        *("--tokens", "500", "--feature-tokens", "200", "--classes", "kmeans", "--attribution-steps", "4", "--seed", "3", "--no-excerpts"),
        *(
            "--max-tokens",
            "64",
            "--batch-tokens",
            "128",
            "--no-chat-template",
            "--device",
            "cpu",
            "--dtype",
            "float32",
            "--stack",
            "decoder",
        ),
    )
    result = invoke("rank", *args, "--name", "mine")
    assert result.exit_code == 0, result.output
    request: RankingRequest = rankings["request"]
    assert request.settings == RankingSettings(
        stack="decoder",
        device="cpu",
        dtype="float32",
        max_tokens=64,
        max_total_tokens=500,
        batch_tokens=128,
        chat_template=False,
        slices=("orders", "mail"),
        held_out=("mail",),
        unit="mlp",
        protect=(0, 1),
        voters=(*MEMBERS, "taylor"),
        rule="borda",
        weights={"cka": 2.0, "taylor": 0.5},
        amount="20%",
        per_step=2,
        most_perplexity=1.5,
        feature_tokens=200,
        classes="kmeans",
        attribution_steps=4,
        replicates=0,
        excerpts=False,
        seed=3,
    )
    assert (request.workload_paths, request.mapping, request.slicing, request.name) == (
        (str(prompts),),
        {"prompt": "text"},
        "language",
        "mine",
    )


def test_a_profile_says_which_model_prompts_stack_and_slices(rankings: dict[str, Any], tmp_path: Path) -> None:
    profile = make_profile(30)
    profile = profile.model_copy(update={"settings": profile.settings.model_copy(update={"slices": ("mail",), "chat_template": False})})
    path = tmp_path / "profile.json"
    path.write_text(profile.model_dump_json(), encoding="utf-8")
    assert invoke("rank", "--profile", path).exit_code == 0
    request: RankingRequest = rankings["request"]
    assert request.model == profile.model.source
    assert request.settings.stack == profile.stack
    assert (request.settings.slices, request.settings.chat_template) == (("mail",), False)
    assert request.settings.voters == DEFAULT_VOTERS
    assert request.workload_paths == (() if profile.workload.is_sample else tuple(file.path for file in profile.workload.files))
    assert invoke("rank", "--profile", path, "--slice", "other").exit_code == 0
    assert rankings["request"].settings.slices == ("other",)


@pytest.mark.parametrize("language", ["en", "ja"])
def test_the_table_shows_every_measures_rank_and_fits_a_hundred_columns(rankings: dict[str, Any], language: str) -> None:
    said = invoke("rank", "--no-store", "--lang", language).stderr.splitlines()
    rows = [line for line in said if re.match(r"\d+ +[\d.]+ +\d+( +([\d.]+|-)){12}$", line)]
    assert len(rows) == 30
    assert max(map(len, rows)) <= 100
    assert [float(row.split()[1]) for row in rows] == sorted(float(row.split()[1]) for row in rows)
    steps = [line for line in said if re.match(r"\d +\d+ +\d\.\d{3} +\+", line)]
    assert len(steps) == 6


def test_who_abstains_who_is_odd_and_what_is_lost_is_said(rankings: dict[str, Any]) -> None:
    said = invoke("rank", "--no-store").stderr
    assert "Could not vote: CCA. Not measured: 400 positions, 640 are needed." in said
    assert "Agreement with the others (mean rank correlation, lowest first):" in said
    assert re.search(
        r"Measuring took 2,880 passes .* 41,760 \(14\.5 times as many\)\. 186\.0 s in the model, 24\.0 s in the measures\.", said
    )
    assert re.search(r"Lost without layer \d+,.*: \+\d\.\d{3} \(.*\) nats per token\.", said)
    assert "most on the slices:" in said
    assert "Order no. 0" in said


def test_a_ranking_without_steps_resamples_or_loss_is_told_too(rankings: dict[str, Any]) -> None:
    rankings["found"] = make_ranking(30, n_taken=0, replicates=0)
    said = invoke("rank", "--no-store").stderr
    assert "Taken out" not in said
    assert "The column in %" not in said
    assert "Lost without layer" in said
    rankings["found"] = make_ranking(30, objective="state_change")
    said = invoke("rank", "--no-store").stderr
    assert "nats" not in said
    assert "1 - cosine" in said


def test_nobody_votes_is_told_in_words(rankings: dict[str, Any]) -> None:
    whole = make_ranking(30, n_taken=0, replicates=0)
    silent = tuple(vote for vote in whole.steps[0].votes if not vote.votes)
    rankings["found"] = whole.model_copy(update={"steps": (whole.steps[0].model_copy(update={"votes": silent, "scores": (None,) * 30}),)})
    result = invoke("rank", "--no-store")
    assert result.exit_code == 0
    assert "Could not vote: CCA." in result.stderr


def test_it_speaks_japanese_throughout(rankings: dict[str, Any]) -> None:
    said = invoke("rank", "--no-store", "--lang", "ja").stderr
    assert not ENGLISH.search(said.replace("Order no.", "").replace("SmolLM2", "")), said


def test_a_stopped_ranking_keeps_its_steps_and_says_where(rankings: dict[str, Any], tmp_path: Path) -> None:
    whole = make_ranking(30)
    rankings["parts"] = [whole.model_copy(update={"steps": whole.steps[: n + 1], "lost_together": (), "complete": False}) for n in range(2)]
    rankings["error"] = Cancelled("Stopped.")
    out = tmp_path / "ranking.json"
    stopped = invoke("rank", "--out", out)
    assert stopped.exit_code == 130
    assert "Stopped. Finished steps that are kept: 2; the same command goes on from there." in stopped.stderr
    assert not out.exists()
    assert [one.complete for one in open_store().rankings.rankings() if not one.is_sample] == [False]
    assert rankings["given"]["known"](whole.id) is not None
    alone = invoke("rank", "--no-store", "--out", out)
    assert alone.exit_code == 130
    assert f"Stopped. Finished steps that are in {out}: 2." in alone.stderr
    assert len(_opened(out).steps) == 2
    rankings["parts"] = []
    assert invoke("rank").stderr.strip() == "Stopped."


def test_a_store_that_is_full_costs_nothing_that_was_measured(
    rankings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise ResourceError("The disk that holds {folder} is full.", folder="x")

    monkeypatch.setattr("analysis.runs.ranking_library.RankingLibrary.keep", full)
    rankings["parts"] = [rankings["found"]]
    assert invoke("rank", "--out", tmp_path / "r.json").exit_code == 4
    assert _opened(tmp_path / "r.json") == rankings["found"]


@pytest.mark.parametrize(
    "args",
    [
        ("--criteria", "everything"),
        ("--criteria", ""),
        ("--rule", "loudest"),
        ("--weights", "cka=2"),
        ("--rule", "borda", "--weights", "cka"),
        ("--rule", "borda", "--weights", "cka=-1"),
        ("--rule", "borda", "--weights", "loudness=1"),
        ("--steps", "some"),
        ("--per-step", "0"),
        ("--protect", "first"),
        ("--unit", "head"),
        ("--most-perplexity", "0.5x"),
        ("--most-perplexity", "a lot"),
        ("--replicates", "-1"),
        ("--profile", "missing.json"),
        ("--profile", "PROFILE", "--model", "sample"),
        ("--profile", "PROFILE", "--workload", "w.jsonl", "--mask"),
        ("--profile", "PROFILE", "--stack", "encoder"),
        ("--out", "/nowhere/at/all/r.json"),
    ],
)
def test_a_request_that_makes_no_sense_exits_2_with_words(rankings: dict[str, Any], tmp_path: Path, args: tuple[str, ...]) -> None:
    path = tmp_path / "profile.json"
    path.write_text(make_profile(30).model_dump_json(), encoding="utf-8")
    result = invoke("rank", *(str(path) if arg == "PROFILE" else arg for arg in args))
    assert result.exit_code == 2, result.output
    assert "request" not in rankings
    assert "Traceback" not in result.output


def test_groups_and_names_are_measures_in_their_usual_order_each_once() -> None:
    assert voters_named("default") == DEFAULT_VOTERS
    assert voters_named("all") == VOTERS
    assert voters_named("cheap") == CHEAP_VOTERS
    assert voters_named("taylor, members,cka") == (*MEMBERS, "taylor")
    assert weights_named("cka=2,taylor=0") == {"cka": 2.0, "taylor": 0.0}
    assert weights_named("") == {}
    assert [most_perplexity_of(text) for text in ("1.5x", "1.5", "+50%", None)] == [1.5, 1.5, 1.5, None]
    with pytest.raises(InputError, match="--criteria loud"):
        voters_named("cka,loud")


def test_steps_are_counted_beforehand_where_an_amount_tells_them() -> None:
    assert n_steps(RankingSettings(), 30) == 1
    assert n_steps(RankingSettings(amount="6layers"), 30) == 6
    assert n_steps(RankingSettings(amount="20%", per_step=4), 30) == 2
    assert n_steps(RankingSettings(amount="1GiB"), 30) is None


def test_measures_that_cost_many_passes_are_told_beforehand(model: Path, prompts: Path) -> None:
    told = invoke("rank", "--model", model, "--workload", prompts, "--criteria", "conductance,cka", "--attribution-steps", "2", *SHORT)
    assert told.exit_code == 0, told.output
    assert re.search(r"Conductance costs more: \d+ forward and \d+ backward passes of \d+ tokens in every step\.", told.stderr)


def test_a_model_of_one_layer_is_refused_before_anything_runs(prompts: Path, tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "one", "byte level")
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1}
    LlamaForCausalLM(LlamaConfig(vocab_size=300, **sizes)).save_pretrained(folder)
    result = invoke("rank", "--model", folder, "--workload", prompts, *SHORT)
    assert result.exit_code == 2
    assert "at least two layers" in result.stderr
