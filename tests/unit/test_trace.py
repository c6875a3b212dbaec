"""The trace: what it tells of a record can be printed, and holds nobody's words."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from hub.bus.records import Record
from hub.contracts.cloudevents import to_headers
from hub.domain.events import Envelope
from hub.domain.plain import to_json
from hub.ops.trace import Step, steps_of
from hub.ops.trace_ends import ends_of
from tests.support_contracts import catalog, sample

NOW = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)


def test_the_content_of_an_answer_stays_where_it_is() -> None:
    schema = catalog().schema("hub/discipline-feedback")
    value = schema.encode(sample(schema, status="acted", content='{"reason":"张三已停业"}'.encode()))
    envelope = Envelope(
        id="f", source="/web/feedback", type="discipline.feedback.acted", subject="s", time=NOW, correlation_id="c"
    )
    record = Record("discipline.feedback.v1", 0, 0, 0, b"s", value, to_headers(envelope))
    (step,) = steps_of([record], catalog(), subject="s", event_id=None)
    told = json.loads(to_json(step.details))
    assert told["status"] == "acted"
    assert "content" not in told
    assert "张三" not in to_json(step.details).decode()


def a_step(number: int, topic: str, id: str, **details: Any) -> Step:
    return Step(NOW + timedelta(seconds=number), topic, 0, number, "inspection.result.recorded", id, "c", "", details)


def test_a_letter_that_was_given_again_and_routed_is_no_end() -> None:
    way = [
        a_step(0, "inspection.results.v1", "e1"), a_step(1, "routing.dead-letters.v1", "e1"),
        a_step(2, "inspection.results.v1", "e1"),
        a_step(3, "routing.decisions.v1", "d", event_id="e1", is_matched=True, withheld=[], outputs=[
            {"kind": "channel", "output_id": "o1", "target": "gsxt", "rule": "r", "reason": None, "action": "publish"},
        ]),
        a_step(4, "disclosure.receipts.v1", "r", order_id="o1", channel="gsxt", status="published"),
    ]
    assert [end.line for end in ends_of(way)] == ["channel gsxt: published"]
    assert [end.line for end in ends_of(way[:3])] == [
        "event inspection.result.recorded: parked as a dead letter"
    ]
    # Parked once more behind its decision, it waits for a person again.
    assert len(ends_of([*way, a_step(5, "disclosure.dead-letters.v1", "e1")])) == 2


def test_an_answer_is_the_end_also_where_the_receipt_comes_behind_it() -> None:
    place = {"notice_id": "n1", "subscription": "s"}
    begun = a_step(0, "inbox.s", "n1", **place)
    acted = a_step(1, "discipline.feedback.v1", "f", status="acted", **place)
    taken = a_step(2, "delivery.receipts.v1", "r", status="delivered", **place)
    lifted = a_step(3, "delivery.receipts.v1", "r2", status="superseded", **place)
    for way, end in (([begun, acted, taken], "answered: acted"), ([begun, taken, acted], "answered: acted"),
                     ([begun, taken], "delivered"), ([begun, acted, taken, lifted], "superseded")):
        assert [each.end for each in ends_of(way)] == [end]
