"""An event as routing reads it, on its way through."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from hub.bus.records import Headers, Record
from hub.contracts.codec import Schema
from hub.contracts.views import Projection
from hub.domain.calendar import local_date
from hub.domain.events import child_traceparent, span_of
from hub.errors import PoisonError

SOURCE = b"/stages/routing"
_AVRO = b"application/avro"


class Input:
    """One event on its way through: headers looked up once, its value decoded only when asked for."""

    __slots__ = (
        "_projected",
        "_shared",
        "_trace",
        "_value",
        "correlation",
        "event_id",
        "event_type",
        "headers",
        "record",
        "schema",
        "sequence",
        "source",
        "subject",
    )

    def __init__(self, record: Record, schema: Schema | None) -> None:
        headers = dict(record.headers)
        try:
            self.event_id = headers["ce_id"].decode()
            self.event_type = headers["ce_type"].decode()
            self.source = headers["ce_source"].decode()
            self.subject = headers["ce_subject"].decode()
        except KeyError as error:
            raise PoisonError(f"The record has no header {error.args[0]}: it is not an event of the hub.") from error
        self.correlation = headers.get("ce_correlationid", headers["ce_id"])
        self.sequence = int(headers.get("ce_sequence", b"1"))
        self.headers, self.record, self.schema = headers, record, schema
        self._value: dict[str, Any] | None = None
        self._projected: dict[str, bytes] = {}
        self._shared: Headers | None = None
        #: What stands before and behind the span in ``traceparent``.
        self._trace: tuple[bytes, bytes] | None = None

    def value(self) -> dict[str, Any]:
        if self._value is None:
            if self.schema is None or self.record.value is None:
                raise PoisonError("The event has no value.")
            self._value = self.schema.decode(self.record.value)
        return self._value

    def project(self, projection: Projection, view: str) -> bytes:
        """The value in a view, framed; the whole view is the bytes as they came."""
        if view == "full":
            assert self.record.value is not None
            return self.record.value
        found = self._projected.get(view)
        if found is None:
            found = self._projected[view] = projection.encode(self.value())
        return found

    def caused(self, id: str, type: bytes, time: bytes) -> Headers:
        """Headers of an output that this event caused."""
        if self._shared is None:
            given = self.headers
            self._shared = [
                ("ce_source", SOURCE),
                ("ce_subject", given["ce_subject"]),
                ("ce_time", time),
                ("content-type", _AVRO),
                ("ce_correlationid", self.correlation),
                ("ce_causationid", given["ce_id"]),
                ("ce_sequence", b"%d" % self.sequence),
            ]
            if "traceparent" in given:
                # All outputs of the event are spans of its trace; looked at once, since an event has three of them.
                first = child_traceparent(given["traceparent"].decode("ascii", "replace"), self.event_id).encode()
                self._trace = first[:36], first[52:]
        headers = [("ce_specversion", b"1.0"), ("ce_id", id.encode()), ("ce_type", type), *self._shared]
        if self._trace is not None:
            headers.append(("traceparent", span_of(id).encode().join(self._trace)))
        return headers

    @property
    def came_in(self) -> datetime:
        """When Kafka took it."""
        return datetime.fromtimestamp(self.record.timestamp / 1000, UTC)

    def day(self, field: str | None) -> date | None:
        """As ``day_of``; without a field nothing is decoded."""
        return day_of(self.value(), field) if field else None


def day_of(value: Mapping[str, Any], field: str | None) -> date | None:
    """The day that a field of a record names, of a moment that of Gannan; ``None`` if it names none."""
    found = value.get(field) if field else None
    if isinstance(found, datetime):
        return local_date(found)
    return found if isinstance(found, date) else None
