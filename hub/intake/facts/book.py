"""Which facts there are and whose event each is: an index in Redis, in turns, rebuilt from the headers of events.

One source at a time, of all that share the index, decides and publishes (``SourceLease``); whoever had the turn last
finds the index as they left it, anybody else brings it up to the end of the log first. So two sources that report one
fact at one moment make one event, and a kill between acknowledgement and index costs the next one a moment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import redis

from hub.intake.catch_up import is_as_left, read_on, take_over
from hub.intake.facts.entries import Course, Owner, entries_behind
from hub.intake.lease import SourceLease
from hub.intake.tentative import FACT_HEADER
from hub.state.seen_index import SeenIndex, SeenRow

#: No source can have this name.
_NAME = "_facts"
#: Another source has the turn while its batch is written; after a kill elsewhere until its lease ends.
_PATIENCE_SECONDS = 200.0


class FactBook:
    """Used by one thread, between ``open`` and ``close``. ``topics`` are all that declare facts."""

    def __init__(
        self, client: redis.Redis, folder: Path, bootstrap: str, topics: Sequence[str],
        patience_seconds: float = _PATIENCE_SECONDS,
    ) -> None:
        self._bootstrap, self._topics, self._patience_seconds = bootstrap, list(topics), patience_seconds
        self._lease = SourceLease(client, folder, _NAME)
        self._index = SeenIndex(client, _NAME, prefix="hub:facts:")
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
        """Whoever was the last to say that a fact is his: he may have left it since, which his course says. Raises
        IndexUnavailableError."""
        return {fact: Owner.of(entry) for fact, entry in self._entries(facts).items()}

    def courses(self, rows: Sequence[bytes]) -> dict[bytes, Course]:
        """Of those rows that have one on record. Raises IndexUnavailableError."""
        return {row: Course.of(entry) for row, entry in self._entries(rows).items()}

    def is_wanted(self) -> bool:
        """Whether another source waits for the turn. Raises IndexUnavailableError."""
        return self._lease.is_wanted()

    def keep(self) -> None:
        """Makes sure that the turn lasts for what is published next. Raises IndexUnavailableError."""
        self._lease.keep()

    def store(self, entries: Mapping[bytes, SeenRow], offsets: Mapping[tuple[str, int], int]) -> None:
        """What was published and acknowledged, as ``Owner.entry`` and ``Course.entry`` give it. Raises
        IndexUnavailableError."""
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
        self._index.write(entries_behind(found, self._entries), offsets)

    def _entries(self, keys: Sequence[bytes]) -> dict[bytes, SeenRow]:
        found = zip(keys, self._index.lookup(keys), strict=True)
        return {key: entry for key, entry in found if entry is not None}


def _read(headers: list[tuple[str, Any]] | None) -> tuple[bytes, Owner] | None:
    found = dict(headers or ())
    try:
        fact, state, content, *way = found[FACT_HEADER].decode().split(";")
        row = bytes.fromhex(found["ce_naturalkey"].decode()).hex()
        return bytes.fromhex(fact), Owner(
            found["ce_source"].decode().rpartition("/")[2], row,
            int(found["ce_sequence"]), found["ce_id"].decode(), found["ce_correlationid"].decode(), state,
            tuple(content.split(",")), *way,
        )
    except (KeyError, ValueError, AttributeError):
        return None  # no declared fact
