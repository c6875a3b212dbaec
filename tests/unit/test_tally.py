"""The tally: each thing is counted once by its id, and what has no end on record is open."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hub.bus.records import Record
from hub.contracts.cloudevents import to_headers
from hub.domain.events import Envelope
from hub.ops.tally import Tally, take_tally
from tests.support_contracts import catalog, sample

PENALTIES = "enforcement.penalties.v1"
NOW = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)


def envelope(id: str, type: str) -> Envelope:
    return Envelope(id=id, source="/sources/market", type=type, subject="s", time=NOW, correlation_id="c")


def event(id: str, type: str = "enforcement.penalty.recorded") -> Record:
    return Record(PENALTIES, 0, 0, 0, b"s", b"not looked at", to_headers(envelope(id, type)))


def own(topic: str, schema: str, **content: Any) -> Record:
    found = catalog().schema(schema)
    value = found.encode(sample(found, **content))
    return Record(topic, 0, 0, 0, b"s", value, to_headers(envelope("of the hub", "a.b.c")))


def decided(event_id: str, outputs: list[tuple[str, str, str]], **content: Any) -> Record:
    said = [
        {"rule": "r", "kind": kind, "target": target, "output_id": id, "action": "publish"}
        for kind, target, id in outputs
    ]
    return own(
        "routing.decisions.v1", "hub/routing-decision", event_id=event_id, outputs=said,
        is_matched=bool(outputs), **{"withheld": [], **content},
    )  # fmt: skip


def receipt(order_id: str, status: str) -> Record:
    return own(
        "disclosure.receipts.v1", "hub/disclosure-receipt", order_id=order_id, channel="gsxt", status=status
    )  # fmt: skip


def tally(*records: Record) -> Tally:
    return take_tally(records, catalog(), [PENALTIES])


def test_an_event_that_was_written_twice_counts_once() -> None:
    found = tally(event("e1"), event("e1"), event("e2", "enforcement.penalty.amended"))
    assert found.events == {PENALTIES: {"enforcement.penalty.recorded": 1, "enforcement.penalty.amended": 1}}
    assert (found.accepted, found.repeated_records, found.undecided) == (2, 1, 2)
    assert not found.is_settled


def test_all_is_settled_once_every_output_has_its_end_in_whatever_order_it_is_read() -> None:
    records = [
        event("e1"),
        decided("e1", [("channel", "gsxt", "o1"), ("subscription", "works", "n1"), ("clock", "c", "s1")]),
        receipt("o1", "published"),
        own("delivery.receipts.v1", "hub/delivery-receipt", notice_id="n1", subscription="works", status="parked"),
    ]
    assert tally(*records[:2]).open == {"channel:gsxt": 1, "subscription:works": 1}
    assert not tally(*records[:3]).is_settled
    found = tally(*reversed(records), *records)
    assert found.is_settled
    assert (found.disclosed, found.delivered) == ({"gsxt": {"published": 1}}, {"works": {"parked": 1}})
    assert found.as_dict()["is_settled"] is True


def test_what_matched_nobody_and_what_was_held_back_is_said() -> None:
    held = [{"rule": "route:p:gsxt", "reason": "is_public does not hold: 涉及商业秘密"}]
    found = tally(event("e1"), decided("e1", [], event_type="enforcement.penalty.recorded", withheld=held))
    assert found.unmatched == {"enforcement.penalty.recorded": 1}
    assert found.withheld == {"route:p:gsxt: is_public does not hold": 1}
    assert found.is_settled


def test_an_event_among_the_dead_letters_of_routing_is_not_undecided() -> None:
    dead = event("e1")._replace(topic="routing.dead-letters.v1")
    found = tally(event("e1"), dead, dead)
    assert (found.undecided, found.dead_letters) == (0, {"routing.dead-letters.v1": 1})


def test_clocks_count_by_their_last_state_and_a_late_one_is_said_apart() -> None:
    def state(id: str, status: str, breached_at: datetime | None = None) -> Record:
        return own(
            "clock.states.v1", "hub/clock-state", clock_id=id, rule="accept", status=status, breached_at=breached_at
        )  # fmt: skip

    gone = state("k4", "running")._replace(value=None)
    found = tally(state("k1", "running"), state("k1", "met"), state("k2", "running", NOW), state("k3", "running"), gone)
    assert found.clocks == {"accept": {"met": 1, "breached": 1, "running": 1}}


def test_rejections_and_answers_count_by_kind() -> None:
    def answer(id: str, status: str) -> Record:
        return own(
            "discipline.feedback.v1", "hub/discipline-feedback", feedback_id=id, subscription="works", status=status
        )  # fmt: skip

    refused = own("intake.rejections.v1", "hub/rejection", rejection_id="r1", problem_code="date")
    found = tally(refused, refused, answer("f1", "acted"), answer("f2", "objected"), answer("f1", "acted"))
    assert found.rejected == {"date": 1}
    assert found.answered == {"works": {"acted": 1, "objected": 1}}
