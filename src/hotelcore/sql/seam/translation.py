"""Driver errors in our own words, translated in one place.

A driver's text names tables, values and parameters, so none of it leaves. Python keeps the driver's
error behind the new one whatever is asked, for whoever looks there, so it is emptied.
"""

from __future__ import annotations

from enum import Enum

from sqlalchemy import exc

from hotelcore.errors import (
    DatabaseBusy,
    DatabaseFailure,
    HotelcoreError,
    InvalidInput,
    ReadOnly,
    SchemaMismatch,
    TransactionTimeout,
    WaitTimeout,
)
from hotelcore.sql.seam.limits import Limits

__all__ = [
    "NOBODYS_KEY",
    "Failure",
    "Translation",
    "UniqueViolation",
    "failure_of",
    "translated",
]


class Failure(Enum):
    """What a driver error means to a unit of work."""

    AGAIN = "again"  # deadlock, serialization failure: the whole unit may simply run again
    WAITED = "waited"  # a lock or the database was not to be had in time
    INTERRUPTED = "interrupted"  # a statement was stopped by a time limit
    UNIQUE = "unique"
    REFERENCE = "reference"
    CHECK = "check"
    BAD_TEXT = "bad_text"
    VALUE = "a value that the database does not take"
    SCHEMA = "schema"
    READ_ONLY = "read only"
    UNREADABLE = "unreadable file"
    FULL = "full or read-only disk"
    FORBIDDEN = "not permitted to this role"
    UNREACHED = "no connection"
    DISCONNECTED = "the connection was lost"
    ABORTED = "an earlier statement of this transaction failed"
    OTHER = "other"


_REMEDIES = {
    Failure.UNREADABLE: "check that its directory exists and that it is a SQLite file",
    Failure.FULL: "make room, or let this process write",
    Failure.FORBIDDEN: (
        "grant it the library's tables by 'hotelcore db grant' and your own by GRANT, and write"
        " only rows of the acting hotel"
    ),
    Failure.UNREACHED: "check the URL, the role, and that the server runs and has the database",
    Failure.DISCONNECTED: (
        "check the server; what was being committed may be there, so repeat it under an idempotency"
        " key"
    ),
    Failure.ABORTED: (
        "begin anew; a statement of your own that may fail goes into a savepoint"
        " (connection.begin_nested()), since PostgreSQL takes no other after it"
    ),
    Failure.REFERENCE: "name only records that exist in this hotel",
    Failure.CHECK: "a rule that the tables hold would have been broken",
}


NOBODYS_KEY = "a unique key is taken that no repository answers for"
"""Why a unit fails whose unique key a host's own rule found taken, or nobody gave an error for."""


class UniqueViolation(HotelcoreError):
    """A unique key is taken; the repository that asked says which."""


# PostgreSQL: https://www.postgresql.org/docs/current/errcodes-appendix.html
_SQLSTATES = {
    "40001": Failure.AGAIN,
    "26000": Failure.AGAIN,  # the server forgot what it had prepared, and is told that anew
    "40P01": Failure.AGAIN,
    "55P03": Failure.WAITED,
    "57014": Failure.INTERRUPTED,
    "25P03": Failure.INTERRUPTED,
    "23505": Failure.UNIQUE,
    "23503": Failure.REFERENCE,
    "23514": Failure.CHECK,
    "23502": Failure.CHECK,
    "22021": Failure.BAD_TEXT,
    "42P01": Failure.SCHEMA,
    "42703": Failure.SCHEMA,
    "53100": Failure.FULL,
    "25006": Failure.READ_ONLY,
    "25P02": Failure.ABORTED,
    "42501": Failure.FORBIDDEN,
    "57P01": Failure.DISCONNECTED,
    "57P02": Failure.DISCONNECTED,
    "57P03": Failure.DISCONNECTED,
}
# SQLite: https://www.sqlite.org/rescode.html
_SQLITE_CODES = {
    1: Failure.SCHEMA,  # our own statements are sound, so a table or column is missing
    8: Failure.FULL,
    11: Failure.UNREADABLE,
    13: Failure.FULL,
    14: Failure.UNREADABLE,
    26: Failure.UNREADABLE,
    5: Failure.WAITED,
    6: Failure.WAITED,
    9: Failure.INTERRUPTED,
    517: Failure.AGAIN,
    2067: Failure.UNIQUE,
    1555: Failure.UNIQUE,
    787: Failure.REFERENCE,
    275: Failure.CHECK,
    1299: Failure.CHECK,
}


def failure_of(error: exc.DBAPIError) -> Failure:
    """Classify a driver error by its code, never by its text."""
    state = getattr(error.orig, "sqlstate", None)
    if state in _SQLSTATES:
        return _SQLSTATES[state]
    if state is not None and state.startswith("22"):  # data exceptions
        return Failure.VALUE
    if type(error.orig).__name__ == "ConnectionTimeout":  # psycopg's, which has no code
        return Failure.WAITED
    code = getattr(error.orig, "sqlite_errorcode", None)
    if code is not None:
        return _SQLITE_CODES.get(code, _SQLITE_CODES.get(code & 0xFF, Failure.OTHER))
    # An operational error with a state comes from a server that answers, but for class 08.
    answered = state is not None and not state.startswith("08")
    if error.connection_invalidated:
        return Failure.DISCONNECTED
    if isinstance(error, exc.OperationalError) and not answered:
        return Failure.UNREACHED
    if isinstance(error, exc.ProgrammingError) and state is None:
        return Failure.VALUE  # the driver's own: mostly it knows no way to send it
    return Failure.OTHER


def translated(limits: Limits, *, changing_schema: bool = False) -> Translation:
    """Raise every driver error of the body as one of ours.

    A statement that the database does not understand means missing tables, unless it is
    ``changing_schema``: then the tables were in its way.
    """
    return Translation(limits, changing_schema)


class Translation:
    """What `translated` puts around a body. A class, since it stands around every statement."""

    __slots__ = ("_changing_schema", "_limits")

    def __init__(self, limits: Limits, changing_schema: bool) -> None:
        self._limits, self._changing_schema = limits, changing_schema

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, exc.SQLAlchemyError) and (ours := self._ours(error)) is not None:
            raise ours from None

    def _ours(self, error: exc.SQLAlchemyError) -> HotelcoreError | None:
        """Return what a driver's error is in our words; None for one that is SQLAlchemy's own."""
        if isinstance(error, exc.DBAPIError):
            failure = failure_of(error)
            _empty(error)
            if self._changing_schema and failure is Failure.SCHEMA:
                return DatabaseFailure("the schema could not be changed")
            return _in_our_words(failure, self._limits)
        if isinstance(error, exc.StatementError):
            original = error.orig
            _empty(error)
            if isinstance(original, HotelcoreError):
                return original
            return DatabaseFailure(Failure.VALUE.value)
        if isinstance(error, exc.TimeoutError):
            return WaitTimeout(self._limits.wait_limit.total_seconds())
        if isinstance(error, exc.PendingRollbackError):
            # The connection was lost earlier, and somebody went on.
            return _in_our_words(Failure.DISCONNECTED, self._limits)
        return None


def _empty(error: exc.StatementError) -> None:
    """Take the statement, its parameters and the driver's words out of an error."""
    error.args = ()
    error.statement = error.params = error.orig = None
    error.__cause__ = error.__context__ = None


def _in_our_words(failure: Failure, limits: Limits) -> HotelcoreError:
    match failure:
        case Failure.AGAIN:
            return DatabaseBusy()
        case Failure.WAITED:
            return WaitTimeout(limits.wait_limit.total_seconds())
        case Failure.INTERRUPTED:
            return TransactionTimeout(limits.time_limit.total_seconds())
        case Failure.UNIQUE:
            return UniqueViolation()
        case Failure.BAD_TEXT:
            return InvalidInput("text", "holds characters that the database cannot store")
        case Failure.READ_ONLY:
            return ReadOnly("this handle only reads: lock and write through run() or transaction()")
        case Failure.SCHEMA:
            remedy = "run create_schema() or migrations, or make the table of your own"
            return SchemaMismatch("not all the tables", "them", remedy)
        case _ if failure in _REMEDIES:
            return DatabaseFailure(failure.value, _REMEDIES[failure])
        case _:
            return DatabaseFailure(failure.value)
