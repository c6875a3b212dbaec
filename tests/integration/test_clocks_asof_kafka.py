"""The clocks of past moments, rebuilt from a real log."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from hub.bus.clients import new_producer
from hub.bus.records import Record
from hub.clocks.asof import view_as_of
from hub.clocks.stage import ClocksStage
from hub.clocks.wire import INPUTS, StateWriter
from hub.domain.clocks import ClockState
from tests.support_clocks import CALENDARS, RULES, Feed, at, milliseconds, signal
from tests.support_contracts import catalog

if TYPE_CHECKING:
    from tests.conftest import CreateTopics, KafkaLike

MOMENTS = ("2026-10-05", "2026-10-29", "2026-11-13T05:30")


def story() -> list[Record]:
    """Clocks of two subjects: one met early, one late, one that waits; some read twice and out of order."""
    made: list[tuple[Record, str]] = []
    for partition, entity in ((1, "e1"), (4, "e2"), (5, "e3")):
        feed = Feed(partition)
        start = feed.signal(signal("start", f"v-{entity}", "2026-09-30", counts_from="2026-09-30", entity=entity))
        made += [(start, "2026-09-30T00:01"), (start, "2026-10-07")]
        if entity == "e2":
            made.append((feed.published(f"r-{entity}", "2026-11-12", entity), "2026-11-12T00:05"))
            made.append((feed.delivered(f"d-{entity}", "2026-10-01", "court", entity), "2026-10-02"))
    early = Feed(5)
    made.append((early.published("r-e4", "2026-10-03", "e4"), "2026-10-03"))
    late = signal("start", "v-e4", "2026-10-01", counts_from="2026-10-01", entity="e4")
    made.append((early.signal(late), "2026-10-04"))
    return [record._replace(timestamp=milliseconds(when)) for record, when in made]


def lived(records: list[Record]) -> list[dict[str, ClockState]]:
    """What a stage has in memory at the moments, with a look every hour."""
    stage = ClocksStage(
        rules=RULES, calendars=CALENDARS, catalog=catalog(), loader=lambda _: iter(()), index=None,
        map_version="m1",
    )
    stage.on_assigned([(INPUTS[0], each) for each in range(6)])
    left = sorted(records, key=lambda record: record.timestamp)
    now, found = at("2026-09-30"), []
    for moment in map(at, MOMENTS):
        while now < moment:
            now = min(now + timedelta(hours=1), moment)
            while left and left[0].timestamp <= now.timestamp() * 1000:
                stage.handle([left.pop(0)])
            stage.tick(now)
        found.append({key: state for each in range(6) for key, state in stage.states(each).items()})
    return found


def test_the_past_is_as_a_stage_lived_it(kafka: KafkaLike, create_topics: CreateTopics) -> None:
    create_topics(*INPUTS, config={"retention.ms": "-1"})
    records = story()
    producer = new_producer(kafka.bootstrap, client_id="test")
    for each in records:
        producer.produce(
            each.topic, each.value, each.key, each.partition, timestamp=each.timestamp, headers=list(each.headers)
        )
    assert producer.flush(30) == 0
    writer = StateWriter(catalog())

    def rebuilt(moment: str) -> list[bytes]:
        view = view_as_of(
            kafka.bootstrap, catalog(), rules=RULES, files=CALENDARS, departments={}, moment=at(moment)
        )
        return [writer.value(state) for state in view.find()]

    for moment, states in zip(MOMENTS, lived(records), strict=True):
        once = rebuilt(moment)
        assert sorted(once) == sorted(writer.value(state) for state in states.values())
        assert once == rebuilt(moment)
    assert rebuilt("2026-09-29") == []
    changes = [
        {line.change for state in states.values() if state.rule == "disclose" for line in state.history}
        for states in lived(records)
    ]
    # The moments differ in what they know.
    assert "warned" not in changes[0] and "met" in changes[0]
    assert "warned" in changes[1] and "breached" not in changes[1]
    assert {"breached", "met-late"} <= changes[2]
