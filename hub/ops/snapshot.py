"""How the hub stands at a moment, as a plain value: what the command line, the metrics and the web side show alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from hub.domain.at_risk import AtRisk, counts
from hub.domain.lag import GroupLag, Verdict
from hub.domain.plain import to_plain

#: Version of the shape; a reader of another one shows nothing rather than something wrong.
VERSION = 2
#: Clocks at risk that are named; all are counted.
NAMED = 50


@dataclass(frozen=True)
class PlaceState:
    """One group on one partition. ``lag`` is offsets that can be read, ``lost`` what was gone before; ``lag_seconds``
    the age of the oldest unread record, ``None`` where that has no time; ``member_…`` the process that was given it."""

    topic: str
    partition: int
    committed: int | None
    start: int
    end: int
    lag: int
    lost: int
    lag_seconds: float | None
    is_still: bool
    member_id: str = ""
    member_client: str = ""
    member_host: str = ""


@dataclass(frozen=True)
class GroupState:
    """One group; see :class:`hub.domain.lag.GroupLag`. ``unseen`` records were not looked at for deadlines.
    ``waits_until`` is when a group that waits goes on, ``None`` where it waits for a department."""

    group: str
    stage: str
    verdict: str
    members: int
    is_simple: bool
    unread: int
    lost: int
    lag_seconds: float | None
    observed_seconds: float
    drain_rate: float | None
    arrival_rate: float | None
    drain_seconds: float | None
    catch_up_seconds: float | None
    rewinds: list[dict[str, Any]]
    unseen: int
    places: list[PlaceState]
    waits_until: datetime | None = None


@dataclass(frozen=True)
class RiskCount:
    """Clocks of a rule that fall due before a group has read what they wait for; ``late``: past due already."""

    rule: str
    group: str
    count: int
    late: int


@dataclass(frozen=True)
class NamedRisk:
    """One of them."""

    clock_id: str
    rule: str
    subject: str
    due_at: datetime
    group: str
    read_by: datetime | None
    is_late: bool


@dataclass(frozen=True)
class Snapshot:
    """The hub at ``at`` (aware). ``at_risk`` names the first ``NAMED`` clocks, those due first in front;
    ``is_complete`` says whether every unread record was looked at for them. ``dead_letters`` are records by topic,
    ``silent_sources`` names, ``probes`` seconds by outlet and step, where one came back (else ``None``)."""

    at: datetime
    groups: list[GroupState]
    risk_counts: list[RiskCount] = field(default_factory=list)
    at_risk: list[NamedRisk] = field(default_factory=list)
    is_complete: bool = True
    dead_letters: dict[str, int] = field(default_factory=dict)
    silent_sources: list[str] = field(default_factory=list)
    probes: dict[str, dict[str, float | None]] = field(default_factory=dict)
    version: int = VERSION

    @property
    def deadlines_at_risk(self) -> int:
        return sum(each.count for each in self.risk_counts)

    def as_dict(self) -> dict[str, Any]:
        """As JSON values; ``from_dict`` reads it back."""
        found = to_plain(asdict(self))
        assert isinstance(found, dict)
        return found

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Snapshot | None:
        """``None`` for a snapshot of another version of the hub."""
        if value.get("version") != VERSION:
            return None
        groups = [
            GroupState(**{
                **group, "places": [PlaceState(**each) for each in group["places"]],
                "waits_until": _moment(group["waits_until"]),
            })
            for group in value["groups"]
        ]
        return cls(**{
            **value, "at": datetime.fromisoformat(value["at"]), "groups": groups,
            "risk_counts": [RiskCount(**each) for each in value["risk_counts"]],
            "at_risk": [
                NamedRisk(**{
                    **each, "due_at": datetime.fromisoformat(each["due_at"]),
                    "read_by": _moment(each["read_by"]),
                })
                for each in value["at_risk"]
            ],
        })


def group_state(lag: GroupLag, unseen: int) -> GroupState:
    """A group as the snapshot has it."""
    owners = {place: member for member in lag.members for place in member.places}
    places = []
    for each in lag.places:
        look, owner = each.look, owners.get(each.look.place)
        named = (owner.member_id, owner.client_id, owner.host) if owner else ()
        places.append(PlaceState(
            look.topic, look.partition, look.committed, look.start, look.end, look.lag, look.lost, each.seconds,
            each.is_still, *named,
        ))
    return GroupState(
        lag.group, stage_of(lag.group), str(lag.verdict), len(lag.members), lag.is_simple, lag.unread, lag.lost,
        lag.seconds, lag.observed_seconds, lag.drain_rate, lag.arrival_rate, lag.drain_seconds, lag.catch_up_seconds,
        [rewind._asdict() for rewind in lag.rewinds], unseen, places,
        lag.leave.until if lag.leave is not None and lag.verdict is Verdict.WAITS else None,
    )


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def stage_of(group: str) -> str:
    """The stage that a group of the hub belongs to; a department's own group is nobody's stage."""
    words = group.split("-")
    if words[0] != "hub" or len(words) < 2:
        return "department"
    return {"direct": "delivery", "spans": "ops"}.get(words[1], words[1])


def risks_of(found: Sequence[AtRisk]) -> tuple[list[RiskCount], list[NamedRisk]]:
    """Counts by rule and group, the most in front, and the first that are named."""
    late = Counter((risk.rule, risk.group) for risk in found if risk.is_late)
    rows = [RiskCount(rule, group, count, late[rule, group]) for (rule, group), count in counts(found).items()]
    rows.sort(key=lambda row: (-row.count, row.rule, row.group))
    return rows, [NamedRisk(*risk) for risk in found[:NAMED]]
