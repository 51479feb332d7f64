"""Mistakes with the event buses that mypy and pyright must refuse, and uses that they must accept.

Nothing here runs. Each mistake stands on a line of its own that both checkers are told to ignore,
and both report an ignore that nothing needs (mypy because it is strict, pyright by the setting
below): `nox -s types` fails as soon as one of them lets a mistake pass.
"""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

from hotelcore.backoff import Retry
from hotelcore.events.bus import AsyncEventBus, EventBus
from hotelcore.events.catalogue import BookingCreated, Event, RoomStatusChanged
from hotelcore.events.envelope import Envelope
from hotelcore.events.listeners import Outcome
from hotelcore.ids import HotelId

bus = EventBus()
async_bus = AsyncEventBus()


def book(event: BookingCreated) -> None:
    """Listen to bookings."""


async def book_later(event: BookingCreated) -> None:
    """Listen to bookings, awaited."""


def anything(event: Event) -> None:
    """Listen to whatever happens."""


def two(event: BookingCreated, hotel_id: HotelId) -> None:
    """Want more than a listener gets."""


def none() -> None:
    """Want less than a listener gets."""


def lengthy(event: BookingCreated) -> int:
    """Give something back, as if somebody wanted it."""
    return len(event.channel)


async def step_by_step(event: BookingCreated) -> AsyncIterator[None]:
    """Be no listener of any bus."""
    yield


# -- mistakes in subscribing ----------------------------------------------------------------------


bus.subscribe(RoomStatusChanged, book)  # type: ignore[arg-type]  # of another event
async_bus.subscribe(RoomStatusChanged, book)  # type: ignore[arg-type]  # of another event
async_bus.subscribe(RoomStatusChanged, book_later)  # type: ignore[arg-type]  # of another event
bus.unsubscribe(RoomStatusChanged, book)  # type: ignore[arg-type]  # of another event
bus.subscribe(BookingCreated, book_later)  # type: ignore[arg-type]  # nobody would await it
bus.subscribe(BookingCreated, two)  # type: ignore[arg-type]  # two arguments
bus.subscribe(BookingCreated, none)  # type: ignore[arg-type]  # no argument
bus.subscribe(BookingCreated, lengthy)  # type: ignore[arg-type]  # nobody wants the result
async_bus.subscribe(BookingCreated, lengthy)  # type: ignore[arg-type]  # nobody wants the result
async_bus.subscribe(BookingCreated, step_by_step)  # type: ignore[arg-type]  # nobody would iterate
bus.subscribe(Envelope, anything)  # type: ignore[arg-type, type-var]  # no class of events
bus.subscribe("booking.created", book)  # type: ignore[arg-type]  # a name, not a class
bus.listener_count("booking.created")  # type: ignore[arg-type]  # a name, not a class


@bus.on(RoomStatusChanged)  # type: ignore[arg-type]  # of another event
def wrong_event(event: BookingCreated) -> None:
    """Listen to another event than it says."""


@bus.on(RoomStatusChanged)  # type: ignore[arg-type]  # nobody would await it
async def never_awaited(event: RoomStatusChanged) -> None:
    """Be async where nothing awaits."""


@bus.on(BookingCreated)
def misspelt(event: BookingCreated) -> None:
    """Read a field that is not there."""
    print(event.confirmation_nummer)  # type: ignore[attr-defined]  # noqa: T201  # misspelt


bus.subscribe(BookingCreated, lambda event: print(event.guest))  # type: ignore[attr-defined]  # noqa: T201  # misspelt


@async_bus.on(BookingCreated)
async def written(event: BookingCreated) -> None:
    """Change what happened."""
    event.channel = "web"  # type: ignore[misc]  # facts are frozen


# -- mistakes in emitting -------------------------------------------------------------------------


async def emitting(event: BookingCreated, envelope: Envelope, hotel_id: HotelId) -> None:
    """Emit what cannot be emitted, and as nobody."""
    bus.emit({"bookingId": 7}, hotel_id=hotel_id)  # type: ignore[arg-type]  # a dict
    bus.emit(BookingCreated, hotel_id=hotel_id)  # type: ignore[arg-type]  # a class
    bus.emit(envelope, hotel_id=hotel_id)  # type: ignore[arg-type]  # on its way
    bus.emit(event)  # type: ignore[call-arg]  # as which hotel?
    bus.emit(event, hotel_id)  # type: ignore[call-arg]  # unnamed
    bus.emit(event, hotel_id=str(hotel_id))  # type: ignore[arg-type]  # text
    bus.emit(event, hotel_id=UUID(int=1))  # type: ignore[arg-type]  # of what?
    bus.emit(event, hotel_id=event.booking_id)  # type: ignore[arg-type]  # a booking
    bus.emit_with_retry(event, hotel_id=hotel_id, retry=3)  # type: ignore[arg-type]  # a number
    Retry(attempts=3, first_pause=0.1)  # type: ignore[arg-type]  # seconds
    await async_bus.emit({"bookingId": 7}, hotel_id=hotel_id)  # type: ignore[arg-type]  # a dict
    await async_bus.emit(event)  # type: ignore[call-arg]  # as which hotel?
    await bus.emit(event, hotel_id=hotel_id)  # type: ignore[misc]  # not async


# -- what is right --------------------------------------------------------------------------------


heard: list[Event] = []
bus.subscribe(BookingCreated, book)
bus.subscribe(BookingCreated, anything)
bus.subscribe(BookingCreated, heard.append)
bus.subscribe(BookingCreated, lambda event: heard.append(event))
async_bus.subscribe(BookingCreated, book)
async_bus.subscribe(BookingCreated, book_later)
async_bus.subscribe(BookingCreated, anything)
async_bus.subscribe(BookingCreated, lambda event: book_later(event))
for kind in (BookingCreated, RoomStatusChanged):
    bus.subscribe(kind, heard.append)


@bus.on(RoomStatusChanged)
def show(event: RoomStatusChanged) -> None:
    """Listen with the decorator, and still be a function of the event."""
    heard.append(event)


@async_bus.on(RoomStatusChanged)
async def show_later(event: RoomStatusChanged) -> None:
    """Listen with the decorator, awaited."""
    show(event)


async def emitted(event: RoomStatusChanged, hotel_id: HotelId) -> tuple[Outcome, ...]:
    """Emit as a hotel."""
    bus.emit_with_retry(event, hotel_id=hotel_id, retry=Retry(attempts=3))
    return bus.emit(event, hotel_id=hotel_id) + await async_bus.emit(event, hotel_id=hotel_id)
