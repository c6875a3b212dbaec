"""What a source's intake says of itself: each portion it has read, and that it is alive while nothing comes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Literal

import structlog

from hub.bus.publisher import Publisher
from hub.bus.reader import read_topics
from hub.contracts.catalog import Catalog
from hub.errors import HubError
from hub.intake.guards.log import HEARTBEATS_TOPIC, GuardLog, Heartbeat, Word, portion_read
from hub.intake.rows import Counts, Portion, TableReading

#: While nothing comes a heartbeat is written so often: 288 small records a day, compacted to one.
BEAT_EVERY = timedelta(minutes=5)
_log = structlog.get_logger()


def read_heartbeat(bootstrap: str, catalog: Catalog, source: str) -> Heartbeat | None:
    """The last heartbeat of a source on the log. Raises BrokerError."""
    log, last = GuardLog(catalog), None
    for record in read_topics(bootstrap, [HEARTBEATS_TOPIC]):
        if record.key == source.encode() and record.value is not None:
            found = log.read(HEARTBEATS_TOPIC, record.value)
            assert isinstance(found, Heartbeat)
            last = found
    return last


class Reporter:
    """Of one source; used by its thread. ``last`` is its heartbeat as the log has it; ``now`` gives aware UTC.

    A portion is on record before it is finished: killed in between, it is finished again and the record repeated
    under its id. With ``waits=False`` nobody waits for a heartbeat to be acknowledged.
    """

    def __init__(
        self, source: str, log: GuardLog, publisher: Publisher, last: Heartbeat | None, now: Callable[[], datetime],
        *, waits: bool = True,
    ) -> None:
        self._waits = waits
        self._source, self._log, self._publisher, self._now = source, log, publisher, now
        self._last = last
        self._written_at: datetime | None = None

    def ended(self, portion: Portion, counts: Counts, status: Literal["finished", "refused"]) -> None:
        """A portion is about to be finished or refused. Raises BrokerError."""
        now = self._now()
        # What identifies a file's bytes, where the portion is one.
        sha256 = getattr(portion, "sha256", None)
        record = portion_read(self._source, portion.identity, portion.name, sha256, status, counts, now)
        self._publisher.publish([self._log.portion(record)])
        self._beat("rows" if counts.read else "nothing-new", now)

    def counted(self, reading: TableReading) -> None:
        """A table was read whole; what it had is compared with the manifest of that day. Raises BrokerError."""
        counts = Counts(read=reading.rows)
        identity = f"counted|{reading.identity}"
        record = portion_read(self._source, identity, reading.name, None, "counted", counts, reading.read_at)
        self._publisher.publish([self._log.portion(record)])

    def looked(self) -> None:
        """The source was asked and could answer. Writes a heartbeat if the last is old. Raises BrokerError."""
        now = self._now()
        if self._written_at is None or now - self._written_at >= BEAT_EVERY:
            self._beat("nothing-new", now)

    def spoke(self, word: Word) -> None:
        """It said something that is no portion. Raises BrokerError."""
        self._beat(word, self._now())

    def _beat(self, word: Word, now: datetime) -> None:
        last = self._last or Heartbeat(self._source, now, now, None, word)
        spoke_at = last.spoke_at if word == "nothing-new" else now
        beat = replace(last, heard_at=now, spoke_at=spoke_at, said=word)
        ticket = self._publisher.publish_async([self._log.heartbeat(beat)])
        if self._waits:
            ticket.wait()
        self._last, self._written_at = beat, now


class SharedReporter:
    """Of one source that hands in by itself: from any thread, made at the first word, and never in the way.

    What is handed in is answered whether or not the heartbeat could be written; it is written once a minute at most.
    """

    EVERY = timedelta(minutes=1)

    def __init__(
        self, bootstrap: str, catalog: Catalog, source: str, publisher: Publisher, now: Callable[[], datetime]
    ) -> None:
        self._bootstrap, self._catalog, self._source = bootstrap, catalog, source
        self._publisher, self._now = publisher, now
        self._guard = threading.Lock()
        self._reporter: Reporter | None = None
        self._next = datetime.min.replace(tzinfo=UTC)

    def heard(self, word: Word) -> None:
        """It said something; an error is logged."""
        if self._now() < self._next:
            return
        try:
            self.spoke(word)
        except HubError as error:
            _log.warning("heartbeat not written", source=self._source, error=str(error))

    def spoke(self, word: Word) -> None:
        """Writes it at once. Raises BrokerError."""
        with self._guard:
            self._next = self._now() + self.EVERY
            if self._reporter is None:
                last = read_heartbeat(self._bootstrap, self._catalog, self._source)
                log = GuardLog(self._catalog)
                self._reporter = Reporter(self._source, log, self._publisher, last, self._now, waits=False)
            self._reporter.spoke(word)
