"""POST /v1/events: three modes, every fault, and a bad event among good ones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import Future
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from hub.contracts.cloudevents_http import Incoming
from hub.contracts.strict_json import Doubled, faults_of, parse_strict
from hub.domain.plain import to_plain
from hub.domain.problem import ProblemError
from hub.errors import ContractError, InfrastructureError, InputError
from hub.intake.http_sources import load_http_sources
from hub.intake.source_keys import KeysLog, SourceKeys, digest_of, new_key
from hub.intake.sources import load_sources
from hub.web.app import create_app
from hub.web.events import Entrance, events_router
from hub.wiring.sources_http import department_facts
from tests.support_contracts import IDENTITY_NUMBER, catalog, sample
from tests.support_http_intake import (
    BATCH,
    KEY,
    NOW,
    STRUCTURED,
    TYPE,
    MemoryDesk,
    data,
    dumps,
    event,
    hub_map,
    keys_table,
    receiver,
    router_of,
    source,
)

BEARER = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture
def desk() -> MemoryDesk:
    return MemoryDesk()


@pytest.fixture
def client(desk: MemoryDesk) -> Iterator[TestClient]:
    with TestClient(create_app([("", router_of(desk))])) as client:
        yield client


def post(client: TestClient, body: bytes, kind: str = STRUCTURED, **headers: str) -> Any:
    return client.post("/v1/events", content=body, headers={"Content-Type": kind, **BEARER, **headers})


def pointers(answer: Any) -> list[str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return [each["pointer"] for each in answer.json().get("errors", [])]


def test_one_event_in_structured_mode(client: TestClient, desk: MemoryDesk) -> None:
    answer = post(client, dumps(event(1, naturalkey="案〔2026〕1号", time="2026-03-02T01:00:00Z", other="x")))
    assert answer.status_code == 202
    assert answer.json() == {
        "id": "JC-1", "status": "accepted", "state": "accepted", "event_id": "0" * 36, "version": 1, "type": TYPE,
    }
    (taken,) = desk.taken
    assert (taken.row.natural_key, taken.row.value["record_unique_identity"]) == ("案〔2026〕1号", "案〔2026〕1号")
    assert taken.row.value["department_name"] == "甘南州市场监督管理局"
    assert catalog().schema("inspection/result").check(taken.row.value) == []
    assert post(client, dumps(event(1, naturalkey="案〔2026〕1号"))).status_code == 200


def test_one_event_in_binary_mode(client: TestClient, desk: MemoryDesk) -> None:
    headers = {
        "ce-specversion": "1.0", "ce-id": "%E6%A1%88-1", "ce-source": "/sources/gannan-law", "ce-type": TYPE,
        "ce-naturalkey": "a%20b",
    }
    answer = post(client, dumps(data()), "application/json; charset=utf-8", **headers)
    assert (answer.status_code, answer.json()["id"]) == (202, "案-1")
    assert desk.taken[0].row.natural_key == "a b"
    assert post(client, dumps(data()), "application/json").status_code == 415
    assert post(client, dumps(data()), "application/json", **headers | {"ce-id": "%FF"}).status_code == 400
    assert pointers(post(client, dumps(data()), "application/json", **headers | {"ce-data": "x"})) == ["/data"]
    assert pointers(post(client, b"[1]", "application/json", **headers)) == ["/data"]
    doubled = [("Content-Type", "application/json"), ("ce-id", "2"), *headers.items(), *BEARER.items()]
    assert pointers(client.post("/v1/events", content=dumps(data()), headers=doubled)) == ["/id"]


def test_a_batch_with_bad_ones_in_the_middle(client: TestClient, desk: MemoryDesk) -> None:
    bad: list[Any] = [
        7, event(2, source="/sources/other"), event(3, type="routing.event.decided"),
        event(4, type="clock.term.expired"), event(5, content={"inspection_kind": "?"}), {"id": "x"},
        event(6, type="licensing.permit.recorded"),
    ]
    answer = post(client, dumps([event(1), *bad, event(9)]), BATCH)
    said = answer.json()
    assert (answer.status_code, said["status"]) == (207, "partial")
    assert (said["accepted"], said["repeated"], said["refused"]) == (2, 0, 7)
    results = said["results"]
    assert [each["index"] for each in results] == list(range(9))
    assert [each["id"] for each in results] == ["JC-1", None, "JC-2", "JC-3", "JC-4", "JC-5", "x", "JC-6", "JC-9"]
    assert [each.get("problem", {}).get("status") for each in results] == [
        None, 422, 403, 422, 422, 422, 422, 403, None,
    ]
    assert results[5]["problem"]["errors"][0]["pointer"] == "/data/inspection_kind"
    assert results[5]["problem"]["instance"] == "/v1/events#/5"
    assert [each.id for each in desk.taken] == ["JC-1", "JC-9"]
    again = post(client, dumps([event(1), event(9)]), BATCH)
    assert (again.status_code, again.json()["status"]) == (200, "repeated")
    assert post(client, b"[]", BATCH).json()["status"] == "empty"
    assert post(client, dumps(event(1)), BATCH).status_code == 400
    assert post(client, dumps([{}] * 1001), BATCH).status_code == 413


@pytest.mark.parametrize(("change", "pointer"), [
    ({"specversion": "0.3"}, "/specversion"),
    ({"id": ""}, "/id"),
    ({"id": "x" * 501}, "/id"),
    ({"id": "x" * 201}, "/id"),
    ({"id": "\0"}, "/id"),
    ({"id": 1.5}, "/id"),
    ({"type": None}, "/type"),
    ({"Big": "x"}, "/Big"),
    ({"nested": {"a": 1}}, "/nested"),
    ({"time": "2026-03-02"}, "/time"),
    ({"datacontenttype": "text/xml"}, "/datacontenttype"),
    ({"data_base64": "AAAA"}, "/data_base64"),
    ({"data": [1]}, "/data"),
    ({"sequence": "0"}, "/sequence"),
])
def test_faults_of_the_envelope(client: TestClient, change: dict[str, Any], pointer: str) -> None:
    answer = post(client, dumps(event(1) | change))
    assert answer.status_code == 422
    assert pointer in pointers(answer)


@pytest.mark.parametrize(("content", "pointer"), [
    ({"party_name": "  "}, "/data/party_name"),
    ({"party_name": "名" * 201}, "/data/party_name"),
    ({"party_name": "a\0b"}, "/data/party_name"),
    ({"party_name": "\ud800"}, "/data/party_name"),
    ({"party_name": 7}, "/data/party_name"),
    ({"is_public": "yes"}, "/data/is_public"),
    ({"check_date": "20260302"}, "/data/check_date"),
    ({"check_date": "2026-02-30"}, "/data/check_date"),
    ({"check_date": "２０２６-03-02"}, "/data/check_date"),
    ({"result_codes": ["1", "no such"]}, "/data/result_codes/1"),
    ({"result_codes": "1"}, "/data/result_codes"),
    ({"inspectors": [{"nobody": 1}]}, "/data/inspectors/0/nobody"),
    ({"party_uscc": "91623000739699913B"}, None),
    ({"party_uscc": IDENTITY_NUMBER}, "/data/party_uscc"),
    ({"party_uscc": "9162300073969991"}, "/data/party_uscc"),
    ({"no_such_field": 1}, "/data/no_such_field"),
    ({"a/b~\x7f": 1}, "/data"),
    ({"record_unique_identity": "another"}, "/data/record_unique_identity"),
    ({"department_code": "116230009900000172"}, "/data/department_code"),
    ({"region_code": "110000"}, "/data/region_code"),
    ({"item_name": 10**30}, "/data/item_name"),
])
def test_faults_of_the_data(client: TestClient, content: dict[str, Any], pointer: str | None) -> None:
    body = json.dumps(event(1) | {"data": data(1) | content}).encode()
    answer = post(client, body)
    if pointer is None:
        assert answer.status_code == 202
        assert answer.json()["warnings"][0]["pointer"] == "/data/party_uscc"
        return
    assert answer.status_code == 422
    assert pointer in pointers(answer)
    assert IDENTITY_NUMBER not in answer.text


def test_strange_json_costs_its_own_event_alone(client: TestClient, desk: MemoryDesk) -> None:
    good = dumps(event(1)).decode()
    deep: Any = "x"
    for _ in range(200):
        deep = [deep]
    strange = [
        '{"id": "a", "id": "b"}',
        good.replace('"data": {', '"data": {"remark": "1", "remark": "2", ', 1),
        json.dumps(event(2) | {"data": data(2) | {"remark": deep}}),
        good.replace('"data": {', f'"data": {{"x": {"9" * 10000}, "y": 1e999999999999999999999, ', 1),
        json.dumps(event(3) | {"data": data(3) | {"remark": "\ud83d"}}),
    ]
    answer = post(client, f"[{good}, {', '.join(strange)}, {dumps(event(4)).decode()}]".encode(), BATCH)
    assert (answer.status_code, answer.json()["accepted"], answer.json()["refused"]) == (207, 2, 5)
    assert [each.id for each in desk.taken] == ["JC-1", "JC-4"]


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"id": NaN}', b"[" * 100_000, b"\xef\xbb\xbf{}"])
def test_what_is_no_json_is_refused_whole(client: TestClient, body: bytes) -> None:
    assert post(client, body).status_code == 400


def test_names_that_stand_twice_are_found_in_any_depth() -> None:
    found = parse_strict(b'{"a": [{"b": 1, "b": 2}], "c": 1.10, "d": 12345678901234567890}')
    assert isinstance(found["a"][0], Doubled)
    assert faults_of(found) == [{"pointer": "/a/0/b", "detail": "the name stands twice"}]
    assert (str(found["c"]), found["d"]) == ("1.10", 12345678901234567890)


def test_unicode_comes_through(client: TestClient, desk: MemoryDesk) -> None:
    name = "合作市𠮷祥བོད་商行👨‍👩‍👧"
    assert post(client, dumps(event(1, content={"party_name": name}))).status_code == 202
    assert desk.taken[0].row.value["party_name"] == name


def test_amounts_that_are_equal_are_one_content(client: TestClient, desk: MemoryDesk) -> None:
    penalty = to_plain({**sample(catalog().schema("enforcement/penalty")), "party_certificate_number": None})
    assert isinstance(penalty, dict)
    for name in ("record_unique_identity", "department_code", "department_name"):
        del penalty[name]
    for amount in ("1.50", "1.5", "1.500000"):
        for text in (json.dumps(amount), amount):
            body = dumps(event(1, type="enforcement.penalty.recorded", data=penalty | {"fine_amount": "@"}))
            assert post(client, body.replace(b'"@"', text.encode())).status_code in (200, 202)
    assert len(desk.taken) == 1
    for bad in ('"1_000"', '"１"', "1e400", "0.0000001", "1" * 13, "true", '"-"'):
        body = dumps(event(1, type="enforcement.penalty.recorded", data=penalty | {"fine_amount": "@"}))
        assert pointers(post(client, body.replace(b'"@"', bad.encode()))) == ["/data/fine_amount"]


def test_who_may_come(client: TestClient) -> None:
    body = dumps(event(1))
    for headers in ({}, {"Authorization": "Bearer hubk_wrong"}, {"Authorization": f"Basic {KEY}"}):
        answer = client.post("/v1/events", content=body, headers={"Content-Type": STRUCTURED, **headers})
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert post(client, dumps(event(1, source="/sources/other"))).status_code == 403
    assert post(client, body, "text/plain").status_code == 415
    assert post(client, body, f"{STRUCTURED}; charset=gb18030").status_code == 415
    assert post(client, body, **{"Content-Encoding": "gzip"}).status_code == 415
    assert post(client, b" " * (1024 * 1024 + 1)).status_code == 413
    assert post(client, body, **{"Idempotency-Key": "x" * 256}).status_code == 400


def test_a_key_is_for_its_department_and_its_events() -> None:
    given = source()
    moved = source(department_code="116230009900000252")
    for now_is, expected in ((moved, 403), (source(events=["enforcement.penalty.*"]), 403), (given, 202)):
        entrances = {given.name: Entrance(now_is, receiver(now_is), MemoryDesk())}
        router = events_router(keys_table(given), entrances, department_facts(hub_map()), lambda: NOW)
        with TestClient(create_app([("", router)])) as client:
            assert post(client, dumps(event(1))).status_code == expected


def test_kafka_away_is_said_with_a_time() -> None:
    class Away:
        def submit(self, *_: Any) -> Future[Any]:
            future: Future[Any] = Future()
            future.set_exception(InfrastructureError("away"))
            return future

    class Silent:
        def __init__(self) -> None:
            self.future: Future[Any] = Future()

        def submit(self, *_: Any) -> Future[Any]:
            return self.future

    silent = Silent()
    for desk in (Away(), silent):
        with TestClient(create_app([("", router_of(desk, wait_seconds=0.05))])) as client:
            answer = post(client, dumps(event(1)))
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
    # What still waited when its caller was told so is not taken later.
    assert silent.future.cancelled()


def test_keys_rotate_and_end_and_are_not_kept() -> None:
    given, first, second = source(), new_key(), new_key()
    keys = SourceKeys(given.name, 1).with_key(first, given, NOW, keep=timedelta(0))
    keys = keys.with_key(second, given, NOW, keep=timedelta(hours=1))
    new, old = keys.keys
    assert (new.digest, old.digest) == (digest_of(second), digest_of(first))
    assert old.opens_at(NOW) and not old.opens_at(NOW + timedelta(hours=1)) and new.opens_at(NOW + timedelta(days=900))
    log = KeysLog(catalog())
    output = log.entry(keys)
    assert log.read(output.value) == keys
    assert first.encode() not in (output.value or b"")
    assert (output.topic, output.key) == ("source.keys.v1", b"gannan-law")
    assert [key.key_id for key in keys.without(old.key_id).keys] == [new.key_id]
    assert keys.without(None).keys == ()
    with pytest.raises(InputError):
        keys.without("another")


def test_sources_of_both_kinds_stand_in_one_file(tmp_path: Path) -> None:
    path = tmp_path / "sources.yaml"
    http = source().model_dump(mode="json")
    path.write_text(json.dumps({"sources": [http]}), encoding="utf-8")
    facts = department_facts(hub_map())
    assert load_sources(path) == {}
    assert load_http_sources(path, facts) == {"gannan-law": source()}
    path.write_text(json.dumps({"sources": [http, {**http, "events": ["clock.term.expired"], "name": "b"}]}))
    with pytest.raises(ContractError, match=r"clock\.term\.expired"):
        load_http_sources(path, facts)
    path.write_text(json.dumps({"sources": [http, http]}))
    with pytest.raises(ContractError, match="used twice"):
        load_http_sources(path, facts)
    assert load_http_sources(tmp_path / "none.yaml", facts) == {}


def test_a_body_that_is_no_batch_says_so() -> None:
    with pytest.raises(ProblemError):
        parse_strict(b"[1,]")


@pytest.mark.parametrize(("code", "unread", "pointer"), [
    ("9162300073969991A", "9162300073969991A", None),
    ("办理中", "办理中", None),
    ("623021185006153029", None, "/data/party_uscc"),
    ("623000200001232", None, "/data/party_uscc"),
    ("91623000739699913B", None, None),
])
def test_what_is_no_code_is_left_to_the_register_and_a_persons_number_is_not(
    code: str, unread: str | None, pointer: str | None
) -> None:
    asking = receiver(source(identity="register"))
    given = Incoming({"id": "1", "source": "/sources/gannan-law", "type": TYPE}, data(party_uscc=code))
    if pointer is not None:
        with pytest.raises(ProblemError) as caught:
            asking.read(given, frozenset({TYPE}))
        assert [each["pointer"] for each in caught.value.errors] == [pointer]
        assert code not in str(caught.value.document("/"))
        return
    found = asking.read(given, frozenset({TYPE}))
    assert found.row.unread_code == unread and len(found.warnings) == len(found.row.warnings) == 1
    assert ("party_uscc" in found.row.value) is (unread is None)
    if unread is not None:
        with pytest.raises(ProblemError, match="not valid"):
            receiver(source()).read(given, frozenset({TYPE}))
