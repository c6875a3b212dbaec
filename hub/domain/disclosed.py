"""What is public on a channel by orders and receipts: how one record stands there, and its entry in an index. Pure.

Both folds take orders and receipts in any order and any number of times and come to the same: they stand on two topics
that are not ordered among each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple, Self

#: What an answer leaves as it was.
_WITHOUT_EFFECT = frozenset({"refused", "superseded"})
#: ``waiting``: an order has no receipt; ``stuck``: its withdrawal was refused, it may be public still; ``refused``:
#: its last order was.
Standing = Literal["waiting", "stuck", "refused", "public", "withdrawn"]
#: An order's id in an entry: 48 bits of a UUID tell the few orders of one record on one channel apart.
_SHORT_ID = 13
#: Of a channel's reason an index keeps so much; the receipt on the log holds the rest.
_REASON = 200


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

    @property
    def standing(self) -> Standing:
        if self.is_open:
            return "waiting"
        if self.steps[-1].status == "refused":
            return "stuck" if self.stuck is not None else "refused"
        return "public" if self.is_public else "withdrawn"

    def changed_after(self, moment: datetime) -> bool:
        """Whether an order is under way, or one was answered then or later."""
        return self.is_open or any(step.written_at is not None and step.written_at >= moment for step in self.steps)


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
        if step.action == "withdraw" or step.status == "withdrawn":
            is_public = False  # by a withdrawal, or since what was to be shown is over
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


class ChannelEntry(NamedTuple):
    """A record on one channel, as an index holds it. Moments are milliseconds since the epoch (UTC).

    ``orders`` are (short id, action, version, when it was given); ``ends`` (short id of the order, when it was
    answered, status, reference, reason of a refusal). An end may be there before its order.
    """

    correlation_id: str
    subject: str
    orders: tuple[tuple[str, str, int, int], ...] = ()
    ends: tuple[tuple[str, int, str, str | None, str | None], ...] = ()

    @classmethod
    def parse(cls, parts: Sequence[Any]) -> Self:
        return cls(parts[0], parts[1], *(tuple(map(tuple, each)) for each in parts[2:]))

    @classmethod
    def ordered(cls, value: dict[str, Any]) -> Self:
        """What an order says; ``value`` holds at least the fields that are used here."""
        at = round(value["ordered_at"].timestamp() * 1000)
        order = (value["order_id"][:_SHORT_ID], value["action"], value["sequence"], at)
        return cls(value["correlation_id"], value["subject"], (order,))

    @classmethod
    def ended(cls, value: dict[str, Any]) -> Self:
        """What a receipt says."""
        status, at = value["status"], round(value["received_at"].timestamp() * 1000)
        reason = (value["reason"] or "")[:_REASON] if status == "refused" else None
        end = (value["order_id"][:_SHORT_ID], at, status, value["public_reference"], reason)
        return cls(value["correlation_id"], value["subject"], (), (end,))

    @property
    def state(self) -> State | None:
        """``None`` where no order was read yet."""
        ends = {end[0]: end[1:] for end in self.ends}
        steps = []
        for id_, action, sequence, at in self.orders:
            step = Step(id_, "", self.correlation_id, self.subject, action, sequence, "", _moment(at))
            if id_ in ends:
                answered, status, reference, reason = ends[id_]
                step = step._replace(
                    status=status, public_reference=reference, reason=reason, received_at=_moment(answered)
                )
            steps.append(step)
        return state_of(steps) if steps else None

    @property
    def standing(self) -> Standing | None:
        state = self.state
        return None if state is None else state.standing

    @property
    def last_answer(self) -> tuple[int, str, str | None, str | None] | None:
        """The latest end: when, status, reference and reason."""
        return max((end[1:] for end in self.ends), key=str, default=None)

    @property
    def last_order(self) -> int:
        """When the last order was given; 0 for none."""
        return max((order[3] for order in self.orders), default=0)


def join_channel(one: ChannelEntry | None, other: ChannelEntry) -> ChannelEntry:
    """What both say of a record. An order that was given twice is one, and so is a receipt; of two the first counts."""
    if one is None:
        return other
    orders = {order[0]: order for order in sorted((*one.orders, *other.orders), reverse=True)}
    ends = {end[0]: end for end in sorted((*one.ends, *other.ends), key=str, reverse=True)}
    return ChannelEntry(
        one.correlation_id, max(one.subject, other.subject),
        tuple(sorted(orders.values())), tuple(sorted(ends.values(), key=str)),
    )


def _moment(millis: int) -> datetime:
    return datetime.fromtimestamp(millis / 1000, UTC)
