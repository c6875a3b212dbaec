"""A small compacted topic whose records are revisions: the last of each name is in force."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any, Generic, Protocol, TypeVar

import structlog

from hub.bus.follower import Follower
from hub.errors import ContractError, PoisonError

log = structlog.get_logger()


class Revision(Protocol):
    """``revision`` counts the changes of one name, from 1."""

    @property
    def revision(self) -> int: ...


T = TypeVar("T", bound=Revision)
T_co = TypeVar("T_co", covariant=True)


class RevisionReader(Protocol[T_co]):
    """Reads a record's value. Raises ContractError or PoisonError for one that is none of its own."""

    def read(self, value: bytes | None) -> T_co: ...


class RevisionTable(Generic[T]):
    """What is in force, followed in a thread of its own while it runs. Readers may be of any thread.

    ``name_of`` gives the name that a revision is of, ``what`` the word for the log. ``on_change`` is called in that
    thread with each that changed, those of the first look among them.
    """

    def __init__(
        self, follower: Follower, reader: RevisionReader[T], name_of: Callable[[T], str], what: str,
        on_change: Callable[[T], Any] = lambda changed: None, *, pause_seconds: float = 0.2,
    ) -> None:
        self._follower, self._reader, self._name_of, self._what = follower, reader, name_of, what
        self._on_change, self._pause_seconds = on_change, pause_seconds
        self._in_force: dict[str, T] = {}
        self._stopping = threading.Event()

    def fill(self, known: Iterable[T]) -> None:
        """What is known before the first look, so that nobody meets an empty table."""
        for each in known:
            self._take(each)

    def run(self) -> None:
        try:
            while not self._stopping.is_set():
                self.look()
                self._stopping.wait(self._pause_seconds)
        finally:
            self._follower.close()

    def stop(self) -> None:
        self._stopping.set()

    def look(self) -> None:
        """Takes what came since the last look."""
        for offset, _, value in self._follower.news():
            try:
                found = self._reader.read(value)
            except (ContractError, PoisonError) as error:
                log.error(f"{self._what} on the log cannot be read", offset=offset, error=str(error))
                continue
            self._take(found)

    def _take(self, found: T) -> None:
        name = self._name_of(found)
        known = self._in_force.get(name)
        if known is not None and known.revision >= found.revision:
            return
        self._in_force[name] = found
        self._on_change(found)
