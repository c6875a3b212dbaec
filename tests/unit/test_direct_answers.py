"""Answers by Kafka: what is taken, what comes back, and when nobody can tell yet."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from hub.bus.records import Output, Record
from hub.delivery.answers import FEEDBACK_TOPIC
from hub.delivery.direct_answers import MAX_FAULTS, AnswersStage, IndexStage
from hub.delivery.message import read_inbox, to_notice
from hub.domain.webhook import new_secret, parse_secret, sign
from hub.errors import IndexUnavailableError
from hub.state.notice_index import Notice
from tests.support_contracts import catalog
from tests.support_outlets import notice

NAME, TOPIC = "procurement", "answers.procurement"
#: When Kafka took the answer; long before now.
CAME_AT = datetime(2026, 3, 4, 8, 0, tzinfo=UTC)
KEY = parse_secret(new_secret("ed25519"))


class Index:
    def __init__(self) -> None:
        self.found: dict[str, Notice] = {}
        self.is_complete, self.asked, self.is_closed = True, 0, False

    def put(self, notices: Sequence[Notice]) -> None:
        self.found |= {each.notice_id: each for each in notices}

    def get(self, notice_id: str) -> Notice | None:
        return self.found.get(notice_id)

    def __call__(self, subscription: str) -> bool:
        self.asked += 1
        return self.is_complete

    def close(self) -> None:
        self.is_closed = True


def stage(index: Index, *, must_sign: bool = False) -> AnswersStage:
    public = [str(KEY.public)]
    return AnswersStage({TOPIC: NAME}, catalog(), index, lambda _: public, lambda _: must_sign, index)


def indexed() -> tuple[Index, Notice]:
    index, record = Index(), notice("a", 1)
    broken = record._replace(value=b"no notice")
    assert IndexStage(catalog(), index).handle([record, broken]) == [[], []]
    return index, to_notice(read_inbox(record, catalog()))


def document(found: Notice, **more: Any) -> bytes:
    return json.dumps({
        "notice_id": found.notice_id, "subscription": NAME, "correlation_id": found.correlation_id,
        "event_id": found.event_id, "subject": found.subject, "status": "registered", **more,
    }).encode()


def record(value: bytes | None, headers: Sequence[tuple[str, Any]] = (), offset: int = 7) -> Record:
    return Record(TOPIC, 1, offset, int(CAME_AT.timestamp() * 1000), b"k", value, list(headers))


def problem(output: Output) -> dict[str, Any]:
    assert output.topic == "answer-problems.procurement"
    found: dict[str, Any] = json.loads(output.value or b"")
    return found


def test_an_answer_came_when_kafka_took_it() -> None:
    index, found = indexed()
    ((output,),) = stage(index).handle([record(document(found))])
    assert output.topic == FEEDBACK_TOPIC
    value = catalog().decode(output.value or b"")[1]
    assert (value["received_at"], value["way"], value["content"]) == (CAME_AT, "kafka", document(found))


def test_a_signature_is_judged_by_that_moment_too() -> None:
    index, found = indexed()
    body = document(found)
    headers = [(name.upper(), text.encode()) for name, text in sign([KEY], "answer-1", CAME_AT, body).items()]
    ((output,),) = stage(index, must_sign=True).handle([record(body, headers)])
    assert catalog().decode(output.value or b"")[1]["signed_as"] == "answer-1"
    late = [(name, text.encode()) for name, text in sign([KEY], "answer-1", datetime.now(UTC), body).items()]
    ((output,),) = stage(index).handle([record(body, late)])
    assert problem(output)["status"] == 401


@pytest.mark.parametrize("headers", [[], [("webhook-signature", None)], [("webhook-id", b"\xff"), ("other", b"")]])
def test_who_has_to_sign_signs(headers: list[tuple[str, Any]]) -> None:
    index, found = indexed()
    ((output,),) = stage(index, must_sign=True).handle([record(document(found), headers)])
    assert problem(output)["type"] == "/problems/unauthenticated"


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "malformed"), (b"", "malformed"), (b"[]", "malformed"), (b"\xff", "malformed"),
        (b"[" * 50_000, "malformed"),
        (b"{" + b" " * 70_000 + b"}", "too-large"), (b"{}", "not-yours"), (b'{"subscription": "works"}', "not-yours"),
        (b'{"subscription": "procurement", "reason": "\\ud800"}', "invalid"),
        (b'{"subscription": "procurement", "acted_on": NaN}', "invalid"),
    ],
)
def test_poison_comes_back_with_its_place_and_those_behind_it_go_on(value: bytes | None, kind: str) -> None:
    index, found = indexed()
    (bad,), (good,) = stage(index).handle([record(value), record(document(found), offset=8)])
    assert good.topic == FEEDBACK_TOPIC
    assert problem(bad)["type"] == f"/problems/{kind}"
    assert problem(bad)["answer"] == {"topic": TOPIC, "partition": 1, "offset": 7}
    assert (bad.key, problem(bad)["instance"]) == (b"k", "/answers.procurement/1/7")


def test_of_very_many_faults_some_are_named() -> None:
    index, found = indexed()
    ((output,),) = stage(index).handle([record(document(found, **{f"x{number}": 0 for number in range(5000)}))])
    assert len(problem(output)["errors"]) == MAX_FAULTS and len(output.value or b"") < 50_000


def test_nobody_is_told_unknown_while_the_index_is_behind() -> None:
    index, found = indexed()
    missing = index.found.pop(found.notice_id)
    index.is_complete = False
    answers = stage(index)
    with pytest.raises(IndexUnavailableError):
        answers.handle([record(document(found))])
    index.put([missing])
    ((output,),) = answers.handle([record(document(found))])
    assert output.topic == FEEDBACK_TOPIC
    index.found.clear()
    index.is_complete, index.asked = True, 0
    bad = answers.handle([record(document(found), offset=offset) for offset in range(50)])
    assert {problem(output)["type"] for (output,) in bad} == {"/problems/unknown-notice"}
    assert index.asked == 1  # all of them came before that one look
    answers.close()
    assert index.is_closed


def test_a_notice_of_another_subscription_is_unknown() -> None:
    index = Index()
    other = to_notice(read_inbox(notice("b", 1, subscription="works"), catalog()))
    index.put([other])
    ((output,),) = stage(index).handle([record(document(other))])
    assert problem(output)["type"] == "/problems/unknown-notice"
