"""Versions of the map on record: what differs between two, who put which into use, and the pages that show it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from hub.bus.records import Output, Record
from hub.domain.map_diff import FieldChange, differences
from hub.errors import BrokerError
from hub.ops import map_log
from hub.ops.map_log import MAPS_TOPIC, MapLog, changes_of, content_of
from tests.support_console import Stage, client_of
from tests.support_contracts import IDENTITY_NUMBER, catalog
from tests.support_http_intake import hub_map

NOW = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)


class Topic:
    """A topic of one partition in memory, for whoever reads from an offset on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.records: list[Record] = []
        self.is_there, self.reads = True, list[int]()
        monkeypatch.setattr(map_log, "partitions_of", lambda bootstrap, topic: int(self.is_there))
        monkeypatch.setattr(map_log, "read_after", self.read_after)

    def publish(self, outputs: Iterable[Output]) -> None:
        for each in outputs:
            assert each.topic == MAPS_TOPIC
            self.records.append(Record(MAPS_TOPIC, 0, len(self.records), 0, each.key, each.value, each.headers))

    def read_after(self, bootstrap: str, offsets: Mapping[tuple[str, int], int]) -> Iterator[Record]:
        (start,) = offsets.values()
        self.reads.append(start)
        yield from self.records[start:]


@pytest.fixture
def topic(monkeypatch: pytest.MonkeyPatch) -> Topic:
    return Topic(monkeypatch)


def log_of(topic: Topic) -> MapLog:
    return MapLog("", catalog(), topic, lambda: NOW)  # type: ignore[arg-type]  # it publishes


def test_entries_that_came_went_and_changed_are_named_by_field() -> None:
    before = {"version": 1, "channels": {"a": {"title": "甲"}, "b": {"title": "乙", "view": "public", "x": [1, 2]}}}
    changed = {"title": "乙", "view": "partner", "due": {"days": 3}}
    after = {"version": 1, "channels": {"b": changed, "c": {"title": "丙"}}, "clocks": {"k": {}}}
    found = differences(before, after)
    assert [(each.section, each.name, each.title, each.kind) for each in found] == [
        ("channels", "a", "甲", "removed"), ("channels", "b", "乙", "changed"), ("channels", "c", "丙", "added"),
        ("clocks", "k", "", "added"),
    ]
    assert found[1].fields == (
        FieldChange("view", "public", "partner"), FieldChange("x", "1, 2", ""), FieldChange("due", "", '{"days": 3}'),
    )
    assert differences(after, after) == []
    (own,) = differences({"replication": 3}, {"replication": 1})
    assert (own.section, own.fields) == ("map", (FieldChange("replication", "3", "1"),))


def test_a_version_is_noted_once_whole_and_its_reason_names_no_person(topic: Topic) -> None:
    log = log_of(topic)
    first = log.note(hub_map(), by="night-watch", reason=f"申请人 {IDENTITY_NUMBER} 来函\n")
    assert first is not None and (first.number, first.previous_version, first.noted_by) == (1, None, "night-watch")
    assert IDENTITY_NUMBER not in first.reason and first.content == content_of(hub_map())
    assert log.note(hub_map(), by="hub", reason="再次启动") is None
    other = replace(hub_map(), version="0123456789ab")
    second = log.note(other, by="hub", reason="新版本")
    assert second is not None and (second.number, second.previous_version) == (2, hub_map().version)
    # Back to the first is a change too.
    third = log.note(hub_map(), by="hub", reason="退回")
    assert third is not None and third.number == 3
    assert [each.version for each in log_of(topic).read()] == [hub_map().version, "0123456789ab", hub_map().version]
    assert topic.reads[-1] == 0 and 1 in topic.reads, "what was read before is not read again"


def test_two_who_note_the_same_at_once_note_one_change(topic: Topic) -> None:
    one, other = log_of(topic), log_of(topic)
    made = one.note(hub_map(), by="hub", reason="甲")
    assert made is not None
    kept, topic.records = topic.records, []
    assert other.note(hub_map(), by="hub", reason="乙") is not None
    topic.records = [record._replace(offset=at) for at, record in enumerate([*kept, *topic.records])]
    assert len(log_of(topic).read()) == 1
    # Two versions at once: the log puts them in an order.
    beside = log_of(topic).read()
    third = replace(hub_map(), version="ffffffffffff")
    assert one.note(third, by="hub", reason="丙") is not None
    found = log_of(topic).read()
    assert [each.number for each in found] == [1, 2] and found[0] == beside[0]
    assert found[1].previous_version == hub_map().version


def test_what_cannot_be_read_hides_nothing_else_and_no_topic_is_said(topic: Topic) -> None:
    log = log_of(topic)
    topic.records.append(Record(MAPS_TOPIC, 0, 0, 0, b"map", b"garbage", []))
    topic.records.append(Record(MAPS_TOPIC, 0, 1, 0, b"map", None, []))
    assert log.note(hub_map(), by="hub", reason="x") is not None
    assert [each.number for each in log.read()] == [1]
    topic.is_there = False
    assert log_of(topic).read() == []
    with pytest.raises(BrokerError, match="hub topics apply"):
        log_of(topic).note(hub_map(), by="hub", reason="x")


def test_the_map_of_this_project_fits_a_record_and_every_section_is_compared() -> None:
    content: dict[str, Any] = content_of(hub_map())
    assert len(json.dumps(content, ensure_ascii=False)) < 900_000 / 4
    assert {"topics", "channels", "routes", "subscriptions", "clocks"} <= content.keys()


def test_the_pages_show_who_changed_what_and_why() -> None:
    stage = Stage()
    client = client_of(stage.site(), "over-looker")
    assert "/console/map/versions" in client.get("/console/map").text
    page = client.get("/console/map/versions").text
    for word in ("night-watch", "令20第十四条", "2 处", "最早的记录", "本进程所用"):
        assert word in page, word
    assert [each.kind for each in changes_of(stage.maps.versions, 2)] == ["removed", "changed"]
    one = client.get("/console/map/versions/2").text
    for word in ("former", "示例订阅", "删除", "accept-lead", "修改", "9", "7"):
        assert word in one, word
    assert "无从比较" in client.get("/console/map/versions/1").text
    assert client.get("/console/map/versions/3").status_code == 404
    stage.maps.versions = []
    assert "hub topics apply --reason" in client_of(stage.site(), "over-looker").get("/console/map/versions").text


def test_manifests_say_what_was_promised_and_what_came() -> None:
    client = client_of(Stage().site(), "over-looker")
    page = client.get("/console/sources/manifests").text
    for word in ("1,200", "900", "不一致", "c.csv", "清单未到", "未发现差异", "已签名", "凭密钥", "下一页"):
        assert word in page, word
