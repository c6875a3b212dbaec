"""The jar cache, with a fetcher of local files in place of a repository."""

from __future__ import annotations

import errno
import hashlib
import threading
from pathlib import Path

import pytest
import requests

from hub.embedded.jars import MAX_ATTEMPTS, Jar, default_cache, ensure_jars, read_lock
from hub.errors import MissingMeansError

CONTENT = {"alpha": b"alpha's classes", "beta": b"beta's classes", "gamma": b"gamma's classes"}
JARS = tuple(
    Jar("org.example", name, "1.0", "", hashlib.sha256(content).hexdigest())
    for name, content in CONTENT.items()
)


class LocalFetcher:
    """Serves ``CONTENT``; ``spoiled`` says how many answers of an artifact are damaged first."""

    def __init__(self, **spoiled: int) -> None:
        self.asked: list[str] = []
        self._spoiled = spoiled
        self._lock = threading.Lock()

    def __call__(self, jar: Jar, place: Path) -> Path:
        with self._lock:
            self.asked.append(jar.artifact)
            is_spoiled = self._spoiled.get(jar.artifact, 0) >= self.asked.count(jar.artifact)
        path = place / "download.jar"
        path.write_bytes(b"an error page" if is_spoiled else CONTENT[jar.artifact])
        return path


def test_fetches_once_and_returns_the_paths_in_the_order_of_the_lock(tmp_path: Path) -> None:
    fetch = LocalFetcher()
    paths = ensure_jars(tmp_path, JARS, fetch)
    assert [path.read_bytes() for path in paths] == list(CONTENT.values())
    assert ensure_jars(tmp_path, JARS, fetch) == paths
    assert sorted(fetch.asked) == sorted(CONTENT)
    assert list(tmp_path.glob("fetch-*")) == []


def test_a_damaged_jar_is_found_and_it_alone_is_fetched_again(tmp_path: Path) -> None:
    paths = ensure_jars(tmp_path, JARS, LocalFetcher())
    paths[1].write_bytes(paths[1].read_bytes()[:-1])
    fetch = LocalFetcher()
    ensure_jars(tmp_path, JARS, fetch)
    assert fetch.asked == ["beta"]
    assert paths[1].read_bytes() == CONTENT["beta"]


def test_a_damaged_answer_is_asked_for_again(tmp_path: Path) -> None:
    fetch = LocalFetcher(gamma=MAX_ATTEMPTS - 1)
    paths = ensure_jars(tmp_path, JARS, fetch)
    assert fetch.asked.count("gamma") == MAX_ATTEMPTS
    assert paths[2].read_bytes() == CONTENT["gamma"]


def test_a_jar_that_stays_wrong_never_enters_the_cache(tmp_path: Path) -> None:
    with pytest.raises(MissingMeansError, match=r"org\.example:beta:1\.0 .*not those that kafka-jars"):
        ensure_jars(tmp_path, JARS, LocalFetcher(beta=MAX_ATTEMPTS))
    assert not (tmp_path / "jars" / "beta-1.0.jar").exists()
    assert list(tmp_path.glob("fetch-*")) == []


def test_no_network_is_one_clear_sentence(tmp_path: Path) -> None:
    def fetch(jar: Jar, place: Path) -> Path:
        raise requests.ConnectionError("Name or service not known")

    with pytest.raises(MissingMeansError, match="ConnectionError: Name or service not known") as caught:
        ensure_jars(tmp_path, JARS, fetch)
    assert "\n" not in str(caught.value)


def test_a_full_disk_is_said_at_once(tmp_path: Path) -> None:
    asked: list[str] = []

    def fetch(jar: Jar, place: Path) -> Path:
        asked.append(jar.artifact)
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(MissingMeansError, match="No room left in"):
        ensure_jars(tmp_path, JARS[:1], fetch)
    assert asked == ["alpha"]


def test_what_a_killed_fetch_left_is_cleared_and_what_it_finished_is_kept(tmp_path: Path) -> None:
    ensure_jars(tmp_path, JARS[:1], LocalFetcher())
    remains = tmp_path / "fetch-killed" / "beta-1.0.jar.1"
    remains.mkdir(parents=True)
    (remains / "download.jar").write_bytes(CONTENT["beta"][:4])
    fetch = LocalFetcher()
    ensure_jars(tmp_path, JARS, fetch)
    assert sorted(fetch.asked) == ["beta", "gamma"]
    assert list(tmp_path.glob("fetch-*")) == []


def test_two_at_once_fetch_each_jar_once(tmp_path: Path) -> None:
    fetch = LocalFetcher()
    threads = [threading.Thread(target=ensure_jars, args=(tmp_path, JARS, fetch)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(fetch.asked) == sorted(CONTENT)


def test_a_cache_that_cannot_be_made_is_one_clear_sentence(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file, not a folder")
    with pytest.raises(MissingMeansError, match="cannot be kept in"):
        ensure_jars(tmp_path / "cache", JARS, LocalFetcher())


def test_the_lock_pins_the_whole_broker_and_names_no_address() -> None:
    jars = read_lock()
    by_name = {jar.artifact: jar for jar in jars}
    assert by_name["kafka_2.13"].version == by_name["kafka-clients"].version == "4.3.1"
    assert {"scala-library", "log4j-core", "zstd-jni", "lz4-java", "snappy-java"} <= by_name.keys()
    assert len({jar.file_name for jar in jars}) == len(jars)
    assert all(len(jar.sha256) == 64 for jar in jars)


def test_a_classifier_is_part_of_the_coordinate_and_the_file_name(tmp_path: Path) -> None:
    lock = tmp_path / "some.lock"
    lock.write_text(f"# heading\norg.example:native:2.0:linux-x86_64 {'0' * 64}\n")
    (jar,) = read_lock(lock)
    assert jar.coordinate == "org.example:native:2.0:linux-x86_64"
    assert jar.file_name == "native-2.0-linux-x86_64.jar"


def test_the_cache_lives_where_the_desktop_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache() == tmp_path / "gannan-hub"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/ignored")
    assert default_cache() == Path.home() / ".cache" / "gannan-hub"
