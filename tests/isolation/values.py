"""Random arguments by their types: of the own hotel, of another, of nobody, or of another kind."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from functools import cache
from inspect import isclass
from random import Random
from types import NoneType, UnionType
from typing import Any, NewType, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import attrs
from attrs import define, field

from hotelcore.domain.fields import Attributes
from hotelcore.domain.money import Money
from hotelcore.domain.stays import Stay
from hotelcore.errors import HotelcoreError, InvalidInput
from hotelcore.events.catalogue import CATALOGUE, Event
from hotelcore.ids import new_id
from hotelcore.pms import RemoteBooking
from hotelcore.vault import Secret
from tests.isolation.surface import Target
from tests.isolation.world import TABLES_OF_IDS, Side

__all__ = ["UnknownType", "Values", "may_be_foreign"]

TODAY = date(2026, 12, 3)
"""The day that is open in the furnished hotels."""
DAY = timedelta(days=1)
_TRIES = 30
_CHANCE = 0.06
"""How often a value is foreign that need not be."""
_FORCED = 0.7

# Where an argument is called otherwise than the column that holds such texts.
_COLUMNS = {
    "numbers": "number",
    "external_ids": "external_id",
    "guest_external_id": "external_id",
    "room_type_external_id": "external_id",
    "unsettled_reason": "reason",
    "force_reason": "reason",
    "text": "reason",
    "method": "code",
    "kind": "code",
    "what": "operation",
}
_FITTING = {"time_zone": "Etc/UTC", "currency": "EUR", "country": "DEU"}
_RANGES = {
    "limit": (1, 60),
    "adults": (1, 3),
    "keys": (1, 3),
    "number": (1, 2),
    "priority": (1, 9),
    "max_occupancy": (1, 4),
    "version": (1, 3),
}


class UnknownType(Exception):
    """An argument is of a type that `Values` cannot make: teach it."""


@cache
def may_be_foreign(hint: object) -> bool:
    """Tell whether a value of a type can carry a word or an id of a hotel."""
    if isinstance(hint, NewType) or hint in (UUID, str, attrs.AttrsInstance, Event, Attributes):
        return True
    if get_origin(hint) is Mapping:
        return True
    if get_origin(hint) is Callable:
        return False
    if options := get_args(hint):
        return any(may_be_foreign(option) for option in options)
    if isclass(hint) and attrs.has(hint) and hint not in (Money, Stay):
        return any(map(may_be_foreign, _hints(hint).values()))
    return False


def _hints(kind: object) -> Mapping[str, object]:
    """Return the types of an attrs class's fields that its constructor takes."""
    return _known_hints(kind)


@cache
def _known_hints(kind: object) -> Mapping[str, object]:
    assert isinstance(kind, type)
    hints = get_type_hints(kind)
    return {a.name: hints[a.name] for a in attrs.fields(kind) if a.init}


# What is made differs by its type, which is known at run time alone: hence `Any` below.


@define
class Values:
    """Makes arguments for somebody who acts in ``own``, some of them taken from ``others``."""

    random: Random
    own: Side
    others: Sequence[Side]
    _chance: float = field(init=False, default=_CHANCE)

    def arguments(
        self, target: Target, forced: str | None, good: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return arguments for a call; that for the parameter ``forced`` is most likely foreign.

        Where none is forced, nothing is foreign. ``good`` are arguments of a call that succeeded:
        all others are taken from there.
        """
        if good is not None:
            return {**good, forced: self._forced_from(target, forced, good)} if forced else {**good}
        made = {}
        for name, hint in target.parameters.items():
            # What is given by its place cannot be left out before another.
            spare = name in target.optional and name not in target.positional and name != forced
            if spare and self.random.random() < 0.5:
                continue
            others = 0.0 if forced is None else _CHANCE
            self._chance = _FORCED if name == forced else others
            made[name] = self.make(name, hint)
        return made

    def _mapping(self, name: str, of: object, to: object) -> Any:
        if of is str:
            return self._attributes()
        return {self.make(name, of): self.make(name, to) for _ in range(self.random.choice((1, 2)))}

    def _forced_from(self, target: Target, forced: str, good: Mapping[str, Any]) -> Any:
        self._chance = _FORCED
        known = good.get(forced)
        if known is not None and attrs.has(type(known)) and self.random.random() < 0.7:
            return self._with_one_foreign(known)
        return self.make(forced, target.parameters[forced])

    def make(self, name: str, hint: object) -> Any:
        """Return a value for an argument or a field; `UnknownType` if none can be made."""
        if get_origin(hint) in (Union, UnionType):
            return self._one_of(name, get_args(hint))
        if isinstance(hint, NewType):
            return self._id(hint.__name__)
        if (origin := get_origin(hint)) is Mapping:
            return self._mapping(name, *get_args(hint))
        if origin in (Sequence, Collection, tuple, frozenset):
            return self._several(name, hint)
        if origin is Callable:  # what makes an error
            return lambda: InvalidInput(name, "is refused")
        if isclass(hint) and issubclass(hint, Enum):
            return self.random.choice(list(hint))
        its_name = getattr(hint, "__qualname__", getattr(hint, "__name__", ""))
        if (maker := _MAKERS.get(its_name)) is not None:
            return maker(self, name)
        if isclass(hint) and attrs.has(hint):
            return self._record(hint)
        raise UnknownType(f"{name}: {hint}")

    def _one_of(self, name: str, options: Sequence[object]) -> Any:
        wanted = [option for option in options if option is not NoneType]
        optional = len(wanted) < len(options)
        if optional and self._chance < _FORCED and self.random.random() < 0.55:
            return None
        return self.make(name, self.random.choice(wanted))

    def _several(self, name: str, hint: object) -> Any:
        item = get_args(hint)[0]
        items = [self.make(name, item) for _ in range(self.random.choice((0, 1, 1, 2, 3)))]
        kind = get_origin(hint)
        return kind(items) if kind in (tuple, frozenset) else items

    def _foreign(self) -> bool:
        return self.random.random() < self._chance

    def other(self) -> Side:
        """Return one of the other hotels."""
        return self.random.choice(self.others)

    # -- ids and texts ------------------------------------------------------------------------

    def _id(self, kind: str) -> UUID:
        side, random = self.other() if self._foreign() else self.own, self.random
        if kind == "HotelId" and side is self.own:
            return side.hotel_id
        if random.random() < 0.04:
            kind = random.choice(list(TABLES_OF_IDS))
        if side is self.own and random.random() < 0.03:
            return new_id()
        known = side.ids.get(kind)
        return random.choice(known) if known else new_id()

    def any_id(self, _: str) -> UUID:
        """Return an id of any kind."""
        return self._id(self.random.choice(list(TABLES_OF_IDS)))

    def text(self, name: str) -> str:
        """Return a text such as stands in the column of that name."""
        column, random = _COLUMNS.get(name, name), self.random
        if name == "after":
            return self._cursor()
        if self._foreign():
            words = self.other().words
            known = words.get(column) if random.random() < 0.8 else None
            return random.choice(known or random.choice(list(words.values())))
        if name in _FITTING:
            return _FITTING[name]
        if random.random() < 0.4 or not self.own.texts.get(column):
            return f"plain {random.getrandbits(32):08x}"
        return random.choice(self.own.texts[column])

    def _cursor(self) -> str:
        side = self.other() if self._foreign() else self.own
        return self.random.choice(side.cursors or ["WyJub25lIl0="])

    def _json(self, _: str) -> dict[str, str]:
        return {"found": self.text("reason")}

    def _secret(self, name: str) -> Secret:
        return Secret(self.text(name) or "none")

    def _attributes(self, _: str = "") -> Attributes:
        return Attributes({self.text("name"): self.text("reason")})

    # -- plain values -------------------------------------------------------------------------

    def whole(self, name: str) -> int:
        """Return a number that fits the name."""
        return self.random.randint(*_RANGES.get(name, (0, 4)))

    def flag(self, _: str) -> bool:
        """Return True or False."""
        return self.random.random() < 0.4

    def day(self, name: str) -> date:
        """Return a day around the open one."""
        if self.random.random() < (0.9 if name == "business_date" else 0.3):
            return TODAY
        return TODAY + self.random.randint(-3, 10) * DAY

    def instant(self, name: str) -> datetime:
        """Return a moment around that of the units."""
        noon = datetime(2026, 12, 4, 12, tzinfo=UTC)
        return noon + (self.random.randint(1, 99) if name == "hold_until" else 0) * DAY / 9

    def money(self, _: str = "") -> Money:
        """Return a small amount."""
        currency = "EUR" if self.random.random() < 0.97 else "USD"
        return Money(self.random.choice((1, 100, 2_500, 10_000)), currency)

    def stay(self, _: str = "") -> Stay:
        """Return some nights from the open day on, or around it."""
        arrival = TODAY + self.random.choice((-1, 0, 0, 1, 2, 5, 20)) * DAY
        return Stay(arrival, arrival + self.random.randint(0, 4) * DAY)

    # -- records ------------------------------------------------------------------------------

    def _record(self, kind: type[Any]) -> Any:
        other = self.other().records.get(kind)
        own = self.own.records.get(kind)
        foreign, way = self._foreign(), self.random.random()
        if foreign and other and way < 0.35:
            return self.random.choice(other)
        if foreign and other and way < 0.5 and "hotel_id" in _hints(kind):
            return attrs.evolve(self.random.choice(other), hotel_id=self.own.hotel_id)
        record = self.random.choice(own) if own else self.built(kind)
        if foreign:
            return self._with_one_foreign(record)
        return record if way < 0.5 else self._new_like(record)

    def _new_like(self, record: Any) -> Any:
        """Return a record as if it were new, with an id and names of its own."""
        new: dict[str, object] = {
            "id": new_id(),
            "number": self._new_text(),
            "code": self._new_text(),
        }
        new["confirmation_number"] = self._new_text()
        new["date"] = TODAY - self.random.randint(9, 99) * DAY
        names = [name for name in new if name in _hints(type(record))]
        return self._evolved(record, {name: new[name] for name in names}) or record

    def _new_text(self) -> str:
        return f"new {self.random.getrandbits(32):08x}"

    def _with_one_foreign(self, record: Any) -> Any:
        """Return the record with one field that names something of another hotel."""
        hints = _hints(type(record))
        names = [name for name, hint in hints.items() if may_be_foreign(hint)]
        if not names:
            return record
        chance, self._chance = self._chance, 1.0
        for _ in range(_TRIES):
            name = self.random.choice(names)
            if changed := self._evolved(record, {name: self.make(name, hints[name])}):
                record = changed
                break
        self._chance = chance
        return record

    def _evolved(self, record: Any, changes: Mapping[str, object]) -> Any:
        try:
            return attrs.evolve(record, **changes)
        except HotelcoreError:
            return None

    def built(self, kind: type[Any]) -> Any:
        """Build a value of a class of which no hotel has one, field by field."""
        hints, fields = _hints(kind), {a.name: a for a in attrs.fields(kind) if a.init}
        names = list(hints)
        # Where all is foreign, nothing fits: a time zone, a currency.
        chance, self._chance = self._chance, min(self._chance, 0.3)
        for _ in range(_TRIES):
            forced = self.random.choice(names) if names else ""
            made = {
                fields[name].alias: self.make(name, hint)
                for name, hint in hints.items()
                if name == forced
                or fields[name].default is attrs.NOTHING
                or self.random.random() < 0.3
            }
            try:
                record = kind(**made)
            except HotelcoreError:
                continue
            self._chance = chance
            return record
        raise UnknownType(f"{kind}: no value of it could be made by its fields alone")

    def _any_record(self, _: str) -> Any:
        side = self.other() if self._foreign() else self.own
        known = list(side.records) or list(self.others[0].records)
        return self._record(self.random.choice(known)) if known else self._event("")

    def _event(self, _: str) -> Event:
        event: Event = self.built(self.random.choice(list(CATALOGUE.values())))
        return event

    def _remote_booking(self, _: str) -> RemoteBooking:
        stay = self.stay()
        return RemoteBooking(
            external_id=self.text("external_id"),
            confirmation_number=self.text("confirmation_number"),
            guest_external_id=self.text("external_id"),
            room_type_external_id=self.text("external_id"),
            status=self.make("status", _hints(RemoteBooking)["status"]),
            stay=stay,
            nightly_prices=tuple(self.money() for _ in stay),
            channel=self.text("channel"),
        )


# By name, so that a type may stand here before the class of its module does.
_MAKERS: Mapping[str, Callable[[Values, str], object]] = {
    "AttrsInstance": Values._any_record,
    "Attributes": Values._attributes,
    "Event": Values._event,
    "Json": Values._json,
    "Money": Values.money,
    "RemoteBooking": Values._remote_booking,
    "Secret": Values._secret,
    "Stay": Values.stay,
    "UUID": Values.any_id,
    "bool": Values.flag,
    "date": Values.day,
    "datetime": Values.instant,
    "int": Values.whole,
    "str": Values.text,
}
