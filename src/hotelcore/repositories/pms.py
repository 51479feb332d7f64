"""The connection to another system, and what was mapped through it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from hotelcore.domain.pms import ExternalMapping, ExternalPMSConfig, PmsResource
from hotelcore.errors import HotelcoreError
from hotelcore.vault import Secret

__all__ = ["PmsConnections"]


class PmsConnections(Protocol):
    """The hotel's PMS connection, the key that it needs, and what was mapped through it."""

    def add(self, config: ExternalPMSConfig) -> None:
        """Store the connection, without a key; `AlreadyExists` if the hotel has one."""
        ...

    def current(self) -> ExternalPMSConfig:
        """Return the connection; `NotFound` if there is none."""
        ...

    def lock(self) -> ExternalPMSConfig:
        """Return the connection, locked, so that two syncs run one after the other."""
        ...

    def update(self, config: ExternalPMSConfig) -> ExternalPMSConfig:
        """Store the connection; its key stays. See `hotelcore.repositories` on versions."""
        ...

    def set_key(self, config: ExternalPMSConfig, key: Secret | None) -> ExternalPMSConfig:
        """Store the PMS's key, sealed, or forget it; see `hotelcore.repositories` on versions.

        `NoKeys` if the core was given no keys to seal with.
        """
        ...

    def api_key(self) -> Secret:
        """Return the PMS's key; needs `Permission.PMS_MANAGE`.

        `NotFound` if there is no connection or no key, `NoKeys` if the core has none to open it
        with, `SealBroken` if it does not open.
        """
        ...

    def remove(self, config: ExternalPMSConfig) -> None:
        """Remove the connection with its key and mappings; what was taken over stays."""
        ...

    def mappings(
        self, resource: PmsResource, external_ids: Collection[str]
    ) -> Mapping[str, ExternalMapping]:
        """Return the known mappings of some external ids, by external id."""
        ...

    def put_mappings(
        self, mappings: Sequence[ExternalMapping], *, twice: Callable[[], HotelcoreError]
    ) -> None:
        """Store mappings, also anew; ``twice`` makes the error for an id mapped otherwise."""
        ...
