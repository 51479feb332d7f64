"""The outbox: a record's events are read back whole and in the order of their commits."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from hotelcore.domain.rooms import RoomCondition
from hotelcore.events.catalogue import RoomStatusChanged
from hotelcore.events.envelope import Envelope
from hotelcore.ids import EventId, RoomId, new_id
from hotelcore.sql.outbox import read_events, write_events
from tests.sql.house import NOON, House, new_house


def reported(house: House, room_id: RoomId, condition: RoomCondition) -> Envelope:
    """Seal the event that a room is now in ``condition``."""
    event = RoomStatusChanged(
        hotel_id=house.hotel_id,
        room_id=room_id,
        previous=RoomCondition.CLEAN,
        condition=condition,
    )
    return Envelope.around(event, id=EventId(new_id()), occurred_at=NOON, correlation_id="tour")


@given(
    units=st.lists(
        st.lists(st.tuples(st.integers(0, 1), st.sampled_from(RoomCondition)), max_size=3),
        max_size=3,
    )
)
def test_the_events_of_a_record_come_back_in_order(
    database: Engine, units: Sequence[Sequence[tuple[int, RoomCondition]]]
) -> None:
    """Whatever several units reported of two rooms, each room's events are its own, in order."""
    house, other = new_house(database), new_house(database)
    rooms = house.room_ids[:2]
    written: list[Envelope] = []
    for unit in units:
        envelopes = [reported(house, rooms[room], condition) for room, condition in unit]
        with house.writing() as run:
            write_events(run, envelopes)
        written += envelopes
    with house.reading() as run:
        for room_id in rooms:
            assert read_events(run, room_id) == [event for event in written if event.key == room_id]
    with other.reading() as run:
        assert not any(read_events(run, room_id) for room_id in rooms)
