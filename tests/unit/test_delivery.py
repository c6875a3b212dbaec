"""The delivery stage against a department on a real socket."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
import standardwebhooks
from structlog.testing import capture_logs

from hub.bus.dead_letters import origin_of, without_errors
from hub.bus.records import Output, header
from hub.contracts.cloudevents import from_headers
from hub.delivery.message import read_notices
from hub.delivery.parking import ParkedSubjects
from hub.delivery.stage import DeliveryStage, WebhookEndpoint
from hub.domain.events import output_id
from hub.errors import ContractError, IndexUnavailableError, InputError, OutletError
from hub.state.notice_index import Notice
from tests.support_contracts import IDENTITY_NUMBER, catalog
from tests.support_outlets import QUICK, OutletServer, Reply, Seen, notice, notice_id, penalty

SECRET = "whsec_" + base64.b64encode(bytes(range(24))).decode()
NEXT_SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
Respond = Callable[[Seen, int], Reply]


class InMemoryNotices:
    """Stands for the index; ``is_down`` makes it fail."""

    def __init__(self) -> None:
        self.found: dict[str, Notice] = {}
        self.is_down = False

    def put(self, notices: Sequence[Notice]) -> None:
        if self.is_down:
            raise IndexUnavailableError
        self.found.update({item.notice_id: item for item in notices})


@contextmanager
def department(
    respond: Respond, index: InMemoryNotices | None = None, **endpoint: Any
) -> Iterator[tuple[DeliveryStage, OutletServer]]:
    with OutletServer(respond) as server:
        stage = DeliveryStage(
            "procurement", WebhookEndpoint(server.url + "/hook", SECRET, **endpoint), catalog(),
            lambda: datetime.now(UTC), index or InMemoryNotices(), QUICK,
        )
        try:
            yield stage, server
        finally:
            stage.close()


def read(output: Output) -> dict[str, Any]:
    assert output.topic == "delivery.receipts.v1"
    return catalog().decode(output.value or b"")[1]


def took(seen: Seen, before: int) -> Reply:
    return Reply(204, "")


def test_a_notice_is_signed_and_delivered() -> None:
    index = InMemoryNotices()
    with department(took, index) as (stage, server):
        (outputs,) = stage.handle([notice("A", 1)])
    (seen,) = server.seen
    assert (seen.method, seen.path) == ("POST", "/hook")
    assert seen.headers["webhook-id"] == notice_id("A", 1)
    body = standardwebhooks.Webhook(SECRET).verify(seen.body, seen.headers)
    assert body == json.loads(seen.body)
    assert body["type"] == "blacklist.notice.listed"
    data = body["data"]
    assert data["expected_measures"] == ["restrict-government-procurement"]
    assert (data["issued_at"], data["sequence"]) == ("2026-03-02T01:00:00.000Z", 1)
    view = catalog().schema("enforcement/penalty", view="partner")
    assert data["record"].keys() == {field.name for field in view.fields}
    assert IDENTITY_NUMBER.encode() not in seen.body
    answered = read(outputs[0])
    assert len(outputs) == 1
    assert (answered["status"], answered["attempts"], answered["http_status"]) == ("delivered", 1, 204)
    assert answered["endpoint"] == server.url + "/hook"
    envelope = from_headers(outputs[0].headers)
    assert envelope.id == answered["receipt_id"] == output_id(notice_id("A", 1), "receipt")
    assert (envelope.type, envelope.causation_id) == ("delivery.receipt.delivered", notice_id("A", 1))
    assert index.found[notice_id("A", 1)].subject == "A"


def test_both_secrets_sign_while_one_is_rotated() -> None:
    with department(took, previous_secrets=(NEXT_SECRET,)) as (stage, server):
        stage.handle([notice("A", 1)])
    for secret in (SECRET, NEXT_SECRET):
        standardwebhooks.Webhook(secret).verify(server.seen[0].body, server.seen[0].headers)


@pytest.mark.parametrize(
    "first",
    [Reply(503), Reply(500), Reply(307, headers={"Location": "/elsewhere"}), Reply(301), Reply(408),
     Reply(425), Reply(429, headers={"Retry-After": "0"}), Reply(is_dropped=True),
     Reply(204, "", delay_seconds=1.0)],
)
def test_what_may_pass_is_tried_again_under_the_same_id(first: Reply) -> None:
    def respond(seen: Seen, before: int) -> Reply:
        return took(seen, before) if before else first

    with department(respond, timeout_seconds=0.3) as (stage, server):
        (outputs,) = stage.handle([notice("A", 1)])
    assert read(outputs[0])["status"] == "delivered"
    assert {seen.path for seen in server.seen} == {"/hook"}
    assert {seen.headers["webhook-id"] for seen in server.seen} == {notice_id("A", 1)}
    assert len({seen.body for seen in server.seen}) == 1
    for seen in server.seen:
        standardwebhooks.Webhook(SECRET).verify(seen.body, seen.headers)


def test_attempts_are_counted_across_batches() -> None:
    is_down = True
    with department(lambda seen, before: Reply(503) if is_down else Reply(200)) as (stage, server):
        with pytest.raises(OutletError):
            stage.handle([notice("A", 1)])
        is_down = False
        (outputs,) = stage.handle([notice("A", 1)])
    answered = read(outputs[0])
    assert answered["attempts"] == len(server.seen) == QUICK.max_attempts + 1
    assert answered["first_attempt_at"] <= answered["finished_at"]


def test_a_lost_reply_takes_effect_once() -> None:
    effects: set[str] = set()

    def respond(seen: Seen, before: int) -> Reply:
        effects.add(seen.headers["webhook-id"])
        return Reply(is_dropped=not before)

    with department(respond) as (stage, _server):
        (outputs,) = stage.handle([notice("A", 1)])
    assert effects == {notice_id("A", 1)}
    assert read(outputs[0])["status"] == "delivered"


def test_a_success_counts_whatever_stands_in_its_body() -> None:
    with department(lambda seen, before: Reply(200, "<" * 300_000)) as (stage, server):
        (outputs,) = stage.handle([notice("A", 1)])
    assert read(outputs[0])["status"] == "delivered"
    assert len(server.seen) == 1


@pytest.mark.parametrize(("status", "reason"), [(410, "HTTP 410: the endpoint is gone"), (400, "HTTP 400"),
                                                (401, "HTTP 401"), (404, "HTTP 404"), (422, "HTTP 422")])
def test_a_refusal_parks_the_notice_byte_for_byte(status: int, reason: str) -> None:
    record = notice("A", 1)
    with department(lambda seen, before: Reply(status)) as (stage, server):
        (outputs,) = stage.handle([record])
    assert len(server.seen) == 1
    answered, letter = read(outputs[0]), outputs[1]
    assert (answered["status"], answered["http_status"], answered["reason"]) == ("parked", status, reason)
    assert from_headers(outputs[0].headers).type == "delivery.receipt.parked"
    assert (letter.topic, letter.key, letter.value) == ("delivery.dead-letters.v1", record.key, record.value)
    as_read = record._replace(headers=letter.headers)
    assert without_errors(as_read) == record.headers
    assert origin_of(as_read) == (record.topic, record.partition, record.offset)
    assert header(letter.headers, "__streams.errors.message") == reason.encode()
    assert header(letter.headers, "__hub.errors.attempts") == b"1"


def test_followers_of_a_parked_notice_are_parked_until_it_is_delivered() -> None:
    is_gone = True

    def respond(seen: Seen, before: int) -> Reply:
        refused = is_gone and seen.headers["webhook-id"] == notice_id("A", 1)
        return Reply(410 if refused else 200)

    batch = [notice("A", 1), notice("B", 4), notice("A", 2)]
    with department(respond) as (stage, server):
        statuses = [read(outputs[0])["status"] for outputs in stage.handle(batch)]
        assert statuses == ["parked", "delivered", "parked"]
        (outputs,) = stage.handle([notice("A", 3)])
        blocker = notice_id("A", 1)
        assert read(outputs[0])["reason"] == f"behind the parked notice {blocker} of the same subject"
        assert read(outputs[0])["attempts"] == 0
        assert len(server.seen) == 2
        is_gone = False
        redriven = [notice("A", n)._replace(offset=10 + n) for n in (1, 2, 3)]
        assert [read(outputs[0])["status"] for outputs in stage.handle(redriven)] == ["delivered"] * 3
    ids = [seen.headers["webhook-id"] for seen in server.seen[2:]]
    assert ids == [notice_id("A", n) for n in (1, 2, 3)]


def test_parked_subjects_are_bounded_and_forgotten_with_their_partition() -> None:
    parked = ParkedSubjects(limit=2)
    records = [notice(subject, 1) for subject in "ABC"]
    for record in records:
        parked.park(record, "first")
    assert [parked.blocker(record, "second") for record in records] == [None, "first", "first"]
    parked.forget({("inbox.procurement", 0)})
    assert [parked.blocker(record, "second") for record in records] == [None] * 3


def test_order_within_a_subject_and_none_sent_twice() -> None:
    is_down = True

    def respond(seen: Seen, before: int) -> Reply:
        return Reply(503 if is_down and json.loads(seen.body)["data"]["subject"] == "A" else 200)

    batch = [notice(subject, n) for n in range(1, 4) for subject in "ABC"]
    batch = [record._replace(offset=place) for place, record in enumerate(batch)]
    with department(respond) as (stage, server):
        with pytest.raises(OutletError):
            stage.handle(batch)
        ids = [seen.headers["webhook-id"] for seen in server.seen]
        assert not {notice_id("A", 2), notice_id("A", 3)} & set(ids)
        for subject in "BC":
            mine = [notice_id(subject, n) for n in (1, 2, 3)]
            assert [id for id in ids if id in mine] == mine
        is_down = False
        outputs = stage.handle(batch)
        again = [seen.headers["webhook-id"] for seen in server.seen][len(ids):]
    assert again == [notice_id("A", n) for n in (1, 2, 3)]
    assert [read(output[0])["subject"] for output in outputs] == list("ABC" * 3)


def test_subjects_go_out_at_once() -> None:
    waiting = 0
    most = 0

    def respond(seen: Seen, before: int) -> Reply:
        nonlocal waiting, most
        waiting += 1
        most = max(most, waiting)
        return Reply(200, delay_seconds=0.1)

    with department(respond) as (stage, _):
        stage.handle([notice(f"S{n}", 1)._replace(offset=n) for n in range(8)])
    assert most == 8


def test_delivery_goes_on_without_the_index_and_catches_up() -> None:
    index = InMemoryNotices()
    index.is_down = True
    with department(took, index) as (stage, _):
        (outputs,) = stage.handle([notice("A", 1)])
        assert read(outputs[0])["status"] == "delivered"
        stage.tick(datetime.now(UTC))
        assert index.found == {}
        index.is_down = False
        assert stage.tick(datetime.now(UTC)) == []
    assert list(index.found) == [notice_id("A", 1)]


def test_notices_are_read_again_from_the_inboxes() -> None:
    records = [notice("A", 1), notice("B", 2)._replace(value=b"garbage"), notice("C", 3)]
    found = list(read_notices(records, catalog()))
    assert [item.notice_id for item in found] == [notice_id("A", 1), notice_id("C", 3)]
    assert found[0].expected_measures == ("restrict-government-procurement",)


@pytest.mark.parametrize(
    "record", [notice("A", 1, subscription="land"), notice("A", 1, data=penalty("full")),
               notice("A", 1)._replace(value=penalty("partner"))],
)
def test_what_does_not_belong_here_is_not_sent(record: Any) -> None:
    with department(took) as (stage, server), pytest.raises(ContractError):
        stage.handle([record])
    assert server.seen == []


def test_logs_and_representations_hold_no_content() -> None:
    with department(lambda seen, before: Reply(410)) as (stage, _server), capture_logs() as logs:
        stage.handle([notice("A", 1)])
    text = json.dumps(logs, default=str, ensure_ascii=False)
    assert notice_id("A", 1) in text
    for hidden in (SECRET, IDENTITY_NUMBER, "雪域牦牛"):
        assert hidden not in text
    endpoint = WebhookEndpoint("https://user:word@department.invalid/hook?key=hidden", SECRET)
    assert endpoint.address == "https://department.invalid/hook"
    assert SECRET not in repr(endpoint) and "hidden" not in repr(endpoint)


def test_a_bad_secret_is_found_at_start() -> None:
    with pytest.raises(InputError):
        DeliveryStage("procurement", WebhookEndpoint("http://127.0.0.1:1", "secret"), catalog(),
                      lambda: datetime.now(UTC), InMemoryNotices())
