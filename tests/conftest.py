"""What every test may ask for: databases, the shared data, and a stated amount of searching.

Fixtures
    `database_url`     a fresh, empty database; the test runs once on SQLite, once on PostgreSQL
    `schema_url`       the same with all tables in it
    `sqlite_url`       a fresh SQLite file
    `postgresql_url`   a fresh PostgreSQL database
    `shared_data`      the folder of real data sets beside the checkout

Environment
    `HOTELCORE_TEST_POSTGRES`   SQLAlchemy URL of a server to use instead of an embedded one
    `HOTELCORE_SHARED`          the folder of `shared_data`; default `../shared` beside the checkout
    `HYPOTHESIS_PROFILE`        `dev`, `ci` (default where `CI` is set), `smoke`, `faults`, or
                                `nightly`
    `CI`                        where it is `true`, missing shared data is a failure
    `TMPDIR`                    where databases are made; by default in memory if there is room
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from sqlalchemy import Engine, make_url

from tests.postgres_server import SERVER_VARIABLE, administration, embedded_server, fresh_database
from tests.records import show_records
from tests.workplace import write_to_memory

IN_CI = os.environ.get("CI") == "true"
EMBEDDED = SERVER_VARIABLE not in os.environ
RUN = ExitStack()

# Seconds would measure the machine, so none are counted. One database serves all examples of a test
# (each example makes its own hotel), so a fixture that lives as long as the test is what we want.
settings.register_profile(
    "dev",
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
# The seed of each test is derived from its code: the same commit tries the same examples.
settings.register_profile(
    "ci", settings.get_profile("dev"), max_examples=30, derandomize=True, print_blob=True
)
# For a further Python or other dependencies: whether it works, not whether it is right.
settings.register_profile("smoke", settings.get_profile("ci"), max_examples=5)
# Where faults are planted: that a test fails is enough, the smallest example is not looked for.
settings.register_profile(
    "faults", settings.get_profile("ci"), phases=[Phase.explicit, Phase.generate]
)
settings.register_profile("nightly", settings.get_profile("dev"), max_examples=2_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if IN_CI else "dev"))


def pytest_configure(config: pytest.Config) -> None:
    """Start PostgreSQL once; parallel workers inherit its address through the environment."""
    write_to_memory()
    if EMBEDDED and not config.option.collectonly:
        os.environ[SERVER_VARIABLE] = RUN.enter_context(embedded_server())
        RUN.callback(os.environ.pop, SERVER_VARIABLE)


def pytest_unconfigure() -> None:
    """Stop the PostgreSQL that this process started, if any."""
    RUN.close()


def shared_folder(config: pytest.Config) -> Path:
    """Return where the shared data sets are expected."""
    return Path(os.environ.get("HOTELCORE_SHARED", config.rootpath.parent / "shared")).resolve()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what the tests had to tell."""
    show_records(terminalreporter)


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say which PostgreSQL is used and whether tests on the shared data are left out."""
    server = "embedded, for this run" if EMBEDDED else f"named by {SERVER_VARIABLE}"
    folder = shared_folder(config)
    absent = "NOT FOUND, the tests that need it " + ("fail" if IN_CI else "are left out")
    return [
        f"postgresql: {server}",
        f"shared data: {folder}" + ("" if folder.is_dir() else f": {absent}"),
    ]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests on the shared data where it is absent; the header says so."""
    if not shared_folder(config).is_dir() and not IN_CI:
        wanting = [item for item in items if "shared_data" in getattr(item, "fixturenames", ())]
        config.hook.pytest_deselected(items=wanting)
        items[:] = [item for item in items if item not in wanting]


@pytest.fixture(scope="session")
def shared_data(request: pytest.FixtureRequest) -> Path:
    """Return the folder of real data sets that lies beside the checkout."""
    folder = shared_folder(request.config)
    assert folder.is_dir(), f"no shared data at {folder}: set HOTELCORE_SHARED to its folder"
    return folder


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[Engine]:
    """Return an engine that may create and drop databases on the test server."""
    engine = administration(os.environ[SERVER_VARIABLE])
    yield engine
    engine.dispose()


@pytest.fixture
def postgresql_url(postgresql_server: Engine) -> Iterator[str]:
    """Return the URL of an empty PostgreSQL database that only this test uses."""
    with fresh_database(postgresql_server) as url:
        yield url


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """Return the URL of a SQLite file that only this test uses and that does not exist yet."""
    return f"sqlite:///{tmp_path / 'hotel.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """Return the URL of an empty database of each kind in turn."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture(scope="session")
def postgresql_schema(postgresql_server: Engine) -> Iterator[str]:
    """Return the name of a PostgreSQL database to copy, which takes less time than its tables."""
    with fresh_database(postgresql_server) as url:
        _create_schema(url)
        name = make_url(url).database
        assert name is not None
        yield name


@pytest.fixture(scope="session")
def sqlite_schema(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a SQLite file to copy."""
    file = tmp_path_factory.mktemp("schema") / "hotel.db"
    _create_schema(f"sqlite:///{file}")
    return file


def _create_schema(url: str) -> None:
    # Here, since the plugin's tests look at what an empty test imports.
    from hotelcore import HotelCore

    with closing(HotelCore(url)) as core:
        core.create_schema()


@pytest.fixture(params=["sqlite", "postgresql"])
def schema_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Return the URL of a fresh database with all tables, of each kind in turn."""
    if request.param == "sqlite":
        url: str = request.getfixturevalue("sqlite_url")
        file: Path = request.getfixturevalue("sqlite_schema")
        shutil.copyfile(file, str(make_url(url).database))
        yield url
    else:
        server: Engine = request.getfixturevalue("postgresql_server")
        with fresh_database(server, request.getfixturevalue("postgresql_schema")) as url:
            yield url
