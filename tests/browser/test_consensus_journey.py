"""Consensus as only a browser shows it: a click on the matrix, weights under the keys, the film, the plan, phones, accessibility."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from builders import make_model, make_profile, make_workload

from analysis.planning.consensus import consensus
from tests.consensus_builders import make_ranking

pytestmark = pytest.mark.browser
OpenPage = Callable[..., Any]
PROFILE = make_profile(id="first")
RANKING = make_ranking(model=PROFILE.model, workload=PROFILE.workload, stack=PROFILE.stack)
LONG_NAME = "a-very-long-organisation-name/An-Extremely-Long-Model-Name-7B-Instruct-v2.1"


@pytest.fixture(scope="module")
def server(start_server: Callable[..., Any]) -> Any:
    """A server with a ranked run, and a newer one that nothing was voted for."""
    other = make_profile(28, seed=1, id="other", name="factory mail", model=make_model(28, name=LONG_NAME, kind="hub", commit="beef"))
    other = other.model_copy(update={"workload": make_workload(is_sample=False)})
    return start_server(PROFILE, RANKING, other)


@pytest.fixture(scope="module")
def addresses(server: Any) -> dict[str, str]:
    """The page with a ranking, and the one that asks for one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STRATA_HOME", str(server.home))
        from analysis.runs.client import open_client

        client = open_client()
        run = next(run.id for run in client.runs() if run.model_name == PROFILE.model.name and run.id != "sample")
        other = next(run.id for run in client.runs() if run.model_name == LONG_NAME)
        ranking = next(one.id for one in client.rankings() if not one.is_sample)
        client._store.database.close()
    return {
        "ranked": f"{server.url}/consensus?run={run}",
        "asked": f"{server.url}/consensus?run={other}",
        "linked": f"{server.url}/consensus?ranking={ranking}",
    }


def settled(page: Any) -> None:
    """Waits until the script has run and the charts are drawn."""
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    page.wait_for_timeout(400)


@pytest.mark.parametrize(("name", "dark"), [("ranked", False), ("ranked", True), ("asked", True)], ids=["light", "dark", "form"])
def test_axe_finds_nothing_serious(addresses: dict[str, str], open_page: OpenPage, name: str, dark: bool) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    page = open_page(addresses[name], dark=dark)
    if name == "ranked":
        page.locator(".st-key-film_path .main-svg").first.wait_for()
    settled(page)
    # In the dark theme Streamlit writes a slider's value in the button colour (3.97:1); white text on buttons forbids a lighter one.
    found = axe.Axe().run(page, context={"exclude": [["[data-testid=stSliderThumbValue]"]]} if dark else None)
    serious = [
        (rule["id"], rule["nodes"][0]["html"][:200]) for rule in found.response["violations"] if rule["impact"] in ("serious", "critical")
    ]
    assert not serious


@pytest.mark.parametrize("name", ["ranked", "asked"])
def test_a_japanese_telephone_shows_all_of_it(addresses: dict[str, str], open_page: OpenPage, name: str) -> None:
    page = open_page(addresses[name], locale="ja-JP", size=(390, 844))
    settled(page)
    page.wait_for_function("document.documentElement.lang == 'ja'")
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= 390


def test_a_click_on_the_matrix_shows_what_is_lost_with_that_layer(addresses: dict[str, str], open_page: OpenPage) -> None:
    first = RANKING.steps[0]
    fourth = consensus(first.votes, first.candidates).order[3][1]
    page = open_page(addresses["ranked"])
    settled(page)
    page.locator(".st-key-rank_matrix .scatterlayer path.point").nth(3).click(force=True)
    page.get_by_text(f"Without layer {fourth} the loss rises by").wait_for()


def test_a_weight_moves_the_order_from_the_keyboard(addresses: dict[str, str], open_page: OpenPage) -> None:
    page = open_page(addresses["ranked"])
    settled(page)
    page.get_by_role("combobox", name="How the measures are put together").first.click()
    page.get_by_role("option", name="Weighted sum of ranks").click()
    page.get_by_text("By the plain sum of ranks:").wait_for()
    settled(page)
    before = page.get_by_text("Most replaceable first:").inner_text()
    slider = page.get_by_role("slider", name="Taylor")
    slider.focus()
    page.keyboard.press("End")
    page.wait_for_function("text => ![...document.querySelectorAll('p')].some(one => one.innerText == text)", arg=before)


def test_the_film_plays_to_its_end_and_stops(addresses: dict[str, str], open_page: OpenPage) -> None:
    page = open_page(addresses["ranked"])
    settled(page)
    page.get_by_text("Nothing is out yet").wait_for()
    page.get_by_role("slider", name="Steps taken").focus()
    for _ in range(4):  # only its last two steps are waited for
        page.keyboard.press("ArrowRight")
    page.get_by_text("Step 4: layer").wait_for()
    page.get_by_role("button", name="Play").click()
    page.get_by_text("Step 6: layer").wait_for()
    page.get_by_role("button", name="Play").wait_for()


def test_a_link_shows_its_ranking_the_plan_is_one_click_away_and_nothing_of_it_loads_torch(
    server: Any, addresses: dict[str, str], open_page: OpenPage
) -> None:
    page = open_page(addresses["linked"])
    settled(page)
    page.get_by_role("button", name="Make this plan").click()
    page.get_by_role("button", name="Verify this plan").wait_for()
    assert "/plans" in page.url
    assert "plan=" in page.url
    page.get_by_text("Which layers, and why").wait_for()
    with open(f"/proc/{server.process.pid}/maps") as maps:
        assert "libtorch" not in maps.read()


def test_deleting_asks_first(addresses: dict[str, str], open_page: OpenPage) -> None:
    page = open_page(addresses["ranked"])
    settled(page)
    page.get_by_role("button", name="Delete this ranking").click()
    page.get_by_role("dialog").get_by_role("button", name="Keep it").click()
    page.get_by_role("dialog").wait_for(state="detached")
    page.get_by_role("button", name="Delete this ranking").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete", exact=True).click()
    page.get_by_text("let several vote").wait_for()
