"""Whatever somebody does to an audit log by raw SQL is found: 1,000 times of 1,000.

`HOTELCORE_TAMPERINGS` says how often each kind of database is tampered with (60).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from random import Random

import pytest
from attrs import frozen

from hotelcore import HotelCore
from hotelcore.domain.audit import AuditHead, AuditReport, Outcome
from hotelcore.sql.audit.log import AUDIT_LOG
from hotelcore.sql.upkeep.audit_verifying import verify
from tests.audit.conftest import KEYS
from tests.audit.tampering import ENDS, UNLOCKING, WAYS, Scene, Tampering, Way, other_value
from tests.audit.work import live
from tests.records import RECORD
from tests.small_hotel import open_hotel, shared_core

pytestmark = pytest.mark.long

TIMES = int(os.environ.get("HOTELCORE_TAMPERINGS", "60"))


@frozen
class Target:
    """A log to tamper with, and the core over it."""

    core: HotelCore
    scene: Scene

    @contextmanager
    def tampered(self, way: Way, chance: Random) -> Iterator[Callable[..., AuditReport]]:
        """Tamper, lend what verifies the result, and undo it all."""
        with self.core.engine.connect() as connection, connection.begin() as transaction:
            for statement in UNLOCKING[connection.dialect.name]:
                connection.exec_driver_sql(statement)
            way(Tampering(connection, self.scene, chance))

            def verified(since: AuditHead | None = None) -> AuditReport:
                return verify(connection, self.scene.hotel_id, KEYS, since=since)

            yield verified
            transaction.rollback()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def target(request: pytest.FixtureRequest) -> Generator[Target]:
    """Return a log of some forty entries of all kinds."""
    with shared_core(request) as unkeyed:
        core = HotelCore(unkeyed.engine, keys=KEYS)
        hotel, other = open_hotel(core), open_hotel(core)
        live(hotel, 12, Random(4))
        early = core.verify_audit(hotel.hotel_id).head
        live(hotel, 12, Random(5))
        report = core.verify_audit(hotel.hotel_id)
        assert report.ok
        yield Target(core, Scene(hotel.hotel_id, other.hotel_id, report.head, early))


def test_every_tampering_is_found(
    target: Target, record_property: Callable[[str, object], None]
) -> None:
    """Edited, removed, forged, copied, exchanged, cut off, rechained: the log itself shows it."""
    chance, missed = Random(20_261_126), []
    for number in range(TIMES):
        name = list(WAYS)[number % len(WAYS)]
        with target.tampered(WAYS[name], chance) as verified:
            report = verified()
            if report.ok or not report.problems:
                missed.append((number, name))
    record_property(RECORD, f"{TIMES:,} tamperings, {len(missed)} missed")
    assert missed == []
    assert target.core.verify_audit(target.scene.hotel_id, since=target.scene.head).ok


def test_a_cut_that_took_the_head_along_is_found_by_an_exported_one(target: Target) -> None:
    """A log that ends earlier, or is an older copy, was whole once: only what was kept shows it."""
    chance = Random(20_261_127)
    for number in range(max(len(ENDS), TIMES // 4)):
        name = list(ENDS)[number % len(ENDS)]
        with target.tampered(ENDS[name], chance) as verified:
            assert verified().ok, name
            assert not verified(target.scene.head).ok, name


def test_a_log_written_anew_by_who_has_the_key_is_found_by_an_exported_head(target: Target) -> None:
    """Even with the key nobody makes another history that ends where the kept head does."""

    def rewrite(it: Tampering) -> None:
        it.set(it.chance.randint(1, it.scene.early.sequence), subject="nobody")
        it.rechain(KEYS.current())

    with target.tampered(rewrite, Random(3)) as verified:
        assert verified().ok
        for head in (target.scene.early, target.scene.head):
            report = verified(head)
            assert not report.ok


def test_every_column_counts(target: Target) -> None:
    """No column of an entry can be changed unseen, of what was done or of what was denied."""
    tried = 0

    def edit(it: Tampering) -> None:
        nonlocal tried
        for row in it.rows():
            values = other_value(column, row, it.chance)
            if row.outcome == outcome and any(
                getattr(row, name) != value for name, value in values.items()
            ):
                it.set(row.sequence, **values)
                tried += 1
                return

    for column in set(AUDIT_LOG.columns.keys()) - {"hotel_id"}:
        for outcome in Outcome:
            with target.tampered(edit, Random(1)) as verified:
                assert not verified().ok, (column, outcome)
    assert tried == 2 * (len(AUDIT_LOG.columns) - 1)


@pytest.mark.parametrize("way", [*WAYS, *ENDS])
def test_each_way_tampers(target: Target, way: str) -> None:
    """No way leaves the log as it was, whatever the chance."""
    ways: Mapping[str, Way] = {**WAYS, **ENDS}
    for seed in range(3):
        with target.tampered(ways[way], Random(seed)) as verified:
            assert not verified(target.scene.head).ok
