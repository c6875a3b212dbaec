"""The files of one package: a table for clerks, the exact signed notices for programs, and what vouches for both.

    <package>.xlsx              the notices, one sheet a kind of record, and the form 反馈 to fill in; or, as CSV,
                                <package>.<kind>.csv and <package>.form.csv
    <package>.jsonl             a notice a line: {"headers": {…}, "body": "…"}, as a department that fetches gets it
    <package>.manifest.sig      the three headers of Standard Webhooks, signed over the bytes of the manifest under
                                the name of the package: whoever verifies a notice verifies this by the same call
    <package>.manifest.json     names, sizes and digests; named last, so that a package is whole once it is there
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal, NamedTuple

from hub.delivery.filedrop.columns import NOTICE_ID, Columns, party_of, together
from hub.delivery.filedrop.layout import MANIFEST, SIGNATURE
from hub.delivery.filedrop.sheets import Sheet, write_csv, write_xlsx
from hub.domain.plain import instant_text, to_json
from hub.domain.webhook import SigningKey, sign

FORMAT = "gannan-hub-package/1"
TableForm = Literal["xlsx", "csv"]
FORM_TITLE = "反馈"
#: Headings of the form, in its order; ``replies`` reads them.
FORM = (NOTICE_ID, "当事人", "收到情况", "拒收原因", "反馈状态", "采取措施", "案件编号", "采取措施日期", "说明")
#: Stands for every notice of the package.
ALL = "全部"
_HINTS = (
    ("收到情况", "已收到，或 拒收（须填拒收原因）。在“全部”一行填写，即对本包所有通知有效"),
    ("反馈状态", "已登记、已采取措施、不适用、有异议；不适用、有异议的须填说明"),
    ("采取措施", "已采取措施的，从期望措施中选一项填写"),
    ("采取措施日期", "如 2026-03-04"),
    ("交回方式", "填好后另存，文件名不变或改为 <包名>.ack.xlsx，放入 inbox 文件夹；处理结果见 results 文件夹"),
)


class Notice(NamedTuple):
    """One notice as it goes out: its body byte for byte, and the headers that sign it."""

    notice_id: str
    headers: Mapping[str, str]
    body: bytes


def name_of(subscription: str, notices: Sequence[str], local: datetime) -> str:
    """The name of a package, from its time and what is in it. ``local`` is the clock of Gannan."""
    digest = hashlib.sha256("\n".join(notices).encode()).hexdigest()[:8]
    return f"{subscription}-{local:%Y%m%d-%H%M%S}-{digest}"


def build(
    package: str, subscription: str, notices: Sequence[Notice], at: datetime, keys: Sequence[SigningKey],
    columns: Columns, form: TableForm,
) -> dict[str, bytes]:
    """The files by name, in the order in which they are to be named; the manifest last. ``at`` is aware."""
    files = _tables(package, notices, columns, form)
    files[f"{package}.jsonl"] = b"".join(
        json.dumps({"headers": dict(each.headers), "body": each.body.decode()}, ensure_ascii=False).encode() + b"\n"
        for each in notices
    )
    manifest = to_json({
        "format": FORMAT,
        "package": package,
        "subscription": subscription,
        "created_at": instant_text(at),
        "count": len(notices),
        "files": [
            {"name": name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in files.items()
        ],
        "notices": [
            {"notice_id": each.notice_id, "sha256": hashlib.sha256(each.body).hexdigest()} for each in notices
        ],
    })
    files[package + SIGNATURE] = to_json(sign(keys, package, at, manifest))
    files[package + MANIFEST] = manifest
    return files


def _tables(package: str, notices: Sequence[Notice], columns: Columns, form: TableForm) -> dict[str, bytes]:
    kinds = together([columns.row(each.body) for each in notices])
    sheets = [
        Sheet(rows[0].sheet, rows[0].slug, rows[0].headings, [row.cells for row in rows]) for rows in kinds
    ]
    blank = ("",) * (len(FORM) - 2)
    rows = [(ALL, f"本包全部 {len(notices)} 条", *blank)]
    rows += [(each.notice_id, party_of(each.body), *blank) for each in notices]
    answers = Sheet(FORM_TITLE, "form", FORM, rows)
    if form == "xlsx":
        return {f"{package}.xlsx": write_xlsx([*sheets, answers, Sheet("填写说明", "hints", ("栏目", "说明"), _HINTS)])}
    found: dict[str, bytes] = {}
    for sheet in (*sheets, answers):
        name, number = f"{package}.{sheet.slug}.csv", 2
        while name in found:  # two versions of one schema
            name, number = f"{package}.{sheet.slug}-{number}.csv", number + 1
        found[name] = write_csv(sheet)
    return found
