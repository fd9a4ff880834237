"""Freeze and Trials as only a browser shows them: the slider under the keys, the line it moves, downloads, phones, accessibility."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from builders import make_model, make_profile, make_workload

from analysis.planning.eof import all_choices
from analysis.planning.freeze import propose_freeze
from analysis.planning.propose import workload_ref
from tests.trained_builders import make_semantics, make_trial

pytestmark = pytest.mark.browser
OpenPage = Callable[..., Any]
PROFILE = make_profile(id="first")
TRACES = make_semantics(PROFILE.n_blocks, profile=PROFILE, model=PROFILE.model)
PLAN = propose_freeze(
    TRACES.model, semantics=TRACES, strategy="gain", workload=workload_ref(PROFILE.workload), name="for the next fine-tune"
)
UNTRIED = propose_freeze(TRACES.model, semantics=TRACES, eof_layer=9, workload=workload_ref(PROFILE.workload), name="not tried")
SWEEP = make_trial(22, plan=PLAN, boundaries=(9, 14, 24, 28), choices=all_choices(TRACES), projection=PLAN.projection.training)  # type: ignore[union-attr]
LONG_NAME = "a-very-long-organisation-name/An-Extremely-Long-Model-Name-7B-Instruct-v2.1"
ADDRESSES = ("freeze", f"freeze?plan={PLAN.id}", "trials", f"trials?plan={UNTRIED.id}", f"trials?plan={PLAN.id}")


@pytest.fixture(scope="module")
def server(start_server: Callable[..., Any]) -> Any:
    """A server with a traced run, a tried plan, an untried one, and a newer run without traces."""
    other = make_profile(28, seed=1, id="other", name="factory mail", model=make_model(28, name=LONG_NAME, kind="hub"))
    other = other.model_copy(update={"workload": make_workload(is_sample=False)})
    return start_server(PROFILE, TRACES, PLAN, UNTRIED, SWEEP, other)


def settled(page: Any) -> None:
    """Waits until the script has run and the charts are drawn."""
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    page.wait_for_timeout(700)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("address", ADDRESSES)
def test_axe_finds_nothing_serious(server: Any, open_page: OpenPage, address: str, dark: bool) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    page = open_page(f"{server.url}/{address}", dark=dark)
    settled(page)
    # In the dark theme Streamlit writes a slider's value in the button colour (3.97:1); white text on buttons forbids a lighter one.
    found = axe.Axe().run(page, context={"exclude": [["[data-testid=stSliderThumbValue]"]]} if dark else None)
    serious = [
        (rule["id"], rule["nodes"][0]["html"][:200]) for rule in found.response["violations"] if rule["impact"] in ("serious", "critical")
    ]
    assert not serious


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_japanese_telephone_shows_all_of_it(server: Any, open_page: OpenPage, address: str) -> None:
    page = open_page(f"{server.url}/{address}", locale="ja-JP", size=(390, 844))
    settled(page)
    page.wait_for_function("document.documentElement.lang == 'ja'")
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= 390


def test_the_slider_moves_the_line_and_what_it_saves_from_the_keyboard(server: Any, open_page: OpenPage) -> None:
    page = open_page(f"{server.url}/freeze?plan={PLAN.id}")
    settled(page)
    slider = page.get_by_role("slider", name="Last frozen layer")
    slider.focus()
    for _ in range(4):
        page.keyboard.press("ArrowLeft")
    page.get_by_text("Layers 0 to 18 stay as they are; layers 19 to 29 train.").wait_for()
    settled(page)
    assert "layers 0 to 18 frozen" in page.locator(".st-key-deviation").inner_text()
    assert "plan=" not in page.url, "a draft is not the stored plan"


def test_a_click_on_the_curve_freezes_up_to_there(server: Any, open_page: OpenPage) -> None:
    page = open_page(f"{server.url}/freeze?plan={PLAN.id}")
    settled(page)
    page.locator(".st-key-deviation path.point").nth(13).click(force=True)
    page.get_by_text("Layers 0 to 12 stay as they are; layers 13 to 29 train.").wait_for()


def test_the_reason_on_one_page_comes_in_both_languages(server: Any, open_page: OpenPage) -> None:
    page = open_page(f"{server.url}/freeze?plan={PLAN.id}")
    settled(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the page").click()
    assert 'lang="en"' in download.value.path().read_text(encoding="utf-8")
    page.get_by_role("combobox", name="Language of the page").click()
    page.get_by_role("option", name="日本語").click()
    settled(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the page").click()
    text = download.value.path().read_text(encoding="utf-8")
    assert 'lang="ja"' in text
    assert "層" in text


def test_a_boundary_of_the_sweep_can_be_taken_over(server: Any, open_page: OpenPage) -> None:
    page = open_page(f"{server.url}/trials?plan={PLAN.id}")
    settled(page)
    page.get_by_role("button", name="Take this boundary").click()
    page.get_by_text("Layers 0 to 9 stay as they are; layers 10 to 29 train.").wait_for()
    assert "/freeze" in page.url


def test_an_earlier_trial_is_deleted_only_after_asking(server: Any, open_page: OpenPage) -> None:
    page = open_page(f"{server.url}/trials?plan={PLAN.id}")
    settled(page)
    page.get_by_role("button", name="Delete this trial").click()
    page.get_by_role("dialog").get_by_role("button", name="Keep it").click()
    page.get_by_role("dialog").wait_for(state="detached")
    page.get_by_role("button", name="Delete this trial").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete", exact=True).click()
    page.get_by_text("has not been tried yet").wait_for()


def test_the_web_process_never_loads_torch(server: Any, open_page: OpenPage) -> None:
    for address in ADDRESSES:
        settled(open_page(f"{server.url}/{address}"))
    with open(f"/proc/{server.process.pid}/maps") as maps:
        assert "libtorch" not in maps.read()
