"""One fact by two sources on a real Kafka: one event, both on record, also through kills, losses and at one moment."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis
from typer.testing import CliRunner

from hub.bus.reader import read_topics
from hub.cli.main import build
from hub.domain.facts import FactRule
from hub.intake import Counts
from hub.intake.build import open_session
from hub.intake.session import Means
from hub.ops.trace import steps_of
from tests.conftest import IndexLike, KafkaLike
from tests.support_identity import total
from tests.support_intake import ROOT, catalog, config, csv_bytes
from tests.support_topics import having

EVENTS, WITNESSES = "enforcement.penalties.v1", "intake.witnesses.v1"
TOPICS = (EVENTS, WITNESSES, "intake.rejections.v1")
HEADINGS = (
    "行政相对人名称", "统一社会信用代码", "行政处罚决定书文号", "违法行为类型", "违法事实", "处罚依据", "处罚类别",
    "处罚内容", "罚款金额（万元）", "处罚决定日期", "处罚机关统一社会信用代码", "备注",
)  # fmt: skip


def penalty(number: int = 1, **more: str) -> dict[str, str]:
    return {
        "行政相对人名称": "合作市雪域牦牛乳业有限责任公司", "统一社会信用代码": "91623000739699913A",
        "行政处罚决定书文号": f"甘南市监处罚〔2026〕{number}号", "违法行为类型": "虚假宣传", "违法事实": "虚假宣传",
        "处罚依据": "广告法", "处罚类别": "罚款", "处罚内容": "罚款", "罚款金额（万元）": "0.5",
        "处罚决定日期": "2026-03-02", "处罚机关统一社会信用代码": "11623000013999917X", "备注": "", **more,
    }  # fmt: skip


@pytest.fixture(scope="module")
def bootstrap(kafka: KafkaLike) -> Iterator[str]:
    with having(kafka.bootstrap, TOPICS) as address:
        yield address


class Two:
    """Two sources of one hub, of names of their own; facts are told from those of other tests by ``mark``."""

    def __init__(self, bootstrap: str, redis_url: str, base: Path, mark: str) -> None:
        self.bootstrap, self.base, self.mark = bootstrap, base, mark
        rule = FactRule(
            ("deciding_body_code", "document_number"), ("decided_date", "fine_amount"),
            (f"province-{mark}", f"platform-{mark}"),
        )
        self.means = Means(catalog(), bootstrap, redis_url, base / "data", b"only-for-tests", facts={EVENTS: rule})
        self.count = 0
        self.ways: dict[str, str] = {}

    def give(self, source: str, *rows: dict[str, str]) -> None:
        folder = self.base / source
        folder.mkdir(exist_ok=True)
        self.count += 1
        marked = [{**row, "行政处罚决定书文号": f"{self.mark}{row['行政处罚决定书文号']}"} for row in rows]
        (folder / f"{self.count}.csv").write_bytes(csv_bytes(HEADINGS, marked))

    def run(self, source: str) -> Counts:
        given = config(
            self.base / source, name=f"{source}-{self.mark}", mappings=["penalties"],
            way=self.ways.get(source, "own-system"),
        )
        with open_session(given, self.means) as session:
            return total(list(session.run_pending()))

    def says(self, source: str, *rows: dict[str, str]) -> Counts:
        self.give(source, *rows)
        return self.run(source)

    def records(self, topic: str) -> list[dict[str, Any]]:
        found = []
        for record in read_topics(self.bootstrap, [topic]):
            headers = {name: value.decode() for name, value in record.headers}
            if headers["ce_source"].endswith(f"-{self.mark}"):
                value = catalog().decode(record.value or b"")[1]
                found.append({**headers, "at": record.offset, "value": {
                    name: each.removesuffix(f"-{self.mark}") if isinstance(each, str) else each
                    for name, each in value.items()
                }})
        return sorted(found, key=lambda each: each["at"])


@pytest.fixture
def two(bootstrap: str, valkey: IndexLike, redis_client: redis.Redis, tmp_path: Path) -> Two:
    return Two(bootstrap, valkey.url, tmp_path, uuid.uuid4().hex[:8])


def test_the_second_that_says_the_same_is_a_witness(two: Two, redis_client: redis.Redis) -> None:
    assert two.says("platform", penalty(1), penalty(2)).accepted == {"recorded": 2}
    same = penalty(1, **{"行政处罚决定书文号": "甘南市监处罚[2026]1号", "罚款金额（万元）": "0.50", "备注": "省系统"})
    counts = two.says("province", same, penalty(3))
    assert (counts.accepted, counts.witnessed) == ({"recorded": 1}, 1)
    assert counts.read == 2
    events, (witness,) = two.records(EVENTS), two.records(WITNESSES)
    assert len(events) == 3
    first = next(each for each in events if each["value"]["document_number"].endswith("〕1号"))
    assert witness["value"]["kind"] == "same" and witness["value"]["first_source"] == "platform"
    assert (witness["ce_correlationid"], witness["ce_causationid"]) == (first["ce_correlationid"], first["ce_id"])
    assert catalog().decode(witness["value"]["data"])[1]["remark"] == "省系统"
    # Read again it is a repeat, also when all of Redis was lost.
    redis_client.flushdb()
    assert two.says("province", same, penalty(3)).repeated == 2
    assert two.says("platform", penalty(1), penalty(2)).repeated == 2
    assert len(two.records(EVENTS)) == 3 and len(two.records(WITNESSES)) == 1
    said = [step.what for step in steps_of(
        read_topics(two.bootstrap, TOPICS), catalog(), subject=None, event_id=first["ce_id"]
    )]  # fmt: skip
    assert f"province-{two.mark} says it too: same; platform-{two.mark} counts" in said


def test_a_conflict_goes_by_precedence(two: Two) -> None:
    two.says("province", penalty(1))
    counts = two.says("platform", penalty(1, **{"罚款金额（万元）": "5"}))
    assert (counts.accepted, counts.witnessed) == ({}, 1)
    (event,), (conflict,) = two.records(EVENTS), two.records(WITNESSES)
    assert (conflict["value"]["kind"], conflict["value"]["differs"]) == ("conflict", ["fine_amount"])
    assert (conflict["value"]["in_force"], conflict["ce_causationid"]) == ("province", event["ce_id"])


def test_who_goes_before_overtakes_in_the_course_of_the_fact(two: Two, redis_client: redis.Redis) -> None:
    two.says("platform", penalty(1))
    assert two.says("province", penalty(1, **{"罚款金额（万元）": "5"})).accepted == {"amended": 1}
    first, second = two.records(EVENTS)
    assert second["ce_type"] == "enforcement.penalty.amended" and second["ce_source"] == f"/sources/province-{two.mark}"
    assert (first["ce_correlationid"], first["ce_sequence"]) == (second["ce_correlationid"], "1")
    assert second["ce_sequence"] == "2" and second["ce_id"] != first["ce_id"]
    # The platform changes its mind: it is heard, and does not count. The province's next version does.
    redis_client.flushdb()
    assert two.says("platform", penalty(1, **{"罚款金额（万元）": "7"})).witnessed == 1
    assert two.says("platform", penalty(1, **{"罚款金额（万元）": "5"})).witnessed == 1
    assert two.says("province", penalty(1, **{"罚款金额（万元）": "6"})).accepted == {"amended": 1}
    third = two.records(EVENTS)[2]
    assert (third["ce_sequence"], third["ce_correlationid"]) == ("3", first["ce_correlationid"])
    kinds = [(each["value"]["source"], each["value"]["kind"], each["value"]["in_force"])
             for each in two.records(WITNESSES)]  # fmt: skip
    listed = CliRunner().invoke(build(["sources"]), ["sources", "conflicts", "--json"], env={
        "HUB_BOOTSTRAP_SERVERS": two.bootstrap, "HUB_DATA": str(two.base),
    })
    ours = [each for each in json.loads(listed.stdout) if each["source"].endswith(two.mark)]
    assert listed.exit_code == 1 and len(ours) == 2 and "data" not in ours[0]
    assert kinds == [
        ("province", "conflict", "province"), ("platform", "conflict", "province"), ("platform", "same", "province"),
    ]


def test_the_way_of_a_source_decides_as_it_was_when_the_event_was_taken(two: Two, redis_client: redis.Redis) -> None:
    rule = replace(two.means.facts[EVENTS], precedence=("provincial", "collaboration-platform"))
    two.means = replace(two.means, facts={EVENTS: rule})
    two.ways = {"first": "collaboration-platform", "second": "provincial"}
    two.says("first", penalty(1))
    assert two.says("second", penalty(1, **{"罚款金额（万元）": "5"})).accepted == {"amended": 1}
    # Its file calls it another way now; the event stays what it was, also to an index that was lost.
    two.ways["second"] = "national"
    redis_client.flushdb()
    assert two.says("first", penalty(1, **{"罚款金额（万元）": "7"})).witnessed == 1
    assert [each["ce_fact"].rpartition(";")[2] for each in two.records(EVENTS)] == [
        "collaboration-platform", "provincial",
    ]


def test_two_records_of_one_source_are_two_whatever_they_share(two: Two) -> None:
    other = {"行政相对人名称": "合作市雪域牦牛乳业有限公司"}
    assert two.says("platform", penalty(1), penalty(1, **other)).accepted == {"recorded": 2}
    assert two.says("platform", penalty(1, **other, **{"罚款金额（万元）": "5"})).accepted == {"amended": 1}
    assert two.says("province", penalty(1)).witnessed == 1
    assert len(two.records(EVENTS)) == 3


def test_one_row_many_times_in_one_file_keeps_its_course(two: Two) -> None:
    two.says("province", penalty(1))
    fines = ("1", "2", "0.5")
    counts = two.says("platform", *(penalty(1, **{"罚款金额（万元）": fine}) for fine in fines))
    assert counts.witnessed == 3 and len(two.records(EVENTS)) == 1
    assert [each["ce_sequence"] for each in two.records(WITNESSES)] == ["1", "1", "1"]


BODY, OTHER_BODY = "11623000013999917X", "12623001438999912A"


def by(body: str, number: int = 1, fine: str = "0.5") -> dict[str, str]:
    return penalty(number, **{"处罚机关统一社会信用代码": body, "罚款金额（万元）": fine})


def book_of(client: redis.Redis) -> dict[bytes, bytes]:
    """The facts and rows in it, without the words that say how far it is."""
    found: dict[bytes, bytes] = client.hgetall("hub:facts:_facts")  # type: ignore[assignment]  # no coroutine of this client
    return {key: entry for key, entry in found.items() if len(key) == 16 and not key.startswith(b"offset:")}


@pytest.mark.parametrize("is_lost", [False, True])
def test_a_fact_that_was_left_is_whose_who_says_it(two: Two, redis_client: redis.Redis, is_lost: bool) -> None:
    def lose() -> None:
        if is_lost:
            redis_client.flushdb()

    # The province enters one penalty under a wrong authority; the platform has another one, which is that fact.
    two.says("province", by(OTHER_BODY))
    assert two.says("platform", by(OTHER_BODY, fine="5"), by(OTHER_BODY, 2)).accepted == {"recorded": 1}
    # The second it takes over from the platform, and corrects that as well.
    assert two.says("province", by(OTHER_BODY, 2, "7")).accepted == {"amended": 1}
    lose()
    assert two.says("province", by(BODY), by(BODY, 2, "7")).accepted == {"amended": 2}
    lose()
    counts = two.says("platform", by(OTHER_BODY, fine="5"), by(OTHER_BODY, 2))
    assert counts.accepted == {"recorded": 2} and not counts.repeated
    lose()
    assert two.says("platform", by(OTHER_BODY, fine="5"), by(OTHER_BODY, 2)).repeated == 2
    assert two.says("province", by(BODY), by(BODY, 2, "7")).repeated == 2
    courses: dict[str, list[tuple[str, str, str]]] = {}
    for each in two.records(EVENTS):
        courses.setdefault(each["ce_correlationid"], []).append((
            each["ce_source"].removeprefix("/sources/").removesuffix(f"-{two.mark}"), each["ce_sequence"],
            each["value"]["deciding_body_code"],
        ))
    assert list(courses.values()) == [
        [("province", "1", OTHER_BODY), ("province", "2", BODY)],
        [("platform", "1", OTHER_BODY), ("province", "2", OTHER_BODY), ("province", "3", BODY)],
        [("platform", "1", OTHER_BODY)], [("platform", "2", OTHER_BODY)],
    ]
    book = book_of(redis_client)
    redis_client.flushdb()
    assert two.says("platform", by(OTHER_BODY, 2)).repeated == 1
    rebuilt = book_of(redis_client)
    assert len(rebuilt) >= 8 and {key: rebuilt[key] for key in book} == book


@pytest.mark.parametrize("where", ["on-log", "index-written"])
def test_killed_with_a_correction_on_the_log_the_fact_is_left_all_the_same(
    two: Two, valkey: IndexLike, where: str
) -> None:
    two.says("province", by(OTHER_BODY))
    assert two.says("platform", by(OTHER_BODY)).witnessed == 1
    two.give("province", by(BODY))
    kill(two, valkey, where)
    assert two.says("platform", by(OTHER_BODY)).accepted == {"recorded": 1}
    two.run("province")
    assert two.says("platform", by(OTHER_BODY)).repeated == two.says("province", by(BODY)).repeated == 1
    assert [(each["ce_sequence"], each["value"]["deciding_body_code"]) for each in two.records(EVENTS)] == [
        ("1", OTHER_BODY), ("2", BODY), ("1", OTHER_BODY),
    ]


def test_killed_when_a_witness_became_an_event_it_is_one(two: Two, valkey: IndexLike) -> None:
    two.says("platform", by(OTHER_BODY))
    two.means = replace(two.means, facts={EVENTS: replace(two.means.facts[EVENTS], precedence=())})
    assert two.says("province", by(OTHER_BODY)).witnessed == 1
    two.says("platform", by(BODY))
    two.give("province", by(OTHER_BODY))
    kill(two, valkey, "on-log")
    two.run("province")
    assert two.says("province", by(OTHER_BODY)).repeated == 1
    assert two.says("province", by(OTHER_BODY, fine="9")).accepted == {"amended": 1}
    assert [(each["ce_sequence"], each["ce_type"].rpartition(".")[2]) for each in two.records(EVENTS)] == [
        ("1", "recorded"), ("2", "amended"), ("1", "recorded"), ("2", "amended"),
    ]


def test_two_sources_at_one_moment_make_one_event_of_each_fact(two: Two) -> None:
    names = ("platform", "province")
    for name in names:
        two.give(name, *(penalty(number) for number in range(1, 2501)))
    found: dict[str, Counts] = {}
    threads = [threading.Thread(target=lambda name=name: found.update({name: two.run(name)})) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(two.records(EVENTS)) == 2500 and len(two.records(WITNESSES)) == 2500
    assert sum(counts.accepted_total for counts in found.values()) == 2500
    assert all(counts.accepted_total + counts.witnessed == 2500 for counts in found.values())


_CHILD = """
import os, signal, sys
from pathlib import Path
from hub.intake.facts.book import FactBook
from hub.intake.ledger import Ledger
from tests.integration.test_facts_kafka import Two
bootstrap, redis_url, base, mark, where = sys.argv[1:]
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
store, calls = Ledger.store, []
def die_at_the_second(*args, **more):
    calls.append(args)
    return die() if len(calls) == 2 else store(*args, **more)
if where == "on-log":
    Ledger.store = die
elif where == "batches-on-log":
    Ledger.store = die_at_the_second
else:
    FactBook.store = die
Two(bootstrap, redis_url, Path(base), mark).run("province")
"""


def kill(two: Two, valkey: IndexLike, where: str) -> None:
    child = subprocess.run(
        [sys.executable, "-c", _CHILD, two.bootstrap, valkey.url, str(two.base), two.mark, where], cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )
    assert child.returncode == -signal.SIGKILL, child.stderr


@pytest.mark.parametrize("where", ["on-log", "index-written"])
def test_killed_with_a_fact_on_the_log_it_is_one_all_the_same(two: Two, valkey: IndexLike, where: str) -> None:
    two.says("platform", penalty(1))
    two.give("province", penalty(1), penalty(2), penalty(3))
    kill(two, valkey, where)
    # Before the killed one comes back, the other says the same of what it had published.
    assert two.says("platform", penalty(2), penalty(4)).witnessed == 1
    counts = two.run("province")
    assert counts.read == counts.accepted_total + counts.witnessed + counts.repeated == 3
    assert len(two.records(EVENTS)) == 4 and len(two.records(WITNESSES)) == 2
    assert len({each["ce_id"] for each in two.records(EVENTS)}) == 4


def test_killed_in_a_turn_of_many_batches_each_fact_is_one_all_the_same(two: Two, valkey: IndexLike) -> None:
    count = 5500
    two.says("platform", penalty(1))
    two.give("province", *(penalty(number) for number in range(1, count + 1)))
    kill(two, valkey, "batches-on-log")
    # The second batch is on the log, and neither in the index of the one nor in the book of both.
    assert two.says("platform", penalty(1500), penalty(500)).witnessed == 2
    counts = two.run("province")
    assert counts.read == counts.accepted_total + counts.witnessed + counts.repeated == count
    assert len({each["ce_id"] for each in two.records(EVENTS)}) == len(two.records(EVENTS)) == count
    assert len(two.records(WITNESSES)) == 3
