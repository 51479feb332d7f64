"""hotelcore: the core of hotel software, for many hotels in one database.

A host constructs a `HotelCore` (or `AsyncHotelCore`), asks it for a handle with ``acting_as``, and
runs the operations of `hotelcore.operations` through it. The map of the house:

``hotelcore.domain``        frozen values and entities, and the rules between them
``hotelcore.operations``    what can be done: plain functions of a unit of work
``hotelcore.unit_of_work``  what an operation works on
``hotelcore.repositories``  what it asks of storage, one Protocol an aggregate
``hotelcore.events``        the facts that are reported, and the bus
``hotelcore.sql``           storage in SQLite and PostgreSQL
``hotelcore.watching``      what is told of statements, units of work and the pool
``hotelcore.vault``         secrets, and the keys that seal them
``hotelcore.pms``           what an adapter to another system promises
``hotelcore.access``        roles, permissions and the policy that joins them
``hotelcore.identity``      from a verified token to who acts in which hotel
``hotelcore.errors``        everything that can be raised
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hotelcore.access import Permission, Role
    from hotelcore.core import AsyncHotelCore, HotelCore
    from hotelcore.domain.money import Money
    from hotelcore.domain.stays import Stay
    from hotelcore.errors import HotelcoreError
    from hotelcore.ids import HotelId, new_id
    from hotelcore.sql.schema import TableNames
    from hotelcore.sql.seam.limits import Limits
    from hotelcore.tenancy import Actor
    from hotelcore.vault import KeyRing, Secret

__all__ = [
    "Actor",
    "AsyncHotelCore",
    "HotelCore",
    "HotelId",
    "HotelcoreError",
    "KeyRing",
    "Limits",
    "Money",
    "Permission",
    "Role",
    "Secret",
    "Stay",
    "TableNames",
    "new_id",
]

# Each is imported when it is first asked for, so that nobody pays for what he does not use: the
# database for who only handles values, the values for a command line that only shows its help.
_WHERE = {
    "Actor": "hotelcore.tenancy",
    "AsyncHotelCore": "hotelcore.core",
    "HotelCore": "hotelcore.core",
    "HotelId": "hotelcore.ids",
    "HotelcoreError": "hotelcore.errors",
    "KeyRing": "hotelcore.vault",
    "Limits": "hotelcore.sql.seam.limits",
    "Money": "hotelcore.domain.money",
    "Permission": "hotelcore.access",
    "Role": "hotelcore.access",
    "Secret": "hotelcore.vault",
    "Stay": "hotelcore.domain.stays",
    "TableNames": "hotelcore.sql.schema",
    "new_id": "hotelcore.ids",
}


def __getattr__(name: str) -> object:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = globals()[name] = getattr(import_module(_WHERE[name]), name)
    return found


def __dir__() -> list[str]:
    return __all__
