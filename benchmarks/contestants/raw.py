"""The bare driver: SQL by hand on one open connection, tuples as they come."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol, TypeAlias
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb
from sqlalchemy import URL

from benchmarks.contestants import Found
from benchmarks.data import as_sqlite
from benchmarks.house import MOST, PAGE, RANGE, STAY, TODAY, House
from benchmarks.orders import Arrival, Cleaning, Order, Record, Rows, Takeover
from benchmarks.places import conninfo
from benchmarks.rounds import Work

__all__ = ["Driver", "Raw", "driver_for"]

Batch: TypeAlias = tuple[str, Sequence[Sequence[object]]]
"""A statement and the values of each call."""


class Driver(Protocol):
    """What both drivers do alike. ``locking`` ends a statement that locks what it selects."""

    # Any: the drivers' connections and values have no type in common.
    connection: Any
    locking: str

    def text(self, sql: str) -> str:
        """Return a statement with this driver's mark in place of each question mark."""
        ...

    def adapt(self, value: object) -> Any:
        """Return a value as the driver takes it."""
        ...

    def transaction(self) -> AbstractContextManager[object]:
        """Put a transaction around the body."""
        ...


class Psycopg:
    """psycopg 3, each statement outside of a transaction for itself."""

    locking = " FOR UPDATE"

    def __init__(self, url: URL) -> None:
        self.connection = psycopg.connect(conninfo(url), autocommit=True)

    def text(self, sql: str) -> str:
        """Put the driver's marks in."""
        return sql.replace("?", "%s")

    def adapt(self, value: object) -> object:
        """Wrap what is to be JSON."""
        return Jsonb(value) if isinstance(value, dict | list) else value

    def transaction(self) -> AbstractContextManager[object]:
        """Begin, and commit or roll back."""
        return self.connection.transaction()


class Sqlite3:
    """The standard library's driver, with the settings under which the library commits."""

    locking = ""  # a writing transaction is the only one

    def __init__(self, url: URL) -> None:
        self.connection = sqlite3.connect(str(url.database), isolation_level=None)
        self.connection.execute("PRAGMA synchronous = FULL")
        self.connection.execute("PRAGMA foreign_keys = ON")
        self.connection.execute("PRAGMA secure_delete = ON")

    def text(self, sql: str) -> str:
        """Leave it as it is."""
        return sql

    def adapt(self, value: object) -> object:
        """Return what is stored for a value."""
        return json.dumps(value) if isinstance(value, dict | list) else as_sqlite(value)

    @contextmanager
    def transaction(self) -> Generator[None]:
        """Begin as the only writer, and commit; what fails here ends the run."""
        self.connection.execute("BEGIN IMMEDIATE")
        yield
        self.connection.execute("COMMIT")


def driver_for(url: URL) -> Driver:
    """Connect to a database with its driver."""
    return Sqlite3(url) if url.get_backend_name() == "sqlite" else Psycopg(url)


class Raw:
    """Hand-written SQL."""

    name = "raw driver"

    def __init__(self, url: URL, house: House) -> None:
        self._driver = driver_for(url)
        self._house = house
        adapt = self._driver.adapt
        self._hotel, self._type = adapt(house.hotel_id), adapt(house.room_type_id)
        self._questions = {name: self.question(name) for name in _QUESTIONS}

    # -- reading ----------------------------------------------------------------------------------

    def rooms_free(self) -> Found:
        """Select the rooms without a taken night."""
        return self._asked("rooms free")

    def bookings_in_range(self) -> Found:
        """Select by arrival."""
        return self._asked("bookings in range")

    def page_of_bookings(self) -> Found:
        """Select one more than a page has, to know whether there is another."""
        return self._asked("page of 50")[:PAGE]

    def guest_by_email(self) -> Found:
        """Select by the address."""
        return self._asked("guest by e-mail")

    def tasks(self) -> Found:
        """Select by date and status."""
        return self._asked("tasks")

    def folio_balance(self) -> Found:
        """Select by key."""
        return self._asked("folio balance")

    def first_bookings(self, number: int) -> Found:
        """Select the first bookings of all, by arrival."""
        ours = "SELECT * FROM hc_booking WHERE hotel_id = ? ORDER BY arrival, id LIMIT ?"
        return self._all(ours, self._hotel, number)

    def question(self, name: str) -> tuple[str, list[object]]:
        """Return the statement of a question, and its values, as the driver takes both."""
        sql, values = _QUESTIONS[name]
        return self._driver.text(sql), [self._driver.adapt(v) for v in values(self._house)]

    def id_of(self, found: Any) -> UUID:  # Any: a tuple
        """Return the second column."""
        id_ = found[1]
        return id_ if isinstance(id_, UUID) else UUID(id_)

    # -- writing ----------------------------------------------------------------------------------

    def create_booking(self, order: Order) -> Work:
        """Insert each row for itself, all in one transaction."""
        separately = self.create_booking_separately(order)

        def work() -> None:
            with self._driver.transaction():
                separately()

        return work

    def create_booking_separately(self, order: Order) -> Work:
        """Insert each row for itself, and let the driver commit each."""
        inserts = self._inserts(order.rows)
        nights = [self._driver.adapt(night) for night in order.stay]
        sell, sold = self._sell(nights), (1, self._hotel, self._type, *nights)

        def work() -> None:
            self._run(sell, *sold)
            self._each(inserts)
            self._audit(order.rows)

        return work

    def check_in(self, arrival: Arrival) -> Work:
        """Lock the booking, insert each row for itself, update the booking."""
        adapt = self._driver.adapt
        inserts = self._inserts(arrival.rows)
        names = list(arrival.changes)
        key = (self._hotel, adapt(arrival.booking_id))
        update = (
            f"UPDATE hc_booking SET {', '.join(f'{name} = ?' for name in names)}"
            " WHERE hotel_id = ? AND id = ?"
        )
        values = [adapt(arrival.changes[name]) for name in names]
        lock = f"SELECT * FROM hc_booking WHERE hotel_id = ? AND id = ?{self._driver.locking}"

        def work() -> None:
            with self._driver.transaction():
                self._all(lock, *key)
                self._each(inserts)
                self._run(update, *values, *key)
                self._audit(arrival.rows)

        return work

    def set_condition(self, cleaning: Cleaning) -> Work:
        """Update all rooms at once, insert the events in one batch."""
        ids = [self._driver.adapt(room_id) for room_id in cleaning.room_ids]
        inserts = self._inserts(cleaning.rows)
        text = (
            "UPDATE hc_room SET condition = ?, version = version + 1"
            f" WHERE hotel_id = ? AND id IN ({_marks(ids)})"
        )

        def work() -> None:
            with self._driver.transaction():
                self._run(text, cleaning.condition.value, self._hotel, *ids)
                self._together(inserts)
                self._audit(cleaning.rows)

        return work

    def take_over(self, takeover: Takeover) -> Work:
        """Ask for what is known, insert the rest table by table, sell night by night."""
        inserts = self._inserts(takeover.rows)
        wanted = list(takeover.fingerprints)
        known = (
            "SELECT external_id, fingerprint FROM hc_external_mapping WHERE hotel_id = ?"
            f" AND resource = 'booking' AND external_id IN ({_marks(wanted)})"
        )
        sold = [
            (number, self._hotel, self._type, self._driver.adapt(night))
            for night, number in sorted(takeover.nights.items())
        ]

        def work() -> int:
            with self._driver.transaction():
                found = dict(self._all(known, self._hotel, *wanted))
                if found == takeover.fingerprints:
                    return 0
                self._together([(self._sell([""]), sold), *inserts])
                self._audit(takeover.rows)
            return len(wanted)

        return work

    def close(self) -> None:
        """Close the connection."""
        self._driver.connection.close()

    # -- statements -------------------------------------------------------------------------------

    def _asked(self, question: str) -> list[Any]:  # Any: tuples
        sql, values = self._questions[question]
        found: list[Any] = self._driver.connection.execute(sql, values).fetchall()
        return found

    def _all(self, sql: str, *values: object) -> list[Any]:  # Any: tuples
        found: list[Any] = self._run(sql, *values).fetchall()
        return found

    def _run(self, sql: str, *values: object) -> Any:  # Any: the driver's cursor
        return self._driver.connection.execute(self._driver.text(sql), values)

    def _each(self, batches: Sequence[Batch]) -> None:
        for sql, rows in batches:
            for row in rows:
                self._run(sql, *row)

    def _together(self, batches: Sequence[Batch]) -> None:
        cursor = self._driver.connection.cursor()
        for sql, rows in batches:
            cursor.executemany(self._driver.text(sql), rows)

    def _sell(self, nights: Sequence[object]) -> str:
        return (
            "UPDATE hc_room_availability SET committed = committed + ? WHERE hotel_id = ?"
            f" AND room_type_id = ? AND night IN ({_marks(nights)})"
        )

    def _inserts(self, rows: Rows) -> list[Batch]:
        """Return the INSERT and the values of each table but the log, which comes last."""
        return [
            (_insert(table, records[0]), [self._values(record) for record in records])
            for table, records in rows.items()
            if table != "hc_audit_log"
        ]

    def _values(self, record: Record) -> list[object]:
        return [self._driver.adapt(value) for value in record.values()]

    def _audit(self, rows: Rows) -> None:
        """Add the entry behind the hotel's last one, which keeps others waiting."""
        head = f"SELECT sequence FROM hc_audit_head WHERE hotel_id = ?{self._driver.locking}"
        ((last,),) = self._all(head, self._hotel)
        [entry] = rows["hc_audit_log"]
        self._run(_insert("hc_audit_log", entry), *self._values({**entry, "sequence": last + 1}))


def _insert(table: str, record: Record) -> str:
    return f"INSERT INTO {table} ({', '.join(record)}) VALUES ({_marks(record)})"


def _marks(values: Collection[object]) -> str:
    return ", ".join("?" * len(values))


_QUESTIONS: Mapping[str, tuple[str, Callable[[House], Sequence[object]]]] = {
    "rooms free": (
        """SELECT * FROM hc_room r WHERE hotel_id = ? AND room_type_id = ? AND NOT EXISTS (
           SELECT 1 FROM hc_room_night n WHERE n.hotel_id = r.hotel_id AND n.room_id = r.id
           AND n.night >= ? AND n.night < ?) ORDER BY number""",
        lambda house: (house.hotel_id, house.room_type_id, STAY.arrival, STAY.departure),
    ),
    "bookings in range": (
        """SELECT * FROM hc_booking WHERE hotel_id = ? AND arrival >= ? AND arrival <= ?
           ORDER BY arrival, id LIMIT ?""",
        lambda house: (house.hotel_id, *RANGE, MOST + 1),
    ),
    "page of 50": (
        """SELECT * FROM hc_booking WHERE hotel_id = ? AND status = 'confirmed' AND arrival >= ?
           ORDER BY arrival, id LIMIT ?""",
        lambda house: (house.hotel_id, TODAY, PAGE + 1),
    ),
    "guest by e-mail": (
        """SELECT * FROM hc_guest WHERE hotel_id = ? AND email_key = ?
           ORDER BY last_name_key, id LIMIT ?""",
        lambda house: (house.hotel_id, house.email, PAGE + 1),
    ),
    "tasks": (
        """SELECT * FROM hc_housekeeping_task WHERE hotel_id = ? AND due = ? AND status = 'open'
           ORDER BY due, priority, id LIMIT ?""",
        lambda house: (house.hotel_id, TODAY, MOST + 1),
    ),
    "folio balance": (
        "SELECT * FROM hc_folio WHERE hotel_id = ? AND id = ?",
        lambda house: (house.hotel_id, house.folio_id),
    ),
}
