"""Stand-in for a department that subscribes: takes notices, acts on them, answers with the measure.

It verifies and signs with the ``standardwebhooks`` library rather than with the hub's own code, so
that a notice that gets through shows that any department's program could take it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel, ValidationError
from standardwebhooks import Webhook, WebhookVerificationError

from hub.domain.events import derive_id
from hub.sandbox.faults import FaultPlan, faults_router
from hub.sandbox.feedback_sender import FeedbackSender
from hub.sandbox.notice_book import NoticeBook
from hub.sandbox.pages import SHANGHAI, templates
from hub.sandbox.problem import problem

#: The answer of the hub's rules to a notice that takes back an earlier one.
LIFT_MEASURE = "解除限制"
STATUS_TITLES = {"acted": "已采取措施", "inapplicable": "不适用", "objected": "有异议", "registered": "已登记"}
STATE_TITLES = {"pending": "待送达", "answered": "已送达", "refused": "被退回"}
#: The message by which the hub asks whether who listens here wants what comes.
VERIFICATION = "hub.endpoint.verification"
#: A test event, which holds nothing to act on.
TEST = "hub.endpoint.test"
#: Of a thousand notices: so many meet an objection, and so many more do not apply.
_OBJECTED, _INAPPLICABLE = 20, 60
_INAPPLICABLE_REASONS = (
    "经核查，该企业未在本部门办理过相关业务，无可限制事项",
    "该企业已办理注销登记，措施不适用",
    "该企业不属于本部门管理权限范围",
)
_OBJECTED_REASONS = (
    "该企业已提出行政复议，待复议决定作出后再行处理",
    "企业反映列入事由已整改完毕，请核实是否应予移出",
)


class NoticeData(BaseModel):
    """What a department needs of a notice's ``data``; the rest is kept as it came."""

    notice_id: str
    event_id: str
    event_type: str
    action: str = "apply"
    correlation_id: str
    subject: str
    subscription: str
    sequence: int
    expected_measures: list[str]
    record: dict[str, Any]


class NoticeBody(BaseModel):
    """``{type, timestamp, data}`` of Standard Webhooks."""

    type: str
    timestamp: datetime
    data: NoticeData


def answer_notice(notice: NoticeData, received_at: datetime) -> dict[str, Any]:
    """The feedback on a notice. A function of the notice's id, but for ``acted_on``, the day it came.

    About 92 in 100 are acted on with the first expected measure, 6 do not apply and 2 meet an
    objection. A notice that takes back an earlier one is always followed.
    """
    draw = int.from_bytes(hashlib.sha256(notice.notice_id.encode()).digest()[:8], "big")
    place = draw % 1000
    status, measure, reason = "acted", None, None
    if notice.action == "lift":
        measure = LIFT_MEASURE
    elif place < _OBJECTED:
        status, reason = "objected", _OBJECTED_REASONS[draw // 1000 % len(_OBJECTED_REASONS)]
    elif place < _OBJECTED + _INAPPLICABLE:
        status, reason = "inapplicable", _INAPPLICABLE_REASONS[draw // 1000 % len(_INAPPLICABLE_REASONS)]
    elif notice.expected_measures:
        measure = notice.expected_measures[0]
    else:
        # Nothing was asked for, so nothing can have been done beyond taking note.
        status = "registered"
    day = received_at.astimezone(SHANGHAI).date()
    is_acted = status == "acted"
    return {
        "notice_id": notice.notice_id,
        "subscription": notice.subscription,
        "correlation_id": notice.correlation_id,
        "event_id": notice.event_id,
        "subject": notice.subject,
        "status": status,
        "measure": measure,
        "case_number": f"惩戒〔{day.year}〕{draw // 1000 % 1_000_000:06d}号" if is_acted else None,
        "reason": reason,
        "acted_on": day.isoformat() if is_acted else None,
    }


def create_department(
    name: str, subscription: str, secret: str, feedback_url: str, data: Path, faults: FaultPlan
) -> FastAPI:
    """The application of one department for one subscription.

    ``name`` is shown to people, ``secret`` (``whsec_…``) verifies notices and signs answers. The book
    is ``data/department-<subscription>.sqlite``; answers that were not taken go out after a restart.
    """
    book = NoticeBook(data / f"department-{subscription}.sqlite")
    webhook = Webhook(secret)
    senders: list[FeedbackSender] = []

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        sender = FeedbackSender(book, subscription, secret, feedback_url)
        sender.start()
        senders.append(sender)
        try:
            yield
        finally:
            senders.clear()
            await sender.stop()
            book.close()

    app = FastAPI(title=f"{name}（演示）", lifespan=lifespan)
    app.include_router(faults_router(faults))

    @app.post("/hook", status_code=204)
    async def take_notice(request: Request) -> Response:
        body = await request.body()

        async def work() -> Response:
            answer = _take(book, webhook, subscription, dict(request.headers), body)
            for sender in senders:
                sender.wake()
            return answer

        return await faults.apply(work)

    @app.get("/stats")
    async def read_stats() -> dict[str, Any]:
        return book.stats()

    @app.get("/api/v1/notices")
    async def list_notices(subject: str | None = None) -> dict[str, Any]:
        return {"notices": book.notices(subject)}

    @app.get("/", response_class=HTMLResponse)
    async def show_notices(request: Request, subject: str = "") -> Response:
        return templates.TemplateResponse(request, "department.html", {
            "name": name, "subscription": subscription, "subject": subject, "stats": book.stats(),
            "notices": book.notices(subject.strip() or None),
            "status_titles": STATUS_TITLES, "state_titles": STATE_TITLES,
        })

    return app


def _take(
    book: NoticeBook, webhook: Webhook, subscription: str, headers: dict[str, str], body: bytes
) -> Response:
    try:
        # ValueError: the library lets through what its parsing of a malformed header or body raises.
        webhook.verify(body, headers, json_parse=False)
    except (WebhookVerificationError, ValueError):
        return problem(401, "签名无效", "the signature does not prove that the hub sent this")
    webhook_id = headers["webhook-id"]
    if book.is_repeat(webhook_id):
        return Response(status_code=204)
    try:
        document = json.loads(body)
        if isinstance(document, dict) and document.get("type") == VERIFICATION:
            return JSONResponse({"challenge": document["data"]["challenge"]})
        if isinstance(document, dict) and document.get("type") == TEST:
            return Response(status_code=204)
        notice = NoticeBody.model_validate(document).data
    except (ValidationError, ValueError, KeyError, TypeError, RecursionError):
        return problem(422, "通知格式不符", "the body is not a notice")
    if notice.subscription != subscription:
        return problem(422, "订阅不符", "the notice is for another subscription")
    feedback = answer_notice(notice, datetime.now(SHANGHAI))
    feedback_id = derive_id("feedback", notice.notice_id, feedback["status"])
    book.add(webhook_id, document["data"], feedback_id, feedback)
    return Response(status_code=204)
