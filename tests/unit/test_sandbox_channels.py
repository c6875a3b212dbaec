"""Each channel of the map has its other side in the sandbox, and what is said of it is what its connector takes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from hub.disclosure import Receipt, Sink
from hub.disclosure.config import ChannelConfig, build_sink
from hub.disclosure.registry import SINKS
from hub.sandbox.channels import OWN_SERVER, PLATFORM, create_channels, describe_channels
from tests.support_contracts import catalog
from tests.support_sinks import NOW, an_order, collect, send
from tests.unit.test_routing import hub_map

URL = "http://127.0.0.1:1"


def described(connectors: dict[str, str], data: Path) -> dict[str, Any]:
    standins = create_channels(connectors, data)
    return describe_channels(connectors, standins, dict.fromkeys(standins, URL), "http://127.0.0.1:2")


def sink_of(name: str, connector: str, found: dict[str, Any], data: Path) -> Sink:
    config = ChannelConfig.of(name, "渠道", "public", connector, found["settings"], data)
    return build_sink(config, catalog(), data / "hub", lambda: NOW)


def test_every_channel_of_the_map_gets_what_its_connector_has_to_know(tmp_path: Path) -> None:
    connectors = {name: channel.connector for name, channel in hub_map().channels.items()}
    found = described(connectors, tmp_path)
    assert found.keys() == connectors.keys()
    for name, connector in connectors.items():
        assert isinstance(sink_of(name, connector, found[name], tmp_path), Sink)
        assert found[name]["page"].startswith("http://127.0.0.1:")


def test_every_sink_that_comes_along_has_another_side(tmp_path: Path) -> None:
    connectors = {f"c{number}": connector for number, connector in enumerate(SINKS)}
    assert described(connectors, tmp_path).keys() == connectors.keys()


def test_a_channel_of_a_sink_that_nobody_here_knows_is_left_out(tmp_path: Path) -> None:
    assert described({"radio": "own.sink:Radio", "gsxt": PLATFORM}, tmp_path).keys() == {"gsxt"}
    assert create_channels({"gsxt": PLATFORM}, tmp_path) == {}


@pytest.mark.parametrize("connector", ["credit-china", "collaboration-platform-files"])
def test_files_are_answered_while_it_lives(connector: str, tmp_path: Path) -> None:
    standins = create_channels({"channel": connector}, tmp_path)
    found = describe_channels({"channel": connector}, standins, dict.fromkeys(standins, URL), "")["channel"]
    order = an_order("A")
    with TestClient(standins[f"{OWN_SERVER}channel"].app) as client:
        send(sink_of("channel", connector, found, tmp_path), order)
        until = time.monotonic() + 30
        receipts: dict[str, Receipt] = {}
        while not receipts and time.monotonic() < until:
            time.sleep(0.05)
            receipts = collect(sink_of("channel", connector, found, tmp_path))
        assert receipts[order.order_id].status == "published"
        assert client.get("/api/v1/stats").json()["max_publications_per_order"] == 1


def test_the_website_serves_what_the_hub_writes_and_nothing_before(tmp_path: Path) -> None:
    standins = create_channels({"website": "government-website"}, tmp_path)
    found = describe_channels({"website": "government-website"}, standins, dict.fromkeys(standins, URL), "")["website"]
    with TestClient(standins[f"{OWN_SERVER}website"].app) as client:
        assert (client.get("/").status_code, client.get("/feed.xml").status_code) == (404, 404)
        send(sink_of("website", "government-website", found, tmp_path), an_order("A"))
        assert "合作市A有限责任公司" in client.get("/").text
        assert client.get("/feed.xml").headers["content-type"].startswith("application/atom+xml")
        assert client.get("/../channels").status_code == 404
