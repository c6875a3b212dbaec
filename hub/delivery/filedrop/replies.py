"""What a department's file says: notices received or refused, and answers; as a form, as JSON, or as signed lines.

    tables (XLSX, CSV)   the form of the package, filled in; headings in Chinese or the names of the fields
    .json                {"received": ["…"] or "all", "refused": {"…": "why"}, "answers": [{"notice_id": "…", …}]}
    .jsonl               {"headers": {…}, "body": "…"} a line: an answer as it would be posted, signed by itself

A row that cannot be read is a fault with its place, and the others count.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, NamedTuple

from hub.contracts.strict_json import faults_of, parse_strict
from hub.delivery.filedrop.ledger import Verdict
from hub.delivery.filedrop.package import ALL, FORM_TITLE
from hub.delivery.filedrop.tables import Line, Table, UnreadableError, read_tables
from hub.domain.problem import ProblemError

MAX_ENTRIES = 20_000
_HEADING_ROWS = 20
#: Field -> the headings that mean it; the first is the form's own.
HEADINGS: Mapping[str, tuple[str, ...]] = {
    "notice_id": ("通知编号", "notice_id"),
    "receipt": ("收到情况", "收到", "签收情况", "receipt"),
    "refusal": ("拒收原因", "refusal"),
    "status": ("反馈状态", "反馈", "status"),
    "measure": ("采取措施", "措施", "measure"),
    "case_number": ("案件编号", "案号", "case_number"),
    "acted_on": ("采取措施日期", "措施日期", "acted_on"),
    "reason": ("说明", "理由", "reason"),
}
_FIELDS = {heading: field for field, headings in HEADINGS.items() for heading in headings}
_RECEIVED = {"收到", "已收到", "接收", "已接收", "签收", "已签收", "是", "√", "received", "yes"}
_REFUSED = {"拒收", "已拒收", "拒绝", "退回", "refused"}
_STATUSES = {
    "registered": "registered", "已登记": "registered", "登记": "registered",
    "acted": "acted", "已采取措施": "acted", "已采取": "acted", "采取措施": "acted",
    "inapplicable": "inapplicable", "不适用": "inapplicable",
    "objected": "objected", "有异议": "objected", "异议": "objected",
}
_ALL = {ALL, "all", "*"}
_DAY = re.compile(r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?(?:[ T].*)?")
_COMPACT_DAY, _SERIAL_DAY = re.compile(r"(20\d\d)(\d\d)(\d\d)"), re.compile(r"([3-7]\d{4})(?:\.\d+)?")
_EPOCH = date(1899, 12, 30)
MAX_REFUSAL = 300


class Place(NamedTuple):
    """Where something stands in a file: rows as a spreadsheet counts them, entries of a list from 1."""

    row: int | None = None
    sheet: str | None = None


class Fault(NamedTuple):
    """One thing that is wrong, in words for whoever wrote it."""

    place: Place
    column: str
    value: str
    problem: str
    remedy: str


class Ack(NamedTuple):
    """What is said of one notice, or of all of a package (``notice_id`` is ``None``)."""

    place: Place
    notice_id: str | None
    verdict: Verdict


class Reply(NamedTuple):
    """One answer: its document, and where it is signed by itself the headers and the bytes that they sign."""

    place: Place
    document: Mapping[str, Any]
    headers: Mapping[str, str] | None = None
    content: bytes | None = None


class Said(NamedTuple):
    """All that a file says."""

    acks: list[Ack]
    replies: list[Reply]
    faults: list[Fault]


def column_of(field: str) -> str:
    """The heading of a field, as the form has it."""
    return HEADINGS[field][0] if field in HEADINGS else field


def read_replies(name: str, content: bytes, measure_id: Callable[[str], str]) -> Said:
    """What the file says; ``measure_id`` turns what a clerk writes into a measure's id. Raises UnreadableError."""
    if name.lower().endswith(".jsonl"):
        return _signed_lines(content)
    if name.lower().endswith(".json"):
        return _document(content)
    return _form(read_tables(content), measure_id)


# -- the form -----------------------------------------------------------------------------------


def _form(tables: Sequence[Table], measure_id: Callable[[str], str]) -> Said:
    for table in sorted(tables, key=lambda each: each.name != FORM_TITLE):
        for position, line in enumerate(table.lines[:_HEADING_ROWS]):
            fields = _fields_of(line)
            if "notice_id" in fields and ("receipt" in fields or "status" in fields):
                said = Said([], [], [])
                for row in table.lines[position + 1 :]:
                    _row(table, row, fields, said, measure_id)
                return said
    headings = "、".join(column_of(field) for field in ("notice_id", "receipt", "status"))
    raise UnreadableError("找不到反馈表：没有含“通知编号”和“收到情况”（或“反馈状态”）的表头", f"请保留表头：{headings}")


def _fields_of(line: Line) -> dict[str, int]:
    found: dict[str, int] = {}
    for number, cell in enumerate(line.cells):
        field = _FIELDS.get("".join(cell.split()).strip("'*").lower())
        if field is not None:
            found.setdefault(field, number)
    return found


def _row(
    table: Table, line: Line, fields: Mapping[str, int], said: Said, measure_id: Callable[[str], str]
) -> None:
    place = Place(line.number, table.name)

    def cell(field: str) -> str:
        number = fields.get(field)
        return line.cells[number].strip() if number is not None and number < len(line.cells) else ""

    def wrong(field: str, problem: str, remedy: str) -> None:
        said.faults.append(Fault(place, column_of(field), cell(field), problem, remedy))

    given = {field: cell(field) for field in fields if field != "notice_id" and cell(field)}
    notice_id = cell("notice_id").strip("'")
    formulas = [field for field, number in fields.items() if number in line.formulas]
    if formulas:
        wrong(formulas[0], "单元格是公式", "请选择性粘贴为“数值”后重新放入")
        return
    if not given:
        return  # a line that nobody filled in says nothing
    if not notice_id:
        wrong("notice_id", "没有通知编号", "请照抄包内表格中的通知编号")
        return
    whole = notice_id.lower() in _ALL
    if "receipt" in given:
        verdict = _verdict(given["receipt"], given.get("refusal"), wrong)
        if verdict is not None:
            said.acks.append(Ack(place, None if whole else notice_id, verdict))
    elif given.get("refusal"):
        wrong("receipt", "填了拒收原因，但没有填收到情况", "拒收的请在“收到情况”填：拒收")
    answer = {field: text for field, text in given.items() if field not in ("receipt", "refusal")}
    if answer:
        _answer(place, None if whole else notice_id, answer, table.days_1904, said, wrong, measure_id)


_Wrong = Callable[[str, str, str], None]


def _verdict(text: str, refusal: str | None, wrong: _Wrong) -> Verdict | None:
    word = text.strip("'").lower()
    if word in _RECEIVED:
        return Verdict(True)
    if word not in _REFUSED:
        wrong("receipt", "看不懂的收到情况", "请填：已收到，或 拒收")
    elif not refusal:
        wrong("refusal", "拒收没有说明原因", "请填写拒收原因")
    elif len(refusal) > MAX_REFUSAL:
        wrong("refusal", f"拒收原因超过 {MAX_REFUSAL} 字", f"请缩短至 {MAX_REFUSAL} 字以内")
    else:
        return Verdict(False, refusal)
    return None


def _answer(
    place: Place, notice_id: str | None, given: dict[str, str], days_1904: int, said: Said, wrong: _Wrong,
    measure_id: Callable[[str], str],
) -> None:
    if notice_id is None:
        wrong("notice_id", "反馈须逐条填写，不能对“全部”填写", "请在各通知所在的行填写反馈")
        return
    if "status" not in given:
        wrong("status", "填了反馈内容，但没有反馈状态", "请填：已登记、已采取措施、不适用 或 有异议")
        return
    status = _STATUSES.get("".join(given["status"].split()).lower())
    if status is None:
        wrong("status", "看不懂的反馈状态", "请填：已登记、已采取措施、不适用 或 有异议")
        return
    document: dict[str, Any] = {**given, "notice_id": notice_id, "status": status}
    if "measure" in given:
        document["measure"] = measure_id(given["measure"])
    if "acted_on" in given:
        day = parse_day(given["acted_on"], days_1904)
        if day is None:
            wrong("acted_on", "看不懂的日期", "请填写如 2026-03-04 的日期")
            return
        document["acted_on"] = day.isoformat()
    said.replies.append(Reply(place, document))


def parse_day(text: str, days_1904: int = 0) -> date | None:
    """A day as a clerk or a spreadsheet writes it: 2026-03-04, 2026/3/4, 2026年3月4日, 20260304, 46085."""
    found = _DAY.fullmatch(text) or _COMPACT_DAY.fullmatch(text)
    try:
        if found is not None:
            return date(int(found[1]), int(found[2]), int(found[3]))
        serial = _SERIAL_DAY.fullmatch(text)
        return _EPOCH + timedelta(days=int(serial[1]) + days_1904) if serial is not None else None
    except ValueError:
        return None


# -- documents ----------------------------------------------------------------------------------


def _parsed(text: bytes | str) -> Any:
    try:
        found = parse_strict(text.encode() if isinstance(text, str) else text.removeprefix(codecs.BOM_UTF8))
    except (ProblemError, UnicodeEncodeError) as error:  # the latter: half of a surrogate pair in a body
        raise UnreadableError("不是 UTF-8 编码的 JSON", "请核对文件内容") from error
    if faults := faults_of(found):
        place, said = faults[0]["pointer"] or "/", faults[0]["detail"]
        raise UnreadableError(f"JSON 内容不合规：{place}（{said}）", "请按 JSON 标准提供，名称不得重复，不含控制字符")
    return found


def _document(content: bytes) -> Said:
    document = _parsed(content)
    if not isinstance(document, dict):
        raise UnreadableError("JSON 文件须是一个对象", '如 {"received": "all", "answers": []}')
    said = Said([], [], [])
    for name in document.keys() - {"received", "refused", "answers"}:
        said.faults.append(Fault(Place(), str(name)[:50], "", "没有这个栏目", "栏目为 received、refused、answers"))
    received, refused, answers = (document.get(name) for name in ("received", "refused", "answers"))
    if received in ("all", ["all"]):
        said.acks.append(Ack(Place(), None, Verdict(True)))
    else:
        for number, each in enumerate(_list(received, "received", said), 1):
            if isinstance(each, str):
                said.acks.append(Ack(Place(number), each, Verdict(True)))
            else:
                said.faults.append(Fault(Place(number), "received", "", "通知编号须是文本", "请照抄通知编号"))
    if refused is not None and not isinstance(refused, dict):
        said.faults.append(Fault(Place(), "refused", "", "须是一个对象", '如 {"通知编号": "原因"}'))
        refused = None
    for number, (id, reason) in enumerate((refused or {}).items(), 1):
        if isinstance(reason, str) and 0 < len(reason.strip()) <= MAX_REFUSAL:
            said.acks.append(Ack(Place(number), None if id in _ALL else id, Verdict(False, reason.strip())))
        else:
            remedy = f"请填写 1 至 {MAX_REFUSAL} 字的原因"
            said.faults.append(Fault(Place(number), "refused", str(id)[:50], "拒收没有说明原因，或原因过长", remedy))
    for number, each in enumerate(_list(answers, "answers", said), 1):
        if isinstance(each, dict):
            said.replies.append(Reply(Place(number), each))
        else:
            said.faults.append(Fault(Place(number), "answers", "", "反馈须是一个对象", "请参照接口说明"))
    return said


def _list(value: Any, name: str, said: Said) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list) or len(value) > MAX_ENTRIES:
        said.faults.append(Fault(Place(), name, "", f"须是不超过 {MAX_ENTRIES} 项的列表", "请核对格式"))
        return []
    return value


def _signed_lines(content: bytes) -> Said:
    said = Said([], [], [])
    lines = content.splitlines()
    if len(lines) > MAX_ENTRIES:
        raise UnreadableError(f"超过 {MAX_ENTRIES} 行", "请分成几个文件")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            entry = _parsed(line)
            headers, body = entry["headers"], entry["body"]
            document = _parsed(body)
            if not (isinstance(document, dict) and all(isinstance(each, str) for each in headers.values())):
                raise TypeError("body and headers are objects")
            lower = {str(key).lower(): value for key, value in headers.items()}
        except (UnreadableError, KeyError, TypeError, AttributeError):
            remedy = '每行如 {"headers": {…}, "body": "…"}，body 为反馈的 JSON 原文'
            said.faults.append(Fault(Place(number), "", "", "看不懂的一行", remedy))
        else:
            said.replies.append(Reply(Place(number), document, lower, body.encode()))
    return said
