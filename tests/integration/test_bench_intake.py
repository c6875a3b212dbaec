"""The bench of intake and the plain loop beside it write what they say they wrote."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from confluent_kafka.cimpl import NewTopic

from hub.bench.intake import bench_intake
from hub.bench.intake_plain import PLAIN_TOPIC
from hub.bus.reader import read_topics
from hub.contracts.map import HubMap
from hub.intake.facts.testimony import WITNESSES_TOPIC
from hub.intake.versions import REJECTIONS_TOPIC
from tests.support_intake import ROOT, catalog
from tests.support_topics import having

if TYPE_CHECKING:
    from tests.conftest import IndexLike, KafkaLike

TOPIC = "inspection.results.v1"
#: With all of those whose facts it asks for.
TOPICS = {TOPIC, *HubMap.load(ROOT / "topics.yaml", catalog(), ROOT / "reference").facts(), REJECTIONS_TOPIC,
          WITNESSES_TOPIC}  # fmt: skip
ROWS = 2000


@pytest.fixture
def bootstrap(kafka: KafkaLike) -> Iterator[str]:
    with having(kafka.bootstrap, TOPICS, NewTopic(PLAIN_TOPIC, 12, 1)) as address:
        yield address


def test_both_write_every_row_and_the_same_of_it(bootstrap: str, valkey: IndexLike, tmp_path: Path) -> None:
    found = bench_intake(ROOT, bootstrap, valkey.url, tmp_path, rows=ROWS)
    assert (found.rows, found.accepted, found.plain.rows) == (ROWS, ROWS, ROWS)
    assert found.ratio == pytest.approx(found.rows_per_second / found.plain.rows_per_second)
    values = {
        topic: {value["behaviour_number"]: value for value in
                (catalog().decode(record.value or b"")[1] for record in read_topics(bootstrap, [topic]))}
        for topic in (TOPIC, PLAIN_TOPIC)
    }  # fmt: skip
    assert len(values[TOPIC]) == len(values[PLAIN_TOPIC]) == ROWS
    same = ("party_name", "party_uscc", "check_date", "result_date", "is_public", "inspectors", "inspecting_body")
    for number, value in values[TOPIC].items():
        assert [values[PLAIN_TOPIC][number][name] for name in same] == [value[name] for name in same]
