"""The SFTP folder against a real OpenSSH server: what comes, what goes back, and what goes wrong on the way."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from connectors.sftp_folder.inbox import PIECE, Inbox, Remote
from connectors.sftp_folder.server import Entry, Server, ServerError
from hub.intake import Counts, LoggedProblem, Place, Problem, Refusal, Row
from tests.support_intake import INSPECTION, csv_bytes, inspection
from tests.support_sftp import PASSPHRASE, Line, SftpServer, drain, open_sftp, refusals

PROBLEM = LoggedProblem(
    Place("a.csv", None, 3), Problem("date", "检查日期", "check_date", "昨天", "日期无法识别", "应为日期"), True
)


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """The folder on the server."""
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


@pytest.fixture
def line(sftp_server: SftpServer) -> Iterator[Line]:
    with Line(sftp_server.port) as made:
        yield made


def export(numbers: range | list[int], remark: str = "") -> bytes:
    headings = [*INSPECTION]
    return csv_bytes(headings, [inspection(number, 备注=remark) for number in numbers])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def numbers(items: list[Any]) -> list[str]:
    assert all(isinstance(item, Row) for item in items), items
    return [item.value["behaviour_number"] for item in items]


def numbers_of(*exports: list[int]) -> list[str]:
    return [f"JC{number:06d}" for each in exports for number in each]


def test_a_file_is_read_its_list_of_problems_goes_back_and_it_moves(
    sftp_server: SftpServer, inbox: Path, tmp_path: Path
) -> None:
    (inbox / "7月.csv").write_bytes(export([1, 2]))
    os.utime(inbox / "7月.csv", (1_783_000_000, 1_783_000_000))
    source = open_sftp(sftp_server, inbox, tmp_path / "data", archive="done", reports="reports")
    assert numbers(drain(source, [PROBLEM])) == ["JC000001", "JC000002"]
    assert names(inbox) == ["done", "reports"]
    assert names(inbox / "done") == ["7月.csv"]
    assert names(inbox / "reports") == ["7月.csv.20260702-214640.errors.xlsx", "7月.csv.20260702-214640.report.json"]
    report = json.loads((inbox / "reports" / "7月.csv.20260702-214640.report.json").read_text(encoding="utf-8"))
    assert report["file"] == "7月.csv" and report["kind"] == "inspection-results" and report["rejected"] == {"date": 1}
    assert not list((tmp_path / "data").rglob("*.csv")) and not source.waits()


def test_a_file_that_stays_is_told_once_and_again_when_it_changes(
    sftp_server: SftpServer, inbox: Path, tmp_path: Path
) -> None:
    (inbox / "a.csv").write_bytes(export([1]))
    assert numbers(drain(open_sftp(sftp_server, inbox, tmp_path / "data"))) == ["JC000001"]
    assert drain(open_sftp(sftp_server, inbox, tmp_path / "data")) == []
    (inbox / "a.csv").write_bytes(export([1, 2]))
    assert numbers(drain(open_sftp(sftp_server, inbox, tmp_path / "data"))) == ["JC000001", "JC000002"]
    assert len([name for name in names(inbox) if name.endswith(".report.json")]) <= 2


def test_oldest_first_and_what_is_no_export_is_left_alone(
    sftp_server: SftpServer, inbox: Path, tmp_path: Path
) -> None:
    for number, name in enumerate(["c.csv", "a.csv", "b.csv"], 1):
        (inbox / name).write_bytes(export([number]))
        os.utime(inbox / name, (1_783_000_000 + number, 1_783_000_000 + number))
    others = [".hidden.csv", "d.csv.filepart", "e.csv.errors.csv", "~$f.xlsx"]
    for name in others:
        (inbox / name).write_bytes(export([9]))
    (inbox / "folder.csv").mkdir()
    source = open_sftp(sftp_server, inbox, tmp_path / "data", archive="done")
    assert numbers(drain(source)) == ["JC000001", "JC000002", "JC000003"]
    assert set(names(inbox)) >= {*others, "folder.csv"}


def test_a_file_that_is_new_waits_for_a_second_look(sftp_server: SftpServer, inbox: Path, tmp_path: Path) -> None:
    (inbox / "a.csv").write_bytes(export([1])[:-40])
    os.utime(inbox / "a.csv", (1_000_000_000, 1_000_000_000))  # a server's clock may be years behind
    source = open_sftp(sftp_server, inbox, tmp_path / "data", settle_seconds=3600)
    assert drain(source) == [] and source.waits()


def test_a_file_that_grows_while_it_comes_is_fetched_anew(
    sftp_server: SftpServer, inbox: Path, tmp_path: Path
) -> None:
    content = export(range(1, 9000))
    assert len(content) > 2 * PIECE
    path = inbox / "a.csv"
    path.write_bytes(content[: 2 * PIECE])
    source = open_sftp(sftp_server, inbox, tmp_path / "data")
    server, own = Server(source._settings), Inbox(tmp_path / "own")
    (entry,) = server.entries()
    assert own.fetch(server, Remote(*entry[:3]), until=0) == "partly"
    path.write_bytes(content)
    assert own.fetch(server, Remote(*entry[:3]), until=float("inf")) == "changed"
    assert own.whole() == []
    (entry,) = server.entries()
    assert own.fetch(server, Remote(*entry[:3]), until=float("inf")) == "whole"
    assert own.whole()[0].path.read_bytes() == content
    server.close()


def test_a_cut_line_costs_the_last_piece(
    sftp_server: SftpServer, inbox: Path, tmp_path: Path, line: Line
) -> None:
    content = export(range(1, 25_000), remark="长" * 20)
    assert len(content) > 6 * PIECE
    (inbox / "a.csv").write_bytes(content)
    line.cut_after = 4 * PIECE
    source = open_sftp(sftp_server, inbox, tmp_path / "data", port=line.port)
    with pytest.raises(ServerError, match="connection"):
        list(source.portions())
    with pytest.raises(ServerError):  # nobody gets through
        list(source.portions())
    source.close()
    line.mend()
    again = open_sftp(sftp_server, inbox, tmp_path / "data", port=line.port)
    assert len(drain(again)) == 24_999
    assert PIECE < line.bytes_down < len(content) - PIECE, "it went on where it was"


def test_the_end_of_a_file_needs_no_server(
    sftp_server: SftpServer, inbox: Path, tmp_path: Path, line: Line
) -> None:
    (inbox / "a.csv").write_bytes(export([1]))
    source = open_sftp(sftp_server, inbox, tmp_path / "data", port=line.port, archive="done")
    portion = next(iter(source.portions()))
    list(portion.batches(0))
    line.cut()
    portion.finish(Counts(read=1), iter(()))
    portion.finish(Counts(read=1), iter(()))
    portion.close()
    source.close()
    assert names(inbox) == ["a.csv"]
    again = open_sftp(sftp_server, inbox, tmp_path / "data", port=line.port, archive="done")
    with pytest.raises(ServerError):
        list(again.portions())
    line.mend()
    assert drain(again) == []
    assert "a.csv" in names(inbox / "done")


def test_an_archive_that_cannot_be_had_holds_up_nothing(
    sftp_server: SftpServer, inbox: Path, tmp_path: Path
) -> None:
    (inbox / ".done").write_text("a file where the folder should be")
    (inbox / "a.csv").write_bytes(export([1]))
    assert numbers(drain(open_sftp(sftp_server, inbox, tmp_path / "data", archive=".done"))) == ["JC000001"]
    (inbox / "b.csv").write_bytes(export([2]))
    assert numbers(drain(open_sftp(sftp_server, inbox, tmp_path / "data", archive=".done"))) == ["JC000002"]
    assert {"a.csv", "b.csv"} <= set(names(inbox))
    (inbox / ".done").unlink()
    assert drain(open_sftp(sftp_server, inbox, tmp_path / "data", archive=".done")) == []
    assert names(inbox / ".done") == ["a.csv", "b.csv"]


def test_nothing_is_moved_onto_another_file_and_a_later_one_is_not_moved_unread(
    sftp_server: SftpServer, inbox: Path, tmp_path: Path
) -> None:
    (inbox / "done").mkdir()
    (inbox / "done" / "a.csv").write_text("of last year")
    (inbox / "a.csv").write_bytes(export([1]))
    source = open_sftp(sftp_server, inbox, tmp_path / "data", archive="done")
    drain(source)
    first, second = names(inbox / "done")
    assert second == "a.csv" and (inbox / "done" / "a.csv").read_text() == "of last year"
    assert first.startswith("a.") and first.endswith(".csv") and len(first) == len("a.12345678.csv")

    (inbox / "b.csv").write_bytes(export([2]))
    source = open_sftp(sftp_server, inbox, tmp_path / "data", archive="done")
    portion = next(iter(source.portions()))
    list(portion.batches(0))
    (inbox / "b.csv").write_bytes(export([2, 3]))  # while the first was read
    portion.finish(Counts(read=1), iter(()))
    portion.close()
    source.close()
    source = open_sftp(sftp_server, inbox, tmp_path / "data", archive="done")
    assert numbers(drain(source)) == ["JC000002", "JC000003"]
    assert (inbox / "done" / "b.csv").read_bytes() == export([2, 3])


def test_what_is_written_in_the_moment_of_the_move_goes_back_unread(
    sftp_server: SftpServer, inbox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (inbox / "a.csv").write_bytes(export([1]))
    moves: list[bytes] = []

    def move(server: Server, source: bytes, target: bytes) -> None:
        if not moves:
            (inbox / "a.csv").write_bytes(export([1, 2]))
        moves.append(target)
        real(server, source, target)

    real = Server.move
    monkeypatch.setattr(Server, "move", move)
    source = open_sftp(sftp_server, inbox, tmp_path / "data", archive="done")
    assert numbers(drain(source)) == ["JC000001", "JC000001", "JC000002"]
    assert len(moves) == 3 and (inbox / "done" / "a.csv").read_bytes() == export([1, 2])


def test_what_was_written_in_that_moment_takes_no_place_of_another(
    sftp_server: SftpServer, inbox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (inbox / "a.csv").write_bytes(export([1]))
    written = [export([1, 2]), export([1, 2, 3])]  # before the move, and behind it

    def move(server: Server, source: bytes, target: bytes) -> None:
        if written:
            (inbox / "a.csv").write_bytes(written.pop(0))
        real(server, source, target)
        if written:
            (inbox / "a.csv").write_bytes(written.pop(0))

    real = Server.move
    monkeypatch.setattr(Server, "move", move)
    source = open_sftp(sftp_server, inbox, tmp_path / "data", archive="done")
    assert sorted(numbers(drain(source))) == sorted(numbers_of([1], [1, 2], [1, 2, 3]))
    contents = {path.read_bytes() for path in (inbox / "done").iterdir()}
    assert contents == {export([1, 2]), export([1, 2, 3])}


def test_cut_off_behind_the_move_what_was_written_in_that_moment_is_read_too(
    sftp_server: SftpServer, inbox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (inbox / "a.csv").write_bytes(export([1]))

    def move(server: Server, source: bytes, target: bytes) -> None:
        (inbox / "a.csv").write_bytes(export([1, 2]))
        real(server, source, target)
        raise ServerError("the connection was lost")

    real = Server.move
    with monkeypatch.context() as patch:
        patch.setattr(Server, "move", move)
        with pytest.raises(ServerError):
            drain(open_sftp(sftp_server, inbox, tmp_path / "data", archive="done"))
    assert numbers(drain(open_sftp(sftp_server, inbox, tmp_path / "data", archive="done"))) == numbers_of([1, 2])
    assert {path.read_bytes() for path in (inbox / "done").iterdir()} == {export([1, 2])}


def test_files_of_one_name_are_all_kept(sftp_server: SftpServer, inbox: Path, tmp_path: Path) -> None:
    more = {"archive": "done", "refused": "refused"}
    for size in (10, 10, 11, 11, 12):  # some alike to the last bit of their times
        for name, content in (("a.csv", export(range(size))), ("web.xls", b"<html>".ljust(500 + size, b"x"))):
            (inbox / name).write_bytes(content)
            os.utime(inbox / name, (1_783_000_000, 1_783_000_000))
        source = open_sftp(sftp_server, inbox, tmp_path / "data", **more)
        for portion in source.portions():
            try:
                list(portion.batches(0))
                portion.finish(Counts(read=1), iter(()))
            except Refusal as refusal:
                portion.refuse(refusal)
            portion.close()
        source.close()
        assert not {"a.csv", "web.xls"} & set(names(inbox))
    assert (len(names(inbox / "done")), len(names(inbox / "refused"))) == (5, 5)
    assert all(name.endswith(".csv") for name in names(inbox / "done"))


def test_names_that_are_paths_or_lines_never_become_files(
    sftp_server: SftpServer, inbox: Path, tmp_path: Path
) -> None:
    hostile = [b"a\nb.csv", b"a\\..\\evil.csv", b"x" * 250 + b".csv", b"\xff\xff.csv", b"tab\there.csv"]
    hostile.append("\u202egnp.csv".encode())
    for number, name in enumerate(hostile):
        (inbox / os.fsdecode(name)).write_bytes(export([number]))
    (inbox / "link.csv").symlink_to("/etc/hostname")
    (inbox / os.fsdecode("检查.csv".encode("gb18030"))).write_bytes(export([7]))
    source = open_sftp(sftp_server, inbox, tmp_path / "data", refused="refused", archive="done")
    before = {path for path in tmp_path.rglob("*") if not path.is_relative_to(inbox)}
    found, good = [], []
    for portion in source.portions():
        try:
            good += numbers([item for batch in portion.batches(0) for item in batch.items])
            assert portion.name == "检查.csv"
            portion.finish(Counts(read=1), iter(()))
        except Refusal as refusal:
            assert refusal.code == "unsafe-name"
            found.append(portion.name)
            portion.refuse(refusal)
        portion.close()
    source.close()
    assert good == ["JC000007"]
    assert len(found) == len(hostile) + 1 and "link.csv" in found
    assert all(name == "link.csv" or name.startswith("unsafe-") for name in found)
    assert (inbox / "refused" / "link.csv").is_symlink(), "it moved as a link, and was never followed"
    assert len(names(inbox / "refused")) == len(hostile) + 1
    texts = [path for path in inbox.iterdir() if path.name.endswith(".refused.txt")]
    assert len(texts) == len(hostile) + 1 and all("未接收" in path.read_text(encoding="utf-8") for path in texts)
    after = {path for path in tmp_path.rglob("*") if not path.is_relative_to(inbox)}
    assert all(path.is_relative_to(tmp_path / "data") for path in after - before)


def test_a_name_with_a_path_in_it_is_left_alone(sftp_server: SftpServer, inbox: Path, tmp_path: Path) -> None:
    source = open_sftp(sftp_server, inbox, tmp_path / "data")
    bad = [Entry(name, 5, 0, False, True) for name in (b"../../etc/passwd", b"/etc/passwd", b"a\0b.csv")]
    assert source._wanted([*bad, Entry(b"ok.csv", 5, 0, False, True)]) == [Entry(b"ok.csv", 5, 0, False, True)]


def test_what_is_too_large_or_no_table_is_refused_with_its_reason(
    sftp_server: SftpServer, inbox: Path, tmp_path: Path
) -> None:
    (inbox / "large.csv").write_bytes(export(range(1, 100)))
    (inbox / "web.xls").write_text("<html><table>")
    source = open_sftp(sftp_server, inbox, tmp_path / "data", max_file_bytes=5000)
    codes = {name: refusal.code for name, refusal in refusals(source)}
    assert codes == {"large.csv": "too-large", "web.xls": "not-a-table"}
    assert drain(open_sftp(sftp_server, inbox, tmp_path / "data", max_file_bytes=5000)) == [], "it is told once"
    assert {"large.csv", "web.xls"} <= set(names(inbox)), "unless told otherwise they stay"


def test_another_host_key_is_not_talked_to(sftp_server: SftpServer, inbox: Path, tmp_path: Path) -> None:
    (inbox / "a.csv").write_bytes(export([1]))
    shown = asyncssh.import_public_key(sftp_server.host_key).get_fingerprint()
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
    for key in (other, "SHA256:" + "A" * 43):
        source = open_sftp(sftp_server, inbox, tmp_path / "data", host_key=[key])
        with pytest.raises(ServerError, match="unknown host key") as caught:
            list(source.portions())
        assert shown in str(caught.value)
        (said,) = source.check()
        assert shown in said and "host_key" in said
    source = open_sftp(sftp_server, inbox, tmp_path / "data", host_key=[shown])
    assert len(drain(source)) == 1, "a fingerprint is as good as a key"


def test_a_login_that_is_refused_is_said(
    sftp_server: SftpServer, inbox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()
    monkeypatch.setenv("STRANGER", stranger)
    other = {"key_file": None, "passphrase": None, "key_env": "STRANGER"}
    assert "login refused" in open_sftp(sftp_server, inbox, tmp_path / "data", **other).check()[0]
    monkeypatch.setenv("WRONG", "no-such-word")
    wrong = {"passphrase": None, "passphrase_env": "WRONG"}
    (said,) = open_sftp(sftp_server, inbox, tmp_path / "data", **wrong).check()
    assert "private key cannot be read" in said and "no-such-word" not in said
    assert "cannot be read" in open_sftp(sftp_server, inbox, tmp_path / "data", key_file="/no/such").check()[0]


def test_check_names_what_would_be_refused_and_keeps_nothing(
    sftp_server: SftpServer, inbox: Path, tmp_path: Path
) -> None:
    (inbox / "good.csv").write_bytes(export([1]))
    (inbox / "letter.csv").write_text("关于报送的函\n", encoding="utf-8")
    (inbox / "link.csv").symlink_to("good.csv")
    told = open_sftp(sftp_server, inbox, tmp_path / "data").check()
    assert sorted(text.partition(":")[0] for text in told) == ["letter.csv", "link.csv"]
    assert not (tmp_path / "data").exists() and names(inbox) == ["good.csv", "letter.csv", "link.csv"]
    (said,) = open_sftp(sftp_server, inbox / "gone", tmp_path / "data").check()
    assert "gone" in said


def test_a_password_logs_in(tmp_path: Path, inbox: Path, sftp_server: SftpServer) -> None:
    """OpenSSH asks this machine's own accounts, so the library's server asks here."""
    key = asyncssh.generate_private_key("ssh-ed25519")

    class Asks(asyncssh.SSHServer):
        def begin_auth(self, username: str) -> bool:
            return True

        def password_auth_supported(self) -> bool:
            return True

        def validate_password(self, username: str, password: str) -> bool:
            return (username, password) == ("dept", PASSPHRASE)

    async def serve(started: threading.Event, ended: asyncio.Event, port: list[int]) -> None:
        server = await asyncssh.listen("127.0.0.1", 0, server_factory=Asks, server_host_keys=[key], sftp_factory=True)
        port.append(server.get_port())
        started.set()
        await ended.wait()
        server.close()
        await server.wait_closed()

    loop, started, ended, port = asyncio.new_event_loop(), threading.Event(), asyncio.Event(), list[int]()
    thread = threading.Thread(target=lambda: loop.run_until_complete(serve(started, ended, port)))
    thread.start()
    try:
        assert started.wait(30)
        (inbox / "a.csv").write_bytes(export([1]))
        way: dict[str, Any] = {
            "port": port[0], "user": "dept", "host_key": [key.export_public_key().decode().strip()],
            "key_file": None, "passphrase": None,
        }  # fmt: skip
        source = open_sftp(sftp_server, inbox, tmp_path / "data", **way, password=PASSPHRASE)
        assert numbers(drain(source)) == ["JC000001"]
        (said,) = open_sftp(sftp_server, inbox, tmp_path / "data", **way, password="another").check()
        assert "login refused" in said and "the password" in said and "another" not in said
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()
        loop.close()
