"""The cells of a 双公示 row: columns, texts, lengths, as ``columns.yaml`` has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field

from hub.disclosure import Field as SchemaField

#: Of a field whose column is withheld from the public there is nothing to write.
_EMPTY = ""


class Column(BaseModel):
    """One column of a template; ``text`` names the table of texts that stand for codes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    length: int | None = None
    digits: int | None = None
    decimals: int | None = None
    required: bool = False
    forever: bool = False
    text: str | None = None


class Table(BaseModel):
    """One template. ``document`` is the column with the number of the decision, by which the public finds it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prefix: str
    title: str
    document: str
    columns: tuple[Column, ...]


class Templates(BaseModel):
    """``columns.yaml``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: str
    source: str
    forever: str = Field(pattern=r"^\d{4}/\d{2}/\d{2}$")
    envelope: tuple[str, ...]
    tables: dict[str, Table]
    texts: dict[str, dict[str, str]]


@cache
def load_templates() -> Templates:
    """The templates that come along."""
    path = Path(__file__).with_name("columns.yaml")
    return Templates.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))


@dataclass(frozen=True, slots=True)
class Cells:
    """A row's cells by column, or what is wrong with it: one sentence for each fault."""

    values: Mapping[str, str]
    faults: Sequence[str]


def cells_of(kind: str, content: Mapping[str, Any], fields: Sequence[SchemaField], templates: Templates) -> Cells:
    """The cells of a record of ``kind``; ``fields`` are those of its view, each with the column that it fills."""
    by_column = {field.standard: field for field in fields if field.standard}
    values: dict[str, str] = {}
    faults: list[str] = []
    for column in templates.tables[kind].columns:
        field = by_column.get(column.name)
        value = content.get(field.name) if field is not None else None
        title = f"{column.name}（{field.title}）" if field is not None else column.name
        text, fault = _EMPTY, None
        try:
            text = _text(value, column, templates)
        except ValueError as error:
            fault = str(error)
        if fault is None and column.required and not text:
            fault = "必填，不能为空"
        if column.length is not None and len(text) > column.length:
            fault = f"{len(text)} 个字符，最多 {column.length} 个"
        if fault is not None:
            faults.append(f"{title}：{fault}")
        values[column.name] = text
    return Cells(values, faults)


def _text(value: object, column: Column, templates: Templates) -> str:
    """Raises ValueError with what is wrong and what would be right."""
    match value:
        case None:
            return templates.forever if column.forever else _EMPTY
        case date():
            return min(f"{value:%Y/%m/%d}", templates.forever)
        case Decimal():
            return _amount(value, column)
        case list() | tuple():
            # Two codes may have one text: it stands once.
            return ";".join(dict.fromkeys(_text(each, column, templates) for each in value))
        case bool():
            return "1" if value else "0"
    # A cell is one line: a line break in it would be a new row to many a reader.
    text = " ".join(str(value).split())
    return _coded(text, templates.texts[column.text]) if column.text is not None else text


def _amount(value: Decimal, column: Column) -> str:
    decimals, digits = column.decimals or 0, column.digits or 18
    rounded = value.quantize(Decimal(1).scaleb(-decimals))
    if rounded != value:
        raise ValueError(f"{value} 的小数超过 {decimals} 位（单位：万元）")
    if value < 0 or abs(rounded) >= Decimal(10) ** (digits - decimals):
        raise ValueError(f"{value} 超出范围：0 至 {digits - decimals} 位整数（单位：万元）")
    text = format(rounded, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _coded(code: str, texts: Mapping[str, str]) -> str:
    if code not in texts:
        raise ValueError(f"代码 {code} 没有对应的文字；已知的有 {'、'.join(texts)}")
    return texts[code]
