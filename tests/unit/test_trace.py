"""The trace: what it tells of a record can be printed, and holds nobody's words."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from hub.bus.records import Record
from hub.contracts.cloudevents import to_headers
from hub.domain.events import Envelope
from hub.domain.plain import to_json
from hub.ops.trace import steps_of
from tests.support_contracts import catalog, sample

NOW = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)


def test_the_content_of_an_answer_stays_where_it_is() -> None:
    schema = catalog().schema("hub/discipline-feedback")
    value = schema.encode(sample(schema, status="acted", content='{"reason":"张三已停业"}'.encode()))
    envelope = Envelope(
        id="f", source="/web/feedback", type="discipline.feedback.acted", subject="s", time=NOW, correlation_id="c"
    )
    record = Record("discipline.feedback.v1", 0, 0, 0, b"s", value, to_headers(envelope))
    (step,) = steps_of([record], catalog(), subject="s", event_id=None)
    told = json.loads(to_json(step.details))
    assert told["status"] == "acted"
    assert "content" not in told
    assert "张三" not in to_json(step.details).decode()
