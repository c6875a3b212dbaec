"""A channel's orders against the platform's wire on a real socket."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hub.contracts.cloudevents import from_headers
from hub.disclosure.config import ChannelConfig
from hub.domain.events import output_id
from hub.errors import ContractError
from tests.support_contracts import IDENTITY_NUMBER, catalog
from tests.support_disclosure import ChannelDesk, desk_on, platform, read
from tests.support_outlets import NOW, OutletServer, Reply, Seen, order, order_id, penalty


def receipt(status: str = "published", **changes: Any) -> Reply:
    return Reply(200, json.dumps({"receipt": {
        "public_reference": "GS-1", "status": status, "received_at": "2026-03-02T09:00:00+08:00", **changes,
    }}))


def keys_of(server: OutletServer) -> list[str]:
    return [seen.headers["idempotency-key"] for seen in server.seen]


def test_an_order_goes_out_and_its_receipt_comes_back(tmp_path: Path) -> None:
    with desk_on(tmp_path, lambda seen, before: receipt()) as (desk, server):
        (outputs,) = desk.handle([order("A", 1)])
    (seen,) = server.seen
    assert (seen.method, seen.path) == ("PUT", "/api/v1/records/entity-A")
    assert seen.headers["idempotency-key"] == order_id("A", 1)
    assert seen.headers["authorization"] == "Bearer token-of-the-website"
    sent = json.loads(seen.body)
    assert sent["kind"] == "enforcement/penalty"
    assert (sent["order_id"], sent["action"], sent["sequence"]) == (order_id("A", 1), "publish", 1)
    assert sent["publish_until"] == sent["content"]["publish_until"]
    view = catalog().schema("enforcement/penalty", view="public")
    assert sent["content"].keys() == {field.name for field in view.fields}
    assert sent["content"]["fine_amount"] == "0.000000"
    assert IDENTITY_NUMBER.encode() not in seen.body
    answered = read(outputs[0])
    assert answered["receipt_id"] == output_id(order_id("A", 1), "receipt")
    assert (answered["status"], answered["public_reference"]) == ("published", "GS-1")
    assert answered["received_at"] == NOW
    envelope = from_headers(outputs[0].headers)
    assert (envelope.id, envelope.type) == (answered["receipt_id"], "disclosure.receipt.published")
    assert (envelope.causation_id, envelope.correlation_id) == (order_id("A", 1), "entity-A")
    assert outputs[0].key == b"A"


@pytest.mark.parametrize(
    "first",
    [Reply(503), Reply(500), Reply(302, headers={"Location": "/elsewhere"}),
     Reply(429, headers={"Retry-After": "0"}), Reply(401), Reply(403),
     Reply(200, "<html>"), Reply(200, "{}"), Reply(200, "[1]"), receipt("withdrawn"),
     receipt(received_at="today"), receipt(received_at="2026-03-02T09:00:00"), receipt(public_reference=7),
     Reply(is_dropped=True), Reply(200, delay_seconds=1.0)],
)
def test_what_may_pass_is_tried_again(first: Reply, tmp_path: Path) -> None:
    def respond(seen: Seen, before: int) -> Reply:
        return receipt() if before else first

    with desk_on(tmp_path, respond, timeout_seconds=0.3) as (desk, server):
        (outputs,) = desk.handle([order("A", 1)])
    assert read(outputs[0])["status"] == "published"
    assert {seen.path for seen in server.seen} == {"/api/v1/records/entity-A"}
    assert len({seen.body for seen in server.seen}) == 1


def test_a_lost_reply_publishes_once(tmp_path: Path) -> None:
    published: list[str] = []

    def respond(seen: Seen, before: int) -> Reply:
        if before:
            return receipt(public_reference=f"GS-{published.index(seen.headers['idempotency-key'])}")
        published.append(seen.headers["idempotency-key"])
        return Reply(is_dropped=True)

    with desk_on(tmp_path, respond) as (desk, _server):
        (outputs,) = desk.handle([order("A", 1)])
    assert published == [order_id("A", 1)]
    assert read(outputs[0])["public_reference"] == "GS-0"


@pytest.mark.parametrize("status", [400, 404, 409, 410, 422])
def test_a_refusal_is_a_receipt_with_its_reason_and_a_later_version_may_go(status: int, tmp_path: Path) -> None:
    problem = json.dumps({"title": "内容不全", "detail": "no\nname", "status": status})

    def respond(seen: Seen, before: int) -> Reply:
        return Reply(status, problem) if json.loads(seen.body)["sequence"] == 1 else receipt()

    with desk_on(tmp_path, respond) as (desk, server):
        (refused,) = desk.handle([order("A", 1)])
        (later,) = desk.handle([order("A", 2, action="amend")])
    assert len(server.seen) == 2
    answered = read(refused[0])
    assert (answered["status"], answered["reason"]) == ("refused", f"HTTP {status}: 内容不全: no name")
    assert from_headers(refused[0].headers).type == "disclosure.receipt.refused"
    assert read(later[0])["status"] == "published"


@pytest.mark.parametrize("max_batch", [1, 50])
def test_a_gateway_with_nothing_behind_it_stops_the_channel_and_refuses_nothing(
    max_batch: int, tmp_path: Path
) -> None:
    is_lost = True
    records = [order(f"S{n}", n) for n in range(1, 41)]

    def respond(seen: Seen, before: int) -> Reply:
        if is_lost:
            return Reply(404, '{"detail": "Not Found"}')
        return named(seen) if seen.method == "POST" else receipt()

    with desk_on(tmp_path, respond, max_batch=max_batch) as (desk, server):
        desk.take(records)
        desk.wait(lambda: not desk.engine.wants_more())
        asked = len(server.seen)
        desk.let_run()
        assert desk.of == {} and len(server.seen) <= asked + 8, "the circuit is open, the queue does not burn through"
        is_lost = False
        desk.wait(lambda: len(desk.of) == len(records))
    assert {receipt["status"] for receipt in desk.receipts().values()} == {"published"}


def test_a_refusal_without_a_readable_reason(tmp_path: Path) -> None:
    with desk_on(tmp_path, lambda seen, before: Reply(422, "x" * 200_000)) as (desk, _):
        assert read(desk.handle([order("A", 1)])[0][0])["reason"] == "HTTP 422"


def test_order_within_a_subject_and_one_that_fails_holds_nobody_else(tmp_path: Path) -> None:
    is_down = True

    def respond(seen: Seen, before: int) -> Reply:
        return Reply(500) if is_down and "entity-A" in seen.path else receipt()

    batch = [order(subject, n) for n in range(1, 4) for subject in "ABC"]
    batch = [record._replace(offset=place) for place, record in enumerate(batch)]
    # Each version is a row of its own: none overtakes another.
    with desk_on(tmp_path, respond) as (desk, server):
        own = [rowed(record, place) for place, record in enumerate(batch)]
        desk.take(own)
        desk.wait(lambda: len(desk.of) == 6)
        assert not any(key in keys_of(server) for key in (order_id("A", 2), order_id("A", 3)))
        for subject in "BC":
            mine = [order_id(subject, n) for n in (1, 2, 3)]
            assert [key for key in keys_of(server) if key in mine] == mine
        is_down = False
        desk.wait(lambda: len(desk.of) == 9)
    again = list(dict.fromkeys(key for key in keys_of(server) if key in {order_id("A", n) for n in (1, 2, 3)}))
    assert again == [order_id("A", n) for n in (1, 2, 3)]


def rowed(record: Any, place: int) -> Any:
    """The same order, of a record of its own of its subject."""
    schema, value = catalog().decode(record.value)
    encoded = schema.encode({**value, "correlation_id": f"entity-{value['subject']}-{place}"})
    return record._replace(value=encoded, offset=place)


def test_a_long_retry_after_is_kept(tmp_path: Path) -> None:
    with desk_on(tmp_path, lambda seen, before: Reply(429, headers={"Retry-After": "60"})) as (desk, server):
        desk.take([order("A", 1)])
        desk.wait(lambda: bool(server.seen) and not desk.engine.wants_more())
        desk.take([order("B", 2)])
        desk.let_run()
        assert len(server.seen) == 1 and desk.of == {}


def test_nobody_listens_and_then_somebody_does(tmp_path: Path) -> None:
    with OutletServer(lambda seen, before: receipt()) as server:
        url = server.url
    desk = ChannelDesk(platform(tmp_path, url, max_batch=1))
    desk.take([order("A", 1)])
    desk.wait(lambda: any(item.attempts > 3 for item in desk.engine._queue))
    (item,) = desk.engine._queue
    assert "no answer" in item.last_error and desk.of == {}
    desk.close()


def test_connections_are_kept(tmp_path: Path) -> None:
    with desk_on(tmp_path, lambda seen, before: receipt()) as (desk, server):
        for number in range(1, 6):
            desk.handle([order("A", number)])
    assert len({seen.peer for seen in server.seen}) == 1


def test_a_platform_without_batches_gets_single_requests(tmp_path: Path) -> None:
    def respond(seen: Seen, before: int) -> Reply:
        return Reply(404) if seen.method == "POST" else receipt()

    with desk_on(tmp_path, respond, max_batch=50, max_concurrent=1) as (desk, server):
        desk.handle([order(f"S{n}", n) for n in range(1, 21)])
    assert [seen.method for seen in server.seen].count("POST") == 1
    assert {receipt["status"] for receipt in desk.receipts().values()} == {"published"}


def test_an_answer_to_a_batch_that_says_nothing_publishes_nothing_twice(tmp_path: Path) -> None:
    """What cannot be read, and what the answer does not name, comes again under the same id."""
    answers = iter([Reply(200, "<html>"), Reply(200, json.dumps({"answers": [{"order_id": order_id("S1", 1)}]}))])

    def respond(seen: Seen, before: int) -> Reply:
        if seen.method == "PUT":
            return receipt()
        return next(answers, None) or named(seen)

    with desk_on(tmp_path, respond, max_batch=50, max_concurrent=1) as (desk, server):
        desk.handle([order(f"S{n}", n) for n in range(1, 9)])
    assert set(desk.receipts()) == {order_id(f"S{n}", n) for n in range(1, 9)}
    assert len(server.seen) > 2


def named(seen: Seen) -> Reply:
    one = json.loads(receipt().body)
    records = json.loads(seen.body)["records"]
    return Reply(200, json.dumps({"answers": [{"order_id": r["order_id"], "status": 201, **one} for r in records]}))


@pytest.mark.parametrize("view", ["full", "partner", "uplink"])
def test_sensitive_fields_never_reach_a_channel(view: str, tmp_path: Path) -> None:
    with desk_on(tmp_path, lambda seen, before: receipt()) as (desk, server):
        ((letter,),) = desk.handle([order("A", 1, view=view)])
    assert server.seen == [] and letter.topic == "disclosure.dead-letters.v1"
    assert b"audience is public" in dict(letter.headers)["__streams.errors.message"]


@pytest.mark.parametrize(
    ("record", "error"),
    [(order("A", 1)._replace(value=None), "PoisonError"),
     (order("A", 1)._replace(value=b"garbage"), "PoisonError"),
     (order("A", 1)._replace(value=penalty("public")), "ContractError"),
     (order("A", 1)._replace(headers=[]), "ContractError"),
     (order("A", 1, channel="radio"), "ContractError"),
     (order("A", 1, action="shred"), "ContractError"),
     (order("A", 1, data=penalty("full")), "ContractError")],
)
def test_a_poison_record_holds_nobody_back(record: Any, error: str, tmp_path: Path) -> None:
    adopts = {"adopts": lambda channel: channel not in ("website", "creditchina")}
    with desk_on(tmp_path, lambda seen, before: receipt(), engine=adopts) as (desk, server):
        desk.handle([record, order("A", 2), order("B", 3), order("B", 4, channel="creditchina")])
        assert len(server.seen) == 2 and desk.of[4] == []
        (letter,) = desk.letters()
        assert dict(letter.headers)["__streams.errors.exception"].decode() == error
        assert (letter.value, letter.key) == (record.value, record.key)
        assert set(desk.receipts()) == {order_id("A", 2), order_id("B", 3)}


def test_what_nobody_can_read_is_buried_by_one_channel_alone(tmp_path: Path) -> None:
    with desk_on(tmp_path, lambda seen, before: receipt()) as (desk, _):
        desk.handle([order("A", 1)._replace(value=b"garbage"), order("A", 2, channel="radio")])
        assert desk.written == []


def test_secrets_stay_out_of_sight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def config(**given: Any) -> ChannelConfig:
        return ChannelConfig.of("gsxt", "渠道", "public", "collaboration-platform", given, tmp_path)

    assert "token-of" not in repr(config(url="http://127.0.0.1:1", token="token-of-the-website"))
    with pytest.raises(ContractError) as caught:
        config(url="http://127.0.0.1:1", tokn="token-of-the-website", max_batch=0)
    assert "token-of" not in str(caught.value)
    assert "channel gsxt: tokn" in str(caught.value) and "channel gsxt: max_batch" in str(caught.value)
    with pytest.raises(ContractError, match="channel gsxt: connector: unknown connector radio"):
        ChannelConfig.of("gsxt", "渠道", "public", "radio", {}, tmp_path)


def test_a_token_comes_out_of_the_environment_and_one_that_is_missing_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {"token": None, "token_env": "TEST_CHANNEL_TOKEN"}
    with desk_on(tmp_path, lambda seen, before: receipt(), **given) as (desk, server):
        desk.take([order("A", 1)])
        desk.wait(lambda: any(item.attempts > 1 for item in desk.engine._queue))
        (item,) = desk.engine._queue
        assert "TEST_CHANNEL_TOKEN" in item.last_error and server.seen == []
        monkeypatch.setenv("TEST_CHANNEL_TOKEN", "of-the-environment")
        desk.wait(lambda: 1 in desk.of)
        assert server.seen[-1].headers["authorization"] == "Bearer of-the-environment"
