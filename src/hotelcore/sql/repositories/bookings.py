"""Bookings, their nights and their keys: tables, row mapping and repositories."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, timedelta
from uuid import UUID

import attrs
from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    Index,
    Integer,
    String,
    Table,
    TypedColumns,
    and_,
    bindparam,
    func,
    literal_column,
    select,
    update,
)

from hotelcore.domain.bookings import Booking, BookingNight, BookingStatus, RoomKey
from hotelcore.domain.cancellation import CancellationPolicy
from hotelcore.domain.fields import Attributes
from hotelcore.domain.money import Money
from hotelcore.domain.stays import MOST_NIGHTS, Stay
from hotelcore.errors import AlreadyExists, Conflict, NotFound, RoomTaken
from hotelcore.ids import BookingId, RoomTypeId
from hotelcore.lists import BookingFilter, Page
from hotelcore.sql import schema
from hotelcore.sql.building import Value, entity
from hotelcore.sql.changing import insert_into, upsert_into, versioned_update, write_next_version
from hotelcore.sql.finding import each_once, found_by_id, found_of_each
from hotelcore.sql.inserting import rows_into
from hotelcore.sql.pages import Listing, check_filter
from hotelcore.sql.repositories.room_nights import ROOM_NIGHT
from hotelcore.sql.seam.statements import AnyRow, Statements, acting_hotel
from hotelcore.text import clean_text

__all__ = ["BOOKING", "BOOKING_NIGHT", "IN_HOUSE", "ROOM_KEY", "SqlBookings", "SqlRoomKeys"]


class BookingColumns(TypedColumns):
    """A booking's columns; the stay is its arrival and departure."""

    hotel_id: Column[UUID] = schema.hotel_column()
    id: Column[UUID] = schema.id_column()
    confirmation_number: Column[str] = Column(String(40), nullable=False)
    guest_id: Column[UUID] = Column(schema.Id, nullable=False)
    room_type_id: Column[UUID] = Column(schema.SharedId, nullable=False)
    arrival: Column[date] = Column(schema.Day, nullable=False)
    departure: Column[date] = Column(schema.Day, nullable=False)
    status: Column[str] = Column(String(20), nullable=False)
    room_id: Column[UUID | None] = Column(schema.Id)
    adults: Column[int] = Column(Integer, nullable=False)
    children: Column[int] = Column(Integer, nullable=False)
    infants: Column[int] = Column(Integer, nullable=False)
    channel: Column[str] = Column(String(50), nullable=False)
    total_minor: Column[int] = schema.minor_column("total_minor")
    currency: Column[str] = schema.currency_column()
    cancellation: Column[CancellationPolicy] = Column(
        schema.ValueText(CancellationPolicy), nullable=False
    )
    hold_until: Column[datetime | None] = Column(schema.Instant)
    checked_in_at: Column[datetime | None] = Column(schema.Instant)
    checked_out_at: Column[datetime | None] = Column(schema.Instant)
    cancelled_at: Column[datetime | None] = Column(schema.Instant)
    checked_in_on: Column[date | None] = Column(schema.Day)
    checked_out_on: Column[date | None] = Column(schema.Day)
    no_show_on: Column[date | None] = Column(schema.Day)
    created_at: Column[datetime] = Column(schema.Instant, nullable=False)
    attributes: Column[Attributes] = schema.attributes_column()
    version: Column[int] = schema.version_column()


BOOKING = Table(
    "hc_booking",
    schema.METADATA,
    BookingColumns,
    schema.of_hotel("guest", "guest_id"),
    schema.of_hotel("room_type", "room_type_id"),
    schema.of_hotel("room", "room_id"),
    schema.one_of("status", BookingStatus),
    CheckConstraint("departure >= arrival", name="stay"),
    CheckConstraint("status <> 'in_house' OR room_id IS NOT NULL", name="in_house"),
)
"""The table of bookings."""
_b = BOOKING.c


def _is(status: BookingStatus) -> ColumnElement[bool]:
    """Compare with the status itself, not a parameter, so that a partial index can serve."""
    return _b.status == literal_column(f"'{status.value}'")


IN_HOUSE = _is(BookingStatus.IN_HOUSE)
"""The condition that a booking is in house."""
_TENTATIVE = _is(BookingStatus.TENTATIVE)

Index("uq_hc_booking_confirmation_number", _b.hotel_id, _b.confirmation_number, unique=True)
# One booking in house a room: this index also lists the house without its history.
Index(
    "uq_hc_booking_in_house",
    _b.hotel_id,
    _b.room_id,
    unique=True,
    sqlite_where=IN_HOUSE,
    postgresql_where=IN_HOUSE,
)
Index("ix_hc_booking_arrival", _b.hotel_id, _b.arrival, _b.id)
Index("ix_hc_booking_departure", _b.hotel_id, _b.departure, _b.id)
Index("ix_hc_booking_status_arrival", _b.hotel_id, _b.status, _b.arrival, _b.id)
Index("ix_hc_booking_guest", _b.hotel_id, _b.guest_id, _b.arrival, _b.id)
Index("ix_hc_booking_room", _b.hotel_id, _b.room_id, _b.arrival, _b.id)
Index(
    "ix_hc_booking_hold_until",
    _b.hotel_id,
    _b.hold_until,
    sqlite_where=_TENTATIVE,
    postgresql_where=_TENTATIVE,
)
for _moved in (_b.checked_in_on, _b.checked_out_on, _b.no_show_on):
    Index(
        f"ix_hc_booking_{_moved.name}",
        _b.hotel_id,
        _moved,
        sqlite_where=_moved.is_not(None),
        postgresql_where=_moved.is_not(None),
    )


class BookingNightColumns(TypedColumns):
    """A night's columns; its room stands in the room's own night."""

    hotel_id: Column[UUID] = schema.hotel_column()
    booking_id: Column[UUID] = schema.id_column("booking_id")
    night: Column[date] = Column(schema.Day, primary_key=True)
    room_type_id: Column[UUID] = Column(schema.SharedId, nullable=False)
    price_minor: Column[int] = schema.minor_column("price_minor")
    currency: Column[str] = schema.currency_column()
    released: Column[bool] = Column(Boolean, nullable=False)
    posted: Column[bool] = Column(Boolean, nullable=False)


BOOKING_NIGHT = Table(
    "hc_booking_night",
    schema.METADATA,
    BookingNightColumns,
    schema.of_hotel("booking", "booking_id"),
    schema.of_hotel("room_type", "room_type_id"),
)
"""The table of the nights of bookings, each with its price."""
_n = BOOKING_NIGHT.c


class RoomKeyColumns(TypedColumns):
    """A key's columns."""

    hotel_id: Column[UUID] = schema.hotel_column()
    id: Column[UUID] = schema.id_column()
    booking_id: Column[UUID] = Column(schema.Id, nullable=False)
    room_id: Column[UUID] = Column(schema.Id, nullable=False)
    valid_until: Column[date] = Column(schema.Day, nullable=False)
    issued_at: Column[datetime] = Column(schema.Instant, nullable=False)
    revoked_at: Column[datetime | None] = Column(schema.Instant)


ROOM_KEY = Table(
    "hc_room_key",
    schema.METADATA,
    RoomKeyColumns,
    schema.of_hotel("booking", "booking_id"),
    schema.of_hotel("room", "room_id"),
)
"""The table of room keys."""
_k = ROOM_KEY.c
Index("ix_hc_room_key_booking", _k.hotel_id, _k.booking_id, _k.id)


# -- bookings ---------------------------------------------------------------------------------

_ALL = select(BOOKING).where(_b.hotel_id == acting_hotel())
_LOCKED = _ALL.with_for_update(key_share=True)
_ONE = _ALL.where(_b.id == bindparam("key"))
_SOME = _ALL.where(_b.id.in_(bindparam("wanted", expanding=True)))
_SOME_LOCKED = _LOCKED.where(_b.id.in_(bindparam("wanted", expanding=True))).order_by(_b.id)
_ONE_LOCKED = _LOCKED.where(_b.id == bindparam("key"))
_BY_CONFIRMATION = _ALL.where(_b.confirmation_number == bindparam("number"))
_BY_CONFIRMATIONS = _ALL.where(_b.confirmation_number.in_(bindparam("wanted", expanding=True)))
_INSERT = rows_into(BOOKING)
_UPDATE = versioned_update(BOOKING)
_UNRESOLVED_ARRIVALS = _LOCKED.where(
    _is(BookingStatus.CONFIRMED), _b.arrival <= bindparam("until")
).order_by(_b.id)
_OVERDUE_DEPARTURES = _LOCKED.where(IN_HOUSE, _b.departure <= bindparam("until")).order_by(_b.id)
_EXPIRED_HOLDS = (
    _LOCKED.where(_TENTATIVE, _b.hold_until <= bindparam("at"))
    .order_by(_b.id)
    .limit(bindparam("number"))
)
_UNASSIGNED = _LOCKED.where(
    _is(BookingStatus.CONFIRMED),
    _b.room_id.is_(None),
    _b.room_type_id == bindparam("type_id"),
    _b.arrival <= bindparam("until"),
).order_by(_b.id)


def _moves(column: Column[date | None]) -> ColumnElement[int]:
    return (
        select(func.count())
        .select_from(BOOKING)
        .where(_b.hotel_id == acting_hotel(), column == bindparam("day"))
        .scalar_subquery()
    )


_MOVED_ON = select(
    _moves(_b.checked_in_on).label("arrivals"),
    _moves(_b.checked_out_on).label("departures"),
    _moves(_b.no_show_on).label("no_shows"),
)


_booking = entity(
    Booking,
    stay=Value(Stay, ("arrival", "departure")),
    total=Value(Money, ("total_minor", "currency")),
)


def _values(booking: Booking) -> dict[str, object]:
    return {
        "confirmation_number": booking.confirmation_number,
        "guest_id": booking.guest_id,
        "room_type_id": booking.room_type_id,
        "arrival": booking.stay.arrival,
        "departure": booking.stay.departure,
        "status": booking.status.value,
        "room_id": booking.room_id,
        "adults": booking.adults,
        "children": booking.children,
        "infants": booking.infants,
        "channel": booking.channel,
        "total_minor": booking.total.minor,
        "currency": booking.total.currency,
        "cancellation": booking.cancellation,
        "hold_until": booking.hold_until,
        "checked_in_at": booking.checked_in_at,
        "checked_out_at": booking.checked_out_at,
        "cancelled_at": booking.cancelled_at,
        "checked_in_on": booking.checked_in_on,
        "checked_out_on": booking.checked_out_on,
        "no_show_on": booking.no_show_on,
        "created_at": booking.created_at,
        "attributes": booking.attributes,
    }


_LONGEST = timedelta(days=MOST_NIGHTS)
_PAGES = Listing(
    _ALL,
    _booking,
    keys=(_b.arrival, _b.id),
    conditions={
        "statuses": _b.status.in_(bindparam("statuses", expanding=True)),
        "guest": _b.guest_id == bindparam("guest"),
        "of_type": _b.room_type_id == bindparam("of_type"),
        "room": _b.room_id == bindparam("room"),
        "from_channel": _b.channel == bindparam("from_channel"),
        "arriving_from": _b.arrival >= bindparam("arriving_from"),
        "arriving_until": _b.arrival <= bindparam("arriving_until"),
        "departing_from": _b.departure >= bindparam("departing_from"),
        "departing_until": _b.departure <= bindparam("departing_until"),
        "staying_until": and_(
            _b.arrival < bindparam("staying_until"),
            # No stay is longer, so the index on arrivals is read from there, not from 1900.
            _b.arrival >= bindparam("staying_earliest"),
            _b.departure > bindparam("staying_from"),
            _b.departure > _b.arrival,
        ),
    },
)


# -- nights -----------------------------------------------------------------------------------

_r = ROOM_NIGHT.c
_NIGHT_COLUMNS = (
    _n.booking_id,
    _n.night,
    _n.room_type_id,
    _n.price_minor,
    _n.currency,
    _n.released,
    _n.posted,
    _r.room_id,
)
_ROOM_OF_NIGHT = and_(
    _r.hotel_id == _n.hotel_id, _r.booking_id == _n.booking_id, _r.night == _n.night
)
_ANY_NIGHT = (
    select(*_NIGHT_COLUMNS)
    .outerjoin_from(BOOKING_NIGHT, ROOM_NIGHT, _ROOM_OF_NIGHT)
    .where(_n.hotel_id == acting_hotel())
)
_NIGHTS = _ANY_NIGHT.where(_n.booking_id == bindparam("key")).order_by(_n.night)
_NIGHTS_OF_EACH = _ANY_NIGHT.where(_n.booking_id.in_(bindparam("wanted", expanding=True))).order_by(
    _n.booking_id, _n.night
)
_IN_HOUSE = _ALL.where(IN_HOUSE)
_IDS_IN_HOUSE = select(_b.id).where(_b.hotel_id == acting_hotel(), IN_HOUSE)
_NIGHTS_TO_POST = _ANY_NIGHT.where(
    _n.booking_id.in_(_IDS_IN_HOUSE),
    _n.night <= bindparam("until"),
    _n.posted.is_(False),
    _n.released.is_(False),
).order_by(_n.booking_id, _n.night)
_INSERT_NIGHTS = rows_into(BOOKING_NIGHT)
_PUT_NIGHT = upsert_into(
    BOOKING_NIGHT, changing=("room_type_id", "price_minor", "currency", "released")
)
_MARK_POSTED = (
    update(BOOKING_NIGHT)
    .where(
        _n.hotel_id == acting_hotel(),
        _n.booking_id == bindparam("key"),
        _n.night == bindparam("on_night"),
        _n.posted.is_(False),
    )
    .values(posted=True)
)


_night = entity(BookingNight, price=Value(Money, ("price_minor", "currency")))


def _night_values(night: BookingNight) -> dict[str, object]:
    return {
        "booking_id": night.booking_id,
        "night": night.night,
        "room_type_id": night.room_type_id,
        "price_minor": night.price.minor,
        "currency": night.price.currency,
        "released": night.released,
        "posted": night.posted,
    }


class SqlBookings:
    """The `hotelcore.repositories.Bookings` of one unit of work."""

    def __init__(self, run: Statements) -> None:
        self._run = run

    def add_all(self, bookings: Sequence[Booking], nights: Sequence[BookingNight]) -> None:
        """Store new bookings with their nights."""
        rows = [{"id": each.id, "version": each.version, **_values(each)} for each in bookings]
        of_nights = [_night_values(night) for night in nights]
        with self._run.together():
            _INSERT.must_write(
                self._run, rows, lambda: AlreadyExists("booking", "confirmation number")
            )
            _INSERT_NIGHTS.must_write(self._run, of_nights)

    def get(self, booking_id: BookingId) -> Booking:
        """Return one booking."""
        return _found(self._run.first(_ONE, _booking, key=booking_id), booking_id)

    def get_all(self, booking_ids: Collection[BookingId]) -> Mapping[BookingId, Booking]:
        """Return bookings by id."""
        return found_by_id(self._run, "booking", _SOME, _booking, booking_ids)

    def lock(self, booking_id: BookingId) -> Booking:
        """Return one booking, locked."""
        return _found(self._run.first(_ONE_LOCKED, _booking, key=booking_id), booking_id)

    def lock_all(self, booking_ids: Collection[BookingId]) -> tuple[Booking, ...]:
        """Lock bookings in id order and return them so."""
        wanted = sorted(set(booking_ids))
        return tuple(found_by_id(self._run, "booking", _SOME_LOCKED, _booking, wanted).values())

    def by_confirmation(self, confirmation_number: str) -> Booking:
        """Return the booking with that number."""
        number = clean_text("confirmation_number", confirmation_number, most=40)
        # What was typed may be a guest's name, so the error does not repeat it.
        unknown = "with this confirmation number"
        return _found(self._run.first(_BY_CONFIRMATION, _booking, number=number), unknown)

    def by_confirmations(self, confirmation_numbers: Collection[str]) -> Mapping[str, Booking]:
        """Return the bookings that have one of the numbers, by number."""
        wanted = each_once("confirmation_numbers", confirmation_numbers)
        for number in wanted:
            clean_text("confirmation_numbers", number, most=40)
        found = self._run.all_of(_BY_CONFIRMATIONS, _booking, sorted(wanted))
        return {booking.confirmation_number: booking for booking in found}

    def update(self, booking: Booking) -> Booking:
        """Store the booking if nobody changed it since and nobody else is in its room."""
        version = write_next_version(
            self._run,
            _UPDATE,
            "booking",
            booking.id,
            booking.version,
            _values(booking),
            taken=lambda: _already_taken(booking),
        )
        return attrs.evolve(booking, version=version)

    def nights(self, booking_id: BookingId) -> tuple[BookingNight, ...]:
        """Return all nights in order, each with its room."""
        return tuple(self._run.all(_NIGHTS, _night, key=booking_id))

    def nights_of_each(
        self, booking_ids: Collection[BookingId]
    ) -> Mapping[BookingId, tuple[BookingNight, ...]]:
        """Return the nights of each booking."""
        return found_of_each(
            self._run, _NIGHTS_OF_EACH, _night, booking_ids, lambda night: night.booking_id
        )

    def put_nights(self, nights: Sequence[BookingNight]) -> None:
        """Store nights, new or again; whether a stored one is posted stays as it is."""
        # Nothing but a fault of ours is left that could refuse nights of a booking that is there.
        rows = list(map(_night_values, nights))
        self._run.write_with_next(_PUT_NIGHT[self._run.dialect], rows)

    def page(
        self, which: BookingFilter, *, after: str | None = None, limit: int = 50
    ) -> Page[Booking]:
        """Return bookings in order of arrival."""
        check_filter(which, BookingFilter)
        period = which.staying
        if period is not None and period.is_day_use:  # it has no night that a stay could share
            return _PAGES.empty(after=after, limit=limit)
        return _PAGES.page(
            self._run,
            after=after,
            limit=limit,
            statuses=None if which.statuses is None else sorted(which.statuses),
            guest=which.guest_id,
            of_type=which.room_type_id,
            room=which.room_id,
            from_channel=which.channel,
            arriving_from=which.arriving_from,
            arriving_until=which.arriving_until,
            departing_from=which.departing_from,
            departing_until=which.departing_until,
            staying_from=period and period.arrival,
            staying_until=period and period.departure,
            staying_earliest=period and period.arrival - _LONGEST,
        )

    def unresolved_arrivals(self, until: date) -> tuple[Booking, ...]:
        """Return the confirmed bookings that should have arrived by then, locked."""
        return tuple(self._run.all(_UNRESOLVED_ARRIVALS, _booking, until=until))

    def overdue_departures(self, until: date) -> tuple[Booking, ...]:
        """Return the bookings in house that should have left by then, locked."""
        return tuple(self._run.all(_OVERDUE_DEPARTURES, _booking, until=until))

    def expired_holds(self, at: datetime, *, limit: int) -> tuple[Booking, ...]:
        """Return at most ``limit`` tentative bookings whose hold is over, locked."""
        return tuple(self._run.all(_EXPIRED_HOLDS, _booking, at=at, number=limit))

    def unassigned(self, room_type_id: RoomTypeId, arriving_until: date) -> tuple[Booking, ...]:
        """Return the type's confirmed bookings without a room, locked, by arrival."""
        rows = self._run.all(_UNASSIGNED, _booking, type_id=room_type_id, until=arriving_until)
        # Sorted here: locked in this order, two would wait for each other when an arrival changes.
        return tuple(sorted(rows, key=lambda booking: (booking.stay.arrival, booking.id)))

    def nights_to_post(self, until: date) -> tuple[tuple[Booking, BookingNight], ...]:
        """Return the unposted nights of the bookings in house, by booking and night."""
        # Two statements, not a join: for a join SQLite walks all the nights of the hotel.
        nights = self._run.all(_NIGHTS_TO_POST, _night, until=until)
        in_house = {booking.id: booking for booking in self._run.all(_IN_HOUSE, _booking)}
        return tuple(
            (in_house[night.booking_id], night) for night in nights if night.booking_id in in_house
        )

    def mark_posted(self, nights: Collection[BookingNight]) -> None:
        """Mark nights as posted; `AlreadyExists` if one of them is."""
        keys = [{"key": night.booking_id, "on_night": night.night} for night in nights]
        self._run.must_write(
            _MARK_POSTED, keys, missed=lambda: AlreadyExists("room charge", "night")
        )

    def moved_on(self, business_date: date) -> tuple[int, int, int]:
        """Count the arrivals, departures and no-shows of a business date."""
        [counts] = self._run.all(_MOVED_ON, _counts, day=business_date)
        return counts


def _counts(row: AnyRow) -> tuple[int, int, int]:
    return row.arrivals, row.departures, row.no_shows


def _found(booking: Booking | None, key: BookingId | str) -> Booking:
    if booking is None:
        raise NotFound("booking", key)
    return booking


def _already_taken(booking: Booking) -> Conflict:
    """Say which unique key a booking hit: its room's if it is in house, else its number's."""
    if booking.status is BookingStatus.IN_HOUSE and booking.room_id is not None:
        return RoomTaken(booking.room_id, ())  # in it now, whatever night the stays begin with
    return AlreadyExists("booking", "confirmation number")


# -- keys -------------------------------------------------------------------------------------

_ISSUE = insert_into(ROOM_KEY)
_KEYS = (
    select(ROOM_KEY)
    .where(_k.hotel_id == acting_hotel(), _k.booking_id == bindparam("of_booking"))
    .order_by(_k.id)
)
_REVOKE = (
    update(ROOM_KEY)
    .where(
        _k.hotel_id == acting_hotel(),
        _k.id.in_(bindparam("wanted", expanding=True)),
        _k.revoked_at.is_(None),
    )
    .values(revoked_at=bindparam("at"))
)
_REVOKED = select(_k.id).where(
    _k.hotel_id == acting_hotel(),
    _k.id.in_(bindparam("wanted", expanding=True)),
    _k.revoked_at == bindparam("at"),
)


_key = entity(RoomKey)


def _is_own(attribute: attrs.Attribute[object], _: object) -> bool:
    return attribute.name != "hotel_id"  # which the seam alone gives


class SqlRoomKeys:
    """The `hotelcore.repositories.RoomKeys` of one unit of work."""

    def __init__(self, run: Statements) -> None:
        self._run = run

    def issue_all(self, keys: Sequence[RoomKey]) -> None:
        """Store new keys."""
        rows = [attrs.asdict(key, filter=_is_own) for key in keys]
        self._run.must_write(_ISSUE, rows, taken=lambda: AlreadyExists("room key", "id"))

    def revoke_all(self, keys: Sequence[RoomKey], *, at: datetime) -> tuple[RoomKey, ...]:
        """Revoke valid keys, and return them as they are now."""
        wanted = [key.id for key in keys]

        def missed() -> NotFound:
            revoked = self._run.all(_REVOKED, lambda row: row.id, wanted=wanted, at=at)
            first = next((key for key in wanted if key not in revoked), wanted[0])
            return NotFound("valid room key", first)

        rows = [{"wanted": wanted, "at": at}] if wanted else []
        self._run.must_write(_REVOKE, rows, missed=missed, wanted=len(wanted))
        return tuple(attrs.evolve(key, revoked_at=at) for key in keys)

    def of_booking(self, booking_id: BookingId) -> tuple[RoomKey, ...]:
        """Return all keys of a booking, oldest first."""
        return tuple(self._run.all(_KEYS, _key, of_booking=booking_id))
