"""Asking for a replay by a page, of the portal or of the console: a range in Gannan's time, looked at before it is
asked for."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple, Protocol

from hub.delivery.replay_desk import Plan, Range
from hub.domain.acts import Actor
from hub.domain.acts import Request as ActRequest
from hub.domain.calendar import SHANGHAI
from hub.errors import InputError
from hub.web.site.answers import seen_otherwise
from hub.web.site.form import Form


class Replays(Protocol):
    """Replays as acts: looked at, asked for by one person. Raises UsageError, InputError, BrokerError."""

    def plan(self, subscription: str, wanted: Range) -> Plan: ...

    def ask(self, plan: Plan, wanted: Range, who: Actor, reason: str) -> ActRequest: ...


class Filled(NamedTuple):
    """The fields of the form as they were filled in, and are shown again."""

    since: str = ""
    until: str = ""
    superseded: bool = False

    @classmethod
    def of(cls, form: Form) -> Filled:
        """What a form sent."""
        return cls(form.text("since", 40), form.text("until", 40), form.text("superseded") == "yes")

    def range(self, now: datetime) -> Range:
        """Moments as a browser's field gives them; what is to come nobody has looked at.

        Raises InputError for what is no moment.
        """
        return Range(_moment("since", self.since), min(_moment("until", self.until), now), (), self.superseded)


class Reply(NamedTuple):
    """What came of asking. ``asked`` is ``None`` where not the plan was seen that would be carried out now, but one of
    ``seen`` notices."""

    plan: Plan
    asked: ActRequest | None
    seen: int | None


def ask(desk: Replays, subscription: str, form: Form, who: Actor, now: datetime) -> Reply:
    """What a form asks for, if it is what its sender has looked at. Raises what the desk raises."""
    wanted = Filled.of(form).range(now)
    plan = desk.plan(subscription, wanted)
    seen = seen_otherwise(form, plan.count)
    return Reply(plan, desk.ask(plan, wanted, who, form.text("reason")) if seen is None else None, seen)


def _moment(field: str, text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI)
    except ValueError as error:
        raise InputError(f"{field}: {text!r} is no moment like 2026-03-02T09:00") from error
