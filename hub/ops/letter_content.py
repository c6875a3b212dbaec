"""The content of a dead letter as far as a person may see it: in a view of its schema, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Literal, NamedTuple

from hub.contracts.catalog import Catalog
from hub.contracts.codec import Schema
from hub.contracts.views import DERIVED_VIEWS
from hub.domain.scrubbing import scrub_words
from hub.errors import ContractError, PoisonError

View = Literal["public", "partner"]


class Content(NamedTuple):
    """``fields`` is what the view lets through, ``None`` where nothing can be shown: then ``note`` says why, and
    length and digest (SHA-256 of the bytes, in hexadecimal) are all there is."""

    schema: str | None
    fields: dict[str, Any] | None
    size: int
    digest: str
    note: str = ""


def content_of(value: bytes | None, catalog: Catalog, view: View) -> Content:
    """``value`` in ``view``. What no schema can read is never shown: nobody can say what is personal in it."""
    data = value or b""
    size, digest = len(data), sha256(data).hexdigest()
    if value is None:
        return Content(None, None, size, digest, "it has no value")
    try:
        schema, found = catalog.decode(value)
    except (PoisonError, ContractError) as error:
        return Content(None, None, size, digest, f"it cannot be decoded: {error}")
    if schema.name.startswith("hub/"):
        return Content(schema.label, _own(found, catalog, view), size, digest)
    shown = _seen(schema, found, catalog, view)
    if isinstance(shown, str):
        return Content(schema.label, None, size, digest, shown)
    return Content(schema.label, shown, size, digest)


def _own(found: Mapping[str, Any], catalog: Catalog, view: View) -> dict[str, Any]:
    """A record of the hub's own: ids and codes, free text without personal numbers, and the event that it carries."""
    shown: dict[str, Any] = {}
    for name, entry in found.items():
        if isinstance(entry, bytes):
            inner = content_of(entry, catalog, view)
            shown[name] = inner.fields if inner.fields is not None else f"{inner.size} bytes: {inner.note}"
        elif isinstance(entry, str):
            shown[name] = scrub_words(entry)
        elif isinstance(entry, list | dict):
            # Rows within are not looked into one by one: how many there are says enough here.
            shown[name] = f"{len(entry)} entries"
        else:
            shown[name] = entry
    return shown


def _seen(schema: Schema, found: Mapping[str, Any], catalog: Catalog, view: View) -> dict[str, Any] | str:
    if schema.view == "full":
        return catalog.projection(schema, view).apply(found)
    # A view cannot be narrowed: what it has lost (who is a natural person) is what a narrower one goes by.
    if schema.view == view or DERIVED_VIEWS.index(schema.view) < DERIVED_VIEWS.index(view):
        return dict(found)
    return f"it stands there in the view {schema.view}, which is wider than {view}"
