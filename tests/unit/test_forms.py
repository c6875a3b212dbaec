"""Entry forms: each follows its schema, and what is filled in becomes the very event that a program would send."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from hub.cli.connect import app
from hub.contracts.cloudevents_http import Incoming
from hub.contracts.fields import Field
from hub.domain.plain import to_plain
from hub.domain.problem import ProblemError
from hub.errors import UsageError
from hub.intake.forms import GIVEN, Filled, Form, FormDesk, FormField, read_filled
from hub.wiring.http_intake import entry_form
from hub.wiring.sources_http import department_facts
from tests.support_contracts import catalog, sample
from tests.support_http_intake import MemoryDesk, hub_map, receiver, source

TYPES = sorted(department_facts(hub_map()))
TYPE = "inspection.result.recorded"
EVERYTHING = tuple({".".join([*name.split(".")[:2], "*"]) for name in TYPES})


def form_of(type_: str = TYPE) -> Form:
    return entry_form(type_, hub_map(), catalog())


def read(filled: Filled, type_: str = TYPE, **given: Any) -> Any:
    its = receiver(source(events=EVERYTHING, **given))
    return read_filled(form_of(type_), filled, its, frozenset(TYPES), catalog().codes)


def by_hand(value: Any, field: FormField) -> Any:
    """A value of JSON as a clerk fills it in: titles for codes, words for truth, all as text."""
    if value is None:
        return ""
    if field.kind == "rows":
        names = {inner.name: inner for inner in field.fields}
        return [{name: by_hand(each, names[name]) for name, each in row.items()} for row in value]
    if field.kind == "choices":
        return [field.codes[each] for each in value]
    if field.kind == "texts":
        return "\n".join(value)
    if field.kind == "choice":
        return field.codes[value]
    if field.kind == "yes-no":
        return "是" if value else "否"
    if field.kind == "moment":
        return value.replace("Z", "+00:00")
    return f" {value} " if field.kind != "long-text" else str(value)


def plain(type_: str, number: int = 1) -> dict[str, Any]:
    """A record of the type's schema as JSON has it, without what the hub knows of it."""
    made = to_plain({**sample(catalog().schema(form_of(type_).schema), number), "party_certificate_number": None})
    assert isinstance(made, dict)
    return {name: value for name, value in made.items() if name not in GIVEN}


def filled(number: str = "JC-1", /, **more: Any) -> Filled:
    names = {field.name: field for field in form_of().fields}
    return Filled(number, {name: by_hand(value, names[name]) for name, value in plain(TYPE).items()} | more)


def faults(given: Filled, **more: Any) -> dict[str, str]:
    with pytest.raises(ProblemError) as caught:
        read(given, **more)
    assert caught.value.status == 422
    return {fault["pointer"]: fault["detail"] for fault in caught.value.errors}


@pytest.mark.parametrize("type_", TYPES)
def test_a_form_asks_for_each_field_of_its_schema_once(type_: str) -> None:
    form = form_of(type_)
    schema = catalog().schema(form.schema)
    assert [*GIVEN, *(field.name for field in form.fields)] == sorted(
        (field.name for field in schema.fields), key=[*GIVEN, *(f.name for f in schema.fields)].index
    )
    check_fields(form.fields, [field for field in schema.fields if field.name not in GIVEN])
    json.dumps(form.as_dict(), ensure_ascii=False, allow_nan=False)


def check_fields(fields: tuple[FormField, ...], schema: list[Field]) -> None:
    for field, its in zip(fields, schema, strict=True):
        assert field.title == its.title and field.meaning == its.doc
        assert field.is_required == (not its.is_nullable and not its.has_default and its.name != "region_code")
        assert (field.kind in ("choice", "choices")) == bool(field.codes) == (its.code_list is not None)
        assert field.code_list is not None or field.max_length == its.max_length
        assert field.unit is None or field.unit in field.help
        assert field.is_personal == (its.privacy in ("personal", "sensitive"))
        if its.items:
            check_fields(field.fields, list(its.items))


@pytest.mark.parametrize("type_", TYPES)
def test_what_is_filled_in_is_the_event_that_a_program_sends(type_: str) -> None:
    form, value = form_of(type_), plain(type_)
    names = {field.name: field for field in form.fields}
    submission = read(Filled(" 案-1 ", {name: by_hand(each, names[name]) for name, each in value.items()}), type_)
    its = receiver(source(events=EVERYTHING))
    attributes = {"specversion": "1.0", "id": "案-1", "source": its.uri, "type": type_}
    sent = its.read(Incoming(attributes, value), frozenset(TYPES))
    assert submission.row == sent.row and submission.row.natural_key == "案-1"


def test_every_fault_is_told_at_once_where_it_stands() -> None:
    given = filled(
        "", check_date="昨天", result_codes=["未发现问题", "没有这种结果"], item_name="长" * 501, no_such_field="x",
        inspectors=[{"name": "才让卓玛"}, {"name": "", "certificate_number": "1"}], inspection_kind="",
        is_public="也许", party_uscc="91623000739699913B1",
    )  # fmt: skip
    assert set(faults(given)) == {"/number"}, "without a number nothing else can be said of the record"
    found = faults(given._replace(number="JC-1"))
    assert set(found) == {
        "/fields/check_date", "/fields/result_codes/1", "/fields/item_name", "/fields/no_such_field",
        "/fields/inspectors/1/name", "/fields/inspection_kind", "/fields/is_public", "/fields/party_uscc",
    }  # fmt: skip
    assert all(any("一" <= char <= "鿿" for char in detail) for detail in found.values())
    assert "日期" in found["/fields/check_date"] and "必填" in found["/fields/inspection_kind"]


@pytest.mark.parametrize(
    ("more", "pointer"),
    [
        ({"remark": "a\0b"}, "/fields/remark"),
        ({"remark": ["一", "二"]}, "/fields/remark"),
        ({"remark": {"a": 1}}, "/fields/remark"),
        ({"check_date": 20260301}, "/fields/check_date"),
        ({"inspectors": "才让卓玛"}, "/fields/inspectors"),
        ({"inspectors": [["才让卓玛"]]}, "/fields/inspectors"),
        ({"result_codes": 7}, "/fields/result_codes/0"),
        ({"department_name": "甘南州林草局"}, "/fields/department_name"),
        ({"plan_number": "\ud800"}, "/fields/plan_number"),
        ({"inspectors": [{"name": "甲"}] * 1001}, "/fields/inspectors"),
    ],
)
def test_what_no_form_sends_is_refused(more: dict[str, Any], pointer: str) -> None:
    assert pointer in faults(filled(**more))


def test_a_number_that_is_too_long_is_the_numbers_fault() -> None:
    assert set(faults(filled("长" * 201))) == {"/number"}


def test_rows_that_nobody_filled_in_are_none_and_a_gap_is_told() -> None:
    empty = {"name": "", "certificate_number": ""}
    submission = read(filled(inspectors=[{"name": "才让卓玛"}, empty, empty]))
    assert [each["name"] for each in submission.row.value["inspectors"]] == ["才让卓玛"]
    assert set(faults(filled(inspectors=[empty, {"name": "才让卓玛"}]))) == {"/fields/inspectors/0/name"}


def test_a_moment_is_of_gannan_and_its_region_the_departments_unless_said() -> None:
    type_ = "complaint.lead.received"
    moments = [field.name for field in form_of(type_).fields if field.kind == "moment"]
    value = plain(type_)
    names = {field.name: field for field in form_of(type_).fields}
    given = {name: by_hand(each, names[name]) for name, each in value.items()} | {"region_code": ""}
    submission = read(Filled("X-1", given | dict.fromkeys(moments, "2026-03-01T09:30")), type_)
    assert submission.row.value["region_code"] == "623000"
    assert all(str(submission.row.value[name]) == "2026-03-01 01:30:00+00:00" for name in moments)


def test_what_a_source_may_not_hand_in_it_may_not_fill_in() -> None:
    with pytest.raises(ProblemError) as caught:
        read_filled(form_of(), filled(), receiver(source()), frozenset(), catalog().codes)
    assert caught.value.status == 403


def desk_of(memory: MemoryDesk) -> FormDesk:
    return FormDesk(receiver(source()), memory, {TYPE: "inspection/result"}, catalog())


def test_the_desk_takes_a_form_once_and_answers_as_it_answers_programs() -> None:
    memory = MemoryDesk()
    desk = desk_of(memory)
    assert desk.types == [TYPE] and desk.form(TYPE) == form_of()
    first = desk.submit(TYPE, filled(party_uscc="91623000739699913B")).result(0)
    assert first.status == 202 and len(memory.taken) == 1
    told = json.loads(first.body)
    assert told["id"] == "JC-1" and told["status"] == "accepted" and told["type"] == TYPE
    assert [warning["pointer"] for warning in told["warnings"]] == ["/fields/party_uscc"]
    again = desk.submit(TYPE, filled(party_uscc="91623000739699913B")).result(0)
    assert again.status == 200 and json.loads(again.body)["status"] == "repeated"


def test_a_faulty_form_never_comes_to_the_desk() -> None:
    memory = MemoryDesk()
    with pytest.raises(ProblemError):
        desk_of(memory).submit(TYPE, filled(check_date="昨天"))
    with pytest.raises(UsageError, match=TYPE):
        desk_of(memory).submit("inspection.result.forgotten", filled())
    assert memory.taken == []


def test_hub_connect_form_prints_it() -> None:
    found = json.loads(CliRunner().invoke(app, ["form", TYPE, "--json"]).stdout)
    assert found == form_of().as_dict()
    assert found["fields"][0]["codes"][0] == {"code": "623000", "title": "甘南藏族自治州"}
    lines = CliRunner().invoke(app, ["form", TYPE]).stdout.splitlines()
    assert lines[0].startswith("抽查检查结果\t") and lines[1].startswith("number\t记录编号\ttext\t必填")
    assert any(line.startswith("inspectors.name\t姓名\ttext\t必填") for line in lines)
    unknown = CliRunner().invoke(app, ["form", "inspection.result.forgotten"])
    assert unknown.exit_code == 2 and TYPE in unknown.stderr
