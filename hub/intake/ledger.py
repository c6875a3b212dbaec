"""What is known of rows at this moment: stored, under way, or left behind by a kill."""

from __future__ import annotations

from collections.abc import Mapping

from hub.intake.catch_up import Recovered
from hub.state.seen_index import SeenIndex, SeenRow


class Ledger:
    """Lookups for the engine. ``interrupted`` names the portion during which the last intake was
    killed, ``recovered`` what of it is on the log beyond the stored position."""

    def __init__(self, index: SeenIndex, interrupted: str | None, recovered: dict[bytes, Recovered]) -> None:
        self._index = index
        self._ahead: dict[bytes, SeenRow] = {}
        self._interrupted = interrupted
        self._left = recovered
        self._recovered: dict[bytes, Recovered] = {}

    def enter(self, identity: str) -> None:
        """A portion begins. Only the one that was interrupted meets its own rows again."""
        self._recovered = self._left if identity == self._interrupted else {}
        self._interrupted = None
        self._left = {}
        self._index.enter(identity)

    def known(self, keys: list[bytes]) -> dict[bytes, SeenRow]:
        """The last version of each row, seen from where the reading stands now."""
        found: dict[bytes, SeenRow] = {}
        recovered = self._recovered
        for key, row in zip(keys, self._index.lookup(keys), strict=True):
            latest = self._ahead.get(key) or row
            if recovered and key in recovered:
                # The index is ahead of the reading: the row was another then.
                latest = recovered[key].before
            if latest is not None:
                found[key] = latest
        return found

    def latest(self, keys: list[bytes]) -> dict[bytes, SeenRow]:
        """The last version of each row on the log, wherever the reading stands."""
        return {
            key: latest
            for key, row in zip(keys, self._index.lookup(keys), strict=True)
            if (latest := self._ahead.get(key) or row) is not None
        }

    def recover(self, key: bytes, digest: bytes, known: dict[bytes, SeenRow]) -> str | None:
        """The word of the event that this content already is on the log, if the killed intake wrote it.

        Called for a row that differs from what is ``known``; brings ``known`` up to date.
        """
        entry = self._recovered.get(key)
        if entry is None:
            return None
        after, word = entry.events[0]
        if after.digest == digest:
            known[key] = after
            rest = entry.events[1:]
            if rest:
                self._recovered[key] = Recovered(after, rest)
            else:
                del self._recovered[key]
            return word
        # Not what was read then: from here on what the log says last counts.
        known[key] = entry.events[-1][0]
        del self._recovered[key]
        return None

    def put_ahead(self, rows: Mapping[bytes, SeenRow]) -> None:
        """These are under way."""
        self._ahead.update(rows)

    def settle(self, rows: Mapping[bytes, SeenRow]) -> None:
        """These are stored. A later flight may hold a newer version of the same row."""
        for key, row in rows.items():
            if self._ahead.get(key) is row:
                del self._ahead[key]
