"""Notices of one subscription, delivered to the department's endpoint as signed webhooks.

In: ``inbox.<subscription>``. Out: ``delivery.receipts.v1``, and ``delivery.dead-letters.v1`` for
what is parked.

    pending ──▶ delivered            any 2xx
       │ ▲──┐ no answer, 3xx, 408, 425, 429, 5xx: the same notice again, its subject waits
       └──▶ parked                   any other 4xx (410: the endpoint is gone), or behind a parked one
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import urlsplit

import structlog

from hub.bus.dead_letters import to_dead_letter
from hub.bus.http_client import TIMEOUT_SECONDS, HttpClient
from hub.bus.outlet import Job, OutletRunner
from hub.bus.records import Output, Record
from hub.bus.stage import Stage
from hub.contracts.catalog import Catalog
from hub.contracts.cloudevents import from_headers, to_headers
from hub.delivery.message import read_inbox, to_body, to_notice
from hub.delivery.parking import NoticeParkedError, ParkedSubjects
from hub.domain.events import Envelope, output_id
from hub.domain.retry import RetryPolicy
from hub.domain.webhook import parse_secret, sign
from hub.errors import ContractError, IndexUnavailableError
from hub.state.notice_index import Notice

RECEIPTS_TOPIC = "delivery.receipts.v1"
RECEIPT_SCHEMA = "hub/delivery-receipt"
SOURCE = "/stages/delivery"
#: Notices that could not be indexed wait for Redis here; the rest comes when the web side fills the index at its start.
MAX_UNINDEXED = 100_000
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class WebhookEndpoint:
    """Where a department listens. ``secret`` signs; ``previous_secrets`` too while it is rotated."""

    url: str = field(repr=False)
    secret: str = field(repr=False)
    previous_secrets: tuple[str, ...] = field(default=(), repr=False)
    timeout_seconds: float = TIMEOUT_SECONDS

    @property
    def address(self) -> str:
        """The address without user, password and query, which may hold secrets."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"[:500]


class NoticeWriter(Protocol):
    """The part of NoticeIndex that delivery needs. Raises IndexUnavailableError."""

    def put(self, notices: Sequence[Notice]) -> None: ...


@dataclass(frozen=True, slots=True)
class _Pending:
    fields: Mapping[str, Any]
    envelope: Envelope
    body: bytes


@dataclass(slots=True)
class _Tries:
    first_at: datetime
    count: int = 0


class DeliveryStage(Stage):
    """``handle`` for the lane of one subscription. Not thread-safe: one lane, one stage.

    ``now`` gives aware UTC, also to the signatures: the department compares it with its clock.
    Raises OutletError while the endpoint does not take a notice; other subjects go out meanwhile.
    The index is written before the first attempt, since a department may answer at once, but
    delivery never waits for Redis.
    """

    def __init__(
        self,
        subscription: str,
        endpoint: WebhookEndpoint,
        catalog: Catalog,
        now: Callable[[], datetime],
        notice_index: NoticeWriter,
        policy: RetryPolicy | None = None,
        *,
        max_concurrent: int = 16,
    ) -> None:
        self._subscription = subscription
        self._endpoint = endpoint
        self._keys = [parse_secret(text) for text in (endpoint.secret, *endpoint.previous_secrets)]
        self._catalog = catalog
        self._now = now
        self._index = notice_index
        self._receipt_schema = catalog.schema(RECEIPT_SCHEMA)
        self._client = HttpClient(now, max_connections=max_concurrent)
        self._runner: OutletRunner[_Pending] = OutletRunner(
            self._deliver, policy=policy or RetryPolicy(), max_concurrent=max_concurrent
        )
        self._parked = ParkedSubjects()
        self._tries: dict[tuple[str, int, int], _Tries] = {}
        self._unindexed: list[Notice] = []

    def handle(self, records: Sequence[Record]) -> list[list[Output]]:
        return self._runner.handle(records, self._prepare, self._put_in_index)

    def on_revoked(self, partitions: Sequence[tuple[str, int]]) -> None:
        gone = set(partitions)
        self._runner.forget(partitions)
        self._parked.forget(gone)
        self._tries = {place: tries for place, tries in self._tries.items() if place[:2] not in gone}

    def tick(self, now: datetime) -> list[list[Output]]:
        """Catches up with the index after Redis came back; writes no records."""
        if self._unindexed:
            self._put_in_index([])
        return []

    def close(self) -> None:
        self._runner.run(self._client.close())
        self._runner.close()

    def _prepare(self, record: Record) -> Job[_Pending]:
        notice = read_inbox(record, self._catalog)
        if notice["subscription"] != self._subscription:
            found = notice["subscription"]
            raise ContractError(f"a notice for {found!r} in the inbox of {self._subscription!r}")
        pending = _Pending(notice, from_headers(record.headers), to_body(notice, self._catalog))
        keys = (("subject", record.key), ("entity", notice["correlation_id"]))
        return Job(record, self._subscription, keys, pending)

    def _put_in_index(self, jobs: Sequence[Job[_Pending]]) -> None:
        notices = [*self._unindexed, *(to_notice(job.item.fields) for job in jobs)]
        try:
            self._index.put(notices)
        except IndexUnavailableError as error:
            # By id, so that a batch that comes again and again takes its place once.
            unique = {notice.notice_id: notice for notice in notices}
            self._unindexed = list(unique.values())[-MAX_UNINDEXED:]
            _log.warning(
                "delivery.index_unavailable", subscription=self._subscription, error=str(error),
                waiting=len(self._unindexed),
            )
        else:
            self._unindexed = []

    async def _deliver(self, job: Job[_Pending]) -> list[Output]:
        notice_id: str = job.item.fields["notice_id"]
        record, started_at = job.record, self._now()
        tries = self._tries.setdefault(record[:3], _Tries(first_at=started_at))
        if (blocker := self._parked.blocker(record, notice_id)) is not None:
            return self._park(job, tries, None, f"behind the parked notice {blocker} of the same subject")
        tries.count += 1
        headers = sign(self._keys, notice_id, started_at, job.item.body)
        headers["Content-Type"] = "application/json"
        if job.item.envelope.traceparent is not None:
            headers["traceparent"] = job.item.envelope.traceparent
        answer = await self._client.request(
            "POST", self._endpoint.url, body=job.item.body, headers=headers,
            timeout_seconds=self._endpoint.timeout_seconds, needs_body=False,
        )
        if not answer.is_success:
            gone = ": the endpoint is gone" if answer.status == 410 else ""
            return self._park(job, tries, answer.status, f"HTTP {answer.status}{gone}")
        self._parked.release(record)
        return [self._receipt(job, "delivered", tries, answer.status, None)]

    def _park(self, job: Job[_Pending], tries: _Tries, status: int | None, reason: str) -> list[Output]:
        self._parked.park(job.record, job.item.fields["notice_id"])
        letter = to_dead_letter(
            job.record, "delivery", NoticeParkedError(reason), attempts=tries.count,
            first_failed_at=tries.first_at, last_failed_at=self._now(),
            rule_version=job.item.fields["map_version"],
        )
        return [self._receipt(job, "parked", tries, status, reason), letter]

    def _receipt(
        self, job: Job[_Pending], outcome: str, tries: _Tries, http_status: int | None, reason: str | None
    ) -> Output:
        notice, finished_at = job.item.fields, self._now()
        receipt_id = output_id(notice["notice_id"], "receipt")
        del self._tries[job.record[:3]]
        envelope = job.item.envelope.caused(
            id=receipt_id, source=SOURCE, type=f"delivery.receipt.{outcome}", time=finished_at
        )
        value = self._receipt_schema.encode({
            "receipt_id": receipt_id,
            "notice_id": notice["notice_id"],
            "event_id": notice["event_id"],
            "event_type": notice["event_type"],
            "correlation_id": notice["correlation_id"],
            "subject": notice["subject"],
            "subscription": self._subscription,
            "department_code": notice["department_code"],
            "status": outcome,
            "attempts": tries.count,
            "http_status": http_status,
            "endpoint": self._endpoint.address,
            "reason": reason,
            "first_attempt_at": tries.first_at,
            "finished_at": finished_at,
        })
        _log.info(
            "delivery.finished", subscription=self._subscription, notice_id=notice["notice_id"],
            event_id=notice["event_id"], status=outcome, attempts=tries.count, http_status=http_status,
        )
        return Output(RECEIPTS_TOPIC, job.record.key, value, to_headers(envelope))
