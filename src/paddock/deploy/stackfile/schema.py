"""The stack file as a JSON schema, for editors that complete and check while one types."""

from __future__ import annotations

import json
from typing import Any

from paddock.deploy.stackfile import presets
from paddock.deploy.stackfile.model import Stackfile

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """The schema: generated from the dataclasses, closed, with what their types do not say."""
    import msgspec

    (_,), parts = msgspec.json.schema_components([Stackfile], ref_template="#/$defs/{name}")
    for part in parts.values():
        part["additionalProperties"] = False
    top = parts.pop("Stackfile")
    top["properties"]["preset"] = {"anyOf": [{"enum": list(presets.names())}, {"type": "null"}]}
    return {
        "$schema": DIALECT,
        "title": "paddock.yaml",
        **{key: value for key, value in top.items() if key != "title"},
        "$defs": parts,
    }


def dumps() -> str:
    """The schema as indented JSON."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"
