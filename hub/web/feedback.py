"""``POST /v1/feedback``: a department answers a notice with the measure that it took.

The department signs its answer as the hub signs its notices (Standard Webhooks), with the secret
of its subscription. 202 is said only after Kafka has acknowledged the record. Faults come back as
``application/problem+json`` (RFC 9457): titles in Chinese for the clerk who reads them, details in
English for the engineer, ``errors`` with JSON pointers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog
from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from hub.bus.records import Output
from hub.contracts.documents import parse
from hub.delivery.answers import Answer, AnswerDesk
from hub.domain.problem import ProblemError
from hub.errors import HubError
from hub.web.body import read_body, schema_of
from hub.web.marks import open_to
from hub.web.problem import problems, respond, unavailable

SOURCE = "/web/feedback"
#: A feedback is some hundred bytes; this leaves room for a long reason in escaped Chinese.
MAX_BODY_BYTES = 65_536
_log = structlog.get_logger()


def feedback_router(publish: Callable[[Sequence[Output]], None], desk: AnswerDesk) -> APIRouter:
    """The router. ``publish`` blocks until Kafka has acknowledged; it runs in a thread, as does the desk."""
    by_signature = open_to("a department's system, by the signature of its answer")
    router = APIRouter(tags=["feedback"], dependencies=[by_signature])

    @router.post(
        "/v1/feedback",
        status_code=202,
        summary="Answer a notice",
        responses=problems(400, 401, 404, 413, 415, 422, 503),
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": schema_of(Answer)}},
            }
        },
    )
    async def receive_feedback(request: Request) -> Response:
        try:
            body = await read_body(request, MAX_BODY_BYTES)
            document = parse(body)
            signed = desk.authenticate(document.get("subscription"), request.headers, body)
            taken = await run_in_threadpool(
                desk.take, document, way="http", source=SOURCE, content=body, signed=signed
            )
            await run_in_threadpool(publish, [taken.output])
        except ProblemError as problem:
            return respond(problem, request.url.path)
        except HubError as error:
            if not error.is_retryable:
                raise
            _log.warning("feedback.unavailable", error=type(error).__name__)
            said = "the hub cannot take the answer safely right now; send it again"
            return respond(unavailable(said), request.url.path)
        _log.info("feedback.accepted", feedback_id=taken.feedback_id, notice_id=taken.notice_id)
        return JSONResponse({"feedback_id": taken.feedback_id, "status": "accepted"}, status_code=202)

    return router
