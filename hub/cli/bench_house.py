"""A broker and an index for the time of one bench."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hub import wiring
from hub.bus.topics import admin, apply
from hub.cli.common import settings_of
from hub.contracts.map import HubMap
from hub.embedded.cluster import KafkaCluster
from hub.embedded.valkey import Valkey
from hub.settings import Settings, load


@contextmanager
def embedded(map_file: Path | None = None) -> Iterator[tuple[Settings, HubMap]]:
    """A broker and an index of their own for the time of one bench, with the topics of a map."""
    with tempfile.TemporaryDirectory(prefix="hub-bench-") as folder:
        data, cache = Path(folder), settings_of(log_level="error").cache
        with KafkaCluster(data / "kafka", 1, cache) as cluster, Valkey(data / "valkey") as valkey:
            settings = load(
                data=data,
                bootstrap_servers=cluster.bootstrap,
                redis_index_url=valkey.url,
                map_file=map_file,
                replication=1,
            )
            hub_map = wiring.open_map(settings)
            with admin(cluster.bootstrap) as client:
                apply(client, wiring.topic_specs(settings, hub_map))
            yield settings, hub_map


def stage_command(settings: Settings, stage: str, **more: object) -> list[str]:
    """``hub run STAGE`` on these means, whatever the environment says; ``more`` are further settings by variable."""
    given: dict[str, object] = {
        "HUB_DATA": settings.data, "HUB_BOOTSTRAP_SERVERS": settings.bootstrap,
        "HUB_REDIS_INDEX_URL": settings.redis_url, "HUB_HOME": settings.home, "HUB_MAP_FILE": settings.topic_map,
        "HUB_REPLICATION": 1, "HUB_LOG_LEVEL": "error", "HUB_METRICS_PORT": 0, **more,
    }
    pairs = [f"{name}={value}" for name, value in given.items()]
    return ["/usr/bin/env", *pairs, sys.executable, "-m", "hub.cli.main", "run", stage]
