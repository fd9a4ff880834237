"""The tree of errors that a user can cause or meet.

    StrataError                exit code   meaning
    |-- InputError                  2      what was given cannot be used
    |   |-- ModelError                     model source, weights, structure, device
    |   |-- WorkloadError                  files, fields, encodings
    |   |-- PlanError                      a plan that does not fit its model or its profile
    |   `-- DocumentError                  a JSON document that is not one of ours
    |-- GuardrailMissed             3      a limit set beforehand was not met, or could not be decided
    |-- ResourceError               4      memory or disk ran out
    |-- JobLost                     1      a worker died and its job could not go on
    `-- Cancelled                 130      stopped at the user's request

An error carries a message (English sentence with named places, plus the values) and is put into words
only at the edge: page, terminal or report. The sentence says what was given, what is allowed, what to do next.
"""

from __future__ import annotations

from typing import ClassVar

from analysis.contracts.message import Message, Value


class StrataError(Exception):
    """A failure that can be said in one sentence.

    Args:
        id: the English sentence with named places, e.g. ``"Block {block} is not in this model."``; it is also the
            key of its translation, so it is always a literal.
        **values: what goes into the named places.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, id: str, /, **values: Value) -> None:
        self.message = Message(id=id, values=values)
        super().__init__(self.message.in_english())

    @classmethod
    def from_message(cls, message: Message) -> StrataError:
        """The same failure on the other side of a process boundary."""
        return cls(message.id, **message.values)

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.message))


def _rebuild(kind: type[StrataError], message: Message) -> StrataError:
    return kind.from_message(message)


class InputError(StrataError):
    """What was given cannot be used as it is."""

    exit_code = 2


class ModelError(InputError):
    """A model source, its weights, its structure, or the device asked for."""


class WorkloadError(InputError):
    """A workload file, its encoding, its fields or its examples."""


class PlanError(InputError):
    """A plan, or the request for one, that does not fit its model or profile."""


class DocumentError(InputError):
    """A JSON document that is not one of ours, or is damaged."""


class GuardrailMissed(StrataError):
    """A limit set beforehand was not met, or the data cannot decide it."""

    exit_code = 3


class ResourceError(StrataError):
    """Memory or disk ran out."""

    exit_code = 4


class JobLost(StrataError):
    """A worker died and its job could not be resumed."""


class Cancelled(StrataError):
    """Stopped at the user's request."""

    exit_code = 130
