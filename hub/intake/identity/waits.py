"""Rows that wait until a person says whose they are, and what the person said: two topics.

``identity.waits.v1`` (compacted) holds each row's last state, ``identity.decisions.v1`` every decision for ever.
Waits are written by the source's intake alone, which numbers its versions; decisions by whoever decides.
A wait carries the headers of the event that it may become, and ``ce_priorstate``, so that the index of rows seen
is rebuilt from it as from events (``hub.intake.tentative``).

    waiting -> matched      a person said who it is; the event is on its topic
            -> rejected     a person said that nobody can be said; the row is on intake.rejections.v1
            -> superseded   the row came again with another content, or is gone
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple

from hub.bus.reader import read_topics
from hub.bus.records import Output, Record
from hub.contracts.catalog import Catalog
from hub.contracts.cloudevents import to_headers
from hub.domain.events import Envelope, derive_id, new_traceparent
from hub.intake.tentative import PRIOR_STATE, ROW_STATE

WAITS_TOPIC, DECISIONS_TOPIC = "identity.waits.v1", "identity.decisions.v1"
WAIT_SCHEMA, DECISION_SCHEMA = "hub/identity-wait", "hub/identity-decision"
WAIT_EVENT, DECISION_EVENT = "identity.wait.changed", "identity.decision.made"
WaitState = Literal["waiting", "matched", "rejected", "superseded"]


class Offer(NamedTuple):
    """A candidate as a person is shown it."""

    uscc: str
    name: str
    points: int
    explanation: str


@dataclass(frozen=True, slots=True)
class Wait:
    """One row that waits, or has waited. Fields as the schema has them; times are aware."""

    wait_id: str
    event_id: str
    state: WaitState
    source: str
    topic: str
    version: int
    event_type: str
    row_state: str
    prior_state: str
    natural_key: str
    digest: str
    party_name: str
    given_code: str | None
    region_code: str | None
    reason: str
    candidates: tuple[Offer, ...]
    file: str
    sheet: str | None
    row: int
    data: bytes
    since: datetime
    changed_at: datetime
    uscc: str | None = None
    decision_id: str | None = None
    decided_by: str | None = None
    decision_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """A person's word on one content (``digest``) of one row."""

    decision_id: str
    wait_id: str
    source: str
    digest: str
    verdict: Literal["matched", "rejected"]
    uscc: str | None
    decided_by: str
    reason: str
    decided_at: datetime


class WaitLog:
    """Writes and reads the records of both topics."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._wait, self._decision = catalog.schema(WAIT_SCHEMA), catalog.schema(DECISION_SCHEMA)

    def wait(self, wait: Wait, uri: str) -> Output:
        """The record of a wait; ``uri`` is ``ce_source`` of its source."""
        value: dict[str, Any] = {name: getattr(wait, name) for name in wait.__slots__}
        value["candidates"] = [offer._asdict() for offer in wait.candidates]
        id_ = derive_id("identity-wait", wait.event_id, wait.digest, wait.state)
        headers = to_headers(Envelope(
            id=id_, source=uri, type=WAIT_EVENT, subject=wait.source, time=wait.changed_at,
            correlation_id=wait.wait_id, causation_id=wait.decision_id, traceparent=new_traceparent(wait.event_id),
            sequence=wait.version, natural_key=wait.natural_key, digest=wait.digest,
        ))
        headers += [(PRIOR_STATE, wait.prior_state.encode()), (ROW_STATE, wait.row_state.encode())]
        return Output(WAITS_TOPIC, wait.wait_id.encode(), self._wait.encode(value), headers, 0)

    def decision(self, decision: Decision) -> Output:
        envelope = Envelope(
            id=decision.decision_id, source="/operators", type=DECISION_EVENT, subject=decision.source,
            time=decision.decided_at, correlation_id=decision.wait_id,
            traceparent=new_traceparent(decision.decision_id),
        )
        value = self._decision.encode(asdict(decision))
        return Output(DECISIONS_TOPIC, decision.wait_id.encode(), value, to_headers(envelope), 0)

    def read_wait(self, value: bytes) -> Wait:
        """Raises ContractError or PoisonError for a record that is none."""
        found = self._catalog.decode(value)[1]
        return Wait(**{**found, "candidates": tuple(Offer(**each) for each in found["candidates"])})

    def read_decision(self, value: bytes) -> Decision:
        """Raises ContractError or PoisonError for a record that is none."""
        return Decision(**self._catalog.decode(value)[1])

    def read_all(self, bootstrap: str, source: str | None = None) -> tuple[dict[str, Wait], list[Decision]]:
        """Waits by id and decisions in their order, of one source or of all. Raises BrokerError."""
        return self.gather(read_topics(bootstrap, [WAITS_TOPIC, DECISIONS_TOPIC]), source)

    def gather(self, records: Iterable[Record], source: str | None) -> tuple[dict[str, Wait], list[Decision]]:
        waits: dict[str, Wait] = {}
        decisions: list[Decision] = []
        for record in records:
            if record.value is None:
                continue
            if record.topic == WAITS_TOPIC:
                wait = self.read_wait(record.value)
                if source in (None, wait.source):
                    waits[wait.wait_id] = wait
            else:
                decision = self.read_decision(record.value)
                if source in (None, decision.source):
                    decisions.append(decision)
        return waits, decisions
