"""A proof of a notice: made out of the log, checked by itself, and no part of it can be changed unseen."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from hub.bus.http_client import Answer
from hub.bus.publisher import KafkaPublisher
from hub.bus.records import Output, Record
from hub.cli.main import build
from hub.delivery.answers import AnswerDesk
from hub.delivery.engine import DeliveryEngine
from hub.delivery.message import read_inbox, to_notice
from hub.delivery.proof import Check, _digest, collect, find_notice, verify
from hub.delivery.settings import SETTINGS_TOPIC, SettingsLog, SubscriptionSettings
from hub.delivery.webhook import WebhookEndpoint, WebhookTransport
from hub.domain.vault import Vault
from hub.domain.webhook import new_secret, parse_secret, sign
from hub.errors import InputError
from hub.routing.stage import RoutingStage
from hub.web.feedback import feedback_router
from tests.support_contracts import catalog
from tests.support_delivery import Desk, NoIndex
from tests.unit.test_routing import NOTICES, event, hub_map

if TYPE_CHECKING:
    from tests.conftest import CreateTopics, KafkaLike

NAME = "government-procurement"
HUB_KEY, DEPARTMENT_KEY = new_secret("ed25519"), new_secret("ed25519")


def now() -> datetime:
    return datetime.now(UTC)


class Taking:
    """Stands for the HTTP client of a department that takes everything."""

    async def request(self, *_: Any, **__: Any) -> Answer:
        return Answer(204, b"")

    async def close(self) -> None: ...


class Story(NamedTuple):
    """What is on the log of one notice, and the settings of its subscription."""

    notice_id: str
    records: list[Record]
    settings: SubscriptionSettings


def settings() -> SubscriptionSettings:
    public = parse_secret(DEPARTMENT_KEY).public
    assert public is not None
    found = SubscriptionSettings(
        NAME, revision=1, url="https://department.example", is_verified=True, receiver_keys=(public,),
        changed_by="李四", reason="首次设置", changed_at=now(),
    )
    return found.with_key(HUB_KEY, Vault(b"made up"), now())


def story(key: str = HUB_KEY) -> Story:
    """An event is routed, its notice delivered and answered, all by the hub's own parts."""
    happened = event(NOTICES, "blacklist.notice.listed", list_kind="serious", is_public=True)
    (outputs,) = RoutingStage(hub_map(), catalog()).handle([happened])
    records = [happened, *(_record(output, number) for number, output in enumerate(outputs))]
    inbox = next(record for record in records if record.topic == f"inbox.{NAME}")

    transport = WebhookTransport(WebhookEndpoint("https://department.example/hook", key), now, client=Taking())
    desk = Desk(DeliveryEngine(NAME, transport, catalog(), now, NoIndex(), lambda _: iter(())))
    try:
        desk.handle([inbox])
    finally:
        desk.close()
    notice = to_notice(read_inbox(inbox, catalog()))
    answers: list[Output] = []
    public = parse_secret(DEPARTMENT_KEY).public
    assert public is not None
    app = FastAPI()
    app.include_router(feedback_router(
        answers.extend,
        AnswerDesk(catalog(), type("Index", (), {"get": lambda self, id: notice})(), lambda name: [public], now),
    ))
    body = json.dumps({
        "notice_id": notice.notice_id, "subscription": NAME, "correlation_id": notice.correlation_id,
        "event_id": notice.event_id, "subject": notice.subject, "status": "acted",
        "measure": notice.expected_measures[0], "case_number": "甘南财采〔2026〕3号", "acted_on": "2026-03-04",
    }).encode()
    headers = {**sign([parse_secret(DEPARTMENT_KEY)], "answer-1", now(), body), "Content-Type": "application/json"}
    assert TestClient(app).post("/v1/feedback", content=body, headers=headers).status_code == 202
    records += [_record(output, 100 + number) for number, output in enumerate([*desk.written, *answers])]
    return Story(notice.notice_id, records, settings())


def _record(output: Output, offset: int) -> Record:
    return Record(output.topic, 3, offset, 1772413200000 + offset, output.key, output.value, output.headers)


@pytest.fixture(scope="module")
def told() -> Story:
    return story()


def proof_of(told: Story) -> dict[str, Any]:
    others = story_of_another_fact()
    notice = find_notice([record for record in told.records if record.topic.startswith("inbox.")], told.notice_id)
    found = collect(notice, [*told.records, *others], [told.settings], catalog(), at=now(), by="李四")
    document: dict[str, Any] = json.loads(json.dumps(found))
    return document


def story_of_another_fact() -> list[Record]:
    """A penalty of the same enterprise, and what routing makes of it: no part of the proof."""
    other = event("enforcement.penalties.v1", "enforcement.penalty.recorded", record_unique_identity="另一份文书")
    headers = [
        (name, b"another" if name in ("ce_id", "ce_correlationid") else value) for name, value in other.headers
    ]
    other = other._replace(headers=headers)
    (outputs,) = RoutingStage(hub_map(), catalog()).handle([other])
    return [other, *(_record(output, 200 + number) for number, output in enumerate(outputs))]


def verdicts(document: dict[str, Any]) -> dict[str, bool | None]:
    found: dict[str, bool | None] = {}
    for check in verify(document, catalog()):
        found[check.what] = check.is_right if found.get(check.what) is not False else False
    return found


def test_a_proof_holds_the_whole_story_and_nothing_else(told: Story) -> None:
    document = proof_of(told)
    assert {record["topic"] for record in document["records"]} >= {
        NOTICES, f"inbox.{NAME}", "routing.decisions.v1", "delivery.receipts.v1", "discipline.feedback.v1",
    }
    assert "enforcement.penalties.v1" not in {record["topic"] for record in document["records"]}
    inboxes = [record["topic"] for record in document["records"] if record["topic"].startswith("inbox.")]
    assert inboxes == [f"inbox.{NAME}"]
    assert verdicts(document) == {
        "file": True, "schemas": True, "notice": True, "event": True, "content": True, "decision": True,
        "receipt": True, "signature": True, "answer": True, "signature of the answer": True,
    }
    for secret in (HUB_KEY, DEPARTMENT_KEY):
        assert secret not in json.dumps(document)


def _swap(topic: str, **news: Any) -> Callable[[dict[str, Any]], None]:
    """Puts other values into the records of a topic, written as the hub writes them."""

    def change(document: dict[str, Any]) -> None:
        for record in document["records"]:
            if record["topic"] == topic:
                schema, value = catalog().decode(base64.b64decode(record["value"]))
                record["value"] = base64.b64encode(schema.encode({**value, **news})).decode()

    return change


def _drop(topic: str) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        document["records"] = [record for record in document["records"] if record["topic"] != topic]

    return change


@pytest.mark.parametrize(("change", "wrong"), [
    (_swap(NOTICES, listing_reason="别的事由"), "content"),
    (_swap(f"inbox.{NAME}", legal_basis="别的依据"), "receipt"),
    (_swap(f"inbox.{NAME}", rule="subscription:works-bidding"), "notice"),
    (_swap(f"inbox.{NAME}", map_version="another"), "decision"),
    (_swap("routing.decisions.v1", outputs=[]), "decision"),
    (_swap("delivery.receipts.v1", content_digest="0" * 64), "receipt"),
    (_swap("delivery.receipts.v1", signed_at=datetime(2020, 1, 1, tzinfo=UTC)), "signature"),
    (_swap("discipline.feedback.v1", case_number="别的案号"), "answer"),
    (_swap("discipline.feedback.v1", content=b'{"status": "acted"}'), "signature of the answer"),
    (_drop(NOTICES), "event"),
    (_drop("routing.decisions.v1"), "decision"),
    (_drop(f"inbox.{NAME}"), "records"),
    (lambda document: document.update(keys=[]), "signature"),
    (lambda document: document["schemas"].update({next(iter(document["schemas"])): {"type": "record"}}), "schemas"),
])  # fmt: skip
def test_whatever_is_changed_is_seen(told: Story, change: Callable[[dict[str, Any]], None], wrong: str) -> None:
    document = copy.deepcopy(proof_of(told))
    change(document)
    assert verdicts(document)["file"] is False
    # Also who knows how to make the file's own digest anew is found out.
    document["digest"] = _digest({name: value for name, value in document.items() if name != "digest"})
    found = verdicts(document)
    assert found["file"] is True
    assert found[wrong] is False


def test_a_shared_secret_proves_nothing_to_a_third() -> None:
    document = proof_of(story(new_secret("hmac")))
    assert verdicts(document)["signature"] is None


@pytest.mark.parametrize("document", [{}, [], None, "x", {"format": "other"}, {"format": "gannan-hub-proof/1"}])
def test_what_is_no_proof_is_refused(document: Any) -> None:
    with pytest.raises(InputError):
        list(verify(document, catalog()))


@pytest.fixture
def hub(
    kafka: KafkaLike, create_topics: CreateTopics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: Story
) -> Iterator[Any]:
    create_topics(SETTINGS_TOPIC, partitions=1, config={"cleanup.policy": "compact"})
    create_topics(*{record.topic for record in told.records}, partitions=4)
    with closing(KafkaPublisher(kafka.bootstrap, client_id="test")) as publisher:
        publisher.publish([
            Output(record.topic, record.key, record.value, record.headers, 3) for record in told.records
        ])
        publisher.publish([SettingsLog(catalog()).entry(told.settings)])
    for name, value in {"BOOTSTRAP_SERVERS": kafka.bootstrap, "DATA": str(tmp_path), "LOG_LEVEL": "error"}.items():
        monkeypatch.setenv(f"HUB_{name}", value)
    app = build(["proof"])
    yield lambda *arguments: CliRunner().invoke(app, ["proof", *arguments])


def test_the_command_writes_and_checks_a_file(hub: Any, told: Story, tmp_path: Path) -> None:
    path = tmp_path / "proof.json"
    made = hub(told.notice_id, "-o", str(path), "--by", "李四")
    assert made.exit_code == 0, made.output
    assert path.stat().st_mode & 0o777 == 0o600
    checked = hub("verify", str(path))
    assert checked.exit_code == 0, checked.output
    assert checked.output.count("ok ") == 10 and "BAD" not in checked.output
    assert [Check(**each).is_right for each in json.loads(hub("verify", str(path), "--json").output)] == [True] * 10
    path.write_text(path.read_text().replace(told.notice_id, told.notice_id[::-1]))
    assert hub("verify", str(path)).exit_code == 1
    assert hub(told.notice_id, "-o", str(path)).exit_code == 2  # never over a file that is there
    nobody = hub("nobody", "-o", str(tmp_path / "other.json"))
    assert nobody.exit_code == 1 and "no inbox holds the notice nobody" in nobody.output
    assert hub(told.notice_id).exit_code == hub("verify").exit_code == 2
    path.write_text("{")
    assert "not JSON" in hub("verify", str(path)).output
