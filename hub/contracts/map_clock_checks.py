"""What a clock of the map says: does it exist, does it fit, does it make sense together?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

from hub.domain.recall import NOTICE_ACTIONS

if TYPE_CHECKING:
    from hub.contracts.map_checks import Checker, MapFault

Path = tuple[str | int, ...]
Clock = Mapping[str, Any]

#: Field of a notice that a clock for each subscription may ask for beside the fields of a record.
ACTION = "action"
#: Field of a receipt by which a clock says whose receipts count, and what types of receipts begin with.
CHANNEL = "channel"
_RECEIPT = "disclosure.receipt."
_UNITS = "one of working_days, calendar_days, hours, months, years, by"
#: Schemas of the hub's own records begin so.
_OWN = "hub/"
#: Days that a unit has at most: as many working days before the end lie before the beginning.
_LONGEST = {"working_days": 1, "hours": 1, "calendar_days": 1, "months": 31, "years": 366}
#: Receipts of what a person has sent again: no clock may hear of it.
_OF_REPLAYS = frozenset(("delivery.receipt.replayed", "delivery.receipt.forgone"))
_OF_A_PERIOD = ("every", "departments")
_NOT_OF_A_PERIOD = (
    "starts_on", "where", "counts_from", "until", "cancelled_by", "cancelled_where", "suspended_by", "resumed_by",
    "repeats",
)  # fmt: skip


def clock_faults(checker: Checker, path: Path, clock: Clock) -> Iterator[MapFault]:
    """The faults of one clock, as far as it can be read."""
    yield from _events(checker, path, clock)
    yield from _start(checker, path, clock)
    yield from _meet(checker, path, clock)
    yield from _due(checker, path, clock)
    yield from _levels(checker, path, clock)
    for index, name in enumerate(_list(clock.get("subscriptions"))):
        yield from checker.known(
            (*path, "subscriptions", index), name, checker.section("subscriptions"), "subscription"
        )
    if clock.get("channels") and clock.get("per") != "channel":
        yield checker.fault((*path, "channels"), "channels without per: channel", "add it, or met_where: {channel: …}")
    for index, name in enumerate(_list(clock.get("channels"))):
        yield from checker.known((*path, "channels", index), name, checker.section("channels"), "channel")
    yield from _publication(checker, path, clock)
    owners = {"source", "subscriber", *checker.departments}
    yield from checker.known((*path, "owner"), clock.get("owner"), owners, "department")
    yield from checker.known((*path, "escalates_to"), clock.get("escalates_to"), checker.departments, "department")
    for index, name in enumerate(_list(clock.get("departments"))):
        among = {*checker.departments, *checker.levels}
        yield from checker.known((*path, "departments", index), name, among, "department")


def _events(checker: Checker, path: Path, clock: Clock) -> Iterator[MapFault]:
    for part in ("starts_on", "met_by", "cancelled_by", "suspended_by", "resumed_by"):
        for index, event in enumerate(_list(clock.get(part))):
            yield from checker.known((*path, part, index), event, checker.events, "event type")
            if event in _OF_REPLAYS:
                yield checker.fault((*path, part, index), f"{event!r} is of a replay", "what is sent again is no event")
    for part, other in (("suspended_by", "resumed_by"), ("resumed_by", "suspended_by")):
        if clock.get(part) and not clock.get(other):
            yield checker.fault((*path, part), f"{part} without {other}", "a clock that is stopped has to go on")


def _start(checker: Checker, path: Path, clock: Clock) -> Iterator[MapFault]:
    if clock.get("per") == "period":
        for part in _NOT_OF_A_PERIOD:
            if clock.get(part):
                yield checker.fault((*path, part), f"{part} with per: period", "the calendar starts it, no event")
        if clock.get("every") is None:
            yield checker.fault((*path, "per"), "per: period without every", "every: year, or every: month")
        return
    for part in _OF_A_PERIOD:
        if clock.get(part):
            yield checker.fault((*path, part), f"{part} without per: period", "an event starts it")
    if clock.get("subscriptions") and clock.get("per") != "subscription":
        yield checker.fault((*path, "subscriptions"), "subscriptions without per: subscription", "add it")
    if not clock.get("starts_on"):
        yield checker.fault(path, "no event starts it", "starts_on, or per: period")
    schemas = checker.schemas_of(_list(clock.get("starts_on")))
    yield from _where(checker, path, clock, "where", "starts_on")
    for part in ("counts_from", "until"):
        yield from _date_field(checker, path, clock, part, schemas)


def _meet(checker: Checker, path: Path, clock: Clock) -> Iterator[MapFault]:
    events = _list(clock.get("met_by"))
    if not events and clock.get("on_due") != "expire":
        yield checker.fault(path, "no event meets it", "met_by, or on_due: expire for a term that just ends")
    schemas = checker.schemas_of(events)
    own = [name for name in schemas if str(name).startswith(_OWN)]
    if clock.get("met_on") and own:
        yield checker.fault((*path, "met_on"), f"met_on with {own[0]}", "receipts and answers count when they came")
    if own and clock.get("per") == "period":
        yield checker.fault((*path, "met_by"), f"{own[0]} with per: period", "an event of a department meets it")
    yield from _where(checker, path, clock, "met_where", "met_by")
    if not own:
        yield from _date_field(checker, path, clock, "met_on", schemas)
    if clock.get("cancelled_where") and not clock.get("cancelled_by"):
        yield checker.fault((*path, "cancelled_where"), "cancelled_where without cancelled_by", "name what cancels it")
    yield from _where(checker, path, clock, "cancelled_where", "cancelled_by")


def _where(checker: Checker, path: Path, clock: Clock, part: str, events: str) -> Iterator[MapFault]:
    """A condition on the records that ``events`` name: of departments, of the hub itself, or of both."""
    where = clock.get(part)
    if not isinstance(where, dict):
        return
    named = _list(clock.get(events))
    schemas = checker.schemas_of(named)
    facts = [name for name in schemas if not str(name).startswith(_OWN)]
    # A start or a cancellation reaches a clock for each subscription by a notice, and a notice says what it asks for.
    is_by_notice = clock.get("per") == "subscription" and part != "met_where"
    of_record = {name: test for name, test in where.items() if not (is_by_notice and name == ACTION)}
    yield from checker.where(path, of_record, facts, part)
    yield from checker.where(path, where, [name for name in schemas if name not in facts], part)
    if ACTION in where and clock.get("per") == "subscription":
        wanted = where[ACTION]
        for value in wanted if isinstance(wanted, list) else [wanted]:
            yield from checker.known((*path, part, ACTION), value, NOTICE_ACTIONS, "action of a notice")


def _publication(checker: Checker, path: Path, clock: Clock) -> Iterator[MapFault]:
    """A receipt of a channel that the public does not read is no publication: who counts has to be named."""
    channels = checker.section("channels")
    wanted = clock.get("met_where", {}).get(CHANNEL) if isinstance(clock.get("met_where"), dict) else None
    for value in wanted if isinstance(wanted, list) else [wanted]:
        yield from checker.known((*path, "met_where", CHANNEL), value, channels, "channel")
    named = wanted is not None or bool(clock.get("channels"))
    others = [name for name, entry in channels.items() if entry.get("audience") == "government"]
    is_met = any(isinstance(event, str) and event.startswith(_RECEIPT) for event in _list(clock.get("met_by")))
    if is_met and others and not named:
        where = "channels" if clock.get("per") == "channel" else "met_where: {channel: …}"
        yield checker.fault(
            (*path, "met_by"), f"a receipt of {others[0]} would meet it, and its audience is the government",
            f"name the channels that count: {where}",
        )


def _date_field(
    checker: Checker, path: Path, clock: Clock, part: str, schemas: Collection[Any]
) -> Iterator[MapFault]:
    name = clock.get(part)
    for schema in schemas:
        fields = checker.fields(schema)
        if fields is None:
            continue
        yield from checker.known((*path, part), name, fields, f"field of {schema}")
        if isinstance(name, str) and name in fields and fields[name].type not in ("date", "timestamp"):
            yield checker.fault((*path, part), f"{name!r} is no date", f"a date of {schema}")


def _due(checker: Checker, path: Path, clock: Clock) -> Iterator[MapFault]:
    due = clock.get("due")
    if not isinstance(due, dict):
        return
    if sum(value is not None for value in due.values()) != 1:
        yield checker.fault((*path, "due"), "a period has one unit", _UNITS)
        return
    by = due.get("by")
    if not isinstance(by, str):
        return
    month, _, day = by.rpartition("-")
    if clock.get("every") == "month" and month:
        yield checker.fault((*path, "due", "by"), f"{by!r} is no day of a month", 'by: "31" is the last day')
    if clock.get("every") == "year" and not month:
        yield checker.fault((*path, "due", "by"), f"{by!r} is no day of a year", 'month and day, by: "04-30"')
    if month.isdigit() and day.isdigit() and not _is_day(int(month), int(day)):
        yield checker.fault((*path, "due", "by"), f"there is no {by}", "a day of that month")


def _levels(checker: Checker, path: Path, clock: Clock) -> Iterator[MapFault]:
    due = clock.get("due")
    longest = None
    if isinstance(due, dict):
        longest = next((n * _LONGEST[unit] for unit, n in due.items() if unit in _LONGEST and isinstance(n, int)), None)
        if "by" in due and clock.get("every") in ("year", "month"):
            longest = 366 if clock["every"] == "year" else 31
    for part in ("warn", "escalate"):
        levels = _list(clock.get(part))
        for level, count in Counter(level for level in levels if isinstance(level, int)).items():
            if count > 1:
                yield checker.fault((*path, part), f"{level} stands there twice", "each level once")
        for index, level in enumerate(levels):
            if part == "warn" and longest is not None and isinstance(level, int) and level >= longest:
                yield checker.fault((*path, part, index), f"{level} is not within the period", "a later warning")
    if clock.get("on_due") == "expire":
        for part in ("escalate", "escalates_to"):
            if clock.get(part):
                yield checker.fault((*path, part), f"{part} with on_due: expire", "nobody is late at the end of a term")
    elif clock.get("escalate") and clock.get("escalates_to") is None:
        yield checker.fault((*path, "escalate"), "escalate without escalates_to", "name the department")


def _is_day(month: int, day: int) -> bool:
    try:
        date(2024, month, day)
    except ValueError:
        return False
    return True


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
