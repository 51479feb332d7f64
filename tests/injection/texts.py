"""The text fields of every operation, found in its good call, and what a hotel's records say."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from datetime import timedelta
from typing import Any, get_type_hints

import attrs
from attrs import frozen

from hotelcore import Stay
from hotelcore.domain.pms import PmsResource
from hotelcore.errors import NotFound
from hotelcore.lists import every
from hotelcore.unit_of_work import UnitOfWork
from tests.every_operation import Arguments
from tests.small_hotel import DAY, TODAY

__all__ = ["TextField", "text_fields", "texts_in_hotel"]

Path = tuple[str | int, ...]
_KEY = "a key"


@frozen
class TextField:
    """A place for text in the arguments of an operation, and others where the same must stand."""

    path: Path
    alike: tuple[Path, ...] = ()

    @property
    def name(self) -> str:
        """What to call it."""
        return ".".join(map(str, self.path))

    @property
    def words(self) -> Sequence[str]:
        """The names that an error may call it by."""
        return [step for step in self.path if isinstance(step, str)]

    def filled(self, arguments: Arguments, text: str) -> Arguments:
        """Give the arguments with a text in this place; may raise what their classes raise."""
        filled = arguments
        for path in (self.path, *self.alike):
            filled = _filled(filled, path, text)
        return filled


# `Any` here: the arguments' types differ, and it is their parts that decide.
def text_fields(arguments: Arguments) -> list[TextField]:
    """Find every text, key of a mapping and absent text in the arguments of a call."""
    paths = [(name, *path) for name, value in arguments.items() for path in _paths(value)]
    references: dict[object, list[Path]] = {}
    for path in paths:
        if str(path[-1]).endswith("external_id"):
            references.setdefault(_at(arguments, path), []).append(path)
    # A record of another system is referred to by its id: both get the same.
    alike = {path: tuple(others) for path, *others in references.values()}
    referring = {path for others in alike.values() for path in others}
    return [TextField(path, alike.get(path, ())) for path in paths if path not in referring]


def _at(value: Any, path: Path) -> Any:
    for step in path:
        value = (
            getattr(value, step)
            if isinstance(step, str) and attrs.has(type(value))
            else value[step]
        )
    return value


def _paths(value: Any) -> Generator[Path]:
    kind = type(value)
    if kind is str:
        yield ()
    elif attrs.has(kind):
        hints = get_type_hints(kind)
        for field in attrs.fields(kind):
            part = getattr(value, field.name)
            absent = part is None and str in getattr(hints[field.name], "__args__", ())
            yield from ((field.name, *path) for path in _paths("" if absent else part))
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield (key, _KEY)
            yield from ((key, *path) for path in _paths(part))
    elif isinstance(value, list | tuple):
        for number, part in enumerate(value):
            yield from ((number, *path) for path in _paths(part))


def _filled(value: Any, path: Path, text: str) -> Any:
    if not path:
        return text
    step, *rest = path
    if rest == [_KEY]:
        return {text if key == step else key: part for key, part in value.items()}
    if isinstance(value, Mapping):
        return {**value, step: _filled(value[step], tuple(rest), text)}
    if isinstance(step, int):
        return (*value[:step], _filled(value[step], tuple(rest), text), *value[step + 1 :])
    return attrs.evolve(value, **{step: _filled(getattr(value, step), tuple(rest), text)})


def texts_in_hotel(uow: UnitOfWork, text: str) -> set[str]:
    """Collect every text that the hotel's records give, read one by one through the library.

    ``text`` is what is looked for, where a record is found by its text alone.
    """
    return set(_texts(list(_records(uow, text))))


def _records(uow: UnitOfWork, text: str) -> Generator[object]:
    yield uow.hotel
    yield uow.room_types.all()
    for name in dir(uow):
        if not name.startswith("_") and hasattr(repository := getattr(uow, name), "page"):
            which = get_type_hints(repository.page)["which"]
            yield from every(_reader(repository.page, which()))
    for folio in every(_reader(uow.folios.page, get_type_hints(uow.folios.page)["which"]())):
        yield uow.folios.lines(folio.id)
    yield uow.maintenance.overlapping(Stay(TODAY - DAY, TODAY + timedelta(days=30)))
    try:
        yield uow.pms.current()
        yield from (uow.pms.mappings(resource, [text]) for resource in PmsResource)
    except NotFound:
        pass


def _reader(page: Callable[..., Any], which: object) -> Callable[[str | None], Any]:
    return lambda after: page(which, after=after, limit=100)


def _texts(value: object) -> Generator[str]:
    kind = type(value)
    if isinstance(value, str):
        yield value
    elif attrs.has(kind):
        for field in attrs.fields(kind):
            yield from _texts(getattr(value, field.name))
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from _texts(key)
            yield from _texts(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _texts(part)
