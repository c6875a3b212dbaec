"""HTTP/1.1 on one connection: a request's bytes out, an answer's head and bounded body in.

    request ──▶ transport          socket ──▶ data_received ──▶ parser ──▶ on_header … on_message_complete
    exchange ◀── Reply             whole, or as much of it as counts, or WireError

One request at a time; whoever holds the connection does not share it. The parser is that of Node.js (llhttp),
with the leniencies of other clients: departments' servers are old.
"""

from __future__ import annotations

import asyncio
from typing import Literal, NamedTuple, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from hub.domain.retry import is_permanent, is_success

#: More than any receipt or problem document; an answer beyond it is cut, not read into memory. Whoever asks for many
#: at once gives a bound of his own.
MAX_ANSWER_BYTES = 65_536
#: Of an answer's head: one line of it, and how many. An honest one has a dozen of some 100 bytes.
MAX_HEADER_BYTES = 8_190
MAX_HEADERS = 64
#: And all of it, before it is whole.
MAX_HEAD_BYTES = 65_536
#: Of an answer on the wire with all that frames it (chunks of one byte each, extensions, trailers), for each byte of
#: the bound.
WIRE_SHARE = 16


class WireError(Exception):
    """No answer came about: what came is no HTTP (``malformed``), or the connection ended before it (``cut``)."""

    def __init__(self, kind: Literal["malformed", "cut"], cause: str, *, is_silent: bool = False) -> None:
        super().__init__(cause)
        self.kind: Literal["malformed", "cut"] = kind
        #: Not one byte of an answer had come.
        self.is_silent = is_silent


class Reply(NamedTuple):
    """An answer as it came; ``body`` holds no more than was asked for, and nothing where the status will do."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class UnfitAnswerError(Exception):
    """More than an answer may have; raised within the parser, which wraps it."""


class HttpConnection(asyncio.Protocol):
    """One connection. ``opened_at`` is seconds of the opener's monotonic clock."""

    def __init__(self, loop: asyncio.AbstractEventLoop, opened_at: float) -> None:
        self.opened_at = opened_at
        self.idle_since = opened_at
        #: How many requests went over it.
        self.used = 0
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[Reply] | None = None
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._parser = HttpResponseParser(self)
        self._parser.set_dangerous_leniencies(
            lenient_headers=True, lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
        )
        self._is_broken = False
        self._begin(needs_body=False, max_bytes=0)

    def _begin(self, *, needs_body: bool, max_bytes: int) -> None:
        self._needs_body, self._max_bytes = needs_body, max_bytes
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._status = self._wire_bytes = self._body_bytes = 0
        self._has_head = self._is_whole = self._is_framed = False

    @property
    def is_usable(self) -> bool:
        """Whether another request may go over it."""
        return self._transport is not None and not self._is_broken and not self._transport.is_closing()

    def close(self) -> None:
        """Ends it at once; an exchange under way fails."""
        self._is_broken = True
        if self._transport is not None:
            self._transport.abort()

    async def exchange(
        self, request: bytes, *, deadline: float, needs_body: bool, max_bytes: int = MAX_ANSWER_BYTES
    ) -> Reply:
        """Sends ``request`` and waits for the answer until ``deadline`` of the loop's time: all, or as much as counts.

        A success and a refusal for good have a body, which is read to its end; unless it is needed, what came of
        it will do when the time is over or the connection ends; what is beyond ``max_bytes`` of it is not read. Of any
        other answer the status alone counts.
        Raises TimeoutError and WireError; after either the connection is of no more use.
        """
        transport = self._transport
        if transport is None or not self.is_usable:
            raise WireError("cut", "the connection has ended", is_silent=True)
        self._begin(needs_body=needs_body, max_bytes=max_bytes)
        self.used += 1
        waiter: asyncio.Future[Reply] = self._loop.create_future()
        self._waiter = waiter
        self._watch(deadline)
        try:
            transport.write(request)
            return await waiter
        finally:
            self._waiter = None
            # Also where the task was cancelled: what is still to come must not answer the next request.
            if not self._is_whole:
                self.close()

    # -- the answer -----------------------------------------------------------------------------

    def _succeed(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            body = b"".join(self._body)[:self._max_bytes]
            self._waiter.set_result(Reply(self._status, self._headers, body))

    def _fail(self, error: Exception) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)

    def _end(self, error: Exception) -> None:
        """Nothing more comes: what came has to do, or ``error`` is the outcome."""
        if self._is_whole or (self._has_head and not self._needs_body):
            self._succeed()
        else:
            self._fail(error)

    def _watch(self, deadline: float) -> None:
        """One timer serves many requests: it looks again where a later one has moved the deadline."""
        self._deadline = deadline
        if self._timer is not None and self._timer.when() > deadline:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = self._loop.call_at(deadline, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._waiter is None:
            return
        if self._loop.time() < self._deadline:
            self._watch(self._deadline)
        else:
            self._end(TimeoutError())

    # -- asyncio's side -------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast: loops have transports of their own that are no subclass of asyncio's.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._waiter is None or self._is_whole:
            self.close()  # nobody asked
            return
        self._wire_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self._is_broken = True
            if self._is_whole:
                self._succeed()  # what came behind the answer is no matter of ours
            else:
                cause = type(error.__context__ or error).__name__
                self._end(WireError("cut" if self._has_head else "malformed", cause))
            return
        if self._is_whole:
            self._succeed()
        elif not self._has_head:
            if self._wire_bytes > MAX_HEAD_BYTES:
                self._fail(WireError("malformed", "a head without end"))
        elif self._body_bytes >= self._max_bytes or not _has_say(self._status):
            self._succeed()  # and ends the connection: the rest would arrive on one that is used again
        elif self._wire_bytes > self._max_bytes * WIRE_SHARE:
            self._end(WireError("cut", "an answer without end"))

    def eof_received(self) -> None:
        """The transport closes itself."""

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_broken = True
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
        if exc is None and self._has_head and not self._is_framed:
            self._is_whole = True  # its end is its length
        cause = type(exc).__name__ if exc else "the connection ended"
        self._end(WireError("cut", cause, is_silent=not self._wire_bytes))

    # -- the parser's side ----------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._is_whole:
            raise UnfitAnswerError  # a second answer to one request

    def on_status(self, status: bytes) -> None:
        if len(status) > MAX_HEADER_BYTES:
            raise UnfitAnswerError

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._has_head:
            return  # a trailer
        if len(self._headers) >= MAX_HEADERS or len(name) + len(value) > MAX_HEADER_BYTES:
            raise UnfitAnswerError
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._status = self._parser.get_status_code()
        if self._status >= 200:
            self._has_head = True
            names = [name.lower() for name, _ in self._headers]
            self._is_framed = b"content-length" in names or b"transfer-encoding" in names

    def on_body(self, body: bytes) -> None:
        if self._body_bytes < self._max_bytes:
            self._body.append(body)
        self._body_bytes += len(body)

    def on_message_complete(self) -> None:
        if not self._has_head:
            self._headers = []  # said beforehand (1xx); the answer follows
            return
        self._is_whole = True
        if not self._parser.should_keep_alive():
            self._is_broken = True


def _has_say(status: int) -> bool:
    """Whether the body of such an answer is anybody's matter."""
    return is_success(status) or is_permanent(status)
