"""What the hub believes to be public: a fold of orders and receipts, by channel and record. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from hub.bus.records import Record
from hub.contracts.catalog import Catalog
from hub.disclosure.orders import ORDER_SCHEMA
from hub.disclosure.receipts import RECEIPT_SCHEMA
from hub.errors import HubError

#: What an answer leaves as it was.
_WITHOUT_EFFECT = frozenset({"refused", "superseded"})


class Step(NamedTuple):
    """One order, and how it ended; ``status`` is ``None`` while it has no receipt. Times are aware UTC; ``written_at``
    is when Kafka took the receipt."""

    order_id: str
    channel: str
    correlation_id: str
    subject: str
    action: str
    sequence: int
    event_type: str
    ordered_at: datetime
    status: str | None = None
    public_reference: str | None = None
    reason: str | None = None
    received_at: datetime | None = None
    written_at: datetime | None = None
    reissue_of: str | None = None
    asked_by: str | None = None
    asked_why: str | None = None


class State(NamedTuple):
    """One record on one channel. ``order_id`` is the order by which it is as it is, or was to be withdrawn; ``None``:
    there is none."""

    channel: str
    correlation_id: str
    subject: str
    is_public: bool
    sequence: int
    order_id: str | None
    public_reference: str | None
    since: datetime | None
    is_open: bool
    steps: tuple[Step, ...]

    @property
    def reissues(self) -> int:
        return sum(step.reissue_of is not None for step in self.steps)

    @property
    def stuck(self) -> Step | None:
        """The withdrawal that the channel refused for good, if that was the last word: what it was to take back may be
        public still, whatever ``is_public`` says (a reply may have been lost before)."""
        last = self.steps[-1]
        return last if last.action == "withdraw" and last.status == "refused" else None

    def changed_after(self, moment: datetime) -> bool:
        """Whether an order is under way, or one was answered then or later."""
        return self.is_open or any(step.written_at is not None and step.written_at >= moment for step in self.steps)


def fold(records: Iterable[Record], catalog: Catalog, channel: str | None = None) -> list[State]:
    """States out of records of both topics, in any order between them; of one channel, or of all.

    What cannot be read is passed over: no channel was asked for it.
    """
    steps: dict[str, Step] = {}
    ends: dict[str, tuple[str, str | None, str | None, datetime, datetime]] = {}
    for record in records:
        if record.value is None:
            continue
        try:
            schema, value = catalog.decode(record.value)
        except HubError:
            continue
        if channel not in (None, value.get("channel")):
            continue
        if schema.name == RECEIPT_SCHEMA:
            written_at = datetime.fromtimestamp(record.timestamp / 1000, UTC)
            ends.setdefault(value["order_id"], (
                value["status"], value["public_reference"], value["reason"], value["received_at"], written_at,
            ))  # fmt: skip
        elif schema.name == ORDER_SCHEMA and value["order_id"] not in steps:
            steps[value["order_id"]] = Step(
                value["order_id"], value["channel"], value["correlation_id"], value["subject"], value["action"],
                value["sequence"], value["event_type"], value["ordered_at"], reissue_of=value.get("reissue_of"),
                asked_by=value.get("asked_by"), asked_why=value.get("asked_why"),
            )  # fmt: skip
    groups: dict[tuple[str, str], list[Step]] = {}
    for step in steps.values():
        end = ends.get(step.order_id)
        if end is not None:
            step = step._replace(
                status=end[0], public_reference=end[1], reason=end[2], received_at=end[3], written_at=end[4]
            )
        groups.setdefault((step.channel, step.correlation_id), []).append(step)
    return [state_of(group) for _, group in sorted(groups.items())]


def state_of(steps: Iterable[Step]) -> State:
    """The state that the orders of one record on one channel lead to, whatever the order in which they are given."""
    # A later version counts whenever its order was given; of one version the later order.
    ordered = sorted(steps, key=lambda step: (step.sequence, step.ordered_at, step.order_id))
    first = ordered[0]
    is_public, sequence, by, reference = False, 0, None, None
    since: datetime | None = None
    for step in ordered:
        if step.status is None or step.status in _WITHOUT_EFFECT:
            continue
        was_public = is_public
        if step.action == "withdraw":
            is_public = False
        elif step.status == "unchanged":
            # Public as it was; without a reference it had been withdrawn at this version or a later one.
            is_public = step.public_reference is not None
        else:
            is_public = True
        sequence, by = step.sequence, step.order_id
        reference = (step.public_reference or reference) if is_public else None
        since = step.received_at if since is None or is_public != was_public or step.status != "unchanged" else since
    if by is None:  # a withdrawal that was refused: the channel may have had what it overtook
        by = next((step.order_id for step in reversed(ordered) if step.action == "withdraw" and step.status), None)
    return State(
        first.channel, first.correlation_id, ordered[-1].subject, is_public, sequence, by, reference, since,
        any(step.status is None for step in ordered), tuple(ordered),
    )  # fmt: skip
