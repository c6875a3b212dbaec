"""What is known of sources beside their rows, as records: portions read, heartbeats, manifests, alerts."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any, Literal

from hub.bus.records import Output
from hub.contracts.catalog import Catalog
from hub.contracts.cloudevents import to_headers
from hub.contracts.codec import Schema
from hub.domain.events import Envelope, derive_id, new_traceparent
from hub.domain.source_manifest import SourceManifest, parse_manifest
from hub.intake.rows import Counts

PORTIONS_TOPIC, HEARTBEATS_TOPIC = "intake.portions.v1", "intake.heartbeats.v1"
MANIFESTS_TOPIC, ALERTS_TOPIC = "intake.manifests.v1", "intake.alerts.v1"
GUARD_TOPICS = (PORTIONS_TOPIC, HEARTBEATS_TOPIC, MANIFESTS_TOPIC, ALERTS_TOPIC)

Word = Literal["rows", "nothing-new", "nothing-today"]
AlertKind = Literal[
    "silence-began", "silence-ended", "manifest-differs", "manifest-agrees", "manifest-missing", "manifest-came"
]
#: Begin of an alert -> its end.
ENDS: dict[AlertKind, AlertKind] = {
    "silence-began": "silence-ended", "manifest-differs": "manifest-agrees", "manifest-missing": "manifest-came",
}


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The last of a source. Times are aware; ``heard_at`` and ``spoke_at`` are ``None`` until it was and has."""

    source: str
    watched_since: datetime
    heard_at: datetime | None
    spoke_at: datetime | None
    said: Word

    @property
    def silent_from(self) -> datetime:
        """From when its silence counts."""
        return self.spoke_at or self.watched_since


@dataclass(frozen=True, slots=True)
class PortionRead:
    """``status`` is ``finished``, ``refused``, or ``counted``: then ``read`` are the rows that a whole table had at
    ``finished_at``, whatever of it was told."""

    portion_id: str
    source: str
    name: str
    sha256: str | None
    status: str
    read: int
    accepted: int
    repeated: int
    waiting: int
    witnessed: int
    rejected: int
    finished_at: datetime


@dataclass(frozen=True, slots=True)
class ManifestTaken:
    """A manifest as it came; ``manifest`` reads it."""

    manifest_id: str
    source: str
    day: date
    content: bytes
    signature: str | None
    received_at: datetime

    @property
    def manifest(self) -> SourceManifest:
        return parse_manifest(self.content, self.source)


@dataclass(frozen=True, slots=True)
class Alert:
    """``about`` is what begin and end have in common. Of one matter each kind is one alert with one id; manifests of
    one day are each a matter of its own."""

    alert_id: str
    kind: AlertKind
    source: str
    about: str
    reason: str
    announced: int | None
    taken: int | None
    raised_at: datetime


def alert(
    kind: AlertKind, source: str, about: str, reason: str, now: datetime,
    announced: int | None = None, taken: int | None = None, *, matter: str | None = None,
) -> Alert:
    """``matter``: what tells it from others about the same; a manifest that differs, or the difference that ends."""
    id_ = derive_id("intake-alert", source, kind, about, *([matter] if matter is not None else []))
    return Alert(id_, kind, source, about, reason[:2000], announced, taken, now)


def portion_read(
    source: str, identity: str, name: str, sha256: str | None, status: str, counts: Counts, now: datetime
) -> PortionRead:
    return PortionRead(
        derive_id("portion", source, identity), source, name[:500], sha256, status, counts.read,
        counts.accepted_total, counts.repeated, counts.waiting, counts.witnessed, counts.rejected_total, now,
    )


def manifest_taken(manifest: SourceManifest, content: bytes, signature: str | None, now: datetime) -> ManifestTaken:
    digest = hashlib.sha256(content).hexdigest()
    id_ = derive_id("manifest", manifest.source, manifest.day.isoformat(), digest)
    return ManifestTaken(id_, manifest.source, manifest.day, content, signature, now)


class GuardLog:
    """Writes and reads the records of the four topics."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._portion, self._heartbeat = catalog.schema("hub/intake-portion"), catalog.schema("hub/source-heartbeat")
        self._manifest, self._alert = catalog.schema("hub/source-manifest"), catalog.schema("hub/intake-alert")

    def portion(self, portion: PortionRead) -> Output:
        return _output(
            PORTIONS_TOPIC, "intake.portion.read", self._portion, portion, portion.portion_id, portion.finished_at
        )

    def heartbeat(self, beat: Heartbeat) -> Output:
        at = beat.heard_at or beat.watched_since
        id_ = derive_id("heartbeat", beat.source, at.isoformat())
        return _output(HEARTBEATS_TOPIC, "intake.source.heard", self._heartbeat, beat, id_, at)

    def manifest(self, taken: ManifestTaken) -> Output:
        return _output(
            MANIFESTS_TOPIC, "intake.manifest.received", self._manifest, taken, taken.manifest_id, taken.received_at
        )

    def alert(self, raised: Alert) -> Output:
        return _output(ALERTS_TOPIC, "intake.alert.raised", self._alert, raised, raised.alert_id, raised.raised_at)

    def read(self, topic: str, value: bytes) -> Heartbeat | PortionRead | ManifestTaken | Alert:
        """Raises ContractError or PoisonError for a record that is none of the topic's."""
        found: dict[str, Any] = self._catalog.decode(value)[1]
        if topic == HEARTBEATS_TOPIC:
            return Heartbeat(**found)
        if topic == PORTIONS_TOPIC:
            return PortionRead(**found)
        return ManifestTaken(**found) if topic == MANIFESTS_TOPIC else Alert(**found)


def _output(topic: str, type_: str, schema: Schema, record: Any, id_: str, at: datetime) -> Output:
    envelope = Envelope(
        id=id_, source=f"/sources/{record.source}", type=type_, subject=record.source, time=at, correlation_id=id_,
        traceparent=new_traceparent(id_),
    )
    return Output(topic, record.source.encode(), schema.encode(asdict(record)), to_headers(envelope), 0)
