"""The host's own core, where a command is given the place where it is made."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from importlib import import_module
from inspect import iscoroutinefunction, signature
from pathlib import Path
from types import ModuleType

from hotelcore.core import AsyncHotelCore, HotelCore
from hotelcore.errors import HotelcoreError, InvalidInput

__all__ = ["core_named"]


def core_named(app: str) -> HotelCore:
    """Return the core that ``app``, ``package.module:attribute``, is or returns when called.

    Raises `InvalidInput` for what names no `HotelCore`, and for a module that fails: its author is
    told the class of the error and where it came up, but not its words, which are not ours.
    """
    module, _, attribute = app.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), attribute)):
        raise InvalidInput("app", "must look like package.module:attribute")
    found = _imported(module)
    if not hasattr(found, attribute):
        raise InvalidInput("app", "names an attribute that its module does not have")
    return _as_core(getattr(found, attribute))


def _imported(module: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return import_module(module)
    except HotelcoreError:
        raise  # in words of ours
    except Exception as error:  # noqa: BLE001  # a module may fail in any way
        if isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}."):
            reason = "names a module that cannot be found: start in its directory, or install it"
        else:
            reason = f"cannot be imported: {_told(error)}; 'python -m {module}' shows it whole"
        raise InvalidInput("app", reason) from None


def _told(error: Exception) -> str:
    """Return the class of an error, and the place where it came up."""
    if isinstance(error, SyntaxError):
        return f"SyntaxError in {error.filename}, line {error.lineno}"
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {last.filename}, line {last.lineno}"


def _as_core(found: object) -> HotelCore:
    if callable(found):
        if iscoroutinefunction(found) or not _needs_nothing(found):
            raise InvalidInput("app", "names a function that is async or needs arguments")
        found = found()
    if isinstance(found, AsyncHotelCore):
        raise InvalidInput(
            "app",
            "is an AsyncHotelCore, which no command can use: name a HotelCore with the same "
            "database, subscriptions and policy",
        )
    if not isinstance(found, HotelCore):
        raise InvalidInput("app", "must name a HotelCore, or a function that returns one")
    return found


def _needs_nothing(function: Callable[..., object]) -> bool:
    try:
        signature(function).bind()
    except (TypeError, ValueError):  # the latter for what has no signature
        return False
    return True
