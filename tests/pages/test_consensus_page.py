"""The Consensus page: before there is a ranking, with one, weighed otherwise, step by step, and its plan in one click."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from analysis.contracts import Job, Message, Profile, Progress, Ranking
from analysis.errors import InputError
from analysis.planning.consensus import consensus
from analysis.planning.from_ranking import plan_from_ranking
from analysis.runs.client import Client
from tests.builders import make_model, make_profile, make_workload
from tests.consensus_builders import make_ranking

ROOT = Path(__file__).parents[2]
Visit = Callable[..., AppTest]
StoreProfile = Callable[..., str]
VOTE = "Let the measures vote"


@pytest.fixture
def ranked(client: Client, store_profile: StoreProfile) -> Ranking:
    """A store with a run and a ranking of its layers."""
    store_profile()
    return stored(client)


def stored(client: Client, **changes: Any) -> Ranking:
    profile = client.profile(client.runs()[0].id)
    ranking = make_ranking(**{"model": profile.model, "workload": profile.workload, "stack": profile.stack, **changes})
    brought_in(client, ranking)
    return ranking


def brought_in(client: Client, ranking: Ranking) -> str:
    """The id under which the store keeps it: another one than its own."""
    return client.import_document(ranking.model_dump_json().encode(), "ranking.json")[1]


def said(app: AppTest) -> str:
    kinds = (app.title, app.markdown, app.caption, app.error, app.warning, app.info)
    return "\n".join(str(element.value) for kind in kinds for element in kind).replace("\\", "")


def primary(app: AppTest) -> list[str]:
    return [button.label for button in app.button if button.proto.type == "primary"]


def key_of(app: AppTest, beginning: str) -> str:
    widgets = (*app.slider, *app.selectbox, *app.multiselect, *app.toggle)
    return next(str(widget.key) for widget in widgets if str(widget.key).startswith(beginning))


def charts(app: AppTest) -> str:
    return "\n".join(json.dumps(json.loads(chart.proto.spec), ensure_ascii=False) for chart in app.get("plotly_chart"))


def test_without_a_run_the_page_says_what_is_missing(visit: Visit) -> None:
    app = visit("consensus")
    assert "nothing to vote on" in app.title[0].value
    assert primary(app) == ["Go to Workload"]


def test_without_a_ranking_the_page_says_what_a_vote_is_and_what_it_takes(visit: Visit, store_profile: StoreProfile) -> None:
    store_profile()
    app = visit("consensus")
    assert "let several vote" in app.title[0].value
    assert primary(app) == [VOTE]
    assert "calibration tokens through the model" in said(app)


def asked_for(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    asked: list[Any] = []
    job = Job(id="j1", kind="ranking", state="running", device="cpu", name="x", created_at="2026")

    def submit(self: Client, request: Any, **_: Any) -> Job:
        asked.append(request)
        return job

    monkeypatch.setattr(Client, "submit_ranking", submit)
    monkeypatch.setattr(Client, "job", lambda self, job_id: job)
    monkeypatch.setattr(Client, "ensure_worker", lambda self, device: None)
    return asked


def test_the_form_asks_for_what_was_chosen(visit: Visit, store_profile: StoreProfile, monkeypatch: pytest.MonkeyPatch) -> None:
    store_profile()
    asked = asked_for(monkeypatch)
    app = visit("consensus")
    app.multiselect(key="rank_voters").set_value(["cka", "taylor", "conductance"])
    app.selectbox(key="rank_rule").set_value("median_rank")
    app.slider(key=key_of(app, "rank_amount_block")).set_value(4)
    app.multiselect(key=key_of(app, "rank_held_out")).set_value(["code"])
    app.multiselect(key=key_of(app, "rank_protect")).set_value([0, 5])
    app.number_input(key="rank_most").set_value(1.5)
    app = app.run()
    assert "Conductance cost most: 16 passes there and back a step for each." in said(app)
    app.button(key="rank").click().run()
    assert not app.exception
    settings = asked[0].settings
    assert settings.voters == ("cka", "taylor", "conductance")
    assert (settings.rule, settings.amount, settings.held_out, settings.protect) == ("median_rank", "4 layers", ("code",), (0, 5))
    assert settings.most_perplexity == 1.5
    assert app.query_params["ranking_job"] == "j1"
    assert app.button(key="rank").disabled


def test_nothing_taken_out_asks_for_one_ranking(visit: Visit, store_profile: StoreProfile, monkeypatch: pytest.MonkeyPatch) -> None:
    store_profile()
    asked = asked_for(monkeypatch)
    app = visit("consensus")
    app.slider(key=key_of(app, "rank_amount_block")).set_value(0)
    app.button(key="rank").click().run()
    assert asked[0].settings.amount == ""


def test_a_request_that_is_refused_says_why(visit: Visit, store_profile: StoreProfile, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Client, request: Any, **_: Any) -> Job:
        raise InputError("There is no file {file}. Check the path.", file="x.csv")

    store_profile()
    monkeypatch.setattr(Client, "submit_ranking", refuse)
    app = visit("consensus")
    app.button(key="rank").click().run()
    assert [error.value.replace("\\", "") for error in app.error] == ["There is no file x.csv. Check the path."]


def test_a_running_ranking_shows_its_progress_and_can_be_cancelled(
    visit: Visit, store_profile: StoreProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_profile()
    progress = Progress(stage=Message(id="Loading the model"), done=1, total=4, eta_seconds=42)
    job = Job(id="j1", kind="ranking", state="running", device="cpu", name="x", created_at="2026", progress=progress)
    monkeypatch.setattr(Client, "job", lambda self, job_id: job)
    monkeypatch.setattr(Client, "ensure_worker", lambda self, device: None)
    app = visit("consensus", ranking_job="j1")
    assert app.progress[0].value == 25
    assert "42 s left" in app.progress[0].text
    assert "cancel_j1" in [button.key for button in app.button]
    assert primary(app) == []


def test_a_failed_ranking_says_why_and_can_be_put_away(visit: Visit, ranked: Ranking, monkeypatch: pytest.MonkeyPatch) -> None:
    why = Message(id="The disk that holds {folder} is full.", values={"folder": "/x"})
    job = Job(id="j1", kind="ranking", state="failed", device="cpu", name="x", created_at="2026", error=why)
    monkeypatch.setattr(Client, "job", lambda self, job_id: job)
    app = visit("consensus", ranking_job="j1")
    assert [error.value for error in app.error] == ["The disk that holds /x is full."]
    app.button(key="put_away_ranking_job").click().run()
    assert not app.error


def test_a_finished_ranking_is_shown_at_once(visit: Visit, ranked: Ranking, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    other = brought_in(client, ranked.model_copy(update={"id": "other"}))
    job = Job(id="j1", kind="ranking", state="done", device="cpu", name="x", created_at="2026", result_id=other)
    monkeypatch.setattr(Client, "job", lambda self, job_id: job)
    app = visit("consensus", ranking_job="j1")
    assert app.query_params["ranking"] == other
    assert "ranking_job" not in app.query_params


def test_the_page_opens_with_its_answer_who_is_silent_and_the_plan(visit: Visit, ranked: Ranking) -> None:
    app = visit("consensus")
    assert "measures agree that layer" in app.title[0].value or "disagree" in app.title[0].value
    assert "could not vote: CCA" in said(app)
    assert primary(app) == ["Make this plan"]
    assert "CCA does not vote: Not measured: 400 positions, 640 are needed." in said(app)


def test_every_part_of_the_page_is_there(visit: Visit, ranked: Ranking) -> None:
    app = visit("consensus")
    heads = [head.value for head in app.header]
    assert heads == [
        "What every measure says",
        "What is lost",
        "How sure the choice is",
        "Which measures agree",
        "One step after the other",
        "About this ranking",
    ]
    assert len(app.get("plotly_chart")) == 7


@pytest.mark.parametrize("locale", ["en-US", "ja-JP"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_speaks_both_languages_in_both_themes(visit: Visit, ranked: Ranking, locale: str, theme: str) -> None:
    app = visit("consensus", locale=locale, theme=theme)
    assert ("合議" in charts(app)) is (locale == "ja-JP")
    if locale == "ja-JP":
        assert "Japanese requests" not in app.title[0].value


def test_another_rule_moves_the_order_and_is_seen_beside_the_plain_sum(visit: Visit, ranked: Ranking) -> None:
    app = visit("consensus")
    assert "Plain sum of ranks" not in charts(app)
    app.selectbox(key=key_of(app, "rule_")).set_value("unanimity").run()
    step = ranked.steps[0]
    now = consensus(step.votes, step.candidates, rule="unanimity")
    assert "Most replaceable first: " + ", ".join(str(block) for _, block in now.order[:3]) in said(app)
    assert "By the plain sum of ranks: " in said(app)
    assert "Plain sum of ranks" in charts(app)


@pytest.mark.parametrize("rule", ["rank_sum", "borda", "unanimity", "median_rank", "kemeny"])
def test_every_rule_gives_a_page(visit: Visit, ranked: Ranking, rule: str) -> None:
    app = visit("consensus")
    app.selectbox(key=key_of(app, "rule_")).set_value(rule).run()
    assert not app.exception
    assert primary(app) == ["Make this plan"]


def test_weights_move_the_order_live(visit: Visit, ranked: Ranking) -> None:
    app = visit("consensus")
    app.selectbox(key=key_of(app, "rule_")).set_value("borda").run()
    before = said(app)
    weights = {"taylor": 3.0, "cka": 0.0}
    for voter, weight in weights.items():
        app.slider(key=f"weight_{ranked.id}_{voter}").set_value(weight).run()
    step = ranked.steps[0]
    now = consensus(step.votes, step.candidates, rule="borda", weights=weights)  # type: ignore[arg-type]
    assert "Most replaceable first: " + ", ".join(str(block) for _, block in now.order[:5]) in said(app)
    assert said(app) != before


def test_fitted_weights_stand_on_the_sliders_and_are_judged_beside_the_plain_sum(visit: Visit, ranked: Ranking) -> None:
    app = visit("consensus")
    app.selectbox(key=key_of(app, "rule_")).set_value("borda").run()
    app.button(key="weights_fit").click().run()
    assert not app.exception
    assert "Judged on layers that they have not seen" in said(app)
    assert app.slider(key=f"weight_{ranked.id}_ablation_loss").value == 0.0
    app.button(key="weights_alike").click().run()
    assert {app.slider(key=f"weight_{ranked.id}_{name}").value for name in ("cka", "taylor", "ablation_loss")} == {1.0}


def test_weights_that_are_all_zero_count_the_same(visit: Visit, ranked: Ranking) -> None:
    app = visit("consensus")
    app.selectbox(key=key_of(app, "rule_")).set_value("borda").run()
    for slider in [slider for slider in app.slider if str(slider.key).startswith("weight_")]:
        slider.set_value(0.0)
    app.run()
    assert not app.exception
    assert "Every weight is 0, so all count the same." in said(app)


def test_with_one_voter_there_is_nothing_to_agree_with(visit: Visit, ranked: Ranking) -> None:
    app = visit("consensus")
    app.multiselect(key=key_of(app, "voters_")).set_value(["taylor"]).run()
    assert not app.exception
    assert "Only one measure votes" in said(app)
    app.multiselect(key=key_of(app, "voters_")).set_value([]).run()
    assert "Nobody is chosen, so all vote." in said(app)


def test_what_is_lost_follows_the_layer_that_is_picked(visit: Visit, ranked: Ranking) -> None:
    app = visit("consensus")
    app.selectbox(key=f"lost_{ranked.id}").set_value("one-0").run()
    assert "Without layer 0 the loss rises by" in said(app)
    app.selectbox(key=f"lost_{ranked.id}").set_value("all-6").run()
    assert "Without layers" in said(app)
    assert any("Order no. 0" in table.value.to_string() for table in app.table)


def test_the_ranks_are_a_table_too_that_a_narrow_screen_can_scroll(visit: Visit, ranked: Ranking) -> None:
    app = visit("consensus")
    before = len(app.dataframe)
    app.session_state["rank_table"] = True
    app.run()
    assert len(app.dataframe) == before + 1
    table = app.dataframe[0].value
    step = ranked.steps[0]
    agreed = consensus(step.votes, step.candidates)
    assert list(table.columns[1:]) == [str(block) for _, block in (*agreed.order, *agreed.unranked)]
    assert table.iloc[0, 0] == "Consensus"
    cka = next(vote for vote in step.votes if vote.voter == "cka")
    shown = table.set_index("measure").loc["Linear CKA"]
    assert [shown[str(block)] for _, block in step.candidates] == list(cka.ranks)


def test_the_film_goes_from_the_whole_model_to_the_last_step(visit: Visit, ranked: Ranking) -> None:
    app = visit("consensus")
    assert "Nothing is out yet" in said(app)
    app.slider(key=f"film_{ranked.id}").set_value(6).run()
    assert "Step 6: layer" in said(app)
    app.button(key="play").click().run()
    assert not app.exception
    assert "Nothing is out yet" in said(app) or "Step 1" in said(app), "it starts from the beginning again"
    app.run()
    assert "Step " in said(app)


def test_a_ranking_that_took_nothing_says_so_and_still_gives_a_plan(visit: Visit, client: Client, store_profile: StoreProfile) -> None:
    store_profile()
    stored(client, n_taken=0)
    app = visit("consensus")
    assert "took nothing out" in said(app)
    assert primary(app) == ["Make this plan"]
    assert not app.toggle


def test_without_resamples_the_page_says_that_sureness_is_not_known(visit: Visit, client: Client, store_profile: StoreProfile) -> None:
    store_profile()
    stored(client, replicates=0)
    assert "Not known: the prompts were not drawn again" in said(visit("consensus"))


def test_a_ranking_that_was_stopped_says_so(visit: Visit, client: Client, store_profile: StoreProfile) -> None:
    store_profile()
    stored(client, complete=False)
    assert "Stopped on the way" in said(visit("consensus"))


def test_the_plan_is_one_click_away_and_is_the_one_that_was_promised(visit: Visit, ranked: Ranking, client: Client) -> None:
    app = visit("consensus")
    app.button(key="make_plan").click().run()
    assert not app.exception
    kept = client.plan(app.query_params["plan"])
    assert kept.id == plan_from_ranking(ranked, amount="6 layers").id
    assert kept.provenance.consensus is not None
    assert kept.provenance.consensus.step_by_step
    assert primary(app) == ["Verify this plan"], "it goes on to Plans"
    assert any("Rank by the consensus" in str(table.value.columns.to_list()) for table in app.dataframe)


def test_the_plan_follows_the_slider_and_the_operation(visit: Visit, ranked: Ranking, client: Client) -> None:
    app = visit("consensus")
    app.slider(key=f"take_{ranked.id}").set_value(3)
    app.selectbox(key="operation").set_value("skip")
    app.toggle(key=f"stepwise_{ranked.id}").set_value(False).run()
    app.button(key="make_plan").click().run()
    kept = client.plan(app.query_params["plan"])
    assert kept.operations[0].op == "skip"
    assert kept.removed["block"] == tuple(sorted(block for _, block in consensus_order(ranked)[:3]))


def consensus_order(ranking: Ranking) -> list[Any]:
    step = ranking.steps[0]
    return list(consensus(step.votes, step.candidates).order)


def test_a_plan_that_is_stored_already_is_opened_instead(visit: Visit, ranked: Ranking, client: Client) -> None:
    client.save_plan(plan_from_ranking(ranked, amount="6 layers"), "by vote")
    before = len(client.plans())
    app = visit("consensus")
    assert primary(app) == ["Open this plan"]
    app.button(key="make_plan").click().run()
    assert len(client.plans()) == before


def test_another_runs_ranking_is_not_shown(visit: Visit, ranked: Ranking, store_profile: StoreProfile) -> None:
    other = store_profile(make_profile(model=make_model(name="our/model", kind="hub", commit="beef")))
    app = visit("consensus", run=other)
    assert primary(app) == [VOTE]


def test_a_link_with_a_ranking_brings_its_run(client: Client, store_profile: StoreProfile) -> None:
    run = store_profile()
    found = brought_in(client, make_ranking(model=client.profile(run).model, workload=client.profile(run).workload))
    store_profile(make_profile(model=make_model(name="our/model", kind="hub", commit="beef")))
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=30)
    app.switch_page("pages/consensus.py")
    app.query_params["ranking"] = found
    app.run()
    assert not app.exception
    assert app.query_params["run"] == run
    assert primary(app) == ["Make this plan"]


def test_a_ranking_without_a_run_is_shown_and_leads_to_verify(visit: Visit, client: Client) -> None:
    ranking = make_ranking(model=make_model(name="our/model", kind="hub", commit="beef"))
    found = client.import_document(ranking.model_dump_json().encode(), "ranking.json")[1]
    app = visit("consensus", ranking=found)
    assert "measures agree" in app.title[0].value or "disagree" in app.title[0].value
    assert app.button(key="make_plan")
    assert "rank" not in [button.key for button in app.button]


@pytest.mark.parametrize("asked", ["nothing", "<script>alert(1)</script>", "../../etc"])
def test_an_address_of_a_ranking_that_is_gone_says_so(visit: Visit, ranked: Ranking, asked: str) -> None:
    app = visit("consensus", ranking=asked)
    assert "There is no such ranking here" in said(app)
    assert "ranking" not in app.query_params


def test_several_rankings_of_a_run_can_be_chosen(visit: Visit, client: Client, store_profile: StoreProfile) -> None:
    profile = client.profile(store_profile())
    first = brought_in(client, make_ranking(model=profile.model, workload=profile.workload, n_taken=2))
    second = brought_in(client, make_ranking(model=profile.model, workload=profile.workload, id="other", seed=3))
    app = visit("consensus")
    picker = app.selectbox(key="ranking_shown")
    other = first if picker.value == second else second
    picker.set_value(other).run()
    assert app.query_params["ranking"] == other
    assert not app.exception


def test_a_layer_by_halves_is_called_so(visit: Visit, client: Client, store_profile: StoreProfile) -> None:
    store_profile()
    stored(client, **halves(client.profile(client.runs()[0].id)))
    app = visit("consensus")
    assert "the attention of layer" in app.title[0].value
    assert app.slider[0].label == "Attentions to take out"


def halves(profile: Profile) -> dict[str, Any]:
    """The fields of a ranking of attentions."""
    base = make_ranking(model=profile.model, n_taken=0)
    step = base.steps[0].model_copy(update={"candidates": tuple(("attention", block) for _, block in base.steps[0].candidates)})
    lost = tuple(one.model_copy(update={"removed": (("attention", one.removed[0][1]),)}) for one in base.lost)
    settings = base.settings.model_copy(update={"unit": "attention"})
    return {"n_taken": 0, "steps": (step,), "lost": lost, "settings": settings}


def test_texts_of_prompts_are_shown_as_text(visit: Visit, client: Client, store_profile: StoreProfile) -> None:
    store_profile()
    base = make_ranking(model=client.profile(client.runs()[0].id).model)
    bad = tuple(prompt.model_copy(update={"excerpt": "<img src=x> **bold** [a](http://x)"}) for prompt in base.lost[0].prompts)
    stored(client, lost=tuple(one.model_copy(update={"prompts": bad}) for one in base.lost))
    app = visit("consensus")
    shown = next(table.value for table in app.table if "Prompt" in table.value.columns)
    assert all("\\<img" in text and "\\*\\*bold" in text for text in shown["Prompt"])


def test_a_ranking_of_a_small_model_gives_a_page(visit: Visit, client: Client, store_profile: StoreProfile) -> None:
    store_profile(make_profile(7))
    stored(client, n_blocks=7, n_taken=1)
    app = visit("consensus")
    assert not app.exception
    assert primary(app) == ["Make this plan"]


def test_a_ranking_in_which_nobody_votes_says_so_as_its_answer(visit: Visit, client: Client, store_profile: StoreProfile) -> None:
    store_profile()
    base = make_ranking(n_taken=0, replicates=0, model=client.profile(client.runs()[0].id).model)
    silent = next(vote for vote in base.steps[0].votes if not vote.votes)
    votes = tuple(silent.model_copy(update={"voter": vote.voter}) for vote in base.steps[0].votes)
    step = base.steps[0].model_copy(update={"votes": votes, "scores": (None,) * len(base.steps[0].candidates)})
    stored(client, n_taken=0, replicates=0, steps=(step,), replicate_ranks=())
    app = visit("consensus")
    assert "No measure votes: all that were asked abstained." in said(app)
    assert len(app.title) == 1


def test_deleting_asks_first(visit: Visit, ranked: Ranking, client: Client) -> None:
    app = visit("consensus")
    app.button(key="delete_ranking").click().run()
    assert client.rankings()
    assert "is deleted from this machine and cannot be brought back" in said(app)


def test_the_way_leads_here_from_the_overview_of_a_ranked_run_and_from_a_single_measure(
    visit: Visit, client: Client, store_profile: StoreProfile
) -> None:
    own = make_profile(model=make_model(30, name="acme/own", kind="hub", commit="beef"))
    store_profile(own.model_copy(update={"workload": make_workload(is_sample=False)}))
    stored(client)
    app = visit("overview")
    assert "make a plan from what the measures agree on" in app.title[0].value
    assert primary(app) == ["See what the measures agree on"]
    assert "見る" in visit("similarity", locale="ja-JP").button(key="to_consensus").label
