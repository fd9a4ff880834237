"""plan.json, written and read."""

from __future__ import annotations

import json

from pydantic import ValidationError

from analysis.contracts import Plan
from analysis.errors import DocumentError

SCHEMA_VERSION = 1


def plan_to_json(plan: Plan) -> str:
    """The plan as plan.json: readable, with its id."""
    return plan.model_dump_json(indent=2) + "\n"


def read_plan(data: bytes) -> Plan:
    """A plan from the bytes of a plan.json.

    The file's own `id` is ignored and worked out again, so that a plan edited by hand gets the identity of what it does.

    Raises:
        DocumentError: it is not JSON, not a plan, of a newer version, or a field of it cannot be read.
    """
    fields = _json_object(data)
    kind, version = fields.get("kind"), fields.get("schema_version")
    if kind != "plan":
        raise DocumentError(
            'This JSON file is not a plan: its "kind" is {kind}, and a plan says "plan". Choose a plan.json.',
            kind=json.dumps(kind, ensure_ascii=False),
        )
    if version != SCHEMA_VERSION:
        raise DocumentError(
            "This plan has schema version {version}; this program reads version {known}. Update the program, or make the plan again.",
            version=json.dumps(version),
            known=SCHEMA_VERSION,
        )
    try:
        return Plan.model_validate_json(json.dumps({name: value for name, value in fields.items() if name != "id"}))
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        raise DocumentError(
            'This plan cannot be read: the field "{field}" is not as it should be ({problem}). Make the plan again, or correct that field.',
            field=".".join(map(str, first["loc"])) or "plan",
            problem=first["msg"],
        ) from exc


def _json_object(data: bytes) -> dict[str, object]:
    try:
        found = json.loads(data.decode("utf-8-sig"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as exc:
        raise DocumentError("This file is not JSON. Choose a plan.json as this program writes it.") from exc
    if not isinstance(found, dict):
        raise DocumentError("This JSON file holds no plan. Choose a plan.json as this program writes it.")
    return found
