"""The bench of the web side: people who wait for what they asked, and are not taken in by an answer that is no page."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web

from hub.bench.spread import spread
from hub.bench.web_pages import Things, console_pages, notice_page, portal_pages
from hub.bench.web_walk import Page, Walk, Walker, walk
from hub.web.site.console.pages import console_pages as console_part
from tests.support_console import Stage

PAGE = '<div sse-connect="/live/count?a=1&amp;b=2"></div>'


class Server:
    """Two pages and a live part; counts who asks for what, and with what cookie."""

    def __init__(self) -> None:
        self.asked, self.cookies = Counter[str](), set[str]()

    async def serve(self, use: Callable[[str], Awaitable[None]]) -> None:
        app = web.Application()
        app.router.add_get("/{tail:.*}", self._answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            await use(f"http://127.0.0.1:{runner.addresses[0][1]}")
        finally:
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.asked[request.path_qs] += 1
        self.cookies.add(request.headers.get("Cookie", ""))
        if request.path == "/gone":
            return web.Response(status=303, headers={"Location": "/sign-in"})
        if not request.path.startswith("/live"):
            return web.Response(text=PAGE)
        answer = web.StreamResponse()
        await answer.prepare(request)
        await answer.write(b"data: 1\n\n")
        await asyncio.sleep(60)
        return answer


def walked(walker: Walker, seconds: float) -> tuple[Walk, Server]:
    server, found = Server(), []

    async def use(base: str) -> None:
        found.append(Walk(base, 1))
        await found[0].run([walker], seconds)

    walk(server.serve(use))
    return found[0], server


def page(path: str) -> Page:
    return Page(path, lambda chance: path)


def test_a_person_opens_the_live_parts_of_each_page_and_leaves_them_with_it() -> None:
    done, server = walked(Walker({"Cookie": "hub-session=x"}, [page("/a"), page("/b")], 0.05), 0.4)
    visits = server.asked["/a"] + server.asked["/b"]
    assert visits == sum(map(len, done.times.values())) >= 2 and set(done.times) == {"/a", "/b"}
    # A page that is left at once may leave before its live part was asked for.
    assert done.streams == visits and 1 <= server.asked["/live/count?a=1&b=2"] <= visits
    assert server.cookies == {"hub-session=x"}


def test_a_program_opens_no_live_parts() -> None:
    done, server = walked(Walker({}, [page("/a")], 0, has_live=False), 0.05)
    assert done.streams == 0 and set(server.asked) == {"/a"}


def test_an_answer_that_is_no_page_ends_the_bench() -> None:
    with pytest.raises(RuntimeError, match="/gone: 303"):
        walked(Walker({}, [page("/gone")], 0), 0.05)


def test_a_spread_says_what_so_many_stay_below() -> None:
    found = spread(each / 1000 for each in range(100, 0, -1))
    assert (found.times, found.p50, found.p95, found.p99, found.longest) == (100, 51.0, 96.0, 100.0, 100.0)
    with pytest.raises(RuntimeError, match="nothing"):
        spread([])


def test_the_bench_walks_every_page_of_the_navigation() -> None:
    things = Things(100, None, [], [])  # type: ignore[arg-type]  # no address is asked for here
    walked_pages = {each.name for each in [*console_pages(things), *portal_pages(), notice_page(things)]}
    assert {entry.path for entry in console_part(Stage().desks()).nav} <= walked_pages
