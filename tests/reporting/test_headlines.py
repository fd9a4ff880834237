"""Headlines: the finding, its certainty, and the form for bad news, in both languages."""

from __future__ import annotations

import doctest
import subprocess
import sys
from pathlib import Path

import pytest

from analysis.contracts import Freeze, Message, Profile
from analysis.i18n import render
from analysis.i18n.numbers import listed
from analysis.planning import amount, evidence, project, projection, propose_plan
from analysis.reporting import headlines
from tests.builders import make_model, make_preview, make_profile, make_workload


@pytest.fixture(scope="module")
def profile() -> Profile:
    return make_profile()


def both(message: Message) -> tuple[str, str]:
    return render(message, "en"), render(message, "ja")


def test_similarity_counts_small_layers_and_those_that_surely_are(profile: Profile) -> None:
    english, japanese = both(headlines.similarity(profile))
    series, intervals = profile.overall.block_influence, profile.overall.intervals
    assert intervals is not None
    small = [block for block, score in enumerate(series) if (score or 0) < 0.05]
    surely = [block for block in small if (intervals.block_influence[block] or (0, 0))[1] < 0.05]
    assert english == (
        f"{len(small)} of 30 layers turn this workload's tokens by less than 5%; for {len(surely)} of them the 95% interval "
        "stays below it too. Small change is not yet safe to remove: verification decides."
    )
    assert f"30層のうち{len(small)}層は変化が5%未満です（うち{len(surely)}層は95%信頼区間の上限も5%未満）。" in japanese


def test_similarity_can_say_that_nothing_is_small(profile: Profile) -> None:
    english, japanese = both(headlines.similarity(profile, threshold=0.001))
    assert english.startswith("None of 30 layers turns this workload's tokens by less than 0.1%")
    assert "0.1%未満の層はありません" in japanese


def test_similarity_of_a_slice_has_no_interval_to_lean_on(profile: Profile) -> None:
    assert "interval" not in render(headlines.similarity(profile, slice_name="code"), "en")


def test_similarity_says_when_nothing_is_defined(profile: Profile) -> None:
    empty = profile.overall.model_copy(update={"mlp_influence": (None,) * 30})
    assert "No influence is defined" in headlines.similarity(profile.model_copy(update={"overall": empty}), unit="mlp").id


def test_overview_names_the_model_the_prompts_and_the_next_step(profile: Profile) -> None:
    own = profile.model_copy(
        update={"workload": make_workload(is_sample=False), "model": make_model(kind="hub", name="org/model")},
    )
    english, japanese = both(headlines.overview(own, headlines.next_step(has_plan=False, sample=False)))
    n_small = len(headlines.small_layers(own))
    assert english == f"org/model on 80 of your prompts: {n_small} of its 30 layers turn the tokens by less than 5%. Next: make a plan."
    assert japanese.startswith("org/modelを業務データ80件で計測しました。30層のうち")
    assert japanese.endswith("次の作業：プランを作る")


def test_the_sample_is_never_called_yours(profile: Profile) -> None:
    sentence = render(headlines.overview(profile, headlines.next_step(has_plan=True, sample=True)), "en")
    assert "your prompts" not in sentence
    assert headlines.is_sample(profile)
    assert render(headlines.SAMPLE, "ja") == "これは見本の数値です。貴社の数値ではありません。"


def test_workload_says_how_long_or_that_it_does_not_know() -> None:
    preview = make_preview()
    assert render(headlines.workload(preview, eta="30 s", device="cpu"), "en") == "80 prompts, 8 slices, 4,400 tokens: about 30 s on cpu."
    assert "not known yet" in headlines.workload(preview, eta=None, device="cpu").id
    nothing = preview.model_copy(update={"counts": preview.counts.model_copy(update={"n_examples": 0})})
    assert "No prompt" in headlines.workload(nothing, eta=None, device="cpu").id


def test_too_few_prompts_counts_the_layers_that_may_still_swap(profile: Profile) -> None:
    message = headlines.too_few_prompts(profile)
    assert message is not None
    assert message.values["k"] == len(headlines.unsettled_layers(profile)) >= 3
    assert profile.overall.intervals is not None
    sure = profile.overall.intervals.model_copy(update={"block_rank": tuple((float(rank), float(rank)) for rank in range(1, 31))})
    settled = profile.model_copy(update={"overall": profile.overall.model_copy(update={"intervals": sure})})
    assert headlines.too_few_prompts(settled) is None


def test_a_plan_is_said_with_its_saving_and_without_a_guess_about_quality(profile: Profile) -> None:
    english, japanese = both(headlines.plans(propose_plan(profile, amount="20%")))
    blocks = listed(["7", "9", "15", "17", "19", "20"], "en")
    assert english == f"Removing layers {blocks} saves 20% of compute. Quality is not known until the plan has been run."
    assert japanese == "層7、9、15、17、19、20の剪定で、演算量は20%減る予測です。品質は、プランを動かすまで分かりません。"


def test_a_plan_with_warnings_says_so_first(profile: Profile) -> None:
    assert "warnings: " in render(headlines.plans(propose_plan(profile, amount="60%")), "en")


def test_a_plan_that_saves_nothing_when_it_runs_says_so(profile: Profile) -> None:
    plan = propose_plan(profile)
    operations = (Freeze(eof_layer=3),)
    frozen = plan.model_copy(update={"operations": operations, "projection": project(profile.model, operations)})
    assert render(headlines.plans(frozen), "en").startswith("Freezing layers 0 to 3 saves no computation when the model runs.")
    assert "not been worked out" in headlines.plans(plan.model_copy(update={"projection": None})).id


def test_long_lists_of_layers_become_ranges() -> None:
    assert headlines.runs_of((0, 1, 2, 5, 6, 9)) == ("0–2", 5, 6, 9)
    assert headlines.runs_of(()) == ()


@pytest.mark.parametrize("module", [amount, evidence, projection, headlines])
def test_the_examples_in_docstrings_hold(module: object) -> None:
    result = doctest.testmod(module)  # type: ignore[arg-type]
    assert result.attempted
    assert not result.failed


def test_planning_and_reporting_never_load_torch() -> None:
    modules = "analysis.planning, analysis.reporting.headlines, analysis.reporting.csv, " + ", ".join(
        f"analysis.reporting.charts.{name}" for name in ("stack", "heatmap", "influence", "spans", "pair", "small")
    )
    code = f"import sys, {modules}; sys.exit(int(any(name in sys.modules for name in ('torch', 'transformers', 'streamlit'))))"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False).returncode == 0


def test_planning_and_headlines_never_load_plotly() -> None:
    code = "import sys, analysis.planning, analysis.reporting.headlines, analysis.reporting.csv; sys.exit(int('plotly' in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False).returncode == 0
