"""Who was sent what of a fact, and who has to learn of its next version: pure.

A fact is one row of a source; its versions come as events. Whoever was sent one of them holds the fact until
he is told that it is lifted, whatever the map has come to say since.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from hub.domain.where import FirstFailing

#: What a notice asks for: to act upon a fact, to correct what was done, to take it back.
NoticeAction = Literal["apply", "amend", "lift"]
NOTICE_ACTIONS: tuple[NoticeAction, ...] = ("apply", "amend", "lift")
_EFFECTS: Mapping[str, NoticeAction] = {"amended": "amend", "removed": "lift", "withdrawn": "lift"}


def effect_of(event_type: str) -> NoticeAction:
    """What an event does to what was sent of its fact, by the past tense that ends its type.

    Any other last word ("listed", "accepted", say) is news: it takes nothing back.
    """
    return _EFFECTS.get(event_type.rpartition(".")[2], "apply")


class Holder(NamedTuple):
    """The last notice of one subscription about one fact. ``since`` is in milliseconds since the epoch."""

    subscription: str
    view: str
    action: NoticeAction
    notice_id: str
    sequence: int
    since: int

    @property
    def is_holding(self) -> bool:
        return self.action != "lift"


class Holding(NamedTuple):
    """One fact, and all that were ever sent it.

    ``sequence`` is the latest version that was routed, ``routed`` all that were, ``changed_at`` when the latest was
    (milliseconds since the epoch).
    """

    topic: str
    correlation_id: str
    subject: str
    event_type: str
    sequence: int
    routed: tuple[int, ...]
    changed_at: int
    holders: tuple[Holder, ...]

    @property
    def is_held(self) -> bool:
        return any(holder.is_holding for holder in self.holders)


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A subscription of the map as it stands to one event type.

    ``reads`` is whether its ``from`` is the topic of the event, ``is_asked`` whether it names the type, too.
    ``ended_at`` is from when on nothing new is sent, in milliseconds since the epoch.
    """

    name: str
    rule_id: str
    view: str
    reads: bool
    is_asked: bool
    first_failing: FirstFailing | None = None
    fields: frozenset[str] = frozenset()
    ended_at: int | None = None

    def wants(self, fields: Mapping[str, Any], moment: int) -> bool:
        """Whether an event with these fields, taken at ``moment`` (milliseconds), begins something for it."""
        if not self.is_asked or (self.ended_at is not None and moment >= self.ended_at):
            return False
        return self.first_failing is None or self.first_failing(fields) is None

    def unconcerned(self, fields: Mapping[str, Any]) -> str | None:
        """Why a fact with these fields is none of its concern; ``None`` if it is."""
        if not self.reads:
            return "the subscription reads another topic now"
        failing = self.first_failing(fields) if self.first_failing is not None else None
        return None if failing is None else f"{failing} does not hold"


class Sent(NamedTuple):
    """One notice: to whom, what it asks for, what the one before asked for, in which view (``None``: as the map
    says), and why."""

    subscriber: Subscriber
    action: NoticeAction
    before: NoticeAction | None = None
    view: str | None = None
    reason: str | None = None


class Unsent(NamedTuple):
    """What somebody might have expected and does not get, and why."""

    rule_id: str
    reason: str


NEVER_GOT = "never got what is taken back"
NOT_IN_MAP = "holds it and is not in the map any more: the recall cannot be delivered"


def recipients(
    subscribers: Mapping[str, Subscriber],
    effect: NoticeAction,
    fields: Mapping[str, Any],
    holding: Holding | None,
    sequence: int,
    moment: int,
    *,
    asked: Collection[Subscriber],
) -> tuple[list[Sent], list[Unsent]]:
    """Who gets which notice of a version that was not routed before.

    ``subscribers`` are all of the map by name, ``asked`` those whom the event type may begin something for;
    ``moment`` is when Kafka took the event (milliseconds).
    """
    asked = [each for each in asked if each.wants(fields, moment)]
    if holding is not None and sequence < holding.sequence:
        # Came late, out of the dead letters, say: whoever has a later version must not be sent an older one.
        late = f"version {holding.sequence} was routed before"
        return [], [Unsent(each.rule_id, late) for each in asked]
    before: dict[str, NoticeAction] = {}
    held: dict[str, Holder] = {}
    if holding is not None:
        before = {each.subscription: each.action for each in holding.holders}
        held = {each.subscription: each for each in holding.holders if each.is_holding}
    if effect == "apply":
        return [Sent(each, "apply", before.get(each.name)) for each in asked], []
    unsent = [Unsent(f"subscription:{name}", NOT_IN_MAP) for name in held if name not in subscribers]
    if effect == "lift":
        # In the view in which it was sent: what the map says of the subscription now is of no account.
        sent = [
            Sent(subscribers[name], "lift", each.action, each.view)
            for name, each in held.items() if name in subscribers
        ]  # fmt: skip
        return sent, [*unsent, *(Unsent(each.rule_id, NEVER_GOT) for each in asked if each.name not in held)]
    sent = []
    for name, subscriber in subscribers.items():
        holder = held.get(name)
        if holder is None:
            if subscriber in asked:
                sent.append(Sent(subscriber, "apply", before.get(name)))
        elif (why := subscriber.unconcerned(fields)) is None:
            sent.append(Sent(subscriber, "amend", holder.action))
        else:
            sent.append(Sent(subscriber, "lift", holder.action, holder.view, f"no longer of concern: {why}"))
    return sent, unsent


def routed_before(holding: Holding | None, sequence: int) -> bool:
    """Whether everything that this version of the fact brought is on the log already."""
    return holding is not None and sequence in holding.routed


def after(holding: Holding | None, of: Holding, sent: Iterable[Holder]) -> Holding:
    """The holding when version ``of`` (a holding of that version alone) was routed and these notices were written."""
    known = {each.subscription: each for each in holding.holders} if holding is not None else {}
    for each in sent:
        before = known.get(each.subscription)
        if before is not None and before.is_holding and each.action != "lift":
            each = each._replace(since=before.since)
        known[each.subscription] = each
    if holding is None:
        return of._replace(holders=tuple(known.values()))
    latest = of if of.sequence >= holding.sequence else holding
    return latest._replace(
        routed=tuple(sorted({*holding.routed, *of.routed})), changed_at=of.changed_at, holders=tuple(known.values()),
    )


def is_recallable(event_types: Collection[str]) -> bool:
    """Whether events of these types can take back or correct what others of them said."""
    return any(effect_of(each) != "apply" for each in event_types)
