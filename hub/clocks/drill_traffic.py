"""A year of signals as departments make them, each in its own way. The same for the same seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from random import Random
from typing import NamedTuple

from hub.bus.records import Record
from hub.clocks.wire import SIGNALS
from hub.contracts.catalog import Catalog
from hub.contracts.cloudevents import to_headers
from hub.domain.calendar import local_date, start_of
from hub.domain.clocks import ClockRule, Signal, SignalKind
from hub.domain.events import Envelope, derive_id
from hub.domain.murmur2 import partition_of

PARTITIONS = 12

_UNIT_DAYS = {"working-days": 1.45, "calendar-days": 1.0, "hours": 1 / 24, "months": 30.0, "years": 365.0}


class Arrival(NamedTuple):
    """A signal and when the hub reads it: mostly at once, sometimes days later."""

    at: datetime
    signal: Signal


class Manner(NamedTuple):
    """How a department works: shares of 0 to 1."""

    prompt: float
    never: float
    amends: float
    cancels: float
    suspends: float


def traffic(
    rules: Sequence[ClockRule], departments: Mapping[str, str], *, seed: int, events: int, first: date, days: int
) -> list[Arrival]:
    """All signals that the hub reads within the days, in the order of reading. ``departments`` are ids to codes."""
    chance = Random(seed)
    manners = {
        code: Manner(chance.uniform(0.6, 0.99), chance.uniform(0, 0.04), chance.uniform(0, 0.1),
                     chance.uniform(0, 0.06), chance.uniform(0, 0.4))
        for code in departments.values()
    }
    codes = list(manners)
    begin = start_of(first)
    end = begin + timedelta(days)
    arrivals: list[Arrival] = []
    for number in range(events):
        rule, code = chance.choice(rules), chance.choice(codes)
        at = begin + timedelta(milliseconds=chance.randrange(days * 86_400_000))
        entity = derive_id("drill", str(seed), str(number))
        for signal in _life(chance, rule, manners[code], code, entity, number, at):
            heard = signal.occurred_at + _delay(chance)
            arrivals.append(Arrival(heard, signal))
            if chance.random() < 0.04:  # the same once more
                arrivals.append(Arrival(heard + _delay(chance) + timedelta(hours=1), signal))
    read = [each for each in arrivals if each.at < end]
    return sorted(read, key=lambda each: (each.at, each.signal.event_id, each.signal.kind))


def records(arrivals: Sequence[Arrival], catalog: Catalog) -> Iterator[Record]:
    """The arrivals as routing writes them."""
    encode = catalog.schema("hub/clock-signal").encode
    for offset, (at, signal) in enumerate(arrivals):
        id = derive_id("signal", signal.event_id, signal.rule, signal.kind, signal.target or "")
        type = f"clock.signal.{signal.kind}"
        value = {
            "signal_id": id, "kind": signal.kind, "rule": signal.rule, "target": signal.target,
            "correlation_id": signal.correlation_id, "event_id": signal.event_id, "event_type": type,
            "subject": signal.subject, "counts_from": signal.counts_from, "occurred_at": signal.occurred_at,
            "owner_department": signal.owner_department, "until": signal.until, "map_version": "drill",
        }
        envelope = Envelope(
            id=id, source="/drill", type=type, subject=signal.subject, time=signal.occurred_at,
            correlation_id=signal.correlation_id,
        )
        key = signal.subject.encode()
        yield Record(
            SIGNALS, partition_of(key, PARTITIONS), offset, round(at.timestamp() * 1000), key, encode(value),
            to_headers(envelope),
        )


def _life(
    chance: Random, rule: ClockRule, manner: Manner, code: str, entity: str, number: int, at: datetime
) -> Iterator[Signal]:
    """What happens to one entity under one rule, in the order of happening."""
    target = _target(chance, rule)
    subject = f"DRILL{number % 20_000:013}"

    def make(kind: SignalKind, when: datetime, name: str, counts_from: date | None = None) -> Signal:
        until = None
        if kind == "start" and rule.until and number % 2:
            until = at.date() + timedelta(30 + number % 300)
        event = derive_id("drill-event", entity, name)
        when += timedelta(microseconds=-(when.microsecond % 1000))
        return Signal(kind, rule.id, entity, subject, event, when, target, counts_from, code, until)

    # Some records are made days after what they tell of.
    trigger = local_date(at) - timedelta(chance.choice((0, 0, 0, 1, 2, 9)))
    span = timedelta(_UNIT_DAYS.get(rule.due.unit, 60.0) * max(rule.due.n, 1))
    share = chance.uniform(0.02, 0.7) if chance.random() < manner.prompt else chance.uniform(1.1, 2.0)
    met = at + span * share
    yield make("start", at, "start", trigger)
    if rule.suspended_by and chance.random() < manner.suspends:
        stop, still = at + span * share * 0.4, timedelta(days=chance.uniform(1, 20))
        yield make("suspend", stop, "suspend")
        yield make("resume", stop + still, "resume")
        met += still
    if not rule.repeats and chance.random() < manner.amends:
        yield make("start", at + span * share * 0.3, "amend", trigger + timedelta(chance.randrange(1, 5)))
    if rule.cancelled_by and chance.random() < manner.cancels:
        yield make("cancel", at + span * share * 0.8, "cancel")
    if rule.on_due == "breach" and chance.random() >= manner.never:
        for count in range(rule.meets):
            yield make("meet", met + count * timedelta(hours=1), f"meet-{count}")
        if rule.repeats and chance.random() < 0.3:
            again = met + span
            yield make("start", again, "again", local_date(again))
            yield make("meet", again + span * chance.uniform(0.1, 1.5), "meet-again")


def _target(chance: Random, rule: ClockRule) -> str | None:
    if rule.per == "event":
        return None
    if rule.per == "channel":
        return chance.choice(rule.targets or ("gsxt", "creditchina"))
    return chance.choice(rule.targets or ("government-procurement", "works-bidding"))


def _delay(chance: Random) -> timedelta:
    """From what happens to its reading: so a meet may be read before its start, and a breach said too early."""
    if chance.random() < 0.05:
        return timedelta(seconds=chance.randrange(3 * 86_400))
    return timedelta(seconds=chance.randrange(1, 30))
