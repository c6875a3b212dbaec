"""Notices that do not get through for now: put aside, parked, handed out the other way, and what people decide."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from hub.bus.records import Record
from hub.delivery.agenda import Agenda
from hub.delivery.book import Book
from hub.delivery.commands import Command
from hub.delivery.elsewhere import Elsewhere
from hub.delivery.fallback import Deadlines, Way
from hub.delivery.gate import Gate
from hub.delivery.lines import Item, Line, Lines, LineState
from hub.delivery.replays import is_replay
from hub.delivery.transport import Taken
from hub.delivery.waits import Wait
from hub.domain.circuit import Circuit, CircuitState
from hub.domain.retry import Schedule


class Aside:
    """Of one subscription, in its event loop. ``way`` is the ordinary one as it is now, ``fallback`` the other one if
    there is one; ``tries`` how often a notice is tried in place before it comes here. ``now`` gives aware UTC,
    ``chance`` a number below 1."""

    def __init__(
        self, lines: Lines, book: Book, agenda: Agenda, deadlines: Deadlines, way: Callable[[], Way], *,
        fallback: Way | None, schedule: Schedule, tries: int, circuit: Circuit, gate: Gate, pause_seconds: float,
        now: Callable[[], datetime], chance: Callable[[], float], log: Any,
    ) -> None:
        self._lines, self._book, self._agenda, self._deadlines = lines, book, agenda, deadlines
        self._way, self._schedule, self._tries = way, schedule, tries
        self._circuit, self._gate = circuit, gate
        self._now, self._chance, self._log = now, chance, log
        self.elsewhere: Elsewhere | None = None
        if fallback is not None:
            self.elsewhere = Elsewhere(fallback, self._ended_elsewhere, now, pause_seconds, log)

    def take_up(self, line: Line) -> None:
        """What waits when a partition comes: as it was left."""
        wait = line.items[0].wait
        if wait is not None and wait.state == "parked":
            line.state = LineState.PARKED
        elif wait is not None and wait.state == "fallback" and self.elsewhere is not None:
            self.elsewhere.hand_out(line)
        elif wait is not None and wait.state == "retrying" and wait.next_attempt_at is not None:
            self._agenda.sleep(line, LineState.WAITING, (wait.next_attempt_at - self._now()).total_seconds())
        else:
            self._agenda.make_ready(line)

    def put(self, line: Line, item: Item, reason: str) -> None:
        """The first notice of a line, tried in vain in its place: it is tried again later, as long as that helps."""
        delay = None
        if not is_replay(item.notice):
            chance = self._chance()
            delay = self._schedule.delay(max(0, item.attempts - self._tries), chance=chance)
            delay = self._deadlines.delay(item, delay, chance)
        if delay is None:
            self.park(line, item, self._way(), f"{reason}; {item.attempts} attempts failed")
            return
        next_at = self._now() + timedelta(seconds=delay)
        self._book.wait(line, item, Wait("retrying", reason, next_attempt_at=next_at))
        self._agenda.sleep(line, LineState.WAITING, delay)
        for each in list(line.items)[1:]:
            self.put_behind(line, each)
        self._log.warning("delivery.put_aside", notice_id=item.notice_id, error=reason, attempts=item.attempts,
                          seconds=round(delay))

    def park(self, line: Line, item: Item, way: Way, reason: str) -> None:
        """A person has to judge it."""
        if is_replay(item.notice):
            # It must not hold up what has a period of law: who asked for it reads how it ended, and asks again.
            self._book.end(line, item, way, "dropped", reason)
            self._agenda.go_on(line)
            return
        line.state = LineState.PARKED
        self._book.wait(line, item, Wait("parked", reason), self._book.receipt(item, way, "parked", reason))
        self._log.warning("delivery.finished", notice_id=item.notice_id, event_id=item.notice["event_id"],
                          status="parked", attempts=item.attempts, http_status=item.http_status)
        for each in list(line.items)[1:]:
            self.put_behind(line, each)

    def put_behind(self, line: Line, item: Item) -> None:
        """A later notice of a line that is held."""
        first = line.items[0].notice_id
        if line.state is LineState.PARKED:
            reason = f"behind the parked notice {first} of the same subject"
            self._book.wait(line, item, Wait("behind", reason), self._book.receipt(item, self._way(), "parked", reason))
        elif item.wait is None:
            self._book.wait(line, item, Wait("behind", f"behind the notice {first} of the same subject"))

    def obey(self, record: Record, command: Command) -> None:
        """A person's command, which holds for what is put aside on its own partition."""
        for line in self._lines:
            if line.place[1] == record.partition and line.is_held:
                self._obey_for(line, command)

    def watch(self) -> None:
        """Looks after what does not get through while its period ends."""
        for line in self._lines:
            if line.items and line.state not in (LineState.IDLE, LineState.BUSY, LineState.ELSEWHERE):
                self._look_at(line, line.items[0])

    def call_back(self, line: Line) -> None:
        """Ends an attempt the other way, if there is one."""
        if self.elsewhere is not None:
            self.elsewhere.call_back(line)

    def _obey_for(self, line: Line, command: Command) -> None:
        named = [item for item in line.items if command.notice_id in (None, item.notice_id)]
        if not named:
            return
        if command.kind == "release":
            self.call_back(line)
            line.items[0].tries_in_place = self._tries
            line.items[0].is_released = True
            self._agenda.make_ready(line)
            return
        reason = f"dropped by {command.asked_by}: {command.reason}"
        is_first = named[0] is line.items[0]
        if is_first:
            self.call_back(line)
        for item in named:
            self._book.end(line, item, self._way(), "dropped", reason)
        if is_first:
            self._agenda.go_on(line)

    def _look_at(self, line: Line, item: Item) -> None:
        is_stuck = item.attempts or self._circuit.state is not CircuitState.CLOSED or self._gate.shut_by
        # What a person has to judge already stays with him, unless it was this way that refused it.
        is_judged = line.state is LineState.PARKED and item.http_status is None
        if not is_stuck or is_judged or item.is_released or not self._deadlines.is_last(item):
            return
        reason = item.last_error or self._gate.shut_by or "the endpoint does not answer"
        if self.elsewhere is not None:
            self._book.wait(line, item, Wait("fallback", reason), self._deadlines.fell_back(item, reason))
            self._log.warning("delivery.fell_back", notice_id=item.notice_id, error=reason, attempts=item.attempts)
            self.elsewhere.hand_out(line)
            for each in list(line.items)[1:]:
                self.put_behind(line, each)
        elif not item.is_told:
            item.is_told = True
            self._book.flow.finish(None, [self._deadlines.at_risk(item, reason)])
            self._log.warning("delivery.at_risk", notice_id=item.notice_id, error=reason, attempts=item.attempts)

    def _ended_elsewhere(self, line: Line, item: Item, taken: Taken) -> None:
        assert self.elsewhere is not None
        if taken.is_success:
            self._book.end(line, item, self.elsewhere.way, "delivered", sent=taken.sent)
            self._agenda.go_on(line)
        else:
            self.park(line, item, self.elsewhere.way, taken.reason or "refused")
