"""Which versions of the map were in use: each stands whole on ``reference.maps.v1``, with who, when and why.

The map itself is a file that is reviewed; this is the record of what became of it. One partition, one order.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import structlog

from hub.bus.publisher import Publisher
from hub.bus.reader import partitions_of, read_after
from hub.bus.records import Output
from hub.contracts.catalog import Catalog
from hub.contracts.cloudevents import to_headers
from hub.contracts.map import HubMap
from hub.domain.events import Envelope, derive_id, new_traceparent
from hub.domain.map_diff import MapChange, differences
from hub.domain.plain import whole_millis
from hub.domain.scrubbing import strip_identity
from hub.errors import BrokerError, ContractError, PoisonError

MAPS_TOPIC = "reference.maps.v1"
EVENT = "reference.map.changed"
#: Who stands for a stage that began with a map of which nobody had said why.
HUB = "hub"
MAX_REASON = 1000
_SCHEMA = "hub/map-version"
log = structlog.get_logger()


class MapVersion(NamedTuple):
    """A version of the map that came into use; ``content`` is the whole map by sections, ``number`` counts from 1."""

    change_id: str
    version: str
    number: int
    previous_version: str | None
    content: Mapping[str, Any]
    reason: str
    noted_by: str
    noted_at: datetime


def content_of(hub_map: HubMap) -> dict[str, Any]:
    """The whole map as plain values; what stands at its default is left out."""
    found: dict[str, Any] = hub_map.model.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return found


def changes_of(versions: Iterable[MapVersion], number: int) -> list[MapChange]:
    """What a version changed of the one before it; of the first one nothing is known before."""
    by_number = {each.number: each for each in versions}
    before = by_number.get(number - 1)
    return differences(before.content, by_number[number].content) if before is not None else []


class MapLog:
    """Reads and writes the record. Keeps what it has read, and reads what came since: threads may share one.

    Every method raises BrokerError where Kafka does not answer.
    """

    def __init__(self, bootstrap: str, catalog: Catalog, publisher: Publisher, now: Callable[[], datetime]) -> None:
        self._bootstrap, self._catalog, self._publisher, self._now = bootstrap, catalog, publisher, now
        self._lock = threading.Lock()
        self._known: dict[str, MapVersion] = {}
        self._next = 0

    def read(self) -> list[MapVersion]:
        """Every version that was noted, the oldest first; none where there is no such topic yet."""
        with self._lock:
            if self._next or partitions_of(self._bootstrap, MAPS_TOPIC):
                for record in read_after(self._bootstrap, {(MAPS_TOPIC, 0): self._next}):
                    self._next = max(self._next, record.offset + 1)
                    self._take(record.value, record.offset)
            return list(self._known.values())

    def note(self, hub_map: HubMap, *, by: str, reason: str) -> MapVersion | None:
        """Puts on record that this map is in use from now on; ``None`` where it is the last one already.

        Two who note the same at once note one change. Raises BrokerError also where there is no topic for it.
        """
        if not partitions_of(self._bootstrap, MAPS_TOPIC):
            raise BrokerError(f"there is no topic {MAPS_TOPIC} yet: hub topics apply makes it")
        known = self.read()
        last = known[-1] if known else None
        if last is not None and last.version == hub_map.version:
            return None
        number = len(known) + 1
        found = MapVersion(
            derive_id("map", str(number), hub_map.version), hub_map.version, number, last.version if last else None,
            content_of(hub_map), strip_identity(" ".join(reason.split()))[:MAX_REASON], by, whole_millis(self._now()),
        )
        self._publisher.publish([self._output(found)])
        return found

    def _take(self, data: bytes | None, offset: int) -> None:
        try:
            if data is None:
                raise PoisonError("a version without a value")
            schema, value = self._catalog.decode(data)
            if schema.name != _SCHEMA:
                raise ContractError(f"{MAPS_TOPIC} holds versions of the map, not {schema.name}")
            found = MapVersion(**{**value, "content": json.loads(value["content"])})
        except (ContractError, PoisonError, ValueError) as error:
            log.error("a version of the map on the log cannot be read", offset=offset, error=str(error))
            return
        # Two who noted other versions at once gave the same number: the order of the log is what counts.
        last = next(reversed(self._known.values()), None)
        found = found._replace(number=len(self._known) + 1, previous_version=last.version if last else None)
        self._known.setdefault(found.change_id, found)

    def _output(self, found: MapVersion) -> Output:
        content = json.dumps(found.content, ensure_ascii=False, separators=(",", ":"))
        value = self._catalog.schema(_SCHEMA).encode({**found._asdict(), "content": content})
        envelope = Envelope(
            id=found.change_id, source="/reference/maps", type=EVENT, subject="map", time=found.noted_at,
            correlation_id=derive_id("map", "map"), traceparent=new_traceparent(found.change_id),
            sequence=found.number, natural_key="map", digest=found.version,
        )
        return Output(MAPS_TOPIC, b"map", value, to_headers(envelope), 0)
