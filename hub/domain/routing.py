"""Which rule says what about an event: pure, compiled once from the map.

An event ends in outputs (orders to channels, notices to subscriptions, signals to clocks) or in
nothing. What a rule that could have matched held back is named too, so that "why is this not public?"
has an answer on record.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from hub.domain.where import FirstFailing

OutputKind = Literal["channel", "subscription", "clock"]
Action = Literal["publish", "amend", "withdraw", "notify", "start", "meet", "cancel", "suspend", "resume"]

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
    out of a condition also takes back what was said under it.
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


class Match(NamedTuple):
    """One output: ``target`` is what the output is for, ``rule`` who says so."""

    rule: Rule
    action: Action
    target: str


class Decision(NamedTuple):
    """What the rules make of one event. ``withheld`` is (rule id, field that did not hold)."""

    matches: list[Match]
    withheld: list[tuple[str, str]]


class RuleTable:
    """The rules of one event type, in the order channels, subscriptions, clocks."""

    __slots__ = ("fields", "rules")

    _ORDER: Mapping[str, int] = {"channel": 0, "subscription": 1, "clock": 2}

    def __init__(self, rules: Collection[Rule]) -> None:
        self.rules = tuple(sorted(rules, key=lambda rule: self._ORDER[rule.kind]))
        self.fields: frozenset[str] = frozenset().union(*(rule.fields for rule in self.rules))

    def decide(self, fields: Mapping[str, Any]) -> Decision:
        """The outputs of an event with these fields (only ``self.fields`` are looked at)."""
        matches: list[Match] = []
        withheld: list[tuple[str, str]] = []
        for rule in self.rules:
            action = rule.action
            if rule.first_failing is not None:
                failing = rule.first_failing(fields)
                if failing is not None:
                    if rule.kind == "channel":
                        withheld.append((rule.id, failing))
                    if rule.falls_back_to is None:
                        continue
                    action = rule.falls_back_to
            if rule.per is None:
                matches.append(Match(rule, action, rule.target))
                continue
            # One clock for each notice or order: these were matched before, clocks come last.
            matches.extend(
                Match(rule, action, match.target)
                for match in tuple(matches)
                if match.rule.kind == rule.per and (not rule.only_targets or match.target in rule.only_targets)
            )
        return Decision(matches, withheld)
