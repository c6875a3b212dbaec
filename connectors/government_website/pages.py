"""The pages: what stands on them, and how it is rendered. Everything is escaped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from connectors.government_website.entry import Entry, seen, to_mark
from hub.disclosure import ContractError, Field

TEMPLATES = Path(__file__).with_name("templates")
#: Sections of an enterprise's page, in their order.
SECTIONS: Mapping[str, str] = {
    "licensing/permit": "行政许可",
    "enforcement/penalty": "行政处罚",
    "enforcement/coercion": "行政强制",
    "inspection/result": "抽查检查结果",
    "blacklist/notice": "经营异常名录、严重违法失信名单",
    "support/grant": "小微企业扶持",
}
OTHER = "其他信息"
#: At the head of the page already, or saying nothing to a reader.
_HIDDEN = frozenset({"record_unique_identity", "region_code", "department_code", "party_kind", "party_name"})


class Line(NamedTuple):
    title: str
    text: str


def section_of(kind: str) -> str:
    return SECTIONS.get(kind, OTHER)


def describe(
    content: Mapping[str, Any], fields: Sequence[Field], codes: Callable[[str], Mapping[str, str]]
) -> list[Line]:
    """The filled fields of a record with their Chinese titles, codes as their texts."""
    lines = []
    for field in fields:
        value = content.get(field.name)
        if field.name not in _HIDDEN and value not in (None, "", [], ()):
            text = seen(_text(value, field, codes))
            lines.append(Line(field.title, f"{text} {field.unit}" if field.unit else text))
    return lines


def _text(value: Any, field: Field, codes: Callable[[str], Mapping[str, str]]) -> str:
    match value:
        case bool():
            return "是" if value else "否"
        case list() | tuple():
            return "、".join(_text(each, field, codes) for each in value)
        case dict():
            return "，".join(
                _text(value[item.name], item, codes) for item in field.items if value.get(item.name) not in (None, "")
            )
        case Decimal():
            text = format(value, "f")
            return text.rstrip("0").rstrip(".") if "." in text else text
        case date():
            return f"{value.year}年{value.month}月{value.day}日"
    if field.code_list is not None:
        try:
            return codes(field.code_list).get(str(value), str(value))
        except ContractError:
            return str(value)
    return str(value)


def local_time(moment: str) -> str:
    """An RFC 3339 time as people in Gansu read it."""
    found = datetime.fromisoformat(moment).astimezone(ZoneInfo("Asia/Shanghai"))
    return f"{found.year}年{found.month}月{found.day}日 {found:%H:%M}"


@cache
def _environment() -> Environment:
    # Escapes in every template, the feed too: the default looks at the ending of the name.
    made = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(local_time=local_time, section=section_of, mark=to_mark)
    return made


@cache
def template_digest() -> str:
    """Changes with any of the templates."""
    return sha256(b"".join(path.read_bytes() for path in sorted(TEMPLATES.iterdir()))).hexdigest()[:16]


def render(template: str, **given: Any) -> bytes:
    return _environment().get_template(template).render(given).encode()


def by_section(entries: Sequence[Entry]) -> list[tuple[str, list[Entry]]]:
    """Entries of an enterprise by section, those of ``SECTIONS`` first, the newest first."""
    order = [*dict.fromkeys(SECTIONS.values()), OTHER]
    newest = sorted(entries, key=lambda entry: (entry.updated_at, entry.correlation_id), reverse=True)
    found = [(title, [entry for entry in newest if section_of(entry.kind) == title]) for title in order]
    return [(title, members) for title, members in found if members]
