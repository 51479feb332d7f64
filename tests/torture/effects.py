"""A table of the host's, and a durable subscription that writes a row there for every event."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from random import Random
from threading import Event as Flag
from uuid import UUID

from sqlalchemy import Column, Engine, Integer, MetaData, String, Table, TypedColumns, Uuid, insert

from hotelcore import HotelCore
from hotelcore.events.catalogue import CATALOGUE, Event
from hotelcore.subscriptions import Delivery
from tests.torture.notes import Notes
from tests.torture.scenes import Scene

__all__ = ["EFFECTS", "LEASE", "SUBSCRIPTION", "deliveries_in", "make_effects", "subscribe"]

SUBSCRIPTION = "effects"

LEASE = timedelta(seconds=2)
"""How long an event may be under way."""

# Of a hundred attempts so many fail with their rows written, so many forget to commit, and so many
# take until somebody else has the event.
_FAILING, _FORGETTING, _SLOW = 2.0, 0.3, 0.5


class EffectColumns(TypedColumns):
    """An effect's columns; nothing but the library keeps an event from having two."""

    serial: Column[int] = Column(Integer, primary_key=True)
    event_id: Column[UUID] = Column(Uuid, nullable=False)
    hotel_id: Column[UUID] = Column(Uuid, nullable=False)
    key: Column[UUID] = Column(Uuid, nullable=False)
    sequence: Column[int] = Column(Integer, nullable=False)
    name: Column[str] = Column(String, nullable=False)


EFFECTS = Table("effect", MetaData(), EffectColumns)
"""What the handler did, in the order in which it did it."""


def make_effects(engine: Engine) -> None:
    """Create the table."""
    EFFECTS.metadata.create_all(engine)


def deliveries_in(folder: Path) -> Path:
    """Return the file in which every begun delivery is noted by the id of its event."""
    return folder / "deliveries.notes"


class Stumbled(Exception):
    """What the handler raises now and then."""


def subscribe(core: HotelCore, scene: Scene) -> None:
    """Have every event leave one row, in the transaction in which it is handled."""
    notes = Notes(deliveries_in(scene.folder))

    def handle(delivery: Delivery[Event]) -> None:
        envelope = delivery.envelope
        notes.add(envelope.id.hex)
        dice = Random(f"{scene.seed}/{envelope.key}/{envelope.sequence}/{delivery.attempt}")
        luck = dice.uniform(0, 100)
        if 50 < luck < 50 + _SLOW:
            Flag().wait(1.2 * LEASE.total_seconds())
        with core.engine.connect() as connection, connection.begin() as transaction:
            with delivery.joining(connection):
                row = {name: getattr(envelope, name) for name in ("hotel_id", "key", "sequence")}
                row |= {"event_id": envelope.id, "name": envelope.name}
                connection.execute(insert(EFFECTS), row)
            if luck < _FAILING:
                raise Stumbled
            if luck > 100 - _FORGETTING:
                transaction.rollback()

    for kind in CATALOGUE.values():
        core.subscriptions.durable(
            kind,
            name=SUBSCRIPTION,
            attempts=1_000,
            first_pause=timedelta(milliseconds=20),
            longest_pause=timedelta(milliseconds=200),
        )(handle)
