"""Nothing of a guest is left in the database once the guest was anonymised, byte for byte."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, create_engine, event, make_url, select, text

from hotelcore import HotelCore, Money, Permission, wire
from hotelcore import operations as op
from hotelcore.domain.audit import HIDDEN, Change
from hotelcore.domain.guests import Guest, email_key, name_key, phone_key
from hotelcore.errors import InvalidInput
from hotelcore.ids import GuestId, new_id
from hotelcore.lists import AuditFilter
from hotelcore.sql.audit.log import AUDIT_LOG
from hotelcore.sql.schema import METADATA
from hotelcore.sql.sealing.subject_keys import SqlSubjectKeys
from hotelcore.sql.seam.statements import acting_hotel
from hotelcore.unit_of_work import UnitOfWork
from hotelcore.vault import KeyRing
from tests.audit.conftest import KEYS
from tests.small_hotel import DAY, TODAY, SmallHotel, nothing_kept, open_hotel

pytestmark = pytest.mark.long

# Long enough not to be there by chance, and short enough to be the name of somebody.
_letters = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\0"), max_size=40
)
names = st.builds(lambda free, own: f"{free}Zz{own.hex}", _letters, st.uuids())


def marks(*words: str) -> list[bytes]:
    """Return the bytes by which a word could be found, as it is and as it is searched for."""
    forms = [form for word in words for form in (word, name_key(word), email_key(word))]
    return [form.encode(coding) for form in forms if form for coding in ("utf-8", "utf-16-le")] + [
        ascii(form)[1:-1].encode() for form in forms if form
    ]


def left_in_files(url: str, words: list[bytes]) -> list[bytes]:
    """Return which of the words are in the file of a SQLite database, its log or its journal."""
    file = Path(make_url(url).database or "")
    kept = b"".join(part.read_bytes() for part in sorted(file.parent.glob(f"{file.name}*")))
    assert kept.startswith(b"SQLite format 3")
    return [word for word in words if word in kept]


def left_in_rows(engine: Engine, words: list[bytes]) -> list[bytes]:
    """Return which of the words are in any column of any row, read as text."""
    kept = b"".join(_all_columns(engine))
    return [word for word in words if word in kept]


def _all_columns(engine: Engine) -> Iterator[bytes]:
    with engine.connect() as connection:
        for name in METADATA.tables:
            for row in connection.execute(text(f"SELECT t::text FROM {name} t")):
                yield row[0].encode()
                # `bytea` is shown in hexadecimal
                yield from (bytes.fromhex(part) for part in _hexadecimal(row[0]))


def _hexadecimal(shown: str) -> Iterator[str]:
    for part in shown.split("\\x")[1:]:
        end = next((n for n, c in enumerate(part) if c not in "0123456789abcdef"), len(part))
        yield part[: end - end % 2]


def a_life(hotel: SmallHotel, first: str, last: str, later: str, phone: str) -> GuestId:
    """Register, amend, book, let stay, and anonymise a guest; return who it was."""
    desk, day = hotel.desk, TODAY
    guest = desk.once(f"reg-{new_id()}").run(
        op.register_guest,
        last_name=last,
        first_name=first,
        email=f"{last}@example.org",
        phone=phone,
        attributes={"nick": first, last[:100]: 1},
    )
    for name in (later, last, later):
        desk.once(f"amend-{new_id()}").run(
            op.amend_guest, guest_id=guest.id, last_name=name, first_name=first, email=later
        )
    booking, folio = desk.run(
        op.create_booking_with_folio,
        guest_id=guest.id,
        room_type_id=hotel.room_type_id,
        stay=hotel.booked(arrival=day + 400 * DAY)[0].stay,
    )
    desk.run(
        op.post_charge_to_folio,
        folio_id=folio.id,
        code="BAR",
        description="tea",
        amount=Money(100, "EUR"),
    )
    desk.run(op.cancel_booking_with_refund, booking_id=booking.id, reason="ill", waive_fee=True)
    desk.run(op.anonymise_guest, guest_id=guest.id)
    return guest.id


def ledger(hotel: SmallHotel) -> list[tuple[object, ...]]:
    """Read all money and counters."""
    with hotel.core.engine.connect() as connection:
        return [
            tuple(row)
            for table in ("hc_folio", "hc_folio_line", "hc_booking_night", "hc_room_availability")
            for row in connection.execute(METADATA.tables[table].select())
        ]


@settings(max_examples=10)
@given(first=names, last=names, later=names, crowd=st.integers(0, 40), keyed=st.booleans())
def test_no_byte_of_an_erased_guest_is_left(
    schema_url: str, first: str, last: str, later: str, crowd: int, keyed: bool
) -> None:
    """Not in a row, an index, a free page, the log or the journal, whoever stayed before."""
    phone = "+49 " + str(new_id().int)[:20]
    words = [*marks(first, last, later), phone.encode(), phone_key(phone).encode()]
    with closing(HotelCore(schema_url, keys=KEYS if keyed else None)) as core:
        core.create_schema()
        hotel = open_hotel(core, rooms=2)
        others = [
            hotel.desk.run(op.register_guest, last_name=f"{last[-12:]}{number}", phone="1")
            for number in range(crowd)
        ]
        guest_id = a_life(hotel, first, last, later, phone)
        for other in others[::2]:
            hotel.desk.run(op.anonymise_guest, guest_id=other.id)
        assert core.verify_audit(hotel.hotel_id).ok
        assert core.prove(hotel.hotel_id).ok
        with hotel.desk.reading() as uow:
            assert uow.guests.get(guest_id).anonymised_at is not None
        if core.engine.dialect.name == "postgresql":
            assert left_in_rows(core.engine, words) == []
    if schema_url.startswith("sqlite"):
        assert left_in_files(schema_url, words) == []


def test_the_search_finds_who_was_not_erased(schema_url: str) -> None:
    """A guest who is still known is in the file, or in the rows, by every word."""
    name = "Zoë Núñez"
    words = [name.encode(), name_key(name).encode()]
    with closing(HotelCore(schema_url, keys=KEYS)) as core:
        core.create_schema()
        open_hotel(core).desk.run(op.register_guest, last_name=name)
        if core.engine.dialect.name == "postgresql":
            assert left_in_rows(core.engine, words) == words
    if schema_url.startswith("sqlite"):
        assert left_in_files(schema_url, words) == words


def test_erasing_changes_no_figure(hotel: SmallHotel) -> None:
    """Folios, lines, nights and counters are the same rows before and after."""
    booking, _ = hotel.booked()
    hotel.desk.run(
        op.cancel_booking_with_refund, booking_id=booking.id, reason="ill", waive_fee=True
    )
    before = ledger(hotel)
    hotel.desk.run(op.anonymise_guest, guest_id=hotel.guest_id)
    assert ledger(hotel) == before


# -- what the log shows of a guest --------------------------------------------------------------


def changes_of(hotel: SmallHotel, guest_id: GuestId) -> list[Change]:
    """Return the changes of a guest, the oldest first."""
    with hotel.desk.reading() as uow:
        page = uow.audit.page(AuditFilter(resource="guest", resource_id=guest_id))
    return [entry.changes[0] for entry in reversed(page.items)]


def known(hotel: SmallHotel) -> Guest:
    """Register and amend a guest."""
    guest = hotel.desk.run(op.register_guest, last_name="Núñez", email="z@example.org")
    return hotel.desk.run(op.amend_guest, guest_id=guest.id, last_name="Zoë", email=None)


def test_who_may_read_the_log_sees_what_a_guest_was_called(hotel: SmallHotel) -> None:
    """Until the guest is erased: then it shows only that something changed."""
    guest = known(hotel)
    registered, amended = changes_of(hotel, guest.id)
    assert (registered.before, registered.sealed) == (None, None)
    assert isinstance(registered.after, dict)
    assert (registered.after["last_name"], registered.after["email"]) == ("Núñez", "z@example.org")
    assert amended.before == {"last_name": "Núñez", "email": "z@example.org"}
    assert amended.after == {"last_name": "Zoë", "email": None}
    hotel.desk.run(op.anonymise_guest, guest_id=guest.id)
    changes = changes_of(hotel, guest.id)
    assert changes[1].before == {"last_name": HIDDEN, "email": HIDDEN}
    assert changes[1].after == {"last_name": HIDDEN, "email": None}
    assert isinstance(changes[2].before, dict)
    assert (changes[2].before["last_name"], changes[2].sealed) == (HIDDEN, None)
    assert hotel.core.verify_audit(hotel.hotel_id).ok


@attrs.frozen
class Visit:
    """A record of a host's that tells of a guest."""

    note: str = attrs.field(metadata={"personal": True})


@op.operation(Permission.FRONT_DESK)
def note_visit(uow: UnitOfWork, *, guest_id: GuestId, note: str) -> UUID:
    """Note a visit in the audit log alone."""
    visit_id = uow.new_id()
    uow.changed("spa_visit", visit_id, None, Visit(note), guest_id=guest_id)
    return visit_id


def visits_of(hotel: SmallHotel) -> list[wire.Json]:
    """Return what the log shows of all visits, the oldest first."""
    with hotel.desk.reading() as uow:
        page = uow.audit.page(AuditFilter(resource="spa_visit"))
    return [entry.changes[0].after for entry in reversed(page.items)]


def test_what_a_host_keeps_of_a_guest_is_erased_too(hotel: SmallHotel) -> None:
    """In the log it opens until the guest is erased; what comes after that is never kept."""
    guest = known(hotel)
    hotel.desk.run(note_visit, guest_id=guest.id, note="Massage")
    assert visits_of(hotel) == [{"note": "Massage"}]
    hotel.desk.run(op.anonymise_guest, guest_id=guest.id)
    assert visits_of(hotel) == [{"note": HIDDEN}]
    hotel.desk.run(note_visit, guest_id=guest.id, note="Sauna")
    hotel.desk.run(note_visit, guest_id=GuestId(new_id()), note="Nobody")
    assert visits_of(hotel) == [{"note": HIDDEN}] * 3
    assert hotel.core.verify_audit(hotel.hotel_id).ok
    with hotel.core.engine.connect() as connection:
        keys = connection.scalars(select(METADATA.tables["hc_subject_key"].c.subject_id))
        assert {*keys} == {hotel.guest_id}


@pytest.mark.parametrize(
    ("field", "named"),
    [
        ("resource", {"resource": " "}),
        ("resource_id", {"id": "1"}),
        ("guest_id", {"whose": "1"}),
        ("before", {"before": {"guest": "x"}}),
        ("after", {"after": {"guest": "x"}}),
        ("after", {"after": Visit}),
    ],
)
def test_what_names_no_record_is_refused_before_it_is_sealed(
    hotel: SmallHotel, field: str, named: dict[str, Any]
) -> None:
    """The refusal names the argument, and nobody gets a key for what is not noted."""
    visit = {"resource": "spa_visit", "id": new_id(), "before": None, "after": Visit("x")}
    given = {**visit, "whose": None, **named}

    @op.operation(Permission.FRONT_DESK)
    def note(uow: UnitOfWork) -> None:
        states = given["before"], given["after"]
        uow.changed(given["resource"], given["id"], *states, guest_id=given["whose"])

    with nothing_kept(hotel.core.engine), pytest.raises(InvalidInput) as refused:
        hotel.desk.run(note)
    assert refused.value.field == field


def test_without_the_key_nothing_of_a_guest_is_shown(hotel: SmallHotel) -> None:
    """Neither by a core without keys, nor by one with another ring; both can go on."""
    guest = known(hotel)
    for keys in (None, KeyRing({2: os.urandom(32)})):
        core = HotelCore(hotel.core.engine, keys=keys)
        desk = core.acting_as(hotel.desk.actor)
        blind = SmallHotel(core, hotel.hotel_id, desk, guest.id, hotel.room_type_id, hotel.rooms)
        desk.run(op.amend_guest, guest_id=guest.id, last_name="Zoë")
        shown = changes_of(blind, guest.id)
        assert shown[1].before == {"last_name": HIDDEN, "email": HIDDEN}


def test_a_guest_from_before_the_keys_gets_one(schema_url: str) -> None:
    """What was written without keys stays hidden; the next change is sealed."""
    with closing(HotelCore(schema_url)) as keyless:
        keyless.create_schema()
        hotel = open_hotel(keyless)
        core = HotelCore(keyless.engine, keys=KEYS)
        desk = core.acting_as(hotel.desk.actor)
        desk.run(op.amend_guest, guest_id=hotel.guest_id, last_name="Later")
        keyed = SmallHotel(
            core, hotel.hotel_id, desk, hotel.guest_id, hotel.room_type_id, hotel.rooms
        )
        registered, amended = changes_of(keyed, hotel.guest_id)
        assert isinstance(registered.after, dict)
        assert registered.after["last_name"] == HIDDEN
        assert amended.before == {"last_name": "First"}


def test_a_savepoint_that_is_undone_takes_a_guests_key_along(hotel: SmallHotel) -> None:
    """Keys that were made in it are made again, and who was erased in it is not."""
    guest, undone = hotel.desk.run(op.register_guest, last_name="Kept"), list[GuestId]()
    with hotel.desk.transaction() as uow:
        with suppress(ZeroDivisionError), uow.savepoint():
            undone.append(op.register_guest(uow, last_name="Undone").id)
            op.amend_guest(uow, guest_id=guest.id, last_name="Undone")
            raise ZeroDivisionError
        with suppress(ZeroDivisionError), uow.savepoint():
            op.anonymise_guest(uow, guest_id=guest.id)
            raise ZeroDivisionError
    hotel.desk.run(op.amend_guest, guest_id=guest.id, last_name="Amended")
    assert changes_of(hotel, guest.id)[1].before == {"last_name": "Kept"}
    assert changes_of(hotel, *undone) == []


def test_erasing_after_changes_of_the_same_unit_erases_those_too(hotel: SmallHotel) -> None:
    """A guest who is registered, amended and erased in one transaction leaves nothing."""
    with hotel.desk.transaction() as uow:
        guest = op.register_guest(uow, last_name="Brief")
        op.amend_guest(uow, guest_id=guest.id, last_name="Short")
        op.anonymise_guest(uow, guest_id=guest.id)
    for change in changes_of(hotel, guest.id):
        assert "Brief" not in str(change)
        assert "Short" not in str(change)


def test_a_sealed_change_opens_in_its_own_place_alone(hotel: SmallHotel) -> None:
    """What is copied into another entry, or to another place of its own, stays shut."""
    guest = known(hotel)
    with hotel.desk.transaction() as uow:
        entries = [*uow.audit.page(AuditFilter(resource_id=guest.id)).items]
        subjects = SqlSubjectKeys(uow._run, uow.pms._sealing)  # type: ignore[attr-defined]  # inner parts
        amended, registered = entries
        stored = [
            row.changes[0]["sealed"]
            for row in uow._run.all(  # type: ignore[attr-defined]  # inner parts
                select(AUDIT_LOG)
                .where(AUDIT_LOG.c.hotel_id == acting_hotel(), AUDIT_LOG.c.resource_id == guest.id)
                .order_by(AUDIT_LOG.c.sequence),
                lambda row: row,
            )
        ]
        shut = attrs.evolve(registered.changes[0], after={"last_name": HIDDEN}, sealed=stored[1])
        moved = attrs.evolve(registered, changes=(shut,))
        later = attrs.evolve(amended.changes[0], before={"last_name": HIDDEN}, sealed=stored[1])
        twice = attrs.evolve(amended, changes=(later, later))
        for entry, opens in ((moved, [False]), (twice, [True, False])):
            (found,) = subjects.opened([entry])
            assert [change.sealed is None for change in found.changes] == opens


def test_every_connection_overwrites_what_it_deletes(sqlite_url: str) -> None:
    """Also one of a host's engine that had it switched off."""
    engine = create_engine(sqlite_url)

    def switch_off(connection: sqlite3.Connection, _: object) -> None:
        connection.execute("PRAGMA secure_delete = OFF")

    event.listen(engine, "connect", switch_off)
    with closing(HotelCore(engine)), engine.connect() as connection:
        assert connection.scalar(text("PRAGMA secure_delete")) == 1
    engine.dispose()
