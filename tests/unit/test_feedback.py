"""The departments' answers: what is accepted, what is refused and how."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import standardwebhooks
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from hub.bus.records import Output
from hub.contracts.cloudevents import from_headers
from hub.delivery.answers import AnswerDesk
from hub.domain.events import output_id
from hub.errors import BrokerError, IndexUnavailableError
from hub.state.notice_index import Notice
from hub.web.feedback import MAX_BODY_BYTES, feedback_router
from tests.support_contracts import catalog

SECRET = "whsec_" + base64.b64encode(bytes(range(24))).decode()
OTHER = "whsec_" + base64.b64encode(bytes(range(32))).decode()
NOTICE = Notice(
    notice_id="5d6a3e4b-0000-5000-8000-000000000001", event_id="event-1",
    event_type="blacklist.notice.listed", correlation_id="entity-1", subject="91623000739699913A",
    subscription="procurement", department_code="116230009900000171",
    expected_measures=("restrict-government-procurement",), issued_at=datetime(2026, 3, 2, tzinfo=UTC),
)
RECALL = replace(NOTICE, notice_id="recall", event_type="blacklist.notice.removed", expected_measures=())
ANSWER: dict[str, Any] = {
    "notice_id": NOTICE.notice_id, "subscription": "procurement", "correlation_id": "entity-1",
    "event_id": "event-1", "subject": "91623000739699913A", "status": "acted",
    "measure": "restrict-government-procurement", "case_number": "甘南财采〔2026〕3号",
    "acted_on": "2026-03-04",
}


class Hub:
    """The router in an app, with its surroundings in memory."""

    def __init__(self) -> None:
        self.published: list[Output] = []
        self.error: Exception | None = None
        self.index_error: Exception | None = None
        app = FastAPI()
        secrets = {"procurement": [OTHER, SECRET], "land": [OTHER]}
        desk = AnswerDesk(catalog(), self, lambda name: secrets.get(name, []), lambda: datetime.now(UTC))
        app.include_router(feedback_router(self.publish, desk))
        self.client = TestClient(app)

    def publish(self, outputs: Sequence[Output]) -> None:
        if self.error is not None:
            raise self.error
        self.published.extend(outputs)

    def get(self, notice_id: str) -> Notice | None:
        if self.index_error is not None:
            raise self.index_error
        return {item.notice_id: item for item in (NOTICE, RECALL)}.get(notice_id)

    def post(self, document: object, *, secret: str = SECRET, **headers: str) -> Any:
        body = document if isinstance(document, bytes) else json.dumps(document, ensure_ascii=False).encode()
        now = datetime.now(UTC)
        # Signed by hand over bytes: the library takes text only, and bad input is not always text.
        key, timestamp = base64.b64decode(secret[6:]), str(int(now.timestamp()))
        mac = hmac.new(key, f"msg_1.{timestamp}.".encode() + body, hashlib.sha256).digest()
        signed = {"webhook-id": "msg_1", "webhook-timestamp": timestamp, "content-type": "application/json",
                  "webhook-signature": "v1," + base64.b64encode(mac).decode()}
        return self.client.post("/v1/feedback", content=body, headers={**signed, **headers})


@pytest.fixture
def hub() -> Hub:
    return Hub()


def problem(response: Any, status: int) -> dict[str, Any]:
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = response.json()
    assert document["status"] == status
    assert document["type"].startswith("/problems/")
    assert document["title"] and document["detail"] and document["instance"] == "/v1/feedback"
    return document


def test_an_answer_is_on_record_before_it_is_accepted(hub: Hub) -> None:
    response = hub.post(ANSWER)
    assert response.status_code == 202
    (output,) = hub.published
    id = output_id(NOTICE.notice_id, f"feedback:acted:{ANSWER['measure']}")
    assert response.json() == {"feedback_id": id, "status": "accepted"}
    assert (output.topic, output.key) == ("discipline.feedback.v1", b"91623000739699913A")
    schema, value = catalog().decode(output.value or b"")
    assert schema.name == "hub/discipline-feedback"
    assert (value["feedback_id"], value["acted_on"]) == (id, date(2026, 3, 4))
    assert value["department_code"] == NOTICE.department_code
    # What stands on record proves the answer: the library verifies it with the department's secret.
    assert (value["way"], value["signed_as"]) == ("http", "msg_1")
    standardwebhooks.Webhook(SECRET).verify(value["content"], {
        "webhook-id": value["signed_as"], "webhook-timestamp": str(int(value["signed_at"].timestamp())),
        "webhook-signature": value["signature"],
    })
    assert json.loads(value["content"]) == ANSWER
    envelope = from_headers(output.headers)
    assert (envelope.id, envelope.type) == (id, "discipline.feedback.acted")
    assert (envelope.correlation_id, envelope.causation_id) == ("entity-1", NOTICE.notice_id)


def test_the_reference_library_signs_for_us(hub: Hub) -> None:
    now, body = datetime.now(UTC), json.dumps(ANSWER)
    headers = {"webhook-id": "msg_9", "webhook-timestamp": str(int(now.timestamp())),
               "webhook-signature": standardwebhooks.Webhook(OTHER).sign("msg_9", now, body)}
    response = hub.client.post(
        "/v1/feedback", content=body, headers={**headers, "content-type": "application/json; charset=utf-8"}
    )
    assert response.status_code == 202


def test_repeats_have_one_id(hub: Hub) -> None:
    assert hub.post(ANSWER).json() == hub.post(ANSWER).json()
    assert len({from_headers(output.headers).id for output in hub.published}) == 1
    assert hub.post({**ANSWER, "status": "registered"}).json() != hub.post(ANSWER).json()


@pytest.mark.parametrize(
    ("change", "pointers"),
    [
        ({"measure": None}, ["/measure"]), ({"measure": "  "}, ["/measure"]),
        ({"measure": "解除限制"}, ["/measure"]),
        ({"measure": "close-the-shop"}, ["/measure"]), ({"status": "inapplicable"}, ["/reason"]),
        ({"status": "objected", "reason": ""}, ["/reason"]), ({"subject": "someone"}, ["/subject"]),
        ({"correlation_id": "x", "event_id": "y"}, ["/correlation_id", "/event_id"]),
        ({"status": "done"}, ["/status"]), ({"acted_on": "yesterday"}, ["/acted_on"]),
        ({"messure": "x"}, ["/messure"]), ({"subject": 7}, ["/subject"]), ({"notice_id": ""}, ["/notice_id"]),
        ({"reason": "长" * 2001}, ["/reason"]), ({"notice_id": {"a": [1]}}, ["/notice_id"]),
    ],
)
def test_faults_are_named_one_by_one(hub: Hub, change: dict[str, Any], pointers: list[str]) -> None:
    document = problem(hub.post({**ANSWER, **change}), 422)
    assert [item["pointer"] for item in document["errors"]] == pointers
    assert hub.published == []


@pytest.mark.parametrize(
    "change", [{"status": "registered", "measure": None}, {"status": "inapplicable", "reason": "已注销"},
               {"status": "objected", "reason": "主体有误"}, {"acted_on": None, "case_number": None},
               {"notice_id": "recall", "measure": "解除限制"}],
)
def test_other_good_answers(hub: Hub, change: dict[str, Any]) -> None:
    assert hub.post({**ANSWER, **change}).status_code == 202
    assert len(hub.published) == 1


def test_an_unknown_notice(hub: Hub) -> None:
    assert problem(hub.post({**ANSWER, "notice_id": "unknown"}), 404)["errors"][0]["pointer"] == "/notice_id"


def test_a_notice_of_another_subscription_is_as_unknown(hub: Hub) -> None:
    foreign = problem(hub.post({**ANSWER, "subscription": "land"}, secret=OTHER), 404)
    unknown = problem(hub.post({**ANSWER, "subscription": "land", "notice_id": "x"}, secret=OTHER), 404)
    assert foreign == unknown


@pytest.mark.parametrize("name", ["procurement", "land", "unknown", None, 7, ["procurement"]])
def test_only_the_department_itself_may_answer(hub: Hub, name: object) -> None:
    wrong = "whsec_" + base64.b64encode(bytes(24)).decode()
    problem(hub.post({**ANSWER, "subscription": name}, secret=wrong), 401)


def test_signatures_are_over_the_bytes_and_the_time(hub: Hub) -> None:
    late = str(int((datetime.now(UTC) - timedelta(minutes=6)).timestamp()))
    for headers in ({"webhook-id": "msg_2"}, {"webhook-timestamp": late}, {"webhook-signature": "v1,AAAA"}):
        problem(hub.post(ANSWER, **headers), 401)
    problem(hub.client.post("/v1/feedback", json=ANSWER), 401)
    assert hub.published == []


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", 400), (b"{", 400), (b"\xff\xfe", 400), (b"[]", 400), (b"null", 400), (b"[" * 20_000, 400),
     (b"{}", 401), (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, 400), (b"9" * 5_000, 400),
     (b" " * (MAX_BODY_BYTES + 1), 413)],
)
def test_bad_bodies(hub: Hub, body: bytes, status: int) -> None:
    problem(hub.post(body), status)


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists, max_leaves=5),
       st.sampled_from(sorted(ANSWER)))
def test_no_value_of_any_field_is_an_error_of_ours(value: object, name: str) -> None:
    assert Hub().post(json.dumps({**ANSWER, name: value}).encode()).status_code in (202, 401, 404, 422)


def test_a_lone_surrogate(hub: Hub) -> None:
    body = json.dumps({**ANSWER, "case_number": "x"}).replace('"x"', '"\\ud800"').encode()
    problem(hub.post(body), 422)


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded"])
def test_other_content_types(hub: Hub, kind: str) -> None:
    problem(hub.post(ANSWER, **{"content-type": kind}), 415)


def test_without_kafka_or_the_index_the_department_comes_again(hub: Hub) -> None:
    hub.error = BrokerError()
    assert problem(hub.post(ANSWER), 503) and hub.post(ANSWER).headers["retry-after"] == "30"
    hub.error, hub.index_error = None, IndexUnavailableError()
    assert hub.post(ANSWER).headers["retry-after"] == "30"
    hub.index_error = None
    assert hub.post(ANSWER).status_code == 202


def test_the_interface_is_described(hub: Hub) -> None:
    described = hub.client.get("/openapi.json").json()["paths"]["/v1/feedback"]["post"]
    assert "notice_id" in described["requestBody"]["content"]["application/json"]["schema"]["properties"]
