"""The channels that docs/map.md shows can be added as they stand there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from hub.contracts.endpoints import load_endpoints
from hub.contracts.map import HubMap
from hub.disclosure import ContractError
from hub.disclosure.config import ChannelConfig, build_sink
from tests.support_contracts import ROOT, catalog
from tests.support_sinks import NOW


def example_text(title: str) -> str:
    text = (ROOT / "docs/map.md").read_text(encoding="utf-8")
    match = re.search(rf"<!-- example: {re.escape(title)} -->\n```yaml\n(.*?)```", text, re.DOTALL)
    assert match is not None, title
    return match[1]


def example(title: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(example_text(title))
    return found


def test_the_channels_of_the_example_are_a_map_with_the_others(tmp_path: Path) -> None:
    channels, routes = example_text("channels of the map").removeprefix("channels:\n").split("routes:\n")
    text = (ROOT / "topics.yaml").read_text(encoding="utf-8")
    text = text.replace("\nchannels:\n", f"\nchannels:\n{channels}").replace("\nroutes:\n", f"\nroutes:\n{routes}")
    path = tmp_path / "topics.yaml"
    path.write_text(text, encoding="utf-8")
    hub_map = HubMap.load(path, catalog(), ROOT / "reference")
    added = {"county-website", "platform-files"}
    assert {"gsxt", "creditchina", "website", "province", *added} == hub_map.channels.keys()


@pytest.mark.parametrize("name", ["county-website", "platform-files"])
def test_the_endpoints_of_the_example_make_sinks(name: str, tmp_path: Path) -> None:
    channel = example("channels of the map")["channels"][name]
    given = example("channels of endpoints.yaml")["channels"][name]
    config = ChannelConfig.of(name, channel["title"], channel["view"], channel["connector"], given, tmp_path)
    assert build_sink(config, catalog(), tmp_path, lambda: NOW).capabilities.max_concurrent == 1
    assert not list(tmp_path.iterdir()), "nothing is touched before it is used"


@pytest.mark.parametrize("name", ["gsxt", "creditchina", "website", "province"])
def test_the_deployments_endpoints_make_sinks_of_the_channels_of_the_map(name: str, tmp_path: Path) -> None:
    hub_map = HubMap.load(ROOT / "topics.yaml", catalog(), ROOT / "reference")
    channel, given = hub_map.channels[name], load_endpoints(ROOT / "deploy" / "endpoints.example.yaml").channels[name]
    config = ChannelConfig.of(
        name, channel.title, channel.view, channel.connector, given, tmp_path, channel.audience
    )
    assert build_sink(config, catalog(), tmp_path, lambda: NOW).audience == channel.audience
    assert not list(tmp_path.iterdir()), "nothing is touched before it is used"


def test_a_wrong_setting_names_channel_and_field(tmp_path: Path) -> None:
    with pytest.raises(ContractError) as caught:
        given = {"folder": "x", "source_code": "甘南"}
        ChannelConfig.of("credit-files", "渠道", "public", "credit-china", given, tmp_path)
    assert "channel credit-files: source_code" in str(caught.value)
