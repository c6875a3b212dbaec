"""How the plain loops that the hub is measured against write a value: fastavro, and nothing of the hub's own codec."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

import fastavro

from hub.contracts.catalog import Catalog


def encoder(catalog: Catalog, name: str) -> Callable[[dict[str, Any]], bytes]:
    """Makes the bytes of a record's value of that schema, in the registry's wire format."""
    contract = catalog.schema(name)
    schema, frame = fastavro.parse_schema(contract.definition), b"\x00" + contract.id.to_bytes(4, "big")

    def encode(value: dict[str, Any]) -> bytes:
        buffer = BytesIO()
        buffer.write(frame)
        fastavro.schemaless_writer(buffer, schema, value)
        return buffer.getvalue()

    return encode
