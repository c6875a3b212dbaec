"""Good rows that stand around a bad one, as files have them. Every row holds what may never be told again."""

from __future__ import annotations

from pathlib import Path

from tests.support_contracts import IDENTITY_NUMBER, PHONE
from tests.support_intake import INSPECTION, csv_bytes, inspection

#: In a free text, where a clerk's remark is taken as it stands.
PERSONAL = f"联系人身份证{IDENTITY_NUMBER}，电话{PHONE}。"


def row(number: int, **more: str) -> dict[str, str]:
    return inspection(number, **{"备注": PERSONAL, **more})


def three(**bad: str) -> list[dict[str, str]]:
    """A good row, a bad one, a good one: rows 2 to 4 of a file."""
    return [row(1), row(5, **bad), row(9)]


def text(rows: list[dict[str, str]] | None = None, **more: str) -> str:
    return csv_bytes(INSPECTION, three(**more) if rows is None else rows).decode()


def put(folder: Path, content: bytes | str, name: str = "a.csv") -> None:
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
