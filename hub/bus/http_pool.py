"""Connections to outside systems: opened to what was checked, kept for a while, used by one request at a time."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from functools import lru_cache
from ipaddress import ip_address
from typing import NamedTuple

import aiohappyeyeballs
from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver
from yarl import URL

from hub.bus.address_guard import AddressGuard, AddressInfo, ForbiddenAddressError, split_url
from hub.bus.http_wire import HttpConnection

#: An idle connection is closed after it, before most servers do: no request is to meet one that is just ending.
IDLE_SECONDS = 15.0
#: How long one address of a name has to answer before the next one is tried beside it (RFC 8305).
_NEXT_ADDRESS_SECONDS = 0.25


class Target(NamedTuple):
    """Where a URL points. ``path`` has the query, ``authority`` is the Host header's, ``user`` for Basic auth."""

    scheme: str
    host: str
    port: int
    path: str
    authority: str
    user: tuple[str, str] | None


@lru_cache(maxsize=256)
def target_of(text: str) -> Target:
    """Raises ForbiddenAddressError for what is no http or https URL; it quotes nothing."""
    scheme, _ = split_url(text)
    try:
        url = URL(text)
        host, port, authority = url.raw_host, url.port, url.host_port_subcomponent
        user = (url.user or "", url.password or "") if url.raw_user or url.raw_password else None
    except ValueError:
        host = port = authority = user = None
    if not host or not port or not authority:
        raise ForbiddenAddressError("the address is not a URL")
    return Target(scheme, host.rstrip(".") or host, port, url.raw_path_qs, authority, user)


class ConnectError(Exception):
    """No connection came about. ``step`` says at what: the lookup of the name, or the opening."""

    def __init__(self, step: str, cause: Exception) -> None:
        super().__init__(type(cause).__name__)
        self.step, self.cause = step, cause


@lru_cache(maxsize=1)
def _system_trust() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


class ConnectionPool:
    """Connections by one scheme, in one event loop; at most ``limit`` are in use at once, others wait in order.

    ``guard`` judges every address that is connected to; without one any address is. A name is looked up anew for
    each connection, and none is used again for longer than ``keep_seconds`` after it was opened, by ``monotonic``.
    """

    def __init__(
        self, scheme: str, *, limit: int, guard: AddressGuard | None, tls: ssl.SSLContext | None,
        keep_seconds: float, monotonic: Callable[[], float],
    ) -> None:
        is_encrypted = scheme == "https"
        self._tls = (tls or _system_trust()) if is_encrypted else None
        self._resolver: AbstractResolver = guard.resolver(is_encrypted=is_encrypted) if guard else ThreadedResolver()
        self._open_socket = guard.socket_factory(is_encrypted=is_encrypted) if guard else None
        self._keep_seconds, self._monotonic = keep_seconds, monotonic
        self._places = asyncio.Semaphore(limit)
        self._idle: dict[tuple[str, int], list[HttpConnection]] = {}
        self._all: set[HttpConnection] = set()
        self._sweeper: asyncio.TimerHandle | None = None

    async def take(self, target: Target, deadline: float) -> HttpConnection:
        """One that is kept, else a new one. ``deadline`` is the loop's time.

        Raises TimeoutError and ConnectError.
        """
        if not self._places.locked() and (kept := self._kept(target)) is not None:
            await self._places.acquire()  # without waiting
            return kept
        async with asyncio.timeout_at(deadline):
            await self._places.acquire()
            try:
                return self._kept(target) or await self._open(target)
            except BaseException:
                self._places.release()
                raise

    def give_back(self, target: Target, connection: HttpConnection) -> None:
        """Ends one request's use of it."""
        self._places.release()
        if not connection.is_usable:
            self._drop(connection)
            return
        loop = asyncio.get_running_loop()
        connection.idle_since = loop.time()
        self._idle.setdefault((target.host, target.port), []).append(connection)
        if self._sweeper is None:
            self._sweeper = loop.call_later(IDLE_SECONDS, self._sweep)

    async def close(self) -> None:
        """Ends all connections; requests under way fail."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        self._idle.clear()
        for connection in list(self._all):
            self._drop(connection)
        await self._resolver.close()
        # Two rounds of the loop: a transport under TLS tells its own transport first.
        for _ in range(2):
            await asyncio.sleep(0)

    def _kept(self, target: Target) -> HttpConnection | None:
        """The one that was used last, so that those beyond what is needed become idle."""
        idle = self._idle.get((target.host, target.port))
        while idle:
            connection = idle.pop()
            if connection.is_usable and self._monotonic() - connection.opened_at <= self._keep_seconds:
                return connection
            self._drop(connection)
        return None

    def _drop(self, connection: HttpConnection) -> None:
        connection.close()
        self._all.discard(connection)

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        self._sweeper = None
        for place, idle in list(self._idle.items()):
            ended = {each for each in idle if not each.is_usable or loop.time() - each.idle_since >= IDLE_SECONDS}
            for connection in ended:
                self._drop(connection)
            left = [each for each in idle if each not in ended]
            if left:
                self._idle[place] = left
            else:
                del self._idle[place]
        if self._idle:
            self._sweeper = loop.call_later(IDLE_SECONDS / 3, self._sweep)

    # -- opening --------------------------------------------------------------------------------

    async def _open(self, target: Target) -> HttpConnection:
        loop, opened_at = asyncio.get_running_loop(), self._monotonic()
        try:
            addresses = await self._look_up(target)
        except (OSError, UnicodeError) as error:
            raise ConnectError("lookup", error) from None
        try:
            sock = await aiohappyeyeballs.start_connection(
                addresses, happy_eyeballs_delay=_NEXT_ADDRESS_SECONDS, interleave=1, loop=loop,
                socket_factory=self._open_socket,
            )
            _, connection = await loop.create_connection(
                lambda: HttpConnection(loop, opened_at), sock=sock, ssl=self._tls,
                server_hostname=target.host if self._tls is not None else None,
            )
        except OSError as error:
            if isinstance(error, TimeoutError) and error.errno is None:
                raise  # ours; the system's own has a number
            raise ConnectError("opening", error) from None
        self._all.add(connection)
        return connection

    async def _look_up(self, target: Target) -> list[AddressInfo]:
        try:
            ip_address(target.host)
        except ValueError:
            found = await self._resolver.resolve(target.host, target.port, socket.AF_UNSPEC)
        else:
            return [_address_info(target.host, target.port)]
        return [_address_info(entry["host"], target.port) for entry in found]


def _address_info(address: str, port: int) -> AddressInfo:
    if ":" in address:
        return socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port, 0, 0)
    return socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port)
