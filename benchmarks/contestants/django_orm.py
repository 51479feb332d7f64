"""Django's ORM, as an application uses it. Django knows one set of models a process."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any
from uuid import UUID

import django  # type: ignore[import-untyped]  # Django comes without types
from django.conf import settings  # type: ignore[import-untyped]  # as above
from django.db import connection, models, transaction  # type: ignore[import-untyped]  # as above
from sqlalchemy import URL, Column, Dialect, Table, types

from benchmarks.contestants import Found
from benchmarks.house import MOST, PAGE, RANGE, STAY, TODAY, House
from benchmarks.orders import Arrival, Cleaning, Order, Rows, Takeover
from benchmarks.plain import TABLES
from benchmarks.rounds import Work

__all__ = ["DjangoOrm"]

# `Any` in this module: models are made at run time, and have no types either.
_atomic: Any = transaction.atomic


class DjangoOrm:
    """Django ORM."""

    name = "Django ORM"

    def __init__(self, url: URL, house: House) -> None:
        _configure(url)
        self._model = _models(url.get_backend_name())
        self._hotel, self._house = {"hotel_id": house.hotel_id}, house
        connection.ensure_connection()

    # -- reading ----------------------------------------------------------------------------------

    def rooms_free(self) -> Found:
        """Filter the rooms without a taken night."""
        taken = self._of("hc_room_night").filter(
            room_id=models.OuterRef("id"), night__gte=STAY.arrival, night__lt=STAY.departure
        )
        of_type = self._of("hc_room").filter(room_type_id=self._house.room_type_id)
        return list(of_type.filter(~models.Exists(taken)).order_by("number"))

    def bookings_in_range(self) -> Found:
        """Filter by arrival."""
        arriving = self._of("hc_booking").filter(arrival__range=RANGE)
        return list(arriving.order_by("arrival", "id")[: MOST + 1])

    def page_of_bookings(self) -> Found:
        """Take one more than a page has, to know whether there is another."""
        coming = self._of("hc_booking").filter(status="confirmed", arrival__gte=TODAY)
        return list(coming.order_by("arrival", "id")[: PAGE + 1])[:PAGE]

    def guest_by_email(self) -> Found:
        """Filter by the address."""
        found = self._of("hc_guest").filter(email_key=self._house.email)
        return list(found.order_by("last_name_key", "id")[: PAGE + 1])

    def tasks(self) -> Found:
        """Filter by date and status."""
        found = self._of("hc_housekeeping_task").filter(due=TODAY, status="open")
        return list(found.order_by("due", "priority", "id")[: MOST + 1])

    def folio_balance(self) -> Found:
        """Get by key."""
        return (self._of("hc_folio").get(id=self._house.folio_id),)

    def id_of(self, found: Any) -> UUID:
        """Return the object's id."""
        id_: UUID = found.id
        return id_

    # -- writing ----------------------------------------------------------------------------------

    def create_booking(self, order: Order) -> Work:
        """Sell the nights and create the objects."""

        def work() -> None:
            with _atomic():
                self._sell(order.stay, 1)
                self._create(order.rows)
                self._audit(order.rows)

        return work

    def check_in(self, arrival: Arrival) -> Work:
        """Get the booking locked, save what changed, create the objects."""

        def work() -> None:
            with _atomic():
                locked = self._of("hc_booking").select_for_update()
                booking = locked.get(id=arrival.booking_id)
                for name, value in arrival.changes.items():
                    setattr(booking, name, value)
                booking.save(update_fields=list(arrival.changes))
                self._create(arrival.rows)
                self._audit(arrival.rows)

        return work

    def set_condition(self, cleaning: Cleaning) -> Work:
        """Take the rooms, change each, update and create in bulk."""

        def work() -> None:
            with _atomic():
                rooms = list(self._of("hc_room").filter(id__in=cleaning.room_ids))
                for room in rooms:
                    room.condition, room.version = cleaning.condition.value, room.version + 1
                self._model["hc_room"].objects.bulk_update(rooms, ["condition", "version"])
                self._create_in_bulk(cleaning.rows)
                self._audit(cleaning.rows)

        return work

    def take_over(self, takeover: Takeover) -> Work:
        """Ask for what is known, create the rest in bulk."""
        wanted = list(takeover.fingerprints)

        def work() -> int:
            with _atomic():
                known = self._of("hc_external_mapping").filter(
                    resource="booking", external_id__in=wanted
                )
                if dict(known.values_list("external_id", "fingerprint")) == takeover.fingerprints:
                    return 0
                for night, number in sorted(takeover.nights.items()):
                    self._sell([night], number)
                self._create_in_bulk(takeover.rows)
                self._audit(takeover.rows)
            return len(wanted)

        return work

    def close(self) -> None:
        """Close the connection."""
        connection.close()

    # -- what they share --------------------------------------------------------------------------

    def _of(self, table: str) -> Any:
        return self._model[table].objects.filter(**self._hotel)

    def _sell(self, nights: Iterable[object], number: int) -> None:
        counters = self._of("hc_room_availability").filter(
            room_type_id=self._house.room_type_id, night__in=list(nights)
        )
        counters.update(committed=models.F("committed") + number)

    def _create(self, rows: Rows) -> None:
        for table, records in rows.items():
            if table != "hc_audit_log":
                for record in records:
                    self._model[table].objects.create(**record)

    def _create_in_bulk(self, rows: Rows) -> None:
        for table, records in rows.items():
            if table != "hc_audit_log":
                model = self._model[table]
                model.objects.bulk_create([model(**record) for record in records])

    def _audit(self, rows: Rows) -> None:
        head = self._of("hc_audit_head").select_for_update().get()
        [entry] = rows["hc_audit_log"]
        following = {**entry, "sequence": head.sequence + 1}
        self._model["hc_audit_log"].objects.create(**following)


# -- settings and models --------------------------------------------------------------------------


def _configure(url: URL) -> None:
    engine, options = "postgresql", dict[str, object]()
    if url.get_backend_name() == "sqlite":  # with the settings under which the library commits
        engine = "sqlite3"
        options["init_command"] = "PRAGMA synchronous = FULL; PRAGMA secure_delete = ON"
    database = {
        "ENGINE": f"django.db.backends.{engine}",
        "NAME": url.database,
        "USER": url.username or "",
        "PASSWORD": url.password or "",
        "HOST": url.host or url.query.get("host", ""),
        "PORT": url.port or "",
        "OPTIONS": options,
    }
    if settings.configured:  # another section has asked another database
        connection.close()
        connection.settings_dict.update(database)
        return
    settings.configure(DATABASES={"default": database}, USE_TZ=True)
    django.setup()


@cache
def _models(database: str) -> dict[str, Any]:
    dialect = URL.create(database).get_dialect()()
    return {name: _model(table, dialect) for name, table in TABLES.items()}


def _model(table: Table, dialect: Dialect) -> Any:
    """Make a model of a table. An id alone is a key for Django, which is what suits it best."""
    keys = ["id"] if "id" in table.c else [column.name for column in table.primary_key]
    fields = {column.name: _field(column, keys, dialect) for column in table.c}
    if len(keys) > 1:
        fields["pk"] = models.CompositePrimaryKey(*keys)
    meta = type("Meta", (), {"app_label": "bench", "managed": False, "db_table": table.name})
    return type(table.name, (models.Model,), {**fields, "Meta": meta, "__module__": __name__})


_FIELDS = {
    types.Uuid: models.UUIDField,
    types.Date: models.DateField,
    types.DateTime: models.DateTimeField,
    types.JSON: models.JSONField,
    types.Boolean: models.BooleanField,
    types.LargeBinary: models.BinaryField,
    types.BigInteger: models.BigIntegerField,
    types.Integer: models.IntegerField,
    types.String: models.TextField,
}


def _field(column: Column[Any], keys: list[str], dialect: Dialect) -> Any:
    kind = column.type.dialect_impl(dialect)
    field = next(field for known, field in _FIELDS.items() if isinstance(kind, known))
    return field(null=column.nullable, primary_key=keys == [column.name])
