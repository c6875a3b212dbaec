"""Connects the ledger: the stage that keeps it, the view that is asked, and its rebuild."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from hub.bus.lag import read_ends
from hub.bus.log_reader import LogReader
from hub.bus.reader import read_topics
from hub.bus.topics import admin
from hub.clocks.calendars import CalendarReader
from hub.contracts.calendars import load_calendars
from hub.contracts.catalog import Catalog
from hub.contracts.map import HubMap
from hub.domain.calendar import Calendar, local_date
from hub.domain.desk import KEPT
from hub.errors import BrokerError, HubError, InfrastructureError
from hub.ops.ledger.log_scan import LogScan
from hub.ops.ledger.reading import RecordReader, compacted_topics, followed_topics
from hub.ops.ledger.service import GROUP, LedgerService
from hub.ops.ledger.verify import Comparison, compare, read_all
from hub.ops.ledger.view import Ledger
from hub.settings import Settings
from hub.state.channel_index import channel_index
from hub.state.desk_index import DeskIndex
from hub.state.ledger_index import LedgerIndex
from hub.wiring.parts import open_catalog, open_map, open_redis, utc_now

_MEBIBYTE = 1024 * 1024
#: How often a comparison is begun again because the stage wrote meanwhile.
_ATTEMPTS = 5


def ledger_groups(hub_map: HubMap) -> dict[str, tuple[str, ...]]:
    """The group that is told how far the ledger has got, and the topics that it follows."""
    return {GROUP: tuple(followed_topics(hub_map))}


def build_ledger(settings: Settings, hub_map: HubMap, catalog: Catalog, *, is_nice: bool = True) -> LedgerService:
    """The stage. ``is_nice``: the whole process gives way to others."""
    client = open_redis(settings)
    return LedgerService(
        hub_map, catalog, settings.bootstrap, LedgerIndex(client), DeskIndex(client), channel_index(client),
        most_bytes=settings.ledger_memory * _MEBIBYTE, is_nice=is_nice,
    )


def ledger_view(
    settings: Settings, hub_map: HubMap, catalog: Catalog, calendars: Mapping[str, Calendar]
) -> Ledger:
    """What questions are asked of, for a process that keeps it; whoever asked for it closes it."""
    client = open_redis(settings)
    scan = LogScan(settings.bootstrap, hub_map.own_topics(), compacted_topics(hub_map))
    return Ledger(
        LedgerIndex(client), DeskIndex(client), LogReader(settings.bootstrap), scan, catalog, hub_map, calendars
    )


@contextmanager
def open_ledger(settings: Settings) -> Iterator[Ledger]:
    """The same until the end of the block, by the calendars that are in force."""
    catalog = open_catalog(settings)
    files = load_calendars(settings.home)
    try:
        calendars: Mapping[str, Calendar] = CalendarReader(settings.bootstrap, catalog).read().calendars(files)
    except HubError:
        calendars = files  # only the colours of clocks depend on them
    ledger = ledger_view(settings, open_map(settings, catalog), catalog, calendars)
    try:
        yield ledger
    finally:
        ledger.close()


class LedgerRebuild:
    """Makes the ledger anew from the log, or holds it against the log."""

    def __init__(self, settings: Settings, say: Callable[[str], None] = lambda line: None) -> None:
        self._settings, self._say = settings, say
        self._catalog = open_catalog(settings)
        self._map = open_map(settings, self._catalog)
        client = open_redis(settings)
        self._index, self._desks = LedgerIndex(client), (DeskIndex(client), channel_index(client))

    def rebuild(self) -> None:
        """Forgets all of it and waits until it is filled again, by the stage or, where none runs, by itself.

        Raises InfrastructureError where nothing comes in for a minute.
        """
        is_running = self._index.has_owner()
        self._index.seize(uuid.uuid4().hex)
        for each in self._desks:
            each.clear()
        self._index.clear()
        self._index.end()
        if is_running:
            self._say("正在运行的 ledger 进程重新填写 (the running stage fills it)")
            self._wait()
            return
        service = build_ledger(self._settings, self._map, self._catalog, is_nice=False)
        thread = threading.Thread(target=service.run, name="ledger")
        thread.start()
        try:
            self._wait()
        finally:
            service.stop()
            thread.join()

    def verify(self) -> Comparison:
        """The index against the log, as far as the index has read it.

        Raises BrokerError where the stage never stands still for as long as it takes.
        """
        for _ in range(_ATTEMPTS):
            offsets = self._index.offsets()
            reader = RecordReader(self._map, self._catalog, self._index.topics())
            topics = followed_topics(self._map)
            model = read_all(read_topics(self._settings.bootstrap, topics), reader, offsets)
            numbers = self._index.topics()
            compacted = frozenset(numbers[name] for name in compacted_topics(self._map) if name in numbers)
            found = compare(model, self._index, self._desks, compacted, local_date(utc_now()) - KEPT)
            if self._index.offsets() == offsets:
                return found
            self._say("其间有新记录，重新核对 (records came in meanwhile: once more)")
        raise BrokerError("The ledger never stood still long enough to be compared; try again when less comes in.")

    def _wait(self, patience_seconds: float = 60.0) -> None:
        with admin(self._settings.bootstrap) as client:
            ends = read_ends(client, followed_topics(self._map))
        wanted = sum(ends.values())
        until, before = time.monotonic() + patience_seconds, -1
        while True:
            at = self._index.offsets()
            if all(at.get(place, 0) >= end for place, end in ends.items()):
                return
            had = sum(at.values())
            if had > before:
                until, before = time.monotonic() + patience_seconds, had
            elif time.monotonic() > until:
                raise InfrastructureError(f"The ledger does not get on: {had:,} of {wanted:,} records.")
            self._say(f"  {had:,}/{wanted:,}")
            time.sleep(0.5)
