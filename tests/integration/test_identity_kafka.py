"""Rows without a valid code, against a real Kafka: certain ones go on, others wait for a person, none is doubled."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import redis
from confluent_kafka.cimpl import NewTopic

from hub.domain.facts import FactRule
from hub.errors import InputError
from hub.intake.identity.load import load_register
from hub.intake.versions import utc_now
from hub.ops.trace import steps_of
from tests.conftest import IndexLike, KafkaLike
from tests.support_identity import (
    CODE,
    IDENTITY_TOPICS,
    REGISTER,
    TOPICS,
    IdentityHub,
    nameless,
    write_register,
)
from tests.support_intake import ROOT, catalog, inspection
from tests.support_topics import having

YAK, SHOP, OTHER_SHOP = REGISTER[0][0], REGISTER[1][0], REGISTER[2][0]


@pytest.fixture(scope="module")
def bootstrap(kafka: KafkaLike) -> Iterator[str]:
    compacted = [NewTopic(name, 1, -1, config={"cleanup.policy": "compact"}) for name in IDENTITY_TOPICS]
    with having(kafka.bootstrap, (*TOPICS, "intake.witnesses.v1"), *compacted) as address:
        yield address


@pytest.fixture
def hub(bootstrap: str, valkey: IndexLike, redis_client: redis.Redis, tmp_path: Path) -> Iterator[IdentityHub]:
    found = IdentityHub(bootstrap, valkey.url, tmp_path)
    yield found
    found.publisher.close()


def test_what_is_certain_goes_on_and_says_how_it_was_identified(hub: IdentityHub) -> None:
    hub.drop(
        "1.csv", inspection(1), inspection(2, **{CODE: ""}), inspection(3, **{CODE: "91623000739699913B"}),
        inspection(4, **{CODE: "9162300073969991A"}), inspection(5, **{CODE: "623000200001232"}),
    )
    counts = hub.run()
    assert (counts.read, counts.accepted, counts.waiting) == (5, {"recorded": 5}, 0)
    records = {record["value"]["behaviour_number"]: record for record in hub.records()}
    assert {record["key"] for record in records.values()} == {YAK.encode()}
    assert {record["value"]["party_uscc"] for record in records.values()} == {YAK}
    assert "ce_identifiedby" not in records["JC000001"]
    for number in ("JC000002", "JC000003", "JC000004", "JC000005"):
        assert records[number]["ce_identifiedby"] == "register"
    assert records["JC000003"]["ce_identityreason"].startswith(
        "name equal after normalisation 0.60; the only one of this name 0.20; one character of the code wrong 0.45"
    )


def test_nobody_goes_back_with_the_nearest_names_and_no_number(hub: IdentityHub) -> None:
    hub.drop("1.csv", inspection(1), inspection(2, **{
        CODE: "", "检查对象名称": "夏河县拉卜楞唐卡工作室", "法定代表人": "桑吉"
    }), inspection(3, **{"检查对象名称": "合作市雪域牦牛毛纺厂", CODE: "", "法定代表人": ""}))  # fmt: skip
    counts = hub.run()
    assert (counts.accepted, counts.rejected, counts.waiting) == ({"recorded": 1}, {"identity": 2}, 0)
    rejections = hub.records("intake.rejections.v1")
    assert [(each["value"]["row"], each["value"]["problem_code"]) for each in rejections] == [
        (3, "identity"), (4, "identity"),
    ]
    assert "合作市雪域牦牛乳业有限责任公司" in rejections[1]["value"]["problem"]
    assert not any(code in each["value"]["problem"] for each in rejections for code in (YAK, SHOP, OTHER_SHOP))
    assert "桑吉" not in rejections[0]["value"]["problem"]


def test_a_person_decides_and_the_event_goes_out_under_the_right_subject(hub: IdentityHub) -> None:
    hub.drop("1.csv", nameless(1), inspection(2))
    first = hub.run()
    assert (first.read, first.accepted_total, first.waiting) == (2, 1, 1)
    assert "人工确认" in (hub.folder / "done" / "1.csv.errors.csv").read_text(encoding="utf-8-sig")
    (wait,) = hub.waits()
    assert (wait.party_name, wait.version, wait.event_type) == ("兴旺超市", 1, "inspection.result.recorded")
    assert {offer.uscc for offer in wait.candidates} >= {SHOP, OTHER_SHOP}
    assert len(hub.records()) == 1
    with pytest.raises(InputError, match="no valid unified social credit code"):
        hub.desk.decide(wait.wait_id, "91623000739699913B", by="王实验", reason="笔误")

    decision = hub.decide(wait, OTHER_SHOP)
    with pytest.raises(InputError, match="decided by 王实验"):
        hub.decide(wait, SHOP)
    hub.run()
    event = next(record for record in hub.records() if record["value"]["behaviour_number"] == "JC000001")
    assert (event["key"], event["ce_subject"]) == (OTHER_SHOP.encode(), OTHER_SHOP)
    assert (event["ce_id"], event["ce_sequence"], event["ce_correlationid"]) == (wait.event_id, "1", wait.wait_id)
    assert (event["ce_identifiedby"], event["ce_causationid"]) == ("person", decision.decision_id)
    assert (event["value"]["party_uscc"], event["value"]["party_kind"]) == (OTHER_SHOP, "04")
    assert hub.waits() == [] and hub.waits("matched")[0].decided_by == "王实验"
    # The same file again: nothing new. A later version of the row is his as well, without asking again.
    hub.drop("1.csv", nameless(1), inspection(2))
    assert hub.run().repeated == 2
    hub.drop("2.csv", nameless(1, 备注="改"))
    assert hub.run().accepted == {"amended": 1}
    versions = [r for r in hub.records() if r["ce_correlationid"] == wait.wait_id]
    assert [(r["key"], r["ce_sequence"]) for r in versions] == [(OTHER_SHOP.encode(), "1"), (OTHER_SHOP.encode(), "2")]


def test_the_way_of_a_row_that_waited_is_traced(hub: IdentityHub) -> None:
    hub.drop("1.csv", nameless(1))
    hub.run()
    (wait,) = hub.waits()
    hub.decide(wait, SHOP)
    hub.run()
    from hub.bus.reader import read_topics

    records = read_topics(hub.bootstrap, [*TOPICS, *IDENTITY_TOPICS])
    said = [step.what for step in steps_of(records, catalog(), subject=None, event_id=wait.event_id)]
    assert any("waiting" in line and "兴旺超市" not in line for line in said), said
    assert any(f"a person decided: matched {SHOP}" in line for line in said), said
    assert any("identified by person" in line for line in said), said


def test_a_rejected_row_goes_back_once_and_comes_again_with_its_code(hub: IdentityHub) -> None:
    hub.drop("1.csv", nameless(1))
    hub.run()
    hub.decide(hub.waits()[0], None)
    hub.run()
    hub.run()
    (rejection,) = hub.records("intake.rejections.v1")
    assert (rejection["value"]["row"], rejection["value"]["problem_code"]) == (2, "identity")
    assert "与营业执照核对" in rejection["value"]["problem"]
    hub.drop("1.csv", nameless(1))
    assert hub.run().repeated == 1
    hub.drop("1.csv", nameless(1, **{CODE: SHOP}))
    assert hub.run().accepted == {"recorded": 1}
    (event,) = hub.records()
    assert (event["ce_sequence"], event["key"]) == ("1", SHOP.encode())


def test_a_row_that_a_person_matched_is_one_fact_with_another_source_s(
    hub: IdentityHub, redis_client: redis.Redis, tmp_path: Path
) -> None:
    other = IdentityHub(hub.bootstrap, hub.redis_url, tmp_path / "other")
    hub.facts = other.facts = {TOPICS[0]: FactRule(("behaviour_number",), ("check_date", "remark"))}
    with closing(other.publisher):
        hub.drop("1.csv", nameless(901), nameless(902))
        assert hub.run().waiting == 2
        other.drop("1.csv", nameless(901, **{CODE: SHOP}))
        assert other.run().accepted == {"recorded": 1}
        for wait in hub.waits():
            hub.decide(wait, SHOP)
        hub.run()
        assert [each["value"]["behaviour_number"] for each in hub.records()] == ["JC000902"]
        (witness,) = hub.records("intake.witnesses.v1")
        assert (witness["value"]["kind"], witness["value"]["first_source"]) == ("same", other.source)
        other.drop("2.csv", nameless(902, **{CODE: SHOP}))
        assert other.run().witnessed == 1
        # Nothing of it is forgotten with the index; the other corrects its code, and leaves the fact.
        redis_client.flushdb()
        hub.drop("2.csv", nameless(901), nameless(902))
        assert hub.run().repeated == 2 and len(hub.waits("matched")) == 2
        other.drop("3.csv", nameless(901, **{CODE: OTHER_SHOP}))
        assert other.run().accepted == {"amended": 1}
        hub.drop("3.csv", nameless(901), nameless(902))
        counts = hub.run()
        assert (counts.accepted, counts.repeated) == ({"recorded": 1}, 1)
    records = {record["value"]["behaviour_number"]: record for record in hub.records()}
    assert records["JC000901"]["ce_identifiedby"] == "person" and len(records) == 2


def test_content_that_comes_while_a_row_waits_replaces_it(hub: IdentityHub, redis_client: redis.Redis) -> None:
    hub.drop("1.csv", nameless(1))
    hub.run()
    old = hub.waits()[0]
    hub.drop("2.csv", nameless(1, 备注="改"))
    assert hub.run().waiting == 1
    new = hub.waits()[0]
    assert (new.event_id, new.version) == (old.event_id, 1) and new.digest != old.digest
    redis_client.flushdb()  # all of it is rebuilt from the log
    hub.drop("2.csv", nameless(1, 备注="改"))
    assert hub.run().repeated == 1
    hub.drop("3.csv", nameless(1, **{CODE: SHOP}))
    assert hub.run().accepted == {"recorded": 1}
    assert hub.waits() == [] and len(hub.waits("superseded")) == 1
    redis_client.flushdb()
    hub.drop("4.csv", nameless(1, **{CODE: SHOP}), nameless(1))
    counts = hub.run()
    assert (counts.repeated, counts.waiting) == (1, 1)
    assert hub.waits()[0].event_type == "inspection.result.amended"
    (event,) = hub.records()
    assert (event["ce_id"], event["ce_sequence"]) == (old.event_id, "1")


_CHILD = """
import os, signal, sys
from pathlib import Path
from hub.intake.identity.settler import Settler
from hub.intake.ledger import Ledger
from tests.support_identity import SECRET
from tests.support_intake import catalog, config
from hub.intake.build import build_intake
bootstrap, redis_url, folder, data, name, where = sys.argv[1:]
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
given = config(Path(folder), name=name, identity="register", mappings=["inspection-results"])
with build_intake(given, catalog(), bootstrap, redis_url, Path(data), SECRET) as session:
    if where == "event-on-log":
        Ledger.store = die
    elif where == "index-written":
        store = Ledger.store
        Ledger.store = lambda *args, **more: (store(*args, **more), die())
    elif where == "wait-on-log":
        for _ in session.run_pending(progress=die):
            pass
    list(session.run_pending())
"""


def killed(hub: IdentityHub, where: str) -> None:
    arguments = [hub.bootstrap, hub.redis_url, str(hub.folder), str(hub.data), hub.source, where]
    child = subprocess.run(
        [sys.executable, "-c", _CHILD, *arguments], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False,
    )
    assert child.returncode == -signal.SIGKILL, child.stderr


@pytest.mark.parametrize("where, lose_index", [
    ("event-on-log", False), ("index-written", True),
    pytest.param("event-on-log", True, marks=pytest.mark.slow),
    pytest.param("index-written", False, marks=pytest.mark.slow),
])
def test_killed_while_a_decision_is_done_nothing_is_lost_or_doubled(
    hub: IdentityHub, redis_client: redis.Redis, where: str, lose_index: bool
) -> None:
    hub.drop("1.csv", nameless(1), nameless(2))
    assert hub.run().waiting == 2
    for wait in hub.waits():
        hub.decide(wait, SHOP if wait.row == 2 else None)
    killed(hub, where)
    if lose_index:
        redis_client.flushdb()
    hub.run()
    hub.run()
    (event,) = hub.records()
    assert (event["value"]["behaviour_number"], event["key"]) == ("JC000001", SHOP.encode())
    (rejection,) = hub.records("intake.rejections.v1")
    assert rejection["value"]["row"] == 3
    assert hub.waits() == [] and len(hub.waits("matched")) == len(hub.waits("rejected")) == 1
    hub.drop("1.csv", nameless(1), nameless(2))
    assert hub.run().repeated == 2
    assert len(hub.records()) == 1


def test_killed_while_a_file_is_read_each_row_waits_once(hub: IdentityHub) -> None:
    hub.drop("1.csv", *(nameless(number) for number in range(1, 51)), inspection(51))
    killed(hub, "wait-on-log")
    counts = hub.run()
    assert (counts.read, counts.waiting, counts.accepted_total) == (51, 50, 1)
    assert len(hub.waits()) == 50 and len(hub.records()) == 1
    assert len({record["ce_id"] for record in hub.records("identity.waits.v1")}) == 50


def test_a_register_is_loaded_row_by_row(hub: IdentityHub, tmp_path: Path) -> None:
    rows = [
        *REGISTER, ("91623000739699913B", "校验码错", "", "", "", ""), ("623021185006153029", "身份证", "", "", "", ""),
        ("91623027MA99ABC379", "夏河县桑科草原旅游有限公司", "夏河县", "贡布", "", ""),
        ("91623000739699913A", "同一代码另一名称", "", "", "", ""),
    ]
    file = write_register(tmp_path / "more.csv", rows, "utf-8-sig")
    done = load_register(file, hub.bootstrap, catalog(), hub.publisher, utc_now())
    assert (done.loaded, done.unchanged) == (1, 4)
    assert [(fault.row, fault.column) for fault in done.faults] == [
        (6, "统一社会信用代码"), (7, "统一社会信用代码"), (9, "统一社会信用代码"),
    ]
    assert "623021185006153029" not in str(done.faults)
    assert load_register(file, hub.bootstrap, catalog(), hub.publisher, utc_now()).loaded == 0
