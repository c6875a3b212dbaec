"""The registry face before a real Confluent client."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import uvicorn
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.serialization import MessageField, SerializationContext
from fastapi import FastAPI

from hub.contracts.codec import Schema
from hub.web.registry import MEDIA_TYPE, registry_router
from tests.support_contracts import catalog, sample
from tests.support_outlets import notice, notice_id, penalty

SUBJECT = "inspection.results.v1-value"
#: More than one version, so that numbering shows; the ids need not be versions of one schema.
SUBJECTS = {SUBJECT: [23, 24], "complaint.leads.v1-value": [4]}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    app = FastAPI()
    app.include_router(registry_router(catalog(), SUBJECTS), prefix="/registry")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()  # who asks before the server runs is taken when it does
        port = listener.getsockname()[1]
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield f"http://127.0.0.1:{port}/registry"
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[SchemaRegistryClient]:
    with SchemaRegistryClient({"url": url}) as client:
        yield client


@pytest.mark.parametrize("schema", catalog().schemas, ids=lambda schema: schema.label)
def test_a_confluent_client_decodes_every_schema(client: SchemaRegistryClient, schema: Schema) -> None:
    value = sample(schema)
    read = AvroDeserializer(client)
    assert read(schema.encode(value), SerializationContext("any", MessageField.VALUE)) == value


def test_a_confluent_client_decodes_an_inbox_as_the_documents_show(client: SchemaRegistryClient) -> None:
    decode = AvroDeserializer(client)
    read = decode(notice("a", 1).value, None)
    assert read["notice_id"] == notice_id("a", 1)
    record = decode(read["data"], None)
    assert record == catalog().decode(penalty("partner"))[1]


def test_a_confluent_client_writes_what_the_hub_reads(client: SchemaRegistryClient) -> None:
    schema = catalog().schema("inspection/result")
    write = AvroSerializer(client, json.dumps(schema.definition), conf={"auto.register.schemas": False})
    value = sample(schema)
    data = write(value, SerializationContext("inspection.results.v1", MessageField.VALUE))
    assert data is not None and catalog().decode(data) == (schema, value)


def test_a_confluent_client_looks_up_subjects(client: SchemaRegistryClient) -> None:
    assert client.get_subjects() == sorted(SUBJECTS)
    assert client.get_versions(SUBJECT) == [1, 2]
    assert client.get_latest_version(SUBJECT).schema_id == 24
    assert client.get_version(SUBJECT, 1).schema_id == 23
    assert client.get_compatibility() == client.get_compatibility(SUBJECT) == "FULL_TRANSITIVE"
    with pytest.raises(SchemaRegistryError) as raised:
        client.get_schema(9999)
    assert (raised.value.http_status_code, raised.value.error_code) == (404, 40403)


def _get(url: str, path: str) -> Any:
    response = requests.get(url + path, timeout=10)
    assert response.headers["content-type"] == MEDIA_TYPE
    return response.json()


def test_every_read_has_the_answer_of_the_interface(url: str) -> None:
    definition = catalog().by_id(23).definition
    assert json.loads(_get(url, "/schemas/ids/23")["schema"]) == definition
    assert _get(url, "/schemas/ids/23?fetchMaxId=true")["maxId"] == max(s.id for s in catalog().schemas)
    assert _get(url, "/schemas/ids/23/schema") == definition
    assert _get(url, "/schemas/ids/24/versions") == [{"subject": SUBJECT, "version": 2}]
    assert _get(url, "/schemas/ids/24/versions?subject=other") == []
    assert _get(url, "/schemas/ids/4/subjects") == ["complaint.leads.v1-value"]
    assert _get(url, "/schemas/ids/1/subjects") == []
    assert _get(url, "/schemas/types") == ["AVRO"]
    assert _get(url, "/subjects?subjectPrefix=complaint") == ["complaint.leads.v1-value"]
    latest = _get(url, f"/subjects/{SUBJECT}/versions/latest")
    assert (latest["subject"], latest["version"], latest["id"]) == (SUBJECT, 2, 24)
    assert _get(url, f"/subjects/{SUBJECT}/versions/1/schema") == definition
    for path in ("/config", f"/config/{SUBJECT}"):
        assert _get(url, path) == {"compatibilityLevel": "FULL_TRANSITIVE"}
    assert _get(url, "/mode") == _get(url, f"/mode/{SUBJECT}") == {"mode": "READONLY"}


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/schemas/ids/9999", 40403), ("/schemas/ids/x", 40403), ("/schemas/ids/9999/versions", 40403),
        ("/subjects/none/versions", 40401), ("/subjects/none/versions/1", 40401),
        (f"/subjects/{SUBJECT}/versions/3", 40402), (f"/subjects/{SUBJECT}/versions/0", 42202),
        (f"/subjects/{SUBJECT}/versions/newest", 42202), ("/config/none", 40401), ("/mode/none", 40401),
        ("/nonsense", 404),
    ],
)
def test_what_is_not_there_has_the_code_of_the_interface(url: str, path: str, code: int) -> None:
    response = requests.get(url + path, timeout=10)
    assert response.status_code == (code if code < 1000 else code // 100)
    assert response.headers["content-type"] == MEDIA_TYPE
    assert response.json()["error_code"] == code and response.json()["message"]


def test_a_look_up_finds_the_version_and_changes_nothing(url: str) -> None:
    def look_up(subject: str, body: Any) -> Any:
        address = f"{url}/subjects/{subject}?deleted=false"
        return requests.post(address, data=json.dumps(body), timeout=10).json()

    text = json.dumps(catalog().by_id(24).definition)
    assert look_up(SUBJECT, {"schema": text})["version"] == 2
    bare = {k: v for k, v in catalog().by_id(24).definition.items() if k not in ("doc", "title", "view")}
    assert look_up(SUBJECT, {"schema": json.dumps(bare)})["id"] == 24
    other = json.dumps(catalog().by_id(1).definition)
    assert look_up(SUBJECT, {"schema": other})["error_code"] == 40403
    assert look_up("none", {"schema": text})["error_code"] == 40401
    wrong: Any
    for wrong in ({"schema": "{"}, {"schema": '{"type": "nonsense"}'}, {}, [], {"schema": None}):
        assert look_up(SUBJECT, wrong)["error_code"] == 42201
    assert look_up(SUBJECT, {"schema": text, "schemaType": "JSON"})["error_code"] == 42201


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", f"/subjects/{SUBJECT}/versions"), ("DELETE", f"/subjects/{SUBJECT}"),
        ("DELETE", f"/subjects/{SUBJECT}/versions/1"), ("PUT", "/config"), ("PUT", f"/config/{SUBJECT}"),
        ("DELETE", f"/config/{SUBJECT}"), ("PUT", "/mode"), ("PUT", f"/mode/{SUBJECT}"),
        ("POST", "/subjects"),
    ],
)
def test_what_would_change_something_is_refused(url: str, method: str, path: str) -> None:
    response = requests.request(method, url + path, data=b'{"schema": "{}"}', timeout=10)
    assert response.status_code == 405 and response.headers["allow"] == "GET"
    assert response.json()["error_code"] == 405 and "read-only" in response.json()["message"]
