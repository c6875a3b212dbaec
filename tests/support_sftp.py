"""A real OpenSSH server of its own for tests, and a line to it that can be cut."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import asyncssh
import pytest

from connectors.sftp_folder.source import SftpFolder
from hub.intake import Batch, Counts, LoggedProblem, Refusal, Row, RowFault, SourceConfig
from hub.intake.build import source_context
from tests.support_intake import catalog

#: Opens the client's private key.
PASSPHRASE = "a-word-of-the-tests"
_CONFIG = """
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host
PidFile none
AuthorizedKeysFile {folder}/authorized
StrictModes no
UsePAM no
PubkeyAuthentication yes
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
MaxStartups 200
LogLevel ERROR
Subsystem sftp internal-sftp
"""


class SftpServer(NamedTuple):
    """Where it listens, its host key, and a key that it lets in as ``user``."""

    port: int
    user: str
    host_key: str
    key_file: Path

    def settings(self, **more: Any) -> dict[str, Any]:
        """For an entry of ``sources.yaml``."""
        return {
            "host": "127.0.0.1", "port": self.port, "user": self.user, "host_key": [self.host_key],
            "key_file": str(self.key_file), "passphrase": PASSPHRASE, "settle_seconds": 0, "every_seconds": 0.001,
            **more,
        }  # fmt: skip


@contextlib.contextmanager
def sftp_server(folder: Path) -> Iterator[SftpServer]:
    """``sshd`` with keys and settings of its own, ended by its process. Without one the test says so and is
    skipped; on CI it fails."""
    program = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if program is None:
        said = "sshd of OpenSSH is not installed (openssh-server)"
        if os.environ.get("CI"):
            pytest.fail(said, pytrace=False)
        pytest.skip(said)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where it locks away what is not logged in yet
    host, client = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    _write(folder / "host", host.export_private_key())
    _write(folder / "client", client.export_private_key("pkcs8-pem", passphrase=PASSPHRASE))
    _write(folder / "authorized", client.export_public_key())
    for _ in range(5):
        port = _free_port()
        _write(folder / "config", _CONFIG.format(port=port, folder=folder).encode())
        process = subprocess.Popen(
            [program, "-D", "-e", "-f", str(folder / "config")], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        if _answers(process, port):
            break
        process.kill()
        said = process.communicate()[1].decode(errors="replace")
    else:
        pytest.fail(f"sshd did not start: {said}", pytrace=False)
    user = os.environ.get("USER") if os.geteuid() else "root"
    try:
        yield SftpServer(port, user or "root", host.export_public_key().decode().strip(), folder / "client")
    finally:
        process.terminate()
        process.communicate()


class Line:
    """A line to a server. ``bytes_down`` counts what came from it; ``cut_after`` so many bytes everything
    breaks, and nobody gets through until ``mend``."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._guard = threading.Lock()
        self._is_cut = False
        self.bytes_down = 0
        self.cut_after: int | None = None
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def mend(self) -> None:
        """Lets everybody through again, and counts anew."""
        with self._guard:
            self.bytes_down, self.cut_after, self._is_cut = 0, None, False

    def cut(self) -> None:
        """Breaks everything that goes through."""
        with self._guard:
            self._is_cut = True
            for each in self._open:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
            self._open.clear()

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self._is_cut:
                near.close()
                continue
            far = socket.create_connection(("127.0.0.1", self._target))
            with self._guard:
                self._open += [near, far]
            for source, target, is_down in ((near, far, False), (far, near, True)):
                thread = threading.Thread(target=self._pass, args=(source, target, is_down))
                thread.start()
                self._threads.append(thread)

    def _pass(self, source: socket.socket, target: socket.socket, is_down: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if is_down:
                    self.bytes_down += len(data)
                    if self.cut_after is not None and self.bytes_down >= self.cut_after:
                        self.cut()
                        break
                target.sendall(data)
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        source.close()


def sftp_config(server: SftpServer, folder: Path, **more: Any) -> SourceConfig:
    """A source on that folder of the server."""
    return SourceConfig.of({
        "name": "hezuo-sftp", "connector": "sftp-folder", "department_code": "11623000013999917X",
        "department_name": "甘南州市场监督管理局", "region_code": "623000", "mappings": ["inspection-results"],
        **server.settings(path=str(folder)), **more,
    })  # fmt: skip


def open_sftp(server: SftpServer, folder: Path, data: Path, **more: Any) -> SftpFolder:
    return SftpFolder(source_context(sftp_config(server, folder, **more), catalog(), data))


def drain(source: SftpFolder, problems: list[LoggedProblem] | None = None) -> list[Row | RowFault]:
    """Every item of every portion that there is now, each finished with these problems."""
    items: list[Row | RowFault] = []
    counts = Counts(read=1, rejected={"date": 1}) if problems else Counts(read=1)
    for portion in source.portions():
        batches: list[Batch] = list(portion.batches(0))
        items += [item for batch in batches for item in batch.items]
        portion.finish(counts, iter(problems or ()))
        portion.close()
    source.close()
    return items


def refusals(source: SftpFolder) -> list[tuple[str, Refusal]]:
    """Every portion that there is now refuses, and is refused."""
    found = []
    for portion in source.portions():
        with pytest.raises(Refusal) as caught:
            list(portion.batches(0))
        portion.refuse(caught.value)
        found.append((portion.name, caught.value))
        portion.close()
    source.close()
    return found


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o600)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def _answers(process: subprocess.Popen[bytes], port: int) -> bool:
    for _ in range(200):
        if process.poll() is not None:
            return False
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as found:
                return found.recv(4) == b"SSH-"
        except OSError:
            time.sleep(0.02)
    return False
