"""The demonstration: three departments' season through the whole hub, and whether it adds up."""

from __future__ import annotations

import json
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from hub.bus.lag import read_lag
from hub.bus.topics import admin
from hub.errors import InfrastructureError
from hub.house import House
from hub.sandbox.generate.departments import DEPARTMENTS
from hub.sandbox.generate.manifest import Manifest
from hub.sandbox.generate.season import generate_season
from hub.settings import Settings
from hub.wiring import consumer_groups, open_map

#: The longest that a demo waits for the hub to come to rest before it says what is stuck.
PATIENCE_SECONDS = 240.0
_POLL_SECONDS = 0.3
_MAPPINGS = ["inspection-results", "penalties", "blacklist-notices", "complaint-leads"]


def prepare(data: Path, *, seed: int, size: int, ends_on: date) -> Manifest:
    """Writes the season's exports and ``sources.yaml`` under ``data``; returns what is true of them.

    ``ends_on`` is the day of the last file: what is due then is still in time.
    """
    manifest = generate_season(data / "exports", seed=seed, size=size, ends_on=ends_on)
    write_sources(data)
    return manifest


def write_sources(data: Path) -> None:
    """``sources.yaml`` for the three departments of the sandbox; a folder each under ``exports``."""
    sources = [
        {
            "name": department.source,
            "folder": f"exports/{department.source}",
            "department_code": department.code,
            "department_name": department.name,
            "region_code": department.region,
            "mappings": _MAPPINGS,
            "settle_seconds": 0.0,
        }
        for department in DEPARTMENTS
    ]
    data.mkdir(parents=True, exist_ok=True)
    (data / "sources.yaml").write_text(yaml.safe_dump({"sources": sources}, allow_unicode=True), encoding="utf-8")


def wait_for_intake(data: Path, manifest: Manifest, is_alive: Callable[[], None]) -> dict[str, Any]:
    """Waits until every file has its report; returns the sum of the reports. Raises InfrastructureError."""
    until = time.monotonic() + PATIENCE_SECONDS
    while (missing := len(manifest.files) - len(reports(data))) > 0:
        is_alive()
        if time.monotonic() > until:
            raise InfrastructureError(
                f"{missing} of {len(manifest.files)} files were not read in time; see stages/intake.log."
            )
        time.sleep(_POLL_SECONDS)
    return sum_reports(data)


def reports(data: Path) -> list[dict[str, Any]]:
    """The reports that intake has written beside the files so far."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted((data / "exports").rglob("*.report.json"))]


def sum_reports(data: Path) -> dict[str, Any]:
    """Rows read, accepted (by event), rejected (by problem) and repeated over all reports."""
    total: dict[str, Any] = {
        "read": 0,
        "repeated": 0,
        "waiting": 0,
        "witnessed": 0,
        "accepted": Counter(),
        "rejected": Counter(),
        "warnings": Counter(),
    }
    for report in reports(data):
        counts = report.get("counts", report)
        for name in ("read", "repeated", "waiting", "witnessed"):
            total[name] += counts[name]
        for name in ("accepted", "rejected", "warnings"):
            total[name].update(counts[name])
    return total


def wait_for_rest(house: House, settings: Settings, is_alive: Callable[[], None]) -> None:
    """Waits until no group has anything to read and no department anything to answer.

    Raises InfrastructureError naming what is still behind.
    """
    groups = consumer_groups(open_map(settings))
    until, calm = time.monotonic() + PATIENCE_SECONDS, 0
    behind: list[str] = []
    while calm < 3:
        is_alive()
        with admin(house.addresses["bootstrap"]) as client:
            behind = [f"{lag.group} on {lag.topic}" for lag in read_lag(client, groups) if lag.lag]
        for name, page in house.addresses.get("sandbox", {}).get("departments", {}).items():
            with urllib.request.urlopen(f"{page.rstrip('/')}/stats", timeout=5) as answer:
                if json.load(answer).get("pending"):
                    behind.append(f"answers of {name}")
        calm = 0 if behind else calm + 1
        if time.monotonic() > until:
            raise InfrastructureError(f"Not at rest after {PATIENCE_SECONDS:.0f} s: {', '.join(sorted(set(behind)))}.")
        time.sleep(_POLL_SECONDS)


def disclosure_stats(house: House) -> dict[str, Any]:
    """What the disclosure system's stand-in says of itself."""
    return _stats_at(f"{house.addresses['sandbox']['disclosure']}/api/v1/stats")


def channel_stats(house: House) -> dict[str, dict[str, Any]]:
    """What the stand-ins of channels that count by themselves say, by channel."""
    pages: dict[str, str] = house.addresses["sandbox"]["channels"]
    return {name: _stats_at(page) for name, page in pages.items() if page.endswith("/stats")}


def _stats_at(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(url, timeout=5) as answer:
        found = json.load(answer)
    return found if isinstance(found, dict) else {}
