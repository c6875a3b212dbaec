"""What the hub says on ``ops.probes.v1`` of its own probes: in headers, since a probe holds nothing."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from hub.contracts.cloudevents import to_headers
from hub.domain.events import Envelope, new_traceparent
from hub.domain.plain import whole_millis

TOPIC = "ops.probes.v1"
SENT, ANSWERED = "ops.probe.sent", "ops.probe.answered"
_TOOK, _EVERY, _TAKEN, _ASKED = "ce_probeseconds", "ce_probeevery", "ce_probetaken", "ce_probeasked"


class OutletAnswer(NamedTuple):
    """What an outlet said to a synthetic message: whether it took it, after how many seconds; and in how many seconds
    the next one is sent. Not ``is_asked``: it is not sent any, and what it said before holds no more."""

    outlet: str
    is_taken: bool
    seconds: float
    every_seconds: float
    is_asked: bool = True


def probe_headers(id: str, source: str, type: str, outlet: str, at: datetime) -> list[tuple[str, bytes]]:
    """Of a synthetic record; ``at`` is aware."""
    envelope = Envelope(
        id=id, source=source, type=type, subject=outlet, time=whole_millis(at), correlation_id=id,
        traceparent=new_traceparent(id),
    )
    return [*to_headers(envelope), ("ce_issynthetic", b"true")]


def answer_headers(answer: OutletAnswer, source: str, at: datetime) -> list[tuple[str, bytes]]:
    return [
        *probe_headers(str(uuid.uuid4()), source, ANSWERED, answer.outlet, at),
        (_TOOK, b"%.3f" % answer.seconds), (_EVERY, b"%.0f" % answer.every_seconds),
        (_TAKEN, b"true" if answer.is_taken else b"false"), (_ASKED, b"true" if answer.is_asked else b"false"),
    ]


def read_answer(headers: Iterable[Any]) -> OutletAnswer | None:
    """``None`` for what is no answer of an outlet, or cannot be read."""
    found: Mapping[str, Any] = dict(headers)
    if found.get("ce_type") != ANSWERED.encode():
        return None
    try:
        return OutletAnswer(
            found["ce_subject"].decode(), found[_TAKEN] == b"true", float(found[_TOOK]), float(found[_EVERY]),
            found.get(_ASKED) != b"false",
        )
    except (KeyError, ValueError, AttributeError):
        return None
