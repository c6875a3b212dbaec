"""Requests to one interface: bounded in time and size, with the token, to its own origin alone."""

from __future__ import annotations

import asyncio
import email.utils
import time
from typing import NamedTuple

import aiohttp
from yarl import URL

from connectors.http_poll.settings import HttpPollSettings
from hub.intake import ContractError, InfrastructureError

#: Steps of a redirection within the interface's own origin.
_MOST_REDIRECTS = 3
#: Asked to wait longer than this, we ask again all the same: no interface is shut for ever by one header.
MOST_WAIT_SECONDS = 3600.0
#: Where a 429 does not say how long.
_WAIT_SECONDS = 30.0


class ApiError(InfrastructureError):
    """The department's interface did not answer as it should; trying again may help."""


class LaterError(ApiError):
    """It says that it is asked too often, or not now; ``seconds`` is when to come again."""

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


class GoneError(ApiError):
    """It does not know the cursor any more (410)."""


class Answer(NamedTuple):
    """An answer with status 200. ``next_link`` is the address of ``Link: <…>; rel=next``."""

    body: bytes
    next_link: str | None


class Api:
    """Used by one thread. Connections are kept between requests; ``close`` ends them and may be called twice.

    Everything raises ``ApiError``; ``ContractError`` where the token's variable is not set.
    """

    def __init__(self, settings: HttpPollSettings) -> None:
        self._settings = settings
        self._base = URL(settings.url)
        self._runner: asyncio.Runner | None = None
        self._session: aiohttp.ClientSession | None = None

    def get(self, cursor: str | None) -> Answer:
        """The page behind a cursor; for ``link`` the cursor is the page's address."""
        token = self._settings.secret("token")  # looked up each time: a variable that is missing is said as that
        if self._runner is None:
            self._runner = asyncio.Runner()
        try:
            return self._runner.run(self._get(self._address(cursor), token))
        except aiohttp.ClientError as error:
            raise ApiError(f"{self._settings.label}: {_clean(str(error) or type(error).__name__, token)}") from None
        except TimeoutError:
            raise ApiError(
                f"{self._settings.label}: no whole answer within {self._settings.request_seconds:g} s"
            ) from None
        except OSError as error:
            raise ApiError(f"{self._settings.label}: {error.strerror or error}") from None

    def close(self) -> None:
        """Ends the connections."""
        if self._runner is not None:
            if self._session is not None:
                self._runner.run(self._session.close())
                self._session = None
            self._runner.close()
            self._runner = None

    def _address(self, cursor: str | None) -> URL:
        settings = self._settings
        if settings.paging == "link" and cursor is not None:
            return self._own(URL(cursor), "the link to the page")
        found = self._base
        if settings.page_size_parameter is not None:
            found = found.update_query({settings.page_size_parameter: str(settings.page_size)})
        if cursor is not None:
            found = found.update_query({settings.cursor_parameter: cursor})
        return found

    def _own(self, url: URL, what: str) -> URL:
        """The token is for one origin: nothing that an answer says sends it elsewhere."""
        try:
            is_own = url.origin() == self._base.origin()
        except ValueError:  # no address of a host at all
            is_own = False
        if not is_own:
            raise ApiError(f"{self._settings.label}: {what} leads elsewhere, to {url.host!r}; not followed")
        return url

    async def _get(self, url: URL, token: str | None) -> Answer:
        if self._session is None:
            self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), trust_env=False)
        settings = self._settings
        headers = {"Accept": "application/json"}
        if token is not None:
            if not token.isascii() or not token.isprintable() or not token:
                raise ContractError("token: holds characters that no header can carry")
            headers[settings.token_header] = f"{settings.token_scheme} {token}".strip()
        timeout = aiohttp.ClientTimeout(total=settings.request_seconds)
        for _ in range(_MOST_REDIRECTS + 1):
            async with self._session.get(url, headers=headers, timeout=timeout, allow_redirects=False) as answer:
                if answer.status in (301, 302, 303, 307, 308):
                    try:
                        url = self._own(url.join(URL(answer.headers.get("Location", ""))), "a redirection")
                    except ValueError:
                        raise ApiError(f"{settings.label}: a redirection leads to no address") from None
                    continue
                self._expect_ok(answer, token)
                return Answer(await self._body(answer), self._next_link(answer))
        raise ApiError(f"{settings.label}: more than {_MOST_REDIRECTS} redirections")

    async def _body(self, answer: aiohttp.ClientResponse) -> bytes:
        body, most = bytearray(), self._settings.max_page_bytes
        async for piece in answer.content.iter_chunked(1 << 16):
            body += piece
            if len(body) > most:
                answer.close()
                raise ApiError(f"{self._settings.label}: the answer has more than {most} bytes (max_page_bytes)")
        return bytes(body)

    def _next_link(self, answer: aiohttp.ClientResponse) -> str | None:
        if self._settings.paging != "link":
            return None
        try:
            links = answer.links
        except ValueError:
            raise ApiError(f"{self._settings.label}: a header Link holds no address") from None
        for relation, link in links.items():
            if "next" in relation.lower().split():
                return str(self._own(URL(str(link["url"])), "the link to the next page"))
        return None

    def _expect_ok(self, answer: aiohttp.ClientResponse, token: str | None) -> None:
        status, label = answer.status, self._settings.label
        if status == 200:
            return
        if status in (429, 503):
            seconds = retry_after(answer.headers.get("Retry-After"), time.time())
            if seconds is not None or status == 429:
                wait = _WAIT_SECONDS if seconds is None else seconds
                raise LaterError(f"{label}: {status}, to be asked again in {wait:g} s", wait)
        if status == 401:
            said = "the token is not accepted (token_env)" if token else "it wants a token, and none is set (token_env)"
            raise ApiError(f"{label}: 401: 令牌无效 / {said}")
        if status == 403:
            raise ApiError(f"{label}: 403: 无权读取 / the token is known and may not read this")
        if status == 410:
            raise GoneError(f"{label}: 410: it does not know the cursor any more")
        raise ApiError(f"{label}: status {status}")


def retry_after(header: str | None, now: float) -> float | None:
    """Seconds that a header ``Retry-After`` asks for, an hour at most; ``None`` where it says nothing.
    ``now`` is seconds since 1970."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit() and len(text) < 10:
        return min(float(text), MOST_WAIT_SECONDS)
    try:
        at = email.utils.parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(at - now, 0.0), MOST_WAIT_SECONDS)


def _clean(text: str, token: str | None) -> str:
    line = (text.splitlines() or [""])[0][:300]
    return line.replace(token, "***") if token else line
