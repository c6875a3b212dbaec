"""The base of sinks that exchange files: settings, and the contract of ``Sink`` on top of ``FileExchange``."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from datetime import timedelta

from hub.contracts.connector_settings import ConnectorSettings, SettingsPath, setting
from hub.disclosure.exchange.files import FileExchange, FileFormat
from hub.disclosure.exchange.ledger import Ledger
from hub.disclosure.sink import Capabilities, Order, Receipt, Result, Sink, SinkContext


class FileExchangeSettings(ConnectorSettings):
    """What every sink that exchanges files has to know."""

    folder: SettingsPath = setting(
        "交换文件夹", "Folder of the exchange, seen from the folder of this file. `out` and `in` have to be in it.",
    )
    max_batch: int = setting("每批条数", "Rows of one file at most.", 500, ge=1, le=5000)
    settle_seconds: float = setting(
        "静置时间（秒）", "A receipt file must have kept its time so long before it is read.", 2.0, ge=0, le=3600
    )
    collect_seconds: float = setting("读取间隔（秒）", "How often receipt files are looked for.", 5.0, gt=0, le=3600)
    resend_hours: float = setting(
        "重发时间（小时）", "A file without an answer for so long is put there again, under the same name.", 24.0, gt=0
    )


class FileSink(Sink):
    """A sink whose channel takes files and answers by files, in the format that ``form`` gives.

    One process of the hub serves a channel: its ledger and its folder are not made for two.
    """

    def __init__(self, context: SinkContext, form: FileFormat) -> None:
        settings: FileExchangeSettings = context.settings
        self._ledger = Ledger(context.folder)
        self._exchange = FileExchange(
            context.channel, settings.folder, self._ledger, form, context.now,
            resend_after=timedelta(hours=settings.resend_hours), settle_seconds=settings.settle_seconds,
        )
        self._turn = asyncio.Lock()
        self.capabilities = Capabilities(
            max_batch=settings.max_batch, max_concurrent=1, answers_later=True,
            collect_seconds=settings.collect_seconds, max_under_way=max(10_000, settings.max_batch),
        )

    async def send(self, orders: Sequence[Order]) -> Sequence[Result]:
        async with self._turn:
            return await asyncio.to_thread(self._exchange.send, orders)

    async def collect(self) -> Sequence[tuple[str, Receipt]]:
        async with self._turn:
            return await asyncio.to_thread(self._exchange.collect)

    async def settle(self, order_ids: Collection[str]) -> None:
        await asyncio.to_thread(self._ledger.settle, order_ids)

    async def close(self) -> None:
        await asyncio.to_thread(self._ledger.close)
