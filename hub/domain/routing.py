"""Which rule says what about an event: pure, compiled once from the map.

An event ends in outputs (orders to channels, notices to subscriptions, signals to clocks) or in
nothing. What a rule that could have matched held back is named too, so that "why is this not public?"
has an answer on record.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from hub.domain.recall import Holding, NoticeAction, Subscriber, Unsent, recipients
from hub.domain.where import FirstFailing

OutputKind = Literal["channel", "subscription", "clock"]
Action = Literal[
    "publish", "amend", "withdraw", "apply", "lift", "start", "meet", "cancel", "suspend", "resume",
]  # fmt: skip

#: The last word of an event type tells what the event does to what is public.
#: Any other last word ("accepted", say) is a step of a case: it is published as it stands.
_PUBLIC_ACTION: Mapping[str, Action] = {
    "amended": "amend", "withdrawn": "withdraw", "removed": "withdraw", "expired": "withdraw",
}


def public_action(event_type: str) -> Action:
    """``publish``, ``amend`` or ``withdraw``, by the past tense that ends the event type."""
    return _PUBLIC_ACTION.get(event_type.rpartition(".")[2], "publish")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule as it applies to one event type.

    ``target`` is the channel, subscription or clock; ``fields`` are what ``first_failing`` looks at.
    ``falls_back_to`` is the action where the condition does not hold: an amendment that takes a record
    out of a condition also takes back what was said under it. ``asked`` narrows a clock for each subscription to
    notices with an ``action`` that fulfils it.
    """

    id: str
    kind: OutputKind
    target: str
    action: Action
    first_failing: FirstFailing | None = None
    fields: frozenset[str] = frozenset()
    falls_back_to: Action | None = None
    per: OutputKind | None = None
    only_targets: frozenset[str] = frozenset()
    asked: FirstFailing | None = None


class Match(NamedTuple):
    """One output: ``target`` is what the output is for, ``rule`` who says so.

    Of a notice, ``before`` is what the one before it asked for, and ``view`` is set where it is not the one that the
    map names. ``reason`` is set where the event alone does not give it.
    """

    rule: Rule
    action: Action
    target: str
    before: NoticeAction | None = None
    view: str | None = None
    reason: str | None = None


class Decision(NamedTuple):
    """What the rules make of one event. ``withheld`` is (rule id, field that did not hold); ``unsent`` who is passed
    over all the same."""

    matches: list[Match]
    withheld: list[tuple[str, str]]
    unsent: list[Unsent]


class RuleTable:
    """What applies to one event type: channels, then subscriptions, then clocks.

    ``subscribers`` are all subscriptions of the map: whoever holds a fact learns of its recall, asked or not.
    """

    __slots__ = ("_asked", "_channels", "_clocks", "_notices", "_subscribers", "effect", "fields", "is_read")

    def __init__(
        self, rules: Collection[Rule], subscribers: Mapping[str, Subscriber], effect: NoticeAction = "apply"
    ) -> None:
        self._channels = tuple(rule for rule in rules if rule.kind == "channel")
        self._clocks = tuple(rule for rule in rules if rule.kind == "clock")
        self._subscribers, self.effect = subscribers, effect
        self._asked = tuple(each for each in subscribers.values() if each.is_asked)
        self._notices = {name: Rule(each.rule_id, "subscription", name, "apply") for name, each in subscribers.items()}
        #: Whether any subscription reads the topic.
        self.is_read = any(each.reads for each in subscribers.values())
        # What a holder's concern rests on has to be read also where the type is not among its events.
        looked_at = [each for each in subscribers.values() if each.is_asked or (each.reads and effect == "amend")]
        self.fields: frozenset[str] = frozenset().union(
            *(rule.fields for rule in (*self._channels, *self._clocks)), *(each.fields for each in looked_at)
        )

    def decide(
        self, fields: Mapping[str, Any], holding: Holding | None = None, sequence: int = 1, moment: int = 0
    ) -> Decision:
        """The outputs of an event with these fields (only ``self.fields`` are looked at).

        ``holding`` is who was sent earlier versions of the fact, ``sequence`` which version this one is, ``moment``
        when Kafka took it (milliseconds since the epoch).
        """
        matches: list[Match] = []
        withheld: list[tuple[str, str]] = []
        for rule in self._channels:
            action, failing = _judge(rule, fields)
            if failing is not None:
                withheld.append((rule.id, failing))
            if action is not None:
                matches.append(Match(rule, action, rule.target))
        unsent: list[Unsent] = []
        if holding is None and self.effect != "lift":
            # Nearly every event: news of a fact that nobody was sent before.
            for each in self._asked:
                if each.wants(fields, moment):
                    matches.append(Match(self._notices[each.name], "apply", each.name))
        elif self._asked or holding is not None:
            sent, unsent = recipients(
                self._subscribers, self.effect, fields, holding, sequence, moment, asked=self._asked
            )
            matches.extend(
                Match(self._notices[to.name], action, to.name, before, view, reason)
                for to, action, before, view, reason in sent
            )
        for rule in self._clocks:
            action, _ = _judge(rule, fields)
            if action is None:
                continue
            if rule.per is None:
                matches.append(Match(rule, action, rule.target))
                continue
            # One clock for each notice or order: these were matched before, clocks come last.
            matches.extend(
                Match(rule, action, match.target)
                for match in tuple(matches)
                if match.rule.kind == rule.per
                and (not rule.only_targets or match.target in rule.only_targets)
                and (rule.asked is None or _is_asked(rule, rule.asked, match))
            )
        return Decision(matches, withheld, unsent)


def _judge(rule: Rule, fields: Mapping[str, Any]) -> tuple[Action | None, str | None]:
    """(what the rule does to an event with these fields, if anything; the field that does not hold, if any)."""
    failing = rule.first_failing(fields) if rule.first_failing is not None else None
    return (rule.action if failing is None else rule.falls_back_to), failing


def _is_asked(rule: Rule, asked: FirstFailing, match: Match) -> bool:
    """Whether a notice is one that the clock's condition means.

    A cancellation is where the notices turn into such: the first of all has nothing to cancel, and would only leave
    a clock that waits for its start.
    """
    if asked({"action": match.action}) is not None:
        return False
    return rule.action != "cancel" or (match.before is not None and asked({"action": match.before}) is not None)
