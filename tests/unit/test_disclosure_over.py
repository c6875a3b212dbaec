"""What may not be public any more when it goes out: through routing, the engine and a real sink."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hub.bus.records import Output, Record
from hub.clocks.wire import SignalReader
from hub.contracts.cloudevents import to_headers
from hub.disclosure import NotYet, Order, PublicRecord, Receipt
from hub.disclosure.book import fold
from hub.disclosure.orders import ORDERS_TOPIC, OrderReader
from hub.disclosure.reconcile import Comparison, compare
from hub.disclosure.reissue import orders_of, reissue
from hub.domain.clock_fold import apply
from hub.domain.clocks import ClockState, Status
from hub.domain.disclosed import State
from hub.domain.events import Envelope, entity_id, event_id, output_id
from hub.routing.stage import RoutingStage
from tests.support_clocks import CALENDARS
from tests.support_contracts import catalog, sample
from tests.support_disclosure import ChannelDesk, InMemorySink, as_record, read
from tests.support_outlets import NOW, order, order_id, record_of
from tests.support_sinks import open_sink
from tests.unit.test_routing import PENALTIES, PUBLISHED, SUBJECT, hub_map

ROW = entity_id("market", "r1")
TODAY = date(2026, 3, 2)
RECORDED, AMENDED = "enforcement.penalty.recorded", "enforcement.penalty.amended"


class World:
    """The website of the prefecture, what routing orders there, and how it stands by the log."""

    def __init__(self, folder: Path, channel: str = "website") -> None:
        self.folder = folder
        (folder / "site").mkdir()
        self.sink = open_sink("government-website", folder, now=lambda: self.desk.now, folder="site",
                              url="https://www.example.org/credit")  # fmt: skip
        self.desk = ChannelDesk(self.sink, channel)
        self.log: list[Record] = []
        self.signals: list[Record] = []
        self._offset = 0

    def happen(self, type: str, version: int, *, topic: str = PENALTIES, **content: Any) -> str:
        """An event of a penalty, carried out; returns the status of its receipt."""
        schema, now = catalog().schema(hub_map().topics[topic].schema_ or ""), self.desk.now
        envelope = Envelope(
            id=event_id(topic, "r1", version), source="/sources/market", type=type, subject=SUBJECT, time=now,
            correlation_id=ROW, sequence=version, natural_key="r1",
        )  # fmt: skip
        given = content if topic != PENALTIES else {**PUBLISHED, "decided_date": date(2023, 3, 1), **content}
        record = Record(topic, 0, version, int(now.timestamp() * 1000), SUBJECT.encode(),
                        schema.encode(sample(schema, **given)), to_headers(envelope))  # fmt: skip
        (outputs,) = RoutingStage(hub_map(), catalog(), lambda: now).handle([record])
        self.signals += [as_record(each) for each in outputs if each.topic == "clock.signals.v1"]
        return self.carry_out([
            each for each in outputs
            if each.topic == ORDERS_TOPIC and OrderReader(catalog()).channel_of(as_record(each)) == "website"
        ])

    def end(self, version: int) -> str:
        """The end of the term of a version, as its clock says it."""
        return self.happen("clock.term.expired", version, topic="clock.terms.v1", rule="end-penalty-publication",
                           title="行政处罚公示期满", ended_on=date(2026, 3, 1))  # fmt: skip

    def carry_out(self, orders: list[Output]) -> str:
        (output,) = orders
        self._offset += 1
        record = as_record(output, self._offset)
        ((receipt,),) = self.desk.handle([record])
        self.log += [record, as_record(receipt, timestamp=int(self.desk.now.timestamp() * 1000))]
        self.desk.now += timedelta(seconds=1)
        return str(read(receipt)["status"])

    @property
    def said(self) -> str | None:
        """The reason in the last receipt."""
        found: str | None = catalog().decode(self.log[-1].value or b"")[1]["reason"]
        return found

    @property
    def state(self) -> State:
        (state,) = fold(self.log, catalog(), "website")
        return state

    def public(self) -> list[PublicRecord]:
        found: list[PublicRecord] = []

        async def look() -> None:
            found.extend([record async for record in self.sink.public()])

        self.desk._run(look())
        return found

    def compared(self) -> Comparison:
        return compare([self.state], self.public(), self.desk.now)

    def clock(self, rule: str) -> ClockState:
        """A clock by what routing and the receipts say of it; of the channel that its rule counts."""
        rules, state = hub_map().clocks, None
        reader = SignalReader(rules, {})
        given = [reader.of_signal(catalog().decode(each.value or b"")[1]) for each in self.signals]
        for record in self.log:
            schema, value = catalog().decode(record.value or b"")
            if schema.name == "hub/disclosure-receipt":
                envelope = Envelope(value["receipt_id"], "/x", f"disclosure.receipt.{value['status']}", SUBJECT,
                                    value["received_at"], ROW)  # fmt: skip
                given += reader.of_receipt(envelope, {**value, "channel": "gsxt"})
        for signal in given:
            if signal.rule == rule and signal.target in (None, "gsxt"):
                state, _ = apply(state, signal, rules[rule], CALENDARS["gannan"])
        assert state is not None
        return state


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.desk.close()


def test_what_is_amended_after_its_end_stays_withdrawn(world: World) -> None:
    """Three years after the decision, which names no day itself: by the term of the map."""
    world.desk.now = datetime(2026, 2, 27, 1, tzinfo=UTC)
    assert world.happen(RECORDED, 1, publish_until=None) == "published"
    world.desk.now = NOW
    assert world.end(1) == "withdrawn" and world.public() == []
    assert world.happen(AMENDED, 2, publish_until=None, remark="更正") == "withdrawn"
    assert world.public() == [] and not world.state.is_public
    assert world.said == "公示期满：公示期限至2026-03-01"
    assert world.clock("withdraw-changed-penalty").status is Status.MET
    assert world.end(2) == "unchanged"
    assert world.compared() == Comparison([], 0, 0)


def test_what_is_amended_before_its_clock_has_said_the_end_is_taken_down(world: World) -> None:
    world.happen(RECORDED, 1, publish_until=TODAY)
    assert len(world.public()) == 1
    # The last day is whole: it ends at midnight in Gannan.
    world.desk.now = datetime(2026, 3, 2, 15, 59, tzinfo=UTC)
    assert world.happen(AMENDED, 2, publish_until=TODAY, penalty_content="更正") == "replaced"
    world.desk.now = datetime(2026, 3, 2, 16, 0, tzinfo=UTC)
    assert world.happen(AMENDED, 3, publish_until=TODAY, penalty_content="再更正") == "withdrawn"
    assert world.public() == [] and world.compared().differences == []


def test_what_is_over_when_it_is_entered_is_never_shown_and_its_clock_ends(world: World) -> None:
    until = date(2026, 3, 1)
    assert world.happen(RECORDED, 1, decided_date=date(2026, 2, 27), publish_until=until) == "withdrawn"
    assert world.public() == [] and world.said == "公示期满：公示期限至2026-03-01"
    assert world.clock("disclose-penalty").status is Status.MET
    assert world.compared().differences == []


def test_a_later_day_publishes_again(world: World) -> None:
    world.happen(RECORDED, 1, publish_until=TODAY)
    world.desk.now += timedelta(days=1)
    world.end(1)
    assert world.happen(AMENDED, 2, publish_until=TODAY) == "withdrawn"
    assert world.happen(AMENDED, 3, publish_until=date(2026, 9, 30)) == "published"
    assert [record.sequence for record in world.public()] == [3] and world.state.is_public
    assert world.compared() == Comparison([], 1, 0)


def test_mending_does_not_bring_back_what_is_over(world: World) -> None:
    world.happen(RECORDED, 1, publish_until=TODAY)
    (page,) = (world.folder / "site" / "records").rglob("*.html")
    content = page.read_bytes()
    page.unlink()
    (missing,) = world.compared().differences
    assert (missing.kind, missing.remedy) == ("missing", "publish")
    # The day ends between the comparison and the order.
    world.desk.now += timedelta(days=1)
    assert mend(world) == "withdrawn" and world.public() == []
    assert world.compared().differences == [] and not world.state.is_public
    world.happen(AMENDED, 2, publish_until=TODAY)
    # Somebody puts the page back.
    page.write_bytes(content)
    (still,) = world.compared().differences
    assert (still.kind, still.remedy) == ("still-public", "withdraw")
    assert mend(world) == "withdrawn" and world.public() == []
    assert "公示期满：公示期限至2026-03-02" in page.read_text()
    assert world.compared().differences == []


def mend(world: World) -> str:
    differences = world.compared().differences
    wanted = {each.state.order_id for each in differences if each.state and each.state.order_id}
    outputs = list(reissue(differences, orders_of(world.log, wanted), catalog(), by="张三", why="核对",
                           now=world.desk.now))  # fmt: skip
    return world.carry_out(outputs)


YESTERDAY = date(2026, 3, 1)


@pytest.fixture
def desks() -> Iterator[list[ChannelDesk]]:
    made: list[ChannelDesk] = []
    yield made
    for desk in made:
        desk.close()


def test_the_sink_gets_a_withdrawal_under_an_id_of_its_own(desks: list[ChannelDesk]) -> None:
    sink = InMemorySink(max_batch=5)
    desks.append(desk := ChannelDesk(sink))
    desk.handle([order("A", 1, ends_on=YESTERDAY), order("B", 2, ends_on=TODAY), order("C", 3)])
    sent = {each.subject: each for batch in sink.batches for each in batch}
    assert {name: each.action for name, each in sent.items()} == {"A": "withdraw", "B": "publish", "C": "publish"}
    assert sent["A"].order_id not in (order_id("A", 1), sent["B"].order_id)
    assert sent["A"].reason == "公示期满：公示期限至2026-03-01" and sent["B"].reason is None
    receipt = desk.receipts()[order_id("A", 1)]
    assert (receipt["action"], receipt["status"], receipt["public_reference"]) == ("publish", "withdrawn", None)


def test_what_is_over_is_not_left_out_for_the_end_that_follows(desks: list[ChannelDesk]) -> None:
    """Its receipt speaks of the change, which the clocks of the change wait for; the end of the term does not."""
    sink = InMemorySink(lambda orders: [Receipt("unchanged") for _ in orders])
    desks.append(desk := ChannelDesk(sink))
    desk.take([order("A", 1, ends_on=YESTERDAY), order("A", 2, action="withdraw")])
    desk.wait(lambda: len(desk.of) == 2)
    assert [each.action for batch in sink.batches for each in batch] == ["withdraw", "withdraw"]
    found = {id: (each["status"], each["reason"]) for id, each in desk.receipts().items()}
    # Whether or not there was anything to take away, it is not public, and that is why.
    assert found == {
        order_id("A", 1): ("withdrawn", "公示期满：公示期限至2026-03-01"), order_id("A", 2): ("unchanged", None),
    }  # fmt: skip


def test_a_withdrawal_of_what_is_over_may_be_refused_and_is_tried_again_until_it_is_answered(
    desks: list[ChannelDesk],
) -> None:
    results: list[Any] = [Receipt("published", "GS-1"), Receipt("refused", reason="权限不足")]
    sink = InMemorySink(lambda orders: [results.pop(0)])
    desks.append(desk := ChannelDesk(sink))
    desk.handle([order("A", 1, ends_on=YESTERDAY)])
    receipt = desk.receipts()[order_id("A", 1)]
    assert (receipt["status"], receipt["reason"]) == ("refused", "权限不足")
    assert len(set(sink.sent)) == 1 and len(sink.sent) == 2, "a receipt of a publication is no answer to it"


def test_a_channel_that_answers_later_is_asked_by_the_id_that_it_knows(desks: list[ChannelDesk]) -> None:
    sink = InMemorySink(lambda orders: [NotYet() for _ in orders], answers_later=True, collect_seconds=0.001)
    desks.append(desk := ChannelDesk(sink))
    desk.take([order("A", 1, ends_on=YESTERDAY)])
    desk.wait(lambda: bool(sink.sent))
    (known,) = sink.sent
    # An answer to what it had been given before the day was over, in an earlier life of this process.
    sink.late = {order_id("A", 1): Receipt("published", "GS-1")}
    desk.let_run(2000)
    assert desk.of == {}
    sink.late[known] = Receipt("withdrawn", received_at=NOW)
    desk.wait(lambda: 1 in desk.of)
    assert desk.receipts()[order_id("A", 1)]["status"] == "withdrawn"
    desk.wait(lambda: set(sink.settled) == {known, order_id("A", 1)})


def test_a_step_of_the_wall_clock_takes_nothing_down(desks: list[ChannelDesk]) -> None:
    sink = InMemorySink()
    desks.append(desk := ChannelDesk(sink, steady=lambda: NOW))
    desk.now = NOW + timedelta(days=3650)
    desk.handle([order("A", 1, ends_on=TODAY)])
    assert sink.batches[0][0].action == "publish"


def test_an_order_of_before_it_named_its_end_goes_by_the_day_of_its_record() -> None:
    schema = catalog().schema("hub/disclosure-order", 2)
    _, value = catalog().decode(order("A", 1).value or b"")
    penalty = catalog().schema("enforcement/penalty")
    for view, audience, expected in (("public", "public", YESTERDAY), ("uplink", "government", None)):
        data = catalog().projection(penalty, view).encode(sample(penalty, publish_until=YESTERDAY))
        former = {name: each for name, each in value.items() if name != "ends_on"} | {"view": view, "data": data}
        record = record_of(ORDERS_TOPIC, "A", 1, schema.encode(former), output_id("x", "y"), "disclosure.order.issued")
        found = OrderReader(catalog(), audience).read(record)
        assert (found.ends_on, found.is_over(TODAY)) == (expected, expected is not None)
        assert isinstance(found.order, Order) and found.order.publish_until == YESTERDAY
