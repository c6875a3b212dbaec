"""Judges sources by what the log says of them: who is silent, whose manifest differs, whose is missing.

A fold of the four topics of guards. ``due`` gives the alerts that have to be raised at a moment; what was raised is
known from the log, so that a restart, or two processes, raise nothing twice (and under the same id if they do).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import NamedTuple

from hub.domain.calendar import Calendar, end_of, local_date
from hub.domain.plain import instant_text
from hub.domain.silence import Rhythm
from hub.domain.source_manifest import Comparison, TakenFile, compare_events, compare_files, compare_rows
from hub.intake.guards.log import ENDS, Alert, AlertKind, Heartbeat, ManifestTaken, PortionRead, alert

#: So long after a manifest came, or after its day, what it speaks of may still be read.
GRACE = timedelta(hours=1)
#: So long a manifest that differs is compared again: its files may come late.
TRIED_FOR = timedelta(days=30)
#: Working days behind that are looked at for manifests that are missing.
LOOK_BACK = 10
#: Ids of the events that the hub took of a source on a day.
EventsOf = Callable[[str, date], Iterable[str]]


@dataclass(frozen=True, slots=True)
class WatchRule:
    """What a source is held to. ``has_manifest``: one is expected for every working day."""

    source: str
    rhythm: Rhythm | None
    has_manifest: bool
    #: Nobody reads it: that it is watched is written down by the watch itself.
    hands_in: bool = False
    #: Its manifests count the rows of a table that is read whole.
    counts_rows: bool = False


class Status(NamedTuple):
    """A source at a moment: ``verdict`` is ``ok``, ``silent``, ``never`` (heard of) or ``unwatched`` (no rhythm)."""

    source: str
    verdict: str
    heartbeat: Heartbeat | None
    speaks_by: datetime | None
    last_manifest: date | None


@dataclass(slots=True)
class _Known:
    heartbeat: Heartbeat | None = None
    files: dict[str, TakenFile] = field(default_factory=dict)
    #: The last reading of a table on each day.
    counted: dict[date, PortionRead] = field(default_factory=dict)
    manifests: dict[date, ManifestTaken] = field(default_factory=dict)
    #: (begin of an alert, about) of what is open, and of what was ever raised.
    open: dict[tuple[AlertKind, str], Alert] = field(default_factory=dict)
    raised: set[str] = field(default_factory=set)


class SourcesWatch:
    """Used by one thread."""

    def __init__(self, rules: Mapping[str, WatchRule], calendar: Calendar, events_of: EventsOf) -> None:
        self._rules, self._calendar, self._events_of = rules, calendar, events_of
        self._known: dict[str, _Known] = {name: _Known() for name in rules}
        #: Ids of manifests that need no comparing any more.
        self._agreed: set[str] = set()
        self._compared: dict[str, Comparison] = {}

    def take(self, record: Heartbeat | PortionRead | ManifestTaken | Alert) -> None:
        """One record of the log, in the order of its topic."""
        known = self._known.get(record.source)
        if known is None:
            return
        if isinstance(record, Heartbeat):
            known.heartbeat = record
        elif isinstance(record, PortionRead):
            if record.sha256 is not None:
                rows = record.read if record.status == "finished" else 0
                known.files[record.sha256] = TakenFile(record.name, record.sha256, rows)
            elif record.status == "counted":
                day = local_date(record.finished_at)
                last = known.counted.get(day)
                if last is None or last.finished_at <= record.finished_at:
                    known.counted[day] = record
        elif isinstance(record, ManifestTaken):
            known.manifests[record.day] = record
        else:
            known.raised.add(record.alert_id)
            if record.kind in ENDS:
                known.open[record.kind, record.about] = record
            for begin, end in ENDS.items():
                if record.kind == end:
                    known.open.pop((begin, record.about), None)

    def unknown(self, now: datetime) -> list[Heartbeat]:
        """The first heartbeats of sources that hand in and have not yet: their silence counts from now on."""
        return [
            Heartbeat(name, now, None, None, "nothing-new")
            for name, rule in self._rules.items() if rule.hands_in and self._known[name].heartbeat is None
        ]

    def due(self, now: datetime) -> list[Alert]:
        """The alerts to be raised now; hand them back to ``take`` once they are on the log."""
        found: list[Alert] = []
        for name, rule in self._rules.items():
            known = self._known[name]
            found += self._silence(rule, known, now)
            found += self._differences(rule, known, now)
            found += self._missing(rule, known, now)
        return [each for each in found if each.alert_id not in self._known[each.source].raised]

    def status(self, now: datetime) -> list[Status]:
        """Every source that is known."""
        return [self._status(rule, self._known[name], now) for name, rule in self._rules.items()]

    def open_alerts(self) -> list[Alert]:
        """What is the matter now, the oldest first."""
        found = (each for known in self._known.values() for each in known.open.values())
        return sorted(found, key=lambda each: (each.raised_at, each.source, each.kind))

    def manifests(self, source: str) -> list[ManifestTaken]:
        """The manifest in force of each day, the newest first."""
        return sorted(self._known[source].manifests.values(), key=lambda each: each.day, reverse=True)

    def compare(self, taken: ManifestTaken) -> Comparison:
        """A manifest beside what the hub took."""
        manifest = taken.manifest
        if self.counts_rows(taken.source):
            last = self._known[taken.source].counted.get(taken.day)
            return compare_rows(manifest, last.read if last is not None else None)
        if manifest.files is not None:
            return compare_files(manifest, self._known[taken.source].files.values())
        return compare_events(manifest, self._events_of(taken.source, manifest.day))

    def counts_rows(self, source: str) -> bool:
        """Whether the manifests of that source count the rows of a table."""
        return self._rules[source].counts_rows

    def is_counted(self, taken: ManifestTaken) -> bool:
        """Whether the table was read on the day of its manifest."""
        return taken.day in self._known[taken.source].counted

    def missing_days(self, source: str, now: datetime) -> list[date]:
        """Working days whose manifest should have come by now: by 24:00 of the next working day."""
        known, found = self._known[source], []
        if not self._rules[source].has_manifest or known.heartbeat is None:
            return []
        day = self._calendar.before(local_date(now), LOOK_BACK)
        first = local_date(known.heartbeat.watched_since)
        while day < local_date(now):
            is_over = now >= end_of(self._calendar.due_date(day, 1).date)
            if self._calendar.is_working_day(day) and day >= first and is_over and day not in known.manifests:
                found.append(day)
            day += timedelta(days=1)
        return found

    def _status(self, rule: WatchRule, known: _Known, now: datetime) -> Status:
        beat = known.heartbeat
        last = max(known.manifests, default=None)
        if beat is None:
            return Status(rule.source, "never", None, None, last)
        if rule.rhythm is None:
            return Status(rule.source, "unwatched", beat, None, last)
        by = rule.rhythm.speaks_by(beat.silent_from, self._calendar)
        return Status(rule.source, "silent" if now >= by else "ok", beat, by, last)

    def _silence(self, rule: WatchRule, known: _Known, now: datetime) -> Iterable[Alert]:
        beat = known.heartbeat
        if beat is None:
            return
        about = beat.silent_from.isoformat()
        for kind, open_about in list(known.open):
            if kind == "silence-began" and open_about != about:
                said = f"last word {instant_text(beat.silent_from)}"
                yield alert("silence-ended", rule.source, open_about, said, now)
        if rule.rhythm is not None and rule.rhythm.is_silent(beat.silent_from, now, self._calendar):
            by = rule.rhythm.speaks_by(beat.silent_from, self._calendar)
            said = (
                f"rhythm {rule.rhythm.text}: nothing since {instant_text(beat.silent_from)}, due by "
                f"{instant_text(by)}; last heard {instant_text(beat.heard_at) if beat.heard_at else 'never'}"
            )
            yield alert("silence-began", rule.source, about, said, now)

    def _differences(self, rule: WatchRule, known: _Known, now: datetime) -> Iterable[Alert]:
        for day, taken in known.manifests.items():
            of_files = taken.manifest.files is not None and not rule.counts_rows
            since = taken.received_at if of_files else max(taken.received_at, end_of(day))
            about = day.isoformat()
            begun = known.open.get(("manifest-differs", about))
            is_over = taken.manifest_id in self._agreed and begun is None
            if is_over or not GRACE <= now - since <= TRIED_FOR:
                continue
            found = self._compared.get(taken.manifest_id) or self.compare(taken)
            if not of_files and not rule.counts_rows:
                self._compared[taken.manifest_id] = found  # a day that is over has no more events
            kind: AlertKind = "manifest-differs"
            if found.verdict == "differs":  # of each manifest once: ``due`` leaves out what was raised
                matter = taken.manifest_id
            elif begun is not None:
                kind, matter = ENDS[kind], begun.alert_id
            else:
                self._agreed.add(taken.manifest_id)
                continue
            yield alert(kind, rule.source, about, found.says, now, found.announced, found.taken, matter=matter)

    def _missing(self, rule: WatchRule, known: _Known, now: datetime) -> Iterable[Alert]:
        for kind, about in list(known.open):
            if kind == "manifest-missing" and date.fromisoformat(about) in known.manifests:
                yield alert("manifest-came", rule.source, about, "the manifest has come", now)
        for day in self.missing_days(rule.source, now):
            said = f"no manifest of {day.isoformat()} by the end of the next working day"
            yield alert("manifest-missing", rule.source, day.isoformat(), said, now)
