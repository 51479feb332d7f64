"""Two commands at the same time on PostgreSQL: the second comes while the first is not committed.

The second is let on until it has ended or waits for a lock of the first, so each order is certain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, closing, nullcontext
from datetime import timedelta
from functools import partial
from operator import methodcaller

import attrs
import pytest
from sqlalchemy import text

from hotelcore import operations as op
from hotelcore.access import Permission
from hotelcore.clock import FixedClock
from hotelcore.core import HotelCore
from hotelcore.domain.bookings import Booking, BookingStatus
from hotelcore.domain.folios import Folio
from hotelcore.domain.rooms import MaintenanceKind, RoomCondition
from hotelcore.errors import (
    ActionRefused,
    HotelcoreError,
    Refused,
    RoomTaken,
)
from hotelcore.ids import BookingId, RoomId
from hotelcore.lists import GuestFilter
from hotelcore.operations.pms_sync import SyncReport
from hotelcore.pms import (
    PmsSnapshot,
    RemoteBooking,
    RemoteBookingStatus,
    RemoteGuest,
    RemoteRoom,
    RemoteRoomType,
)
from hotelcore.unit_of_work import UnitOfWork
from tests.operations.reservations import book, stay
from tests.operations.small_hotel import NOON, SmallHotel, eur, open_hotel, refusal

Work = Callable[[UnitOfWork], object]

_WAITING = text(
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


@pytest.fixture
def hotel(postgresql_url: str) -> Iterator[SmallHotel]:
    """Return a hotel of four rooms on PostgreSQL."""
    clock = FixedClock(NOON)
    with closing(HotelCore(postgresql_url, clock=clock)) as core:
        core.create_schema()
        yield open_hotel(core, clock)


def attempt(hotel: SmallHotel, work: Work) -> HotelcoreError | None:
    """Do ``work`` in one transaction, tried once, and return the error that it ends with."""

    def once() -> None:
        with hotel.desk().transaction() as uow:
            work(uow)

    return refusal(once)


def let_on(hotel: SmallHotel, running: Future[HotelcoreError | None], *, waiting: int = 1) -> None:
    """Return when the work that runs has ended, or so many sessions wait for a lock."""
    # PostgreSQL shows one picture of its sessions for a whole transaction.
    engine = hotel.core.engine.execution_options(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        while not wait([running], timeout=0.01).done:
            if connection.execute(_WAITING).scalar_one() >= waiting:
                return


def overtaken(hotel: SmallHotel, first: Work, second: Work) -> HotelcoreError | None:
    """Do ``second`` while ``first`` has not committed yet, and return how the second ended."""
    with ThreadPoolExecutor(1) as thread:
        with hotel.desk().transaction() as uow:
            first(uow)
            running = thread.submit(attempt, hotel, second)
            let_on(hotel, running)
        return running.result()


def queued(hotel: SmallHotel, holder: Work, *works: Work) -> list[HotelcoreError | None]:
    """Have each work wait in turn behind what ``holder`` has locked; return how they ended."""
    with ThreadPoolExecutor(len(works)) as threads:
        running = []
        with hotel.desk().transaction() as uow:
            holder(uow)
            for number, work in enumerate(works, start=1):
                running.append(threads.submit(attempt, hotel, work))
                let_on(hotel, running[-1], waiting=number)
        return [each.result() for each in running]


# -- a room off sale has nobody in it ---------------------------------------------------------


def checking_in(hotel: SmallHotel, room_id: RoomId) -> Work:
    """Return the check-in of a day use to the room."""
    booking, _ = book(hotel, stay(0, 0))
    return partial(op.check_in_guest, booking_id=booking.id, room_id=room_id)


def moving(hotel: SmallHotel, room_id: RoomId) -> Work:
    """Return the move of a guest who leaves today to the room."""
    booking, _ = book(hotel, stay(0, 1))
    hotel.desk().run(op.check_in_guest, booking_id=booking.id, room_id=hotel.room_ids[0])
    hotel.desk().run(op.amend_stay, booking_id=booking.id, stay=stay(0, 0))
    return partial(op.move_room, booking_id=booking.id, room_id=room_id, reason="noise")


def blocking(room_id: RoomId) -> Work:
    """Return the command that takes the room off sale from today on."""
    return partial(
        op.block_room,
        room_id=room_id,
        kind=MaintenanceKind.OUT_OF_ORDER,
        period=stay(0, 2),
        reason="water damage",
    )


@pytest.mark.parametrize("entering", [checking_in, moving])
@pytest.mark.parametrize("entering_first", [True, False])
def test_a_room_is_never_entered_and_taken_off_sale_at_once(
    hotel: SmallHotel, entering: Callable[[SmallHotel, RoomId], Work], entering_first: bool
) -> None:
    """Whoever comes second is refused, though a guest without nights to come holds no night."""
    room_id = hotel.room_ids[1]
    works = [entering(hotel, room_id), blocking(room_id)]
    first, second = works if entering_first else reversed(works)
    ended = overtaken(hotel, first, second)
    assert isinstance(ended, Refused), ended
    assert hotel.core.prove(hotel.hotel_id).ok


def test_a_room_that_becomes_dirty_meanwhile_takes_nobody_in(hotel: SmallHotel) -> None:
    """A check-in that found the room clean looks again once it has the room to itself."""
    room_id, (booking, _) = hotel.room_ids[1], book(hotel, stay(0, 1))
    soiling = partial(op.bulk_update_room_status, room_ids=[room_id], condition=RoomCondition.DIRTY)
    entering = partial(op.check_in_guest, booking_id=booking.id, room_id=room_id)
    refused = overtaken(hotel, soiling, entering)
    assert isinstance(refused, ActionRefused)
    assert refused.reasons == ("room_not_ready",)


# -- a room that somebody else is just getting ------------------------------------------------


@pytest.mark.parametrize("going", [nullcontext, methodcaller("together")])
def test_who_gets_any_room_gets_the_next_one(
    hotel: SmallHotel, going: Callable[..., AbstractContextManager[None]]
) -> None:
    """Where the first free room is lost to somebody else the next is tried, wherever that is."""
    (early, _), (late, _) = book(hotel, stay(0, 2)), book(hotel, stay(0, 2))
    first, second, *_ = hotel.room_ids

    def entering(uow: UnitOfWork) -> None:
        with going(uow):
            op.check_in_guest(uow, booking_id=late.id)

    taking = partial(op.check_in_guest, booking_id=early.id, room_id=first)
    assert overtaken(hotel, taking, entering) is None
    assert hotel.booking(late.id).room_id == second
    assert hotel.core.prove(hotel.hotel_id).ok


@pytest.mark.parametrize("operation", [op.check_in_guest, op.assign_room])
@pytest.mark.parametrize("alone", [True, False])
def test_a_room_that_is_just_being_taken_is_refused_with_its_nights(
    hotel: SmallHotel, operation: Callable[..., object], alone: bool
) -> None:
    """The nights are told also where the room is held together with what comes next."""
    (early, _), (late, _) = book(hotel, stay(1, 2)), book(hotel, stay(0, 4))
    room_id, *_ = hotel.room_ids
    taking = partial(operation, booking_id=late.id, room_id=room_id)

    def running(_: UnitOfWork) -> object:
        return hotel.desk().run(operation, booking_id=late.id, room_id=room_id)

    holding = partial(op.assign_room, booking_id=early.id, room_id=room_id)
    refused = overtaken(hotel, holding, running if alone else taking)
    assert isinstance(refused, RoomTaken)
    assert refused.nights == stay(1, 2).nights
    assert hotel.core.prove(hotel.hotel_id).ok


# -- counters are locked in one order ---------------------------------------------------------


def selling(hotel: SmallHotel, begins: int, nights: int) -> Work:
    """Return the sale of a stay that begins so many days after the first business date."""
    return partial(
        op.create_booking_with_folio,
        guest_id=hotel.guest_id,
        room_type_id=hotel.type_id,
        stay=stay(begins, nights),
    )


def test_an_amendment_holds_no_counter_while_it_waits_for_the_type(hotel: SmallHotel) -> None:
    """Nights dropped and nights nobody sold before are locked at once, so that nobody deadlocks."""
    booking, _ = book(hotel, stay(1, 2))
    amending = partial(op.amend_stay, booking_id=booking.id, stay=stay(8, 2))
    adding = partial(op.add_rooms, room_type_id=hotel.type_id, numbers=["new"])
    assert queued(hotel, adding, selling(hotel, 2, 4), amending) == [None, None]
    assert hotel.core.prove(hotel.hotel_id).ok


def hold(hotel: SmallHotel, begins: int) -> Booking:
    """Hold one night for an hour."""
    until = hotel.clock.now() + timedelta(hours=1)
    return book(hotel, stay(begins, 1), hold_until=until)[0]


def test_holds_expire_in_the_order_of_nights(hotel: SmallHotel) -> None:
    """The counters of all holds are locked by night, whichever of the holds was made first."""
    book(hotel, stay(1, 8))
    holds = [hold(hotel, 6), hold(hotel, 2)]
    hotel.clock.advance(timedelta(hours=1))
    ended = queued(hotel, selling(hotel, 2, 1), selling(hotel, 1, 8), op.expire_holds)
    assert ended == [None, None]
    assert {hotel.booking(each.id).status for each in holds} == {BookingStatus.CANCELLED}
    assert hotel.core.prove(hotel.hotel_id).ok


def cancelling(hotel: SmallHotel) -> tuple[Folio, Work]:
    """Return the folio of a booking, and its cancellation."""
    booking, folio = book(hotel, stay(1, 1))
    return folio, partial(op.cancel_booking_with_refund, booking_id=booking.id, reason="ill")


def leaving(hotel: SmallHotel) -> tuple[Folio, Work]:
    """Return the folio of a guest in house, and the check-out before the last nights."""
    booking, folio = hotel.move_in(3)
    why = "pays later"
    return folio, partial(op.check_out_guest, booking_id=booking.id, unsettled_reason=why)


def expiring(hotel: SmallHotel) -> tuple[Folio, Work]:
    """Return the folio of a hold, and the end of all holds."""
    booking = hold(hotel, 1)
    with hotel.desk().reading() as uow:
        (folio,) = uow.folios.of_booking(booking.id)
    hotel.clock.advance(timedelta(hours=1))
    return folio, op.expire_holds


@pytest.mark.parametrize("ending", [cancelling, leaving, expiring])
def test_who_sells_may_then_charge_anybody(
    hotel: SmallHotel, ending: Callable[[SmallHotel], tuple[Folio, Work]]
) -> None:
    """Everybody locks folios behind counters, so a stay that ends waits before its folio."""
    folio, work = ending(hotel)
    running: list[Future[HotelcoreError | None]] = []

    def sell_and_charge(uow: UnitOfWork) -> None:
        selling(hotel, 1, 1)(uow)
        running.append(thread.submit(attempt, hotel, work))
        let_on(hotel, running[0])
        op.post_charge_to_folio(uow, folio_id=folio.id, code="bar", amount=eur(500))

    with ThreadPoolExecutor(1) as thread:
        assert attempt(hotel, sell_and_charge) is None
        assert running[0].result() is None
    assert hotel.core.prove(hotel.hotel_id).ok


def test_charges_move_in_opposite_directions(hotel: SmallHotel) -> None:
    """Both moves lock the same folio first, so neither waits for the other in a circle."""
    folios = [book(hotel, stay(1, 1))[1] for _ in range(2)]
    first, second = sorted(folios, key=lambda folio: folio.id)

    def moving_charge(source: Folio, target: Folio) -> Work:
        charge = hotel.desk().run(
            op.post_charge_to_folio, folio_id=source.id, code="bar", amount=eur(500)
        )
        return partial(op.move_charge, line_id=charge.id, to_folio_id=target.id)

    @op.operation(Permission.FOLIOS_CORRECT)
    def hold_first(uow: UnitOfWork) -> None:
        uow.folios.lock(first.id)

    there, back = moving_charge(first, second), moving_charge(second, first)
    assert queued(hotel, hold_first, there, back) == [None, None]


# -- a guest who is forgotten ------------------------------------------------------------------


@pytest.mark.parametrize("booking_first", [True, False])
def test_nobody_books_for_a_guest_who_is_being_anonymised(
    hotel: SmallHotel, booking_first: bool
) -> None:
    """Either the booking keeps the guest from being anonymised, or it is refused itself."""
    works: list[Work] = [
        selling(hotel, 0, 1),
        partial(op.anonymise_guest, guest_id=hotel.guest_id),
    ]
    first, second = works if booking_first else reversed(works)
    refused = overtaken(hotel, first, second)
    assert isinstance(refused, ActionRefused)
    assert refused.reasons == ("booking_open",) if booking_first else ("anonymised",)


# -- taking over another system's records ------------------------------------------------------


def taking_over(hotel: SmallHotel, rooms: tuple[RemoteRoom, ...] = ()) -> Work:
    """Return a run that lengthens two bookings, the later made one first, and changes rooms."""
    room_type = RemoteRoomType(external_id="t", code="DBL", name="Double", base_rate=eur(1))
    guest = RemoteGuest(external_id="g", last_name="Guest", first_name="")
    bookings = [
        RemoteBooking(
            external_id=number,
            confirmation_number=number,
            guest_external_id="g",
            room_type_external_id="t",
            status=RemoteBookingStatus.CONFIRMED,
            stay=stay(0, 1),
            nightly_prices=(eur(1),),
            channel="pms",
        )
        for number in ("first", "second")
    ]
    hotel.desk().run(op.connect_pms, vendor="scripted", external_hotel_id="H")
    known = PmsSnapshot(room_types=(room_type,), guests=(guest,), bookings=tuple(bookings))
    hotel.desk().run(op.sync_pms_data, snapshot=known)
    longer = [
        attrs.evolve(record, stay=stay(0, 2), nightly_prices=(eur(1), eur(1)))
        for record in reversed(bookings)
    ]
    changed = attrs.evolve(known, bookings=tuple(longer), rooms=rooms)
    return partial(op.sync_pms_data, snapshot=changed)


def imported(hotel: SmallHotel) -> list[BookingId]:
    """Return the ids of the bookings that were taken over, oldest first."""
    with hotel.desk().reading() as uow:
        return [uow.bookings.by_confirmation(number).id for number in ("first", "second")]


def test_a_sync_takes_rooms_after_bookings(hotel: SmallHotel) -> None:
    """A check-in to a room whose condition is told too neither waits in a ring nor fails."""
    told = RemoteRoom(
        external_id="r", room_type_external_id="t", number="000", condition=RoomCondition.DIRTY
    )
    syncing = taking_over(hotel, (told,))
    first, _ = imported(hotel)
    arriving = partial(op.check_in_guest, booking_id=first, room_id=hotel.room_ids[0])
    assert queued(hotel, lambda uow: uow.bookings.lock(first), arriving, syncing) == [None, None]
    assert hotel.core.prove(hotel.hotel_id).ok


def test_a_sync_locks_bookings_in_the_order_of_their_ids(hotel: SmallHotel) -> None:
    """Whatever the order in which they are sent, nobody who locks them by id is in the way."""
    syncing = taking_over(hotel)
    first, second = imported(hotel)

    def rival(uow: UnitOfWork) -> None:
        for booking_id in (first, second):
            uow.bookings.lock(booking_id)

    assert queued(hotel, lambda uow: uow.bookings.lock(first), rival, syncing) == [None, None]


def new_bookings(hotel: SmallHotel, *types: str) -> partial[SyncReport]:
    """Return a run that takes over a new booking of each type for a guest who is known."""
    rooms = tuple(
        RemoteRoomType(external_id=code, code=code, name=code, base_rate=eur(1)) for code in types
    )
    guest = RemoteGuest(external_id="g", last_name="Guest", first_name="")
    bookings = tuple(
        RemoteBooking(
            external_id=code,
            confirmation_number=code,
            guest_external_id="g",
            room_type_external_id=code,
            status=RemoteBookingStatus.CONFIRMED,
            stay=stay(0, 1),
            nightly_prices=(eur(1),),
            channel="pms",
        )
        for code in types
    )
    hotel.desk().run(op.connect_pms, vendor="scripted", external_hotel_id="H")
    known = PmsSnapshot(room_types=rooms, guests=(guest,))
    hotel.desk().run(op.sync_pms_data, snapshot=known)
    return partial(op.sync_pms_data, snapshot=attrs.evolve(known, bookings=bookings))


@pytest.mark.parametrize("sync_first", [True, False])
def test_no_sync_books_for_a_guest_who_is_being_anonymised(
    hotel: SmallHotel, sync_first: bool
) -> None:
    """Either the sync keeps the guest from being anonymised, or it leaves the booking."""
    syncing = new_bookings(hotel, "DBL")
    with hotel.desk().reading() as uow:
        taken = uow.guests.page(GuestFilter(), limit=1_000).items
        [guest_id] = {guest.id for guest in taken if guest.last_name == "Guest"}
    forgetting = partial(op.anonymise_guest, guest_id=guest_id)
    first, second = (syncing, forgetting) if sync_first else (forgetting, syncing)
    refused = overtaken(hotel, first, second)
    if sync_first:
        assert isinstance(refused, ActionRefused)
        assert refused.reasons == ("booking_open",)
    else:
        assert refused is None
        with hotel.desk().reading() as uow:
            assert not uow.bookings.by_confirmations(["DBL"])


def test_a_sync_takes_counters_in_the_order_of_their_types(hotel: SmallHotel) -> None:
    """Whatever the order in which bookings are sent, who locks the counters in theirs can wait."""
    syncing = new_bookings(hotel, "ONE", "TWO")
    with hotel.desk().reading() as uow:
        ids = {room_type.code: room_type.id for room_type in uow.room_types.all()}
    low, high = sorted((ids["ONE"], ids["TWO"]))

    @op.operation(Permission.BOOKINGS_CREATE)
    def rival(uow: UnitOfWork) -> None:
        for type_id in (low, high):
            uow.inventory.lock(type_id, stay(0, 1).nights)

    hotel.desk().run(rival)
    if ids["ONE"] == low:  # the later type first
        snapshot = syncing.keywords["snapshot"]
        turned = attrs.evolve(snapshot, bookings=snapshot.bookings[::-1])
        syncing = partial(op.sync_pms_data, snapshot=turned)

    @op.operation(Permission.BOOKINGS_CREATE)
    def holder(uow: UnitOfWork) -> None:
        uow.inventory.lock(low, stay(0, 1).nights)

    assert queued(hotel, holder, rival, syncing) == [None, None]


def test_a_sync_locks_what_it_changes_before_it_sells(hotel: SmallHotel) -> None:
    """A booking that gets longer and a new one of another type take their counters in one order."""
    syncing = new_bookings(hotel, "ONE", "TWO")
    snapshot = syncing.keywords["snapshot"]
    with hotel.desk().reading() as uow:
        ids = {room_type.code: room_type.id for room_type in uow.room_types.all()}
    known, new = sorted(snapshot.bookings, key=lambda record: ids[record.external_id])
    hotel.desk().run(op.sync_pms_data, snapshot=attrs.evolve(snapshot, bookings=(known,)))
    longer = attrs.evolve(known, stay=stay(0, 2), nightly_prices=(eur(1), eur(1)))

    @op.operation(Permission.BOOKINGS_CREATE)
    def rival(uow: UnitOfWork) -> None:
        uow.inventory.lock(ids[known.external_id], stay(1, 1).nights)
        uow.inventory.lock(ids[new.external_id], stay(0, 1).nights)

    @op.operation(Permission.BOOKINGS_CREATE)
    def holder(uow: UnitOfWork) -> None:
        uow.inventory.lock(ids[known.external_id], stay(1, 1).nights)

    hotel.desk().run(rival)
    both = attrs.evolve(snapshot, bookings=(new, longer))
    syncing = partial(op.sync_pms_data, snapshot=both)
    assert queued(hotel, holder, rival, syncing) == [None, None]
    assert hotel.core.prove(hotel.hotel_id).ok


def test_a_sync_locks_nights_in_the_type_that_they_have(hotel: SmallHotel) -> None:
    """A booking in a room of another type drops a night of that type, not of the booked one."""
    syncing = new_bookings(hotel, "ONE", "DBL")
    snapshot = syncing.keywords["snapshot"]
    long, new = snapshot.bookings
    long = attrs.evolve(long, stay=stay(0, 2), nightly_prices=(eur(1), eur(1)))
    hotel.desk().run(op.sync_pms_data, snapshot=attrs.evolve(snapshot, bookings=(long,)))
    with hotel.desk().reading() as uow:
        booking, room = uow.bookings.by_confirmation("ONE"), uow.rooms.get(hotel.room_ids[0])
    hotel.desk().run(op.assign_room, booking_id=booking.id, room_id=room.id)

    @op.operation(Permission.BOOKINGS_CREATE)
    def rival(uow: UnitOfWork) -> None:
        uow.inventory.lock(room.room_type_id, stay(1, 2).nights)

    @op.operation(Permission.BOOKINGS_CREATE)
    def holder(uow: UnitOfWork) -> None:
        uow.inventory.lock(room.room_type_id, stay(1, 1).nights)

    hotel.desk().run(rival)
    shorter = attrs.evolve(long, stay=stay(0, 1), nightly_prices=(eur(1),))
    later = attrs.evolve(new, stay=stay(2, 1))
    both = attrs.evolve(snapshot, bookings=(later, shorter))
    syncing = partial(op.sync_pms_data, snapshot=both)
    assert queued(hotel, holder, rival, syncing) == [None, None]
    assert hotel.core.prove(hotel.hotel_id).ok


# Lets whoever takes a room night wait, after the nights of the own room were let go.
_GATE = """
CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql
AS $$ BEGIN PERFORM pg_advisory_xact_lock_shared(42); RETURN NEW; END $$;
CREATE TRIGGER gate BEFORE INSERT ON hc_room_night FOR EACH ROW EXECUTE FUNCTION gate()
"""


def test_who_wants_each_others_room_wait_in_one_line(hotel: SmallHotel) -> None:
    """Neither has let go of the own room while it waits for the other's, so both are refused."""
    bookings = [book(hotel, stay(1, 2))[0] for _ in range(2)]
    for booking, room_id in zip(bookings, hotel.room_ids, strict=False):
        hotel.desk().run(op.assign_room, booking_id=booking.id, room_id=room_id)
    with hotel.core.engine.begin() as connection:
        connection.execute(text(_GATE))
    wanted = zip(bookings, reversed(hotel.room_ids[:2]), strict=True)
    running = []
    with ThreadPoolExecutor(2) as threads:
        with hotel.core.engine.begin() as gate:
            gate.execute(text("SELECT pg_advisory_xact_lock(42)"))
            for number, (booking, room_id) in enumerate(wanted, start=1):
                work = partial(op.assign_room, booking_id=booking.id, room_id=room_id)
                running.append(threads.submit(attempt, hotel, work))
                let_on(hotel, running[-1], waiting=number)
        ended = [each.result() for each in running]
    assert [type(each) for each in ended] == [RoomTaken, RoomTaken]


def test_who_leaves_a_room_waits_for_who_comes_into_it(hotel: SmallHotel) -> None:
    """A check-out takes the room before its booking lets go of it, so nobody waits in a circle."""
    leaving, coming = hotel.move_in(1)[0], hotel.move_in(3)[0]
    hotel.close_day()
    room_id = hotel.booking(leaving.id).room_id
    assert room_id is not None

    def leave(uow: UnitOfWork) -> None:
        op.check_out_guest(uow, booking_id=leaving.id, unsettled_reason="pays later")

    # What a check-in does that found the room empty, before the one who leaves came for the day.
    @op.operation(Permission.BOOKINGS_AMEND)
    def come(uow: UnitOfWork) -> None:
        uow.rooms.lock([room_id])
        gone.append(thread.submit(attempt, hotel, leave))
        let_on(hotel, gone[0])
        uow.bookings.update(attrs.evolve(uow.bookings.get(coming.id), room_id=room_id))

    gone: list[Future[HotelcoreError | None]] = []
    with ThreadPoolExecutor(1) as thread:
        refused = attempt(hotel, come)
    assert isinstance(refused, RoomTaken)
    assert gone[0].result() is None
