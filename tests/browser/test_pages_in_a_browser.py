"""What only a browser shows: a fresh server's first visit, clicks in charts, downloads, languages, accessibility."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from builders import make_model, make_profile, make_workload

from analysis.contracts import Plan
from analysis.planning.from_search import propose_from_search
from tests.measured_builders import make_search, make_verification

pytestmark = pytest.mark.browser
OpenPage = Callable[..., Any]
SEARCH = make_search()
PLAN = propose_from_search(SEARCH, strategy="greedy", amount="20%", units=("block", "attention", "mlp"), name="light plan")
OTHER_PLAN = propose_from_search(SEARCH, strategy="one_shot", amount="10%", units=("block",), name="three layers")
PAGES = ("", "workload", "similarity", "plans", "verify", f"plans?plan={PLAN.id}", f"verify?plan={PLAN.id}", f"verify?plan={OTHER_PLAN.id}")


@pytest.fixture(scope="module")
def server(start_server: Callable[..., Any]) -> Any:
    """A server with two runs: the sample's, with measured removals, plans and a verification, and one of a model with a long name."""
    long_name = "a-very-long-organisation-name/An-Extremely-Long-Model-Name-7B-Instruct-v2.1"
    other = make_profile(
        28,
        seed=1,
        id="other",
        name="factory mail",
        model=make_model(28, name=long_name, kind="hub"),
        workload=make_workload(is_sample=False),
    )
    tested = make_verification(PLAN, verdict="outside")
    return start_server(other, make_profile(id="first"), SEARCH, PLAN, OTHER_PLAN, tested)


def settled(page: Any) -> None:
    """Waits until the script has run and the charts are drawn."""
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    page.wait_for_timeout(700)


@pytest.mark.parametrize("address", ["plans?lang=ja", "similarity?lang=ja"])
def test_a_fresh_server_first_visited_by_a_deep_link_shows_that_page(
    start_server: Callable[..., Any], open_page: OpenPage, address: str
) -> None:
    server = start_server(make_profile(12, model=make_model(12)))
    page = open_page(f"{server.url}/{address}")
    settled(page)
    assert f"/{address.split('?')[0]}" in page.url
    assert "lang=ja" in page.url
    assert "層" in page.locator("h1").inner_text()
    assert page.get_by_text("概要").first.is_visible(), "the menu is the product's, not the files' names"
    page.reload()
    page.locator("h1").wait_for()
    assert f"/{address.split('?')[0]}" in page.url


def test_a_click_on_a_heatmap_cell_opens_that_pair(server: Any, open_page: OpenPage) -> None:
    page = open_page(f"{server.url}/similarity?run={run_named(server, 'sample run')}")
    settled(page)
    box = page.locator(".st-key-heatmap .nsewdrag").bounding_box()
    cell = box["width"] / 31
    page.mouse.click(box["x"] + 20.5 * cell, box["y"] + 5.5 * cell)
    page.get_by_text("Layers 5 to 19: from after 4 to after 19").wait_for()


def test_a_click_on_a_bar_opens_that_layer(server: Any, open_page: OpenPage) -> None:
    page = open_page(f"{server.url}/similarity?run={run_named(server, 'sample run')}")
    settled(page)
    box = page.locator(".st-key-influence .barlayer .point path").first.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.get_by_text("Layer 0: from in to after 0").wait_for()


def test_a_plan_is_saved_downloaded_and_still_there_after_a_reload(server: Any, open_page: OpenPage) -> None:
    page = open_page(f"{server.url}/plans?run={run_named(server, 'sample run')}")
    settled(page)
    page.get_by_label("Name of the plan").fill("<b>first</b> plan")
    page.get_by_label("Name of the plan").press("Enter")
    settled(page)
    page.get_by_role("button", name="Save this plan").click()
    page.get_by_text("Stored as <b>first</b> plan.").wait_for()
    settled(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download plan.json").click()
    plan = Plan.model_validate({k: v for k, v in json.loads(download.value.path().read_bytes()).items() if k != "id"})
    assert plan.removed["block"]
    assert f"plan={plan.id}" in page.url
    page.reload()
    page.get_by_text("Stored as <b>first</b> plan.").wait_for()


def test_deleting_asks_first_and_renaming_is_seen_at_once(start_server: Callable[..., Any], open_page: OpenPage) -> None:
    server = start_server(make_profile(6, model=make_model(6), name="to go"))
    page = open_page(server.url)
    settled(page)
    more = page.get_by_role("button", name="More").first
    more.click()
    page.get_by_text("Rename", exact=True).click()
    page.get_by_role("dialog").get_by_label("New name").fill("renamed run")
    page.get_by_role("dialog").get_by_label("New name").press("Enter")
    page.get_by_role("dialog").get_by_role("button", name="Rename").click()
    page.get_by_text("renamed run").first.wait_for()
    page.get_by_role("button", name="More").first.click()
    page.get_by_text("Delete", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Keep it").click()
    page.get_by_role("dialog").wait_for(state="detached")
    assert page.get_by_text("renamed run").first.is_visible()
    page.get_by_role("button", name="More").first.click()
    page.get_by_text("Delete", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").wait_for(state="detached")
    page.get_by_text("renamed run").first.wait_for(state="detached")


@pytest.mark.parametrize(("name", "content"), [("bad.json", b"{"), ("profile.json", b'{"kind": "profile", "schema_version": 1}')])
def test_a_bad_file_is_refused_in_one_sentence_and_nothing_is_lost(server: Any, open_page: OpenPage, name: str, content: bytes) -> None:
    page = open_page(server.url)
    settled(page)
    page.get_by_text("Open a file made elsewhere").click()
    page.locator("input[type=file]").set_input_files({"name": name, "mimeType": "application/json", "buffer": content})
    page.get_by_role("button", name="Open this file").click()
    page.locator("[data-testid=stAlert]").wait_for()
    assert "Traceback" not in page.content()
    assert page.get_by_text("factory mail").first.is_visible()


@pytest.mark.parametrize("path", PAGES)
def test_a_japanese_browser_reads_japanese_and_is_told_so(server: Any, open_page: OpenPage, path: str) -> None:
    page = open_page(f"{server.url}/{path}", locale="ja-JP")
    settled(page)
    page.wait_for_function("document.documentElement.lang == 'ja'")
    assert page.locator("h1").inner_text()
    page.get_by_role("radiogroup", name="Language / 言語").get_by_text("English").click()
    page.wait_for_url("**lang=en**")
    settled(page)
    page.wait_for_function("document.documentElement.lang == 'en'")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_axe_finds_nothing_serious(server: Any, open_page: OpenPage, path: str, dark: bool) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    page = open_page(f"{server.url}/{path}", dark=dark)
    settled(page)
    # In the dark theme Streamlit writes a slider's value in the button colour (3.97:1); white text on buttons forbids a lighter one.
    options = {"exclude": [["[data-testid=stSliderThumbValue]"]]} if dark else None
    found = axe.Axe().run(page, context=options)
    serious = [
        (rule["id"], rule["nodes"][0]["html"][:200]) for rule in found.response["violations"] if rule["impact"] in ("serious", "critical")
    ]
    assert not serious


@pytest.mark.parametrize("path", PAGES)
def test_nothing_is_wider_than_a_telephone(server: Any, open_page: OpenPage, path: str) -> None:
    page = open_page(f"{server.url}/{path}", size=(390, 844))
    settled(page)
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= 390


def test_the_web_process_never_loads_torch(server: Any, open_page: OpenPage) -> None:
    for path in PAGES:
        settled(open_page(f"{server.url}/{path}"))
    with open(f"/proc/{server.process.pid}/maps") as maps:
        assert "libtorch" not in maps.read()


def test_the_menu_leads_to_each_page_and_the_run_goes_along(server: Any, open_page: OpenPage) -> None:
    run = run_named(server, "sample run")
    page = open_page(f"{server.url}/?run={run}")
    settled(page)
    page.get_by_test_id("stTopNavSection").filter(has_text="Plan").click()
    page.get_by_test_id("stTopNavDropdownLink").filter(has_text="Plans").click()
    page.get_by_text("What it should save").wait_for()
    settled(page)
    assert f"run={run}" in page.url


def test_a_click_on_a_point_of_the_front_makes_it_the_plan_and_a_link_keeps_it(server: Any, open_page: OpenPage) -> None:
    page = open_page(f"{server.url}/plans?run={run_named(server, 'sample run')}")
    settled(page)
    page.get_by_text("From what removing them costs").click()
    settled(page)
    marks = page.locator(".st-key-pareto .scatterlayer .trace").nth(2).locator("path.point")
    marks.nth(marks.count() // 2).click(force=True)
    page.wait_for_url("**set=**")
    settled(page)
    title = page.locator("h1").inner_text()
    page.reload()
    settled(page)
    assert page.locator("h1").inner_text() == title


def test_a_point_of_the_front_is_chosen_from_the_keyboard(server: Any, open_page: OpenPage) -> None:
    page = open_page(f"{server.url}/plans?run={run_named(server, 'sample run')}")
    settled(page)
    page.get_by_text("From what removing them costs").click()
    settled(page)
    page.get_by_role("combobox", name="Best measured sets").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url("**set=**")


def test_a_plan_is_moved_on_and_its_history_says_who(server: Any, open_page: OpenPage) -> None:
    page = open_page(f"{server.url}/plans?plan={OTHER_PLAN.id}")
    settled(page)
    page.get_by_text("State and history of the plan").click()
    page.get_by_role("textbox", name="Your name").fill("Sato")
    page.get_by_role("button", name="Move the plan").click()
    page.get_by_text("Sato (as entered, not verified)").wait_for()
    assert page.get_by_text("(withdrawn)").first.is_visible()


def test_the_certificate_comes_without_texts_unless_they_are_asked_for(server: Any, open_page: OpenPage) -> None:
    page = open_page(f"{server.url}/verify?plan={PLAN.id}")
    settled(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the certificate (HTML)").click()
    certificate = download.value.path().read_text(encoding="utf-8")
    assert "bearings" not in certificate
    assert PLAN.id in certificate
    with page.expect_download() as download:
        page.get_by_role("button", name="Download verification.json").click()
    assert "bearings" not in download.value.path().read_text(encoding="utf-8")


def run_named(server: Any, name: str) -> str:
    """The id of a stored run."""
    from analysis.runs.client import open_client

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STRATA_HOME", str(server.home))
        return next(run.id for run in open_client().runs() if run.name == name)
