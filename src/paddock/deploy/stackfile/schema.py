"""The stack file as a JSON schema, for editors that complete and check while one types."""

from __future__ import annotations

import json
from typing import Any

from paddock.deploy.stackfile import presets
from paddock.deploy.stackfile.keys import SECTIONS, meanings
from paddock.deploy.stackfile.model import HostEntry, Stackfile

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_PORT = {"type": "integer", "minimum": 1, "maximum": 65535}
_NAME = {"type": "string", "pattern": r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$"}

_NARROWER: dict[tuple[str, str], dict[str, Any]] = {
    ("top", "name"): {"type": "string", "pattern": r"^[A-Za-z0-9][A-Za-z0-9_.-]{1,62}$"},
    ("hosts", "name"): _NAME,
    ("hosts", "address"): {"type": "string", "pattern": r"^(local|ssh://.+)$"},
    ("container", "shm"): {"type": ["string", "null"], "pattern": r"^[1-9]\d*[bkmgtBKMGT]?$"},
    ("ssh", "port"): _PORT,
    ("serve", "port"): _PORT,
    ("extras", "jupyter"): {"anyOf": [_PORT, {"type": "null"}]},
    ("extras", "tensorboard"): {"anyOf": [_PORT, {"type": "null"}]},
    ("extras", "mindinsight"): {"anyOf": [_PORT, {"type": "null"}]},
}
"""What the types of the dataclasses do not say and an editor can check."""

_ITEMS: dict[tuple[str, str], dict[str, Any]] = {
    ("container", "mounts"): {"type": "string", "pattern": r"^[^:]+:/[^:]*(:r[ow])?$"},
    ("container", "ports"): {"type": "string", "pattern": r"^(.+:)?\d+:\d+$"},
}


def schema() -> dict[str, Any]:
    """The schema: generated from the dataclasses, closed, with what their types do not say."""
    import msgspec

    _, parts = msgspec.json.schema_components([Stackfile], ref_template="#/$defs/{name}")
    names = {kind.__name__: section for section, kind in SECTIONS.items()}
    for name, part in parts.items():
        _fill(part, names[name])
    top = parts.pop("Stackfile")
    properties = top["properties"]
    properties["preset"]["anyOf"] = [{"enum": list(presets.names())}, {"type": "null"}]
    entry = {"anyOf": [{"type": "string"}, {"$ref": f"#/$defs/{HostEntry.__name__}"}]}
    properties["hosts"] |= {"items": entry, "minItems": 1}
    properties["hosts"].pop("default", None)
    parts[HostEntry.__name__]["properties"]["override"] = {
        "type": "object",
        "description": meanings()["hosts"]["override"],
        "properties": {
            key: value
            for key, value in properties.items()
            if key not in ("version", "name", "hosts")
        },
        "additionalProperties": False,
    }
    return {
        "$schema": DIALECT,
        "title": "paddock.yaml",
        **{key: value for key, value in top.items() if key != "title"},
        "$defs": parts,
    }


def _fill(part: dict[str, Any], section: str) -> None:
    """Closes a table, and gives each key its meaning and what narrows it."""
    part["additionalProperties"] = False
    part.pop("description", None)
    for key, value in part["properties"].items():
        if narrower := _NARROWER.get((section, key)):
            for word in ("type", "anyOf"):
                value.pop(word, None)
            value.update(narrower)
        if items := _ITEMS.get((section, key)):
            value["items"] = items
        value["description"] = meanings()[section][key]


def dumps() -> str:
    """The schema as indented JSON."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"
