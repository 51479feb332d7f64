"""What a downstream team tests with: stand-ins that keep the library's promises in memory."""

from __future__ import annotations

from hotelcore.testing.pms import AsyncScriptedPms, ScriptedPms

__all__ = ["AsyncScriptedPms", "ScriptedPms"]
