"""How a function becomes an operation: it declares the one permission that it needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from types import MappingProxyType
from typing import Any, Concatenate, ParamSpec, TypeVar

from hotelcore.access import Permission
from hotelcore.domain.fields import check_plain, member
from hotelcore.errors import InvalidInput
from hotelcore.operations.arguments import checked
from hotelcore.unit_of_work import UnitOfWork

__all__ = ["OPERATIONS", "check_unit", "operation", "permission_of"]

P = ParamSpec("P")
R = TypeVar("R")

_OURS = "hotelcore."
# Operations differ in their arguments and results, so the register's types are open.
_functions: dict[str, Callable[..., Any]] = {}
_permissions: dict[Callable[..., Any], Permission] = {}

OPERATIONS: Mapping[str, Callable[..., Any]] = MappingProxyType(_functions)
"""Every declared operation by name; the library's once `hotelcore.operations` is imported."""


def operation(
    permission: Permission,
) -> Callable[[Callable[Concatenate[UnitOfWork, P], R]], Callable[Concatenate[UnitOfWork, P], R]]:
    """Make the decorated function an operation that needs ``permission``.

    Each call is one command: it is refused without the permission, and a successful one leaves
    exactly one audit entry, in its own transaction. A keyword argument that is not of the type it
    declares is `InvalidInput`: of an id, text, number, date, instant, boolean, value of the library
    or attrs class, and of a `Collection`, `Sequence` or `Mapping` of these; of others the function
    sees to it itself. The function's name names the operation.

    Raises `InvalidInput` for what is no permission, for the name of an operation of the library's,
    and for a function that does not run when it is called (``async def``, a generator): the command
    would be over before it began.
    """
    if callable(permission):
        raise InvalidInput("permission", "is missing: write @operation(Permission.…)")
    needed = member("permission", Permission, permission)

    def declare(
        function: Callable[Concatenate[UnitOfWork, P], R],
    ) -> Callable[Concatenate[UnitOfWork, P], R]:
        check_plain("function", function)
        name, work = function.__name__, checked(function)
        _refuse_taken(name, function.__module__)

        @wraps(function)
        def perform(uow: UnitOfWork, /, *args: P.args, **kwargs: P.kwargs) -> R:
            check_unit(uow)
            with uow.command(name, needed):
                return work(uow, *args, **kwargs)

        _functions[name] = perform
        _permissions[perform] = needed
        return perform

    return declare


def _refuse_taken(name: str, module: str) -> None:
    """Refuse a host's operation that would stand in the log, and for keys, as one of ours."""
    known = _functions.get(name)
    ours = known is not None and known.__module__.startswith(_OURS)
    if ours and not module.startswith(_OURS):
        raise InvalidInput("function", f"has the name of the library's own operation {name}")


def check_unit(uow: object) -> None:
    """Refuse what is no unit of work, such as the handle that gives one."""
    if hasattr(uow, "command"):
        return
    if hasattr(uow, "run") and not hasattr(uow, "transaction"):  # an open unit for asyncio
        reason = "must be a unit of work, and here that is reached by await unit.run(operation, …)"
    else:
        reason = "must be a unit of work: call desk.run(operation, …), or use desk.transaction()"
    raise InvalidInput("uow", reason)


def permission_of(function: Callable[..., Any]) -> Permission | None:
    """Return the permission that ``function`` declared; None for what is no operation."""
    try:
        return _permissions.get(function)
    except TypeError:  # what has no hash was never declared
        return None
