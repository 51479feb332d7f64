"""Builds entities of rows, without checking again what was checked before it was stored.

To check the 24 fields of a booking takes longer than to read its row. So a builder is made once for
an entity and the columns of a statement: a function, generated like those of attrs, that fills an
object of a class that lets it, and then makes it one of the entity's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from types import NoneType, UnionType
from typing import Any, Generic, TypeAlias, TypeVar, Union, get_args, get_origin, get_type_hints

import attrs
from attrs import field, frozen

__all__ = ["Entity", "Value", "blank", "entity", "none_stays"]

T = TypeVar("T")
# A row's columns are known to its builder alone.
Build: TypeAlias = Callable[[Any], T]
Processor: TypeAlias = Callable[[Any], Any]
P = TypeVar("P", bound=Processor)

_none_stays: set[Processor] = set()


def none_stays(process: P) -> P:
    """Mark a processor that gives None for None: most optional columns of a list hold none."""
    _none_stays.add(process)
    return process


@frozen
class Value:
    """A value object that stands in several columns: its class, and a column for each field."""

    kind: type
    columns: tuple[str, ...]


Parts: TypeAlias = Mapping[str, str | Value]
Read: TypeAlias = Callable[[str, bool], str]
"""Gives the source that reads a column, of which it is told whether it may hold None."""


@frozen(eq=False)
class Entity(Generic[T]):
    """How an entity stands in its columns. Called with a row that has them by name, it builds one.

    ``parts`` names the column of a field that is called otherwise there, and what stands in several
    columns; every other field is a column of its own name.
    """

    kind: type[T]
    parts: Parts
    _by_name: Build[T] = field(init=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(
            self, "_by_name", _generated(self, lambda column, _: f"row.{column}", {})
        )

    def __call__(self, row: Any) -> T:  # a row with columns of any type
        """Build one of a row with named columns."""
        return self._by_name(row)

    def of_tuple(self, columns: Sequence[str], processors: Sequence[Processor | None]) -> Build[T]:
        """Return what builds one of a driver's tuple, whose values the ``processors`` convert."""
        places = {column: place for place, column in enumerate(columns)}

        def read(column: str, optional: bool) -> str:
            place = places[column]
            process, value = processors[place], f"row[{place}]"
            if process is None:
                return value
            converted = f"convert_{place}({value})"
            if optional and process in _none_stays:
                return f"None if {value} is None else {converted}"
            return converted

        converters = {f"convert_{place}": each for place, each in enumerate(processors) if each}
        return _generated(self, read, converters)


def entity(kind: type[T], **parts: str | Value) -> Entity[T]:
    """Say how an entity stands in its columns."""
    return Entity(kind, parts)


def _generated(recipe: Entity[T], read: Read, names: Mapping[str, object]) -> Build[T]:
    """Write the function that builds one; ``read`` gives the source that reads a column."""
    scope: dict[str, Any] = dict(names)
    lines = ["def build(row):"]
    for name, part in recipe.parts.items():
        if isinstance(part, Value):
            fields = [each.name for each in attrs.fields(part.kind)]
            read_each = (read(column, False) for column in part.columns)
            sources = dict(zip(fields, read_each, strict=True))
            lines += _filled(f"part_{name}", part.kind, sources, scope)
    lines += _filled("self", recipe.kind, _sources(recipe, read, scope), scope)
    lines.append("    return self")
    exec("\n".join(lines), scope)  # noqa: S102  # made of the names of our own fields and columns
    build: Build[T] = scope["build"]
    return build


def _filled(name: str, kind: type, sources: Mapping[str, str], scope: dict[str, Any]) -> list[str]:
    """Write the lines that make an object of a class from the source of each of its fields."""
    scope[f"{name}_blank"], scope[f"{name}_kind"] = blank(kind), kind
    return [
        f"    {name} = {name}_blank()",
        *(f"    {name}.{field} = {source}" for field, source in sources.items()),
        f"    {name}.__class__ = {name}_kind",
    ]


def blank(kind: type) -> Any:  # its objects take what those of the kind refuse
    """Make a class whose objects may be filled, and then become those of the frozen ``kind``.

    It adds nothing to an object, so that Python lets its class be changed.
    """
    free = {
        "__slots__": (),
        "__init__": object.__init__,
        "__setattr__": object.__setattr__,
        # With this one as it was, Python would look for the other in every assignment: 7 x slower.
        "__delattr__": object.__delattr__,
    }
    return type(f"Blank{kind.__name__}", (kind,), free)


def _sources(recipe: Entity[Any], read: Read, scope: dict[str, Any]) -> dict[str, str]:
    hints = get_type_hints(recipe.kind)
    sources: dict[str, str] = {}
    for name in (each.name for each in attrs.fields(recipe.kind)):
        part = recipe.parts.get(name, name)
        if isinstance(part, Value):
            sources[name] = f"part_{name}"
        elif (members := _members(hints[name])) is not None:
            scope[f"members_{name}"] = members
            sources[name] = f"members_{name}[{read(part, False)}]"
        else:
            sources[name] = read(part, NoneType in get_args(hints[name]))
    return sources


def _members(hint: object) -> Mapping[str | None, StrEnum | None] | None:
    """Return the members of an enumeration by what is stored of them; None for another type."""
    options = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    for option in options:
        if isinstance(option, type) and issubclass(option, StrEnum):
            return {None: None, **{each.value: each for each in option}}
    return None
