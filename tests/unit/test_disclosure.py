"""The disclosure stage against a channel on a real socket."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from hub.bus.outlet import HeldBackError
from hub.bus.records import Output
from hub.contracts.cloudevents import from_headers
from hub.disclosure.stage import ChannelEndpoint, DisclosureStage
from hub.domain.events import output_id
from hub.errors import ContractError, OutletError, PoisonError
from tests.support_contracts import IDENTITY_NUMBER, catalog
from tests.support_outlets import NOW, QUICK, OutletServer, Reply, Seen, order, order_id, penalty

Respond = Callable[[Seen, int], Reply]


def receipt(status: str = "published", **changes: Any) -> Reply:
    return Reply(200, json.dumps({"receipt": {
        "public_reference": "GS-1", "status": status, "received_at": "2026-03-02T09:00:00+08:00", **changes,
    }}))


@contextmanager
def channel(respond: Respond, **endpoint: Any) -> Iterator[tuple[DisclosureStage, OutletServer]]:
    with OutletServer(respond) as server:
        endpoints = {"website": ChannelEndpoint(server.url, "token-of-the-website", **endpoint)}
        stage = DisclosureStage(endpoints, catalog(), lambda: NOW, QUICK)
        try:
            yield stage, server
        finally:
            stage.close()


def read(outputs: list[Output]) -> dict[str, Any]:
    (output,) = outputs
    assert output.topic == "disclosure.receipts.v1"
    return catalog().decode(output.value or b"")[1]


def test_an_order_goes_out_and_its_receipt_comes_back() -> None:
    with channel(lambda seen, before: receipt()) as (stage, server):
        (outputs,) = stage.handle([order("A", 1)])
    (seen,) = server.seen
    assert (seen.method, seen.path) == ("PUT", "/api/v1/records/entity-A")
    assert seen.headers["idempotency-key"] == order_id("A", 1)
    assert seen.headers["authorization"] == "Bearer token-of-the-website"
    sent = json.loads(seen.body)
    assert sent["kind"] == "enforcement/penalty"
    assert (sent["order_id"], sent["action"], sent["sequence"]) == (order_id("A", 1), "publish", 1)
    view = catalog().schema("enforcement/penalty", view="public")
    assert sent["content"].keys() == {field.name for field in view.fields}
    assert sent["content"]["fine_amount"] == "0.000000"
    assert IDENTITY_NUMBER.encode() not in seen.body
    answered = read(outputs)
    assert answered["receipt_id"] == output_id(order_id("A", 1), "receipt")
    assert (answered["status"], answered["public_reference"]) == ("published", "GS-1")
    assert answered["received_at"] == NOW
    envelope = from_headers(outputs[0].headers)
    assert (envelope.id, envelope.type) == (answered["receipt_id"], "disclosure.receipt.published")
    assert (envelope.causation_id, envelope.correlation_id) == (order_id("A", 1), "entity-A")
    assert outputs[0].key == b"A"


def test_the_same_order_twice_gives_the_same_record() -> None:
    with channel(lambda seen, before: receipt()) as (stage, _):
        assert stage.handle([order("A", 1)]) == stage.handle([order("A", 1)])


@pytest.mark.parametrize(
    "first",
    [Reply(503), Reply(500), Reply(302, headers={"Location": "/elsewhere"}),
     Reply(429, headers={"Retry-After": "0"}), Reply(401), Reply(403),
     Reply(200, "<html>"), Reply(200, "{}"), Reply(200, "[1]"), receipt("withdrawn"),
     receipt(received_at="today"), receipt(received_at="2026-03-02T09:00:00"), receipt(public_reference=7),
     Reply(is_dropped=True), Reply(200, delay_seconds=1.0)],
)
def test_what_may_pass_is_tried_again(first: Reply) -> None:
    with channel(lambda seen, before: receipt() if before else first, timeout_seconds=0.3) as (stage, server):
        (outputs,) = stage.handle([order("A", 1)])
    assert read(outputs)["status"] == "published"
    assert {seen.path for seen in server.seen} == {"/api/v1/records/entity-A"}
    assert len({seen.body for seen in server.seen}) == 1


def test_a_lost_reply_publishes_once() -> None:
    published: list[str] = []

    def respond(seen: Seen, before: int) -> Reply:
        if before:
            return receipt(public_reference=f"GS-{published.index(seen.headers['idempotency-key'])}")
        published.append(seen.headers["idempotency-key"])
        return Reply(is_dropped=True)

    with channel(respond) as (stage, _server):
        (outputs,) = stage.handle([order("A", 1)])
    assert published == [order_id("A", 1)]
    assert read(outputs)["public_reference"] == "GS-0"


@pytest.mark.parametrize("status", [400, 404, 409, 410, 422])
def test_a_refusal_is_a_receipt_with_its_reason(status: int) -> None:
    problem = json.dumps({"title": "内容不全", "detail": "no\nname", "status": status})
    with channel(lambda seen, before: Reply(status, problem)) as (stage, server):
        (outputs,) = stage.handle([order("A", 1)])
    assert len(server.seen) == 1
    answered = read(outputs)
    assert (answered["status"], answered["reason"]) == ("refused", f"HTTP {status}: 内容不全: no name")
    assert from_headers(outputs[0].headers).type == "disclosure.receipt.refused"


def test_a_refusal_without_a_readable_reason() -> None:
    with channel(lambda seen, before: Reply(422, "x" * 200_000)) as (stage, _):
        assert read(stage.handle([order("A", 1)])[0])["reason"] == "HTTP 422"


def test_order_within_a_subject_and_none_asked_twice() -> None:
    is_down = True

    def respond(seen: Seen, before: int) -> Reply:
        return Reply(503) if is_down and "entity-A" in seen.path else receipt()

    batch = [order(subject, n) for n in range(1, 4) for subject in "ABC"]
    batch = [record._replace(offset=place) for place, record in enumerate(batch)]
    with channel(respond) as (stage, server):
        with pytest.raises(OutletError) as caught:
            stage.handle(batch)
        assert not isinstance(caught.value, HeldBackError)
        keys = [seen.headers["idempotency-key"] for seen in server.seen]
        assert [key for key in keys if key in {order_id("A", n) for n in (2, 3)}] == []
        for subject in "BC":
            mine = [order_id(subject, n) for n in (1, 2, 3)]
            assert [key for key in keys if key in mine] == mine
        is_down = False
        outputs = stage.handle(batch)
        again = [seen.headers["idempotency-key"] for seen in server.seen][len(keys):]
    assert again == [order_id("A", n) for n in (1, 2, 3)]
    assert [read(output)["subject"] for output in outputs] == list("ABC" * 3)


def test_revoked_partitions_are_forgotten() -> None:
    def respond(seen: Seen, before: int) -> Reply:
        return Reply(503) if "entity-A" in seen.path else receipt()

    with channel(respond) as (stage, server):
        for _ in range(2):
            with pytest.raises(OutletError):
                stage.handle([order("A", 1), order("B", 2)])
        stage.on_revoked([("disclosure.orders.v1", 0)])
        with pytest.raises(OutletError):
            stage.handle([order("A", 1), order("B", 2)])
    assert sum("entity-B" in seen.path for seen in server.seen) == 2


def test_a_long_retry_after_is_kept_between_batches() -> None:
    with channel(lambda seen, before: Reply(429, headers={"Retry-After": "60"})) as (stage, server):
        for _ in range(3):
            with pytest.raises(OutletError):
                stage.handle([order("A", 1)])
    assert len(server.seen) == 1


def test_nobody_listens() -> None:
    with OutletServer(lambda seen, before: receipt()) as server:
        url = server.url
    stage = DisclosureStage({"website": ChannelEndpoint(url)}, catalog(), lambda: NOW, QUICK)
    with pytest.raises(OutletError, match="no answer"):
        stage.handle([order("A", 1)])
    stage.close()


def test_connections_are_kept() -> None:
    with channel(lambda seen, before: receipt()) as (stage, server):
        for number in range(1, 6):
            stage.handle([order("A", number)])
    assert len({seen.peer for seen in server.seen}) == 1


@pytest.mark.parametrize("view", ["full", "partner"])
def test_sensitive_fields_never_reach_a_channel(view: str) -> None:
    carry = channel(lambda seen, before: receipt())
    with carry as (stage, server), pytest.raises(ContractError, match="sensitive"):
        stage.handle([order("A", 1, view=view)])
    assert server.seen == []


@pytest.mark.parametrize(
    ("record", "error"),
    [(order("A", 1)._replace(value=None), PoisonError),
     (order("A", 1)._replace(value=b"garbage"), PoisonError),
     (order("A", 1)._replace(value=penalty("public")), ContractError),
     (order("A", 1)._replace(headers=[]), ContractError),
     (order("A", 1, channel="radio"), ContractError),
     (order("A", 1, action="shred"), ContractError),
     (order("A", 1, data=penalty("full")), ContractError)],
)
def test_a_poison_record_holds_nobody_back(record: Any, error: type[Exception]) -> None:
    with channel(lambda seen, before: receipt()) as (stage, server):
        with pytest.raises(error):
            stage.handle([record, order("A", 2), order("B", 3)])
        assert len(server.seen) == 2
        for other in (order("A", 2), order("B", 3)):
            assert read(stage.handle([other])[0])["status"] == "published"
        assert len(server.seen) == 2


def test_one_channel_down_holds_back_no_other() -> None:
    silent = OutletServer(lambda seen, before: Reply(503))
    working = OutletServer(lambda seen, before: receipt())
    with silent as down, working as up:
        endpoints = {"website": ChannelEndpoint(down.url), "credit-china": ChannelEndpoint(up.url)}
        stage = DisclosureStage(endpoints, catalog(), lambda: NOW, QUICK)
        with pytest.raises(OutletError, match="website"):
            stage.handle([order("A", 1), order("A", 2, channel="credit-china")])
        stage.close()
        assert len(up.seen) == 1


def test_secrets_stay_out_of_sight() -> None:
    assert "token-of" not in repr(ChannelEndpoint("http://127.0.0.1:1", "token-of-the-website"))
