"""Accounts of people, as events on a compacted topic.

``access.accounts.v1``, one partition, keyed by the account's name: the last record of a key is in force. Of a
password its argon2id hash is kept, sealed under the hub's own secret: who reads the topic has nothing to guess at.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal, cast

from hub.access.passwords import hash_password, is_right
from hub.access.refusal import RefusalError
from hub.access.revision_log import RevisionCodec
from hub.contracts.catalog import Catalog
from hub.domain.rights import REPORTED_ROLES, ROLES, Role, role_faults
from hub.domain.scrubbing import scrub
from hub.domain.vault import Vault

ACCOUNTS_TOPIC, ACCOUNTS_SCHEMA = "access.accounts.v1", "hub/account"
EVENT = "access.account.changed"
START = datetime(1970, 1, 1, tzinfo=UTC)
_NAME = re.compile(r"[a-z][a-z0-9.-]{2,39}")
State = Literal["active", "disabled"]


@dataclass(frozen=True, slots=True)
class Account:
    """One account. ``epoch`` counts what ends all its sessions: a change of password, roles or state.

    ``reportable`` are the roles that this revision gave or took and that the lead agency is told of, as
    ``+administrator`` or ``-leader``.
    """

    name: str
    revision: int = 0
    display_name: str = ""
    department: str = ""
    roles: tuple[Role, ...] = ()
    password: bytes | None = field(default=None, repr=False)
    must_change_password: bool = True
    state: State = "active"
    epoch: int = 0
    reportable: tuple[str, ...] = ()
    changed_by: str = ""
    reason: str = ""
    changed_at: datetime = START

    @property
    def is_active(self) -> bool:
        return self.state == "active"

    @property
    def acting_roles(self) -> tuple[Role, ...]:
        """Its roles as they count now: those of a disabled account are nobody's."""
        return self.roles if self.is_active else ()

    def opens_with(self, password: str, vault: Vault) -> bool:
        """Whether it may come in with ``password``; takes as long whatever the answer. Raises ContractError if the
        hash was sealed with another secret."""
        sealed = self.password
        right = is_right(password, vault.open(sealed, _place(self.name)) if sealed is not None else None)
        return right and self.is_active

    def with_password(self, sealed: bytes, *, must_change: bool) -> Account:
        """The password that was sealed opens it from now on, and who is in has to come in again."""
        return replace(self, password=sealed, must_change_password=must_change, epoch=self.epoch + 1, reportable=())

    def with_roles(self, roles: Iterable[Role]) -> Account:
        """Raises RefusalError for roles that are not one person's."""
        given = ordered_roles(roles)
        if faults := role_faults(given):
            raise RefusalError(faults[0])
        return self._followed_by(replace(self, roles=given, epoch=self.epoch + 1))

    def with_state(self, state: State) -> Account:
        if state == self.state:
            raise RefusalError("state-same", name=self.name, state=state)
        return self._followed_by(replace(self, state=state, epoch=self.epoch + 1))

    def _followed_by(self, after: Account) -> Account:
        before, now = set(self.acting_roles) & set(REPORTED_ROLES), set(after.acting_roles) & set(REPORTED_ROLES)
        changes = (*(f"+{role}" for role in sorted(now - before)), *(f"-{role}" for role in sorted(before - now)))
        return replace(after, reportable=changes)


def new_account(name: str, display_name: str, department: str, roles: Iterable[Role]) -> Account:
    """An account that nobody can come in by until it has a password. Raises RefusalError."""
    # Names stand on record for ever, where no number of a person may.
    if not _NAME.fullmatch(name) or scrub(name, []) != name:
        raise RefusalError("name-form")
    shown = " ".join(display_name.split())
    if not 1 <= len(shown) <= 60:
        raise RefusalError("display-name-missing")
    return Account(name, display_name=shown, department=department).with_roles(roles)


def seal_password(name: str, password: str, vault: Vault) -> bytes:
    """What is kept of a password of the account ``name``. Takes a core for a tenth of a second."""
    return vault.seal(hash_password(password), _place(name))


def parse_roles(texts: Iterable[str]) -> tuple[Role, ...]:
    """Raises RefusalError for a text that is no role."""
    found = list(texts)
    for text in found:
        if text not in ROLES:
            raise RefusalError("role-unknown", role=text)
    return ordered_roles(cast("list[Role]", found))


def ordered_roles(roles: Iterable[Role]) -> tuple[Role, ...]:
    given = set(roles)
    return tuple(role for role in ROLES if role in given)


class AccountsLog(RevisionCodec[Account]):
    """Writes and reads the records of the topic."""

    def __init__(self, catalog: Catalog) -> None:
        super().__init__(catalog, ACCOUNTS_TOPIC, ACCOUNTS_SCHEMA, EVENT, lambda account: account.name)

    def from_value(self, value: dict[str, Any]) -> Account:
        return Account(**value | {name: tuple(value[name]) for name in ("roles", "reportable")})


def _place(name: str) -> str:
    return f"account/{name}"
