"""The JSON Schema of a frame: what `dump` promises."""

import json
from typing import Any, Final

import msgspec

from inspector.frame import SCHEMA_VERSION, Frame

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """Return the schema, as generated from the structs that the encoder writes."""
    return {
        "$schema": DIALECT,
        "title": f"cinspect frame, schema version {SCHEMA_VERSION}",
        **msgspec.json.schema(Frame),
    }


def encode() -> bytes:
    """Return it as text whose keys are in a stable order, so that two versions can be compared."""
    return (json.dumps(schema(), indent=2, sort_keys=True) + "\n").encode()
