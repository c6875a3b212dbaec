"""A test event to a real socket: signed as a notice is, told from one, and every failure is a receipt."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime

from hub.bus.address_guard import AddressGuard, parse_networks
from hub.bus.http_client import HttpClient
from hub.delivery.rehearsal import EVENT_TYPE, Receipt, rehearse
from hub.delivery.settings import new_key
from hub.domain.webhook import parse_secret
from tests.support_receivers import Receiver, Status, redirect

NAME = "procurement"


def send(url: str, text: str | None = None) -> Receipt:
    async def ask() -> Receipt:
        client = HttpClient(lambda: datetime.now(UTC), guard=AddressGuard(parse_networks("127.0.0.1")))
        try:
            key = parse_secret(text or new_key("hmac"))
            return await rehearse(client, url, [key], NAME, lambda: datetime.now(UTC))
        finally:
            await client.close()

    return asyncio.run(ask())


def test_it_is_signed_and_holds_no_matter() -> None:
    text = new_key("ed25519")
    with Receiver(keys=[parse_secret(text)]) as receiver:
        receipt = send(receiver.url, text)
        (post,) = receiver.posts()
    document = json.loads(post.body)
    assert post.is_genuine and post.webhook_id == receipt.test_id and document["type"] == EVENT_TYPE
    assert document["data"].keys() == {"subscription", "test_id", "note"}
    assert receipt.is_taken and receipt.status == 204 and receipt.milliseconds >= 0


def test_an_answer_that_refuses_is_shown_without_numbers_of_persons() -> None:
    body = "签名不符 623021185006153029".encode() + b"x" * 2000
    with Receiver(script=[Status(422, body=body)]) as receiver:
        receipt = send(receiver.url)
    assert not receipt.is_taken and receipt.status == 422
    assert receipt.said.startswith("签名不符 623") and "623021185006153029" not in receipt.said
    assert len(receipt.said) == 500


def test_what_may_pass_is_a_receipt_too_and_nothing_is_tried_again() -> None:
    with Receiver(script=[Status(503), redirect("http://127.0.0.1:9/")]) as receiver:
        first, second = send(receiver.url), send(receiver.url)
        assert len(receiver.posts()) == 2
    assert (first.status, first.is_taken, second.is_taken) == (503, False, False) and first.failure and second.failure


def test_nobody_there_and_an_address_that_may_not_be_asked_are_said() -> None:
    for url in ("http://127.0.0.1:9/", "http://127.0.0.2:9/"):
        receipt = send(url)
        assert receipt.status is None and not receipt.is_taken and receipt.failure
