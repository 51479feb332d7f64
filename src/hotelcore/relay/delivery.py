"""One event in the hands of its handler, with the one transaction in which it is handled."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Concatenate, Generic, ParamSpec, TypeVar

from attrs import define, field
from sqlalchemy import Connection

from hotelcore.core import Desk, HotelCore
from hotelcore.errors import InvalidInput
from hotelcore.events.catalogue import Event
from hotelcore.events.envelope import Envelope
from hotelcore.events.trace import Trace
from hotelcore.ids import HotelId
from hotelcore.sql.seam.joining import after_commit
from hotelcore.sql.transactions import Receipt
from hotelcore.subscriptions import Durable
from hotelcore.tenancy import Actor
from hotelcore.unit_of_work import UnitOfWork

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

__all__ = ["StoredDelivery", "actor_of"]

P = ParamSpec("P")
R = TypeVar("R")
E = TypeVar("E", bound=Event)


def actor_of(durable: Durable, hotel_id: HotelId) -> Actor:
    """Name who handles the events of a durable subscription in a hotel."""
    return Actor(hotel_id=hotel_id, subject=f"subscription:{durable.name}", role=durable.role)


@define
class StoredDelivery(Generic[E]):
    """The `hotelcore.subscriptions.Delivery` of a stored event."""

    event: E
    envelope: Envelope
    attempt: int
    late: bool
    _desk: Desk = field(alias="desk")
    _receipt: Receipt = field(alias="receipt")
    _handled: bool = field(default=False, init=False)
    _committed: bool = field(default=True, init=False)

    @classmethod
    def of(
        cls,
        core: HotelCore,
        durable: Durable,
        envelope: Envelope,
        receipt: Receipt,
        *,
        attempt: int,
        late: bool = False,
    ) -> StoredDelivery[Event]:
        """Open the event, for a handler that acts in its hotel and nowhere else.

        Raises what `Envelope.event` raises for an event that this library cannot read.
        """
        trace = Trace(
            correlation_id=envelope.correlation_id,
            causation_id=envelope.id,
            traceparent=envelope.traceparent,
        )
        return StoredDelivery(
            event=envelope.event(),
            envelope=envelope,
            attempt=attempt,
            late=late,
            desk=core._desk_of(actor_of(durable, envelope.hotel_id), trace),
            receipt=receipt,
        )

    def run(
        self,
        operation: Callable[Concatenate[UnitOfWork, P], R],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Run one operation as the transaction of this delivery."""
        self._refuse_second()
        result = self._desk._leaving(self._receipt).run(operation, *args, **kwargs)
        self._handled = True
        return result

    @contextmanager
    def transaction(self) -> Generator[UnitOfWork]:
        """Open the transaction of this delivery."""
        self._refuse_second()
        with self._desk._leaving(self._receipt).transaction() as uow:
            yield uow
        self._handled = True

    @contextmanager
    def joining(self, host: Connection | Session) -> Generator[UnitOfWork]:
        """Handle the event in a transaction that the handler opened itself."""
        self._refuse_second()
        with self._desk._leaving(self._receipt).joining(host) as uow:
            yield uow
        self._handled, self._committed = True, False
        connection = host if isinstance(host, Connection) else host.connection()
        after_commit(connection, self._note_commit)

    def reading(self) -> AbstractContextManager[UnitOfWork]:
        """Open a unit that only reads."""
        return self._desk.reading()

    def conclude(self) -> bool:
        """Note that the handler is done, unless its transaction did; False if that is still open.

        It is also False for a transaction of the handler's own that was rolled back.
        """
        if not self._handled:
            self.run(_nothing_more)
        return self._committed

    def _note_commit(self) -> None:
        self._committed = True

    def _refuse_second(self) -> None:
        if self._handled:
            raise InvalidInput("delivery", "was handled: it has one transaction and no second one")


def _nothing_more(_: UnitOfWork) -> None:
    """Leave the receipt alone."""
