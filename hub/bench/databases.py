"""PostgreSQL and MariaDB of Debian's packages, for measurements and tests: on an ephemeral port of 127.0.0.1.

Not as root, which both refuse: as the user that the package made, or as whoever runs it. What they hold is
worth nothing, so they do not wait for the disk.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa

from hub.errors import InfrastructureError, MissingMeansError

_PATIENCE_SECONDS = 60.0
#: Of a server that lives for minutes on 127.0.0.1.
PASSWORD = "only-for-tests"


class Server(NamedTuple):
    """``url`` is of an empty database, as a source would have it; ``driver_url`` has the password
    (``PASSWORD``) in it, for statements of one's own. ``process`` is the server's."""

    kind: str
    url: str
    driver_url: str
    process: subprocess.Popen[bytes]


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _find(name: str) -> str | None:
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    for path in sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True):
        return str(path)
    return found


def _as_user(name: str) -> dict[str, object]:
    """Arguments of Popen that give root's rights up; nothing where there are none."""
    if os.geteuid() != 0:
        return {}
    try:
        user = pwd.getpwnam(name)
    except KeyError:
        user = pwd.getpwnam("nobody")
    environment = {**os.environ, "HOME": "/nonexistent"}
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": [], "env": environment}


@contextlib.contextmanager
def _folder(user: str) -> Iterator[Path]:
    """A folder of that user; not below the tests' own, which others may not enter."""
    with tempfile.TemporaryDirectory(prefix="hub-database-") as name:
        arguments = _as_user(user)
        if arguments:
            os.chown(name, int(str(arguments["user"])), int(str(arguments["group"])))
        yield Path(name)


def _wait(process: subprocess.Popen[bytes], ask: Callable[[], None], log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return ask()
        except sa.exc.DBAPIError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                text = log.read_text(encoding="utf-8", errors="replace")[-2000:] if log.exists() else ""
                raise InfrastructureError(f"the server did not come up: {error}\n{text}") from None
        time.sleep(0.1)


@contextlib.contextmanager
def _running(command: list[str], log: Path, user: str) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, **_as_user(user))  # type: ignore[call-overload]
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def postgresql() -> Iterator[Server]:
    """A server while it is needed. Raises MissingMeansError where it is not installed."""
    initdb, postgres = _find("initdb"), _find("postgres")
    if initdb is None or postgres is None:
        raise MissingMeansError("PostgreSQL is not installed (Debian: postgresql).")
    with _folder("postgres") as folder:
        data, secret, port = folder / "data", folder / "password", _free_port()
        secret.write_text(PASSWORD, encoding="ascii")
        secret.chmod(0o644)
        subprocess.run(
            [initdb, "-D", str(data), "-U", "hub", "-E", "UTF8", "--locale=C.UTF-8", "-A", "scram-sha-256",
             f"--pwfile={secret}"],
            check=True, capture_output=True, cwd=folder, **_as_user("postgres"),  # type: ignore[call-overload]
        )  # fmt: skip
        command = [postgres, "-D", str(data), "-h", "127.0.0.1", "-p", str(port), "-k", str(folder), "-F",
                   "-c", "full_page_writes=off", "-c", "max_wal_size=4GB"]  # fmt: skip
        log = folder.with_suffix(".log")
        try:
            with _running(command, log, "postgres") as process:
                driver_url = f"postgresql+psycopg://hub:{PASSWORD}@127.0.0.1:{port}/postgres"
                _wait(process, lambda: _ask(driver_url), log)
                yield Server("postgresql", f"postgresql://hub@127.0.0.1:{port}/postgres", driver_url, process)
        finally:
            log.unlink(missing_ok=True)


@contextlib.contextmanager
def mariadb() -> Iterator[Server]:
    """A server while it is needed. Raises MissingMeansError where it is not installed."""
    install, server = _find("mariadb-install-db"), _find("mariadbd")
    if install is None or server is None:
        raise MissingMeansError("MariaDB is not installed (Debian: mariadb-server).")
    with _folder("mysql") as folder:
        data, start, port = folder / "data", folder / "start.sql", _free_port()
        start.write_text(
            f"CREATE DATABASE hub CHARACTER SET utf8mb4;\n"
            f"CREATE USER hub@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';\nGRANT ALL ON *.* TO hub@'127.0.0.1';\n",
            encoding="utf-8",
        )
        start.chmod(0o644)
        subprocess.run(
            [install, "--no-defaults", f"--datadir={data}", "--skip-test-db",
             "--auth-root-authentication-method=normal"],
            check=True, capture_output=True, cwd=folder, **_as_user("mysql"),  # type: ignore[call-overload]
        )  # fmt: skip
        command = [server, "--no-defaults", f"--datadir={data}", "--bind-address=127.0.0.1", f"--port={port}",
                   f"--socket={folder}/s", f"--pid-file={folder}/pid", f"--init-file={start}",
                   "--innodb-flush-log-at-trx-commit=0", "--skip-name-resolve"]  # fmt: skip
        log = folder.with_suffix(".log")
        try:
            with _running(command, log, "mysql") as process:
                driver_url = f"mysql+pymysql://hub:{PASSWORD}@127.0.0.1:{port}/hub?charset=utf8mb4"
                _wait(process, lambda: _ask(driver_url), log)
                yield Server("mariadb", f"mariadb://hub@127.0.0.1:{port}/hub", driver_url, process)
        finally:
            log.unlink(missing_ok=True)


def _ask(url: str) -> None:
    engine = sa.create_engine(url, poolclass=sa.pool.NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql("SELECT 1")
