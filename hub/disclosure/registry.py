"""Sinks by name: loaded when first used, and asked what settings they have."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hub.contracts.connectors import Connector, load_connector

#: Sinks that the hub brings along. Others are named ``package.module:Class`` or, for a file beside the file of
#: endpoints, ``folder/sink.py:Class``.
SINKS: Mapping[str, str] = {
    "collaboration-platform": "connectors.collaboration_platform.sink:CollaborationPlatform",
    "collaboration-platform-files": "connectors.collaboration_platform.file_sink:CollaborationPlatformFiles",
    "credit-china": "connectors.credit_china.sink:CreditChina",
    "government-website": "connectors.government_website.sink:GovernmentWebsite",
    "provincial-uplink": "connectors.provincial_uplink.sink:ProvincialUplink",
}


def find_sink(name: str, base: Path | None = None) -> Connector:
    """The sink of that name; files are seen from ``base``, the folder of the file of endpoints.

    :raises ContractError: when there is none, or it cannot be loaded.
    """
    return load_connector(name, SINKS, base, "folder/sink.py:Class")
