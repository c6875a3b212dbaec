"""Workbooks: serial dates, merged cells, several sheets, texts in every place where Excel keeps them."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import pytest
from openpyxl import Workbook

from connectors.export_folder.xlsx_table import XlsxTable, column_index
from hub.intake import LoggedProblem, Place, Problem, Row, RowFault
from hub.intake.errors_file import write_errors
from tests.support_intake import INSPECTION, inspection, open_folder, read_all, rows_of


def save(path: Path, book: Workbook) -> None:
    book.save(path)


def sheet_of(book: Workbook) -> object:
    assert book.active is not None
    return book.active


def test_serial_dates_titles_merged_cells_and_trailing_columns(tmp_path: Path) -> None:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["双随机抽查结果汇总表"])
    sheet.merge_cells("A1:R1")
    sheet.append([*INSPECTION, None, None])
    for number in (1, 2, 3):
        sheet.append([inspection(number).get(heading) for heading in INSPECTION])
        sheet.cell(number + 2, 13).value = datetime(2026, 3, number)
        sheet.cell(number + 2, 15).value = 46114 + number
        if number > 1:
            sheet.cell(number + 2, 11).value = None
    sheet.merge_cells("K3:K5")
    save(tmp_path / "a.xlsx", book)
    rows = rows_of(tmp_path)
    assert [row.value["inspecting_body"] for row in rows] == ["合作市市场监督管理局"] * 3
    assert [row.value["check_date"] for row in rows] == [date(2026, 3, day) for day in (1, 2, 3)]
    assert [row.value["result_date"] for row in rows] == [date(2026, 4, day) for day in (3, 4, 5)]
    assert [row.place for row in rows] == [Place("a.xlsx", "Sheet", row) for row in (3, 4, 5)]


def test_workbooks_of_1904(tmp_path: Path) -> None:
    book = Workbook()
    book.epoch = datetime(1904, 1, 1)
    sheet = book.active
    assert sheet is not None
    sheet.append(list(INSPECTION))
    sheet.append([inspection().get(heading) for heading in INSPECTION])
    sheet["M2"] = datetime(2026, 3, 1)
    sheet["O2"] = 44652
    save(tmp_path / "a.xlsx", book)
    (row,) = rows_of(tmp_path)
    assert (row.value["check_date"], row.value["result_date"]) == (date(2026, 3, 1), date(2026, 4, 2))


def test_the_first_sheet_with_the_heading_counts(tmp_path: Path) -> None:
    book = Workbook()
    first = book.active
    assert first is not None
    first.append(["填表说明"])
    hidden = book.create_sheet("旧数据")
    hidden.append(list(INSPECTION))
    hidden.sheet_state = "hidden"
    data = book.create_sheet("结果")
    data.append(list(INSPECTION))
    data.append([inspection().get(heading) for heading in INSPECTION])
    save(tmp_path / "a.xlsx", book)
    (row,) = rows_of(tmp_path)
    assert row.place.sheet == "结果"


def test_numbers_that_lost_digits_and_cells_that_failed(tmp_path: Path) -> None:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(list(INSPECTION))
    sheet.append([inspection(1).get(heading) for heading in INSPECTION])
    sheet.append([inspection(2).get(heading) for heading in INSPECTION])
    sheet.append([inspection(3).get(heading) for heading in INSPECTION])
    sheet["E2"] = 623021185006153029
    sheet["E3"] = 12345678901
    sheet["R4"] = "#N/A"
    sheet["R4"].data_type = "e"
    save(tmp_path / "a.xlsx", book)
    lost, whole, failed = read_all(open_folder(tmp_path))
    assert isinstance(lost, RowFault) and lost.problems[0].code == "lost-digits"
    assert isinstance(whole, Row) and whole.natural_key == "12345678901"
    assert isinstance(failed, RowFault) and failed.problems[0].code == "sheet-error"


def test_many_rows_stream_and_resume(tmp_path: Path) -> None:
    book = Workbook(write_only=True)
    sheet = book.create_sheet("结果")
    sheet.append(list(INSPECTION))
    for number in range(1, 2501):
        sheet.append([inspection(number).get(heading) for heading in INSPECTION])
    save(tmp_path / "a.xlsx", book)
    whole = read_all(open_folder(tmp_path))
    assert [item.place.row for item in whole] == list(range(2, 2502))
    assert read_all(open_folder(tmp_path), 1700) == whole[1700:]


@pytest.mark.parametrize(("letters", "index"), [("A", 0), ("Z", 25), ("AA", 26), ("XFD", 16383)])
def test_columns(letters: str, index: int) -> None:
    assert column_index(letters) == index


def test_the_list_of_problems_never_holds_a_formula(tmp_path: Path) -> None:
    problem = Problem("formula", "备注", None, "=cmd|' /C calc'!A0", "是公式", "请粘贴为数值")
    entries = [LoggedProblem(Place("a.csv", None, 7), problem, True)]
    for form in ("xlsx", "csv"):
        path = write_errors(tmp_path / "a.csv", entries, form, 1)
        assert path is not None and path.name == f"a.csv.errors.{form}"
    assert "'=cmd" in (tmp_path / "a.csv.errors.csv").read_text(encoding="utf-8-sig")
    table = XlsxTable(tmp_path / "a.csv.errors.xlsx")
    try:
        (sheet,) = table.sheets()
        rows = [cells for _, cells in table.prepare(sheet, 1).rows()]  # would refuse a formula
    finally:
        table.close()
    assert isinstance(rows[1], list) and rows[1][0] == "7" and rows[1][3].startswith("=cmd")
    assert write_errors(tmp_path / "b.csv", [], "xlsx", 0) is None
