"""What is put on record of the notices of one subscription: receipts, waits, dead letters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Protocol

from hub.bus.dead_letters import to_dead_letter
from hub.bus.records import Output, Record
from hub.contracts.catalog import Catalog
from hub.delivery.fallback import Way
from hub.delivery.lines import Item, Line, Lines
from hub.delivery.receipts import Outcome, Sent, Tried
from hub.delivery.waits import Wait, WaitLog
from hub.errors import HubError


class Finisher(Protocol):
    """The part of a flow that writes, without a record only that; and that ends it where nothing can go on."""

    def finish(self, record: Record | None, outputs: Sequence[Output]) -> None: ...

    def fail(self, error: BaseException) -> None: ...


class Book:
    """Writes through ``flow``, which is set before the first record. ``now`` gives aware UTC.

    ``aside`` counts the notices that stand on the topic of waits and are held in memory.
    """

    flow: Finisher

    def __init__(
        self, catalog: Catalog, now: Callable[[], datetime], rule_version: str, lines: Lines, log: Any
    ) -> None:
        self.waits = WaitLog(catalog)
        self.aside = 0
        self._now, self._rule_version, self._lines, self._log = now, rule_version, lines, log

    def end(
        self, line: Line, item: Item, way: Way, outcome: Outcome, reason: str | None = None, sent: Sent | None = None
    ) -> None:
        """How it ended; it leaves its line, and what is behind it does not move by this alone."""
        outputs = [self.receipt(item, way, outcome, reason, sent)]
        if item.wait is not None:
            outputs.append(self.waits.gone(item.record, item.notice_id))
            self.aside -= 0 if line.is_gone else 1
        self.flow.finish(None if item.wait is not None else item.record, outputs)
        self._lines.remove(line, item)
        # Thousands a second: the receipt tells of each on the log of events, this only where it is asked for.
        self._log.debug(
            "delivery.finished", notice_id=item.notice_id, event_id=item.notice["event_id"], status=outcome,
            attempts=item.attempts, http_status=item.http_status,
        )

    def wait(self, line: Line, item: Item, wait: Wait, *outputs: Output) -> None:
        """It waits apart from its inbox from now on, or in another state than before."""
        was_aside = item.wait is not None
        item.wait = wait._replace(
            attempts=item.attempts, http_status=item.http_status, first_attempt_at=item.first_at,
            last_attempt_at=self._now() if item.attempts else None,
        )
        entry = self.waits.entry(item.record, item.notice, item.envelope, item.wait, self._now())
        self.flow.finish(None if was_aside else item.record, [*outputs, entry])
        self.aside += 0 if was_aside or line.is_gone else 1

    def bury(self, record: Record, error: Exception) -> None:
        """Nobody can read it: it becomes a dead letter, and the rest goes on."""
        reason = str(error) if isinstance(error, HubError) else type(error).__name__
        self._log.error("dead letter", topic=record.topic, partition=record.partition, offset=record.offset,
                        error=reason)
        letter = to_dead_letter(record, "delivery", error, attempts=1, first_failed_at=self._now(),
                                rule_version=self._rule_version)
        self.flow.finish(record, [letter])

    def receipt(
        self, item: Item, way: Way, outcome: Outcome, reason: str | None = None, sent: Sent | None = None
    ) -> Output:
        now = self._now()
        tried = Tried(item.attempts, item.first_at or now, item.http_status)
        return way.receipts.write(
            item.record, item.notice, item.envelope, outcome, tried, now, endpoint=way.transport.address,
            reason=reason, sent=sent,
        )
