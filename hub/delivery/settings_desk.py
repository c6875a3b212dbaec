"""Where settings of subscriptions are read and changed. Every change is an event with who and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

import structlog

from hub.bus.follower import Follower
from hub.bus.kept_topics import KeptTopics
from hub.bus.publisher import Publisher
from hub.bus.reader import read_topics
from hub.bus.records import Record
from hub.bus.revisions import RevisionTable
from hub.delivery.settings import SETTINGS_TOPIC, SettingsLog, SubscriptionSettings
from hub.domain.plain import whole_millis
from hub.domain.vault import Vault
from hub.errors import BrokerError, ContractError, InputError, PoisonError

log = structlog.get_logger()
Change = Callable[[SubscriptionSettings], SubscriptionSettings]
#: Who is on record for settings that came from the file of addresses, and why.
FILE, FILE_REASON = "endpoints.yaml", "addresses of the file, as an operator wrote them"
#: So often a change is made anew on top of another's that came in between.
_TRIES = 5


class SettingsDesk:
    """Reads the topic and writes to it. ``now`` gives aware UTC; ``kept`` has the topic's records for who is asked
    again and again.

    Of two who change the same revision at the same time the first on the log wins: readers pass the other one
    over, and its desk makes its change again on top of the winner's.
    """

    def __init__(
        self, bootstrap: str, publisher: Publisher, settings_log: SettingsLog, now: Callable[[], datetime],
        kept: KeptTopics[Record] | None = None,
    ) -> None:
        self._bootstrap, self._publisher, self._log, self._now = bootstrap, publisher, settings_log, now
        self._kept = kept

    def history(self, subscription: str | None = None) -> list[tuple[int, SubscriptionSettings]]:
        """(offset, settings) of what the topic still holds, the oldest first. Raises BrokerError."""
        found = []
        for record in self._kept.all() if self._kept else read_topics(self._bootstrap, [SETTINGS_TOPIC]):
            try:
                settings = self._log.read(record.value)
            except (ContractError, PoisonError) as error:
                log.error("settings on the log cannot be read", offset=record.offset, error=str(error))
                continue
            if subscription in (None, settings.subscription):
                found.append((record.offset, settings))
        return found

    def read(self) -> dict[str, SubscriptionSettings]:
        """The settings in force, by subscription. Raises BrokerError."""
        found: dict[str, SubscriptionSettings] = {}
        for _, settings in self.history():
            known = found.setdefault(settings.subscription, settings)
            if settings.revision > known.revision:
                found[settings.subscription] = settings
        return found

    def change(self, subscription: str, change: Change, *, by: str, reason: str) -> SubscriptionSettings:
        """Puts ``change`` of the settings in force into force; returns when it is safe.

        Raises InputError without a reason or if ``change`` does, BrokerError if it could not be written.
        """
        if not reason.strip():
            raise InputError("a change of settings needs a reason")
        for _ in range(_TRIES):
            changed = self._changed(self.read().get(subscription), subscription, change, by, reason)
            ticket = self._publisher.publish_async([self._log.entry(changed)])
            ticket.wait()
            ours = ticket.next_offsets[SETTINGS_TOPIC, 0] - 1
            if all(other.revision < changed.revision or offset >= ours for offset, other in self.history(subscription)):
                return changed
        raise BrokerError(f"the settings of {subscription} are being changed by others; try again")


    def publish_file(
        self, entries: Mapping[str, Change], fits: Callable[[str, SubscriptionSettings], bool]
    ) -> dict[str, SubscriptionSettings]:
        """Puts what the file of addresses says into force, for subscriptions that nobody gave an address by command.

        ``fits`` tells whether settings are already those of the file. Returns the settings in force. Several
        processes may do so at once: the first one wins, and what it wrote fits the others.
        """
        for _ in range(_TRIES):
            found = self.read()
            missing = []
            for name, change in entries.items():
                current = found.get(name)
                if current is not None and fits(name, current):
                    continue
                if current is not None and current.url is not None and current.changed_by != FILE:
                    log.info("settings were changed by command, the file's are passed over", subscription=name)
                    continue
                missing.append(self._log.entry(self._changed(current, name, change, FILE, FILE_REASON)))
            if not missing:
                return found
            self._publisher.publish(missing)
        raise BrokerError("the settings of subscriptions are being changed by others; try again")

    def _changed(
        self, current: SubscriptionSettings | None, subscription: str, change: Change, by: str, reason: str
    ) -> SubscriptionSettings:
        current, at = current or SubscriptionSettings(subscription), self._now()
        return replace(
            change(current), revision=current.revision + 1, changed_by=by, reason=reason.strip(),
            changed_at=whole_millis(at),
        )


class SettingsTable(RevisionTable[SubscriptionSettings]):
    """The settings in force. ``on_change`` is called with each that changed, in the thread of ``run``."""

    def __init__(
        self, follower: Follower, settings_log: SettingsLog, on_change: Callable[[SubscriptionSettings], None]
        = lambda settings: None, *, pause_seconds: float = 0.2,
    ) -> None:
        super().__init__(
            follower, settings_log, lambda found: found.subscription, "settings", on_change,
            pause_seconds=pause_seconds,
        )

    def get(self, subscription: str) -> SubscriptionSettings | None:
        return self._in_force.get(subscription)


class AnswerKeys:
    """What answers of each subscription are verified with, as the settings in force say."""

    def __init__(self, table: SettingsTable, vault: Vault, now: Callable[[], datetime]) -> None:
        self._table, self._vault, self._now = table, vault, now

    def __call__(self, subscription: str) -> list[str]:
        """Secrets that sign its notices and public keys that it signs with; none for one that is unknown."""
        settings = self._table.get(subscription)
        return [] if settings is None else [*settings.secrets(self._vault, self._now()), *settings.receiver_keys]
