"""Which open clocks another calendar moves, and how far those who run have got with it. Reads only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, date, datetime
from typing import NamedTuple

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from hub.bus.clients import new_consumer
from hub.clocks.wire import STATES, state_from_value
from hub.contracts.catalog import Catalog
from hub.domain.calendar import Calendar, local_date
from hub.domain.clock_fold import rederive
from hub.domain.clocks import ClockRule, ClockState
from hub.errors import BrokerError

_SHOWN_AT = datetime(1970, 1, 1, tzinfo=UTC)
_BATCH = 5000
_WAIT_SECONDS = 0.5


class Moved(NamedTuple):
    """An open clock whose last day another calendar moves, or makes certain or uncertain."""

    clock_id: str
    rule: str
    subject: str
    calendar: str
    old_due: date
    new_due: date
    was_provisional: bool
    is_provisional: bool


class Preview(NamedTuple):
    """What publishing would do. ``behind`` are the ids of the open clocks that were counted by another version."""

    open: int
    behind: frozenset[str]
    moved: tuple[Moved, ...]

    def by_rule(self) -> dict[str, int]:
        """How many clocks of each rule move, the most first."""
        return dict(Counter(moved.rule for moved in self.moved).most_common())


def preview(
    states: Iterable[ClockState], rules: Mapping[str, ClockRule], calendars: Mapping[str, Calendar]
) -> Preview:
    """What these calendars would make of the clocks, by the same function that the stage uses."""
    count, behind, moved = 0, set(), []
    for state in states:
        count += state.is_open
        if not is_behind(state, rules, calendars):
            continue
        behind.add(state.clock_id)
        after = rederive(state, rules[state.rule], calendars[state.calendar], "", _SHOWN_AT)
        if after is None or state.due_at is None or after.due_at is None:
            continue
        if (state.due_at, state.is_provisional) != (after.due_at, after.is_provisional):
            moved.append(Moved(
                state.clock_id, state.rule, state.subject, state.calendar, _last_day(state), _last_day(after),
                state.is_provisional, after.is_provisional,
            ))
    moved.sort(key=lambda each: (each.new_due, each.clock_id))
    return Preview(count, frozenset(behind), tuple(moved))


def is_behind(
    state: ClockState, rules: Collection[str], calendars: Mapping[str, Calendar]
) -> bool:
    """Whether a clock is open, counts by one of the calendars, and has not been counted by its version yet."""
    calendar = calendars.get(state.calendar)
    return (
        calendar is not None and state.is_open and state.rule in rules
        and state.calendar_version != calendar.version
    )


def ends_of_states(bootstrap: str, topic: str = STATES) -> dict[int, int]:
    """The offset behind the last record of each partition. Raises BrokerError."""
    with closing(new_consumer(bootstrap, group="calendar-progress", client_id="calendar-progress")) as consumer:
        try:
            partitions = consumer.list_topics(topic, timeout=15).topics[topic].partitions
            return {
                number: consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=15)[1]
                for number in partitions
            }
        except KafkaException as error:
            raise BrokerError(f"{topic}: {error}") from error


def follow(
    bootstrap: str, catalog: Catalog, rules: Collection[str], calendars: Mapping[str, Calendar],
    behind: Collection[str], starts: Mapping[int, int], topic: str = STATES,
) -> Iterator[int]:
    """How many open clocks are still behind, again and again until none is; at least twice a second.

    ``behind`` are those that were when the topic ended at ``starts``. Goes on for ever if nobody counts:
    the caller's patience ends it. Raises BrokerError.
    """
    left, done = set(behind), set[str]()
    yield len(left)
    if not left:
        return
    with closing(new_consumer(bootstrap, group="calendar-progress", client_id="calendar-progress")) as consumer:
        consumer.assign([TopicPartition(topic, number, offset) for number, offset in starts.items()])
        while left:
            for message in consumer.consume(_BATCH, _WAIT_SECONDS):
                error = message.error()
                if error is not None:
                    if not error.retriable() and error.code() != KafkaError._TRANSPORT:
                        raise BrokerError(f"{topic}: {error.str()}")
                    continue
                clock_id, value = (message.key() or b"").decode(), message.value()
                if value is not None and is_behind(state_from_value(catalog.decode(value)[1]), rules, calendars):
                    # What an owner wrote late that had lost its partition is no step back.
                    if clock_id not in done:
                        left.add(clock_id)
                else:
                    left.discard(clock_id)
                    done.add(clock_id)
            yield len(left)


def _last_day(state: ClockState) -> date:
    assert state.due_at is not None
    return state.due_on or local_date(state.due_at)
