"""Commands on the connection to another system and on the event log."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import rule

from hotelcore import operations as op
from hotelcore.domain.money import Money
from hotelcore.pms.records import PmsSnapshot, RemoteGuest, RemoteRoom, RemoteRoomType
from hotelcore.testing.machine.commands import MANNERS, Command, Manner, against
from hotelcore.testing.machine.driving import HOTELS, PICKS, Driver, driving
from hotelcore.testing.machine.houses import House

__all__ = ["EventRules", "PmsRules"]

_MANNERS = st.sampled_from(MANNERS)


# -- the other system --------------------------------------------------------------------------


def connect(house: House) -> Command:
    """Connect the hotel to another system."""

    def learn(_: Any) -> None:
        house.connected = True
        house.synced.clear()

    return Command(
        operation=op.connect_pms,
        arguments={"vendor": "scripted", "external_hotel_id": "1"},
        doubts=against(AlreadyExists=house.connected),
        learn=learn,
        event="pms.external.connected",
    )


def disconnect(house: House) -> Command:
    """Remove the connection."""

    def learn(_: Any) -> None:
        house.connected = False

    return Command(
        operation=op.disconnect_pms,
        arguments={},
        doubts=against(NotFound=not house.connected),
        learn=learn,
        event="pms.external.disconnected",
    )


def forget_key(house: House) -> Command:
    """Keep no key of the other system, which none had."""
    return Command(
        operation=op.change_pms_key,
        arguments={"api_key": None},
        doubts=against(NotFound=not house.connected),
    )


def reseal() -> Command:
    """Seal everything anew, where the core has keys at all."""
    return Command(
        operation=op.reseal_secrets, arguments={}, doubts=frozenset({"NoKeys"}), sure=False
    )


def sync(house: House, guests: list[int], rooms: list[int]) -> Command:
    """Take over a room type, some rooms of it and some guests."""
    snapshot = PmsSnapshot(
        room_types=(
            RemoteRoomType(
                external_id="t", code="PMS", name="There", base_rate=Money(1, house.currency)
            ),
        ),
        rooms=tuple(
            RemoteRoom(external_id=f"r{n}", room_type_external_id="t", number=f"P{n}")
            for n in rooms
        ),
        guests=tuple(
            RemoteGuest(external_id=f"g{n}", last_name=f"Remote {n}", first_name="") for n in guests
        ),
        bookings=(),
    )
    new = {f"g{n}" for n in guests} - house.synced

    def learn(report: Any) -> None:
        assert report.guests.created == len(new), (report, new)
        house.synced |= new
        house.unknown = True

    return Command(
        operation=op.sync_pms_data,
        arguments={"snapshot": snapshot},
        doubts=against(NotFound=not house.connected),
        learn=learn,
    )


class PmsRules(Driver):
    """The rules on the connection to another system."""

    @driving(op.change_pms_key, op.reseal_secrets)
    @rule(hotel=HOTELS, everything=st.booleans(), manner=_MANNERS)
    def tend_the_keys(self, hotel: int, everything: bool, manner: Manner) -> None:
        """Forget a key, or seal everything anew."""
        house = self.houses[hotel]
        self.run(house, reseal() if everything else forget_key(house), manner)

    @driving(op.connect_pms, op.disconnect_pms, op.sync_pms_data)
    @rule(
        hotel=HOTELS, what=st.sampled_from(["sync", "sync", "disconnect"]), manner=_MANNERS,
        guests=st.lists(st.integers(0, 2), max_size=2, unique=True),
        rooms=st.lists(st.integers(0, 2), max_size=2, unique=True),
    )  # fmt: skip
    def connect_and_sync(
        self, hotel: int, what: str, guests: list[int], rooms: list[int], manner: Manner
    ) -> None:
        """Connect a hotel or take over what the other system says, or disconnect."""
        house = self.houses[hotel]
        if what == "disconnect":
            self.run(house, disconnect(house), manner)
        else:
            if not house.connected or len(guests) + len(rooms) == 0:
                self.run(house, connect(house), manner)
            self.run(house, sync(house, guests, rooms), manner)


# -- the event log -----------------------------------------------------------------------------


def _counting(operation: Any, arguments: dict[str, Any], expected: int) -> Command:
    def learn(count: Any) -> None:
        assert count == expected, (operation, count)

    return Command(operation=operation, arguments=arguments, learn=learn)


class EventRules(Driver):
    """The rules on the event log. No relay runs, so no event is numbered, handled or dead."""

    @driving(op.retry_dead_letters, op.replay_events, op.forget_subscription, op.purge_events)
    @rule(hotel=HOTELS, what=st.sampled_from(["retry", "replay", "forget", "purge"]), record=PICKS,
          manner=_MANNERS)  # fmt: skip
    def tend_the_log(self, hotel: int, what: str, record: int, manner: Manner) -> None:
        """Retry, replay, forget or purge where nothing is numbered: nothing happens."""
        house = self.houses[hotel]
        match what:
            case "retry":
                key = UUID(self.pick(house, "bookings", record))
                command = _counting(op.retry_dead_letters, {"event_ids": [key]}, 0)
            case "replay":
                command = _counting(op.replay_events, {"subscription": "letters"}, 0)
            case "forget":
                command = _counting(op.forget_subscription, {"subscription": "letters"}, 0)
            case _:
                before = house.now - timedelta(days=record % 4 - 1)
                command = _counting(op.purge_events, {"before": before}, 0)
        self.run(house, command, manner)
