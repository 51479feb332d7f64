"""How a function becomes an operation: it declares the one permission that it needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from types import MappingProxyType
from typing import Any, Concatenate, ParamSpec, TypeVar

from hotelcore.access import Permission
from hotelcore.unit_of_work import UnitOfWork

__all__ = ["OPERATIONS", "operation"]

P = ParamSpec("P")
R = TypeVar("R")

# Operations differ in their arguments and results, so the register's value type is open.
_declared: dict[str, Callable[..., Any]] = {}

OPERATIONS: Mapping[str, Callable[..., Any]] = MappingProxyType(_declared)
"""Every operation of the library by name, found when `hotelcore.operations` is imported."""


def operation(
    permission: Permission,
) -> Callable[
    [Callable[Concatenate[UnitOfWork, P], R]], Callable[Concatenate[UnitOfWork, P], R]
]:
    """Make the decorated function an operation that needs ``permission``.

    Each call is one command: it is refused without the permission, and a successful one leaves
    exactly one audit entry, in its own transaction.
    """

    def declare(
        function: Callable[Concatenate[UnitOfWork, P], R],
    ) -> Callable[Concatenate[UnitOfWork, P], R]:
        name = function.__name__

        @wraps(function)
        def perform(uow: UnitOfWork, /, *args: P.args, **kwargs: P.kwargs) -> R:
            with uow.command(name, permission):
                return function(uow, *args, **kwargs)

        _declared[name] = perform
        return perform

    return declare
