"""Files that are refused whole, each with a reason that a clerk can act upon."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from openpyxl import Workbook

from connectors.export_folder import xlsx_package
from hub.intake import ContractError, Refusal
from tests.support_intake import INSPECTION, LEAD, csv_bytes, inspection, open_folder


def refusal_of(folder: Path, **more: object) -> Refusal:
    (portion,) = open_folder(folder, **more).portions()
    try:
        with pytest.raises(Refusal) as caught:
            list(portion.batches(0))
    finally:
        portion.close()
    assert any("一" <= char <= "鿿" for char in caught.value.chinese)
    assert caught.value.english.isascii() or "headings" in caught.value.english.lower()
    return caught.value


def workbook_bytes(rows: list[list[object]]) -> bytes:
    book = Workbook()
    assert book.active is not None
    for row in rows:
        book.active.append(row)
    data = io.BytesIO()
    book.save(data)
    return data.getvalue()


def repacked(data: bytes, change: dict[str, bytes]) -> bytes:
    """The archive with members added or replaced."""
    result = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(result, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            if name not in change:
                new.writestr(name, old.read(name))
        for name, content in change.items():
            new.writestr(name, content)
    return result.getvalue()


GOOD = workbook_bytes([list(INSPECTION), [inspection().get(heading, "") for heading in INSPECTION]])


@pytest.mark.parametrize(("name", "content", "code"), [
    ("empty.csv", b"", "empty"),
    ("blank.csv", b"\n\n,,\n", "empty"),
    ("picture.csv", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(100), "not-a-table"),
    ("old.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "old-or-encrypted"),
    ("web.xls", "<html><table><tr><td>检查编号</td></tr></table></html>".encode(), "not-a-table"),
    ("letter.csv", "关于报送抽查结果的函\n各县市市场监督管理局：\n".encode(), "no-heading"),
    ("bytes.csv", b"\xff\xfa\x81\x00"[:3] * 50, "encoding"),
    ("endless.csv", b"a" * (3 << 20), "not-a-table"),
    ("damaged.xlsx", GOOD[:-200], "damaged"),
    ("other.zip", repacked(GOOD, {})[:0] or b"PK\x03\x04" + bytes(50), "damaged"),
])
def test_what_is_no_table(tmp_path: Path, name: str, content: bytes, code: str) -> None:
    (tmp_path / name).write_bytes(content)
    assert refusal_of(tmp_path).code == code


def test_an_archive_of_other_things(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("result.csv", "x")
    assert refusal_of(tmp_path).code == "not-a-table"


@pytest.mark.parametrize("member", ["../../etc/passwd", "/etc/passwd", "xl\\..\\..\\evil.xml", "C:/evil.xml"])
def test_paths_in_member_names(tmp_path: Path, member: str) -> None:
    (tmp_path / "a.xlsx").write_bytes(repacked(GOOD, {member: b"x"}))
    assert refusal_of(tmp_path).code == "unsafe-name"


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside.csv"
    outside.write_bytes(csv_bytes(INSPECTION, [inspection()]))
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "link.csv").symlink_to(outside)
    assert refusal_of(folder).code == "unsafe-name"


def test_control_characters_in_a_file_name(tmp_path: Path) -> None:
    (tmp_path / "a\nb\\..\\c.csv").write_bytes(csv_bytes(INSPECTION, [inspection()]))
    assert refusal_of(tmp_path).code == "unsafe-name"


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    bomb = b'<?xml version="1.0"?><worksheet><sheetData>' + bytes(64 << 20)
    (tmp_path / "a.xlsx").write_bytes(repacked(GOOD, {"xl/worksheets/sheet1.xml": bomb}))
    assert refusal_of(tmp_path).code == "zip-bomb"


def test_members_that_lie_about_their_size_are_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xlsx_package, "MAX_UNPACKED_BYTES", 1000)
    (tmp_path / "a.xlsx").write_bytes(GOOD)
    assert refusal_of(tmp_path).code == "zip-bomb"


def test_external_entities(tmp_path: Path) -> None:
    evil = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><sst><si><t>&x;</t></si></sst>'
    (tmp_path / "a.xlsx").write_bytes(repacked(GOOD, {"xl/sharedStrings.xml": evil}))
    assert refusal_of(tmp_path).code == "unsafe-xml"


def test_formulas_in_a_workbook_name_the_cell(tmp_path: Path) -> None:
    rows: list[list[object]] = [list(INSPECTION), [inspection().get(heading, "") for heading in INSPECTION]]
    rows[1][17] = "=1+1"
    (tmp_path / "a.xlsx").write_bytes(workbook_bytes(rows))
    refusal = refusal_of(tmp_path)
    assert refusal.code == "formula"
    assert "R2" in refusal.chinese


def test_macros(tmp_path: Path) -> None:
    (tmp_path / "a.xlsm").write_bytes(repacked(GOOD, {"xl/vbaProject.bin": b"x"}))
    assert refusal_of(tmp_path).code == "macros"


def test_missing_headings_name_what_comes_near(tmp_path: Path) -> None:
    headings = [{"检查对象名称": "检查对象单位名称"}.get(heading, heading) for heading in INSPECTION]
    (tmp_path / "a.csv").write_bytes(csv_bytes(headings, [inspection()]))
    refusal = refusal_of(tmp_path)
    assert refusal.code == "missing-headings"
    assert "检查对象名称" in refusal.chinese and "检查对象单位名称" in refusal.chinese


def test_a_heading_that_stands_twice(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(csv_bytes([*INSPECTION, "检查编号"], [inspection()]))
    assert refusal_of(tmp_path).code == "heading-twice"


def test_two_mappings_that_fit(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(csv_bytes([*INSPECTION, *LEAD], [inspection()]))
    # 统一社会信用代码 and 备注 are of both, and so stand twice: what is unclear is refused one way or the other.
    assert refusal_of(tmp_path).code == "two-mappings"


def test_too_large(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(csv_bytes(INSPECTION, [inspection()]))
    assert refusal_of(tmp_path, max_file_bytes=100).code == "too-large"


def test_an_unknown_mapping_is_known_at_once(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="unknown mapping nothing"):
        open_folder(tmp_path, mappings=["nothing"])


def test_files_that_are_not_for_us_are_left_alone(tmp_path: Path) -> None:
    for name in ("~$a.xlsx", ".hidden.csv", "a.csv.tmp", "b.part", "a.csv.errors.xlsx", "a.csv.report.json"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "done").mkdir()
    assert list(open_folder(tmp_path).portions()) == []


def test_a_file_that_is_open_in_excel_is_read_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(csv_bytes(INSPECTION, [inspection()]))
    (tmp_path / "~$a.csv").write_bytes(b"a clerk")
    assert [portion.name for portion in open_folder(tmp_path).portions()] == ["a.csv"]


def test_a_file_that_still_grows_is_left_until_it_is_still(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(csv_bytes(INSPECTION, [inspection()]))
    source = open_folder(tmp_path, settle_seconds=3600)
    assert list(source.portions()) == []
    assert source.waits()
