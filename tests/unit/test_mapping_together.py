"""Rows read together are the rows read one by one: the same fields, the same faults, in the same words."""

from __future__ import annotations

import csv
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.export_folder.file import MAPPINGS as OF_FILES
from connectors.sql.source import MAPPINGS as OF_TABLES
from hub.intake import Place, Row, RowFault
from hub.intake.build import source_context
from hub.intake.mapping import Layout, RowReader, ValueFault, fit, heading_form, layout_of, load_mapping, mapping_names
from hub.intake.mapping.careful import CarefulReader
from hub.sandbox.generate.bulk import write_bulk
from tests.support_intake import INSPECTION, catalog, config, inspection

#: What stands in cells, of all kinds of columns: right, doubtful, wrong.
_CELLS = st.sampled_from([
    "", " ", "无", "-", "NULL", "JH2026-001", " JC 0001 ", "合作市雪域牦牛乳业有限责任公司", "扎西东智",
    "才让卓玛、王实验",
    "91623000739699913A", "916230007396999130", "623000200001232", "62300020000123", "623021185006153029",
    "92623001MA99ABC10Q", "9162300073969991３A", "2026/3/1", "2026年3月1日", "20260402", "2026-02-30", "1899-01-01",
    "46082", "是", "否", "也许", "未发现问题", "未发现问题、发现问题经责令已改正", "公示信息隐瞒真实情况、弄虚作假",
    "2.5", "-1", "3万元", "1e3", "罚款", "警告、罚款", "身份证", "01", "02", "自然人", "普通程序", "投诉", "待受理",
    "已受理",
    "经营异常名录", "未按期年报", "合作市", "623001", "100 1234 5678", "=1+1", '="00123"', "#N/A", "#REF!", "#1",
    "\u202e甲", "a\x07b", "长" * 201, "长" * 2100, "1.2E+17", "合计", "甲、乙、丙", "高", "\ufeff", "\u3000",
])  # fmt: skip
_VALUES = st.one_of(
    _CELLS, st.none(), st.booleans(), st.integers(0, 3), st.sampled_from([Decimal("1.0"), Decimal(1), 1.0, 2.5]),
    st.sampled_from([
        date(2026, 3, 1), date(1900, 1, 1), datetime(2026, 3, 1, 23, 30, tzinfo=UTC), datetime(2026, 3, 1, 12),
        ["未发现问题"], {"a": 1}, 623000200001232, ValueFault("encoding", "内容不是 gb18030 编码", "请核对"),
    ]),
)  # fmt: skip


@lru_cache
def reader(folder: Path, name: str, identity: str, check_digit: str, is_whole: bool) -> tuple[RowReader, int]:
    """A reader whose columns are all of its mapping's (or those alone that it cannot do without), with one more that
    it does not know; and how many."""
    mapping = load_mapping(name, folder)
    headings = [column.heading for column in mapping.columns if is_whole or column.required]
    for group in mapping.groups:
        members = [member.heading for member in group.members.values()]
        headings += members if is_whole else members[:1] if group.required else []
    headings = ["序号", *dict.fromkeys(headings)]
    context = source_context(config(Path("/nowhere"), identity=identity, check_digit=check_digit), catalog(), Path())
    return RowReader(layout_of(mapping, headings), context), len(headings)


_settings = st.tuples(st.sampled_from(["as-given", "register"]), st.sampled_from(["warn", "refuse"]), st.booleans())


@pytest.mark.parametrize("name", mapping_names(OF_FILES))
@settings(deadline=None, max_examples=60)
@given(data=st.data(), how=_settings)
def test_texts(name: str, data: st.DataObject, how: tuple[str, str, bool]) -> None:
    read, width = reader(OF_FILES, name, *how)
    # One row that repeats, so that what is remembered is used, and rows of any length.
    line = data.draw(st.lists(_CELLS, min_size=width, max_size=width))
    others = data.draw(st.lists(st.lists(_CELLS, max_size=width + 1), max_size=4))
    raws = [line, *others, line]
    places = [Place("a.csv", None, number) for number in range(len(raws))]
    expected = [read.read_texts(list(raw), place) for raw, place in zip(raws, places, strict=True)]
    assert read.all_texts(raws, places) == expected


@pytest.mark.parametrize("name", mapping_names(OF_TABLES))
@settings(deadline=None, max_examples=60)
@given(data=st.data(), how=_settings)
def test_values(name: str, data: st.DataObject, how: tuple[str, str, bool]) -> None:
    read, width = reader(OF_TABLES, name, *how)
    raws = data.draw(st.lists(st.lists(_VALUES, min_size=width, max_size=width), max_size=5))
    places = [Place("t", None, number) for number in range(len(raws))]
    expected = [read.read_values(raw, place) for raw, place in zip(raws, places, strict=True)]
    assert read.all_values(raws, places) == expected


_DIRT = st.dictionaries(st.sampled_from([name for name in INSPECTION if name != "序号"]), _CELLS, max_size=2)


@settings(deadline=None)
@given(dirt=st.lists(_DIRT, min_size=1, max_size=6))
def test_mostly_right_rows_are_rows(dirt: list[dict[str, str]]) -> None:
    read = _inspections()
    rows = [inspection(number, **more) for number, more in enumerate(dirt)]
    raws = [[row.get(heading, "") for heading in INSPECTION] for row in rows]
    places = [Place("a.csv", None, number) for number in range(len(raws))]
    found = read.all_texts(raws, places)
    assert found == [read.read_texts(list(raw), place) for raw, place in zip(raws, places, strict=True)]
    assert all(isinstance(item, Row) for item, more in zip(found, dirt, strict=True) if not more)


@lru_cache
def _inspections() -> RowReader:
    mapping = load_mapping("inspection-results", OF_FILES)
    columns = fit(mapping, [heading_form(heading) for heading in INSPECTION]).columns
    context = source_context(config(Path("/nowhere")), catalog(), Path())
    return RowReader(Layout(mapping, columns, dict(enumerate(INSPECTION))), context)


def test_right_rows_never_go_the_careful_way(monkeypatch: pytest.MonkeyPatch) -> None:
    read = _inspections()
    raws = [[inspection(number).get(heading, "") for heading in INSPECTION] for number in range(50)]
    raws[7][INSPECTION.index("检查日期")] = "去年"
    asked: list[Place] = []
    real = CarefulReader.read_texts

    def watched(self: CarefulReader, raw: list[str], place: Place) -> Any:
        asked.append(place)
        return real(self, raw, place)

    monkeypatch.setattr(CarefulReader, "read_texts", watched)
    places = [Place("a.csv", None, number) for number in range(50)]
    found = read.all_texts(raws, places)
    assert asked == [places[7]]
    fault = found[7]
    assert isinstance(fault, RowFault)
    assert [problem.column for problem in fault.problems] == ["检查日期"]


def test_one_long_row_does_not_widen_the_batch() -> None:
    read = _inspections()
    raws = [[inspection(1).get(heading, "") for heading in INSPECTION] for _ in range(3)]
    raws[1] += [""] * 5000
    places = [Place("a.csv", None, number) for number in range(3)]
    expected = [read.read_texts(raw, place) for raw, place in zip(raws, places, strict=True)]
    assert read.all_texts(raws, places) == expected


@pytest.mark.parametrize("kind", mapping_names(OF_FILES))
def test_generated_exports(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"{kind}.csv"
    write_bulk(path, kind, "csv-utf-8", 400, seed=5, dirt=0.3, faults=0.2)
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = list(csv.reader(file))
    mapping = load_mapping(kind, OF_FILES)
    fits = [(at, fit(mapping, [heading_form(cell) for cell in line])) for at, line in enumerate(lines[:5])]
    at, found = next((at, found) for at, found in fits if not found.missing)
    context = source_context(config(Path("/nowhere")), catalog(), Path())
    read = RowReader(Layout(mapping, found.columns, dict(enumerate(lines[at]))), context)
    raws = lines[at + 1 :]
    places = [Place("a.csv", None, number) for number in range(len(raws))]
    expected = [read.read_texts(list(raw), place) for raw, place in zip(raws, places, strict=True)]
    assert read.all_texts(raws, places) == expected
    kinds = {type(item) for item in expected}
    assert {Row, RowFault} <= kinds
