"""What every way to a department has in common: one attempt at a time for a notice, and how it ended."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from hub.delivery.receipts import Sent
from hub.errors import OutletError

#: "Gone": the endpoint is no more, and nothing else is to be sent there.
GONE = 410
#: Longer than any request: by then nothing is under way over a transport that was replaced.
CLOSE_AFTER_SECONDS = 60.0


class WithdrawnError(OutletError):
    """An attempt that the hub itself called off. It says nothing of the other side."""


class Taken(NamedTuple):
    """An answer that is final: taken, or refused for good. ``http_status`` where the way is HTTP's and ours."""

    http_status: int | None
    is_success: bool
    sent: Sent
    reason: str | None = None


class Transport(Protocol):
    """One way to one department, in one event loop. ``attempt`` raises AttemptFailedError for what may pass."""

    max_concurrent: int

    @property
    def address(self) -> str: ...

    def call_off(self) -> None:
        """Ends attempts that would last for long: their partitions go to somebody else."""

    async def prepare(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Does ahead what can be done before their turn for many notices, each as its id and its body."""

    async def attempt(self, notice_id: str, body: bytes, traceparent: str | None) -> Taken: ...

    async def close(self) -> None: ...


async def close_later(transport: Transport) -> None:
    """Closes it when what is under way has ended, or at once when this is cancelled."""
    try:
        await asyncio.sleep(CLOSE_AFTER_SECONDS)
    finally:
        await transport.close()
