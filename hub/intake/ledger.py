"""What is known of rows at this moment: stored, under way, or left on the log by a kill."""

from __future__ import annotations

from collections.abc import Mapping

from hub.intake.catch_up import Recovered, Window
from hub.state.seen_index import SeenIndex, SeenRow

Offsets = dict[tuple[str, int], int]


class Ledger:
    """Lookups and stores for the engine. ``interrupted`` names the portion during which the last
    intake was killed, ``window`` what of it is on the log beyond the stored position.

    As long as events of the window have not been met again, no offset is stored: killed once more,
    the next start finds them on the log again.
    """

    def __init__(self, index: SeenIndex, interrupted: str | None, window: Window) -> None:
        self._index = index
        self._interrupted = interrupted
        self._recovered = window.recovered
        self._held: Offsets = dict(window.offsets)
        self._ahead: dict[bytes, SeenRow] = {}

    @property
    def is_settled(self) -> bool:
        """Whether nothing of the window is left to be met."""
        return not self._recovered

    def enter(self, identity: str) -> None:
        """A portion begins. Only the one that was interrupted meets its own rows again."""
        if identity != self._interrupted:
            self.absorb()
        self._interrupted = None
        self._index.enter(identity)

    def absorb(self) -> None:
        """Nobody is going to read the rest of the window again: it goes into the index as it is."""
        if self._recovered or self._held:
            rows = {key: entry.events[-1][0] for key, entry in self._recovered.items()}
            self._index.write(rows, self._held)
            self._recovered, self._held = {}, {}

    def known(self, keys: list[bytes]) -> dict[bytes, SeenRow]:
        """The last version of each row, seen from where the reading stands now."""
        return self._look_up(keys, is_latest=False)

    def latest(self, keys: list[bytes]) -> dict[bytes, SeenRow]:
        """The last version of each row on the log, wherever the reading stands."""
        return self._look_up(keys, is_latest=True)

    def _look_up(self, keys: list[bytes], *, is_latest: bool) -> dict[bytes, SeenRow]:
        found: dict[bytes, SeenRow] = {}
        for key, row in zip(keys, self._index.lookup(keys), strict=True):
            latest = self._ahead.get(key) or row
            if self._recovered and key in self._recovered:
                entry = self._recovered[key]
                latest = entry.events[-1][0] if is_latest else entry.before
            if latest is not None:
                found[key] = latest
        return found

    def recover(self, key: bytes, digest: bytes) -> tuple[SeenRow, str | None] | None:
        """For a row that differs from what is known: the event that the killed intake made of it and
        the last word of its type. The word is ``None``, and the event the last one, if it made
        something else of it; the whole is ``None`` if it made nothing of that row."""
        entry = self._recovered.pop(key, None)
        if entry is None:
            return None
        after, word = entry.events[0]
        if after.digest != digest:
            return entry.events[-1][0], None
        if len(entry.events) > 1:
            self._recovered[key] = Recovered(after, entry.events[1:])
        return after, word

    def met(self, key: bytes) -> SeenRow | None:
        """A record without versions (a rejection) was met again: what the index is to hold of it."""
        entry = self._recovered.pop(key, None)
        return entry.events[-1][0] if entry else None

    def put_ahead(self, rows: Mapping[bytes, SeenRow]) -> None:
        """These are under way."""
        self._ahead.update(rows)

    def store(
        self,
        rows: Mapping[bytes, SeenRow],
        offsets: Offsets,
        position: tuple[str, bytes] | None,
        *,
        is_settled: bool,
    ) -> None:
        """Stores what is acknowledged, and how far its portion has got, where it is of one.
        ``is_settled`` as it was when the last of these rows was read."""
        self._held.update(offsets)
        self._index.write(rows, self._held if is_settled else {}, position)
        if is_settled:
            self._held = {}
        for key, row in rows.items():
            # A later flight may hold a newer version of the same row.
            if self._ahead.get(key) is row:
                del self._ahead[key]
