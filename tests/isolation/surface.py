"""What can be called in a hotel, found by looking: a new operation or method is here by itself."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import Any, get_origin, get_type_hints

from attrs import frozen

from hotelcore import operations, repositories
from hotelcore.operations.declaring import OPERATIONS, permission_of
from hotelcore.sql.unit_of_work import SqlUnitOfWork
from hotelcore.unit_of_work import UnitOfWork

__all__ = ["PROVE", "Target", "targets"]

PROVE = "HotelCore.prove"
"""The one target that is no work of a unit: the host asks it about the acting hotel."""


@frozen
class Target:
    """Something to call: its parameters with their types, and the attribute path or function."""

    name: str
    parameters: Mapping[str, object] = MappingProxyType({})
    positional: tuple[str, ...] = ()
    optional: frozenset[str] = frozenset()
    # Operations and methods differ in their arguments and results.
    operation: Callable[..., Any] | None = None
    path: tuple[str, ...] = ()
    is_property: bool = False

    @property
    def is_command(self) -> bool:
        """Whether it declares a permission and leaves an audit entry by itself."""
        return self.operation is not None and permission_of(self.operation) is not None

    def call(self, uow: object, arguments: Mapping[str, object]) -> object:
        """Call it in a unit of work."""
        if self.operation is not None:
            return self.operation(uow, **arguments)
        found: Any = uow
        for name in self.path:
            found = getattr(found, name)
        if self.is_property:
            return found
        # A replacement of a repository may name its positional arguments as it likes.
        args = [arguments[name] for name in self.positional if name in arguments]
        named = {k: v for k, v in arguments.items() if k not in self.positional}
        if isinstance(uow, SqlUnitOfWork) and len(self.path) > 1:
            uow.ahead(found, *args, **named)  # which makes no difference
        return found(*args, **named)


def targets() -> tuple[Target, ...]:
    """Return every operation of the library, every method of a unit and its repositories."""
    found = [*_operations(), *_unit(), Target(PROVE)]
    return tuple(sorted(found, key=lambda target: target.name))


def _operations() -> Iterator[Target]:
    listed = {name: getattr(operations, name) for name in operations.__all__}
    declared = {n: f for n, f in OPERATIONS.items() if f.__module__.startswith("hotelcore.")}
    for name, function in {**listed, **declared}.items():
        if inspect.isfunction(function) and _is_work(function):
            yield _target(name, function, operation=function)


def _is_work(function: Callable[..., Any]) -> bool:
    first = next(iter(inspect.signature(function).parameters), "")
    return get_type_hints(function).get(first) is UnitOfWork


def _unit() -> Iterator[Target]:
    for name, member in inspect.getmembers(UnitOfWork):
        if name.startswith("_"):
            continue
        if isinstance(member, property):
            yield from _property(name, member)
        elif name == "ahead":
            continue  # is a part of every call of a repository's method
        elif inspect.isfunction(member) and not _opens_a_block(member):
            yield _target(f"uow.{name}", member, path=(name,))


def _property(name: str, member: property) -> Iterator[Target]:
    kind = get_type_hints(member.fget)["return"]
    if getattr(repositories, getattr(kind, "__name__", ""), None) is not kind:
        yield Target(f"uow.{name}", path=(name,), is_property=True)
        return
    for method, function in inspect.getmembers(kind, inspect.isfunction):
        if not method.startswith("_"):
            yield _target(f"uow.{name}.{method}", function, path=(name, method))


def _opens_a_block(function: Callable[..., Any]) -> bool:
    return get_origin(get_type_hints(function)["return"]) is AbstractContextManager


def _target(
    name: str,
    function: Callable[..., Any],
    *,
    operation: Callable[..., Any] | None = None,
    path: tuple[str, ...] = (),
) -> Target:
    hints = get_type_hints(function)
    # The first one is the unit, the repository or the core.
    parameters = list(inspect.signature(function).parameters.values())[1:]
    return Target(
        name,
        {parameter.name: hints[parameter.name] for parameter in parameters},
        tuple(p.name for p in parameters if p.kind is not p.KEYWORD_ONLY),
        frozenset(p.name for p in parameters if p.default is not p.empty),
        operation,
        path,
    )
