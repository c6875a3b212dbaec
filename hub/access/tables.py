"""What is in force, followed while the web side runs."""

from __future__ import annotations

from datetime import datetime

from hub.access.accounts import Account, AccountsLog
from hub.access.keys import ApiKey, ApiKeysLog, digest_of
from hub.access.reports import Report, ReportsLog
from hub.bus.follower import Follower
from hub.bus.revisions import RevisionTable


class AccountsTable(RevisionTable[Account]):
    """The accounts in force."""

    def __init__(self, follower: Follower, accounts_log: AccountsLog, *, pause_seconds: float = 0.2) -> None:
        super().__init__(follower, accounts_log, lambda each: each.name, "accounts", pause_seconds=pause_seconds)

    def get(self, name: str) -> Account | None:
        return self._in_force.get(name)

    def all(self) -> list[Account]:
        """By name."""
        return sorted(self._in_force.copy().values(), key=lambda each: each.name)


class ReportsTable(RevisionTable[Report]):
    """The reports as they stand."""

    def __init__(self, follower: Follower, reports_log: ReportsLog, *, pause_seconds: float = 0.2) -> None:
        super().__init__(follower, reports_log, lambda each: each.report_id, "reports", pause_seconds=pause_seconds)

    def get(self, report_id: str) -> Report | None:
        return self._in_force.get(report_id)

    def all(self) -> list[Report]:
        """Open ones first, the newest first."""
        return sorted(self._in_force.copy().values(), key=lambda each: (not each.is_open, -each.made_at.timestamp()))


class ApiKeysTable(RevisionTable[ApiKey]):
    """The keys of programs in force."""

    def __init__(self, follower: Follower, keys_log: ApiKeysLog, *, pause_seconds: float = 0.2) -> None:
        super().__init__(follower, keys_log, lambda each: each.key_id, "keys", self._index, pause_seconds=pause_seconds)
        self._by_digest: dict[str, str] = {}

    def find(self, text: str, now: datetime) -> ApiKey | None:
        """The key that ``text`` is, if it opens now."""
        found = self._in_force.get(self._by_digest.get(digest_of(text), ""))
        return found if found is not None and found.opens_at(now) else None

    def _index(self, changed: ApiKey) -> None:
        # Another dictionary at once: a reader sees the old keys or the new ones.
        self._by_digest = {**self._by_digest, changed.digest: changed.key_id}
