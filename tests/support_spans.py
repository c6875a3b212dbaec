"""What the stages write for one event, and a receiver's view of the spans that come of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from hub.bus.records import Output, Record
from hub.clocks.stage import ClocksStage
from hub.contracts.calendars import load_calendars
from hub.contracts.cloudevents import from_headers, to_headers
from hub.domain.events import new_traceparent
from hub.domain.murmur2 import partition_of
from hub.settings import PROJECT_ROOT
from tests.support_contracts import catalog
from tests.support_disclosure import ChannelDesk, InMemorySink, as_record
from tests.support_routing import NOW, SUBJECT, Log, hub_map, version
from tests.unit.test_clocks_stage import InMemoryIndex


def outputs_of(event: Record) -> list[Output]:
    """Everything that comes of an event: routed, published, and its clocks."""
    partition = partition_of(SUBJECT.encode(), 12)
    (routed,) = Log().stage().handle([event._replace(partition=partition)])
    orders = [output for output in routed if output.topic == "disclosure.orders.v1"]
    desk = ChannelDesk(InMemorySink(), channel="gsxt")
    try:
        read = [as_record(order, offset) for offset, order in enumerate(orders)]
        receipts = [output for each in desk.handle(read) for output in each]
    finally:
        desk.close()
    signals = [output for output in routed if output.topic == "clock.signals.v1"]
    index = InMemoryIndex()
    clocks = ClocksStage(
        rules=hub_map().clocks, calendars=load_calendars(PROJECT_ROOT), catalog=catalog(), loader=lambda _: iter(()),
        index=index, map_version="m", monotonic=lambda: NOW.timestamp(),
    )
    clocks.on_assigned([("clock.signals.v1", partition)])
    read = [as_record(output, offset)._replace(partition=partition) for offset, output in enumerate(signals + receipts)]
    states = [output for each in clocks.handle(read) for output in each]
    return [*routed, *receipts, *states]


def fact(number: int = 1, *, row: str = "r1", **content: Any) -> Record:
    """A listing as intake writes it: its id begins the trace."""
    record = version(number, "listed", row=row, **{"list_kind": "serious", "is_public": True, **content})
    envelope = from_headers(record.headers)
    return record._replace(headers=to_headers(envelope._replace(traceparent=new_traceparent(envelope.id))))


def as_output(record: Record) -> Output:
    """A record as it is written."""
    return Output(record.topic, record.key, record.value, record.headers)


Seen = dict[str, Any]


def seen(body: bytes) -> list[Seen]:
    """The spans of a request, as a receiver reads them."""
    request = ExportTraceServiceRequest()
    request.ParseFromString(body)
    return [
        {
            "service": _plain(group.resource.attributes)["service.name"], "trace": span.trace_id.hex(),
            "span": span.span_id.hex(), "parent": span.parent_span_id.hex(), "name": span.name,
            "start": span.start_time_unix_nano, "end": span.end_time_unix_nano, "status": span.status.code,
            "links": [(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
            **_plain(span.attributes),
        }
        for group in request.resource_spans for scope in group.scope_spans for span in scope.spans
    ]


def _plain(attributes: Iterable[Any]) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}
