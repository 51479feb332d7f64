"""A connection of psycopg whose calls can fail."""

from __future__ import annotations

import socket
from typing import Any

import psycopg
from psycopg import errors, generators
from psycopg.pq import TransactionStatus

from hotelcore.sql.seam.exchange import exchanging
from hotelcore.testing.faults import Faults, Opening

__all__ = ["FaultyConnection", "FaultyCursor", "opening"]

# `Any` here stands for the arguments and rows of psycopg, whose own types are as open.


class FaultyConnection(psycopg.Connection[Any]):
    """A connection that asks its ``Faults`` before each call."""

    faults: Faults

    @classmethod
    def through(cls, faults: Faults, *args: Any, **kwargs: Any) -> FaultyConnection:
        """Connect, or fail."""
        made: list[FaultyConnection] = []
        try:
            faults.through("connect", lambda: made.append(cls.connect(*args, **kwargs)), _Nowhere())
        except BaseException:
            for connection in made:
                psycopg.Connection.close(connection)
            raise
        [connection] = made
        connection.faults = faults
        connection.cursor_factory = FaultyCursor
        return connection

    def error(self) -> Exception:
        """Return what PostgreSQL says of a disk."""
        return errors.IoError("could not read the file: Input/output error")

    def lost(self) -> Exception:
        """Cut the connection to the server, and return what psycopg says of that."""
        if not self.closed:
            wire = socket.socket(fileno=self.pgconn.socket)
            wire.shutdown(socket.SHUT_RDWR)
            wire.detach()  # psycopg closes it
        try:
            # Not over a cursor: whoever is in the midst of an exchange holds the connection's lock.
            self.pgconn.send_query(b"SELECT 1")
            [result] = super().wait(generators.execute(self.pgconn))
        except psycopg.OperationalError as error:
            return error.with_traceback(None)
        return errors.error_from_result(result)

    def cursor(self, *args: Any, **kwargs: Any) -> Any:
        """Make a cursor whose calls can fail."""
        cursor = super().cursor
        return self.faults.through("cursor", lambda: cursor(*args, **kwargs), self)

    def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
        """Wait for the server; where the library exchanges messages with it, this can fail."""
        wait = super().wait
        if getattr(gen, "gi_code", None) is not exchanging.__code__:
            return wait(gen, *args, **kwargs)
        last = gen.gi_frame.f_locals["ready"][-1][0]
        name = "commit" if last == "COMMIT" else "exchange"
        return self.faults.through(name, lambda: wait(gen, *args, **kwargs), self)

    def commit(self) -> None:
        """Commit, or fail; what an exchange has committed already is not counted again."""
        if self.pgconn.transaction_status == TransactionStatus.IDLE:
            super().commit()
        else:
            self.faults.through("commit", super().commit, self)

    def rollback(self) -> None:
        """Roll back, or fail."""
        self.faults.through("rollback", super().rollback, self)

    def close(self) -> None:
        """Close, and fail after that."""
        self.faults.through("disconnect", super().close, self)


class FaultyCursor(psycopg.Cursor[Any]):
    """A cursor that asks its connection's ``Faults`` before each call."""

    def _through(self, name: str, call: Any) -> Any:
        on = self.connection
        assert isinstance(on, FaultyConnection)
        return on.faults.through(name, call, on)

    def execute(self, *args: Any, **kwargs: Any) -> FaultyCursor:
        """Execute, or fail."""
        execute = super().execute
        self._through("execute", lambda: execute(*args, **kwargs))
        return self

    def executemany(self, *args: Any, **kwargs: Any) -> None:
        """Execute with many sets of parameters, or fail."""
        executemany = super().executemany
        self._through("executemany", lambda: executemany(*args, **kwargs))

    def fetchone(self) -> Any:
        """Fetch a row, or fail."""
        return self._through("fetchone", super().fetchone)

    def fetchmany(self, size: int = 0) -> Any:
        """Fetch some rows, or fail."""
        fetchmany = super().fetchmany
        return self._through("fetchmany", lambda: fetchmany(size))

    def fetchall(self) -> Any:
        """Fetch all rows, or fail."""
        return self._through("fetchall", super().fetchall)

    def close(self) -> None:
        """Close, or fail."""
        self._through("close", super().close)


class _Nowhere:
    """Stands for the connection that is not there while one is being made."""

    def error(self) -> Exception:
        return psycopg.OperationalError("connection failed: Connection refused")

    lost = error


def opening(faults: Faults) -> Opening:
    """Return the hook that connects with connections whose calls can fail."""

    def connect(_: object, __: object, args: Any, arguments: Any) -> FaultyConnection:
        return FaultyConnection.through(faults, *args, **arguments)

    return connect
