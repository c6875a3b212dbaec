"""``hub listen``: receives notices on a developer's machine, verifies them, and shows what came."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from aiohttp import web

from hub.cli.common import errors_as_sentences
from hub.delivery.handshake import EVENT_TYPE
from hub.domain.webhook import ID_HEADER, SignatureError, VerifyingKey, parse_verifier, verify
from hub.errors import InputError, UsageError

#: A notice is some kilobytes; beyond this somebody else is sending.
_MAX_BODY_BYTES = 2 * 1024 * 1024


def listen(
    key: Annotated[list[str] | None, typer.Option(help="whpk_… or whsec_…; again while one is rotated")] = None,
    key_file: Annotated[Path | None, typer.Option(help="keys from a file, one a line, instead of on the command line")]
    = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one")] = 0,
    count: Annotated[int | None, typer.Option(min=1, help="end after so many notices")] = None,
    status: Annotated[int, typer.Option(min=200, max=599, help="what notices are answered with")] = 204,
    show_body: Annotated[bool, typer.Option("--show-body", help="each notice whole, one line of JSON each")] = False,
) -> None:
    """接收并验签 / takes notices on 127.0.0.1, checks signature and time, and says which came again."""
    with errors_as_sentences():
        texts = [*(key or []), *(_lines(key_file) if key_file else [])]
        if not texts:
            raise UsageError("Name at least one --key, or a --key-file.")
        asyncio.run(_Listener([parse_verifier(text) for text in texts], status, show_body).run(port, count))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error


class _Listener:
    def __init__(self, keys: Sequence[VerifyingKey], status: int, show_body: bool) -> None:
        self._keys, self._status, self._show_body = keys, status, show_body
        self._seen: set[str] = set()
        self._left: int | None = None
        self._done = asyncio.Event()

    async def run(self, port: int, count: int | None) -> None:
        self._left = count
        app = web.Application(client_max_size=_MAX_BODY_BYTES)
        app.router.add_post("/{path:.*}", self._take)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            try:
                await web.TCPSite(runner, "127.0.0.1", port).start()
            except OSError as error:
                raise UsageError(f"Port {port} of 127.0.0.1 cannot be listened on: {error.strerror}.") from error
            loop = asyncio.get_running_loop()
            for each in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(each, self._done.set)
            typer.echo(f"监听 / listening on http://127.0.0.1:{runner.addresses[0][1]}/")
            await self._done.wait()
        finally:
            await runner.cleanup()
        typer.echo(f"共收到 / received: {len(self._seen)}")

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        message_id = request.headers.get(ID_HEADER, "")
        try:
            verify(self._keys, request.headers, body, datetime.now(UTC))
        except SignatureError as error:
            typer.echo(f"拒收 / refused\t{message_id[:64]!r}\t{error}")
            return web.json_response({"title": "签名无效", "detail": str(error)}, status=401)
        try:
            document: Any = json.loads(body)
            kind, data = str(document["type"]), document["data"]
        except (ValueError, KeyError, TypeError):
            return web.json_response({"title": "不是通知", "detail": "the body is no message"}, status=422)
        if kind == EVENT_TYPE:
            typer.echo(f"地址验证 / asked whether it agrees\t{data.get('subscription')}")
            return web.json_response({"challenge": data.get("challenge")})
        again = "重复 / again" if message_id in self._seen else ""
        typer.echo("\t".join((message_id, kind, str(data.get("subject", "")), again)).rstrip())
        if self._show_body:
            typer.echo(json.dumps(document, ensure_ascii=False))
        if 200 <= self._status < 300:
            self._seen.add(message_id)
            if self._left is not None and len(self._seen) >= self._left:
                self._done.set()
        return web.Response(status=self._status)
