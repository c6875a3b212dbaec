"""The calendars in force: every version that was ever published stands on ``reference.calendars.v1``.

One partition, one order: the last version of a name is in force. Where nothing was ever published, the
files under ``reference/calendars`` are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

import structlog

from hub.bus.follower import Follower
from hub.bus.publisher import Publisher
from hub.bus.reader import read_topics
from hub.bus.records import Output, Record
from hub.contracts.catalog import Catalog
from hub.contracts.cloudevents import to_headers
from hub.domain.calendar import Calendar, PublishedCalendar
from hub.domain.calendar_table import from_text, to_text
from hub.domain.events import Envelope, derive_id, new_traceparent
from hub.domain.plain import whole_millis
from hub.errors import ContractError, PoisonError

log = structlog.get_logger()

CALENDARS = "reference.calendars.v1"
EVENT = "reference.calendar.published"
#: What stands in a publication that the hub made itself.
FIRST_NOTICE = "首次启动时文件所载"
HUB = "hub"
_SCHEMA = "hub/calendar-change"


class CalendarChange(NamedTuple):
    """One publication. ``number`` counts those of the calendar from 1; times are whole milliseconds."""

    change_id: str
    calendar: Calendar
    number: int
    previous_version: str | None
    notice: str
    published_by: str
    published_at: datetime


class CalendarLog:
    """All that was ever published, in its order."""

    def __init__(self, changes: Iterable[CalendarChange] = ()) -> None:
        self._changes: dict[str, CalendarChange] = {}
        for change in changes:
            self.add(change)

    def add(self, change: CalendarChange) -> bool:
        """Takes the next one; returns whether it is new. A repeat changes nothing."""
        if change.change_id in self._changes:
            return False
        self._changes[change.change_id] = change
        return True

    def of(self, name: str) -> list[CalendarChange]:
        """The publications of a calendar, the oldest first."""
        return [change for change in self._changes.values() if change.calendar.name == name]

    def in_force(self, at: datetime | None = None) -> dict[str, PublishedCalendar]:
        """What was published last by name: of all, or of what was published until a moment."""
        return {
            change.calendar.name: PublishedCalendar(change.calendar, change.change_id, change.published_at)
            for change in self._changes.values()
            if at is None or change.published_at <= at
        }

    def calendars(self, files: Mapping[str, Calendar], at: datetime | None = None) -> dict[str, Calendar]:
        """The calendars to count by, now or at a past moment: a name that was not published is its file's.

        Before the first publication of a name, that one counts: what the files held then is on no record.
        """
        first = {change.calendar.name: change.calendar for change in reversed(self._changes.values())}
        published = {name: found.calendar for name, found in self.in_force(at).items()}
        return {**files, **(first if at is not None else {}), **published}

    def changes_to(
        self, calendars: Iterable[Calendar], *, notice: str, by: str, at: datetime
    ) -> list[CalendarChange]:
        """What has to be published so that these are in force; none for one that is already."""
        in_force = self.in_force()
        moment = whole_millis(at)
        # As-of questions go by time: no publication is earlier than the one before it.
        for change in self._changes.values():
            moment = max(moment, change.published_at + timedelta(milliseconds=1))
        made: list[CalendarChange] = []
        for calendar in calendars:
            known = in_force.get(calendar.name)
            if known is not None and known.calendar.version == calendar.version:
                continue
            number = len(self.of(calendar.name)) + 1
            made.append(CalendarChange(
                # Two who publish the same at the same time publish one event.
                derive_id("calendar", calendar.name, str(number), calendar.version), calendar, number,
                known.calendar.version if known else None, notice, by, moment,
            ))
        return made


class CalendarReader:
    """Reads the topic. Joins no group; one object serves one thread."""

    def __init__(
        self, bootstrap: str, catalog: Catalog, *, topic: str = CALENDARS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bootstrap = bootstrap
        self._catalog = catalog
        self._topic = topic
        self._follower = Follower(bootstrap, topic, monotonic=monotonic)
        self._known = CalendarLog()
        self._told: dict[str, str] = {}

    def read(self) -> CalendarLog:
        """Everything until now. Raises BrokerError; a topic that is not there is an empty one."""
        return self.log_of(read_topics(self._bootstrap, [self._topic]))

    def log_of(self, records: Iterable[Record]) -> CalendarLog:
        """The same out of all records of the topic, for who has them."""
        found = CalendarLog()
        for record in records:
            change = self._decode(record.value, record.offset)
            if change is not None:
                found.add(change)
                self._known.add(change)
        return found

    def __call__(self) -> Mapping[str, PublishedCalendar] | None:
        """The calendars in force if others are than when it was asked last, else ``None``.

        Looks once a second at most and never waits: what comes later is told later. A broker that does
        not answer is no news.
        """
        for offset, _, value in self._follower.news():
            change = self._decode(value, offset)
            if change is not None and self._known.add(change):
                log.info("calendar published", calendar=change.calendar.name, version=change.calendar.version)
        in_force = self._known.in_force()
        versions = {name: published.event_id for name, published in in_force.items()}
        if versions == self._told:
            return None
        self._told = versions
        return in_force

    def close(self) -> None:
        """Lets go of the connection."""
        self._follower.close()

    def _decode(self, value: bytes | None, offset: int) -> CalendarChange | None:
        try:
            return _from_value(self._catalog, value)
        except (ContractError, PoisonError) as error:
            # One record that nobody can read must not keep the later ones from being in force.
            log.error("a calendar on the log cannot be read", topic=self._topic, offset=offset, error=str(error))
            return None


def publish(
    publisher: Publisher, catalog: Catalog, changes: Iterable[CalendarChange], *, topic: str = CALENDARS
) -> None:
    """Writes publications and returns when they are safe. Raises BrokerError."""
    schema = catalog.schema(_SCHEMA)
    outputs = []
    for change in changes:
        calendar = change.calendar
        value = {
            "change_id": change.change_id, "calendar": calendar.name, "version": calendar.version,
            "number": change.number, "previous_version": change.previous_version, "years": to_text(calendar),
            "notice": change.notice, "published_by": change.published_by, "published_at": change.published_at,
        }
        envelope = Envelope(
            id=change.change_id, source="/reference/calendars", type=EVENT, subject=calendar.name,
            time=change.published_at, correlation_id=derive_id("calendar", calendar.name),
            traceparent=new_traceparent(change.change_id), sequence=change.number,
            natural_key=calendar.name, digest=calendar.version,
        )
        outputs.append(Output(topic, calendar.name.encode(), schema.encode(value), to_headers(envelope), 0))
    publisher.publish(outputs)


def publish_missing(
    reader: CalendarReader, publisher: Publisher, catalog: Catalog, files: Mapping[str, Calendar], at: datetime,
    *, topic: str = CALENDARS,
) -> CalendarLog:
    """Publishes the files of the calendars that never were; returns all publications. Raises BrokerError.

    So a hub has on record what it counted by from its first day on, and a later change of a file shows as one.
    """
    log = reader.read()
    missing = [calendar for name, calendar in files.items() if name not in log.in_force()]
    changes = log.changes_to(missing, notice=FIRST_NOTICE, by=HUB, at=at)
    if changes:
        publish(publisher, catalog, changes, topic=topic)
        for change in changes:
            log.add(change)
    return log


def _from_value(catalog: Catalog, data: bytes | None) -> CalendarChange:
    if data is None:
        raise ContractError("a publication without a value")
    schema, value = catalog.decode(data)
    if schema.name != _SCHEMA:
        raise ContractError(f"a record of {schema.name}, not of {_SCHEMA}")
    return CalendarChange(
        value["change_id"], from_text(value["years"]), value["number"], value["previous_version"],
        value["notice"], value["published_by"], value["published_at"],
    )
