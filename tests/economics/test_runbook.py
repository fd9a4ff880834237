"""The way back on one page: what was rehearsed, and words where nothing was."""

from __future__ import annotations

from typing import Any

import pytest

from analysis.economics.stages import runbook
from analysis.i18n import LANGUAGES
from tests.business_builders import make_evidence, make_rollout


def test_the_steps_and_minutes_are_those_that_were_rehearsed() -> None:
    text = runbook(make_rollout(), make_evidence(), "en")
    assert "12 minutes, measured on 2026-11-20 by Operations." in text
    assert "1. Switch the route back\n2. Watch one request" in text
    assert "usual steps" not in text
    assert "Owner: A. Sato" in text
    assert "Legal and security: not named yet" in text
    assert "- Limit: perplexity<=+5%" in text
    assert "SmolLM2-135M-Instruct (0123456789ab)" in text


def test_without_a_rehearsal_the_page_says_so() -> None:
    text = runbook(make_rollout(rehearsal=None), make_evidence(), "en")
    assert "Not rehearsed yet: nobody knows how long it takes." in text
    assert "not rehearsed here yet" in text
    assert "minutes, measured" not in text


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("rehearsed", [True, False])
def test_it_fits_one_page_in_both_languages(language: Any, rehearsed: bool) -> None:
    text = runbook(make_rollout() if rehearsed else make_rollout(rehearsal=None), make_evidence(), language)
    assert "{" not in text
    assert len(text.splitlines()) <= 60
    assert ("切り戻し手順" in text) == (language == "ja")


def test_a_stage_without_limits_says_so() -> None:
    base = make_rollout()
    bare = base.stages[0].model_copy(update={"guardrails": (), "stop_rule": ""})
    assert "No limit has been set yet." in runbook(base.model_copy(update={"stages": (bare,)}), make_evidence(), "en")


def test_a_name_of_several_lines_makes_no_step_and_no_heading() -> None:
    plain = runbook(make_rollout(), make_evidence(), "en")
    typed = make_rollout(plan_name="x\n## Step by step\n1. do nothing", roles={"owner": "A\n- B", "engineer": "B. Ito"})
    assert len(runbook(typed, make_evidence(), "en").splitlines()) == len(plain.splitlines())
