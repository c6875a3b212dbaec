"""``GET /v1/notices``, ``/v1/clocks``, ``/v1/holdings`` and the trace of an event: what a caller may read of its own.

It shows itself by a token. What is not its own is answered like what is not there (404), so that nothing is learnt by
guessing ids. Lists come in pages: ``limit``, an opaque ``cursor``, ``Link: <…>; rel="next"``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlencode

import structlog
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse

from hub.domain.plain import to_plain
from hub.domain.problem import ProblemError, fault
from hub.errors import HubError
from hub.ops.notices import NoticeState
from hub.ops.trace import Step, seen_by
from hub.web import readers
from hub.web.cursor import MAX_LENGTH, Cursors
from hub.web.marks import open_to
from hub.web.pages_description import CLOCK, HOLDING, LINK, NOTICE, TRACE, page_of
from hub.web.problem import problems, respond, route_of, unavailable
from hub.web.readers import Caller, Callers, ClockLine, Position, Readers

MAX_LIMIT, DEFAULT_LIMIT = 200, 50
T = TypeVar("T")
Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="items of a page")]
Cursor = Annotated[str | None, Query(max_length=MAX_LENGTH, description="where the next page begins, as it was given")]
NoticeStates = Literal["waiting", "parked", "delivered", "expired", "superseded", "dropped"]
ClockStatuses = Literal["open", "awaiting", "running", "suspended", "met", "met_late", "cancelled", "expired"]
_log = structlog.get_logger()


def pages_router(
    found: Readers, callers: Callers, cursors: Cursors, titles: Mapping[str, str], now: Callable[[], datetime],
    used: Callable[[str], None] = lambda key_id: None,
) -> APIRouter:
    """The router. ``titles`` are those of clock rules; readers block and are asked in threads. ``used`` is told of
    each use of a key that is good for what is asked."""
    by_token = open_to("a department's system, by its token hubt_ or key huba_")
    router = APIRouter(prefix="/v1", tags=["reading"], dependencies=[by_token])

    def caller_of(request: Request, scope: str) -> Caller:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        caller = callers.find(token.strip()) if scheme.lower() == "bearer" else None
        if caller is None:
            raise ProblemError(
                401, "unauthenticated", "令牌无效", "a valid token is needed", headers={"WWW-Authenticate": "Bearer"}
            )
        if scope not in caller.scopes:
            raise ProblemError(403, "forbidden", "令牌无此权限", f"the token is not good for {scope}")
        if caller.key_id is not None:
            used(caller.key_id)
        return caller

    def answer(request: Request, work: Callable[[], Response]) -> Response:
        try:
            _check_parameters(request)
            return work()
        except ProblemError as problem:
            return respond(problem, request.url.path)
        except HubError as error:
            if not error.is_retryable:
                raise
            _log.warning("pages.unavailable", route=route_of(request), error=type(error).__name__)
            return respond(unavailable("the hub cannot tell right now; try again"), request.url.path)

    def paged(
        request: Request, caller: Caller, limit: int, cursor: str | None, asked: Mapping[str, object],
        page: Callable[[Position | None, int], Sequence[T]], position: Callable[[T], Position],
        shown: Callable[[T], dict[str, Any]],
    ) -> Response:
        question = {"path": request.url.path, "caller": caller.name, **asked}
        items = page(cursors.read(cursor, question) if cursor is not None else None, limit + 1)
        is_last = len(items) <= limit
        following = None if is_last else cursors.write(position(items[limit - 1]), question)
        headers = {}
        if following is not None:
            kept = [(name, value) for name, value in request.query_params.items() if name != "cursor"]
            headers["Link"] = f'<{request.url.path}?{urlencode([*kept, ("cursor", following)])}>; rel="next"'
        shown_items = [to_plain(shown(each)) for each in items[:limit]]
        return JSONResponse({"items": shown_items, "next": following}, headers=headers)

    @router.get("/notices", summary="Own notices and how they ended", responses=_listed(NOTICE))
    def notices(
        request: Request, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None,
        state: Annotated[NoticeStates | None, Query(description="where they stand")] = None,
    ) -> Response:
        def work() -> Response:
            caller = caller_of(request, readers.NOTICES)
            own = None if caller.sees_all else caller.subscriptions
            return paged(
                request, caller, limit, cursor, {"state": state},
                lambda after, most: found.notices.page(own, after, most, state=state),
                readers.notice_position, _notice,
            )

        return answer(request, work)

    @router.get("/notices/{notice_id}", summary="One notice", responses=_one(NOTICE))
    def notice(request: Request, notice_id: str) -> Response:
        def work() -> Response:
            caller = caller_of(request, readers.NOTICES)
            each = found.notices.get(notice_id, None if caller.sees_all else caller.subscriptions)
            # Asked twice on purpose: a reader that forgets whom it reads for shows nothing.
            if each is None or not caller.has(each.subscription):
                raise _unknown("notice")
            return JSONResponse(to_plain(_notice(each)))

        return answer(request, work)

    @router.get("/clocks", summary="Own deadlines", responses=_listed(CLOCK))
    def clocks(
        request: Request, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None,
        status: Annotated[ClockStatuses | None, Query(description="open: running or suspended")] = None,
        due_before: Annotated[datetime | None, Query(description="a moment with its zone, RFC 3339")] = None,
    ) -> Response:
        def work() -> Response:
            caller = caller_of(request, readers.CLOCKS)
            if due_before is not None and due_before.utcoffset() is None:
                raise _unfit("due_before", "a moment needs its zone, e.g. 2026-03-02T00:00:00+08:00")
            own = None if caller.sees_all else caller.department
            return paged(
                request, caller, limit, cursor,
                {"status": status, "due_before": due_before and due_before.isoformat()},
                lambda after, most: found.clocks.page(own, after, most, status=status, due_before=due_before),
                readers.clock_position, lambda each: _clock(each, titles, now()),
            )

        return answer(request, work)

    @router.get("/clocks/{clock_id}", summary="One deadline", responses=_one(CLOCK))
    def clock(request: Request, clock_id: str) -> Response:
        def work() -> Response:
            caller = caller_of(request, readers.CLOCKS)
            each = found.clocks.get(clock_id, None if caller.sees_all else caller.department)
            if each is None or not (caller.sees_all or each.owner_department == caller.department):
                raise _unknown("clock")
            return JSONResponse(to_plain(_clock(each, titles, now())))

        return answer(request, work)

    @router.get("/holdings", summary="What own subscriptions hold", responses=_listed(HOLDING))
    def holdings(
        request: Request, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None,
        stale: Annotated[bool, Query(description="only what was corrected or taken back since")] = False,
    ) -> Response:
        def work() -> Response:
            caller = caller_of(request, readers.HOLDINGS)
            own = None if caller.sees_all else caller.subscriptions
            return paged(
                request, caller, limit, cursor, {"stale": stale},
                lambda after, most: found.holdings.page(own, after, most, only_stale=stale),
                readers.holding_position, lambda each: each.as_dict(),
            )

        return answer(request, work)

    @router.get("/events/{event_id}/trace", summary="The way of an event to the caller", responses=_one(TRACE))
    def trace(request: Request, event_id: str) -> Response:
        def work() -> Response:
            caller = caller_of(request, readers.TRACE)
            subject = None
            if not caller.sees_all:
                own = found.notices.of_event(event_id, caller.subscriptions)
                if own is None:
                    raise _unknown("event")
                subject = own.subject
            steps = list(found.traces.of(event_id, subject))
            if not caller.sees_all:
                steps = list(seen_by(steps, caller.department, caller.subscriptions))
            if not steps:
                raise _unknown("event")
            return JSONResponse({
                "event_id": event_id, "correlation_id": steps[0].correlation_id,
                "steps": [to_plain(_step(each)) for each in steps],
            })

        return answer(request, work)

    return router


def _notice(each: NoticeState) -> dict[str, Any]:
    return each._asdict() | {"answers": [answer._asdict() for answer in each.answers]}


def _clock(each: ClockLine, titles: Mapping[str, str], now: datetime) -> dict[str, Any]:
    return {
        "clock_id": each.clock_id, "rule": each.rule, "title": titles.get(each.rule, each.rule),
        "subject": each.subject, "correlation_id": each.correlation_id, "target": each.target,
        "department": each.owner_department, "status": str(each.status), "due_on": each.due_on,
        "due_at": each.due_at, "is_provisional": each.is_provisional,
        "is_overdue": each.is_open and each.due_at is not None and each.due_at <= now,
        "met_at": each.met_at, "breached_at": each.breached_at,
    }


def _step(each: Step) -> dict[str, Any]:
    return {"at": each.at, "topic": each.topic, "type": each.type, "id": each.id, "what": each.what}


def _check_parameters(request: Request) -> None:
    """A filter with a slip of the pen would be passed over, and the answer taken for the filtered one."""
    known = {each.alias for each in request.scope["route"].dependant.query_params}
    for name in request.query_params:
        if name not in known:
            raise _unfit(name, f"unknown; known are {', '.join(sorted(known)) or 'none'}")
    for name in known:
        if len(request.query_params.getlist(name)) > 1:
            raise _unfit(name, "given more than once")


def _unfit(name: str, said: str) -> ProblemError:
    return ProblemError(422, "invalid", "内容未通过校验", "parameters are missing or wrong", [fault((name,), said)])


def _unknown(what: str) -> ProblemError:
    return ProblemError(404, f"unknown-{what}", "未找到", f"there is no such {what}, or it is not yours")


def _listed(item: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    content = {"application/json": {"schema": page_of(item)}}
    return {200: {"description": "A page", "content": content, "headers": LINK}, **problems(400, 401, 403, 422, 503)}


def _one(item: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    content = {"application/json": {"schema": item}}
    return {200: {"description": "Found", "content": content}, **problems(401, 403, 404, 422, 503)}
