"""The catalogue as an AsyncAPI 3 document, for those who consume events in another language.

https://www.asyncapi.com/docs/reference/specification/v3.0.0 is the specification.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from enum import Enum
from importlib.metadata import version
from inspect import cleandoc, isclass
from types import NoneType
from typing import Any, NewType, get_args, get_type_hints
from uuid import UUID

import attrs

from hotelcore.errors import InvalidInput
from hotelcore.events.catalogue import CATALOGUE, Event, wire_fields
from hotelcore.events.cloudevents import ATTRIBUTES, CONTENT_TYPE, Binding, type_of
from hotelcore.wire import Json

__all__ = ["document"]

_HEADERS = "headers"


def document(binding: Binding = Binding.NATS) -> dict[str, Json]:
    """Return the document: one message an event, in its newest version.

    Its headers are those of ``binding``. The channel has no address, because the host chooses it.
    """
    kinds = {_id(kind): kind for _, kind in sorted(CATALOGUE.items())}
    schemas: dict[str, Json] = {_HEADERS: _headers(binding)}
    for id, kind in kinds.items():
        types = {name: field.type for name, field in wire_fields(kind).items()}
        schemas[id] = _object(kind, types, schemas)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "hotelcore",
            "version": version("hotelcore"),
            "description": "What happens in the hotels, as CloudEvents 1.0 in binary mode.",
        },
        "defaultContentType": CONTENT_TYPE,
        "channels": {
            "events": {
                "address": None,
                "description": "Every event at least once.",
                "messages": {id: _ref("messages", id) for id in kinds},
            }
        },
        "operations": {"tell": {"action": "send", "channel": {"$ref": "#/channels/events"}}},
        "components": {
            "messages": {id: _message(id, kind, binding) for id, kind in kinds.items()},
            "schemas": dict(sorted(schemas.items())),
        },
    }


def _id(kind: type[Event]) -> str:
    return type_of(kind.wire_name, kind.version)


def _ref(section: str, name: str) -> dict[str, Json]:
    return {"$ref": f"#/components/{section}/{name}"}


def _message(id: str, kind: type[Event], binding: Binding) -> dict[str, Json]:
    [key] = (name for name, field in wire_fields(kind).items() if field.name == kind.keyed_by)
    own_type: Json = {"properties": {f"{binding.prefix}type": {"const": id}}}
    return {
        "name": id,
        "title": kind.__name__,
        "summary": _first_line(kind),
        "description": f"In order with all other events that have the same subject, the {key}.",
        "headers": {"allOf": [_ref("schemas", _HEADERS), own_type]},
        "payload": _ref("schemas", id),
    }


def _headers(binding: Binding) -> dict[str, Json]:
    properties: dict[str, Json] = {
        binding.prefix + attribute.name: {
            "type": "string",
            "description": f"Attribute {attribute.name}: {attribute.meaning}.",
            "pattern": f"^(?:{attribute.pattern})$",
        }
        for attribute in ATTRIBUTES
    }
    needed = [binding.prefix + a.name for a in ATTRIBUTES if not a.optional]
    if binding.content_type is not None:
        properties[binding.content_type] = {"const": CONTENT_TYPE}
        needed.append(binding.content_type)
    return {"type": "object", "required": [*needed], "properties": properties}


# -- JSON Schema -------------------------------------------------------------------------------

_PLAIN: Mapping[object, dict[str, Json]] = {
    NoneType: {"type": "null"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    str: {"type": "string"},
    UUID: {"type": "string", "format": "uuid"},
    date: {"type": "string", "format": "date"},
}


def _schema(kind: object, schemas: dict[str, Json]) -> dict[str, Json]:
    """Return the schema of a field's type as `hotelcore.wire` encodes it.

    A class of fields gets its own place among ``schemas``.
    """
    if isinstance(kind, NewType):
        return _schema(kind.__supertype__, schemas)
    if kind in _PLAIN:
        return dict(_PLAIN[kind])
    if isclass(kind) and issubclass(kind, Enum):
        return {"enum": [member.value for member in kind]}
    if isclass(kind) and attrs.has(kind):
        schemas[kind.__name__] = _object(kind, get_type_hints(kind), schemas)
        return _ref("schemas", kind.__name__)
    if NoneType in get_args(kind):
        return {"anyOf": [_schema(item, schemas) for item in get_args(kind)]}
    raise InvalidInput("kind", f"{kind} has no schema yet: no event had such a field")


def _object(
    kind: type[Any],  # Any: of whatever it holds.
    types: Mapping[str, object],
    schemas: dict[str, Json],
) -> dict[str, Json]:
    return {
        "type": "object",
        "description": _first_line(kind),
        "required": [*types],
        "properties": {name: _schema(item, schemas) for name, item in types.items()},
        "additionalProperties": False,
    }


def _first_line(kind: type[Any]) -> str:  # Any: of whatever it holds.
    return cleandoc(kind.__doc__ or "").partition("\n")[0]
