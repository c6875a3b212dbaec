"""Where keys of sources are made and ended, and where those in force are looked up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import structlog

from hub.bus.follower import Follower
from hub.bus.publisher import Publisher
from hub.bus.reader import read_topics
from hub.bus.revisions import RevisionTable
from hub.domain.plain import whole_millis
from hub.errors import BrokerError, ContractError, InputError, PoisonError
from hub.intake.source_keys import KEYS_TOPIC, KeysLog, SourceKey, SourceKeys, digest_of

log = structlog.get_logger()
Change = Callable[[SourceKeys], SourceKeys]
#: So often a change is made anew on top of another's that came in between.
_TRIES = 5


class KeysDesk:
    """Reads the topic and writes to it. ``now`` gives aware UTC.

    Of two who change the same revision at once the first on the log wins, as with settings of
    subscriptions: the other one's change is made again on top of it.
    """

    def __init__(self, bootstrap: str, publisher: Publisher, keys_log: KeysLog, now: Callable[[], datetime]) -> None:
        self._bootstrap, self._publisher, self._log, self._now = bootstrap, publisher, keys_log, now

    def history(self) -> list[tuple[int, SourceKeys]]:
        """(offset, keys) of what the topic still holds, the oldest first. Raises BrokerError."""
        found = []
        for record in read_topics(self._bootstrap, [KEYS_TOPIC]):
            try:
                found.append((record.offset, self._log.read(record.value)))
            except (ContractError, PoisonError) as error:
                log.error("keys on the log cannot be read", offset=record.offset, error=str(error))
        return found

    def read(self) -> dict[str, SourceKeys]:
        """The keys in force, by source. Raises BrokerError."""
        found: dict[str, SourceKeys] = {}
        for _, keys in self.history():
            if keys.revision > found.get(keys.source, SourceKeys(keys.source)).revision:
                found[keys.source] = keys
        return found

    def change(self, source: str, change: Change, *, by: str, reason: str) -> SourceKeys:
        """Puts ``change`` of the keys in force into force; returns when it is safe.

        Raises InputError without a reason or if ``change`` does, BrokerError if it could not be written.
        """
        if not reason.strip():
            raise InputError("a change of keys needs a reason")
        for _ in range(_TRIES):
            current = self.read().get(source) or SourceKeys(source)
            changed = replace(
                change(current), revision=current.revision + 1, changed_by=by, reason=reason.strip(),
                changed_at=whole_millis(self._now()),
            )
            ticket = self._publisher.publish_async([self._log.entry(changed)])
            ticket.wait()
            ours = ticket.next_offsets[KEYS_TOPIC, 0] - 1
            if all(
                other.source != source or other.revision < changed.revision or offset >= ours
                for offset, other in self.history()
            ):
                return changed
        raise BrokerError(f"the keys of {source} are being changed by others; try again")


class KeysTable(RevisionTable[SourceKeys]):
    """The keys in force."""

    def __init__(self, follower: Follower, keys_log: KeysLog, *, pause_seconds: float = 0.2) -> None:
        super().__init__(
            follower, keys_log, lambda found: found.source, "keys", self._index, pause_seconds=pause_seconds
        )
        self._by_digest: dict[str, tuple[str, SourceKey]] = {}

    def find(self, text: str, now: datetime) -> tuple[str, SourceKey] | None:
        """Source and key that ``text`` is, if it opens now."""
        found = self._by_digest.get(digest_of(text))
        return found if found is not None and found[1].opens_at(now) else None

    def _index(self, changed: SourceKeys) -> None:
        # Another dictionary at once: a reader sees the old keys or the new ones.
        self._by_digest = {key.digest: (each.source, key) for each in self._in_force.values() for key in each.keys}
