"""The AsyncAPI document: valid by the official parser, the same each time, and true of what it describes."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, get_args

import jsonschema_rs
import pytest
import yaml
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from hub.bus.http_client import RequestFailedError
from hub.cli.main import build
from hub.contracts.asyncapi_parts import KEYS
from hub.contracts.asyncapi_text import to_json_text, to_page, to_yaml_text
from hub.contracts.cloudevents import to_headers
from hub.contracts.map import HubMap
from hub.contracts.map_models import KeyKind
from hub.delivery.handshake import shake_hands
from hub.delivery.message import to_body
from hub.delivery.rehearsal import rehearse
from hub.domain.events import Envelope, new_traceparent
from hub.domain.webhook import new_secret, parse_secret
from hub.errors import InputError
from hub.settings import load
from hub.web.app import create_app
from hub.web.asyncapi import asyncapi_router
from hub.wiring import asyncapi_document
from tests.support_contracts import ROOT, catalog, sample

PARSER = ROOT / "tests" / "asyncapi"


@cache
def hub_map() -> HubMap:
    return HubMap.load(ROOT / "topics.yaml", catalog(), ROOT / "reference")


def with_direct() -> HubMap:
    """The map with one subscription that reads Kafka itself."""
    found = hub_map()
    entry = found.subscriptions["works-bidding"].model_copy(update={"delivery": "kafka"})
    subscriptions = {**found.subscriptions, "works-bidding": entry}
    return replace(found, model=found.model.model_copy(update={"subscriptions": subscriptions}))


def document(of: HubMap | None = None, **more: Any) -> dict[str, Any]:
    settings = load(data=Path("nowhere"), bootstrap_servers="127.0.0.1:9092", **more)
    return asyncapi_document(settings, of or hub_map(), catalog())


def resolved(whole: dict[str, Any], reference: dict[str, str]) -> dict[str, Any]:
    found: Any = whole
    for step in reference["$ref"].removeprefix("#/").split("/"):
        found = found[step.replace("~1", "/").replace("~0", "~")]
    assert isinstance(found, dict)
    return found


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Two test processes do not install into one folder at a time."""
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="module")
def parser(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command that parses a document; installed once for each lock, from the pinned set alone."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        said = "node and npm are not installed: the official AsyncAPI parser was not tried"
        if os.environ.get("CI") == "true":
            pytest.fail(said)
        pytest.skip(said)
    digest = hashlib.sha256((PARSER / "package-lock.json").read_bytes()).hexdigest()
    mark = PARSER / "node_modules" / ".installed"
    modules = PARSER / "node_modules"
    modules.mkdir(exist_ok=True)
    with _alone(tmp_path_factory.getbasetemp().parent):
        if not mark.exists() or mark.read_text() != digest:
            done = subprocess.run([npm, "ci"], cwd=PARSER, capture_output=True, text=True, timeout=300)
            assert done.returncode == 0, done.stderr
            mark.write_text(digest)
    return [node, str(PARSER / "check.mjs")]


@pytest.mark.parametrize("is_direct", [False, True], ids=["map", "direct-kafka"])
def test_the_official_parser_finds_no_fault(parser: list[str], tmp_path: Path, is_direct: bool) -> None:
    made = document(with_direct(), departments_servers="127.0.0.1:9094") if is_direct else document()
    path = tmp_path / "asyncapi.json"
    path.write_text(to_json_text(made), encoding="utf-8")
    done = subprocess.run([*parser, str(path)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    # That there is a newer form of AsyncAPI is no fault; many tools read 3.0 and not that.
    assert [each for each in told["found"] if each["code"] != "asyncapi-latest-version"] == []
    topics = (with_direct() if is_direct else hub_map()).topics
    assert {channel for channel in told["channels"] if not channel.startswith("webhook.")} == set(topics)
    assert told["operations"] == len(made["operations"])


def test_the_parser_does_find_faults(parser: list[str], tmp_path: Path) -> None:
    """What cannot fail proves nothing: one binding, one reference and one Avro type are broken on purpose."""
    broken = json.loads(to_json_text(document()))
    broken["channels"]["blacklist.notices.v1"]["bindings"]["kafka"]["partitions"] = 0
    broken["operations"]["send.clock.alerts.v1"]["channel"]["$ref"] = "#/channels/nowhere"
    broken["components"]["schemas"]["hub.clock-alert.v1"]["schema"]["fields"][0]["type"] = "no-type"
    path = tmp_path / "asyncapi.json"
    path.write_text(json.dumps(broken), encoding="utf-8")
    done = subprocess.run([*parser, str(path)], capture_output=True, text=True, timeout=120)
    faults = [each for each in json.loads(done.stdout)["found"] if each["severity"] == 0]
    assert any("bindings/kafka/partitions" in each["path"] for each in faults)
    assert any("nowhere" in json.dumps(each) for each in faults)


def test_every_channel_message_and_operation_hangs_together() -> None:
    made = document()
    assert set(made["channels"]) == {*hub_map().topics, *(f"webhook.{name}" for name in hub_map().subscriptions)}
    for name, channel in made["channels"].items():
        assert resolved(made, channel["messages"][name])["title"]
        for server in channel["servers"]:
            assert resolved(made, server)["protocol"] in ("kafka", "https")
    for operation in made["operations"].values():
        assert resolved(made, operation["channel"])["title"]
    received = {operation["bindings"]["kafka"]["groupId"]["enum"][0]
                for operation in made["operations"].values() if operation["action"] == "receive"}
    assert {"hub-routing", "hub-clocks", "hub-delivery-works-bidding"} <= received


def test_a_message_says_which_schema_its_bytes_begin_with() -> None:
    made = document()
    message = made["components"]["messages"]["inspection.results.v1"]
    schema = catalog().schema("inspection/result")
    frame = schema.encode(sample(schema))[:5]
    binding = message["bindings"]["kafka"]
    assert (binding["schemaIdLocation"], int(binding["schemaIdPayloadEncoding"])) == ("payload", 4)
    assert int.from_bytes(frame[1:5], "big") == message["x-schema-id"]
    payload = resolved(made, message["payload"])
    assert payload["schema"] == schema.definition and payload["schema"]["title"] == "抽查检查结果"


def test_every_view_that_leaves_the_hub_stands_in_it() -> None:
    schemas = document()["components"]["schemas"]
    assert {each["x-schema-id"] for each in schemas.values()} == {schema.id for schema in catalog().schemas}
    names = {field["name"] for field in schemas["inspection.result.v1.public"]["schema"]["fields"]}
    assert "party_name" in names and "party_certificate_number" not in names


def test_headers_are_those_that_the_hub_writes() -> None:
    envelope = Envelope(
        id="1", source="/sources/made-up", type="inspection.result.recorded", subject="91623000739699913A",
        time=datetime(2026, 3, 2, tzinfo=UTC), correlation_id="2", causation_id="3",
        traceparent=new_traceparent("1"), sequence=1, natural_key="JC-1", digest="00",
    )
    written = {name: value.decode() for name, value in to_headers(envelope)}
    headers = document()["components"]["messages"]["inspection.results.v1"]["headers"]
    assert set(written) == set(headers["properties"])
    jsonschema_rs.validator_for(headers).validate(written)
    with pytest.raises(jsonschema_rs.ValidationError):
        jsonschema_rs.validator_for(headers).validate({**written, "ce_type": "clock.alert.warned"})


@pytest.mark.parametrize("name", sorted(hub_map().subscriptions))
def test_a_webhooks_body_is_what_the_document_says(name: str) -> None:
    entry = hub_map().subscriptions[name]
    schema = catalog().schema(str(hub_map().topics[entry.from_].schema_))
    projection = catalog().projection(schema, entry.view)
    inbox = sample(catalog().schema("hub/inbox-record"), view=entry.view, action="apply",
                   data=projection.encode(sample(schema)))
    body = json.loads(to_body(inbox, catalog()))
    payload = document()["components"]["messages"][f"webhook.{name}"]["payload"]
    validator = jsonschema_rs.validator_for(payload)
    validator.validate(body)
    assert body["data"]["record"]
    for wrong in ({**body, "more": 1}, {**body, "data": {**body["data"], "record": {}}}):
        with pytest.raises(jsonschema_rs.ValidationError):
            validator.validate(wrong)


def test_a_notice_that_is_sent_again_is_in_the_document_too() -> None:
    name = min(hub_map().subscriptions)
    entry = hub_map().subscriptions[name]
    schema = catalog().schema(str(hub_map().topics[entry.from_].schema_))
    data = catalog().projection(schema, entry.view).encode(sample(schema))
    notice = {**sample(catalog().schema("hub/inbox-record"), view=entry.view, action="apply", data=data),
              "replay_of": "notice-1", "replay_request": "request-1"}
    body = json.loads(to_body(notice, catalog()))
    validator = jsonschema_rs.validator_for(document()["components"]["messages"][f"webhook.{name}"]["payload"])
    validator.validate(body)
    assert body["data"]["replay"] == {"request_id": "request-1"}
    with pytest.raises(jsonschema_rs.ValidationError):
        validator.validate({**body, "data": {**body["data"], "replay": {}}})


@pytest.mark.parametrize(("message", "ask"), [("webhook-verification", shake_hands), ("webhook-test", rehearse)])
def test_what_else_is_posted_to_an_address_is_in_the_document(message: str, ask: Any) -> None:
    posted: list[dict[str, Any]] = []

    class Client:
        async def request(self, method: str, url: str, *, body: bytes, headers: dict[str, str]) -> Any:
            posted.append(json.loads(body))
            raise RequestFailedError("nobody is there", "refused")

    with contextlib.suppress(InputError):
        key = parse_secret(new_secret("ed25519"))
        asyncio.run(ask(Client(), "https://made-up.example", [key], "works-bidding", lambda: datetime.now(UTC)))
    made = document()
    (body,) = posted
    jsonschema_rs.validator_for(made["components"]["messages"][message]["payload"]).validate(body)
    assert all(message in channel["messages"] for name, channel in made["channels"].items() if "webhook." in name)


def test_its_texts_say_the_same() -> None:
    made = document()
    plain = json.loads(to_json_text(made))
    assert yaml.safe_load(to_yaml_text(made)) == plain
    assert to_json_text(document()) == to_json_text(made)


def test_the_page_asks_nobody_else() -> None:
    page = to_page(document())
    assert "抽查检查结果" in page and "routing.decisions.v1" in page
    assert re.findall(r"(?:src|href)=\"([^\"]+)\"", page) == ["asyncapi.json", "asyncapi.yaml"]
    assert "<script" not in page and "url(" not in page


def test_the_web_side_serves_it_and_hides_where_the_hubs_own_listener_is() -> None:
    settings = load(data=Path("nowhere"), bootstrap_servers="10.9.8.7:9092")
    router = asyncapi_router(lambda registry: asyncapi_document(settings, hub_map(), catalog(), registry))
    client = TestClient(create_app([("", router)]), base_url="https://hub.made-up.example")
    told = client.get("/asyncapi.json").json()
    assert yaml.safe_load(client.get("/asyncapi.yaml").text) == told
    assert told["servers"]["kafka"]["bindings"]["kafka"]["schemaRegistryUrl"] == (
        "https://hub.made-up.example/registry"
    )
    assert "10.9.8.7" not in client.get("/asyncapi.json").text + client.get("/asyncapi").text


def test_by_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_DATA", str(tmp_path))
    run, out = CliRunner(), tmp_path / "hub.yaml"
    told = run.invoke(build(["asyncapi"]), ["asyncapi", "--json"])
    assert told.exit_code == 0 and json.loads(told.stdout)["asyncapi"] == "3.0.0"
    assert run.invoke(build(["asyncapi"]), ["asyncapi", "-o", str(out)]).exit_code == 0
    assert yaml.safe_load(out.read_text(encoding="utf-8")) == json.loads(told.stdout)
    both = run.invoke(build(["asyncapi"]), ["asyncapi", "--json", "--yaml"])
    assert both.exit_code == 2 and "one of" in both.stderr
    nowhere = run.invoke(build(["asyncapi"]), ["asyncapi", "-o", str(tmp_path / "no" / "file")])
    assert nowhere.exit_code == 2 and "No such file" in nowhere.stderr


def test_a_record_of_a_topic_that_departments_write_is_no_avro() -> None:
    made = document(with_direct(), departments_servers="127.0.0.1:9094")
    messages = made["components"]["messages"]
    assert messages["answers.works-bidding"]["contentType"] == "application/json"
    assert messages["answer-problems.works-bidding"]["contentType"] == "application/problem+json"
    assert "send.answers.works-bidding" not in made["operations"]
    servers = made["channels"]["inbox.works-bidding"]["servers"]
    assert {"$ref": "#/servers/departments"} in servers
    assert made["channels"]["inbox.government-procurement"]["servers"] == [{"$ref": "#/servers/kafka"}]


def test_every_kind_of_key_is_put_into_words() -> None:
    assert set(KEYS) == set(get_args(KeyKind))
