"""Stand-in for 甘肃省“互联网+监管”系统: takes numbered batches of acts, as the national exchange has them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from hub.sandbox.faults import FaultPlan, faults_router
from hub.sandbox.lifespan import closing
from hub.sandbox.problem import problem
from hub.sandbox.row_register import RowRegister

TABLES = frozenset({"inspection", "penalty", "coercion", "other"})
ENVELOPE = ("cd_id", "cd_time", "cd_source", "cd_batch", "cd_operation", "record_unique_identity")
MAX_ROWS = 1000


def create_provincial_system(data: Path, faults: FaultPlan) -> FastAPI:
    """The application. Its register is ``data/provincial.sqlite``; subjects of the plan are names of parties."""
    register = RowRegister(data / "provincial.sqlite")

    app = FastAPI(title="省互联网+监管系统（演示）", lifespan=closing(register))
    app.include_router(faults_router(faults))

    @app.get("/api/v1/stats")
    async def read_stats() -> dict[str, int]:
        return register.stats()

    @app.post("/api/v1/exchange/{table}/{number}")
    async def take_batch(table: str, number: str, request: Request) -> Response:
        body = await request.body()

        async def work() -> Response:
            return _carry_out(register, faults, table, number, body)

        return await faults.apply(work)

    return app


def _carry_out(register: RowRegister, faults: FaultPlan, table: str, number: str, body: bytes) -> Response:
    if table not in TABLES:
        return problem(404, "没有这张表", f"tables are {', '.join(sorted(TABLES))}")
    try:
        rows: list[dict[str, Any]] = json.loads(body)["rows"]
        is_whole = 1 <= len(rows) <= MAX_ROWS and all(
            row["cd_batch"] == number and all(isinstance(row[name], str) for name in ENVELOPE) for row in rows
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        is_whole = False
    if not is_whole:
        return problem(422, "批次不符合格式", f"1 to {MAX_ROWS} rows with {', '.join(ENVELOPE)}")
    if any(row.get("party_name") in faults.faults.breaking_subjects for row in rows):
        return problem(500, "系统异常", "one row breaks it, as the plan of faults says")
    spoiled = [row for row in rows if row.get("party_name") in faults.faults.spoiled_subjects]
    if spoiled:
        return problem(422, "批次不予受理", "one row spoils it, as the plan of faults says")
    results: list[dict[str, Any]] = []
    with register.whole():
        fault = register.note_batch(number, hashlib.sha256(body).hexdigest())
        if fault is not None:
            return problem(409, "批号重复", fault)
        for row in rows:
            refusal = "不予受理：按故障计划退回" if faults.strikes(faults.faults.refuse_record) else None
            content = {name: value for name, value in row.items() if name not in ENVELOPE}
            found = register.carry_out(number, row, {**content, "table": table}, refusal)
            if faults.strikes(faults.faults.lose_answer):
                continue
            result = {"cd_id": found.cd_id, "code": 0 if found.reason is None else 1, "message": found.reason or ""}
            results += [result, result] if faults.strikes(faults.faults.answer_twice) else [result]
    return JSONResponse({"cd_batch": number, "results": results})
