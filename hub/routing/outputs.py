"""How an output of the routing stage is built: headers and value of each kind."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from hub.bus.records import Headers, Output, Record
from hub.contracts.catalog import Catalog
from hub.contracts.codec import Schema
from hub.contracts.views import Projection
from hub.domain.calendar import start_of
from hub.domain.events import output_id
from hub.domain.routing import Match
from hub.errors import PoisonError

SOURCE = b"/stages/routing"
_AVRO = b"application/avro"
_SIGNAL_TYPES = {"start": b"clock.signal.started", "meet": b"clock.signal.met", "cancel": b"clock.signal.cancelled"}


class Input:
    """One event on its way through: headers looked up once, its value decoded only when asked for."""

    __slots__ = (
        "_projected",
        "_shared",
        "_value",
        "correlation_id",
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
        self.correlation_id = headers.get("ce_correlationid", headers["ce_id"]).decode()
        self.sequence = int(headers.get("ce_sequence", b"1"))
        self.headers, self.record, self.schema = headers, record, schema
        self._value: dict[str, Any] | None = None
        self._projected: dict[str, bytes] = {}
        self._shared: Headers | None = None

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
                ("ce_correlationid", given.get("ce_correlationid", given["ce_id"])),
                ("ce_causationid", given["ce_id"]),
                ("ce_sequence", b"%d" % self.sequence),
            ]
            if "traceparent" in given:
                self._shared.append(("traceparent", given["traceparent"]))
        return [("ce_specversion", b"1.0"), ("ce_id", id.encode()), ("ce_type", type), *self._shared]


class OutputBuilder:
    """Builds the outputs of one map. ``measures`` and the like are looked up once, here."""

    def __init__(
        self,
        catalog: Catalog,
        version: str,
        views: Mapping[tuple[str, str], str],
        notices: Mapping[str, Mapping[str, Any]],
        owners: Mapping[str, str],
    ) -> None:
        self._catalog, self._version = catalog, version
        self._views = views
        self._notices = notices
        self._owners = owners
        self._order = catalog.schema("hub/disclosure-order")
        self._inbox = catalog.schema("hub/inbox-record")
        self._signal = catalog.schema("hub/clock-signal")
        self._decision = catalog.schema("hub/routing-decision")

    def build(self, match: Match, event: Input, now: datetime, time: bytes, reason: str | None) -> tuple[str, Output]:
        """(output id, output) of one match. ``time`` is ``now`` as a header."""
        rule = match.rule
        if rule.kind == "subscription":
            return self._notice(match, event, now, time)
        if rule.kind == "channel":
            return self._disclosure_order(match, event, now, time, reason)
        return self._clock_signal(match, event, now, time)

    def _notice(self, match: Match, event: Input, now: datetime, time: bytes) -> tuple[str, Output]:
        name, id = match.target, output_id(event.event_id, match.rule.id)
        view = self._views["subscription", name]
        value = {
            "notice_id": id,
            "event_id": event.event_id,
            "event_type": event.event_type,
            "correlation_id": event.correlation_id,
            "source": event.source,
            "subject": event.subject,
            "subscription": name,
            "view": view,
            "rule": match.rule.id,
            "map_version": self._version,
            "sequence": event.sequence,
            "issued_at": now,
            "data": self._project(event, view),
            **self._notices[name],
        }
        headers = event.caused(id, event.headers["ce_type"], time)
        return id, Output(f"inbox.{name}", event.record.key, self._inbox.encode(value), headers)

    def _disclosure_order(
        self, match: Match, event: Input, now: datetime, time: bytes, reason: str | None
    ) -> tuple[str, Output]:
        channel, id = match.target, output_id(event.event_id, match.rule.id)
        view = self._views["channel", channel]
        value = {
            "order_id": id,
            "event_id": event.event_id,
            "event_type": event.event_type,
            "correlation_id": event.correlation_id,
            "source": event.source,
            "subject": event.subject,
            "channel": channel,
            "action": match.action,
            "view": view,
            "rule": match.rule.id,
            "map_version": self._version,
            "sequence": event.sequence,
            "ordered_at": now,
            "reason": reason,
            "data": self._project(event, view),
        }
        headers = event.caused(id, b"disclosure.order.issued", time)
        return id, Output("disclosure.orders.v1", event.record.key, self._order.encode(value), headers)

    def _clock_signal(self, match: Match, event: Input, now: datetime, time: bytes) -> tuple[str, Output]:
        clock = match.rule.target
        target = match.target if match.target != clock else None
        id = output_id(event.event_id, f"{match.rule.id}:{match.action}:{target or ''}")
        counts_from: date | None = None
        if match.action == "start":
            counts_from = self._date(event, clock)
        value = {
            "signal_id": id,
            "kind": match.action,
            "rule": clock,
            "target": target,
            "correlation_id": event.correlation_id,
            "event_id": event.event_id,
            "event_type": event.event_type,
            "subject": event.subject,
            "counts_from": counts_from,
            "owner_department": self._owner(clock, target, event),
            "occurred_at": self._occurred_at(match.action, event, clock),
            "map_version": self._version,
        }
        headers = event.caused(id, _SIGNAL_TYPES[match.action], time)
        return id, Output("clock.signals.v1", event.record.key, self._signal.encode(value), headers)

    def decision(
        self,
        event: Input,
        now: datetime,
        time: bytes,
        outputs: list[dict[str, str]],
        withheld: list[dict[str, str]],
        reason: str | None,
    ) -> Output:
        """The record of what was decided, also where nothing was."""
        id, record = output_id(event.event_id, "decision"), event.record
        value = {
            "decision_id": id,
            "event_id": event.event_id,
            "event_type": event.event_type,
            "source": event.source,
            "subject": event.subject,
            "correlation_id": event.correlation_id,
            "input_topic": record.topic,
            "input_partition": record.partition,
            "input_offset": record.offset,
            "map_version": self._version,
            "decided_at": now,
            "is_matched": bool(outputs),
            "outputs": outputs,
            "withheld": withheld,
            "reason": reason,
        }
        headers = event.caused(id, b"routing.event.decided", time)
        return Output("routing.decisions.v1", record.key, self._decision.encode(value), headers)

    def _project(self, event: Input, view: str) -> bytes:
        if event.schema is None:
            raise PoisonError("The event has no value.")
        return event.project(self._catalog.projection(event.schema, view), view)

    def _date(self, event: Input, clock: str) -> date | None:
        field = self._owners[f"{clock}:counts_from"]
        found = event.value().get(field)
        return found if isinstance(found, date) else None

    def _occurred_at(self, action: str, event: Input, clock: str) -> datetime:
        """When it happened: the day that the record itself names for what met the clock, else when it came in."""
        came_in = datetime.fromtimestamp(event.record.timestamp / 1000, UTC)
        field = self._owners.get(f"{clock}:met_on") if action == "meet" else None
        day = event.value().get(field) if field else None
        return min(came_in, start_of(day)) if isinstance(day, date) else came_in

    def _owner(self, clock: str, target: str | None, event: Input) -> str | None:
        owner = self._owners[clock]
        if owner == "source":
            return str(event.value().get("department_code") or "") or None
        if owner == "subscriber":
            return str(self._notices[target]["department_code"]) if target and target in self._notices else None
        return owner
