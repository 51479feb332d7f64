"""A statement as it goes to the database, now or with the next one: a write, or a question."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

from attrs import define, field, frozen

from hotelcore.errors import DatabaseFailure, HotelcoreError
from hotelcore.sql.seam.forms import Form, Parameters
from hotelcore.sql.seam.messages import Message
from hotelcore.sql.seam.translation import NOBODYS_KEY

__all__ = ["Call", "Otherwise", "call_at", "messages_of", "note_answers", "takes_long"]

# To make ready as many rows takes us so long that a server does well to begin with those before.
_MANY = 100


@frozen
class Otherwise:
    """The errors of a write that fails to change ``wanted`` rows; see `Statements.must_write`."""

    wanted: int
    taken: Callable[[], HotelcoreError] | None = None
    missed: Callable[[], HotelcoreError] | None = None


@define(eq=False)
class Call:
    """A statement with the parameters of each of its ``rows``, as the driver takes them.

    It is told of by its ``form``. Where it waits for the next statement, ``queued`` is what
    PostgreSQL is told before it, such as whose queue to stand in, ``is_question`` says that it was
    asked ahead, and ``takes_long`` that the server is at it for longer than it takes to tell it.
    """

    form: Form
    text: str
    rows: Sequence[Any]
    otherwise: Otherwise | None = None
    queued: Sequence[Message] = ()
    is_question: bool = False
    takes_long: bool = False
    # What is read like a driver's cursor, for each row, once it is there.
    answers: Sequence[Any] = field(init=False, default=())

    @property
    def messages(self) -> Sequence[Message]:
        """What PostgreSQL is sent, in this order."""
        return [*self.queued, *[(self.text, row) for row in self.rows]]

    @property
    def size(self) -> int:
        """How many messages that is."""
        return len(self.queued) + len(self.rows)

    @property
    def changed(self) -> int:
        """How many rows it changed or found, once it was answered."""
        return sum(answer.rowcount for answer in self.answers)

    def note(self, answers: Sequence[Any]) -> None:
        """Note the answers to its messages."""
        self.answers = answers[len(self.queued) :]
        if self.is_question:
            for answer in self.answers:
                answer.keep()

    def refuse_missed(self, changed: int) -> None:
        """Raise what is to be raised if fewer rows were ``changed`` than are wanted."""
        otherwise = self.otherwise
        if otherwise and otherwise.missed is not None and changed < otherwise.wanted:
            raise otherwise.missed()

    def error_when_taken(self) -> HotelcoreError:
        """Return what is to be raised for a unique key that it found taken."""
        if self.otherwise is None or self.otherwise.taken is None:
            # Whoever sent it along would take a `UniqueViolation` for one of his own.
            return DatabaseFailure(NOBODYS_KEY)
        return self.otherwise.taken()


def messages_of(calls: Sequence[Call]) -> list[Message]:
    """Return the messages of all the calls, in their order."""
    return [message for call in calls for message in call.messages] if calls else []


def note_answers(calls: Sequence[Call], answers: Sequence[Any]) -> None:
    """Give all calls the answers to their messages."""
    coming = iter(answers)
    for call in calls:
        call.note(list(islice(coming, call.size)))


def call_at(place: int, calls: Sequence[Call]) -> Call | None:
    """Return the call that the message at a place belongs to, counted from the first of all."""
    of_each_message = [call for call in calls for _ in range(call.size)]
    return of_each_message[place] if 0 <= place < len(of_each_message) else None


def takes_long(rows: Sequence[Parameters]) -> bool:
    """Tell whether many rows are sent, or one with a long list."""
    lists = (value for value in rows[0].values() if isinstance(value, list))
    return len(rows) >= _MANY or any(len(each) >= _MANY for each in lists)
