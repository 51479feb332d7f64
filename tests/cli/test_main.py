"""The command line keeps its manners: exit codes, streams, pipes, terminals."""

from __future__ import annotations

import gzip
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from hotelcore.cli import COMMANDS, main
from tests.cli.demand import as_csv, plain_file, stay

PROGRAM = (sys.executable, "-m", "hotelcore")
LIMIT = 120  # seconds; far beyond what any of these takes


def environment(**changes: str) -> dict[str, str]:
    """Return this process's environment without what changes how a program writes."""
    silent = ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "COLUMNS", "PYTHONUNBUFFERED")
    kept = {name: value for name, value in os.environ.items() if name not in silent}
    return {**kept, "TERM": "xterm-256color", **changes}


def ran(*arguments: object, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run the program as a user would, with its output into files."""
    return subprocess.run(
        [*PROGRAM, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        env=environment(**changes),
    )


def on_a_terminal(stream: str, *arguments: object, **changes: str) -> str:
    """Run the program with ``stream`` on a terminal, and return what it wrote there."""
    ours, theirs = pty.openpty()
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, stream: theirs}
    with subprocess.Popen(
        [*PROGRAM, *map(str, arguments)],
        stdout=streams["stdout"],
        stderr=streams["stderr"],
        env=environment(**changes),
    ) as process:
        os.close(theirs)
        written = b""
        try:
            while some := os.read(ours, 65_536):
                written += some
        except OSError:
            pass  # how Linux says that nobody has the other end open any more
        assert process.wait(LIMIT) == 0, written
    os.close(ours)
    return written.decode()


# -- exit codes -------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [[], ["fly"], ["replay"], ["replay", "x", "--fly"]])
def test_a_senseless_command_line_is_usage(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """What argparse cannot read ends with code 2 and the usage on stderr."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("usage: hotelcore")
    assert captured.out == ""


@pytest.mark.parametrize("limit", ["0", "-1", "x", "1.5", "²"])
def test_a_limit_is_a_number_above_zero(limit: str, capsys: pytest.CaptureFixture[str]) -> None:
    """``--limit-rows`` of no row, or of no number, is usage."""
    with pytest.raises(SystemExit) as ended:
        main(["replay", "x.csv", f"--limit-rows={limit}"])
    assert ended.value.code == 2
    assert "whole number above zero" in capsys.readouterr().err


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """``--help`` of each command works."""
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: hotelcore {name} ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["replay"], "Live through the bookings of a real hotel, from a CSV file."),
        (["db", "grant"], "Give a PostgreSQL role exactly what an application needs, and no more."),
        (["audit", "export"], "Write every entry as a line of JSON, and each hotel's head behind"),
        (
            ["events", "asyncapi"],
            "Print the AsyncAPI document of all events, without any",
        ),
    ],
)
def test_help_keeps_the_capitals_of_names(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A purpose becomes a sentence, in which names are written as they are."""
    with pytest.raises(SystemExit):
        main([*arguments, "--help"])
    assert said in " ".join(capsys.readouterr().out.split())


def test_help_lists_every_command_and_loads_none() -> None:
    """The list of commands is there without importing what they need."""
    code = (
        "import sys\nfrom hotelcore.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "assert 'sqlalchemy' not in sys.modules\n"
    )
    listed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=LIMIT, check=True
    )
    assert all(f"  {name} " in listed.stdout for name in COMMANDS)


# -- files that are none ----------------------------------------------------------------------

HEADER = as_csv([])
BAD_FILES: Mapping[str, tuple[bytes, str]] = {
    "nothing": (b"", "lacks the columns hotel, lead_time"),
    "a header alone": (HEADER, "holds no booking"),
    "another table": (b"name,price\r\nx,1\r\n", "lacks the columns hotel"),
    "one column less": (HEADER.replace(b"adr,", b""), "lacks the columns adr"),
    "binary": (bytes(range(256)), "CSV: "),
    "Latin-1": (as_csv([stay(hotel="H\u00f4tel")]).replace(b"\xc3\xb4", b"\xf4"), "is no text"),
    "a damaged archive": (gzip.compress(as_csv([stay()]))[:-20], "CSV: "),
    "no archive at all": (b"\x1f\x8b and then text", "CSV: "),
    "a cut row": (HEADER + b"Resort Hotel,0,10\r\n", "row 1, "),
    "a month of no calendar": (as_csv([stay(), stay(arrival_date_month="Juillet")]), "row 2, "),
    "a day of no month": (as_csv([stay(arrival_date_day_of_month="32")]), "row 1, "),
    "a stay of years": (as_csv([stay(nights=1_000)]), "row 1, stays_in_week_nights"),
    "a rate of no money": (as_csv([stay(adr="nan")]), "row 1, adr"),
    "a third decimal": (as_csv([stay(adr="1.005")]), "row 1, adr"),
    "an unknown outcome": (as_csv([stay(reservation_status="Lost")]), "row 1, reservation_status"),
    "less than nobody": (as_csv([stay(adults="-1")]), "row 1, adults"),
    "before the calendar": (as_csv([stay("1900-01-02", lead_time="9")]), "row 1, lead_time"),
    "no room type": (as_csv([stay(assigned_room_type=" ")]), "row 1, assigned_room_type"),
}


@pytest.mark.parametrize("bad", BAD_FILES)
def test_a_bad_file_is_named_and_nothing_else_happens(
    bad: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What cannot be replayed is refused in one line, with the row and column of the mistake."""
    content, complaint = BAD_FILES[bad]
    file = tmp_path / "file"
    file.write_bytes(content)
    assert main(["replay", str(file)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert complaint in captured.err
    assert captured.err.startswith("hotelcore: ")
    assert captured.err.count("\n") == 1


def test_a_file_that_is_not_there_is_named_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A missing file and a folder are complaints, no tracebacks."""
    for place in (tmp_path / "missing.csv", tmp_path):
        assert main(["replay", str(place)]) == 1
        assert capsys.readouterr().err.startswith("hotelcore: CSV: cannot be read")


@pytest.mark.parametrize(
    "url",
    ["nonsense", "mysql://host/x", "sqlite:////nowhere/at/all/x.db", "postgresql://127.0.0.1:1"],
)
def test_a_database_that_cannot_be_had_is_named_in_one_line(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A URL that is none, or leads nowhere, is a complaint without driver text."""
    assert main(["replay", str(plain_file(tmp_path, [stay()])), "--database", url]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("hotelcore: ")
    assert captured.err.count("\n") == 1


# -- streams ----------------------------------------------------------------------------------


def test_json_stands_alone_on_stdout(tmp_path: Path) -> None:
    """With ``--json`` stdout holds the document only; what moves goes to stderr."""
    done = ran("replay", plain_file(tmp_path, [stay()]), "--json")
    assert done.returncode == 0
    assert done.stdout.startswith("{")
    assert done.stdout.endswith("}\n")
    assert "Resort Hotel: 100 %" in done.stderr


@pytest.mark.parametrize(
    "arguments", [["--help"], ["replay", "FILE"], ["replay", "FILE", "--json"]]
)
def test_a_closed_pipe_is_no_traceback(arguments: list[str], tmp_path: Path) -> None:
    """When nobody reads any more, the program goes quietly, as one that SIGPIPE ended."""
    file = str(plain_file(tmp_path, [stay()]))
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*PROGRAM, *(file if part == "FILE" else part for part in arguments)],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        timeout=LIMIT,
        env=environment(),
    )
    os.close(writing)
    assert done.returncode == 141
    assert not [line for line in done.stderr.splitlines() if "%" not in line]


def test_a_full_disk_is_a_complaint(tmp_path: Path) -> None:
    """Output that cannot be written is a failure, said in one line."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*PROGRAM, "--help"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=LIMIT
        )
    assert done.returncode == 1
    assert done.stderr == "hotelcore: the output failed: No space left on device\n"


def test_an_old_terminal_gets_question_marks(tmp_path: Path) -> None:
    """A name that the output's encoding lacks is shown as far as it goes."""
    file = plain_file(tmp_path, [stay(hotel="H\u00f4tel")])
    done = ran("replay", file, PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert "H?tel, 2015" in done.stdout


def test_an_interrupt_ends_the_work_and_leaves_nothing(tmp_path: Path) -> None:
    """Ctrl-C in the middle gives code 130, no traceback, and no database left behind."""
    rows = [stay(f"2015-{month:02}-{day:02}") for month in range(1, 13) for day in range(1, 29)]
    file, left = plain_file(tmp_path, rows), tmp_path / "left"
    left.mkdir()
    with subprocess.Popen(
        [*PROGRAM, "replay", str(file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(TMPDIR=str(left)),
    ) as process:
        assert process.stderr is not None
        assert "10 %" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 130
    assert err.splitlines()[-1] == "hotelcore: interrupted"
    assert "Traceback" not in err
    assert out == ""
    assert not list(left.iterdir())


# -- terminals --------------------------------------------------------------------------------


def test_a_terminal_gets_colour_unless_it_asks_for_none(tmp_path: Path) -> None:
    """Colour is for terminals, and ``NO_COLOR`` takes it away; the words stay the same."""
    file = plain_file(tmp_path, [stay()])
    assert "\x1b[32mok" in on_a_terminal("stdout", "replay", file)
    plain = on_a_terminal("stdout", "replay", file, NO_COLOR="1")
    assert "ok      every row is a booking" in plain
    assert "\x1b" not in plain


def test_a_terminal_gets_a_progress_bar(tmp_path: Path) -> None:
    """On a terminal a bar moves, and is gone when the work is done; ``NO_COLOR`` makes it grey."""
    file = plain_file(tmp_path, [stay()])
    assert "\x1b[2K" in on_a_terminal("stderr", "replay", file)
    grey = on_a_terminal("stderr", "replay", file, NO_COLOR="1")
    assert "\x1b[2K" in grey
    assert not [code for code in grey.split("\x1b[") if code.startswith(("3", "9"))]


def test_a_dumb_terminal_gets_plain_lines(tmp_path: Path) -> None:
    """A terminal that understands no escape gets none."""
    file = plain_file(tmp_path, [stay()])
    results = on_a_terminal("stdout", "replay", file, TERM="dumb")
    progress = on_a_terminal("stderr", "replay", file, TERM="dumb")
    assert "ok      every row is a booking" in results
    assert "Resort Hotel: 100 %" in progress
    assert "\x1b" not in results + progress


def test_without_rich_a_terminal_gets_plain_lines(tmp_path: Path) -> None:
    """Rich is an extra: where it is missing the same lines come without colour."""
    missing = tmp_path / "missing" / "rich"
    missing.mkdir(parents=True)
    (missing / "__init__.py").write_text("raise ModuleNotFoundError(name='rich')")
    path = os.pathsep.join([str(missing.parent), os.environ.get("PYTHONPATH", "")])
    file = plain_file(tmp_path, [stay()])
    results = on_a_terminal("stdout", "replay", file, PYTHONPATH=path)
    progress = on_a_terminal("stderr", "replay", file, PYTHONPATH=path)
    assert "ok      every row is a booking" in results
    assert "Resort Hotel: 100 %" in progress
    assert "\x1b" not in results + progress


def test_a_file_gets_plain_lines(tmp_path: Path) -> None:
    """Nothing fancy where no terminal is."""
    done = ran("replay", plain_file(tmp_path, [stay()]))
    assert "\x1b" not in done.stdout + done.stderr
