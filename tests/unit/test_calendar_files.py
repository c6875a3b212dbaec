"""Adding a day or a year to the files: what is written, what stays, what is refused."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pytest

from hub.contracts.calendar_files import Kind, add_day, add_year
from hub.contracts.calendars import load_calendars
from hub.errors import InputError
from tests.support_contracts import ROOT

YEAR = """\
notice: 国办发明电〔2026〕9号
rest:
  元旦: [2027-01-01]
  国庆节: [2027-10-05, 2027-10-01, 2027-10-04]
work:
  国庆节: [2027-09-26]
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "reference" / "calendars", tmp_path / "reference" / "calendars")
    return tmp_path


def text_of(home: Path, name: str) -> str:
    return (home / "reference" / "calendars" / f"{name}.yaml").read_text()


def year_file(home: Path, text: str = YEAR) -> Path:
    path = home / "year.yaml"
    path.write_text(text)
    return path


def test_a_day_under_a_new_title(home: Path) -> None:
    before = text_of(home, "gannan")
    add_day(home, "gannan", date(2026, 2, 24), "rest", "藏历新年", "州政办发\n〔2026〕3号")
    assert text_of(home, "gannan") == before.replace(
        "      州庆: [2026-10-08]\n",
        "      州庆: [2026-10-08]\n      # 2026-02-24 藏历新年: 州政办发 〔2026〕3号\n      藏历新年: [2026-02-24]\n",
    )
    gannan, cn = load_calendars(home)["gannan"], load_calendars(home)["cn"]
    assert gannan.why_off(date(2026, 2, 24)) == "藏历新年"
    assert cn.is_working_day(date(2026, 2, 24))


@pytest.mark.parametrize(
    ("day", "line"),
    [
        (date(2026, 10, 9), "      州庆: [2026-10-08, 2026-10-09]\n"),
        (date(2026, 7, 21), "      州庆: [2026-07-21, 2026-10-08]\n"),
    ],
)
def test_a_day_of_a_title_that_is_there_keeps_the_order(home: Path, day: date, line: str) -> None:
    before = text_of(home, "gannan")
    add_day(home, "gannan", day, "rest", "州庆", "决定")
    assert text_of(home, "gannan") == before.replace(
        "      州庆: [2026-10-08]\n", f"      # {day} 州庆: 决定\n{line}"
    )


def test_a_worked_weekend_day_where_there_was_none(home: Path) -> None:
    add_day(home, "gannan", date(2025, 7, 26), "work", "香浪节", "决定")
    written = "    work:\n      # 2025-07-26 香浪节: 决定\n      香浪节: [2025-07-26]\n  2026:\n"
    assert written in text_of(home, "gannan")
    assert load_calendars(home)["gannan"].is_working_day(date(2025, 7, 26))


def test_a_year_without_the_part_gets_it(home: Path) -> None:
    path = home / "reference" / "calendars" / "gannan.yaml"
    path.write_text(
        "calendar: gannan\ntitle: 甘南\nextends: cn\nyears:\n  2026:\n    rest:\n      州庆: [2026-10-08]\n# end"
    )
    add_day(home, "gannan", date(2026, 10, 17), "work", "州庆", "决定")
    assert path.read_text().endswith(
        "      州庆: [2026-10-08]\n    work:\n      # 2026-10-17 州庆: 决定\n      州庆: [2026-10-17]\n# end"
    )


@pytest.mark.parametrize(
    ("name", "day", "kind", "said"),
    [
        ("gannan", date(2026, 10, 3), "rest", "星期六，本来就休息"),
        ("gannan", date(2026, 10, 10), "rest", "从 work 中删去"),
        ("cn", date(2026, 10, 9), "work", "星期五，本来就上班"),
        ("cn", date(2026, 10, 1), "work", "从 rest 中删去"),
        ("gannan", date(2026, 10, 1), "rest", "已按“国庆节”休息"),
        ("cn", date(2026, 10, 10), "work", "已按“国庆节”上班"),
        ("cn", date(2027, 1, 1), "rest", "--year 2027 --from"),
        ("gannan", date(2024, 10, 9), "rest", "--year 2024 --from"),
        ("lhasa", date(2026, 10, 9), "rest", "没有日历 'lhasa'，有 cn, gannan"),
    ],
)
def test_a_wrong_day_is_refused_with_what_would_be_right(
    home: Path, name: str, day: date, kind: Kind, said: str
) -> None:
    before = {path.name: path.read_bytes() for path in (home / "reference" / "calendars").iterdir()}
    with pytest.raises(InputError) as error:
        add_day(home, name, day, kind, "某节", "决定")
    assert said in str(error.value)
    assert "reference/calendars" in str(error.value)
    if name != "lhasa":
        assert f"{name}.yaml: {day}" in str(error.value)
    assert {path.name: path.read_bytes() for path in (home / "reference" / "calendars").iterdir()} == before


@pytest.mark.parametrize("title", ["", "a b", "x: [1]", "# x", "[x]"])
def test_a_title_that_would_not_be_text_is_refused(home: Path, title: str) -> None:
    with pytest.raises(InputError, match="名称"):
        add_day(home, "gannan", date(2026, 10, 9), "rest", title, "决定")


def test_a_title_that_yaml_would_read_as_something_else_is_quoted(home: Path) -> None:
    add_day(home, "gannan", date(2026, 10, 9), "rest", "123", "决定")
    assert "'123': [2026-10-09]" in text_of(home, "gannan")
    assert load_calendars(home)["gannan"].why_off(date(2026, 10, 9)) == "123"


def test_a_year_is_added_behind_the_last(home: Path) -> None:
    before = text_of(home, "cn")
    add_year(home, "cn", 2027, year_file(home))
    assert text_of(home, "cn") == before + (
        "  2027:\n    notice: 国办发明电〔2026〕9号\n    rest:\n      元旦: [2027-01-01]\n"
        "      国庆节: [2027-10-01, 2027-10-04, 2027-10-05]\n    work:\n      国庆节: [2027-09-26]\n"
    )
    cn = load_calendars(home)["cn"]
    assert cn.last_year == 2027
    assert not cn.is_working_day(date(2027, 10, 5)) and cn.is_working_day(date(2027, 9, 26))
    # The local calendar stays provisional until its own year is there too.
    assert load_calendars(home)["gannan"].is_provisional(date(2027, 5, 1))
    add_year(home, "gannan", 2027, year_file(home, "years: {2027: {rest: {州庆: [2027-10-08]}}}"), "决定")
    assert not load_calendars(home)["gannan"].is_provisional(date(2027, 5, 1))


@pytest.mark.parametrize(
    ("name", "year", "text", "said"),
    [
        ("cn", 2026, YEAR, "2026年已在文件中"),
        ("cn", 2028, YEAR, "应先添加2027年"),
        ("gannan", 2027, YEAR, "cn 还没有2027年"),
        ("cn", 2027, "rest: {元旦: [2027-01-01]}", "缺少依据文件"),
        ("cn", 2027, "notice: x\nrest: {元旦: [2027-01-02]}", "rest/元旦: 2027-01-02 是星期六，本来就休息"),
        ("cn", 2027, "notice: x\nwork: {元旦: [2027-01-04]}", "work/元旦: 2027-01-04 是星期一，本来就上班"),
        ("cn", 2027, "notice: x\nrest: {元旦: [2026-01-01]}", "2026-01-01 不在2027年"),
        ("cn", 2027, "notice: x\nrest: {元旦: [一月一日]}", "一月一日 不是 YYYY-MM-DD 日期"),
        ("cn", 2027, "notice: x\nrest: {元旦: [2027-01-01], 春节: [2027-01-01]}", "出现两次"),
        ("cn", 2027, "notice: x\nrest: [2027-01-01]", "rest 应为"),
        ("cn", 2027, "{", "读不出"),
        ("cn", 2027, "hello", "没有2027年"),
    ],
)
def test_a_wrong_year_is_refused(home: Path, name: str, year: int, text: str, said: str) -> None:
    before = text_of(home, name)
    with pytest.raises(InputError) as error:
        add_year(home, name, year, year_file(home, text))
    assert said in str(error.value)
    assert text_of(home, name) == before


def test_all_wrong_days_of_a_year_are_said_at_once(home: Path) -> None:
    source = year_file(home, "notice: x\nrest: {元旦: [2027-01-02]}\nwork: {元旦: [2027-01-04]}")
    with pytest.raises(InputError) as error:
        add_year(home, "cn", 2027, source)
    assert len(str(error.value).splitlines()) == 2


def test_a_file_that_would_not_load_any_more_is_left_as_it_is(home: Path) -> None:
    path = home / "reference" / "calendars" / "gannan.yaml"
    # A style that cannot be added to line by line.
    path.write_text("calendar: gannan\nextends: cn\nyears:\n  2026:\n    rest: {州庆: [2026-10-08]}\n")
    before = path.read_text()
    with pytest.raises(InputError, match="每个名称一行"):
        add_day(home, "gannan", date(2026, 10, 9), "rest", "州庆", "决定")
    assert path.read_text() == before
    assert sorted(each.name for each in path.parent.iterdir()) == ["cn.yaml", "gannan.yaml"]
