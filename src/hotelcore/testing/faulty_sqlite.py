"""A connection of sqlite3 whose calls can fail; aiosqlite uses it too."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from hotelcore.testing.faults import Faults, Opening

__all__ = ["FaultyConnection", "FaultyCursor", "opening"]

# `Any` here stands for the arguments and rows of sqlite3, whose own types are as open.


class FaultyConnection(sqlite3.Connection):
    """A connection that asks its ``Faults`` before each call."""

    def __init__(self, faults: Faults, *args: Any, **kwargs: Any) -> None:
        self._faults = faults
        self._made = self._open = False

        def connect() -> None:
            sqlite3.Connection.__init__(self, *args, **kwargs)
            self._made = self._open = True

        try:
            faults.through("connect", connect, self)
        except BaseException:
            if self._open:
                self._let_go()
            raise

    def error(self) -> Exception:
        """Return what SQLite says of a disk, or of a file that it cannot open."""
        if not self._made:
            return _coded(
                sqlite3.SQLITE_CANTOPEN, "SQLITE_CANTOPEN", "unable to open database file"
            )
        return _coded(sqlite3.SQLITE_IOERR, "SQLITE_IOERR", "disk I/O error")

    def lost(self) -> Exception:
        """Close the file, which rolls back, and return what sqlite3 says of a closed one."""
        if not self._made:
            return self.error()
        self._let_go()
        try:
            sqlite3.Connection.execute(self, "SELECT 1")
        except sqlite3.ProgrammingError as error:
            return error.with_traceback(None)
        raise AssertionError("a closed connection answered")

    def cursor(self) -> FaultyCursor:  # type: ignore[override]  # the class is not the caller's choice
        """Make a cursor whose calls can fail."""
        return self._faults.through("cursor", lambda: FaultyCursor(self, self._faults), self)

    def commit(self) -> None:
        """Commit, or fail."""
        self._faults.through("commit", super().commit, self)

    def rollback(self) -> None:
        """Roll back, or fail."""
        self._faults.through("rollback", super().rollback, self)

    def close(self) -> None:
        """Close, and fail after that."""
        self._faults.through("disconnect", self._let_go, self)

    def _let_go(self) -> None:
        # sqlite3 keeps a closed file open, and locked, as long as anybody holds a cursor with rows
        # left. The traceback of an error may do that for long.
        if self._open:
            self._open = False
            super().rollback()
        super().close()


class FaultyCursor(sqlite3.Cursor):
    """A cursor that asks its connection's ``Faults`` before each call."""

    def __init__(self, connection: FaultyConnection, faults: Faults) -> None:
        super().__init__(connection)
        self._on = connection
        self._faults = faults

    def _through(self, name: str, call: Callable[[], Any]) -> Any:
        return self._faults.through(name, call, self._on)

    def execute(self, *args: Any) -> FaultyCursor:
        """Execute, or fail."""
        execute = super().execute
        self._through("execute", lambda: execute(*args))
        return self

    def executemany(self, *args: Any) -> FaultyCursor:
        """Execute with many sets of parameters, or fail."""
        executemany = super().executemany
        self._through("executemany", lambda: executemany(*args))
        return self

    def fetchone(self) -> Any:
        """Fetch a row, or fail."""
        return self._through("fetchone", super().fetchone)

    def fetchmany(self, size: int | None = None) -> Any:
        """Fetch some rows, or fail."""
        fetchmany = super().fetchmany
        return self._through("fetchmany", lambda: fetchmany(size or self.arraysize))

    def fetchall(self) -> Any:
        """Fetch all rows, or fail."""
        return self._through("fetchall", super().fetchall)

    def close(self) -> None:
        """Close, or fail."""
        self._through("close", super().close)


def opening(faults: Faults) -> Opening:
    """Return the hook that has sqlite3 make connections whose calls can fail."""

    def connection(*args: Any, **kwargs: Any) -> FaultyConnection:
        return FaultyConnection(faults, *args, **kwargs)

    def choose(_: object, __: object, ___: object, arguments: dict[str, Any]) -> None:
        # Nothing is returned, so SQLAlchemy goes on and connects with these arguments.
        arguments["factory"] = connection

    return choose


def _coded(code: int, name: str, message: str) -> sqlite3.OperationalError:
    """Make an error as sqlite3 does: https://www.sqlite.org/rescode.html ."""
    error = sqlite3.OperationalError(message)
    error.sqlite_errorcode, error.sqlite_errorname = code, name
    return error
