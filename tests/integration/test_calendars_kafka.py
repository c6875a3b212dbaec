"""Calendars on a real Kafka: published, read, told as news, and followed until every clock counts by them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from hub.bus.publisher import KafkaPublisher
from hub.bus.records import Output
from hub.clocks.calendar_desk import CalendarDesk
from hub.clocks.calendars import CalendarChange, CalendarReader, publish, publish_missing
from hub.clocks.loader import KafkaStateLoader
from hub.clocks.view import ClocksView
from hub.clocks.wire import StateWriter
from hub.contracts.cloudevents import from_headers
from hub.domain.calendar import Calendar, PublishedCalendar
from hub.domain.clock_fold import apply, rederive
from hub.domain.clocks import ClockState
from hub.errors import UsageError
from tests.support_clocks import CALENDARS, RULES, signal
from tests.support_contracts import catalog

if TYPE_CHECKING:
    from tests.conftest import CreateTopics, KafkaLike

CN, GANNAN = CALENDARS["cn"], CALENDARS["gannan"]
NOW = datetime(2026, 11, 2, 1, 30, tzinfo=UTC)
TOPIC = "reference.calendars.v1"
STATES = "clock.states.v1"
PARTITIONS = 3


def with_rest(*days: str) -> Calendar:
    off = {**GANNAN.off, **{date.fromisoformat(day): "藏历新年" for day in days}}
    return Calendar("gannan", GANNAN.title, off, GANNAN.worked, GANNAN.first_year, GANNAN.last_year, "cn")


GANNAN_2 = with_rest("2026-10-20", "2026-10-21")


def write(kafka: KafkaLike, topic: str, changes: list[CalendarChange]) -> None:
    with closing(KafkaPublisher(kafka.bootstrap, client_id="test")) as publisher:
        publish(publisher, catalog(), changes, topic=topic)


def until_news(reader: CalendarReader) -> Mapping[str, PublishedCalendar]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        news = reader()
        if news is not None:
            return news
        time.sleep(0.02)
    raise AssertionError("no news came")


class Seconds:
    """A clock that goes on by hand, or by ``step`` each time that it is asked."""

    def __init__(self, step: float = 0.0) -> None:
        self.now = 0.0
        self.step = step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def test_what_was_published_is_read_in_its_order(
    kafka: KafkaLike, create_topics: CreateTopics, topic_name: Callable[..., str]
) -> None:
    topic = topic_name("reference.test")
    create_topics(topic, partitions=1)
    reader = CalendarReader(kafka.bootstrap, catalog(), topic=topic)
    assert reader.read().in_force() == {}
    first = reader.read().changes_to([CN, GANNAN], notice="初次", by="张三", at=NOW)
    write(kafka, topic, first)
    second = reader.read().changes_to([CN, GANNAN_2], notice="州政办发〔2026〕3号", by="李四", at=NOW + timedelta(1))
    assert [change.calendar.name for change in second] == ["gannan"]
    write(kafka, topic, second)
    # Written again, as after an acknowledgement that was lost: one event all the same.
    write(kafka, topic, second)

    log = reader.read()
    assert [change.calendar.version for change in log.of("gannan")] == [GANNAN.version, GANNAN_2.version]
    found = log.of("gannan")[1]
    assert (found.notice, found.published_by, found.number) == ("州政办发〔2026〕3号", "李四", 2)
    assert (found.previous_version, found.published_at) == (GANNAN.version, NOW + timedelta(1))
    assert log.in_force(NOW)["gannan"].calendar.version == GANNAN.version
    in_force = log.in_force()["gannan"]
    assert (in_force.event_id, in_force.calendar.why_off(date(2026, 10, 20))) == (found.change_id, "藏历新年")
    assert in_force.calendar.due_date(date(2026, 9, 30), 20) == GANNAN_2.due_date(date(2026, 9, 30), 20)
    assert log.changes_to([CN, GANNAN_2], notice="x", by="x", at=NOW) == []


def test_the_files_are_published_where_nothing_ever_was(
    kafka: KafkaLike, create_topics: CreateTopics, topic_name: Callable[..., str]
) -> None:
    topic = topic_name("reference.test")
    create_topics(topic, partitions=1)
    reader = CalendarReader(kafka.bootstrap, catalog(), topic=topic)
    with closing(KafkaPublisher(kafka.bootstrap, client_id="test")) as publisher:
        for files in ({"cn": CN}, {"cn": CN, "gannan": GANNAN}, {"cn": CN, "gannan": GANNAN_2}):
            log = publish_missing(reader, publisher, catalog(), files, NOW, topic=topic)
            assert log.in_force().keys() == files.keys()
    # A file that differs from what is in force waits for its publication.
    log = reader.read()
    assert [change.calendar.version for change in log.of("gannan")] == [GANNAN.version]
    assert len(log.of("cn")) == 1


def test_the_record_is_an_event_like_all_others(
    kafka: KafkaLike, create_topics: CreateTopics, topic_name: Callable[..., str]
) -> None:
    from hub.bus.reader import read_topics

    topic = topic_name("reference.test")
    create_topics(topic, partitions=1)
    (change,) = CalendarReader(kafka.bootstrap, catalog(), topic=topic).read().changes_to(
        [CN], notice="初次", by="张三", at=NOW
    )
    write(kafka, topic, [change])
    (record,) = read_topics(kafka.bootstrap, [topic])
    envelope = from_headers(record.headers)
    assert (record.key, envelope.type, envelope.subject) == (b"cn", "reference.calendar.published", "cn")
    assert (envelope.id, envelope.sequence, envelope.digest) == (change.change_id, 1, CN.version)
    assert record.value is not None
    schema, value = catalog().decode(record.value)
    assert (schema.name, value["version"], value["published_at"]) == ("hub/calendar-change", CN.version, NOW)


def test_news_comes_once_and_at_most_once_a_second(
    kafka: KafkaLike, create_topics: CreateTopics, topic_name: Callable[..., str]
) -> None:
    topic = topic_name("reference.test")
    create_topics(topic, partitions=1)
    seconds = Seconds(step=2.0)
    with closing(CalendarReader(kafka.bootstrap, catalog(), topic=topic, monotonic=seconds)) as reader:
        assert reader() is None
        write(kafka, topic, reader.read().changes_to([CN, GANNAN], notice="初次", by="张三", at=NOW))
        names: set[str] = set()
        while len(names) < 2:
            names |= until_news(reader).keys()
        assert reader() is None
        seconds.step = 0.0
        write(kafka, topic, reader.read().changes_to([GANNAN_2], notice="文", by="张三", at=NOW))
        for _ in range(20):
            assert reader() is None  # the second has not passed
            time.sleep(0.02)
        seconds.step = 2.0
        news = until_news(reader)
        assert news["gannan"].calendar.version == GANNAN_2.version
        assert news["cn"].calendar.version == CN.version


def test_what_was_read_at_the_start_is_told_without_a_look(
    kafka: KafkaLike, create_topics: CreateTopics, topic_name: Callable[..., str]
) -> None:
    topic = topic_name("reference.test")
    create_topics(topic, partitions=1)
    with closing(CalendarReader(kafka.bootstrap, catalog(), topic=topic)) as reader:
        write(kafka, topic, reader.read().changes_to([CN], notice="初次", by="张三", at=NOW))
        log = reader.read()
        news = reader()
        assert news is not None and news["cn"].event_id == log.in_force()["cn"].event_id
        assert [reader() for _ in range(20)] == [None] * 20


def test_news_comes_also_where_the_topic_is_made_later(
    kafka: KafkaLike, create_topics: CreateTopics, topic_name: Callable[..., str]
) -> None:
    topic = topic_name("reference.test")
    with closing(CalendarReader(kafka.bootstrap, catalog(), topic=topic, monotonic=Seconds(step=1.0))) as reader:
        assert reader.read().in_force() == {}
        for _ in range(50):
            assert reader() is None
            time.sleep(0.01)
        create_topics(topic, partitions=1)
        writer = CalendarReader(kafka.bootstrap, catalog(), topic=topic)
        write(kafka, topic, writer.read().changes_to([CN], notice="初次", by="张三", at=NOW))
        assert until_news(reader)["cn"].calendar.version == CN.version


def test_one_record_that_nobody_can_read_does_not_hold_up_the_others(
    kafka: KafkaLike, create_topics: CreateTopics, topic_name: Callable[..., str]
) -> None:
    topic = topic_name("reference.test")
    create_topics(topic, partitions=1)
    with closing(KafkaPublisher(kafka.bootstrap, client_id="test")) as publisher:
        publisher.publish([Output(topic, b"cn", b"rubbish", [], 0), Output(topic, b"cn", None, [], 0)])
    reader = CalendarReader(kafka.bootstrap, catalog(), topic=topic)
    write(kafka, topic, reader.read().changes_to([CN], notice="初次", by="张三", at=NOW))
    assert reader.read().in_force()["cn"].calendar.version == CN.version
    with closing(reader):
        assert until_news(reader)["cn"].calendar.version == CN.version


def test_a_broker_that_is_away_is_no_news() -> None:
    with closing(CalendarReader("127.0.0.1:1", catalog(), monotonic=Seconds(step=2.0))) as reader:
        assert [reader() for _ in range(20)] == [None] * 20


def clocks(count: int) -> list[ClockState]:
    """Open and met clocks, some of which the new days move."""
    found = []
    for number in range(count):
        day = str(date(2026, 8, 31) + timedelta(number % 60))
        start = signal("start", f"v{number}", day, counts_from=day, entity=f"e{number}")
        state, _ = apply(None, start, RULES["disclose"], GANNAN)
        if number % 7 == 0:
            met = signal("meet", f"r{number}", day, entity=f"e{number}")
            state, _ = apply(state, met, RULES["disclose"], GANNAN)
        found.append(state)
    return found


def test_a_publication_moves_the_clocks_that_the_preview_named(kafka: KafkaLike, create_topics: CreateTopics) -> None:
    create_topics(TOPIC, partitions=1)
    create_topics(STATES, partitions=PARTITIONS, config={"cleanup.policy": "compact"})
    states, writer = clocks(210), StateWriter(catalog())
    with closing(KafkaPublisher(kafka.bootstrap, client_id="test")) as publisher:

        def keep(numbered: list[tuple[int, ClockState]]) -> None:
            publisher.publish([
                writer.state(state, number % PARTITIONS, None, state.history[-1].at) for number, state in numbered
            ])

        keep(list(enumerate(states)))
        before = CalendarDesk(kafka.bootstrap, catalog(), RULES, CALENDARS)
        seen = before.compare()
        assert seen.is_same and seen.preview.open == 180 and not seen.preview.behind
        assert [change.number for change in before.publish(seen, notice="初次", by="张三", at=NOW)] == [1, 1]
        assert list(before.follow(seen)) == [0]

        desk = CalendarDesk(kafka.bootstrap, catalog(), RULES, {"cn": CN, "gannan": GANNAN_2})
        seen = desk.compare("gannan")
        assert not seen.is_same and len(seen.preview.behind) == 180
        assert [change.day for change in seen.calendars[1].days] == [date(2026, 10, 20), date(2026, 10, 21)]
        (change,) = desk.publish(seen, notice="州政办发〔2026〕3号", by="张三", at=NOW)
        with pytest.raises(UsageError):
            desk.publish(seen, notice="x", by="x", at=NOW)

        progress = desk.follow(seen)
        assert next(progress) == 180
        news = desk.log().in_force()["gannan"]
        after = {}
        for number, state in enumerate(states):
            moved = rederive(state, RULES["disclose"], news.calendar, news.event_id, news.published_at)
            if moved is not None:
                after[number] = moved
        keep([(number, state) for number, state in after.items() if number % 2])
        while (left := next(progress)) > 90:
            pass
        assert left == len([number for number in after if not number % 2])
        # Interrupted here: the same again publishes nothing and goes on where the clocks are.
        again = desk.compare("gannan")
        assert desk.publish(again, notice="x", by="x", at=NOW) == []
        assert len(again.preview.behind) == left
        keep([(number, state) for number, state in after.items() if not number % 2])
        assert list(desk.follow(again))[-1] == 0
        assert list(progress)[-1] == 0

    dues = {moved.clock_id: moved.new_due for moved in seen.preview.moved}
    old = {state.clock_id: state for state in states}
    for state in ClocksView.read(KafkaStateLoader(kafka.bootstrap), catalog(), RULES, CALENDARS).find():
        was = old[state.clock_id]
        assert state.due_on == dues.get(state.clock_id, was.due_on)
        if was.is_open:
            line = state.last("rederived")
            assert line is not None and line.event_id == change.change_id
            assert state.calendar_version == GANNAN_2.version
        else:
            assert state == was
    assert 0 < len(dues) < 180
    assert list(desk.follow(desk.compare())) == [0]
