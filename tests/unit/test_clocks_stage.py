"""The clocks stage on records, without a broker: what it writes, and what a restart or a repeat changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any, ClassVar

import pytest

from hub.bus.records import Output
from hub.clocks.stage import ClocksStage
from hub.clocks.table import AWAITING_KEPT
from hub.clocks.wire import StateWriter
from hub.contracts.cloudevents import from_headers
from hub.domain.calendar import Calendar, PublishedCalendar
from hub.domain.clocks import ClockRule, ClockState, Due, Signal, Status, clock_id
from hub.domain.events import derive_id
from hub.domain.murmur2 import partition_of
from hub.errors import BrokerError, ContractError, IndexUnavailableError
from tests.support_clocks import (
    CALENDARS,
    DEPARTMENT,
    DISCLOSE,
    PUSH,
    RULES,
    Feed,
    StatesTopic,
    at,
    milliseconds,
    signal,
)
from tests.support_contracts import catalog

NOW = at("2026-10-01")
START = signal("start", "v1", "2026-09-30T02:00", counts_from="2026-09-30")
DISCLOSE_ID = clock_id(derive_id("e1"), "disclose", None)


class InMemoryIndex:
    def __init__(self) -> None:
        self.moments: dict[int, dict[str, int]] = {}
        self.is_down = False

    def put(self, partition: int, moments: Mapping[str, int | None]) -> None:
        if self.is_down:
            raise IndexUnavailableError()
        table = self.moments.setdefault(partition, {})
        for key, moment in moments.items():
            if moment is None:
                table.pop(key, None)
            else:
                table[key] = moment

    def replace(self, partition: int, moments: Mapping[str, int]) -> None:
        if self.is_down:
            raise IndexUnavailableError()
        self.moments[partition] = dict(moments)

    def counts(self, partitions: Sequence[int]) -> list[int]:
        if self.is_down:
            raise IndexUnavailableError()
        return [len(self.moments.get(partition, {})) for partition in partitions]


class Clockwork:
    """A stage with its topic and index, and a time that the test moves."""

    def __init__(
        self,
        topic: StatesTopic | None = None,
        calendars: Mapping[str, Calendar] = CALENDARS,
        rules: Mapping[str, ClockRule] = RULES,
        **more: Any,
    ) -> None:
        self.topic = topic or StatesTopic()
        self.index = InMemoryIndex()
        self.now = NOW
        self.stage = ClocksStage(
            rules=rules, calendars=calendars, catalog=catalog(), loader=self.topic, index=self.index,
            map_version="m1", monotonic=lambda: self.now.timestamp(), **more,
        )
        self.stage.on_assigned([("clock.signals.v1", 3)])

    def handle(self, *records: object) -> list[Output]:
        outputs = [output for each in self.stage.handle(records) for output in each]  # type: ignore[arg-type]
        self.topic.write(outputs)
        return outputs

    def take_up_again(self) -> None:
        place = [("clock.signals.v1", 3)]
        self.stage.on_revoked(place)
        self.stage.on_assigned(place)

    def tick(self, when: str | datetime) -> list[Output]:
        self.now = at(when) if isinstance(when, str) else when
        outputs = [output for wave in self.stage.tick(self.now) for output in wave]
        self.topic.write(outputs)
        return outputs

    def status(self, rule: str, target: str | None = None) -> Status | None:
        state = self.stage.states(3).get(clock_id(derive_id("e1"), rule, target))
        return state.status if state else None


def alerts_of(outputs: list[Output]) -> list[dict[str, object]]:
    return [catalog().decode(each.value or b"")[1] for each in outputs if each.topic == "clock.alerts.v1"]


def test_a_state_is_written_on_the_partition_of_its_subject_with_its_cause() -> None:
    (output,) = Clockwork().handle(Feed().signal(START))
    assert (output.topic, output.key, output.partition) == ("clock.states.v1", DISCLOSE_ID.encode(), 3)
    envelope = from_headers(output.headers)
    assert (envelope.type, envelope.time) == ("clock.state.changed", START.occurred_at)
    assert envelope.correlation_id == START.correlation_id
    value = catalog().decode(output.value or b"")[1]
    assert (value["status"], value["due_on"]) == ("running", date(2026, 11, 4))
    assert value["owner_department"] == DEPARTMENT


def test_disclosure_is_met_by_its_receipt() -> None:
    works, feed = Clockwork(), Feed()
    works.handle(feed.signal(START), feed.published("r1", "2026-10-12"))
    assert works.status("disclose") is Status.MET
    # Nothing is awaited for penalties: the entity is an inspection result.
    assert works.status("penalty") is None


def test_a_push_runs_for_each_subscription_and_its_delivery_starts_the_answer() -> None:
    works, feed = Clockwork(), Feed()
    starts = [
        signal("start", "v1", "2026-10-09", rule=PUSH, counts_from="2026-10-09", target=target)
        for target in ("procurement", "bidding")
    ]
    works.handle(*map(feed.signal, starts), feed.delivered("d1", "2026-10-12", "procurement"))
    assert works.status("push", "procurement") is Status.MET
    assert works.status("push", "bidding") is Status.RUNNING
    answer = works.stage.states(3)[clock_id(derive_id("e1"), "answer", "procurement")]
    assert (answer.status, answer.counts_from, answer.due_on) == (
        Status.RUNNING, date(2026, 10, 12), date(2026, 10, 19),
    )
    assert answer.owner_department == DEPARTMENT
    works.handle(feed.answered("f1", "2026-10-13", "procurement", "inapplicable"))
    assert works.status("answer", "procurement") is Status.MET
    assert works.status("answer", "bidding") is None


def test_a_cancel_without_a_target_ends_every_clock_of_the_rule_that_is_open() -> None:
    works, feed = Clockwork(), Feed()
    starts = [
        signal("start", "v1", "2026-10-09", rule=PUSH, counts_from="2026-10-09", target=target)
        for target in ("procurement", "bidding")
    ]
    works.handle(*map(feed.signal, starts), feed.signal(signal("cancel", "v2", "2026-10-12", rule=PUSH)))
    assert {works.status("push", target) for target in ("procurement", "bidding")} == {Status.CANCELLED}


def test_an_answer_read_before_the_delivery_meets_the_clock_also_after_a_restart() -> None:
    works, feed = Clockwork(), Feed()
    works.handle(feed.answered("f1", "2026-10-13", "procurement"))
    assert works.status("answer", "procurement") is Status.AWAITING
    again = Clockwork(works.topic)
    again.handle(feed.delivered("d1", "2026-10-12", "procurement"))
    assert again.status("answer", "procurement") is Status.MET


def test_what_is_awaited_in_vain_is_dropped_with_a_tombstone() -> None:
    works, feed = Clockwork(), Feed()
    works.handle(feed.published("r1", "2026-10-01"))
    assert works.status("disclose") is Status.AWAITING
    dropped = works.tick(at("2026-10-01") + AWAITING_KEPT)
    assert {(output.topic, output.value) for output in dropped} == {("clock.states.v1", None)}
    assert not Clockwork(works.topic).stage.states(3)


class TestTime:
    def test_warns_then_breaches_once_each_with_ids_that_any_owner_would_give(self) -> None:
        works, feed = Clockwork(), Feed()
        works.handle(feed.signal(START))
        outputs = []
        day = at("2026-10-01")
        while day < at("2026-11-20"):
            outputs += works.tick(day)
            day += timedelta(hours=7)
        alerts = alerts_of(outputs)
        assert [(alert["kind"], alert["level"]) for alert in alerts] == [
            ("warned", "5"), ("warned", "1"), ("breached", None),
        ]
        assert [alert["escalates_to"] for alert in alerts] == [None, None, "market-supervision"]
        other = Clockwork()
        other.handle(Feed().signal(START))
        assert alerts_of(other.tick("2026-12-24"))[0]["alert_id"] == alerts[2]["alert_id"]

    def test_a_clock_set_back_does_not_hold_up_what_is_due(self) -> None:
        works, feed = Clockwork(), Feed()
        works.tick("2026-12-01")
        works.handle(feed.signal(START))
        assert [alert["kind"] for alert in alerts_of(works.tick("2026-10-01"))] == ["breached"]

    def test_overdue_at_birth_is_said_at_the_next_tick(self) -> None:
        works, feed = Clockwork(), Feed()
        works.handle(feed.signal(signal("start", "v1", "2026-10-01", counts_from="2026-05-06")))
        assert [alert["kind"] for alert in alerts_of(works.tick("2026-10-01"))] == ["breached"]

    def test_nothing_is_said_of_a_clock_that_was_met(self) -> None:
        works, feed = Clockwork(), Feed()
        works.handle(feed.signal(START), feed.published("r1", "2026-10-12"))
        assert works.tick("2027-01-01") == []


class TestAgain:
    def test_a_restart_knows_all_and_a_replay_of_the_log_changes_nothing(self) -> None:
        works, feed = Clockwork(), Feed()
        records = [feed.signal(START), feed.published("r1", "2026-12-12")]
        works.handle(records[0])
        works.tick("2026-12-01")
        works.handle(records[1])
        again = Clockwork(works.topic)
        assert dict(again.stage.states(3)) == dict(works.stage.states(3))
        assert again.handle(*records) == []
        assert again.tick("2027-01-01") == []

    def test_the_same_log_gives_the_same_bytes(self) -> None:
        def run() -> list[Output]:
            works, feed = Clockwork(), Feed()
            outputs = works.handle(feed.signal(START), feed.published("r1", "2026-10-12"))
            amended = signal("start", "v2", "2026-10-13", counts_from="2026-10-13")
            return outputs + works.handle(feed.signal(amended))

        assert run() == run()

    def test_what_was_not_acknowledged_is_written_again(self) -> None:
        works, feed = Clockwork(), Feed()
        first = works.stage.handle([feed.signal(START)])
        # The write failed, and the lane gives the stage its partitions anew.
        works.take_up_again()
        assert works.stage.handle([Feed().signal(START)]) == first

    def test_an_alert_is_acknowledged_before_the_state_that_tells_of_it_is_written(self) -> None:
        works, feed = Clockwork(), Feed()
        works.handle(feed.signal(START))
        alerts, states = works.stage.tick(at("2026-12-01"))
        assert [output.topic for output in (*alerts, *states)] == ["clock.alerts.v1", "clock.states.v1"]
        # Killed between the two: it is raised again, under the same id, and then no more.
        heir = Clockwork(works.topic)
        again = heir.tick("2026-12-02")
        assert alerts_of(again)[0]["alert_id"] == alerts_of(list(alerts))[0]["alert_id"]
        assert Clockwork(heir.topic).tick("2026-12-03") == []

    def test_a_poison_record_in_a_batch_takes_back_the_effects_of_the_others(self) -> None:
        works, feed = Clockwork(), Feed()
        good = feed.signal(START)
        bad = feed.signal(signal("start", "v1", "2026-10-01", rule=replace(DISCLOSE, id="unknown")))
        with pytest.raises(ContractError, match="unknown"):
            works.stage.handle([good, bad])
        assert works.status("disclose") is None
        assert len(works.handle(good)) == 1

    def test_a_late_write_of_an_owner_that_lost_the_partition_does_not_count(self) -> None:
        works, feed = Clockwork(), Feed()
        (stale,) = works.handle(feed.signal(START))
        works.handle(feed.published("r1", "2026-10-12"))
        works.topic.write([stale])
        assert Clockwork(works.topic).status("disclose") is Status.MET

    def test_states_that_cannot_be_read_make_the_lane_wait(self) -> None:
        works = Clockwork()

        def fail(_: object) -> None:
            raise BrokerError()

        works.stage._loader = fail  # type: ignore[assignment]
        with pytest.raises(BrokerError):
            works.handle(Feed().signal(START))
        works.stage._loader = works.topic
        assert len(works.handle(Feed().signal(START))) == 1

    def test_a_partition_that_was_revoked_is_forgotten(self) -> None:
        works, feed = Clockwork(), Feed()
        works.handle(feed.signal(START))
        works.stage.on_revoked([("clock.signals.v1", 3)])
        assert works.tick("2026-12-01") == []
        works.stage.on_assigned([("clock.signals.v1", 3)])
        assert [alert["kind"] for alert in alerts_of(works.tick("2026-12-01"))] == ["breached"]


class TestIndex:
    def test_holds_the_next_moment_of_each_clock(self) -> None:
        works, feed = Clockwork(), Feed()
        works.handle(feed.signal(START))
        assert works.index.moments[3] == {DISCLOSE_ID: milliseconds("2026-10-27T16:00")}
        works.handle(feed.published("r1", "2026-10-12"))
        assert works.index.moments[3] == {}

    def test_losing_it_stops_nothing_and_it_comes_back_whole(self) -> None:
        works, feed = Clockwork(), Feed()
        works.tick("2026-10-01")
        works.index.is_down = True
        works.handle(feed.signal(START))
        assert works.status("disclose") is Status.RUNNING
        works.index.is_down = False
        works.index.moments.clear()
        works.tick("2026-10-02")
        assert works.index.moments[3] == {DISCLOSE_ID: milliseconds("2026-10-27T16:00")}


    def test_that_was_wiped_comes_back_though_nothing_happens(self) -> None:
        works, feed = Clockwork(), Feed()
        works.handle(feed.signal(START))
        works.tick("2026-10-02")
        before = dict(works.index.moments)
        works.index.moments.clear()
        # It is looked at from time to time, not at every tick.
        assert works.tick(at("2026-10-02") + timedelta(seconds=1)) == []
        assert works.tick(at("2026-10-02") + timedelta(seconds=6)) == []
        assert works.index.moments == before


def test_publishing_a_year_settles_open_clocks_at_the_next_start() -> None:
    works, feed = Clockwork(), Feed()
    works.handle(feed.signal(signal("start", "v1", "2026-12-04", counts_from="2026-12-04")))
    assert works.stage.states(3)[DISCLOSE_ID].is_provisional
    years = {2026: {}, 2027: {"rest": {"元旦": [date(2027, 1, 1)]}}}
    cn = Calendar.from_data({"calendar": "cn", "years": years})
    local = Calendar.from_data({"calendar": "gannan", "extends": "cn", "years": {2026: {}, 2027: {}}}, cn)
    again = Clockwork(works.topic, {"cn": cn, "gannan": local})
    (output,) = again.tick("2026-12-05")
    value = catalog().decode(output.value or b"")[1]
    assert (value["due_on"], value["is_provisional"]) == (date(2027, 1, 4), False)
    assert Clockwork(again.topic, {"cn": cn, "gannan": local}).tick("2026-12-06") == []


def test_a_calendar_that_is_published_moves_the_open_clocks_of_a_running_stage_once_each() -> None:
    cn = Calendar.from_data({"calendar": "cn", "years": {2026: {}, 2027: {"rest": {"元旦": [date(2027, 1, 1)]}}}})
    local = Calendar.from_data({"calendar": "gannan", "extends": "cn", "years": {2026: {}, 2027: {}}}, cn)
    notice = PublishedCalendar(local, derive_id("notice"), at("2026-12-05T03:00"))
    letters: list[dict[str, PublishedCalendar]] = []
    works, feed = Clockwork(news=lambda: letters.pop() if letters else None), Feed()
    entities = [f"e{number}" for number in range(30)]
    for entity in entities:
        started = signal("start", f"v1-{entity}", "2026-12-04", counts_from="2026-12-04", entity=entity)
        works.handle(feed.signal(started))
    met = signal("meet", "r1", "2026-12-05", entity="e0")
    amended = signal("start", "v2-e1", "2026-12-06", counts_from="2026-12-05", entity="e1")
    works.handle(feed.signal(met))
    letters.append({"gannan": notice})
    written = works.tick("2026-12-06")
    # One clock was met before; the other 29 are derived anew.
    assert len(written) == 29
    assert works.tick("2026-12-07") == []
    (later,) = works.handle(feed.signal(amended))
    for output in [*written, later]:
        state = works.stage.states(3)[(output.key or b"").decode()]
        moved = state.last("rederived")
        assert moved is not None and moved.note is not None
        assert (moved.event_id, moved.at) == (notice.event_id, notice.published_at)
        assert moved.note.endswith("due 2027-01-01 -> 2027-01-04")
        assert not state.is_provisional
    # Whoever takes over in the middle goes on: states name the calendar that they were counted by.
    half = StatesTopic()
    half.write([output for output in works.topic.records if output not in written[10:]])
    heir = Clockwork(half, news=iter([{"gannan": notice}, None, None]).__next__)
    assert {output.key for output in heir.tick("2026-12-08")} >= {output.key for output in written[10:]} - {later.key}
    assert dict(heir.stage.states(3)) == dict(works.stage.states(3))


def test_a_signal_behind_a_new_calendar_leaves_the_move_on_record() -> None:
    years = {2026: {}, 2027: {"rest": {"元旦": [date(2027, 1, 1)]}}}
    local = Calendar.from_data({"calendar": "gannan", "years": years})
    works, feed = Clockwork(), Feed()
    works.handle(feed.signal(signal("start", "v1", "2026-12-04", counts_from="2026-12-04")))
    heir = Clockwork(works.topic, {"gannan": local, "cn": local})
    heir.handle(feed.signal(signal("suspend", "s1", "2026-12-08")))
    changes = [line.change for line in heir.stage.states(3)[DISCLOSE_ID].history]
    assert sorted(changes) == ["rederived", "started", "suspended"]


class TestPeriods:
    NEWS = ClockRule(
        id="monthly-news", title="监管动态更新", starts_on=(), counts_from="", due=Due(0, "date", day=31),
        met_by=("supervision.filing.filed",), per="period", every="month", meets=2, warn=(3,), calendar="cn",
    )
    PLAN = ClockRule(
        id="plan", title="抽查工作计划报送", starts_on=(), counts_from="", due=Due(0, "date", month=4, day=30),
        met_by=("supervision.filing.filed",), per="period", every="year", departments=("finance",),
    )
    CODES: ClassVar[dict[str, str]] = {"finance": "11623000013999917X", "health": "116230000139999180"}

    def works(self, topic: StatesTopic | None = None) -> Clockwork:
        rules = {rule.id: rule for rule in (self.NEWS, self.PLAN)}
        works = Clockwork(topic, rules=rules, departments=self.CODES, partitions=12)
        works.stage.on_assigned([("clock.signals.v1", number) for number in range(12)])
        return works

    def states(self, works: Clockwork) -> list[ClockState]:
        return [state for number in range(12) for state in works.stage.states(number).values()]

    def test_begin_for_each_department_on_its_partition_once(self) -> None:
        works = self.works()
        outputs = works.tick("2026-02-10")
        homes = {partition_of(code.encode(), 12) for code in self.CODES.values()}
        assert {output.partition for output in outputs} == homes
        due = {(state.rule, state.subject, state.target, state.due_on) for state in self.states(works)}
        assert due == {
            # 28 February is a worked Saturday; 30 April 2026 a Thursday.
            ("monthly-news", self.CODES["finance"], "2026-02", date(2026, 2, 28)),
            ("monthly-news", self.CODES["health"], "2026-02", date(2026, 2, 28)),
            ("plan", self.CODES["finance"], "2026", date(2026, 4, 30)),
        }
        assert works.tick("2026-02-11") == []
        assert self.works(works.topic).tick("2026-02-11") == []
        assert [state.target for state in self.states(works) if state.rule == "plan"] == ["2026"]
        begun = works.tick("2026-03-01")
        assert len([output for output in begun if output.topic == "clock.states.v1"]) >= 2

    def test_are_met_by_as_many_events_as_the_rule_wants(self) -> None:
        works, feed = self.works(), Feed(partition_of(self.CODES["health"].encode(), 12))
        works.tick("2026-02-10")
        for number, expected in ((1, Status.RUNNING), (2, Status.MET), (3, Status.MET)):
            filed = Signal(
                "meet", "monthly-news", derive_id("filing", str(number)), self.CODES["health"],
                derive_id("filed", str(number)), at(f"2026-02-1{number}"), "2026-02",
            )
            works.handle(feed.signal(filed))
            (state,) = [each for each in self.states(works) if each.subject == filed.subject]
            assert state.status is expected

    def test_that_were_over_before_anybody_looked_are_not_judged(self) -> None:
        works = self.works()
        works.tick("2026-11-20")
        assert {state.rule for state in self.states(works)} == {"monthly-news"}


def test_reminders_follow_a_breach_until_it_is_met() -> None:
    rule = replace(DISCLOSE, escalate=(1, 5))
    works, feed = Clockwork(rules={rule.id: rule}), Feed()
    works.handle(feed.signal(START))
    said = [alerts_of(works.tick(day)) for day in ("2026-11-05", "2026-11-06", "2026-11-12", "2026-11-20")]
    assert [[(alert["kind"], alert["level"]) for alert in each] for each in said] == [
        [("breached", None)], [("escalated", "1")], [("escalated", "5")], [],
    ]
    assert said[1][0]["escalates_to"] == "market-supervision"
    late = Clockwork(rules={rule.id: rule})
    late.handle(feed.signal(START))
    # What a later reminder overtook is not said any more.
    assert [alert["level"] for alert in alerts_of(late.tick("2026-12-20"))] == [None, "5"]


def test_a_term_expires_without_a_breach() -> None:
    rule = replace(DISCLOSE, due=Due(3, "years"), on_due="expire", warn=())
    works, feed = Clockwork(rules={rule.id: rule}), Feed()
    works.handle(feed.signal(START))
    assert works.stage.states(3)[DISCLOSE_ID].due_on == date(2029, 9, 30)
    said = works.tick("2029-09-30T16:01")
    assert [alert["kind"] for alert in alerts_of(said)] == ["expired"]
    assert works.status(rule.id) is Status.EXPIRED
    assert works.tick("2030-01-01") == []
    # The fact that takes back what was public under it, as the version that the clock knew last.
    (term,) = [output for output in said if output.topic == "clock.terms.v1"]
    envelope = from_headers(term.headers)
    assert (envelope.type, envelope.subject, envelope.correlation_id) == (
        "clock.term.expired", START.subject, START.correlation_id,
    )
    value = catalog().decode(term.value or b"")[1]
    assert (value["rule"], value["ended_on"]) == (rule.id, date(2029, 9, 30))
    # A later date of the same record, entered afterwards, begins a term again.
    works.handle(feed.signal(signal("start", "v2", "2029-10-01", counts_from="2028-09-30")))
    assert works.status(rule.id) is Status.RUNNING


TERM = replace(DISCLOSE, id="term", due=Due(3, "years"), on_due="expire", warn=(), until="publish_until")


def version(sequence: int, when: str, until: date | None = None) -> Signal:
    made = signal("start", f"v{sequence}", when, rule=TERM, counts_from="2023-03-01")
    return made._replace(sequence=sequence, until=until)


def ends_of(outputs: list[Output]) -> list[tuple[str, int | None]]:
    found = [from_headers(output.headers) for output in outputs if output.topic == "clock.terms.v1"]
    return [(envelope.id, envelope.sequence) for envelope in found]


def test_a_later_version_of_what_has_ended_ends_too() -> None:
    works, feed = Clockwork(rules={TERM.id: TERM}), Feed()
    works.handle(feed.signal(version(1, "2023-03-01T02:00")))
    [first] = ends_of(works.tick("2026-03-01T16:01"))
    assert first[1] == 1 and works.tick("2026-03-02") == []
    # A slip of the pen is corrected: the same dates, and routing orders it to all channels.
    works.handle(feed.signal(version(2, "2026-05-01T02:00")))
    said = works.tick("2026-05-01T02:01")
    [second] = ends_of(said)
    assert second[1] == 2 and second[0] != first[0]
    assert alerts_of(said) == [], "its owner heard of the end before"
    assert works.status(TERM.id) is Status.EXPIRED
    works.take_up_again()
    works.handle(feed.signal(version(2, "2026-05-01T02:00")))
    assert ends_of(works.tick("2030-01-01")) == [], "a version ends once"


def test_a_version_that_is_read_behind_the_end_ends_whenever_it_came_in() -> None:
    """Routing was behind when the day ended: the version came in before that, and its signal after it."""
    works, feed = Clockwork(rules={TERM.id: TERM}), Feed()
    works.handle(feed.signal(version(1, "2023-03-01T02:00")))
    works.tick("2026-03-01T16:01")
    works.handle(feed.signal(version(2, "2026-03-01T15:59")))
    assert [sequence for _, sequence in ends_of(works.tick("2026-03-01T16:05"))] == [2]


def test_a_term_that_moves_on_and_back_ends_with_its_last_version() -> None:
    works, feed = Clockwork(rules={TERM.id: TERM}), Feed()
    works.handle(feed.signal(version(1, "2023-03-01T02:00")))
    works.tick("2026-03-01T16:01")
    works.handle(feed.signal(version(2, "2026-05-01T02:00", until=date(2026, 9, 30))))
    assert works.tick("2026-05-02") == [] and works.status(TERM.id) is Status.RUNNING
    works.handle(feed.signal(version(3, "2026-05-03T02:00")))
    assert [sequence for _, sequence in ends_of(works.tick("2026-05-03T02:01"))] == [3]
    # What was over when it was entered ends at the first look.
    works = Clockwork(rules={TERM.id: TERM})
    works.handle(Feed().signal(version(1, "2026-05-01T02:00", until=date(2024, 1, 1))))
    said = works.tick("2026-05-01T02:01")
    assert [sequence for _, sequence in ends_of(said)] == [1]
    assert [alert["kind"] for alert in alerts_of(said)] == ["expired"]


def test_an_end_of_before_it_named_its_version_is_said_once_more() -> None:
    works, feed = Clockwork(rules={TERM.id: TERM}), Feed()
    works.handle(feed.signal(version(1, "2023-03-01T02:00")))
    works.tick("2026-03-01T16:01")
    [state] = works.stage.states(3).values()
    former = state._replace(history=tuple(
        line._replace(sequence=0) if line.kind is None else line for line in state.history
    ))
    works.topic.records[-1] = works.topic.records[-1]._replace(value=StateWriter(catalog()).value(former))
    works.take_up_again()
    assert works.tick("2026-04-01") == []
    works.handle(feed.signal(version(2, "2026-05-01T02:00")))
    assert [sequence for _, sequence in ends_of(works.tick("2026-05-01T02:01"))] == [2]
