"""``hotelcore audit``: verify the audit logs of hotels, and export them.

The keys come from ``PMS_ENCRYPTION_KEY`` and its numbered siblings, if any is set. An export is a
line of JSON for each entry, and behind the last one of each hotel a line with its head.
"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO
from uuid import UUID

from attrs import frozen

from hotelcore import wire
from hotelcore.cli.output import Output
from hotelcore.cli.purposes import sentence
from hotelcore.cli.tables import add_table_names, core_over, names_in
from hotelcore.core import HotelCore
from hotelcore.domain.audit import AuditHead, AuditReport
from hotelcore.errors import InvalidInput
from hotelcore.ids import HotelId
from hotelcore.sql.events.backlog import registered_hotels
from hotelcore.sql.schema import TableNames
from hotelcore.sql.seam.limits import Limits
from hotelcore.sql.seam.translation import translated
from hotelcore.sql.upkeep.audit_verifying import StoredEntry, verify
from hotelcore.sql.upkeep.proofs import snapshot

__all__ = ["add_arguments", "run"]


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the actions, and where the tables are."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for action, purpose in (
        ("verify", "fail unless every entry is there and as it was written"),
        ("export", "write every entry as a line of JSON, and each hotel's head behind its last"),
    ):
        of_action = actions.add_parser(action, help=purpose, description=sentence(purpose))
        of_action.add_argument(
            "--database", metavar="URL", required=True, help="where the tables are"
        )
        add_table_names(of_action)
        of_action.add_argument(
            "--hotel", metavar="ID", type=_hotel, help="only this hotel (all of them)"
        )
        of_action.add_argument(
            "--head",
            metavar="FILE",
            type=Path,
            help="an earlier export, or document of verify --json, which shows what was cut off",
        )
        if action == "verify":
            of_action.add_argument("--json", action="store_true", help="print one JSON document")
        else:
            of_action.add_argument("--output", metavar="FILE", type=Path, help="where to (stdout)")


def _hotel(text: str) -> HotelId:
    try:
        return HotelId(UUID(text))
    except ValueError:
        raise ArgumentTypeError("must be a UUID") from None


def run(arguments: Namespace) -> int:
    """Do the action; 1 if a log is not whole, or a known hotel not there, or its head not kept."""
    kept = _Kept(None if arguments.head is None else _heads_in(arguments.head))
    names = names_in(arguments)
    with core_over(arguments.database, names) as core:
        hotels = _chosen(core, arguments.hotel, kept)
        if arguments.action == "verify":
            return _verify(core, names, hotels, kept, Output(as_json=arguments.json))
        with _written_to(arguments.output) as file:
            return _export(core, names, hotels, kept, file)


def _chosen(core: HotelCore, hotel_id: HotelId | None, kept: _Kept) -> Sequence[HotelId]:
    if hotel_id is not None:
        return [hotel_id]
    with core._serving() as serving:
        registered = registered_hotels(serving)
    # A hotel that was there once is asked for too, so that its absence is told.
    return [*registered, *(hotel_id for hotel_id in kept.heads or () if hotel_id not in registered)]


# -- the heads that were kept -------------------------------------------------------------------


@frozen
class _Kept:
    """The heads of an earlier export; None where no file of them was named."""

    heads: Mapping[HotelId, AuditHead] | None

    def of(self, hotel_id: HotelId) -> AuditHead | None:
        """Return the hotel's head, if there is one."""
        return None if self.heads is None else self.heads.get(hotel_id)

    def lacks(self, hotel_id: HotelId) -> bool:
        """Tell whether a file was named that does not show where the hotel's log ended."""
        return self.heads is not None and hotel_id not in self.heads


def _heads_in(file: Path) -> Mapping[HotelId, AuditHead]:
    """Return the heads in an export, or in the document of a verification; the last ones count."""
    try:
        text = file.read_text(encoding="utf-8")
        heads = [wire.decode(data, AuditHead) for data in _head_data(text)]
    except (OSError, ValueError, TypeError, KeyError):
        raise InvalidInput("head", "must be a file that hotelcore audit wrote") from None
    if not heads:
        raise InvalidInput(
            "head",
            "holds no head, so it was cut short or is another file: without one a log whose end "
            "was cut off looks whole; name an export that ended well",
        )
    return {head.hotel_id: head for head in heads}


def _head_data(text: str) -> Iterator[wire.Json]:
    try:
        documents = json.loads(text)["hotels"]
    except (ValueError, KeyError):  # many lines, or the one of an empty log
        documents = map(json.loads, text.splitlines())
    for document in documents:
        if "head" in document:
            yield document["head"]


# -- the actions --------------------------------------------------------------------------------


def _verify(
    core: HotelCore,
    names: TableNames,
    hotels: Sequence[HotelId],
    kept: _Kept,
    output: Output,
) -> int:
    reports = [_report(core, names, hotel_id, kept) for hotel_id in hotels]
    for report in reports:
        verdict = _verdict(report, kept)
        output.line(f"{report.head.hotel_id}  {report.entries} entries: {verdict}")
        for problem in report.problems:
            output.line(f"  at {problem.sequence}: {problem.fault}")
    without = [hotel_id for hotel_id in hotels if kept.lacks(hotel_id)]
    _tell(without)
    ok = all(report.ok for report in reports) and not without
    output.document(
        {
            "ok": ok,
            "hotels": [wire.encode(report) for report in reports],
            "without_head": [str(hotel_id) for hotel_id in without],
        }
    )
    return 0 if ok else 1


def _verdict(report: AuditReport, kept: _Kept) -> str:
    if not report.ok:
        return f"{report.found} problems"
    return "its end is not shown" if kept.lacks(report.head.hotel_id) else "whole"


def _tell(without: Sequence[HotelId]) -> None:
    for hotel_id in without:
        print(
            f"hotelcore: {hotel_id}: the file has no head of this hotel, so nothing shows whether "
            "the end of its log was cut off: name a file that has it; if the hotel is newer than "
            "the file, verify it by --hotel without --head, and keep a new export",
            file=sys.stderr,
        )


def _export(
    core: HotelCore,
    names: TableNames,
    hotels: Sequence[HotelId],
    kept: _Kept,
    file: TextIO,
) -> int:
    def written(entry: StoredEntry) -> None:
        print(json.dumps(_line(entry), sort_keys=True), file=file)

    without = [hotel_id for hotel_id in hotels if kept.lacks(hotel_id)]
    _tell(without)
    ok = not without
    for hotel_id in hotels:
        report = _report(core, names, hotel_id, kept, written)
        print(json.dumps({"head": wire.encode(report.head)}), file=file)
        if not report.ok:
            ok = False
            print(f"hotelcore: {hotel_id}: {report.found} problems, see verify", file=sys.stderr)
    return 0 if ok else 1


def _line(entry: StoredEntry) -> Mapping[str, object]:
    if entry.content is None or not isinstance(entry.mac, bytes):
        return {"unreadable": True, "sequence": str(entry.sequence)}
    return {**entry.content, "mac": entry.mac.hex()}


def _report(
    core: HotelCore,
    names: TableNames,
    hotel_id: HotelId,
    kept: _Kept,
    seen: Callable[[StoredEntry], None] = lambda _: None,
) -> AuditReport:
    with (
        translated(Limits()),
        core.engine.connect() as connection,
        snapshot(connection, names) as whole,
    ):
        return verify(whole, hotel_id, core._keys, since=kept.of(hotel_id), seen=seen)


@contextmanager
def _written_to(path: Path | None) -> Iterator[TextIO]:
    if path is None:
        yield sys.stdout
        return
    with path.open("w", encoding="utf-8") as file:
        yield file
