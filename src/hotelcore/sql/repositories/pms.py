"""The PMS connection and its mappings: tables, row mapping and repository."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import attrs
from sqlalchemy import (
    Column,
    ForeignKeyConstraint,
    Index,
    Select,
    String,
    Table,
    TypedColumns,
    bindparam,
    column,
    delete,
    func,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY

from hotelcore.access import Permission
from hotelcore.domain.fields import Attributes
from hotelcore.domain.pms import ExternalMapping, ExternalPMSConfig, PmsResource
from hotelcore.errors import AlreadyExists, NotFound, StaleVersion
from hotelcore.sql import schema
from hotelcore.sql.building import entity
from hotelcore.sql.changing import (
    as_known,
    changed_in,
    insert_into,
    versioned_update,
    write_next_version,
)
from hotelcore.sql.inserting import rows_into
from hotelcore.sql.sealing.sealed import Sealing
from hotelcore.sql.seam.running import MakeError
from hotelcore.sql.seam.statements import Statements, acting_hotel
from hotelcore.vault import Secret

__all__ = ["EXTERNAL_MAPPING", "PMS_CONFIG", "SqlPmsConnections"]


class PmsConfigColumns(TypedColumns):
    """A connection's columns."""

    hotel_id: Column[UUID] = schema.hotel_column()
    id: Column[UUID] = schema.id_column()
    vendor: Column[str] = Column(String(50), nullable=False)
    external_hotel_id: Column[str] = Column(String(200), nullable=False)
    connected_at: Column[datetime] = Column(schema.Instant, nullable=False)
    last_synced_at: Column[datetime | None] = Column(schema.Instant)
    api_key: Column[bytes | None] = Column(schema.Sealed)
    attributes: Column[Attributes] = schema.attributes_column()
    version: Column[int] = schema.version_column()


PMS_CONFIG = Table(
    "hc_pms_config",
    schema.METADATA,
    PmsConfigColumns,
    ForeignKeyConstraint(["hotel_id"], ["hc_hotel.hotel_id"]),
)
"""The table of connections to other systems, one a hotel at most."""
_c = PMS_CONFIG.c
Index("uq_hc_pms_config_hotel", _c.hotel_id, unique=True)


class ExternalMappingColumns(TypedColumns):
    """A mapping's columns."""

    hotel_id: Column[UUID] = schema.hotel_column()
    config_id: Column[UUID] = schema.id_column("config_id")
    resource: Column[str] = Column(String(20), primary_key=True)
    external_id: Column[str] = Column(String(200), primary_key=True)
    internal_id: Column[UUID] = Column(schema.Id, nullable=False)
    fingerprint: Column[str] = Column(String(64), nullable=False)


EXTERNAL_MAPPING = Table(
    "hc_external_mapping",
    schema.METADATA,
    ExternalMappingColumns,
    schema.of_hotel("pms_config", "config_id", cascade=True),
    schema.one_of("resource", PmsResource),
)
"""The table of what a record in another system is here."""
_m = EXTERNAL_MAPPING.c
# In this order, or a server that does not know the table yet takes it for as good as the key to
# find an external id, and reads all that the two have in common.
Index(
    "uq_hc_external_mapping_internal_id",
    _m.hotel_id,
    _m.internal_id,
    _m.resource,
    _m.config_id,
    unique=True,
)

# Whoever reads a connection learns whether there is a key, and does not even get its envelope.
_CURRENT = select(
    *(column for column in _c if column is not _c.api_key),
    _c.api_key.is_not(None).label("has_key"),
).where(_c.hotel_id == acting_hotel())
_CURRENT_LOCKED = _CURRENT.with_for_update(key_share=True)
_INSERT = insert_into(PMS_CONFIG)
_UPDATE = versioned_update(PMS_CONFIG, leaving=("api_key",))
_KEY = select(_c.id, _c.api_key).where(_c.hotel_id == acting_hotel())
_SET_KEY = (
    update(PMS_CONFIG)
    .where(*as_known(PMS_CONFIG))
    .values(api_key=bindparam("api_key"), version=bindparam("version"))
)
_DELETE = delete(PMS_CONFIG).where(*as_known(PMS_CONFIG))


def _looked_up_by_key() -> Select[Any]:  # Any: of the columns of a mapping
    """Build what looks up each wanted id by itself, by the key of the mappings: once a column.

    For all at once a server that does not know the table yet, as in a first synchronisation, reads
    all that the hotel has of the kind, for each part of the list again.
    """
    wanted = func.unnest(bindparam("wanted", type_=ARRAY(String))).table_valued(
        column("external_id", String), name="external_id"
    )
    kind = bindparam("kind", type_=_m.resource.type)
    its_key = (
        _m.hotel_id == acting_hotel(),
        _m.config_id == _c.id,
        _m.resource == kind,
        _m.external_id == wanted.c.external_id,
    )
    looked_up = (
        select(each).where(*its_key).correlate(PMS_CONFIG, wanted).scalar_subquery().label(each.key)
        for each in (_m.internal_id, _m.fingerprint)
    )
    answers = (
        select(
            _c.hotel_id,
            _c.id.label("config_id"),
            kind.label("resource"),
            wanted.c.external_id,
            *looked_up,
        )
        .select_from(PMS_CONFIG, wanted)
        .where(_c.hotel_id == acting_hotel())
        .offset(0)  # else the server would look up again what the condition below names
        .subquery()
    )
    return select(answers).where(answers.c.internal_id.is_not(None))


_MAPPINGS = {
    "sqlite": select(EXTERNAL_MAPPING).where(
        _m.hotel_id == acting_hotel(),
        _m.config_id == select(_c.id).where(_c.hotel_id == acting_hotel()).scalar_subquery(),
        _m.resource == bindparam("kind"),
        _m.external_id.in_(bindparam("wanted", expanding=True)),
    ),
    "postgresql": _looked_up_by_key(),
}
# One record there is one record here for good: only the fingerprint may change.
_PUT_MAPPINGS = rows_into(
    EXTERNAL_MAPPING,
    changed_in(EXTERNAL_MAPPING, changing=("fingerprint",), keeping=("internal_id",)),
)


_config = entity(ExternalPMSConfig)


def _values(config: ExternalPMSConfig) -> dict[str, object]:
    return {
        "vendor": config.vendor,
        "external_hotel_id": config.external_hotel_id,
        "connected_at": config.connected_at,
        "last_synced_at": config.last_synced_at,
        "attributes": config.attributes,
    }


_mapping = entity(ExternalMapping)


def _mapping_values(mapping: ExternalMapping) -> dict[str, object]:
    return {
        "config_id": mapping.config_id,
        "resource": mapping.resource.value,
        "external_id": mapping.external_id,
        "internal_id": mapping.internal_id,
        "fingerprint": mapping.fingerprint,
    }


class SqlPmsConnections:
    """The `hotelcore.repositories.PmsConnections` of one unit of work."""

    def __init__(self, run: Statements, sealing: Sealing) -> None:
        self._run = run
        self._sealing = sealing

    def add(self, config: ExternalPMSConfig) -> None:
        """Store the connection, without a key; `AlreadyExists` if the hotel has one."""
        row = {"id": config.id, "version": config.version, **_values(config), "api_key": None}
        self._run.must_write(_INSERT, [row], taken=lambda: AlreadyExists("PMS connection", "hotel"))

    def current(self) -> ExternalPMSConfig:
        """Return the connection; `NotFound` if there is none."""
        return _found(self._run.first(_CURRENT, _config))

    def lock(self) -> ExternalPMSConfig:
        """Return the connection, locked."""
        return _found(self._run.first(_CURRENT_LOCKED, _config))

    def update(self, config: ExternalPMSConfig) -> ExternalPMSConfig:
        """Store the connection if nobody changed it since."""
        version = write_next_version(
            self._run, _UPDATE, "PMS connection", config.id, config.version, _values(config)
        )
        return attrs.evolve(config, version=version)

    def set_key(self, config: ExternalPMSConfig, key: Secret | None) -> ExternalPMSConfig:
        """Seal and store the PMS's key, or forget it, if nobody changed the connection since."""
        sealed = None if key is None else self._sealing.seal(_c.api_key, config.id, key)
        version = write_next_version(
            self._run,
            _SET_KEY,
            "PMS connection",
            config.id,
            config.version,
            {"api_key": sealed},
        )
        return attrs.evolve(config, has_key=key is not None, version=version)

    def api_key(self) -> Secret:
        """Return the PMS's key, for who may manage the connection."""
        self._sealing.require(Permission.PMS_MANAGE, "pms.api_key")
        stored = self._run.first(_KEY, lambda row: (row.id, row.api_key))
        if stored is None:
            raise NotFound("PMS connection", "at all")
        config_id, sealed = stored
        if sealed is None:
            raise NotFound("PMS key", "at all")
        return self._sealing.unseal(_c.api_key, config_id, sealed)

    def remove(self, config: ExternalPMSConfig) -> None:
        """Remove the connection with its mappings if nobody changed it since."""
        if not self._run.write(_DELETE, key=config.id, known_version=config.version):
            raise StaleVersion("PMS connection", config.id)

    def mappings(
        self, resource: PmsResource, external_ids: Collection[str]
    ) -> Mapping[str, ExternalMapping]:
        """Return the known mappings of some external ids, by external id."""
        wanted, statement = sorted(set(external_ids)), _MAPPINGS[self._run.dialect]
        found = self._run.all_of(statement, _mapping, wanted, kind=resource.value)
        return {mapping.external_id: mapping for mapping in found}

    def put_mappings(self, mappings: Sequence[ExternalMapping], *, twice: MakeError) -> None:
        """Store mappings, new ones or with a new fingerprint.

        ``twice`` makes the error for an id, external or internal, that is mapped otherwise.
        """
        latest = {(each.resource, each.external_id, each.internal_id): each for each in mappings}
        if len({key[:2] for key in latest}) < len(latest):
            raise twice()
        rows = [_mapping_values(mapping) for mapping in latest.values()]
        _PUT_MAPPINGS.must_write(self._run, rows, taken=twice, missed=twice)


def _found(config: ExternalPMSConfig | None) -> ExternalPMSConfig:
    if config is None:
        raise NotFound("PMS connection", "at all")
    return config
