"""Delivery against a department on a real socket."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
import standardwebhooks
from structlog.testing import capture_logs

from hub.bus.dead_letters import origin_of, without_errors
from hub.bus.records import Record
from hub.contracts.cloudevents import from_headers
from hub.delivery.commands import Command, write_command
from hub.delivery.engine import DeliveryEngine
from hub.delivery.message import read_notices
from hub.delivery.webhook import WebhookEndpoint, WebhookTransport
from hub.domain.circuit import Circuit
from hub.domain.events import output_id
from hub.domain.retry import Schedule
from hub.errors import InputError
from hub.state.notice_index import Notice
from tests.support_contracts import IDENTITY_NUMBER, catalog
from tests.support_delivery import Desk, InMemoryNotices, read
from tests.support_outlets import QUICK, OutletServer, Reply, Seen, notice, notice_id, penalty

SECRET = "whsec_" + base64.b64encode(bytes(range(24))).decode()
NEXT_SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
#: Tried again at once, for as long as a test lasts.
SOON = Schedule(delays=(0.005,) * 1000, jitter=0.0)
#: Tried again after the test.
LATER = Schedule(delays=(3600.0,), jitter=0.0)
Respond = Callable[[Seen, int], Reply]


@contextmanager
def department(
    respond: Respond, index: InMemoryNotices | None = None, *, before: Desk | None = None,
    schedule: Schedule = SOON, circuit: Circuit | None = None, monotonic: Callable[[], float] | None = None,
    **endpoint: Any,
) -> Iterator[tuple[Desk, OutletServer]]:
    """``before`` is a desk whose topic of waits this one begins with."""
    more: dict[str, Any] = {"monotonic": monotonic} if monotonic else {}
    with OutletServer(respond) as server:
        def now() -> datetime:
            return datetime.now(UTC)

        transport = WebhookTransport(WebhookEndpoint(server.url + "/hook", SECRET, **endpoint), now)
        desk = Desk(DeliveryEngine(
            "procurement", transport, catalog(), now, index or InMemoryNotices(),
            before.load if before else lambda partitions: iter(()), policy=QUICK, schedule=schedule,
            circuit=circuit, **more,
        ))
        try:
            yield desk, server
        finally:
            desk.close()


def command(kind: Any, notice_id: str | None = None, offset: int = 0) -> Record:
    given = Command(kind, "procurement", notice_id, "张三", "接收系统已修复", datetime.now(UTC))
    (output,) = write_command(given, [0], catalog())
    return Record(output.topic, 0, offset, 0, output.key, output.value, output.headers)


def ids(server: OutletServer) -> list[str]:
    return [seen.headers["webhook-id"] for seen in server.seen]


def took(seen: Seen, before: int) -> Reply:
    return Reply(204, "")


def test_a_notice_is_signed_and_delivered() -> None:
    index = InMemoryNotices()
    with department(took, index) as (desk, server):
        (outputs,) = desk.handle([notice("A", 1)])
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


def test_a_fault_of_the_hub_ends_the_flow_rather_than_leave_it_standing_still() -> None:
    class Broken(InMemoryNotices):
        def put(self, notices: Sequence[Notice]) -> None:
            raise LookupError("no such thing")

    with department(took, Broken()) as (desk, server):
        desk.take([notice("A", 1)])
        desk.wait(lambda: desk.failed is not None)
    assert isinstance(desk.failed, LookupError) and not server.seen and not desk.of


def test_both_secrets_sign_while_one_is_rotated() -> None:
    with department(took, previous_secrets=(NEXT_SECRET,)) as (desk, server):
        desk.handle([notice("A", 1)])
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

    with department(respond, timeout_seconds=0.3) as (desk, server):
        (outputs,) = desk.handle([notice("A", 1)])
    assert read(outputs[0])["status"] == "delivered"
    assert {seen.path for seen in server.seen} == {"/hook"}
    assert {seen.headers["webhook-id"] for seen in server.seen} == {notice_id("A", 1)}
    assert len({seen.body for seen in server.seen}) == 1
    for seen in server.seen:
        standardwebhooks.Webhook(SECRET).verify(seen.body, seen.headers)


def test_a_subject_that_fails_is_put_aside_and_tried_again_by_itself() -> None:
    is_down = True

    def respond(seen: Seen, before: int) -> Reply:
        return Reply(503 if is_down and json.loads(seen.body)["data"]["subject"] == "A" else 200)

    with department(respond) as (desk, server):
        (aside,) = desk.handle([notice("A", 1)])
        assert [output.topic for output in aside] == ["delivery.waits.v1"]
        (waiting,) = desk.waiting()
        assert (waiting.notice_id, waiting.wait.state, waiting.wait.reason) == (
            notice_id("A", 1), "retrying", "HTTP status 503"
        )
        assert waiting.wait.attempts == QUICK.max_attempts
        desk.handle([notice("B", 2)])
        is_down = False
        desk.wait(lambda: desk.ends().get(notice_id("A", 1)) == "delivered")
        assert desk.waiting() == []
    (answered,) = [read(output) for output in desk.written if output.key == b"A" and "receipts" in output.topic]
    assert answered["attempts"] == ids(server).count(notice_id("A", 1)) > QUICK.max_attempts
    assert answered["first_attempt_at"] <= answered["finished_at"]


def test_a_lost_reply_takes_effect_once() -> None:
    effects: set[str] = set()

    def respond(seen: Seen, before: int) -> Reply:
        effects.add(seen.headers["webhook-id"])
        return Reply(is_dropped=not before)

    with department(respond) as (desk, _server):
        (outputs,) = desk.handle([notice("A", 1)])
    assert effects == {notice_id("A", 1)}
    assert read(outputs[0])["status"] == "delivered"


def test_a_success_counts_whatever_stands_in_its_body() -> None:
    with department(lambda seen, before: Reply(200, "<" * 300_000)) as (desk, server):
        (outputs,) = desk.handle([notice("A", 1)])
    assert read(outputs[0])["status"] == "delivered"
    assert len(server.seen) == 1


@pytest.mark.parametrize("status", [400, 401, 404, 422])
def test_a_refusal_parks_the_notice_byte_for_byte(status: int) -> None:
    record, reason = notice("A", 1), f"HTTP {status}"
    with department(lambda seen, before: Reply(status)) as (desk, server):
        (outputs,) = desk.handle([record])
        (waiting,) = desk.waiting()
    assert len(server.seen) == 1
    answered = read(outputs[0])
    assert (answered["status"], answered["http_status"], answered["reason"]) == ("parked", status, reason)
    assert from_headers(outputs[0].headers).type == "delivery.receipt.parked"
    assert waiting.record == record
    assert (waiting.wait.state, waiting.wait.reason, waiting.wait.attempts) == ("parked", reason, 1)
    assert (waiting.wait.http_status, waiting.wait.next_attempt_at) == (status, None)


def test_followers_of_a_parked_notice_are_parked_until_a_person_releases_it() -> None:
    is_gone = True

    def respond(seen: Seen, before: int) -> Reply:
        return Reply(422 if is_gone and seen.headers["webhook-id"] == notice_id("A", 1) else 200)

    batch = [notice("A", 1), notice("B", 4), notice("A", 2)]
    with department(respond) as (desk, server):
        statuses = [read(outputs[0])["status"] for outputs in desk.handle(batch)]
        assert statuses == ["parked", "delivered", "parked"]
        (outputs,) = desk.handle([notice("A", 3)])
        answered = read(outputs[0])
        assert answered["reason"] == f"behind the parked notice {notice_id('A', 1)} of the same subject"
        assert answered["attempts"] == 0
        assert [each.wait.state for each in desk.waiting()] == ["parked", "behind", "behind"]
        assert len(server.seen) == 2
        # Released too early: refused again, and nothing has changed.
        desk.handle([command("release")])
        desk.wait(lambda: len(server.seen) == 3)
        desk.wait(lambda: desk.waiting()[0].wait.attempts == 2)
        assert [each.wait.state for each in desk.waiting()] == ["parked", "behind", "behind"]
        is_gone = False
        desk.handle([command("release", notice_id("A", 1), 1)])
        desk.wait(lambda: not desk.waiting())
        assert set(desk.ends().values()) == {"delivered"}
    assert ids(server)[3:] == [notice_id("A", n) for n in (1, 2, 3)]


def test_what_a_person_drops_is_on_record_and_frees_those_behind_it() -> None:
    def respond(seen: Seen, before: int) -> Reply:
        return Reply(422 if seen.headers["webhook-id"] == notice_id("A", 1) else 200)

    with department(respond) as (desk, server):
        desk.handle([notice("A", n) for n in (1, 2, 3)])
        desk.handle([command("drop", notice_id("A", 3)), command("drop", notice_id("A", 1), 1)])
        desk.wait(lambda: not desk.waiting())
        assert desk.ends() == {
            notice_id("A", 1): "dropped", notice_id("A", 2): "delivered", notice_id("A", 3): "dropped"
        }
    (dropped,) = [
        read(output) for output in desk.written
        if "receipts" in output.topic and read(output)["status"] == "dropped"
        and read(output)["notice_id"] == notice_id("A", 1)
    ]
    assert dropped["reason"] == "dropped by 张三: 接收系统已修复"
    assert ids(server) == [notice_id("A", 1), notice_id("A", 2)]


def test_a_command_for_another_subscription_is_not_ours() -> None:
    given = Command("drop", "land", None, "张三", "x", datetime.now(UTC))
    (output,) = write_command(given, [0], catalog())
    with department(lambda seen, before: Reply(422)) as (desk, _server):
        desk.handle([notice("A", 1)])
        desk.handle([Record(output.topic, 0, 0, 0, output.key, output.value, output.headers)])
        assert len(desk.waiting()) == 1


def test_what_waits_is_taken_up_by_the_next_owner() -> None:
    def refuse(seen: Seen, before: int) -> Reply:
        return Reply(503 if json.loads(seen.body)["data"]["subject"] == "A" else 422)

    records = [notice(subject, n)._replace(offset=n) for n, subject in enumerate("ABAB", 1)]
    with department(refuse, schedule=LATER) as (first, _):
        first.handle(records)
        assert [each.wait.state for each in first.waiting()] == ["retrying", "parked", "behind", "behind"]
        first.revoke()
    with department(took, before=first) as (second, server):
        # Read again, because the kill came before the commit: not a second time aside, nothing sent.
        assert second.handle(records) == [[], [], [], []]
        assert second.handle([notice("A", 5)._replace(offset=5)])[0][0].topic == "delivery.waits.v1"
        assert server.seen == []
        second.handle([command("release")])
        second.wait(lambda: len(second.ends()) == 5)
    assert [id for id in ids(server) if id in [notice_id("A", n) for n in (1, 3, 5)]] == [
        notice_id("A", n) for n in (1, 3, 5)
    ]
    assert ids(server).count(notice_id("B", 2)) == ids(server).count(notice_id("B", 4)) == 1


def test_a_dead_endpoint_opens_its_circuit_and_keeps_its_queue() -> None:
    is_down = True
    circuit = Circuit(threshold=3, delay=0.05, longest=0.05)
    records = [notice(f"S{n}", n)._replace(offset=n) for n in range(1, 31)]
    with department(lambda seen, before: Reply(503 if is_down else 204, ""), circuit=circuit) as (desk, server):
        desk.take(records)
        desk.wait(lambda: not desk.engine.wants_more())
        desk.wait(lambda: len(server.seen) > 40)
        assert desk.written == [], "nothing ends, nothing is put aside"
        is_down = False
        desk.wait(lambda: len(desk.ends()) == 30)
        assert desk.engine.wants_more()
        assert set(desk.ends().values()) == {"delivered"}
        assert desk.waiting() == []


def test_a_partition_that_goes_takes_nothing_with_it() -> None:
    with department(lambda seen, before: Reply(204, "", delay_seconds=0.2)) as (desk, server):
        records = [notice("A", n)._replace(offset=n) for n in (1, 2)]
        desk.take(records)
        desk.wait(lambda: len(server.seen) == 1)
        desk.revoke()
        assert desk.ends() == {notice_id("A", 1): "delivered"}, "what was under way ends first"
        desk.wait(lambda: desk.engine.wants_more())
    assert ids(server) == [notice_id("A", 1)]


def test_a_receipt_tells_what_was_handed_over() -> None:
    with department(took) as (desk, server):
        (outputs,) = desk.handle([notice("A", 1)])
    answered, (seen,) = read(outputs[0]), server.seen
    assert answered["content_digest"] == hashlib.sha256(seen.body).hexdigest()
    assert answered["signature"] == seen.headers["webhook-signature"]
    assert int(answered["signed_at"].timestamp()) == int(seen.headers["webhook-timestamp"])
    assert (answered["method"], answered["action"], answered["sequence"]) == ("webhook", "apply", 1)
    assert answered["place"] == "inbox.procurement/0/1"


def test_order_within_a_subject_and_none_sent_twice() -> None:
    def respond(seen: Seen, before: int) -> Reply:
        is_first = seen.headers["webhook-id"] == notice_id("A", 1)
        return Reply(503 if is_first and before < 8 else 200)

    batch = [notice(subject, n) for n in range(1, 4) for subject in "ABC"]
    batch = [record._replace(offset=place) for place, record in enumerate(batch)]
    with department(respond) as (desk, server):
        desk.handle(batch)
        desk.wait(lambda: len(desk.ends()) == 9)
        assert desk.waiting() == []
    sent = ids(server)
    for subject in "BC":
        mine = [notice_id(subject, n) for n in (1, 2, 3)]
        assert [id for id in sent if id in mine] == mine
    mine = [notice_id("A", n) for n in (1, 2, 3)]
    assert [id for id in sent if id in mine] == [mine[0]] * 9 + mine[1:]


def test_subjects_go_out_at_once() -> None:
    waiting = 0
    most = 0

    def respond(seen: Seen, before: int) -> Reply:
        nonlocal waiting, most
        waiting += 1
        most = max(most, waiting)
        return Reply(200, delay_seconds=0.1)

    with department(respond) as (desk, _):
        desk.handle([notice(f"S{n}", 1)._replace(offset=n) for n in range(8)])
    assert most == 8


def test_delivery_goes_on_without_the_index_and_catches_up() -> None:
    index, seconds = InMemoryNotices(), [0.0]
    index.is_down = True
    with department(took, index, monotonic=lambda: seconds[0]) as (desk, _):
        (outputs,) = desk.handle([notice("A", 1)])
        assert read(outputs[0])["status"] == "delivered"
        index.is_down = False
        desk.handle([notice("B", 2)])
        assert index.found == {}, "it is left alone for a while"
        seconds[0] = 10.0
        desk.handle([notice("C", 3)])
    assert list(index.found) == [notice_id("A", 1), notice_id("B", 2), notice_id("C", 3)]


def test_notices_are_read_again_from_the_inboxes() -> None:
    records = [notice("A", 1), notice("B", 2)._replace(value=b"garbage"), notice("C", 3)]
    found = list(read_notices(records, catalog()))
    assert [item.notice_id for item in found] == [notice_id("A", 1), notice_id("C", 3)]
    assert found[0].expected_measures == ("restrict-government-procurement",)


@pytest.mark.parametrize(
    "record", [notice("A", 1, subscription="land"), notice("A", 1, data=penalty("full")),
               notice("A", 1)._replace(value=penalty("partner"))],
)
def test_what_does_not_belong_here_is_buried_and_the_rest_goes_on(record: Any) -> None:
    with department(took) as (desk, server):
        (letter,), _ = desk.handle([record, notice("B", 2)])
    assert (letter.topic, letter.key, letter.value) == ("delivery.dead-letters.v1", record.key, record.value)
    as_read = record._replace(headers=letter.headers)
    assert without_errors(as_read) == record.headers
    assert origin_of(as_read) == (record.topic, record.partition, record.offset)
    assert ids(server) == [notice_id("B", 2)]


def test_logs_and_representations_hold_no_content() -> None:
    with department(lambda seen, before: Reply(404)) as (desk, _server), capture_logs() as logs:
        desk.handle([notice("A", 1)])
    text = json.dumps(logs, default=str, ensure_ascii=False)
    assert notice_id("A", 1) in text
    for hidden in (SECRET, IDENTITY_NUMBER, "雪域牦牛"):
        assert hidden not in text
    endpoint = WebhookEndpoint("https://user:word@department.invalid/hook?key=hidden", SECRET)
    assert endpoint.address == "https://department.invalid/hook"
    assert SECRET not in repr(endpoint) and "hidden" not in repr(endpoint)


def test_a_bad_secret_is_found_at_start() -> None:
    with pytest.raises(InputError):
        WebhookTransport(WebhookEndpoint("http://127.0.0.1:1", "secret"), lambda: datetime.now(UTC))