"""The relay through its real command line: whom it serves, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from textwrap import dedent

import psycopg
import pytest
from sqlalchemy import make_url

from hotelcore import new_id
from hotelcore.cli import main
from hotelcore.sql.events.feed import FEED
from hotelcore.sql.events.inbox import INBOX
from hotelcore.sql.repositories.guests import GUEST
from hotelcore.transports.jobs import JobTransport
from tests.cli.event_hotels import Hotel, core_at

pytestmark = pytest.mark.long

PROGRAM = (sys.executable, "-W", "error", "-m", "hotelcore", "relay")
LIMIT = 120  # seconds; far beyond what any of these takes

# Its handler tells of the first event that it has in hand and waits until it may go on, if there
# are pipes for that. Every event leaves a guest behind.
HOST = """
    import os
    from pathlib import Path

    from hotelcore import HotelCore, Role
    from hotelcore.events.catalogue import RoomStatusChanged
    from hotelcore.operations import register_guest

    core = HotelCore(os.environ["HOTEL_DATABASE"])
    pipes = iter([Path("in-hand"), Path("go-on")])


    @core.subscriptions.durable(RoomStatusChanged, name="board", role=Role.ADMIN)
    def show(delivery):
        if (pipe := next(pipes, None)) and pipe.exists():
            pipe.write_text("an event")
            next(pipes).read_text()
        delivery.run(register_guest, last_name="Guest")
"""


@pytest.fixture
def hotel(schema_url: str) -> Iterator[Hotel]:
    """Return a hotel in a database of each kind."""
    with core_at(schema_url) as core:
        yield Hotel.opened(core)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return the directory of a host's module."""
    (tmp_path / "front_desk.py").write_text(dedent(HOST))
    return tmp_path


def environment(url: str) -> dict[str, str]:
    """Return the environment of a host whose database this is."""
    return {**os.environ, "HOTEL_DATABASE": url}


def ran(place: Path, url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a relay in the host's directory until it ends by itself."""
    return subprocess.run(
        [*PROGRAM, *arguments],
        cwd=place,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        env=environment(url),
    )


@contextmanager
def running(place: Path, url: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a relay of the host's until the block ends; it is told when it has begun to serve."""
    with (
        subprocess.Popen(
            [*PROGRAM, "--app", "front_desk:core", *arguments],
            cwd=place,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(url),
        ) as process,
        ExitStack() as ended,
    ):
        ended.callback(process.kill)
        assert process.stdout is not None
        assert process.stdout.readline().startswith("relay: serves ")
        yield process


@contextmanager
def pipes(place: Path) -> Iterator[None]:
    """Have the host's handler tell of its first event, and wait."""
    both = place / "in-hand", place / "go-on"
    for pipe in both:
        os.mkfifo(pipe)
    yield
    for pipe in both:
        pipe.unlink()


@contextmanager
def in_hand(place: Path, url: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a relay of the host's that has an event in hand and waits to go on with it."""
    with pipes(place), running(place, url, *arguments) as process:
        assert (place / "in-hand").read_text() == "an event"
        yield process


def told_to_end(process: subprocess.Popen[str], by: signal.Signals) -> None:
    """Send a signal, and wait until the relay says that it has it."""
    process.send_signal(by)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("relay: ends when what is in hand is finished")


# -- what it does -----------------------------------------------------------------------------


def test_once_handles_everything_that_is_due(hotel: Hotel, schema_url: str, place: Path) -> None:
    """With ``--once`` every event of every hotel is numbered and handled when the process ends."""
    hotels = [hotel, *(Hotel.opened(hotel.core) for _ in range(2))]
    for each in hotels:
        rooms = [new_id() for _ in range(3)]
        each.report(*rooms)
        each.report(*rooms[:2], rooms[0])
    done = ran(place, schema_url, "--app", "front_desk:core", "--once", "--batch", "4")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].startswith("relay: serves the durable subscriptions board")
    assert done.stdout.splitlines()[1:] == ["relay: nothing is due any more"]
    for each in hotels:
        events, lanes = each.events(), each.rows(INBOX)
        assert sorted(event.position for event in events) == [1, 2, 3, 4, 5, 6]
        assert sorted(lane.handled for lane in lanes) == [1, 2, 3]
        assert {(lane.due_at, lane.token, lane.attempts) for lane in lanes} == {(None, None, 0)}
        assert len(each.rows(GUEST)) == len(events)


def test_it_goes_on_serving_what_comes_later(hotel: Hotel, schema_url: str, place: Path) -> None:
    """What is reported while the process runs is handled, without anybody starting it again."""
    with pipes(place), running(place, schema_url) as process:
        hotel.report(new_id())
        assert (place / "in-hand").read_text() == "an event"
        told_to_end(process, signal.SIGTERM)
        (place / "go-on").write_text("")
        assert process.wait(LIMIT) == 0
    assert len(hotel.rows(GUEST)) == 1


def test_a_relay_without_an_app_only_numbers(hotel: Hotel, schema_url: str, place: Path) -> None:
    """Without an app the events get their positions, and nobody is told."""
    rooms = [new_id() for _ in range(3)]
    hotel.report(*rooms)
    done = ran(place, schema_url, "--database", schema_url, "--once")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("relay: serves no subscription on ")
    assert sorted(event.position for event in hotel.events()) == [1, 2, 3]
    assert hotel.rows(INBOX) == []


def test_a_relay_without_an_app_never_numbers_past_a_subscription(
    hotel: Hotel, schema_url: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where a subscription has lanes, a relay that would not tell it of events refuses to start."""
    room = new_id()
    hotel.report(room)
    assert ran(place, schema_url, "--app", "front_desk:core", "--once").returncode == 0
    hotel.report(room)
    assert main(["relay", "--database", schema_url, "--once"]) == 1
    assert "hotelcore: app: is needed here" in capsys.readouterr().err
    assert [event.position for event in hotel.events()] == [1, None]


def test_an_app_without_subscriptions_never_numbers_past_one(
    hotel: Hotel, schema_url: str, place: Path
) -> None:
    """A core that does not know the subscriptions of its database is refused, and nothing lost."""
    without = HOST.partition("    pipes = ")[0]
    (place / "nosub.py").write_text(dedent(without))
    room = new_id()
    hotel.report(room)
    numbered = ran(place, schema_url, "--app", "nosub:core", "--once")
    assert numbered.returncode == 0, numbered.stderr  # nobody has subscribed yet
    hotel.report(room)
    assert ran(place, schema_url, "--app", "front_desk:core", "--once").returncode == 0
    hotel.report(room)
    refused = ran(place, schema_url, "--app", "nosub:core", "--once")
    assert refused.returncode == 1
    assert refused.stderr.startswith("hotelcore: app: has no durable subscription: ")
    assert ran(place, schema_url, "--app", "front_desk:core", "--once").returncode == 0
    assert [lane.handled for lane in hotel.rows(INBOX)] == [3]


def test_a_transport_gets_every_event(
    hotel: Hotel, schema_url: str, postgresql_url: str, place: Path
) -> None:
    """With ``--transport`` each event is brought to the broker, and the feed says so."""
    hotel.report(*(new_id() for _ in range(5)))
    address = make_url(postgresql_url).set(drivername="postgresql").render_as_string(False)
    broker = f"procrastinate+{address}"
    with JobTransport(broker) as transport:
        transport.create_tables()
    done = ran(place, schema_url, "--database", schema_url, "--transport", broker, "--once")
    assert done.returncode == 0, done.stderr
    assert ", and sends to procrastinate;" in done.stdout
    with psycopg.connect(address) as connection:
        jobs = connection.execute("SELECT args FROM procrastinate_jobs ORDER BY id").fetchall()
    numbered = {str(event.id): event.position for event in hotel.events()}
    sent = [(job["headers"]["ce-id"], int(job["headers"]["ce-position"])) for (job,) in jobs]
    assert sent == sorted(numbered.items(), key=lambda item: item[1])
    [feed] = hotel.rows(FEED)
    assert (feed.sent, feed.attempts, feed.token) == (5, 0, None)


def test_a_broker_that_takes_nothing_is_told(
    hotel: Hotel, schema_url: str, postgresql_url: str, place: Path
) -> None:
    """With ``--once`` the exit code says that what was due could not be sent; later it can."""
    hotel.report(new_id())
    address = make_url(postgresql_url).set(drivername="postgresql").render_as_string(False)
    broker = f"procrastinate+{address}"
    sending = ("--database", schema_url, "--transport", broker, "--once")
    refused = ran(place, schema_url, *sending)
    assert refused.returncode == 1, refused.stderr
    assert refused.stdout.splitlines()[1:] == [
        "relay: procrastinate did not take all that is due: look at the broker, and run it again"
    ]
    [feed] = hotel.rows(FEED)
    assert (feed.sent, feed.attempts) == (0, 1)


# -- how it ends ------------------------------------------------------------------------------

signals = pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])


@signals
def test_a_signal_lets_what_is_in_hand_be_finished(
    by: signal.Signals, hotel: Hotel, schema_url: str, place: Path
) -> None:
    """A handler that runs when the signal comes keeps its effect; what is left comes next time."""
    room = new_id()
    for _ in range(3):
        hotel.report(room)
    with in_hand(place, schema_url, "--workers", "1") as process:
        told_to_end(process, by)
        (place / "go-on").write_text("")
        out, err = process.communicate(timeout=LIMIT)
        assert (process.returncode, err) == (0, "")
        assert out == "relay: stopped, with everything finished that was in hand\n"
    [lane] = hotel.rows(INBOX)
    assert lane.token is None
    assert lane.handled == len(hotel.rows(GUEST)) >= 1
    assert ran(place, schema_url, "--app", "front_desk:core", "--once").returncode == 0
    [lane] = hotel.rows(INBOX)
    assert (lane.handled, lane.due_at, len(hotel.rows(GUEST))) == (3, None, 3)


@signals
def test_a_second_signal_ends_it_at_once(
    by: signal.Signals, hotel: Hotel, schema_url: str, place: Path
) -> None:
    """Whoever insists does not wait for a handler; the event stays leased and unhandled."""
    hotel.report(new_id())
    with in_hand(place, schema_url) as process:
        told_to_end(process, signal.SIGTERM)
        process.send_signal(by)
        assert process.wait(LIMIT) == -by
    [lane] = hotel.rows(INBOX)
    assert (lane.handled, lane.known, lane.attempts) == (0, 1, 1)
    assert lane.token is not None
    assert hotel.rows(GUEST) == []


@signals
def test_a_signal_interrupts_a_run_that_would_end_by_itself(
    by: signal.Signals, hotel: Hotel, schema_url: str, place: Path
) -> None:
    """With ``--once`` the exit code says that not everything was done; what was, stays done."""
    hotel.report(new_id())
    with in_hand(place, schema_url, "--once") as process:
        told_to_end(process, by)
        (place / "go-on").write_text("")
        out, err = process.communicate(timeout=LIMIT)
    assert (process.returncode, out, err) == (130, "", "hotelcore: interrupted\n")
    [lane] = hotel.rows(INBOX)
    assert (lane.handled, lane.token, len(hotel.rows(GUEST))) == (1, None, 1)


# -- the app ----------------------------------------------------------------------------------

APPS = """
    from front_desk import core
    from hotelcore import AsyncHotelCore, HotelCore

    other = AsyncHotelCore("sqlite+aiosqlite://")
    nothing = None
    lazy = 0


    def made():
        return core


    def other_made():
        return other


    def made_for(guest):
        return core


    async def awaited():
        return core


    class Made:
        def __new__(cls):
            return core
"""
BAD_APPS: Mapping[str, str] = {
    "": "package.module:attribute",
    "apps": "package.module:attribute",
    "apps:": "package.module:attribute",
    ":core": "package.module:attribute",
    "apps.py:core:": "package.module:attribute",
    "apps:core.engine": "package.module:attribute",
    "./apps:core": "package.module:attribute",
    "nowhere:core": "module that cannot be found",
    "apps.nowhere:core": "module that cannot be found",
    "nowhere.apps:core": "module that cannot be found",
    "apps:cor": "attribute that its module does not have",
    "apps:nothing": "must name a HotelCore",
    "apps:other": "is an AsyncHotelCore",
    "apps:other_made": "is an AsyncHotelCore",
    "apps:made_for": "is async or needs arguments",
    "apps:awaited": "is async or needs arguments",
    "apps:HotelCore": "is async or needs arguments",
    "builtins:dict": "is async or needs arguments",
    "builtins:globals": "must name a HotelCore",
}


@pytest.fixture
def apps(place: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Enter a directory with many kinds of apps, and forget its modules afterwards."""
    (place / "apps.py").write_text(dedent(APPS))
    (place / "broken.py").write_text("import no_such_thing")
    monkeypatch.chdir(place)
    monkeypatch.setenv("HOTEL_DATABASE", sqlite_url)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield place
    for name in ("apps", "front_desk", "broken"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("app", BAD_APPS)
def test_what_is_no_app_is_named_in_one_line(
    app: str, apps: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An import string that leads to no core is refused, and the complaint says what is wrong."""
    assert main(["relay", "--once", "--app", app]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("hotelcore: app: ")
    assert captured.err.count("\n") == 1
    assert BAD_APPS[app] in captured.err


@pytest.mark.parametrize("app", ["apps:core", "apps:made", "apps:Made", "front_desk:core"])
def test_an_app_is_a_core_or_what_returns_one(
    app: str, apps: Path, sqlite_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A core, a function and a class are called for alike, from the current directory."""
    with core_at(sqlite_url):
        assert main(["relay", "--once", "--app", app]) == 0
    assert "the durable subscriptions board on sqlite" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import no_such_thing", "ModuleNotFoundError in {file}, line 1"),
        ("x = 1\nraise ValueError('Ada Lovelace')", "ValueError in {file}, line 2"),
        ("x = 1\n\ndef (", "SyntaxError in {file}, line 3"),
    ],
)
def test_a_failure_of_the_hosts_own_module_is_told_with_its_place(
    text: str, told: str, apps: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its author reads the class and the line; the words of the error are not ours to show."""
    (apps / "broken.py").write_text(text)
    assert main(["relay", "--app", "broken:core"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("hotelcore: app: cannot be imported: ")
    assert told.format(file=apps / "broken.py") in err
    assert "'python -m broken' shows it whole" in err
    assert "Lovelace" not in err
    assert err.count("\n") == 1


def test_what_the_hosts_module_does_wrong_with_us_is_told_as_ever(
    apps: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An error of the library's own keeps its words."""
    (apps / "broken.py").write_text("from hotelcore import HotelCore\nHotelCore('hotel.db')")
    assert main(["relay", "--app", "broken:core"]) == 1
    assert capsys.readouterr().err.startswith("hotelcore: database: ")


# -- other nonsense ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--app", "a:b", "--database", "sqlite://"],
        ["--app", "a:b", "--workers", "0"],
        ["--app", "a:b", "--workers", "1.5"],
        ["--app", "a:b", "--batch", "-1"],
        ["--app", "a:b", "--batch", "\u0663"],
    ],
)
def test_a_senseless_relay_is_usage(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """No place, two places, and numbers that are none end with code 2."""
    with pytest.raises(SystemExit) as ended:
        main(["relay", *arguments])
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("usage: hotelcore relay")


def test_what_cannot_be_served_is_named_in_one_line(
    sqlite_url: str, apps: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Missing tables, a missing file, an unknown broker, and names beside an app are complaints."""
    database = ["--database", sqlite_url]
    for arguments, complaint in (
        (database, "database: is a file that does not exist"),
        (["--app", "apps:core"], "the database has no tables of hotelcore"),
        (["--app", "apps:core", "--prefix", "inn_"], "prefix: and schema go with --database"),
        (["--app", "apps:core", "--schema", "inn"], "prefix: and schema go with --database"),
        ([*database, "--prefix", "INN"], "prefix: must look like"),
    ):
        assert main(["relay", "--once", *arguments]) == 1
        assert capsys.readouterr().err.startswith(f"hotelcore: {complaint}")
    with core_at(sqlite_url):
        assert main(["relay", "--once", *database, "--transport", "carrier-pigeon://loft"]) == 1
    assert capsys.readouterr().err.startswith("hotelcore: url: must begin with one of ")
