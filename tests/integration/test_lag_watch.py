"""Unread orders and notices on a real log beside the clocks that wait for them; and the snapshot that is made of it."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

import pytest
import redis
from confluent_kafka import TopicPartition

from hub.bus.clients import new_consumer
from hub.bus.publisher import KafkaPublisher
from hub.bus.records import Output, Record
from hub.clocks.wire import StateWriter
from hub.domain.clocks import ClockState, Status, clock_id
from hub.domain.events import entity_id
from hub.domain.lag import Leave
from hub.ops.lag_unread import Role
from hub.ops.lag_watch import Leaves, Watch
from hub.ops.report import at_risk_lines, lag_lines, screen
from hub.ops.snapshot import Snapshot
from hub.state.snapshot_store import SnapshotStore
from tests.conftest import CreateTopics, KafkaLike
from tests.support_contracts import catalog
from tests.support_routing import NOTICES, Log, hub_map, version
from tests.support_served import wait_until

RESULTS = "inspection.results.v1"
NOW = datetime(2026, 7, 1, 2, tzinfo=UTC)


class Hub:
    """Topics of one test, and a watch over groups that read them."""

    def __init__(self, bootstrap: str, topics: dict[str, str]) -> None:
        self.bootstrap, self.topics = bootstrap, topics
        name = uuid.uuid4().hex[:8]
        self.channel, self.other, self.inbox = f"gsxt-{name}", f"creditchina-{name}", f"works-{name}"
        self.sharing = f"direct-{name}"
        self._publisher = KafkaPublisher(bootstrap, client_id="test")

    def write(self, outputs: Sequence[Output]) -> None:
        self._publisher.publish([
            output._replace(topic=self.topics[output.topic], partition=0)
            for output in outputs if output.topic in self.topics
        ])

    def route(self, *facts: Record) -> None:
        """What comes of facts, as far as it is for the channels that are watched here."""
        for outputs in Log().stage().handle(list(facts)):
            self.write([output for output in outputs if _channel_of(output) in (None, "gsxt", "creditchina")])

    def clock(
        self, row: str, rule: str, due_at: datetime, *, target: str | None = None, status: str = "running"
    ) -> str:
        entity = entity_id("market", row)
        state = ClockState(
            clock_id(entity, rule, target), rule, "v", target, f"subject-of-{row}", entity, None, Status(status),
            "gannan", "v", due_at=due_at,
        )
        value = StateWriter(catalog()).value(state)  # as the clocks stage writes it
        self.write([Output("clock.states.v1", state.clock_id.encode(), value, [])])
        return state.clock_id

    def commit(self, group: str, topic: str, offset: int) -> None:
        consumer = new_consumer(self.bootstrap, group=group, client_id="test")
        consumer.commit(offsets=[TopicPartition(self.topics[topic], 0, offset)], asynchronous=False)
        consumer.close()

    @contextlib.contextmanager
    def shared(self) -> Iterator[None]:
        """Somebody moves the commits of the inbox' group, which he is not in."""
        consumer = new_consumer(self.bootstrap, group=self.sharing, client_id="test")
        try:
            consumer.subscribe([self.topics["inbox.works-bidding"]])
            wait_until(lambda: consumer.poll(0.05) is not None, "the inbox")
            yield
        finally:
            consumer.close()

    @contextlib.contextmanager
    def watched(self, limit: int = 20_000, leaves: Leaves | None = None) -> Iterator[Watch]:
        orders, inbox = self.topics["disclosure.orders.v1"], self.topics["inbox.works-bidding"]
        watch = Watch(
            self.bootstrap, catalog(), hub_map().clocks,
            {self.channel: [orders], self.other: [orders], self.inbox: [inbox]},
            {
                self.channel: Role("channel", "gsxt"), self.other: Role("channel", "creditchina"),
                self.inbox: Role("subscription", "works-bidding"),
            },
            [self.topics["disclosure.dead-letters.v1"], "absent.dead-letters.v1"], now=lambda: NOW,
            states=self.topics["clock.states.v1"], alerts=self.topics["intake.alerts.v1"], limit=limit,
            leaves=leaves, served_by={self.inbox: self.sharing},
        )  # fmt: skip
        try:
            yield watch
        finally:
            watch.close()

    def close(self) -> None:
        self._publisher.close()


@pytest.fixture
def hub(kafka: KafkaLike, create_topics: CreateTopics, topic_name: Callable[..., str]) -> Iterator[Hub]:
    names = (
        "disclosure.orders.v1", "inbox.works-bidding", "clock.states.v1", "intake.alerts.v1",
        "disclosure.dead-letters.v1",
    )
    topics = {name: topic_name(name.removesuffix(".v1")) for name in names}
    create_topics(*topics.values(), partitions=1)
    found = Hub(kafka.bootstrap, topics)
    yield found
    found.close()


def _channel_of(output: Output) -> str | None:
    """The channel of an order; ``None`` for anything else."""
    if output.topic != "disclosure.orders.v1":
        return None
    return str(catalog().decode(output.value or b"")[1]["channel"])


def results(*rows: str) -> list[Record]:
    return [version(1, "recorded", row=row, topic=RESULTS, is_public=True) for row in rows]


def ids(found: Snapshot) -> list[str]:
    return [risk.clock_id for risk in found.at_risk]


def hours(count: float) -> datetime:
    return NOW + timedelta(hours=count)


def test_clocks_of_unread_orders_are_at_risk_until_they_are_read_or_met(hub: Hub) -> None:
    rule = "disclose-inspection-result"
    hub.route(*results("a", "b", "c", "d"))
    far, near, late = hub.clock("a", rule, hours(900)), hub.clock("b", rule, hours(3)), hub.clock("c", rule, hours(-1))
    hub.clock("d", rule, hours(1), status="met")
    hub.clock("e", rule, hours(1))  # of a record that is not in the backlog
    hub.clock("a", "accept-lead", hours(1))  # of the same entity, and met by nothing in it
    with hub.watched() as watch:
        found = watch.look()
        assert ids(found) == [late, near, far]
        assert [(row.rule, row.group, row.count, row.late) for row in found.risk_counts] == [(rule, hub.channel, 3, 1)]
        assert [risk.is_late for risk in found.at_risk] == [True, False, False]
        assert {group.group: group.verdict for group in found.groups}[hub.channel] == "stopped"
        # Read: whoever holds that order has it now. The other channel's group has nothing to do with any of them.
        hub.commit(hub.channel, "disclosure.orders.v1", 1)
        assert ids(watch.look()) == [late, near]
        # Met, by whatever way.
        hub.clock("b", rule, hours(3), status="met")
        assert ids(watch.look()) == [late]
        # Moved to a later day by a new calendar.
        hub.clock("c", rule, hours(40))
        moved = watch.look()
        assert (ids(moved), moved.at_risk[0].is_late) == ([late], False)
        # Back to the beginning: the first one waits again.
        hub.commit(hub.channel, "disclosure.orders.v1", 0)
        again = watch.look()
        assert ids(again) == [late, far]
        rewinds = [group.rewinds for group in again.groups if group.group == hub.channel]
        place = {"topic": hub.topics["disclosure.orders.v1"], "partition": 0}
        assert rewinds == [[{**place, "from_offset": 1, "to_offset": 0}]]


def test_a_clock_for_each_subscription_is_that_of_its_inbox(hub: Hub) -> None:
    listed = version(1, "listed", row="n", topic=NOTICES, list_kind="serious", is_public=True)
    hub.route(listed)
    mine = hub.clock("n", "push-blacklist-notice", hours(2), target="works-bidding")
    hub.clock("n", "push-blacklist-notice", hours(2), target="government-procurement")
    hub.clock("n", "recall-notice", hours(2), target="works-bidding")
    disclosed = hub.clock("n", "disclose-blacklist-notice", hours(5))
    with hub.watched() as watch:
        found = watch.look()
    assert [(risk.clock_id, risk.group) for risk in found.at_risk] == [(mine, hub.inbox), (disclosed, hub.channel)]


class Waiting:
    """Every group waits until then."""

    def __init__(self, until: datetime | None) -> None:
        self.until, self.looks, self.is_closed = until, 0, False

    def look(self) -> None:
        self.looks += 1

    def of(self, group: str, at: datetime) -> Leave | None:
        return Leave(self.until) if self.until is None or at < self.until else None

    def close(self) -> None:
        self.is_closed = True


def test_who_waits_by_design_endangers_what_is_due_before_that_ends(hub: Hub) -> None:
    listed = [
        version(1, "listed", row=row, topic=NOTICES, list_kind="serious", is_public=True) for row in ("n", "m", "k")
    ]
    hub.route(*listed)
    soon, late, _ = (
        hub.clock(row, "push-blacklist-notice", hours(due), target="works-bidding")
        for row, due in (("n", 2), ("m", -1), ("k", 200))
    )
    night, department = Waiting(hours(12)), Waiting(None)
    with hub.watched(leaves=night) as watch:
        stopped = {group.group: group for group in watch.look().groups}[hub.inbox]
        # Nobody is there to go on when the office opens.
        assert (stopped.verdict, stopped.waits_until) == ("stopped", None)
        with hub.shared():
            found = watch.look()
    assert night.looks == 2 and night.is_closed
    group = {group.group: group for group in found.groups}[hub.inbox]
    assert (group.verdict, group.members, group.waits_until) == ("waits", 1, hours(12))
    assert [(risk.clock_id, risk.read_by) for risk in found.at_risk] == [(late, hours(12)), (soon, hours(12))]
    kept = found.as_dict()
    assert Snapshot.from_dict(kept) == found
    assert any("until 2026-07-01 22:00:00" in line for line in lag_lines(found))
    with hub.watched(leaves=department) as watch, hub.shared():
        found = watch.look()
    assert [(risk.clock_id, risk.read_by) for risk in found.at_risk] == [(late, None)]
    assert any("等候" in line and "until the department takes it" in line for line in screen(found))


def test_beyond_its_bound_it_says_that_there_may_be_more(hub: Hub) -> None:
    hub.route(*results(*(f"r{number}" for number in range(5))))
    first = [hub.clock(f"r{number}", "disclose-inspection-result", hours(5 - number)) for number in range(5)]
    with hub.watched(limit=3) as watch:
        found = watch.look()
        assert (set(ids(found)), found.is_complete) == (set(first[:3]), False)
        assert {group.group: group.unseen for group in found.groups}[hub.channel] == 2
        assert any("2 unread records were not looked at" in line for line in at_risk_lines(found))
        hub.commit(hub.channel, "disclosure.orders.v1", 2)
        rest = watch.look()
        assert set(ids(rest)) == set(first[2:]) and {g.group: g.unseen for g in rest.groups}[hub.channel] == 0


def test_a_record_that_nobody_can_read_endangers_no_clock_and_hides_none(hub: Hub) -> None:
    hub.write([Output("disclosure.orders.v1", b"k", b"no order", [("ce_type", b"x.y.z"), ("ce_correlationid", b"c")])])
    hub.write([Output("disclosure.orders.v1", b"k", None, []), Output("disclosure.dead-letters.v1", b"k", b"x", [])])
    hub.route(*results("a"))
    near = hub.clock("a", "disclose-inspection-result", hours(3))
    with hub.watched() as watch:
        found = watch.look()
    assert ids(found) == [near]
    assert found.dead_letters == {hub.topics["disclosure.dead-letters.v1"]: 1, "absent.dead-letters.v1": 0}


def test_a_source_is_silent_from_its_alert_to_the_end_of_it(hub: Hub) -> None:
    schema = catalog().schema("hub/intake-alert")

    def say(kind: str, source: str) -> None:
        value = schema.encode({
            "alert_id": uuid.uuid4().hex, "kind": kind, "source": source, "about": "2026-07-01", "reason": "made up",
            "announced": None, "taken": None, "raised_at": NOW,
        })
        hub.write([Output("intake.alerts.v1", source.encode(), value, [])])

    with hub.watched() as watch:
        say("silence-began", "gannan-market")
        say("silence-began", "hezuo-housing")
        say("manifest-differs", "maqu-farming")
        assert watch.look().silent_sources == ["gannan-market", "hezuo-housing"]
        say("silence-ended", "gannan-market")
        assert watch.look().silent_sources == ["hezuo-housing"]


def test_a_snapshot_comes_back_as_it_was_and_is_gone_when_nobody_makes_it(hub: Hub, redis_client: redis.Redis) -> None:
    hub.route(*results("a"))
    hub.clock("a", "disclose-inspection-result", hours(3))
    with hub.watched() as watch:
        found = watch.look()
    store = SnapshotStore(redis_client)
    assert store.get() is None
    store.put(found.as_dict(), seconds=60)
    kept = store.get()
    assert kept is not None and Snapshot.from_dict(kept) == found
    assert 0 < redis_client.pttl("hub:ops:snapshot") <= 60_000
    assert Snapshot.from_dict({**kept, "version": 0}) is None
    lines = list(screen(found))
    assert any(hub.channel in line and "stopped" in line for line in lines)
    assert f"{hub.channel}\t{hub.topics['disclosure.orders.v1']}\t1\t" in "\n".join(lag_lines(found))
