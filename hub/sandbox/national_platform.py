"""Stand-in for 国家“互联网+监管”系统: distributes leads, takes claims and feedback.

It writes and reads its XML by itself, from the list of assumptions in ``connectors/lead_feed/README.md`` and not by
the connector's code: a fault of one would otherwise hide in the other.
"""

from __future__ import annotations

import hmac
from pathlib import Path
from typing import Annotated, Any
from xml.etree.ElementTree import Element, ParseError, SubElement, tostring

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring
from fastapi import FastAPI, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from hub.sandbox.faults import Fault, FaultPlan, Faults
from hub.sandbox.generate.tasks import make_tasks
from hub.sandbox.lifespan import closing
from hub.sandbox.national_book import Entry, NationalBook
from hub.sandbox.problem import problem

MAX_ANSWER_BYTES = 65_536
_STATUSES = ("认领", "反馈", "结束")


class PlatformFaults(Faults):
    """Those of every stand-in, and ``twice``: each task of a page is given twice."""

    twice: Fault = Field(default_factory=Fault)


class Wave(BaseModel):
    """Made-up tasks to distribute."""

    model_config = ConfigDict(extra="forbid")

    count: int = Field(ge=1, le=100_000)
    seed: int = 20260701


def create_national_platform(data: Path, token: str, faults: FaultPlan | None = None) -> FastAPI:
    """The application. Its book is ``data/national.sqlite``; ``token`` is what it knows the hub by."""
    plan = faults or FaultPlan(PlatformFaults())
    book = NationalBook(data / "national.sqlite")

    app = FastAPI(title="国家平台（演示）", lifespan=closing(book))
    app.state.book = book

    def is_known(request: Request) -> bool:
        given = request.headers.get("Authorization", "")
        return hmac.compare_digest(given.encode("utf-8", "replace"), f"Bearer {token}".encode())

    @app.get("/tasks")
    async def give_tasks(
        request: Request, after: Annotated[int, Query(ge=0)], limit: Annotated[int, Query(ge=1, le=1000)], region: str
    ) -> Response:
        async def work() -> Response:
            return _page(book, after, limit, is_twice=_is_twice(plan))

        return await plan.apply(work) if is_known(request) else problem(401, "令牌无效", "the token is unknown")

    @app.post("/answers")
    async def take_answer(request: Request) -> Response:
        body = await request.body()

        async def work() -> Response:
            return _take(book, request.headers.get("Idempotency-Key"), body)

        return await plan.apply(work) if is_known(request) else problem(401, "令牌无效", "the token is unknown")

    @app.post("/distribute")
    async def distribute(wave: Wave) -> dict[str, int]:
        first = sum(book.stats().get(status, 0) for status in ("分发", "退回", *_STATUSES)) + 1
        book.distribute(task.blocks for task in make_tasks(wave.seed, wave.count, first=first))
        return book.stats()

    @app.get("/answers")
    async def list_answers() -> dict[str, Any]:
        return {"answers": book.answers()}

    @app.get("/stats")
    async def read_stats() -> dict[str, int]:
        return book.stats()

    @app.get("/faults")
    async def read_faults() -> PlatformFaults:
        return PlatformFaults.model_validate(plan.faults.model_dump())

    @app.post("/faults")
    async def set_faults(wanted: PlatformFaults) -> PlatformFaults:
        plan.set(wanted)
        return await read_faults()

    return app


def _is_twice(plan: FaultPlan) -> bool:
    faults = plan.faults
    return isinstance(faults, PlatformFaults) and plan.strikes(faults.twice)


def _page(book: NationalBook, after: int, limit: int, *, is_twice: bool) -> Response:
    entries, has_more = book.page(after, limit)
    last = entries[-1].seq if entries else after
    headers = {"X-Feed-Next": str(last), "X-Feed-More": str(int(has_more))}
    return Response(_document(entries, 2 if is_twice else 1), 200, headers, "application/xml")


def _document(entries: list[Entry], times: int) -> str:
    prolog, bodies = (
        "".join(part for entry in entries for part in [getattr(entry, name)] * count)
        for name, count in (("prolog", 1), ("body", times))
    )
    return f'<?xml version="1.0" encoding="UTF-8"?>{prolog}<tasks>{bodies}</tasks>'


def _take(book: NationalBook, key: str | None, body: bytes) -> Response:
    if len(body) > MAX_ANSWER_BYTES:
        return problem(413, "内容过大", f"an answer may hold {MAX_ANSWER_BYTES} bytes")
    try:
        root: Element = fromstring(body, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError):
        return problem(400, "内容不是有效的 XML", "the body is no XML that is taken")
    given = {element.tag: element.text or "" for element in root}
    answer_id, task_no, status = (given.get(name, "") for name in ("answerId", "taskNo", "status"))
    if not answer_id or key != answer_id:
        return problem(400, "缺少幂等键", "Idempotency-Key has to be the answerId")
    if status not in _STATUSES:
        return _refusal(422, answer_id, "状态应为认领、反馈或结束")
    if status == "反馈" and given.get("feedbackSuggestion", "").startswith("退回"):
        status = "退回"
    answered = book.answer(answer_id, task_no, status, given)
    if answered is None:
        return _refusal(404, answer_id, "没有这个任务")
    return _receipt(200, answerId=answer_id, result=answered.result, reference=answered.reference)


def _refusal(status: int, answer_id: str, reason: str) -> Response:
    return _receipt(status, answerId=answer_id, result="refused", reason=reason)


def _receipt(status: int, **elements: str) -> Response:
    root = Element("answerReceipt")
    for name, text in elements.items():
        SubElement(root, name).text = text
    return Response(tostring(root, encoding="utf-8", xml_declaration=True), status, media_type="application/xml")
