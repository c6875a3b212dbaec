"""What every part of the wiring needs: where things stand, and how services run together."""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import redis
from pydantic import SecretStr
from redis.backoff import NoBackoff
from redis.retry import Retry

from hub.contracts.catalog import Catalog
from hub.contracts.lock import LOCK_FILE
from hub.contracts.map import HubMap
from hub.settings import Settings


class Service(Protocol):
    """A part that runs until it is told to stop. ``stop`` may be called from any thread."""

    def run(self) -> None: ...

    def stop(self) -> None: ...


def utc_now() -> datetime:
    return datetime.now(UTC)


def open_catalog(settings: Settings) -> Catalog:
    """The catalog of the project's files. Raises ContractError.

    The same one as long as the files are: a command asks for it in several places, and to read it takes a second.
    """
    home = settings.home
    paths = (*home.glob("schemas/*/*/*.avsc"), home / LOCK_FILE, *home.glob("reference/codes/*.yaml"))
    return _load_catalog(home, frozenset((path, path.stat().st_mtime_ns) for path in paths if path.exists()))


@lru_cache(maxsize=2)
def _load_catalog(home: Path, files: frozenset[tuple[Path, int]]) -> Catalog:
    return Catalog.load(home)


def open_map(settings: Settings, catalog: Catalog | None = None) -> HubMap:
    """The map, checked against schemas and reference data. Raises MapError with all its faults."""
    return HubMap.load(settings.topic_map, catalog or open_catalog(settings), settings.home / "reference")


def subject_secret(settings: Settings) -> bytes:
    """The key of the hash that stands for certificate numbers."""
    return file_secret(settings, settings.subject_secret, "subject.secret")


def file_secret(settings: Settings, given: SecretStr | None, file_name: str) -> bytes:
    """A secret of the hub; made once under the data folder where none is set."""
    if given is not None:
        return given.get_secret_value().encode()
    path = settings.data / file_name
    if path.exists():
        return path.read_bytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{file_name}.{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_hex(32).encode())
            file.flush()
            os.fsync(file.fileno())
        # Of two processes that make it at once one wins, and neither ever reads half of it.
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
    return path.read_bytes()


class Together:
    """Several services as one: each in its own thread; one that ends with an error ends all."""

    def __init__(self, services: Mapping[str, Service]) -> None:
        self._services = dict(services)
        self._error: BaseException | None = None
        self._ended = threading.Event()

    @property
    def services(self) -> Iterable[Service]:
        return self._services.values()

    def run(self) -> None:
        threads = [
            threading.Thread(target=self._guard, args=(service,), name=name) for name, service in self._services.items()
        ]
        for thread in threads:
            thread.start()
        self._ended.wait()
        self.stop()
        for thread in threads:
            thread.join()
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        self._ended.set()
        for service in self._services.values():
            service.stop()

    def _guard(self, service: Service) -> None:
        try:
            service.run()
        except BaseException as error:
            self._error = self._error or error
        finally:
            self._ended.set()


def open_redis(settings: Settings) -> redis.Redis:
    """A client that says at once when the index is away: its users go on without it."""
    return redis.Redis.from_url(
        settings.redis_url, socket_timeout=5, socket_connect_timeout=2, retry=Retry(NoBackoff(), 0)
    )
