"""What is handed in by HTTP asks the register and counts as one fact with what files say, on a real Kafka and index."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from confluent_kafka.cimpl import NewTopic

from hub.bus.publisher import KafkaPublisher
from hub.bus.reader import read_topics
from hub.contracts.cloudevents_http import Incoming
from hub.domain.calendar import local_date
from hub.domain.facts import FactRule
from hub.errors import InfrastructureError
from hub.intake.answers_kept import Answer
from hub.intake.desk import DeskMeans, SourceDesk
from hub.intake.guards.events_of_day import events_of_day
from hub.intake.identity.desk import IdentityDesk
from hub.intake.identity.load import load_register
from hub.intake.identity.waits import Wait
from hub.intake.results import shown
from hub.intake.versions import utc_now
from tests.conftest import IndexLike, KafkaLike
from tests.support_contracts import ROOT, catalog
from tests.support_http_intake import data, receiver, source
from tests.support_identity import IDENTITY_TOPICS, REGISTER, write_register
from tests.support_killed import ROUNDS
from tests.support_topics import having

RESULTS, WITNESSES = "inspection.results.v1", "intake.witnesses.v1"
TOPICS = {RESULTS: "inspection/result"}
YAK, SHOP, OTHER_SHOP = REGISTER[0][0], REGISTER[1][0], REGISTER[2][0]
RULE = FactRule(("behaviour_number",), ("check_date", "remark"), ())
RECORDED = "inspection.result.recorded"


@pytest.fixture(scope="module")
def bootstrap(kafka: KafkaLike, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    compacted = [NewTopic(name, 1, -1, config={"cleanup.policy": "compact"}) for name in IDENTITY_TOPICS]
    with having(kafka.bootstrap, (RESULTS, WITNESSES, "intake.rejections.v1"), *compacted) as address:
        publisher = KafkaPublisher(address, client_id="test")
        load_register(
            write_register(tmp_path_factory.mktemp("register") / "r.csv"), address, catalog(), publisher, utc_now()
        )
        publisher.close()
        yield address


class Hub:
    """Sources of names of their own that ask the register; facts are told from those of other tests by ``mark``."""

    def __init__(self, bootstrap: str, redis_url: str, base: Path, mark: str) -> None:
        self.bootstrap, self.redis_url, self.base, self.mark = bootstrap, redis_url, base, mark

    def name(self, source_name: str) -> str:
        return f"{source_name}-{self.mark}"

    def desk_of(self, name: str, publisher: KafkaPublisher, **facts: FactRule) -> SourceDesk:
        client = redis.Redis.from_url(self.redis_url, socket_timeout=5, socket_connect_timeout=2)
        means = DeskMeans(
            catalog(), self.bootstrap, client, self.base / "data", b"only-for-tests", publisher,
            facts={RESULTS: FactRule(RULE.key, RULE.same, tuple(map(self.name, ("province", "platform"))))} | facts,
        )
        return SourceDesk(self.name(name), TOPICS, means, asks_register=True)

    @contextmanager
    def desk(self, name: str = "platform") -> Iterator[Callable[..., dict[str, Any]]]:
        """Hands in one record of a source; gives what the sender is told."""
        publisher = KafkaPublisher(self.bootstrap, client_id="web")
        desk = self.desk_of(name, publisher)
        thread = threading.Thread(target=desk.run)
        thread.start()
        try:
            yield lambda content, number="1", type_=RECORDED, **more: self.hand_in(
                desk, name, content, number, type_, **more
            )
        finally:
            desk.stop()
            thread.join()
            publisher.close()

    def hand_in(
        self, desk: SourceDesk, name: str, content: dict[str, Any], number: str = "1", type_: str = RECORDED,
        **more: Any,
    ) -> dict[str, Any]:
        reader = receiver(source(self.name(name), identity="register", events=["inspection.result.*"]))
        attributes = {
            "id": number, "source": f"/sources/{self.name(name)}", "type": type_, "naturalkey": f"案-{number}", **more,
        }
        said = {
            **data(1), "behaviour_number": f"{self.mark}-{number}", "legal_representative": None,
            "party_registration_number": None, **content,
        }
        submission = reader.read(Incoming(attributes, said), frozenset({RECORDED, type_}))

        def finish(results: Any) -> Answer:
            (result,) = results
            if isinstance(result, Exception):
                return Answer(result.status, json.dumps(result.document("/")).encode())  # type: ignore[attr-defined]
            return Answer(200 if result.status == "repeated" else 202, json.dumps(
                shown(number, result, submission.warnings)
            ).encode())

        answer = desk.submit([submission], finish).result(60)
        found: dict[str, Any] = json.loads(answer.body)
        return {"http": answer.status, **found}

    def records(self, topic: str = RESULTS) -> list[dict[str, Any]]:
        found = []
        for record in read_topics(self.bootstrap, [topic]):
            headers = {name: value.decode() for name, value in record.headers}
            if headers["ce_source"].endswith(f"-{self.mark}"):
                found.append({
                    **headers, "key": (record.key or b"").decode(),
                    "value": catalog().decode(record.value or b"")[1],
                })
        return sorted(found, key=lambda each: (each.get("ce_naturalkey", ""), int(each.get("ce_sequence", 0))))

    def identity_desk(self, publisher: KafkaPublisher) -> IdentityDesk:
        return IdentityDesk(self.bootstrap, catalog(), publisher, utc_now)

    def waits(self, state: str = "waiting") -> list[Wait]:
        publisher = KafkaPublisher(self.bootstrap, client_id="test")
        try:
            return [
                each for each in self.identity_desk(publisher).waits()[0]
                if each.source.endswith(f"-{self.mark}") and each.state == state
            ]
        finally:
            publisher.close()

    def decide(self, wait_id: str, uscc: str | None) -> None:
        publisher = KafkaPublisher(self.bootstrap, client_id="test")
        try:
            self.identity_desk(publisher).decide(wait_id, uscc, by="王实验", reason="与营业执照核对")
        finally:
            publisher.close()

    def until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not holds():
            assert time.monotonic() < deadline, "it did not come about"
            time.sleep(0.1)


@pytest.fixture
def hub(bootstrap: str, valkey: IndexLike, redis_client: redis.Redis, tmp_path: Path) -> Hub:
    return Hub(bootstrap, valkey.url, tmp_path, uuid.uuid4().hex[:8])


def company(**more: Any) -> dict[str, Any]:
    return {
        "party_name": "合作市雪域牦牛乳业有限责任公司", "party_kind": "02", "legal_representative": "扎西东智", **more,
    }


def shop(**more: Any) -> dict[str, Any]:
    """A shop that two counties have: nobody can be sure."""
    return {"party_name": "兴旺超市", "party_kind": "02", "party_uscc": None, "region_code": "623000", **more}


def test_certain_waiting_and_nobody(hub: Hub) -> None:
    with hub.desk() as hand_in:
        right = hand_in(company(party_uscc=None), "1")
        assert (right["http"], right["status"], right["state"]) == (202, "accepted", "accepted")
        typo = hand_in(company(party_uscc="9162300073969991A"), "2")
        assert typo["status"] == "accepted" and typo["warnings"][0]["pointer"] == "/data/party_uscc"
        waiting = hand_in(shop(), "3")
        assert (waiting["http"], waiting["status"], waiting["state"]) == (202, "waiting", "waiting")
        again = hand_in(shop(), "3")
        assert (again["http"], again["status"], again["state"]) == (200, "repeated", "waiting")
        assert (again["wait_id"], again["event_id"]) == (waiting["wait_id"], waiting["event_id"])
        unlike = company(party_name="夏河县拉卜楞唐卡工作室", legal_representative="桑吉", party_uscc=None)
        nobody = hand_in(unlike, "4")
        assert (nobody["http"], nobody["type"]) == (422, "/problems/unidentified")
        assert nobody["errors"][0]["pointer"] == "/data/party_uscc"
    records = hub.records()
    assert [each["key"] for each in records] == [YAK, YAK]
    assert {each["ce_identifiedby"] for each in records} == {"register"}
    assert [each.wait_id for each in hub.waits()] == [waiting["wait_id"]]


def test_what_a_person_decides_is_done_without_a_request(hub: Hub, redis_client: redis.Redis) -> None:
    with hub.desk() as hand_in:
        first, second = hand_in(shop(), "1"), hand_in(shop(), "2")
        hub.decide(first["wait_id"], OTHER_SHOP)
        hub.decide(second["wait_id"], None)
        hub.until(lambda: not hub.waits())
        (event,) = hub.records()
        assert (event["key"], event["ce_id"], event["ce_identifiedby"]) == (OTHER_SHOP, first["event_id"], "person")
        redis_client.flushdb()
        # A lost index is found out at the first question.
        hub.until(lambda: _is_answered(lambda: hand_in(shop(), "1")))
        again, refused = hand_in(shop(), "1"), hand_in(shop(), "2")
        assert (again["status"], again["state"], again["event_id"]) == ("repeated", "accepted", first["event_id"])
        assert (refused["status"], refused["state"]) == ("repeated", "rejected") and "event_id" not in refused
        assert "与营业执照核对" in refused["warnings"][-1]["detail"]
        # The next version of the decided one is the same enterprise's, without asking again.
        changed = hand_in(shop(remark="改"), "1")
        assert (changed["status"], changed["version"], changed["type"]) == (
            "accepted", 2, "inspection.result.amended",
        )
        assert [each["key"] for each in hub.records()] == [OTHER_SHOP, OTHER_SHOP]
        # The day's manifest counts what was answered as accepted, and so not what a person decided.
        said = events_of_day(hub.bootstrap, [RESULTS], hub.name("platform"), local_date(utc_now()))
        assert list(said) == [changed["event_id"]]


def _is_answered(ask: Callable[[], object]) -> bool:
    try:
        ask()
    except InfrastructureError:
        return False
    return True


def test_other_content_ends_a_wait_and_an_amendment_keeps_its_state(hub: Hub) -> None:
    with hub.desk() as hand_in:
        assert hand_in(shop(), "1")["state"] == "waiting"
        amended = hand_in(shop(remark="改"), "1", "inspection.result.amended")
        assert (amended["status"], amended["version"]) == ("waiting", 1)
        (wait,) = hub.waits()
        assert wait.event_type == RECORDED
        assert hand_in(shop(party_uscc=SHOP), "1", sequence="1")["status"] == "accepted"
    assert hub.waits() == [] and len(hub.waits("superseded")) == 1
    assert [(each["key"], each["ce_type"]) for each in hub.records()] == [(SHOP, RECORDED)]


def test_a_decision_made_while_nobody_ran_is_done_by_whoever_comes(hub: Hub) -> None:
    with hub.desk() as hand_in:
        waiting = hand_in(shop(), "1")
    hub.decide(waiting["wait_id"], SHOP)
    with hub.desk(), hub.desk():
        hub.until(lambda: bool(hub.waits("matched")))
    assert [each["ce_id"] for each in hub.records()] == [waiting["event_id"]]


def test_two_ways_of_one_fact(hub: Hub) -> None:
    with hub.desk("platform") as platform, hub.desk("province") as province:
        first = platform(company(party_uscc=YAK, remark="一"))
        same = province(company(party_uscc=YAK, remark="一"))
        assert (same["http"], same["status"], same["state"]) == (202, "witness", "witness")
        assert same["witness_of"] == first["event_id"] and "event_id" not in same and "differs" not in same
        again = province(company(party_uscc=YAK, remark="一"))
        assert (again["http"], again["status"], again["witness_of"]) == (200, "repeated", first["event_id"])
        # An amendment of what bears witness leaves its state, and the province goes before the platform.
        overtaken = province(company(party_uscc=YAK, remark="二"), "1", "inspection.result.amended")
        assert (overtaken["status"], overtaken["version"]) == ("accepted", 2)
        late = platform(company(party_uscc=YAK, remark="三"))
        assert (late["status"], late["differs"], late["witness_of"]) == ("witness", ["remark"], overtaken["event_id"])
    records = hub.records()
    assert [each["ce_type"].rpartition(".")[2] for each in sorted(records, key=lambda r: r["ce_sequence"])] == [
        "recorded", "amended",
    ]
    assert len({each["ce_correlationid"] for each in records}) == 1


def test_what_waited_and_turns_out_a_witness_waits_no_more(hub: Hub) -> None:
    with hub.desk("platform") as platform, hub.desk("province") as province:
        platform(shop(party_uscc=SHOP))
        assert province(shop())["state"] == "waiting"
        assert province(shop(party_uscc=SHOP))["state"] == "witness"
    assert hub.waits() == [] and len(hub.waits("superseded")) == 1
    assert len(hub.records()) == 1


def test_what_a_person_matched_is_one_fact_with_what_others_say(hub: Hub) -> None:
    with hub.desk("platform") as platform, hub.desk("province") as province:
        first = platform(shop(party_uscc=SHOP))
        for number in "12":
            hub.decide(province(shop(), number)["wait_id"], SHOP)
        hub.until(lambda: len(hub.waits("matched")) == 2)
        # The one says what the platform said, the other what nobody said before.
        again = province(shop())
        assert (again["status"], again["state"], again["witness_of"]) == ("repeated", "witness", first["event_id"])
        assert province(shop(), "2")["state"] == "accepted"
        assert platform(shop(party_uscc=SHOP), "2")["state"] == "witness"
        # Whose it is, is known from now on; the province goes before the platform.
        overtaken = province(shop(remark="改"), "1", "inspection.result.amended")
        assert (overtaken["status"], overtaken["version"]) == ("accepted", 2)
    assert len(hub.records()) == 3 and len({each["ce_correlationid"] for each in hub.records()}) == 2
    assert [each["value"]["kind"] for each in hub.records(WITNESSES)].count("same") == 2


def test_what_a_person_matched_overtakes_nobody_until_it_says_something_else(hub: Hub) -> None:
    with hub.desk("platform") as platform, hub.desk("province") as province:
        first = platform(shop(party_uscc=SHOP))
        hub.decide(province(shop(remark="二"))["wait_id"], SHOP)
        hub.until(lambda: bool(hub.waits("matched")))
        (conflict,) = hub.records(WITNESSES)
        assert (conflict["value"]["kind"], conflict["value"]["differs"]) == ("conflict", ["remark"])
        assert [each["ce_id"] for each in hub.records()] == [first["event_id"]]
        assert province(shop(remark="三"))["version"] == 2


def test_a_witness_that_is_sent_again_behind_a_correction_is_accepted(hub: Hub) -> None:
    with hub.desk("platform") as platform, hub.desk("province") as province:
        platform(company(party_uscc=YAK), "1", naturalkey="案-甲")
        for _ in range(2):
            assert province(company(party_uscc=YAK), "1")["state"] == "witness"
        assert platform(company(party_uscc=YAK), "2", naturalkey="案-甲")["status"] == "accepted"
        again = province(company(party_uscc=YAK), "1", sequence="1")
        assert (again["http"], again["status"], again["version"]) == (202, "accepted", 1)
        assert province(company(party_uscc=YAK), "1")["state"] == "accepted"
    assert [each["ce_sequence"] for each in hub.records()] in (["1", "2", "1"], ["1", "1", "2"])


_CHILD = """
import os, signal, sys, threading
from pathlib import Path
from hub.bus.publisher import KafkaPublisher
from hub.intake.facts.book import FactBook
from hub.state.seen_index import SeenIndex
from tests.integration.test_http_identity_kafka import Hub, company, shop, YAK
bootstrap, redis_url, base, mark, where = sys.argv[1:]
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
hub = Hub(bootstrap, redis_url, Path(base), mark)
desk = hub.desk_of("province", KafkaPublisher(bootstrap, client_id="web"))
threading.Thread(target=desk.run, daemon=True).start()
hub.hand_in(desk, "province", company(party_uscc=YAK), "9")
if where == "on-log":
    SeenIndex.write = die
else:
    FactBook.store = die
hub.hand_in(desk, "province", shop() if where == "on-log" else company(party_uscc=YAK), "2")
"""


@pytest.mark.parametrize("where", ["on-log", "fact-not-stored"] if ROUNDS else ["on-log"])
def test_killed_and_sent_again_nothing_is_doubled(hub: Hub, valkey: IndexLike, where: str) -> None:
    with hub.desk("platform") as platform:
        first = platform(company(party_uscc=YAK), "1")
        child = subprocess.run(
            [sys.executable, "-c", _CHILD, hub.bootstrap, valkey.url, str(hub.base), hub.mark, where], cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False, timeout=120,
        )
        assert child.returncode == -signal.SIGKILL, child.stderr
        # Before the killed one comes back, the other says the same of what it had published.
        if where == "fact-not-stored":
            assert platform(company(party_uscc=YAK), "2")["status"] == "witness"
    with hub.desk("province") as province:
        again = province(shop() if where == "on-log" else company(party_uscc=YAK), "2")
        assert again["status"] == "repeated"
        assert again["state"] == ("waiting" if where == "on-log" else "accepted")
        if where == "on-log":
            hub.decide(again["wait_id"], SHOP)
            hub.until(lambda: not hub.waits())
    ids = [each["ce_id"] for each in hub.records()]
    assert len(ids) == len(set(ids)) == 3 and first["event_id"] in ids
