"""Coming in and going out."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from hub.access.accounts import Account
from hub.access.record import Acts, actor_of
from hub.access.sessions import Session, Sessions
from hub.access.throttle import Throttle
from hub.domain.acts import Actor, new_act
from hub.domain.vault import Vault
from hub.errors import IndexUnavailableError

#: Stands for a name that is no account: comparing its password takes as long.
_NOBODY = Account("nobody")


class Accounts(Protocol):
    """The accounts in force."""

    def get(self, name: str) -> Account | None: ...


class SignedIn(NamedTuple):
    session_id: str
    account: Account


class TooMany(NamedTuple):
    wait: timedelta


class Door:
    """Who may come in. All methods block; they raise IndexUnavailableError without Redis, BrokerError where a try
    cannot be put on record."""

    def __init__(
        self, accounts: Accounts, sessions: Sessions, throttle: Throttle, vault: Vault, acts: Acts,
        now: Callable[[], datetime],
    ) -> None:
        self._accounts, self._sessions, self._throttle = accounts, sessions, throttle
        self._vault, self._acts, self._now = vault, acts, now

    def sign_in(self, name: str, password: str, address: str, agent: str) -> SignedIn | TooMany | None:
        """``None`` for a wrong name, a wrong password or a disabled account: nobody learns which."""
        name = name.strip().lower()
        if (wait := self._throttle.wait(name, address)) is not None:
            return TooMany(wait)
        account = self._accounts.get(name)
        if not (account or _NOBODY).opens_with(password, self._vault) or account is None:
            # A name that is no account's may be a password that was typed into the wrong field.
            who = actor_of(account) if account else Actor("unknown", "portal")
            self._acts.record(new_act(
                "access.sign-in.try", who, who.name, f"来自 {address}", self._now(), state="failed",
            ))
            return None
        self._acts.look("access.sign-in.try", actor_of(account), name, f"来自 {address}")
        self._throttle.forgive(name, address)
        return SignedIn(self._sessions.begin(account, address, agent, self._now()), account)

    def who(self, session_id: str) -> tuple[Session, Account] | None:
        """Session and account of an id, used by it; ``None`` if it is over. An account that was changed since ends
        it."""
        return self._with_account(self._sessions.find(session_id, self._now()))

    def peek(self, session_id: str) -> tuple[Session, Account] | None:
        """As ``who``, without being a use of the session."""
        return self._with_account(self._sessions.peek(session_id, self._now()))

    def _with_account(self, session: Session | None) -> tuple[Session, Account] | None:
        account = self._accounts.get(session.account) if session else None
        if session is None or account is None or not account.is_active or account.epoch != session.epoch:
            return None
        return session, account

    def sign_out(self, session: Session) -> None:
        """Ends a session."""
        self._sessions.end(session)

    def sign_out_all(self, name: str) -> None:
        """Ends every session of an account. They count for nothing already once its epoch moved on: if Redis does not
        answer, that is enough."""
        with contextlib.suppress(IndexUnavailableError):
            self._sessions.end_all(name)

    def sessions_of(self, account: Account) -> list[Session]:
        return self._sessions.of(account.name, self._now())
