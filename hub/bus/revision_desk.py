"""Where a small compacted topic of revisions is read and changed: whoever changes it says who and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import Field, replace
from datetime import datetime
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar

import structlog

from hub.bus.publisher import Publisher
from hub.bus.records import Output, Record
from hub.domain.plain import whole_millis
from hub.errors import BrokerError, ContractError, InputError, PoisonError

log = structlog.get_logger()
#: So often a change is made anew on top of another's that came in between.
_TRIES = 5


class Revised(Protocol):
    """A frozen dataclass that is one revision of a named thing. ``revision`` counts its changes, from 1."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def revision(self) -> int: ...


T = TypeVar("T", bound=Revised)


class RevisionLog(Protocol[T]):
    """Writes and reads the records. ``read`` raises ContractError or PoisonError for one that is none of its own."""

    def entry(self, revision: T) -> Output: ...

    def read(self, value: bytes | None) -> T: ...


class Words(NamedTuple):
    """What the things of the topic are called in logs and refusals, e.g. ``account``."""

    one: str
    many: str


class RevisionDesk(Generic[T]):
    """``records`` reads the topic from its beginning to its end of now; ``now`` gives aware UTC.

    ``T`` has the fields ``revision``, ``changed_by``, ``reason`` and ``changed_at``. Of two who change the same
    revision at once the first on the log wins: readers pass the other one over, and its desk makes its change again
    on top of the winner's.
    """

    def __init__(
        self, topic: str, records: Callable[[], Iterable[Record]], publisher: Publisher, revisions: RevisionLog[T],
        name_of: Callable[[T], str], words: Words, now: Callable[[], datetime],
    ) -> None:
        self._topic, self._records, self._publisher, self._log = topic, records, publisher, revisions
        self._name_of, self._words, self._now = name_of, words, now

    def history(self) -> list[tuple[int, T]]:
        """(offset, revision) of what the topic still holds, the oldest first. Raises BrokerError."""
        found = []
        for record in self._records():
            try:
                found.append((record.offset, self._log.read(record.value)))
            except (ContractError, PoisonError) as error:
                log.error(f"{self._words.many} on the log cannot be read", offset=record.offset, error=str(error))
        return found

    def read(self) -> dict[str, T]:
        """What is in force, by name. Raises BrokerError."""
        found: dict[str, T] = {}
        for _, each in self.history():
            known = found.get(self._name_of(each))
            if known is None or each.revision > known.revision:
                found[self._name_of(each)] = each
        return found

    def change(self, name: str, change: Callable[[T | None], T], *, by: str, reason: str) -> T:
        """Puts ``change`` of what is in force (``None``: there is nothing of that name) into force; returns when it
        is safe.

        Raises InputError without a reason or if ``change`` does, BrokerError if it could not be written.
        """
        if not reason.strip():
            raise InputError(f"a change of {self._words.many} needs a reason")
        for _ in range(_TRIES):
            current = self.read().get(name)
            changed = replace(
                change(current), revision=current.revision + 1 if current else 1, changed_by=by,
                reason=reason.strip(), changed_at=whole_millis(self._now()),
            )
            ticket = self._publisher.publish_async([self._log.entry(changed)])
            ticket.wait()
            ours = ticket.next_offsets[self._topic, 0] - 1
            if all(
                self._name_of(other) != name or other.revision < changed.revision or offset >= ours
                for offset, other in self.history()
            ):
                return changed
        raise BrokerError(f"the {self._words.one} {name} is being changed by others; try again")
