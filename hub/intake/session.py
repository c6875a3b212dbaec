"""A session: lock, index and source of one intake, made together and given up together."""

from __future__ import annotations

import gc
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import redis
import structlog

from hub.bus.publisher import KafkaPublisher
from hub.contracts.catalog import Catalog
from hub.errors import HubError
from hub.intake.catch_up import catch_up
from hub.intake.engine import Intake, Outcome, Progress
from hub.intake.ledger import Ledger
from hub.intake.lock import SourceLock
from hub.intake.rows import Portion, Source
from hub.intake.versions import REJECTIONS_TOPIC, EventWriter, source_uri
from hub.state.seen_index import SeenIndex

_log = structlog.get_logger()


def tune_collector() -> None:
    """For a process that does little but intake: rows hold no cycles, and looking for some among the
    thousands under way costs a tenth of the time. Nothing made so far is looked at again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


@dataclass(frozen=True, slots=True)
class Means:
    """What every intake stands on. ``data_dir`` is this machine's folder for locks and logs."""

    catalog: Catalog
    bootstrap: str
    redis_url: str
    data_dir: Path
    subject_secret: bytes


class IntakeSession:
    """A context: entering locks the source, takes over the index and catches it up; leaving says that
    nothing is under way. Used by one thread."""

    def __init__(
        self, source: Source, means: Means, *, should_stop: Callable[[], bool] = lambda: False
    ) -> None:
        self.source = source
        self._means = means
        self._should_stop = should_stop
        self._folder = means.data_dir / "intake"
        self._lock = SourceLock(self._folder, source.name)
        self._client: redis.Redis | None = None
        self._publisher: KafkaPublisher | None = None
        self._index: SeenIndex | None = None
        self._intake: Intake | None = None
        self._ledger: Ledger | None = None

    def __enter__(self) -> IntakeSession:
        self._lock.acquire()
        try:
            self._open()
        except BaseException:
            self._close()
            raise
        return self

    def _open(self) -> None:
        means, name = self._means, self.source.name
        self._client = redis.Redis.from_url(means.redis_url, socket_timeout=20, socket_connect_timeout=5)
        self._index = index = SeenIndex(self._client, name)
        interrupted = index.begin(uuid.uuid4().hex)
        topics = [*self.source.topics, REJECTIONS_TOPIC]
        window = catch_up(
            index, means.bootstrap, source_uri(name), topics, was_killed=interrupted is not None
        )
        self._ledger = ledger = Ledger(index, interrupted, window)
        writer = EventWriter(name, self.source.target, means.catalog.schema, means.subject_secret)
        self._publisher = KafkaPublisher(means.bootstrap, client_id=f"intake-{name}", linger_ms=10)
        self._intake = Intake(
            self.source,
            writer,
            self._publisher,
            index,
            ledger,
            self._folder / name,
            should_stop=self._should_stop,
        )

    def run_pending(
        self, progress: Progress | None = None, begin: Callable[[Portion], None] | None = None
    ) -> Iterator[Outcome]:
        """Reads everything that waits now; gives an outcome for each portion as it ends."""
        assert self._intake is not None, "use the session as a context"
        for portion in self.source.portions():
            if self._should_stop():
                return
            if begin:
                begin(portion)
            outcome = self._intake.run_portion(portion, progress)
            _log.info(
                "portion read",
                source=self.source.name,
                portion=outcome.name,
                status=outcome.status,
                read=outcome.counts.read,
                accepted=outcome.counts.accepted_total,
                repeated=outcome.counts.repeated,
                rejected=outcome.counts.rejected_total,
            )
            yield outcome
            if outcome.status == "stopped":
                return

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # With a rest of a killed intake still to be met, this end is no better than a kill.
        if kind is None and self._index is not None and self._ledger is not None and self._ledger.is_settled:
            try:
                self._index.end()
            except HubError as error:
                _log.warning("index did not take the end of the intake", error=str(error))
        self._close()

    def _close(self) -> None:
        if self._publisher is not None:
            self._publisher.close()
        if self._client is not None:
            self._client.close()
        self.source.close()
        self._lock.release()
