"""The points at which an operation may fail: at each call of its driver, in every way."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from itertools import product
from random import Random

import attrs
from attrs import frozen
from sqlalchemy import Engine, StaticPool, create_engine

from hotelcore import HotelCore, wire
from hotelcore.errors import HotelcoreError
from hotelcore.ids import HotelId
from hotelcore.operations import (
    cancel_booking_with_refund,
    check_in_guest,
    record_payment,
    register_guest,
)
from hotelcore.testing import Fault, Faults
from hotelcore.vault import Secret
from tests.every_operation import NAMES, GoodCall, good_call
from tests.injection.states import same_words, state_of, transactions_left_open
from tests.small_hotel import KEYS, PRICE, TODAY, SmallHotel, open_hotel

__all__ = ["CASES", "Bench", "Clean", "chosen", "concerned", "points_of", "prepared", "words"]


def _full_house(hotel: SmallHotel) -> SmallHotel:
    """Have one guest in house, one expected and one who owes nothing any more."""
    hotel.desk.run(check_in_guest, booking_id=hotel.booked(2)[0].id)
    hotel.booked()
    booking, folio = hotel.booked()
    hotel.desk.run(check_in_guest, booking_id=booking.id)
    hotel.desk.run(record_payment, folio_id=folio.id, amount=PRICE, method="card")
    return hotel


def _known_guest(hotel: SmallHotel) -> SmallHotel:
    """Have a guest with a result stored under a key, and with a booking that is over."""
    desk = hotel.desk.once("a guest")
    guest = desk.run(register_guest, last_name="Second", email="second@example.org")
    hotel = attrs.evolve(hotel, guest_id=guest.id)
    booking, _ = hotel.booked()
    hotel.desk.run(cancel_booking_with_refund, booking_id=booking.id, reason="ill")
    return hotel


# A good call does as little as it may. These do much.
_MUCH: Mapping[str, Callable[[SmallHotel], GoodCall]] = {
    "close_business_day of a full house": lambda hotel: GoodCall(
        _full_house(hotel).desk, "close_business_day", {"business_date": TODAY}
    ),
    "anonymise_guest who was here": lambda hotel: GoodCall(
        hotel.desk, "anonymise_guest", {"guest_id": _known_guest(hotel).guest_id}
    ),
}
# A secret has no place under a key, so nothing could tell a repetition from a second change.
_WITHOUT_KEY = {"change_pms_key"}
CASES: Sequence[str] = [*(name for name in NAMES if name not in _WITHOUT_KEY), *_MUCH]
"""Every operation that may have a key, and some again in a hotel where there is more to do."""


def prepared(case: str, hotel: SmallHotel) -> GoodCall:
    """Prepare the hotel for an operation, and the call under a key."""
    call = _MUCH[case](hotel) if case in _MUCH else good_call(case, hotel)
    arguments = {k: v for k, v in call.arguments.items() if not isinstance(v, Secret)}
    return attrs.evolve(call, desk=call.desk.once("the key"), arguments=arguments)


def concerned(call: GoodCall, hotel: SmallHotel) -> Sequence[HotelId]:
    """Name the hotel of a call, and the one that it makes if it does."""
    return list(dict.fromkeys((hotel.hotel_id, call.desk.actor.hotel_id)))


@frozen
class Clean:
    """What an operation does when nothing fails."""

    before: str
    after: str
    result: str
    calls: Sequence[str]

    def may_be_committed(self, fault: Fault) -> bool:
        """Whether the commit may have gone through before the fault."""
        commit = self.calls.index("commit") + 1
        return fault.call > commit or (fault.call == commit and fault.after)


@frozen
class Bench:
    """A database, with a core whose driver fails when told to, and an onlooker of its own."""

    core: HotelCore
    faults: Faults
    onlooker: Engine

    @classmethod
    @contextmanager
    def over(cls, url: str) -> Generator[Bench]:
        """Set up an empty database."""
        onlooker = create_engine(url, poolclass=StaticPool, isolation_level="AUTOCOMMIT")
        with closing(HotelCore(url, keys=KEYS)) as core:
            faults = Faults.on(core.engine)
            core.create_schema()
            try:
                yield cls(core, faults, onlooker)
            finally:
                onlooker.dispose()

    def clean_run(self, case: str) -> Clean:
        """Run an operation without a fault, in a hotel of its own and over a new connection."""
        call, looked = self.ready(case)
        before = looked()
        with self.faults.counting() as calls:
            result = call.run()
        return Clean(before, looked(), words(result), calls)

    def check(self, case: str, fault: Fault, clean: Clean) -> None:
        """Run an operation with a fault, and again, and assert that it happened once."""
        call, looked = self.ready(case)
        result: object = None
        acknowledged = True
        try:
            with self.faults.failing(fault):
                result = call.run()
        except HotelcoreError:
            acknowledged = False
        assert self.core.engine.pool.checkedout() == 0  # type: ignore[attr-defined]  # a QueuePool
        if acknowledged:
            assert words(result) == clean.result
        self.check_repeated(fault, clean, call, looked, acknowledged=acknowledged)

    def check_repeated(
        self,
        fault: Fault,
        clean: Clean,
        call: GoodCall,
        looked: Callable[[], str],
        *,
        acknowledged: bool,
    ) -> None:
        """Assert that what a call left behind is whole, and that to repeat it completes it."""
        found = looked()
        assert transactions_left_open(self.onlooker) == 0
        if acknowledged:
            assert found == clean.after
        elif clean.may_be_committed(fault):
            assert found in (clean.before, clean.after)
        else:
            assert found == clean.before
        again = call.run()
        assert words(again) == clean.result
        assert looked() == clean.after
        assert call.run() == again
        assert looked() == clean.after

    def ready(self, case: str) -> tuple[GoodCall, Callable[[], str]]:
        """Prepare an operation in a hotel of its own, and give what looks at that hotel."""
        hotel = open_hotel(self.core)
        call = prepared(case, hotel)
        hotels = concerned(call, hotel)
        self.core.engine.dispose()
        return call, lambda: state_of(self.onlooker, hotels)


def words(result: object) -> str:
    """Write a result so that two runs have the same text."""
    return same_words(wire.canonical(result).decode())


_KINDS = [
    {"after": after, "for_good": for_good, "disconnect": disconnect}
    for after, for_good, disconnect in product((False, True), repeat=3)
]


def points_of(clean: Clean) -> Iterator[Fault]:
    """Name every point of an operation."""
    for call in range(1, len(clean.calls) + 1):
        for kind in _KINDS:
            yield Fault(call=call, **kind)


def chosen(clean: Clean, how_many: str, dice: Random) -> Sequence[Fault]:
    """Choose some points at random beside the hardest: the commit succeeds and nobody hears it."""
    points = list(points_of(clean))
    if how_many == "all":
        return points
    commit = clean.calls.index("commit") + 1
    unheard = [each for each in points if each.call == commit and each.after]
    return [dice.choice(unheard), *dice.sample(points, int(how_many))]
