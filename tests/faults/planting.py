"""Plants faults into a copy of the library, one at a time, and runs the tests that must notice.

``python -m tests.faults.planting`` plants all of them, with names behind it only those. A fault is
data: a small replacement in one file, and the tests that guard what it breaks. The checkout itself
is never changed. Ends with 1 if a fault was not caught, or if its tests fail without it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from attrs import frozen

from tests.postgres_server import SERVER_VARIABLE, embedded_server

__all__ = ["FAULTS", "Fault"]

ROOT = Path(__file__).parents[2]
_COPIED = ("src", "tests", "examples", "docs", "README.md", "conftest.py", "pyproject.toml")
_PASSED = 0
# What pytest ends with when a test failed, and when the code could not even be imported.
_NOTICED = (1, 2, 4)


@frozen(kw_only=True)
class Fault:
    """A small mistake in one file of the library, and the tests that must notice it."""

    name: str
    file: str
    find: str
    replace: str
    tests: tuple[str, ...]

    def planted_in(self, code: str) -> str:
        """Return the code with the fault in it; it must have exactly one place for it."""
        assert code.count(self.find) == 1, f"{self.name}: {self.file} has no single place for it"
        return code.replace(self.find, self.replace)


def _faults() -> Iterator[Fault]:
    for path in sorted(Path(__file__).parent.glob("*.toml")):
        for entry in tomllib.loads(path.read_text())["fault"]:
            yield Fault(**{**entry, "tests": tuple(entry["tests"])})


FAULTS = tuple(_faults())
"""Every fault, in the order of the files."""


@contextmanager
def _copy() -> Iterator[Path]:
    """Lend a copy of the checkout whose library is the one that its tests import."""
    with tempfile.TemporaryDirectory(prefix="hotelcore-faults-") as directory:
        copy = Path(directory, "checkout")
        for name in _COPIED:
            source = ROOT / name
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__", "_build")
                shutil.copytree(source, copy / name, ignore=ignored)
            else:
                shutil.copy(source, copy / name)
        yield copy


def _ends_with(copy: Path, tests: Sequence[str]) -> int:
    """Run tests of the copy until the first one fails, and return how pytest ended."""
    shared = os.environ.get("HOTELCORE_SHARED", str(ROOT.parent / "shared"))
    environment = {
        **os.environ,
        "PYTHONPATH": str(copy / "src"),
        "HOTELCORE_SHARED": shared,
        "CI": "true",  # the same examples for the same code
    }
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    return subprocess.run(command, cwd=copy, env=environment, capture_output=True).returncode


def _verdict(copy: Path, fault: Fault) -> str:
    file = copy / fault.file
    sound = file.read_text()
    file.write_text(fault.planted_in(sound))
    try:
        return "caught" if _ends_with(copy, fault.tests) in _NOTICED else "NOT CAUGHT"
    finally:
        file.write_text(sound)


def main(names: Sequence[str]) -> int:
    """Plant the named faults, or all, and say of each whether it was caught."""
    chosen = [fault for fault in FAULTS if not names or fault.name in names]
    with ExitStack() as run:
        if SERVER_VARIABLE not in os.environ:
            os.environ[SERVER_VARIABLE] = run.enter_context(embedded_server())
        copy = run.enter_context(_copy())
        guards = sorted({test for fault in chosen for test in fault.tests})
        if _ends_with(copy, guards) != _PASSED:
            print("the tests fail without any fault: mend them first")
            return 1
        verdicts = []
        for number, fault in enumerate(chosen, 1):
            verdicts.append(_verdict(copy, fault))
            print(f"{number:3} of {len(chosen)}  {verdicts[-1]:10}  {fault.name}", flush=True)
    caught = verdicts.count("caught")
    print(f"{caught} of {len(chosen)} faults were caught")
    return int(caught != len(chosen))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
