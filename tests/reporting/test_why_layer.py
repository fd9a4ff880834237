"""The page that says why this layer: one A4 page in either language, honest without a trial, and safe with hostile names."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from analysis.contracts import EofChoice, Message, Plan, Prune, Semantics
from analysis.errors import PlanError
from analysis.i18n import LANGUAGES, Language
from analysis.reporting.why_layer import why_page
from tests.builders import SLICES
from tests.trained_builders import make_freeze_plan, make_semantics, make_trial

HOSTILE = "<script>alert(1)</script>&\"'\x00" + "長い名前" * 60
CHOICE: Mapping[str, Any] = {
    "strategy": "gain",
    "eof_layer": 19,
    "agreement": 0.83,
    "low": 18,
    "high": 22,
    "by_slice": {name: 19 + place % 3 for place, name in enumerate(SLICES)},
    "interpretation": True,
    "reason": Message(id="no layer frozen"),
}


def plan_with(choice: Mapping[str, Any] | None = None, eof_layer: int = 19, **changes: Any) -> Plan:
    plan = make_freeze_plan(eof_layer)
    made = None if choice is None else EofChoice.model_validate(choice)
    provenance = plan.provenance.model_copy(update={"eof_choice": made, "created_at": "2026-11-22T06:00:00"})
    return plan.model_copy(update={"provenance": provenance, **changes})


def _hostile(name: str) -> Mapping[str, Any]:
    reason = Message(id="{first} {second}", values={"first": name, "second": name})
    return {"by_slice": {f"{name}{place}": 3 for place in range(12)}, "reason": reason}


def full_page(language: Language, *, hostile: str = "") -> str:
    choice = {**CHOICE, **(_hostile(hostile) if hostile else {})}
    plan = plan_with(choice)
    trial = make_trial(19, plan=plan, boundaries=(2, 4, 9, 14, 19, 24, 27), kinds=("full", "lora", "lora_freeze"))
    if hostile:
        plan = plan.model_copy(update={"model": plan.model.model_copy(update={"name": hostile, "commit": hostile})})
        trial = trial.model_copy(update={"machine": trial.machine.model_copy(update={"device_name": hostile}), "id": hostile})
    return why_page(plan, make_semantics(), trial, language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_says_what_why_how_sure_and_what_was_tried(language: Language) -> None:
    page = full_page(language)
    titles = re.findall(r"<h2>(.*?)</h2>", page)
    assert len(titles) == len(set(titles)) == 6
    assert f'<html lang="{language}">' in page
    assert page.count("<svg") == 1
    assert "83%" in page
    assert "41.0%" in page
    assert plan_with().model.commit in page
    assert "Prompt number" not in page


def test_japanese_page_speaks_japanese() -> None:
    english, japanese = (re.findall(r"<(?:h1|h2|th)>(.*?)</", full_page(language)) for language in LANGUAGES)
    assert len(english) == len(japanese)
    assert not set(english) & set(japanese)


def test_a_sweeps_choice_shows_what_it_kept_and_that_no_curve_decided() -> None:
    plan = plan_with({"strategy": "sweep", "eof_layer": 9, "reason": Message(id="no layer frozen")}, eof_layer=9)
    page = why_page(plan, make_semantics(), make_trial(9, plan=plan, boundaries=(4, 14, 19), kinds=("full",)), "en")
    assert page.count("Gain kept: ") == 2
    assert "<th>Boundaries tried</th><td>4</td>" in page
    assert "the choice did not use this curve" in page
    assert "the choice did not use this curve" not in full_page("en")


def test_without_trial_and_traces_the_page_says_so() -> None:
    page = why_page(plan_with(), None, None, "en")
    assert "no trial has run" in page
    assert "set by a person" in page
    assert "used no measurement" in page
    assert "<svg" not in page


def test_a_boundary_that_a_person_moved_is_told() -> None:
    semantics = make_semantics()
    moved = why_page(plan_with({**CHOICE, "eof_layer": 22}), semantics, None, "en")
    assert "A person then set the last frozen layer to 19." in moved
    assert "A person" not in why_page(plan_with(CHOICE), semantics, None, "en")


def test_a_plan_that_freezes_nothing_is_refused() -> None:
    with pytest.raises(PlanError, match="the plan freezes none"):
        why_page(plan_with(operations=(Prune(blocks=(3,)),)), None, None, "en")


@pytest.mark.parametrize("language", LANGUAGES)
def test_hostile_names_stay_text(language: Language) -> None:
    page = full_page(language, hostile=HOSTILE)
    assert "<script" not in page
    assert "\x00" not in page
    assert "&lt;script&gt;" in page


def without_values(semantics: Semantics) -> Semantics:
    name = semantics.default_curve
    curve = semantics.overall.curves[name]
    n = semantics.n_blocks
    empty = curve.model_copy(
        update={"mean": (None,) * (n + 1), "intervals": (None,) * (n + 1), "gain": (None,) * n, "gain_intervals": (None,) * n}
    )
    overall = semantics.overall.model_copy(update={"curves": {**semantics.overall.curves, name: empty}})
    return semantics.model_copy(update={"overall": overall})


@pytest.mark.parametrize("eof_layer", [-1, 0, 28])
def test_the_drawing_holds_at_the_ends_and_without_values(eof_layer: int) -> None:
    for semantics in (make_semantics(), without_values(make_semantics())):
        page = why_page(plan_with(eof_layer=eof_layer), semantics, None, "en")
        assert "nan" not in re.sub(r">[^<]*<", "><", page)
        assert ('fill="url(#frozen)"' in page) == (eof_layer >= 0)


def pages_when_printed(page: str, folder: Path) -> int:
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium on this machine: install the package chromium")
    source, printed = folder / "page.html", folder / "page.pdf"
    source.write_text(page, encoding="utf-8")
    flags = ("--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer", f"--user-data-dir={folder / 'user'}")
    subprocess.run([program, *flags, f"--print-to-pdf={printed}", source.as_uri()], check=True, capture_output=True, timeout=120)
    return len(re.findall(rb"/Type\s*/Page\b", printed.read_bytes()))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("hostile", ["", HOSTILE])
def test_it_prints_on_one_page(language: Language, hostile: str, tmp_path: Path) -> None:
    assert pages_when_printed(full_page(language, hostile=hostile), tmp_path) == 1
