"""The journey of a first-time user with the real sample model: look, start, watch, reload, cancel; bring own files, see the result."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.sample_model]
OpenPage = Callable[..., Any]
MACHINE_PATIENCE_MS = 180_000
LOADS = """
import sys, torch
from transformers import AutoModelForCausalLM
model = AutoModelForCausalLM.from_pretrained(sys.argv[1])
made = model.generate(torch.tensor([[1, 2, 3]]), max_new_tokens=4, min_new_tokens=4, do_sample=False)
print(model.config.num_hidden_layers, made.shape[1] - 3)
"""


@pytest.fixture(scope="module")
def server(start_server: Callable[..., Any], sample_folder: Path) -> Any:
    """A server that knows the sample model and has no run of its own."""
    return start_server(sample_model=sample_folder)


def prompts(n: int, response: str = "") -> bytes:
    """A small workload as JSON Lines."""
    rows = [
        {"prompt": f"Order {number} bearings 6204 for line {number % 3}.", "slice": ("orders", "notes")[number % 2]}
        | ({"response": response} if response else {})
        for number in range(n)
    ]
    return "\n".join(json.dumps(row) for row in rows).encode()


def choose_upload(page: Any, name: str, content: bytes) -> None:
    page.get_by_role("combobox", name="Prompts").click()
    page.get_by_role("option", name="Files from this computer").click()
    page.locator("input[type=file]").first.set_input_files({"name": name, "mimeType": "application/octet-stream", "buffer": content})


def test_a_run_shows_progress_survives_a_reload_and_can_be_cancelled(server: Any, open_page: OpenPage) -> None:
    page = open_page(f"{server.url}/workload")
    page.get_by_text("Tokens by slice").wait_for(timeout=MACHINE_PATIENCE_MS)
    page.get_by_role("button", name="Profile it").click()
    page.get_by_role("button", name="Cancel").wait_for()
    assert "job=" in page.url
    page.get_by_text("tokens/s").first.wait_for(timeout=MACHINE_PATIENCE_MS)
    page.reload()
    page.get_by_role("button", name="Cancel").wait_for()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_text("The run was cancelled.").wait_for()


def test_own_files_are_previewed_run_and_shown(server: Any, open_page: OpenPage) -> None:
    page = open_page(f"{server.url}/workload")
    choose_upload(page, "our prompts 日本.jsonl", prompts(24))
    page.get_by_text("orders").first.wait_for(timeout=MACHINE_PATIENCE_MS)
    page.get_by_role("button", name="Profile it").click()
    page.get_by_role("button", name="See the similarity").click(timeout=MACHINE_PATIENCE_MS)
    page.locator(".st-key-heatmap .heatmaplayer").wait_for()
    assert "run=" in page.url
    assert "30 layers" in page.locator("h1").inner_text()


@pytest.mark.timeout(1500)
def test_from_a_profile_to_a_model_folder_that_plain_transformers_loads(server: Any, open_page: OpenPage, tmp_path: Path) -> None:
    page = open_page(f"{server.url}/workload")
    choose_upload(page, "orders.jsonl", prompts(24, "Order entered."))
    page.get_by_text("orders").first.wait_for(timeout=MACHINE_PATIENCE_MS)
    page.get_by_role("button", name="Profile it").click()
    page.get_by_role("button", name="See the similarity").click(timeout=MACHINE_PATIENCE_MS)
    page.get_by_role("button", name="Make a plan").click()
    page.get_by_role("button", name="Save this plan").click()
    page.get_by_role("button", name="Verify this plan").click()
    page.get_by_text("Settings", exact=True).click()
    page.get_by_role("spinbutton", name="Answers to generate").fill("2")
    page.get_by_role("spinbutton", name="Answers to generate").press("Enter")
    page.get_by_role("spinbutton", name="Longest answer (tokens)").fill("4")
    page.get_by_role("spinbutton", name="Longest answer (tokens)").press("Enter")
    page.get_by_role("button", name="Verify it").click()
    page.get_by_role("button", name="Cancel").wait_for()
    page.get_by_role("heading", name="Limits and results").wait_for(timeout=2 * MACHINE_PATIENCE_MS)
    assert "Perplexity" in page.get_by_role("table").first.inner_text()
    page.get_by_role("textbox", name="Folder on the server").fill(str(tmp_path / "lighter"))
    page.get_by_role("textbox", name="Folder on the server").press("Enter")
    page.get_by_role("button", name="Export the model folder").click()
    page.get_by_text("Largest difference to the plan run in place: 0.0").wait_for(timeout=2 * MACHINE_PATIENCE_MS)
    loaded = subprocess.run([sys.executable, "-c", LOADS, str(tmp_path / "lighter")], capture_output=True, text=True, timeout=180)
    assert loaded.returncode == 0, loaded.stderr[-2000:]
    assert loaded.stdout.strip() == "27 4"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("broken.jsonl", b'{"prompt": "a"}\n{"prompt":'),
        ("empty.csv", b""),
        ("columns.csv", b"text,label\nhello,1\n"),
        ("binary.txt", bytes(range(256)) * 20),
        ("not.parquet", b"PAR1 no"),
        ("not.xlsx", b"PK\x03\x04 no"),
    ],
)
def test_a_bad_upload_is_refused_in_one_sentence(server: Any, open_page: OpenPage, name: str, content: bytes) -> None:
    page = open_page(f"{server.url}/workload")
    choose_upload(page, name, content)
    page.locator("[data-testid=stAlert]").first.wait_for(timeout=MACHINE_PATIENCE_MS)
    assert page.locator("[data-testid=stException]").count() == 0
    assert page.get_by_role("button", name="Profile it").is_disabled()


def test_a_model_that_is_not_there_is_refused_in_one_sentence(server: Any, open_page: OpenPage) -> None:
    page = open_page(f"{server.url}/workload")
    page.get_by_role("combobox", name="Model").click()
    page.get_by_role("option", name="Another model").click()
    page.get_by_role("textbox", name="Name or path of the model").fill("/nowhere/at all")
    page.get_by_role("textbox", name="Name or path of the model").press("Enter")
    page.locator("[data-testid=stAlert]").wait_for(timeout=MACHINE_PATIENCE_MS)
    assert page.locator("[data-testid=stException]").count() == 0
