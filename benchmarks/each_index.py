"""What each index earns: PostgreSQL's own time for a question, with the index and without it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import URL, Connection, create_engine, event, text

from benchmarks.data import desk_of, opened
from benchmarks.house import DAY, NOW, PAGE, RANGE, TODAY, House
from benchmarks.report import Report
from hotelcore.domain.audit import Outcome
from hotelcore.domain.bookings import BookingStatus
from hotelcore.domain.folios import FolioStatus
from hotelcore.domain.housekeeping import TaskStatus
from hotelcore.lists import (
    AuditFilter,
    BookingFilter,
    FolioFilter,
    GuestFilter,
    JournalFilter,
    RoomFilter,
    TaskFilter,
)
from hotelcore.sql.seam.driver import send
from hotelcore.unit_of_work import UnitOfWork

__all__ = ["each_index"]

Ask: TypeAlias = Callable[[UnitOfWork], object]
Sent: TypeAlias = tuple[str, Any]
"""A statement as the library sends it, and its parameters."""

_TIMES = 7
_SOME_BOOKING = text(
    "SELECT id, guest_id, room_id, confirmation_number FROM hc_booking"
    " WHERE hotel_id = :hotel AND status = 'in_house' ORDER BY id LIMIT 1"
)
# What the history of the other sections has none of: three lines a folio, an entry a booking.
_HISTORY = (
    "SET session_replication_role = replica",  # the triggers of the chain have nothing to say
    """
    INSERT INTO hc_folio_line (
        hotel_id, id, folio_id, booking_id, kind, code, description, amount_minor, currency,
        business_date, service_date, posted_at, posted_by
    )
    SELECT folio.hotel_id, gen_random_uuid(), folio.id, booking.id, 'charge', 'bar', '', 500,
        folio.currency, booking.arrival, booking.arrival, folio.opened_at, 'ana'
    FROM hc_folio AS folio
    JOIN hc_booking AS booking
        ON booking.hotel_id = folio.hotel_id AND booking.id = folio.booking_id
    CROSS JOIN generate_series(1, 3)
    """,
    """
    INSERT INTO hc_audit_log (
        hotel_id, id, sequence, outcome, at, business_date, subject, role, operation, resource,
        resource_id, changes, mac
    )
    SELECT hotel_id, gen_random_uuid(),
        1000 + row_number() OVER (PARTITION BY hotel_id ORDER BY arrival, id),
        'done', arrival + interval '12 hours', arrival, 'ana', 'reception',
        'create_booking_with_folio', 'booking', id, '[]', ''
    FROM hc_booking
    """,
    "ANALYZE hc_folio_line",
    "ANALYZE hc_audit_log",
)
_SIZE = text(
    "SELECT pg_relation_size(CAST(:index AS regclass))"
    " / greatest((SELECT reltuples FROM pg_class WHERE oid = i.indrelid), 1) * 1000 / 1024"
    " FROM pg_index i WHERE indexrelid = CAST(:index AS regclass)"
)


def _questions(hotel_id: UUID, house: House, connection: Connection) -> Mapping[str, Ask]:
    """Return a question for each index that stands behind a list."""
    booking_id, guest_id, room_id, number = connection.execute(
        _SOME_BOOKING, {"hotel": hotel_id}
    ).one()
    last = TODAY - DAY
    return {
        "ix_hc_booking_arrival": _bookings(arriving_from=RANGE[0], arriving_until=RANGE[1]),
        "ix_hc_booking_departure": _bookings(departing_from=last, departing_until=last),
        "ix_hc_booking_status_arrival": _bookings(statuses=frozenset({BookingStatus.NO_SHOW})),
        "uq_hc_booking_in_house": _bookings(
            statuses=frozenset({BookingStatus.IN_HOUSE}), departing_until=TODAY
        ),
        "ix_hc_booking_guest": _bookings(guest_id=guest_id),
        "ix_hc_booking_room": _bookings(room_id=room_id),
        "uq_hc_booking_confirmation_number": lambda uow: uow.bookings.by_confirmation(number),
        "ix_hc_guest_name": _guests(last_name="Guest 1"),
        "ix_hc_guest_email": _guests(email=house.email),
        "ix_hc_guest_phone": _guests(phone="+49 1"),
        "ix_hc_folio_booking": _folios(booking_id=booking_id),
        "ix_hc_folio_guest": _folios(guest_id=guest_id),
        "ix_hc_folio_status": _folios(status=FolioStatus.OPEN),
        "ix_hc_folio_line_folio": lambda uow: uow.folios.lines(house.folio_id),
        "ix_hc_folio_line_business_date": lambda uow: uow.folios.journal(
            JournalFilter(posted_from=last, posted_until=last), limit=PAGE
        ),
        "ix_hc_audit_log_at": _entries(since=NOW - 30 * DAY, before=NOW - 29 * DAY),
        "ix_hc_audit_log_operation": _entries(operation="anonymise_guest"),
        "ix_hc_audit_log_resource": _entries(resource="booking", resource_id=booking_id),
        "ix_hc_audit_log_subject": _entries(subject="nobody"),
        "ix_hc_audit_log_outcome": _entries(outcome=Outcome.DENIED),
        "ix_hc_housekeeping_task_due": _tasks(due=TODAY),
        "ix_hc_housekeeping_task_status": _tasks(status=TaskStatus.OPEN),
        "ix_hc_housekeeping_task_assignee": _tasks(assignee="nobody"),
        "ix_hc_housekeeping_task_room": _tasks(room_id=room_id),
        "ix_hc_room_type_number": lambda uow: uow.rooms.page(
            RoomFilter(room_type_id=house.room_type_id), limit=PAGE
        ),
    }


def _bookings(**asked: Any) -> Ask:  # Any: a filter's fields differ, here and below
    return lambda uow: uow.bookings.page(BookingFilter(**asked), limit=PAGE)


def _guests(**asked: Any) -> Ask:
    return lambda uow: uow.guests.page(GuestFilter(**asked), limit=PAGE)


def _folios(**asked: Any) -> Ask:
    return lambda uow: uow.folios.page(FolioFilter(**asked), limit=PAGE)


def _entries(**asked: Any) -> Ask:
    return lambda uow: uow.audit.page(AuditFilter(**asked), limit=PAGE)


def _tasks(**asked: Any) -> Ask:
    return lambda uow: uow.housekeeping.page(TaskFilter(**asked), limit=PAGE)


def each_index(url: URL, house: House, report: Report) -> None:
    """Take each index away in turn, in a transaction that is undone."""
    engine = create_engine(url)
    core = opened(url)
    with engine.begin() as connection:
        for step in _HISTORY:
            connection.exec_driver_sql(step)
    engine.dispose()  # with the connection whose triggers say nothing
    with engine.connect() as connection:
        questions = _questions(house.hotel_id, house, connection)
    sent = {name: _sent(core.engine, desk_of(core, house), ask) for name, ask in questions.items()}
    core.close()
    rows = []
    with engine.connect() as connection:
        for index, statement in sent.items():
            rows.append(_row(connection, index, statement))
    engine.dispose()
    report.table("each index", ["", "with", "without", "times", "KiB for 1,000 rows"], rows)


def _sent(engine: Any, desk: Any, ask: Ask) -> Sent:
    """Ask, and return the statement that went to the server."""
    seen: list[Sent] = []

    def note(_: object, __: object, statement: str, parameters: Any, *___: object) -> None:
        seen.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    with desk.reading() as uow:
        ask(uow)
    event.remove(engine, "before_cursor_execute", note)
    return seen[-1]


def _row(connection: Connection, index: str, statement: Sent) -> Sequence[object]:
    size = connection.scalar(_SIZE, {"index": index})
    given = _milliseconds(connection, statement)
    connection.execute(text(f"DROP INDEX {index}"))
    taken = _milliseconds(connection, statement)
    connection.rollback()
    return (
        f"`{index}`",
        f"{given:.3f} ms",
        f"{taken:.3f} ms",
        f"{taken / given:,.1f}",
        round(size),
    )


def _milliseconds(connection: Connection, statement: Sent) -> float:
    """Return the median of what the server says that it took to plan and to execute."""
    asked = f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {statement[0]}"
    plans = [
        send(connection, asked, [statement[1]], lambda cursor: cursor.fetchone()[0][0])
        for _ in range(_TIMES)
    ]
    return float(median(plan["Execution Time"] for plan in plans))
