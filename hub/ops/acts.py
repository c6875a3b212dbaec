"""The desk where acts of people are put on record, decided and read: ``audit.acts.v1``, kept for ever."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple

import structlog

from hub.bus.publisher import Publisher
from hub.bus.reader import read_topics
from hub.bus.records import Output, Record
from hub.bus.tail import Tail
from hub.contracts.catalog import Catalog
from hub.contracts.cloudevents import to_headers
from hub.domain.acts import (
    Act,
    Actor,
    Request,
    State,
    content_digest,
    fold,
    is_same_person,
    new_act,
    next_step,
    why_not,
    why_not_used,
)
from hub.domain.events import Envelope, new_traceparent
from hub.domain.scrubbing import scrub_words
from hub.errors import BrokerError, ContractError, InputError, PoisonError

ACTS_TOPIC = "audit.acts.v1"
ACT_SCHEMA = "hub/act"
EVENT = "audit.act.recorded"
_MAX_OUTCOME = 2000
log = structlog.get_logger()


class Filter(NamedTuple):
    """Which requests are wanted; what is ``None`` is no condition. Times are aware, ``until`` excluded.

    ``who`` took any step of it, under whatever spelling; ``kind`` and ``target`` may be the beginning of it.
    """

    since: datetime | None = None
    until: datetime | None = None
    who: str | None = None
    kind: str | None = None
    target: str | None = None
    state: State | None = None

    def fits(self, request: Request) -> bool:
        asked = request.asked
        return (
            (self.since is None or asked.at >= self.since)
            and (self.until is None or asked.at < self.until)
            and (self.who is None or any(is_same_person(self.who, step.actor) for step in _all_steps(request)))
            and (self.kind is None or asked.kind == self.kind or asked.kind.startswith(f"{self.kind}."))
            and (self.target is None or asked.target.startswith(self.target))
            and self.state in (None, request.state)
        )


class ActsDesk:
    """Writes and reads acts. ``now`` gives aware UTC. Threads may share one.

    ``tail`` is for who is asked again and again: it reads on instead of from the beginning, and keeps all requests in
    memory. Every method raises BrokerError if Kafka does not take or give a record; then the act must not be done.
    """

    def __init__(
        self, bootstrap: str, publisher: Publisher, catalog: Catalog, now: Callable[[], datetime],
        tail: Tail | None = None,
    ) -> None:
        self._bootstrap, self._publisher, self._catalog, self._now = bootstrap, publisher, catalog, now
        self._schema, self._tail = catalog.schema(ACT_SCHEMA), tail
        self._known: dict[str, Request] = {}
        self._lock = threading.Lock()

    # -- writing --------------------------------------------------------------------------------

    def record(self, act: Act) -> Act:
        """Puts one step on record, without personal numbers; returns it as it stands there, once it is safe.

        Raises InputError where the target is a personal number: what is acted upon is named by the hub's ids.
        """
        clean = _clean(act)
        self._publisher.publish([self._output(clean)])
        return clean

    def ask(
        self, kind: str, who: Actor, target: str, reason: str, *, details: Sequence[tuple[str, str]] = (),
        needs_second: bool = False,
    ) -> Request:
        """Puts on record that somebody is about to do something, or with ``needs_second`` wants to. Raises InputError
        for what is missing."""
        clean = [(scrub_words(name), scrub_words(value)) for name, value in details]
        act = new_act(
            kind, who, target, scrub_words(reason), self._now(), details=clean, needs_second=needs_second
        )
        return Request(self.record(act), "asked")

    def look(
        self, kind: str, who: Actor, target: str, reason: str, *, details: Sequence[tuple[str, str]] = ()
    ) -> Act:
        """Puts on record that somebody looks at something; before it is shown. Raises InputError."""
        clean = [(scrub_words(name), scrub_words(value)) for name, value in details]
        return self.record(new_act(kind, who, target, scrub_words(reason), self._now(), details=clean, state="done"))

    def approve(self, request_id: str, who: Actor, reason: str) -> Request:
        """Approves what another asked. Raises InputError where that may not be, or somebody else was first."""
        return self._decide(request_id, "approved", who, reason)

    def refuse(self, request_id: str, who: Actor, reason: str) -> Request:
        """Refuses what was asked; whoever asked may, too. Raises InputError where it is decided already."""
        return self._decide(request_id, "refused", who, reason)

    def end(self, request: Request, who: Actor, state: State, outcome: str) -> Act:
        """Puts on record how it went: ``done`` or ``failed``, with what came of it."""
        text = scrub_words(outcome)[:_MAX_OUTCOME]
        return self.record(next_step(request, state, who, self._now(), outcome=text))

    @contextmanager
    def acting(
        self, kind: str, who: Actor, target: str, reason: str, *, details: Sequence[tuple[str, str]] = ()
    ) -> Iterator[list[str]]:
        """What is done within is on record before it begins, and how it went afterwards.

        The list that it gives takes words on the outcome. An exception is a failure on record, and goes on.
        """
        with self.carrying_out(self.ask(kind, who, target, reason, details=details), who) as outcome:
            yield outcome

    @contextmanager
    def carrying_out(self, request: Request, who: Actor) -> Iterator[list[str]]:
        """As ``acting``, for what was asked before. Raises InputError, before anything is done, where it needed an
        approval that it does not have (any more)."""
        if request.asked.needs_second:
            problem = why_not_used(request, self._now())
        else:
            problem = None if request.state in ("asked", "failed") else f"it is {request.state} already"
        if problem is not None:
            raise InputError(f"{request.asked.request_id} may not be carried out: {problem}")
        outcome: list[str] = []
        try:
            yield outcome
        except BaseException as error:
            self._end_failed(request, who, "; ".join([*outcome, f"{type(error).__name__}: {error}"]))
            raise
        self.end(request, who, "done", "; ".join(outcome) or "done")

    # -- reading --------------------------------------------------------------------------------

    def read(self, wanted: Filter | None = None) -> list[Request]:
        """Requests that fit, in the order in which they were asked."""
        return [request for request in self._requests() if wanted is None or wanted.fits(request)]

    def find(self, request_id: str) -> Request:
        """One request, by its id or the beginning of it. Raises InputError if there is none or several."""
        found = [request for request in self.read() if request.asked.request_id.startswith(request_id)]
        if len(found) != 1 or not request_id:
            raise InputError(f"{len(found) or 'no'} requests are called {request_id!r}; see `hub acts list`")
        return found[0]

    # -- within ---------------------------------------------------------------------------------

    def _decide(self, request_id: str, state: State, who: Actor, reason: str) -> Request:
        request = self.find(request_id)
        step = _clean(next_step(request, state, who, self._now(), reason=reason))
        if (problem := why_not(request, step)) is not None:
            raise InputError(f"{request.asked.request_id} cannot be {state}: {problem}")
        self._publisher.publish([self._output(step)])
        # What counts is what the log says: another may have been first.
        decided = self.find(request.asked.request_id)
        if decided.decided is None or decided.decided.act_id != step.act_id:
            problems = [why for passed, why in decided.passed_over if passed.act_id == step.act_id]
            raise InputError(f"{request.asked.request_id} cannot be {state}: {'; '.join(problems) or decided.state}")
        return decided

    def _end_failed(self, request: Request, who: Actor, outcome: str) -> None:
        try:
            self.end(request, who, "failed", outcome)
        except BrokerError as error:  # what went wrong first is what the caller has to hear of
            log.error("the end of an act is not on record", request=request.asked.request_id, error=str(error))

    def _requests(self) -> list[Request]:
        """All of them up to the end of now."""
        if self._tail is None:
            return list(fold(self._steps()).values())
        with self._lock:
            if self._tail.is_new:
                self._known.clear()
            return list(fold(self._read(self._tail.look()), self._known).values())

    def _steps(self) -> Iterator[Act]:
        return self._read(read_topics(self._bootstrap, [ACTS_TOPIC]))

    def _read(self, records: Iterable[Record]) -> Iterator[Act]:
        for record in records:
            try:
                yield self._act(record.value)
            except (ContractError, PoisonError) as error:
                log.error("an act on the log cannot be read", offset=record.offset, error=str(error))

    def _act(self, value: bytes | None) -> Act:
        if value is None:
            raise PoisonError("an act without a value")
        schema, found = self._catalog.decode(value)
        if schema.name != ACT_SCHEMA:
            raise ContractError(f"{ACTS_TOPIC} holds acts, not {schema.name}")
        details = tuple((detail["name"], detail["value"]) for detail in found.pop("details"))
        return Act(**found, details=details)

    def _output(self, act: Act) -> Output:
        value: dict[str, Any] = act._asdict()
        value["details"] = [{"name": name, "value": text} for name, text in act.details]
        envelope = Envelope(
            id=act.act_id, source="/operators", type=EVENT, subject=act.request_id, time=act.at,
            correlation_id=act.request_id, traceparent=new_traceparent(act.request_id),
        )
        return Output(ACTS_TOPIC, act.request_id.encode(), self._schema.encode(value), to_headers(envelope), 0)


def _clean(act: Act) -> Act:
    """The act without personal numbers. A first step gets the digest of what stands on record."""
    if scrub_words(act.target) != act.target:
        raise InputError("target: it holds a personal number; name what is acted upon by the hub's ids")
    details = tuple((scrub_words(name), scrub_words(value)) for name, value in act.details)
    clean = act._replace(reason=scrub_words(act.reason), details=details)
    # The digest of a later step is that of what was asked, which is clean already.
    is_first = act.content_digest == _digest(act)
    return clean._replace(content_digest=_digest(clean)) if is_first else clean


def _digest(act: Act) -> str:
    return content_digest(act.kind, act.actor, act.target, act.details, act.reason, act.needs_second)


def _all_steps(request: Request) -> list[Act]:
    return [*request.steps, *(step for step, _ in request.passed_over)]
