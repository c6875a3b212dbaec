"""Which stand-in is the other side of a channel, by its connector, and what the file of endpoints has to say of it.

Everything of a channel is kept below a folder of its own. The sandbox knows the connectors that the hub brings along by
their names alone: what it says of a channel is what such a system would tell the hub's operator.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from fastapi import FastAPI
from fastapi.responses import FileResponse, Response
from fastapi.staticfiles import StaticFiles

from hub.sandbox.faults import FaultPlan, faults_router
from hub.sandbox.file_channel import CreditChinaChannel, FileChannel, PlatformFileChannel
from hub.sandbox.problem import problem
from hub.sandbox.provincial_system import create_provincial_system

#: Region and department, as an exchange knows who sends.
SOURCE_CODE = "623000-market"
#: How often a stand-in looks for files, and the hub for their receipts: somebody watches.
LOOK_SECONDS = 0.3


#: The connector whose channels the disclosure system serves, all of them.
PLATFORM = "collaboration-platform"
#: What the name of a channel's own server begins with, among those of departments and others.
OWN_SERVER = "channel:"
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class StandIn:
    """The other side of one channel. ``settings`` gives its entry in the file of endpoints, for the address at which
    ``app`` listens; ``page`` is the path of what a person may look at."""

    app: FastAPI
    settings: Callable[[str], dict[str, Any]]
    page: str = "/"


def create_channels(connectors: Mapping[str, str], data: Path) -> dict[str, StandIn]:
    """The stand-ins of channels (name -> connector), by the names of their servers. A channel of the disclosure system
    has none of its own; one whose connector nobody here knows is named in the log, and its orders wait."""
    found: dict[str, StandIn] = {}
    for name, connector in connectors.items():
        folder = (data / "channels" / name).resolve()
        if connector in _MAKERS:
            folder.mkdir(parents=True, exist_ok=True)
            found[f"{OWN_SERVER}{name}"] = _MAKERS[connector](folder)
        elif connector != PLATFORM:
            _log.warning("sandbox.no_stand_in", channel=name, connector=connector)
    return found


def describe_channels(
    connectors: Mapping[str, str], standins: Mapping[str, StandIn], urls: Mapping[str, str], platform: str
) -> dict[str, Any]:
    """Of each channel its ``settings`` for the file of endpoints and the ``page`` that a person may look at; ``urls``
    are by the names of servers, ``platform`` is the disclosure system's."""
    found: dict[str, Any] = {}
    for name, connector in connectors.items():
        key = f"{OWN_SERVER}{name}"
        if connector == PLATFORM:
            found[name] = {"settings": {"url": platform}, "page": f"{platform}/"}
        elif key in standins:
            found[name] = {"settings": standins[key].settings(urls[key]), "page": urls[key] + standins[key].page}
    return found


def _credit_china(folder: Path) -> StandIn:
    plan = FaultPlan()
    channel = CreditChinaChannel(folder / "exchange", folder, plan)
    return StandIn(
        _file_app("信用中国（演示）", channel, plan, channel.register.stats),
        lambda url: {**_files(folder), "source_code": SOURCE_CODE}, "/api/v1/stats",
    )


def _platform_files(folder: Path) -> StandIn:
    plan = FaultPlan()
    channel = PlatformFileChannel(folder / "exchange", folder, plan)
    app = _file_app("协管平台文件交换（演示）", channel, plan, channel.register.stats)
    return StandIn(app, lambda url: _files(folder), "/api/v1/stats")


def _files(folder: Path) -> dict[str, Any]:
    return {"folder": str(folder / "exchange"), "settle_seconds": 0.0, "collect_seconds": LOOK_SECONDS}


def _website(folder: Path) -> StandIn:
    """Serves the pages that the hub writes, as a web server of the government would: nothing is made here."""
    site = folder / "site"
    site.mkdir(exist_ok=True)
    app = FastAPI(title="政务网站（演示）", openapi_url=None)

    @app.get("/feed.xml")
    async def show_feed() -> Response:
        if not (site / "feed.xml").exists():
            return problem(404, "尚无内容", "nothing has been published yet")
        return FileResponse(site / "feed.xml", media_type="application/atom+xml")

    app.mount("/", StaticFiles(directory=site, html=True))
    return StandIn(app, lambda url: {"folder": str(site), "url": url})


def _province(folder: Path) -> StandIn:
    return StandIn(
        create_provincial_system(folder, FaultPlan()), lambda url: {"url": url, "source_code": SOURCE_CODE},
        "/api/v1/stats",
    )


_MAKERS: Mapping[str, Callable[[Path], StandIn]] = {
    "collaboration-platform-files": _platform_files,
    "credit-china": _credit_china,
    "government-website": _website,
    "provincial-uplink": _province,
}


def _file_app(title: str, channel: FileChannel, plan: FaultPlan, stats: Callable[[], dict[str, Any]]) -> FastAPI:
    """Answers batches while it lives; what it counts and its faults can be asked for."""
    turn = asyncio.Lock()

    async def answer() -> None:
        while True:
            async with turn:
                await asyncio.to_thread(channel.turn)
            await asyncio.sleep(LOOK_SECONDS)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        work = asyncio.create_task(answer())
        try:
            yield
        finally:
            async with turn:  # a batch that is being answered is answered whole
                work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await work
            channel.close()

    app = FastAPI(title=title, lifespan=lifespan)
    app.include_router(faults_router(plan))

    @app.get("/api/v1/stats")
    async def read_stats() -> dict[str, Any]:
        async with turn:
            return await asyncio.to_thread(stats)

    return app
