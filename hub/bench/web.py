"""``hub bench web``: how long people wait for pages, fifty at once, and how soon the trace of any event comes.

The reference in the same run is a constant answer of the same server. Everything goes over 127.0.0.1; the load is made
by this process, which shares the machine with the server.
"""

from __future__ import annotations

import http.client
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import redis

from hub.bench.beside import process_seconds
from hub.bench.ledger import LedgerBench
from hub.bench.spread import Spread, spread
from hub.bench.web_pages import (
    CONSTANT,
    Things,
    auditor_pages,
    console_pages,
    interface,
    listings,
    notice_page,
    portal_pages,
)
from hub.bench.web_seed import Seeds
from hub.bench.web_walk import Page, Walk, Walker, walk
from hub.contracts.catalog import Catalog
from hub.contracts.map import HubMap
from hub.embedded.process import ServerProcess, last_lines
from hub.ops.lag_watch import Watch
from hub.state.snapshot_store import SnapshotStore

#: Programs that read the interface, and how often the constant page is asked for, beside the people.
PROGRAMS, CONSTANT_SECONDS = 5, 0.5
#: Seconds before the measured ones, so that what is made once in the life of a process is made.
_WARM_SECONDS = 8.0
_SATURATED_SECONDS = 10.0
_START_SECONDS = 600.0
_SNAPSHOT_SECONDS = 24 * 3600.0
_SEED = 2026
_LOG = "web.log"


class Size(NamedTuple):
    """How much stands there, and who looks at it for how long."""

    events: int
    people: int
    think_seconds: float
    seconds: float
    traces: int

    @property
    def acts(self) -> int:
        """Of people, on record; and as many dead letters."""
        return max(self.events // 100, 500)


class WebMeasured(NamedTuple):
    """``pages`` by name, what people wait; ``constant`` is asked for beside them. Saturated: the same people without
    looking at what they got, pages a second, and the constant page alone from as many."""

    size: Size
    records: int
    pages: dict[str, Spread]
    constant: Spread
    pages_per_second: float
    streams: int
    server_cpu: float
    saturated_per_second: float
    saturated: Spread
    constant_per_second: float
    trace: Spread
    steps: float
    index_bytes: float


class WebBench:
    """On one broker and one index, whose topics are there and empty. ``command`` runs the web side at ``base``."""

    def __init__(
        self, bootstrap: str, client: redis.Redis, hub_map: HubMap, catalog: Catalog, watch: Watch,
        command: Sequence[str], base: str, folder: Path,
    ) -> None:
        self._client, self._watch, self._command, self._base, self._folder = client, watch, command, base, folder
        self._ledger = LedgerBench(bootstrap, client, hub_map, catalog)
        self._seeds = Seeds(bootstrap, client, hub_map, catalog)
        self._server = ServerProcess("web", folder / "web.pid.json")

    def run(self, size: Size) -> WebMeasured:
        """Raises RuntimeError for a page that does not come, with what it said."""
        records = self._ledger.write(size.events)
        self._ledger.follow(records)
        self._seeds.holdings(listings(size.events), self._ledger.traffic)
        letters = self._seeds.letters(size.acts, self._ledger.traffic)
        things = Things(size.events, self._ledger.traffic, letters, self._seeds.acts(size.acts))
        sessions, key = self._seeds.sessions(size.people), self._seeds.key()
        with closing(self._watch) as watch:
            SnapshotStore(self._client).put(watch.look().as_dict(), seconds=_SNAPSHOT_SECONDS)
        people = _people(size, sessions, things)
        others = [
            *(Walker({"Authorization": f"Bearer {key}"}, interface(things), size.think_seconds, has_live=False)
              for _ in range(PROGRAMS)),
            Walker({}, [CONSTANT], CONSTANT_SECONDS, has_live=False),
        ]
        self._server.start(self._command, self._folder / _LOG, Path.cwd())
        try:
            self._wait()
            walk(Walk(self._base, _SEED).run([*people, *others], _WARM_SECONDS))
            measured, cpu = Walk(self._base, _SEED + 1), process_seconds(self._server.pid)
            walk(measured.run([*people, *others], size.seconds))
            cpu = process_seconds(self._server.pid) - cpu
            hurried, constant = Walk(self._base, _SEED + 2), Walk(self._base, _SEED + 3)
            walk(hurried.run([replace(each, think_seconds=0) for each in people], _SATURATED_SECONDS))
            walk(constant.run([Walker({}, [CONSTANT], 0, has_live=False) for _ in people], _SATURATED_SECONDS / 2))
        finally:
            self._server.terminate()
            self._server.wait()
        steps, took = self._ledger.ask(size.events, size.traces)
        times = dict(measured.times)
        beside = times.pop(CONSTANT.name)
        asked, saturated = sum(map(len, times.values())), [each for of in hurried.times.values() for each in of]
        return WebMeasured(
            size, records, {name: spread(of) for name, of in sorted(times.items())}, spread(beside),
            asked / size.seconds, measured.streams, cpu / size.seconds, len(saturated) / _SATURATED_SECONDS,
            spread(saturated), len(constant.times[CONSTANT.name]) / (_SATURATED_SECONDS / 2),
            spread(each / 1000 for each in took), steps, self._client.info("memory")["used_memory"],
        )

    def _wait(self) -> None:
        until = time.monotonic() + _START_SECONDS
        while time.monotonic() < until:
            if self._server.pid is None:
                raise RuntimeError(f"the web side ended:\n{last_lines(self._folder / _LOG)}")
            try:
                if self._is_started():
                    return
            except (http.client.HTTPException, OSError):
                pass
            time.sleep(0.2)
        raise RuntimeError("the web side does not start")

    def _is_started(self) -> bool:
        connection = http.client.HTTPConnection(urlsplit(self._base).netloc, timeout=5)
        try:
            connection.request("GET", "/startupz")
            return connection.getresponse().status == 200
        finally:
            connection.close()



def _people(size: Size, sessions: Mapping[str, Sequence[str]], things: Things) -> list[Walker]:
    """Half of them at departments, half at the console, one in ten an auditor."""
    pages: dict[str, list[Page]] = {
        "bench-hezuo": portal_pages(), "bench-finance": [*portal_pages(), notice_page(things)],
        "bench-operator": console_pages(things), "bench-auditor": [*console_pages(things), *auditor_pages()],
    }
    order = ["bench-hezuo", "bench-operator", "bench-finance", "bench-operator", "bench-finance", "bench-operator",
             "bench-hezuo", "bench-operator", "bench-finance", "bench-auditor"]
    return [
        Walker({"Cookie": f"hub-session={sessions[name][number]}"}, pages[name], size.think_seconds)
        for number, name in ((number, order[number % len(order)]) for number in range(size.people))
    ]
