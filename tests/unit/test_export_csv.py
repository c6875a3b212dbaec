"""CSV files with the dirt that they have."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from hub.intake import Row, RowFault
from tests.support_intake import (
    INSPECTION,
    LEAD,
    csv_bytes,
    faults_of,
    inspection,
    open_folder,
    read_all,
    rows_of,
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_every_encoding_and_delimiter_gives_the_same_row(tmp_path: Path, encoding: str, delimiter: str) -> None:
    data = csv_bytes(INSPECTION, [inspection(备注="𠮷祥")], encoding=encoding, delimiter=delimiter)
    (tmp_path / "a.csv").write_bytes(data)
    (row,) = rows_of(tmp_path)
    assert row.natural_key == "JC000001"
    assert row.value["party_name"] == "合作市雪域牦牛乳业有限责任公司"
    assert row.value["check_date"] == date(2026, 3, 1)
    assert row.value["result_date"] == date(2026, 4, 2)
    assert row.value["remark"] == "𠮷祥"
    assert [person["name"] for person in row.value["inspectors"]] == ["才让卓玛", "王实验"]


def test_titles_above_blank_rows_totals_and_trailing_columns(tmp_path: Path) -> None:
    headings = [*INSPECTION, "", "", ""]
    above = [["甘南州双随机抽查结果汇总表"], [], ["填报单位：合作市市场监督管理局", "", "2026年4月"]]
    rows = [inspection(1), {}, inspection(2), dict(zip(INSPECTION, INSPECTION, strict=True)), {"序号": "合计"}]
    (tmp_path / "a.csv").write_bytes(csv_bytes(headings, rows, above=above))
    source = open_folder(tmp_path)
    (portion,) = source.portions()
    (batch,) = portion.batches(0)
    assert [item.place.row for item in batch.items] == [5, 7]
    assert (batch.rows_read, batch.skipped) == (2, 3)


def test_headings_may_have_stars_blanks_width_and_other_names(tmp_path: Path) -> None:
    renamed = {"检查编号": "*检查行为编号", "检查对象名称": " 企业名称（必填）", "检查日期": "检查日期：",
               "统一社会信用代码/注册号": "统一社会信用代码／注册号"}
    headings = [renamed.get(heading, heading) for heading in INSPECTION]
    row = {renamed.get(heading, heading): text for heading, text in inspection().items()}
    (tmp_path / "a.csv").write_bytes(csv_bytes(headings, [row]))
    assert rows_of(tmp_path)[0].natural_key == "JC000001"


def test_a_bad_row_does_not_stop_the_others(tmp_path: Path) -> None:
    rows = [inspection(1), inspection(2, 检查日期="昨天", 检查结果="很好"), inspection(3)]
    (tmp_path / "a.csv").write_bytes(csv_bytes(INSPECTION, rows))
    first, fault, last = read_all(open_folder(tmp_path))
    assert isinstance(first, Row) and isinstance(last, Row) and isinstance(fault, RowFault)
    assert fault.place.row == 3
    assert [(problem.code, problem.column, problem.value) for problem in fault.problems] == [
        ("date", "检查日期", "昨天"), ("code", "检查结果", "很好"),
    ]
    assert "2021-07-05" in fault.problems[0].remedy


def test_quotes_line_breaks_and_ragged_rows(tmp_path: Path) -> None:
    lines = csv_bytes(INSPECTION, [inspection(1, 备注="第一行\n第二行"), inspection(2)]).decode()
    short = ",".join(["3", "", "", "", "JC000003", '"雪域"乳业公司', "", "", "年报检查", "", "局", "", "2026-03-01",
                      "未发现问题"])
    (tmp_path / "a.csv").write_bytes((lines + short + "\r\n").encode())
    rows = rows_of(tmp_path)
    assert [row.place.row for row in rows] == [2, 3, 4]
    assert rows[0].value["remark"] == "第一行\n第二行"
    assert rows[2].value["party_name"] == "雪域乳业公司"
    assert rows[2].value["result_date"] == date(2026, 3, 1)


@pytest.mark.parametrize("rest", [3, 500])
def test_a_quote_that_is_never_closed_costs_its_own_row_only(tmp_path: Path, rest: int) -> None:
    rows = [inspection(number) for number in range(1, rest + 2)]
    lines = csv_bytes(INSPECTION, rows).decode().splitlines(keepends=True)
    lines[2] = '2,"没有收尾的引号,' + lines[2]
    (tmp_path / "a.csv").write_bytes("".join(lines).encode())
    items = read_all(open_folder(tmp_path))
    faults = [item for item in items if isinstance(item, RowFault)]
    assert [(fault.place.row, fault.problems[0].code) for fault in faults] == [(3, "quote")]
    assert len(items) == rest + 1


def test_reading_goes_on_behind_any_row(tmp_path: Path) -> None:
    rows = [inspection(number, 检查日期="" if number % 7 == 0 else "2026/3/1") for number in range(1, 41)]
    (tmp_path / "a.csv").write_bytes(csv_bytes(INSPECTION, rows))
    whole = read_all(open_folder(tmp_path))
    for start in (0, 1, 13, 40):
        assert read_all(open_folder(tmp_path), start) == whole[start:]


def test_formulas_are_refused_but_guarded_text_is_text(tmp_path: Path) -> None:
    lines = csv_bytes(INSPECTION, [inspection(1), inspection(2, 备注='=HYPERLINK("http://a.invalid")')]).decode()
    lines = lines.replace("JC000001", '="0001"')
    (tmp_path / "a.csv").write_bytes(lines.encode())
    row, fault = read_all(open_folder(tmp_path))
    assert isinstance(row, Row) and row.natural_key == "0001"
    assert isinstance(fault, RowFault) and fault.problems[0].code == "formula"


def test_personal_numbers_are_masked_in_every_problem(tmp_path: Path) -> None:
    lead = {"线索编号": "XS1", "线索类型": "投诉", "来源渠道": "12315", "被投诉举报单位": "某店", "问题类别": "价格",
            "内容摘要": "多收费", "登记日期": "623021185006153029", "联系电话": "1390000abcd",
            "风险等级": "13900000000"}
    (tmp_path / "a.csv").write_bytes(csv_bytes(LEAD, [lead]))
    (fault,) = faults_of(tmp_path)
    shown = str(fault.problems)
    assert len(fault.problems) == 3
    assert "185006153" not in shown and "0000abcd" not in shown and "3900000" not in shown


def test_lead_states_choose_the_event_type(tmp_path: Path) -> None:
    lead = {"线索类型": "举报", "来源渠道": "12345热线", "被投诉举报单位": "某店", "问题类别": "食品安全",
            "内容摘要": "过期食品", "登记日期": "2026年5月6日", "所在地区": "玛曲县", "是否匿名": "是"}
    rows = [{**lead, "线索编号": f"XS{status}", "处理状态": status} for status in ("", "已受理", "已办结")]
    (tmp_path / "a.csv").write_bytes(csv_bytes(LEAD, rows))
    found = rows_of(tmp_path)
    assert [row.state_type.rpartition(".")[2] for row in found] == ["received", "accepted", "resolved"]
    assert found[0].value["region_code"] == "623025"
    assert found[0].value["is_anonymous"] is True
    assert found[0].value["record_unique_identity"] == "XS"


def test_penalties_with_both_amount_units(tmp_path: Path) -> None:
    penalty = {
        "行政相对人名称": "扎西东智", "行政相对人类别": "自然人", "证件类型": "身份证",
        "证件号码": "623021185006153029",
        "行政处罚决定书文号": "甘南市监处罚〔2026〕12号", "违法行为类型": "未明码标价", "违法事实": "未标价",
        "处罚依据": "价格法", "处罚类别": "警告；罚款", "处罚内容": "罚款200元", "处罚决定日期": "46100",
    }
    for number, (heading, text) in enumerate([("罚款金额（万元）", "0.02"), ("罚款金额（元）", "200")]):
        row = {**penalty, heading: text}
        (tmp_path / f"{number}.csv").write_bytes(csv_bytes(list(row), [row]))
    rows = rows_of(tmp_path)
    assert [row.value["fine_amount"] for row in rows] == [Decimal("0.02")] * 2
    assert rows[0].natural_key == "甘南市监处罚〔2026〕12号|扎西东智"
    assert rows[0].value["penalty_kinds"] == ["1", "2"]
    assert rows[0].value["procedure"] == "ordinary"
    assert rows[0].value["decided_date"] == date(2026, 3, 19)


def test_blacklist_pairs_persons_and_knows_removals(tmp_path: Path) -> None:
    notice = {
        "名单类型": "经营异常名录", "企业名称": "合作市雪域牦牛乳业有限责任公司",
        "统一社会信用代码": "91623000739699913A",
        "列入原因": "通过登记的住所（经营场所）无法联系", "列入日期": "2026/7/1",
        "列入决定机关": "合作市市场监督管理局",
        "列入文号": "合市监异入〔2026〕第0001号", "相关人员姓名": "扎西东智、王实验",
        "相关人员身份证件号码": "623021185006153029、无", "移出日期": "",
    }
    rows = [notice, {**notice, "移出日期": "2026/9/1", "移出原因": "重新取得联系"},
            {**notice, "相关人员身份证件号码": "623021185006153029"}]
    (tmp_path / "a.csv").write_bytes(csv_bytes(list({**notice, "移出原因": ""}), rows))
    listed, removed, fault = read_all(open_folder(tmp_path))
    assert isinstance(listed, Row) and isinstance(removed, Row) and isinstance(fault, RowFault)
    assert (listed.state_type, removed.state_type) == ("blacklist.notice.listed", "blacklist.notice.removed")
    assert listed.natural_key == removed.natural_key
    assert listed.value["listing_reason_code"] == "a4"
    assert [person["certificate_number"] for person in listed.value["related_persons"]] == ["623021185006153029", None]
    assert fault.problems[0].code == "list"


@pytest.mark.parametrize(("check_digit", "taken"), [("warn", True), ("refuse", False)])
def test_check_digit_setting(tmp_path: Path, check_digit: str, taken: bool) -> None:
    row = inspection(1, **{"统一社会信用代码/注册号": "916230007396999131"})
    (tmp_path / "a.csv").write_bytes(csv_bytes(INSPECTION, [row]))
    (item,) = read_all(open_folder(tmp_path, check_digit=check_digit))
    if taken:
        assert isinstance(item, Row) and item.warnings[0].column == "统一社会信用代码/注册号"
    else:
        assert isinstance(item, RowFault) and item.problems[0].value == "916230007396999131"


def test_a_secret_result_needs_a_reason(tmp_path: Path) -> None:
    rows = [inspection(1, 是否公示="否"), inspection(2, 是否公示="否", 不公示理由="涉及商业秘密")]
    (tmp_path / "a.csv").write_bytes(csv_bytes(INSPECTION, rows))
    fault, row = read_all(open_folder(tmp_path))
    assert isinstance(fault, RowFault) and "理由" in fault.problems[0].problem
    assert isinstance(row, Row) and row.value["is_public"] is False
