"""Children that end with us, leftovers that are told from strangers, folders with one owner."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.embedded.broker_config import BrokerPlace, broker_properties, properties_text
from hub.embedded.cluster import KafkaCluster
from hub.embedded.folder import OwnedFolder, choose_port, is_free
from hub.embedded.process import ServerProcess, birth_of, last_lines
from hub.errors import UsageError

SLEEPER = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(SLEEPER, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_start_and_stop(tmp_path: Path) -> None:
    server = ServerProcess("Sleeper", tmp_path / "pid.json")
    server.start(SLEEPER, tmp_path / "console.log", tmp_path)
    pid = server.pid
    assert pid is not None and json.loads((tmp_path / "pid.json").read_text())["birth"] == birth_of(pid)
    server.terminate()
    server.wait()
    assert birth_of(pid) is None and server.pid is None and server.exit_code is not None
    assert not (tmp_path / "pid.json").exists()


def test_one_that_does_not_stop_is_killed(tmp_path: Path) -> None:
    stubborn = "import signal; signal.signal(15, signal.SIG_IGN); " + SLEEPER[-1]
    server = ServerProcess("Stubborn", tmp_path / "pid.json")
    server.start([sys.executable, "-c", stubborn], tmp_path / "console.log", tmp_path)
    while not (tmp_path / "console.log").read_text():
        assert server.exit_code is None
    server.terminate()
    server.wait(0.2)
    assert server.exit_code == -9


def test_a_child_outlives_the_thread_that_asked_for_it(tmp_path: Path) -> None:
    server = ServerProcess("Sleeper", tmp_path / "pid.json")
    thread = threading.Thread(target=server.start, args=(SLEEPER, tmp_path / "console.log", tmp_path))
    thread.start()
    thread.join()
    while not (tmp_path / "console.log").read_text():
        assert server.exit_code is None
    assert server.pid is not None
    server.kill()


def test_a_command_that_does_not_exist_is_told_by_its_end(tmp_path: Path) -> None:
    server = ServerProcess("Nothing", tmp_path / "pid.json")
    server.start([str(tmp_path / "nothing")], tmp_path / "console.log", tmp_path)
    server.wait()
    assert server.exit_code == 1
    assert "No such file" in last_lines(tmp_path / "console.log")


def test_a_leftover_is_ended(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    (tmp_path / "pid.json").write_text(json.dumps({"pid": sleeper.pid, "birth": birth_of(sleeper.pid)}))
    assert ServerProcess("Sleeper", tmp_path / "pid.json").end_leftover()
    assert sleeper.wait() == -15
    assert not (tmp_path / "pid.json").exists()


@pytest.mark.parametrize("birth", ["another boot:1", None])
def test_a_stranger_with_the_same_number_is_left_alone(
    tmp_path: Path, sleeper: subprocess.Popen[bytes], birth: str | None
) -> None:
    (tmp_path / "pid.json").write_text(json.dumps({"pid": sleeper.pid, "birth": birth}))
    assert not ServerProcess("Sleeper", tmp_path / "pid.json").end_leftover()
    assert sleeper.poll() is None


def test_a_half_written_pid_file_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "pid.json").write_text('{"pid": 12')
    assert not ServerProcess("Sleeper", tmp_path / "pid.json").end_leftover()


def test_a_folder_in_use_is_refused_and_free_again_after(tmp_path: Path) -> None:
    first, second = OwnedFolder(tmp_path / "data", "kafka"), OwnedFolder(tmp_path / "data", "kafka")
    first.acquire()
    with pytest.raises(UsageError, match=f"in use by process {os.getpid()}"):
        second.acquire()
    first.release()
    second.acquire()
    second.release()


def test_a_remembered_port_is_taken_again_only_where_it_is_free() -> None:
    port = choose_port()
    assert choose_port(port) == port
    assert choose_port(port, taken=[port]) != port
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", port))
        busy.listen()
        assert not is_free(port)
        assert choose_port(port) != port


@pytest.mark.parametrize("brokers", [0, 2, 4])
def test_only_one_or_three_brokers(tmp_path: Path, brokers: int) -> None:
    with pytest.raises(UsageError, match="1 broker or 3"):
        KafkaCluster(tmp_path, brokers)


def test_three_brokers_keep_three_copies_and_need_two() -> None:
    places = {n: BrokerPlace(n, Path(f"/data/broker-{n}"), 20_000 + n, 21_000 + n, 22_000 + n) for n in (1, 2, 3)}
    properties = broker_properties(places[2], places)
    assert properties["default.replication.factor"] == properties["offsets.topic.replication.factor"] == "3"
    assert properties["min.insync.replicas"] == "2"
    assert properties["listeners"] == (
        "BROKER://127.0.0.1:20002,CONTROLLER://127.0.0.1:21002,DEPARTMENTS://127.0.0.1:22002"
    )
    bootstrap = properties["controller.quorum.bootstrap.servers"]
    assert bootstrap == "127.0.0.1:21001,127.0.0.1:21002,127.0.0.1:21003"


def test_a_folder_with_a_chinese_name_survives_javas_latin1() -> None:
    assert properties_text({"log.dirs": "/home/甘南\\x"}) == "log.dirs=/home/\\u7518\\u5357\\\\x\n"


def test_the_log_is_quoted_from_its_end(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("\n".join(f"line {n}" for n in range(30)))
    quoted = last_lines(tmp_path / "a.log", tmp_path / "missing.log", count=2)
    assert quoted == "    line 28\n    line 29"
