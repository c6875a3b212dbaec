"""Kinds of penalty: what a department wrote is what every channel says, and a warning alone is what is held back."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from connectors.credit_china.template import load_templates
from connectors.provincial_uplink.acts import load_standard, row_of
from hub.sandbox.labels import describe
from tests.support_contracts import catalog, sample
from tests.support_intake import csv_bytes, rows_of
from tests.support_sinks import NOW, an_order, open_sink, send

KIND = "enforcement/penalty"
CODES = catalog().codes["penalty-kind"]
#: The texts of the 双公示 template and what 行政处罚法 names beside them.
WRITTEN = [
    "警告", "通报批评", "罚款", "没收违法所得、没收非法财物", "责令停产停业", "暂扣/吊销许可证", "暂扣/吊销执照",
    "行政拘留", "其他",
]  # fmt: skip


def read(folder: Path, *kinds: str) -> list[list[str]]:
    """The codes of an export with a row for each of the texts."""
    rows = [
        {
            "行政相对人名称": "合作市雪域牦牛乳业有限责任公司", "统一社会信用代码": "91623000739699913A",
            "行政处罚决定书文号": f"甘南市监处罚〔2026〕{number}号", "违法行为类型": "未明码标价", "违法事实": "未标价",
            "处罚依据": "价格法", "处罚类别": text, "处罚内容": "见决定书", "处罚决定日期": "2026-03-02",
        }
        for number, text in enumerate(kinds, 1)
    ]  # fmt: skip
    (folder / "a.csv").write_bytes(csv_bytes(list(rows[0]), rows))
    return [row.value["penalty_kinds"] for row in rows_of(folder)]


def on_credit_china(folder: Path, codes: list[str]) -> str:
    """What stands in the file for 信用中国."""
    for name in ("share/out", "share/in"):
        (folder / name).mkdir(parents=True)
    sink = open_sink("credit-china", folder, folder="share", source_code="623000-market")
    send(sink, an_order("a", penalty_kinds=codes))
    (path,) = (folder / "share/out").iterdir()
    [row] = csv.DictReader(io.StringIO(path.read_text("utf-8-sig"), newline=""))
    return row["CF_CFLB"]


def on_the_website(folder: Path, codes: list[str]) -> str:
    """The pages of the government website, as one text."""
    (folder / "site").mkdir()
    sink = open_sink(
        "government-website", folder, now=lambda: NOW, folder="site", url="https://www.example.org", list_entries=10
    )
    send(sink, an_order("a", penalty_kinds=codes))
    return "".join(path.read_text("utf-8") for path in (folder / "site").rglob("*.html"))


@pytest.mark.parametrize("text", WRITTEN)
def test_what_a_department_wrote_is_what_every_channel_says(text: str, tmp_path: Path) -> None:
    (codes,) = read(tmp_path, text)
    assert on_credit_china(tmp_path, codes) == text
    assert f">{text}<" in on_the_website(tmp_path, codes)
    [line] = describe(KIND, {"penalty_kinds": codes}, catalog())
    assert line.text == text, "so the disclosure system says it"


def test_a_suspension_is_not_told_as_a_revocation(tmp_path: Path) -> None:
    kinds = read(
        tmp_path, "暂扣或者吊销许可证", "暂扣／吊销执照", "罚款、暂扣/吊销许可证；通报批评", "吊销营业执照",
        "警告、通报批评", "暂扣许可证", "吊销许可证",
    )  # fmt: skip
    assert [list(map(CODES.title_of, codes)) for codes in kinds] == [
        ["暂扣/吊销许可证"], ["暂扣/吊销执照"], ["罚款", "暂扣/吊销许可证", "通报批评"], ["吊销执照"],
        ["警告", "通报批评"], ["暂扣许可证"], ["吊销许可证"],
    ]  # fmt: skip
    for code, entry in CODES.entries.items():
        if "暂扣" in "".join((entry.title, *entry.aliases)):
            assert code not in ("7", "8"), entry


def test_the_platforms_codes_are_as_its_table_has_them_and_the_hubs_own_are_none_of_them() -> None:
    of_the_table = {code: entry.title for code, entry in CODES.entries.items() if code.isdecimal()}
    assert of_the_table == {
        "1": "警告", "2": "罚款", "3": "没收违法所得、没收非法财物", "4": "责令停产停业", "5": "暂扣许可证",
        "6": "暂扣执照", "7": "吊销许可证", "8": "吊销执照", "9": "其他",
    }  # fmt: skip
    own = {code: entry.title for code, entry in CODES.entries.items() if code not in of_the_table}
    assert own == {"h1": "通报批评", "h2": "暂扣/吊销许可证", "h3": "暂扣/吊销执照", "h4": "行政拘留"}


def test_every_kind_has_a_text_for_credit_china_and_fits_the_provinces_row() -> None:
    assert load_templates().texts["penalty"].keys() == CODES.entries.keys()
    schema = catalog().schema(KIND)
    for code in CODES.entries:
        value = sample(schema, penalty_kinds=[code])
        assert schema.check(value) == []
        assert row_of(KIND, value, schema.fields, load_standard()).values["penalty_kinds"] == [code]


def test_what_is_on_the_log_from_before_stays_valid(tmp_path: Path) -> None:
    """A combined text was a 7 once: nobody knows any more which of the two it stood for."""
    schema = catalog().schema(KIND)
    value = sample(schema, penalty_kinds=["7", "8"])
    assert schema.check(value) == [] and schema.decode(schema.encode(value)) == value
    assert on_credit_china(tmp_path, ["7", "8"]) == "暂扣/吊销许可证;暂扣/吊销执照"
