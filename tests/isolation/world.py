"""The furnished database: what each hotel has, whose a word or an id is, and who wrote where."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from types import MappingProxyType
from typing import Any
from uuid import UUID

from attrs import define, field, frozen
from sqlalchemy import Connection, String, Table, Uuid

from hotelcore.clock import FixedClock
from hotelcore.core import HotelCore
from hotelcore.ids import HotelId, new_id
from hotelcore.sql.schema import METADATA, Id
from hotelcore.sql.seam.engine import READING
from tests.isolation.canaries import Mark, marks
from tests.isolation.furnishing import NAMES, OPENING, furnish
from tests.small_hotel import KEYS

__all__ = ["FOREIGN_ROW", "TABLES_OF_IDS", "Side", "World"]

FOREIGN_ROW = "probe wrote a row of another hotel"
"""What the database says when a statement touches a row of a hotel that does not act."""

TABLES_OF_IDS: Mapping[str, str] = MappingProxyType(
    {
        "AuditEntryId": "hc_audit_log",
        "BookingId": "hc_booking",
        "EventId": "hc_outbox",
        "FolioId": "hc_folio",
        "FolioLineId": "hc_folio_line",
        "GuestId": "hc_guest",
        "HotelId": "hc_hotel",
        "MaintenanceId": "hc_maintenance",
        "PmsConfigId": "hc_pms_config",
        "RoomId": "hc_room",
        "RoomKeyId": "hc_room_key",
        "RoomTypeId": "hc_room_type",
        "TaskId": "hc_housekeeping_task",
    }
)
"""Where the records of each kind of id are."""

# A row's columns differ in type.
Row = tuple[Any, ...]


@define
class Side:
    """What one hotel has: ids by kind, texts by column, records by class, and cursors of its pages.

    The hotel that is not registered has nothing but its id.
    """

    hotel_id: HotelId
    word: str
    ids: dict[str, list[UUID]] = field(factory=dict)
    texts: dict[str, list[str]] = field(factory=dict)
    words: dict[str, list[str]] = field(factory=dict)
    records: dict[type, list[Any]] = field(factory=dict)  # entities of every class
    cursors: list[str] = field(factory=list)
    adopted: set[Mark] = field(factory=set)
    digest: str = ""


@frozen
class World:
    """Three furnished hotels in one database, a fourth that is not registered, and a guard."""

    core: HotelCore
    clock: FixedClock
    sides: tuple[Side, ...]
    stranger: Side
    _owners: dict[Mark, HotelId]

    @classmethod
    def furnished(cls, url: str) -> World:
        """Make the tables in an empty database, furnish it, and set the guard."""
        clock = FixedClock(OPENING)
        core = HotelCore(url, clock=clock, keys=KEYS)
        core.create_schema()
        hotels = furnish(core, clock)
        sides = tuple(Side(hotel, word) for hotel, word in zip(hotels, NAMES, strict=True))
        world = cls(core, clock, sides, Side(HotelId(new_id()), "stranger"), {})
        _set_guard(core)
        world.read()
        return world

    def is_foreign(self, mark: Mark, acting: Side) -> bool:
        """Tell whether a word or an id is of another hotel than the acting one."""
        if isinstance(mark, str):
            if mark in acting.adopted:
                return False
            _, word, number = mark.split("-")
            return number.isdecimal() and word != acting.word
        return self._owners.get(mark, acting.hotel_id) != acting.hotel_id

    def adopt(self, side: Side, marks: Iterable[Mark]) -> None:
        """Take other hotels' words for a hotel's own, once its own people wrote them down."""
        side.adopted.update(mark for mark in marks if isinstance(mark, str))

    def is_known(self, mark: Mark) -> bool:
        """Tell whether some hotel has the id."""
        return mark in self._owners

    def act(self, side: Side) -> None:
        """Tell the guard whose rows may be written."""
        with self.core.engine.begin() as connection:
            value = _literal(connection, side.hotel_id)
            connection.exec_driver_sql(f"UPDATE probe_acting SET hotel_id = {value}")

    def leave_alone(self, side: Side) -> None:
        """Delete every row of every other hotel, and with SQLite the guard too."""
        with self.core.engine.begin() as connection:
            if connection.dialect.name == "sqlite":
                named = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
                for (name,) in connection.exec_driver_sql(named).all():
                    connection.exec_driver_sql(f"DROP TRIGGER {name}")
            else:
                connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
            for table in reversed(METADATA.sorted_tables):
                if "hotel_id" in table.c:
                    connection.execute(table.delete().where(table.c.hotel_id != side.hotel_id))

    def read(self) -> list[Side]:
        """Read all rows again; return the sides whose rows are others than the last time."""
        rows: dict[HotelId, dict[str, list[Row]]] = {side.hotel_id: {} for side in self.sides}
        with self.core.engine.connect().execution_options(**{READING: True}) as connection:
            for table in METADATA.sorted_tables:
                if "hotel_id" in table.c:
                    for hotel_id, row in _rows(connection, table):
                        rows.setdefault(hotel_id, {}).setdefault(table.name, []).append(row)
        return [side for side in self.sides if self._take(side, rows[side.hotel_id])]

    def _take(self, side: Side, rows: Mapping[str, list[Row]]) -> bool:
        """Note what a hotel has, and tell whether that changed."""
        # Nobody sorts the rows: the order on disk stays while nothing is committed.
        before, side.digest = side.digest, sha256(repr(rows).encode()).hexdigest()
        if side.digest == before:
            return False
        texts: defaultdict[str, dict[str, None]] = defaultdict(dict)
        for name, found in rows.items():
            self._note_table(side, METADATA.tables[name], found, texts)
        side.texts = {column: list(values) for column, values in texts.items()}
        words = {
            column: [text for text in values if f"canary-{side.word}-" in text]
            for column, values in side.texts.items()
        }
        side.words = {column: values for column, values in words.items() if values}
        return True

    def _note_table(
        self, side: Side, table: Table, rows: list[Row], texts: Mapping[str, dict[str, None]]
    ) -> None:
        own_key = list(table.primary_key.columns)[-1].name
        for number, column in enumerate(table.c):
            values = [row[number] for row in rows if row[number] is not None]
            if isinstance(column.type, (Id, Uuid)):
                values = [_uuid(value) for value in values]
                self._owners.update(dict.fromkeys(values, side.hotel_id))
                for kind, its_table in TABLES_OF_IDS.items():
                    if its_table == table.name and column.name == own_key:
                        side.ids[kind] = values
            elif isinstance(column.type, String):
                texts[column.name].update(dict.fromkeys(values))
            else:
                self._note_inside(side, values)

    def _note_inside(self, side: Side, values: Iterable[object]) -> None:
        for mark in marks(*values):
            if isinstance(mark, UUID):
                self._owners.setdefault(mark, side.hotel_id)


def _rows(connection: Connection, table: Table) -> Iterator[tuple[HotelId, Row]]:
    """Give the rows of a table in the order of its columns, each with its hotel."""
    names = ", ".join(column.name for column in table.c)
    place = list(table.c.keys()).index("hotel_id")
    for row in connection.exec_driver_sql(f"SELECT {names} FROM {table.name}"):
        yield HotelId(_uuid(row[place])), tuple(row)


def _uuid(value: str | UUID) -> UUID:
    return UUID(value) if isinstance(value, str) else value


# -- the guard ----------------------------------------------------------------------------------


def _literal(connection: Connection, id: UUID) -> str:
    return f"'{id.hex}'" if connection.dialect.name == "sqlite" else f"'{id}'::uuid"


def _set_guard(core: HotelCore) -> None:
    """Have the database refuse any statement that touches a row of a hotel that does not act."""
    with core.engine.begin() as connection:
        sqlite = connection.dialect.name == "sqlite"
        kind, nobody = ("CHAR(32)" if sqlite else "uuid"), _literal(connection, UUID(int=0))
        connection.exec_driver_sql(f"CREATE TABLE probe_acting (hotel_id {kind})")
        connection.exec_driver_sql(f"INSERT INTO probe_acting VALUES ({nobody})")
        if not sqlite:
            connection.exec_driver_sql(_GUARD)
        for table in METADATA.sorted_tables:
            if "hotel_id" in table.c:
                for statement in _triggers(table.name, sqlite=sqlite):
                    connection.exec_driver_sql(statement)


_GUARD = f"""
    CREATE FUNCTION probe_guard() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE acting uuid := (SELECT hotel_id FROM probe_acting);
    BEGIN
        IF (TG_OP <> 'INSERT' AND OLD.hotel_id <> acting)
           OR (TG_OP <> 'DELETE' AND NEW.hotel_id <> acting) THEN
            RAISE EXCEPTION '{FOREIGN_ROW}';
        END IF;
        RETURN coalesce(NEW, OLD);
    END $$
"""


def _triggers(table: str, *, sqlite: bool) -> Iterator[str]:
    if not sqlite:
        yield (
            f"CREATE TRIGGER a_probe BEFORE INSERT OR UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION probe_guard()"
        )
        return
    for verb, records in {"INSERT": ["NEW"], "UPDATE": ["OLD", "NEW"], "DELETE": ["OLD"]}.items():
        other = " OR ".join(
            f"{record}.hotel_id <> (SELECT hotel_id FROM probe_acting)" for record in records
        )
        yield (
            f"CREATE TRIGGER probe_{table}_{verb} BEFORE {verb} ON {table} WHEN {other} "
            f"BEGIN SELECT RAISE(ABORT, '{FOREIGN_ROW}'); END"
        )
