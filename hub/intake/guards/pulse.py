"""What a source says of itself on the log while it is read: portions, heartbeats, manifests, and what a table had."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import cast

from hub.bus.publisher import Publisher
from hub.bus.reader import read_topics
from hub.contracts.catalog import Catalog
from hub.domain.calendar import local_date
from hub.domain.source_manifest import SourceManifest
from hub.domain.webhook_keys import parse_public
from hub.intake.guards.log import MANIFESTS_TOPIC, GuardLog, ManifestTaken
from hub.intake.guards.manifest_box import ManifestBox
from hub.intake.guards.reporter import Reporter, read_heartbeat
from hub.intake.rows import CountedSource, Source
from hub.intake.sources import SourceConfig
from hub.intake.versions import utc_now

#: A manifest of today came within so long.
_RECENT = timedelta(days=3)


def read_manifests(bootstrap: str, catalog: Catalog, source: str) -> Iterator[SourceManifest]:
    """The latest manifests of a source on the log, in their order. Raises BrokerError."""
    log = GuardLog(catalog)
    for record in read_topics(bootstrap, [MANIFESTS_TOPIC], since=utc_now() - _RECENT):
        if record.key == source.encode() and record.value is not None:
            found = log.read(MANIFESTS_TOPIC, record.value)
            assert isinstance(found, ManifestTaken)
            yield found.manifest


class Pulse:
    """Of one source; used by its thread."""

    def __init__(
        self, source: Source, config: SourceConfig, catalog: Catalog, bootstrap: str, publisher: Publisher
    ) -> None:
        log = GuardLog(catalog)
        last = read_heartbeat(bootstrap, catalog, config.name)
        self.reporter = Reporter(config.name, log, publisher, last, utc_now)
        self._box: ManifestBox | None = None
        self._counted: CountedSource | None = None
        self._known: tuple[date, int] | None = None
        self._vouched: tuple[date, int] | None = None
        folder = getattr(source, "manifest_folder", None)
        if config.manifest_key is None or folder is None:
            return
        if config.counts_rows:
            self._counted = cast(CountedSource, source)
            for manifest in read_manifests(bootstrap, catalog, config.name):
                self._counted.expect(manifest)
        self._box = ManifestBox(
            config.name, folder, parse_public(config.manifest_key), log, publisher, utc_now,
            is_of_table=config.counts_rows,
        )

    def take_manifests(self) -> None:
        """Raises BrokerError, OSError."""
        for taken in self._box.take() if self._box is not None else ():
            if self._counted is not None:
                self._counted.expect(taken.manifest)
            elif not taken.manifest.count:
                self.reporter.spoke("nothing-today")

    def take_readings(self) -> None:
        """Puts on record what a table had, where it is not what it had before on that day; a table without news of
        which a manifest says the same has spoken, once for each manifest. Raises BrokerError."""
        for reading in self._counted.readings() if self._counted is not None else ():
            found = local_date(reading.read_at), reading.rows
            if found != self._known:
                self.reporter.counted(reading)
                self._known = found
            if reading.is_vouched and found != self._vouched:
                self.reporter.spoke("nothing-today")
                self._vouched = found
