"""The watch as a part of intake: reads what sources say of themselves, and raises what is due."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import structlog

from hub.bus.publisher import Publisher
from hub.bus.tail import Tail
from hub.contracts.catalog import Catalog
from hub.errors import ContractError, PoisonError
from hub.intake.guards.log import GUARD_TOPICS, GuardLog
from hub.intake.guards.watch import SourcesWatch

#: Silence is a matter of hours: so often is soon enough.
WATCH_SECONDS = 30.0
log = structlog.get_logger()


class SourcesGuard:
    """Used by one thread. ``make`` gives an empty watch; ``now`` aware UTC."""

    def __init__(
        self, bootstrap: str, catalog: Catalog, make: Callable[[], SourcesWatch], publisher: Publisher,
        now: Callable[[], datetime],
    ) -> None:
        self._tail = Tail(bootstrap, GUARD_TOPICS)
        self._log, self._make, self._publisher, self._now = GuardLog(catalog), make, publisher, now
        self.watch = make()

    def read(self) -> SourcesWatch:
        """Brings the watch up to the log. Raises BrokerError."""
        if self._tail.is_new:
            self.watch = self._make()
        for record in self._tail.look():
            if record.value is None:
                continue
            try:
                self.watch.take(self._log.read(record.topic, record.value))
            except (ContractError, PoisonError) as error:
                place = f"{record.topic}/{record.offset}"
                log.error("a record of guards cannot be read", place=place, error=str(error))
        return self.watch

    def tick(self) -> int:
        """Raises every alert that is due; how many. Raises BrokerError: then they are due again."""
        now = self._now()
        fresh = self.read().unknown(now)
        if fresh:
            self._publisher.publish([self._log.heartbeat(each) for each in fresh])
        due = self.read().due(now)
        if due:
            # They come back by the topic, and count from then on.
            self._publisher.publish([self._log.alert(each) for each in due])
        for each in due:
            log.warning("intake alert", kind=each.kind, source=each.source, about=each.about, reason=each.reason)
        return len(due)

    def close(self) -> None:
        self._tail.close()
        self._publisher.close()
