"""Faults that a stand-in shows on demand, so that one can watch the hub live with them.

``slow``
    answers after ``seconds``
``down``
    503 and no work done
``shut_out``
    401 and no work done: the token is wrong
``refuse``
    422 and no work done: an answer for good
``lose_receipt``
    the work is done, then 500: the caller cannot know that it was
``limit``
    429 with ``Retry-After`` and no work done

An interface that is read page by page shows these as well; to other stand-ins they mean nothing:

``stuck``
    a page names the cursor that it was asked for as the next
``broken``
    the answer ends in the middle
``doubled``
    a record in the answer has one name twice
``elsewhere``
    a redirection to another host
``gone``
    410: the cursor is not known any more
``refuse_record``
    422 for one record to be published, in a batch or alone; the others of the batch are carried out
``lose_answer``
    the record of a batch is carried out, and the answer to the batch does not name it
``answer_twice``
    the answer to a batch names the record twice
``cut_receipt``
    of a channel that answers by files: the receipt file ends in the middle
``foreign_receipt``
    the same: beside the receipt there is one for a batch that the hub never sent
``spoiled_subjects``
    whose records make a whole batch be refused (422, nothing done of it); alone they are refused themselves
``breaking_subjects``
    whose records the system breaks on: 500 for the whole request, alone as in a batch, and nothing done of it
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from hub.sandbox.problem import problem


class Fault(BaseModel):
    """How often: the share ``rate`` of all requests, and the next ``count`` requests on top."""

    model_config = ConfigDict(extra="forbid")

    rate: float = Field(default=0.0, ge=0, le=1)
    count: int = Field(default=0, ge=0)


class Slowness(Fault):
    """``seconds`` before the answer; to every request unless ``rate`` or ``count`` says fewer."""

    seconds: float = Field(default=0.0, ge=0, le=120)


class Limit(Fault):
    """``seconds`` is what ``Retry-After`` says."""

    seconds: int = Field(default=1, ge=0, le=3600)


class Faults(BaseModel):
    """All faults of one stand-in; what is not named does not happen."""

    model_config = ConfigDict(extra="forbid")

    slow: Slowness = Field(default_factory=Slowness)
    down: Fault = Field(default_factory=Fault)
    shut_out: Fault = Field(default_factory=Fault)
    refuse: Fault = Field(default_factory=Fault)
    lose_receipt: Fault = Field(default_factory=Fault)
    limit: Limit = Field(default_factory=Limit)
    stuck: Fault = Field(default_factory=Fault)
    broken: Fault = Field(default_factory=Fault)
    doubled: Fault = Field(default_factory=Fault)
    elsewhere: Fault = Field(default_factory=Fault)
    gone: Fault = Field(default_factory=Fault)
    refuse_record: Fault = Field(default_factory=Fault)
    lose_answer: Fault = Field(default_factory=Fault)
    answer_twice: Fault = Field(default_factory=Fault)
    cut_receipt: Fault = Field(default_factory=Fault)
    foreign_receipt: Fault = Field(default_factory=Fault)
    spoiled_subjects: list[str] = Field(default_factory=list)
    breaking_subjects: list[str] = Field(default_factory=list)


class FaultPlan:
    """The faults in force. One event loop uses it; ``seed`` fixes which requests a rate hits."""

    def __init__(self, faults: Faults | None = None, *, seed: int = 0) -> None:
        self._random = random.Random(seed)
        self.faults = Faults()
        self.set(faults or Faults())

    def set(self, faults: Faults) -> None:
        """Replace the whole plan."""
        self.faults = faults.model_copy(deep=True)
        slow = self.faults.slow
        if slow.seconds and not slow.model_fields_set & {"rate", "count"}:
            slow.rate = 1.0

    async def apply(self, work: Callable[[], Awaitable[Response]]) -> Response:
        """The answer of ``work``, or what a fault makes of it."""
        if self.strikes(self.faults.slow):
            await asyncio.sleep(self.faults.slow.seconds)
        if self.strikes(self.faults.down):
            return problem(503, "系统维护中", "down, as the plan of faults says")
        if self.strikes(self.faults.shut_out):
            return problem(401, "令牌无效", "shut out, as the plan of faults says")
        if self.strikes(self.faults.refuse):
            return problem(422, "不予受理", "refused, as the plan of faults says")
        if self.strikes(self.faults.limit):
            refusal = problem(429, "请求过于频繁", "too many requests, as the plan of faults says")
            refusal.headers["Retry-After"] = str(self.faults.limit.seconds)
            return refusal
        answer = await work()
        if self.strikes(self.faults.lose_receipt):
            return problem(500, "系统异常", "the answer was lost, as the plan of faults says")
        return answer

    def strikes(self, fault: Fault) -> bool:
        """Whether this fault of the plan happens now; what was counted is one less then."""
        if fault.count:
            fault.count -= 1
            return True
        # No draw where there is no rate: a plan without chance stays the same whatever else happens.
        return fault.rate > 0 and self._random.random() < fault.rate


def faults_router(plan: FaultPlan) -> APIRouter:
    """``GET /faults`` tells the plan with the counts that are left, ``POST /faults`` replaces it."""
    router = APIRouter(tags=["faults"])

    @router.get("/faults")
    async def read_faults() -> Faults:
        return plan.faults

    @router.post("/faults")
    async def set_faults(faults: Faults) -> Faults:
        plan.set(faults)
        return plan.faults

    return router
