"""The desk of one HTTP source: what is handed in becomes events, each version once, whoever asks when.

Requests wait in a queue; one thread takes those that wait, numbers and publishes them together, and
answers once all in-sync replicas have them. While it does so it has the source's turn
(``SourceLease``), so that no other process numbers versions of the source. The turn is given back as
soon as nobody waits, and after a moment in any case. Who had it last finds the index as he left it and
goes on; anybody else brings it up to the end of the log first.

Where the source asks the register, what people decide of its records is done here too, in the same turns.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

import redis
import structlog

from hub.bus.publisher import Publisher
from hub.contracts.catalog import Catalog
from hub.domain.facts import OWN_SYSTEM, FactRule, Way
from hub.domain.problem import ProblemError
from hub.errors import HubError, IndexUnavailableError, InfrastructureError
from hub.intake.answers_kept import Answer, Asked, KeptAnswers
from hub.intake.catch_up import Window, catch_up, is_as_left, take_over
from hub.intake.desk_round import Result, Round
from hub.intake.facts.book import FactBook
from hub.intake.facts.testimony import WITNESSES_TOPIC
from hub.intake.facts.turn import FactDesk, Turn
from hub.intake.identity.identities import Identities
from hub.intake.identity.register_log import RegisterFeed
from hub.intake.identity.waits import WAITS_TOPIC
from hub.intake.lease import SourceLease
from hub.intake.ledger import Ledger
from hub.intake.submissions import Submission
from hub.intake.versions import REJECTIONS_TOPIC, EventWriter, source_uri
from hub.state.seen_index import SeenIndex

#: Requests that may wait; more are told to come again.
MOST_WAITING = 200
#: So long a turn lasts while others wait in this process; another process waits no longer than this.
_HOLD_SECONDS = 0.5
#: Behind a full turn another process gets a chance.
_BREATH_SECONDS = 0.03
_PATIENCE_SECONDS = 15.0
#: Events that are numbered and published together.
_ROUND = 2000
#: A round that has lasted so long waits for Kafka: who comes now is told so at once.
_STUCK_SECONDS = 10.0
#: What people decided could not be done: it is tried again after this.
_AGAIN_SECONDS = 5.0
_INDEX_WORD = "http"
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class DeskMeans:
    """What every desk stands on. ``data_dir`` is this machine's folder for locks."""

    catalog: Catalog
    bootstrap: str
    client: redis.Redis
    data_dir: Path
    secret: bytes
    publisher: Publisher
    #: The register of enterprises, for sources that ask it; one for the whole process.
    register: RegisterFeed | None = None
    #: Topics that declare when rows of two sources are one fact.
    facts: Mapping[str, FactRule] = field(default_factory=dict)


Finish = Callable[[Sequence[Result]], Answer]


class _Job(NamedTuple):
    submissions: Sequence[Submission]
    finish: Finish
    asked: Asked | None
    future: Future[Answer]


class SourceDesk:
    """``run`` in a thread of its own; ``submit`` from any. ``heard`` is told when something was handed in.
    ``schemas`` maps the topics that the source writes to, to the names of their schemas. ``asks_register``: whose a
    record without a valid code is, is asked of the register of enterprises. ``way``: by which it reports."""

    def __init__(
        self, source: str, schemas: Mapping[str, str], means: DeskMeans, heard: Callable[[], None] = lambda: None,
        *, asks_register: bool = False, way: Way = OWN_SYSTEM,
    ) -> None:
        self._heard = heard
        self._source, self._means, self._asks_register = source, means, asks_register
        has_facts = not means.facts.keys().isdisjoint(schemas)
        self._topics = [
            *sorted(schemas), *([WAITS_TOPIC, REJECTIONS_TOPIC] if asks_register else ()),
            *([WITNESSES_TOPIC] if has_facts else ()),
        ]
        self._writer = EventWriter(source, lambda kind: (kind, schemas[kind]), means.catalog.schema, means.secret)
        self._lease = SourceLease(means.client, means.data_dir / "intake", source)
        self._index = SeenIndex(means.client, source)
        self._answers = KeptAnswers(means.client, source)
        self._is_known = False
        self._facts: FactDesk | None = None
        if has_facts:
            book = FactBook(
                means.client, means.data_dir / "intake", means.bootstrap, sorted(means.facts), _PATIENCE_SECONDS
            )
            self._facts = FactDesk(source, means.facts, self._writer, book, means.catalog, way)
        self._identities: Identities | None = None
        #: When decisions are looked after next; what was decided while nobody ran waits for the first turn.
        self._settle_at = 0.0 if asks_register else float("inf")
        self._waiting: queue.Queue[_Job] = queue.Queue()
        self._deferred: list[_Job] = []
        self._round_since: float | None = None
        self._stopping = threading.Event()

    def submit(self, submissions: Sequence[Submission], finish: Finish, asked: Asked | None = None) -> Future[Answer]:
        """The answer that ``finish`` makes of the results, in the order of ``submissions``.

        The future fails with ProblemError for a key that was used for something else, and with an
        InfrastructureError where Kafka or Redis did not answer. One that was cancelled while it waited
        leaves no trace. Raises InfrastructureError at once where it is of no use to wait.
        """
        since = self._round_since
        if self._stopping.is_set() or self._waiting.qsize() >= MOST_WAITING:
            raise InfrastructureError("Too many requests of this source wait.")
        if since is not None and time.monotonic() - since > _STUCK_SECONDS:
            raise InfrastructureError("Kafka or Redis does not answer at the moment.")
        job = _Job(submissions, finish, asked, Future())
        self._waiting.put(job)
        return job.future

    def run(self) -> None:
        while not self._stopping.is_set() or not self._waiting.empty():
            jobs = self._next(wait_seconds=0.2)
            if jobs or self._has_to_settle():
                self._hold(jobs)
        self._refuse(self._next(), InfrastructureError("The hub is being stopped."))
        if self._identities is not None:
            self._identities.close()

    def stop(self) -> None:
        self._stopping.set()

    def _next(self, wait_seconds: float = 0.0) -> list[_Job]:
        """What waits, up to a round's size; of two under the same key the second comes later."""
        jobs: list[_Job] = []
        count, keys = 0, set[str]()
        candidates, self._deferred = self._deferred, []
        while count < _ROUND:
            try:
                job = candidates.pop(0) if candidates else self._waiting.get(wait_seconds > 0, wait_seconds or None)
            except queue.Empty:
                break
            wait_seconds = 0.0
            if job.asked is not None and job.asked.key in keys:
                self._deferred.append(job)
                continue
            if job.asked is not None:
                keys.add(job.asked.key)
            jobs.append(job)
            count += len(job.submissions)
        self._deferred += candidates
        return jobs

    def _hold(self, jobs: list[_Job]) -> None:
        self._round_since = time.monotonic()
        try:
            self._lease.acquire(_PATIENCE_SECONDS)
        except (HubError, OSError) as error:
            self._refuse(jobs, error)
            self._round_since = None
            self._try_again(error)
            return
        until, was_full = time.monotonic() + _HOLD_SECONDS, False
        try:
            self._open()
            self._settle()
            while jobs:
                self._round_since = time.monotonic()
                self._take(jobs)
                was_full = time.monotonic() > until
                jobs = [] if was_full else self._next()
            self._index.end()
        except Exception as error:
            # What is on the log and not in the index is found by the next turn.
            self._is_known = False
            if not isinstance(error, HubError):
                _log.exception("desk failed", source=self._source)
            self._refuse(jobs, error)
            self._try_again(error)
        finally:
            self._round_since = None
            self._lease.release()
        if was_full:
            time.sleep(_BREATH_SECONDS)

    def _refuse(self, jobs: Sequence[_Job], error: Exception) -> None:
        for job in jobs:
            if not job.future.done() and (job.future.running() or job.future.set_running_or_notify_cancel()):
                job.future.set_exception(error)

    def _open(self) -> None:
        """Takes the index over. Nobody having written to it since is the usual case."""
        if self._is_known and is_as_left(self._index, _INDEX_WORD):
            return
        self._is_known = False
        uri = source_uri(self._source)
        take_over(self._index, _INDEX_WORD, partial(
            catch_up, self._index, self._means.bootstrap, uri, self._topics, was_killed=False
        ))
        if self._asks_register:
            self._identified().read()
        self._is_known = True

    def _identified(self) -> Identities:
        if self._identities is None:
            means = self._means
            ledger = Ledger(self._index, None, Window({}, {}))
            feed = means.register or RegisterFeed(means.bootstrap, means.catalog)
            self._identities = Identities(
                self._source, means.catalog, means.bootstrap, feed, self._writer, ledger, means.publisher,
                self._facts,
            )
        return self._identities

    def _has_to_settle(self) -> bool:
        """Whether people have decided something; other than requests nobody waits for it."""
        if self._identities is not None and self._settle_at == float("inf") and self._identities.hears():
            self._settle_at = 0.0
        return time.monotonic() >= self._settle_at

    def _settle(self) -> None:
        if self._identities is not None:
            self._lease.keep()
            self._identities.settle()
            self._settle_at = float("inf")

    def _try_again(self, error: Exception) -> None:
        if self._asks_register:
            _log.warning("what people decided cannot be done; trying again", source=self._source, error=str(error))
            self._settle_at = time.monotonic() + _AGAIN_SECONDS

    def _take(self, jobs: list[_Job]) -> None:
        self._lease.keep()
        todo = [job for job in jobs if job.future.set_running_or_notify_cancel() and not self._replay(job)]
        keyed = [[self._writer.identify(each.row) for each in job.submissions] for job in todo]
        keys = list(dict.fromkeys(item.key for items in keyed for item in items))
        known = {key: row for key, row in zip(keys, self._index.lookup(keys), strict=True) if row is not None}
        turn = None
        if self._facts is not None:
            turn = self._facts.turn([item for items in keyed for item in items], known)
        round_ = Round(self._writer, known, turn, self._identities.gate if self._identities is not None else None)
        failure, offsets = None, None
        try:
            results = [
                [round_.decide(submission, item) for submission, item in zip(job.submissions, items, strict=True)]
                for job, items in zip(todo, keyed, strict=True)
            ]
            offsets = self._publish(round_, turn)
            if offsets:
                self._index.write(round_.rows, offsets)
        except IndexUnavailableError as error:
            if offsets is None:
                raise
            failure = error  # they are safe all the same
        finally:
            if turn is not None:
                failure = _closed(turn, offsets) or failure
        for job, found in zip(todo, results, strict=True):
            answer = job.finish(found)
            if job.asked is not None and answer.status < 400:
                self._answers.put(job.asked, answer)
            job.future.set_result(answer)
        self._heard()
        if failure is not None:
            raise failure

    def _publish(self, round_: Round, turn: Turn | None) -> dict[tuple[str, int], int]:
        """Returns when all in-sync replicas have it, with the offsets behind it."""
        if not round_.outputs:
            return {}
        if turn is not None:
            self._lease.keep()  # the turn of facts may have been waited for
            turn.keep()
        ticket = self._means.publisher.publish_async(round_.outputs)
        ticket.wait()
        return ticket.next_offsets

    def _replay(self, job: _Job) -> bool:
        """Whether the job was answered as it was before."""
        if job.asked is None:
            return False
        try:
            answer = self._answers.get(job.asked)
        except ProblemError as problem:
            job.future.set_exception(problem)
            return True
        except redis.RedisError as error:
            raise IndexUnavailableError(f"Redis did not answer: {error}") from error
        if answer is not None:
            job.future.set_result(answer)
        return answer is not None


def _closed(turn: Turn, offsets: dict[tuple[str, int], int] | None) -> IndexUnavailableError | None:
    """Ends the turn; what Redis did not take is on the log, and found by the next turn."""
    try:
        turn.close(offsets)
    except IndexUnavailableError as error:
        return error
    return None
