"""Stand-in for 国家企业信用信息公示系统（甘肃） and 信用中国（甘肃）: takes orders, shows them to the public.

It is the other side of ``hub.disclosure`` and keeps to what such a system has to keep to: an order
is carried out once, an older version never replaces a newer one, and no ID card number gets in.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hub.contracts.catalog import Catalog
from hub.domain.identifiers import is_id_card, is_uscc
from hub.sandbox.faults import FaultPlan, faults_router
from hub.sandbox.labels import describe, kinds_in_order, section_title
from hub.sandbox.lifespan import closing
from hub.sandbox.pages import templates
from hub.sandbox.problem import problem
from hub.sandbox.register import CHANNELS, Action, Order, Register

#: Far above any record; beyond it somebody sends what is no record.
MAX_BODY_BYTES = 1_048_576
#: Records of one batch, and of one page of what is public.
MAX_BATCH = 100
#: 18 characters of the form of an ID card number that do not stand inside a longer number.
_ID_LIKE = re.compile(r"(?<![0-9A-Z])\d{17}[0-9X](?![0-9A-Z])")


class OrderBody(BaseModel):
    """The JSON of one order, as the hub sends it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    order_id: str = Field(min_length=1, max_length=100)
    channel: str
    action: Action
    sequence: int = Field(ge=0)
    kind: str = Field(min_length=1, max_length=100)
    subject: str = Field(min_length=1, max_length=200)
    content: dict[str, Any]
    reason: str | None = Field(default=None, max_length=2000)
    publish_until: str | None = Field(default=None, pattern=r"^\d{4}-\d{2}-\d{2}$")
    is_reissued: bool = False


class BatchedOrder(OrderBody):
    """One order of a batch: alone it is known by its address."""

    correlation_id: str = Field(min_length=1, max_length=100)


def holds_id_number(value: object) -> bool:
    """Whether an ID card number with a right check character stands anywhere in a JSON value."""
    return any(
        is_id_card(found) and not is_uscc(found)
        for text in _texts(value)
        for found in _ID_LIKE.findall(unicodedata.normalize("NFKC", text).upper())
    )


def _texts(value: object) -> Iterator[str]:
    match value:
        case dict():
            for name, item in value.items():
                yield str(name)
                yield from _texts(item)
        case list():
            for item in value:
                yield from _texts(item)
        case str():
            yield value
        case int() | float():
            yield str(value)


def create_disclosure_system(data: Path, faults: FaultPlan, catalog: Catalog | None = None) -> FastAPI:
    """The application. Its register is ``data/disclosure.sqlite``; ``catalog`` gives Chinese titles."""
    register = Register(data / "disclosure.sqlite")

    app = FastAPI(title="公示系统（演示）", lifespan=closing(register))
    app.include_router(faults_router(faults))

    @app.put("/api/v1/records/{correlation_id}")
    async def take_order(correlation_id: str, request: Request) -> Response:
        body = await request.body()

        async def work() -> Response:
            return _carry_out(register, faults, correlation_id, request.headers.get("Idempotency-Key"), body)

        return await faults.apply(work)

    @app.post("/api/v1/batches")
    async def take_batch(request: Request) -> Response:
        body = await request.body()

        async def work() -> Response:
            return _carry_out_batch(register, faults, body)

        return await faults.apply(work)

    @app.get("/api/v1/publications")
    async def list_publications(
        channel: str, after: str = "", limit: Annotated[int, Query(ge=1, le=MAX_BATCH)] = MAX_BATCH
    ) -> Response:
        async def work() -> Response:
            records = register.publications(channel, after, limit)
            following = records[-1]["correlation_id"] if len(records) == limit else None
            return JSONResponse({"records": records, "next": following})

        return await faults.apply(work)

    @app.get("/api/v1/records")
    async def list_records(subject: str | None = None, channel: str | None = None) -> dict[str, Any]:
        return {"records": register.records(subject, channel)}

    @app.get("/api/v1/records/{channel}/{correlation_id}")
    async def read_record(channel: str, correlation_id: str) -> Response:
        record = register.find(channel, correlation_id)
        if record is None:
            return problem(404, "未公示", "there is no such record on this channel")
        if record["status"] == "withdrawn":
            return problem(
                410, "已撤下", record["withdrawn_because"] or "the record was withdrawn",
                withdrawn_at=record["updated_at"], reason=record["withdrawn_because"],
            )
        return JSONResponse(record)

    @app.get("/records/{channel}/{correlation_id}", response_class=HTMLResponse)
    async def show_record(request: Request, channel: str, correlation_id: str) -> Response:
        channel, record = _known(channel), register.find(_known(channel), correlation_id)
        is_gone = record is not None and record["status"] == "withdrawn"
        lines = describe(record["kind"], record["content"] or {}, catalog) if record is not None else []
        return templates.TemplateResponse(request, "record.html", {
            "channel": channel, "channels": CHANNELS, "record": record, "is_gone": is_gone, "lines": lines,
            "section": section_title(record["kind"]) if record is not None else "",
        }, status_code=404 if record is None else 410 if is_gone else 200)

    @app.get("/api/v1/stats")
    async def read_stats() -> dict[str, int]:
        return register.stats()

    @app.get("/", response_class=HTMLResponse)
    async def show_search(
        request: Request, q: Annotated[str, Query(max_length=200)] = "", channel: str = "gsxt"
    ) -> Response:
        channel, text = _known(channel), unicodedata.normalize("NFKC", q).strip()
        counts = register.counts(channel)
        return templates.TemplateResponse(request, "search.html", {
            "channel": channel, "channels": CHANNELS, "q": q, "found": register.search(text, channel),
            "total": sum(counts.values()),
            "counts": [(section_title(kind), counts[kind]) for kind in kinds_in_order(list(counts))],
        })

    @app.get("/enterprise/{subject}", response_class=HTMLResponse)
    async def show_enterprise(request: Request, subject: str, channel: str = "gsxt") -> Response:
        channel = _known(channel)
        everywhere = register.records(subject)
        records = [record for record in everywhere if record["channel"] == channel]
        sections = [
            (section_title(kind), [
                (record, describe(kind, record["content"], catalog))
                for record in records if record["kind"] == kind
            ])
            for kind in kinds_in_order([record["kind"] for record in records])
        ]
        return templates.TemplateResponse(request, "enterprise.html", {
            "channel": channel, "channels": CHANNELS, "subject": subject, "sections": sections,
            "head": records[0]["content"] if records else {},
            "elsewhere": sorted({record["channel"] for record in everywhere} - {channel}),
        }, status_code=200 if records else 404)

    return app


def _known(channel: str) -> str:
    return channel if channel in CHANNELS else "gsxt"


def _carry_out(
    register: Register, faults: FaultPlan, correlation_id: str, key: str | None, body: bytes
) -> Response:
    if len(body) > MAX_BODY_BYTES:
        return problem(413, "内容过大", f"a record may hold {MAX_BODY_BYTES} bytes")
    try:
        document = json.loads(body.decode())
        order = OrderBody.model_validate(document)
    except ValidationError as error:
        # Neither the document nor its values are quoted: they may be what must not be seen.
        places = ", ".join("/".join(map(str, item["loc"])) for item in error.errors(include_input=False)[:5])
        return problem(422, "内容不符合格式", f"missing or wrong: {places}")
    except (ValueError, RecursionError):
        return problem(400, "内容不是有效的 JSON", "the body is not JSON in UTF-8")
    if key != order.order_id:
        return problem(400, "缺少幂等键", "Idempotency-Key has to be the order_id")
    return _judge(register, faults, correlation_id, order)


def _carry_out_batch(register: Register, faults: FaultPlan, body: bytes) -> Response:
    """Each record by itself, each with an answer of its own; what is wrong with the batch refuses all of it."""
    if len(body) > MAX_BATCH * MAX_BODY_BYTES:
        return problem(413, "内容过大", "the batch is too large")
    try:
        given = json.loads(body)["records"]
        orders = [BatchedOrder.model_validate(each) for each in given]
    except (ValueError, KeyError, TypeError, RecursionError):
        return problem(422, "内容不符合格式", "a batch is a list of records, each with its correlation_id")
    if not 1 <= len(orders) <= MAX_BATCH or len({order.order_id for order in orders}) < len(orders):
        return problem(422, "批次不符合要求", f"1 to {MAX_BATCH} orders, each once")
    if any(order.subject in faults.faults.spoiled_subjects for order in orders):
        return problem(422, "批次不予受理", "one record spoils it, as the plan of faults says")
    if any(order.subject in faults.faults.breaking_subjects for order in orders):
        return problem(500, "系统异常", "one record breaks it, as the plan of faults says")
    answers: list[dict[str, Any]] = []
    for order in orders:
        response = _judge(register, faults, order.correlation_id, order)
        document = json.loads(bytes(response.body))
        found = document if "receipt" in document else {"problem": document}
        answer = {"order_id": order.order_id, "status": response.status_code, **found}
        if faults.strikes(faults.faults.lose_answer):
            continue
        answers += [answer, answer] if faults.strikes(faults.faults.answer_twice) else [answer]
    return JSONResponse({"answers": answers})


def _judge(register: Register, faults: FaultPlan, correlation_id: str, order: OrderBody) -> Response:
    if order.subject in faults.faults.breaking_subjects:
        return problem(500, "系统异常", "one record breaks it, as the plan of faults says")
    # An order that was carried out is not refused when it comes again.
    is_new = not register.knows(order.order_id)
    is_refused = is_new and order.action != "withdraw" and faults.strikes(faults.faults.refuse_record)
    if is_refused or (is_new and order.subject in faults.faults.spoiled_subjects):
        register.note_refusal(order.order_id, "fault")
        return problem(422, "不予受理", "refused, as the plan of faults says")
    if order.channel not in CHANNELS:
        return problem(422, "渠道不存在", "channel is gsxt or creditchina")
    if holds_id_number([order.subject, order.content]):
        register.note_refusal(order.order_id, "id-number")
        return problem(422, "含有身份证号码，不予公示", "an ID card number must not reach the public")
    receipt, is_first = register.carry_out(Order(
        order_id=order.order_id, correlation_id=correlation_id, channel=order.channel, action=order.action,
        sequence=order.sequence, kind=order.kind, subject=order.subject, content=order.content, reason=order.reason,
        publish_until=order.publish_until, is_reissued=order.is_reissued,
    ))
    return JSONResponse({"receipt": receipt}, status_code=201 if is_first else 200)
