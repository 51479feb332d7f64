"""What of a driver's error is left in ours: nothing, also for who looks behind it."""

from __future__ import annotations

import logging
import pickle
import traceback
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Engine, String, TypeDecorator, bindparam, select, text

from hotelcore.errors import (
    AlreadyExists,
    DatabaseFailure,
    HotelcoreError,
    InvalidInput,
    SchemaMismatch,
)
from hotelcore.operations import add_rooms, register_guest
from hotelcore.sql.host import acting_hotel, statements_of
from hotelcore.sql.repositories.rooms import ROOM
from tests.small_hotel import SmallHotel, opened

CANARY = "Zaunkönig-7"
"""What the commands below are given, so what a driver may say."""

_SQLITE_TRIGGER = f"""
CREATE TRIGGER raising BEFORE INSERT ON hc_guest
BEGIN SELECT RAISE(ABORT, 'no place for {CANARY}'); END
"""
_FUNCTION = """
CREATE FUNCTION raising() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'no place for %', NEW.last_name; END $$
"""
_TRIGGER = (
    "CREATE TRIGGER raising BEFORE INSERT ON hc_guest FOR EACH ROW EXECUTE FUNCTION raising()"
)
_RAISING = {"sqlite": (_SQLITE_TRIGGER,), "postgresql": (_FUNCTION, _TRIGGER)}


@pytest.fixture
def hotel(database_url: str) -> Iterator[SmallHotel]:
    """Return a hotel in a database of its own."""
    with opened(database_url) as hotel:
        yield hotel


def _change(engine: Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def _room_twice(hotel: SmallHotel) -> None:
    for _ in range(2):
        hotel.desk.run(add_rooms, room_type_id=hotel.room_type_id, numbers=[CANARY])


def _guest_without_table(hotel: SmallHotel) -> None:
    _change(hotel.core.engine, "ALTER TABLE hc_guest RENAME TO elsewhere")
    hotel.desk.run(register_guest, last_name=CANARY)


def _guest_whom_a_trigger_refuses(hotel: SmallHotel) -> None:
    _change(hotel.core.engine, *_RAISING[hotel.core.engine.dialect.name])
    hotel.desk.run(register_guest, last_name=CANARY)


def _text_for_an_id(hotel: SmallHotel) -> None:
    with hotel.desk.reading() as uow:
        uow.guests.get(CANARY)  # type: ignore[arg-type]  # refused at run time too


class _Digits(TypeDecorator[str]):
    """A host's own column, which says itself what it does not take."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: object, dialect: object) -> str:
        try:
            return f"{int(str(value)):04}"
        except ValueError as error:
            raise InvalidInput("number", "must be digits") from error


_BY_NUMBER = select(ROOM.c.id).where(
    ROOM.c.hotel_id == acting_hotel(), ROOM.c.number == bindparam("number", type_=_Digits)
)


def _text_for_a_column_of_the_hosts(hotel: SmallHotel) -> None:
    with hotel.desk.reading() as uow:
        statements_of(uow).first(_BY_NUMBER, tuple, number=CANARY)


def _everything_said(error: BaseException) -> Iterator[str]:
    """Give all that an error and those behind it say, in every form that leaves a process."""
    chain: list[BaseException | None] = [error]
    while (seen := chain[-1]) is not None:
        yield from (str(seen), repr(seen), repr(seen.args), repr(vars(seen)))
        behind = seen.__cause__ or seen.__context__
        chain.append(None if behind in chain else behind)  # two may stand behind each other
    yield from traceback.format_exception(error)
    yield repr(pickle.dumps(error))


@pytest.mark.parametrize(
    ("fails", "kind"),
    [
        (_room_twice, AlreadyExists),
        (_guest_without_table, SchemaMismatch),
        (_guest_whom_a_trigger_refuses, DatabaseFailure),
        (_text_for_an_id, InvalidInput),
        (_text_for_a_column_of_the_hosts, InvalidInput),
    ],
)
def test_nothing_of_the_drivers_error_is_left(
    hotel: SmallHotel, fails: Callable[[SmallHotel], None], kind: type[HotelcoreError]
) -> None:
    """Neither a value nor SQL is in the error, its chain, its traceback or its pickle."""
    with pytest.raises(kind) as caught:
        fails(hotel)
    said = "\n".join(_everything_said(caught.value))
    for word in (CANARY, "Zaunk", "INSERT INTO", "hc_room", "hc_guest", "no place"):
        assert word not in said


def test_sqlalchemys_own_log_shows_no_values(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A host that lets SQLAlchemy log statements, also its own on our engine, logs no guests."""
    with caplog.at_level(logging.INFO, "sqlalchemy.engine"), opened(database_url) as hotel:
        hotel.desk.run(register_guest, last_name=CANARY)
        with hotel.core.engine.connect() as connection:
            looking = text("SELECT id FROM hc_guest WHERE last_name = :name")
            assert connection.execute(looking, {"name": CANARY}).one()
    assert "INSERT INTO hc_guest" in caplog.text
    assert "WHERE last_name" in caplog.text
    assert CANARY not in caplog.text
