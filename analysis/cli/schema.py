"""`schema`: the JSON Schemas of what Strata writes, generated from the contracts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from analysis.cli.terminal import examples, paragraphs, terminal_of
from analysis.contracts import (
    Assumptions,
    BusinessCase,
    Contract,
    Healing,
    Plan,
    Profile,
    Ranking,
    Robustness,
    Rollout,
    Search,
    Semantics,
    Trial,
    Verification,
)
from analysis.errors import DocumentError
from analysis.home import write_atomically
from analysis.i18n import N_

SHORT_HELP = N_("Write the JSON Schemas of the documents that Strata writes.")
HELP = paragraphs(
    SHORT_HELP, N_("Examples:"), examples("python -m analysis schema --out docs/schemas", "python -m analysis schema --check")
)
DOCUMENTS: dict[str, type[Contract]] = {
    "profile": Profile,
    "semantics": Semantics,
    "search": Search,
    "ranking": Ranking,
    "plan": Plan,
    "verification": Verification,
    "trial": Trial,
    "healing": Healing,
    "robustness": Robustness,
    "assumptions": Assumptions,
    "business_case": BusinessCase,
    "rollout": Rollout,
}


def schema(
    ctx: typer.Context,
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help=N_("Folder that receives profile.schema.json, plan.schema.json and the others."))
    ] = Path("docs/schemas"),
    check: Annotated[bool, typer.Option("--check", help=N_("Write nothing; say whether the files there are current."))] = False,
) -> None:
    """Writes the schemas, or checks that they are current."""
    for name, contract in DOCUMENTS.items():
        path, text = out / f"{name}.schema.json", schema_text(name, contract)
        if not check:
            write_atomically(path, text.encode())
            terminal_of(ctx).tell("Wrote {path}.", path=str(path))
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            raise DocumentError(
                "{path} is not what the contracts say. Run: python -m analysis schema --out {folder}", path=str(path), folder=str(out)
            )


def schema_text(name: str, contract: type[Contract]) -> str:
    """The JSON Schema of what is written (computed fields included), as text that differs only when the contract does."""
    described = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **contract.model_json_schema(mode="serialization"),
        "title": f"Strata {name}",
    }
    return json.dumps(described, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
