"""Made-up accounts for a hub on one machine with its sandbox: one of each role, in two departments besides."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from hub.access import passwords
from hub.access.accounts import Account, AccountsLog, new_account, parse_roles, seal_password
from hub.bus.publisher import KafkaPublisher
from hub.domain.acts import Actor
from hub.domain.plain import whole_millis
from hub.settings import Settings
from hub.wiring.acts import acts_desk
from hub.wiring.delivery import vault
from hub.wiring.parts import open_catalog, open_map, utc_now
from hub.wiring.site import accounts_desk

#: Name, name of the person (none of them lives), department, role.
PEOPLE = (
    ("scj-admin", "示例甲（市场监管）", "market-supervision", "administrator"),
    ("czj-admin", "示例乙（财政）", "finance", "administrator"),
    ("czj-leader", "示例丙（财政）", "finance", "leader"),
    ("czj-clerk", "示例丁（财政）", "finance", "clerk"),
    ("fgw-admin", "示例戊（发改）", "development-reform", "administrator"),
    ("fgw-leader", "示例己（发改）", "development-reform", "leader"),
    ("fgw-clerk", "示例庚（发改）", "development-reform", "clerk"),
    ("yunwei", "示例辛（运维）", "market-supervision", "operator"),
    ("shenji", "示例壬（审计）", "justice", "auditor"),
)
_FILE, _ACTOR = "sandbox-accounts.txt", Actor("sandbox", "command")


class Seeded(NamedTuple):
    """A made-up account and its password."""

    name: str
    password: str
    role: str
    department: str


def seed_accounts(settings: Settings) -> list[Seeded]:
    """Makes the accounts where there is none at all, and returns those of this data folder with their passwords.

    The passwords stand in the data folder, mode 0600, so that they are shown again after a restart. A hub where
    somebody made an account is left as it is. Raises BrokerError.
    """
    path = settings.data / _FILE
    catalog = open_catalog(settings)
    with closing(KafkaPublisher(settings.bootstrap, client_id="seeds")) as publisher:
        desk = accounts_desk(settings, open_map(settings, catalog), catalog, publisher)
        known = {account.name for account in desk.accounts()}
        if known and not path.exists():
            return []
        # What a kill left unmade is made now, by the passwords that were written down before it.
        planned = _read(path) if path.exists() else _plan(path)
        if missing := [each for each in planned if each.name not in known]:
            names, log = ", ".join(each.name for each in missing), AccountsLog(catalog)
            with acts_desk(settings, publisher).acting("access.account.seed", _ACTOR, "sandbox", names):
                publisher.publish([log.entry(_account(each, settings)) for each in missing])
                desk.settle_reports()
        return planned


def _plan(path: Path) -> list[Seeded]:
    planned = [Seeded(name, passwords.generate(name), role, unit) for name, _, unit, role in PEOPLE]
    _write(path, planned)
    return planned


def _account(seeded: Seeded, settings: Settings) -> Account:
    """The account as the desk would make it, all at once: one by one they would keep `hub up` waiting."""
    title = next(title for name, title, _, _ in PEOPLE if name == seeded.name)
    made = new_account(seeded.name, title, seeded.department, parse_roles([seeded.role]))
    sealed = seal_password(seeded.name, seeded.password, vault(settings))
    return replace(
        made.with_password(sealed, must_change=False), reportable=made.reportable, revision=1,
        changed_by=_ACTOR.name, reason="沙箱示例账号", changed_at=whole_millis(utc_now()),
    )


def _read(path: os.PathLike[str]) -> list[Seeded]:
    with open(path, encoding="utf-8") as file:
        return [Seeded(*line.rstrip("\n").split("\t")) for line in file]


def _write(path: os.PathLike[str], accounts: list[Seeded]) -> None:
    draft = f"{os.fspath(path)}.new"
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.writelines("\t".join(each) + "\n" for each in accounts)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)
