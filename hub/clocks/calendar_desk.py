"""What an operator does with calendars: compare files with what is in force, publish, watch the clocks follow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from datetime import datetime
from typing import NamedTuple

from hub.bus.publisher import KafkaPublisher
from hub.clocks.calendar_preview import Preview, ends_of_states, follow, preview
from hub.clocks.calendars import CalendarChange, CalendarLog, CalendarReader, publish
from hub.clocks.loader import KafkaStateLoader
from hub.clocks.view import ClocksView
from hub.contracts.catalog import Catalog
from hub.domain.calendar import Calendar
from hub.domain.calendar_table import DayChange, differences, family, years_published
from hub.domain.clocks import ClockRule, ClockState
from hub.errors import UsageError


class Difference(NamedTuple):
    """One calendar: what is in force against its file. ``previous`` is ``None`` if it was never published."""

    name: str
    previous: Calendar | None
    file: Calendar
    days: list[DayChange]
    years_added: list[int]
    years_removed: list[int]

    @property
    def is_published(self) -> bool:
        """Whether what the file says is in force."""
        return self.previous is not None and self.previous.version == self.file.version


class Comparison(NamedTuple):
    """All that publishing would change. ``starts`` are the ends of the states when the clocks were read."""

    log: CalendarLog
    calendars: list[Difference]
    preview: Preview
    starts: Mapping[int, int]

    @property
    def is_same(self) -> bool:
        """Whether the files say what is in force; those that were never published, what the clocks count by."""
        return all(
            each.is_published or (each.previous is None and not self.preview.behind) for each in self.calendars
        )


class CalendarDesk:
    """The calendars and clocks of one hub. Everything raises BrokerError if Kafka does not answer."""

    def __init__(
        self, bootstrap: str, catalog: Catalog, rules: Mapping[str, ClockRule], files: Mapping[str, Calendar]
    ) -> None:
        self.bootstrap = bootstrap
        self.catalog = catalog
        self.rules = rules
        self.files = files

    def log(self) -> CalendarLog:
        """All that was ever published."""
        return CalendarReader(self.bootstrap, self.catalog).read()

    def compare(self, name: str | None = None) -> Comparison:
        """Files against what is in force, of a calendar and those that hang together with it, or of all.

        Raises UsageError for a name that has no file.
        """
        if name is not None and name not in self.files:
            raise UsageError(f"没有日历 {name!r}，有 {', '.join(sorted(self.files))} (no such calendar)")
        names = list(self.files) if name is None else family(self.files, name)
        log = self.log()
        in_force = log.in_force()
        calendars = []
        for each in names:
            known, file = in_force.get(each), self.files[each]
            previous = known.calendar if known else None
            added, removed = years_published(previous or file, file)
            calendars.append(Difference(each, previous, file, differences(previous or file, file), added, removed))
        # The ends first: what is written while the clocks are read is then seen twice, not missed.
        starts = self.ends()
        found = preview(self.states(), self.rules, {each: self.files[each] for each in names})
        return Comparison(log, calendars, found, starts)

    def ends(self) -> Mapping[int, int]:
        """Where the states of the clocks end now."""
        return ends_of_states(self.bootstrap)

    def states(self) -> Iterable[ClockState]:
        """All clocks as they stand now."""
        return ClocksView.read(KafkaStateLoader(self.bootstrap), self.catalog, self.rules, self.files).find()

    def publish(self, seen: Comparison, *, notice: str, by: str, at: datetime) -> list[CalendarChange]:
        """Puts the files into force; returns what was written: nothing where they are already.

        Raises UsageError if another version came into force since ``seen`` was made.
        """
        log = self.log()
        if _events(log) != _events(seen.log):
            raise UsageError("日历刚被他人发布，请重新查看差异 (published by somebody else meanwhile: look again)")
        changes = log.changes_to([each.file for each in seen.calendars], notice=notice, by=by, at=at)
        if changes:
            with closing(KafkaPublisher(self.bootstrap, client_id="calendar")) as publisher:
                publish(publisher, self.catalog, changes)
        return changes

    def follow(self, seen: Comparison) -> Iterator[int]:
        """How many open clocks are still counted by an older version, until none is."""
        calendars = {each.name: each.file for each in seen.calendars}
        return follow(self.bootstrap, self.catalog, self.rules, calendars, seen.preview.behind, seen.starts)


def _events(log: CalendarLog) -> dict[str, str]:
    return {name: published.event_id for name, published in log.in_force().items()}
