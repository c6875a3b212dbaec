"""Where a person sees what waits, and says who is meant."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from hub.bus.publisher import Publisher
from hub.contracts.catalog import Catalog
from hub.domain.events import derive_id
from hub.domain.identifiers import is_uscc, normalise
from hub.domain.plain import whole_millis
from hub.errors import InputError
from hub.intake.identity.waits import Decision, Wait, WaitLog


class IdentityDesk:
    """Reads the topics and writes decisions; the source's intake does what they say. ``now`` gives aware UTC."""

    def __init__(
        self, bootstrap: str, catalog: Catalog, publisher: Publisher, now: Callable[[], datetime]
    ) -> None:
        self._bootstrap, self._publisher, self._now = bootstrap, publisher, now
        self._log = WaitLog(catalog)

    def waits(self) -> tuple[list[Wait], dict[str, Decision]]:
        """All waits that the topic holds, the oldest first, and of those that wait the decision that is on record
        and not done yet. Raises BrokerError."""
        waits, decisions = self._log.read_all(self._bootstrap)
        made = {
            decision.wait_id: decision for decision in reversed(decisions)
            if (wait := waits.get(decision.wait_id)) is not None
            and wait.state == "waiting" and wait.digest == decision.digest
        }
        return sorted(waits.values(), key=lambda wait: (wait.since, wait.wait_id)), made

    def find(self, wait_id: str) -> Wait:
        """A wait by its id, or by the beginning of it. Raises InputError if there is none, or more than one."""
        return _only(self.waits()[0], wait_id)

    def decide(self, wait_id: str, uscc: str | None, *, by: str, reason: str) -> Decision:
        """Puts a decision on record: that enterprise, or with ``None`` nobody; returns when it is safe.

        Raises InputError for a code that is none, without a reason, or if the row does not wait.
        """
        if not reason.strip():
            raise InputError("a decision needs a reason")
        code = normalise(uscc) if uscc is not None else None
        if code is not None and not is_uscc(code):
            raise InputError(f"{code[:18]} is no valid unified social credit code (18 characters, check digits right)")
        waits, decided = self.waits()
        wait = _only(waits, wait_id)
        if wait.state != "waiting":
            raise InputError(f"row {wait.wait_id} does not wait: {wait.state}")
        made = decided.get(wait.wait_id)
        if made is not None:
            raise InputError(f"row {wait.wait_id} was decided by {made.decided_by}; intake has not done it yet")
        now = whole_millis(self._now())
        decision = Decision(
            derive_id("identity-decision", wait.wait_id, wait.digest, by, now.isoformat()), wait.wait_id, wait.source,
            wait.digest, "rejected" if code is None else "matched", code, by[:100], reason.strip()[:2000], now,
        )
        self._publisher.publish([self._log.decision(decision)])
        return decision


def _only(waits: list[Wait], wait_id: str) -> Wait:
    found = [wait for wait in waits if wait.wait_id.startswith(wait_id)]
    if len(found) != 1:
        raise InputError(f"{len(found)} rows that wait or waited begin with {wait_id!r}")
    return found[0]
