"""Where what people do is put on record: sign-ins, changes of accounts, looks at personal data."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from hub.access.accounts import Account
from hub.domain.acts import Act, Actor, Way
from hub.domain.rights import scope_of


class Acts(Protocol):
    """The desk of acts, as far as it is needed here. Every method raises BrokerError where a record cannot be made
    safe: then the act must not be done."""

    def record(self, act: Act) -> Act: ...

    def look(
        self, kind: str, who: Actor, target: str, reason: str, *, details: Sequence[tuple[str, str]] = ()
    ) -> Act: ...

    def acting(
        self, kind: str, who: Actor, target: str, reason: str, *, details: Sequence[tuple[str, str]] = ()
    ) -> AbstractContextManager[list[str]]: ...


def actor_of(account: Account) -> Actor:
    """An account as acts name it; who has no desk in the portal comes by the console."""
    is_portal = scope_of("portal.read", account.roles, account.department) != "none"
    way: Way = "portal" if is_portal else "console"
    return Actor(account.name, way, account.department, ",".join(account.roles))
