"""The stand-in of a department's interface: who may read, what a page says, what is kept over a restart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from hub.sandbox.faults import FaultPlan
from hub.sandbox.open_interface import PATH, Feed, create_open_interface, sample_records
from tests.support_http_poll import TOKEN


def client(feed: Feed) -> TestClient:
    return TestClient(create_open_interface(TOKEN, FaultPlan(), feed), headers={"Authorization": f"Bearer {TOKEN}"})


def items(answer: Any) -> list[str]:
    return [record["number"] for record in answer.json()["data"]["items"]]


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer another", TOKEN, "Bearer ä"])
def test_nobody_reads_without_the_token(header: str) -> None:
    asked = TestClient(create_open_interface(TOKEN, FaultPlan(), Feed([{"number": "1"}])))
    assert asked.get(PATH, headers={b"Authorization": header.encode()}).status_code == 401


def test_pages_lead_to_each_other_in_three_ways() -> None:
    asked = client(Feed({"number": str(number)} for number in range(5)))
    first = asked.get(PATH, params={"limit": 2})
    assert items(first) == ["0", "1"]
    assert first.json()["paging"] == {"next": "2", "sync": "2", "has_more": True}
    second = asked.get(first.links["next"]["url"])
    assert items(second) == ["2", "3"]
    last = asked.get(PATH, params={"cursor": second.json()["paging"]["next"], "limit": 2})
    assert items(last) == ["4"] and last.json()["paging"] == {"next": None, "sync": "5", "has_more": False}
    assert "link" not in last.headers
    assert asked.get(PATH, params={"cursor": "x"}).status_code == 400


def test_a_new_version_stands_at_the_end_and_cursors_mean_the_same_after_a_restart(tmp_path: Path) -> None:
    path, begun = tmp_path / "feed.jsonl", [{"number": "1"}, {"number": "2"}]
    feed = Feed(begun, path)
    asked = client(feed)
    assert asked.post("/records", json=[{"number": "1", "remark": "改"}, {"number": "3"}]).status_code == 204
    assert items(asked.get(PATH)) == ["2", "1", "3"]
    feed.close()
    with path.open("a") as file:
        file.write('{"number": "4", "rem')  # the line of a kill
    again = Feed(begun, path)
    assert items(client(again).get(PATH, params={"cursor": "2"})) == ["1", "3"]
    again.put({"number": "5"})
    again.close()
    third = Feed(begun, path)
    assert items(client(third).get(PATH, params={"cursor": "2"})) == ["1", "3", "5"]
    third.close()


def test_samples_are_the_same_for_the_same_seed() -> None:
    assert sample_records(5) == sample_records(5) != sample_records(5, seed=1)
