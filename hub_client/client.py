"""The hub as a department's program speaks to it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

from hub_client.errors import HubClientError
from hub_client.signature import sign, verify
from hub_client.transport import Transport

#: What one request of the hub takes.
MAX_BATCH_EVENTS, MAX_BATCH_BYTES = 1000, 7 * 1024 * 1024
_BATCH = "application/cloudevents-batch+json"


@dataclass(frozen=True)
class Event:
    """One fact to hand in. ``natural_key`` names its record for ever, ``id`` this event for its sender."""

    type: str
    natural_key: str
    data: Mapping[str, Any]
    id: str | None = None
    #: The version that this is to become; the hub refuses it (409) if it would be another.
    sequence: int | None = None


@dataclass(frozen=True)
class EventResult:
    """What became of one event: ``accepted`` (safe), ``repeated`` (was safe before) or ``refused``."""

    event: Event
    status: str
    event_id: str | None = None
    version: int | None = None
    #: Of a refusal: the problem document, whose ``errors`` point into the event.
    problem: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Notice:
    """A notice as the hub handed it over. ``data`` has ``notice_id``, ``action``, ``record`` and more."""

    notice_id: str
    type: str
    data: Mapping[str, Any]


@dataclass(frozen=True)
class Batch:
    notices: tuple[Notice, ...]
    has_more: bool


@dataclass
class HubClient:
    """``token`` is the key of a source (``hubk_…``), to hand in, or the token of a subscription (``hubt_…``), to fetch
    and to read. Everything may be called again after any error: the hub knows what it took.

    All methods raise RefusedError and UnreachableError, see :mod:`hub_client.errors`.
    """

    transport: Transport = field(repr=False)

    @classmethod
    def connect(cls, base_url: str, token: str, **more: Any) -> HubClient:
        """``base_url`` is the web side, ``https://hub.example``; ``more`` as for Transport."""
        return cls(Transport(base_url, token, **more))

    # -- handing in -------------------------------------------------------------------------------

    def submit(self, source: str, events: Iterable[Event]) -> list[EventResult]:
        """Hands in, in batches; one result for each event, in its order. A refused one costs its neighbours nothing.

        When it returns, everything that is not ``refused`` is safe. ``source`` is the name in the hub's sources.
        """
        results: list[EventResult] = []
        for batch in _batches(source, events):
            body = b"[" + b",".join(content for _, content in batch) + b"]"
            # Sent again because its answer was lost, the batch gets that very answer. Handed in anew it is judged anew:
            # what was set back to an earlier content is another version, and a repeat is found by its content.
            key = str(uuid.uuid4())
            answer = self.transport.request(
                "POST", "/v1/events", body, headers={"Idempotency-Key": key}, content_type=_BATCH
            )
            for (event, _), told in zip(batch, answer.document["results"], strict=True):
                results.append(EventResult(
                    event, told["status"], told.get("event_id"), told.get("version"), told.get("problem")
                ))
        return results

    # -- fetching ---------------------------------------------------------------------------------

    def poll(
        self, subscription: str, key: str, *, acknowledge: Iterable[str] = (),
        refuse: Mapping[str, str] | None = None, most: int = 100, wait: bool = True,
    ) -> Batch:
        """First what came of earlier notices (``refuse``: id to reason), then the next ones, each verified with ``key``
        (``whpk_…`` or ``whsec_…``). Raises SignatureError; nothing of that batch is acknowledged then."""
        answer = self.transport.request("POST", f"/v1/subscriptions/{quote(subscription, safe='')}/poll", {
            "maxEvents": most, "returnImmediately": not wait, "ack": list(acknowledge),
            "setErrs": {id: {"err": "refused", "description": reason} for id, reason in (refuse or {}).items()},
        })
        notices = []
        for id, each in answer.document["sets"].items():
            document = verify(key, each["headers"], each["body"].encode())
            notices.append(Notice(id, document["type"], document["data"]))
        return Batch(tuple(notices), answer.document["moreAvailable"])

    def fetch(self, subscription: str, key: str, handle: Callable[[Notice], None], *, most: int = 100) -> int:
        """Handles and acknowledges all notices that wait; how many there were.

        A notice is acknowledged when ``handle`` has returned, so it has to be safe by then. If ``handle`` raises, those
        before it are acknowledged, it is not, and the error goes on: the notice comes again. Of one enterprise the next
        notice comes when the one before is acknowledged.
        """
        count, done = 0, list[str]()
        while True:
            batch = self.poll(subscription, key, acknowledge=done, most=most, wait=False)
            done = []
            if not batch.notices:
                return count
            try:
                for notice in batch.notices:
                    handle(notice)
                    done.append(notice.notice_id)
                    count += 1
            except Exception:
                # What cannot be acknowledged now comes again; the error of ``handle`` is the one to be seen.
                with contextlib.suppress(HubClientError):
                    self.poll(subscription, key, acknowledge=done, most=0, wait=False)
                raise

    # -- answering --------------------------------------------------------------------------------

    def answer(
        self, notice: Notice, key: str, status: str, *, measure: str | None = None, case_number: str | None = None,
        reason: str | None = None, acted_on: str | None = None,
    ) -> str:
        """Answers a notice; the id of the answer. ``status``: registered, acted, inapplicable or objected.

        ``key`` signs: the subscription's ``whsec_…``, or the department's own ``whsk_…``.
        """
        said = {
            **{name: notice.data[name] for name in
               ("notice_id", "subscription", "correlation_id", "event_id", "subject")},
            "status": status, "measure": measure, "case_number": case_number, "reason": reason, "acted_on": acted_on,
        }
        body = json.dumps({k: v for k, v in said.items() if v is not None}, ensure_ascii=False).encode()
        # The same answer has the same id, on every attempt.
        signed = sign(key, hashlib.sha256(body).hexdigest(), body)
        return str(self.transport.request("POST", "/v1/feedback", body, headers=signed).document["feedback_id"])

    # -- reading ----------------------------------------------------------------------------------

    def notices(self, *, state: str | None = None) -> Iterator[dict[str, Any]]:
        """Own notices and how they ended, the oldest first; pages are asked for as they are needed."""
        return self._pages("/v1/notices", {"state": state})

    def clocks(self, *, status: str | None = None, due_before: datetime | None = None) -> Iterator[dict[str, Any]]:
        """Own deadlines. ``due_before`` is aware."""
        moment = due_before.isoformat() if due_before is not None else None
        return self._pages("/v1/clocks", {"status": status, "due_before": moment})

    def holdings(self, *, stale: bool = False) -> Iterator[dict[str, Any]]:
        """What own subscriptions hold."""
        return self._pages("/v1/holdings", {"stale": "true" if stale else None})

    def trace(self, event_id: str) -> dict[str, Any]:
        """The way of an event that the department was sent."""
        found: dict[str, Any] = self.transport.request(
            "GET", f"/v1/events/{quote(event_id, safe='')}/trace"
        ).document
        return found

    def _pages(self, path: str, asked: Mapping[str, str | None]) -> Iterator[dict[str, Any]]:
        parameters = {name: value for name, value in asked.items() if value is not None} | {"limit": "200"}
        while True:
            page = self.transport.request("GET", f"{path}?{urlencode(parameters)}").document
            yield from page["items"]
            if page["next"] is None:
                return
            parameters["cursor"] = page["next"]


def _batches(source: str, events: Iterable[Event]) -> Iterator[list[tuple[Event, bytes]]]:
    batch: list[tuple[Event, bytes]] = []
    size = 0
    for event in events:
        content = _content(source, event)
        if batch and (len(batch) == MAX_BATCH_EVENTS or size + len(content) > MAX_BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append((event, content))
        size += len(content) + 1
    if batch:
        yield batch


def _content(source: str, event: Event) -> bytes:
    attributes: dict[str, Any] = {
        "specversion": "1.0", "id": event.id or event.natural_key, "source": f"/sources/{source}", "type": event.type,
        "naturalkey": event.natural_key, "datacontenttype": "application/json", "data": event.data,
    }
    if event.sequence is not None:
        attributes["sequence"] = str(event.sequence)
    return json.dumps(attributes, ensure_ascii=False).encode()
