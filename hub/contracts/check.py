"""Whether a value fits its schema, field by field, in words that a clerk can act upon.

Avro itself refuses only wrong types. Lengths and code lists stand in the schema as further
attributes, and are judged here, before a record is accepted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from hub.contracts.codes import CodeList
from hub.contracts.fields import Field
from hub.errors import ContractError


class FieldFault(NamedTuple):
    """One fault. ``problem`` and ``remedy`` are Chinese sentences; ``code`` is one of missing, empty,
    type, length, code, precision, unknown. ``value`` is what stood there, as text (may be personal data)."""

    field: str
    value: str
    problem: str
    remedy: str
    code: str


Check = Callable[[Mapping[str, Any]], list[FieldFault]]
_Judge = Callable[[str, Any, list[FieldFault]], None]

_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,), "boolean": (bool,), "int": (int,), "long": (int,), "bytes": (bytes,),
    "date": (date,), "decimal": (Decimal,), "timestamp": (datetime,),
}
_TYPE_WORDS = {
    "string": "文字", "boolean": "是或否", "int": "整数", "long": "整数", "bytes": "字节",
    "date": "日期", "decimal": "金额", "timestamp": "时间", "record": "一组内容",
}
_RANGES = {"int": 2**31, "long": 2**63}
#: decimal(18,6), unit 万元: the only amount type of the schemas.
_DECIMAL_LIMIT = Decimal(10) ** 12
_DECIMAL_STEP = Decimal("0.000001")
#: So many titles are listed as a remedy; a longer list is named only.
_LISTED_CODES = 8


def compile_check(fields: tuple[Field, ...], code_lists: Mapping[str, CodeList]) -> Check:
    """A function that lists the faults of one record. Raises ContractError on an unknown code list."""
    judges = tuple((field, field.name, not field.is_nullable, _judge(field, code_lists)) for field in fields)
    known = {field.name for field in fields}

    def check(value: Mapping[str, Any]) -> list[FieldFault]:
        faults: list[FieldFault] = []
        for field, name, is_required, judge in judges:
            content = value.get(name)
            if content is None:
                if is_required and not (field.has_default and name not in value):
                    faults.append(_missing(field, "missing"))
            elif content == "":
                if is_required:
                    faults.append(_missing(field, "empty"))
            else:
                judge(name, content, faults)
        if not value.keys() <= known:
            faults.extend(
                FieldFault(str(name), "", "数据合同中没有此字段", "请删除此字段或核对字段名称", "unknown")
                for name in value
                if name not in known
            )
        return faults

    return check


def _missing(field: Field, code: str, path: str | None = None) -> FieldFault:
    return FieldFault(
        path or field.name, "", f"{field.title}为必填项，但没有内容", f"请填写{field.title}", code
    )


def _judge(field: Field, code_lists: Mapping[str, CodeList]) -> _Judge:
    judge = _judge_record(field, code_lists) if field.type == "record" else _judge_scalar(field, code_lists)
    if not field.is_array:
        return judge

    def judge_array(path: str, value: Any, faults: list[FieldFault]) -> None:
        if not isinstance(value, list | tuple):
            faults.append(_wrong_type(field, path, value, "列表"))
            return
        if not value and not field.has_default:
            faults.append(_missing(field, "empty", path))
        for index, element in enumerate(value):
            judge(f"{path}[{index}]", element, faults)

    return judge_array


def _judge_record(field: Field, code_lists: Mapping[str, CodeList]) -> _Judge:
    check = compile_check(field.items, code_lists)

    def judge(path: str, value: Any, faults: list[FieldFault]) -> None:
        if isinstance(value, Mapping):
            faults.extend(fault._replace(field=f"{path}.{fault.field}") for fault in check(value))
        else:
            faults.append(_wrong_type(field, path, value, _TYPE_WORDS["record"]))

    return judge


def _judge_scalar(field: Field, code_lists: Mapping[str, CodeList]) -> _Judge:
    types = _PYTHON_TYPES[field.type]
    is_number = field.type in _RANGES
    limit = _RANGES.get(field.type, 0)
    max_length = field.max_length
    is_decimal = field.type == "decimal"
    codes = None
    if field.code_list is not None:
        if field.code_list not in code_lists:
            raise ContractError(f"field {field.name}: there is no code list {field.code_list}")
        codes = code_lists[field.code_list]

    def judge(path: str, value: Any, faults: list[FieldFault]) -> None:
        is_wrong = not isinstance(value, types) or (is_number and isinstance(value, bool))
        if is_wrong or (field.type == "date" and isinstance(value, datetime)):
            faults.append(_wrong_type(field, path, value, _TYPE_WORDS[field.type]))
        elif is_number:
            if not -limit <= value < limit:
                problem = f"{field.title}超出数值范围"
                faults.append(FieldFault(path, str(value), problem, "请核对数值", "precision"))
        elif is_decimal:
            if not _fits_decimal(value):
                problem = f"{field.title}超出金额范围（整数12位、小数6位，单位万元）"
                remedy = "请按万元填写，小数不超过6位"
                faults.append(FieldFault(path, str(value), problem, remedy, "precision"))
        elif codes is not None:
            if value not in codes.entries:
                faults.append(_wrong_code(field, path, value, codes))
        elif max_length is not None and len(value) > max_length:
            problem = f"{field.title}有{len(value)}个字符，超过上限{max_length}个"
            remedy = f"请缩短至{max_length}个字符以内"
            faults.append(FieldFault(path, value, problem, remedy, "length"))
        elif field.type == "timestamp" and value.tzinfo is None:
            problem = f"{field.title}没有时区"
            faults.append(FieldFault(path, str(value), problem, "请提供带时区的时间", "type"))

    return judge


def _fits_decimal(value: Decimal) -> bool:
    return value.is_finite() and abs(value) < _DECIMAL_LIMIT and value == value.quantize(_DECIMAL_STEP)


def _wrong_type(field: Field, path: str, value: Any, word: str) -> FieldFault:
    return FieldFault(path, str(value), f"{field.title}应为{word}", f"请将{field.title}改为{word}", "type")


def _wrong_code(field: Field, path: str, value: str, codes: CodeList) -> FieldFault:
    if len(codes.entries) <= _LISTED_CODES:
        allowed = "、".join(f"{code}（{entry.title}）" for code, entry in codes.entries.items())
        remedy = f"请改为以下之一：{allowed}"
    else:
        remedy = f"请按代码表“{codes.title}”（{codes.version}版）填写"
    return FieldFault(path, value, f"{field.title}不在代码表“{codes.title}”中", remedy, "code")
