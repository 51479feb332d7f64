"""Where the databases of a run are: SQLite files, or databases on a PostgreSQL server."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Protocol

import psycopg
from attrs import field, frozen
from sqlalchemy import URL, make_url

from benchmarks.rounds import Queue
from tests.postgres_server import SERVER_VARIABLE, embedded_server

__all__ = ["Place", "conninfo", "place_for"]

_PROCESSES = "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"


class Place(Protocol):
    """Makes databases that last as long as the run."""

    @property
    def name(self) -> str:
        """What kind of database it makes, as SQLAlchemy calls it."""
        ...

    def empty(self) -> URL:
        """Make an empty database."""
        ...

    def copy_of(self, original: URL) -> URL:
        """Make a copy of a database that nobody is connected to."""
        ...

    def queue(self, url: URL, /) -> Queue:
        """Return where those wait who work on a database for whoever is connected to it now."""
        ...


@contextmanager
def place_for(database: str) -> Generator[Place]:
    """Give the place that ``database`` names: sqlite, postgresql, or the URL of a server.

    For ``postgresql`` it is the server of the tests, which is started if none is named.
    """
    with ExitStack() as kept:
        if database == "sqlite":
            folder = kept.enter_context(tempfile.TemporaryDirectory(prefix="hotelcore-bench-"))
            yield Files(Path(folder))
            return
        if database == "postgresql":
            database = os.environ.get(SERVER_VARIABLE) or kept.enter_context(embedded_server())
        server = Server(make_url(database).set(drivername="postgresql+psycopg"))
        kept.callback(server.drop_all)
        yield server


@frozen
class Files:
    """SQLite files in one folder."""

    folder: Path
    name: str = "sqlite"
    _numbers: Iterator[int] = field(factory=count)

    def empty(self) -> URL:
        """Name a file that does not exist yet."""
        path = self.folder / f"bench{next(self._numbers)}.db"
        return URL.create("sqlite", database=str(path))

    def copy_of(self, original: URL) -> URL:
        """Copy a file; its log was written back when the last connection was closed."""
        copy = self.empty()
        shutil.copyfile(str(original.database), str(copy.database))
        return copy

    def queue(self, _: URL, /) -> Queue:
        """Return our own queue: SQLite works in our thread."""
        return Queue()


@frozen
class Server:
    """Databases on one PostgreSQL server, which are dropped at the end."""

    url: URL
    name: str = "postgresql"
    _made: list[str] = field(factory=list)

    def empty(self) -> URL:
        """Create a database."""
        return self._create("template1")

    def copy_of(self, original: URL) -> URL:
        """Create a database after the model of another."""
        return self._create(str(original.database))

    def queue(self, url: URL, /) -> Queue:
        """Return the queue of the server's processes and of ours."""
        with psycopg.connect(conninfo(url)) as connection:
            found = connection.execute(_PROCESSES).fetchall()
        return Queue([process for (process,) in found])

    def drop_all(self) -> None:
        """Drop what was created here, whoever is still in it."""
        for name in self._made:
            self._say(f"DROP DATABASE {name} WITH (FORCE)")

    def _create(self, model: str) -> URL:
        name = f"hotelcore_bench_{os.getpid()}_{len(self._made)}"
        self._say(f"CREATE DATABASE {name} TEMPLATE {model}")
        self._made.append(name)
        return self.url.set(database=name)

    def _say(self, statement: str) -> None:
        with psycopg.connect(conninfo(self.url), autocommit=True) as connection:
            connection.execute(statement.encode())


def conninfo(url: URL) -> str:
    """Return what psycopg takes for a URL of SQLAlchemy's."""
    text = url.set(drivername="postgresql").render_as_string(hide_password=False)
    return text.replace("+", "%20")  # libpq takes a plus for one, SQLAlchemy writes it for a space
