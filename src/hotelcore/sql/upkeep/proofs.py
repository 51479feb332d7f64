"""Proves that a hotel's records agree with each other, from the rows themselves.

The statements here are written out by hand and share nothing with the repositories, so a mistake
there cannot hide itself here. They read one hotel, under one snapshot, and change nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, TypeAlias

from attrs import frozen
from sqlalchemy import Connection, Row, TextClause, Uuid, bindparam, text

from hotelcore.domain.fields import check_id
from hotelcore.domain.money import Money
from hotelcore.errors import InvalidInput, NotFound
from hotelcore.ids import HotelId
from hotelcore.sql.schema import TableNames
from hotelcore.sql.seam.engine import READING
from hotelcore.sql.seam.limits import tell_whose_rows
from hotelcore.sql.upkeep.creation import in_schema

__all__ = ["Check", "Proofs", "check_proving", "prove", "snapshot"]

# What a statement written by hand selects is known to its reader alone.
Figures: TypeAlias = Row[Any]


@frozen(kw_only=True)
class Check:
    """One thing that must hold, whether it does, and the figures that show it."""

    name: str
    ok: bool
    detail: str


@frozen
class Proofs:
    """The outcome of every check on one hotel."""

    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether everything holds."""
        return all(check.ok for check in self.checks)


_BEGIN = {
    # A reading connection begins nothing by itself. This neither waits for writers nor makes them.
    "sqlite": "BEGIN DEFERRED",
    # Each proof reads a whole hotel. Without statistics, as after a bulk load, the planner would
    # join row by row, which took minutes for what hashing does in a second.
    "postgresql": "SET LOCAL enable_nestloop = off",
}


@contextmanager
def snapshot(connection: Connection, names: TableNames) -> Iterator[Connection]:
    """Lend ``connection`` for statements that all see the database as it is at the first."""
    if connection.dialect.name == "postgresql":
        connection = connection.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
    else:
        connection = connection.execution_options(**{READING: True})
    with connection.begin(), in_schema(connection, names):
        connection.exec_driver_sql(_BEGIN[connection.dialect.name])
        yield connection


def check_proving(hotel_id: object, commands: object) -> None:
    """Raise `InvalidInput` for what `prove` cannot be asked, before anything is sent."""
    check_id("hotel_id", hotel_id)
    if commands is None:
        return
    if isinstance(commands, bool) or not isinstance(commands, int) or commands < 0:
        raise InvalidInput("commands", "must be a whole number from 0 up, or be left out")


def prove(connection: Connection, hotel_id: HotelId, *, commands: int | None = None) -> Proofs:
    """Check the books of one hotel and return what was found; `NotFound` for an unknown hotel.

    ``connection`` comes from `snapshot`. ``commands`` is the number of commands that succeeded in
    this hotel since it was registered; without it the audit log is not counted.
    """
    tell_whose_rows(connection, hotel_id)
    return Proofs(tuple(_checks(connection, hotel_id, commands)))


def _checks(connection: Connection, hotel_id: HotelId, commands: int | None) -> Iterator[Check]:
    for name, things, statement in _COUNTING:
        row = _only_row(connection, statement, hotel_id)
        yield _counted(name, things, seen=row.seen, wrong=row.wrong)
    yield _ledger(_only_row(connection, _LEDGER, hotel_id))
    if commands is not None:
        yield _audited(_only_row(connection, _AUDIT, hotel_id), commands)


def _only_row(connection: Connection, statement: TextClause, hotel_id: HotelId) -> Figures:
    row = connection.execute(statement, {"hotel": hotel_id}).first()
    if row is None:
        raise NotFound("hotel", hotel_id)
    return row


def _counted(name: str, things: str, *, seen: int, wrong: int) -> Check:
    detail = f"{seen:,} {things}" if not wrong else f"{wrong:,} of {seen:,} {things} are wrong"
    return Check(name=name, ok=not wrong, detail=detail)


def _ledger(row: Figures) -> Check:
    charges, allowances, payments, refunds, balance = (
        _amount(minor, row.currency) for minor in row[:5]
    )
    return Check(
        name="charges - allowances - payments + refunds = what is owed",
        ok=charges + allowances + payments + refunds == balance,
        detail=f"{charges} - {-allowances} - {-payments} + {refunds} = {balance} {row.currency}",
    )


def _amount(minor: int, currency: str) -> Decimal:
    return Money(int(minor), currency).amount


def _audited(row: Figures, commands: int) -> Check:
    return Check(
        name="every command left one audit entry",
        ok=row.seen == commands,
        detail=f"{row.seen:,} entries, {commands:,} commands",
    )


def _sql(statement: str) -> TextClause:
    return text(statement).bindparams(bindparam("hotel", type_=Uuid()))


_BALANCES = _sql(
    """
    SELECT count(*) AS seen,
           count(*) FILTER (WHERE f.balance_minor <> coalesce(posted.total, 0)
                               OR (f.status = 'closed' AND f.balance_minor <> 0)) AS wrong
    FROM hc_folio f
    LEFT JOIN (SELECT folio_id, sum(amount_minor) AS total FROM hc_folio_line
               WHERE hotel_id = :hotel GROUP BY folio_id) posted ON posted.folio_id = f.id
    WHERE f.hotel_id = :hotel
    """
)
_LEDGER = _sql(
    """
    WITH effect AS (
        SELECT coalesce(reversed.kind, l.kind) AS kind, sum(l.amount_minor) AS total
        FROM hc_folio_line l
        LEFT JOIN hc_folio_line reversed
               ON l.kind = 'void' AND reversed.hotel_id = l.hotel_id AND reversed.id = l.refers_to
        WHERE l.hotel_id = :hotel
        GROUP BY coalesce(reversed.kind, l.kind)
    )
    SELECT coalesce((SELECT total FROM effect WHERE kind = 'charge'), 0),
           coalesce((SELECT total FROM effect WHERE kind = 'allowance'), 0),
           coalesce((SELECT total FROM effect WHERE kind = 'payment'), 0),
           coalesce((SELECT total FROM effect WHERE kind = 'refund'), 0),
           coalesce((SELECT sum(balance_minor) FROM hc_folio WHERE hotel_id = :hotel), 0),
           h.currency
    FROM hc_hotel h WHERE h.hotel_id = :hotel
    """
)
_REVERSALS = _sql(
    """
    SELECT count(*) AS seen,
           count(*) FILTER (WHERE v.amount_minor <> -l.amount_minor
                               OR (SELECT count(*) FROM hc_folio_line other
                                   WHERE other.hotel_id = :hotel AND other.kind = 'void'
                                     AND other.refers_to = l.id) <> 1) AS wrong
    FROM hc_folio_line v
    JOIN hc_folio_line l ON l.hotel_id = v.hotel_id AND l.id = v.refers_to
    WHERE v.hotel_id = :hotel AND v.kind = 'void'
    """
)
# What is left of a line after the allowances on it, or the refunds of it, that stand.
_LIMITS = _sql(
    """
    WITH lowered AS (
        SELECT l.id, l.kind, l.amount_minor + sum(r.amount_minor) AS remaining
        FROM hc_folio_line l
        JOIN hc_folio_line r ON r.hotel_id = l.hotel_id AND r.refers_to = l.id
                            AND r.kind IN ('allowance', 'refund')
        WHERE l.hotel_id = :hotel
          AND NOT EXISTS (SELECT 1 FROM hc_folio_line v
                          WHERE v.hotel_id = :hotel AND v.kind = 'void' AND v.refers_to = r.id)
        GROUP BY l.id, l.kind, l.amount_minor
    )
    SELECT count(*) AS seen,
           count(*) FILTER (WHERE kind NOT IN ('charge', 'payment')
                               OR (kind = 'charge' AND remaining < 0)
                               OR (kind = 'payment' AND remaining > 0)) AS wrong
    FROM lowered
    """
)
_COUNTERS = _sql(
    """
    WITH sold AS (
        SELECT n.room_type_id, n.night,
               count(*) FILTER (WHERE b.status <> 'tentative') AS committed,
               count(*) FILTER (WHERE b.status = 'tentative') AS held
        FROM hc_booking_night n
        JOIN hc_booking b ON b.hotel_id = n.hotel_id AND b.id = n.booking_id
        WHERE n.hotel_id = :hotel AND NOT n.released
        GROUP BY n.room_type_id, n.night
    ), blocked AS (
        SELECT r.room_type_id, x.night,
               count(*) FILTER (WHERE m.kind = 'out_of_order') AS out_of_order,
               count(*) FILTER (WHERE m.kind = 'out_of_inventory') AS out_of_inventory
        FROM hc_room_night x
        JOIN hc_maintenance m ON m.hotel_id = x.hotel_id AND m.id = x.maintenance_id
        JOIN hc_room r ON r.hotel_id = x.hotel_id AND r.id = x.room_id
        WHERE x.hotel_id = :hotel
        GROUP BY r.room_type_id, x.night
    ), house AS (
        SELECT room_type_id, count(*) AS rooms FROM hc_room
        WHERE hotel_id = :hotel GROUP BY room_type_id
    ), every AS (
        SELECT room_type_id, night FROM hc_room_availability WHERE hotel_id = :hotel
        UNION SELECT room_type_id, night FROM sold
        UNION SELECT room_type_id, night FROM blocked
    )
    SELECT count(*) AS seen,
           count(*) FILTER (WHERE a.night IS NULL
                               OR a.committed <> coalesce(s.committed, 0)
                               OR a.held <> coalesce(s.held, 0)
                               OR a.out_of_order <> coalesce(k.out_of_order, 0)
                               OR a.out_of_inventory <> coalesce(k.out_of_inventory, 0)
                               OR a.rooms <> coalesce(h.rooms, 0)) AS wrong
    FROM every e
    LEFT JOIN hc_room_availability a
           ON a.hotel_id = :hotel AND a.room_type_id = e.room_type_id AND a.night = e.night
    LEFT JOIN sold s ON s.room_type_id = e.room_type_id AND s.night = e.night
    LEFT JOIN blocked k ON k.room_type_id = e.room_type_id AND k.night = e.night
    LEFT JOIN house h ON h.room_type_id = e.room_type_id
    """
)
_OVERSOLD = _sql(
    """
    SELECT count(*) AS seen,
           count(*) FILTER (WHERE committed + held > rooms - out_of_inventory - out_of_order
                                                   + overbooking_limit + forced) AS wrong
    FROM hc_room_availability WHERE hotel_id = :hotel
    """
)
_TAKEN_TWICE = _sql(
    """
    SELECT coalesce(sum(taken), 0) AS seen, count(*) FILTER (WHERE taken > 1) AS wrong
    FROM (SELECT count(*) AS taken FROM hc_room_night
          WHERE hotel_id = :hotel GROUP BY room_id, night) counted
    """
)
_ROOM_OF_NIGHT = _sql(
    """
    WITH kept AS (
        SELECT n.booking_id, n.night, n.room_type_id FROM hc_booking_night n
        JOIN hc_booking b ON b.hotel_id = n.hotel_id AND b.id = n.booking_id
        WHERE n.hotel_id = :hotel AND NOT n.released
          AND b.status IN ('in_house', 'checked_out')
          AND n.night >= b.checked_in_on -- a late guest's missed nights are charged without a room
    ), given AS (
        SELECT x.booking_id, x.night, r.room_type_id, count(*) AS rooms FROM hc_room_night x
        JOIN hc_room r ON r.hotel_id = x.hotel_id AND r.id = x.room_id
        WHERE x.hotel_id = :hotel AND x.booking_id IS NOT NULL
        GROUP BY x.booking_id, x.night, r.room_type_id
    )
    SELECT count(*) AS seen,
           count(*) FILTER (WHERE given.rooms IS NULL OR given.rooms <> 1) AS wrong
    FROM kept
    LEFT JOIN given ON given.booking_id = kept.booking_id AND given.night = kept.night
                   AND given.room_type_id = kept.room_type_id
    """
)
# A guest without nights to come holds none that keeps maintenance away. Who slept in the room and
# leaves today is no fault: maintenance may have been waiting for that.
_OFF_SALE = _sql(
    """
    SELECT count(*) AS seen,
           count(*) FILTER (WHERE x.night = h.business_date AND EXISTS (
               SELECT 1 FROM hc_booking b WHERE b.hotel_id = :hotel
                  AND b.status = 'in_house' AND b.room_id = x.room_id
                  AND NOT EXISTS (SELECT 1 FROM hc_room_night slept
                                  WHERE slept.hotel_id = :hotel AND slept.booking_id = b.id
                                    AND slept.room_id = x.room_id
                                    AND slept.night < h.business_date))) AS wrong
    FROM hc_room_night x JOIN hc_hotel h ON h.hotel_id = x.hotel_id
    WHERE x.hotel_id = :hotel AND x.maintenance_id IS NOT NULL
    """
)
_RELEASED = _sql(
    """
    SELECT count(*) AS seen,
           count(*) FILTER (WHERE EXISTS (
               SELECT 1 FROM hc_room_night x WHERE x.hotel_id = :hotel
                  AND x.booking_id = n.booking_id AND x.night = n.night)) AS wrong
    FROM hc_booking_night n WHERE n.hotel_id = :hotel AND n.released
    """
)
# A charge that was moved here refers to the one that it continues, and is no second charge.
_CHARGED = _sql(
    """
    WITH charged AS (
        SELECT booking_id, night, count(*) AS times, sum(amount_minor) AS total
        FROM hc_folio_line
        WHERE hotel_id = :hotel AND kind = 'charge' AND night IS NOT NULL AND refers_to IS NULL
        GROUP BY booking_id, night
    )
    SELECT count(*) AS seen,
           count(*) FILTER (WHERE (b.status = 'checked_out' AND NOT n.posted)
                               OR (n.posted AND (charged.times IS NULL OR charged.times <> 1
                                                 OR charged.total <> n.price_minor))
                               OR (charged.times IS NOT NULL AND NOT n.posted)) AS wrong
    FROM hc_booking_night n
    JOIN hc_booking b ON b.hotel_id = n.hotel_id AND b.id = n.booking_id
    LEFT JOIN charged ON charged.booking_id = n.booking_id AND charged.night = n.night
    WHERE n.hotel_id = :hotel AND (n.posted OR charged.times IS NOT NULL
                                   OR (b.status = 'checked_out' AND NOT n.released))
    """
)
_SEQUENCES = _sql(
    """
    SELECT coalesce(sum(events), 0) AS seen,
           count(*) FILTER (WHERE last - first + 1 <> events OR (first <> 1 AND NOT EXISTS (
               SELECT 1 FROM hc_audit_log
               WHERE hotel_id = :hotel AND operation = 'purge_events'
                 AND outcome = 'done'))) AS wrong
    FROM (SELECT min(sequence) AS first, max(sequence) AS last, count(*) AS events
          FROM hc_outbox WHERE hotel_id = :hotel GROUP BY key) counted
    """
)
_AUDIT = _sql(
    "SELECT count(*) AS seen FROM hc_audit_log WHERE hotel_id = :hotel AND outcome = 'done'"
)

_COUNTING = (
    ("every balance is the sum of its folio's lines", "folios", _BALANCES),
    ("every void reverses its line exactly and once", "voids", _REVERSALS),
    ("allowances and refunds stay within their lines", "lowered lines", _LIMITS),
    ("every counter equals its recomputation", "counters by type and night", _COUNTERS),
    ("no night is sold beyond its limit", "type-nights", _OVERSOLD),
    ("no room-night is taken twice", "room-nights", _TAKEN_TWICE),
    ("every night spent has its one room", "nights", _ROOM_OF_NIGHT),
    ("no guest entered a room that is off sale", "room-nights off sale", _OFF_SALE),
    ("no released night keeps a room", "released nights", _RELEASED),
    ("every night spent is charged once, at its price", "nights", _CHARGED),
    ("the events of each record are numbered without gaps", "events", _SEQUENCES),
)
