"""The one place that reads the environment. Parts get values, never this module.

Every setting is ``HUB_<NAME>`` in the environment and ``name`` here. Where an address is not given,
the one of the hub that runs on the data folder is taken (``<data>/run.json``, written by ``hub up``).
"""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from hub.errors import UsageError

#: Where schemas/, reference/, connectors/ and topics.yaml stand: beside the package.
PROJECT_ROOT = Path(__file__).resolve().parent.parent


class Settings(BaseSettings):
    """All settings of every process of the hub, with their defaults."""

    model_config = SettingsConfigDict(env_prefix="HUB_", extra="ignore", frozen=True)

    home: Path = Field(PROJECT_ROOT, description="folder of topics.yaml, schemas/ and reference/")
    data: Path = Field(Path(".hub"), description="folder of everything that the hub writes on this machine")
    bootstrap_servers: str = Field("", description="Kafka, as host:port[,host:port]")
    departments_servers: str = Field(
        "", description="Kafka as departments reach it by their own listener, as host:port[,host:port]"
    )
    redis_index_url: str = Field("", description="Valkey or Redis, e.g. redis://127.0.0.1:6379/0")
    map_file: Path | None = Field(None, description="the topic map; default <home>/topics.yaml")
    sources_file: Path | None = Field(None, description="the sources; default <data>/sources.yaml")
    endpoints_file: Path | None = Field(
        None, description="addresses and secrets of channels and subscriptions; default <data>/endpoints.yaml"
    )
    subject_secret: SecretStr | None = Field(
        None, description="keys the hash that stands for a certificate number; default: made once under <data>"
    )
    vault_secret: SecretStr | None = Field(
        None, description="seals the signing keys that stand on the log; default: made once under <data>"
    )
    allowed_networks: str | None = Field(
        None,
        description="private networks where departments may listen, e.g. 10.20.0.0/16,fd12::/32; default: none, "
        "or this machine alone where an embedded hub runs",
    )
    drop_dir: Path | None = Field(
        None, description="folder of the file drop, which departments without a server share; default <data>/drop"
    )
    drop_window_seconds: float = Field(30.0, gt=0, description="how long a package of notices is gathered")
    drop_max_notices: int = Field(500, ge=1, le=10_000, description="notices of one package")
    drop_max_bytes: int = Field(
        4 * 1024 * 1024, ge=1, description="bytes of the notices of one package, as they are signed"
    )
    drop_form: Literal["xlsx", "csv"] = Field("xlsx", description="form of the tables in a package")
    readers: int | None = Field(
        None, ge=0, description="processes that read large portions beside intake; default: one less than processors"
    )
    ledger_memory: int = Field(
        512, ge=1, description="MiB of the index that the ledger keeps in Redis; what is oldest leaves first"
    )
    replication: int | None = Field(None, ge=1, description="replicas of every topic instead of the map's")
    web_host: str = Field("127.0.0.1", description="address that the web side listens on")
    web_port: int = Field(8080, ge=0, description="port of the web side; 0 takes a free one")
    health_host: str = Field("127.0.0.1", description="address that the health of a stage listens on")
    health_port: int = Field(0, ge=0, le=65535, description="port of the health of a stage; 0 for none")
    trusted_proxies: str = Field(
        "", description="addresses or networks of proxies whose word on sender and https is believed, e.g. 10.20.0.5"
    )
    rate_per_minute: int = Field(
        12_000, ge=0, le=1_000_000, description="requests a minute of one key or token; 0 for no limit"
    )
    rate_per_minute_address: int = Field(
        60_000, ge=0, le=1_000_000,
        description="requests a minute of one address without a valid key or token; 0 for no limit"
    )
    metrics_host: str = Field("127.0.0.1", description="address that /metrics of the stage ops listens on")
    metrics_port: int = Field(9308, ge=0, description="port of /metrics; 0 takes a free one")
    ops_seconds: float = Field(10.0, gt=0, description="how often the stage ops looks at the hub")
    otlp_endpoint: str = Field(
        "", description="receiver of spans by OTLP over HTTP, e.g. http://127.0.0.1:4318; without it there are none"
    )
    shutdown_seconds: float = Field(20.0, gt=0, description="how long a stage may drain when told to stop")
    cache: Path | None = Field(None, description="cache of the embedded broker's files")
    log_level: str = Field("info", description="debug | info | warning | error")

    @cached_property
    def _run(self) -> dict[str, Any]:
        try:
            found = json.loads((self.data / "run.json").read_text())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def bootstrap(self) -> str:
        """Kafka's address. Raises UsageError if neither set nor running."""
        return self.bootstrap_servers or self._running("bootstrap", "HUB_BOOTSTRAP_SERVERS")

    @property
    def departments_bootstrap(self) -> str | None:
        """Kafka's address for departments, who come with user and password; ``None`` where nobody said it."""
        running = None if self.bootstrap_servers else self._run.get("departments_bootstrap")
        return self.departments_servers or running

    @property
    def redis_url(self) -> str:
        """Redis' address. Raises UsageError if neither set nor running."""
        return self.redis_index_url or self._running("redis_url", "HUB_REDIS_INDEX_URL")

    @property
    def copies(self) -> int | None:
        """Replicas of every topic: as set, else as the hub that runs here was started; ``None`` is the map's."""
        found = None if self.bootstrap_servers else self._run.get("replication")
        return self.replication or (int(found) if found else None)

    @property
    def delivery_networks(self) -> str:
        """Networks, separated by commas, that deliveries may reach though they are private."""
        if self.allowed_networks is not None:
            return self.allowed_networks
        # The sandbox's departments listen on this machine; what reaches a broker elsewhere is no sandbox.
        return "" if self.bootstrap_servers or not self._run else "127.0.0.0/8,::1"

    def _running(self, name: str, variable: str) -> str:
        value = self._run.get(name)
        if not value:
            raise UsageError(
                f"No hub runs on {self.data}, and {variable} is not set: start one with `hub up` or name it."
            )
        return str(value)

    @property
    def topic_map(self) -> Path:
        return self.map_file or self.home / "topics.yaml"

    @property
    def sources(self) -> Path:
        return self.sources_file or self.data / "sources.yaml"

    @property
    def endpoints(self) -> Path:
        return self.endpoints_file or self.data / "endpoints.yaml"

    @property
    def drop(self) -> Path:
        return self.drop_dir or self.data / "drop"

    def masked(self) -> dict[str, str]:
        """Every setting as text, secrets as stars: what a process logs when it starts."""
        return {name: str(getattr(self, name)) for name in type(self).model_fields}


def load(**overrides: Any) -> Settings:
    """Settings from the environment, with what a command line named on top (``None`` is not named)."""
    return Settings(**{name: value for name, value in overrides.items() if value is not None})
