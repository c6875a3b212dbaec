"""W3C trace context along the way of one event: one trace, a span for each record, the same again after a repeat."""

from __future__ import annotations

import re

import pytest

from hub.bus.records import Output, Record
from hub.contracts.cloudevents import from_headers
from hub.domain.events import child_traceparent, new_traceparent, span_of
from tests.support_routing import version
from tests.support_spans import outputs_of

ID = "6f4c0c1e-5a0b-5f0e-9d53-623000000000"
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"


def test_a_child_is_of_the_same_trace_and_flags_and_a_span_of_its_own() -> None:
    assert child_traceparent(PARENT, ID) == "00-0af7651916cd43dd8448eb211c80319c-6f4c0c1e5a0b5f0e-00"
    assert span_of(ID) == "6f4c0c1e5a0b5f0e"
    # What a later version says behind its flags is not ours to pass on.
    assert child_traceparent(f"cc{PARENT[2:]}-more", ID) == child_traceparent(PARENT, ID)


@pytest.mark.parametrize("parent", [
    "", "00-1-2-01", PARENT.upper(), f"ff{PARENT[2:]}", PARENT.replace("0af7651916cd43dd8448eb211c80319c", "0" * 32),
    PARENT.replace("b7ad6b7169203331", "0" * 16), f"{PARENT}x",
])
def test_a_parent_that_cannot_be_read_begins_a_new_trace(parent: str) -> None:
    assert child_traceparent(parent, ID) == new_traceparent(ID)


def way_of(event: Record) -> list[tuple[str, str, str]]:
    """(topic, id, traceparent) of everything that comes of an event: routed, published, and its clocks."""
    return [_trace(output) for output in outputs_of(event)]


def _trace(output: Output) -> tuple[str, str, str]:
    envelope = from_headers(output.headers)
    assert envelope.traceparent is not None, output.topic
    return output.topic, envelope.id, envelope.traceparent


def test_records_of_one_event_share_its_trace_over_all_topics_and_repeats_change_nothing() -> None:
    event = version(1, "listed", list_kind="serious", is_public=True)
    given = from_headers(event.headers)
    found = way_of(event)
    assert {topic for topic, _, _ in found} >= {
        "routing.decisions.v1", "routing.holdings.v1", "disclosure.orders.v1", "disclosure.receipts.v1",
        "inbox.works-bidding",
        "clock.signals.v1", "clock.states.v1",
    }
    assert given.traceparent is not None
    trace, own = given.traceparent.split("-")[1:3]
    assert all(re.fullmatch(rf"00-{trace}-[0-9a-f]{{16}}-01", parent) for _, _, parent in found)
    spans = {parent.split("-")[2]: id for _, id, parent in found}
    assert own not in spans and len(spans) == len({id for _, id, _ in found})
    assert all(span == span_of(id) for span, id in spans.items())
    assert way_of(event) == found


def test_another_event_of_the_same_record_is_another_trace() -> None:
    first, second = (version(n, word, topic="inspection.results.v1", row=row, is_public=True)
                     for n, word, row in ((1, "recorded", "r1"), (1, "recorded", "r2")))
    traces = [{parent.split("-")[1] for _, _, parent in way_of(each)} for each in (first, second)]
    assert [len(each) for each in traces] == [1, 1] and traces[0] != traces[1]
