"""The collaboration platform by HTTP: whose word a refusal is, and what follows where it is not the platform's."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Request, Response

from connectors.collaboration_platform.wire import read_answer
from hub.disclosure import REFUSED, Answer, AttemptFailedError, BatchRefusedError, Order, Receipt, Result, Sink
from hub.sandbox.disclosure_system import create_disclosure_system
from hub.sandbox.faults import FaultPlan
from tests.support_contracts import catalog
from tests.support_served import served
from tests.support_sinks import an_order, open_sink, with_sink

PAGE = b"<html><head><title>404 Not Found</title></head><body>nginx</body></html>"
OURS = {"type": "about:blank", "title": "内容过长", "status": 413, "detail": "the record is too long"}


def body(**document: Any) -> bytes:
    return json.dumps(document).encode()


@pytest.mark.parametrize("said", [
    b"", PAGE, b"null", b"[]", b"{", body(detail="Not Found"), body(error_msg="404 Route Not Found"), body(title=7),
    body(title="  "), body(type="about:blank", status=404, detail="No static resource"),
])  # fmt: skip
def test_what_is_not_the_platforms_own_word_refuses_no_record(said: bytes) -> None:
    for status in (404, 405, 406, 410, 413, 431, 451, 499):
        with pytest.raises(AttemptFailedError) as caught:
            read_answer(Answer(status, said), "publish")
        assert str(caught.value).startswith(f"HTTP status {status} ") and not caught.value.is_unreachable


@pytest.mark.parametrize(("status", "title"), [(404, "Not Found"), (405, "method not allowed"), (410, "Gone")])
def test_a_problem_that_says_no_more_than_its_status_is_that_of_a_framework(status: int, title: str) -> None:
    with pytest.raises(AttemptFailedError):
        read_answer(Answer(status, body(title=title, status=status, detail="No static resource api.")), "publish")


@pytest.mark.parametrize(("status", "said", "reason"), [
    (413, body(**OURS), "HTTP 413: 内容过长: the record is too long"),
    (404, body(title="没有这条记录", status=404), "HTTP 404: 没有这条记录"),
    (400, PAGE, "HTTP 400"), (409, b"", "HTTP 409"), (422, body(title="内容\n不符"), "HTTP 422: 内容 不符"),
])  # fmt: skip
def test_a_refusal_is_kept_with_the_platforms_words(status: int, said: bytes, reason: str) -> None:
    for action in ("publish", "withdraw"):
        assert read_answer(Answer(status, said), action) == Receipt(REFUSED, reason=reason)


@contextmanager
def platform(folder: Path, lacking: Sequence[str]) -> Iterator[str]:
    """The platform behind a gateway that knows nothing of paths with one of these in them."""
    app: FastAPI = create_disclosure_system(folder, FaultPlan(), catalog())

    @app.middleware("http")
    async def pass_on(request: Request, call_next: Any) -> Response:
        if any(each in request.url.path for each in lacking):
            return Response(PAGE, status_code=404)
        answer: Response = await call_next(request)
        return answer

    with served(app) as url:
        yield url


def order(name: str) -> Order:
    return replace(an_order(name), channel="gsxt")


async def statuses(sink: Sink, *orders: Order) -> list[str]:
    found: Sequence[Result] = await sink.send(orders)
    return [each.status if isinstance(each, Receipt) else "" for each in found]


def test_a_gateway_without_a_way_to_the_platform_is_no_platform_without_batches(tmp_path: Path) -> None:
    lacking = ["/api/"]
    a, b = order("a"), order("b")

    async def work(sink: Sink) -> None:
        for orders in ([a, b], [a, b]):
            with pytest.raises(BatchRefusedError):
                await sink.send(orders)
        with pytest.raises(AttemptFailedError):
            await sink.send([a])
        lacking.clear()
        assert [set(await statuses(sink, a, b))] == [{"published"}]

    with platform(tmp_path, lacking) as url:
        with_sink(open_sink("collaboration-platform", tmp_path, url=url), work)


def test_a_platform_without_batches_is_asked_for_one_once(tmp_path: Path) -> None:
    a, b = order("a"), order("b")

    async def work(sink: Sink) -> None:
        for _ in range(2):
            with pytest.raises(BatchRefusedError):
                await sink.send([a, b])
            assert await statuses(sink, a) == ["published"]

    with platform(tmp_path, ["/batches"]) as url:
        with_sink(open_sink("collaboration-platform", tmp_path, url=url), work)
