"""A turn at the facts that lasts over several batches of a portion, so that they are under way side by side.

Owners whose events are not acknowledged yet are kept here, where the next batch finds them, and go into the book when
they are. A kill in between costs what a kill within one batch does: whoever has the next turn reads what was published
from the log. The turn goes back as soon as another source waits for it, where the source is slow, and after a while in
any case.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from hub.intake.facts.early import EarlyFacts, FactMaker
from hub.intake.facts.turn import FactDesk, Turn
from hub.state.seen_index import SeenRow

#: A turn's longest time. Its end costs a wait for the broker, some hundredths of a second.
_MOST_SECONDS = 5.0
#: Shortest time before a turn is given to somebody who waits, or the waiting would be all that anybody does.
_LEAST_SECONDS = 0.1
#: A source that took so long for its last batch may take minutes for the next one: the turn does not wait for it.
_SLOW_SECONDS = 0.25
#: Whoever waits looks every twentieth of a second; for so long the turn is left alone once it was given back.
_GAP_SECONDS = 0.07


class Spell:
    """One source's; used by its thread. ``land_all`` waits until all that is under way is acknowledged and, by way
    of ``landed``, in the book."""

    def __init__(
        self, desk: FactDesk, land_all: Callable[[], None], *, now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._desk, self._land_all, self._now, self._sleep = desk, land_all, now, sleep
        self.maker: FactMaker = desk
        self._ahead: dict[bytes, SeenRow] = {}
        self._began_at: float | None = None
        self._free_until = 0.0

    def batch(self, early: EarlyFacts, rows: Mapping[bytes, SeenRow]) -> Turn:
        """The turn for a batch, which ends by itself; ``rows`` as ``Turn`` has them. Raises what ``FactBook.open``
        raises."""
        if self._began_at is None:
            self._sleep(max(0.0, self._free_until - self._now()))
            self._desk.book.open()
            self._began_at = self._now()
        return Turn(self._desk, early, self._ahead, rows)

    def launched(self, made: Mapping[bytes, SeenRow]) -> None:
        """These are under way."""
        self._ahead.update(made)

    def landed(self, made: Mapping[bytes, SeenRow], offsets: Mapping[tuple[str, int], int]) -> None:
        """These are acknowledged, and the records behind which ``offsets`` stand. Raises IndexUnavailableError."""
        if not made:
            return
        self._desk.book.store(made, offsets)
        for fact, entry in made.items():
            # A later batch may have made something newer of it.
            if self._ahead.get(fact) is entry:
                del self._ahead[fact]

    def rest(self, read_seconds: float) -> None:
        """Between two batches, of which the last took ``read_seconds`` to read: gives the turn back where it is time.
        Raises BrokerError, IndexUnavailableError."""
        if self._began_at is None:
            return
        age = self._now() - self._began_at
        is_wanted = age >= _LEAST_SECONDS and self._desk.book.is_wanted()
        if is_wanted or age >= _MOST_SECONDS or read_seconds >= _SLOW_SECONDS:
            self.end()
            if is_wanted:
                self._free_until = self._now() + _GAP_SECONDS

    def end(self) -> None:
        """Gives the turn back, once all that was published is in the book. Raises BrokerError,
        IndexUnavailableError; then ``drop`` is left to be called."""
        if self._began_at is not None:
            self._land_all()
            self._began_at = None
            self._desk.book.close(is_done=True)

    def drop(self) -> None:
        """Gives up a turn that did not come to its end: what was published is found on the log by the next one."""
        self._ahead.clear()
        if self._began_at is not None:
            self._began_at = None
            self._desk.book.close(is_done=False)
