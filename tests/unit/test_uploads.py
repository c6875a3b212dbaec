"""Uploaded files: a look that publishes nothing, a hand-in that happens once, and rows that come back to be mended."""

from __future__ import annotations

import io
import os
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from openpyxl import Workbook, load_workbook

from hub.errors import InputError
from hub.intake.rows import Refusal
from hub.intake.uploads.box import KEEP, Upload
from hub.intake.uploads.desk import Progress
from hub.intake.uploads.look import Look
from tests.support_uploads import DIRT, Uploads, cells_of, export, rows


@pytest.fixture
def here(tmp_path: Path) -> Uploads:
    return Uploads(tmp_path)


def stage(here: Uploads, content: bytes, name: str = "三月抽查.csv") -> Upload:
    return here.desk.stage(name, io.BytesIO(content), "fin-clerk")


def look(here: Uploads, upload: Upload) -> Look:
    found = here.desk.look(upload, 30)
    assert isinstance(found, Look)
    return found


def test_a_look_counts_as_intake_does_and_leaves_no_trace(here: Uploads) -> None:
    upload = stage(here, export(rows(5, *DIRT)))
    found = look(here, upload)
    assert (found.new, found.changed, found.repeated, found.rejected, found.read) == (5, 0, 0, 3, 8)
    assert [each.problem.column for each in here.desk.problems(upload)] == ["检查日期", "检查结果", "检查对象名称"]
    assert here.index == {} and here.take() == []
    here.desk.hand_in(upload, "fin-clerk")
    (counts,) = here.take()
    assert (counts.accepted_total, counts.repeated, counts.rejected_total) == (5, 0, 3)


def test_what_was_taken_before_is_unchanged_and_what_differs_is_a_change(here: Uploads) -> None:
    here.desk.hand_in(stage(here, export(rows(5))), "fin-clerk")
    here.take()
    again = rows(6)
    again[1]["备注"] = "已复查"
    found = look(here, stage(here, export(again)))
    assert (found.new, found.changed, found.repeated) == (1, 1, 4)


def test_the_same_row_twice_in_a_file_counts_once(here: Uploads) -> None:
    found = look(here, stage(here, export([*rows(2), *rows(1)])))
    assert (found.new, found.changed, found.repeated) == (2, 0, 1)


def test_without_the_index_it_says_that_nothing_was_compared(here: Uploads) -> None:
    here.is_down = True
    found = look(here, stage(here, export(rows(3))))
    assert not found.is_compared and found.new == 3


def test_mended_rows_go_back_as_they_came_and_are_all_good(here: Uploads, tmp_path: Path) -> None:
    upload = stage(here, export(rows(3, *DIRT)))
    here.desk.hand_in(upload, "fin-clerk")
    here.take()
    path = here.desk.rows_to_mend(upload)
    assert path is not None
    lines = cells_of(path.read_bytes())
    heading, *wrong = lines
    assert heading[-3:] == ["提示：原行号", "提示：问题", "提示：应为"]
    assert [line[-3] for line in wrong] == ["6", "7", "8"]
    assert all(line[-2] and line[-1] for line in wrong)
    for line, (column, right) in zip(
        wrong, [("检查日期", "2026-03-02"), ("检查结果", "未发现问题"), ("检查对象名称", "合作市示例商行")], strict=True
    ):
        line[heading.index(column)] = right
    book = Workbook()
    for line in lines:
        book.active.append(line)  # type: ignore[union-attr]
    book.save(tmp_path / "mended.xlsx")
    mended = stage(here, (tmp_path / "mended.xlsx").read_bytes(), "mended.xlsx")
    assert (look(here, mended).new, look(here, mended).rejected) == (3, 0)
    here.desk.hand_in(mended, "fin-clerk")
    assert [counts.accepted_total for counts in here.take()] == [3]
    assert len(here.index) == 6


def test_a_cell_that_is_a_formula_comes_back_as_text(here: Uploads) -> None:
    upload = stage(here, export(rows(0, {"备注": "=HYPERLINK(1)"})))
    assert look(here, upload).rejected == 1
    path = here.desk.rows_to_mend(upload)
    assert path is not None
    found = [cell for row in load_workbook(path).worksheets[0].iter_rows() for cell in row]
    assert "=HYPERLINK(1)" in [cell.value for cell in found] and all(cell.data_type != "f" for cell in found)


def test_a_file_is_handed_in_once_whoever_clicks(here: Uploads) -> None:
    upload = stage(here, export(rows(2)))
    look(here, upload)
    done: list[bool] = []
    threads = [threading.Thread(target=lambda: done.append(here.desk.hand_in(upload, "a"))) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(done) == [False, False, False, True] and len(here.take()) == 1
    found = here.desk.find(upload.id)
    assert found is not None and not here.desk.hand_in(found, "b") and here.take() == []


def test_killed_between_putting_it_there_and_noting_it_is_found_as_handed_in(here: Uploads) -> None:
    upload = stage(here, export(rows(2)))
    look(here, upload)
    os.link(here.folder / "staged" / upload.id / upload.file, here.folder / upload.file)
    assert not here.desk.hand_in(upload, "fin-clerk")
    found = here.desk.find(upload.id)
    assert found is not None and found.handed_by == "fin-clerk" and len(here.take()) == 1


def test_a_look_that_a_restart_lost_is_made_again(here: Uploads, tmp_path: Path) -> None:
    upload = stage(here, export(rows(2)))
    anew = Uploads(tmp_path)
    found = anew.desk.find(upload.id)
    assert found == upload and isinstance(anew.desk.look(upload, 30), Look)


def test_a_long_look_says_how_far_it_is(here: Uploads) -> None:
    gate = threading.Event()
    here.looks.submit(gate.wait)
    upload = stage(here, export(rows(2)))
    assert here.desk.look(upload, 0) == Progress(0, 0)
    gate.set()
    assert look(here, upload).new == 2


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty"), (b"<html>x</html>", "not-a-table"), (b"PK\x03\x04junk", "damaged"),
        ("写信".encode(), "no-heading"),
    ],
)
def test_a_file_that_is_none_is_told_so_and_cannot_be_handed_in(here: Uploads, content: bytes, code: str) -> None:
    upload = stage(here, content)
    found = look(here, upload)
    assert found.status == "refused" and found.refusal["code"] == code and found.refusal["problem"]
    with pytest.raises(InputError):
        here.desk.hand_in(upload, "fin-clerk")
    assert here.take() == []


@pytest.mark.parametrize("name", ["", "a/b.csv", "a\x00.csv", ".hidden.csv", "x.errors.xlsx", "x.csv.tmp", "~$x.xlsx"])
def test_a_name_under_which_it_would_never_be_read_is_refused(here: Uploads, name: str) -> None:
    with pytest.raises(Refusal):
        stage(here, export(rows(1)), name)


def test_a_long_name_finds_its_report_too(here: Uploads) -> None:
    upload = stage(here, export(rows(1)), "检" * 200 + ".csv")
    here.desk.hand_in(upload, "fin-clerk")
    here.take()
    verdict = here.desk.verdict(upload)
    assert verdict is not None and verdict.counts is not None and verdict.counts["accepted_total"] == 1


def test_only_somebody_of_this_machine_reads_what_lies_there(here: Uploads) -> None:
    upload = stage(here, export(rows(1)))
    path = here.folder / "staged" / upload.id / upload.file
    assert path.stat().st_mode & 0o077 == 0 and here.folder.stat().st_mode & 0o077 == 0


def test_what_is_old_goes_and_what_waits_stays(here: Uploads) -> None:
    read, waiting = stage(here, export(rows(1))), stage(here, export(rows(2)))
    here.desk.hand_in(read, "fin-clerk")
    here.take()
    here.desk.hand_in(waiting, "fin-clerk")
    here.now += KEEP + timedelta(seconds=1)
    fresh = stage(here, export(rows(1)))
    assert {each.id for each in here.desk.all()} == {waiting.id, fresh.id}
    assert list((here.folder / "done").iterdir()) == []
    assert len(here.take()) == 1


@pytest.mark.parametrize("id_", ["../../../etc", "a" * 12, "", "é" * 12, "0123456789abcdef"])
def test_an_id_that_is_none_finds_nothing(here: Uploads, id_: str) -> None:
    assert here.desk.find(id_) is None
