"""What a downstream team tests with.

`hotelcore.testing.contracts`
    suites that prove a repository, transport, key provider, PMS adapter or policy of yours
`hotelcore.testing.faults`
    lets the n-th call to the database driver fail, before or after it went through
`hotelcore.testing.killing`
    kills a process at work, and tells what it had acknowledged
`hotelcore.testing.hotels`
    a small hotel at work; the fixtures that pytest finds by itself open it
`hotelcore.testing.machine`
    the state machine over three hotels, each held against a hotel that is alone
`hotelcore.testing.strategies`
    named Hypothesis strategies for values
`hotelcore.testing.worlds`
    everything a hotel has in a database, to be compared
`hotelcore.testing.pms`
    stand-ins for a property management system, that keep the library's promises in memory
"""

from __future__ import annotations

from hotelcore.testing.pms import AsyncScriptedPms, ScriptedPms

__all__ = ["AsyncScriptedPms", "ScriptedPms"]
