"""Which facts there are and whose event each is: an index in Redis, in turns, rebuilt from the headers of events.

One source at a time, of all that share the index, decides and publishes (``SourceLease``); whoever had the turn last
finds the index as they left it, anybody else brings it up to the end of the log first. So two sources that report one
fact at one moment make one event, and a kill between acknowledgement and index costs the next one a moment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import redis

from hub.domain.facts import OWN_SYSTEM
from hub.intake.catch_up import is_as_left, read_on, take_over
from hub.intake.lease import SourceLease
from hub.intake.tentative import FACT_HEADER
from hub.state.seen_index import SeenIndex, SeenRow

#: No source can have this name.
_NAME = "_facts"
#: Another source has the turn while its batch is written; after a kill elsewhere until its lease ends.
_PATIENCE_SECONDS = 200.0


class Owner(NamedTuple):
    """The event that a fact is at the moment: of which source and row (hex), its version, id and correlation, the
    state of the row, the digests of what is compared, and the way by which the source reported it."""

    source: str
    row: str
    version: int
    event_id: str
    correlation_id: str
    state: str
    content: tuple[str, ...]
    way: str = OWN_SYSTEM

    def entry(self) -> SeenRow:
        content = ",".join(self.content)
        texts = (self.source, self.row, self.event_id, self.correlation_id, self.state, content, self.way)
        return SeenRow(self.version, bytes(8), "\x1f".join(texts))

    @classmethod
    def of(cls, entry: SeenRow) -> Owner:
        # Entries of an earlier version have no way.
        source, row, event_id, correlation_id, state, content, *way = entry.state.split("\x1f")
        return cls(source, row, entry.version, event_id, correlation_id, state, tuple(content.split(",")), *way)

    def header(self, fact: bytes) -> tuple[str, bytes]:
        return FACT_HEADER, f"{fact.hex()};{self.state};{','.join(self.content)};{self.way}".encode()


class FactBook:
    """Used by one thread, between ``open`` and ``close``. ``topics`` are all that declare facts."""

    def __init__(
        self, client: redis.Redis, folder: Path, bootstrap: str, topics: Sequence[str],
        patience_seconds: float = _PATIENCE_SECONDS,
    ) -> None:
        self._bootstrap, self._topics, self._patience_seconds = bootstrap, list(topics), patience_seconds
        self._lease = SourceLease(client, folder, _NAME)
        self._index = SeenIndex(client, _NAME, prefix="hub:book:")
        self._is_known = False

    def open(self) -> None:
        """Takes the turn. Raises SourceBusyError, IndexUnavailableError, BrokerError."""
        self._lease.acquire(self._patience_seconds)
        try:
            self._bring_up()
        except BaseException:
            self._is_known = False
            self._lease.release()
            raise

    def look_up(self, facts: Sequence[bytes]) -> dict[bytes, Owner]:
        """Raises IndexUnavailableError."""
        found = zip(facts, self._index.lookup(facts), strict=True)
        return {fact: Owner.of(entry) for fact, entry in found if entry is not None}

    def is_wanted(self) -> bool:
        """Whether another source waits for the turn. Raises IndexUnavailableError."""
        return self._lease.is_wanted()

    def keep(self) -> None:
        """Makes sure that the turn lasts for what is published next. Raises IndexUnavailableError."""
        self._lease.keep()

    def store(self, entries: Mapping[bytes, SeenRow], offsets: Mapping[tuple[str, int], int]) -> None:
        """What was published and acknowledged, as ``Owner.entry`` gives it. Raises IndexUnavailableError."""
        wanted = {place: offset for place, offset in offsets.items() if place[0] in self._topics}
        self._index.write(entries, wanted)

    def close(self, *, is_done: bool) -> None:
        """Gives the turn back. Not done: what was published is found on the log by the next one."""
        try:
            if is_done:
                self._index.end()
            else:
                self._is_known = False
        finally:
            self._lease.release()

    def _bring_up(self) -> None:
        if not (self._is_known and is_as_left(self._index, _NAME)):
            self._is_known = False
            read = partial(read_on, self._index, self._bootstrap, self._topics, _read, self._take)
            take_over(self._index, _NAME, read)
            self._is_known = True

    def _take(self, found: list[tuple[bytes, Owner]], offsets: dict[tuple[str, int], int]) -> None:
        # Events of one fact are of one subject, and so of one partition: the later one counts.
        self._index.write({fact: owner.entry() for fact, owner in found}, offsets)


def _read(headers: list[tuple[str, Any]] | None) -> tuple[bytes, Owner] | None:
    found = dict(headers or ())
    try:
        fact, state, content, *way = found[FACT_HEADER].decode().split(";")
        return bytes.fromhex(fact), Owner(
            found["ce_source"].decode().rpartition("/")[2], found["ce_naturalkey"].decode(),
            int(found["ce_sequence"]), found["ce_id"].decode(), found["ce_correlationid"].decode(), state,
            tuple(content.split(",")), *way,
        )
    except (KeyError, ValueError, AttributeError):
        return None  # no declared fact
