"""What a channel's engine does with orders, results and outages, with a sink in memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from hub.bus.records import Record
from hub.disclosure import AttemptFailedError, BatchRefusedError, NotYet, Order, Receipt, Result, TryAgain
from hub.domain.circuit import Circuit
from tests.support_contracts import catalog
from tests.support_disclosure import ChannelDesk, InMemorySink, as_record, done, read
from tests.support_outlets import order, order_id


@pytest.fixture(autouse=True)
def closing(monkeypatch: pytest.MonkeyPatch) -> Any:
    made: list[ChannelDesk] = []
    begin = ChannelDesk.__init__

    def init(self: ChannelDesk, *given: Any, **more: Any) -> None:
        begin(self, *given, **more)
        made.append(self)

    monkeypatch.setattr(ChannelDesk, "__init__", init)
    yield
    for desk in made:
        desk.close()


def version(subject: str, sequence: int, offset: int, action: str = "amend", **more: Any) -> Record:
    """An order for version ``sequence`` of the one record of ``subject``, at ``offset``."""
    return order(subject, sequence, action=action, **more)._replace(offset=offset)


def statuses(desk: ChannelDesk) -> dict[str, str]:
    return {order_id: receipt["status"] for order_id, receipt in desk.receipts().items()}


def test_a_batch_takes_one_order_of_each_subject_and_keeps_their_order() -> None:
    sink = InMemorySink(max_batch=10, max_concurrent=1)
    desk = ChannelDesk(sink)
    records = [order(f"S{n % 4}", number, action="withdraw") for number, n in enumerate(range(12), start=1)]
    desk.handle([rowed(record) for record in records])
    assert [len(batch) for batch in sink.batches] == [4, 4, 4]
    for batch in sink.batches:
        assert len({each.subject for each in batch}) == 4
    for n in range(4):
        mine = [each.sequence for batch in sink.batches for each in batch if each.subject == f"S{n}"]
        assert mine == sorted(mine)


def rowed(record: Record, name: str | None = None) -> Record:
    schema, value = catalog().decode(record.value or b"")
    changed = {**value, "correlation_id": name or f"row-{record.offset}"}
    return record._replace(value=schema.encode(changed))


def test_one_record_of_two_subjects_keeps_its_order() -> None:
    """A row whose subject was corrected: the new subject's order waits for the old one's."""
    answers = {"A": False}

    def answer(orders: Sequence[Order]) -> Sequence[Result]:
        return [done(each) if each.subject != "A" or answers["A"] else TryAgain("locked") for each in orders]

    sink = InMemorySink(answer, max_batch=5)
    desk = ChannelDesk(sink)
    desk.take([rowed(order("A", 1, action="withdraw"), "row"), rowed(order("B", 2), "row"), order("C", 3)])
    desk.wait(lambda: 3 in desk.of)
    assert order_id("B", 2) not in sink.sent
    answers["A"] = True
    desk.wait(lambda: len(desk.of) == 3)
    assert statuses(desk) == {order_id("A", 1): "withdrawn", order_id("B", 2): "published",
                              order_id("C", 3): "published"}  # fmt: skip


@pytest.mark.parametrize("spoils", ["refused", "broken"])
def test_one_record_that_spoils_a_batch_is_found_and_the_others_go(spoils: str) -> None:
    def answer(orders: Sequence[Order]) -> Sequence[Result]:
        if not any(each.subject == "S7" for each in orders):
            return [done(each) for each in orders]
        if len(orders) > 1 and spoils == "refused":
            raise BatchRefusedError("422")
        if len(orders) > 1:
            raise AttemptFailedError("HTTP status 500")
        return [Receipt("refused", reason="it spoils")]

    sink = InMemorySink(answer, max_batch=20, max_concurrent=1)
    desk = ChannelDesk(sink)
    desk.handle([order(f"S{n}", n) for n in range(1, 21)])
    found = statuses(desk)
    assert found.pop(order_id("S7", 7)) == "refused"
    assert set(found.values()) == {"published"} and len(found) == 19
    assert len(sink.batches) < 15 and desk.engine.wants_more()


@pytest.mark.parametrize(
    "result",
    [Receipt("withdrawn"), Receipt("refused"), Receipt("shredded"), Receipt("published", "x" * 501), None, "done"],
)
def test_what_is_no_result_is_asked_for_again(result: Any) -> None:
    answers = iter([[result]])
    sink = InMemorySink(lambda orders: next(answers, [done(each) for each in orders]))
    desk = ChannelDesk(sink)
    desk.handle([order("A", 1)])
    assert len(sink.batches) == 2 and statuses(desk) == {order_id("A", 1): "published"}


def test_a_fault_of_the_sink_ends_nothing() -> None:
    faults: list[Any] = [ValueError("mine"), [], []]

    def answer(orders: Sequence[Order]) -> Sequence[Result]:
        fault = faults.pop() if faults else None
        if isinstance(fault, Exception):
            raise fault
        return [done(each) for each in orders] if fault is None else fault

    desk = ChannelDesk(InMemorySink(answer))
    desk.handle([order("A", 1), order("B", 2)])
    assert set(statuses(desk).values()) == {"published"}


def test_an_outage_stops_the_reading_and_ends_by_itself() -> None:
    is_down = [True]

    def answer(orders: Sequence[Order]) -> Sequence[Result]:
        if is_down[0]:
            raise AttemptFailedError("no answer", is_unreachable=True)
        return [done(each) for each in orders]

    sink = InMemorySink(answer, max_batch=4, max_concurrent=2)
    desk = ChannelDesk(sink, circuit=Circuit(delay=0.01, longest=0.02))
    desk.take([order(f"S{n}", n) for n in range(1, 9)])
    desk.wait(lambda: not desk.engine.wants_more())
    said = desk.engine.status
    assert said.circuit in ("open", "half-open") and (said.under_way, said.last_error) == (8, "no answer")
    asked = len(sink.batches)
    desk.wait(lambda: len(sink.batches) > asked + 1)
    assert all(len(batch) == 1 for batch in sink.batches[asked + 1:]), "a probe is one order"
    assert desk.of == {}
    is_down[0] = False
    desk.wait(lambda: len(desk.of) == 8)
    assert desk.engine.wants_more() and set(statuses(desk).values()) == {"published"}
    assert desk.engine.status == ("closed", 0.0, 0, "")


def test_a_fault_of_the_engine_ends_the_flow(monkeypatch: pytest.MonkeyPatch) -> None:
    """It must not stand still for ever while nothing says so."""
    desk = ChannelDesk(InMemorySink(max_concurrent=1))

    def broken(*_: Any) -> Any:
        raise RuntimeError("mine")

    monkeypatch.setattr(desk.engine, "_take_results", broken)
    desk.take([order("A", 1)])
    desk.wait(lambda: isinstance(desk.failure, RuntimeError))


# -- overtaken ---------------------------------------------------------------------------------


def blocked_by(subject: str, open_at: list[bool]) -> InMemorySink:
    def answer(orders: Sequence[Order]) -> Sequence[Result]:
        return [done(e) if open_at[0] or e.subject != subject else TryAgain("locked") for e in orders]

    return InMemorySink(answer, max_batch=1)


def test_what_was_overtaken_before_it_went_out_is_left_out_with_its_reason() -> None:
    open_at = [False]
    sink = blocked_by("A", open_at)
    desk = ChannelDesk(sink)
    first = rowed(order("A", 1), "another row")  # holds the subject's turn
    desk.take([first, version("A", 2, 2), version("A", 3, 3), version("A", 4, 4, "withdraw")])
    desk.wait(lambda: {2, 3} <= set(desk.of))
    open_at[0] = True
    desk.wait(lambda: len(desk.of) == 4)
    assert statuses(desk) == {
        order_id("A", 1): "published", order_id("A", 2): "superseded", order_id("A", 3): "superseded",
        order_id("A", 4): "withdrawn",
    }  # fmt: skip
    by = {desk.receipts()[order_id("A", sequence)]["reason"] for sequence in (2, 3)}
    assert by == {f"overtaken by the order {order_id('A', 4)}"}
    assert order_id("A", 2) not in sink.sent and order_id("A", 3) not in sink.sent
    (output,) = desk.of[2]
    assert dict(output.headers)["ce_type"] == b"disclosure.receipt.superseded"


def test_nothing_is_left_out_for_a_later_publication() -> None:
    """Were that refused, what should be gone would stay public, and nobody would know which version is there."""
    open_at = [False]
    sink = blocked_by("A", open_at)
    desk = ChannelDesk(sink)
    desk.take([
        rowed(order("A", 1), "another row"), version("A", 2, 2, "withdraw"), version("A", 3, 3, "publish"),
        version("A", 4, 4),
    ])  # fmt: skip
    desk.let_run()
    open_at[0] = True
    desk.wait(lambda: len(desk.of) == 4)
    assert list(dict.fromkeys(sink.sent)) == [order_id("A", number) for number in (1, 2, 3, 4)]
    assert "superseded" not in statuses(desk).values()


def test_what_was_sent_is_not_left_out() -> None:
    """The channel may have done it: it comes again until that is known."""
    sink = InMemorySink(lambda orders: [NotYet() for _ in orders], answers_later=True, collect_seconds=0.001)
    desk = ChannelDesk(sink)
    desk.take([version("A", 1, 1, "publish")])
    desk.wait(lambda: sink.sent == [order_id("A", 1)])
    desk.take([version("A", 2, 2, "withdraw")])
    desk.let_run()
    sink.late[order_id("A", 1)] = Receipt("published", "GS-1")
    desk.wait(lambda: 1 in desk.of and len(sink.sent) == 2)
    sink.late[order_id("A", 2)] = Receipt("withdrawn")
    desk.wait(lambda: 2 in desk.of)
    assert statuses(desk) == {order_id("A", 1): "published", order_id("A", 2): "withdrawn"}


def test_what_stands_in_the_backlog_overtakes_before_it_is_read() -> None:
    backlog = [version("A", 1, 1, "publish"), version("B", 2, 2, "publish"), version("A", 3, 3, "withdraw"),
               version("C", 4, 4, channel="creditchina"), order("C", 5)._replace(value=b"garbage")]  # fmt: skip
    sink = InMemorySink()
    desk = ChannelDesk(sink, backlog=lambda partitions: backlog)
    desk.handle(backlog[:2])
    assert statuses(desk) == {order_id("A", 1): "superseded", order_id("B", 2): "published"}
    desk.handle(backlog[2:4])
    assert statuses(desk)[order_id("A", 3)] == "withdrawn"


def test_an_order_that_was_written_twice_is_sent_once_and_does_not_overtake_itself() -> None:
    first, again = version("A", 2, 1, "withdraw"), version("A", 2, 9, "withdraw")
    sink = InMemorySink()
    desk = ChannelDesk(sink, backlog=lambda partitions: [first, again])
    desk.handle([first, again])
    assert sink.sent == [order_id("A", 2)] and statuses(desk) == {order_id("A", 2): "withdrawn"}


def test_after_a_long_outage_the_backlog_is_looked_through_again() -> None:
    is_down, backlog = [True], list[Record]()

    def answer(orders: Sequence[Order]) -> Sequence[Result]:
        if is_down[0]:
            raise AttemptFailedError("no answer", is_unreachable=True)
        return [done(each) for each in orders]

    sink = InMemorySink(answer, max_batch=1, max_concurrent=1)
    desk = ChannelDesk(
        sink, backlog=lambda partitions: backlog, look_seconds=0.0, circuit=Circuit(delay=0.005, longest=0.01),
    )
    desk.take([order(f"S{n}", n) for n in range(1, 5)])
    desk.wait(lambda: not desk.engine.wants_more())
    # The log goes on while nothing is read: S4's record is withdrawn.
    backlog += [order(f"S{n}", n) for n in range(1, 5)] + [version("S4", 5, 5, "withdraw")]
    is_down[0] = False
    desk.wait(lambda: len(desk.of) == 4)
    found = statuses(desk)
    assert sorted(found.values()) in (["published", "published", "published", "superseded"], ["published"] * 4)
    # The probe goes out before anybody looks; of the others none that was overtaken does.
    assert found[order_id("S4", 4)] == "superseded" or sink.sent.count(order_id("S4", 4)) > 0


# -- kills and rebalances ------------------------------------------------------------------------


def test_an_order_whose_receipt_stands_on_the_log_is_not_sent_again() -> None:
    first = ChannelDesk(InMemorySink())
    (outputs,) = first.handle([order("A", 1)])
    receipt = as_record(outputs[0])
    asked: list[int] = []

    def receipts(partitions: Iterable[int], since: int) -> list[Record]:
        asked.append(since)
        return [receipt, receipt._replace(value=None), receipt._replace(value=b"garbage")]

    sink = InMemorySink()
    again = [order("A", 1)._replace(timestamp=10**12), order("B", 2)._replace(timestamp=10**12 + 5)]
    desk = ChannelDesk(sink, backlog=lambda partitions: again, load_receipts=receipts)
    desk.handle(again)
    assert sink.sent == [order_id("B", 2)] and desk.of[1] == []
    assert asked == [10**12 - 3_600_000]


def test_what_is_under_way_is_written_before_a_partition_goes() -> None:
    sink = InMemorySink(max_batch=1, max_concurrent=1)
    desk = ChannelDesk(sink)
    desk.take([order(f"S{n}", n) for n in range(1, 6)])
    desk.wait(lambda: bool(sink.sent))
    desk.revoke()
    sent = len(sink.sent)
    assert len(desk.of) == sent == len(desk.receipts())
    desk.let_run()
    assert len(sink.sent) == sent, "nothing more is sent of it"


def test_a_failing_order_of_a_partition_that_goes_is_not_sent_again() -> None:
    sink = InMemorySink(lambda orders: [TryAgain("locked") for _ in orders])
    desk = ChannelDesk(sink, waits=(3600.0, 3600.0))
    desk.take([order("A", 1), rowed(order("A", 2))])
    desk.wait(lambda: bool(sink.sent))
    desk.let_run()
    desk.revoke()
    desk.let_run()
    assert sink.sent == [order_id("A", 1)] and desk.of == {} and list(desk.engine._queue) == []


# -- receipts that come later ---------------------------------------------------------------------


def later() -> InMemorySink:
    return InMemorySink(
        lambda orders: [NotYet() for _ in orders], max_batch=50, answers_later=True, collect_seconds=0.001
    )


def test_late_receipts_end_their_orders_and_are_settled_when_they_stand_on_the_log() -> None:
    sink = later()
    desk = ChannelDesk(sink)
    desk.take([order("A", 1), rowed(order("A", 2)), order("B", 3)])
    desk.wait(lambda: len(sink.sent) == 2)
    desk.is_writing = False
    refused = Receipt("refused", reason="内容不全")
    sink.late = {order_id("A", 1): Receipt("published", "GS-1"), order_id("B", 3): refused}
    desk.let_run(2000)
    assert desk.of == {} and sink.settled == [], "nobody knows whether they stand on the log"
    desk.is_writing = True
    desk.wait(lambda: {1, 3} <= set(desk.of))
    desk.wait(lambda: sorted(sink.settled) == sorted([order_id("A", 1), order_id("B", 3)]))
    assert desk.of[1] == [], "the receipt was written before"
    desk.wait(lambda: order_id("A", 2) in sink.sent)
    assert statuses(desk) == {order_id("A", 1): "published", order_id("B", 3): "refused"}


def test_a_late_receipt_of_somebody_elses_order_stays_where_it_is() -> None:
    sink = later()
    desk = ChannelDesk(sink)
    sink.late = {order_id("Z", 9): Receipt("published"), order_id("A", 1): Receipt("withdrawn")}
    desk.take([order("A", 1)])
    desk.wait(lambda: bool(sink.sent))
    desk.let_run(2000)
    assert set(sink.late) == {order_id("Z", 9), order_id("A", 1)} and desk.written == []


def test_an_order_that_ended_before_a_kill_is_settled_when_it_comes_again() -> None:
    first = ChannelDesk(InMemorySink())
    (outputs,) = first.handle([order("A", 1)])
    sink = later()
    sink.late = {order_id("A", 1): Receipt("published")}
    desk = ChannelDesk(sink, backlog=lambda partitions: [order("A", 1)],
                       load_receipts=lambda partitions, since: [as_record(outputs[0])])  # fmt: skip
    desk.handle([order("A", 1)])
    desk.wait(lambda: sink.settled == [order_id("A", 1)])
    assert sink.sent == [] and desk.written == []


def test_a_collection_that_fails_is_made_again() -> None:
    sink, fails = later(), [AttemptFailedError("the folder is away"), ValueError("mine")]
    collect = sink.collect

    async def failing() -> Any:
        if fails:
            raise fails.pop()
        return await collect()

    sink.collect = failing  # type: ignore[method-assign]  # a stand-in for a folder that is away
    desk = ChannelDesk(sink)
    sink.late = {order_id("A", 1): Receipt("published")}
    ((), ) = desk.handle([order("A", 1)])
    assert fails == [] and read(desk.written[0])["status"] == "published"


def test_the_sink_is_closed_with_the_engine() -> None:
    sink = InMemorySink()
    desk = ChannelDesk(sink)
    desk.handle([order("A", 1)])
    desk._run(desk.engine.close())
    assert sink.is_closed
