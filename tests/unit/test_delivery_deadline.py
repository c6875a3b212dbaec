"""A notice whose period ends while it does not get through, and one that was taken back before it went out."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from hub.bus.outlet import AttemptFailedError
from hub.bus.records import Output, Record
from hub.contracts.calendars import load_calendars
from hub.delivery.alerts import ALERTS_TOPIC, open_alerts
from hub.delivery.engine import DeliveryEngine
from hub.delivery.gate import Gate
from hub.delivery.receipts import Sent
from hub.delivery.settings import SubscriptionSettings
from hub.delivery.transport import Taken
from hub.domain.calendar import end_of
from hub.domain.circuit import Circuit
from hub.domain.events import output_id
from hub.domain.retry import Schedule
from hub.domain.urgency import Urgency
from tests.support_contracts import ROOT, catalog
from tests.support_delivery import Desk, NoIndex, read
from tests.support_outlets import QUICK, notice, notice_id
from tests.unit.test_delivery import command

CALENDAR = load_calendars(ROOT)["gannan"]
BY = end_of(date(2026, 3, 16))
CALM, NEAR, LAST = (datetime(2026, 3, day, 2, tzinfo=UTC) for day in (3, 11, 13))
SENT = Sent("0" * 64, datetime(2026, 3, 2, tzinfo=UTC), "v1,AAAA")


class Way:
    """A transport that answers as ``respond`` says, or waits for ``answer`` where it says nothing."""

    max_concurrent = 4
    address = "drop"

    def __init__(self, respond: Any = lambda id: None) -> None:
        self.respond = respond
        self.asked: list[str] = []
        self.open: dict[str, asyncio.Future[Taken]] = {}

    async def attempt(self, notice_id: str, body: bytes, traceparent: str | None) -> Taken:
        self.asked.append(notice_id)
        found = self.respond(notice_id)
        if isinstance(found, Exception):
            raise found
        if isinstance(found, Taken):
            return found
        self.open[notice_id] = asyncio.get_running_loop().create_future()
        try:
            return await self.open[notice_id]
        finally:
            del self.open[notice_id]

    def answer(self, id: str, taken: Taken | None = None) -> None:
        self.open[id].set_result(taken or Taken(None, True, SENT))

    def call_off(self) -> None: ...

    async def prepare(self, messages: Sequence[tuple[str, bytes]]) -> None: ...

    async def close(self) -> None: ...


def down(id: str) -> Exception:
    return AttemptFailedError("HTTP status 503")


@contextmanager
def desk_of(
    endpoint: Way, other: Way | None = None, *, at: list[datetime], before: Desk | None = None,
    circuit: Circuit | None = None, gate: Gate | None = None,
) -> Iterator[Desk]:
    desk = Desk(DeliveryEngine(
        "procurement", endpoint, catalog(), lambda: at[0], NoIndex(),
        before.load if before else lambda partitions: iter(()), policy=QUICK,
        schedule=Schedule(delays=(3600.0,), jitter=0.0), urgency=Urgency(CALENDAR),
        fallback=(other, "file") if other is not None else None, watch_seconds=0.005,
        circuit=circuit or Circuit(threshold=1000), gate=gate,
    ))
    try:
        yield desk
    finally:
        desk.close()


def at_offset(record: Record, offset: int) -> Record:
    return record._replace(offset=offset)


def alerts(desk: Desk) -> list[dict[str, Any]]:
    return [catalog().decode(output.value or b"")[1] for output in desk.written if output.topic == ALERTS_TOPIC]


def receipt_of(desk: Desk, id: str) -> dict[str, Any]:
    (found,) = [
        read(output) for output in desk.written
        if output.topic == "delivery.receipts.v1" and read(output)["notice_id"] == id
    ]
    return found


def receipts(outputs: list[Output]) -> list[dict[str, Any]]:
    return [read(output) for output in outputs if output.topic == "delivery.receipts.v1"]


def test_near_its_end_it_goes_the_other_way_and_a_person_is_told() -> None:
    endpoint, other, at = Way(down), Way(), [CALM]
    first, second = notice_id("A", 1), notice_id("A", 2)
    with desk_of(endpoint, other, at=at) as desk:
        desk.handle([at_offset(notice("A", n, deliver_by=BY), n) for n in (1, 2)])
        assert [each.wait.state for each in desk.waiting()] == ["retrying", "behind"]
        assert other.asked == [] and alerts(desk) == []
        at[0] = LAST
        desk.wait(lambda: other.asked == [first])
        assert [each.wait.state for each in desk.waiting()] == ["fallback", "behind"]
        assert desk.waiting()[0].wait.reason == "HTTP status 503"
        (alert,) = alerts(desk)
        assert (alert["kind"], alert["notice_id"], alert["deliver_by"]) == ("fell-back", first, BY)
        assert alert["alert_id"] == output_id(first, "alert:fell-back")
        asked = len(endpoint.asked)
        other.answer(first)
        # In order: the second one of the subject goes the same way, after it was tried the first way.
        desk.wait(lambda: other.asked == [first, second])
        other.answer(second)
        desk.wait(lambda: not desk.waiting())
        assert set(endpoint.asked[asked:]) == {second}
    for id in (first, second):
        found = receipt_of(desk, id)
        assert (found["status"], found["method"], found["endpoint"]) == ("delivered", "file", "drop")


def test_while_it_is_near_it_is_tried_by_the_quarter_of_an_hour_and_not_given_up() -> None:
    with desk_of(Way(down), at=[NEAR]) as desk:
        desk.handle([notice("A", 1, deliver_by=BY)])
        (waiting,) = desk.waiting()
        assert waiting.wait.next_attempt_at is not None
        assert timedelta(seconds=900) <= waiting.wait.next_attempt_at - NEAR <= timedelta(seconds=1080)


def test_where_there_is_no_other_way_a_person_is_told_once() -> None:
    with desk_of(Way(down), at=[LAST]) as desk:
        desk.handle([notice("A", 1, deliver_by=BY), at_offset(notice("B", 1), 9)])
        desk.wait(lambda: bool(alerts(desk)))
        desk._run(asyncio.sleep(0.05))
        (alert,) = alerts(desk)
        assert (alert["kind"], alert["notice_id"], alert["reason"]) == ("at-risk", notice_id("A", 1), "HTTP status 503")


def test_a_dead_endpoint_holds_nothing_back_from_the_other_way() -> None:
    other = Way(lambda id: Taken(None, True, SENT))
    with desk_of(Way(down), other, at=[LAST], circuit=Circuit(threshold=2, delay=60, longest=60)) as desk:
        records = [at_offset(notice(f"S{n}", n, deliver_by=BY), n) for n in range(40)]
        desk.take(records)
        desk.wait(lambda: len(desk.ends()) == 40)
        assert desk.engine.wants_more()
    assert set(desk.ends().values()) == {"delivered"}


def test_nor_does_a_subscription_without_an_address() -> None:
    at = [LAST]
    gate = Gate(lambda: at[0], lambda: 0.0, CALENDAR.is_working_day)
    gate.use(SubscriptionSettings("procurement", contact="政府采购科"))
    other = Way(lambda id: Taken(None, True, SENT))
    with desk_of(Way(), other, at=at, gate=gate) as desk:
        desk.take([notice("A", 1, deliver_by=BY), at_offset(notice("B", 1), 7)])
        desk.wait(lambda: desk.ends() == {notice_id("A", 1): "delivered"})
        assert (alerts(desk)[0]["contact"], alerts(desk)[0]["reason"]) == ("政府采购科", "no address is set")


def test_what_the_endpoint_refused_goes_the_other_way_too_but_not_what_the_department_refused() -> None:
    endpoint = Way(lambda id: Taken(422, False, SENT))
    other = Way(lambda id: Taken(None, False, SENT, "refused by the department: 主体有误"))
    with desk_of(endpoint, other, at=[LAST]) as desk:
        desk.handle([notice("A", 1, deliver_by=BY)])
        desk.wait(lambda: len(other.asked) == 1 and desk.waiting()[0].wait.state == "parked")
        assert desk.waiting()[0].wait.reason == "refused by the department: 主体有误"
        desk._run(asyncio.sleep(0.05))
    assert len(other.asked) == 1


def test_a_failing_other_way_is_tried_again() -> None:
    tries = iter([AttemptFailedError("no space left"), RuntimeError("a fault of ours"), Taken(None, True, SENT)])
    with desk_of(Way(down), Way(lambda id: next(tries)), at=[LAST]) as desk:
        desk.handle([notice("A", 1, deliver_by=BY)])
        desk.wait(lambda: desk.ends() == {notice_id("A", 1): "delivered"})


def test_what_is_handed_out_the_other_way_is_taken_up_by_the_next_owner() -> None:
    first_other, other = Way(), Way()
    id = notice_id("A", 1)
    with desk_of(Way(down), first_other, at=[LAST]) as first:
        first.handle([notice("A", 1, deliver_by=BY)])
        first.wait(lambda: first_other.asked == [id])
        first.revoke()
        assert first_other.open == {}
    with desk_of(Way(down), other, at=[LAST], before=first) as second:
        second.wait(lambda: other.asked == [id])
        assert alerts(second) == [], "the person was told"
        other.answer(id)
        second.wait(lambda: second.ends() == {id: "delivered"})


def test_a_person_calls_it_back() -> None:
    is_down, other, id = [True], Way(), notice_id("A", 1)
    endpoint = Way(lambda id: down(id) if is_down[0] else Taken(204, True, SENT))
    with desk_of(endpoint, other, at=[LAST]) as desk:
        desk.handle([notice("A", 1, deliver_by=BY)])
        desk.wait(lambda: other.asked == [id])
        is_down[0] = False
        desk.handle([command("release", id)])
        desk.wait(lambda: desk.ends() == {id: "delivered"})
        assert other.open == {}
    assert receipt_of(desk, id)["method"] == "webhook"


# -- taken back before it went out ---------------------------------------------------------------


def lift(subject: str, number: int, **more: Any) -> Record:
    return at_offset(notice(subject, number, action="lift", type="blacklist.notice.removed", **more), number)


def test_what_was_taken_back_does_not_go_out_any_more() -> None:
    is_down = [True]
    endpoint = Way(lambda id: down(id) if is_down[0] else Taken(204, True, SENT))
    with desk_of(endpoint, at=[CALM]) as desk:
        desk.handle([at_offset(notice("A", 1), 1), at_offset(notice("A", 2, action="amend"), 2)])
        desk.handle([at_offset(notice("A", 3, fact="another"), 3)])
        before = len(endpoint.asked)
        is_down[0] = False
        desk.handle([lift("A", 4)])
        desk.wait(lambda: not desk.waiting())
    assert [receipt_of(desk, notice_id("A", n))["status"] for n in (1, 2, 3, 4)] == [
        "superseded", "superseded", "delivered", "delivered"
    ]
    assert receipt_of(desk, notice_id("A", 1))["reason"] == f"taken back by the notice {notice_id('A', 4)}"
    assert endpoint.asked[before:] == [notice_id("A", 3), notice_id("A", 4)]


def test_a_queue_behind_a_closed_circuit_is_cleared_too() -> None:
    is_down = [True]
    endpoint = Way(lambda id: down(id) if is_down[0] else Taken(204, True, SENT))
    with desk_of(endpoint, at=[CALM], circuit=Circuit(threshold=2, delay=0.05, longest=0.05)) as desk:
        desk.take([at_offset(notice(subject, n), n) for n, subject in enumerate("XYXY", 1)])
        desk.wait(lambda: not desk.engine.wants_more())
        desk.take([at_offset(notice("A", 5), 5), lift("A", 6)])
        desk.wait(lambda: notice_id("A", 5) in desk.ends())
        is_down[0] = False
        desk.wait(lambda: len(desk.ends()) == 6)
        assert desk.ends()[notice_id("A", 5)] == "superseded"
    assert notice_id("A", 5) not in endpoint.asked


def test_what_is_under_way_ends_and_is_lifted_behind_it() -> None:
    endpoint = Way()
    with desk_of(endpoint, at=[CALM]) as desk:
        desk.take([at_offset(notice("A", 1), 1)])
        desk.wait(lambda: notice_id("A", 1) in endpoint.open)
        desk.take([lift("A", 2)])
        desk._run(asyncio.sleep(0.02))
        endpoint.answer(notice_id("A", 1), Taken(204, True, SENT))
        desk.wait(lambda: notice_id("A", 2) in endpoint.open)
        endpoint.answer(notice_id("A", 2), Taken(204, True, SENT))
        desk.wait(lambda: len(desk.ends()) == 2)
    assert set(desk.ends().values()) == {"delivered"}


@pytest.mark.parametrize("status", [422, 503])
def test_the_next_owner_does_not_send_it_either(status: int) -> None:
    """The lift came while nobody had the partition, or between what waits and its end."""
    refused = Way(lambda id: Taken(422, False, SENT) if status == 422 else down(id))
    with desk_of(refused, at=[CALM]) as first:
        first.handle([at_offset(notice("A", 1), 1)])
        first.revoke()
    endpoint = Way(lambda id: Taken(204, True, SENT))
    with desk_of(endpoint, at=[CALM], before=first) as second:
        (outputs,) = second.handle([lift("A", 2)])
        second.wait(lambda: len(second.ends()) == 2)
    assert second.ends() == {notice_id("A", 1): "superseded", notice_id("A", 2): "delivered"}
    assert endpoint.asked == [notice_id("A", 2)]
    assert [each["status"] for each in receipts(outputs)] == ["delivered"]


def test_what_is_handed_out_the_other_way_is_called_back() -> None:
    other = Way()
    with desk_of(Way(down), other, at=[LAST]) as desk:
        desk.handle([at_offset(notice("A", 1, deliver_by=BY), 1)])
        desk.wait(lambda: other.asked == [notice_id("A", 1)])
        desk.handle([lift("A", 2, deliver_by=BY)])
        desk.wait(lambda: other.asked == [notice_id("A", 1), notice_id("A", 2)])
        assert list(other.open) == [notice_id("A", 2)]
        assert desk.ends() == {notice_id("A", 1): "superseded"}


def test_an_alert_is_open_until_its_notice_has_arrived() -> None:
    other, at = Way(), [LAST]
    with desk_of(Way(down), other, at=at) as desk:
        desk.handle([notice("A", 1, deliver_by=BY), at_offset(notice("B", 1, deliver_by=BY), 7)])
        desk.wait(lambda: len(other.open) == 2)

        def listed() -> list[str]:
            records = [Record(output.topic, 0, 0, 0, output.key, output.value, []) for output in desk.written]
            return [str(each["notice_id"]) for each in open_alerts(records, catalog())]

        assert sorted(listed()) == sorted([notice_id("A", 1), notice_id("B", 1)])
        other.answer(notice_id("A", 1))
        other.answer(notice_id("B", 1), Taken(None, False, SENT, "refused"))
        desk.wait(lambda: not other.open)
        assert listed() == [notice_id("B", 1)], "parked is no end"


def test_what_was_taken_back_further_on_in_the_inbox_does_not_go_out() -> None:
    """Read again from the beginning, after all of it went through: nothing of a removed listing is sent again."""
    records = [
        at_offset(notice("A", 1), 1), at_offset(notice("A", 2, action="amend"), 2), lift("A", 3),
        at_offset(notice("A", 4), 4), at_offset(notice("B", 5), 5),
    ]
    endpoint = Way(lambda id: Taken(204, True, SENT))
    desk = Desk(DeliveryEngine(
        "procurement", endpoint, catalog(), lambda: CALM, NoIndex(), lambda partitions: iter(()), policy=QUICK,
        backlog=lambda partitions: [*records, at_offset(notice("C", 6)._replace(value=b"garbage"), 6)],
    ))
    try:
        for record in records:
            desk.handle([record])
    finally:
        desk.close()
    assert endpoint.asked == [notice_id("A", 3), notice_id("A", 4), notice_id("B", 5)], "a new listing is another"
    assert [desk.ends()[notice_id("A", n)] for n in (1, 2)] == ["superseded", "superseded"]
