"""The audit log, as it is read."""

from __future__ import annotations

from typing import Protocol

from hotelcore.domain.audit import AuditLogEntry
from hotelcore.lists import AuditFilter, Page

__all__ = ["AuditLog"]


class AuditLog(Protocol):
    """The hotel's audit entries; the unit of work alone adds to them."""

    def page(
        self, which: AuditFilter, *, after: str | None = None, limit: int = 50
    ) -> Page[AuditLogEntry]:
        """Return entries, newest first."""
        ...
