"""What can be known of an SFTP folder without a server: settings, names, and when a file is settled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.export_folder.settling import Settling
from connectors.sftp_folder.inbox import MOST_NAME_BYTES, Remote, name_of
from connectors.sftp_folder.outbox import Told
from connectors.sftp_folder.source import SftpFolder
from hub.intake import UPLOADS, SourceConfig
from hub.intake.build import source_context
from tests.support_contracts import catalog

KEY = "SHA256:" + "A" * 43
GOOD: dict[str, Any] = {
    "name": "hezuo-sftp", "connector": "sftp-folder", "department_code": "11623000013999917X",
    "department_name": "甘南州市场监督管理局", "region_code": "623000", "mappings": ["inspection-results"],
    "host": "files.example", "user": "hub", "host_key": [KEY], "password_env": "WORD", "path": "/out",
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"host_key": []}, "at least 1"),
        ({"host_key": ["SHA256:short"]}, "number 1 is neither"),
        ({"host_key": [KEY, "ssh-ed25519 nonsense"]}, "number 2 is neither"),
        ({"password_env": None}, "give a password"),
        ({"password": "word"}, "password is given in more than one way"),
        ({"key_env": "A", "key_file": "b"}, "key is given in more than one way"),
        ({"passphrase_env": "A"}, "passphrase is for a private key"),
        ({"archive": "/out/"}, "archive is the folder that is read"),
        ({"refused": "."}, "refused is the folder that is read"),
        ({"port": 70000}, "port"),
    ],
)
def test_settings_that_cannot_work_are_named(change: dict[str, Any], said: str) -> None:
    assert SourceConfig.parse(GOOD)[1] == []
    config, faults = SourceConfig.parse({**GOOD, **change})
    assert config is None and any(said in fault for fault in faults), faults


@given(st.binary(max_size=300))
def test_a_name_that_is_taken_is_one_name_of_a_file(name: bytes) -> None:
    text = name_of(name)
    if text is not None:
        assert Path("/x", text).parent == Path("/x") and text.isprintable() and "\\" not in text
        assert 0 < len(text.encode()) <= MOST_NAME_BYTES
    label = Remote(name, 1, 1).label
    assert Path("/x", label).parent == Path("/x") and label.isprintable()


@pytest.mark.parametrize("name", ["7月.csv", "检查 结果(1).xlsx", "ཀན་ལྷོ།.csv"])
def test_names_of_departments_are_taken(name: str) -> None:
    assert name_of(name.encode()) == name


def test_a_file_settles_by_our_own_clock_alone() -> None:
    now = [0.0]
    settling = Settling(10, trusts_times=False, now=lambda: now[0])
    assert not settling.is_settled("a", 5, 0), "however old its time says that it is"
    now[0] = 9
    assert not settling.is_settled("a", 5, 0)
    now[0] = 10
    assert not settling.is_settled("a", 6, 0), "it grew"
    now[0] = 19.5
    assert not settling.is_settled("a", 6, 0)
    now[0] = 20
    assert settling.is_settled("a", 6, 0)
    settling.keep([])
    assert not settling.is_settled("a", 6, 0), "it was away meanwhile"


def test_what_was_told_is_known_by_name_size_and_time(tmp_path: Path) -> None:
    told, first = Told(tmp_path), Remote(b"a\xff", 1, 2)
    assert told.has([first]) == set()
    told.add(first)
    later = first._replace(changed=3)
    assert Told(tmp_path).has([first, later]) == {first}
    told.add(later)
    assert told.has([first, later]) == {later}
    told.forget(first)
    assert told.has([later]) == {later}
    told.keep([b"b"])
    assert told.has([later]) == set()


def test_what_was_uploaded_is_read_while_the_server_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORD", "made up")
    context = source_context(SourceConfig.of(GOOD), catalog(), tmp_path)
    source = SftpFolder(context)
    folder = context.folder / UPLOADS
    (folder / "staged").mkdir(parents=True)
    (folder / "三月.csv").write_text("x", encoding="utf-8")
    (folder / ".half.csv.tmp").write_text("x", encoding="utf-8")
    first = next(iter(source.portions()))
    assert first.name == "三月.csv" and source.waits()
    first.close()
