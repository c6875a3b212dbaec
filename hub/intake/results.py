"""What somebody is told of one event that was handed in, whatever way it came."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hub.domain.plain import to_json
from hub.domain.problem import Fault, ProblemError
from hub.intake.answers_kept import Answer
from hub.intake.desk_round import Result, Taken


def shown(id_: str | None, result: Taken, warnings: Sequence[Fault]) -> dict[str, Any]:
    """An event that was taken, under its caller's ``id_``."""
    told = {
        "event_id": result.event_id, "version": result.version, "type": result.type, "wait_id": result.wait_id,
        "witness_of": result.witness_of, "differs": list(result.differs) or None,
        "warnings": [*warnings, *([result.note] if result.note is not None else ())] or None,
    }
    found = {"id": id_, "status": result.status, "state": result.state}
    return found | {name: value for name, value in told.items() if value is not None}


def single_answer(id_: str | None, result: Result, warnings: Sequence[Fault], instance: str) -> Answer:
    """202 for what is new, 200 for a repeat, whatever became of it; else the problem, about what was asked at
    ``instance``."""
    if isinstance(result, ProblemError):
        return Answer(result.status, to_json(result.document(instance)))
    return Answer(200 if result.status == "repeated" else 202, to_json(shown(id_, result, warnings)))
