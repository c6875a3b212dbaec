"""Asks the endpoints of subscriptions whether they take messages, at the rhythm that each subscription allows.

A dead endpoint is otherwise found by the first notice that it does not take, and that has a period of law. What is
sent is the test event (:mod:`hub.delivery.rehearsal`), over the address, the keys and the network that notices take.
Out: ``ops.probes.v1``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

import structlog

from hub.bus.records import Output
from hub.contracts.probes import TOPIC, OutletAnswer, answer_headers
from hub.delivery.rehearsal import Receipt
from hub.delivery.settings import SubscriptionSettings
from hub.errors import HubError

SOURCE = "/stages/delivery"
#: The first of each is asked so long after the start, those of several one after another.
FIRST_SECONDS, APART_SECONDS = 5.0, 1.0
_log = structlog.get_logger()


class Writer(Protocol):
    """The part of a publisher that is needed here."""

    def publish(self, outputs: Sequence[Output]) -> None: ...

    def close(self) -> None: ...


class OutletProbes:
    """``run`` blocks until ``stop``, which any thread may call. ``minutes`` is the rhythm by subscription; ``settings``
    gives what is in force, ``send`` asks an endpoint and raises HubError where there is nothing to ask with.

    A subscription to which nothing goes (paused, without address) is not asked, and that is said at every beat, since
    who listens may have been away. What cannot be asked, or said itself that it is gone, takes no notice either and is
    said not to. A probe that cannot be put on the log is logged: the next one tries again.
    """

    def __init__(
        self, minutes: Mapping[str, float], settings: Callable[[str], SubscriptionSettings | None],
        send: Callable[[SubscriptionSettings], Awaitable[Receipt]], publisher: Writer, now: Callable[[], datetime],
        *, first_seconds: float = FIRST_SECONDS, topic: str = TOPIC,
    ) -> None:
        self._minutes, self._settings, self._send = dict(minutes), settings, send
        self._publisher, self._now, self._first_seconds, self._topic = publisher, now, first_seconds, topic
        self._stopping = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_stopped = False

    def run(self) -> None:
        try:
            asyncio.run(self._all())
        finally:
            self._publisher.close()

    def stop(self) -> None:
        self._is_stopped = True
        if (loop := self._loop) is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._stopping.set)

    async def _all(self) -> None:
        self._loop = asyncio.get_running_loop()
        if self._is_stopped:
            return
        tasks = [
            asyncio.create_task(self._ask_again_and_again(name, minutes * 60, self._first_seconds + APART_SECONDS * n))
            for n, (name, minutes) in enumerate(sorted(self._minutes.items()))
        ]
        await self._stopping.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask_again_and_again(self, name: str, every_seconds: float, first_seconds: float) -> None:
        await asyncio.sleep(max(0.0, first_seconds))
        while True:
            began = asyncio.get_running_loop().time()
            try:
                await self.ask(name, every_seconds)
            except HubError as error:
                _log.warning("an outlet could not be probed", subscription=name, error=str(error))
            except Exception as error:  # a fault of ours must not end the others' probes
                _log.error("an outlet could not be probed", subscription=name, error=type(error).__name__)
            await asyncio.sleep(max(0.0, every_seconds - (asyncio.get_running_loop().time() - began)))

    async def ask(self, name: str, every_seconds: float) -> OutletAnswer:
        """One probe, put on record. Raises BrokerError if it cannot be."""
        answer = await self._answer(name, every_seconds)
        output = Output(self._topic, name.encode(), None, answer_headers(answer, SOURCE, self._now()), 0)
        await asyncio.to_thread(self._publisher.publish, [output])
        return answer

    async def _answer(self, name: str, every_seconds: float) -> OutletAnswer:
        current = self._settings(name)
        if current is None or current.is_paused or (current.disabled_reason is None and current.why_blocked()):
            return OutletAnswer(name, False, 0.0, every_seconds, is_asked=False)
        status, failure, seconds = None, current.disabled_reason, 0.0
        if failure is None:
            try:
                receipt = await self._send(current)
                status, seconds = receipt.status, receipt.milliseconds / 1000
                failure = None if receipt.is_taken else receipt.failure
            except HubError as error:
                failure = str(error)
        if failure is not None:
            _log.warning("an outlet does not take messages", subscription=name, status=status, error=failure)
        return OutletAnswer(name, failure is None, seconds, every_seconds)
