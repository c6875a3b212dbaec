"""How the public pages write a record: Chinese titles and texts instead of names and codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from hub.contracts.catalog import Catalog
from hub.contracts.fields import Field
from hub.errors import ContractError

#: Sections of an enterprise's page, in their order.
SECTIONS: Mapping[str, str] = {
    "licensing/permit": "行政许可信息",
    "enforcement/penalty": "行政处罚信息",
    "enforcement/coercion": "行政强制信息",
    "inspection/result": "抽查检查结果信息",
    "blacklist/notice": "列入经营异常名录、严重违法失信名单信息",
    "support/grant": "小微企业扶持信息",
}
#: Stand at the head of the page or say nothing to a reader.
_HIDDEN = frozenset({
    "record_unique_identity", "region_code", "department_code", "department_name", "party_kind",
    "party_name", "party_uscc", "party_registration_number", "listing_reason_code",
})


class Line(NamedTuple):
    title: str
    text: str


def section_title(kind: str) -> str:
    return SECTIONS.get(kind, "其他信息")


def describe(kind: str, content: Mapping[str, Any], catalog: Catalog | None) -> list[Line]:
    """The filled fields of a record in the order in which they came, without those of the page's head.

    Without a catalog, or for a field that it does not know, the field's own name is the title.
    """
    fields = _fields(kind, catalog)
    lines = []
    for name, value in content.items():
        if name in _HIDDEN or value is None or value == "" or value == []:
            continue
        field = fields.get(name)
        lines.append(Line(field.title if field else name, _text(value, field, catalog)))
    return lines


def _fields(kind: str, catalog: Catalog | None) -> Mapping[str, Field]:
    if catalog is None:
        return {}
    try:
        return {field.name: field for field in catalog.schema(kind).fields}
    except ContractError:
        return {}


def _text(value: Any, field: Field | None, catalog: Catalog | None) -> str:
    match value:
        case bool():
            return "是" if value else "否"
        case list():
            return "、".join(_text(item, field, catalog) for item in value)
        case dict():
            return _person({name: item for name, item in value.items() if item}, field)
    text = str(value)
    if field is not None and field.code_list and catalog is not None and field.code_list in catalog.codes:
        text = catalog.codes[field.code_list].title_of(text)
    if field is not None and field.type == "decimal" and "." in text:
        text = text.rstrip("0").rstrip(".")  # 2.500000 万元 is how it is kept, not how it is said
    return f"{text} {field.unit}" if field is not None and field.unit else text


def _person(values: Mapping[str, Any], field: Field | None) -> str:
    if list(values) == ["name"]:
        return str(values["name"])
    titles = {item.name: item.title for item in (field.items if field else ())}
    return "，".join(f"{titles.get(name, name)}：{value}" for name, value in values.items())


def kinds_in_order(found: Sequence[str]) -> list[str]:
    """Kinds as the pages show them: those of SECTIONS first, the rest by name."""
    order = list(SECTIONS)
    return sorted(set(found), key=lambda kind: (order.index(kind) if kind in order else len(order), kind))
