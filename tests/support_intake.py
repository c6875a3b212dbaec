"""A source on a folder, and exports as departments write them."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from connectors.export_folder.source import ExportFolder
from hub.bus.reader import read_topics
from hub.contracts.catalog import Catalog
from hub.intake import Batch, Row, RowFault, SourceConfig
from hub.intake.build import source_context

ROOT = Path(__file__).parent.parent
KINDS = ["inspection-results", "penalties", "blacklist-notices", "complaint-leads"]

INSPECTION = (
    "序号", "抽查计划编号", "抽查计划名称", "抽查任务名称", "检查编号", "检查对象名称", "统一社会信用代码/注册号",
    "法定代表人", "抽查事项", "事项编码", "检查机关", "检查人员", "检查日期", "检查结果", "结果形成日期",
    "是否公示", "不公示理由", "备注",
)
LEAD = (
    "线索编号", "线索类型", "来源渠道", "被投诉举报单位", "统一社会信用代码", "所在地区", "问题类别", "内容摘要",
    "登记日期", "承办单位", "投诉人姓名", "联系电话", "是否匿名", "风险等级", "处理状态", "受理日期", "办结日期",
    "办理结果", "备注",
)


@lru_cache
def catalog() -> Catalog:
    return Catalog.load(ROOT)


def records(bootstrap: str, topic: str, source: str) -> list[dict[str, Any]]:
    """Headers (text), key and value of every record of a source on a topic, by partition and offset."""
    found = []
    for record in sorted(read_topics(bootstrap, [topic]), key=lambda each: (each.partition, each.offset)):
        headers: dict[str, Any] = {name: (value or b"").decode() for name, value in record.headers}
        if headers["ce_source"] == f"/sources/{source}":
            value = catalog().decode(record.value or b"")[1]
            found.append({**headers, "key": record.key, "value": value})
    return found


def config(folder: Path, **more: Any) -> SourceConfig:
    given: dict[str, Any] = {
        "name": "hezuo-exports", "folder": folder, "department_code": "11623000013999917X",
        "department_name": "甘南州市场监督管理局", "region_code": "623000", "mappings": KINDS,
        "settle_seconds": 0, **more,
    }
    return SourceConfig.of(given)


def open_folder(folder: Path, **more: Any) -> ExportFolder:
    return ExportFolder(source_context(config(folder, **more), catalog(), folder / ".hub"))


def inspection(number: int = 1, **more: str) -> dict[str, str]:
    """One row of inspection results, as text by heading."""
    return {
        "序号": str(number), "抽查计划编号": "JH2026-001", "抽查计划名称": "2026年度双随机抽查计划",
        "抽查任务名称": "第1批", "检查编号": f"JC{number:06d}", "检查对象名称": "合作市雪域牦牛乳业有限责任公司",
        "统一社会信用代码/注册号": "91623000739699913A", "法定代表人": "扎西东智", "抽查事项": "年报公示信息检查",
        "检查机关": "合作市市场监督管理局", "检查人员": "才让卓玛、王实验", "检查日期": "2026/3/1",
        "检查结果": "未发现问题", "结果形成日期": "20260402", "是否公示": "是", **more,
    }


def csv_bytes(headings: Sequence[str], rows: Sequence[dict[str, str]], *, encoding: str = "utf-8",
              above: Sequence[Sequence[str]] = (), delimiter: str = ",") -> bytes:
    """A CSV file with rows above its heading."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerows(above)
    writer.writerow(headings)
    writer.writerows([row.get(heading, "") for heading in headings] for row in rows)
    return text.getvalue().encode(encoding)


def read_all(source: ExportFolder, start: int = 0) -> list[Row | RowFault]:
    """Every item of every waiting file, behind the first ``start`` of each."""
    items: list[Row | RowFault] = []
    for portion in source.portions():
        batches: list[Batch] = list(portion.batches(start))
        portion.close()
        for batch in batches:
            items += batch.items
    return items


def rows_of(folder: Path, **more: Any) -> list[Row]:
    """Every item of the folder, all of which must be rows."""
    items = read_all(open_folder(folder, **more))
    assert all(isinstance(item, Row) for item in items), [i for i in items if not isinstance(i, Row)][:3]
    return [item for item in items if isinstance(item, Row)]


def faults_of(folder: Path, **more: Any) -> list[RowFault]:
    """The faults among all items of the folder."""
    return [item for item in read_all(open_folder(folder, **more)) if isinstance(item, RowFault)]
