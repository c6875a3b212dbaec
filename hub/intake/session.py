"""A session: lock, index and source of one intake, made together and given up together."""

from __future__ import annotations

import gc
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import redis
import structlog

from hub.bus.publisher import KafkaPublisher
from hub.contracts.catalog import Catalog
from hub.domain.facts import OWN_SYSTEM, FactRule
from hub.errors import HubError
from hub.intake.beside.readers import Beside, Readers
from hub.intake.catch_up import catch_up
from hub.intake.engine import Intake, Outcome, Progress
from hub.intake.facts.book import FactBook
from hub.intake.facts.testimony import WITNESSES_TOPIC
from hub.intake.facts.turn import FactDesk
from hub.intake.guards.pulse import Pulse
from hub.intake.identity.identities import Identities
from hub.intake.identity.register_log import RegisterFeed
from hub.intake.identity.waits import WAITS_TOPIC
from hub.intake.ledger import Ledger
from hub.intake.lock import SourceLock
from hub.intake.rows import Portion, Source
from hub.intake.sources import SourceConfig
from hub.intake.versions import REJECTIONS_TOPIC, EventWriter, source_uri
from hub.state.seen_index import SeenIndex

_log = structlog.get_logger()


#: Seconds for which a thread that computes keeps one waiting that has an answer of a broker or a database to take.
_SWITCH_SECONDS = 0.0005


def tune_interpreter() -> None:
    """For a process that does little but intake: rows hold no cycles, and looking for some among the
    thousands under way costs a tenth of the time. Nothing made so far is looked at again. Of several sources, and of
    one that is read ahead, each waits many times a batch for the interpreter: by its default for 5 ms each time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    sys.setswitchinterval(_SWITCH_SECONDS)


@dataclass(frozen=True, slots=True)
class Means:
    """What every intake stands on. ``data_dir`` is this machine's folder for locks and logs."""

    catalog: Catalog
    bootstrap: str
    redis_url: str
    data_dir: Path
    subject_secret: bytes
    #: The register of enterprises, for sources that ask it; one for the whole process.
    register: RegisterFeed | None = None
    #: Whether sources say on the log that they are alive; the topics have to be there.
    is_watched: bool = False
    #: Topics that declare when rows of two sources are one fact.
    facts: Mapping[str, FactRule] = field(default_factory=dict)
    #: Processes that read large portions; without them this one reads everything.
    readers: Readers | None = None


class IntakeSession:
    """A context: entering locks the source, takes over the index and catches it up; leaving says that
    nothing is under way. Used by one thread."""

    def __init__(
        self,
        source: Source,
        means: Means,
        *,
        config: SourceConfig | None = None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self.source = source
        self._config = config
        self._asks_register = config is not None and config.identity == "register"
        self._pulse: Pulse | None = None
        self._identities: Identities | None = None
        self._means = means
        self._should_stop = should_stop
        self._folder = means.data_dir / "intake"
        self._lock = SourceLock(self._folder, source.name)
        self._client: redis.Redis | None = None
        self._publisher: KafkaPublisher | None = None
        self._index: SeenIndex | None = None
        self._intake: Intake | None = None
        self._beside = (
            Beside(means.readers, config, means.data_dir, means.subject_secret, means.facts)
            if means.readers is not None and config is not None and hasattr(source, "reopen") else None
        )  # fmt: skip
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
        topics += [WAITS_TOPIC] if self._asks_register else []
        has_facts = not means.facts.keys().isdisjoint(self.source.topics)
        topics += [WITNESSES_TOPIC] if has_facts else []
        window = catch_up(
            index, means.bootstrap, source_uri(name), topics, was_killed=interrupted is not None
        )
        self._ledger = ledger = Ledger(index, interrupted, window)
        writer = EventWriter(name, self.source.target, means.catalog.schema, means.subject_secret)
        self._publisher = KafkaPublisher(means.bootstrap, client_id=f"intake-{name}", linger_ms=10)
        facts = self._facts(writer) if has_facts else None
        if self._asks_register:
            feed = means.register or RegisterFeed(means.bootstrap, means.catalog)
            self._identities = Identities(
                name, means.catalog, means.bootstrap, feed, writer, ledger, self._publisher, facts
            )
            self._identities.read()
        if self._config is not None and means.is_watched:
            self._pulse = Pulse(self.source, self._config, means.catalog, means.bootstrap, self._publisher)
        self._intake = Intake(
            self.source,
            writer,
            self._publisher,
            index,
            ledger,
            self._folder / name,
            gate=self._identities.gate if self._identities else None,
            facts=facts,
            on_end=self._pulse.reporter.ended if self._pulse else None,
            beside=self._beside,
            should_stop=self._should_stop,
        )

    def _facts(self, writer: EventWriter) -> FactDesk:
        means = self._means
        assert self._client is not None
        book = FactBook(self._client, self._folder, means.bootstrap, sorted(means.facts))
        way = self._config.way if self._config is not None else OWN_SYSTEM
        return FactDesk(self.source.name, means.facts, writer, book, means.catalog, way)

    def run_pending(
        self, progress: Progress | None = None, begin: Callable[[Portion], None] | None = None
    ) -> Iterator[Outcome]:
        """Reads everything that waits now; gives an outcome for each portion as it ends."""
        assert self._intake is not None, "use the session as a context"
        try:
            yield from self._run_pending(self._intake, progress, begin)
        finally:
            if self._beside is not None:
                self._beside.rest()

    def _run_pending(
        self, intake: Intake, progress: Progress | None, begin: Callable[[Portion], None] | None
    ) -> Iterator[Outcome]:
        if self._identities is not None:
            self._identities.settle()
        if self._pulse is not None:
            self._pulse.take_manifests()
        for portion in self.source.portions():
            if self._should_stop():
                return
            if self._pulse is not None:
                self._pulse.take_readings()
            if begin:
                begin(portion)
            outcome = intake.run_portion(portion, progress)
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
        if self._pulse is not None:
            self._pulse.take_readings()
            # A source on a server has fetched some meanwhile.
            self._pulse.take_manifests()
            self._pulse.reporter.looked()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # With a rest of a killed intake still to be met, this end is no better than a kill.
        if kind is None and self._index is not None and self._ledger is not None and self._ledger.is_settled:
            try:
                self._index.end()
            except HubError as error:
                _log.warning("index did not take the end of the intake", error=str(error))
        self._close()

    def _close(self) -> None:
        if self._identities is not None:
            self._identities.close()
        if self._publisher is not None:
            self._publisher.close()
        if self._client is not None:
            self._client.close()
        self.source.close()
        self._lock.release()
