"""Notices that a department's endpoint refuses for good, and those behind them.

A parked notice is on ``delivery.dead-letters.v1`` byte for byte, with the reason in its headers.
Its followers of the same subject are parked too, because "removed" must not arrive without
"listed". Which subjects are parked is known to this process only, for as long as it runs and
serves the partition: after a restart followers go out again, and the parked notice is still on
record, to be redriven by an operator. Redrive in order: the first parked notice of a subject is
tried again whenever it comes, and once it is delivered the subject is free.
"""

from __future__ import annotations

from collections import OrderedDict

from hub.bus.records import Record
from hub.errors import HubError

#: Subjects remembered as parked; about 200 bytes each. Beyond it the one parked longest ago is free.
MAX_PARKED_SUBJECTS = 100_000

_Subject = tuple[str, int, bytes | None]


class NoticeParkedError(HubError):
    """The endpoint refused this notice for good, or one before it of the same subject."""


class ParkedSubjects:
    """The first parked notice of each subject, by the partition that it belongs to."""

    def __init__(self, limit: int = MAX_PARKED_SUBJECTS) -> None:
        self._limit = limit
        self._parked: OrderedDict[_Subject, str] = OrderedDict()

    def blocker(self, record: Record, notice_id: str) -> str | None:
        """The parked notice that ``notice_id`` has to wait for, if any."""
        first = self._parked.get((record.topic, record.partition, record.key))
        return None if first == notice_id else first

    def park(self, record: Record, notice_id: str) -> None:
        self._parked.setdefault((record.topic, record.partition, record.key), notice_id)
        if len(self._parked) > self._limit:
            self._parked.popitem(last=False)

    def release(self, record: Record) -> None:
        self._parked.pop((record.topic, record.partition, record.key), None)

    def forget(self, partitions: set[tuple[str, int]]) -> None:
        for subject in [s for s in self._parked if s[:2] in partitions]:
            del self._parked[subject]
