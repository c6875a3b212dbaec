"""The shape of ``topics.yaml``: what may stand in each section."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

#: Event types are ``<domain>.<noun>.<past-tense>``; topics ``<domain>.<plural-noun>.v<major>``.
EVENT_TYPE = r"^[a-z]+(-[a-z]+)*\.[a-z]+(-[a-z]+)*\.[a-z]+$"
TOPIC = r"^[a-z]+(-[a-z]+)*\.[a-z0-9]+(-[a-z0-9]+)*(\.v[1-9][0-9]*)?$"
NAME = r"^[a-z0-9]+(-[a-z0-9]+)*$"
#: A day of the year (``04-30``) or of the month (``31``, its last day).
BY = r"^((0[1-9]|1[0-2])-)?(0[1-9]|[12][0-9]|3[01])$"

_PERIOD = re.compile(r"^(\d+)\s*(d|h|y)$")


def parse_period(value: Any) -> timedelta:
    """``1095d``, ``36h`` or ``3y`` (of 365 days) as a timedelta; ``forever`` as the longest there is."""
    if value == "forever":
        return timedelta.max
    found = _PERIOD.match(value) if isinstance(value, str) else None
    if not found:
        raise ValueError("a period is a number with d, h or y, e.g. 1095d, or forever")
    n, unit = int(found[1]), found[2]
    return timedelta(hours=n) if unit == "h" else timedelta(days=n * (365 if unit == "y" else 1))


Period = Annotated[timedelta, BeforeValidator(parse_period)]
EventType = Annotated[str, Field(pattern=EVENT_TYPE)]
Name = Annotated[str, Field(pattern=NAME)]
View = Literal["public", "partner", "full"]
ChannelView = Literal["public", "partner", "uplink"]
Audience = Literal["public", "government"]
#: What each audience may see at most; `full` holds ID numbers of everybody and goes to no channel.
VIEWS_OF: Mapping[str, frozenset[str]] = {
    "public": frozenset({"public"}), "government": frozenset({"public", "partner", "uplink"}),
}


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FactModel(Model):
    """When rows of two sources are one fact."""

    key: tuple[str, ...] = Field(min_length=1)
    same: tuple[str, ...] = Field(min_length=1)
    precedence: tuple[Name, ...] = ()


#: What a topic's records are keyed by; each is put into words in ``asyncapi_parts.KEYS``.
KeyKind = Literal[
    "subject", "clock", "source", "endpoint", "calendar", "subscription", "notice", "fact", "enterprise", "act",
    "account", "report", "access-key", "map",
]


class TopicModel(Model):
    """One topic: schema, key, size, how long records are kept, whose it is."""

    title: str
    schema_: str | None = Field(default=None, alias="schema", description="path under schemas/; none for raw bytes")
    key: KeyKind = "subject"
    events: tuple[EventType, ...] = ()
    partitions: int = Field(default=12, ge=1, le=1000)
    retention: Period = timedelta(days=1095)
    cleanup: Literal["delete", "compact"] = "delete"
    owner: Name
    fact: FactModel | None = None


class ChannelModel(Model):
    """An outlet. ``audience`` says who reads there: the public, or the government in a system of its own.
    ``connector`` names the sink that serves it."""

    title: str
    audience: Audience = "public"
    view: ChannelView
    connector: str = Field(default="collaboration-platform", min_length=1)
    basis: str


class RouteModel(Model):
    """Which events of a topic go to which channels."""

    title: str
    from_: str = Field(alias="from")
    events: tuple[EventType, ...] = Field(min_length=1)
    where: dict[str, Any] = {}
    channels: tuple[Name, ...] = Field(min_length=1)
    basis: str


class SubscriptionModel(Model):
    """What a department gets, in which view, on which legal ground, and what it is to do with it. ``probe_minutes``:
    it lets itself be asked so often, by a test event, whether its endpoint takes messages."""

    title: str
    department: Name
    from_: str = Field(alias="from")
    events: tuple[EventType, ...] = Field(min_length=1)
    where: dict[str, Any] = {}
    view: View
    purpose: str
    basis: str
    measures: tuple[str, ...] = ()
    delivery: Literal["webhook", "pull", "file", "kafka"] = "webhook"
    retry: Literal["brisk", "standard", "patient"] = "standard"
    fallback: Literal["pull", "file"] | None = None
    probe_minutes: int | None = Field(default=None, ge=1, le=1440)
    ended_on: date | None = None


class DueModel(Model):
    """A period: exactly one of these."""

    working_days: int | None = Field(default=None, ge=1, le=1000)
    calendar_days: int | None = Field(default=None, ge=1, le=5000)
    hours: int | None = Field(default=None, ge=1, le=10000)
    months: int | None = Field(default=None, ge=1, le=1200)
    years: int | None = Field(default=None, ge=1, le=100)
    by: str | None = Field(default=None, pattern=BY)


class ClockModel(Model):
    """One statutory deadline."""

    title: str
    starts_on: tuple[EventType, ...] = ()
    where: dict[str, Any] = {}
    counts_from: str | None = None
    due: DueModel
    until: str | None = None
    met_by: tuple[EventType, ...] = ()
    met_where: dict[str, Any] = {}
    met_on: str | None = None
    meets: int = Field(default=1, ge=1, le=1000)
    cancelled_by: tuple[EventType, ...] = ()
    cancelled_where: dict[str, Any] = {}
    suspended_by: tuple[EventType, ...] = ()
    resumed_by: tuple[EventType, ...] = ()
    repeats: bool = False
    on_due: Literal["breach", "expire"] = "breach"
    per: Literal["event", "channel", "subscription", "period"] = "event"
    every: Literal["year", "month"] | None = None
    departments: tuple[Name, ...] = ()
    channels: tuple[Name, ...] = ()
    subscriptions: tuple[Name, ...] = ()
    warn: tuple[Annotated[int, Field(ge=1, le=60)], ...] = ()
    escalate: tuple[Annotated[int, Field(ge=1, le=60)], ...] = ()
    owner: str
    escalates_to: str | None = None
    calendar: Literal["gannan", "cn"] = "gannan"
    basis: str
    source: str


class MapModel(Model):
    """The whole file."""

    version: Literal[1]
    replication: int = Field(default=3, ge=1, le=9)
    min_in_sync: int = Field(default=2, ge=1, le=9)
    topics: dict[Annotated[str, Field(pattern=TOPIC)], TopicModel]
    channels: dict[Name, ChannelModel]
    routes: dict[Name, RouteModel]
    subscriptions: dict[Name, SubscriptionModel]
    clocks: dict[Name, ClockModel]
