"""What was filled in, read by its form: texts become what JSON of a program would say, and then go its way."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

from hub.contracts.cloudevents_http import Incoming
from hub.contracts.codes import CodeList
from hub.contracts.strict_json import faults_of
from hub.domain.problem import Fault, ProblemError, fault
from hub.intake.forms.description import Form, FormField
from hub.intake.submissions import Receiver, Submission

_BEIJING = timezone(timedelta(hours=8))
_TRUTH = {"是": True, "true": True, "1": True, "on": True, "否": False, "false": False, "0": False}
#: Between several texts that were typed into one field.
_SEPARATORS = str.maketrans(dict.fromkeys("、；;\r\n", "\n"))


class Filled(NamedTuple):
    """A form as it came: the record's number, and fields by name. A value is a text, a truth value, a number, a
    list of texts, or for ``rows`` a list of such fields by name; an empty text is nothing."""

    number: str
    fields: Mapping[str, Any]


def read_filled(
    form: Form, filled: Filled, receiver: Receiver, allowed: frozenset[str], codes: Mapping[str, CodeList]
) -> Submission:
    """The form as an event that may be handed in, under the very checks of ``POST /v1/events``.

    :raises ProblemError: 422 with every fault, ``pointer`` leading into the form (``/number``,
        ``/fields/party_name``, ``/fields/inspectors/0/name``); 403 where the source may not hand in such events.
    """
    faults = faults_of(dict(filled.fields), ("fields",)) + faults_of(filled.number, ("number",))
    number = filled.number.strip() if isinstance(filled.number, str) else ""
    if not number:
        faults.append(fault(("number",), f"{form.number.title}为必填项，但没有内容；{form.number.help}"))
    if faults:
        raise _invalid(faults)
    values = _values(form.fields, filled.fields, codes, ("fields",), faults)
    attributes = {
        "specversion": "1.0", "id": number[:200], "naturalkey": number, "source": receiver.uri, "type": form.type,
    }  # fmt: skip
    try:
        submission = receiver.read(Incoming(attributes, values), allowed)
    except ProblemError as problem:
        if problem.status != 422:
            raise
        # A value that could not be read is told once, by the one who could not read it.
        told = {each["pointer"] for each in faults}
        more = [{**each, "pointer": _in_form(each["pointer"])} for each in problem.errors]
        raise _invalid([*faults, *(each for each in more if each["pointer"] not in told)]) from None
    if faults:
        raise _invalid(faults)
    return submission._replace(
        warnings=tuple({**each, "pointer": _in_form(each["pointer"])} for each in submission.warnings)
    )


def _values(
    fields: tuple[FormField, ...], given: Mapping[str, Any], codes: Mapping[str, CodeList],
    at: tuple[str | int, ...], faults: list[Fault],
) -> dict[str, Any]:  # fmt: skip
    by_name = {field.name: field for field in fields}
    found: dict[str, Any] = {}
    for name, value in given.items():
        if value is None or value == "" or value == []:
            continue
        field = by_name.get(name)
        if field is None:
            faults.append(fault((*at, name[:100]), "表单中没有此字段；请删除此字段或核对字段名称"))
            continue
        found[name] = _value(field, value, codes, (*at, name), faults)
    return found


def _value(
    field: FormField, value: Any, codes: Mapping[str, CodeList], at: tuple[str | int, ...], faults: list[Fault]
) -> Any:
    if field.kind == "rows":
        return _rows(field, value, codes, at, faults)
    if field.kind in ("choices", "texts"):
        items = value.translate(_SEPARATORS).split("\n") if isinstance(value, str) else value
        items = items if isinstance(items, list) else [items]
        texts = [item.strip() if isinstance(item, str) else item for item in items]
        return [_one(field, item, codes) for item in texts if item not in ("", None)]
    return _one(field, value, codes)


def _rows(
    field: FormField, value: Any, codes: Mapping[str, CodeList], at: tuple[str | int, ...], faults: list[Fault]
) -> Any:
    if not isinstance(value, list) or not all(isinstance(row, Mapping) for row in value):
        faults.append(fault(at, f"{field.title}应为多行内容；每行填写其各项"))
        return []
    rows = [_values(field.fields, row, codes, (*at, number), faults) for number, row in enumerate(value)]
    # Rows that nobody filled in are the form's own; the places of the others stay as they were.
    while rows and not rows[-1]:
        rows.pop()
    return rows


def _one(field: FormField, value: Any, codes: Mapping[str, CodeList]) -> Any:
    """What cannot be read stays as it is: the schema's check then says what it should have been."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if field.code_list is not None:
        return codes[field.code_list.partition(" ")[0]].resolve(text) or text
    if field.kind == "yes-no":
        return _TRUTH.get(text.lower(), text)
    if field.kind == "whole-number":
        is_whole = len(text) <= 19 and text.removeprefix("-").isascii() and text.removeprefix("-").isdecimal()
        return int(text) if is_whole else text
    if field.kind == "moment":
        with suppress(ValueError):
            moment = datetime.fromisoformat(text)
            return (moment if moment.tzinfo else moment.replace(tzinfo=_BEIJING)).isoformat(timespec="milliseconds")
    return value if field.kind == "long-text" else text


def _in_form(pointer: str) -> str:
    """``/data/party_name`` is ``/fields/party_name``; the natural key and the id are the number."""
    if pointer in ("/naturalkey", "/id", "/data/record_unique_identity"):
        return "/number"
    return f"/fields{pointer.removeprefix('/data')}" if pointer.startswith("/data") else pointer


def _invalid(faults: list[Fault]) -> ProblemError:
    return ProblemError(422, "invalid", "内容未通过校验", "the form has faults", faults[:100])
