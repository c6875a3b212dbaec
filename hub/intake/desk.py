"""The desk of one HTTP source: what is handed in becomes events, each version once, whoever asks when.

Requests wait in a queue; one thread takes those that wait, numbers and publishes them together, and
answers once all in-sync replicas have them. While it does so it has the source's turn
(``SourceLease``), so that no other process numbers versions of the source. The turn is given back as
soon as nobody waits, and after a moment in any case. Who had it last finds the index as he left it and
goes on; anybody else brings it up to the end of the log first.
"""

from __future__ import annotations

import queue
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Literal, NamedTuple

import redis
import structlog

from hub.bus.clients import MAX_VALUE_BYTES
from hub.bus.publisher import Publisher
from hub.bus.records import Output
from hub.contracts.catalog import Catalog
from hub.domain.events import event_id
from hub.domain.problem import ProblemError
from hub.errors import (
    ContractError,
    HubError,
    IndexUnavailableError,
    InfrastructureError,
    InputError,
)
from hub.intake.answers_kept import Answer, Asked, KeptAnswers
from hub.intake.catch_up import SETTLE_SECONDS, catch_up
from hub.intake.lease import SourceLease
from hub.intake.submissions import Submission
from hub.intake.versions import EventWriter, Identified, source_uri, utc_now
from hub.state.seen_index import SeenIndex, SeenRow

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
_log = structlog.get_logger()


class DeskMeans(NamedTuple):
    """What every desk stands on. ``data_dir`` is this machine's folder for locks."""

    catalog: Catalog
    bootstrap: str
    client: redis.Redis
    data_dir: Path
    secret: bytes
    publisher: Publisher


class Taken(NamedTuple):
    """What became of an event: its id on the log and its version. ``type`` is that of the event that was
    published, ``None`` of a repeat."""

    status: Literal["accepted", "repeated"]
    event_id: str
    version: int
    type: str | None = None


Result = Taken | ProblemError
Finish = Callable[[Sequence[Result]], Answer]


class _Job(NamedTuple):
    submissions: Sequence[Submission]
    finish: Finish
    asked: Asked | None
    future: Future[Answer]


class SourceDesk:
    """``run`` in a thread of its own; ``submit`` from any. ``heard`` is told when something was handed in.
    ``schemas`` maps the topics that the source
    writes to, to the names of their schemas."""

    def __init__(
        self, source: str, schemas: Mapping[str, str], means: DeskMeans, heard: Callable[[], None] = lambda: None
    ) -> None:
        self._heard = heard
        self._source, self._topics, self._means = source, sorted(schemas), means
        self._writer = EventWriter(source, lambda kind: (kind, schemas[kind]), means.catalog.schema, means.secret)
        self._lease = SourceLease(means.client, means.data_dir / "intake", source)
        self._index = SeenIndex(means.client, source)
        self._answers = KeptAnswers(means.client, source)
        self._is_known = False
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
            if jobs:
                self._hold(jobs)
        self._refuse(self._next(), InfrastructureError("The hub is being stopped."))

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
            return
        until, was_full = time.monotonic() + _HOLD_SECONDS, False
        try:
            self._open()
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
        if self._is_known:
            try:
                self._index.enter("http")
            except IndexUnavailableError:
                self._is_known = False
            else:
                return
        if self._index.begin(uuid.uuid4().hex) is not None:
            # Its last owner was killed: what it had in its sockets is on the log after this, or never.
            time.sleep(SETTLE_SECONDS)
        catch_up(
            self._index, self._means.bootstrap, source_uri(self._source), self._topics, was_killed=False
        )
        self._index.enter("http")
        self._is_known = True

    def _take(self, jobs: list[_Job]) -> None:
        self._lease.keep()
        todo = [job for job in jobs if job.future.set_running_or_notify_cancel() and not self._replay(job)]
        keyed = [[self._writer.identify(each.row) for each in job.submissions] for job in todo]
        keys = list(dict.fromkeys(item.key for items in keyed for item in items))
        known = {key: row for key, row in zip(keys, self._index.lookup(keys), strict=True) if row is not None}
        rows: dict[bytes, SeenRow] = {}
        outputs: list[Output] = []
        results: list[list[Result]] = []
        for job, items in zip(todo, keyed, strict=True):
            results.append([
                self._decide(submission, item, known, rows, outputs)
                for submission, item in zip(job.submissions, items, strict=True)
            ])
        failure: IndexUnavailableError | None = None
        if outputs:
            ticket = self._means.publisher.publish_async(outputs)
            ticket.wait()
            try:
                self._index.write(rows, ticket.next_offsets)
            except IndexUnavailableError as error:
                failure = error  # they are safe all the same
        for job, found in zip(todo, results, strict=True):
            answer = job.finish(found)
            if job.asked is not None and answer.status < 400:
                self._answers.put(job.asked, answer)
            job.future.set_result(answer)
        self._heard()
        if failure is not None:
            raise failure

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

    def _decide(
        self, submission: Submission, item: Identified, known: dict[bytes, SeenRow], rows: dict[bytes, SeenRow],
        outputs: list[Output],
    ) -> Result:
        row, natural, key, _ = item
        before = known.get(key)
        if not row.state_type:
            if before is None:
                return ProblemError(409, "nothing-to-amend", "没有可更正的记录", "no version of this record is known")
            row = row._replace(state_type=before.state)
        # The state counts as content: a withdrawal says the same of the fact, and yet something else.
        digest = self._writer.identify(row._replace(value={**row.value, "\x00state": row.state_type})).digest
        is_repeat = before is not None and before.digest == digest
        version = (before.version if before else 0) + (not is_repeat)
        if submission.sequence not in (None, version):
            said = f"this would be version {version}, not {submission.sequence}"
            return ProblemError(409, "version-conflict", "版本冲突", said)
        if is_repeat:
            return Taken("repeated", event_id(self._writer.uri, natural, version), version)
        try:
            output, after = self._writer.event(Identified(row, natural, key, digest), before, utc_now())
        except (ContractError, InputError) as error:
            return ProblemError(422, "invalid", "内容未通过校验", str(error))
        if len(output.value or b"") > MAX_VALUE_BYTES:
            return ProblemError(413, "too-large", "内容过大", "the record is larger than the log takes")
        known[key] = rows[key] = after
        outputs.append(output)
        published = row.state_type if before is None or before.state != row.state_type else row.amended_type
        return Taken("accepted", event_id(self._writer.uri, natural, version), version, published)
