"""Signed manifests of the day on a real OpenSSH server: taken as out of a folder, and moved where they belong."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from connectors.sftp_folder.source import SftpFolder
from hub.domain.source_manifest import files_digest
from hub.domain.webhook_keys import PUBLIC_PREFIX, parse_public
from hub.intake.guards.log import GuardLog
from hub.intake.guards.manifest_box import ManifestBox
from tests.support_intake import INSPECTION, catalog, csv_bytes, inspection
from tests.support_sftp import SftpServer, drain, open_sftp, refusals
from tests.support_source_guards import Memory

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = PUBLIC_PREFIX + base64.b64encode(KEY.public_key().public_bytes_raw()).decode()
DAY = "manifest-2026-03-02.json"
EXPORT = csv_bytes(INSPECTION, [inspection(1)])


class Department:
    """A folder on the server, the source that reads it, and the box that the hub takes manifests with."""

    def __init__(self, server: SftpServer, base: Path) -> None:
        self.server, self.folder, self.data, self.memory = server, base / "in", base / "data", Memory()
        self.folder.mkdir()

    def sign(self, *, signed: bytes | None = None, count: int = 1) -> bytes:
        digests = {"a.csv": hashlib.sha256(EXPORT).hexdigest()} if count else {}
        content = json.dumps({
            "source": "hezuo-sftp", "date": "2026-03-02", "count": count, "digest": files_digest(digests),
            "files": digests,
        }).encode()
        signature = base64.b64encode(KEY.sign(content if signed is None else signed)).decode()
        (self.folder / f"{DAY}.sig").write_text(f"v1a,{signature}\n")
        (self.folder / DAY).write_bytes(content)
        return content

    def open(self, **more: str) -> SftpFolder:
        settings = {"archive": "done", "refused": "refused", "reports": "reports", "manifest_key": PUBLIC, **more}
        return open_sftp(self.server, self.folder, self.data, **settings)

    def run(self, source: SftpFolder | None = None) -> tuple[int, int]:
        """What a session does: manifests taken, items read."""
        source = source or self.open()
        assert source.manifest_folder is not None
        box = ManifestBox(
            "hezuo-sftp", source.manifest_folder, parse_public(PUBLIC), GuardLog(catalog()), self.memory,
            lambda: datetime.now(UTC),
        )
        taken = len(box.take())
        items = len(drain(source))
        return taken + len(box.take()), items

    def lies(self, place: str = ".") -> list[str]:
        folder = self.folder / place
        return sorted(path.name for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []


@pytest.fixture
def department(sftp_server: SftpServer, tmp_path: Path) -> Department:
    return Department(sftp_server, tmp_path)


def test_a_manifest_is_taken_beside_its_files_and_moves_like_them(department: Department) -> None:
    (department.folder / "a.csv").write_bytes(EXPORT)
    content = department.sign()
    source = department.open()
    assert department.run(source) == (1, 1)
    assert department.run(source) == (0, 0)
    assert department.lies() == [] and department.lies("done") == ["a.csv", DAY, f"{DAY}.sig"]
    assert (department.folder / "done" / DAY).read_bytes() == content
    assert len(department.memory.outputs) == 1
    assert not [path for path in department.data.rglob("manifest-*")]
    # A later one of the same day, and never onto the first.
    department.sign(count=0)
    assert department.run() == (1, 0) and department.run() == (0, 0)
    assert department.lies() == [] and len(department.lies("done")) == 5


def test_a_false_signature_goes_back_with_the_reason(department: Department) -> None:
    department.sign(signed=b"another text")
    source = department.open()
    assert department.run(source) == (0, 0) and department.run(source) == (0, 0)
    assert department.lies() == [] and department.lies("refused") == [DAY, f"{DAY}.sig"]
    (reason,) = department.lies("reports")
    assert reason == f"{DAY}.refused.txt"
    assert "signature" in (department.folder / "reports" / reason).read_text(encoding="utf-8")
    assert department.memory.outputs == []


def test_files_that_stay_are_remembered_and_one_that_is_too_large_is_not_fetched(department: Department) -> None:
    staying = {"archive": None, "refused": None, "reports": "reports"}
    department.sign()
    for expected in ((1, 0), (0, 0), (0, 0)):
        assert department.run(open_sftp(
            department.server, department.folder, department.data, manifest_key=PUBLIC, **staying
        )) == expected
    assert department.lies() == [DAY, f"{DAY}.sig"] and len(department.memory.outputs) == 1
    (department.folder / "manifest-2026-03-03.json").write_bytes(b" " * ((4 << 20) + 1))
    ((name, refusal),) = refusals(department.open())
    assert name == "manifest-2026-03-03.json" and refusal.code == "too-large"
    assert department.lies() == [DAY, f"{DAY}.sig"] and department.lies("refused") == [name], "it moved unread"


@pytest.mark.parametrize("where", ["given", "judged"])
def test_a_kill_between_two_steps_changes_nothing(department: Department, where: str) -> None:
    department.sign()
    source = department.open()
    drain(source)
    assert source.manifest_folder is not None and (source.manifest_folder / DAY).exists()
    if where == "judged":  # the hub has moved it, and nobody has told the server
        assert department.run() == (1, 0)
    else:  # the copy was not made yet
        (source.manifest_folder / DAY).unlink()
    department.run()
    department.run()
    assert department.lies() == [] and department.lies("done") == [DAY, f"{DAY}.sig"]
    assert len({each.value for each in department.memory.outputs}) == 1


def test_without_a_key_it_is_a_file_like_any_other(department: Department) -> None:
    department.sign()
    source = open_sftp(department.server, department.folder, department.data)
    assert source.manifest_folder is None and len(source.check()) == 2
