"""What all pages work with, as the application holds it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from hub.access.accounts import Account
from hub.access.desk import AccountsDesk
from hub.access.keys import ApiKey
from hub.access.record import Acts
from hub.access.reports import Report
from hub.access.sign_in import Door
from hub.domain.acts import Request as ActRequest
from hub.web.site.render import Renderer


class AccountsInForce(Protocol):
    def get(self, name: str) -> Account | None: ...

    def all(self) -> list[Account]: ...


class ReportsInForce(Protocol):
    def get(self, report_id: str) -> Report | None: ...

    def all(self) -> list[Report]: ...


class KeysInForce(Protocol):
    def find(self, text: str, now: datetime) -> ApiKey | None: ...


class KeyUses(Protocol):
    """When keys were used last; a hint, lost with Redis."""

    def used(self, key_id: str, now: datetime) -> None: ...

    def last(self, key_ids: Sequence[str]) -> dict[str, datetime]: ...


class ActsReader(Acts, Protocol):
    """The desk of acts, which can also be read."""

    def read(self) -> list[ActRequest]: ...


@dataclass(slots=True)
class SiteParts:
    """``ending`` is set when the process is told to stop: whoever streams ends. ``note`` hears of a report that was
    changed here."""

    door: Door
    desk: AccountsDesk
    accounts: AccountsInForce
    reports: ReportsInForce
    keys: KeysInForce
    key_uses: KeyUses
    acts: ActsReader
    renderer: Renderer
    now: Callable[[], datetime]
    note: Callable[[Report], object] = lambda report: None
    ending: threading.Event = field(default_factory=threading.Event)
