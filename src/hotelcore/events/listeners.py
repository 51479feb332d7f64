"""Who listens to which event, and what came of telling them: what both buses share."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping
from threading import Lock
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any, ClassVar, TypeAlias, TypeVar
from uuid import UUID

from attrs import Factory, field, frozen

from hotelcore.errors import InvalidInput
from hotelcore.events.catalogue import CATALOGUE, Event
from hotelcore.ids import HotelId
from hotelcore.signals import Announcement, check_runs, name_of
from hotelcore.tenancy import same_hotel

__all__ = [
    "MANY",
    "Listeners",
    "Outcome",
    "Roster",
    "refuse_unstarted",
]

_log = logging.getLogger("hotelcore.events")

E = TypeVar("E", bound=Event)
# Listeners of different events share a table, so their argument is open here.
AnyListener: TypeAlias = Callable[[Any], object]

MANY = 50
"""How many listeners of one event are usual; more tell of a subscription in a loop."""


# -- what comes of a call -----------------------------------------------------------------------


def _class_of(error: Exception | None) -> str:
    return "None" if error is None else type(error).__name__


@frozen(kw_only=True)
class Outcome:
    """What came of telling one listener.

    ``listener`` is the name of its function, ``error`` what it raised, None if it ran to its end.
    The error's text is the host's and may be personal, so ``repr`` shows its class alone.
    """

    listener: str
    error: Exception | None = field(default=None, repr=_class_of)

    @property
    def ok(self) -> bool:
        """Whether the listener ran to its end."""
        return self.error is None


def _successes(roster: Roster) -> tuple[Outcome, ...]:
    return tuple(Outcome(listener=name_of(listener)) for listener in roster.listeners)


@frozen
class Roster:
    """The listeners of one kind of event, in the order in which they subscribed.

    ``successes`` are their outcomes when none fails: that is the usual case, so they are made once.
    """

    listeners: tuple[AnyListener, ...] = ()
    successes: tuple[Outcome, ...] = field(init=False, default=Factory(_successes, takes_self=True))

    def outcomes(self, failures: Mapping[int, Exception]) -> tuple[Outcome, ...]:
        """Return the outcome of each listener; ``failures`` are by the listener's ``id``."""
        if not failures:
            return self.successes
        return tuple(
            Outcome(listener=success.listener, error=failures.get(id(listener)))
            for listener, success in zip(self.listeners, self.successes, strict=True)
        )

    def failing(self, outcomes: tuple[Outcome, ...]) -> Roster:
        """Return those listeners whose outcome is an error."""
        each = zip(self.listeners, outcomes, strict=True)
        return Roster(tuple(listener for listener, outcome in each if not outcome.ok))


def refuse_unstarted(result: object) -> None:
    """Raise `InvalidInput` where a call gave back work that nobody will do.

    At its subscription a plain function can hide that: ``lambda event: send(event)`` of an async
    ``send``. A task that runs already is fine.
    """
    if isinstance(result, CoroutineType | GeneratorType):
        result.close()
    elif not isinstance(result, AsyncGeneratorType):
        return
    raise InvalidInput("listener", "gave back a coroutine or generator, which nobody would run")


# -- the table ----------------------------------------------------------------------------------


class Listeners:
    """The listeners of a bus by event class, and the signals that tell of them.

    ``error`` is announced with ``event=``, ``listener=`` (the function) and ``error=`` whenever a
    listener raises; ``dispatched`` with ``event=`` and ``outcomes=`` when an emit has told all
    listeners. Both are signals of blinker: ``bus.error.connect(receiver)``.
    """

    _awaits: ClassVar[bool]
    """Whether the bus awaits what a listener gives back."""

    def __init__(self) -> None:
        self.error = Announcement("A listener raised.")
        self.dispatched = Announcement("All listeners of an event were told.")
        # An emit reads the table without the lock, so a roster is replaced and never changed: who
        # subscribes while an event is told hears the next one.
        self._rosters = dict.fromkeys(CATALOGUE.values(), Roster())
        self._lock = Lock()
        self._warned: set[type[Event]] = set()

    def unsubscribe(self, kind: type[E], listener: Callable[[E], object]) -> None:
        """Tell ``listener`` of no further event of ``kind``; one that is being told goes on.

        Raises `InvalidInput` if it is not subscribed, or ``kind`` is no event of the catalogue.
        """
        with self._lock:
            there = self._roster(kind).listeners
            if listener not in there:
                raise InvalidInput("listener", "is not subscribed to this event")
            at = there.index(listener)
            self._rosters[kind] = Roster((*there[:at], *there[at + 1 :]))

    def listener_count(self, kind: type[Event]) -> int:
        """Return how many listen to ``kind``; `InvalidInput` if it is no event of the catalogue."""
        return len(self._roster(kind).listeners)

    def _subscribe(self, kind: type[Event], listener: AnyListener) -> None:
        check_runs("listener", listener, awaits=self._awaits)
        with self._lock:
            there = self._roster(kind).listeners
            if listener in there:
                raise InvalidInput("listener", "is subscribed to this event already")
            self._rosters[kind] = Roster((*there, listener))
            crowded = len(there) >= MANY and kind not in self._warned
            if crowded:
                self._warned.add(kind)
        if crowded:
            warnings.warn(
                f"more than {MANY} listeners of {kind.wire_name}: subscribe once, when the program"
                " starts, not in each request",
                RuntimeWarning,
                stacklevel=3,
            )

    def _roster(self, kind: type[Event]) -> Roster:
        if kind not in CATALOGUE.values():
            raise InvalidInput("kind", "must be an event class of the catalogue")
        return self._rosters[kind]

    def _admitted(self, event: Event, hotel_id: HotelId) -> Roster:
        """Return the listeners of an event that is of the catalogue and of the acting hotel."""
        if type(event) not in CATALOGUE.values():
            raise InvalidInput("event", "must be an event of the catalogue")
        if not isinstance(hotel_id, UUID):
            raise InvalidInput("hotel_id", "must be a UUID")
        same_hotel(hotel_id, event.hotel_id, "event")
        return self._rosters[type(event)]

    def _failed(self, event: Event, listener: AnyListener, error: Exception) -> None:
        # The exception's own text may hold personal data of the host's, so only its class is named.
        _log.error(
            "listener %s of %s failed: %s", name_of(listener), event.wire_name, _class_of(error)
        )
        self.error.announce(self, event=event, listener=listener, error=error)
