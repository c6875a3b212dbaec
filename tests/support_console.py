"""The console on desks in memory: a snapshot with every verdict, and a client that is signed in without Redis."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple, cast

import pytest
import redis
from fastapi.testclient import TestClient

from hub.access.accounts import Account
from hub.access.sessions import Session, form_token
from hub.bus.dead_letters import to_dead_letter
from hub.bus.records import Output, Record
from hub.clocks.calendar_desk import Comparison, Difference
from hub.clocks.calendar_preview import Moved, Preview
from hub.clocks.calendars import CalendarChange, CalendarLog
from hub.contracts.calendars import load_calendars
from hub.delivery.replay_desk import Plan, Range
from hub.delivery.settings import SealedKey, SubscriptionSettings
from hub.delivery.waits import Wait, Waiting
from hub.disclosure.reconcile import Difference as ChannelDifference
from hub.disclosure.status import ChannelStatus, Reconciled
from hub.domain.acts import Actor, Request
from hub.domain.calendar import Calendar
from hub.domain.calendar_table import differences
from hub.domain.disclosed import ChannelEntry, join_channel
from hub.errors import ContractError, InputError, PoisonError, UsageError
from hub.intake.guards.log import Alert
from hub.intake.guards.watch import Status
from hub.intake.held import Held, Verdict
from hub.ops import dead_letters
from hub.ops.dead_letters import DeadLetterDesk
from hub.ops.letters import REDRIVE
from hub.ops.map_log import MapVersion, content_of
from hub.ops.snapshot import GroupState, NamedRisk, PlaceState, RiskCount, Snapshot
from hub.state.desk_index import Page
from hub.web.site.console.desks import Clockwork, ConsoleDesks, Promise, Way
from hub.web.site.console.pages import console_pages
from hub.web.site.pages import PageSet
from tests.support_contracts import ROOT, catalog, sample
from tests.support_http_intake import hub_map
from tests.support_served import served
from tests.support_site import Site, account, site

NOW = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
ORIGIN = "http://testserver"
#: A code that no registry gave.
SUBJECT = "91623000MA0000000X"
HTML = {"accept": "text/html", "origin": ORIGIN}


def group(
    name: str, verdict: str = "ok", *, unread: int = 0, topics: tuple[str, ...] = ("a.b.v1",),
    waits_until: datetime | None = None,
) -> GroupState:
    places = [
        PlaceState(topic, 0, 5, 0, 5 + unread, unread, 0, 40.0 if unread else 0.0, False) for topic in topics
    ]
    stage = "delivery" if name.startswith(("hub-delivery", "hub-direct")) else name.split("-")[1]
    return GroupState(
        name, stage, verdict, 0 if verdict == "stopped" else 1, False, unread, 0, 40.0 if unread else 0.0, 60.0,
        12.5, 1500.0, None, None if verdict in ("stopped", "stalled", "waits") else 4000.0, [], 0, places, waits_until,
    )


def snapshot() -> Snapshot:
    """Every verdict, and two deadlines at risk; one of a natural person."""
    return Snapshot(
        NOW,
        [
            group("hub-routing", topics=("inspection.results.v1", "blacklist.notices.v1")),
            group("hub-clocks", "behind", unread=1200, topics=("clock.signals.v1",)),
            group("hub-disclosure-gsxt", "stalled", unread=30, topics=("disclosure.orders.v1",)),
            group("hub-delivery-works-bidding", "stopped", unread=7, topics=("inbox.works-bidding",)),
            group("hub-delivery-government-procurement", topics=("inbox.government-procurement",)),
            group("hub-delivery-leads-gannan", "waits", unread=2, topics=("inbox.leads-gannan",),
                  waits_until=NOW + timedelta(hours=14)),
            group("hub-delivery-leads-hezuo", "waits", unread=1, topics=("inbox.leads-hezuo",)),
        ],
        [RiskCount("penalty-disclosure", "hub-disclosure-gsxt", 2, 1)],
        [
            NamedRisk("c-1", "penalty-disclosure", "91623000MA0000000X", NOW, "hub-disclosure-gsxt", None, True),
            NamedRisk("c-2", "penalty-disclosure", "id-0a1b2c3d", NOW + timedelta(days=2), "hub-disclosure-gsxt",
                      NOW + timedelta(days=3), False),
        ],
        dead_letters={"routing.dead-letters.v1": 3}, silent_sources=["示例来源"],
    )  # fmt: skip


class StandInDoor:
    """Knows people by the cookie alone: whoever says that he is somebody is. ``uses`` counts what keeps a session
    alive."""

    def __init__(self, made: Site) -> None:
        self._accounts = made.parts.accounts
        self.uses = 0

    def who(self, id_: str) -> tuple[Session, Account] | None:
        self.uses += 1
        return self.peek(id_)

    def peek(self, id_: str) -> tuple[Session, Account] | None:
        found = self._accounts.get(id_)
        at = datetime.now(UTC)
        return None if found is None else (_session(found, at), found)


def _session(found: Account, at: datetime) -> Session:
    return Session("h", found.name, found.epoch, at.timestamp(), at.timestamp(), "127.0.0.1", "test")


class Late:
    """Stands for what is only known once the site is made."""

    def __init__(self) -> None:
        self.target: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.target, name)


class InMemoryEndpoints:
    """Settings and waits as a test puts them; what was asked is in ``asked``."""

    def __init__(self) -> None:
        self.in_force: dict[str, SubscriptionSettings] = {
            "works-bidding": SubscriptionSettings(
                "works-bidding", 3, url="https://user:s3cret@example.invalid/in?key=s3cret", is_verified=True,
                keys=(SealedKey("k", "ed25519", b"", None, NOW),), changed_by="night-watch", changed_at=NOW,
            ),
            "government-procurement": SubscriptionSettings("government-procurement", 1, is_paused=True, changed_at=NOW),
        }
        self.waits: list[Waiting] = [
            waiting("works-bidding", number, state) for number, state in enumerate(("parked", "behind", "behind"))
        ]
        self.asked: list[tuple[str, ...]] = []

    def settings(self) -> Mapping[str, SubscriptionSettings]:
        return self.in_force

    def waiting(self) -> Sequence[Waiting]:
        return self.waits

    def release(self, subscription: str, who: Actor, reason: str) -> None:
        if not self.waits:
            raise InputError(f"nothing waits for {subscription} any more")
        self.asked.append(("release", subscription, who.name, reason))
        self.waits = []

    def pause(self, subscription: str, who: Actor, reason: str) -> None:
        self.asked.append(("pause", subscription, who.name, reason))

    def resume(self, subscription: str, who: Actor, reason: str) -> None:
        self.asked.append(("resume", subscription, who.name, reason))


class InMemorySources:
    """One source that is silent, one that nobody watches, and a portion that is held."""

    def __init__(self) -> None:
        counts = {"withdrawn": 900}
        self.portions = [("permits", Held("abc123", "export.csv", "2026-03-02T01:00:00+00:00", ["撤回 900 行"], counts,
                                          ["示例*"]))]  # fmt: skip
        self.asked: list[tuple[str, ...]] = []

    def status(self) -> tuple[Sequence[Status], Sequence[Alert]]:
        found = [Status("open", "unwatched", None, None, None), Status("permits", "silent", None, NOW, None)]
        return found, [Alert("a", "silence-began", "permits", "x", "两个工作日未报送", None, None, NOW)]

    def manifests(self) -> Sequence[Promise]:
        day = date(2026, 3, 2)
        return [
            Promise("permits", day, "differs", 1200, 900, 3, True, NOW, "1 of 3 files have not come: c.csv"),
            Promise("notices", day, "differs", 1000, 910, None, True, NOW, "1000 rows announced, the table had 910",
                    is_table=True),
            Promise("permits", day - timedelta(days=1), "missing"), Promise("open", day, "open", 7, received_at=NOW),
            *(Promise("open", day - timedelta(days=each), "agrees", 7, 7, 1) for each in range(1, 26)),
        ]

    def held(self) -> Sequence[tuple[str, Held]]:
        return self.portions

    def decide(self, source: str, id_: str, verdict: Verdict, who: Actor, reason: str) -> None:
        if self.portions[0][1].verdict:
            raise InputError(f"{id_} is decided already")
        self.asked.append((source, id_, verdict, who.name, reason))
        self.portions = [(source, self.portions[0][1]._replace(verdict=verdict))]


def channel_entry(number: int, action: str, status: str | None, *, subject: str = SUBJECT) -> ChannelEntry:
    """A record with one order on a channel, and its receipt."""
    at = NOW + timedelta(minutes=number)
    value = {
        "order_id": f"{number:08x}-0000", "correlation_id": f"record-{number}", "subject": subject, "action": action,
        "sequence": 2, "ordered_at": at, "status": status, "received_at": at, "reason": "权限不足",
        "public_reference": None,
    }
    ordered = ChannelEntry.ordered(value)
    return ordered if status is None else join_channel(ordered, ChannelEntry.ended(value))


class InMemoryChannels:
    """The disclosure system is down and has 30 withdrawals that it refused; nothing else was ever ordered."""

    def __init__(self) -> None:
        persons = {3: "id-0a1b2c3d"}
        self.stuck = [
            channel_entry(number, "withdraw", "refused", subject=persons.get(number, SUBJECT)) for number in range(30)
        ]
        self.found: Reconciled | None = Reconciled(
            NOW, 1200, 3, {"still-public": 1},
            (ChannelDifference("still-public", "record-1", SUBJECT, 2, 1, "GS-1"),),
        )
        self.asked: list[tuple[Any, ...]] = []

    def counts(self, channel: str) -> Mapping[str, int]:
        return {"public": 1200, "stuck": len(self.stuck), "waiting": 1} if channel == "gsxt" else {}

    def status(self, channel: str) -> ChannelStatus | None:
        return ChannelStatus("open", 30.0, 4, "HTTP 503") if channel == "gsxt" else None

    def reconciled(self, channel: str) -> Reconciled | None:
        return self.found if channel == "gsxt" else None

    def page(self, channel: str, order: str, cursor: str | None = None) -> Page[ChannelEntry]:
        if channel != "gsxt" or order == "refused":
            return Page([], None)
        if order == "waiting":
            return Page([channel_entry(40, "publish", None)], None)
        if order == "receipts":
            return Page(self.stuck[::-1][:25], None)
        return Page(self.stuck[25:], None) if cursor else Page(self.stuck[:25], "24")

    def give_again(self, channel: str, records: Sequence[str], who: Actor, reason: str) -> int:
        if not self.stuck:
            raise InputError(f"nothing that was asked for is stuck on {channel} any more")
        self.asked.append((channel, *records, who.name, reason))
        found = len(records) or len(self.stuck)
        self.stuck = [each for each in self.stuck if records and each.correlation_id not in records]
        return found


class InMemoryCalendars:
    """Both calendars of the files are in force; of Gannan one day more is entered and not published."""

    def __init__(self) -> None:
        self.now_in_force = load_calendars(ROOT)
        gannan = self.now_in_force["gannan"]
        self.entered = Calendar(
            "gannan", gannan.title, {**gannan.off, date(2026, 8, 3): "香浪节"}, gannan.worked, gannan.first_year,
            gannan.last_year, gannan.base,
        )
        self.published = [
            CalendarChange(f"c-{name}", found, 1, None, "首次启动时文件所载", "hub", NOW)
            for name, found in self.now_in_force.items()
        ]
        self.fault = ""
        #: A test that holds it back sets it off by itself.
        self.may_compare = threading.Event()
        self.may_compare.set()

    def files(self) -> Mapping[str, Calendar]:
        if self.fault:
            raise ContractError(self.fault)
        return {**self.now_in_force, "gannan": self.entered}

    def log(self) -> CalendarLog:
        return CalendarLog(self.published)

    def compare(self, name: str | None = None) -> Comparison:
        self.may_compare.wait(20)
        current = self.now_in_force["gannan"]
        days = differences(current, self.entered)
        moved = tuple(
            Moved(f"clock-{number}", "act-and-answer", SUBJECT if number else "id-0a1b2c3d", "gannan",
                  date(2026, 8, 3), date(2026, 8, 4), False, False) for number in range(21)
        )
        found = Preview(40, frozenset(str(each) for each in range(30)), moved)
        return Comparison(self.log(), [Difference("gannan", current, self.entered, days, [], [])], found, {})


class InMemoryMaps:
    """Two versions: the second takes a subscription away and changes a deadline."""

    def __init__(self) -> None:
        now = content_of(hub_map())
        gone = {"title": "示例订阅", "department": "finance"}
        before = {
            **now, "subscriptions": {**now["subscriptions"], "former": gone},
            "clocks": {**now["clocks"], "accept-lead": {**now["clocks"]["accept-lead"], "due": {"working_days": 9}}},
        }
        self.versions = [
            MapVersion("v-1", "0123456789ab", 1, None, before, "首次记录", "hub", NOW),
            MapVersion("v-2", hub_map().version, 2, "0123456789ab", now, "令20第十四条：七日", "night-watch", NOW),
        ]

    def read(self) -> list[MapVersion]:
        return self.versions


class InMemoryReplays:
    """A plan of ``count`` notices; asking for it is a request as the real desk makes it."""

    def __init__(self, acts: Late) -> None:
        self.acts, self.count = acts, 2
        self.planned: list[tuple[str, Range]] = []
        self.carried: list[Actor] = []

    def plan(self, subscription: str, wanted: Range) -> Plan:
        if wanted.since >= wanted.until:
            raise UsageError("The range ends before it begins")
        self.planned.append((subscription, wanted))
        record = (Record(f"inbox.{subscription}", 0, 0, 0, b"k", b"", []), "n")
        return Plan(subscription, (record,) * self.count, {"a.b.c": self.count}, NOW, NOW, 1, 0, 0, 0, {})

    def ask(self, plan: Plan, wanted: Range, who: Actor, reason: str) -> Request:
        found: Request = self.acts.ask("notices.replay", who, plan.subscription, reason, needs_second=True)
        return found

    def carry_out(self, request: Request, who: Actor) -> None:
        with self.acts.carrying_out(request, who) as outcome:
            self.carried.append(who)
            outcome.append(f"{self.count} put into the inbox again")


def waiting(subscription: str, number: int, state: Any) -> Waiting:
    record = Record(f"inbox.{subscription}", 0, number, 0, b"k", b"", [])
    wait = Wait(state, "HTTP 503", 3, 503, NOW, NOW, NOW + timedelta(hours=1))
    return Waiting(f"n-{number}", subscription, record, wait, "91623000MA0000000X", NOW + timedelta(days=3))


def letter_record(offset: int, error: Exception, value: bytes) -> Output:
    record = Record("inspection.results.v1", 0, 100 + offset, 0, b"k", value, [("ce_id", b"e%d" % offset)])
    return to_dead_letter(record, "routing", error, attempts=1, first_failed_at=NOW, rule_version="m1")


@dataclass
class Stage:
    """The console on desks in memory, to be changed by a test: the desk of dead letters and that of acts are the real
    ones on a log in memory (``use_memory``)."""

    snapshot: Snapshot | None = field(default_factory=snapshot)
    endpoints: InMemoryEndpoints = field(default_factory=InMemoryEndpoints)
    log: Late = field(default_factory=Late)
    acts: Late = field(default_factory=Late)
    sources: InMemorySources = field(default_factory=InMemorySources)
    channels: InMemoryChannels = field(default_factory=InMemoryChannels)
    calendars: InMemoryCalendars = field(default_factory=InMemoryCalendars)
    maps: InMemoryMaps = field(default_factory=InMemoryMaps)

    def __post_init__(self) -> None:
        self.replays = InMemoryReplays(self.acts)

    def desks(self) -> ConsoleDesks:
        letters = DeadLetterDesk("", cast(Any, self.log), catalog(), hub_map().topics, cast(Any, self.acts))
        ways = {
            name: Way(entry.title, entry.department, entry.delivery, entry.fallback)
            for name, entry in hub_map().subscriptions.items()
        }
        return ConsoleDesks(
            lambda: self.snapshot, self.endpoints, letters, cast(Any, self.acts), self.replays,
            self.sources, self.channels, self.calendars, self.maps, hub_map(),
            {"penalty-disclosure": Clockwork("行政处罚公示时限", "source", "示例")}, ways,
            {REDRIVE: letters.redrive, "notices.replay": self.replays.carry_out},
        )

    def site(self, client: redis.Redis | None = None, extra: Sequence[Callable[[], PageSet]] = ()) -> Site:
        """Without a client nobody can sign in, and everybody is whom his cookie says."""
        made = site(client or redis.Redis(port=1), [*extra, lambda: console_pages(self.desks())])
        self.log.target, self.acts.target = made.desks.log, made.desks.acts
        made.add(account("day-watch", "market-supervision", "operator"))
        if client is None:
            made.parts.door = StandInDoor(made)  # type: ignore[assignment]  # it knows the two calls that pages make
        return made

    def use_memory(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The desk of dead letters reads the log in memory."""

        def read(bootstrap: str, topics: Sequence[str], partition: int | None = None) -> Iterator[Record]:
            for topic in topics:
                yield from self.log.records(topic)

        monkeypatch.setattr(dead_letters, "read_topics", read)

    def fill_letters(self, count: int = 3) -> None:
        """``count`` letters of one class, and one that no schema can read."""
        schema = catalog().schema("inspection/result")
        value = schema.encode(sample(schema))
        made = [letter_record(each, PoisonError(f"there is no code {each}"), value) for each in range(count)]
        self.log.publish([*made, letter_record(count, InputError("header ce_time is no time: '合作'"), b"no schema")])


def client_of(made: Site, name: str) -> TestClient:
    """Somebody at the pages; redirects are answers."""
    return TestClient(made.app, headers=HTML, cookies={"hub-session": name}, follow_redirects=False)


def sent(name: str, /, **fields: str) -> dict[str, str]:
    """What a form of ``name`` sends."""
    return {"_token": form_token(name), **fields}


class Console(NamedTuple):
    """``url`` is the root of the running pages, ``stage`` their desks."""

    url: str
    stage: Stage


@contextmanager
def running_console(redis_url: str) -> Iterator[Console]:
    """The pages on a socket, for browsers; nobody has tried to sign in yet."""
    stage = Stage()
    with pytest.MonkeyPatch.context() as patch, redis.Redis.from_url(redis_url) as client:
        for key in client.scan_iter("hub:tries:*"):
            client.delete(key)
        stage.use_memory(patch)
        made = stage.site(client)
        with served(made.app) as url:
            yield Console(url, stage)
            made.parts.ending.set()
