"""What is left after a run, counted by plain SQL that shares nothing with the library."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Generator, Iterable, Mapping, Sequence

from attrs import astuple, frozen
from sqlalchemy import Engine, Uuid, text

from hotelcore import Actor, HotelCore, Role
from hotelcore.core import Desk
from hotelcore.events.catalogue import (
    BookingCreated,
    ChargePosted,
    ChargeVoided,
    Event,
    PaymentReceived,
)
from hotelcore.events.envelope import Envelope
from tests.torture.furnishing import commands_to_furnish
from tests.torture.scenes import BOOKINGS, WRITERS, Scene

__all__ = ["Waiting", "check_hotels", "check_log", "counted", "waiting"]


@frozen
class Waiting:
    """What still has to come before every event is handled."""

    unnumbered: int
    unsent: int
    unknown: int
    unhandled: int
    never_arrived: int = 0

    def __bool__(self) -> bool:
        return any(astuple(self))


_WAITING = text("""
    SELECT (SELECT count(*) FROM hc_outbox WHERE position IS NULL),
           (SELECT count(*) FROM hc_feed WHERE attempts > 0),
           (SELECT count(*) FROM hc_outbox) - (SELECT coalesce(sum(known), 0) FROM hc_inbox),
           (SELECT count(*) FROM hc_inbox WHERE due_at IS NOT NULL)
""")


def waiting(engine: Engine, arrived: Collection[str] | None = None) -> Waiting:
    """Look at what waits; behind a broker also for which events have not ``arrived``, by their id.

    The inbox makes up for an event that the broker lost as soon as a later one of its record
    arrives, so the effects alone would not tell.
    """
    with engine.connect() as connection:
        counts = [int(count) for count in connection.execute(_WAITING).one()]
        if arrived is not None:
            ids = {each.hex for each in connection.scalars(_IDS)}
            counts.append(len(ids.difference(arrived)))
    return Waiting(*counts)


_IDS = text("SELECT id FROM hc_outbox").columns(id=Uuid)

_COUNTED = {
    "lost": """
        SELECT count(*) FROM hc_outbox o
        WHERE NOT EXISTS (SELECT 1 FROM effect e WHERE e.event_id = o.id)""",
    "invented": """
        SELECT count(*) FROM effect e WHERE NOT EXISTS (
            SELECT 1 FROM hc_outbox o WHERE o.id = e.event_id AND o.hotel_id = e.hotel_id
            AND o.key = e.key AND o.sequence = e.sequence AND o.name = e.name)""",
    "twice": """
        SELECT count(*) FROM (SELECT 1 FROM effect GROUP BY event_id HAVING count(*) > 1) again""",
    "out of order": """
        SELECT count(*) FROM (
            SELECT sequence - lag(sequence, 1, 0) OVER (PARTITION BY key ORDER BY serial) AS step
            FROM effect) steps
        WHERE step <> 1""",
    "gaps in a record": """
        SELECT count(*) FROM (
            SELECT 1 FROM hc_outbox GROUP BY key
            HAVING min(sequence) <> 1 OR max(sequence) <> count(DISTINCT sequence)
            OR count(*) <> count(DISTINCT sequence)) wrong""",
    "gaps in a log": """
        SELECT count(*) FROM (
            SELECT 1 FROM hc_outbox GROUP BY hotel_id
            HAVING min(position) <> 1 OR max(position) <> count(DISTINCT position)
            OR count(*) <> count(DISTINCT position)) wrong""",
    "log out of order": """
        SELECT count(*) FROM (
            SELECT position - lag(position, 1, 0) OVER (PARTITION BY key ORDER BY sequence) AS step
            FROM hc_outbox) steps
        WHERE step < 1""",
    "dead": "SELECT count(*) FROM hc_dead_letter",
}


def counted(engine: Engine) -> Mapping[str, int]:
    """Count each thing that must not be; all counts have to be zero."""
    with engine.connect() as connection:
        return {name: connection.execute(text(sql)).scalar_one() for name, sql in _COUNTED.items()}


# -- the log against the plan -------------------------------------------------------------------


def check_log(core: HotelCore, scene: Scene) -> int:
    """Assert that a replay gives each planned event once and nothing else; return how many."""
    envelopes = [each for desk in _desks(core, scene) for each in replayed(desk)]
    assert len({each.id for each in envelopes}) == len(envelopes)
    assert Counter(_facts(each.event() for each in envelopes)) == Counter(_planned(scene))
    return len(envelopes)


def _desks(core: HotelCore, scene: Scene) -> Sequence[Desk]:
    actors = (
        Actor(hotel_id=house.hotel_id, subject="auditor", role=Role.ADMIN) for house in scene.houses
    )
    return [core.acting_as(actor) for actor in actors]


def replayed(desk: Desk) -> Generator[Envelope]:
    """Read the hotel's log from its begin, page by page, and assert that it has no gap."""
    position = 0
    while True:
        with desk.reading() as uow:
            page = uow.events.behind(position, limit=100)
        if not page:
            return
        assert [each.position for each in page] == [*range(position + 1, position + 1 + len(page))]
        yield from page
        position += len(page)


def _facts(events: Iterable[Event]) -> Generator[tuple[str, str, int]]:
    """Name each event by the key of the call that caused it, with the amount."""
    codes = dict[object, str]()
    for event in events:
        match event:
            case ChargePosted():
                codes[event.line_id] = event.code
                yield event.wire_name, event.code, event.amount.minor
            case ChargeVoided():
                yield event.wire_name, codes[event.voided_line_id], event.amount.minor
            case PaymentReceived():
                yield event.wire_name, event.method, event.amount.minor
            case BookingCreated():
                yield event.wire_name, "", 0
            case _:
                raise AssertionError(f"nobody caused {event.wire_name}")


def _planned(scene: Scene) -> Generator[tuple[str, str, int]]:
    yield from [("booking.created", "", 0)] * BOOKINGS
    for writer in range(WRITERS):
        for call in scene.plan(writer):
            for name in call.deed.events:
                yield name, call.key, call.minor


def check_hotels(core: HotelCore, scene: Scene) -> None:
    """Assert that the books of every hotel agree, and that each command was audited once."""
    commands = {house.hotel_id: commands_to_furnish(house) for house in scene.houses}
    for writer in range(WRITERS):
        for call in scene.plan(writer):
            commands[call.house.hotel_id] += len(call.deed.events)
    for hotel_id, expected in commands.items():
        proofs = core.prove(hotel_id, commands=expected)
        assert proofs.ok, proofs
