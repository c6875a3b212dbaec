"""Which addresses the hub may connect to: none inside the house that an operator did not name.

An address that a department enters is a request that the hub makes in its name. Without a guard it
could point at the hub's own Redis, at a cloud's metadata service or at a neighbour's machine, and a
name that is harmless when it is entered can be moved there later (DNS rebinding). So it is not the
URL that is judged but every address that a socket is opened to, at the moment when it is opened,
and it is that address which is connected to: between check and connection nothing is looked up again.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from hub.errors import InputError, UsageError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
#: As ``socket.getaddrinfo`` has it.
AddressInfo = tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, tuple[object, ...]]
#: Behind it stands an IPv4 address that a translator of the network connects to (RFC 6052).
_NAT64 = IPv6Network("64:ff9b::/96")
#: What is assigned to the open network at all; everything else of IPv6 is local, special or unassigned.
_GLOBAL_UNICAST = IPv6Network("2000::/3")
#: Globally routable as Python sees them, and yet no department's own address: 6to4 and its relays,
#: Teredo, ORCHID, documentation. The first two carry an IPv4 address that nobody would check.
_NEVER = tuple(map(ip_network, (
    "192.88.99.0/24", "2002::/16", "2001::/23", "3fff::/20",
)))  # fmt: skip


class ForbiddenAddressError(InputError, OSError):
    """The hub may not connect to this address.

    An OSError too, because that is what an HTTP client expects of a resolver and a socket.
    """


def parse_networks(text: str) -> tuple[Network, ...]:
    """``10.20.0.0/16,fd12::/16`` as networks; an address alone is a network of one. Raises UsageError."""
    try:
        return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise UsageError(f"Networks are written as 10.20.0.0/16, separated by commas: {error}.") from error


def is_public(address: Address) -> bool:
    """Whether ``address`` is one of the open network that belongs to one machine."""
    if any(address in network for network in _NEVER):
        return False
    if isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST:
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved)


def effective(address: Address) -> Address:
    """The IPv4 address that a mapped or translated IPv6 address stands for, else the address itself."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


class AddressGuard:
    """Judges addresses. ``allowed`` names networks that are open though private, e.g. the government's.

    Public addresses are reached by https alone; in ``allowed`` networks http will do. ``resolver``
    makes what looks names up, in the loop that uses it.
    """

    def __init__(
        self,
        allowed: Sequence[Network] = (),
        resolver: Callable[[], AbstractResolver] = aiohttp.ThreadedResolver,
    ) -> None:
        self._allowed = tuple(allowed)
        self._resolver = resolver

    def check(self, address: str, *, is_encrypted: bool) -> None:
        """Raises ForbiddenAddressError unless a connection may be opened to ``address``."""
        try:
            # A scope (fe80::1%eth0) says through which interface, not to whom.
            literal = ip_address(address.partition("%")[0])
        except ValueError:
            raise ForbiddenAddressError("what the name stands for is no address") from None
        meant = effective(literal)
        if any(meant in network or literal in network for network in self._allowed):
            return
        if not is_public(meant):
            raise ForbiddenAddressError("the address is not public, and its network is not allowed here")
        if not is_encrypted:
            raise ForbiddenAddressError("a public address is reached by https alone")

    def check_url(self, url: str) -> None:
        """What can be said of ``url`` before anything is looked up: form, scheme, and a literal address.

        Raises ForbiddenAddressError, which quotes nothing. Whoever connects checks again, by the
        ``socket_factory``: this is for the person who has just entered the address.
        """
        scheme, host = split_url(url)
        try:
            ip_address(host.partition("%")[0])
        except ValueError:
            return
        self.check(host, is_encrypted=scheme == "https")

    def socket_factory(self, *, is_encrypted: bool) -> Callable[[AddressInfo], socket.socket]:
        """Makes sockets for what may be connected to, and only those."""

        def open_socket(info: AddressInfo) -> socket.socket:
            family, kind, number, _, address = info
            # The one place that a literal address passes, which is never looked up.
            self.check(str(address[0]), is_encrypted=is_encrypted)
            return socket.socket(family, kind, number)

        return open_socket

    def resolver(self, *, is_encrypted: bool) -> AbstractResolver:
        """Looks names up for connections of one scheme; whoever asks for it closes it."""
        return _CheckedResolver(self, self._resolver(), is_encrypted)


class _CheckedResolver(AbstractResolver):
    """Refuses a name as a whole if one of its addresses is forbidden: no honest name has such a mixture."""

    def __init__(self, guard: AddressGuard, resolver: AbstractResolver, is_encrypted: bool) -> None:
        self._guard, self._resolver, self._is_encrypted = guard, resolver, is_encrypted

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        for entry in found:
            self._guard.check(entry["host"], is_encrypted=self._is_encrypted)
        return found

    async def close(self) -> None:
        await self._resolver.close()


def split_url(url: str) -> tuple[str, str]:
    """Scheme and host of an http or https URL. Raises ForbiddenAddressError, which quotes nothing."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ForbiddenAddressError("the address is not a URL") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ForbiddenAddressError("the address does not begin with http:// or https:// and a host")
    return parts.scheme, host
