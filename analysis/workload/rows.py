"""From one row of a file to one example: the fields, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from analysis.contracts import AUTOMATIC_SLICES
from analysis.errors import WorkloadError
from analysis.workload.example import Example, Role, Turn
from analysis.workload.shown import shown, shown_names
from analysis.workload.values import Place, kind_of, number_value, requests_value, slice_value, text_value, weight_value, yes_no_value

FIELDS = ("prompt", "messages", "system", "response", "choices", "answer", "slice", "weight", "critical", "requests_per_month")
_ROLES: Mapping[str, Role] = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant", "tool": "tool"}
_LIKELY = ("text", "question", "instruction", "input", "query", "content", "request")
MAX_TURNS = 1_000


@dataclass(frozen=True)
class Row:
    """One record of a file. `table`: its cells are text (CSV, Excel), so lists in them are written as JSON."""

    place: Place
    values: Mapping[str, object]
    table: bool = False


def check_mapping(mapping: Mapping[str, str]) -> None:
    """Refuses a mapping to a field that does not exist."""
    for field in mapping:
        if field not in FIELDS:
            raise WorkloadError("--map {field}=... names no field. Fields are: {fields}.", field=shown(field), fields=", ".join(FIELDS))


def check_columns(columns: Iterable[str], mapping: Mapping[str, str], place: Place) -> None:
    """Refuses a table or record that has no prompt, or not the columns that were named; never guesses."""
    found = list(columns)
    if {mapping.get("prompt", "prompt"), mapping.get("messages", "messages")} & set(found):
        return
    for field in ("prompt", "messages"):
        if field in mapping:
            raise WorkloadError(
                "File {file}, line {line}: there is no column '{column}', which --map names for '{field}'. Columns found: {columns}.",
                file=place.file,
                line=place.line,
                column=shown(mapping[field]),
                field=field,
                columns=shown_names(found),
            )
    raise WorkloadError(
        "File {file}, line {line}: there is no 'prompt' or 'messages'. Columns found: {columns}. "
        "Name the column that holds the prompt, for example --map prompt={example}.",
        file=place.file,
        line=place.line,
        columns=shown_names(found),
        example=_likely(found),
    )


def _likely(columns: list[str]) -> str:
    candidates = [name for name in _LIKELY if name in columns] + [name for name in columns if name not in FIELDS]
    return shown(candidates[0], 40) if candidates else "COLUMN"


def example_of(row: Row, mapping: Mapping[str, str]) -> Example:
    """The example that a row describes.

    Raises:
        WorkloadError: with file and line, for a missing prompt, a wrong type, an unknown role or a contradiction.
    """
    check_columns(row.values, mapping, row.place)
    taken = set(mapping.values())  # a column that was named as one field is not read as another by its own name as well
    get = {field: None if field in taken and field not in mapping else _present(row, mapping.get(field, field)) for field in FIELDS}
    turns, response = _conversation(row, get)
    choices = _choices(get["choices"], row)
    requests = get["requests_per_month"]
    return Example(
        turns=turns,
        response=response,
        choices=choices,
        answer=_answer(get["answer"], choices, row.place),
        slice="" if get["slice"] is None else _slice(get["slice"], row.place),
        weight=1.0 if get["weight"] is None else weight_value(get["weight"], row.place),
        critical=False if get["critical"] is None else yes_no_value(get["critical"], "critical", row.place),
        requests_per_month=None if requests is None else requests_value(requests, row.place),
    )


def _present(row: Row, column: str) -> object:
    """The value, or None when it is missing, null or blank."""
    value = row.values.get(column)
    return None if isinstance(value, str) and not value.strip() else value


def _slice(value: object, place: Place) -> str:
    name = slice_value(value, place)
    if name in AUTOMATIC_SLICES:
        raise WorkloadError(
            "File {file}, line {line}: the slice name '{name}' is taken by an automatic slice. Use another name than {taken}.",
            file=place.file,
            line=place.line,
            name=name,
            taken=", ".join(AUTOMATIC_SLICES),
        )
    return name


def _conversation(row: Row, get: Mapping[str, object]) -> tuple[tuple[Turn, ...], str | None]:
    place = row.place
    if get["prompt"] is not None and get["messages"] is not None:
        raise WorkloadError(
            "File {file}, line {line}: both 'prompt' and 'messages' are given. Keep one of them.", file=place.file, line=place.line
        )
    response = None if get["response"] is None else text_value(get["response"], "response", place)
    turns: tuple[Turn, ...]
    if get["messages"] is None:
        turns = (Turn("user", _prompt(get["prompt"], place)),)
    else:
        turns = _turns(_listed(get["messages"], "messages", row), place)
        if turns[-1].role == "assistant":
            if response is not None:
                raise WorkloadError(
                    "File {file}, line {line}: 'messages' ends with an assistant turn and 'response' is given as well. Keep one of them.",
                    file=place.file,
                    line=place.line,
                )
            turns, response = turns[:-1], turns[-1].content if turns[-1].content.strip() else None
    _check_asked(turns, place)
    return _with_system(turns, get["system"], place), response


def _prompt(value: object, place: Place) -> str:
    if value is None:
        raise WorkloadError(
            "File {file}, line {line}: the prompt is empty. Fill it in or remove the line.", file=place.file, line=place.line
        )
    return text_value(value, "prompt", place)


def _check_asked(turns: tuple[Turn, ...], place: Place) -> None:
    if not any(turn.role == "user" and turn.content.strip() for turn in turns):
        raise WorkloadError(
            "File {file}, line {line}: 'messages' has no user turn with text in front of the last answer. Add what the user asked.",
            file=place.file,
            line=place.line,
        )


def _with_system(turns: tuple[Turn, ...], system: object, place: Place) -> tuple[Turn, ...]:
    if system is None:
        return turns
    if any(turn.role == "system" for turn in turns):
        raise WorkloadError(
            "File {file}, line {line}: 'messages' has a system turn and 'system' is given as well. Keep one of them.",
            file=place.file,
            line=place.line,
        )
    return (Turn("system", text_value(system, "system", place)), *turns)


def _turns(messages: list[object], place: Place) -> tuple[Turn, ...]:
    if not 1 <= len(messages) <= MAX_TURNS:
        raise WorkloadError(
            "File {file}, line {line}: 'messages' has {n} turns; 1 to {limit} are read.",
            file=place.file,
            line=place.line,
            n=len(messages),
            limit=MAX_TURNS,
        )
    return tuple(_turn(message, place) for message in messages)


def _turn(message: object, place: Place) -> Turn:
    if not isinstance(message, Mapping) or "role" not in message or "content" not in message:
        raise WorkloadError(
            "File {file}, line {line}: each turn of 'messages' must be an object with 'role' and 'content'.",
            file=place.file,
            line=place.line,
        )
    role = message["role"]
    if not isinstance(role, str) or role not in _ROLES:
        raise WorkloadError(
            "File {file}, line {line}: the role {role} is not known. Roles are: {roles}.",
            file=place.file,
            line=place.line,
            role=shown(role) if isinstance(role, str) else kind_of(role),
            roles=", ".join(_ROLES),
        )
    return Turn(_ROLES[role], _content(message["content"], place))


def _content(content: object, place: Place) -> str:
    """A turn's text; a list of text parts, as chat services log it, is joined."""
    if not isinstance(content, list):
        return text_value(content, "content", place)
    parts = []
    for part in content:
        if not isinstance(part, Mapping) or part.get("type") != "text":
            raise WorkloadError(
                "File {file}, line {line}: a turn of 'messages' holds something other than text (such as an image), "
                "which is not supported yet.",
                file=place.file,
                line=place.line,
            )
        parts.append(text_value(part.get("text"), "content", place))
    return text_value("".join(parts), "content", place)


def _listed(value: object, field: str, row: Row) -> list[object]:
    """A list; in a table's cell it is written as JSON."""
    if row.table and isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as exc:
            raise WorkloadError(
                "File {file}, line {line}: '{field}' in a table must be a JSON list, such as {example}.",
                file=row.place.file,
                line=row.place.line,
                field=field,
                example='["A", "B"]' if field == "choices" else '[{"role": "user", "content": "..."}]',
            ) from exc
    if not isinstance(value, list):
        raise WorkloadError(
            "File {file}, line {line}: '{field}' must be a list, but it is {kind}.",
            file=row.place.file,
            line=row.place.line,
            field=field,
            kind=kind_of(value),
        )
    return value


def _choices(value: object, row: Row) -> tuple[str, ...]:
    if value is None or value == []:
        return ()
    choices = tuple(text_value(choice, "choices", row.place) for choice in _listed(value, "choices", row))
    if len(choices) < 2 or len(set(choices)) != len(choices) or not all(choice.strip() for choice in choices):
        raise WorkloadError(
            "File {file}, line {line}: 'choices' must hold at least two different texts.", file=row.place.file, line=row.place.line
        )
    return choices


def _answer(value: object, choices: tuple[str, ...], place: Place) -> str | None:
    """The right choice, given as its text or as its number counted from 0."""
    if value is None and not choices:
        return None
    if value is None or not choices:
        raise WorkloadError(
            "File {file}, line {line}: 'choices' and 'answer' belong together. Give both, or neither; a free answer goes into 'response'.",
            file=place.file,
            line=place.line,
        )
    if isinstance(value, str) and value in choices:
        return value
    index = None if isinstance(value, str) and not value.strip().isdecimal() else number_value(value, "answer", place)
    if index is None or index not in range(len(choices)):
        raise WorkloadError(
            "File {file}, line {line}: 'answer' is {value}, which is none of the choices: {choices}. "
            "Give the text of one, or its number counted from 0.",
            file=place.file,
            line=place.line,
            value=shown(value) if isinstance(value, str) else kind_of(value),
            choices=shown_names(choices),
        )
    return choices[int(index)]
