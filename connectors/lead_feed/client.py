"""One page of the feed by HTTP: bounded in time and size, no redirects, no proxy, nothing secret in any word."""

from __future__ import annotations

import time
from email.message import Message
from http.client import HTTPException
from typing import IO, Any, NamedTuple
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from connectors.lead_feed.settings import LeadFeedSettings
from connectors.lead_feed.wire import MORE, NEXT, credentials, page_address
from hub.intake import InfrastructureError

_CHUNK = 65_536


class FeedError(InfrastructureError):
    """The national platform did not give its tasks; trying again may help."""


class Page(NamedTuple):
    """An answer; ``body`` is ``None`` where it is larger than allowed. ``next`` is the number that it ends with."""

    body: bytes | None
    next: int
    has_more: bool


class _NoRedirects(HTTPRedirectHandler):
    """Whoever answers elsewhere would get the token."""

    def redirect_request(self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str) -> None:
        return None


class FeedClient:
    """Used by one thread; holds nothing open."""

    def __init__(self, settings: LeadFeedSettings, region: str) -> None:
        self._settings = settings
        self._region = region
        self._opener = build_opener(ProxyHandler({}), _NoRedirects())

    def page(self, after: int, limit: int) -> Page:
        """The tasks behind the number ``after``.

        :raises FeedError: when the platform does not answer as the wire says, whatever the reason.
        """
        settings = self._settings
        address = page_address(settings.url, self._region, after, limit)
        request = Request(address, headers={"Accept": "application/xml", **credentials(settings.secret("token"))})
        deadline = time.monotonic() + settings.timeout_seconds
        try:
            with self._opener.open(request, timeout=settings.timeout_seconds) as answer:
                body = self._body(answer, deadline)
                return _page(answer.status, answer.headers, body, after)
        except HTTPError as error:
            error.close()
            if error.code in (401, 403):
                raise FeedError(f"The platform does not accept our token (HTTP {error.code}): see token_env.") from None
            raise FeedError(f"The platform answered HTTP {error.code}.") from None
        except (OSError, HTTPException) as error:
            # The reason of a URLError is the error that it stands for.
            cause = getattr(error, "reason", None) or error
            raise FeedError(f"The platform does not answer: {type(cause).__name__}.") from None

    def _body(self, answer: Any, deadline: float) -> bytes | None:
        parts: list[bytes] = []
        left = self._settings.max_page_bytes + 1
        while left > 0 and (part := answer.read1(min(left, _CHUNK))):
            parts.append(part)
            left -= len(part)
            if time.monotonic() > deadline:
                raise FeedError(f"The platform's answer was not whole after {self._settings.timeout_seconds:g} s.")
        return b"".join(parts) if left > 0 else None


def _page(status: int, headers: Message, body: bytes | None, after: int) -> Page:
    given, more = headers.get(NEXT, ""), headers.get(MORE, "0")
    if status != 200:
        raise FeedError(f"The platform answered HTTP {status} where 200 was expected.")
    length = headers.get("Content-Length")
    if body is not None and length is not None and length.isdecimal() and len(body) != int(length):
        raise FeedError(f"The platform's answer was cut after {len(body)} of {length} bytes.")
    if not (given.isascii() and given.isdecimal() and len(given) <= 18) or int(given) < after:
        raise FeedError(f"The platform's header {NEXT} is no number from {after} on: the reading cannot go on.")
    if more not in ("0", "1") or (more == "1" and int(given) == after):
        raise FeedError(f"The platform's header {MORE} does not fit: there is more and no number goes on.")
    return Page(body, int(given), more == "1")
