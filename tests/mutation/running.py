"""Makes many small changes in one package of the library and counts those that a test notices.

``python -m tests.mutation.running domain`` mutates ``hotelcore.domain`` and runs ``tests/domain``
against each change; with ``operations`` each module's changes meet the tests that are about that
module, as `_TESTS` says. Names of mutants behind it choose some (``*.nights.*``). It works in the
folder ``mutants``, goes on where it stopped with the same package, and prints a score for each
module at the end.

mutmut leaves every decorated function as it is, and here the operations themselves and all
properties are decorated. Those decorators that only wrap are therefore kept outside: what is
exchanged for a mutant is the plain function within.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

# mutmut and libcst are in a dependency group of their own, which the type checkers do not need.
cst: Any = import_module("libcst")
configuration: Any = import_module("mutmut.configuration")
mutating: Any = import_module("mutmut.mutation.file_mutation")
mutmut: Any = import_module("mutmut.__main__")
mutmut_state: Any = import_module("mutmut.state")

_FOLDER = Path("mutants")  # which mutmut chooses
# What reaches a function need not be about it: every test of the operations makes a booking. A
# module's changes meet the tests that are about it, so one that survives does not meet them all.
_ANY = ""
_ABOUT_BOOKINGS = (
    "tests/operations/test_bookings.py",
    "tests/operations/test_booking_endings.py",
    "tests/operations/test_actions.py",
    "tests/operations/test_misuse.py",
)
_ABOUT_SYNCS = (
    "tests/pms/test_pms_sync.py",
    "tests/pms/test_following.py",
    "tests/pms/test_room_numbers.py",
    "tests/operations/test_interleavings.py",
)
_TESTS: dict[str, dict[str, tuple[str, ...]]] = {
    "domain": {_ANY: ("tests/domain",)},
    "operations": {
        "arguments": ("tests/operations/test_arguments.py", "tests/operations/test_misuse.py"),
        "availability": (
            "tests/operations/test_guests_hotels.py",
            "tests/operations/test_rooms_housekeeping.py",
        ),
        "bookings": _ABOUT_BOOKINGS,
        "counters": (*_ABOUT_BOOKINGS, "tests/operations/test_interleavings.py"),
        "declaring": ("tests/operations/test_misuse.py", "tests/access/test_policy.py"),
        "events": ("tests/relay/test_again.py", "tests/cli/test_events.py"),
        "folios": ("tests/operations/test_folios.py",),
        "front_desk": (
            "tests/operations/test_front_desk.py",
            "tests/operations/test_actions.py",
            "tests/operations/test_interleavings.py",
        ),
        "guests": ("tests/operations/test_guests_hotels.py",),
        "hotels": ("tests/operations/test_guests_hotels.py", "tests/operations/test_misuse.py"),
        "housekeeping": ("tests/operations/test_rooms_housekeeping.py",),
        "judging": (
            "tests/operations/test_actions.py",
            "tests/operations/test_booking_endings.py",
            "tests/operations/test_front_desk.py",
            "tests/operations/test_guests_hotels.py",
        ),
        "keys": ("tests/operations/test_front_desk.py", "tests/operations/test_actions.py"),
        "night_audit": ("tests/operations/test_night_audit.py",),
        "nights": (
            *_ABOUT_BOOKINGS,
            "tests/operations/test_front_desk.py",
            "tests/operations/test_interleavings.py",
        ),
        "pms": ("tests/pms/test_pms_sync.py", "tests/vault/test_pms_key.py"),
        "pms_sync": (*_ABOUT_SYNCS, "tests/vault/test_pms_key.py"),
        "posting": (
            "tests/operations/test_folios.py",
            "tests/operations/test_front_desk.py",
            "tests/operations/test_booking_endings.py",
        ),
        "rooms": ("tests/operations/test_rooms_housekeeping.py",),
        "selling": (*_ABOUT_BOOKINGS, "tests/pms/test_pms_sync.py"),
        "sealed": ("tests/vault/test_pms_key.py",),
    },
}
# One database is enough to see what an operation does, and SQLite is the faster one. What comes
# between two steps of an operation is seen on PostgreSQL alone, where two of them run at once.
_QUICK = ("-m", "not race and not long", "-k", "not postgresql")
_WRAPPING = {"property", "operation", "checked"}
# What mutmut's exit codes stand for; a test that runs far too long has noticed something too.
_SAID: dict[int | None, str] = {
    None: "not run",
    0: "survived",
    1: "killed",
    3: "killed",
    5: "without a test",
    33: "without a test",
    -24: "timeout",
    24: "timeout",
    36: "timeout",
    152: "timeout",
    255: "timeout",
}


# -- decorated functions too -------------------------------------------------------------------


def _name_of(decorator: Any) -> str:  # Any: a node of libcst, here and below
    called = decorator.decorator
    named = called.func if isinstance(called, cst.Call) else called
    return named.value if isinstance(named, cst.Name) else ""


def _only_wrapped(node: Any) -> bool:
    return (
        isinstance(node, cst.FunctionDef)
        and bool(node.decorators)
        and all(_name_of(decorator) in _WRAPPING for decorator in node.decorators)
    )


def mutate_within_decorators() -> None:
    """Have mutmut mutate the functions that are only wrapped by their decorators."""
    skipped = mutating.MutationVisitor._skip_node_and_children
    arranged = mutating.function_trampoline_arrangement

    def skip(visitor: Any, node: Any) -> Any:
        return skipped(visitor, node.with_changes(decorators=[]) if _only_wrapped(node) else node)

    def arrange(function: Any, mutants: Any, class_name: str | None) -> Any:
        if not _only_wrapped(function):
            return arranged(function, mutants, class_name)
        plain = function.with_changes(decorators=[])
        declared, (outer, *copies), assigned, names = arranged(plain, mutants, class_name)
        outer = outer.with_changes(decorators=[*function.decorators, *outer.decorators])
        return declared, [outer, *copies], assigned, names

    mutating.MutationVisitor._skip_node_and_children = skip
    mutating.function_trampoline_arrangement = arrange


# -- the run -----------------------------------------------------------------------------------


def _begin_anew_for(package: str) -> None:
    """Empty the folder if it is another package's: mutmut would take its files for mutated."""
    last = _FOLDER / "package.txt"
    if not last.is_file() or last.read_text() != package:
        shutil.rmtree(_FOLDER, ignore_errors=True)
        _FOLDER.mkdir()
        last.write_text(package)


def _choose(package: str) -> None:
    settings = configuration.config()
    settings.only_mutate = [f"src/hotelcore/{package}/*.py"]
    tests = sorted({file for files in _TESTS[package].values() for file in files})
    settings.pytest_add_cli_args_test_selection = tests
    settings.pytest_add_cli_args = [*settings.pytest_add_cli_args, *_QUICK]


def _chosen(function: str, package: str, tests: set[str]) -> set[str]:
    """Return those of the tests that reach a function that are about its module."""
    module = function.removeprefix(f"hotelcore.{package}.").partition(".")[0]
    about = _TESTS[package].get(module) or _TESTS[package][_ANY]
    return {test for test in tests if test.startswith(about)}


def keep_to_the_tests_of_each_module(package: str) -> None:
    """Have mutmut run against a mutant only what `_TESTS` says of its module."""
    collect = mutmut.collect_or_load_stats

    def collect_and_choose(*arguments: Any, **more: Any) -> None:
        collect(*arguments, **more)
        reached = mutmut_state.state().tests_by_mangled_function_name
        for function, tests in reached.items():
            reached[function] = _chosen(function, package, tests)

    mutmut.collect_or_load_stats = collect_and_choose


def scores(package: str) -> Iterator[tuple[str, Counter[str]]]:
    """Give each module with the number of its mutants by what came of them."""
    folder = _FOLDER / "src/hotelcore" / package
    for path in sorted(folder.rglob("*.py.meta")):
        codes = json.loads(path.read_text())["exit_code_by_key"].values()
        module = ".".join(path.relative_to(folder).parts).removesuffix(".py.meta")
        yield module, Counter(_SAID.get(code, "broken") for code in codes)


def _tell(package: str) -> None:
    whole: Counter[str] = Counter()
    for module, found in (*scores(package), ("all", whole)):
        if module != "all":
            whole += found
        run = found.total() - found["not run"]
        noticed = found["killed"] + found["timeout"]
        share = f"{noticed / run:6.1%}" if run else "     -"
        rest = ", ".join(f"{number} {what}" for what, number in sorted(found.items()))
        sys.stdout.write(f"{module:18} {share} of {run:4}  ({rest})\n")


def main(package: str, *names: str) -> None:
    """Mutate a package, all of it or the named mutants, and tell the scores."""
    _begin_anew_for(package)
    mutate_within_decorators()
    _choose(package)
    keep_to_the_tests_of_each_module(package)
    try:
        mutmut._run(names, 1)
    finally:
        _tell(package)


if __name__ == "__main__":
    arguments: Sequence[str] = sys.argv[1:]
    if arguments[0] == "scores":
        _tell(arguments[1])
    else:
        main(*arguments)
