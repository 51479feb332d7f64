"""Suites that prove what a team puts in place of a part of the library, promise by promise.

Subclass one under a name that begins with ``Test`` and give it what it asks for. pytest runs its
checks, each of which is one promise, and says in plain words which promise was broken. Nothing here
imports pytest.

`RepositoryContract`, `VersionedContract`, `PagedContract`, `ManyContract`
    a repository, over our tables or over some of yours
`TransportContract`
    what carries events to another process
`KeyProviderContract`
    where the keys come from that seal secrets
`PmsAdapterContract`
    a connection to a property management system
`PolicyContract`
    what each role may do
"""

from __future__ import annotations

from hotelcore.testing.contracts.keys import KeyProviderContract
from hotelcore.testing.contracts.pms import PmsAdapterContract, RemoteSystem
from hotelcore.testing.contracts.policies import PolicyContract
from hotelcore.testing.contracts.promises import PromiseBroken, promises_of, run_checks
from hotelcore.testing.contracts.repositories import (
    ManyContract,
    PagedContract,
    RepositoryContract,
    VersionedContract,
)
from hotelcore.testing.contracts.transports import Route, TransportContract

__all__ = [
    "KeyProviderContract",
    "ManyContract",
    "PagedContract",
    "PmsAdapterContract",
    "PolicyContract",
    "PromiseBroken",
    "RemoteSystem",
    "RepositoryContract",
    "Route",
    "TransportContract",
    "VersionedContract",
    "promises_of",
    "run_checks",
]
