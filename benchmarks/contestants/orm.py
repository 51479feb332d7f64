"""SQLAlchemy's ORM: a session for each piece of work, over a pool."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from sqlalchemy import URL, Engine, create_engine, event, insert, select, update
from sqlalchemy.orm import DeclarativeBase, Session

from benchmarks.contestants import Found
from benchmarks.house import MOST, PAGE, RANGE, STAY, TODAY, House
from benchmarks.orders import Arrival, Cleaning, Order, Rows, Takeover
from benchmarks.plain import TABLES
from benchmarks.rounds import Work

__all__ = ["Orm"]


class Base(DeclarativeBase):
    """What all models have in common: nothing."""


class Room(Base):
    """A room."""

    __table__ = TABLES["hc_room"]


class RoomNight(Base):
    """A taken night of a room."""

    __table__ = TABLES["hc_room_night"]


class RoomKey(Base):
    """A key."""

    __table__ = TABLES["hc_room_key"]


class Availability(Base):
    """What is sold of a type on a night."""

    __table__ = TABLES["hc_room_availability"]


class Guest(Base):
    """A guest."""

    __table__ = TABLES["hc_guest"]


class Booking(Base):
    """A booking."""

    __table__ = TABLES["hc_booking"]


class BookingNight(Base):
    """A night of a booking."""

    __table__ = TABLES["hc_booking_night"]


class Folio(Base):
    """A folio."""

    __table__ = TABLES["hc_folio"]


class Task(Base):
    """A housekeeping task."""

    __table__ = TABLES["hc_housekeeping_task"]


class Mapping(Base):
    """What a record of another system is here."""

    __table__ = TABLES["hc_external_mapping"]


class OutboxEvent(Base):
    """An event."""

    __table__ = TABLES["hc_outbox"]


class AuditEntry(Base):
    """An entry of the audit log."""

    __table__ = TABLES["hc_audit_log"]


class AuditHead(Base):
    """The last entry of a hotel's audit log."""

    __table__ = TABLES["hc_audit_head"]


_MODELS = {model.__table__: model for model in Base.__subclasses__()}
_r, _n, _g, _b = (model.__table__.c for model in (Room, RoomNight, Guest, Booking))
_f, _t, _m, _a = (model.__table__.c for model in (Folio, Task, Mapping, Availability))
_CHUNK = 5_000
"""How many values of a list go into one statement."""


class Orm:
    """SQLAlchemy ORM."""

    name = "SQLAlchemy ORM"

    def __init__(self, url: URL, house: House) -> None:
        self._engine = _engine(url)
        self._house = house

    # -- reading ----------------------------------------------------------------------------------

    def rooms_free(self) -> Found:
        """Select rooms without a taken night."""
        taken = select(_n.room_id).where(
            _n.hotel_id == _r.hotel_id,
            _n.room_id == _r.id,
            _n.night >= STAY.arrival,
            _n.night < STAY.departure,
        )
        of_type = select(Room).where(
            _r.hotel_id == self._house.hotel_id, _r.room_type_id == self._house.room_type_id
        )
        return self._all(of_type.where(~taken.exists()).order_by(_r.number))

    def bookings_in_range(self) -> Found:
        """Select by arrival."""
        arriving = _b.arrival.between(*RANGE)
        return self._all(self._bookings().where(arriving).limit(MOST + 1))

    def page_of_bookings(self) -> Found:
        """Select one more than a page has, to know whether there is another."""
        coming = self._bookings().where(_b.status == "confirmed", _b.arrival >= TODAY)
        return self._all(coming.limit(PAGE + 1))[:PAGE]

    def guest_by_email(self) -> Found:
        """Select by the address."""
        found = select(Guest).where(
            _g.hotel_id == self._house.hotel_id, _g.email_key == self._house.email
        )
        return self._all(found.order_by(_g.last_name_key, _g.id).limit(PAGE + 1))

    def tasks(self) -> Found:
        """Select by date and status."""
        found = select(Task).where(
            _t.hotel_id == self._house.hotel_id, _t.due == TODAY, _t.status == "open"
        )
        return self._all(found.order_by(_t.due, _t.priority, _t.id).limit(MOST + 1))

    def folio_balance(self) -> Found:
        """Get by key."""
        with Session(self._engine) as session:
            return (session.get_one(Folio, (self._house.hotel_id, self._house.folio_id)),)

    def id_of(self, found: Any) -> UUID:  # Any: a mapped object
        """Return the object's id."""
        id_: UUID = found.id
        return id_

    # -- writing ----------------------------------------------------------------------------------

    def create_booking(self, order: Order) -> Work:
        """Sell the nights, add the objects, commit."""

        def work() -> None:
            with Session(self._engine) as session, session.begin():
                self._sell(session, order.stay, 1)
                self._add(session, order.rows)

        return work

    def check_in(self, arrival: Arrival) -> Work:
        """Get the booking, change it, add the objects, commit."""
        key = (self._house.hotel_id, arrival.booking_id)

        def work() -> None:
            with Session(self._engine) as session, session.begin():
                booking = session.get_one(Booking, key, with_for_update=True)
                for name, value in arrival.changes.items():
                    setattr(booking, name, value)
                self._add(session, arrival.rows)

        return work

    def set_condition(self, cleaning: Cleaning) -> Work:
        """Select the rooms, change each, add the events, commit."""
        # Any: what its objects have is known to the table alone
        rooms: Any = select(Room).where(
            _r.hotel_id == self._house.hotel_id, _r.id.in_(cleaning.room_ids)
        )

        def work() -> None:
            with Session(self._engine) as session, session.begin():
                for room in session.scalars(rooms):
                    room.condition, room.version = cleaning.condition.value, room.version + 1
                self._add(session, cleaning.rows)

        return work

    def take_over(self, takeover: Takeover) -> Work:
        """Ask for what is known, insert the rest in bulk."""
        wanted = list(takeover.fingerprints)

        def work() -> int:
            with Session(self._engine) as session, session.begin():
                if self._known(session, wanted) == takeover.fingerprints:
                    return 0
                for night, number in sorted(takeover.nights.items()):
                    self._sell(session, [night], number)
                for table, records in takeover.rows.items():
                    if table != "hc_audit_log":
                        session.execute(insert(_MODELS[TABLES[table]]), list(records))
                self._audit(session, takeover.rows)
            return len(wanted)

        return work

    def close(self) -> None:
        """Close the pool."""
        self._engine.dispose()

    # -- what they share --------------------------------------------------------------------------

    def _all(self, statement: Any) -> Found:  # Any: a SELECT of any model
        with Session(self._engine) as session:
            return session.scalars(statement).all()

    def _bookings(self) -> Any:  # Any: as above
        ours = select(Booking).where(_b.hotel_id == self._house.hotel_id)
        return ours.order_by(_b.arrival, _b.id)

    def _sell(self, session: Session, nights: Iterable[object], number: int) -> None:
        session.execute(
            update(Availability)
            .where(
                _a.hotel_id == self._house.hotel_id,
                _a.room_type_id == self._house.room_type_id,
                _a.night.in_(list(nights)),
            )
            .values(committed=_a.committed + number)
        )

    def _known(self, session: Session, wanted: list[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for begin in range(0, len(wanted), _CHUNK):
            some = select(_m.external_id, _m.fingerprint).where(
                _m.hotel_id == self._house.hotel_id,
                _m.resource == "booking",
                _m.external_id.in_(wanted[begin : begin + _CHUNK]),
            )
            found.update((row[0], row[1]) for row in session.execute(some))
        return found

    def _add(self, session: Session, rows: Rows) -> None:
        """Add objects table by table, which the session without relationships cannot order."""
        for table, records in rows.items():
            if table != "hc_audit_log":
                session.add_all([_MODELS[TABLES[table]](**record) for record in records])
                session.flush()
        self._audit(session, rows)

    def _audit(self, session: Session, rows: Rows) -> None:
        # Any: as above
        head: Any = session.get_one(AuditHead, self._house.hotel_id, with_for_update=True)
        [entry] = rows["hc_audit_log"]
        session.add(AuditEntry(**{**entry, "sequence": head.sequence + 1}))


def _engine(url: URL) -> Engine:
    """Make an engine; on SQLite with the settings under which the library commits."""
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare)
    return engine


def _prepare(connection: sqlite3.Connection, _: object) -> None:
    for setting in ("synchronous = FULL", "foreign_keys = ON", "secure_delete = ON"):
        connection.execute(f"PRAGMA {setting}")
