"""The stage ``ops``: looks at the hub at a rhythm, tells Prometheus, and keeps the snapshot for whoever shows it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog
from prometheus_client.registry import Collector

from hub.errors import HubError
from hub.ops.metrics import HubCollector, MetricsServer
from hub.ops.snapshot import Snapshot
from hub.state.snapshot_store import SnapshotStore

#: Beats that a snapshot outlives: whoever shows it says "nothing known" rather than something old.
KEPT_BEATS = 4
log = structlog.get_logger()


class Looking(Protocol):
    """What the service asks at every beat. ``look`` may raise HubError; it is asked again."""

    def look(self) -> Snapshot: ...

    def close(self) -> None: ...


class OpsService:
    """``run`` blocks until ``stop``, which any thread may call. ``seconds`` is the rhythm.

    A look that fails is logged and counted, and is no end: the next beat tries again. ``figures`` are served beside
    its own.
    """

    def __init__(
        self, looking: Looking, store: SnapshotStore, *, seconds: float, host: str, port: int,
        figures: Sequence[Collector] = (),
        say_address: Callable[[str], None] = lambda address: log.info("metrics are served", address=address),
    ) -> None:
        self._looking, self._store, self._seconds = looking, store, seconds
        self._host, self._port, self._say_address = host, port, say_address
        self._collector, self._figures = HubCollector(), figures
        self._stopping = threading.Event()

    def run(self) -> None:
        """Raises InfrastructureError if the port of the metrics is taken."""
        server = MetricsServer(self._collector, *self._figures, host=self._host, port=self._port)
        try:
            self._say_address(server.address)
            while not self._stopping.is_set():
                began = time.monotonic()
                self._beat(began)
                self._stopping.wait(max(self._seconds - (time.monotonic() - began), 0.1))
        finally:
            server.close()
            self._looking.close()

    def stop(self) -> None:
        self._stopping.set()

    def _beat(self, began: float) -> None:
        try:
            snapshot = self._looking.look()
        except HubError as error:
            self._collector.fail()
            log.warning("the hub cannot be looked at", error=str(error))
            return
        self._collector.put(snapshot, time.monotonic() - began)
        try:
            self._store.put(snapshot.as_dict(), seconds=KEPT_BEATS * self._seconds)
        except HubError as error:
            log.warning("nobody will see the snapshot", error=str(error))
