"""What goes to PostgreSQL with the next statement: writes, and questions that are asked ahead."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

from attrs import define, field, frozen

from hotelcore.errors import DatabaseFailure, HotelcoreError
from hotelcore.sql.seam.forms import Form, Parameters
from hotelcore.sql.seam.messages import Message
from hotelcore.sql.seam.translation import NOBODYS_KEY

__all__ = [
    "Asked",
    "Otherwise",
    "Question",
    "Waiting",
    "messages_of",
    "note_answers",
    "takes_long",
    "waiting_at",
]

# To make ready as many rows takes us so long that a server does well to begin with those before.
_MANY = 100


@define(eq=False)
class Question:
    """What was asked ahead, until it is asked or something is written."""

    text: str
    parameters: Any  # as the driver takes them
    answer: Any = None  # what is read like a driver's cursor, once it is there


class Asked(BaseException):  # no error, which a question might catch
    """Ends what asks ahead: its statement is noted, and the answer is not there yet."""


@frozen
class Otherwise:
    """The errors of a write that fails to change ``wanted`` rows; see `Statements.must_write`."""

    wanted: int
    taken: Callable[[], HotelcoreError] | None = None
    missed: Callable[[], HotelcoreError] | None = None

    def refuse_missed(self, changed: int) -> None:
        """Raise its error if fewer rows were ``changed``."""
        if self.missed is not None and changed < self.wanted:
            raise self.missed()


@define(eq=False)
class Waiting:
    """A statement that goes with the next one, and before it what stands in a queue."""

    form: Form
    text: str
    parameters: Any  # of one call, or a list of those of many
    calls: int = 1
    queued: Sequence[Message] = ()
    question: Question | None = None
    # Whether the server is at it for longer than it takes to tell it.
    takes_long: bool = False
    otherwise: Otherwise | None = None
    # How many rows it changed or found, once it was sent.
    rows: int = field(init=False, default=0)

    @property
    def sent(self) -> tuple[str, Any]:
        """The text and the parameters, as the driver takes them."""
        return self.text, self.parameters

    def refuse_missed(self) -> None:
        """Raise what is to be raised for rows that it did not change, once it was sent."""
        if self.otherwise is not None:
            self.otherwise.refuse_missed(self.rows)

    def error_when_taken(self) -> HotelcoreError:
        """Return what is to be raised for a unique key that it found taken."""
        if self.otherwise is None or self.otherwise.taken is None:
            # Whoever sent it along would take a `UniqueViolation` for one of his own.
            return DatabaseFailure(NOBODYS_KEY)
        return self.otherwise.taken()

    @property
    def messages(self) -> Sequence[Message]:
        """What is told and asked of PostgreSQL, in that order."""
        calls = self.parameters if self.calls > 1 else [self.parameters]
        return [*self.queued, *((self.text, each) for each in calls)]

    def answered(self, answers: Sequence[Any]) -> None:
        """Note the answers to its messages."""
        own = answers[len(self.queued) :]
        self.rows = sum(answer.rowcount for answer in own)
        if self.question:
            (self.question.answer,) = own
            self.question.answer.keep()


def messages_of(waiting: Sequence[Waiting]) -> list[Message]:
    """Return the messages of all that waits, in their order."""
    return [message for each in waiting for message in each.messages]


def note_answers(waiting: Sequence[Waiting], answers: Sequence[Any]) -> None:
    """Give all that waited the answers to its messages, which come first."""
    coming = iter(answers)
    for each in waiting:
        each.answered(list(islice(coming, len(each.messages))))


def waiting_at(place: int, waiting: Sequence[Waiting]) -> Waiting | None:
    """Return what the message at a place belongs to, counted from the first that waited."""
    of_each_message = [each for each in waiting for _ in each.messages]
    return of_each_message[place] if 0 <= place < len(of_each_message) else None


def takes_long(rows: Sequence[Parameters]) -> bool:
    """Tell whether many rows are sent, or one with a long list."""
    lists = (value for value in rows[0].values() if isinstance(value, list))
    return len(rows) >= _MANY or any(len(each) >= _MANY for each in lists)
