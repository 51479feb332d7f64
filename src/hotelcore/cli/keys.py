"""``hotelcore keys``: make keys, have secrets sealed under a new one, see which are in use."""

from __future__ import annotations

import secrets
from argparse import ArgumentParser, Namespace
from base64 import b64encode
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

from hotelcore.access import Role
from hotelcore.cli.output import Output
from hotelcore.cli.purposes import sentence
from hotelcore.cli.tables import add_table_names, core_over, names_in
from hotelcore.core import HotelCore
from hotelcore.domain.sealed import Resealed
from hotelcore.errors import InvalidInput
from hotelcore.ids import HotelId
from hotelcore.operations.sealed import reseal_secrets
from hotelcore.sql.events.backlog import registered_hotels
from hotelcore.sql.sealing.sealed import sealed_by_key
from hotelcore.sql.upkeep.key_use import KeyUse, use_of_keys
from hotelcore.tenancy import Actor
from hotelcore.vault import KEY_BYTES, KeyRing, key_variable, number_of_variable

__all__ = ["add_arguments", "run"]

# A synchronisation may hold the row of a connection for as long as its own limits say.
_WAIT, _LONG = timedelta(seconds=30), timedelta(minutes=2)


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the actions, and where the tables are."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for action, purpose in (
        ("generate", "print a new key, and the environment variable that it belongs into"),
        ("rotate", "seal everything anew that is not under the key with the highest number"),
        ("status", "count what is under which key, and say which keys can go"),
    ):
        of_action = actions.add_parser(action, help=purpose, description=sentence(purpose))
        if action != "generate":
            of_action.add_argument(
                "--database", metavar="URL", required=True, help="where the tables are"
            )
            add_table_names(of_action)
        of_action.add_argument("--json", action="store_true", help="print one JSON document")


def run(arguments: Namespace) -> int:
    """Do the action; failures are the caller's to report."""
    output = Output(as_json=arguments.json)
    if arguments.action == "generate":
        return _generate(output)
    keys = KeyRing.from_environment()
    with core_over(arguments.database, names_in(arguments), keys=keys) as core:
        with core._serving() as serving:
            hotels = registered_hotels(serving)
        if arguments.action == "rotate":
            return _rotate(core, keys, hotels, output)
        return _status(core, keys, hotels, output)


# -- generate ---------------------------------------------------------------------------------


def _generate(output: Output) -> int:
    variable = _next_variable()
    key = b64encode(secrets.token_bytes(KEY_BYTES)).decode()
    output.line(f"{variable}={key}")
    output.document({"variable": variable, "key": key})
    return 0


def _next_variable() -> str:
    """Name the variable that is missing or useless, or else the one behind the current key's."""
    try:
        return key_variable(KeyRing.from_environment().current().number + 1)
    except InvalidInput as refusal:
        if number_of_variable(refusal.field) is None:
            raise
        return refusal.field


# -- rotate -----------------------------------------------------------------------------------


def _rotate(core: HotelCore, keys: KeyRing, hotels: Sequence[HotelId], output: Output) -> int:
    current = keys.current().number
    done = broken = left = 0
    with output.progress("sealing anew", total=max(len(hotels), 1)) as step:
        for hotel_id in hotels:
            if _under_others(core, hotel_id, current):
                rotated = _rotate_hotel(core, hotel_id)
                done, broken = done + rotated.resealed, broken + rotated.broken
                left += _under_others(core, hotel_id, current)
            step()
    output.line(f"{done} sealed anew under key {current}")
    if broken:
        output.line(f"{broken} do not open: they were changed, or their key is missing")
    if left > broken:
        output.line(f"{left - broken} were sealed under another key meanwhile: run it again")
    output.document({"current": current, "resealed": done, "broken": broken, "left": left})
    return 1 if left else 0


def _under_others(core: HotelCore, hotel_id: HotelId, current: int) -> int:
    with core._serving(hotel_id) as serving:
        sealed = sealed_by_key(serving)
    return sealed.total() - sealed[current]


def _rotate_hotel(core: HotelCore, hotel_id: HotelId) -> Resealed:
    """Seal a hotel's values anew in as many short transactions as that takes."""
    actor = Actor(hotel_id=hotel_id, subject="command-line", role=Role.ADMIN)
    desk = core.acting_as(actor).within(wait_limit=_WAIT, time_limit=_LONG)
    done = 0
    while (result := desk.run(reseal_secrets)).more:
        done += result.resealed
    return Resealed(resealed=done + result.resealed, broken=result.broken)


# -- status -----------------------------------------------------------------------------------


def _status(core: HotelCore, keys: KeyRing, hotels: Sequence[HotelId], output: Output) -> int:
    use = _use(core, hotels)
    current = keys.current().number
    used = {number for number in use.sealed if number is not None}.union(use.audit)
    rows = [
        {
            "number": number,
            "sealed": use.sealed[number],
            "audit_entries": use.audit[number],
            "state": _state(number, keys, use),
        }
        for number in sorted(used.union(keys.numbers))
    ]
    headers = ("number", "sealed", "audit entries", "state")
    output.table(headers, [tuple(row.values()) for row in rows])
    strange = use.sealed[None]
    if strange:
        output.line(f"{strange} values are no envelopes: somebody changed them")
    output.document({"current": current, "keys": rows, "no_envelopes": strange})
    return 1 if strange or any(row["state"] == _MISSING for row in rows) else 0


_MISSING = "missing from the ring"


def _state(number: int, keys: KeyRing, use: KeyUse) -> str:
    if number not in keys.numbers:
        return _MISSING
    if number == keys.current().number:
        return "current"
    if use.sealed[number]:
        return "in use until you rotate"
    if use.audit[number]:
        return "needed to verify the audit log"
    return "can go"


def _use(core: HotelCore, hotels: Sequence[HotelId]) -> KeyUse:
    total = KeyUse(sealed=Counter(), audit=Counter())
    for hotel_id in hotels:
        with core._serving(hotel_id) as serving:
            total += use_of_keys(serving)
    return total
