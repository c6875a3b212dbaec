"""Sources by name: loaded when first used, and asked what settings they have."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hub.contracts.connectors import Connector, load_connector

#: Connectors that the hub brings along. Others are named ``package.module:Class`` or, for a file beside
#: ``sources.yaml``, ``folder/source.py:Class``.
CONNECTORS: Mapping[str, str] = {
    "export-folder": "connectors.export_folder.source:ExportFolder",
    "http-poll": "connectors.http_poll.source:HttpPoll",
    "sftp-folder": "connectors.sftp_folder.source:SftpFolder",
    "sql": "connectors.sql.source:SqlSource",
    "lead-feed": "connectors.lead_feed.source:LeadFeed",
}


def find_connector(name: str, base: Path | None = None) -> Connector:
    """The connector of that name; files are seen from ``base``, the folder of ``sources.yaml``.

    :raises ContractError: when there is none, or it cannot be loaded.
    """
    return load_connector(name, CONNECTORS, base, "folder/file.py:Class")
