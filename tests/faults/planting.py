"""Plants faults into a copy of the library, one at a time, and runs the tests that must notice.

``python -m tests.faults.planting`` plants all of them, with names behind it only those. A fault is
data, in the TOML files beside this one: a small replacement in one file, or in several, and the
tests that guard what it breaks. The checkout itself is never changed.

A fault is caught when one of its tests fails that passes without it. Code that cannot even be
imported, or that fails for want of a name, is a broken replacement and no fault, unless the fault
says that the import is what refuses it. Ends with 1 if a fault was not caught, or if any of the
tests fails without one.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from attrs import frozen

from tests.postgres_server import SERVER_VARIABLE, embedded_server

__all__ = ["FAULTS", "ROOT", "Change", "Fault"]

ROOT = Path(__file__).parents[2]
_COPIED = ("src", "tests", "examples", "docs", "README.md", "conftest.py", "pyproject.toml")
_COPIES = 2
_MOST_SECONDS = 300
# What pytest ends with when all passed, when a test failed, and when nothing could be imported.
_PASSED, _FAILED, _NOT_IMPORTED = 0, 1, (2, 4)
_PLAIN = ("-p", "no:cacheprovider", "-p", "no:randomly")
_CLUMSY = ("NameError", "UnboundLocalError", "ImportError", "ModuleNotFoundError", "SyntaxError")
_SUMMARY = re.compile(r"^(?:FAILED|ERROR) (tests/.+?)(?: - (.*))?$", re.MULTILINE)


@frozen(kw_only=True)
class Change:
    """A replacement in one file."""

    file: str
    find: str
    replace: str

    def made_in(self, code: str) -> str:
        """Return the code with the change, which must have exactly one place and compile there."""
        assert code.count(self.find) == 1, f"{self.file} has not one place for {self.find!r}"
        changed = code.replace(self.find, self.replace)
        compile(changed, self.file, "exec", dont_inherit=True)
        return changed


@frozen(kw_only=True)
class Fault:
    """A small mistake in the library, and the tests that must notice it.

    ``at_import`` are the words in which the import of the library refuses it, if it does.
    """

    name: str
    changes: tuple[Change, ...]
    tests: tuple[str, ...]
    at_import: str = ""

    @classmethod
    def of(cls, entry: dict[str, Any]) -> Fault:  # Any: what TOML has
        """Build a fault of its entry: the first change stands in it, others under ``also``."""
        first = {name: entry.pop(name) for name in ("file", "find", "replace")}
        changes = tuple(Change(**each) for each in (first, *entry.pop("also")))
        return cls(changes=changes, tests=tuple(entry.pop("tests")), **entry)

    @contextmanager
    def planted(self, folder: Path) -> Iterator[None]:
        """Have the fault in a copy of the checkout for the time of the body."""
        with ExitStack() as sound:
            for change in self.changes:
                file = folder / change.file
                code = file.read_text()
                file.write_text(change.made_in(code))
                sound.callback(file.write_text, code)
            yield


def _faults() -> Iterator[Fault]:
    for path in sorted(Path(__file__).parent.glob("*.toml")):
        document = tomllib.loads(path.read_text())
        for entry in document["fault"]:
            # What a file has under ``also`` beside its faults is part of each.
            yield Fault.of({**entry, "also": entry.get("also", []) + document.get("also", [])})


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


@frozen
class _Run:
    """How the tests ended: pytest's code, which of them failed, and why the first one did."""

    code: int
    failed: tuple[str, ...]
    reason: str

    @classmethod
    def of(cls, code: int, output: str) -> _Run:
        found = _SUMMARY.findall(output)
        reason = found[0][1] if found else output[-2_000:]
        return cls(code, tuple(test for test, _ in found), reason)

    def notices(self, fault: Fault) -> bool:
        """Tell whether this is what the fault had to come to."""
        if fault.at_import:
            return self.code in _NOT_IMPORTED and fault.at_import in self.reason
        return self.code == _FAILED and bool(self.failed) and not self.reason.startswith(_CLUMSY)


def _run(copy: Path, tests: Sequence[str], *options: str) -> _Run:
    shared = os.environ.get("HOTELCORE_SHARED", str(ROOT.parent / "shared"))
    environment = {
        **os.environ,
        "PYTHONPATH": str(copy / "src"),
        "HOTELCORE_SHARED": shared,
        "CI": "true",  # whole lines in the summary
        "HYPOTHESIS_PROFILE": "faults",
    }
    command = [sys.executable, "-m", "pytest", "-q", "-rfE", *_PLAIN, *options]
    try:
        done = subprocess.run(
            [*command, *tests],
            cwd=copy,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_MOST_SECONDS if "-x" in options else None,
        )
    except subprocess.TimeoutExpired:
        return _Run(-1, (), f"took longer than {_MOST_SECONDS} s")
    return _Run.of(done.returncode, done.stdout + done.stderr)


@frozen
class _Verdict:
    """What came of one fault."""

    fault: Fault
    run: _Run
    seconds: float

    @property
    def caught(self) -> bool:
        return self.run.notices(self.fault)

    def __str__(self) -> str:
        said = "caught    " if self.caught else "NOT CAUGHT"
        by = self.run.failed[0] if self.run.failed else f"pytest ended with {self.run.code}"
        reason = " ".join(self.run.reason.split())[: 70 if self.caught else 500]
        return f"{said} {self.seconds:5.1f} s  {self.fault.name}: {by} ({reason})"


def _verdict(copies: SimpleQueue[Path], unsound: Sequence[str], fault: Fault) -> _Verdict:
    copy, begun = copies.get(), time.monotonic()
    try:
        with fault.planted(copy):
            run = _run(copy, fault.tests, "-x", *(f"--deselect={test}" for test in unsound))
        return _Verdict(fault, run, time.monotonic() - begun)
    finally:
        copies.put(copy)


def main(names: Sequence[str]) -> int:
    """Plant the named faults, or all, and say of each whether it was caught."""
    chosen = [fault for fault in FAULTS if not names or fault.name in names]
    with ExitStack() as stack:
        if SERVER_VARIABLE not in os.environ:
            os.environ[SERVER_VARIABLE] = stack.enter_context(embedded_server())
        copies = SimpleQueue[Path]()
        for _ in range(_COPIES):
            copies.put(stack.enter_context(_copy()))
        guards = sorted({test for fault in chosen for test in fault.tests})
        sound = _run(stack.enter_context(_copy()), guards, "-n", str(_COPIES))
        if sound.code not in (_PASSED, _FAILED):
            print(f"the tests do not even run: {sound.reason}")
            return 1
        for test in sound.failed:
            print(f"left out, since it fails without any fault: {test}", flush=True)
        caught = 0
        with ThreadPoolExecutor(_COPIES) as planters:
            plant = partial(_verdict, copies, sound.failed)
            verdicts = planters.map(plant, chosen)
            for number, verdict in enumerate(verdicts, 1):
                caught += verdict.caught
                print(f"{number:3} of {len(chosen)}  {verdict}", flush=True)
    print(f"{caught} of {len(chosen)} faults were caught")
    return int(caught != len(chosen) or sound.code != _PASSED)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
