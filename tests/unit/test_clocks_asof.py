"""The clocks of a past moment, rebuilt in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime

from hub.bus.records import Record
from hub.clocks.asof import Rebuild, states_as_of
from hub.domain.calendar import Calendar, PublishedCalendar
from hub.domain.clocks import ClockState, Due, Status
from tests.support_clocks import CALENDARS, DISCLOSE, RULES, Feed, at, milliseconds, signal
from tests.support_contracts import catalog

HOURS = replace(DISCLOSE, id="hours", due=Due(24, "hours"), warn=(2,), met_by=())


def rebuilt(
    records: Sequence[Record], moment: datetime, published: Sequence[PublishedCalendar] = ()
) -> list[ClockState]:
    rebuild = Rebuild(
        rules={**RULES, "hours": HOURS}, calendars=CALENDARS, published=published, catalog=catalog(),
        departments={}, partitions=6,
    )
    return list(states_as_of(records, moment, rebuild).values())


def stamped(record: Record, when: str) -> Record:
    return record._replace(timestamp=milliseconds(when))


def story() -> list[Record]:
    feed = Feed()
    started = feed.signal(signal("start", "v1", "2026-09-30T02:00", counts_from="2026-09-30"))
    return [
        stamped(feed.published("r1", "2026-11-10T01:00"), "2026-11-10T01:00:05"),
        stamped(started, "2026-09-30T02:00:01"), stamped(started, "2026-10-02T02:00:01"),
    ]


def test_nothing_is_known_before_the_first_record() -> None:
    assert rebuilt(story(), at("2026-09-30T02:00")) == []


def test_what_was_known_and_said_at_each_moment() -> None:
    (running,) = rebuilt(story(), at("2026-10-20"))
    assert (running.status, running.warned, running.breached_at) == (Status.RUNNING, (), None)
    (warned,) = rebuilt(story(), at("2026-11-04T15:59"))
    assert (warned.warned, warned.breached_at) == (("5", "1"), None)
    (last_moment,) = rebuilt(story(), at("2026-11-04T16:00"))
    assert last_moment.breached_at is None
    (late,) = rebuilt(story(), at("2026-11-05"))
    assert late.breached_at == late.due_at == at("2026-11-04T16:00")
    # It was met at 01:00, the hub read of it five seconds later.
    assert rebuilt(story(), at("2026-11-10T01:00"))[0].status is Status.RUNNING
    assert rebuilt(story(), at("2026-11-10T02:00"))[0].status is Status.MET_LATE


def test_an_hour_that_passes_between_records_is_looked_at() -> None:
    feed = Feed()
    start = signal("start", "v1", "2026-03-02T02:00", counts_from="2026-03-02", rule=HOURS)
    records = [stamped(feed.signal(start), "2026-03-02T02:00:01")]
    (found,) = rebuilt(records, at("2026-03-04"))
    assert [line.change for line in found.history] == ["started", "warned", "breached"]


def test_a_calendar_counts_from_its_publication_on() -> None:
    days = {date(2026, 10, 12): "香浪节", date(2026, 10, 13): "香浪节"}
    other = Calendar("gannan", "甘南州工作日历", days, {}, 2010, 2026)
    published = [
        PublishedCalendar(CALENDARS["gannan"], "first", at("2026-01-01")),
        PublishedCalendar(other, "second", at("2026-10-05T03:00")),
    ]
    (before,) = rebuilt(story(), at("2026-10-05T02:59"), published)
    assert before.calendar_version == CALENDARS["gannan"].version and before.due_on == date(2026, 11, 4)
    (after,) = rebuilt(story(), at("2026-10-05T03:00"), published)
    moved = after.last("rederived")
    assert after.calendar_version == other.version
    assert moved is not None and (moved.event_id, moved.at) == ("second", at("2026-10-05T03:00"))


def test_a_dead_letter_is_passed_over_and_order_does_not_matter() -> None:
    broken = story()[1]._replace(value=b"no avro", offset=99, timestamp=milliseconds("2026-09-30T01:00"))
    moment = at("2026-11-11")
    assert rebuilt([broken, *story()], moment) == rebuilt(story()[::-1], moment)
