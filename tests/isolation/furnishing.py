"""Three hotels that hold every kind of record; every text of a hotel carries a word of its own."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from attrs import frozen
from sqlalchemy import update

from hotelcore import operations as op
from hotelcore.access import Role
from hotelcore.clock import FixedClock
from hotelcore.core import Desk, HotelCore
from hotelcore.domain.bookings import Booking, BookingStatus
from hotelcore.domain.fields import JsonValue
from hotelcore.domain.folios import Folio
from hotelcore.domain.hotels import HouseRules, OverdueDeparture, UnresolvedArrival
from hotelcore.domain.housekeeping import TaskKind
from hotelcore.domain.money import Money
from hotelcore.domain.rooms import MaintenanceKind, Room, RoomCondition
from hotelcore.domain.stays import Stay
from hotelcore.events.catalogue import BookingCreated
from hotelcore.ids import GuestId, HotelId, RoomTypeId, new_id
from hotelcore.lists import BookingFilter
from hotelcore.pms import (
    PmsSnapshot,
    RemoteBooking,
    RemoteBookingStatus,
    RemoteGuest,
    RemoteRoom,
    RemoteRoomType,
)
from hotelcore.relay import Relay
from hotelcore.sql.events.dead_letters import DEAD_LETTERS
from hotelcore.sql.events.inbox import INBOX
from hotelcore.subscriptions import Delivery
from hotelcore.tenancy import Actor
from hotelcore.vault import Secret
from tests.isolation.canaries import Words

__all__ = ["OPENING", "furnish"]

FIRST_DAY = date(2026, 12, 1)
OPENING = datetime(2026, 12, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
NAMES = ("lotus", "maple", "olive")


def eur(minor: int) -> Money:
    """Return cents of a euro."""
    return Money(minor, "EUR")


class _Undeliverable(Exception):
    """What the durable handler fails with."""


def furnish(core: HotelCore, clock: FixedClock) -> tuple[HotelId, ...]:
    """Furnish three hotels, day by day; afterwards it is the fourth and the third is still open."""

    @core.subscriptions.durable(BookingCreated, name="letters", attempts=1)
    def fail(delivery: Delivery[BookingCreated]) -> None:
        raise _Undeliverable

    houses = [_House.opened(core, Words(name, 1_000 * n)) for n, name in enumerate(NAMES)]
    for work in (_House.first_day, _House.second_day, _House.third_day):
        for house in houses:
            work(house)
        clock.advance(DAY)
    Relay(core).run_until_idle()
    for house in houses:
        house.name_subscriptions(core)
    return tuple(house.desk.actor.hotel_id for house in houses)


@frozen
class _House:
    """One hotel while it is furnished."""

    desk: Desk
    word: Words
    types: tuple[RoomTypeId, ...]
    rooms: tuple[Room, ...]
    guests: tuple[GuestId, ...]

    @classmethod
    def opened(cls, core: HotelCore, word: Words) -> _House:
        """Register a hotel with rooms of two types and some guests."""
        actor = Actor(hotel_id=HotelId(new_id()), subject=word(), role=Role.ADMIN)
        desk = core.acting_as(actor, correlation_id=word())
        desk.run(
            op.register_hotel,
            name=word(),
            time_zone="Etc/UTC",
            currency="EUR",
            business_date=FIRST_DAY,
            rules=HouseRules(
                unresolved_arrival=UnresolvedArrival.KEEP,
                overdue_departure=OverdueDeparture.EXTEND,
            ),
            stripe_customer_id=word(),
            stripe_subscription_id=word(),
            attributes={word(): word()},
        )
        types = tuple(cls._type(desk, word) for _ in range(2))
        rooms = [
            room
            for type_id, number in zip(types, (8, 3), strict=True)
            for room in desk.run(
                op.add_rooms,
                room_type_id=type_id,
                numbers=[word() for _ in range(number)],
                floor=word(),
            )
        ]
        guests = tuple(cls._guest(desk, word) for _ in range(5))  # the last one never books
        return cls(desk, word, types, tuple(rooms), guests)

    @staticmethod
    def _type(desk: Desk, word: Words) -> RoomTypeId:
        return desk.run(
            op.add_room_type,
            code=word(),
            name=word(),
            base_rate=eur(10_000),
            overbooking_limit=2,
            attributes={word(): word()},
        ).id

    @staticmethod
    def _guest(desk: Desk, word: Words) -> GuestId:
        guest = desk.once(word()).run(
            op.register_guest,
            last_name=word(),
            first_name=word(),
            email=f"{word()}@example.org",
            phone=word(),
            country="LTS",
            attributes={word(): word()},
        )
        return guest.id

    def _attributes(self) -> dict[str, JsonValue]:
        return {self.word(): [self.word()]}

    def _book(
        self, arrival: int, nights: int, hold_until: datetime | None = None
    ) -> tuple[Booking, Folio]:
        first = FIRST_DAY + arrival * DAY
        return self.desk.once(self.word()).run(
            op.create_booking_with_folio,
            guest_id=self.guests[arrival % 4],
            room_type_id=self.types[0],
            stay=Stay(first, first + nights * DAY),
            channel=self.word(),
            confirmation_number=self.word(),
            hold_until=hold_until,
            attributes=self._attributes(),
        )

    def _moved_in(self, arrival: int, nights: int) -> tuple[Booking, Folio]:
        booking, folio = self._book(arrival, nights)
        self.desk.run(op.check_in_guest, booking_id=booking.id, keys=2)
        return booking, folio

    def first_day(self) -> None:
        """Connect the PMS, book, move in, post lines of every kind, block rooms, give out tasks."""
        run, word = self.desk.run, self.word
        run(
            op.connect_pms,
            vendor=word(),
            external_hotel_id=word(),
            attributes=self._attributes(),
            api_key=Secret(word()),
        )
        run(op.sync_pms_data, snapshot=self._snapshot())
        leaving, folio = self._moved_in(0, 1)
        self._postings(leaving, folio)
        self._moved_in(0, 4)
        for _ in range(2):
            self._book(0, 4)  # who do not come
        for arrival in (2, 2, 5, 6):
            self._book(arrival, 2)
        held_until = OPENING + 30 * DAY
        self._book(4, 2, held_until)
        self._book(5, 1, OPENING + DAY)
        lost, _ = self._book(7, 2)
        run(op.cancel_booking_with_refund, booking_id=lost.id, reason=word())
        planned, _ = self._book(3, 1)
        run(op.assign_room, booking_id=planned.id, room_id=self.rooms[7].id)
        self._house_work()

    def _postings(self, booking: Booking, folio: Folio) -> None:
        run, word = self.desk.run, self.word
        second = run(op.open_folio, booking_id=booking.id, guest_id=self.guests[1])
        charges = [
            run(
                op.post_charge_to_folio,
                folio_id=folio.id,
                code=word(),
                amount=eur(5_000),
                description=word(),
            )
            for _ in range(4)
        ]
        run(op.grant_allowance, line_id=charges[0].id, amount=eur(500), reason=word())
        run(op.void_charge, line_id=charges[1].id, reason=word())
        run(op.move_charge, line_id=charges[2].id, to_folio_id=second.id)
        paid = run(
            op.record_payment,
            folio_id=folio.id,
            amount=eur(7_000),
            method=word(),
            description=word(),
        )
        run(op.refund_payment, line_id=paid.id, amount=eur(1_000), reason=word())
        empty = run(op.open_folio, booking_id=booking.id)
        run(op.close_folio, folio_id=empty.id)

    def _house_work(self) -> None:
        run, word = self.desk.run, self.word
        for room, kind in zip(self.rooms[-3:], MaintenanceKind, strict=True):
            period = Stay(FIRST_DAY + 8 * DAY, FIRST_DAY + 12 * DAY)
            run(op.block_room, room_id=room.id, kind=kind, period=period, reason=word())
        blocked = run(
            op.block_room,
            room_id=self.rooms[6].id,
            kind=MaintenanceKind.OUT_OF_ORDER,
            period=Stay(FIRST_DAY + 8 * DAY, FIRST_DAY + 9 * DAY),
            reason=word(),
        )
        run(op.release_room, maintenance_id=blocked.id)
        tasks = [
            run(
                op.create_housekeeping_task,
                room_id=room.id,
                kind=kind,
                assignee=word(),
                note=word(),
            )
            for room in self.rooms[5:7]
            for kind in TaskKind
        ]
        run(op.complete_housekeeping_task, task_id=tasks[0].id)
        run(
            op.bulk_update_room_status,
            room_ids=[self.rooms[-1].id],
            condition=RoomCondition.PICKUP,
        )

    def _snapshot(self) -> PmsSnapshot:
        word = self.word
        kind, guests = word(), [word() for _ in range(3)]
        return PmsSnapshot(
            room_types=(
                RemoteRoomType(external_id=kind, code=word(), name=word(), base_rate=eur(9_000)),
            ),
            rooms=tuple(
                RemoteRoom(external_id=word(), room_type_external_id=kind, number=word())
                for _ in range(3)
            ),
            guests=tuple(
                RemoteGuest(external_id=guest, last_name=word(), first_name=word(), phone=word())
                for guest in guests
            ),
            bookings=tuple(
                RemoteBooking(
                    external_id=word(),
                    confirmation_number=word(),
                    guest_external_id=guest,
                    room_type_external_id=kind,
                    status=RemoteBookingStatus.CONFIRMED,
                    stay=Stay(FIRST_DAY + 3 * DAY, FIRST_DAY + 5 * DAY),
                    nightly_prices=(eur(9_000), eur(9_100)),
                    channel=word(),
                )
                for guest in guests
            ),
        )

    def second_day(self) -> None:
        """Close the first day; a guest leaves with debts, others come."""
        self.desk.run(op.close_business_day, business_date=FIRST_DAY)
        leaving = self._first(BookingStatus.IN_HOUSE, departing_until=FIRST_DAY + DAY)
        self.desk.run(op.check_out_guest, booking_id=leaving.id, unsettled_reason=self.word())
        absent = self._first(BookingStatus.CONFIRMED, arriving_until=FIRST_DAY)
        self.desk.run(op.mark_no_show, booking_id=absent.id)
        self._moved_in(1, 1)
        self._moved_in(1, 5)

    def _first(
        self,
        status: BookingStatus,
        *,
        arriving_until: date | None = None,
        departing_until: date | None = None,
    ) -> Booking:
        which = BookingFilter(
            statuses=frozenset({status}),
            arriving_until=arriving_until,
            departing_until=departing_until,
        )
        with self.desk.reading() as uow:
            return uow.bookings.page(which).items[0]

    def third_day(self) -> None:
        """Close the second day; the last hotel gives its PMS up, so that it may connect again."""
        self.desk.run(op.close_business_day, business_date=FIRST_DAY + DAY)
        if self.word.name == NAMES[-1]:
            self.desk.run(op.disconnect_pms)

    def name_subscriptions(self, core: HotelCore) -> None:
        """Name the hotel's lanes and dead letters by a word of its own, as no host can."""
        name = self.word()
        with core.engine.begin() as connection:
            for table in (DEAD_LETTERS, INBOX):
                its = table.c.hotel_id == self.desk.actor.hotel_id
                connection.execute(update(table).where(its).values(subscription=name))
