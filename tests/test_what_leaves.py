"""What leaves the library: values alone. No connection, session or mapped object, and one door."""

from __future__ import annotations

import ast
import re
from collections.abc import Generator, Iterator
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from inspect import isfunction
from pathlib import Path
from types import MappingProxyType
from typing import get_args, get_type_hints
from uuid import UUID

import attrs
import pytest
import sqlalchemy.ext.asyncio
import sqlalchemy.orm

import hotelcore
from hotelcore import HotelCore, repositories
from hotelcore.core import AsyncDesk, AsyncHotelCore, AsyncUnit, Desk
from hotelcore.domain.fields import Attributes
from hotelcore.operations import OPERATIONS
from hotelcore.unit_of_work import UnitOfWork
from tests.every_operation import NAMES, good_call
from tests.small_hotel import open_hotel, shared_core

ROOT = Path(hotelcore.__file__).parent

# -- what operations and repositories give --------------------------------------------------------

PLAIN = (str, int, bytes, UUID, date, datetime, timedelta, timezone, Decimal, Enum, type(None))


def changeable(value: object, path: str = "") -> Iterator[str]:
    """Name every part of a value that its holder could change, or that is no value."""
    if isinstance(value, tuple | frozenset):
        for number, part in enumerate(value):
            yield from changeable(part, f"{path}[{number}]")
    elif isinstance(value, MappingProxyType | Attributes):
        for key, part in value.items():
            yield from changeable(part, f"{path}[{key!r}]")
    elif attrs.has(kind := type(value)):
        if kind.__setattr__ is object.__setattr__:
            yield f"{path}: {kind.__name__} is not frozen"
        for field in attrs.fields(kind):
            yield from changeable(getattr(value, field.name), f"{path}.{field.name}")
    elif not isinstance(value, PLAIN):
        yield f"{path}: {type(value).__module__}.{type(value).__name__}"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def core(request: pytest.FixtureRequest) -> Generator[HotelCore]:
    """Return a core that all tests share, on SQLite and PostgreSQL in turn."""
    with shared_core(request) as core:
        yield core


@pytest.mark.parametrize("name", NAMES)
def test_an_operation_gives_values(core: HotelCore, name: str) -> None:
    """Nothing in what an operation returns can be changed, or reaches back into the database."""
    assert list(changeable(good_call(name, open_hotel(core)).run())) == []


REPOSITORIES = [getattr(repositories, name) for name in repositories.__all__]


def foreign(hint: object) -> Iterator[str]:
    """Name the classes in an annotation that are not ours and not Python's own."""
    for part in get_args(hint):
        yield from foreign(part)
    module = getattr(hint, "__module__", "builtins").split(".")[0]
    if module not in {"hotelcore", "builtins", "datetime", "uuid", "typing", "collections"} | {
        "types",
        "contextlib",
        "attr",
    }:
        yield f"{module}.{hint}"


@pytest.mark.parametrize("kind", [UnitOfWork, *REPOSITORIES])
def test_no_protocol_names_the_database(kind: type) -> None:
    """A unit of work and its repositories take and give what is ours or Python's own."""
    found = 0
    for member in vars(kind).values():
        function = member.fget if isinstance(member, property) else member
        if isfunction(function):
            found += 1
            for hint in get_type_hints(function).values():
                assert list(foreign(hint)) == []
    assert found


def test_operations_name_no_database() -> None:
    """No operation of the library takes or gives anything of SQLAlchemy's."""
    for name in NAMES:
        for hint in get_type_hints(OPERATIONS[name]).values():
            assert list(foreign(hint)) == []


SQLALCHEMY = {
    name for module in (sqlalchemy, sqlalchemy.orm, sqlalchemy.ext.asyncio) for name in dir(module)
}


@pytest.mark.parametrize("kind", [HotelCore, AsyncHotelCore, Desk, AsyncDesk, AsyncUnit])
def test_a_handle_has_one_door_to_the_database(kind: type, core: HotelCore) -> None:
    """Of all that is public on a handle only ``engine`` is SQLAlchemy's; the host brought it."""
    results: dict[str, str] = {}
    for name, member in vars(kind).items():
        function = member.fget if isinstance(member, property) else member
        if not name.startswith("_") and isfunction(function):
            results[name] = function.__annotations__["return"]
    assert results
    for name, result in results.items():
        assert SQLALCHEMY.isdisjoint(re.findall(r"\w+", result)), name
    public = {name: value for name, value in vars(core).items() if not name.startswith("_")}
    assert {n for n, v in public.items() if type(v).__module__.startswith("sqlalchemy")} == {
        "engine"
    }


# -- who runs statements --------------------------------------------------------------------------

RUNNING = {"execute", "exec_driver_sql", "scalar", "scalars", "stream", "cursor", "executemany"}
"""What sends a statement when it is called on a connection or on a driver's cursor."""

ALLOWED = {
    "sql/seam/sending.py": "the seam",
    "sql/seam/driver.py": "sends what the seam gives it",
    "sql/seam/limits.py": "a transaction's own settings, which are in no table",
    "sql/upkeep/creation.py": "makes tables, and reads the version, which is no hotel's",
    "sql/upkeep/lint.py": "reads the catalogue",
    "sql/seam/engine.py": "pragmas and the begin of a transaction",
    "sql/upkeep/proofs.py": "recomputes one hotel's records in its own words, with the hotel bound",
    "sql/upkeep/audit_verifying.py": "reads one hotel's log as it lies there, whatever its types",
    "sql/upkeep/migrations": "makes tables",
    "sql/upkeep/granting.py": "grants privileges",
    "sql/upkeep/rls.py": "reads the catalogue",
    "sql/upkeep/role_check.py": "reads the catalogue",
    "relay/bell.py": "listens for a signal, which carries nothing",
    "transports/redis.py": "sends to Redis",
    "sql/seam/exchange.py": "is how the seam speaks to PostgreSQL",
    "sql/upkeep/index_use.py": "reads what the database has counted of its indexes",
    "testing/faulty_psycopg.py": "is a driver",
    "testing/faulty_sqlite.py": "is a driver",
    "testing/machine/places.py": "empties a database of the tests",
}
"""Who else than the seam runs statements, and why."""


def runs_statements(file: Path) -> bool:
    """Tell whether a module sends a statement by itself, or by the function that does."""
    nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    imported = {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    return "hotelcore.sql.seam.driver" in imported or any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in RUNNING
        for node in nodes
    )


def place(file: Path) -> str:
    """Return a module's place in the package; the migrations are one."""
    path = file.relative_to(ROOT).as_posix()
    return "sql/upkeep/migrations" if path.startswith("sql/upkeep/migrations/") else path


def test_every_statement_goes_through_the_seam() -> None:
    """A module that runs a statement by itself has to be named here, with its reason."""
    assert {place(file) for file in ROOT.rglob("*.py") if runs_statements(file)} == set(ALLOWED)
