"""The HTTP client against sockets that say exactly what a test wants: framing, bounds, cuts, kept connections."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

import pytest
import trustme

from hub.bus.address_guard import AddressGuard, parse_networks
from hub.bus.http_client import Answer, HttpClient, RequestFailedError
from hub.bus.http_wire import MAX_ANSWER_BYTES
from tests.support_receivers import Receiver, Status, client_tls, server_tls

T = TypeVar("T")
#: What stands for the end of the connection in a script.
END = b""
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Wire:
    """A server that reads whole requests and answers each with the next pieces of its script, then waits."""

    def __init__(self, *answers: Sequence[bytes]) -> None:
        self.answers = [list(pieces) for pieces in answers]
        self.requests: list[bytes] = []
        self.connections = 0
        self.url = ""

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/hook?key=1"

    async def stop(self) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while (head := await reader.readuntil(b"\r\n\r\n")) and self.answers:
                length = next(int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length:"))
                self.requests.append(head + await reader.readexactly(length))
                for piece in self.answers.pop(0):
                    if piece == END:
                        return
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0.01)
            await reader.read()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def run(wire: Wire, work: Callable[[HttpClient, Wire], Awaitable[T]], **client: Any) -> T:
    async def main() -> T:
        await wire.start()
        http = HttpClient(lambda: datetime.now(UTC), **client)
        try:
            return await work(http, wire)
        finally:
            await http.close()
            await wire.stop()

    return asyncio.run(main())


async def post(http: HttpClient, wire: Wire, **more: Any) -> Answer:
    given: dict[str, Any] = {"body": b"{}", "headers": {}, "timeout_seconds": 5.0, **more}
    return await http.request(given.pop("method", "POST"), given.pop("url", wire.url), **given)


def failure(wire: Wire, **more: Any) -> RequestFailedError:
    with pytest.raises(RequestFailedError) as failed:
        run(wire, lambda http, wire: post(http, wire, **more))
    return failed.value


def test_a_request_is_written_whole() -> None:
    wire = Wire([OK])
    answer = run(wire, lambda http, wire: post(http, wire, headers={"X-One": "1", "Content-Type": "text/plain"}))
    head, _, body = wire.requests[0].partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    assert (first, body) == ("POST /hook?key=1 HTTP/1.1", b"{}")
    fields = dict(line.split(": ", 1) for line in lines)
    assert fields["Host"] == wire.url.split("/")[2]
    assert (fields["X-One"], fields["Content-Length"], fields["Accept-Encoding"]) == ("1", "2", "identity")
    assert (answer.status, answer.body, answer.headers["content-LENGTH"]) == (200, b"ok", "2")


def test_a_user_in_the_address_goes_into_a_header_and_nowhere_else() -> None:
    wire = Wire([OK])
    run(wire, lambda http, wire: post(http, wire, url=wire.url.replace("//", "//me:p%40ss@")))
    (request,) = wire.requests
    assert b"Authorization: Basic " + base64.b64encode(b"me:p@ss") in request
    assert b"p%40ss" not in request and b"Host: me" not in request


@pytest.mark.parametrize("value", ["a\r\nX-Two: 2", "a\nb", "a\0b"])
def test_one_header_never_becomes_two(value: str) -> None:
    wire = Wire([OK])
    with pytest.raises(ValueError, match="X-One"):
        run(wire, lambda http, wire: post(http, wire, headers={"X-One": value}))
    assert not wire.requests


@pytest.mark.parametrize(("pieces", "body"), [
    ([b"HTTP/1.1 204 No Content\r\n\r\n"], b""),
    ([b"HTTP/1.1 200 OK\r\nContent-Le", b"ngth: 4\r\n\r\nab", b"cd"], b"abcd"),
    ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", b"1\r\nd\r\n0\r\nX: y\r\n\r\n"], b"abcd"),
    ([b"HTTP/1.1 200 OK\r\n\r\nab", b"cd", END], b"abcd"),
    ([b"HTTP/1.0 200 OK\r\n\r\n", END], b""),
    ([b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n" + OK], b"ok"),
    ([b"HTTP/1.1 404 Not Found\nContent-Length: 2\n\nno"], b"no"),
])  # fmt: skip
def test_an_answer_is_read_however_it_is_framed(pieces: list[bytes], body: bytes) -> None:
    answer = run(Wire(pieces), post)
    assert (answer.is_success or answer.status == 404, answer.body) == (True, body)
    assert "Link" not in answer.headers and "X" not in answer.headers


@pytest.mark.parametrize("answer", [
    b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: " + b"x" * 9000 + b"\r\n\r\n",
    b"HTTP/1.1 200 " + b"x" * 9000 + b"\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 65 + b"\r\n",
    b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000,
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
])  # fmt: skip
def test_what_is_no_http_or_has_too_much_of_a_head_is_malformed(answer: bytes) -> None:
    assert failure(Wire([answer])).kind == "malformed"


@pytest.mark.parametrize("pieces", [
    [END], [b"HTTP/1.1 2", END],
    [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab", END],
    [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", END],
    [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno-number\r\n"],
    [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: " + b"x" * 3_000_000],
])  # fmt: skip
def test_an_answer_that_does_not_end_as_it_said_is_cut(pieces: list[bytes]) -> None:
    assert failure(Wire(pieces)).kind == "cut"


def test_time_runs_out_down_to_the_last_byte() -> None:
    for pieces in ([], [b"HTTP/1.1 2"], [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"]):
        error = failure(Wire(pieces), timeout_seconds=0.1)
        assert (error.kind, str(error)) == ("timeout", "no answer within 0.1 s")


def test_a_status_says_all_where_no_body_is_needed() -> None:
    begun = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"
    for pieces in ([begun], [begun, END], [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno-number\r\n"]):
        answer = run(Wire(pieces), lambda http, wire: post(http, wire, needs_body=False, timeout_seconds=0.2))
        assert answer.is_success


def test_of_an_answer_without_end_so_much_is_kept_and_the_connection_is_not() -> None:
    endless = b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n" + b"x" * 200_000

    async def work(http: HttpClient, wire: Wire) -> list[Answer]:
        return [await post(http, wire), await post(http, wire)]

    wire = Wire([endless], [OK])
    first, second = run(wire, work)
    assert first.body == b"x" * MAX_ANSWER_BYTES
    assert (second.body, wire.connections) == (b"ok", 2)


def test_so_much_of_an_answer_is_read_as_the_caller_asks_for() -> None:
    long = b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"x" * 200_000
    chunk = b"1\r\nx\r\n"
    finely = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 300_000 + b"0\r\n\r\n"

    def read(answer: bytes, most: int) -> int:
        return len(run(Wire([answer]), lambda http, wire: post(http, wire, max_bytes=most)).body)

    assert (read(long, 200_000), read(long, 1_000), read(finely, 400_000)) == (200_000, 1_000, 300_000)

    async def twice(http: HttpClient, wire: Wire) -> list[int]:
        return [len((await post(http, wire, **more)).body) for more in ({"max_bytes": 200_000}, {})]

    wire = Wire([long], [long])
    assert run(wire, twice) == [200_000, MAX_ANSWER_BYTES], "one request's bound is not the next one's"
    assert wire.connections == 1


def test_a_failure_that_may_pass_is_known_by_its_head() -> None:
    error = failure(Wire([b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 99\r\n\r\n"]))
    assert (error.kind, error.status, error.retry_after_seconds) == ("status", 503, 7.0)


@pytest.mark.parametrize(("first", "connections"), [
    (OK, 1), (b"HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\nno", 1),
    (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", 2),
    (OK + OK, 2),  # a second answer that nobody asked for is not the next one's
    (OK + b"HTTP", 2),
])  # fmt: skip
def test_a_connection_is_used_again_if_nothing_speaks_against_it(first: bytes, connections: int) -> None:
    async def work(http: HttpClient, wire: Wire) -> Answer:
        try:
            await post(http, wire)
        except RequestFailedError as error:
            assert error.status == 503
        return await post(http, wire)

    wire = Wire([first], [b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"])
    assert run(wire, work).status == 201
    assert wire.connections == connections


def test_what_may_be_repeated_goes_again_when_a_kept_connection_ends_and_nothing_else_does() -> None:
    async def twice(http: HttpClient, wire: Wire, method: str) -> Answer:
        await post(http, wire)
        return await post(http, wire, method=method)

    wire = Wire([OK], [END], [OK])
    assert run(wire, lambda http, wire: twice(http, wire, "PUT")).is_success
    assert len(wire.requests) == 3
    wire = Wire([OK], [END], [OK])
    with pytest.raises(RequestFailedError) as failed:
        run(wire, lambda http, wire: twice(http, wire, "POST"))
    assert (failed.value.kind, len(wire.requests)) == ("cut", 2)
    wire = Wire([END], [OK])
    assert failure(wire, method="PUT").kind == "cut", "a new one says more: it is not asked again here"


def test_who_is_cancelled_leaves_no_answer_to_the_next() -> None:
    async def work(http: HttpClient, wire: Wire) -> Answer:
        waiting = asyncio.create_task(post(http, wire))
        while not wire.requests:
            await asyncio.sleep(0.001)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        return await post(http, wire)

    wire = Wire([], [OK])
    assert run(wire, work).body == b"ok"
    assert wire.connections == 2


def test_more_requests_than_connections_wait_their_turn_and_their_time_counts() -> None:
    async def work(http: HttpClient, wire: Wire) -> list[Any]:
        slow = asyncio.create_task(post(http, wire, timeout_seconds=0.3))
        late = asyncio.create_task(post(http, wire, timeout_seconds=0.1))
        return [*await asyncio.gather(slow, late, return_exceptions=True), await post(http, wire)]

    wire = Wire([], [OK])
    first, second, third = run(wire, work, max_connections=1)
    assert (first.kind, second.kind, third.body) == ("timeout", "timeout", b"ok")
    assert len(wire.requests) == 2, "what waited in vain was never sent"


@pytest.mark.parametrize(("url", "kind"), [
    ("http://127.0.0.1:1/", "refused"), ("http://nowhere.invalid/", "unresolved"),
    ("ftp://127.0.0.1/", "forbidden-address"),
    ("http://[::1/", "forbidden-address"), ("http://127.0.0.1:99999/", "forbidden-address"),
])  # fmt: skip
def test_where_no_connection_comes_about(url: str, kind: str) -> None:
    error = failure(Wire(), url=url)
    assert error.kind == kind
    assert url not in str(error)


@contextmanager
def encrypted(context: ssl.SSLContext) -> Iterator[Receiver]:
    with Receiver(tls=context, otherwise=Status(200, body=b"ok")) as receiver:
        yield receiver


def test_a_certificate_is_judged_for_its_name_and_by_whom_it_was_signed() -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    guard = AddressGuard(parse_networks("127.0.0.1"))

    def ask(receiver: Receiver, url: str, trusted: trustme.CA) -> Answer:
        return run(Wire(), lambda http, _: post(http, Wire(), url=url), tls=client_tls(trusted), guard=guard)

    with encrypted(server_tls(authority, "127.0.0.1")) as receiver:
        assert ask(receiver, receiver.url, authority).body == b"ok"
        with pytest.raises(RequestFailedError) as failed:
            ask(receiver, receiver.url, stranger)
        assert failed.value.kind == "certificate"
    with encrypted(server_tls(authority, "other.example")) as receiver:
        with pytest.raises(RequestFailedError) as failed:
            ask(receiver, receiver.url, authority)
        assert failed.value.kind == "certificate"
    with Receiver() as plain:
        with pytest.raises(RequestFailedError) as failed:
            ask(plain, plain.url.replace("http:", "https:"), authority)
        assert failed.value.kind == "tls"
