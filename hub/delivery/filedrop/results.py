"""What became of a department's file: a list that a clerk opens, or the same as JSON for a program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from hub.delivery.filedrop.replies import Fault
from hub.delivery.filedrop.sheets import Sheet, write_xlsx
from hub.domain.characters import shorten_personal
from hub.domain.plain import to_json

_HEADINGS = ("文件", "工作表", "行号", "栏目", "内容", "问题", "应为")
#: Enough to find a cell by; the whole text is in the file itself.
_MAX_VALUE = 100
#: Bytes of the file's own name that stand in that of its result.
_MAX_NAME = 180


@dataclass
class Result:
    """The counts of a file, and what was wrong in it. ``repeated`` had been said before and changes nothing."""

    file: str
    received: int = 0
    refused: int = 0
    answered: int = 0
    repeated: int = 0
    faults: list[Fault] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        if not self.faults:
            return "全部有效"
        good = self.received + self.refused + self.answered + self.repeated
        return "部分有效，问题清单中的各行未受理，其余已受理" if good else "未受理"


def write_result(result: Result) -> tuple[str, bytes]:
    """Name and content of the file for ``results``: JSON for who sent JSON, a workbook for everybody else."""
    name = shown(result.file, _MAX_NAME)
    if name.lower().endswith((".json", ".jsonl")):
        return f"{name}.result.json", to_json(_document(result))
    counts = (
        ("文件", shown(result.file)), ("结果", result.verdict), ("已收到", result.received), ("拒收", result.refused),
        ("反馈", result.answered), ("此前已处理，不再变动", result.repeated), ("问题", len(result.faults)),
    )
    faults = [
        (shown(result.file), each.place.sheet or "", each.place.row or "", each.column, _value(each),
         each.problem, each.remedy)
        for each in result.faults
    ]
    sheets = [Sheet("处理结果", "result", ("项目", "数值"), counts), Sheet("问题清单", "faults", _HEADINGS, faults)]
    return f"{name}.result.xlsx", write_xlsx(sheets)


def _document(result: Result) -> dict[str, object]:
    faults: Sequence[dict[str, object]] = [
        {
            "file": shown(result.file), "row": each.place.row, "field": each.column, "value": _value(each),
            "problem": each.problem, "remedy": each.remedy,
        }
        for each in result.faults
    ]
    return {
        "file": shown(result.file), "verdict": result.verdict, "received": result.received, "refused": result.refused,
        "answered": result.answered, "repeated": result.repeated, "faults": faults,
    }


def _value(fault: Fault) -> str:
    return shorten_personal(fault.value, _MAX_VALUE)


def shown(name: str, most: int = 255) -> str:
    """A file's name as text that can be written everywhere: it came from outside."""
    text = name.encode("utf-8", "replace").decode()
    text = "".join(c if c >= " " and c not in "/\\" else "?" for c in text)
    while len(text.encode()) > most:
        text = text[1:]  # the end tells more: it has the kind and the time
    return text
