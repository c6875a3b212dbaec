"""Connects the spans, where a receiver is named. The protocol's classes are loaded only then."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from hub.contracts.map import HubMap
from hub.errors import UsageError
from hub.ops.ledger.reading import followed_topics
from hub.ops.spans.figures import SpanFigures
from hub.ops.spans.span import GROUP
from hub.settings import Settings
from hub.wiring.parts import utc_now

if TYPE_CHECKING:
    from hub.ops.spans.service import SpanService

#: Probes are written every few seconds, and each would be a trace of its own; accounts, keys and reports of access tell
#: of who uses the hub.
_NOT_FOLLOWED = ("ops.probes.", "access.")


def span_topics(hub_map: HubMap) -> list[str]:
    """The topics that tell of events and what became of them."""
    return [name for name in followed_topics(hub_map) if not name.startswith(_NOT_FOLLOWED)]


def span_groups(settings: Settings, hub_map: HubMap) -> dict[str, tuple[str, ...]]:
    """The group that reads them, where a receiver is named."""
    return {GROUP: tuple(span_topics(hub_map))} if settings.otlp_endpoint else {}


def build_spans(settings: Settings, hub_map: HubMap) -> tuple[SpanService, SpanFigures]:
    """The service and its figures. Raises UsageError for an address that is none."""
    from hub.bus.http_client import HttpClient
    from hub.ops.spans.otlp import OtlpReceiver
    from hub.ops.spans.service import SpanService

    figures = SpanFigures()
    receiver = OtlpReceiver(checked_endpoint(settings.otlp_endpoint), HttpClient(utc_now, max_connections=1))
    return SpanService(settings.bootstrap, span_topics(hub_map), receiver, figures), figures


def checked_endpoint(text: str) -> str:
    """The address as it was given. Raises UsageError, which does not quote it, for one that cannot be used."""
    try:
        parts = urlsplit(text)
        is_one = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_one = False
    if not is_one or parts.query or parts.fragment:
        raise UsageError(
            "HUB_OTLP_ENDPOINT is no base address of a receiver: it looks like http://127.0.0.1:4318, and the hub adds "
            "/v1/traces itself."
        )
    if parts.username is not None or parts.password is not None:
        # Settings are logged at the start.
        raise UsageError(
            "HUB_OTLP_ENDPOINT holds a user or a password, and settings are logged: name an OpenTelemetry Collector "
            "that knows them."
        )
    return text
