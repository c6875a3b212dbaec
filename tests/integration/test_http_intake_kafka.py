"""POST /v1/events against a real Kafka and a real index: one event a version, through races and kills."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
import redis
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from hub.bus.follower import Follower
from hub.bus.publisher import KafkaPublisher
from hub.bus.reader import read_topics
from hub.cli.main import build
from hub.contracts.cloudevents import from_headers
from hub.domain.events import Envelope, event_id
from hub.errors import InputError
from hub.intake.desk import SourceDesk
from hub.intake.forms import Filled, FormDesk
from hub.intake.source_keys import KeysLog, new_key
from hub.intake.source_keys_desk import KeysDesk, KeysTable
from hub.web.app import create_app
from tests.conftest import IndexLike, KafkaLike
from tests.support_contracts import ROOT, catalog
from tests.support_http_intake import BATCH, KEY, STRUCTURED, data, dumps, event, receiver, router_of, source
from tests.support_http_process import TOPICS, desk_of
from tests.support_topics import having

RESULTS = "inspection.results.v1"


@pytest.fixture(scope="module")
def bootstrap(kafka: KafkaLike) -> Iterator[str]:
    """A Kafka with the event topics, made once: their names follow from the event types."""
    with having(kafka.bootstrap, TOPICS) as address:
        yield address


class Hub:
    """One source; as many web sides as a test asks for."""

    def __init__(self, bootstrap: str, redis_url: str, base: Path) -> None:
        self.bootstrap, self.redis_url, self.base = bootstrap, redis_url, base
        #: Its own for each test: the topics are shared by all.
        self.name = f"law-{uuid.uuid4().hex[:8]}"

    @contextmanager
    def web(self, data_dir: str = "data", redis_url: str | None = None) -> Iterator[TestClient]:
        publisher = KafkaPublisher(self.bootstrap, client_id="web")
        desk: SourceDesk = desk_of(
            publisher, self.bootstrap, redis_url or self.redis_url, self.base / data_dir, self.name
        )
        thread = threading.Thread(target=desk.run)
        thread.start()
        given = source(self.name, events=["inspection.result.*", "enforcement.penalty.*"])
        try:
            with TestClient(create_app([("", router_of(desk, given))])) as client:
                client.headers["Authorization"] = f"Bearer {KEY}"
                yield client
        finally:
            desk.stop()
            thread.join()
            publisher.close()

    def event(self, number: int = 1, **more: Any) -> dict[str, Any]:
        return event(number, name=self.name, **more)

    def records(self) -> list[tuple[Envelope, dict[str, Any]]]:
        found = []
        for record in read_topics(self.bootstrap, list(TOPICS)):
            envelope = from_headers(record.headers)
            if envelope.source == f"/sources/{self.name}":
                found.append((envelope, catalog().decode(record.value or b"")[1]))
        return sorted(found, key=lambda each: (each[0].correlation_id, each[0].sequence or 0))


@pytest.fixture
def hub(bootstrap: str, valkey: IndexLike, redis_client: redis.Redis, tmp_path: Path) -> Hub:
    return Hub(bootstrap, valkey.url, tmp_path)


def test_what_a_clerk_fills_in_is_the_next_version_of_what_a_program_sent(hub: Hub) -> None:
    """The same desk, so the same record: versions go on, and the same content is a repeat."""
    given = source(hub.name, events=["inspection.result.*"])
    with hub.web() as client:
        assert post(client, hub.event(naturalkey="案-1")).status_code == 202
        publisher = KafkaPublisher(hub.bootstrap, client_id="portal")
        desk = desk_of(publisher, hub.bootstrap, hub.redis_url, hub.base / "data", hub.name)
        thread = threading.Thread(target=desk.run)
        thread.start()
        try:
            forms = FormDesk(receiver(given), desk, {"inspection.result.recorded": "inspection/result"}, catalog())
            same = forms.submit("inspection.result.recorded", Filled("案-1", data())).result(30)
            changed = forms.submit("inspection.result.recorded", Filled("案-1", data(remark="改"))).result(30)
        finally:
            desk.stop()
            thread.join()
            publisher.close()
        assert (same.status, json.loads(same.body)["status"]) == (200, "repeated")
        assert (changed.status, json.loads(changed.body)["type"]) == (202, "inspection.result.amended")
        assert post(client, hub.event(naturalkey="案-1", content={"remark": "改"})).json()["status"] == "repeated"
    records = hub.records()
    check_versions(records)
    assert [value["remark"] for _, value in records][1:] == ["改"]


def post(client: TestClient | httpx.Client, value: Any, **headers: str) -> Any:
    kind = BATCH if isinstance(value, list) else STRUCTURED
    return client.post("/v1/events", content=dumps(value), headers={"Content-Type": kind, **headers})


def check_versions(records: list[tuple[Envelope, dict[str, Any]]]) -> None:
    """No id twice, no content of a record twice in a row, versions from 1 without a gap."""
    assert len({envelope.id for envelope, _ in records}) == len(records)
    by_entity: dict[str, list[Envelope]] = {}
    for envelope, _ in records:
        by_entity.setdefault(envelope.correlation_id, []).append(envelope)
    for versions in by_entity.values():
        assert [each.sequence for each in versions] == list(range(1, len(versions) + 1))
        assert all(one.digest != next_.digest for one, next_ in pairwise(versions))


def test_new_repeated_changed_amended_and_withdrawn(hub: Hub) -> None:
    with hub.web() as client:
        first = post(client, hub.event(naturalkey="案-1"))
        assert first.status_code == 202
        assert first.json()["event_id"] == event_id(f"/sources/{hub.name}", f"{RESULTS}|案-1", 1)
        again = post(client, hub.event(naturalkey="案-1", id="another"))
        assert (again.status_code, again.json()["status"], again.json()["version"]) == (200, "repeated", 1)
        changed = hub.event(naturalkey="案-1", content={"remark": "改"})
        assert post(client, changed | {"sequence": "3"}).status_code == 409
        assert post(client, changed | {"sequence": "2"}).json()["type"] == "inspection.result.amended"
        amended = hub.event(naturalkey="案-1", type="inspection.result.amended", content={"remark": "再改"})
        assert post(client, amended).json()["version"] == 3
        # The same content, and yet not a repeat: it says that the fact is withdrawn.
        withdrawn = amended | {"type": "inspection.result.withdrawn"}
        assert post(client, withdrawn).json()["type"] == "inspection.result.withdrawn"
        assert post(client, withdrawn).json()["status"] == "repeated"
        unknown = post(client, hub.event(naturalkey="案-2", type="inspection.result.amended"))
        assert (unknown.status_code, unknown.json()["type"]) == (409, "/problems/nothing-to-amend")
    records = hub.records()
    check_versions(records)
    assert [envelope.type.rpartition(".")[2] for envelope, _ in records] == [
        "recorded", "amended", "amended", "withdrawn",
    ]
    assert records[0][1]["record_unique_identity"] == "案-1"
    assert records[0][0].subject == "91623000739699913A"


def test_one_key_twice_in_a_batch_and_a_lost_index(hub: Hub, redis_client: redis.Redis) -> None:
    texts = ["甲", "乙", "乙", "甲"]
    batch = [hub.event(1, content={"remark": text}) for text in texts]
    with hub.web() as client:
        assert post(client, [hub.event(2)]).status_code == 202
        said = post(client, batch).json()
        assert [each["status"] for each in said["results"]] == ["accepted", "accepted", "repeated", "accepted"]
        redis_client.flushdb()
        # It is found out at once, and filled from the log.
        answers = [post(client, [batch[-1], hub.event(2)]) for _ in range(2)]
        assert answers[-1].json()["status"] == "repeated"
    check_versions(hub.records())
    assert len(hub.records()) == 4


def test_an_idempotency_key_gets_the_same_answer(hub: Hub) -> None:
    with hub.web() as client, hub.web() as other:
        first = post(client, hub.event(), **{"Idempotency-Key": "k1"})
        again = post(other, hub.event(), **{"Idempotency-Key": "k1"})
        assert (first.status_code, again.status_code, again.content) == (202, 202, first.content)
        assert again.headers["idempotency-replayed"] == "true"
        reused = post(client, hub.event(content={"remark": "改"}), **{"Idempotency-Key": "k1"})
        assert (reused.status_code, reused.json()["type"]) == (422, "/problems/idempotency-key-reused")
        with ThreadPoolExecutor(8) as pool:
            both = (client, other)
            answers = list(pool.map(
                lambda n: post(both[n % 2], hub.event(7), **{"Idempotency-Key": "k2"}).content, range(8)
            ))
        assert len(set(answers)) == 1
    assert len(hub.records()) == 2


def test_ten_thousand_in_batches_from_several_clients(hub: Hub) -> None:
    batches = [[hub.event(number) for number in range(start, start + 500)] for start in range(0, 10_000, 500)]
    with hub.web() as client, hub.web() as other, ThreadPoolExecutor(4) as pool:
        both = (client, other)
        answers = list(pool.map(lambda n: post(both[n % 2], batches[n]), range(len(batches))))
    assert [answer.status_code for answer in answers] == [202] * 20
    said = [each["event_id"] for answer in answers for each in answer.json()["results"]]
    records = hub.records()
    check_versions(records)
    assert sorted(said) == sorted(envelope.id for envelope, _ in records)


@pytest.mark.parametrize("folders", [("data", "data"), ("data", "machine-2")], ids=["one-machine", "two-machines"])
def test_the_same_key_from_two_processes_at_once(hub: Hub, folders: tuple[str, str]) -> None:
    """Twelve contents of each of five records, in any order: one event a version, each content answered."""
    jobs = [(number, text) for number in range(5) for text in range(12)] * 2
    random.Random(20260302).shuffle(jobs)
    with hub.web(folders[0]) as client, hub.web(folders[1]) as other, ThreadPoolExecutor(8) as pool:
        both = (client, other)

        def send(at: int) -> Any:
            number, text = jobs[at]
            answer = post(both[at % 2], hub.event(number, content={"remark": str(text)}))
            assert answer.status_code in (200, 202)
            return answer.json()

        answers = list(pool.map(send, range(len(jobs))))
    records = hub.records()
    check_versions(records)
    accepted = [each["event_id"] for each in answers if each["status"] == "accepted"]
    assert sorted(accepted) == sorted(envelope.id for envelope, _ in records)
    # Whoever was told "accepted" finds his content under that id and no other.
    remarks = {envelope.id: value["remark"] for envelope, value in records}
    assert all(remarks[each["event_id"]] == str(jobs[at][1]) for at, each in enumerate(answers))


def test_redis_away_is_503_and_nothing_is_taken(hub: Hub) -> None:
    with hub.web(redis_url="redis://127.0.0.1:1/0") as client:
        answer = post(client, hub.event())
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
    assert hub.records() == []


def start(hub: Hub) -> tuple[subprocess.Popen[str], httpx.Client]:
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.support_http_process", hub.bootstrap, hub.redis_url, str(hub.base / "data"),
         hub.name, KEY],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True, stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    port = int(child.stdout.readline())
    client = httpx.Client(
        base_url=f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {KEY}"}, timeout=60, trust_env=False
    )
    return child, client


def end(child: subprocess.Popen[str], client: httpx.Client) -> None:
    child.send_signal(signal.SIGKILL)
    client.close()
    if child.stdout is not None:
        child.stdout.close()
    child.wait(timeout=30)


def test_killed_in_between_and_sent_again(hub: Hub) -> None:
    """kill -9 while batches are on their way; the client repeats what was not answered."""
    chance = random.Random(20260303)
    open_batches = [[hub.event(number) for number in range(start, start + 100)] for start in range(0, 4000, 100)]
    promised: list[str] = []
    kills = 0
    while open_batches:
        child, client = start(hub)
        # The last one lives.
        killer = threading.Timer(0.05 + chance.random() * 0.4, child.send_signal, [signal.SIGKILL])
        is_first = kills < 3
        while open_batches:
            try:
                answer = post(client, open_batches[0])
            except httpx.TransportError:
                kills += 1
                break
            assert answer.status_code in (200, 202)
            promised += [each["event_id"] for each in answer.json()["results"]]
            open_batches.pop(0)
            if is_first:
                killer.start()
                is_first = False
        killer.cancel()
        end(child, client)
    assert kills >= 2
    records = hub.records()
    check_versions(records)
    assert len(records) == 4000 == len(promised)
    assert {envelope.id for envelope, _ in records} == set(promised)


def test_how_long_a_single_event_takes(hub: Hub) -> None:
    """No promise of a rate; but one waits for the replicas and for nothing else."""
    with hub.web() as client:
        post(client, hub.event(0))
        started = time.monotonic()
        for number in range(1, 51):
            assert post(client, hub.event(number)).status_code == 202
        assert time.monotonic() - started < 20


def test_the_content_is_what_was_sent(hub: Hub) -> None:
    content = {"remark": "བོད་ 𠮷 \n\t“引号”", "check_date": "2026-03-02", "inspectors": []}
    with hub.web() as client:
        assert post(client, hub.event(content=content)).status_code == 202
    ((_, value),) = hub.records()
    plain = json.loads(json.dumps(value, default=str))
    assert plain["remark"] == content["remark"] and plain["check_date"] == "2026-03-02"
    assert data(1)["party_name"] == plain["party_name"]


def test_keys_are_made_followed_and_ended_on_the_log(
    bootstrap: str, create_topics: Callable[..., None]
) -> None:
    create_topics("source.keys.v1", partitions=1, config={"cleanup.policy": "compact"})
    given, first, second = source(), new_key(), new_key()
    with closing(KafkaPublisher(bootstrap, client_id="keys")) as publisher:
        log = KeysLog(catalog())
        desk = KeysDesk(bootstrap, publisher, log, lambda: datetime.now(UTC))
        table = KeysTable(Follower(bootstrap, "source.keys.v1", look_seconds=0.05), log, pause_seconds=0.05)
        thread = threading.Thread(target=table.run)
        thread.start()

        def opens(text: str) -> bool:
            return table.find(text, datetime.now(UTC)) is not None

        def becomes(text: str, expected: bool) -> None:
            deadline = time.monotonic() + 30
            while opens(text) is not expected:
                assert time.monotonic() < deadline
                time.sleep(0.05)

        try:
            hour = timedelta(hours=1)
            desk.change(
                given.name, lambda keys: keys.with_key(first, given, datetime.now(UTC), keep=hour), by="扎西东智",
                reason="首次",
            )
            becomes(first, True)

            def rotate(text: str) -> int:
                return desk.change(
                    given.name, lambda keys: keys.with_key(text, given, datetime.now(UTC), keep=hour),
                    by="才让卓玛", reason="轮换",
                ).revision

            with ThreadPoolExecutor(2) as pool:  # of two at once neither is lost
                assert set(pool.map(rotate, (second, new_key()))) == {2, 3}
            becomes(second, True)
            assert opens(first)
            with pytest.raises(InputError):
                desk.change(given.name, lambda keys: keys.without(None), by="x", reason=" ")
            desk.change(given.name, lambda keys: keys.without(None), by="扎西东智", reason="系统下线")
            becomes(first, False)
            assert not opens(second)
        finally:
            table.stop()
            thread.join()
        assert [keys.reason for _, keys in desk.history()][-1] == "系统下线"
    raw = b"".join(record.value or b"" for record in read_topics(bootstrap, ["source.keys.v1"]))
    assert first.encode() not in raw and second.encode() not in raw


def test_the_command_makes_shows_and_ends_keys(
    bootstrap: str, create_topics: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_topics("source.keys.v1", partitions=1, config={"cleanup.policy": "compact"})
    create_topics("audit.acts.v1", partitions=1)
    monkeypatch.setenv("HUB_BOOTSTRAP_SERVERS", bootstrap)
    entry = source().model_dump(mode="json")
    (tmp_path / "sources.yaml").write_text(json.dumps({"sources": [entry]}), encoding="utf-8")

    def run(*words: str, expected: int = 0) -> Any:
        done = CliRunner().invoke(build(["sources"]), ["sources", *words, "--data", str(tmp_path), "--json"])
        assert done.exit_code == expected, done.output
        return json.loads(done.stdout) if done.stdout else None

    assert run("list", expected=1)[0]["is_open"] is False
    made = run("key", "gannan-law", "--reason", "首次", "--by", "扎西东智")
    assert made["key"].startswith("hubk_") and made["is_open"] and made["keys"][0]["events"] == entry["events"]
    run("key", "gannan-law", "--reason", "轮换", "--keep-hours", "0")
    (shown,) = run("list")
    assert (shown["revision"], len(shown["keys"])) == (2, 1)
    run("revoke", "gannan-law", "--reason", "系统下线")
    history = run("show", "gannan-law")["history"]
    assert [each["reason"] for each in history] == ["首次", "轮换", "系统下线"]
    run("key", "nobody", "--reason", "x", expected=2)
    run("revoke", "gannan-law", "--reason", "x", expected=1)
