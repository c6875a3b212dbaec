"""Intake against a real Kafka and a real index: once each, in order, through kills and losses."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from hub.bench.intake_rows import write_export
from hub.intake import Counts, SourceConfig
from hub.intake.build import build_intake
from hub.intake.engine import Outcome
from hub.intake.lock import SourceBusyError
from hub.intake.service import IntakeService
from hub.intake.session import IntakeSession, Means
from tests.conftest import IndexLike, KafkaLike
from tests.support_intake import INSPECTION, ROOT, catalog, config, csv_bytes, inspection, records
from tests.support_topics import having

TOPICS = ("inspection.results.v1", "enforcement.penalties.v1", "blacklist.notices.v1", "complaint.leads.v1",
          "intake.rejections.v1")
SECRET = b"only-for-tests"


class Hub:
    """A folder, and what came of it on the topics."""

    def __init__(self, bootstrap: str, redis_url: str, base: Path) -> None:
        self.bootstrap = bootstrap
        self.redis_url = redis_url
        self.base = base
        self.folder = base / "in"
        self.folder.mkdir()
        self.data = base / "data"
        #: Its own for each test: the topics are shared by all.
        self.source = f"hezuo-{uuid.uuid4().hex[:8]}"

    def means(self) -> Means:
        return Means(catalog(), self.bootstrap, self.redis_url, self.data, SECRET)

    def run(self, **more: Any) -> list[Outcome]:
        with self.session(**more) as session:
            return list(session.run_pending())

    def config(self, **more: Any) -> SourceConfig:
        return config(self.folder, name=self.source, **more)

    def session(self, **more: Any) -> IntakeSession:
        return build_intake(
            self.config(**more), catalog(), self.bootstrap, self.redis_url, self.data, SECRET
        )

    def drop(self, name: str, rows: list[dict[str, str]]) -> None:
        (self.folder / name).write_bytes(csv_bytes(INSPECTION, rows, encoding="gb18030"))

    def records(self, topic: str = TOPICS[0]) -> list[dict[str, Any]]:
        return records(self.bootstrap, topic, self.source)


@pytest.fixture(scope="module")
def bootstrap(kafka: KafkaLike) -> Iterator[str]:
    """A Kafka with the event topics, made once: their names are fixed by the mappings."""
    with having(kafka.bootstrap, TOPICS) as address:
        yield address


@pytest.fixture
def hub(bootstrap: str, valkey: IndexLike, redis_client: redis.Redis, tmp_path: Path) -> Hub:
    return Hub(bootstrap, valkey.url, tmp_path)


def totals(outcomes: list[Outcome]) -> Counts:
    total = Counts()
    for outcome in outcomes:
        total.add(outcome.counts)
    assert total.read == total.accepted_total + total.repeated + total.rejected_total
    return total


def test_new_repeated_changed_and_reverted_rows(hub: Hub) -> None:
    hub.drop("1.csv", [inspection(1), inspection(2)])
    assert totals(hub.run()).accepted == {"recorded": 2}
    hub.drop("2.csv", [inspection(1), inspection(2, 备注="改")])
    second = totals(hub.run())
    assert (second.accepted, second.repeated) == ({"amended": 1}, 1)
    hub.drop("3.csv", [inspection(2)])
    assert totals(hub.run()).accepted == {"amended": 1}
    found = [record for record in hub.records() if record["value"]["behaviour_number"] == "JC000002"]
    assert [record["ce_sequence"] for record in found] == ["1", "2", "3"]
    assert len({record["ce_id"] for record in found}) == 3
    assert len({record["ce_correlationid"] for record in found}) == 1
    assert found[0]["ce_digest"] == found[2]["ce_digest"] != found[1]["ce_digest"]
    assert found[0]["key"] == b"91623000739699913A" == found[0]["ce_subject"].encode()
    assert found[0]["ce_source"] == f"/sources/{hub.source}"
    assert "JC000002" not in found[0]["ce_naturalkey"]
    assert sorted(path.name for path in (hub.folder / "done").glob("*.csv")) == ["1.csv", "2.csv", "3.csv"]


def test_one_row_many_times_in_one_file_keeps_its_order(hub: Hub) -> None:
    texts = ["甲", "乙", "乙", "甲", "丙"]
    hub.drop("1.csv", [inspection(1, 备注=text) for text in texts])
    total = totals(hub.run())
    assert (total.accepted, total.repeated) == ({"recorded": 1, "amended": 3}, 1)
    assert [record["value"]["remark"] for record in hub.records()] == ["甲", "乙", "甲", "丙"]


def test_a_removal_and_its_reversal(hub: Hub) -> None:
    notice = {
        "名单类型": "经营异常名录", "企业名称": "合作市雪域牦牛乳业有限责任公司",
        "统一社会信用代码": "91623000739699913A",
        "列入原因": "无法联系", "列入日期": "2026/7/1", "列入决定机关": "合作市市场监督管理局",
        "列入文号": "合市监异入〔2026〕第0001号", "移出日期": "", "备注": "",
    }
    removed = {**notice, "移出日期": "2026-09-01"}
    for number, row in enumerate([notice, removed, {**removed, "备注": "更正"}, notice]):
        (hub.folder / f"{number}.csv").write_bytes(csv_bytes(list(notice), [row]))
        hub.run()
    types = [record["ce_type"].rpartition(".")[2] for record in hub.records("blacklist.notices.v1")]
    assert types == ["listed", "removed", "amended", "listed"]


def test_rejections_errors_file_and_report(hub: Hub) -> None:
    rows = [inspection(1), inspection(2, 检查日期="昨天", 检查结果="很好"), inspection(3, 备注="长" * 600)]
    rows.append(inspection(4, **{"统一社会信用代码/注册号": "916230007396999131"}))
    hub.drop("1.csv", rows)
    (outcome,) = hub.run(errors="csv")
    counts = outcome.counts
    assert (counts.read, counts.accepted, counts.rejected) == (4, {"recorded": 2}, {"date": 1, "too-long": 1})
    assert sum(counts.warnings.values()) == 1
    rejections = hub.records("intake.rejections.v1")
    assert [(r["value"]["row"], r["value"]["column"], r["value"]["problem_code"]) for r in rejections] == [
        (3, "检查日期", "date"), (3, "检查结果", "code"), (4, "备注", "too-long"),
    ]
    assert {record["key"] for record in rejections} == {hub.source.encode()}
    lines = (hub.folder / "done" / "1.csv.errors.csv").read_text(encoding="utf-8-sig").splitlines()
    assert len(lines) == 5 and "昨天" in lines[1] and "已接收" in lines[4]
    report = json.loads((hub.folder / "done" / "1.csv.report.json").read_text())
    assert report["read"] == report["accepted_total"] + report["repeated"] + report["rejected_total"] == 4
    # The same file again: nothing is new, not even its rejections.
    hub.drop("1.csv", rows)
    assert totals(hub.run()).repeated == 2
    assert len(hub.records("intake.rejections.v1")) == 3


def test_a_refused_file_is_moved_and_on_record(hub: Hub) -> None:
    (hub.folder / "a.xls").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600))
    hub.drop("b.csv", [inspection(1)])
    assert sorted(outcome.status for outcome in hub.run()) == ["finished", "refused"]
    assert not (hub.folder / "a.xls").exists()
    text = (hub.folder / "refused" / "a.xls.refused.txt").read_text()
    assert text.index("另存为") < text.index("Refused")
    (record,) = hub.records("intake.rejections.v1")
    assert (record["value"]["file"], record["value"]["problem_code"]) == ("a.xls", "old-or-encrypted")


def test_a_lost_index_is_rebuilt_from_the_log(hub: Hub, redis_client: redis.Redis) -> None:
    rows = [inspection(number) for number in range(1, 3001)]
    hub.drop("1.csv", rows)
    hub.run()
    redis_client.flushdb()
    hub.drop("2.csv", [*rows[:-1], inspection(3000, 备注="改")])
    total = totals(hub.run())
    assert (total.accepted, total.repeated) == ({"amended": 1}, 2999)
    assert len(hub.records()) == 3001


def test_one_intake_at_a_time(hub: Hub) -> None:
    with hub.session(), pytest.raises(SourceBusyError):
        hub.run()


_CHILD = """
import sys
from pathlib import Path
from tests.support_intake import ROOT, catalog, config
from hub.intake.beside.readers import Readers
from hub.intake.build import build_intake
bootstrap, redis_url, folder, data, name, beside = sys.argv[1:]
given = config(Path(folder), name=name)
readers = Readers(ROOT, most=1, least_rows=0) if beside else None
session = build_intake(given, catalog(), bootstrap, redis_url, Path(data), b"only-for-tests", readers)
with session:
    for outcome in session.run_pending(progress=lambda portion, batch: print(batch.rows_read, flush=True)):
        pass
"""


def start(hub: Hub, beside: bool) -> subprocess.Popen[str]:
    given = [hub.bootstrap, hub.redis_url, str(hub.folder), str(hub.data), hub.source, "beside" if beside else ""]
    return subprocess.Popen(
        [sys.executable, "-c", _CHILD, *given],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


@pytest.mark.parametrize(
    ("lose_index", "beside"), [(False, False), (True, False), (False, True)],
    ids=["index-kept", "index-lost-once", "read-beside"],
)
def test_killed_in_the_middle_again_and_again(
    hub: Hub, redis_client: redis.Redis, lose_index: bool, beside: bool
) -> None:
    """kill -9 at random rows: afterwards every row is on the topic once, and the counts say so."""
    rows = 20_000
    path = hub.folder / "big.csv"
    write_export(path, rows, "kill")
    with path.open("a", encoding="gb18030") as file:  # some that are refused, on the way and at the end
        file.write("坏行,,,,JCbad,,,,,,,,昨天,,,,,\r\n" * 3)
    lines = path.read_bytes().split(b"\r\n")
    lines[5000:5000] = lines[-3:-1]
    path.write_bytes(b"\r\n".join(lines))
    chance = random.Random(20260301)
    for attempt in range(4):
        child = start(hub, beside)
        assert child.stdout is not None
        stop_behind = chance.randrange(1, 4)
        for number, _ in enumerate(child.stdout):
            if number >= stop_behind:
                time.sleep(chance.random() * 0.05)
                child.send_signal(signal.SIGKILL)
                break
        child.stdout.close()
        assert child.wait(timeout=60) == -signal.SIGKILL
        if lose_index and attempt == 1:
            redis_client.flushdb()
    (outcome,) = hub.run()
    assert outcome.status == "finished"
    records = hub.records()
    assert len(records) == rows
    assert len({record["ce_id"] for record in records}) == rows
    assert {record["ce_sequence"] for record in records} == {"1"}
    rejections = hub.records("intake.rejections.v1")
    assert len({record["ce_id"] for record in rejections}) == len(rejections)
    assert {record["value"]["row"] for record in rejections} == {5001, 5002, 20005, 20006, 20007}
    counts = outcome.counts
    assert counts.read == rows + 5 == counts.accepted_total + counts.repeated + counts.rejected_total
    assert counts.rejected_total == 5
    if not lose_index:
        assert (counts.accepted, counts.repeated) == ({"recorded": rows}, 0)


def test_rows_that_change_within_a_killed_window_keep_their_versions(hub: Hub) -> None:
    """Rows that stand twice in a file: what the killed intake had published of both is met again."""
    texts = ["甲", "乙", "甲", "丙"] * 3
    rows = [inspection(number, 备注=text) for text in texts for number in range(1, 301)]
    hub.drop("1.csv", rows)
    child = start(hub, False)
    assert child.stdout is not None
    child.stdout.readline()
    child.send_signal(signal.SIGKILL)
    child.stdout.close()
    child.wait(timeout=60)
    (outcome,) = hub.run()
    assert outcome.counts.accepted == {"recorded": 300, "amended": 300 * (len(texts) - 1)}
    records = hub.records()
    assert len(records) == len({record["ce_id"] for record in records}) == 300 * len(texts)
    first = [r["value"]["remark"] for r in records if r["value"]["behaviour_number"] == "JC000001"]
    assert first == texts


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "waited a minute in vain"
        time.sleep(0.05)


def test_the_service_reads_what_comes_and_outlives_a_lost_index(hub: Hub, redis_client: redis.Redis) -> None:
    service = IntakeService({hub.source: hub.config()}, hub.means())
    service.start()
    try:
        hub.drop("1.csv", [inspection(1)])
        wait_for(lambda: service.counts()[hub.source].read == 1)
        redis_client.flushdb()
        hub.drop("2.csv", [inspection(1), inspection(2)])
        wait_for(lambda: (hub.folder / "done" / "2.csv").exists())
    finally:
        service.stop()
    assert len(hub.records()) == 2
    assert service.errors() == {}
