"""Requests to outside systems: connections kept, no redirects followed, answers bounded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

import aiohttp

from hub.bus.outlet import AttemptFailedError
from hub.domain.retry import is_permanent, is_success, retry_after_seconds

#: More than any receipt or problem document; an answer beyond it is cut, not read into memory.
MAX_ANSWER_BYTES = 65_536
TIMEOUT_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Answer:
    """A 2xx or a refusal for good; ``body`` holds at most MAX_ANSWER_BYTES."""

    status: int
    body: bytes

    @property
    def is_success(self) -> bool:
        return is_success(self.status)


class HttpClient:
    """One session of the stage's own loop, made with the first request, kept until ``close``."""

    def __init__(self, now: Callable[[], datetime], *, max_connections: int = 32) -> None:
        self._now = now
        self._max_connections = max_connections
        self._session: aiohttp.ClientSession | None = None

    async def request(
        self,
        method: str,
        url: str,
        *,
        body: bytes,
        headers: Mapping[str, str],
        timeout_seconds: float = TIMEOUT_SECONDS,
        needs_body: bool = True,
    ) -> Answer:
        """Send ``body`` and read the answer; its body only as far as it comes unless ``needs_body``.

        Raises AttemptFailedError for everything that may pass: no answer in time, connection
        refused or cut, 3xx, 408, 425, 429, 5xx. Its text names the status or the kind of error,
        never the body, nor the address, which may carry a token.
        """
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._max_connections),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        try:
            async with self._session.request(
                method, url, data=body, headers=headers, allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=timeout_seconds),
            ) as response:
                status = response.status
                if is_success(status) or is_permanent(status):
                    return Answer(status, await _read_bounded(response, needs_all=needs_body))
                wish = retry_after_seconds(response.headers, self._now())
        except TimeoutError:
            raise AttemptFailedError(f"no answer within {timeout_seconds:g} s", is_unreachable=True) from None
        except (aiohttp.ClientError, OSError) as error:
            raise AttemptFailedError(f"no answer: {type(error).__name__}", is_unreachable=True) from None
        raise AttemptFailedError(f"HTTP status {status}", retry_after_seconds=wish)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None


async def _read_bounded(response: aiohttp.ClientResponse, *, needs_all: bool) -> bytes:
    body = bytearray()
    try:
        async for chunk in response.content.iter_chunked(16_384):
            body += chunk
            if len(body) >= MAX_ANSWER_BYTES:
                response.close()  # the rest would arrive on a connection that is used again
                break
    except (aiohttp.ClientError, TimeoutError, OSError):
        # The status has said all when the body is not needed: asking again would only repeat it.
        if needs_all:
            raise
    return bytes(body[:MAX_ANSWER_BYTES])
