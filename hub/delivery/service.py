"""Delivery as a service: one sender for each subscription, each by the settings in force."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NoReturn, Protocol

import structlog

from hub.bus.address_guard import AddressGuard
from hub.bus.flow import Flow
from hub.bus.outlet import AttemptFailedError
from hub.bus.pulse import Pulse
from hub.bus.records import Output
from hub.bus.spans import Backlog, Stretches
from hub.bus.table_loader import TableLoader
from hub.contracts.catalog import Catalog
from hub.delivery.commands import COMMANDS_TOPIC
from hub.delivery.engine import DeliveryEngine
from hub.delivery.gate import Gate
from hub.delivery.indexing import NoticeWriter
from hub.delivery.pull import MAX_OFFERED, RESEND_SECONDS, Batch, PullBox
from hub.delivery.settings import SettingsLog, SubscriptionSettings
from hub.delivery.transport import Transport
from hub.delivery.waits import WAITS_TOPIC
from hub.delivery.webhook import WebhookEndpoint, WebhookTransport
from hub.domain.circuit import Circuit
from hub.domain.retry import SCHEDULES
from hub.domain.urgency import Urgency, WorkingDays
from hub.domain.vault import Vault
from hub.domain.webhook import SigningKey, parse_secret
from hub.errors import HubError

#: Requests to one department at a time.
CONNECTIONS = 32
_log = structlog.get_logger()


def group_of(subscription: str) -> str:
    """The consumer group that holds the position of a subscription, whatever its way of delivery is."""
    return f"hub-delivery-{subscription}"


@dataclass(frozen=True)
class Means:
    """What all senders of a process share. ``now`` gives aware UTC."""

    bootstrap: str
    catalog: Catalog
    index: NoticeWriter
    vault: Vault
    guard: AddressGuard
    calendar: WorkingDays
    now: Callable[[], datetime]
    rule_version: str = ""
    shutdown_seconds: float = 20.0


class SigningTransport(Transport, Protocol):
    """A way out that signs by itself, with ``keys``."""

    keys: Sequence[SigningKey]


#: Where a notice goes whose period ends before it got through, and the name of that method.
OtherWay = tuple[SigningTransport, str]


class Nowhere:
    """Where no address is set. The gate is shut then; this is for whatever comes in between."""

    max_concurrent = CONNECTIONS
    address = ""

    def call_off(self) -> None: ...

    async def prepare(self, messages: Sequence[tuple[str, bytes]]) -> None: ...

    async def attempt(self, notice_id: str, body: bytes, traceparent: str | None) -> NoReturn:
        raise AttemptFailedError("no address is set")

    async def close(self) -> None: ...


class Puller:
    """A box as its department asks it, while it is served in the loop of a flow. From any event loop.

    ``why_blocked`` says why nothing is handed out now, ``None`` if it is.
    """

    def __init__(self, flow: Flow, box: PullBox, why_blocked: Callable[[], str | None]) -> None:
        self._flow, self._box, self._why_blocked = flow, box, why_blocked

    @property
    def blocked(self) -> str | None:
        return self._why_blocked()

    async def poll(
        self, acknowledged: Sequence[str], refused: Mapping[str, str], most: int, wait_seconds: float
    ) -> Batch:
        """First what the department says of earlier notices, then the next ones."""
        return await asyncio.wrap_future(self._flow.ask(self._poll(acknowledged, refused, most, wait_seconds)))

    async def _poll(
        self, acknowledged: Sequence[str], refused: Mapping[str, str], most: int, wait_seconds: float
    ) -> Batch:
        self._box.acknowledge(acknowledged)
        self._box.refuse(refused)
        return await self._box.poll(most, wait_seconds)


class Sender(ABC):
    """Hands out the notices of one subscription. ``use`` may be called from any thread, also before ``run``.

    ``retry`` names one of ``SCHEDULES``; ``other`` is where a notice goes whose period ends before it got through.
    """

    def __init__(
        self, subscription: str, means: Means, transport: Transport, gate: Gate, *, method: str, max_open: int = 2000,
        retry: str = "standard", other: OtherWay | None = None, circuit: Circuit | None = None,
    ) -> None:
        self._name, self._means, self._gate = subscription, means, gate
        self._settings_log = SettingsLog(means.catalog)
        self._gate.use(SubscriptionSettings(subscription))
        waits = TableLoader(means.bootstrap, topic=WAITS_TOPIC)
        self._engine = DeliveryEngine(
            subscription, transport, means.catalog, means.now, means.index, waits,
            backlog=Backlog(means.bootstrap, topic=f"inbox.{subscription}", group=group_of(subscription)),
            spans=Stretches(means.bootstrap, topic=f"inbox.{subscription}"),
            gate=gate, circuit=circuit, method=method, schedule=SCHEDULES[retry], urgency=Urgency(means.calendar),
            fallback=other, on_gone=self._disabled, rule_version=means.rule_version,
        )
        self._flow = Flow(
            self._engine, name=f"delivery-{subscription}", topics=[f"inbox.{subscription}", COMMANDS_TOPIC],
            group=group_of(subscription), bootstrap=means.bootstrap, shutdown_seconds=means.shutdown_seconds,
            max_open=max_open,
        )

    @property
    def pulse(self) -> Pulse:
        return self._flow.pulse

    def run(self) -> None:
        self._flow.run()

    def stop(self) -> None:
        self._flow.stop()

    @property
    def blocked(self) -> str | None:
        """Why nothing goes out now; ``None`` if it may."""
        return self._gate.reason

    def use(self, settings: SubscriptionSettings) -> None:
        self._flow.call_soon(lambda: self._use(settings))

    @abstractmethod
    def _apply(self, settings: SubscriptionSettings, secrets: Sequence[str]) -> None:
        """Sends by ``settings`` and signs with ``secrets`` from now on; in the flow's loop."""

    def _use(self, settings: SubscriptionSettings) -> None:
        now = self._means.now()
        try:
            self._gate.use(settings)
            self._apply(settings, settings.secrets(self._means.vault, now))
        except HubError as error:
            # The queue stays where it is; whoever mends the settings starts it again.
            _log.error("settings cannot be used", subscription=self._name, revision=settings.revision, error=str(error))
            self._gate.close(str(error))
            return
        if ends := [key.retires_at for key in settings.keys if key.retires_at is not None and key.retires_at > now]:
            self._flow.call_later((min(ends) - now).total_seconds(), lambda: self._use_again(settings))

    def _use_again(self, settings: SubscriptionSettings) -> None:
        """A key has retired. If other settings came meanwhile, they see to it."""
        if self._gate.settings is settings:
            self._use(settings)

    def _disabled(self, reason: str) -> list[Output]:
        """The settings by which the hub itself has stopped."""
        settings = self._gate.settings
        return [] if settings is None else [self._settings_log.entry(settings.disabled(reason, self._means.now()))]


class WebhookSender(Sender):
    """Pushes the notices of one subscription to the address of its settings."""

    def __init__(
        self, subscription: str, means: Means, *, retry: str = "standard", other: OtherWay | None = None
    ) -> None:
        gate = Gate(means.now, time.monotonic, means.calendar.is_working_day)
        super().__init__(subscription, means, Nowhere(), gate, method="webhook", retry=retry, other=other)
        self._sends_by: tuple[str | None, Sequence[str]] = (None, ())
        self._other = other

    def puller(self, box: PullBox) -> Puller:
        """``box``, the other way of this subscription, as a department asks it."""
        return Puller(self._flow, box, lambda: None if box.keys else "no key signs")

    def _apply(self, settings: SubscriptionSettings, secrets: Sequence[str]) -> None:
        if self._other is not None:
            self._other[0].keys = [parse_secret(text) for text in secrets]
        if (settings.url, secrets) != self._sends_by:
            self._engine.use(self._transport(settings.url, secrets))
            self._sends_by = settings.url, secrets

    def _transport(self, url: str | None, secrets: Sequence[str]) -> Transport:
        if url is None or not secrets:
            return Nowhere()
        endpoint = WebhookEndpoint(url, secrets[0], tuple(secrets[1:]))
        return WebhookTransport(endpoint, self._means.now, max_concurrent=CONNECTIONS, guard=self._means.guard)


class PullSender(Sender):
    """Keeps the notices of one subscription at hand for a department that fetches them."""

    def __init__(self, subscription: str, means: Means, *, resend_seconds: float = RESEND_SECONDS) -> None:
        self._box = PullBox(means.now, resend_seconds=resend_seconds)
        gate = Gate(means.now, time.monotonic, means.calendar.is_working_day, is_pushed=False)
        super().__init__(subscription, means, self._box, gate, method="pull", max_open=2 * MAX_OFFERED)
        self.puller = Puller(self._flow, self._box, lambda: self.blocked)

    def _apply(self, settings: SubscriptionSettings, secrets: Sequence[str]) -> None:
        self._box.keys = [parse_secret(text) for text in secrets]
