"""What moves out of an export folder: what was read or refused and nothing else, never onto another file."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from connectors.export_folder.file import ExportFile
from hub.intake import Counts, Refusal
from tests.support_intake import INSPECTION, csv_bytes, inspection, open_folder


def export(*numbers: int) -> bytes:
    return csv_bytes(INSPECTION, [inspection(number) for number in numbers])


def replace(path: Path, content: bytes) -> None:
    """As a careful program writes an export: whole, under its name."""
    waiting = path.with_name(".new")
    waiting.write_bytes(content)
    waiting.replace(path)


def portion_of(folder: Path, **more: Any) -> ExportFile:
    (portion,) = open_folder(folder, **more).portions()
    return portion


def told(portion: ExportFile) -> list[str]:
    """Reads a portion to its end."""
    return [str(item.value["behaviour_number"]) for batch in portion.batches(0) for item in batch.items]  # type: ignore[union-attr]  # rows alone


def read_through(folder: Path) -> tuple[Path, ExportFile]:
    """An export of one row that was read to its end, and is not finished."""
    path = folder / "a.csv"
    path.write_bytes(export(1))
    portion = portion_of(folder)
    told(portion)
    return path, portion


def finish(portion: ExportFile) -> None:
    portion.finish(Counts(read=1), ())
    portion.close()


def refuse(portion: ExportFile) -> Refusal:
    with pytest.raises(Refusal) as caught:
        list(portion.batches(0))
    portion.refuse(caught.value)
    portion.close()
    return caught.value


def waiting(folder: Path) -> list[list[str]]:
    """What is there to read, by file; all of it finished."""
    found = []
    for portion in open_folder(folder).portions():
        found.append(told(portion))
        finish(portion)
    return found


def contents(folder: Path, end: str = ".csv") -> set[bytes]:
    return {path.read_bytes() for path in folder.iterdir() if path.name.endswith(end)}


def digests(folder: Path, end: str) -> list[str]:
    return [json.loads(path.read_text(encoding="utf-8"))["sha256"] for path in folder.glob(f"*{end}")]


def during(monkeypatch: pytest.MonkeyPatch, call: int, act: Callable[[], object]) -> None:
    """Something that happens just before the ``call``-th move of a file."""
    calls = itertools.count(1)
    real = os.rename

    def rename(source: Any, target: Any) -> None:
        if next(calls) == call:
            act()
        real(source, target)

    monkeypatch.setattr("connectors.export_folder.moving.os.rename", rename)


def test_the_next_export_of_the_same_name_is_read_in_its_turn(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(export(1))
    portion = portion_of(tmp_path)
    assert told(portion) == ["JC000001"]
    replace(path, export(2, 3))  # while acknowledgements are awaited
    finish(portion)
    assert portion.sha256 in digests(tmp_path / "done", ".report.json"), "what was read is told"
    assert path.read_bytes() == export(2, 3)
    assert waiting(tmp_path) == [["JC000002", "JC000003"]]
    assert contents(tmp_path / "done") == {export(2, 3)}
    assert len(set(digests(tmp_path / "done", ".report.json"))) == 2, "each has its own report"


def test_rows_that_are_added_behind_the_last_one_are_read(tmp_path: Path) -> None:
    path, portion = read_through(tmp_path)
    path.write_bytes(export(1, 2))
    finish(portion)
    assert waiting(tmp_path) == [["JC000001", "JC000002"]]


def test_what_another_process_has_read_counts_as_what_was_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(export(1))
    portion = portion_of(tmp_path)
    handle = portion.handle()
    assert handle is not None
    twin = open_folder(tmp_path).reopen(handle.content)
    assert told(twin) == ["JC000001"]
    twin.close()
    replace(path, export(2))
    finish(portion)
    assert waiting(tmp_path) == [["JC000002"]]


def test_a_file_that_its_sender_took_back_has_its_report_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(export(1))
    portion = portion_of(tmp_path)
    told(portion)
    (tmp_path / "a.csv").unlink()
    finish(portion)
    assert digests(tmp_path / "done", ".report.json") == [portion.sha256]


def test_what_comes_in_the_moment_of_the_move_is_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, portion = read_through(tmp_path)
    with monkeypatch.context() as patch:
        during(patch, 1, lambda: replace(path, export(2)))
        finish(portion)
    assert path.read_bytes() == export(2) and contents(tmp_path / "done") == set()
    assert waiting(tmp_path) == [["JC000002"]]


@pytest.mark.parametrize("has_links", [True, False])
def test_what_is_put_back_takes_no_place_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_links: bool
) -> None:
    path, portion = read_through(tmp_path)
    real = os.link

    def link(*args: Any, **more: Any) -> None:
        path.write_bytes(export(3))
        if not has_links:
            raise PermissionError(1, "no links here")
        real(*args, **more)

    with monkeypatch.context() as patch:
        during(patch, 1, lambda: replace(path, export(2)))
        patch.setattr("connectors.export_folder.moving.os.link", link)
        finish(portion)
    assert sorted(waiting(tmp_path)) == [["JC000002"], ["JC000003"]]


@pytest.mark.parametrize("call", [1, 2])
def test_killed_at_any_step_of_the_move_it_is_finished_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    _, portion = read_through(tmp_path)

    def die() -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        during(patch, call, die)
        with pytest.raises(KeyboardInterrupt):
            finish(portion)
    again = portion_of(tmp_path)
    assert again.identity == portion.identity and told(again) == ["JC000001"]
    finish(again)
    names = sorted(each.name for each in (tmp_path / "done").iterdir())
    assert names == ["a.csv", "a.csv.report.json"], "the same end under the same name"
    assert waiting(tmp_path) == []


def test_killed_while_it_was_put_back_it_is_there_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, portion = read_through(tmp_path)

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        during(patch, 1, lambda: replace(path, export(2)))
        patch.setattr(Path, "unlink", die)
        with pytest.raises(KeyboardInterrupt):
            finish(portion)
    assert waiting(tmp_path) == [["JC000002"]]
    assert waiting(tmp_path) == []


@pytest.mark.parametrize("numbers", [("JC1", "JC2", "JC3"), ("JC1", "JC1", "JC1")])
def test_files_of_one_name_are_all_kept(tmp_path: Path, numbers: tuple[str, ...]) -> None:
    for number in numbers:
        (tmp_path / "a.csv").write_bytes(csv_bytes(INSPECTION, [inspection(检查编号=number)]))
        assert waiting(tmp_path) == [[number]]
    assert len(list((tmp_path / "done").glob("a*.csv"))) == 3
    assert len(digests(tmp_path / "done", ".report.json")) == 3


def web(word: str, size: int = 510) -> bytes:
    return f"<html>{word}".encode().ljust(size, b"x")


@pytest.mark.parametrize("sizes", [(509, 510, 511), (510, 510, 510)])
def test_refused_files_of_one_name_are_all_kept_and_told_apart(tmp_path: Path, sizes: tuple[int, ...]) -> None:
    written, identities = [], set()
    for word, size in zip("ABC", sizes, strict=True):
        written.append(web(word, size))
        (tmp_path / "export.xls").write_bytes(written[-1])
        portion = portion_of(tmp_path)
        identities.add(portion.identity)
        assert refuse(portion).code == "not-a-table"
    assert len(identities) == 3, "each leaves its own record"
    assert contents(tmp_path / "refused", ".xls") == set(written)
    assert len(set(digests(tmp_path / "refused", ".refused.json"))) == 3
    assert len(list((tmp_path / "refused").glob("*.refused.txt"))) == 3


def test_the_same_file_refused_again_is_the_same(tmp_path: Path) -> None:
    identities = set()
    for _ in range(3):
        (tmp_path / "export.xls").write_bytes(web("A"))
        portion = portion_of(tmp_path)
        identities.add(portion.identity)
        refuse(portion)
    assert len(identities) == 1
    assert len(list((tmp_path / "refused").glob("*.xls"))) == 3, "nothing is written over"


def test_what_is_not_read_is_told_apart_without_its_content(tmp_path: Path) -> None:
    identities = set()
    for number in range(3):
        (tmp_path / "large.csv").write_bytes(export(number))
        (tmp_path / "link.csv").symlink_to(f"/nowhere/{number}")
        for portion in open_folder(tmp_path, max_file_bytes=100).portions():
            identities.add(portion.identity)
            assert "unread-" in portion.identity
            assert refuse(portion).code in ("too-large", "unsafe-name")
    assert len(identities) == 6
    links = {os.readlink(path) for path in (tmp_path / "refused").iterdir() if path.is_symlink()}
    assert links == {"/nowhere/0", "/nowhere/1", "/nowhere/2"}
    assert len(list((tmp_path / "refused").glob("large*.csv"))) == 3


def test_a_refused_file_that_was_exchanged_meanwhile_leaves_the_next_to_be_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(web("A"))
    portion = portion_of(tmp_path)
    with pytest.raises(Refusal) as caught:
        list(portion.batches(0))
    replace(path, export(1))
    portion.refuse(caught.value)
    portion.close()
    assert digests(tmp_path / "refused", ".refused.json") == [portion.sha256]
    assert waiting(tmp_path) == [["JC000001"]]
