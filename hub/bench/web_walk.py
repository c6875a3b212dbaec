"""People at pages: each asks for one, looks at it for some seconds with its live parts open, and goes on."""

from __future__ import annotations

import asyncio
import contextlib
import html
import random
import re
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import aiohttp

#: What was written as a page -> what a browser opens beside it.
_LIVE = re.compile(r'sse-connect="([^"]+)"')
#: Nobody waits longer; a page that takes so long is said as a fault.
_PATIENCE = aiohttp.ClientTimeout(total=60)
_FOR_EVER = aiohttp.ClientTimeout(total=None)


class Page(NamedTuple):
    """``path`` gives the address for one visit: of a page about something, another one each time."""

    name: str
    path: Callable[[random.Random], str]


@dataclass(frozen=True)
class Walker:
    """``headers`` say who it is; ``think_seconds`` is how long it looks at a page. ``has_live``: a browser, which keeps
    the live parts of its page open."""

    headers: Mapping[str, str]
    pages: Sequence[Page]
    think_seconds: float
    has_live: bool = True


class Walk:
    """Times of answers in seconds, by name of page. ``base`` is the address of the web side."""

    def __init__(self, base: str, seed: int) -> None:
        self._base, self._seed = base, seed
        self.times: dict[str, list[float]] = defaultdict(list)
        #: Live parts that were opened.
        self.streams = 0

    async def run(self, walkers: Sequence[Walker], seconds: float) -> None:
        """All at once, for so long. Raises RuntimeError for an answer that is not the page."""
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar(), timeout=_PATIENCE
        ) as session:
            until = time.monotonic() + seconds
            async with asyncio.TaskGroup() as group:
                for number, walker in enumerate(walkers):
                    group.create_task(self._walk(session, walker, random.Random(self._seed + number), until))

    async def _walk(
        self, session: aiohttp.ClientSession, walker: Walker, chance: random.Random, until: float
    ) -> None:
        # Not all in the same moment, as people are not.
        await asyncio.sleep(chance.random() * walker.think_seconds)
        pages = list(walker.pages)
        chance.shuffle(pages)
        number = 0
        while time.monotonic() < until:
            page = pages[number % len(pages)]
            number += 1
            began = time.monotonic()
            text = await self._get(session, page.path(chance), walker.headers)
            took = time.monotonic() - began
            self.times[page.name].append(took)
            live = [html.unescape(each) for each in _LIVE.findall(text)] if walker.has_live else []
            if walker.think_seconds:
                await self._look_at(session, live, walker, max(walker.think_seconds - took, 0.0))

    async def _look_at(
        self, session: aiohttp.ClientSession, live: Sequence[str], walker: Walker, seconds: float
    ) -> None:
        self.streams += len(live)
        tasks = [asyncio.create_task(self._listen(session, path, walker.headers)) for path in live]
        try:
            await asyncio.sleep(seconds)
        finally:
            await _end(tasks)

    async def _get(self, session: aiohttp.ClientSession, path: str, headers: Mapping[str, str]) -> str:
        async with session.get(self._base + path, headers=headers, allow_redirects=False) as answer:
            text = await answer.text()
            if answer.status != 200:
                raise RuntimeError(f"{path}: {answer.status} {text[:200]}")
            return text

    async def _listen(self, session: aiohttp.ClientSession, path: str, headers: Mapping[str, str]) -> None:
        async with session.get(self._base + path, headers=headers, timeout=_FOR_EVER) as answer:
            if answer.status != 200:
                raise RuntimeError(f"{path}: {answer.status}")
            async for _ in answer.content.iter_any():
                pass


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError):
            await task


def walk(work: Coroutine[Any, Any, None]) -> None:
    """Runs it to its end; of several faults at once the first is raised."""
    try:
        asyncio.run(work)
    except* RuntimeError as errors:
        raise errors.exceptions[0] from None
    except* aiohttp.ClientError as errors:
        raise RuntimeError(f"the web side does not answer: {errors.exceptions[0]!r}") from None
