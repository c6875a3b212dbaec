"""The client against the hub's own routes on a real socket, and against a hub that fails as told."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import standardwebhooks

from hub.bus.records import Output
from hub.delivery.answers import AnswerDesk
from hub.delivery.pull import Batch as HubBatch
from hub.delivery.pull import HandedOut
from hub.domain.webhook import parse_secret, parse_verifier
from hub.domain.webhook import sign as hub_sign
from hub.domain.webhook import verify as hub_verify
from hub.domain.webhook_keys import new_secret
from hub.state.notice_index import Notice as IndexNotice
from hub.web.app import create_app
from hub.web.feedback import feedback_router
from hub_client import (
    Event,
    HubClient,
    Notice,
    RefusedError,
    Retry,
    SignatureError,
    UnreachableError,
    sign,
    verify,
)
from tests import support_http_intake
from tests.integration.test_pull import KEY, NAME, TOKEN, Desk, router_of
from tests.support_contracts import ROOT, catalog
from tests.support_pages import season
from tests.support_served import served

SUBJECT = "91623000739699913A"
NO_WAIT: dict[str, Any] = {"sleep": lambda seconds: None, "chance": lambda: 0.0}


def body_of(number: int) -> bytes:
    return json.dumps({"type": "blacklist.notice.listed", "timestamp": "2026-03-02T01:00:00.000Z", "data": {
        "notice_id": f"n{number}", "subscription": NAME, "correlation_id": "c", "event_id": "e", "subject": SUBJECT,
        "action": "apply", "expected_measures": ["限制参加政府采购活动"],
        "record": {"party_name": "合作市雪域牦牛乳业有限责任公司"},
    }}, ensure_ascii=False).encode()


class Box:
    """What waits for a department; each poll gives what was not acknowledged yet, one at a time."""

    blocked: str | None = None

    def __init__(self, count: int) -> None:
        self.waiting = {f"n{number}": body_of(number) for number in range(count)}
        self.acknowledged: list[str] = []
        self.refused: dict[str, str] = {}

    async def poll(self, acknowledged: list[str], refused: dict[str, str], most: int, wait_seconds: float) -> HubBatch:
        for id in acknowledged:
            self.waiting.pop(id, None)
            self.acknowledged.append(id)
        for id, reason in refused.items():
            self.waiting.pop(id, None)
            self.refused[id] = reason
        taken = dict(list(self.waiting.items())[:min(most, 2)])
        keys = [parse_secret(KEY)]
        return HubBatch({
            id: HandedOut(hub_sign(keys, id, datetime.now(UTC), body), body.decode())
            for id, body in taken.items()
        }, len(self.waiting) > len(taken))


class Index:
    def get(self, notice_id: str) -> IndexNotice | None:
        return IndexNotice(
            notice_id, "e", "blacklist.notice.listed", "c", SUBJECT, NAME, "116230009900000171",
            ("限制参加政府采购活动",), datetime(2026, 3, 2, tzinfo=UTC), "apply",
        ) if notice_id.startswith("n") else None


class Hub:
    """The hub's routes over doubles of what lies behind them."""

    def __init__(self) -> None:
        self.box, self.desk, self.published = Box(5), support_http_intake.MemoryDesk(), list[Output]()
        answers = AnswerDesk(catalog(), Index(), lambda name: [KEY] if name == NAME else [], lambda: datetime.now(UTC))
        self.app = create_app([
            ("", support_http_intake.router_of(self.desk)), ("", router_of(Desk(), {NAME: self.box})),
            ("", feedback_router(self.publish, answers)), ("", season().router()),
        ])

    def publish(self, outputs: Sequence[Output]) -> None:
        self.published += outputs


@pytest.fixture
def hub() -> Iterator[tuple[Hub, str]]:
    made = Hub()
    with served(made.app) as address:
        yield made, address


# -- against the hub -------------------------------------------------------------------------------


def test_facts_are_handed_in_once_and_each_has_its_result(hub: tuple[Hub, str]) -> None:
    made, address = hub
    client = HubClient.connect(address, support_http_intake.KEY, **NO_WAIT)
    good = [Event(support_http_intake.TYPE, f"JC-{number}", support_http_intake.data(number)) for number in (1, 2)]
    bad = Event(support_http_intake.TYPE, "JC-3", {**support_http_intake.data(3), "check_date": "gestern"})
    results = client.submit(support_http_intake.NAME, [good[0], bad, good[1]])
    assert [each.status for each in results] == ["accepted", "refused", "accepted"]
    assert [each.event for each in results] == [good[0], bad, good[1]]
    assert results[1].problem is not None
    assert [each["pointer"] for each in results[1].problem["errors"]] == ["/data/check_date"]
    assert [each.status for each in client.submit(support_http_intake.NAME, good)] == ["repeated", "repeated"]
    assert len(made.desk.taken) == 2
    assert client.submit(support_http_intake.NAME, []) == []


def test_many_facts_go_in_several_batches(hub: tuple[Hub, str]) -> None:
    client = HubClient.connect(hub[1], support_http_intake.KEY, **NO_WAIT)
    content = support_http_intake.data(1)
    events = (Event(support_http_intake.TYPE, f"JC-{number}", content) for number in range(1001))
    results = client.submit(support_http_intake.NAME, events)
    assert len(results) == 1001 and {each.status for each in results} == {"accepted"}


def test_a_wrong_key_is_refused_at_once(hub: tuple[Hub, str]) -> None:
    waits: list[float] = []
    client = HubClient.connect(hub[1], "hubk_wrong", sleep=waits.append)
    with pytest.raises(RefusedError, match="401") as caught:
        client.submit(support_http_intake.NAME, [Event(support_http_intake.TYPE, "JC-1", {})])
    assert caught.value.type == "/problems/unauthenticated" and waits == []


def test_notices_are_fetched_handled_and_acknowledged(hub: tuple[Hub, str]) -> None:
    made, address = hub
    client, kept = HubClient.connect(address, TOKEN, **NO_WAIT), list[Notice]()
    assert client.fetch(NAME, KEY, kept.append) == 5
    assert [each.notice_id for each in kept] == made.box.acknowledged == [f"n{number}" for number in range(5)]
    assert kept[0].data["record"]["party_name"].startswith("合作市")
    assert client.fetch(NAME, KEY, kept.append) == 0


def test_what_could_not_be_stored_is_not_acknowledged(hub: tuple[Hub, str]) -> None:
    made, address = hub
    client = HubClient.connect(address, TOKEN, **NO_WAIT)

    def store(notice: Notice) -> None:
        if notice.notice_id == "n3":
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        client.fetch(NAME, KEY, store)
    assert made.box.acknowledged == ["n0", "n1", "n2"] and set(made.box.waiting) == {"n3", "n4"}
    assert client.fetch(NAME, KEY, lambda notice: None) == 2


def test_a_notice_may_be_refused_with_its_reason(hub: tuple[Hub, str]) -> None:
    made, address = hub
    client = HubClient.connect(address, TOKEN, **NO_WAIT)
    client.poll(NAME, KEY, refuse={"n0": "不属本部门"}, most=0, wait=False)
    assert made.box.refused == {"n0": "refused: 不属本部门"}


def test_a_notice_that_another_signed_is_not_taken(hub: tuple[Hub, str]) -> None:
    made, address = hub
    client = HubClient.connect(address, TOKEN, **NO_WAIT)
    with pytest.raises(SignatureError):
        client.fetch(NAME, new_secret("hmac"), lambda notice: pytest.fail("it was handed over"))
    assert made.box.acknowledged == []


def test_a_notice_is_answered(hub: tuple[Hub, str]) -> None:
    made, address = hub
    client, kept = HubClient.connect(address, TOKEN, **NO_WAIT), list[Notice]()
    client.fetch(NAME, KEY, kept.append)
    told = [client.answer(kept[0], KEY, "acted", measure="限制参加政府采购活动", acted_on="2026-03-03") for _ in (1, 2)]
    assert told[0] == told[1] and {output.topic for output in made.published} == {"discipline.feedback.v1"}
    with pytest.raises(RefusedError, match="/measure"):
        client.answer(kept[0], KEY, "acted")
    with pytest.raises(RefusedError, match="401"):
        client.answer(kept[0], new_secret("hmac"), "registered")


def test_pages_are_read_to_their_end(hub: tuple[Hub, str]) -> None:
    client = HubClient.connect(hub[1], "hubt_procurement", **NO_WAIT)
    assert len(list(client.notices())) == 6
    assert [each["state"] for each in client.notices(state="parked")] == ["parked"]
    assert [each["clock_id"] for each in client.clocks(status="met")] == ["c4"]
    assert [each["clock_id"] for each in client.clocks(due_before=datetime(2026, 3, 2, 2, tzinfo=UTC))] == ["c0"]
    assert len(list(client.holdings())) == 5 and len(list(client.holdings(stale=True))) == 1
    event = next(client.notices())["event_id"]
    assert client.trace(event)["steps"]
    with pytest.raises(RefusedError, match="404"):
        client.trace("../../etc")


# -- against a hub that fails ----------------------------------------------------------------------


Reply = tuple[int, dict[str, str], bytes] | None


@pytest.fixture
def failing() -> Iterator[Callable[[list[Reply]], tuple[str, list[dict[str, str]]]]]:
    """Serves replies in their order, ``None`` for a cut connection; what was asked is kept."""
    servers: list[tuple[ThreadingHTTPServer, threading.Thread]] = []

    def serve(replies: list[Reply]) -> tuple[str, list[dict[str, str]]]:
        seen: list[dict[str, str]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                seen.append({"path": self.path, **{name.lower(): value for name, value in self.headers.items()}})
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                reply = replies.pop(0)
                if reply is None:
                    self.close_connection = True
                    return
                status, headers, body = reply
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET

            def log_message(self, *_: Any) -> None: ...

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_address[1]}", seen

    yield serve
    for server, thread in servers:
        server.shutdown()
        thread.join(10)
        server.server_close()


OK: Reply = (200, {}, b'{"items": [{"n": 1}], "next": null}')


def test_a_busy_hub_is_waited_for_as_it_says(failing: Any) -> None:
    waits: list[float] = []
    address, seen = failing([
        (429, {"Retry-After": "7"}, b"{}"), (503, {"Retry-After": "2"}, b"{}"), None, (502, {}, b"<html>"),
        (503, {"Retry-After": "999999"}, b"{}"), OK,
    ])
    client = HubClient.connect(address, "hubt_x", sleep=waits.append, chance=lambda: 0.5)
    assert list(client.notices()) == [{"n": 1}]
    assert waits == [7.5, 2.5, 1.5, 3.0, 60.5] and len(seen) == 6
    assert {each["authorization"] for each in seen} == {"Bearer hubt_x"}


def test_the_same_request_is_the_same_on_every_attempt(failing: Any) -> None:
    answer = json.dumps({"results": [{"index": 0, "id": "a", "status": "accepted"}]}).encode()
    address, seen = failing([None, (503, {}, b"{}"), (202, {}, answer), (202, {}, answer)])
    client = HubClient.connect(address, "hubk_x", **NO_WAIT)
    assert client.submit("made-up", [Event("inspection.result.recorded", "a", {})])[0].status == "accepted"
    assert len(seen) == 3 and len({each["idempotency-key"] for each in seen}) == 1
    # Handed in anew it is judged anew: what was set back to an earlier content is no answer of yesterday's.
    client.submit("made-up", [Event("inspection.result.recorded", "a", {})])
    assert len(seen) == 4 and len({each["idempotency-key"] for each in seen}) == 2


def test_after_the_last_attempt_it_says_what_was_wrong(failing: Any) -> None:
    said = json.dumps({"title": "暂时无法受理", "detail": "later"}).encode()
    address, seen = failing([(503, {}, said)] * 3)
    client = HubClient.connect(address, "x", retry=Retry(max_attempts=3), **NO_WAIT)
    with pytest.raises(RefusedError, match="503 暂时无法受理 later"):
        list(client.notices())
    assert len(seen) == 3
    address, _ = failing([None, None])
    client = HubClient.connect(address, "x", retry=Retry(max_attempts=2), **NO_WAIT)
    with pytest.raises(UnreachableError, match="no answer in 2 attempts"):
        list(client.notices())


def test_a_redirect_is_not_followed_with_the_token(failing: Any) -> None:
    other, stolen = failing([OK])
    address, _ = failing([(302, {"Location": f"{other}/v1/notices"}, b"")])
    with pytest.raises(RefusedError, match="302"):
        list(HubClient.connect(address, "hubt_secret", **NO_WAIT).notices())
    assert stolen == []


def test_an_answer_that_is_no_json_is_no_answer(failing: Any) -> None:
    address, seen = failing([(200, {}, b"<html>login</html>"), OK])
    assert list(HubClient.connect(address, "x", **NO_WAIT).notices()) == [{"n": 1}]
    assert len(seen) == 2


def test_a_client_does_not_print_its_token() -> None:
    assert "hubt_secret" not in repr(HubClient.connect("https://hub.example", "hubt_secret"))
    with pytest.raises(ValueError, match="https://"):
        HubClient.connect("file:///etc/passwd", "x")


# -- signatures ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["hmac", "ed25519"])
def test_signatures_agree_with_the_hubs_both_ways(kind: Any) -> None:
    secret, body, now = new_secret(kind), body_of(1), datetime(2026, 3, 2, tzinfo=UTC)
    key = parse_secret(secret)
    theirs = hub_sign([parse_secret(new_secret("hmac")), key], "n1", now, body)
    found = verify(key.public or secret, {name.title(): value for name, value in theirs.items()}, body,
                   now=now.timestamp())
    assert found["data"]["notice_id"] == "n1"
    ours = sign(secret, "a1", body, now=now.timestamp())
    assert hub_verify([parse_verifier(key.public or secret)], ours, body, now) == "a1"


def test_the_reference_library_takes_ours() -> None:
    secret, body = new_secret("hmac"), body_of(1)
    assert standardwebhooks.Webhook(secret).verify(body.decode(), sign(secret, "m1", body))


@pytest.mark.parametrize("kind", ["hmac", "ed25519"])
def test_what_is_not_signed_as_it_came_is_refused(kind: Any) -> None:
    secret, body, now = new_secret(kind), body_of(1), 1_772_413_200.0
    public = parse_secret(secret).public or secret
    good = sign(secret, "n1", body, now=now)
    cases: list[tuple[dict[str, str], bytes, float]] = [
        (good, body + b" ", now), (good, body, now + 301), (good, body, now - 301), ({}, body, now),
        ({**good, "webhook-id": "n2"}, body, now), ({**good, "webhook-timestamp": "x"}, body, now),
        ({**good, "webhook-signature": "v1a,!!! v1,令牌 v2,x"}, body, now),
        ({**good, "webhook-signature": ""}, body, now),
        (sign(secret, "n1", b"[]", now=now), b"[]", now),
    ]
    verify(public, good, body, now=now)
    for headers, content, at in cases:
        with pytest.raises(SignatureError):
            verify(public, headers, content, now=at)


@pytest.mark.parametrize("key", ["", "whsec_", "whsec_!!", "secret", "whpk_AAAA"])
def test_a_key_that_is_none_is_named_and_not_shown(key: str) -> None:
    with pytest.raises(ValueError, match="written as") as caught:
        sign(key, "m1", b"{}")
    assert not key or key not in str(caught.value) or key == "whsec_"


# -- the page --------------------------------------------------------------------------------------


def test_the_examples_of_the_page_run(hub: tuple[Hub, str], monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    examples = re.findall(r"<!-- example: client -->\n```python\n(.*?)```", text, re.DOTALL)
    assert len(examples) == 3
    made, address = hub
    given = {
        "HUB": address, "SOURCE": support_http_intake.NAME, "SUBSCRIPTION": NAME, "KEY": KEY,
        "records": [("JC-1", support_http_intake.data(1)), ("JC-2", {"party_name": "无"})],
        "stored": {}, "told": [],
    }
    tokens = [support_http_intake.KEY, TOKEN, "hubt_procurement"]
    for example, token in zip(examples, tokens, strict=True):
        exec(compile(example, "docs/api.md", "exec"), given | {"TOKEN": token})  # the page's own text
    assert len(made.desk.taken) == 1
    assert set(given["stored"]) == {f"n{number}" for number in range(5)}
    assert len(made.published) == 5
    assert given["told"]
