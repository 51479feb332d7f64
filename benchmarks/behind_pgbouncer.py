"""Shows that hotels stay apart behind PgBouncer in transaction mode, with row-level security on.

    python benchmarks/behind_pgbouncer.py URL

The URL is a superuser's on a PostgreSQL server that keeps no password from local connections; a
database and a role are made on it and dropped again. Needs ``pgbouncer`` on the path.

Eight threads run units of two hotels over two server connections, so every transaction may meet a
session that served the other hotel a moment ago. Each unit counts by raw SQL what it is shown; one
more client names no hotel at all. A foreign row, or anything shown to that client, is a failure.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from datetime import date
from pathlib import Path
from uuid import UUID, uuid4

from sqlalchemy import URL, Connection, create_engine, make_url, text
from sqlalchemy.pool import NullPool

from hotelcore import Actor, HotelCore, Role, new_id
from hotelcore.core import Desk
from hotelcore.domain.money import Money
from hotelcore.domain.rooms import RoomCondition
from hotelcore.events.catalogue import RoomStatusChanged
from hotelcore.ids import HotelId
from hotelcore.operations import (
    add_room_type,
    add_rooms,
    bulk_update_room_status,
    register_guest,
    register_hotel,
)
from hotelcore.relay import Relay
from hotelcore.sql.upkeep.granting import grant
from hotelcore.subscriptions import Delivery, Subscriptions
from hotelcore.unit_of_work import UnitOfWork

THREADS, UNITS, SERVERS = 8, 500, 2

_SHOWN = text("SELECT hotel_id, count(*) FROM hc_guest GROUP BY hotel_id")
_TOLD = text("SELECT coalesce(current_setting('hotelcore.hotel_id', true), '')")
_SESSION = text("SELECT pg_backend_pid()")


class Undone(Exception):
    """What a unit is rolled back with."""


def main(url: str) -> int:
    """Run everything, print the figures, and return 1 if any of them is not as it must be."""
    found = Counter[str]()
    with role_and_database(make_url(url)) as (owner, app), pgbouncer(app) as pooled:
        create_tables(owner, str(app.username))
        work(pooled, found)
    for name in ("units", "undone", "delivered", "foreign", "blind", "looks of nobody", "left"):
        print(f"{name:>16}: {found[name]:,}")
    print(f"{'server sessions':>16}: {sum(name.startswith('session') for name in found)}")
    return int(bool(found["foreign"] or found["blind"] or found["left"]))


def create_tables(owner: URL, role: str) -> None:
    """Create the tables, and let the application's role use them."""
    with closing(HotelCore(owner)) as core:
        core.create_schema()
    grant(owner, role)


def work(pooled: URL, found: Counter[str]) -> None:
    """Let threads work for two hotels, and the relay deliver what they caused."""
    on = Subscriptions()

    @on.durable(RoomStatusChanged, name="counting")
    def count(delivery: Delivery[RoomStatusChanged]) -> None:
        with delivery.transaction() as uow:
            look(uow, delivery.event.hotel_id, found)
        found["delivered"] += 1

    with closing(HotelCore(pooled, row_security=True, subscriptions=on)) as core:
        desks = [opened(core), opened(core)]
        nobody = create_engine(core.engine.url, connect_args={"prepare_threshold": None})
        with ThreadPoolExecutor(THREADS + 1) as threads:
            busy = [threads.submit(units, desks[n % 2], found) for n in range(THREADS)]
            looking = threads.submit(look_as_nobody, nobody.connect, busy, found)
            for each in (*busy, looking):
                each.result()
        # It hears of nothing through a pooler, so it looks.
        Relay(core, workers=2).run_until_idle()
        nobody.dispose()


def opened(core: HotelCore) -> Desk:
    """Open a hotel."""
    desk = core.acting_as(Actor(hotel_id=HotelId(new_id()), subject="root", role=Role.ADMIN))
    day = date(2026, 6, 1)
    desk.run(register_hotel, name="Inn", time_zone="Etc/UTC", currency="EUR", business_date=day)
    desk.run(register_guest, last_name="First")
    return desk


def units(desk: Desk, found: Counter[str]) -> None:
    """Run units of every kind of one hotel."""
    hotel_id = desk.actor.hotel_id
    code = new_id().hex[-12:]
    kind = desk.run(add_room_type, code=code, name="Double", base_rate=Money(1, "EUR"))
    [room] = desk.run(add_rooms, room_type_id=kind.id, numbers=[code])
    for number in range(UNITS):
        match number % 4:
            case 0:
                with desk.reading() as uow:
                    look(uow, hotel_id, found)
            case 1:
                condition = RoomCondition.DIRTY if number % 8 == 1 else RoomCondition.CLEAN
                desk.run(bulk_update_room_status, room_ids=[room.id], condition=condition)
                desk.run(look, hotel_id, found)
            case 2:
                with suppress(Undone), desk.transaction() as uow:
                    look(uow, hotel_id, found)
                    found["undone"] += 1
                    raise Undone
            case _:
                with desk.transaction() as uow:
                    with suppress(Undone), uow.savepoint():
                        look(uow, hotel_id, found)
                        raise Undone
                    look(uow, hotel_id, found)
        found["units"] += 1


def look(uow: UnitOfWork, hotel_id: HotelId, found: Counter[str]) -> None:
    """Count what a unit is shown, by raw SQL on its own connection."""
    connection: Connection = uow._run._connection  # type: ignore[attr-defined]  # private to the unit
    shown: dict[UUID, int] = dict(connection.execute(_SHOWN).all())
    found["blind"] += hotel_id not in shown
    found["foreign"] += sum(rows for owner, rows in shown.items() if owner != hotel_id)
    found[f"session {connection.scalar(_SESSION)}"] += 1


def look_as_nobody(
    connect: Callable[[], Connection], busy: Sequence[Future[None]], found: Counter[str]
) -> None:
    """Count what a client is shown that names no hotel, while the others work."""
    with connect() as connection:
        while not all(each.done() for each in busy):
            found["left"] += len(connection.execute(_SHOWN).all()) + bool(connection.scalar(_TOLD))
            found["looks of nobody"] += 1
            connection.rollback()


# -- the servers --------------------------------------------------------------------------------


@contextmanager
def role_and_database(server: URL) -> Generator[tuple[URL, URL]]:
    """Make a database and a role, and give the URLs of their owner and of the role."""
    name = f"hotelcore_{uuid4().hex}"
    admin = create_engine(
        server.set(drivername="postgresql+psycopg"),
        isolation_level="AUTOCOMMIT",
        poolclass=NullPool,
    )
    with admin.connect() as connection:
        connection.execute(text(f"CREATE ROLE {name} LOGIN PASSWORD '{name}'"))
        connection.execute(text(f"CREATE DATABASE {name}"))
        try:
            owner = admin.url.set(database=name)
            yield owner, owner.set(username=name, password=name)
        finally:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
            connection.execute(text(f"DROP ROLE {name}"))


@contextmanager
def pgbouncer(app: URL) -> Generator[URL]:
    """Run PgBouncer in transaction mode before a role's database, and give the URL through it."""
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        sys.exit("pgbouncer is not installed")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        folder.chmod(0o755)
        (folder / "users").write_text(f'"{app.username}" "{app.password}"\n')
        (folder / "ini").write_text(
            f"""
            [databases]
            {app.database} = host={app.host} port={app.port or 5432} dbname={app.database}
            [pgbouncer]
            listen_addr = 127.0.0.1
            listen_port = {port}
            unix_socket_dir =
            auth_type = trust
            auth_file = {folder / "users"}
            pool_mode = transaction
            default_pool_size = {SERVERS}
            max_client_conn = 100
            """.replace("            ", "")
        )
        command = [program, "-q", "-u", "nobody", str(folder / "ini")]
        with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
            try:
                wait_for(port)
                yield app.set(host="127.0.0.1", port=port, query={"prepare_threshold": "none"})
            finally:
                process.terminate()


def wait_for(port: int) -> None:
    """Return when something listens on the port, within ten seconds."""
    ends = time.monotonic() + 10
    while time.monotonic() < ends:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)  # a program that starts tells nobody
    sys.exit("pgbouncer does not answer")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
