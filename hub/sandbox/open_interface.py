"""Stand-in for a department's modern system: an interface that gives inspection results page by page, as JSON.

``GET /api/inspections?cursor=…&limit=…`` under ``Authorization: Bearer …``; ``POST /records`` adds records or new
versions of them, as the department's clerks would. A record stands where its last change put it: ``sequence`` only
grows, and a cursor is the sequence of the last record that was seen. The next page is told in each of the ways that
such interfaces have: ``paging.next`` (null on the last page), ``paging.sync`` with ``paging.has_more``, and a header
``Link`` with ``rel=next``.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterable
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Annotated, Any

from fastapi import Body, FastAPI, Query, Request, Response
from fastapi.responses import RedirectResponse

from hub.sandbox.faults import FaultPlan, faults_router
from hub.sandbox.generate.cases import make_inspection
from hub.sandbox.generate.departments import HEZUO_MARKET
from hub.sandbox.generate.enterprise import make_register
from hub.sandbox.problem import problem

PATH = "/api/inspections"
_MOST_LIMIT = 1000
#: Reserved for what does not exist: nobody answers there.
_ELSEWHERE = "http://elsewhere.invalid/api/inspections"


class Feed:
    """Records by number, in the order of their last change. Used by one event loop.

    ``path`` is a file of lines that keeps what was put in, so that cursors mean the same after a restart;
    ``records`` are there at the very first.
    """

    def __init__(self, records: Iterable[dict[str, Any]] = (), path: Path | None = None) -> None:
        self._records: dict[str, dict[str, Any]] = {}
        self._sequence = 0
        for record in records:
            self._add(record)
        kept = path.read_text(encoding="utf-8", errors="replace") if path is not None and path.exists() else ""
        for line in kept.splitlines():
            with suppress(ValueError):  # the line of a kill
                self._add(json.loads(line))
        self._file = path.open("a", encoding="utf-8") if path is not None else None
        if self._file is not None and kept and not kept.endswith("\n"):
            self._file.write("\n")

    def put(self, record: dict[str, Any]) -> None:
        """Adds a record, or a new version of the one with its ``number``."""
        if self._file is not None:
            self._file.write(json.dumps(record, ensure_ascii=False) + "\n")
            self._file.flush()
        self._add(record)

    def clear(self) -> None:
        """Forgets all records until the next start. Sequences go on: a cursor never comes to mean another record."""
        self._records.clear()

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            self._file.close()

    def _add(self, record: dict[str, Any]) -> None:
        self._sequence += 1
        number = str(record.get("number"))
        self._records.pop(number, None)
        self._records[number] = {**record, "sequence": self._sequence}

    def behind(self, sequence: int) -> list[dict[str, Any]]:
        """Those that changed later, oldest first."""
        return [record for record in self._records.values() if record["sequence"] > sequence]


def create_open_interface(token: str, plan: FaultPlan, feed: Feed) -> FastAPI:
    """The application. Faults of ``plan`` strike what is read, not what is added."""
    app = FastAPI(title="业务系统开放接口（沙箱）", docs_url=None, redoc_url=None)
    app.include_router(faults_router(plan))

    @app.post("/records", status_code=204)
    async def add(records: Annotated[list[dict[str, Any]], Body(max_length=100_000)]) -> None:
        for record in records:
            feed.put(record)

    @app.get(PATH)
    async def inspections(
        request: Request,
        cursor: Annotated[str, Query(max_length=30)] = "0",
        limit: Annotated[int, Query(ge=1, le=_MOST_LIMIT)] = 100,
    ) -> Response:
        given = request.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
            return problem(401, "令牌无效", "the token is not known")
        if not cursor.isdecimal():
            return problem(400, "游标无效", "the cursor is none of ours")

        async def work() -> Response:
            return _page(request, plan, feed, int(cursor), limit)

        return await plan.apply(work)

    return app


def _page(request: Request, plan: FaultPlan, feed: Feed, cursor: int, limit: int) -> Response:
    faults = plan.faults
    if plan.strikes(faults.elsewhere):
        return RedirectResponse(_ELSEWHERE)
    if cursor and plan.strikes(faults.gone):
        return problem(410, "游标已失效", "the cursor is not known any more")
    found = feed.behind(cursor)
    page, has_more = found[:limit], len(found) > limit
    last = page[-1]["sequence"] if page else cursor
    if plan.strikes(faults.stuck):
        last, has_more = cursor, True
    paging = {"next": str(last) if has_more else None, "sync": str(last), "has_more": has_more}
    text = json.dumps({"data": {"items": page}, "paging": paging}, ensure_ascii=False)
    if page and plan.strikes(faults.doubled):
        text = text.replace('{"number"', '{"number": "twice", "number"', 1)
    if plan.strikes(faults.broken):
        text = text[: len(text) // 2]
    answer = Response(text, media_type="application/json")
    if has_more:
        answer.headers["Link"] = f'<{request.url.include_query_params(cursor=last)}>; rel="next"'
    return answer


def sample_records(count: int, *, seed: int = 20260701, ends_on: date = date(2026, 6, 30)) -> list[dict[str, Any]]:
    """Made-up results of inspections, the same for the same seed."""
    rng = Random(seed)
    register = make_register(rng, max(count // 2, 1))
    return [_record(rng, register, number, ends_on) for number in range(1, count + 1)]


def _record(rng: Random, register: list[Any], number: int, ends_on: date) -> dict[str, Any]:
    case = make_inspection(rng, rng.choice(register), HEZUO_MARKET, number, ends_on - timedelta(days=rng.randrange(90)))
    inspectors: Any = case["检查人员"]
    results: Any = case["检查结果"]
    return {
        "number": case["检查编号"],
        "plan": {"number": case["抽查计划编号"], "name": case["抽查计划名称"], "task": case["抽查任务名称"]},
        "party": {
            "name": case["检查对象名称"],
            "code": case["统一社会信用代码/注册号"],
            "legal_representative": case["法定代表人"],
        },
        "item": {"name": case["抽查事项"], "code": case["事项编码"]},
        "body": case["检查机关"],
        "inspectors": [{"name": name} for name in inspectors],
        "checked_on": str(case["检查日期"]),
        "results": list(results),
        "result_on": str(case["结果形成日期"]),
        "is_public": case["是否公示"] == "是",
        "nonpublic_reason": case["不公示理由"],
        "remark": None,
    }
