"""A notice as a row that a clerk reads: Chinese headings out of the schema, codes in words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from hub.contracts.catalog import Catalog
from hub.contracts.codec import Schema
from hub.contracts.fields import Field

_SHANGHAI = ZoneInfo("Asia/Shanghai")
NOTICE_ID = "通知编号"
#: Last word of an event type -> what it means to a clerk.
_ACTIONS = {
    "recorded": "新增", "amended": "更正", "withdrawn": "撤销", "listed": "列入", "removed": "移出", "received": "收到",
    "accepted": "受理", "applied": "申请", "decided": "决定", "expired": "期满",
}
#: In front of the record's own columns.
LEADING = (NOTICE_ID, "事项", "主体标识", "期望措施", "法律依据", "发出时间")


class Row(NamedTuple):
    """One notice: the sheet that it belongs on, its headings and its cells."""

    sheet: str
    slug: str
    headings: tuple[str, ...]
    cells: tuple[str, ...]


class Columns:
    """Makes rows of bodies. ``measures`` are the titles of measures by id. Safe to share between threads."""

    def __init__(self, catalog: Catalog, measures: Mapping[str, str]) -> None:
        self._codes, self._measures = catalog.codes, measures
        # A body names its event and view, not its schema: that is the one whose view has these fields.
        self._by_shape: dict[tuple[str, tuple[str, ...]], list[Schema]] = {}
        for schema in sorted(catalog.schemas, key=lambda each: -each.version):
            shape = (schema.view, tuple(field.name for field in schema.fields))
            self._by_shape.setdefault(shape, []).append(schema)

    def row(self, body: bytes) -> Row:
        """The row of a notice; a record of unknown shape stands there under the names of its fields."""
        data: dict[str, Any] = json.loads(body)["data"]
        record: dict[str, Any] = data["record"]
        schema = self._schema(data["event_type"], data["view"], tuple(record))
        fields = {field.name: field for field in schema.fields} if schema else {}
        leading = (
            data["notice_id"], self._event(data["event_type"]), data["subject"],
            "；".join(self.measure(each) for each in data["expected_measures"]), data["legal_basis"],
            _moment(data["issued_at"]),
        )
        return Row(
            str(schema.definition.get("title", schema.name)) if schema else "通知",
            schema.name.replace("/", "-") if schema else "notice",
            (*LEADING, *(_heading(fields.get(name), name) for name in record)),
            (*leading, *(self._cell(fields.get(name), value) for name, value in record.items())),
        )

    def measure(self, id: str) -> str:
        """The title of a measure, or its id where it has none."""
        return self._measures.get(id, id)

    def measure_id(self, text: str) -> str:
        """The id that a clerk means by an id or a title; a text that is neither stays as it is."""
        wanted = "".join(text.split())
        return next((id for id, title in self._measures.items() if title == wanted), wanted)

    def _schema(self, event_type: str, view: str, shape: tuple[str, ...]) -> Schema | None:
        found = self._by_shape.get((view, shape), [])
        named = "/".join(event_type.split(".")[:2])
        return next((schema for schema in found if schema.name == named), found[0] if found else None)

    def _event(self, event_type: str) -> str:
        return _ACTIONS.get(event_type.rpartition(".")[2], event_type)

    def _cell(self, field: Field | None, value: Any) -> str:
        if value is None:
            return ""
        if isinstance(value, list):
            return "；".join(self._cell(field, each) for each in value)
        if isinstance(value, dict):
            return "，".join(self._named(field, value))
        if isinstance(value, bool):
            return "是" if value else "否"
        if field is not None and field.type == "timestamp":
            return _moment(str(value))
        if field is not None and field.code_list is not None and field.code_list in self._codes:
            entry = self._codes[field.code_list].entries.get(str(value))
            return entry.title if entry else str(value)
        return str(value)

    def _named(self, field: Field | None, value: Mapping[str, Any]) -> Iterator[str]:
        inner = {each.name: each for each in field.items} if field is not None else {}
        for name, each in value.items():
            if each is not None:
                yield f"{_heading(inner.get(name), name)}：{self._cell(inner.get(name), each)}"


def _heading(field: Field | None, name: str) -> str:
    if field is None:
        return name
    return f"{field.title}（{field.unit}）" if field.unit else field.title


def _moment(text: str) -> str:
    """An RFC 3339 moment as the clock in Gannan shows it."""
    try:
        return datetime.fromisoformat(text).astimezone(_SHANGHAI).strftime("%Y-%m-%d %H:%M:%S")
    except ValueError:
        return text


def party_of(body: bytes) -> str:
    """Whom a notice is about, by name where the view has one."""
    data = json.loads(body)["data"]
    return str(data["record"].get("party_name") or data["subject"])


def together(rows: Sequence[Row]) -> list[list[Row]]:
    """The rows by sheet, in the order in which the sheets came first."""
    found: dict[tuple[str, tuple[str, ...]], list[Row]] = {}
    for row in rows:
        found.setdefault((row.slug, row.headings), []).append(row)
    return list(found.values())
