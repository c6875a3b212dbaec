"""No secret and no personal number comes into a log line, whatever is asked of the routes and however it fails."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog
from fastapi import FastAPI
from fastapi.testclient import TestClient

from hub.bus.records import Output
from hub.delivery.answers import AnswerDesk
from hub.domain.quota import Quota
from hub.domain.webhook import parse_secret, sign
from hub.errors import BrokerError, IndexUnavailableError
from hub.state.quotas import MemoryQuotas
from hub.web.app import create_app, health_router
from hub.web.feedback import feedback_router
from hub.web.quota import limit
from hub.web.site.errors import add_errors
from tests import support_http_intake
from tests.integration.test_pull import KEY, NAME, TOKEN, Desk, Idle, router_of
from tests.support_contracts import IDENTITY_NUMBER, PHONE, catalog
from tests.support_pages import season

PAGES_TOKEN = "hubt_procurement"
SECRETS = (KEY, KEY.removeprefix("whsec_"), TOKEN, support_http_intake.KEY, PAGES_TOKEN, IDENTITY_NUMBER, PHONE)
HOSTILE = f"{IDENTITY_NUMBER} {PHONE} {TOKEN} {KEY}"


class AwayDesk:
    """The log is away, and says so with what it was given: words that must not go on."""

    def submit(self, *_: Any, **__: Any) -> Any:
        raise BrokerError("away")


class AwayIndex:
    def get(self, notice_id: str) -> None:
        raise IndexUnavailableError("away")


class Nobody:
    def get(self, notice_id: str) -> None:
        return None


def app_of(*, is_away: bool, address: Quota | None = None) -> Any:
    def publish(outputs: Sequence[Output]) -> None:
        raise BrokerError("away")

    made, desk = season(), Desk()
    desk.is_away = is_away
    if is_away:
        def read(topics: Any, subject: Any = None) -> Any:
            raise BrokerError("away")

        made.read = read  # type: ignore[method-assign]
    index = AwayIndex() if is_away else Nobody()
    app = create_app([
        ("", health_router(lambda: "Kafka does not answer" if is_away else None)),
        ("", feedback_router(publish, AnswerDesk(
            catalog(), index, lambda name: [KEY] if name == NAME else [], lambda: datetime.now(UTC)
        ))),
        ("", router_of(desk, {NAME: Idle()})),
        ("", support_http_intake.router_of(AwayDesk() if is_away else support_http_intake.MemoryDesk())),
        ("", made.router()),
    ])
    limit(app, quotas=MemoryQuotas(), identify=lambda token: None, caller=None, address=address)
    return app


def pages_app() -> FastAPI:
    """Pages whose parts fail in both ways."""
    app = FastAPI()
    add_errors(app)

    @app.get("/desk/events/{name}")
    def away(name: str) -> None:
        raise IndexUnavailableError(f"away: {name}")

    @app.get("/desk/notices/{name}")
    def faulty(name: str) -> None:
        raise ValueError(name)

    return app


def ask_everything(client: TestClient) -> set[int]:
    """Requests good and bad, with secrets and personal numbers wherever something can stand; the statuses seen."""
    tokens = (support_http_intake.KEY, TOKEN, PAGES_TOKEN, "hubt_wrong" + HOSTILE.replace(" ", ""), "")
    content = {"party_name": "才让卓玛", "party_kind": "01", "party_certificate_number": IDENTITY_NUMBER,
               "remark": f"电话{PHONE}"}
    answer = {"notice_id": HOSTILE[:36], "subscription": NAME, "correlation_id": HOSTILE[:36], "event_id": "e",
              "subject": HOSTILE, "status": "objected", "reason": HOSTILE}
    body = json.dumps(answer, ensure_ascii=False).encode()
    signed = sign([parse_secret(KEY)], "m1", datetime.now(UTC), body)
    seen: set[int] = set()
    for token in tokens:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        for path in ("/v1/notices", "/v1/clocks", "/v1/holdings", f"/v1/notices/{IDENTITY_NUMBER}",
                     f"/v1/clocks/{TOKEN}", f"/v1/events/{IDENTITY_NUMBER}/trace", f"/v1/{IDENTITY_NUMBER}",
                     f"/v1/subscriptions/{NAME}", f"/v1/subscriptions/{IDENTITY_NUMBER}", "/readyz"):
            for query in ("", f"?cursor={TOKEN}", f"?state={IDENTITY_NUMBER}&{IDENTITY_NUMBER}=1"):
                seen.add(client.get(path + query, headers=headers).status_code)
        for event in (support_http_intake.event(1, content=content), {"type": HOSTILE, HOSTILE: HOSTILE}, [HOSTILE]):
            seen.add(client.post("/v1/events", content=support_http_intake.dumps(event), headers={
                **headers, "Content-Type": support_http_intake.STRUCTURED, "Idempotency-Key": IDENTITY_NUMBER,
            }).status_code)
        for document in ({"ack": [HOSTILE[:36]], "returnImmediately": True}, {HOSTILE: HOSTILE}):
            seen.add(client.post(f"/v1/subscriptions/{NAME}/poll", json=document, headers=headers).status_code)
        change = {"reason": HOSTILE, "by": IDENTITY_NUMBER, "contact": PHONE}
        seen.add(client.patch(f"/v1/subscriptions/{NAME}", json=change, headers=headers).status_code)
        for more in (signed, {"webhook-id": "m1"}):
            seen.add(client.post("/v1/feedback", content=body, headers={
                **headers, **more, "Content-Type": "application/json",
            }).status_code)
    return seen


@pytest.mark.parametrize(("is_away", "address", "expected"), [
    (False, None, {200, 202, 400, 401, 404, 422}), (True, None, {401, 422, 503}), (False, Quota("address", 5), {429}),
], ids=["well", "away", "limited"])  # fmt: skip
def test_nothing_of_it_is_logged(
    is_away: bool, address: Quota | None, expected: set[int], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with structlog.testing.capture_logs() as lines:
        seen = ask_everything(TestClient(app_of(is_away=is_away, address=address), raise_server_exceptions=True))
    assert expected <= seen, "the requests have to reach what they are meant for"
    assert lines, "a test of lines that nobody writes would prove nothing"
    # What the test's own client says of its requests is not the hub's word.
    said = [json.dumps(line, ensure_ascii=False, default=str) for line in lines]
    said += [record.getMessage() for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))]
    for line in said:
        for secret in SECRETS:
            assert secret not in line, line.replace(secret, "<here>")



def test_nor_what_is_typed_into_the_address_of_a_page(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    client = TestClient(pages_app(), raise_server_exceptions=False)
    with structlog.testing.capture_logs() as lines:
        seen = [client.get(f"{path}/{IDENTITY_NUMBER}?q={PHONE}").status_code
                for path in ("/desk/events", "/desk/notices", "/desk")]
    assert seen == [503, 500, 404]
    assert [(line["event"], line["route"]) for line in lines] == [
        ("web.unavailable", "/desk/events/{name}"), ("web.failed", "/desk/notices/{name}"),
    ]
    said = json.dumps(lines) + "".join(
        record.getMessage() for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))
    )
    assert IDENTITY_NUMBER not in said and PHONE not in said
