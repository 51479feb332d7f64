"""What a user of the library sees: documented, typed, quick to import, in small pieces."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Generator, Iterator
from importlib import import_module
from inspect import Parameter, getdoc, isclass, isfunction, signature
from pathlib import Path
from typing import get_type_hints

import pytest

import hotelcore
from hotelcore import HotelCore, HotelcoreError, Secret, wire
from hotelcore.operations import OPERATIONS
from tests.every_operation import NAMES, good_call
from tests.small_hotel import nothing_kept, open_hotel, shared_core

ROOT = Path(hotelcore.__file__).parent
FILES = sorted(
    file
    for file in ROOT.rglob("*.py")
    if not file.is_relative_to(ROOT / "sql" / "upkeep" / "migrations")
)
MODULES = {
    ".".join(("hotelcore", *file.relative_to(ROOT).with_suffix("").parts)).removesuffix(
        ".__init__"
    ): file
    for file in FILES
}


# -- importing ----------------------------------------------------------------------------------

MILLISECONDS = 50
"""How long ``import hotelcore`` may take on a machine that did it before: what is promised."""

HEAVY = {"sqlalchemy", "asyncio", "alembic", "psycopg", "aiosqlite", "rich", "cryptography"}


def import_times(module: str) -> dict[str, float]:
    """Import a module in a new process, and return how many milliseconds each import took."""
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", f"import {module}"],
        capture_output=True,
        text=True,
        check=True,
    )
    line = re.compile(r"import time: +[0-9]+ \| +(?P<microseconds>[0-9]+) \| +(?P<name>\S+)")
    return {
        found["name"]: int(found["microseconds"]) / 1_000 for found in line.finditer(ran.stderr)
    }


def test_importing_is_quick() -> None:
    """The package is imported in under 50 ms, at best: a machine has other things to do too."""
    assert min(import_times("hotelcore")["hotelcore"] for _ in range(7)) < MILLISECONDS


def test_importing_brings_nothing_heavy() -> None:
    """Who only handles values does not pay for a database, a terminal or an event loop."""
    assert HEAVY.isdisjoint(import_times("hotelcore"))


def test_the_operations_bring_no_database() -> None:
    """The use cases themselves know of no driver."""
    assert HEAVY.isdisjoint(import_times("hotelcore.operations"))


# -- documentation ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODULES)
def test_what_is_public_is_documented(name: str) -> None:
    """Every module, every name in its `__all__`, and every public method says what it is for."""
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    assert not list(undocumented(tree, exported(tree)))


def exported(tree: ast.Module) -> set[str]:
    """Return the names in a module's `__all__`."""
    for statement in tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id="__all__")], value=value):
                return set(ast.literal_eval(value))
            case _:
                continue
    return set()


def undocumented(tree: ast.Module, names: set[str]) -> Iterator[str]:
    """Give what has no docstring of the names, and of the public methods of the classes in them."""
    following = [*tree.body[1:], ast.Pass()]
    for statement, after in zip(tree.body, following, strict=True):
        match statement:
            case ast.ClassDef(name=name) if name in names:
                yield from undocumented_in(statement)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) if name in names:
                if not is_overload(statement) and not ast.get_docstring(statement):
                    yield name
            case (
                ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name))
            ) if name in names and not is_text(after):
                yield name
            case _:
                pass  # private, or no name at all


def undocumented_in(class_: ast.ClassDef) -> Iterator[str]:
    """Give the class, and its public methods, where they have no docstring."""
    if not ast.get_docstring(class_):
        yield class_.name
    for method in class_.body:
        if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef):
            public = not method.name.startswith("_") and not is_overload(method)
            if public and not ast.get_docstring(method):
                yield f"{class_.name}.{method.name}"


def is_overload(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Tell whether a function only declares types for another."""
    return any(ast.unparse(decorator) == "overload" for decorator in function.decorator_list)


def is_text(statement: ast.stmt) -> bool:
    """Tell whether a statement is the docstring of what stands before it."""
    match statement:
        case ast.Expr(value=ast.Constant(value=str())):
            return True
        case _:
            return False


@pytest.mark.parametrize("name", sorted(set(MODULES) - {"hotelcore.__main__"}))
def test_public_names_exist(name: str) -> None:
    """Whatever a module lists as public is there."""
    module = import_module(name)
    for public in exported(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        assert hasattr(module, public)


@pytest.mark.parametrize("name", hotelcore.__all__)
def test_the_top_of_the_package_is_whole(name: str) -> None:
    """Everything that the package promises at its top is there, also what is imported late."""
    assert getdoc(getattr(hotelcore, name))
    assert name in dir(hotelcore)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """Late importing leaves Python's own answer to a misspelt name."""
    with pytest.raises(AttributeError, match="no_such_name"):
        getattr(hotelcore, "no_such_name")  # noqa: B009  # a type checker knows better


def test_every_error_says_what_happened() -> None:
    """Every error class is listed, documented, and one of the family."""
    errors = import_module("hotelcore.errors")
    found = {name for name, value in vars(errors).items() if isclass(value)}
    for name in errors.__all__:
        assert issubclass(getattr(errors, name), HotelcoreError)
        assert getdoc(getattr(errors, name))
    ours = {name for name in found if issubclass(getattr(errors, name), BaseException)}
    assert ours == set(errors.__all__)


# -- operations ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_operations_are_declared_alike(name: str) -> None:
    """An operation takes a unit of work and typed keywords, says what it does, and is exported."""
    work = OPERATIONS[name]
    uow, *keywords = signature(work).parameters.values()
    assert uow.name == "uow"
    assert all(keyword.kind is Parameter.KEYWORD_ONLY for keyword in keywords)
    hints = get_type_hints(work)
    assert set(hints) == {"uow", "return", *(keyword.name for keyword in keywords)}
    assert getdoc(work)
    assert isfunction(work)
    assert vars(import_module("hotelcore.operations"))[name] is work


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def core(request: pytest.FixtureRequest) -> Generator[HotelCore]:
    """Return a core that all tests share, on SQLite and PostgreSQL in turn."""
    with shared_core(request) as core:
        yield core


@pytest.mark.parametrize("name", NAMES)
def test_results_travel(core: HotelCore, name: str) -> None:
    """Every operation's result can be stored under a key, and comes back equal with no effect."""
    call = good_call(name, open_hotel(core))
    desk, work = call.desk.once("once"), OPERATIONS[name]
    # No fingerprint is kept of a secret, so it is not given under a key.
    arguments = {n: None if isinstance(v, Secret) else v for n, v in call.arguments.items()}
    result = desk.run(work, **arguments)
    assert wire.decode(wire.encode(result), get_type_hints(work)["return"]) == result
    with nothing_kept(core.engine):
        assert desk.run(work, **arguments) == result


# -- size -----------------------------------------------------------------------------------------

MOST_LINES, MOST_LINES_OF_A_FUNCTION = 600, 70


@pytest.mark.parametrize("name", MODULES)
def test_pieces_are_small(name: str) -> None:
    """A module can be read in one sitting, a function at one glance."""
    text = MODULES[name].read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MOST_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < MOST_LINES_OF_A_FUNCTION, node.name
