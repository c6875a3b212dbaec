"""Signatures that are made ahead: valid, of the attempt's time, and never another body's or an old one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from hub.bus.http_client import Answer
from hub.delivery import webhook
from hub.delivery.webhook import AHEAD, WebhookEndpoint, WebhookTransport
from hub.domain.webhook import TIMESTAMP_HEADER, new_secret, parse_secret, sign, verify

SECRET = new_secret("ed25519")
START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
MESSAGES = [(f"notice-{number}", b'{"number": %d}' % number) for number in range(20)]


class Recorder:
    """Takes requests; says 204."""

    def __init__(self) -> None:
        self.taken: list[tuple[bytes, dict[str, str]]] = []

    async def request(
        self, method: str, url: str, *, body: bytes, headers: Mapping[str, str], timeout_seconds: float,
        needs_body: bool,
    ) -> Answer:
        self.taken.append((body, dict(headers)))
        return Answer(204, b"")

    async def close(self) -> None: ...


class Hand:
    """A transport whose clock stands until it is moved."""

    def __init__(self) -> None:
        self.now, self.client = START, Recorder()
        endpoint = WebhookEndpoint("https://department.example/hook", SECRET)
        self.transport = WebhookTransport(endpoint, lambda: self.now, client=self.client)

    def attempt(self, notice_id: str, body: bytes) -> dict[str, str]:
        """The headers that went out, once they are verified at the moment of the attempt."""
        taken = asyncio.run(self.transport.attempt(notice_id, body, "00-1-2-01"))
        sent, headers = self.client.taken[-1]
        assert sent is body and headers["traceparent"] == "00-1-2-01"
        assert verify([parse_secret(SECRET)], headers, body, self.now) == notice_id
        assert taken.sent.signature == headers["webhook-signature"]
        assert taken.sent.signed_at is not None
        assert int(taken.sent.signed_at.timestamp()) == int(headers[TIMESTAMP_HEADER])
        return headers


@pytest.fixture
def hand() -> Hand:
    return Hand()


def second(headers: Mapping[str, str]) -> datetime:
    return datetime.fromtimestamp(int(headers[TIMESTAMP_HEADER]), UTC)


def test_what_was_signed_ahead_goes_out_once(hand: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    signed: list[str] = []

    def counted(keys: object, notice_id: str, at: datetime, body: bytes) -> dict[str, str]:
        signed.append(notice_id)
        return sign([parse_secret(SECRET)], notice_id, at, body)

    monkeypatch.setattr(webhook, "sign", counted)
    asyncio.run(hand.transport.prepare(MESSAGES))
    assert signed == [notice_id for notice_id, _ in MESSAGES]
    hand.now += AHEAD
    assert second(hand.attempt(*MESSAGES[3])) == START
    assert len(signed) == len(MESSAGES)
    hand.now += timedelta(minutes=2)
    assert second(hand.attempt(*MESSAGES[3])) == hand.now  # tried again: signed again
    assert signed[len(MESSAGES):] == [MESSAGES[3][0]]


def test_an_old_signature_is_not_used(hand: Hand) -> None:
    asyncio.run(hand.transport.prepare(MESSAGES))
    hand.now += AHEAD + timedelta(seconds=1)
    assert second(hand.attempt(*MESSAGES[0])) == hand.now


def test_another_body_under_the_same_id_is_signed_by_itself(hand: Hand) -> None:
    asyncio.run(hand.transport.prepare(MESSAGES))
    hand.attempt(MESSAGES[0][0], b'{"number": "another"}')


def test_what_never_goes_out_is_forgotten(hand: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "_MAX_AHEAD", 30)
    asyncio.run(hand.transport.prepare(MESSAGES))
    others = [(f"other-{notice_id}", body) for notice_id, body in MESSAGES]
    asyncio.run(hand.transport.prepare(others))  # no room: they are signed when their turn comes
    assert len(hand.transport._ahead) == len(MESSAGES)
    hand.now += AHEAD + timedelta(seconds=1)
    asyncio.run(hand.transport.prepare(others))
    assert sorted(hand.transport._ahead) == sorted(notice_id for notice_id, _ in others)
    for message in (*MESSAGES, *others):
        hand.attempt(*message)
    assert not hand.transport._ahead


def test_few_are_signed_in_their_turn(hand: Hand) -> None:
    asyncio.run(hand.transport.prepare(MESSAGES[:2]))
    assert not hand.transport._ahead
    hand.attempt(*MESSAGES[0])
