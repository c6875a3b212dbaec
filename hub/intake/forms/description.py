"""The description of an entry form, derived from a schema: a form can ask for nothing that the schema lacks, and
leave out nothing that it demands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from hub.contracts.codec import Schema
from hub.contracts.codes import CodeList
from hub.contracts.fields import Field
from hub.domain.publicity import NONPUBLIC_REASON

#: What the hub knows of every record that a source hands in: nobody is asked for it.
GIVEN = ("record_unique_identity", "department_code", "department_name")
#: The source's own unless a form says otherwise: a department may answer for records of its districts.
_OWN_UNLESS_SAID = "region_code"
#: Longer texts want more than a line.
_LINE = 200

Kind = Literal[
    "text", "long-text", "choice", "choices", "yes-no", "date", "moment", "amount", "whole-number", "texts", "rows"
]
_KINDS: Mapping[str, Kind] = {
    "boolean": "yes-no", "date": "date", "timestamp": "moment", "decimal": "amount", "int": "whole-number",
    "long": "whole-number",
}  # fmt: skip
_HINTS: Mapping[str, str] = {
    "date": "如 2026-03-01",
    "moment": "如 2026-03-01 09:30，按北京时间",
    "amount": "整数最多 12 位，小数最多 6 位",
    "whole-number": "整数",
    "choices": "可选多项",
    "texts": "可填多项",
    "rows": "可填多行",
}


class FormField(NamedTuple):
    """One field. ``title`` is Chinese. ``kind`` is ``choice`` or ``choices`` where ``codes`` (code -> title) are
    allowed, ``rows`` where ``fields`` repeat. ``help`` is a Chinese hint, ``meaning`` the schema's English sentence.
    ``is_personal`` says that it may not be shown to everybody. ``default`` is in JSON's words."""

    name: str
    title: str
    kind: Kind
    is_required: bool
    help: str
    meaning: str
    max_length: int | None = None
    unit: str | None = None
    codes: Mapping[str, str] = {}
    code_list: str | None = None
    default: Any = None
    is_personal: bool = False
    fields: tuple[FormField, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For a program; what says nothing is left out."""
        found: dict[str, Any] = {
            "name": self.name, "title": self.title, "type": self.kind, "required": self.is_required,
            "help": self.help, "meaning": self.meaning,
        }  # fmt: skip
        if self.max_length is not None:
            found["max_length"] = self.max_length
        if self.unit is not None:
            found["unit"] = self.unit
        if self.code_list is not None:
            found["code_list"] = self.code_list
            found["codes"] = [{"code": code, "title": title} for code, title in self.codes.items()]
        if self.default is not None:
            found["default"] = self.default
        if self.is_personal:
            found["personal"] = True
        if self.fields:
            found["fields"] = [field.as_dict() for field in self.fields]
        return found


class Form(NamedTuple):
    """The form of one event type. ``number`` is how the clerk's own department knows the record: another form
    with the same number is another version of it."""

    type: str
    schema: str
    version: int
    title: str
    number: FormField
    fields: tuple[FormField, ...]

    def as_dict(self) -> dict[str, Any]:
        """For a program."""
        return {
            "type": self.type, "schema": self.schema, "version": self.version, "title": self.title,
            "given": list(GIVEN), "number": self.number.as_dict(), "fields": [field.as_dict() for field in self.fields],
        }  # fmt: skip


def describe_form(type_: str, schema: Schema, codes: Mapping[str, CodeList], most_number: int = 200) -> Form:
    """The form for events of a type. ``most_number`` bounds the record's number, in characters."""
    number = FormField(
        "number", "记录编号", "text", True, f"本部门内唯一，如文号；更正时填同一编号。不超过 {most_number} 个字符",
        "By what the department knows the record; another version of it has the same.", most_number,
    )  # fmt: skip
    fields = tuple(_field(field, codes) for field in schema.fields if field.name not in GIVEN)
    return Form(type_, schema.name, schema.version, str(schema.definition["title"]), number, fields)


def _field(field: Field, codes: Mapping[str, CodeList]) -> FormField:
    kind = _kind(field)
    known = codes[field.code_list] if field.code_list is not None else None
    is_own = field.name == _OWN_UNLESS_SAID
    max_length = field.max_length if known is None else None
    return FormField(
        name=field.name, title=field.title, kind=kind,
        is_required=not (field.is_nullable or field.has_default or is_own),
        help=_help(field, kind, known, max_length, is_own), meaning=field.doc, max_length=max_length, unit=field.unit,
        codes={code: entry.title for code, entry in known.entries.items()} if known else {},
        code_list=f"{known.name} {known.version}" if known else None,
        default=field.default if field.has_default and not field.is_array else None,
        is_personal=field.privacy in ("personal", "sensitive"),
        fields=tuple(_field(item, codes) for item in field.items),
    )  # fmt: skip


def _kind(field: Field) -> Kind:
    if field.type == "record":
        return "rows"
    if field.code_list is not None:
        return "choices" if field.is_array else "choice"
    if field.is_array:
        return "texts"
    if field.type in _KINDS:
        return _KINDS[field.type]
    return "long-text" if (field.max_length or 0) > _LINE else "text"


def _help(field: Field, kind: Kind, known: CodeList | None, max_length: int | None, is_own: bool) -> str:
    hints = []
    if kind in _HINTS:
        hints.append(_HINTS[kind])
    if field.unit is not None:
        hints.append(f"单位：{field.unit}")
    if known is not None:
        hints.append(f"代码表“{known.title}”（{known.version}版）")
    if max_length is not None:
        hints.append(f"{'每项' if field.is_array else ''}不超过 {max_length} 个字符")
    if is_own:
        hints.append("不填则为本部门所在地区")
    if field.name == NONPUBLIC_REASON:
        hints.append("不予公开时必填")
    if field.privacy == "sensitive":
        hints.append("敏感个人信息，不对外公开")
    return "；".join(hints)
