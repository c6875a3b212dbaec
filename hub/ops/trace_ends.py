"""How each branch of a way ended: every order, notice and clock of a decision, or that nobody was concerned."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from hub.ops.trace import Step

#: Ends of notices and orders that wait for somebody.
_WAITING = frozenset(("parked",))
_LETTER = "parked as a dead letter"
_ANSWERED = "answered: "


class End(NamedTuple):
    """One branch. ``kind`` is channel, subscription, clock or event; ``end`` what became of it, ``None`` while it is
    on its way; ``at`` when (aware UTC); ``id`` that of the order, notice, clock or event."""

    correlation_id: str
    id: str
    kind: str
    target: str
    rule: str | None
    end: str | None
    at: datetime | None
    reason: str | None

    @property
    def line(self) -> str:
        because = f" ({self.reason})" if self.reason else ""
        return f"{self.kind} {self.target}: {self.end or 'on its way'}{because}"


def ends_of(steps: Iterable[Step]) -> list[End]:
    """The branches of these steps in the order in which they began.

    A decision opens a branch for each of its outputs; an order that was given again opens one as well. A branch whose
    beginning is not among the steps is told by what is known of its end.
    """
    branches: dict[str, End] = {}
    for step in steps:
        value, topic = step.details, step.topic
        if topic.startswith("routing.decisions"):
            _open_outputs(branches, step)
        elif topic.startswith("disclosure.orders"):
            _open(branches, value.get("order_id"), step, "channel", value.get("channel"))
        elif topic.startswith("inbox."):
            _open(branches, value.get("notice_id"), step, "subscription", value.get("subscription"))
        elif topic.startswith("disclosure.receipts"):
            _end(branches, value.get("order_id"), step, "channel", value.get("channel"), value.get("status"))
        elif topic.startswith("delivery.receipts"):
            _end(branches, value.get("notice_id"), step, "subscription", value.get("subscription"), value.get("status"))
        elif topic.startswith("discipline.feedback"):
            said = f"{_ANSWERED}{value.get('status')}"
            _end(branches, value.get("notice_id"), step, "subscription", value.get("subscription"), said)
        elif topic.startswith("uplink.receipts"):
            _end(branches, value.get("answer_id"), step, "uplink", value.get("action"), value.get("status"))
        elif topic.startswith("clock.states"):
            _end_clock(branches, step)
        elif topic.endswith(".dead-letters.v1"):
            _end(branches, step.id, step, "event", step.type, _LETTER)
    return list(branches.values())


def _open_outputs(branches: dict[str, End], step: Step) -> None:
    value = step.details
    letter = branches.get(str(value.get("event_id")))
    if letter is not None and letter.end == _LETTER:
        del branches[letter.id]  # it was given again, and decided
    for output in value.get("outputs", []):
        if output["kind"] != "clock":  # a clock shows by its state, under an id of its own
            rule, reason = output["rule"], output.get("reason")
            _open(branches, output["output_id"], step, output["kind"], output["target"], rule, reason)
    if value and not value.get("is_matched"):
        id = value.get("event_id", step.id)
        branches[id] = End(
            step.correlation_id, id, "event", value.get("event_type", ""), None, "matched nobody", step.at,
            value.get("reason"),
        )
    for held in value.get("withheld", []):
        id = f"{value.get('event_id')}:{held['rule']}"
        branches[id] = End(
            step.correlation_id, id, "rule", held["rule"], held["rule"], "withheld", step.at, held["reason"]
        )


def _open(
    branches: dict[str, End], id: str | None, step: Step, kind: str, target: str | None, rule: str | None = None,
    reason: str | None = None,
) -> None:
    if id is not None and id not in branches:
        branches[id] = End(step.correlation_id, id, kind, target or "?", rule or step.rule, None, None, reason)


def _end(
    branches: dict[str, End], id: str | None, step: Step, kind: str, target: str | None, end: str | None
) -> None:
    if id is None:
        return
    known = branches.get(id)
    if known is not None and known.end is not None and end in _WAITING and known.end not in _WAITING:
        return
    # Who fetches his notices may answer before he acknowledges; that he has it is said by the answer.
    if known is not None and (known.end or "").startswith(_ANSWERED) and end == "delivered":
        return
    rule = known.rule if known is not None else step.rule
    branches[id] = End(
        step.correlation_id, id, known.kind if known else kind, known.target if known else target or "?", rule, end,
        step.at, step.reason,
    )


def _end_clock(branches: dict[str, End], step: Step) -> None:
    value = step.details
    # What never began is no branch: something that would have met or ended it came without it.
    if not value or value.get("status") == "awaiting":
        return
    is_over = value.get("status") not in ("running", "suspended")
    late = "running, overdue" if value.get("breached_at") else None
    target = value["rule"] + (f" for {value['target']}" if value.get("target") else "")
    branches[value["clock_id"]] = End(
        step.correlation_id, value["clock_id"], "clock", target, value["rule"],
        value["status"] if is_over else late, step.at if is_over or late else None,
        None if is_over else f"due {value.get('due_on')}",
    )
