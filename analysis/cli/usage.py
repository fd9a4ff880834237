"""What was typed wrongly, in our words: each error of the command line's parser as one sentence in the caller's language.

The parser (Click's in older Typer, Typer's own in newer) words its errors in English and differently from version to
version. Only the kind of an error and the option it is about are taken from it; what was given is read from the
command line, what is allowed from the declaration of the option.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from typer.core import TyperGroup

from analysis.errors import InputError


class SpokenGroup(TyperGroup):
    """A group of commands that says in our words that one does not exist."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Finds the command that was named.

        Raises:
            InputError: there is none of that name.
        """
        if args[0].startswith("-") or self.get_command(ctx, args[0]) is not None:
            return super().resolve_command(ctx, args)
        near = get_close_matches(args[0], self.list_commands(ctx), 1)
        if near:
            raise InputError(
                "{program} has no command {given}. Did you mean {near}?", program=ctx.command_path, given=args[0], near=near[0]
            )
        raise InputError("{program} has no command {given}. {program} --help lists those it has.", program=ctx.command_path, given=args[0])


def usage_error(exc: Exception, typed: Sequence[str]) -> InputError | None:
    """A usage error of the parser in our words; None: it is not one, or it is the help text itself.

    Args:
        exc: what the parser raised.
        typed: the command line behind the program's name.
    """
    kinds = {kind.__name__ for kind in type(exc).__mro__ if kind.__module__.startswith(("typer.", "click."))}
    if "UsageError" not in kinds or "NoArgsIsHelpError" in kinds:
        return None
    if "MissingParameter" in kinds:
        return _missing(exc)
    if "BadParameter" in kinds:
        return _refused(exc, typed)
    if "NoSuchOption" in kinds:
        return _unknown(exc)
    if "BadOptionUsage" in kinds:
        return _value_missing_or_too_many(str(getattr(exc, "option_name", "")), typed)
    return _otherwise(exc)


def _command(exc: Exception) -> str:
    ctx = getattr(exc, "ctx", None)
    return str(ctx.command_path) if ctx is not None else "python -m analysis"


def _missing(exc: Exception) -> InputError:
    param = getattr(exc, "param", None)
    name, metavar = _name_of(param), getattr(param, "metavar", None) or ""
    return InputError(
        "{command} needs {option}, which was not given. Add it; {command} --help says what it is.",
        command=_command(exc),
        option=f"{name} {metavar}".strip() if name.startswith("-") else name,
    )


def _name_of(param: Any) -> str:
    """An option as it is typed, an argument by its place: ``--budget``, ``ID``."""
    if getattr(param, "param_type_name", "") == "option":
        return str(max(param.opts, key=len))
    return str(getattr(param, "metavar", None) or getattr(param, "name", None) or "").strip("_").upper()


def _unknown(exc: Exception) -> InputError:
    given, ctx = str(getattr(exc, "option_name", "")), getattr(exc, "ctx", None)
    params = ctx.command.params if ctx is not None else ()
    known = {name.lstrip("-"): name for param in params for name in (*param.opts, *param.secondary_opts) if name.startswith("-")}
    near = [known[name] for name in get_close_matches(given.lstrip("-"), known, 1)]
    if near:
        return InputError("{command} has no option {given}. Did you mean {near}?", command=_command(exc), given=given, near=near[0])
    return InputError("{command} has no option {given}. {command} --help lists those it has.", command=_command(exc), given=given)


def _value_missing_or_too_many(option: str, typed: Sequence[str]) -> InputError:
    if typed and typed[-1] == option:  # the parser asks for a value only where nothing stands behind the option
        return InputError("{option} needs a value behind it, and none was given. --help shows how it is written.", option=option)
    return InputError("{option} takes no value: it stands alone. Leave out what follows its =.", option=option)


def _otherwise(exc: Exception) -> InputError:
    ctx, problem = getattr(exc, "ctx", None), str(getattr(exc, "message", exc))
    if ctx is not None and hasattr(ctx.command, "commands"):
        return InputError("{command} needs a command behind it. {command} --help lists them.", command=_command(exc))
    extra = re.search(r"arguments?(?:\(s\))? \((.*)\)", problem)
    return InputError(
        "{command} does not know what {given} is for. Put it behind the option it belongs to, in quotes if it holds spaces; "
        "{command} --help lists the options.",
        command=_command(exc),
        given=extra.group(1) if extra else problem,
    )


@dataclass(frozen=True)
class _Allowed:
    """What an option takes, as it is declared."""

    kind: Any
    least: float | None = None
    most: float | None = None
    choices: tuple[str, ...] = ()

    def takes(self, value: str) -> bool:
        """Whether a value that was typed is one of those."""
        if self.choices:
            return value in self.choices
        try:
            number = self.kind(value)
        except (TypeError, ValueError):
            return False
        return (self.least is None or number >= self.least) and (self.most is None or number <= self.most)


def _refused(exc: Exception, typed: Sequence[str]) -> InputError:
    param, ctx = getattr(exc, "param", None), getattr(exc, "ctx", None)
    allowed = _declared(ctx, param)
    values = [value for value in _typed_behind(typed, param) if allowed is None or not allowed.takes(value)]
    option, given = _name_of(param), values[0] if values else ""
    if allowed is not None and allowed.choices:
        return InputError(
            "{option} {given} cannot be used. Write one of these: {choices}.",
            option=option,
            given=given,
            choices=allowed.choices,
        )
    if allowed is not None and allowed.kind in (int, float):
        return _number_refused(option, given, allowed)
    return InputError(
        "{option} {given} cannot be used. {command} --help says what it takes.", option=option, given=given, command=_command(exc)
    )


def _number_refused(option: str, given: str, allowed: _Allowed) -> InputError:
    least, most = (_as_typed(bound, allowed.kind) for bound in (allowed.least, allowed.most))
    if allowed.kind is int:
        if least is None:
            return InputError("{option} {given} cannot be used. Write a whole number.", option=option, given=given)
        if most is None:
            return InputError(
                "{option} {given} cannot be used. Write a whole number, {least} or more.", option=option, given=given, least=least
            )
        return InputError(
            "{option} {given} cannot be used. Write a whole number from {least} to {most}.",
            option=option,
            given=given,
            least=least,
            most=most,
        )
    if least is None:
        return InputError("{option} {given} cannot be used. Write a number.", option=option, given=given)
    if most is None:
        return InputError("{option} {given} cannot be used. Write a number, {least} or more.", option=option, given=given, least=least)
    return InputError(
        "{option} {given} cannot be used. Write a number from {least} to {most}.", option=option, given=given, least=least, most=most
    )


def _as_typed(bound: float | None, kind: Any) -> int | str | None:
    """A bound as one would type it: 0.1, not 0.100."""
    return None if bound is None else int(bound) if kind is int else f"{bound:g}"


def _typed_behind(typed: Sequence[str], param: Any) -> Iterator[str]:
    names = tuple(getattr(param, "opts", ()))
    for index, word in enumerate(typed):
        name, equals, value = word.partition("=")
        if word in names and index + 1 < len(typed):
            yield typed[index + 1]
        elif equals and name in names:
            yield value


def _declared(ctx: Any, param: Any) -> _Allowed | None:
    """What the declaration of the command's function says of an option; None: it says nothing."""
    callback = getattr(getattr(ctx, "command", None), "callback", None)
    if callback is None or param is None:
        return None
    hint = get_type_hints(inspect.unwrap(callback), include_extras=True).get(param.name)
    if get_origin(hint) is not Annotated:
        return None
    kind, *notes = get_args(hint)
    least, most = next(((note.min, note.max) for note in notes if hasattr(note, "min")), (None, None))
    kind = _single(kind)
    choices = tuple(map(str, get_args(kind))) if get_origin(kind) is Literal else ()
    return _Allowed(kind, least, most, choices)


def _single(kind: Any) -> Any:
    """``list[int] | None`` as ``int``: what one value is."""
    while get_origin(kind) in (list, Union, UnionType):
        kind = next(part for part in get_args(kind) if part is not type(None))
    return kind
