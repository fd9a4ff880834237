"""The scripts around the product: a busy port, a missing package, the interpreter."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def script(name: str, *args: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, f"scripts/{name}", *args] if name.endswith(".py") else ["bash", f"scripts/{name}", *args]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, env=os.environ | environ)


def test_a_free_port_passes_and_a_busy_one_is_explained() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        busy = script("free_port.py", str(port))
    assert busy.returncode == 1
    assert f"make run PORT={port + 1}" in busy.stderr
    assert script("free_port.py", str(port)).returncode == 0


def test_what_is_no_port_is_refused_with_an_example() -> None:
    for wrong in ("abc", "0", "70000", "-1", ""):
        refused = script("free_port.py", wrong)
        assert refused.returncode == 1
        assert "make run PORT=8502" in refused.stderr


def test_nothing_is_missing_here() -> None:
    assert script("missing.py").returncode == 0


def test_an_interpreter_is_found_and_one_that_cannot_be_used_is_passed_over() -> None:
    for asked in ("", "/no/such/python", "true"):
        found = script("find-python", PYTHON=asked)
        assert found.returncode == 0
        assert Path(found.stdout.strip()).exists()


def test_without_a_usable_interpreter_one_sentence_says_what_to_install(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.2 && exit 0\nexit 1\n')
    old.chmod(0o755)
    refused = subprocess.run(["/bin/bash", "scripts/find-python"], cwd=ROOT, capture_output=True, text=True, env={"PATH": str(tmp_path)})
    assert refused.returncode == 2
    assert "Python 3.11" in refused.stderr
    assert "3.9.2" in refused.stderr


def test_setup_does_nothing_when_nothing_changed(tmp_path: Path) -> None:
    for name in ("requirements.txt", "requirements-sample.txt", "constraints.txt"):
        (tmp_path / name).write_text("")
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "setup").write_text((ROOT / "scripts" / "setup").read_text())
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").symlink_to(sys.executable)
    stamp = subprocess.run("printf '' | cksum", shell=True, capture_output=True, text=True).stdout
    (tmp_path / ".venv" / ".ready-run").write_text(stamp)
    done = subprocess.run(["bash", str(tmp_path / "scripts" / "setup")], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
