"""The pages on a log in memory: accounts of every role, and a client that is signed in."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any, NamedTuple

import redis
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from starlette.datastructures import URL, QueryParams

from hub.access.accounts import ACCOUNTS_TOPIC, Account, AccountsLog, new_account, parse_roles, seal_password
from hub.access.desk import AccountsDesk, Person
from hub.access.key_uses import KeyUses
from hub.access.keys import KEYS_TOPIC, ApiKey, ApiKeysLog
from hub.access.keys_desk import ApiKeysDesk
from hub.access.reports import REPORTS_TOPIC, ReportsLog
from hub.access.sessions import Sessions
from hub.access.sign_in import Door
from hub.access.tables import AccountsTable, ApiKeysTable, ReportsTable
from hub.access.throttle import Throttle
from hub.bus.records import Output, Record
from hub.bus.revision_desk import RevisionDesk, Words
from hub.domain.acts import Act, Actor
from hub.domain.vault import Vault
from hub.errors import BrokerError
from hub.ops.acts import ACTS_TOPIC, ActsDesk
from hub.web.app import create_app
from hub.web.site.pages import PageSet, Registry
from hub.web.site.parts import SiteParts
from hub.web.site.render import Renderer
from hub.wiring.site import PARTS
from tests.support_contracts import catalog
from tests.support_http_intake import NoFollower, hub_map

VAULT = Vault(b"only-for-tests")
PASSWORD = "made-up for tests 7"
ROOT_PERSON = Person(Actor("root", "command"))


class Ticket:
    def __init__(self, next_offsets: dict[tuple[str, int], int]) -> None:
        self.next_offsets = next_offsets

    def wait(self) -> None:
        """It is safe already."""


class MemoryLog:
    """A broker of one partition a topic. ``fails_on`` are topics that take nothing, as after a kill."""

    def __init__(self) -> None:
        self.topics: dict[str, list[Record]] = defaultdict(list)
        self.fails_on: set[str] = set()

    def publish(self, outputs: Sequence[Output]) -> None:
        self.publish_async(outputs)

    def publish_async(self, outputs: Sequence[Output]) -> Ticket:
        ends = {}
        for each in outputs:
            if each.topic in self.fails_on:
                raise BrokerError(f"{each.topic} takes nothing")
            log = self.topics[each.topic]
            log.append(Record(each.topic, 0, len(log), 0, each.key, each.value, each.headers))
            ends[each.topic, 0] = len(log)
        return Ticket(ends)

    def close(self) -> None:
        """Nothing is held."""

    def records(self, topic: str) -> list[Record]:
        return list(self.topics[topic])


class MemoryActs(ActsDesk):
    def __init__(self, log: MemoryLog, now: Callable[[], datetime]) -> None:
        super().__init__("", log, catalog(), now)
        self._memory = log

    def _steps(self) -> Iterator[Act]:
        for record in self._memory.records(ACTS_TOPIC):
            yield self._act(record.value)


class Desks(NamedTuple):
    """Everything that works on one log."""

    log: MemoryLog
    acts: MemoryActs
    accounts: AccountsDesk
    keys: ApiKeysDesk
    accounts_log: AccountsLog


def desk_of(log: MemoryLog, topic: str, codec: Any, now: Callable[[], datetime]) -> RevisionDesk[Any]:
    words = Words("thing", "things")
    return RevisionDesk(topic, partial(log.records, topic), log, codec, codec.name_of, words, now)


def utc_now() -> datetime:
    return datetime.now(UTC)


def desks(
    now: Callable[[], datetime] = utc_now, on_change: Callable[[Account], object] = lambda account: None
) -> Desks:
    log = MemoryLog()
    acts, departments = MemoryActs(log, now), hub_map().departments.keys()
    accounts_log = AccountsLog(catalog())
    accounts = AccountsDesk(
        desk_of(log, ACCOUNTS_TOPIC, accounts_log, now), desk_of(log, REPORTS_TOPIC, ReportsLog(catalog()), now), VAULT,
        departments, acts, on_change,
    )
    keys = ApiKeysDesk(desk_of(log, KEYS_TOPIC, ApiKeysLog(catalog()), now), departments, acts, now)
    return Desks(log, acts, accounts, keys, accounts_log)


@cache
def sealed(name: str) -> bytes:
    """The test password of an account, hashed once: it takes its time."""
    return seal_password(name, PASSWORD, VAULT)


def account(name: str, department: str, *roles: str, must_change: bool = False) -> Account:
    made = new_account(name, f"{name} 示例", department, parse_roles(roles))
    made = made.with_password(sealed(name), must_change=must_change)
    return Account(**{each: getattr(made, each) for each in made.__slots__} | {"revision": 1, "changed_at": utc_now()})


#: One of each role; two departments besides the one that leads.
PEOPLE = {
    "lead-admin": ("market-supervision", ["administrator"]),
    "lead-clerk": ("market-supervision", ["clerk"]),
    "fin-admin": ("finance", ["administrator"]),
    "fin-leader": ("finance", ["leader"]),
    "fin-clerk": ("finance", ["clerk"]),
    "tax-admin": ("taxation", ["administrator"]),
    "tax-clerk": ("taxation", ["clerk"]),
    "night-watch": ("market-supervision", ["operator"]),
    "over-looker": ("justice", ["auditor"]),
}


class Asked:
    """A request for a live part, of a browser that stays; ``session`` is of whom, ``last`` what it heard last."""

    def __init__(self, given: Site, session: str, last: str = "", path: str = "/live/x") -> None:
        self.app, self.cookies, self.url = given.app, {"hub-session": session}, URL(f"http://127.0.0.1{path}")
        self.headers = {"last-event-id": last} if last else {}
        self.query_params = QueryParams(self.url.query)

    async def is_disconnected(self) -> bool:
        return False


def heard(answer: StreamingResponse, most: int = 1000) -> list[str]:
    """What a live part tells until it ends; ``most`` parts of it."""

    async def listen() -> list[str]:
        found: list[str] = []
        async for part in answer.body_iterator:
            found.append(bytes(part).decode() if not isinstance(part, str) else part)
            if len(found) == most:
                break
        return found

    return asyncio.run(listen())


class Site(NamedTuple):
    app: FastAPI
    parts: SiteParts
    desks: Desks
    keys: ApiKeysTable

    def add(self, made: Account) -> Account:
        """An account on the log and in force."""
        self.desks.log.publish([self.desks.accounts_log.entry(made)])
        self.parts.accounts.fill([made])  # type: ignore[attr-defined]  # it is the table itself
        return made

    def add_key(self, key: ApiKey) -> None:
        self.keys.fill([key])


def site(
    client: redis.Redis, extra: Sequence[Callable[[], PageSet]] = (), now: Callable[[], datetime] = utc_now
) -> Site:
    """The application, with PEOPLE in it, each with PASSWORD."""
    accounts = AccountsTable(NoFollower(), None)  # type: ignore[arg-type]  # these are filled, not followed
    reports = ReportsTable(NoFollower(), None)  # type: ignore[arg-type]
    keys = ApiKeysTable(NoFollower(), None)  # type: ignore[arg-type]

    def changed(made: Account) -> None:
        accounts.fill([made])

    all_desks = desks(now, changed)
    renderer = Renderer({name: str(entry["name"]) for name, entry in hub_map().departments.items()})
    renderer.registry = Registry(part() for part in (*PARTS, *extra))
    door = Door(accounts, Sessions(client), Throttle(client), VAULT, all_desks.acts, now)
    parts = SiteParts(
        door, all_desks.accounts, accounts, reports, keys, KeyUses(client), all_desks.acts, renderer, now,
        lambda report: reports.fill([report]),
    )
    made = Site(create_app([("", part.router) for part in renderer.registry.parts], parts), parts, all_desks, keys)
    for name, (department, roles) in PEOPLE.items():
        made.add(account(name, department, *roles))
    return made
