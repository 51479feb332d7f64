"""A PostgreSQL database as a careful host keeps it: one role owns the tables, another works."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

from attrs import frozen
from sqlalchemy import Connection, Engine, NullPool, create_engine, make_url, text

from hotelcore import HotelCore, TableNames
from hotelcore.sql.seam.driver import send
from hotelcore.sql.seam.statements import Statements
from hotelcore.sql.unit_of_work import SqlUnitOfWork
from hotelcore.sql.upkeep.granting import grant
from hotelcore.unit_of_work import UnitOfWork
from tests.postgres_server import fresh_database
from tests.small_hotel import KEYS

_PASSWORD = "of-a-test"  # it opens nothing but databases of tests


@frozen
class Land:
    """The database, by the URLs of its three roles: a superuser, the owner, the application's."""

    root: str
    owner: str
    app: str
    names: TableNames

    @property
    def role(self) -> str:
        """The application's role."""
        return role_of(self.app)

    def core(self, **options: object) -> HotelCore:
        """Make a core of the application."""
        options = {"keys": KEYS, **options}
        return HotelCore(self.app, names=self.names, row_security=True, **options)  # type: ignore[arg-type]  # as an editor would complete them

    def execute(self, *statements: str, url: str | None = None) -> None:
        """Run statements as the superuser, or as somebody else, each for itself."""
        engine = create_engine(url or self.root, isolation_level="AUTOCOMMIT", poolclass=NullPool)
        with engine.connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    @contextmanager
    def connection(self, hotel_id: UUID | None = None) -> Generator[Connection]:
        """Lend a connection of the application, whose first transaction may name a hotel."""
        engine = create_engine(self.app, poolclass=NullPool)
        with engine.connect() as connection:
            if hotel_id is not None:
                tell(connection, hotel_id)
            yield connection


def tell(connection: Connection, hotel_id: UUID) -> None:
    """Name the hotel, as the how-to says, for the open transaction."""
    setting = text("SELECT set_config('hotelcore.hotel_id', :hotel, true)")
    connection.execute(setting, {"hotel": str(hotel_id)})


def told(connection: Connection) -> str:
    """Return which hotel the open transaction has named; an empty text if none."""
    setting = "SELECT coalesce(current_setting('hotelcore.hotel_id', true), '')"
    return str(connection.scalar(text(setting)))


def connection_of(uow: UnitOfWork) -> Connection:
    """Return the connection that a unit works on, which the library itself never hands out."""
    connection: Connection = run_of(uow)._connection
    return connection


def run_of(uow: UnitOfWork) -> Statements:
    """Return what a unit runs its statements on, which is private to it."""
    assert isinstance(uow, SqlUnitOfWork)
    return uow._run


def asked(run: Statements, sql: str) -> list[Any]:  # Any: values of whatever columns
    """Send SQL without a condition as a unit sends its own; return the first column."""
    connection, deadline = run._connection, run._deadline
    news = deadline.enforce(connection)
    rows = send(connection, sql, [()], lambda cursor: cursor.fetchall(), before=news)
    if news:
        deadline.heard(connection)
    return [row[0] for row in rows]


def role_of(url: str) -> str:
    """Return the role that a URL logs in."""
    return str(make_url(url).username)


@contextmanager
def new_role(server: Engine, options: str = f"LOGIN PASSWORD '{_PASSWORD}'") -> Generator[str]:
    """Create a role that nobody else has, and drop it after its databases are gone."""
    role = f"hotelcore_{uuid4().hex}"
    with server.connect() as connection:
        connection.execute(text(f"CREATE ROLE {role} {options}"))
    try:
        yield role
    finally:
        with server.connect() as connection:
            connection.execute(text(f"DROP ROLE {role}"))


@contextmanager
def new_land(
    server: Engine, names: TableNames | None = None, *, granted: bool = True
) -> Generator[Land]:
    """Let a new owner create the tables in a new database, and give a new role its rights."""
    names = names or TableNames()
    with (
        new_role(server) as owner,
        new_role(server) as app,
        fresh_database(server) as root,
    ):
        land = Land(root, _as(root, owner), _as(root, app), names)
        land.execute(f"ALTER SCHEMA public OWNER TO {owner}")
        if names.schema is not None:
            land.execute(f'CREATE SCHEMA "{names.schema}" AUTHORIZATION {owner}')
        core = HotelCore(land.owner, names=names)
        core.create_schema()
        core.close()
        if granted:
            grant(land.owner, app, names)
        yield land


def _as(url: str, role: str) -> str:
    ours = make_url(url).set(username=role, password=_PASSWORD)
    return ours.render_as_string(hide_password=False)
