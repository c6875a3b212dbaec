"""All clocks as they stood at a past moment: rebuilt from the log by the stage itself.

What the hub knew then: the records that Kafka had at that moment, the calendars that were published until then.
The rules of the map are today's. It goes back as far as the topics of signals and receipts do.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from hub.bus.reader import partitions_of, read_topics
from hub.bus.records import Record
from hub.clocks.calendars import CalendarReader
from hub.clocks.stage import ClocksStage
from hub.clocks.view import ClocksView
from hub.clocks.wire import INPUTS, SIGNALS
from hub.contracts.catalog import Catalog
from hub.domain.calendar import Calendar, PublishedCalendar, local_date, start_of
from hub.domain.clocks import ClockRule, ClockState
from hub.errors import HubError, InfrastructureError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_HOUR = timedelta(hours=1)
_BETWEEN_TICKS = timedelta(milliseconds=250)


class Rebuild:
    """A stage in memory that lives through the log once more. One object, one pass: moments only rise.

    ``calendars`` are those in force before the first of ``published``. ``partitions`` is how many the topics
    have. A record that the stage refuses is passed over: it is a dead letter.
    """

    def __init__(
        self, *, rules: Mapping[str, ClockRule], calendars: Mapping[str, Calendar],
        published: Sequence[PublishedCalendar] = (), catalog: Catalog, departments: Mapping[str, str],
        partitions: int, map_version: str = "",
    ) -> None:
        self._published = sorted(published, key=lambda each: each.published_at)
        self._told = 0
        self._moment: datetime | None = None
        self._has_hours = any(rule.due.unit == "hours" for rule in rules.values())
        self._partitions = range(partitions)
        self.stage = ClocksStage(
            rules=rules, calendars=calendars, catalog=catalog, loader=_nothing, index=None,
            map_version=map_version, departments=departments,
            news=self._news, partitions=partitions,
        )
        self.stage.on_assigned([("", each) for each in self._partitions])

    def take(self, records: Iterable[Record]) -> None:
        """Records in any order; all of them have to be later than what was taken before."""
        for record in sorted(records, key=_place):
            moment = _EPOCH + record.timestamp * _MILLISECOND
            self.pass_to(moment)
            try:
                self.stage.handle([record])
            except InfrastructureError:
                raise
            except HubError:
                continue

    def pass_to(self, moment: datetime) -> None:
        """Lets time go by, with a look at every day (or hour) on the way and at every new calendar."""
        if self._moment is None:
            first = self._published[0].published_at if self._published else moment
            self._tick(min(first, moment))
        for stop in self._stops(moment):
            self._tick(stop)
        # The running stage does not look more often either.
        if self._moment is None or moment - self._moment >= _BETWEEN_TICKS:
            self._tick(moment)

    def has_begun(self, moment: datetime) -> bool:
        """Whether anything was there by then: a record, or a calendar that was published."""
        return self._moment is not None or any(each.published_at <= moment for each in self._published)

    def finish(self, moment: datetime) -> dict[str, ClockState]:
        """The clocks at ``moment``, by id."""
        self.pass_to(moment)
        self._tick(moment)
        return self.states()

    def states(self) -> dict[str, ClockState]:
        """The clocks by id, as they are now."""
        found = [state for each in self._partitions for state in self.stage.states(each).values()]
        return {state.clock_id: state for state in sorted(found, key=lambda state: state.clock_id)}

    def _stops(self, end: datetime) -> Iterator[datetime]:
        """Moments after the last look and before ``end`` at which something can have come due."""
        assert self._moment is not None
        while True:
            # A breach is the millisecond after the last moment of its day.
            day = start_of(local_date(self._moment) + timedelta(1)) + _MILLISECOND
            following = [day] if self._moment >= day - timedelta(1) else [day - timedelta(1)]
            if self._has_hours:
                following.append(self._moment + _HOUR)
            if self._told < len(self._published):
                following.append(self._published[self._told].published_at)
            stop = max(min(following), self._moment)
            if stop >= end:
                return
            yield stop

    def _tick(self, moment: datetime) -> None:
        self._moment = max(moment, self._moment or moment)
        # A new calendar moves the clocks in slices, one at each tick.
        while any(self.stage.tick(self._moment)):
            pass

    def _news(self) -> Mapping[str, PublishedCalendar] | None:
        assert self._moment is not None
        known = self._told
        while self._told < len(self._published) and self._published[self._told].published_at <= self._moment:
            self._told += 1
        if known == self._told:
            return None
        return {each.calendar.name: each for each in self._published[:self._told]}


def states_as_of(records: Iterable[Record], moment: datetime, rebuild: Rebuild) -> dict[str, ClockState]:
    """The clocks by id as they stood at ``moment``; none where the hub had not begun.

    ``records`` are those of the topics that the stage reads, in any order; later ones are passed over.
    """
    until = (moment - _EPOCH) // _MILLISECOND
    rebuild.take([record for record in records if record.timestamp <= until])
    return rebuild.finish(moment) if rebuild.has_begun(moment) else {}


def view_as_of(
    bootstrap: str, catalog: Catalog, *, rules: Mapping[str, ClockRule], files: Mapping[str, Calendar],
    departments: Mapping[str, str], moment: datetime,
) -> ClocksView:
    """What could have been asked at ``moment``. ``files`` are calendars that were never published.

    Raises BrokerError if Kafka does not answer.
    """
    log = CalendarReader(bootstrap, catalog).read()
    published = [
        PublishedCalendar(change.calendar, change.change_id, change.published_at)
        for name in files for change in log.of(name)
    ]
    calendars = {**files, **{each.calendar.name: each.calendar for each in reversed(published)}}
    rebuild = Rebuild(
        rules=rules, calendars=calendars, published=published, catalog=catalog, departments=departments,
        partitions=partitions_of(bootstrap, SIGNALS),
    )
    states = states_as_of(read_topics(bootstrap, INPUTS), moment, rebuild)
    return ClocksView(states.values(), rules, log.calendars(files, moment))


def _place(record: Record) -> tuple[int, str, int, int]:
    return record.timestamp, record.topic, record.partition, record.offset


def _nothing(_: Collection[int]) -> Iterator[tuple[int, bytes, bytes | None]]:
    return iter(())
