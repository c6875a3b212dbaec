"""By which keys a source hands in by HTTP, as events on a compacted topic.

``source.keys.v1``, one partition, keyed by source: the last record of a key is in force, and all of them
are the record of who changed what and why. A key is shown once; its digest is all that is kept.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from hub.bus.records import Output
from hub.contracts.catalog import Catalog
from hub.contracts.cloudevents import to_headers
from hub.domain.events import Envelope, derive_id, new_traceparent
from hub.domain.plain import whole_millis
from hub.errors import ContractError, InputError
from hub.intake.http_sources import HttpSource

KEYS_TOPIC = "source.keys.v1"
KEYS_SCHEMA = "hub/source-keys"
EVENT = "source.keys.changed"
_PREFIX = "hubk_"
_START = datetime(1970, 1, 1, tzinfo=UTC)


class SourceKey(NamedTuple):
    """One key and what it is for, as it was when it was made. Times are aware UTC."""

    key_id: str
    digest: str
    department_code: str
    region_code: str
    events: tuple[str, ...]
    created_at: datetime
    retires_at: datetime | None = None

    def opens_at(self, now: datetime) -> bool:
        return self.retires_at is None or now < self.retires_at

    def fits(self, source: HttpSource) -> bool:
        """Whether it was made for the department that the source is of now."""
        return (self.department_code, self.region_code) == (source.department_code, source.region_code)


@dataclass(frozen=True, slots=True)
class SourceKeys:
    """The keys of one source, the newest first; two while one is rotated."""

    source: str
    revision: int = 0
    keys: tuple[SourceKey, ...] = ()
    changed_by: str = ""
    reason: str = ""
    changed_at: datetime = _START

    def with_key(self, text: str, source: HttpSource, now: datetime, *, keep: timedelta) -> SourceKeys:
        """``text`` opens from now on; those before it for ``keep`` more."""
        digest = digest_of(text)
        new = SourceKey(
            derive_id("source-key", self.source, digest), digest, source.department_code, source.region_code,
            source.events, whole_millis(now),
        )
        end = whole_millis(now + keep)
        old = tuple(
            key._replace(retires_at=min(key.retires_at or end, end)) for key in self.keys if key.opens_at(now)
        )
        return replace(self, keys=(new, *(key for key in old if key.opens_at(now))))

    def without(self, key_id: str | None) -> SourceKeys:
        """That key, or every key, opens nothing any more. Raises InputError if there is none."""
        kept = tuple(key for key in self.keys if key_id is not None and key.key_id != key_id)
        if len(kept) == len(self.keys):
            raise InputError(f"{self.source} has no such key")
        return replace(self, keys=kept)


def new_key() -> str:
    """A key, told from other secrets by its beginning."""
    return f"{_PREFIX}{secrets.token_urlsafe(32)}"


def digest_of(key: str) -> str:
    """What is kept of a key. It is random and long: a plain digest tells nothing of it."""
    return hashlib.sha256(key.encode()).hexdigest()


class KeysLog:
    """Writes and reads the records of the topic."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog, self._schema = catalog, catalog.schema(KEYS_SCHEMA)

    def entry(self, keys: SourceKeys) -> Output:
        """The record that puts ``keys`` into force."""
        value: dict[str, Any] = {name: getattr(keys, name) for name in keys.__slots__}
        value["keys"] = [{**key._asdict(), "events": list(key.events)} for key in keys.keys]
        id_ = derive_id("source-keys", keys.source, str(keys.revision), keys.changed_at.isoformat(), keys.changed_by)
        envelope = Envelope(
            id=id_, source="/operators", type=EVENT, subject=keys.source, time=keys.changed_at,
            correlation_id=derive_id("source-keys", keys.source), traceparent=new_traceparent(id_),
            sequence=keys.revision,
        )
        return Output(KEYS_TOPIC, keys.source.encode(), self._schema.encode(value), to_headers(envelope), 0)

    def read(self, value: bytes | None) -> SourceKeys:
        """Raises ContractError or PoisonError for a record that is none of keys."""
        if value is None:
            raise ContractError("keys without a value")
        schema, found = self._catalog.decode(value)
        if schema.name != KEYS_SCHEMA:
            raise ContractError(f"{KEYS_TOPIC} holds keys of sources, not {schema.name}")
        keys = tuple(SourceKey(**{**key, "events": tuple(key["events"])}) for key in found.pop("keys"))
        return SourceKeys(**found, keys=keys)
