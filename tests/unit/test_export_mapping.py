"""Mapping files: all that the hub brings along are whole, and a wrong one is told with every fault."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from connectors.export_folder.settings import ExportFolderSettings
from connectors.export_folder.source import MAPPINGS
from hub.intake import ContractError, load_sources
from hub.intake.mapping.model import load_mapping, mapping_names
from tests.support_intake import INSPECTION, KINDS, LEAD, csv_bytes, inspection, open_folder, rows_of

#: The headings that departments' exports have, by kind of export.
HEADINGS = {
    "inspection-results": set(INSPECTION) - {"序号"},
    "penalties": set(
        [
            "行政相对人名称",
            "行政相对人类别",
            "统一社会信用代码",
            "工商注册号",
            "法定代表人",
            "法定代表人证件类型",
            "法定代表人证件号码",
            "证件类型",
            "证件号码",
            "行政处罚决定书文号",
            "违法行为类型",
            "违法事实",
            "处罚依据",
            "处罚程序",
            "处罚类别",
            "处罚内容",
            "罚款金额（万元）",
            "没收违法所得、没收非法财物的金额（万元）",
            "暂扣或吊销证照名称及编号",
            "处罚决定日期",
            "处罚有效期",
            "公示截止期",
            "处罚机关",
            "处罚机关统一社会信用代码",
            "数据来源单位",
            "数据来源单位统一社会信用代码",
            "备注",
        ]
    ),
    "blacklist-notices": set(
        [
            "名单类型",
            "企业名称",
            "统一社会信用代码",
            "注册号",
            "法定代表人",
            "证件类型",
            "证件号码",
            "列入原因",
            "列入日期",
            "列入决定机关",
            "列入文号",
            "相关人员姓名",
            "相关人员身份证件号码",
            "违法性质",
            "处理结果",
            "移出原因",
            "移出日期",
            "移出决定机关",
            "移出文号",
            "备注",
        ]
    ),
    "complaint-leads": set(LEAD),
}


@pytest.mark.parametrize("name", KINDS)
def test_every_heading_of_an_export_has_its_place(name: str) -> None:
    mapping = load_mapping(name, MAPPINGS)
    known = {column.heading for column in mapping.columns}
    known |= {member.heading for group in mapping.groups for member in group.members.values()}
    assert HEADINGS[name] <= known
    assert mapping.kind == name


def test_all_mappings_open_together(tmp_path: Path) -> None:
    assert set(KINDS) <= set(mapping_names(MAPPINGS))
    assert len(open_folder(tmp_path).topics) == 4


def own_mapping(path: Path, **changes: object) -> str:
    """The mapping of inspection results with some parts replaced, as a file of the department's own."""
    raw = yaml.safe_load(
        (MAPPINGS / "inspection-results.yaml").read_text(
            encoding="utf-8"
        )
    )
    path.write_text(yaml.safe_dump({**raw, **changes}, allow_unicode=True), encoding="utf-8")
    return str(path)


def test_a_department_s_own_mapping(tmp_path: Path) -> None:
    name = own_mapping(tmp_path / "own.yaml", constants={"inspection_kind": "routine"})
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.csv").write_bytes(csv_bytes(INSPECTION, [inspection()]))
    (row,) = rows_of(folder, mappings=[name])
    assert row.value["inspection_kind"] == "routine"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"natural_key": ["nothing"]}, "which no column fills"),
        (
            {"columns": [{"heading": "甲", "field": "nothing"}], "natural_key": ["nothing"], "requires": []},
            "has no field nothing",
        ),
        ({"constants": {}}, "nothing fills the field inspection_kind"),
        ({"events": {"initial": "a.b.c", "changed": "a.b.changed"}}, "changed"),
        ({"more": 1}, "Extra inputs"),
        ({"schema": "no/such"}, "no schema no/such"),
    ],
)
def test_wrong_mappings_are_refused_with_their_faults(
    tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    name = own_mapping(tmp_path / "own.yaml", **changes)
    with pytest.raises(ContractError, match=words):
        open_folder(tmp_path, mappings=[name])


def test_sources_are_read_and_paths_seen_from_their_file(tmp_path: Path) -> None:
    path = tmp_path / "sources.yaml"
    path.write_text(
        "sources:\n- {name: a, folder: in/a, department_code: 11623000013999917X, department_name: 局, "
        "region_code: '623000', mappings: [penalties, own/x.yaml]}\n",
        encoding="utf-8",
    )
    settings = load_sources(path)["a"].settings
    assert isinstance(settings, ExportFolderSettings)
    assert settings.folder == tmp_path / "in" / "a"
    assert settings.mappings == ["penalties", str(tmp_path / "own" / "x.yaml")]


@pytest.mark.parametrize("text", ["sources: [{name: A b}]", "sources: 5", "[", "sources: [{name: a}]"])
def test_wrong_sources_name_their_faults(tmp_path: Path, text: str) -> None:
    path = tmp_path / "sources.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ContractError, match=r"sources\.yaml"):
        load_sources(path)
