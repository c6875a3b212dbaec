"""What the hub believes to be public against what the channel says is. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Literal, NamedTuple

from hub.disclosure.sink import PublicRecord
from hub.domain.disclosed import State

DifferenceKind = Literal["missing", "still-public", "other-version", "unknown"]
#: What an order that is given again asks for.
Remedy = Literal["publish", "amend", "withdraw"]


class Difference(NamedTuple):
    """One record that is not there as it should be.

    ``missing``: it should be public and is not; ``still-public``: it was withdrawn and is there; ``other-version``:
    another version is there; ``unknown``: it is there and was never ordered. ``ours`` and ``theirs`` are versions.
    ``remedy`` is what mends it; where it is ``None`` a person has to look.
    """

    kind: DifferenceKind
    correlation_id: str
    subject: str | None
    ours: int | None
    theirs: int | None
    public_reference: str | None
    remedy: Remedy | None = None
    state: State | None = None


class Comparison(NamedTuple):
    """``same`` records agree, ``under_way`` are not judged: an order of them was open, or answered meanwhile."""

    differences: list[Difference]
    same: int
    under_way: int


def compare(states: Iterable[State], listed: Iterable[PublicRecord], began: datetime) -> Comparison:
    """The states of one channel against its list, which was begun at ``began`` (aware), before the log was read."""
    theirs: Mapping[str, PublicRecord] = {record.correlation_id: record for record in listed}
    differences: list[Difference] = []
    same = under_way = 0
    known: set[str] = set()
    for state in states:
        known.add(state.correlation_id)
        there = theirs.get(state.correlation_id)
        if state.changed_after(began):
            under_way += 1
        elif (found := _judge(state, there)) is not None:
            differences.append(found)
        elif state.is_public:
            same += 1
    for record in theirs.values():
        if record.correlation_id not in known:
            differences.append(Difference(
                "unknown", record.correlation_id, record.subject, None, record.sequence, record.public_reference
            ))
    return Comparison(sorted(differences, key=lambda each: (each.kind, each.correlation_id)), same, under_way)


def refused_withdrawals(states: Iterable[State]) -> list[Difference]:
    """What was to be withdrawn and was refused, with the remedy: the same withdrawal again."""
    found: list[Difference] = []
    for state in states:
        if (step := state.stuck) is not None:
            found.append(Difference(
                "still-public", state.correlation_id, state.subject, step.sequence, None, state.public_reference,
                "withdraw", state._replace(order_id=step.order_id),
            ))
    return found


def _judge(state: State, there: PublicRecord | None) -> Difference | None:
    def difference(kind: DifferenceKind, remedy: Remedy | None) -> Difference:
        theirs = there.sequence if there is not None else None
        reference = there.public_reference if there is not None else state.public_reference
        return Difference(
            kind, state.correlation_id, state.subject, state.sequence, theirs, reference, remedy, state
        )

    if there is None:
        return difference("missing", "publish") if state.is_public else None
    if not state.is_public:
        return difference("still-public", "withdraw" if state.order_id is not None else None)
    if there.sequence is None or there.sequence == state.sequence:
        return None
    # A version that was never ordered is none of ours to replace: the channel keeps the later one anyway.
    return difference("other-version", "amend" if there.sequence < state.sequence else None)
