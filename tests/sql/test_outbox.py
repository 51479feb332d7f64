"""The outbox: a record's events are read back whole and in the order of their commits."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from hotelcore.domain.rooms import RoomCondition
from hotelcore.events.catalogue import Event, RoomStatusChanged
from hotelcore.events.trace import Trace
from hotelcore.ids import EventId, RoomId, new_id
from hotelcore.sql.events.event_log import SqlEventLog
from hotelcore.sql.events.outbox import write_events
from hotelcore.sql.seam.statements import Statements
from tests.sql.house import NOON, House, new_house

TRACE = Trace(
    correlation_id="tour",
    causation_id=EventId(new_id()),
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
)


def reported(house: House, room_id: RoomId, condition: RoomCondition) -> tuple[EventId, Event]:
    """Make the event that a room is now in ``condition``."""
    event = RoomStatusChanged(
        hotel_id=house.hotel_id,
        room_id=room_id,
        previous=RoomCondition.CLEAN,
        condition=condition,
    )
    return EventId(new_id()), event


def write(run: Statements, events: Sequence[tuple[EventId, Event]]) -> None:
    """Store events under the ids that they come with."""
    ids = (id for id, _ in events)
    write_events(run, [told for _, told in events], new_id=ids.__next__, at=NOON, trace=TRACE)


@given(
    units=st.lists(
        st.lists(st.tuples(st.integers(0, 1), st.sampled_from(RoomCondition)), max_size=12),
        max_size=3,
    )
)
def test_the_events_of_a_record_come_back_in_order(
    database: Engine, units: Sequence[Sequence[tuple[int, RoomCondition]]]
) -> None:
    """Whatever several units reported of two rooms, each room's events are its own, in order."""
    house, other = new_house(database), new_house(database)
    rooms = house.room_ids[:2]
    written: list[tuple[EventId, Event]] = []
    for unit in units:
        events = [reported(house, rooms[room], condition) for room, condition in unit]
        with house.writing() as run:
            write(run, events)
        written += events
    with house.reading() as run:
        for room_id in rooms:
            read = SqlEventLog(run).of_record(room_id)
            assert [(each.id, each.event()) for each in read] == [
                (id, event) for id, event in written if event.key == room_id
            ]
            assert [each.sequence for each in read] == list(range(1, len(read) + 1))
            assert all(
                Trace(
                    correlation_id=each.correlation_id,
                    causation_id=each.causation_id,
                    traceparent=each.traceparent,
                )
                == TRACE
                for each in read
            )
    with other.reading() as run:
        assert not any(SqlEventLog(run).of_record(room_id) for room_id in rooms)
