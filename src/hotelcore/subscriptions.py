"""Who reacts inside a transaction, and who is told for certain: inline and durable subscriptions.

The third mode, after the commit and best effort, is the bus of `hotelcore.events.bus`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from datetime import timedelta
from inspect import signature
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeAlias, TypeVar

from attrs import Attribute, field, frozen

from hotelcore.access import POLICY, Permission, Policy, Role, role_named
from hotelcore.domain import fields
from hotelcore.errors import InvalidInput
from hotelcore.events.catalogue import CATALOGUE, Event
from hotelcore.events.envelope import Envelope
from hotelcore.unit_of_work import UnitOfWork

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.orm import Session

__all__ = ["Delivery", "Durable", "Subscriptions"]

P = ParamSpec("P")
R = TypeVar("R")
E = TypeVar("E", bound=Event)
E_co = TypeVar("E_co", bound=Event, covariant=True)


class Delivery(Protocol[E_co]):
    """One event on its way to a durable subscription, and the transaction in which it is handled.

    What happens in the one transaction of a delivery happens once, whatever is killed or delivered
    twice; anything else the handler does happens at least once. A handler that opens none is
    taken to be done when it returns.
    """

    @property
    def event(self) -> E_co:
        """The fact."""
        ...

    @property
    def envelope(self) -> Envelope:
        """The event as it is stored: its id, its instant, where it came from."""
        ...

    @property
    def attempt(self) -> int:
        """How often this delivery was begun, from 1."""
        ...

    @property
    def late(self) -> bool:
        """Whether this is the retry of a dead letter, after later events of the record."""
        ...

    def run(
        self,
        operation: Callable[Concatenate[UnitOfWork, P], R],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Run one operation, or a function over several, as the transaction of this delivery.

        It is run again while the database asks for that, as by `hotelcore.core.Desk.run`.
        """
        ...

    def transaction(self) -> AbstractContextManager[UnitOfWork]:
        """Open the transaction of this delivery; `InvalidInput` if it had one already."""
        ...

    def joining(self, host: Connection | Session) -> AbstractContextManager[UnitOfWork]:
        """Handle the event in a transaction that the handler opened itself, beside its own tables.

        The commit stays the handler's, as with `hotelcore.core.Desk.joining`. If it does not come,
        the event is delivered again once the relay's lease has ended. Let it come soon: until then
        the relay waits as soon as it has another event of the record to tell of, and with it
        whatever it would have told of in the meantime.
        """
        ...

    def reading(self) -> AbstractContextManager[UnitOfWork]:
        """Open a unit that only reads, as often as you like."""
        ...


Inline: TypeAlias = Callable[[UnitOfWork, E], None]
Handler: TypeAlias = Callable[[Delivery[E]], None]


def _pause(_: object, attribute: Attribute[timedelta], value: timedelta) -> None:
    if not isinstance(value, timedelta) or not timedelta(0) < value <= timedelta(days=1):
        raise InvalidInput(attribute.name, "must be a timedelta above zero, of a day at most")


@frozen(kw_only=True)
class Durable:
    """A durable subscription: its name, the role it acts in, and how long it tries.

    An event is attempted up to ``attempts`` times, with random pauses between zero and a bound
    that starts at ``first_pause`` and doubles up to ``longest_pause``.
    """

    name: str = fields.text(100)
    role: Role | str = field(converter=role_named)
    attempts: int = fields.count(1, 1_000)
    first_pause: timedelta = field(validator=_pause)
    longest_pause: timedelta = field(validator=_pause)


class Subscriptions:
    """Inline and durable subscriptions of a host, usually made when its modules are imported.

    ``policy`` says what the roles may do in which durable subscriptions act. A core takes only
    subscriptions that were made with its own policy.
    """

    def __init__(self, *, policy: Policy = POLICY) -> None:
        self._policy = policy
        # Handlers of different events share the tables, so their argument types are open here.
        self._inline: defaultdict[type[Event], list[Inline[Any]]] = defaultdict(list)
        self._durable: dict[str, Durable] = {}
        self._handlers: defaultdict[str, dict[str, Handler[Any]]] = defaultdict(dict)

    @property
    def policy(self) -> Policy:
        """What says whether a durable subscription may act in a role."""
        return self._policy

    def inline(self, kind: type[E]) -> Callable[[Inline[E]], Inline[E]]:
        """Call the decorated function ``(uow, event)`` in every transaction that reports ``kind``.

        It is called when the transaction is about to end, in the order of subscription, and acts as
        whoever caused the event. What it raises undoes the whole transaction and reaches the
        caller. Events that it causes are told to inline subscriptions too.

        Raises `InvalidInput` for a class that is no event and for what is no plain function of two
        arguments.
        """
        _event_class(kind)

        def decorate(handler: Inline[E]) -> Inline[E]:
            _check_handler(handler, "uow", "event")
            self._inline[kind].append(handler)
            return handler

        return decorate

    def durable(
        self,
        kind: type[E],
        *,
        name: str,
        role: Role | str = Role.STAFF,
        attempts: int = 12,
        first_pause: timedelta = timedelta(seconds=1),
        longest_pause: timedelta = timedelta(minutes=10),
    ) -> Callable[[Handler[E]], Handler[E]]:
        """Have the relay call the decorated function with a `Delivery` of every ``kind``.

        ``name`` (1 to 100 characters) stands for the subscription in the database: keep it when the
        function moves, and give it to several kinds to have them handled in the order of their
        record. The handler acts in ``role`` in the hotel of the event. An attempt fails when it
        raises; the next one comes after a pause (see `Durable`), and after the last one the event
        becomes a dead letter.

        Raises `InvalidInput` for a class that is no event, for what is no plain function, for a
        kind that the name has already, for a name that was given other settings before, and for a
        role that may not even see bookings.
        """
        _event_class(kind)
        wanted = Durable(
            name=name,
            role=role,
            attempts=attempts,
            first_pause=first_pause,
            longest_pause=longest_pause,
        )
        # Without that no unit of work can be opened, so not one event could be handled.
        if Permission.BOOKINGS_VIEW not in self._policy.rights_of(wanted.role):
            raise InvalidInput("role", "must be one that may see bookings: staff at least")

        def decorate(handler: Handler[E]) -> Handler[E]:
            _check_handler(handler, "delivery")
            if self._durable.setdefault(wanted.name, wanted) != wanted:
                raise InvalidInput("name", "stands for a subscription with other settings")
            if kind.wire_name in self._handlers[wanted.name]:
                raise InvalidInput("name", "has a handler of this event already")
            self._handlers[wanted.name][kind.wire_name] = handler
            return handler

        return decorate

    def inline_of(self, event: Event) -> Collection[Inline[Any]]:
        """Return the functions to call inside the transaction that reports ``event``."""
        return tuple(self._inline.get(type(event), ()))

    @property
    def durables(self) -> Mapping[str, Durable]:
        """Every durable subscription by its name."""
        return MappingProxyType(self._durable)

    def names_of(self, wire_name: str) -> Collection[str]:
        """Return the durable subscriptions that handle an event."""
        return [name for name, handlers in self._handlers.items() if wire_name in handlers]

    def handlers_of(self, name: str) -> Mapping[str, Handler[Any]]:
        """Return the handlers of a durable subscription by the wire name of their event."""
        return MappingProxyType(self._handlers[name])


def _check_handler(handler: Callable[..., None], *arguments: str) -> None:
    """Raise `InvalidInput` for what cannot be called with so many arguments, or is not plain."""
    fields.check_plain("handler", handler)
    try:
        takes = signature(handler)
    except ValueError:  # what is not written in Python may not say
        return
    try:
        takes.bind(*arguments)
    except TypeError:
        wanted = ", ".join(arguments)
        raise InvalidInput("handler", f"must be a function of ({wanted})") from None


def _event_class(kind: object) -> None:
    if kind not in CATALOGUE.values():
        raise InvalidInput("kind", "must be an event class of the catalogue")
