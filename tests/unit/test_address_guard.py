"""Which addresses may be connected to, and that it is the connection that is judged and not the name."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeVar

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from hub.bus.address_guard import AddressGuard, ForbiddenAddressError, parse_networks
from hub.bus.http_client import Answer, HttpClient, RequestFailedError
from hub.errors import UsageError
from tests.support_receivers import Receiver, Status, redirect

T = TypeVar("T")
GOVERNMENT = "10.20.0.0/16,fd12:3456::/32"


@pytest.mark.parametrize("address", [
    "127.0.0.1", "0.0.0.0", "10.0.0.1", "172.16.5.4", "192.168.1.1", "169.254.169.254", "100.64.0.1", "224.0.0.1",
    "255.255.255.255", "192.0.2.1", "198.18.0.1", "192.88.99.1", "240.0.0.1",
    "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00::1", "ff02::1", "2001:db8::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "2002:7f00:1::", "2001::1",
    "::127.0.0.1", "100::1", "3fff::1",
])  # fmt: skip
def test_what_is_not_public_is_forbidden(address: str) -> None:
    with pytest.raises(ForbiddenAddressError):
        AddressGuard().check(address, is_encrypted=True)


@pytest.mark.parametrize("address", ["1.1.1.1", "223.5.5.5", "2400:3200::1", "::ffff:1.1.1.1", "64:ff9b::101:101"])
def test_what_is_public_is_reached_by_https_alone(address: str) -> None:
    AddressGuard().check(address, is_encrypted=True)
    with pytest.raises(ForbiddenAddressError, match="https"):
        AddressGuard().check(address, is_encrypted=False)


@pytest.mark.parametrize("address", ["10.20.3.4", "::ffff:10.20.3.4", "64:ff9b::a14:304", "fd12:3456::9"])
def test_a_network_that_was_named_is_open_and_no_other(address: str) -> None:
    AddressGuard(parse_networks(GOVERNMENT)).check(address, is_encrypted=False)
    with pytest.raises(ForbiddenAddressError):
        AddressGuard(parse_networks("10.21.0.0/16,fd12:3457::/32")).check(address, is_encrypted=False)


def test_networks_that_are_none_are_refused_with_what_would_be_right() -> None:
    assert parse_networks(" ") == ()
    with pytest.raises(UsageError, match=r"10\.20\.0\.0/16"):
        parse_networks("10.20.0.5/16")


@pytest.mark.parametrize("url", [
    "ftp://192.0.2.1/", "file:///etc/passwd", "//host/", "http:///x", "https://[::1", "http://127.0.0.1:99999/",
    "http://127.0.0.1/", "http://[::1]/", "http://[::ffff:127.0.0.1]:80/", "https://169.254.169.254/latest",
    "http://1.1.1.1/",
])  # fmt: skip
def test_an_address_is_refused_when_it_is_entered(url: str) -> None:
    with pytest.raises(ForbiddenAddressError) as refused:
        AddressGuard().check_url(url)
    assert url not in str(refused.value)


class Names(AbstractResolver):
    """A name server that the test moves."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=0)
            for address in self.addresses
        ]

    async def close(self) -> None: ...


def post(client: HttpClient, url: str) -> Awaitable[Answer]:
    return client.request("POST", url, body=b"{}", headers={}, timeout_seconds=10)


def with_client(client: HttpClient, work: Callable[[HttpClient], Awaitable[T]]) -> T:
    async def run() -> T:
        try:
            return await work(client)
        finally:
            await client.close()

    return asyncio.run(run())


def client_of(guard: AddressGuard, keep_seconds: float = 60.0) -> HttpClient:
    ticks = iter(range(0, 1_000_000, 7))
    return HttpClient(
        lambda: datetime.now(UTC), guard=guard, monotonic=lambda: float(next(ticks)), keep_seconds=keep_seconds
    )


def test_a_name_that_moves_inside_is_not_followed() -> None:
    names = Names("127.0.0.1")
    guard = AddressGuard(parse_networks("127.0.0.1"), lambda: names)
    with Receiver(host="127.0.0.1") as honest:
        port = honest.url.rpartition(":")[2]

        async def work(client: HttpClient) -> str:
            assert (await post(client, f"http://department.example:{port}/")).status == 204
            names.addresses = ["127.0.0.2"]
            # Within the time of a connection it is used again; after it the name is asked anew.
            with pytest.raises(RequestFailedError) as refused:
                for _ in range(20):
                    await post(client, f"http://department.example:{port}/")
            return refused.value.kind

        assert with_client(client_of(guard, keep_seconds=20.0), work) == "forbidden-address"
        assert 1 <= len(honest.posts()) < 20


@pytest.mark.parametrize("address", ["127.0.0.2", "10.0.0.1"])
def test_one_forbidden_address_among_allowed_ones_refuses_the_name(address: str) -> None:
    guard = AddressGuard(parse_networks("127.0.0.1"), lambda: Names("127.0.0.1", address))
    with Receiver() as receiver, pytest.raises(RequestFailedError) as refused:
        port = receiver.url.rpartition(":")[2]
        with_client(client_of(guard), lambda client: post(client, f"http://department.example:{port}/"))
    assert refused.value.kind == "forbidden-address"
    assert not receiver.received


def test_a_literal_address_that_is_forbidden_is_never_connected_to() -> None:
    with Receiver() as trap, pytest.raises(RequestFailedError) as refused:
        with_client(client_of(AddressGuard()), lambda client: post(client, trap.url))
    assert refused.value.kind == "forbidden-address"
    assert trap.url not in str(refused.value)
    assert not trap.received


def test_a_redirect_is_no_way_around() -> None:
    guard = AddressGuard(parse_networks("127.0.0.1"))
    with Receiver() as trap, Receiver(script=[redirect(trap.url, 302)]) as receiver:
        with pytest.raises(RequestFailedError) as failed:
            with_client(client_of(guard), lambda client: post(client, receiver.url))
        assert (failed.value.kind, failed.value.status) == ("status", 302)
        assert not trap.received


def test_a_session_that_is_renewed_ends_what_is_under_way_first() -> None:
    guard = AddressGuard(parse_networks("127.0.0.1"))
    with Receiver(otherwise=Status(200, body=b"x" * 100_000)) as receiver:

        async def work(client: HttpClient) -> list[Answer]:
            return list(await asyncio.gather(*(post(client, receiver.url) for _ in range(40))))

        # Every request finds its session too old.
        answers = with_client(client_of(guard, keep_seconds=1.0), work)
    assert [(answer.status, len(answer.body)) for answer in answers] == [(200, 65_536)] * 40
