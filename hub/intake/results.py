"""What somebody is told of one event that was handed in, whatever way it came."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hub.domain.plain import to_json
from hub.domain.problem import Fault, ProblemError
from hub.intake.answers_kept import Answer
from hub.intake.desk import Result, Taken


def shown(id_: str | None, result: Taken, warnings: Sequence[Fault]) -> dict[str, Any]:
    """An event that was taken, under its caller's ``id_``."""
    found: dict[str, Any] = {
        "id": id_, "status": result.status, "event_id": result.event_id, "version": result.version,
    }
    if result.type is not None:
        found["type"] = result.type
    if warnings:
        found["warnings"] = list(warnings)
    return found


def single_answer(id_: str | None, result: Result, warnings: Sequence[Fault], instance: str) -> Answer:
    """202 for what is new, 200 for a repeat, else the problem, about what was asked at ``instance``."""
    if isinstance(result, ProblemError):
        return Answer(result.status, to_json(result.document(instance)))
    return Answer(202 if result.status == "accepted" else 200, to_json(shown(id_, result, warnings)))
