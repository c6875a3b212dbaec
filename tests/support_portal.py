"""A desk in memory for the pages of the portal: what lies on it is given by department."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any, cast

from hub.bus.log_reader import Position
from hub.bus.records import Output, Record
from hub.clocks.wire import state_to_value
from hub.delivery.answers import AnswerDesk
from hub.delivery.message import to_notice
from hub.delivery.rehearsal import Receipt
from hub.delivery.replay_desk import Plan, Range
from hub.delivery.settings import SubscriptionSettings
from hub.domain.acts import Actor, Request
from hub.domain.calendar import Calendar
from hub.domain.clock_fold import apply
from hub.domain.clocks import ClockState, Signal
from hub.domain.desk import Colour, NoticeState, Score
from hub.errors import BrokerError, IndexUnavailableError, InputError, UsageError
from hub.intake.forms import Filled, Form
from hub.ops.ledger.desk_queries import DeskClock, DeskLead, DeskNotice, DeskPage, DeskTotals, NoticeView
from hub.ops.ledger.queries import Trace
from hub.ops.ledger.view import Ledger
from hub.ops.trace import Step, steps_from
from hub.state.notice_index import Notice
from hub.web.site.oversight_pages import oversight_pages
from hub.web.site.pages import PageSet
from hub.web.site.portal.answering import Answering
from hub.web.site.portal.desk_pages import desk_pages
from hub.web.site.portal.entry_pages import entry_pages
from hub.web.site.portal.event_pages import event_pages
from hub.web.site.portal.lead_pages import lead_pages
from hub.web.site.portal.leads import LeadView
from hub.web.site.portal.notice import LedgerNotices, Standing
from hub.web.site.portal.notice_pages import notice_pages
from hub.web.site.portal.replay_pages import replay_pages
from hub.web.site.portal.subscription_pages import subscription_pages
from hub.web.site.portal.upload_pages import upload_pages
from tests.support_contracts import catalog
from tests.support_http_intake import hub_map
from tests.support_ledger import calendars
from tests.support_pages import BIDDING, PROCUREMENT, Season
from tests.support_site import VAULT

TODAY = date(2026, 3, 4)  # a Wednesday
NOW = datetime(2026, 3, 4, 2, tzinfo=UTC)
#: Valid in form, given to nobody.
ENTERPRISE, PERSON = "91620000MA00000017", "id-0123456789abcdef"


def a_clock(number: int, due: date, colour: Colour, rule: str = "answer-notice", **more: Any) -> DeskClock:
    made = DeskClock(
        f"clock-{number:03d}", rule, hub_map().clocks[rule].title if rule in hub_map().clocks else rule, colour, due,
        datetime(due.year, due.month, due.day, 16, tzinfo=UTC), "running", False, due < TODAY, ENTERPRISE, False,
        "event", "row", None,
    )
    return made._replace(**more)


def a_notice(number: int, state: NoticeState = NoticeState.UNANSWERED, **more: Any) -> DeskNotice:
    made = DeskNotice(
        f"notice-{number:03d}", state, "government-procurement", "政府采购限制", "apply", 1,
        datetime(2026, 3, 2, 1, tzinfo=UTC), "delivered", None, None, None, None, None, None, ENTERPRISE, False,
        "event", "row",
    )
    return made._replace(**more)


def a_lead(number: int, **more: Any) -> DeskLead:
    made = DeskLead(
        f"lead-{number:03d}", "event", "complaint", "received", "623001", date(2026, 3, 2), None, "12345", PERSON, True
    )
    return made._replace(**more)


class MemoryDesk:
    """Cursors are places of the list. ``is_down``: Redis does not answer."""

    def __init__(self) -> None:
        self.of_clocks: dict[str, list[DeskClock]] = defaultdict(list)
        self.of_notices: dict[str, list[DeskNotice]] = defaultdict(list)
        self.of_leads: dict[str, list[DeskLead]] = defaultdict(list)
        self.scores: dict[str, dict[int, list[tuple[str, Score]]]] = {}
        self.is_down, self.has_index = False, True

    def clocks(self, department: str, today: date, cursor: str | None, limit: int) -> DeskPage:
        return self._page(self.of_clocks[department], cursor, limit)

    def notices(self, department: str, is_waiting: bool, cursor: str | None, limit: int) -> DeskPage:
        found = self.of_notices[department]
        shown = [each for each in found if not is_waiting or each.state is not NoticeState.ANSWERED]
        return self._page(shown, cursor, limit)

    def leads(self, department: str, cursor: str | None, limit: int) -> DeskPage:
        return self._page(self.of_leads[department], cursor, limit)

    def totals(self, department: str) -> DeskTotals:
        self._answers()
        waiting = self.notices(department, True, None, 1).total
        return DeskTotals(len(self.of_clocks[department]), waiting, len(self.of_leads[department]))

    def scoreboard(self, department: str, today: date) -> dict[int, list[tuple[str, Score]]]:
        self._answers()
        return self.scores.get(department, {30: [], 90: []})

    def calendar_of(self, rule: str) -> Calendar | None:
        return calendars()["gannan"]

    def is_filled(self) -> bool:
        self._answers()
        return self.has_index

    def title_of_code(self, code_list: str, code: str) -> str:
        return catalog().codes[code_list].title_of(code)

    def title_of_rule(self, rule: str) -> str:
        return hub_map().clocks[rule].title

    def _page(self, found: Sequence[Any], cursor: str | None, limit: int) -> DeskPage:
        self._answers()
        start = int(cursor or 0)
        rest = str(start + limit) if start + limit < len(found) else None
        return DeskPage(list(found[start : start + limit]), rest, len(found))

    def _answers(self) -> None:
        if self.is_down:
            raise IndexUnavailableError("Redis is away")


class MemoryReader:
    """Records by their place, as they are at each look."""

    def __init__(self, records: Sequence[Record]) -> None:
        self._records = records

    def fetch(self, positions: Iterable[Position]) -> dict[Position, Record]:
        by_place = {Position(each.topic, each.partition, each.offset): each for each in self._records}
        return {each: by_place[each] for each in positions if each in by_place}

    def close(self) -> None:
        """Nothing is held."""


class SeasonNotices(LedgerNotices):
    """The notice of a listing that went to two departments (``support_pages``), with a clock of the first one."""

    def __init__(self) -> None:
        self.season = Season()
        self.season.route("r1")
        self.inbox = self.season.notice("r1", PROCUREMENT)
        self.other = self.season.notice("r1", BIDDING)
        self.season.end("r1", PROCUREMENT)
        self.season.answer("r1", BIDDING)
        self.state = self._clock()
        records = [*self.season.records, self._record_of(self.state)]
        ledger = Ledger(
            cast(Any, None), cast(Any, None), cast(Any, MemoryReader(records)), cast(Any, None), catalog(), hub_map(),
            calendars(),
        )
        super().__init__(ledger)
        self.steps = steps_from(records, catalog())

    def view(self, department: str, notice_id: str, today: date) -> NoticeView | None:
        if department != "finance" or notice_id != self.inbox["notice_id"]:
            return None
        names = ("notice_id", "subject", "event_id", "correlation_id", "subscription")
        notice = a_notice(1)._replace(**{name: self.inbox[name] for name in names})
        clock = a_clock(1, self.state.due_on or TODAY, Colour.AMBER, rule="act-and-answer")
        clock = clock._replace(clock_id=self.state.clock_id)
        return NoticeView(notice, [clock], Trace(self.steps, [], "index"))

    def standing(self, department: str, notice_id: str, clock_ids: Sequence[str]) -> Standing | None:
        return ("answered", [("act-and-answer", "met")]) if self.view(department, notice_id, TODAY) else None

    def known(self) -> Notice:
        return to_notice(self.inbox)

    def ways(self) -> MemoryWays:
        return MemoryWays({self.inbox["notice_id"], self.inbox["event_id"], self.inbox["subject"]}, self.steps)

    def _clock(self) -> ClockState:
        code = str(hub_map().departments["finance"]["code"])
        began = Signal(
            kind="start", rule="act-and-answer", correlation_id=self.inbox["correlation_id"],
            subject=self.inbox["subject"], event_id=self.inbox["event_id"],
            occurred_at=datetime(2026, 2, 27, 2, tzinfo=UTC), target=PROCUREMENT, counts_from=date(2026, 2, 27),
            owner_department=code,
        )
        state, _ = apply(None, began, hub_map().clocks["act-and-answer"], calendars()["gannan"])
        assert state is not None
        return state

    def _record_of(self, state: ClockState) -> Record:
        value = catalog().schema("hub/clock-state").encode(state_to_value(state))
        headers = [("ce_id", b"c-1"), ("ce_correlationid", state.correlation_id.encode())]
        return Record("clock.states.v1", 3, 999, 1772413300000, state.clock_id.encode(), value, headers)


class MemoryWays:
    """One way, found by each of its ids."""

    def __init__(self, ids: Collection[str], steps: Sequence[Step]) -> None:
        self.ids, self.all, self.rules = ids, list(steps), hub_map().clocks
        self.is_away = False

    def steps(self, asked: str) -> Sequence[Step]:
        if self.is_away:
            raise IndexUnavailableError("away")
        return self.all if asked in self.ids else ()


class Known:
    """The index of notices, with one in it."""

    def __init__(self, notice: Notice) -> None:
        self._notice = notice

    def get(self, notice_id: str) -> Notice | None:
        return self._notice if notice_id == self._notice.notice_id else None


class Outbox:
    """What was published. ``is_down``: Kafka does not acknowledge."""

    def __init__(self) -> None:
        self.outputs: list[Output] = []
        self.is_down = False

    def publish(self, outputs: Sequence[Output]) -> None:
        if self.is_down:
            raise BrokerError("Kafka is away")
        self.outputs += outputs

    def values(self) -> list[dict[str, Any]]:
        return [catalog().decode(each.value or b"")[1] for each in self.outputs]


class MemoryKeeper:
    """Settings of subscriptions."""

    def __init__(self) -> None:
        self.settings: dict[str, SubscriptionSettings] = {}

    def read(self) -> dict[str, SubscriptionSettings]:
        return dict(self.settings)

    def change(
        self, subscription: str, change: Callable[[SubscriptionSettings], SubscriptionSettings], *, by: str, reason: str
    ) -> SubscriptionSettings:
        current = self.settings.get(subscription, SubscriptionSettings(subscription))
        made = replace(change(current), revision=current.revision + 1, changed_by=by, reason=reason, changed_at=NOW)
        self.settings[subscription] = made
        return made


class MemoryEndpoint:
    """An endpoint that agrees and takes what comes, unless ``refuses`` says why not."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.tested: list[str] = []
        self.refuses: str | None = None

    def verify(self, current: SubscriptionSettings, url: str) -> None:
        self.asked.append(url)
        if self.refuses is not None:
            raise InputError(self.refuses)

    def send_test(self, current: SubscriptionSettings) -> Receipt:
        if current.url is None:
            raise InputError("there is no address")
        self.tested.append(current.subscription)
        if self.refuses is not None:
            return Receipt("test-1", NOW, 15000, None, False, "", self.refuses)
        return Receipt("test-1", NOW, 12, 204, True, "")


class NoLeads:
    """No lead lies on any desk."""

    def view(self, department: str, correlation_id: str) -> LeadView | None:
        return None

    def filled(self, found: LeadView, form: Form) -> Filled | None:
        return None


class NoReplays:
    """Nobody asks for any."""

    def read(self) -> list[Request]:
        return []

    def plan(self, subscription: str, wanted: Range) -> Plan:
        raise UsageError("nothing is planned here")

    def ask(self, plan: Plan, wanted: Range, who: Actor, reason: str) -> Request:
        raise UsageError("nothing is asked here")


def portal_pages(
    desk: MemoryDesk | None = None, notices: SeasonNotices | None = None, outbox: Outbox | None = None,
    keeper: MemoryKeeper | None = None, endpoint: MemoryEndpoint | None = None, replays: Any = None,
) -> list[Callable[[], PageSet]]:
    """The parts of the portal on what is in memory."""
    desk, notices, outbox = desk or MemoryDesk(), notices or SeasonNotices(), outbox or Outbox()
    kept = keeper or MemoryKeeper()
    known = Known(notices.known())
    answering = Answering(AnswerDesk(catalog(), known, lambda name: [], lambda: NOW), known, outbox.publish)
    return [
        lambda: desk_pages(desk, lambda: TODAY), lambda: notice_pages(notices, desk, answering, lambda: TODAY),
        lambda: subscription_pages(hub_map().subscriptions, kept, VAULT, lambda: NOW, endpoint or MemoryEndpoint()),
        lambda: replay_pages(hub_map().subscriptions, replays or NoReplays(), replays or NoReplays()),
        lambda: upload_pages({}),
        lambda: entry_pages({}), lambda: lead_pages(NoLeads(), desk, {}, lambda: TODAY),
        lambda: event_pages(cast(Any, None), {}),
        lambda: oversight_pages(desk, notices.ways(), list(hub_map().departments), lambda: TODAY),
    ]
