"""The night audit: it closes one business day and opens the next, in one transaction.

Whatever stops it leaves the day as it was, so it is simply run again. The number of statements does
not grow with the house; only overdue departures, which are few, are resolved one by one, and the
bookings of no-shows are stored one by one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, timedelta
from typing import TypeAlias

import attrs

from hotelcore import clock
from hotelcore.access import Permission
from hotelcore.domain.bookings import Booking, BookingNight
from hotelcore.domain.business_day import BusinessDay
from hotelcore.domain.fields import check_day
from hotelcore.domain.folios import Folio
from hotelcore.domain.hotels import Hotel, OverdueDeparture, UnresolvedArrival
from hotelcore.domain.money import sum_money
from hotelcore.domain.stays import Stay
from hotelcore.errors import BusinessDayBlocked, InvalidInput, RoomTaken
from hotelcore.events.catalogue import BusinessDayClosed
from hotelcore.ids import BookingId
from hotelcore.operations.declaring import operation
from hotelcore.operations.nights import change_stay, give_up_no_shows
from hotelcore.operations.posting import line_event, room_charge
from hotelcore.unit_of_work import UnitOfWork

__all__ = ["close_business_day"]

_DAY = timedelta(days=1)

_Due: TypeAlias = Sequence[tuple[Booking, BookingNight]]
"""Nights that are to be charged, each with its booking in house."""


@operation(Permission.BUSINESS_DAY_CLOSE)
def close_business_day(
    uow: UnitOfWork, *, business_date: date, no_shows: Collection[BookingId] = ()
) -> BusinessDay:
    """Close the hotel's open business day, which must be ``business_date``, and return its figures.

    Guests in house who should have left are kept one more night or stop the audit, as the house
    rules say. Every night in house up to this one is charged to its booking's oldest open folio,
    at the price fixed on it. The business date moves on by one. Guests who should have arrived
    are no-shows of the closed day, are waited for, or stop the audit, as the house rules say;
    those of the bookings in ``no_shows`` are no-shows whatever the rules say.

    A day that is closed already is returned as it was stored, and nothing happens. Raises
    `InvalidInput` for any other day than the open one and for ``no_shows`` who are not due, and
    `BusinessDayBlocked`, which names everything that stops the audit, each with the confirmation
    number:

    - ``local_date_not_reached``: it is not yet the next day in the hotel's time zone;
    - ``departure_overdue``, ``arrival_unresolved``: the house rules want a decision of somebody;
    - ``room_taken``: the guest should stay another night, and the room is another's;
    - ``no_open_folio``: there is no bill to charge the night to.
    """
    check_day("business_date", business_date)
    _ahead(uow, business_date)
    uow.hotels.lock()
    hotel = uow.hotel
    closed = uow.business_days.find(business_date)
    if closed is not None:
        return closed
    _refuse_unless_over(uow, hotel, business_date)
    next_day = attrs.evolve(hotel, business_date=hotel.business_date + _DAY)
    uow.changed("hotel", hotel.id, hotel, next_day)
    arrivals = uow.bookings.unresolved_arrivals(business_date)
    missing, awaited = _missing(hotel, arrivals, no_shows)
    matters = _settle_departures(uow, hotel) + _matters_of_arrivals(hotel, awaited)
    due = uow.bookings.nights_to_post(business_date)
    folios = uow.folios.of_house()
    matters += [f"no_open_folio {number}" for number in _without_folio(due, folios)]
    if matters:
        raise BusinessDayBlocked(business_date, tuple(matters))
    _post(uow, due, folios)
    _give_up(uow, hotel, missing)
    with uow.together(later=True):
        day = _finish(uow, hotel, due)
        # Last of all: whatever is posted above is of the day that closes.
        uow.hotels.update(next_day)
    return day


def _ahead(uow: UnitOfWork, business_date: date) -> None:
    """Have the house looked at with one question, as it stands before anything is settled."""
    uow.ahead(uow.hotels.lock)
    uow.ahead(uow.business_days.find, business_date)
    uow.ahead(uow.bookings.unresolved_arrivals, business_date)
    uow.ahead(uow.bookings.overdue_departures, business_date)
    uow.ahead(uow.bookings.nights_to_post, business_date)
    uow.ahead(uow.folios.of_house)


def _refuse_unless_over(uow: UnitOfWork, hotel: Hotel, business_date: date) -> None:
    if business_date != hotel.business_date:
        raise InvalidInput("business_date", f"must be the open day, {hotel.business_date}")
    local_date = clock.local_date(uow.now(), hotel.time_zone)
    if business_date >= local_date:
        raise BusinessDayBlocked(business_date, ("local_date_not_reached",), local_date)


# -- who should have left, who should have come -----------------------------------------------


def _settle_departures(uow: UnitOfWork, hotel: Hotel) -> list[str]:
    """Keep overdue guests one more night; return what stops the audit."""
    overdue = uow.bookings.overdue_departures(hotel.business_date)
    if hotel.rules.overdue_departure is OverdueDeparture.BLOCK:
        return [f"departure_overdue {booking.confirmation_number}" for booking in overdue]
    return [matter for booking in overdue for matter in _extend(uow, booking)]


def _extend(uow: UnitOfWork, booking: Booking) -> list[str]:
    # The guest is in the room, so the house is that full, whatever the counters allow.
    stay = Stay(booking.stay.arrival, uow.hotel.business_date + _DAY)
    try:
        change_stay(uow, booking, stay, force=True)
    except RoomTaken:
        return [f"room_taken {booking.confirmation_number}"]
    return []


def _missing(
    hotel: Hotel, arrivals: Sequence[Booking], no_shows: Collection[BookingId]
) -> tuple[list[Booking], list[Booking]]:
    """Tell those who are given up, by the house rules or by name, from those who are awaited."""
    if set(no_shows) - {booking.id for booking in arrivals}:
        raise InvalidInput("no_shows", "must be confirmed bookings whose arrival day has come")
    if hotel.rules.unresolved_arrival is UnresolvedArrival.NO_SHOW:
        return list(arrivals), []
    missing = [booking for booking in arrivals if booking.id in no_shows]
    return missing, [booking for booking in arrivals if booking.id not in no_shows]


def _matters_of_arrivals(hotel: Hotel, awaited: Sequence[Booking]) -> list[str]:
    if hotel.rules.unresolved_arrival is not UnresolvedArrival.BLOCK:
        return []
    return [f"arrival_unresolved {booking.confirmation_number}" for booking in awaited]


def _give_up(uow: UnitOfWork, hotel: Hotel, missing: Sequence[Booking]) -> None:
    if not missing:
        return
    day, next_day = hotel.business_date, hotel.business_date + _DAY
    nights = uow.bookings.nights_of_each([booking.id for booking in missing])
    missed = [(booking, nights[booking.id]) for booking in missing]
    with uow.together():
        give_up_no_shows(uow, missed, business_date=day, from_night=next_day)


# -- charging the house -----------------------------------------------------------------------


def _without_folio(due: _Due, folios: Mapping[BookingId, Folio]) -> list[str]:
    """Return the confirmation numbers of those who have no open folio, each once, in order."""
    numbers = [booking.confirmation_number for booking, _ in due if booking.id not in folios]
    return list(dict.fromkeys(numbers))


def _post(uow: UnitOfWork, due: _Due, folios: Mapping[BookingId, Folio]) -> None:
    """Charge all nights at once. The lines are their own record: the audit entry lists none."""
    lines = [room_charge(uow, folios[booking.id], night) for booking, night in due]
    with uow.together():
        uow.folios.post(lines)
        uow.bookings.mark_posted([night for _, night in due])
    for line in lines:
        uow.emit(line_event(line))


# -- the figures ------------------------------------------------------------------------------


def _finish(uow: UnitOfWork, hotel: Hotel, due: _Due) -> BusinessDay:
    """Store the figures of the closed day, all of the nights just posted, and report it."""
    day = _figures(uow, hotel, due)
    uow.business_days.add(day)
    uow.emit(
        BusinessDayClosed(
            hotel_id=hotel.id,
            business_date=day.date,
            next_business_date=day.date + _DAY,
            rooms_sold=day.rooms_sold,
            room_revenue=day.room_revenue,
        )
    )
    return day


def _figures(uow: UnitOfWork, hotel: Hotel, due: _Due) -> BusinessDay:
    day = hotel.business_date
    # A night before this one was sold on a day that is closed: its figures stand.
    sold = [night.price for _, night in due if night.night == day]
    tonight = Stay(day, day + _DAY)
    uow.ahead(uow.inventory.nights, tonight)
    uow.ahead(uow.bookings.moved_on, day)
    counters = uow.inventory.nights(tonight)
    arrivals, departures, no_shows = uow.bookings.moved_on(day)
    return BusinessDay(
        hotel_id=hotel.id,
        date=day,
        rooms=sum(counter.rooms for counter in counters),
        out_of_inventory=sum(counter.out_of_inventory for counter in counters),
        out_of_order=sum(counter.out_of_order for counter in counters),
        rooms_sold=len(sold),
        room_revenue=sum_money(sold, hotel.currency),
        arrivals=arrivals,
        departures=departures,
        no_shows=no_shows,
        closed_at=uow.now(),
        closed_by=uow.actor.subject,
    )
