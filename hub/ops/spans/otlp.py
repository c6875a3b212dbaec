"""Spans in OTLP, the protocol of OpenTelemetry, over HTTP: how they are encoded, and what a receiver answers.

Built with the protocol's own classes. The SDK's exporter would do for spans that a program ends one by one; it does not
say whether a batch was refused or the receiver was away, which decides whether the position may move.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2

from hub.bus.http_client import Answer, HttpClient
from hub.errors import OutletError
from hub.ops.spans.span import Span

NAMESPACE = "gannan-hub"
SCOPE = "hub.ops.spans"
_PATH = "/v1/traces"
_TIMEOUT_SECONDS = 10.0
#: What cannot be read, or is too large, however often it is sent. Every other refusal (a wrong path, a missing right)
#: is the operator's to mend, and is waited out.
_NEVER = frozenset({400, 413})
_NANOS = 1_000_000


def encode(spans: Sequence[Span]) -> bytes:
    """An ``ExportTraceServiceRequest``, the spans grouped by service."""
    request = ExportTraceServiceRequest()
    by_service: dict[str, list[Span]] = defaultdict(list)
    for span in spans:
        by_service[span.service].append(span)
    for service, found in by_service.items():
        group = request.resource_spans.add()
        for name, text in (("service.name", service), ("service.namespace", NAMESPACE)):
            _add(group.resource.attributes.add(), name, text)
        scope = group.scope_spans.add()
        scope.scope.name = SCOPE
        for span in found:
            _fill(scope.spans.add(), span)
    body: bytes = request.SerializeToString()
    return body


def _fill(target: trace_pb2.Span, span: Span) -> None:
    target.trace_id, target.span_id = bytes.fromhex(span.place.trace), bytes.fromhex(span.place.span)
    if span.parent is not None:
        target.parent_span_id = bytes.fromhex(span.parent)
    if span.link is not None:
        target.links.add(trace_id=bytes.fromhex(span.link.trace), span_id=bytes.fromhex(span.link.span))
    target.name, target.kind = span.name, trace_pb2.Span.SPAN_KIND_PRODUCER
    target.start_time_unix_nano, target.end_time_unix_nano = span.start * _NANOS, span.end * _NANOS
    for name, value in span.attributes.items():
        _add(target.attributes.add(), name, value)
    if span.is_error:
        target.status.code = trace_pb2.Status.STATUS_CODE_ERROR


def _add(target: KeyValue, name: str, value: str | int) -> None:
    target.key = name
    if isinstance(value, int):
        target.value.int_value = value
    else:
        target.value.string_value = value


class OtlpReceiver:
    """Where spans go: ``endpoint`` is the base address, as ``OTEL_EXPORTER_OTLP_ENDPOINT`` has it."""

    def __init__(self, endpoint: str, client: HttpClient) -> None:
        self._url, self._client = endpoint.rstrip("/") + _PATH, client

    async def take(self, spans: Sequence[Span]) -> int:
        """Hands the spans over; answers how many the receiver refused for good.

        Raises OutletError where it took none and may take them later.
        """
        answer = await self._client.request(
            "POST", self._url, body=encode(spans), headers={"Content-Type": "application/x-protobuf"},
            timeout_seconds=_TIMEOUT_SECONDS,
        )
        if answer.is_success:
            return min(_refused(answer), len(spans))
        if answer.status in _NEVER:
            return len(spans)
        raise OutletError(f"HTTP status {answer.status}")

    async def close(self) -> None:
        await self._client.close()


def _refused(answer: Answer) -> int:
    """Spans that the receiver says it did not keep; an answer that is no protobuf says nothing of them."""
    response = ExportTraceServiceResponse()
    try:
        response.ParseFromString(answer.body)
    except DecodeError:
        return 0
    return max(response.partial_success.rejected_spans, 0)
