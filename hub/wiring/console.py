"""Connects the operators' console with the desks of the stages."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from hub.bus.kept_topics import KeptTopics
from hub.bus.publisher import Publisher
from hub.bus.records import Record
from hub.bus.tail import Tail
from hub.clocks.calendar_desk import CalendarDesk, Comparison
from hub.clocks.calendars import CALENDARS, CalendarLog, CalendarReader
from hub.contracts.calendars import load_calendars
from hub.contracts.catalog import Catalog
from hub.contracts.map import HubMap
from hub.delivery.commands import Command, write_command
from hub.delivery.settings import SubscriptionSettings
from hub.delivery.settings_desk import Change
from hub.delivery.waits import Waiting
from hub.domain.acts import Actor
from hub.domain.calendar import Calendar, end_of
from hub.errors import InputError
from hub.intake.build import held_portions
from hub.intake.guards.log import Alert
from hub.intake.guards.service import SourcesGuard
from hub.intake.guards.watch import SourcesWatch, Status
from hub.intake.held import Held, Verdict
from hub.intake.sources import load_sources
from hub.ops.acts import ActsDesk
from hub.ops.letters import REDRIVE
from hub.ops.snapshot import Snapshot
from hub.settings import Settings
from hub.state.snapshot_store import SnapshotStore
from hub.web.site.console.answers import Fresh
from hub.web.site.console.desks import Clockwork, ConsoleDesks, Promise, Way
from hub.web.site.console.pages import console_pages
from hub.web.site.pages import PageSet
from hub.wiring.acts import REPLAY, dead_letter_desk, replays
from hub.wiring.channels import channel_desk
from hub.wiring.delivery import Waits, settings_desk, verify_address
from hub.wiring.guards import sources_guard
from hub.wiring.maps import map_log
from hub.wiring.parts import open_redis, utc_now

#: What sources are held to follows the calendar, which changes some times a year.
_GUARD_SECONDS = 600.0


class EndpointDesk:
    """How departments receive, and what operators do about it; every change is an act of the same kind as by command.

    Methods raise BrokerError where Kafka does not answer, InputError for what is refused.
    """

    def __init__(self, settings: Settings, catalog: Catalog, publisher: Publisher, acts: ActsDesk) -> None:
        self._settings, self._catalog, self._publisher = settings, catalog, publisher
        self._acts, self._desk = acts, settings_desk(settings, catalog, publisher, is_kept=True)
        self._waits = Waits(settings)

    def settings(self) -> Mapping[str, SubscriptionSettings]:
        return self._desk.read()

    def waiting(self) -> Sequence[Waiting]:
        return self._waits()

    def release(self, subscription: str, who: Actor, reason: str) -> None:
        found = [each for each in self.waiting() if each.subscription == subscription]
        if not found:
            raise InputError(f"nothing waits for {subscription} any more")
        details = [("subscription", subscription), ("notices", str(len(found)))]
        with self._acts.acting("delivery.release", who, subscription, reason, details=details):
            asked = Command("release", subscription, None, who.name, reason.strip(), utc_now())
            partitions = sorted({each.record.partition for each in found})
            self._publisher.publish(write_command(asked, partitions, self._catalog))

    def pause(self, subscription: str, who: Actor, reason: str) -> None:
        self._change("pause", subscription, lambda current: replace(current, is_paused=True), who, reason)

    def resume(self, subscription: str, who: Actor, reason: str) -> None:
        def change(current: SubscriptionSettings) -> SubscriptionSettings:
            if current.disabled_reason is not None and current.url is not None:
                asyncio.run(verify_address(self._settings, current, current.url))
            return replace(current, is_paused=False, disabled_reason=None)

        self._change("resume", subscription, change, who, reason)

    def _change(self, what: str, subscription: str, change: Change, who: Actor, reason: str) -> None:
        with self._acts.acting(f"subscriptions.{what}", who, subscription, reason):
            self._desk.change(subscription, change, by=who.name, reason=reason)


class SourcesDesk:
    """Sources of ``sources.yaml`` and those that hand in by HTTP. Portions are held in the folder of this machine's
    data, where the connector finds what was decided."""

    def __init__(self, settings: Settings, hub_map: HubMap, catalog: Catalog, acts: ActsDesk) -> None:
        self._settings, self._hub_map, self._catalog, self._acts = settings, hub_map, catalog, acts
        self._lock = threading.Lock()
        self._guard: SourcesGuard | None = None
        self._made_of, self._made_at = "", 0.0

    def status(self) -> tuple[Sequence[Status], Sequence[Alert]]:
        if not self._settings.sources.exists():
            return (), ()  # a hub without sources of its own, as one that is handed everything
        with self._lock:
            watch = self._in_force().read()
            return watch.status(utc_now()), watch.open_alerts()

    def _in_force(self) -> SourcesGuard:
        """One that reads on; made anew where the file is another, and now and then for the calendar."""
        content = self._settings.sources.read_text("utf-8")
        is_old = time.monotonic() - self._made_at > _GUARD_SECONDS
        if self._guard is None or content != self._made_of or is_old:
            if self._guard is not None:
                self._guard.close()
                self._guard = None
            self._guard = sources_guard(self._settings, self._hub_map, self._catalog)
            self._made_of, self._made_at = content, time.monotonic()
        return self._guard

    def manifests(self) -> Sequence[Promise]:
        if not self._settings.sources.exists():
            return ()
        with self._lock:
            return promises(self._in_force().read(), utc_now())

    def held(self) -> Sequence[tuple[str, Held]]:
        names = load_sources(self._settings.sources) if self._settings.sources.exists() else ()
        return [(name, each) for name in names for each in held_portions(self._settings.data, name).all()]

    def decide(self, source: str, id_: str, verdict: Verdict, who: Actor, reason: str) -> None:
        kind = "sources.held-release" if verdict == "released" else "sources.held-discard"
        with self._acts.acting(kind, who, f"{source}/{id_}", reason):
            held_portions(self._settings.data, source).decide(id_, verdict, by=who.name, reason=reason)


def promises(watch: SourcesWatch, now: datetime) -> list[Promise]:
    """The manifests of all sources beside what was taken, and the days whose manifest is missing.

    Files and rows of tables are compared here, from memory; a table that was not read on a day that is not over may be
    read yet. To count events would be to read their topics: of them what the watch has
    found and raised is said.
    """
    raised = {(each.source, each.about): each for each in watch.open_alerts() if each.kind == "manifest-differs"}
    found: list[Promise] = []
    for status in watch.status(now):
        for taken in watch.manifests(status.source):
            manifest, alert = taken.manifest, raised.get((taken.source, taken.day.isoformat()))
            promise = Promise(
                taken.source, taken.day, "open", manifest.count, None, None, taken.signature is not None,
                taken.received_at,
            )
            if watch.counts_rows(taken.source):
                promise = promise._replace(is_table=True)
                if watch.is_counted(taken) or now >= end_of(taken.day):
                    beside = watch.compare(taken)
                    promise = promise._replace(verdict=beside.verdict, taken=beside.taken, says=beside.says)
            elif manifest.files is not None:
                beside = watch.compare(taken)
                promise = promise._replace(
                    verdict=beside.verdict, taken=beside.taken, files=len(manifest.files), says=beside.says
                )
            elif alert is not None:
                promise = promise._replace(verdict="differs", taken=alert.taken, says=alert.reason)
            found.append(promise)
        found += [Promise(status.source, day, "missing") for day in watch.missing_days(status.source, now)]
    return found


class CalendarFiles:
    """Calendars in force, and those of the files as they are when somebody asks."""

    def __init__(self, settings: Settings, hub_map: HubMap, catalog: Catalog) -> None:
        self._settings, self._hub_map, self._catalog = settings, hub_map, catalog
        tail = Tail(settings.bootstrap, [CALENDARS], is_whole=True)
        self._kept = KeptTopics[Record](tail, lambda record: record)

    def files(self) -> Mapping[str, Calendar]:
        return load_calendars(self._settings.home)

    def log(self) -> CalendarLog:
        return CalendarReader(self._settings.bootstrap, self._catalog).log_of(self._kept.all())

    def compare(self, name: str | None = None) -> Comparison:
        desk = CalendarDesk(self._settings.bootstrap, self._catalog, self._hub_map.clocks, self.files())
        return desk.compare(name)


def console_part(
    settings: Settings, hub_map: HubMap, catalog: Catalog, publisher: Publisher, acts: ActsDesk
) -> PageSet:
    """The console's pages on the running hub; ``acts`` is the process's one desk of them."""
    letters, again = dead_letter_desk(settings, publisher, acts), replays(settings, publisher, acts)
    return console_pages(ConsoleDesks(
        _snapshots(settings), EndpointDesk(settings, catalog, publisher, acts), letters, acts,
        again, SourcesDesk(settings, hub_map, catalog, acts),
        channel_desk(settings, hub_map, catalog, publisher, acts), CalendarFiles(settings, hub_map, catalog),
        map_log(settings, catalog, publisher), hub_map,
        {name: Clockwork(rule.title, rule.owner, rule.basis) for name, rule in hub_map.clocks.items()},
        {
            name: Way(entry.title, entry.department, entry.delivery, entry.fallback)
            for name, entry in hub_map.subscriptions.items()
        },
        {REDRIVE: letters.redrive, REPLAY: again.carry_out},
    ))


def _snapshots(settings: Settings) -> Callable[[], Snapshot | None]:
    store, known = SnapshotStore(open_redis(settings)), dict[str, Snapshot | None]()

    def latest() -> Snapshot | None:
        found = store.get()
        if not found:
            return None
        if found["at"] not in known:
            read = Snapshot.from_dict(found)
            known.clear()
            known[found["at"]] = read
        return known[found["at"]]

    # Every page that is open looks once a second, and a snapshot is a large thing to read.
    fresh = Fresh(time.monotonic, keep_seconds=1.0)
    return lambda: fresh.get("snapshot", latest)
