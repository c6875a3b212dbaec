"""Redis index of the notices that departments may answer: one hash for each notice id.

It is no truth: ``rebuild`` makes it again from the inbox topics. Memory is bounded by expiry.
An empty index and an unknown notice are told apart by a mark that only ``rebuild`` sets: after a
FLUSHALL nobody is told "unknown notice" of a notice that the hub did send.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

import redis

from hub.errors import IndexUnavailableError

#: Longer than a year: a measure may be reported at the end of the year after its notice, and the
#: inbox topics hold no less. About 600 bytes a notice.
RETENTION = timedelta(days=400)
_BATCH = 1000


@dataclass(frozen=True, slots=True)
class Notice:
    """What the hub has to know of a notice to judge an answer to it."""

    notice_id: str
    event_id: str
    event_type: str
    correlation_id: str
    subject: str
    subscription: str
    department_code: str
    expected_measures: tuple[str, ...]
    issued_at: datetime
    #: What it asks for: apply, amend or lift. ``None`` where an older entry does not say.
    action: str | None = None


class NoticeIndex:
    """All methods raise IndexUnavailableError when Redis does not answer. Thread-safe as the client is.

    ``client`` may or may not decode responses; it should have short socket timeouts, because
    delivery waits for ``put``. Whoever made the client closes it.
    """

    def __init__(
        self, client: redis.Redis, *, prefix: str = "hub:notice:", retention: timedelta = RETENTION
    ) -> None:
        self._client = client
        self._prefix = prefix
        self._retention = retention
        self._mark = f"{prefix}is-complete"

    def put(self, notices: Sequence[Notice]) -> None:
        """Write the notices in one round trip. Repeats change nothing."""
        if not notices:
            return
        with _answering(), self._client.pipeline(transaction=False) as pipe:
            for notice in notices:
                key = f"{self._prefix}{notice.notice_id}"
                pipe.hset(key, mapping=_to_hash(notice))
                # Counted from the issue, so that a rebuild does not lengthen anything's life.
                pipe.expireat(key, notice.issued_at + self._retention)
            pipe.execute()

    def get(self, notice_id: str) -> Notice | None:
        """The notice, or ``None`` if the hub never issued it (or more than RETENTION ago).

        Raises IndexUnavailableError also while the index is not known to be complete.
        """
        with _answering():
            found = cast(
                "Mapping[bytes | str, bytes | str]", self._client.hgetall(f"{self._prefix}{notice_id}")
            )
            if not found and not self._client.exists(self._mark):
                raise IndexUnavailableError("the index of notices has not been rebuilt yet")
        return _from_hash(notice_id, {_text(name): _text(value) for name, value in found.items()})

    def rebuild(self, reader: Iterable[Notice]) -> int:
        """Write all that ``reader`` yields (every notice of every inbox) and mark the index complete.

        Answers how many there were. May run beside deliveries.
        """
        rest: Iterator[Notice] = iter(reader)
        count = 0
        while batch := list(itertools.islice(rest, _BATCH)):
            self.put(batch)
            count += len(batch)
        with _answering():
            self._client.set(self._mark, "1")
        return count


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except (redis.RedisError, OSError) as error:
        name = type(error).__name__
        raise IndexUnavailableError(f"the index of notices does not answer: {name}") from error


def _to_hash(notice: Notice) -> dict[Any, Any]:  # redis-py's mapping is invariant in its key type
    return {
        "event_id": notice.event_id,
        "event_type": notice.event_type,
        "correlation_id": notice.correlation_id,
        "subject": notice.subject,
        "subscription": notice.subscription,
        "department_code": notice.department_code,
        "expected_measures": json.dumps(notice.expected_measures, ensure_ascii=False),
        "issued_at": notice.issued_at.isoformat(),
        **({"action": notice.action} if notice.action is not None else {}),
    }


def _from_hash(notice_id: str, found: Mapping[str, str]) -> Notice | None:
    if not found:
        return None
    try:
        return Notice(
            notice_id=notice_id,
            event_id=found["event_id"],
            event_type=found["event_type"],
            correlation_id=found["correlation_id"],
            subject=found["subject"],
            subscription=found["subscription"],
            department_code=found["department_code"],
            expected_measures=tuple(json.loads(found["expected_measures"])),
            issued_at=datetime.fromisoformat(found["issued_at"]),
            action=found.get("action"),
        )
    except (KeyError, ValueError) as error:
        # Not the department's fault, and a rebuild repairs it: not to be answered with "unknown".
        raise IndexUnavailableError(f"the index holds an unreadable entry for {notice_id}") from error


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
