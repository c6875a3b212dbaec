"""Connects what delivery is made of: senders, settings of subscriptions, and what waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from hub.bus.address_guard import AddressGuard, parse_networks
from hub.bus.follower import Follower
from hub.bus.http_client import HttpClient
from hub.bus.kept_topics import KeptTable, KeptTopics
from hub.bus.publisher import KafkaPublisher, Publisher
from hub.bus.reader import read_topics
from hub.bus.records import Record
from hub.bus.table_loader import Loader, TableLoader
from hub.bus.tail import Tail
from hub.contracts.calendars import load_calendars
from hub.contracts.catalog import Catalog
from hub.contracts.endpoints import Endpoints
from hub.contracts.map import HubMap
from hub.delivery.answers import AnswerDesk
from hub.delivery.filedrop.box import Packing
from hub.delivery.filedrop.columns import Columns
from hub.delivery.filedrop.sender import Drop, FileSender, WebhookOrFileSender
from hub.delivery.handshake import shake_hands
from hub.delivery.message import read_notices
from hub.delivery.outlet_probes import OutletProbes
from hub.delivery.pull import PullBox
from hub.delivery.rehearsal import Receipt, rehearse
from hub.delivery.service import Means, Puller, PullSender, Sender, WebhookSender, group_of
from hub.delivery.settings import SETTINGS_TOPIC, SettingsLog, SubscriptionSettings
from hub.delivery.settings_desk import Change, SettingsDesk, SettingsTable
from hub.delivery.waits import WAITS_TOPIC, Waiting, WaitLog
from hub.domain.vault import Vault
from hub.domain.webhook import SigningKey, parse_secret
from hub.errors import IndexUnavailableError, InputError
from hub.settings import Settings
from hub.state.notice_index import Notice, NoticeIndex
from hub.wiring.direct import build_direct
from hub.wiring.parts import Service, Together, file_secret, open_catalog, open_map, open_redis, utc_now


def settings_desk(
    settings: Settings, catalog: Catalog, publisher: Publisher, *, is_kept: bool = False
) -> SettingsDesk:
    """``is_kept`` is for a process that is asked again and again."""
    kept = KeptTopics(Tail(settings.bootstrap, [SETTINGS_TOPIC]), _itself) if is_kept else None
    return SettingsDesk(settings.bootstrap, publisher, SettingsLog(catalog), utc_now, kept)


def _itself(record: Record) -> Record:
    return record


def vault(settings: Settings) -> Vault:
    """What seals the keys that stand on the log."""
    return Vault(file_secret(settings, settings.vault_secret, "vault.secret"))


def address_guard(settings: Settings) -> AddressGuard:
    return AddressGuard(parse_networks(settings.delivery_networks))


def settings_in_force(
    settings: Settings, hub_map: HubMap, catalog: Catalog, endpoints: Endpoints
) -> list[SubscriptionSettings]:
    """The settings of the subscriptions, those of the file of addresses published first where nobody changed them."""
    sealed = vault(settings)

    def secrets(name: str) -> list[str]:
        entry = endpoints.subscriptions[name]
        return [secret.get_secret_value() for secret in (entry.secret, *entry.previous_secrets)]

    def change(name: str) -> Change:
        def apply(current: SubscriptionSettings) -> SubscriptionSettings:
            found = replace(current, url=endpoints.subscriptions[name].url, is_verified=True, keys=())
            for text in reversed(secrets(name)):
                found = found.with_key(text, sealed, utc_now())
            return replace(found, disabled_reason=None)

        return apply

    def fits(name: str, found: SubscriptionSettings) -> bool:
        return found.url == endpoints.subscriptions[name].url and found.secrets(sealed, utc_now()) == secrets(name)

    publisher = KafkaPublisher(settings.bootstrap, client_id="settings")
    try:
        desk = settings_desk(settings, catalog, publisher)
        entries = {name: change(name) for name in hub_map.subscriptions if name in endpoints.subscriptions}
        return list(desk.publish_file(entries, fits).values())
    finally:
        publisher.close()


def settings_table(
    settings: Settings, catalog: Catalog, on_change: Callable[[SubscriptionSettings], None] = lambda changed: None
) -> SettingsTable:
    """The settings of subscriptions, followed while it runs."""
    return SettingsTable(Follower(settings.bootstrap, SETTINGS_TOPIC), SettingsLog(catalog), on_change)


def delivery_means(settings: Settings, hub_map: HubMap, catalog: Catalog) -> Means:
    calendar = load_calendars(settings.home)["gannan"]
    return Means(
        settings.bootstrap, catalog, NoticeIndex(open_redis(settings)), vault(settings), address_guard(settings),
        calendar, utc_now, hub_map.version, settings.shutdown_seconds,
    )


async def verify_address(settings: Settings, current: SubscriptionSettings, url: str) -> None:
    """Asks whoever listens at ``url`` whether he wants what comes. Raises InputError with what was wrong."""
    keys, client = _knocking(settings, current, url)
    try:
        await shake_hands(client, url, keys, current.subscription, utc_now)
    finally:
        await client.close()


async def send_test(settings: Settings, current: SubscriptionSettings) -> Receipt:
    """Sends a test event to the address in force. Raises InputError without an address or a key."""
    if current.url is None:
        raise InputError(f"{current.subscription} has no address to send a test event to")
    keys, client = _knocking(settings, current, current.url)
    try:
        return await rehearse(client, current.url, keys, current.subscription, utc_now)
    finally:
        await client.close()


def _knocking(settings: Settings, current: SubscriptionSettings, url: str) -> tuple[list[SigningKey], HttpClient]:
    """What it takes to ask an address. Raises InputError for one that may not be asked, or without a key."""
    guard = address_guard(settings)
    guard.check_url(url)
    keys = [parse_secret(text) for text in current.secrets(vault(settings), utc_now())]
    if not keys:
        raise InputError(
            f"{current.subscription} has no key that signs; make one first with `hub subscriptions rotate` and let "
            "the department enter it"
        )
    return keys, HttpClient(utc_now, guard=guard)


def build_delivery(settings: Settings, hub_map: HubMap, catalog: Catalog, endpoints: Endpoints) -> Service:
    """A sender for each subscription that is pushed or gets files: a dead one keeps its own queue and slows no other.

    What may be fetched, be it as the other way only, is held by the web side, which departments ask.
    """
    means = delivery_means(settings, hub_map, catalog)
    senders: dict[str, Sender] = {}
    for name, entry in hub_map.subscriptions.items():
        if entry.delivery == "webhook" and entry.fallback == "file":
            drop = file_drop(settings, hub_map, catalog)
            senders[name] = WebhookOrFileSender(name, means, drop, retry=entry.retry)
        elif entry.delivery == "webhook" and entry.fallback is None:
            senders[name] = WebhookSender(name, means, retry=entry.retry)
        elif entry.delivery == "file":
            senders[name] = FileSender(name, means, file_drop(settings, hub_map, catalog), retry=entry.retry)

    def tell(changed: SubscriptionSettings) -> None:
        if changed.subscription in senders:
            senders[changed.subscription].use(changed)
        direct.use(changed)

    table = settings_table(settings, catalog, tell)
    direct = build_direct(settings, hub_map, catalog, means, table)
    table.fill(settings_in_force(settings, hub_map, catalog, endpoints))
    services: dict[str, Service] = {group_of(name): sender for name, sender in senders.items()}
    services |= {**direct.services, "settings": table}
    if rhythm := {name: entry.probe_minutes for name, entry in hub_map.subscriptions.items() if entry.probe_minutes}:
        publisher = KafkaPublisher(settings.bootstrap, client_id="outlet-probes")
        services["probes"] = OutletProbes(rhythm, table.get, partial(send_test, settings), publisher, utc_now)
    return Together(services)


def file_drop(settings: Settings, hub_map: HubMap, catalog: Catalog) -> Drop:
    """What the file drop stands on. A folder of its own is made; one that was named has to be there."""
    if settings.drop_dir is None:
        settings.drop.mkdir(parents=True, exist_ok=True)
    notices = FilledIndex(settings, hub_map, catalog)
    columns = Columns(catalog, {id: str(entry["title"]) for id, entry in hub_map.measures.items()})
    packing = Packing(
        settings.drop_window_seconds, settings.drop_max_notices, settings.drop_max_bytes, settings.drop_form
    )
    # Files are verified by their reader: the desk is not asked to.
    return Drop(settings.drop, columns, AnswerDesk(catalog, notices, lambda name: [], utc_now), notices, packing)


class FilledIndex:
    """The index of notices for the delivery process, which runs without it and may be there before the web side.

    What is not found is looked for in the inboxes once, and again no sooner than in a minute.
    """

    PAUSE_SECONDS = 60.0

    def __init__(self, settings: Settings, hub_map: HubMap, catalog: Catalog) -> None:
        self._index, self._catalog = NoticeIndex(open_redis(settings)), catalog
        self._settings, self._inboxes = settings, [f"inbox.{name}" for name in hub_map.subscriptions]
        self._lock, self._not_before = threading.Lock(), 0.0

    def get(self, notice_id: str) -> Notice | None:
        """Raises IndexUnavailableError, BrokerError."""
        try:
            return self._index.get(notice_id)
        except IndexUnavailableError:
            with self._lock:
                if time.monotonic() < self._not_before:
                    raise
                self._not_before = time.monotonic() + self.PAUSE_SECONDS
                self._index.rebuild(read_notices(read_topics(self._settings.bootstrap, self._inboxes), self._catalog))
            return self._index.get(notice_id)


def fetched_senders(
    settings: Settings, hub_map: HubMap, catalog: Catalog
) -> tuple[dict[str, Sender], dict[str, Puller]]:
    """Senders of the subscriptions that may fetch, always or near the end of a period; and what asks them."""
    means = delivery_means(settings, hub_map, catalog)
    senders: dict[str, Sender] = {}
    pullers: dict[str, Puller] = {}
    for name, entry in hub_map.subscriptions.items():
        if entry.delivery == "pull":
            pulled = PullSender(name, means)
            senders[name], pullers[name] = pulled, pulled.puller
        elif entry.fallback == "pull":
            box = PullBox(utc_now)
            pushed = WebhookSender(name, means, retry=entry.retry, other=(box, "pull"))
            senders[name], pullers[name] = pushed, pushed.puller(box)
    return senders, pullers


def waiting_notices(settings: Settings) -> list[Waiting]:
    """What stands on the topic of waits now, in the order of the inboxes."""
    return Waits(settings, TableLoader(settings.bootstrap, topic=WAITS_TOPIC))()


class Waits:
    """The same for a process that is asked again and again: what was read is kept. Threads may share it."""

    def __init__(self, settings: Settings, loader: Loader | None = None) -> None:
        self._loader = loader or KeptTable(Tail(settings.bootstrap, [WAITS_TOPIC], is_whole=True))
        self._partitions = range(open_map(settings).topics[WAITS_TOPIC].partitions)
        self._log = WaitLog(open_catalog(settings))

    def __call__(self) -> list[Waiting]:
        """Raises BrokerError."""
        return list(self._log.load(self._loader, self._partitions))
