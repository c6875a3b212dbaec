"""``POST /v1/events``: a department's system hands in facts, as CloudEvents 1.0 over HTTP.

One event in structured or binary mode, up to 1,000 in a batch. It shows itself by the key of its source
(``Authorization: Bearer hubk_…``). 202 is said only after all in-sync replicas have every event that the
answer calls accepted. Of a batch each event has its own result; a bad one costs its neighbours nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from datetime import datetime
from typing import NamedTuple, Protocol

import structlog
from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from hub.contracts.cloudevents_http import (
    Incoming,
    Mode,
    Unreadable,
    mode_of,
    read_batch,
    read_binary,
    read_structured,
)
from hub.domain.plain import to_json
from hub.domain.problem import Fault, ProblemError, fault
from hub.errors import HubError, InfrastructureError
from hub.intake.answers_kept import Answer, Asked, asked
from hub.intake.desk import Finish
from hub.intake.desk_round import Result
from hub.intake.http_sources import HttpSource, matching
from hub.intake.results import shown, single_answer
from hub.intake.submissions import Receiver, Submission
from hub.web.events_description import DESCRIPTION
from hub.web.marks import open_to
from hub.web.problem import problems, respond, unavailable
from hub.web.source_auth import Keys, source_of

PATH = "/v1/events"
MAX_EVENT_BYTES, MAX_BATCH_BYTES = 1024 * 1024, 8 * 1024 * 1024
#: Below what proxies commonly allow a request.
WAIT_SECONDS = 25.0
_log = structlog.get_logger()


class Desk(Protocol):
    """The part of SourceDesk that the web side needs."""

    def submit(
        self, submissions: Sequence[Submission], finish: Finish, asked: Asked | None = None
    ) -> Future[Answer]: ...


class Entrance(NamedTuple):
    """One source that may hand in."""

    source: HttpSource
    receiver: Receiver
    desk: Desk


class _Read(NamedTuple):
    """A request taken apart: each event with its caller's id, those to be taken apart from those refused."""

    ids: list[str | None]
    events: list[Submission | ProblemError]


def events_router(
    keys: Keys, entrances: Mapping[str, Entrance], topics: Mapping[str, str], now: Callable[[], datetime],
    *, wait_seconds: float = WAIT_SECONDS,
) -> APIRouter:
    """The router. ``topics`` maps the event types that are departments' facts to their topics."""
    router = APIRouter(tags=["events"], dependencies=[open_to("a source's system, by its key hubk_")])

    sources = {name: entrance.source for name, entrance in entrances.items()}

    def authenticate(request: Request) -> tuple[Entrance, frozenset[str]]:
        source, key = source_of(request, keys, sources, now())
        return entrances[source.name], matching(key.events, topics) & matching(source.events, topics)

    async def take(request: Request) -> Response:
        entrance, allowed = authenticate(request)
        key = _idempotency_key(request)
        mode = mode_of(
            request.headers.get("content-type", ""), any(name.startswith("ce-") for name in request.headers)
        )
        body = await _read_body(request, MAX_BATCH_BYTES if mode == "batch" else MAX_EVENT_BYTES)
        headers = request.headers.items()
        read = await run_in_threadpool(_read, mode, headers, body, entrance.receiver, allowed)
        taken = [event for event in read.events if isinstance(event, Submission)]
        shape = _batch_answer if mode == "batch" else _single_answer

        def finish(results: Sequence[Result]) -> Answer:
            found = iter(results)
            every = [next(found) if isinstance(event, Submission) else event for event in read.events]
            return shape(read, every)

        if not taken:
            return _respond(finish([]))
        attributes = repr(sorted(each for each in headers if each[0].startswith("ce-"))).encode()
        kept = asked(key, mode.encode(), attributes, body) if key is not None else None
        answer = await _waited(entrance.desk.submit(taken, finish, kept), wait_seconds)
        _log.info("events.answered", source=entrance.source.name, status=answer.status, events=len(taken))
        return _respond(answer)

    @router.post(
        PATH, status_code=202, summary="Hand in facts (CloudEvents 1.0)",
        responses={**DESCRIPTION.responses, **problems(400, 401, 403, 409, 413, 415, 422, 503)},
        openapi_extra=DESCRIPTION.request,
    )
    async def receive_events(request: Request) -> Response:
        try:
            return await take(request)
        except ProblemError as problem:
            return respond(problem, PATH)
        except HubError as error:
            if not error.is_retryable:
                raise
            _log.warning("events.unavailable", error=type(error).__name__, reason=str(error))
            return respond(unavailable("the hub cannot take events safely right now; send them again"), PATH)

    return router


async def _waited(future: Future[Answer], seconds: float) -> Answer:
    """Raises InfrastructureError if nothing came of it in time; what still waited then is not taken at all."""
    try:
        return await asyncio.wait_for(asyncio.wrap_future(future), seconds)
    except TimeoutError:
        raise InfrastructureError("Kafka did not acknowledge in time.") from None


def _read(
    mode: Mode, headers: Sequence[tuple[str, str]], body: bytes, receiver: Receiver, allowed: frozenset[str]
) -> _Read:
    if mode == "batch":
        found = read_batch(body)
    elif mode == "binary":
        found = [read_binary(headers, body)]
    else:
        found = [read_structured(body)]
    events: list[Submission | ProblemError] = []
    for each in found:
        try:
            events.append(receiver.read(each, allowed) if isinstance(each, Incoming) else each.problem)
        except ProblemError as problem:
            events.append(problem)
    return _Read([each.id if isinstance(each, Unreadable) else each.attributes["id"] for each in found], events)


def _single_answer(read: _Read, results: Sequence[Result]) -> Answer:
    (result,), (event,), (id_,) = results, read.events, read.ids
    return single_answer(id_, result, _warnings(event), PATH)


def _batch_answer(read: _Read, results: Sequence[Result]) -> Answer:
    counts = {"accepted": 0, "waiting": 0, "witness": 0, "repeated": 0, "refused": 0}
    told = []
    for number, (result, event, id_) in enumerate(zip(results, read.events, read.ids, strict=True)):
        if isinstance(result, ProblemError):
            counts["refused"] += 1
            problem = result.document(f"{PATH}#/{number}")
            told.append({"index": number, "id": id_, "status": "refused", "problem": problem})
        else:
            counts[result.status] += 1
            told.append({"index": number, **shown(id_, result, _warnings(event))})
    if counts["refused"]:
        status, word = 207, "partial" if counts["refused"] < len(told) else "refused"
    elif counts["repeated"] < len(told):
        status, word = 202, "accepted"
    else:
        status, word = 200, "repeated" if told else "empty"
    return Answer(status, to_json({"status": word, **counts, "results": told}))


def _warnings(event: Submission | ProblemError) -> Sequence[Fault]:
    return event.warnings if isinstance(event, Submission) else ()


def _respond(answer: Answer) -> Response:
    media_type = "application/problem+json" if answer.status >= 400 else "application/json"
    headers = {"Idempotency-Replayed": "true"} if answer.is_replayed else None
    return Response(answer.body, answer.status, headers, media_type)


def _idempotency_key(request: Request) -> str | None:
    found = request.headers.getlist("idempotency-key")
    if not found:
        return None
    key = found[0].strip().removeprefix('"').removesuffix('"')
    if len(found) > 1 or not key or len(key) > 255 or not (key.isascii() and key.isprintable()):
        said = "one Idempotency-Key of 1 to 255 printable ASCII characters"
        raise ProblemError(400, "malformed", "幂等键不合规", said, [fault(("Idempotency-Key",), said)])
    return key


async def _read_body(request: Request, most: int) -> bytes:
    """At most ``most`` bytes. Raises ProblemError 413, 415 for a body that is packed."""
    if request.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise ProblemError(415, "unsupported-media-type", "内容类型不受支持", "the body may not be packed")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise ProblemError(413, "too-large", "内容过大", f"the body may hold {most} bytes")
    return bytes(body)
