"""Kafka's jars: fetched once, by a pinned list, into a cache that is whole or repairs itself.

Each jar is checked against the sha256 of ``kafka-jars.lock`` before every start (0.05 s for all of
them) and moved into place in one step, so neither a killed fetch nor a bad disk leaves a jar that
Java would stumble over. Two processes at once take turns by a lock file.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import structlog

from hub.embedded.folder import locked
from hub.errors import MissingMeansError

LOCK_FILE = Path(__file__).with_name("kafka-jars.lock")

#: Two tries beyond the first: a connection that broke once is common, one that breaks thrice is none.
MAX_ATTEMPTS = 3

#: Jars are small and the way is long: most of the time goes into waiting.
PARALLEL_FETCHES = 8

_log = structlog.get_logger()


@dataclass(frozen=True)
class Jar:
    """One pinned jar: Maven's coordinate and the sha256 of its bytes."""

    group: str
    artifact: str
    version: str
    classifier: str
    sha256: str

    @property
    def coordinate(self) -> str:
        """As in the lock: ``group:artifact:version[:classifier]``."""
        return ":".join(filter(None, (self.group, self.artifact, self.version, self.classifier)))

    @property
    def file_name(self) -> str:
        """``artifact-version[-classifier].jar``"""
        return "-".join(filter(None, (self.artifact, self.version, self.classifier))) + ".jar"


#: Gets one jar into a folder of its own and returns its path; raises ``OSError`` or ``RuntimeError``.
Fetcher = Callable[[Jar, Path], Path]


def read_lock(path: Path = LOCK_FILE) -> tuple[Jar, ...]:
    """The pinned jars, in the order of the class path. ``#`` begins a comment line."""
    jars = []
    for line in path.read_text("ascii").splitlines():
        if line and not line.startswith("#"):
            coordinate, sha256 = line.split()
            group, artifact, version, *classifier = coordinate.split(":")
            jars.append(Jar(group, artifact, version, "".join(classifier), sha256))
    return tuple(jars)


def default_cache() -> Path:
    """``$XDG_CACHE_HOME/gannan-hub``, or ``~/.cache/gannan-hub``."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "gannan-hub"


def ensure_jars(
    cache_dir: Path | None = None, jars: Sequence[Jar] | None = None, fetch: Fetcher | None = None
) -> list[Path]:
    """The paths of all pinned jars, fetched where they are missing or damaged.

    Raises ``MissingMeansError`` when they cannot be had: no network, no room, a wrong checksum.
    """
    jars = read_lock() if jars is None else jars
    root = cache_dir or default_cache()
    folder = root / "jars"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if _unfit(jars, folder):
            with locked(root / "jars.lock"):
                # Asked again: while we waited another process may have fetched them.
                if missing := _unfit(jars, folder):
                    _fetch_all(missing, root, folder, fetch or _fetch_with_jgo)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise MissingMeansError(f"No room left in {root}: Kafka's jars need 40 MB there.") from error
        raise MissingMeansError(f"Kafka's jars cannot be kept in {root}: {error}.") from error
    return [folder / jar.file_name for jar in jars]


def _unfit(jars: Sequence[Jar], folder: Path) -> list[Jar]:
    return [jar for jar in jars if _sha256(folder / jar.file_name) != jar.sha256]


def _sha256(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None


def _fetch_all(jars: Sequence[Jar], root: Path, folder: Path, fetch: Fetcher) -> None:
    """Under the lock: clear what killed fetches left, then fetch, check and move each jar."""
    for stale in root.glob("fetch-*"):
        shutil.rmtree(stale, ignore_errors=True)
    _log.info("embedded.jars_fetching", count=len(jars), cache=str(root))
    with (
        tempfile.TemporaryDirectory(prefix="fetch-", dir=root, ignore_cleanup_errors=True) as staging,
        ThreadPoolExecutor(PARALLEL_FETCHES) as pool,
    ):
        runs = [pool.submit(_fetch_one, jar, Path(staging), folder, fetch) for jar in jars]
        try:
            for run in runs:
                run.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    _log.info("embedded.jars_ready", count=len(jars))


def _fetch_one(jar: Jar, staging: Path, folder: Path, fetch: Fetcher) -> None:
    reason = ""
    for attempt in range(1, MAX_ATTEMPTS + 1):
        place = staging / f"{jar.file_name}.{attempt}"
        place.mkdir()
        try:
            path = fetch(jar, place)
        except (OSError, RuntimeError) as error:
            # requests' errors are OSErrors without a number; a full disk is no matter of trying again.
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            continue
        if _sha256(path) == jar.sha256:
            os.replace(path, folder / jar.file_name)
            return
        reason = "its bytes are not those that kafka-jars.lock names"
        path.unlink(missing_ok=True)
    raise MissingMeansError(
        f"Kafka's jar {jar.coordinate} could not be fetched ({reason}). The first start needs a way "
        "to a Maven repository; a mirror is named in jgo's configuration file, section [repositories]."
    )


def _fetch_with_jgo(jar: Jar, place: Path) -> Path:
    from jgo.config import GlobalSettings
    from jgo.maven import MavenContext

    mirrors = GlobalSettings.load().repositories
    # None leaves it to jgo, which knows the public repository.
    context = MavenContext(repo_cache=place, remote_repos=mirrors or None)
    component = context.project(jar.group, jar.artifact).at_version(jar.version)
    return Path(component.artifact(jar.classifier, "jar").resolve())
