"""Connects the record of the map's versions: who put which one into use, and what routing begins with."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import structlog

from hub.bus.publisher import KafkaPublisher, Publisher
from hub.contracts.catalog import Catalog
from hub.contracts.map import HubMap
from hub.errors import HubError
from hub.ops.map_log import HUB, MapLog
from hub.settings import Settings
from hub.wiring.parts import open_catalog, utc_now

#: A broker that has just started, or topics that are still to be made.
_TRY_AGAIN_SECONDS = 10.0
_BEGAN = "路由启动时所用的版本 (in use since routing began with it)"
_log = structlog.get_logger()


def map_log(settings: Settings, catalog: Catalog, publisher: Publisher) -> MapLog:
    """The record, for a process that has a publisher."""
    return MapLog(settings.bootstrap, catalog, publisher, utc_now)


@contextmanager
def open_map_log(settings: Settings) -> Iterator[MapLog]:
    """The record for one command."""
    with closing(KafkaPublisher(settings.bootstrap, client_id="hub-maps")) as publisher:
        yield map_log(settings, open_catalog(settings), publisher)


class MapNote:
    """A service beside routing: what it decides by is on record, also where nobody said why it was changed. Routing
    does not wait for it."""

    def __init__(self, settings: Settings, hub_map: HubMap) -> None:
        self._settings, self._map, self._stopping = settings, hub_map, threading.Event()

    def run(self) -> None:
        while not self._stopping.is_set():
            try:
                with open_map_log(self._settings) as found:
                    noted = found.note(self._map, by=HUB, reason=_BEGAN)
            except HubError as error:
                _log.warning("the version of the map is not on record yet", error=str(error))
                self._stopping.wait(_TRY_AGAIN_SECONDS)
            else:
                if noted is not None:
                    _log.info("map.noted", version=noted.version, number=noted.number)
                self._stopping.wait()

    def stop(self) -> None:
        self._stopping.set()
