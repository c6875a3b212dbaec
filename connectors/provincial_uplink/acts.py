"""Rows of the national standard: columns, required ones, formats, as ``acts.yaml`` has them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict

from hub.disclosure import Field, to_plain


class Column(BaseModel):
    """One column. ``right`` says in words what ``pattern`` wants; ``at_least`` is of a list."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    field: str | None = None
    derive: Literal["certificate-kind", "certificate-number"] | None = None
    codes: str | None = None
    length: int | None = None
    required: bool = False
    pattern: str | None = None
    right: str = ""
    at_least: int = 0

    def needs(self) -> frozenset[str]:
        """The hub's fields of which at least one must be in the view."""
        return frozenset({self.field} if self.field else {"party_uscc", "party_certificate_number"})


class Act(BaseModel):
    """One kind of act and the table of the exchange that takes it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    table: str
    title: str
    columns: tuple[Column, ...]


class Standard(BaseModel):
    """``acts.yaml``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: str
    source: str
    acts: dict[str, Act]
    codes: dict[str, dict[str, str]]
    uscc_certificate: str


@cache
def load_standard() -> Standard:
    """The standard that comes along."""
    path = Path(__file__).with_name("acts.yaml")
    return Standard.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))


@dataclass(frozen=True, slots=True)
class Row:
    """The columns of an act, or what is wrong with it: one sentence for each fault."""

    values: Mapping[str, Any]
    faults: Sequence[str]


def withheld(act: Act, fields: Collection[str]) -> list[str]:
    """Required columns that the channel's view does not hold: a fault of the map, not of any record."""
    return [column.name for column in act.columns if column.required and not column.needs() & set(fields)]


def row_of(kind: str, content: Mapping[str, Any], fields: Sequence[Field], standard: Standard) -> Row:
    """The row of a record of ``kind``; ``fields`` are those of its view. A column of which the view holds nothing is
    left out and not judged."""
    titles = {field.name: field.title for field in fields}
    values: dict[str, Any] = {}
    faults: list[str] = []
    for column in standard.acts[kind].columns:
        if not column.needs() & titles.keys():
            continue
        value = _value(column, content, standard)
        title = titles.get(column.field or "party_uscc", column.name)
        fault = _fault(column, value)
        if fault is not None:
            faults.append(f"{column.name}（{title}）：{fault}")
        if value not in (None, "", []):
            values[column.name] = value
    return Row(values, faults)


def _value(column: Column, content: Mapping[str, Any], standard: Standard) -> Any:
    if column.derive is not None:
        is_enterprise = bool(content.get("party_uscc"))
        if column.derive == "certificate-number":
            return content.get("party_uscc") or content.get("party_certificate_number")
        if is_enterprise:
            return standard.uscc_certificate
        return standard.codes["certificate"].get(str(content.get("party_certificate_kind")))
    value = to_plain(content.get(column.field or ""))
    if column.codes is not None and value is not None:
        return standard.codes[column.codes].get(str(value))
    return value


def _fault(column: Column, value: Any) -> str | None:
    is_empty = value is None or value == [] or (isinstance(value, str) and not value.strip())
    if is_empty:
        return "必填，不能为空" if column.required else None
    if column.at_least and isinstance(value, list) and len(value) < column.at_least:
        return f"有 {len(value)} 项，至少 {column.at_least} 项"
    if column.length is not None and len(str(value)) > column.length:
        return f"{len(str(value))} 个字符，最多 {column.length} 个"
    if column.pattern is not None and not re.match(column.pattern, str(value)):
        return f"格式不对，应为{column.right}"
    return None
