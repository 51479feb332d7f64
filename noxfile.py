"""The project's checks: plain `nox` runs all that a change must pass, `nox -l` lists every one.

The tests run against SQLite and against a real PostgreSQL, which they start by themselves unless
`HOTELCORE_TEST_POSTGRES` names one. Arguments behind `--` go to pytest: `nox -s tests-3.11 -- -x`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import nox

PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
PROJECT = nox.project.load_toml("pyproject.toml")

nox.needs_version = ">=2025.11.12"
# A Python that is not installed is listed as skipped at the end of the run, also in CI.
nox.options.error_on_missing_interpreters = False

if pyenv := shutil.which("pyenv"):
    # It hides all interpreters but the chosen ones, so choose every one it has.
    listing = subprocess.run([pyenv, "versions", "--bare"], capture_output=True, check=True)
    fitting = [name for name in listing.stdout.decode().split() if name.startswith(tuple(PYTHONS))]
    os.environ.setdefault("PYENV_VERSION", ":".join(fitting))

# What works with the oldest and with the newest Python works between; `nox -s tests` tries all.
newest = next((each for each in reversed(PYTHONS) if shutil.which(f"python{each}")), PYTHONS[0])
tested = dict.fromkeys((f"tests-{PYTHONS[0]}", f"tests-{newest}"))
nox.options.sessions = ["lint", "types", "docs", "examples", *tested]


def install(session: nox.Session, *groups: str) -> None:
    """Install the library with every extra, and the named dependency groups."""
    session.install("-e", ".[all]", *nox.project.dependency_groups(PROJECT, *groups))


def run_tests(session: nox.Session, *, thorough: bool = True) -> None:
    """Run all tests, or those that the arguments behind `--` choose.

    Not thorough means with few generated examples and without the races and what takes long: that
    tells whether the code works with another Python, and the rest was shown on the first one.
    """
    if session.posargs:
        session.run("pytest", *session.posargs)
        return
    if not thorough:
        few = {"HYPOTHESIS_PROFILE": "smoke"}
        session.run("pytest", "-n", "2", "-m", "not race and not long", env=few)
        return
    session.log("Races first: they need the machine to themselves.")
    session.run("pytest", "-m", "race")
    session.run("pytest", "-n", "2", "-m", "not race")


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, formatting, docstrings (of every test too) and the import layers."""
    install(session, "lint")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("lint-imports")


@nox.session
def types(session: nox.Session) -> None:
    """Check all types twice: with mypy --strict and with pyright."""
    install(session, "test", "types")
    session.run("mypy")
    session.run("pyright")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation; a warning is an error."""
    install(session, "docs")
    # From scratch: a page that did not change would keep its old warnings to itself.
    for generated in ("docs/_build", "docs/reference/api"):
        shutil.rmtree(generated, ignore_errors=True)
    session.run("sphinx-build", "-q", "-W", "--keep-going", "docs", "docs/_build/html")


@nox.session
def examples(session: nox.Session) -> None:
    """Run every example as a reader would, in an empty directory."""
    install(session)
    scripts = sorted(Path("examples").resolve().glob("*.py"))
    if not scripts:
        session.error("there is no example to run")
    with session.chdir(session.create_tmp()):
        for script in scripts:
            session.run("python", str(script))


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run all tests and every code block of the documentation; thoroughly on the first Python."""
    install(session, "test")
    run_tests(session, thorough=session.python == PYTHONS[0])


@nox.session(python=PYTHONS[0])
def lowest(session: nox.Session) -> None:
    """Run all tests with the lowest dependencies that pyproject.toml allows."""
    session.install("uv")
    pins = Path(session.create_tmp(), "lowest.txt")
    compile_pins = ["uv", "pip", "compile", "--resolution", "lowest-direct", "--no-deps"]
    session.run(*compile_pins, "--all-extras", "--output-file", str(pins), "pyproject.toml")
    session.env["PIP_CONSTRAINT"] = str(pins)
    install(session, "test")
    run_tests(session, thorough=False)


@nox.session
def coverage(session: nox.Session) -> None:
    """Report which lines and branches no test reaches."""
    install(session, "test")
    session.run("coverage", "run", "-m", "pytest", "-n", "2", *session.posargs)
    session.run("coverage", "combine")
    session.run("coverage", "report")


@nox.session
def faults(session: nox.Session) -> None:
    """Plant faults in a copy of the library, all or those named behind `--`; each is caught."""
    install(session, "test")
    session.run("python", "-m", "tests.faults.planting", *session.posargs)


@nox.session(python=PYTHONS[0])
def mutation(session: nox.Session) -> None:
    """Mutate the domain and the operations, or the package named behind `--`; tell the scores."""
    install(session, "test", "mutation")
    packages = [session.posargs] if session.posargs else [["domain"], ["operations"]]
    for chosen in packages:
        run = ("python", "-m", "tests.mutation.running", *chosen)
        session.run(*run, env={"HYPOTHESIS_PROFILE": "faults"})


@nox.session
def build(session: nox.Session) -> None:
    """Build the wheel, install it alone in a clean environment and import it."""
    target = Path(session.create_tmp(), "wheel")
    session.run("pip", "wheel", "--no-deps", "--wheel-dir", str(target), ".")
    [wheel] = target.glob("hotelcore-*.whl")
    session.install(str(wheel))
    with session.chdir(target):
        session.run("python", "-c", "import hotelcore; print(hotelcore.__file__)")


@nox.session
def pgbouncer(session: nox.Session) -> None:
    """Show that hotels stay apart behind PgBouncer; needs it, and a server's URL behind `--`."""
    install(session)
    session.run("python", "benchmarks/behind_pgbouncer.py", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure beside the bare driver and two ORMs, and write the figures into the documentation."""
    install(session, "test", "bench")
    for arguments in [session.posargs] if session.posargs else [["sqlite"], ["postgresql"]]:
        session.run("python", "-m", "benchmarks", *arguments)
