"""Notices that are sent again: under which id, in which order, what they may not undo, and what no clock hears."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import standardwebhooks

from hub.bus.records import Record
from hub.clocks.wire import SignalReader
from hub.contracts.cloudevents import from_headers
from hub.delivery.engine import DeliveryEngine
from hub.delivery.message import read_inbox, read_notices
from hub.delivery.replays import mark_of, overtaken, replay_id, to_replay
from hub.delivery.webhook import WebhookEndpoint, WebhookTransport
from tests.support_contracts import catalog
from tests.support_delivery import Desk, InMemoryNotices, read
from tests.support_outlets import QUICK, OutletServer, Reply, Seen, notice, notice_id
from tests.unit.test_delivery import SECRET, ids, took
from tests.unit.test_routing import hub_map

REQUEST = "3d1ff4a1-0c0f-5d3c-8f2c-111111111111"


def replay(subject: str, number: int, offset: int, known: int, request: str = REQUEST, **more: object) -> Record:
    """The replay of a notice, at ``offset`` of the inbox, planned when the inbox ended at ``known``."""
    output = to_replay(notice(subject, number, **more), notice_id(subject, number), request, known)  # type: ignore[arg-type]  # names of notice's
    return Record(output.topic, 0, offset, 0, output.key, output.value, output.headers)


def id_of(subject: str, number: int, request: str = REQUEST) -> str:
    return replay_id(notice_id(subject, number), request)


@contextmanager
def department(respond: Callable[[Seen, int], Reply], *inbox: Record) -> Iterator[tuple[Desk, OutletServer]]:
    """``inbox``: what stands in it, read again where a replay wants to know what came since."""

    def spans(wanted: Mapping[int, tuple[int, int]]) -> Iterator[Record]:
        for record in inbox:
            start, end = wanted.get(record.partition, (0, 0))
            if start <= record.offset < end:
                yield record

    def now() -> datetime:
        return datetime.now(UTC)

    with OutletServer(respond) as server:
        transport = WebhookTransport(WebhookEndpoint(server.url + "/hook", SECRET), now)
        desk = Desk(DeliveryEngine(
            "procurement", transport, catalog(), now, InMemoryNotices(), lambda partitions: iter(()), policy=QUICK,
            spans=spans,
        ))
        try:
            yield desk, server
        finally:
            desk.close()


def test_a_replay_is_the_notice_under_an_id_of_its_own_and_says_so() -> None:
    by = datetime(2026, 3, 20, tzinfo=UTC)
    again = replay("A", 1, 7, 7, deliver_by=by)
    with department(took) as (desk, server):
        desk.handle([notice("A", 1, deliver_by=by)])
        (outputs,) = desk.handle([again])
    assert ids(server) == [notice_id("A", 1), id_of("A", 1)]
    first, second = (json.loads(seen.body) for seen in server.seen)
    standardwebhooks.Webhook(SECRET).verify(server.seen[1].body, server.seen[1].headers)
    # But for the mark it is what went out before, and answers speak of the same notice.
    assert second["data"].pop("replay") == {"request_id": REQUEST} and second == first
    receipt = read(outputs[0])
    assert (receipt["status"], receipt["notice_id"]) == ("replayed", id_of("A", 1))
    assert notice_id("A", 1) in receipt["reason"] and REQUEST in receipt["reason"]
    assert read_inbox(again, catalog())["deliver_by"] is None, "its period is the notice's alone"
    (entry,) = read_notices([again], catalog())
    assert entry.notice_id == id_of("A", 1) and mark_of(notice("A", 1)) is None


def test_the_same_replay_again_has_the_same_id_and_another_request_another() -> None:
    assert replay("A", 1, 7, 7).headers == replay("A", 1, 8, 7).headers
    assert len({id_of("A", 1), id_of("A", 1, "another"), id_of("A", 2), notice_id("A", 1)}) == 4


def test_no_clock_of_the_map_hears_of_a_replay() -> None:
    with department(took) as (desk, _):
        (first,), (again,) = desk.handle([notice("A", 1)]), desk.handle([replay("A", 1, 7, 7)])
    reader = SignalReader(hub_map().clocks, {})
    signals = [
        list(reader.of_receipt(from_headers(output.headers), {**read(output), "subscription": "works-bidding"}))
        for output in (*first, *again)
    ]
    assert signals[0] != [] and signals[1] == []
    assert from_headers(again[0].headers).type == "delivery.receipt.replayed"


def test_a_replay_that_is_refused_or_does_not_get_through_holds_up_nobody() -> None:
    for status in (422, 503):
        def respond(seen: Seen, before: int, status: int = status) -> Reply:
            return Reply(status if seen.headers["webhook-id"] == id_of("A", 1) else 204, "")

        with department(respond) as (desk, server):
            # Others get through between, so that it is the notice and not the endpoint.
            desk.handle([replay("A", 1, 7, 7), notice("A", 8), notice("B", 9), notice("C", 10)])
            assert desk.waiting() == []
            ended = desk.ends()
        assert ended[id_of("A", 1)] == "forgone"
        assert {ended[notice_id("A", 8)], ended[notice_id("B", 9)]} == {"delivered"}
        assert ids(server).index(id_of("A", 1)) < ids(server).index(notice_id("A", 8)), "in the order of the inbox"


def test_what_was_taken_back_after_the_plan_is_not_said_again() -> None:
    """The planner saw offsets up to 5; routing wrote the removal at 6, the replay stands at 7."""
    lift = notice("A", 6, action="lift", type="blacklist.notice.removed")
    other = notice("B", 6)
    with department(took, lift, replay("B", 1, 7, 5)) as (desk, server):
        desk.handle([replay("A", 1, 7, 5), replay("B", 1, 8, 5), other._replace(offset=9)])
        assert desk.ends()[id_of("A", 1)] == "forgone"
    assert set(ids(server)) == {id_of("B", 1), notice_id("B", 6)}


def test_a_lift_that_is_said_again_takes_back_nothing_that_came_since() -> None:
    with department(lambda seen, before: Reply(204, "", delay_seconds=0.02)) as (desk, _):
        desk.handle([
            notice("A", 8), replay("A", 2, 9, 9, action="lift", type="blacklist.notice.removed"),
        ])  # fmt: skip
        assert desk.ends() == {notice_id("A", 8): "delivered", id_of("A", 2): "replayed"}


def test_what_overtook_a_replay_is_looked_for_between_plan_and_place_only() -> None:
    again = replay("A", 1, 10, 5)
    fields = read_inbox(again, catalog())

    def fact_of(record: Record) -> str | None:
        return str(read_inbox(record, catalog())["correlation_id"])

    def found(*records: Record) -> dict[tuple[int, int], str]:
        asked: list[Mapping[int, tuple[int, int]]] = []

        def spans(wanted: Mapping[int, tuple[int, int]]) -> list[Record]:
            asked.append(wanted)
            return list(records)

        answer = overtaken([(again, fields)], spans, fact_of)
        assert asked == [{0: (5, 10)}]
        return answer

    assert set(found(notice("A", 5))) == set(found(notice("A", 9))) == {(0, 10)}
    assert found(notice("A", 4)) == found(notice("A", 11)) == found(notice("B", 7)) == {}
    assert found(replay("A", 2, 7, 5)) == {}, "replays do not overtake each other"
    assert timedelta(0) == fields["issued_at"] - read_inbox(notice("A", 1), catalog())["issued_at"]
