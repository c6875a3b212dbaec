"""Answers to a platform's tasks, as values, and what a connector has to do with them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Literal, NamedTuple, Protocol

from hub.errors import OutletError

#: ``claim`` (认领): a department has accepted it. ``feedback`` (反馈): what it found. ``end`` (结束): it is done.
#: ``return`` (退回): the hub could not take the task, and says why.
Action = Literal["claim", "feedback", "end", "return"]


class LeadAnswer(NamedTuple):
    """One answer. ``answer_id`` is the same for the same deed however often it is told; ``task_no`` is the
    platform's own number. ``at`` is when the hub learnt of it (aware); ``claimed_on`` and ``ended_on`` are the days
    that the department names. ``text`` is the result or the reason, with no personal number in it."""

    answer_id: str
    task_no: str
    action: Action
    at: datetime
    department_name: str | None
    department_code: str | None
    text: str | None
    claimed_on: date | None = None
    ended_on: date | None = None


class Exchange(NamedTuple):
    """An HTTP request: method, address, headers, body."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes


class Receipt(NamedTuple):
    """How an answer ended: taken, or refused for good with a ``reason``. ``reference`` is the platform's own word."""

    status: Literal["delivered", "refused"]
    reference: str | None
    reason: str | None


class UnclearAnswerError(OutletError):
    """The platform's words do not show that it has the answer; it is asked again."""


class Uplink(Protocol):
    """A platform's way back up; a connector gives one by its method ``make_uplink(config)``.

    ``source`` is the name of the source whose tasks it answers. ``task_prefix`` is what the numbers of its tasks begin
    with; ``None`` says that every task is its own, which goes where no other platform is answered. All methods are
    pure, called in one thread. ``receipt`` gets only what may be final: 2xx and refusals (4xx but 408, 425, 429). It
    raises ``UnclearAnswerError`` for what it cannot take as either: a 4xx may be a gateway's while the platform is
    away, and what is refused is given by nobody again. So a refusal is one of ``REFUSING_STATUSES``, or in words that
    only the platform has. A secret that is missing is a ``ContractError``.
    """

    @property
    def source(self) -> str: ...

    @property
    def task_prefix(self) -> str | None: ...

    def returned_task(self, place: str | None) -> str | None:
        """The number of the task that a refused row sends back; ``place`` is the ``sheet`` that the source gave to
        its fault. ``None`` where nothing goes back up: the refusal then stands on the log alone."""
        ...

    def exchange(self, answer: LeadAnswer) -> Exchange: ...

    def receipt(self, status: int, body: bytes, answer: LeadAnswer) -> Receipt: ...
