"""What a manager of a demo hotel looks at: a day's figures, and a week of rooms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta

from attrs import frozen

from hotelcore.cli.shifts import Tally
from hotelcore.domain.business_day import BusinessDay
from hotelcore.domain.money import Money, sum_money
from hotelcore.domain.rooms import Room, RoomNight
from hotelcore.domain.stays import Stay
from hotelcore.ids import RoomId
from hotelcore.lists import FolioFilter, RoomFilter, every
from hotelcore.operations import cancel_booking_with_refund, create_booking_with_folio
from hotelcore.unit_of_work import UnitOfWork

__all__ = ["Cell", "ChartRow", "DayFigures", "TapeChart", "day_figures", "tape_chart"]

_WEEK = 7
_NIGHTS_PAST = 4


@frozen(kw_only=True)
class DayFigures:
    """One closed day: as the night audit wrote it, and what the hotel's lists said after it.

    ``owed`` is what guests still have to pay, ``in_credit`` what they have paid ahead.
    """

    day: BusinessDay
    booked: int
    cancelled: int
    turned_away: int
    in_house: int
    owed: Money
    in_credit: Money


def day_figures(uow: UnitOfWork, day: BusinessDay, done: Tally) -> DayFigures:
    """Read the lists of a day that was just closed; ``done`` is what was done on it."""
    currency = uow.hotel.currency
    nothing = Money.zero(currency)
    unsettled = FolioFilter(unsettled=True)
    folios = list(every(lambda after: uow.folios.page(unsettled, after=after, limit=1_000)))
    return DayFigures(
        day=day,
        booked=done.performed[create_booking_with_folio.__name__],
        cancelled=done.performed[cancel_booking_with_refund.__name__],
        turned_away=sum(
            times
            for refusal, times in done.refused.items()
            if refusal.startswith(create_booking_with_folio.__name__)
        ),
        in_house=len(uow.folios.of_house()),
        owed=sum_money((max(nothing, folio.balance) for folio in folios), currency),
        in_credit=sum_money((max(nothing, -folio.balance) for folio in folios), currency),
    )


@frozen
class Cell:
    """A room on a night: whose it is, how that stands, and whether it begins with this night.

    ``label`` is the guest's number, or what maintenance has the room for.
    """

    label: str
    status: str
    begins: bool


@frozen
class ChartRow:
    """A room over the nights of a chart; None on a night when it is free."""

    room: Room
    type_code: str
    cells: tuple[Cell | None, ...]


@frozen
class TapeChart:
    """Some rooms over a week."""

    nights: tuple[date, ...]
    rows: tuple[ChartRow, ...]


def tape_chart(uow: UnitOfWork, rooms: int) -> TapeChart:
    """Draw up to ``rooms`` rooms from all over the house, over a week around the business date.

    Four nights of the week are past; the business date is the fifth.
    """
    first = uow.hotel.business_date - timedelta(days=_NIGHTS_PAST)
    week = Stay(first, first + timedelta(days=_WEEK))
    taken = {(night.room_id, night.night): night for night in uow.room_nights.chart(week)}
    codes = {kind.id: kind.code for kind in uow.room_types.all()}
    house = list(every(lambda after: uow.rooms.page(RoomFilter(), after=after, limit=1_000)))
    rows = (
        ChartRow(room, codes[room.room_type_id], tuple(_cells(uow, room.id, week, taken)))
        for room in house[:: max(1, len(house) // rooms)][:rooms]
    )
    return TapeChart(week.nights, tuple(rows))


def _cells(
    uow: UnitOfWork,
    room_id: RoomId,
    week: Stay,
    taken: Mapping[tuple[RoomId, date], RoomNight],
) -> Iterator[Cell | None]:
    before: RoomNight | None = None
    for night in week:
        now = taken.get((room_id, night))
        yield None if now is None else _cell(uow, now, begins=_holder(now) != _holder(before))
        before = now


def _holder(night: RoomNight | None) -> object:
    return None if night is None else night.booking_id or night.maintenance_id


def _cell(uow: UnitOfWork, night: RoomNight, *, begins: bool) -> Cell:
    if night.booking_id is not None:
        booking = uow.bookings.get(night.booking_id)
        return Cell(uow.guests.get(booking.guest_id).last_name, booking.status, begins)
    if night.maintenance_id is None:
        raise AssertionError("a room night has a holder")
    period = uow.maintenance.get(night.maintenance_id)
    return Cell(period.reason, period.kind, begins)
