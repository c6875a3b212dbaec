"""Connects the pages for people: accounts and what goes with them, and the list of all parts of the site."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

from fastapi import APIRouter

from hub.access.accounts import ACCOUNTS_TOPIC, Account, AccountsLog
from hub.access.desk import AccountsDesk
from hub.access.key_uses import KeyUses
from hub.access.keys import KEYS_TOPIC, ApiKeysLog
from hub.access.keys_desk import ApiKeysDesk
from hub.access.reports import REPORTS_TOPIC, ReportsLog
from hub.access.revision_log import RevisionCodec, T
from hub.access.sessions import Sessions
from hub.access.sign_in import Door
from hub.access.tables import AccountsTable, ApiKeysTable, ReportsTable
from hub.access.throttle import Throttle
from hub.bus.follower import Follower
from hub.bus.publisher import Publisher
from hub.bus.reader import read_topics
from hub.bus.revision_desk import RevisionDesk, Words
from hub.contracts.catalog import Catalog
from hub.contracts.map import HubMap
from hub.intake.forms import FormDesk
from hub.settings import Settings
from hub.web.key_callers import Department, KeyCallers
from hub.web.site.accounts_pages import accounts_pages
from hub.web.site.audit_pages import audit_pages
from hub.web.site.home import home_pages
from hub.web.site.interface_page import interface_page
from hub.web.site.key_status import key_status
from hub.web.site.nav_counts import nav_counts
from hub.web.site.pages import PageSet, Registry
from hub.web.site.parts import KeysInForce, SiteParts
from hub.web.site.profile import profile_pages
from hub.web.site.render import Renderer
from hub.web.site.reports_pages import reports_pages
from hub.web.site.sign_in import sign_in_pages
from hub.wiring.acts import acts_desk
from hub.wiring.console import console_part
from hub.wiring.delivery import vault
from hub.wiring.parts import Service, open_redis, utc_now
from hub.wiring.portal import portal_parts

#: All parts of the site: a part is added by a line here. Order is said by their entries.
PARTS: tuple[Callable[[], PageSet], ...] = (
    home_pages, sign_in_pages, profile_pages, accounts_pages, reports_pages, audit_pages, key_status,
    interface_page, nav_counts,
)


class Site(NamedTuple):
    """The routers, what they work with, and what has to run beside them."""

    routers: tuple[APIRouter, ...]
    parts: SiteParts
    services: Mapping[str, Service]


class Ending:
    """A service that does nothing but tell, when it is stopped, whoever streams."""

    def __init__(self, event: threading.Event) -> None:
        self._event = event

    def run(self) -> None:
        self._event.wait()

    def stop(self) -> None:
        self._event.set()


def accounts_desk(
    settings: Settings, hub_map: HubMap, catalog: Catalog, publisher: Publisher,
    on_change: Callable[[Account], object] = lambda account: None,
) -> AccountsDesk:
    """Where accounts are made and changed, by page and by command."""
    accounts = _desk(settings, ACCOUNTS_TOPIC, AccountsLog(catalog), publisher, Words("account", "accounts"))
    reports = _desk(settings, REPORTS_TOPIC, ReportsLog(catalog), publisher, Words("report", "reports"))
    return AccountsDesk(
        accounts, reports, vault(settings), hub_map.departments.keys(), acts_desk(settings, publisher), on_change
    )


def api_keys_desk(settings: Settings, hub_map: HubMap, catalog: Catalog, publisher: Publisher) -> ApiKeysDesk:
    """Where keys of programs are made and ended."""
    keys = _desk(settings, KEYS_TOPIC, ApiKeysLog(catalog), publisher, Words("key", "keys"))
    return ApiKeysDesk(keys, hub_map.departments.keys(), acts_desk(settings, publisher), utc_now)


def key_uses(settings: Settings) -> KeyUses:
    return KeyUses(open_redis(settings))


def key_callers(hub_map: HubMap, keys: KeysInForce) -> KeyCallers:
    """Who keys of programs are at the read pages."""
    departments = {
        name: Department(
            str(entry["code"]),
            frozenset(each for each, found in hub_map.subscriptions.items() if found.department == name),
        )
        for name, entry in hub_map.departments.items()
    }
    return KeyCallers(keys, departments, utc_now)


def build_site(
    settings: Settings, hub_map: HubMap, catalog: Catalog, publisher: Publisher,
    forms: Mapping[str, tuple[str, FormDesk]],
) -> Site:
    """Reads what is in force first, and makes the reports that a kill left unmade. Raises BrokerError.

    ``forms`` are the desks of sources that hand in, with the codes of their departments.
    """
    accounts = AccountsTable(Follower(settings.bootstrap, ACCOUNTS_TOPIC), AccountsLog(catalog))
    reports = ReportsTable(Follower(settings.bootstrap, REPORTS_TOPIC), ReportsLog(catalog))
    keys = ApiKeysTable(Follower(settings.bootstrap, KEYS_TOPIC), ApiKeysLog(catalog))
    # What is changed here is in force here at once; other processes follow the topic.
    desk = accounts_desk(settings, hub_map, catalog, publisher, lambda account: accounts.fill([account]))
    desk.settle_reports()
    accounts.fill(desk.accounts())
    reports.fill(desk.reports())
    keys.fill(api_keys_desk(settings, hub_map, catalog, publisher).keys())
    client, acts = open_redis(settings), acts_desk(settings, publisher, is_kept=True)
    door = Door(accounts, Sessions(client), Throttle(client), vault(settings), acts, utc_now)
    renderer = Renderer({name: str(entry["name"]) for name, entry in hub_map.departments.items()})
    renderer.registry = Registry([
        *(part() for part in PARTS), *portal_parts(settings, hub_map, catalog, publisher, forms, acts),
        console_part(settings, hub_map, catalog, publisher, acts),
    ])
    parts = SiteParts(
        door, desk, accounts, reports, keys, KeyUses(client), acts, renderer, utc_now,
        lambda report: reports.fill([report]),
    )
    services: dict[str, Service] = {
        "accounts": accounts, "reports": reports, "api-keys": keys, "live": Ending(parts.ending),
    }
    return Site(tuple(part.router for part in renderer.registry.parts), parts, services)


def _desk(
    settings: Settings, topic: str, log: RevisionCodec[T], publisher: Publisher, words: Words
) -> RevisionDesk[T]:
    return RevisionDesk(
        topic, partial(read_topics, settings.bootstrap, [topic]), publisher, log, log.name_of, words, utc_now
    )


