"""Packages: what is in them, when they are whole, and what a restart makes of them."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from hub.bus.file_lock import FileLock, LockBusyError
from hub.bus.records import Record
from hub.delivery.commands import Command, write_command
from hub.delivery.filedrop.box import Packing
from hub.delivery.filedrop.columns import Columns
from hub.delivery.filedrop.layout import PACKAGE, Layout, write_whole
from hub.delivery.filedrop.ledger import KEEP
from hub.delivery.filedrop.sheets import Sheet, is_formula, write_csv, write_xlsx
from tests.support_contracts import catalog, sample
from tests.support_delivery import read
from tests.support_filedrop import NAME, QUICKLY, Drop
from tests.support_outlets import notice, notice_id, penalty


@pytest.fixture
def drops(tmp_path: Path) -> Iterator[Callable[..., Drop]]:
    """Makes drops on one root, and closes them."""
    made: list[Drop] = []

    def make(**more: Any) -> Drop:
        made.append(Drop(more.pop("root", tmp_path), **more))
        return made[-1]

    yield make
    for drop in made:
        drop.close()


def batch(*subjects: str, number: int = 1) -> list[Any]:
    return [notice(subject, number)._replace(offset=place) for place, subject in enumerate(subjects)]


def rows_of(content: bytes, sheet: str) -> list[list[Any]]:
    book = openpyxl.load_workbook(io.BytesIO(content))
    return [[cell.value for cell in row] for row in book[sheet].iter_rows()]


def test_a_package_holds_the_signed_bytes_and_a_table_for_clerks(drops: Callable[..., Drop]) -> None:
    drop = drops()
    drop.desk.take(batch("A", "B"))
    (package,) = drop.packages()
    assert PACKAGE.fullmatch(package.name) and package.name.startswith(f"{NAME}-")
    assert set(package.notices) == {notice_id("A", 1), notice_id("B", 1)}
    assert package.manifest["format"] == "gannan-hub-package/1"
    headings, *rows = rows_of(package.files[f"{package.name}.xlsx"], "行政处罚信息")
    view = catalog().schema("enforcement/penalty", view="partner")
    assert headings[0] == "通知编号" and len(headings) == 6 + len(view.fields)
    assert any(str(heading).endswith("（万元）") for heading in headings)
    first = dict(zip(headings, rows[0], strict=True))
    assert first["通知编号"] == notice_id("A", 1)
    assert (first["期望措施"], first["发出时间"]) == ("依法限制参加政府采购活动", "2026-03-02 09:00:00")
    assert first["行政相对人名称"] == "合作市雪域牦牛乳业有限责任公司"
    assert first["行政相对人类别"] == catalog().codes["party-kind"].entries["02"].title
    form = rows_of(package.files[f"{package.name}.xlsx"], "反馈")
    assert [row[0] for row in form] == ["通知编号", "全部", notice_id("A", 1), notice_id("B", 1)]
    assert drop.desk.written == [], "nothing has an end until the department speaks"


def test_csv_is_read_by_excel(drops: Callable[..., Drop]) -> None:
    drop = drops(packing=QUICKLY._replace(form="csv"))
    drop.desk.take(batch("A"))
    (package,) = drop.packages()
    content = package.files[f"{package.name}.enforcement-penalty.csv"]
    assert content.startswith(b"\xef\xbb\xbf")
    first, second = csv.reader(io.StringIO(content.decode("utf-8-sig")))
    assert dict(zip(first, second, strict=True))["通知编号"] == notice_id("A", 1)
    assert f"{package.name}.form.csv" in package.files


def test_each_schema_has_a_sheet_of_its_own(drops: Callable[..., Drop]) -> None:
    schema = catalog().schema("blacklist/notice")
    listing = catalog().projection(schema, "partner").encode(sample(schema))
    drop = drops()
    drop.desk.take([*batch("A"), notice("B", 1, data=listing)._replace(offset=7)])
    (package,) = drop.packages()
    book = openpyxl.load_workbook(io.BytesIO(package.files[f"{package.name}.xlsx"]))
    assert book.sheetnames == ["行政处罚信息", "失信企业名单信息", "反馈", "填写说明"]


def test_a_record_of_unknown_shape_keeps_the_names_of_its_fields() -> None:
    body = json.dumps({"data": {
        "notice_id": "n", "event_type": "new.thing.recorded", "view": "partner", "subject": "S",
        "expected_measures": ["x"], "legal_basis": "法", "issued_at": "2026-03-02T01:00:00.000Z",
        "record": {"a": [1, {"b": True}], "c": None},
    }})
    row = Columns(catalog(), {}).row(body.encode())
    assert (row.sheet, row.headings[-2:], row.cells[-2:]) == ("通知", ("a", "c"), ("1；b：是", ""))


def test_packages_are_bounded_by_count_and_size(drops: Callable[..., Drop]) -> None:
    drop = drops(packing=Packing(window_seconds=0.2, max_notices=3))
    drop.desk.take(batch(*(f"S{number}" for number in range(8))))
    counts = [len(package.notices) for package in drop.packages(3)]
    assert sorted(counts) == [2, 3, 3]
    size = len(next(iter(drop.department.packages()[0].notices.values()))["raw"])
    elsewhere = drop.box.layout.root / "elsewhere"
    elsewhere.mkdir()
    other = drops(root=elsewhere, packing=Packing(window_seconds=0.2, max_bytes=2 * size + 10))
    other.desk.take(batch(*(f"S{number}" for number in range(5))))
    assert max(len(package.notices) for package in other.packages(3)) == 2


def test_of_a_subject_the_next_comes_when_the_one_before_was_acknowledged(drops: Callable[..., Drop]) -> None:
    drop = drops()
    drop.desk.take([notice("A", number)._replace(offset=number) for number in (1, 2)])
    (first,) = drop.packages()
    assert list(first.notices) == [notice_id("A", 1)]
    drop.department.put(f"{first.name}.ack.json", {"received": "all"})
    assert drop.look() == 1
    drop.desk.wait(lambda: drop.department.names() not in ([], [first.name]))
    (second,) = drop.packages()
    assert list(second.notices) == [notice_id("A", 2)]
    (receipt,) = [read(output) for output in drop.desk.written]
    sent = first.notices[notice_id("A", 1)]
    assert (receipt["status"], receipt["method"], receipt["file"]) == ("delivered", "file", first.name)
    assert receipt["content_digest"] == {
        each["notice_id"]: each["sha256"] for each in first.manifest["notices"]
    }[notice_id("A", 1)]
    assert receipt["signature"].startswith("v1,") and sent["data"]["notice_id"] == notice_id("A", 1)
    # What was acknowledged is out of the clerk's way, whole.
    assert set(drop.department.read(first.name, "archive").notices) == {notice_id("A", 1)}


# -- restarts -----------------------------------------------------------------------------------


def test_a_notice_that_is_offered_again_is_found_in_its_package(drops: Callable[..., Drop]) -> None:
    first = drops()
    first.desk.take(batch("A", "B"))
    (package,) = first.packages()
    second = drops(before=first)
    second.desk.take(batch("A", "B", "C"))
    found = second.packages(2)
    assert [set(each.notices) for each in found if each.name != package.name] == [{notice_id("C", 1)}]
    second.department.put(f"{package.name}.ack.json", {"received": [notice_id("A", 1)]})
    second.look()
    assert second.desk.ends() == {notice_id("A", 1): "delivered"}
    (receipt,) = [read(output) for output in second.desk.written]
    assert receipt["file"] == package.name


def test_what_was_said_before_a_kill_counts_after_it(drops: Callable[..., Drop]) -> None:
    first = drops()
    first.desk.take(batch("A", "B"))
    (package,) = first.packages()
    first.department.put(f"{package.name}.ack.json", {"received": [notice_id("A", 1)], "refused": {
        notice_id("B", 1): "案号缺失",
    }})
    first.is_safe = False
    assert first.look() == 0, "nothing is on Kafka: the file stays"
    assert first.department.files("inbox") == [f"{package.name}.ack.json"]
    # Killed here: receipts are lost, the inbox is read again.
    first.desk.written.clear()
    second = drops(before=first)
    second.desk.take(batch("A", "B"))
    second.desk.wait(lambda: set(second.desk.ends()) == {notice_id("A", 1), notice_id("B", 1)})
    assert second.desk.ends() == {notice_id("A", 1): "delivered", notice_id("B", 1): "parked"}
    assert second.look() == 1
    assert second.department.result(f"{package.name}.ack.json")["repeated"] == 2
    assert second.department.names() == [], "no second package, and the first is filed away"


def release(id: str) -> Record:
    (output,) = write_command(Command("release", NAME, id, "李四", "已补正", datetime.now(UTC)), [0], catalog())
    return Record(output.topic, 0, 0, 0, output.key, output.value, output.headers)


def test_what_was_refused_goes_out_anew_when_a_person_releases_it(drops: Callable[..., Drop]) -> None:
    drop = drops()
    drop.desk.take(batch("A"))
    (package,) = drop.packages()
    drop.department.put(f"{package.name}.ack.json", {"refused": {notice_id("A", 1): "案号缺失"}})
    drop.look()
    (waiting,) = drop.desk.waiting()
    assert (waiting.wait.state, waiting.wait.reason) == ("parked", "refused by the department: 案号缺失")
    # The same after a restart: what was refused stays refused until somebody releases it.
    heir = drops(before=drop)
    heir.desk.take([release(notice_id("A", 1))])
    heir.desk.wait(lambda: heir.department.names() not in ([], [package.name]))
    (anew,) = heir.packages()
    assert anew.name != package.name and list(anew.notices) == [notice_id("A", 1)]
    heir.department.put(f"{anew.name}.ack.json", {"received": "all"})
    heir.look()
    heir.desk.wait(lambda: heir.desk.ends().get(notice_id("A", 1)) == "delivered")


def test_a_department_may_take_the_files_away(drops: Callable[..., Drop]) -> None:
    first = drops()
    first.desk.take(batch("A"))
    (package,) = first.packages()
    for path in (first.department.home / "outbox").iterdir():
        path.unlink()
    second = drops(before=first)
    second.desk.take(batch("A"))
    second.desk.wait(lambda: second.box._offers.keys() == {notice_id("A", 1)})
    second.department.put(f"{package.name}.ack.json", {"received": "all"})
    second.look()
    assert second.desk.ends() == {notice_id("A", 1): "delivered"}
    assert second.department.files("outbox") == []


def test_what_ended_long_ago_is_removed(drops: Callable[..., Drop]) -> None:
    drop = drops()
    drop.desk.take(batch("A", "B"))
    drop.desk.wait(lambda: len(drop.box._offers) == 2)
    (package,) = drop.packages()
    drop.department.put(f"{package.name}.ack.json", {"received": [notice_id("A", 1)]})
    drop.look()
    drop.box.ledger.file_away(datetime.now(UTC) + 2 * KEEP)
    assert drop.department.names() == [package.name], "it waits for the other one, however long"
    drop.department.put(f"{package.name}.ack.json", {"received": "all"})
    drop.look()
    drop.box.ledger.file_away(datetime.now(UTC) + KEEP - timedelta(minutes=1))
    assert len(drop.department.files("archive")) == 4
    drop.box.ledger.file_away(datetime.now(UTC) + KEEP + timedelta(minutes=1))
    assert drop.department.files("archive") == [] == list(drop.box.layout.own.iterdir())
    assert not drop.box.ledger.knows(package.name)


def test_a_ledger_that_cannot_be_read_costs_a_repeat_and_no_more(drops: Callable[..., Drop]) -> None:
    first = drops()
    first.desk.take(batch("A"))
    (package,) = first.packages()
    first.desk.wait(lambda: first.box.ledger.package_of(notice_id("A", 1)) == package.name)
    (first.box.layout.own / f"{package.name}.json").write_bytes(b"{")
    second = drops(before=first)
    second.desk.take(batch("A"))
    found = second.packages(2)
    assert [list(each.notices) for each in found] == [[notice_id("A", 1)]] * 2


def test_without_a_key_nothing_goes_out(drops: Callable[..., Drop]) -> None:
    drop = drops()
    drop.box.keys = []
    drop.desk.take(batch("A", "B"))
    drop.desk.wait(lambda: not drop.desk.engine.wants_more())
    assert drop.department.files("outbox") == []


@pytest.mark.parametrize("step", range(1, 20))
@pytest.mark.parametrize("call", ["rename", "fsync"])
def test_killed_at_any_step_a_package_is_whole_or_not_there(tmp_path: Path, call: str, step: int) -> None:
    """The process ends within the n-th rename or fsync of writing a package, as by kill -9."""
    child = os.fork()
    if child == 0:
        steps = [0]
        real = getattr(os, call)

        def dying(*arguments: Any) -> Any:
            steps[0] += 1
            if steps[0] == step:
                os._exit(9)
            return real(*arguments)

        setattr(os, call, dying)
        drop = Drop(tmp_path)
        drop.desk.take(batch("A", "B"))
        drop.packages()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    was_killed = os.waitstatus_to_exitcode(status) == 9
    before = Drop(tmp_path)
    try:
        for package in before.department.packages() if before.department.home.exists() else []:
            assert len(package.notices) == 2, "whatever has a manifest is whole"
        before.desk.take(batch("A", "B"))
        (package,) = before.packages()
        assert set(package.notices) == {notice_id("A", 1), notice_id("B", 1)}
        assert {name.partition(".")[0] for name in before.department.files("outbox")} == {package.name}
        assert len(before.department.files("outbox")) == 4
    finally:
        before.close()
    assert was_killed or step > 5


# -- folders that take no file --------------------------------------------------------------------


def test_nothing_half_written_stays_under_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"a": b"1", "b": b"2", "c": b"3"}
    for call in ("rename", "fsync"):
        for step in range(1, 7):
            count = [0]
            real = getattr(os, call)

            def failing(*arguments: Any, count: list[int] = count, step: int = step, real: Any = real) -> Any:
                count[0] += 1
                if count[0] == step:
                    raise OSError(errno.ENOSPC, "No space left on device")
                return real(*arguments)

            with monkeypatch.context() as patch:
                patch.setattr(os, call, failing)
                try:
                    write_whole(tmp_path, files)
                except OSError:
                    assert list(tmp_path.iterdir()) == []
                else:
                    assert call == "rename" and step > 3
                    for name in files:
                        (tmp_path / name).unlink()


def test_a_full_disk_holds_notices_up_and_loses_none(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("a small disk cannot be mounted here: it takes root")
    try:
        stone = disk / "stone"
        drop = Drop(disk)
        try:
            drop.box.layout.prepare()
            with stone.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
                while True:
                    assert file.write(b"x" * 4096) == 4096
            os.truncate(stone, stone.stat().st_size - 24 * 1024)  # room for the first files of a package, not for all
            drop.desk.take(batch("A", "B", "C"))
            drop.desk.wait(lambda: not drop.desk.engine.wants_more())
            assert drop.department.files("outbox") == [], "nothing half-written"
            assert drop.desk.ends() == {}
            stone.unlink()
            (package, *_) = drop.packages()
            drop.desk.wait(lambda: sum(len(each.notices) for each in drop.department.packages()) == 3)
            drop.desk.wait(drop.desk.engine.wants_more)
            assert package.notices
        finally:
            drop.close()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_folder_that_comes_late_or_is_a_link(tmp_path: Path, drops: Callable[..., Drop]) -> None:
    root = tmp_path / "share"
    drop = drops(root=root)
    drop.desk.take(batch("A", "B"))
    drop.desk.wait(lambda: not drop.desk.engine.wants_more())
    assert not root.exists(), "a share that is not mounted is not written beside"
    root.mkdir()
    (root / NAME).mkdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (root / NAME / "outbox").symlink_to(elsewhere)
    with pytest.raises(OSError, match="a link stands in place of a folder"):
        Layout(root, NAME).prepare()
    (root / NAME / "outbox").unlink()
    drop.packages()
    assert list(elsewhere.iterdir()) == []


def test_one_process_owns_a_folder(tmp_path: Path) -> None:
    first, second = FileLock(tmp_path / "a" / "x.lock"), FileLock(tmp_path / "a" / "x.lock")
    first.acquire()
    with pytest.raises(LockBusyError, match=str(os.getpid())):
        second.acquire()
    first.release()
    first.release()
    second.acquire()
    second.release()


# -- formulas -----------------------------------------------------------------------------------

FORMULAS = [
    "=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "＝1+1", "＋1", "－1", "＠A1", "\u3000=1",
    '=HYPERLINK("http://x.example","点击")', "=cmd|' /C calc'!A0",
]  # fmt: skip


@pytest.mark.parametrize("text", FORMULAS)
def test_a_cell_never_is_a_formula(text: str) -> None:
    assert is_formula(text)
    sheet = Sheet("表", "t", ("名称", text), [(text, "普通")])
    rows = openpyxl.load_workbook(io.BytesIO(write_xlsx([sheet])))["表"]
    for cell in (rows["B1"], rows["A2"]):
        assert cell.data_type == "s" and cell.quotePrefix
        assert str(cell.value).strip() == text.strip() or "\r" in text
    assert not rows["B2"].quotePrefix
    written = list(csv.reader(io.StringIO(write_csv(sheet).decode("utf-8-sig"), newline="")))
    assert written[1][0].startswith("'") and written[0][1].startswith("'") and written[1][1] == "普通"


def test_whatever_an_enterprise_is_called_its_workbook_opens(drops: Callable[..., Drop]) -> None:
    schema_data = penalty("partner", party_name="=cmd|' /C calc'!A0", legal_representative="扎\x00西\x0b\ufffe")
    drop = drops()
    drop.desk.take([notice("A", 1, data=schema_data)])
    (package,) = drop.packages()
    content = package.files[f"{package.name}.xlsx"]
    book = openpyxl.load_workbook(io.BytesIO(content))
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row]
    assert not any(cell.data_type == "f" for cell in cells)
    assert any(cell.value == "=cmd|' /C calc'!A0" for cell in cells)
    (body,) = package.notices.values()
    assert body["data"]["record"]["legal_representative"] == "扎\x00西\x0b\ufffe", "the signed bytes are untouched"


def test_titles_of_sheets_are_those_that_excel_takes() -> None:
    sheets = [Sheet(title, "slug", ("x",), []) for title in ("甲/乙[丙]" * 9, "甲/乙[丙]" * 9, "")]
    names = openpyxl.load_workbook(io.BytesIO(write_xlsx(sheets))).sheetnames
    assert len(set(names)) == 3 and all(0 < len(name) <= 31 for name in names)

