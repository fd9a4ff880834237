"""Every page: empty, with a run, in both languages, with hostile names, after an error."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from builders import make_model, make_profile, make_workload
from streamlit.testing.v1 import AppTest

from analysis.planning import plan_to_json, propose_plan
from analysis.runs.client import Client

ROOT = Path(__file__).parents[2]
PAGES = ("overview", "workload", "similarity", "plans", "verify")
HOSTILE = "<script>alert(1)</script> [x](javascript:alert(1)) **b** :red[r] $a$ `c`"
Visit = Callable[..., AppTest]
StoreProfile = Callable[..., str]


def primary_buttons(app: AppTest) -> list[str]:
    return [button.label for button in app.button if button.proto.type == "primary"]


def said(app: AppTest) -> str:
    return "\n".join(
        str(element.value) for kind in (app.title, app.markdown, app.caption, app.error, app.warning, app.info) for element in kind
    )


@pytest.mark.parametrize("page", PAGES)
def test_an_empty_store_is_never_an_empty_page(visit: Visit, page: str) -> None:
    app = visit(page)
    assert len(app.title) == 1
    assert primary_buttons(app), "an empty page says what to do"


@pytest.mark.parametrize("page", PAGES)
def test_each_page_opens_with_one_sentence_and_has_one_primary_button(visit: Visit, store_profile: StoreProfile, page: str) -> None:
    store_profile()
    app = visit(page)
    assert len(app.title) == 1
    assert any(sign.isdigit() for sign in app.title[0].value) or page in ("workload", "verify")
    assert len(primary_buttons(app)) == 1, primary_buttons(app)


@pytest.mark.parametrize("page", PAGES)
def test_each_page_speaks_japanese_to_a_japanese_browser(visit: Visit, store_profile: StoreProfile, page: str) -> None:
    store_profile()
    app = visit(page, locale="ja-JP")
    assert any("\u3040" <= sign <= "\u9fff" for sign in app.title[0].value)
    assert app.query_params["lang"] == "ja"


def test_the_url_decides_the_language_before_the_browser_does(visit: Visit) -> None:
    assert "まだ計測がありません" in visit("overview", locale="en-US", lang="ja").title[0].value


def test_an_unknown_language_in_the_url_is_passed_over(visit: Visit) -> None:
    assert visit("overview", lang="<b>").query_params["lang"] == "en"


def test_the_switch_changes_language_and_url(visit: Visit) -> None:
    app = visit("overview")
    app.radio(key="language_switch").set_value("ja").run()
    assert app.query_params["lang"] == "ja"
    assert "計測" in app.title[0].value


@pytest.mark.parametrize("page", ["overview", "similarity", "plans"])
def test_the_sample_is_called_a_sample_wherever_it_is_shown(visit: Visit, store_profile: StoreProfile, page: str) -> None:
    store_profile()
    assert "These are the sample's figures, not yours." in said(visit(page))


def test_own_figures_are_not_called_a_sample(visit: Visit, store_profile: StoreProfile) -> None:
    store_profile(model=make_model(name="our/model", kind="hub"), workload=make_workload(is_sample=False))
    for page in ("overview", "similarity", "plans"):
        assert "not yours" not in said(visit(page))


@pytest.mark.parametrize("page", PAGES)
def test_hostile_names_stay_text(visit: Visit, client: Client, store_profile: StoreProfile, page: str) -> None:
    run = store_profile(model=make_model(name=HOSTILE, kind="hub"), name=HOSTILE, slices=(HOSTILE, "two"))
    plan = propose_plan(client.profile(run), amount="10%")
    client.save_plan(plan, HOSTILE)
    text = said(visit(page, plan=plan.id))
    assert "<script>" not in text
    assert "](javascript" not in text
    assert " :red[" not in text


@pytest.mark.parametrize("page", ["overview", "similarity", "plans"])
def test_a_run_that_is_gone_is_said_and_the_newest_is_shown(visit: Visit, store_profile: StoreProfile, page: str) -> None:
    store_profile()
    app = visit(page, run="0123456789ab")
    assert "There is no run" in said(app)
    assert app.query_params["run"] != "0123456789ab"


def test_a_damaged_run_is_said_in_one_sentence(visit: Visit, client: Client, store_profile: StoreProfile) -> None:
    run = store_profile()
    for path in (client.storage_folder() / "artifacts").rglob("*"):
        if path.is_file():
            path.write_bytes(b"not a profile")
    app = visit("similarity", run=run)
    assert len(app.error) == 1


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_charts_have_names_for_those_who_do_not_see_them(visit: Visit, store_profile: StoreProfile, theme: str) -> None:
    store_profile()
    for page in ("overview", "similarity", "plans"):
        charts = visit(page, theme=theme).get("plotly_chart")
        assert charts
        assert all(chart.proto.alt for chart in charts)


def test_a_profile_without_intervals_slices_or_cka_is_drawn_all_the_same(visit: Visit, store_profile: StoreProfile) -> None:
    whole = make_profile(6)
    bare = whole.overall.model_copy(update={"intervals": None, "linear_cka": None, "angular_distance_last_token": None})
    store_profile(whole.model_copy(update={"overall": bare, "slices": {}, "examples": (), "rank_stability": ()}))
    for page in PAGES:
        visit(page)


def test_two_runs_are_set_side_by_side(visit: Visit, store_profile: StoreProfile) -> None:
    first, second = store_profile(seed=0), store_profile(seed=3, id="other")
    app = visit("similarity", run=first)
    app.selectbox(key="beside").set_value(f"run:{second}").run()
    assert not app.exception
    spec = app.get("plotly_chart")[0].proto.spec
    assert "minus" in spec


@pytest.mark.parametrize("slice_name", ["sink", "order entry", "response"])
def test_each_measure_is_drawn_for_a_slice_or_said_to_be_undefined(visit: Visit, store_profile: StoreProfile, slice_name: str) -> None:
    run = store_profile()
    app = visit("similarity")
    app.selectbox(key=f"slice_{run}").set_value(slice_name).run()
    for measure in ("angular_distance", "linear_cka"):
        app.radio(key="measure").set_value(measure).run()
        assert not app.exception
    assert bool(app.info) == (slice_name == "sink")


def test_a_plan_made_elsewhere_is_checked_against_the_model_of_the_run(visit: Visit, store_profile: StoreProfile) -> None:
    store_profile()
    foreign = propose_plan(make_profile(12, model=make_model(12, name="other/model", commit="beef", kind="hub")), amount="20%")
    app = visit("plans")
    app.file_uploader(key="plan_file").upload("plan.json", plan_to_json(foreign).encode())
    app.run()
    assert any("other/model" in error.value.replace("\\", "") for error in app.error)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"kind": "profile"}', b"\xff\xfe\x00", b'{"kind": "plan", "schema_version": 9}'])
def test_a_bad_plan_file_is_refused_in_one_sentence(visit: Visit, store_profile: StoreProfile, data: bytes) -> None:
    store_profile()
    app = visit("plans")
    app.file_uploader(key="plan_file").upload("plan.json", data)
    app.run()
    assert not app.exception
    assert len(app.error) == 1
    assert "Traceback" not in app.error[0].value


@pytest.mark.parametrize("page", PAGES)
def test_a_rerun_with_a_stored_run_reads_nothing_again(visit: Visit, store_profile: StoreProfile, page: str, parsed: list[str]) -> None:
    store_profile()
    app = visit(page)
    assert parsed
    parsed.clear()
    app.run()
    assert not parsed


def test_no_page_loads_torch() -> None:
    code = """
import sys
from streamlit.testing.v1 import AppTest
app = AppTest.from_file("app.py", default_timeout=60).run()
for page in ("workload", "similarity", "plans", "verify"):
    app.switch_page(f"pages/{page}.py").run()
    assert not app.exception, app.exception
heavy = {"torch", "transformers", "captum", "peft"} & set(sys.modules)
assert not heavy, heavy
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr[-2000:]
