"""A task of the feed as one row: fixed columns, whatever kind of lead it is."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from xml.etree.ElementTree import Element

from connectors.lead_feed.wire import SUBJECTS
from hub.intake import judge

#: What the mapping may name. Behind ``kind`` all are of the block that the task is about, its prefix taken off.
COLUMNS = (
    "taskNo", "taskName", "status", "distributeTime", "initiateUnitName", "initiateUnitCode", "unionDeptName",
    "unionDeptCode", "unionRegionName", "unionRegionCode", "supervisionMatterCode", "requirement",
    "kind", "object", "objectCertCode", "objectIdCard", "partyKind", "category", "detail", "complainantName",
    "complainantPhone", "isAnonymous", "level",
    "claimTime", "endTime", "endReason", "feedbackTime", "feedbackSuggestion", "outcome",
)  # fmt: skip
AT = {name: number for number, name in enumerate(COLUMNS)}
#: What the handling changes; the rest is what the platform sent.
_PROCESS = frozenset({"status", "claimTime", "endTime", "endReason", "feedbackTime", "feedbackSuggestion", "outcome"})
_NATURAL_PERSON = "01"

Fault = tuple[str, str, str, str]


def read_task(task: Element) -> tuple[list[str | None], Fault | None]:
    """The columns of a task, and what is wrong with its form: column, code, problem, remedy."""
    blocks: dict[str, dict[str, str]] = {}
    fault: Fault | None = None
    for block in task:
        if block.tag in blocks:
            fault = fault or (block.tag, "repeated-element", f"{block.tag} 出现两次", "每个任务只应有一个")
            continue
        found = blocks[block.tag] = {}
        for element in block:
            text = " ".join(part.strip() for part in element.itertext() if part.strip())
            text = element.text.strip() if not len(element) and element.text else text
            if found.setdefault(element.tag, text) != text:
                fault = fault or (
                    element.tag, "repeated-element", f"{element.tag} 出现两次且内容不同", "每个任务只应有一个"
                )  # fmt: skip
    kinds = [name for name in SUBJECTS if name in blocks]
    if len(kinds) != 1:
        said = "、".join(kinds) or "没有任何一个"
        remedy = f"应为其中之一：{'、'.join(SUBJECTS)}"
        fault = fault or ("kind", "lead-kind", f"线索内容应只有一种，实际为：{said}", remedy)
    info, process = blocks.get("taskInfo", {}), blocks.get("processInfo", {})
    values: dict[str, str | None] = {**info, **process}
    for end in ("Name", "Code"):
        # The sample names units and regions with and without an ending.
        for name in ("initiateUnit", "unionDept", "unionRegion"):
            values.setdefault(name + end, info.get(name) if end == "Name" else None)
    values["requirement"] = _joined(info.get("inspectContent"), info.get("inspectClaim"))
    values["unionRegionCode"] = region_of(info.get("unionRegionCode"), info.get("unionRegionName"))
    values["outcome"] = process.get("feedbackSuggestion") or process.get("endReason")
    if len(kinds) == 1:
        values |= _subject(kinds[0], blocks[kinds[0]])
    return [values.get(name) or None for name in COLUMNS], fault


def region_of(code: str | None, name: str | None) -> str | None:
    """The region as the code list has it: 12 digits of a town or village are those of its county."""
    code = (code or "").strip()
    if len(code) in (9, 12) and code.isdigit():
        return code[:6]
    return code or name


def content_digest(values: Sequence[str | None]) -> str:
    """16 hex that stand for what the platform sent, without how far its handling has come."""
    content = [value or "" for name, value in zip(COLUMNS, values, strict=True) if name not in _PROCESS]
    return hashlib.blake2b("\x1f".join(content).encode("utf-8", "replace"), digest_size=8).hexdigest()


def _subject(kind: str, block: dict[str, str]) -> dict[str, str | None]:
    """What the task is about: a complaint, a report (the same shape), or a warning of a risk."""
    word, prefix = SUBJECTS[kind]

    def of(name: str) -> str | None:
        return block.get(prefix + name) or block.get(name[:1].lower() + name[1:]) or None

    code = of("ObjectCertCode")
    found: dict[str, str | None] = {"kind": word, "object": of("Object"), "objectCertCode": code}
    if code is not None and judge(code).kind == "id-card":
        found |= {"objectCertCode": None, "objectIdCard": code, "partyKind": _NATURAL_PERSON}
    if kind == "riskWarning":
        return {
            **found, "category": block.get("domain"), "detail": _joined(block.get("title"), block.get("props")),
            "level": block.get("level"), "isAnonymous": "否",
        }  # fmt: skip
    name = block.get("complainantName")
    return {
        **found, "category": of("Type"), "detail": of("Detail"), "complainantName": name,
        "complainantPhone": block.get("complainantPhone"), "isAnonymous": "否" if name else "是",
    }  # fmt: skip


def _joined(*parts: str | None) -> str | None:
    return "；".join(part for part in parts if part) or None
