"""Mistakes with inline and durable subscriptions that mypy and pyright must refuse.

Nothing here runs; `tests/typing/event_buses.py` says how each mistake is held to be one.
"""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from hotelcore.access import Role
from hotelcore.events.catalogue import BookingCreated, RoomStatusChanged
from hotelcore.ids import RoomId
from hotelcore.operations import anonymise_guest
from hotelcore.subscriptions import Delivery, Subscriptions
from hotelcore.unit_of_work import UnitOfWork

subscriptions = Subscriptions()


def inside(uow: UnitOfWork, event: BookingCreated) -> None:
    """React inside the transaction."""


def plain(event: BookingCreated) -> None:
    """Want the event alone."""


def certain(delivery: Delivery[BookingCreated]) -> None:
    """React for certain."""
    _: RoomId = delivery.event.room_id  # type: ignore[attr-defined]  # it has none yet
    delivery.event.channel = "web"  # type: ignore[misc]  # a fact does not change
    delivery.run(anonymise_guest, guest=delivery.event.guest_id)  # type: ignore[call-arg]  # misspelt


async def later(delivery: Delivery[BookingCreated]) -> None:
    """Be awaited, which no relay does."""


# -- mistakes -------------------------------------------------------------------------------------

subscriptions.inline(RoomStatusChanged)(inside)  # type: ignore[arg-type]  # of another event
subscriptions.inline(BookingCreated)(plain)  # type: ignore[arg-type]  # no unit of work
subscriptions.inline(BookingCreated)(certain)  # type: ignore[arg-type]  # of the durable mode
subscriptions.durable(RoomStatusChanged, name="a")(certain)  # type: ignore[arg-type]  # of another
subscriptions.durable(BookingCreated, name="b")(inside)  # type: ignore[arg-type]  # of the other mode
subscriptions.durable(BookingCreated, name="c")(later)  # type: ignore[arg-type]  # async
subscriptions.durable(BookingCreated)(certain)  # type: ignore[call-arg]  # without a name
subscriptions.durable("booking.created", name="d")  # type: ignore[arg-type]  # a name, no class
subscriptions.durable(BookingCreated, name="e", role=1)  # type: ignore[arg-type]  # no role

# -- uses -----------------------------------------------------------------------------------------

subscriptions.inline(BookingCreated)(inside)
subscriptions.durable(BookingCreated, name="f", role=Role.MANAGER)(certain)
