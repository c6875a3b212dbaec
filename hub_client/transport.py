"""Requests to the hub: tried again where that is safe and helps, never redirected.

Every request of this package may be sent again: the hub knows what it took. So a lost answer, 429 and 503 are waited
out, by ``Retry-After`` where the hub names it, else by doubling waits with chance in them, so that many programs that
failed together do not come back together.
"""

from __future__ import annotations

import json
import random
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPException, HTTPMessage
from typing import IO, Any, NoReturn

from hub_client.errors import RefusedError, UnreachableError

#: A gateway that is up while the hub is not answers 502 or 504.
_PASSING = frozenset((408, 425, 429, 502, 503, 504))
#: The hub's longest answers are pages and batches of 8 MiB.
MAX_ANSWER_BYTES = 64 * 1024 * 1024
USER_AGENT = "gannan-hub-client/0.1"


@dataclass(frozen=True)
class Retry:
    """``max_attempts`` counts the first. Waits begin with ``first_seconds`` and double up to ``longest_seconds``, which
    also bounds what a ``Retry-After`` may ask for."""

    max_attempts: int = 8
    first_seconds: float = 0.5
    longest_seconds: float = 60.0


@dataclass(frozen=True)
class Answer:
    """``headers`` have names in lower case."""

    status: int
    headers: Mapping[str, str]
    document: Any


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the token to wherever it points."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        return None


class Transport:
    """``sleep`` and ``chance`` (a number from 0 to 1) are for tests. Safe to share between threads."""

    def __init__(
        self, base_url: str, token: str, *, timeout_seconds: float = 60.0, retry: Retry = Retry(),
        sleep: Callable[[float], None] = time.sleep, chance: Callable[[], float] = random.random,
    ) -> None:
        if not base_url.startswith(("http://", "https://")):
            raise ValueError("base_url begins with http:// or https://")
        self._base, self._token = base_url.rstrip("/"), token
        self._timeout, self._retry, self._sleep, self._chance = timeout_seconds, retry, sleep, chance
        self._opener = urllib.request.build_opener(_NoRedirect)

    def request(
        self, method: str, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Answer:
        """The hub's answer, of a status below 400. ``body`` is bytes, or a value for JSON.

        Raises RefusedError for what the hub refuses for good, and after the last attempt; UnreachableError if the last
        attempt brought no answer.
        """
        content = body if body is None or isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        told = {"User-Agent": USER_AGENT, "Accept": "application/json", **(headers or {})}
        if self._token:
            told["Authorization"] = f"Bearer {self._token}"
        if content is not None:
            told["Content-Type"] = content_type
        for attempt in range(1, self._retry.max_attempts + 1):
            is_last = attempt == self._retry.max_attempts
            try:
                answer = self._once(urllib.request.Request(self._base + path, content, told, method=method))
            except (OSError, HTTPException) as error:
                if is_last:
                    raise UnreachableError(f"no answer in {attempt} attempts: {error}") from error
                self._wait(attempt, None)
                continue
            if answer.status < 300:
                return answer
            if answer.status not in _PASSING or is_last:
                _refuse(answer)
            self._wait(attempt, answer.headers.get("retry-after"))
        raise AssertionError("the last attempt returns or raises")

    def _once(self, request: urllib.request.Request) -> Answer:
        try:
            with self._opener.open(request, timeout=self._timeout) as found:
                return _answer(found.status, found.headers, found.read(MAX_ANSWER_BYTES + 1))
        except urllib.error.HTTPError as error:
            with error:
                return _answer(error.code, error.headers, error.read(MAX_ANSWER_BYTES + 1))

    def _wait(self, attempt: int, retry_after: str | None) -> None:
        longest = self._retry.longest_seconds
        seconds = min(longest, self._retry.first_seconds * 2.0 ** min(attempt - 1, 20)) * (0.5 + self._chance() / 2)
        if retry_after is not None and retry_after.strip().isascii() and retry_after.strip().isdigit():
            # Not before the hub said, and not all at the same moment.
            seconds = min(longest, float(retry_after)) + self._chance()
        self._sleep(seconds)


def _answer(status: int, headers: Message, content: bytes) -> Answer:
    if len(content) > MAX_ANSWER_BYTES:
        raise OSError(f"the answer is longer than {MAX_ANSWER_BYTES} bytes")
    try:
        document = json.loads(content) if content else None
    except ValueError:
        document = None
        if status < 300:
            raise OSError("the answer is no JSON: something between here and the hub answered") from None
    return Answer(status, {name.lower(): value for name, value in headers.items()}, document)


def _refuse(answer: Answer) -> NoReturn:
    document = answer.document if isinstance(answer.document, dict) else {"detail": "the answer is no problem document"}
    raise RefusedError(answer.status, document)
