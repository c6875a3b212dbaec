"""``POST /v1/feedback``: a department answers a notice with the measure that it took.

The department signs its answer as the hub signs its notices (Standard Webhooks), with the secret
of its subscription. 202 is said only after Kafka has acknowledged the record. Faults come back as
``application/problem+json`` (RFC 9457): titles in Chinese for the clerk who reads them, details in
English for the engineer, ``errors`` with JSON pointers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, Literal, Protocol

import structlog
from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from hub.bus.records import Output
from hub.contracts.catalog import Catalog
from hub.contracts.cloudevents import to_headers
from hub.domain.events import Envelope, new_traceparent, output_id
from hub.domain.recall import effect_of
from hub.domain.webhook import SIGNATURE_HEADER, TIMESTAMP_HEADER, SignatureError, parse_verifier, verify
from hub.errors import ContractError, HubError
from hub.state.notice_index import Notice
from hub.web.body import parse, read_body, schema_of, validated
from hub.web.problem import ProblemError, fault, problems, unavailable

FEEDBACK_TOPIC = "discipline.feedback.v1"
FEEDBACK_SCHEMA = "hub/discipline-feedback"
SOURCE = "/web/feedback"
#: A feedback is some hundred bytes; this leaves room for a long reason in escaped Chinese.
MAX_BODY_BYTES = 65_536
#: The measure of a notice that takes back an earlier one: what was restricted is free again.
LIFT_MEASURE = "解除限制"
_log = structlog.get_logger()


class NoticeReader(Protocol):
    """The part of NoticeIndex that feedback needs. Raises IndexUnavailableError."""

    def get(self, notice_id: str) -> Notice | None: ...


class Feedback(BaseModel):
    """What a department answers. Unknown names are refused: a slip of the pen would be lost silently."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    notice_id: str = Field(min_length=1, max_length=36)
    subscription: str = Field(min_length=1, max_length=100)
    correlation_id: str = Field(min_length=1, max_length=36)
    event_id: str = Field(min_length=1, max_length=36)
    subject: str = Field(min_length=1, max_length=200)
    status: Literal["registered", "acted", "inapplicable", "objected"]
    measure: str | None = Field(default=None, max_length=50)
    case_number: str | None = Field(default=None, max_length=128)
    reason: str | None = Field(default=None, max_length=2000)
    acted_on: date | None = None


def feedback_router(
    publish: Callable[[Sequence[Output]], None],
    catalog: Catalog,
    notice_index: NoticeReader,
    secrets: Callable[[str], Sequence[str]],
    now: Callable[[], datetime],
) -> APIRouter:
    """The router. ``publish`` blocks until Kafka has acknowledged; it runs in a thread, as does the index.

    ``secrets`` gives what answers of each subscription are verified with, ``whsec_`` secrets and
    ``whpk_`` public keys, and is read at every request, so that a rotated one counts at once.
    ``now`` gives aware UTC.
    """
    router = APIRouter(tags=["feedback"])
    schema = catalog.schema(FEEDBACK_SCHEMA)

    @router.post(
        "/v1/feedback",
        status_code=202,
        summary="Answer a notice",
        responses=problems(400, 401, 404, 413, 415, 422, 503),
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": schema_of(Feedback)}},
            }
        },
    )
    async def receive_feedback(request: Request) -> Response:
        try:
            body = await read_body(request, MAX_BODY_BYTES)
            document = parse(body)
            message_id = _authenticate(document, secrets, request.headers, body, now())
            feedback = validated(Feedback, document)
            found = await run_in_threadpool(notice_index.get, feedback.notice_id)
            notice = check_answer(feedback, found)
            received_at = now()
            feedback_id = output_id(notice.notice_id, f"feedback:{feedback.status}")
            value = schema.encode({
                "feedback_id": feedback_id,
                **feedback.model_dump(),
                "department_code": notice.department_code,
                "action": notice.action,
                "way": "http",
                # As it came, with what was signed: the department cannot deny it, and nobody can alter it unseen.
                "content": body,
                "signed_as": message_id,
                "signed_at": datetime.fromtimestamp(int(request.headers[TIMESTAMP_HEADER]), UTC),
                "signature": request.headers[SIGNATURE_HEADER],
                "received_at": received_at,
            })
            envelope = Envelope(
                id=feedback_id, source=SOURCE, type=f"discipline.feedback.{feedback.status}",
                subject=notice.subject, time=received_at, correlation_id=notice.correlation_id,
                causation_id=notice.notice_id, traceparent=new_traceparent(notice.event_id),
            )
            output = Output(FEEDBACK_TOPIC, notice.subject.encode(), value, to_headers(envelope))
            await run_in_threadpool(publish, [output])
        except ProblemError as problem:
            return problem.response(request.url.path)
        except ContractError as error:
            # What no check above foresees but the schema refuses is still the sender's to repair.
            return ProblemError(422, "unfit-content", "内容不符合格式", str(error)).response(request.url.path)
        except HubError as error:
            if not error.is_retryable:
                raise
            _log.warning("feedback.unavailable", error=type(error).__name__)
            said = "the hub cannot take the answer safely right now; send it again"
            return unavailable(said).response(request.url.path)
        _log.info("feedback.accepted", feedback_id=feedback_id, notice_id=notice.notice_id)
        return JSONResponse({"feedback_id": feedback_id, "status": "accepted"}, status_code=202)

    return router


def _authenticate(
    document: Mapping[str, Any],
    secrets: Callable[[str], Sequence[str]],
    headers: Mapping[str, str],
    body: bytes,
    now: datetime,
) -> str:
    """The message id that is signed."""
    name = document.get("subscription")
    # An unknown subscription fails like a wrong signature: nobody learns which ones exist.
    keys = [parse_verifier(text) for text in secrets(name)] if isinstance(name, str) else []
    try:
        return verify(keys, headers, body, now)
    except SignatureError as error:
        raise ProblemError(401, "unauthenticated", "签名无效", str(error)) from None


def check_answer(feedback: Feedback, notice: Notice | None) -> Notice:
    """The notice, if ``feedback`` answers it; otherwise raises ProblemError.

    A notice of another subscription is as unknown as none. A measure has to be one that the
    notice named: departments act on the list of measures in force, not beyond it.
    """
    if notice is None or notice.subscription != feedback.subscription:
        raise ProblemError(404, "unknown-notice", "未找到该通知",
                           "no notice of this subscription has this id", [fault(("notice_id",), "unknown")])
    faults = [
        fault((name,), "differs from the notice")
        for name in ("subject", "correlation_id", "event_id")
        if getattr(feedback, name) != getattr(notice, name)
    ]
    if feedback.status == "acted":
        if not feedback.measure:
            faults.append(fault(("measure",), "已采取措施的须填写措施 (acted needs a measure)"))
        elif not _is_expected(feedback.measure, notice):
            faults.append(fault(("measure",), "措施不在通知所列范围内 (not a measure that the notice names)"))
    elif feedback.status in ("inapplicable", "objected") and not feedback.reason:
        faults.append(fault(("reason",), f"不适用或有异议的须说明理由 ({feedback.status} needs a reason)"))
    if faults:
        raise ProblemError(422, "invalid", "反馈与通知不符", "the answer does not fit the notice", faults)
    return notice


def _is_expected(measure: str, notice: Notice) -> bool:
    is_recall = (notice.action or effect_of(notice.event_type)) == "lift"
    return measure in notice.expected_measures or (is_recall and measure == LIFT_MEASURE)
