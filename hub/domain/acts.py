"""What people do with the hub, on record: the step, and what becomes of a request out of its steps.

::

                        ┌────────────── one person may ───────────────┐
    asked ──────────────┴─▶ approved (by another) ─────────────────┬──┴─▶ done
      │                                                            └────▶ failed ──▶ done (tried again)
      └───────────────────▶ refused

A request is what the log says of it, in the log's order: of two who approve at once the first wins, and a step that
the rules do not allow changes nothing, whoever wrote it.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal, NamedTuple, get_args

from hub.domain.events import derive_id
from hub.domain.plain import whole_millis
from hub.errors import InputError

State = Literal["asked", "approved", "refused", "done", "failed"]
Way = Literal["command", "portal", "console", "api"]
Details = tuple[tuple[str, str], ...]

#: So long a request waits for its second person. Over a weekend, and no longer than anybody remembers why.
APPROVAL_TERM = timedelta(days=3)
#: So long an approval may be used: what is approved in the evening is done on the next day at the latest.
USE_TERM = timedelta(days=1)
_KIND = re.compile(r"[a-z]+(?:-[a-z]+)*(?:\.[a-z]+(?:-[a-z]+)*)+")
#: Longest texts, in characters, as the schema has them.
_MAX_TARGET, _MAX_REASON, _MAX_NAME, _MAX_VALUE, _MAX_ACTOR = 300, 2000, 60, 1000, 100


class Actor(NamedTuple):
    """Who takes a step. ``name`` is the account's name, by command the machine's user; ``department`` is an id of the
    map's departments."""

    name: str
    way: Way
    department: str | None = None
    role: str | None = None


class Act(NamedTuple):
    """One step of one request, as it stands on the log. ``at`` is aware UTC in whole milliseconds.

    ``actor`` is who took this step: who asked, approved, refused or carried it out. ``approved_by`` is who approved
    the request, where somebody did.
    """

    act_id: str
    request_id: str
    kind: str
    state: State
    actor: str
    department: str | None
    role: str | None
    way: Way
    target: str
    details: Details
    needs_second: bool
    content_digest: str
    reason: str
    approved_by: str | None
    at: datetime
    outcome: str | None = None


def new_act(
    kind: str, who: Actor, target: str, reason: str, at: datetime, *, details: Sequence[tuple[str, str]] = (),
    needs_second: bool = False, state: State = "asked",
) -> Act:
    """The first step of a request: ``asked`` before something takes effect, or ``done`` for what was only looked at.

    Texts are taken as they are: the desk that writes them takes personal numbers out. Raises InputError naming what
    is missing or does not fit.
    """
    _check(kind, who, target, reason, details)
    if state != "asked" and (needs_second or state not in ("done", "failed")):
        raise InputError(f"a request that needs a second person begins with asked, not {state}" if needs_second
                         else f"a request does not begin with {state}")  # fmt: skip
    given = tuple((name, value) for name, value in details)
    reason = reason.strip()
    digest = content_digest(kind, who.name, target, given, reason, needs_second)
    request_id = derive_id("act-request", digest, at.isoformat())
    return Act(
        _act_id(request_id, state, who.name), request_id, kind, state, who.name, who.department, who.role, who.way,
        target, given, needs_second, digest, reason, None, whole_millis(at),
    )


def content_digest(
    kind: str, actor: str, target: str, details: Details, reason: str, needs_second: bool
) -> str:
    """SHA-256 in hexadecimal of what was asked. Lengths stand before the parts, so that none runs into another."""
    parts = [kind, actor, target, reason, str(needs_second), *(text for detail in details for text in detail)]
    return hashlib.sha256("".join(f"{len(part)}:{part}" for part in parts).encode()).hexdigest()


def next_step(
    request: Request, state: State, who: Actor, at: datetime, *, reason: str | None = None, outcome: str | None = None
) -> Act:
    """The step that ``who`` takes next; what was asked stays as it was. ``reason`` is the step's own."""
    asked = request.asked
    approved_by = request.approved_by
    if state == "approved":
        approved_by = who.name
    said = asked.reason if reason is None else reason.strip()
    _check(asked.kind, who, asked.target, said, asked.details)
    return asked._replace(
        act_id=_act_id(asked.request_id, state, who.name, at.isoformat()), state=state, actor=who.name,
        department=who.department, role=who.role, way=who.way, reason=said, approved_by=approved_by,
        at=whole_millis(at), outcome=outcome,
    )


@dataclass(frozen=True, slots=True)
class Request:
    """What the log says of one request. ``passed_over`` are steps that the rules did not allow, with why."""

    asked: Act
    state: State
    decided: Act | None = None
    ended: Act | None = None
    passed_over: tuple[tuple[Act, str], ...] = ()

    @property
    def approved_by(self) -> str | None:
        return self.decided.actor if self.decided is not None and self.decided.state == "approved" else None

    @property
    def steps(self) -> list[Act]:
        """What counted, in its order."""
        return [step for step in (self.asked, self.decided, self.ended) if step is not None]

    def waits(self, now: datetime) -> bool:
        """Whether it waits for a second person, who may still approve."""
        return self.asked.needs_second and self.state == "asked" and now < self.asked.at + APPROVAL_TERM


def why_not(request: Request, step: Act) -> str | None:
    """Why ``step`` does not count now; ``None`` if it does."""
    if step.content_digest != request.asked.content_digest:
        return "it speaks of something else than what was asked"
    match step.state:
        case "asked":
            return "it was asked already"
        case "approved":
            return _why_not_approved(request, step)
        case "refused":
            return None if _is_undecided(request) else f"it is {_word(request)} already"
    if request.state in ("done", "refused"):
        return f"it is {request.state} already"
    if request.asked.needs_second and request.approved_by is None:
        return "nobody else approved it"
    return None


def why_not_used(request: Request, now: datetime) -> str | None:
    """Why what was approved may not be carried out (again) now; ``None`` if it may."""
    if request.decided is None or request.decided.state != "approved":
        return f"it is {_word(request)}, not approved"
    if request.state == "done":
        return "it is done already"
    if now >= request.decided.at + USE_TERM:
        return "its approval has expired: it is used within a day"
    return None


def status_of(request: Request, now: datetime) -> str:
    """The state in words that know the time: ``expired`` where nobody may approve it or use its approval any more."""
    if request.asked.needs_second:
        if request.state == "asked" and not request.waits(now):
            return "expired"
        if request.state == "approved" and why_not_used(request, now) is not None:
            return "expired"
    return request.state


def fold(steps: Iterable[Act], onto: dict[str, Request] | None = None) -> dict[str, Request]:
    """Requests by id, in the order in which they were asked, out of steps in the log's order.

    ``onto`` is what earlier steps came to; it is changed.
    """
    found = {} if onto is None else onto
    for step in steps:
        known = found.get(step.request_id)
        if known is not None:
            found[step.request_id] = taken(known, step)
        elif step.state == "asked" or (not step.needs_second and step.state in ("done", "failed")):
            ended = None if step.state == "asked" else step
            found[step.request_id] = Request(step, step.state, ended=ended)
        # Any other step is of a request that nobody asked: there is nothing that it could allow.
    return found


def taken(request: Request, step: Act) -> Request:
    """The request after ``step``; a step that does not count is kept beside it with why."""
    if step.act_id in {each.act_id for each in request.steps}:
        return request
    reason = why_not(request, step)
    if reason is not None:
        return replace(request, passed_over=(*request.passed_over, (step, reason)))
    if step.state in ("approved", "refused"):
        return replace(request, state=step.state, decided=step)
    return replace(request, state=step.state, ended=step)


def is_same_person(one: str, other: str) -> bool:
    """Whether two names may be one account: case, width, blanks, marks and what cannot be seen tell nobody apart.

    It errs on the side of one person: a second person who is refused asks a third.
    """
    return _skeleton(one) == _skeleton(other)


def _skeleton(name: str) -> str:
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", name).casefold())
    letters = "".join(letter for letter in folded if letter.isalnum())
    return letters or folded.strip()


def _why_not_approved(request: Request, step: Act) -> str | None:
    asked = request.asked
    if not asked.needs_second:
        return "it needs no second person"
    if not _is_undecided(request):
        return f"it is {_word(request)} already"
    if is_same_person(asked.actor, step.actor):
        return f"{step.actor} asked for it: another person has to approve"
    if step.at >= asked.at + APPROVAL_TERM:
        return f"it has expired: it waits for {APPROVAL_TERM.days} days"
    return None


def _is_undecided(request: Request) -> bool:
    return request.state == "asked" and request.decided is None


def _word(request: Request) -> str:
    return f"{request.state} by {request.decided.actor}" if request.decided is not None else request.state


def _act_id(request_id: str, state: str, actor: str, moment: str = "") -> str:
    return derive_id("act", request_id, state, actor, moment)


def _check(kind: str, who: Actor, target: str, reason: str, details: Sequence[tuple[str, str]]) -> None:
    if not _KIND.fullmatch(kind):
        raise InputError(f"kind {kind!r}: an act is called like dead-letter.redrive")
    if who.way not in get_args(Way):
        raise InputError(f"way {who.way!r} is none of {', '.join(get_args(Way))}")
    # A name without a letter or digit could not be told from another.
    if not any(letter.isalnum() for letter in who.name):
        raise InputError(f"actor {who.name!r}: nobody is named who does it")
    if not reason.strip():
        raise InputError("reason: an act needs a reason; it stays on record")
    if not target.strip():
        raise InputError("target: an act says what it is done to")
    texts = [("target", target, _MAX_TARGET), ("reason", reason, _MAX_REASON), ("actor", who.name, _MAX_ACTOR)]
    texts += [("name of a detail", name, _MAX_NAME) for name, _ in details]
    texts += [(f"detail {name}", value, _MAX_VALUE) for name, value in details]
    for what, text, most in texts:
        if len(text) > most:
            raise InputError(f"{what}: {len(text):,} characters are too long; {most:,} fit")
