"""Schemas read and write records, and say which field does not fit."""

from __future__ import annotations

import struct
from datetime import date, datetime
from decimal import Decimal
from io import BytesIO
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.contracts.codec import Schema
from hub.errors import ContractError, PoisonError
from tests.support_contracts import catalog, records, sample

SCHEMAS = catalog().schemas
by_schema = pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.label)


@by_schema
def test_a_sample_fits_and_comes_back_the_same(schema: Schema) -> None:
    value = sample(schema)
    assert schema.check(value) == []
    data = schema.encode(value)
    assert data[0] == 0 and struct.unpack(">I", data[1:5]) == (schema.id,)
    assert schema.decode(data) == value
    assert catalog().decode(data) == (schema, value)
    assert catalog().identify(data) is schema


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whatever_check_accepts_can_be_written_and_read(data: st.DataObject) -> None:
    schema = data.draw(st.sampled_from(SCHEMAS))
    value = data.draw(records(schema))
    assert schema.check(value) == []
    assert schema.decode(schema.encode(value)) == value


@by_schema
def test_a_prefix_reads_the_fields_it_is_asked_for_and_nothing_behind_them(schema: Schema) -> None:
    value = sample(schema)
    data = schema.encode(value)
    names = [field.name for field in schema.fields]
    for count in (1, len(names) // 2, len(names)):
        wanted = {names[count - 1], names[0]}
        assert schema.prefix(wanted)(data) == {name: value[name] for name in wanted}
    short = schema.prefix(names[:1])
    cut = 5 + len(_body(schema, value, 1))
    assert short(data[:cut]) == {names[0]: value[names[0]]}
    with pytest.raises(PoisonError):
        schema.prefix(names)(data[:-1])
    with pytest.raises(ContractError, match="no field nonsense"):
        schema.prefix(["nonsense"])


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_fields_that_a_prefix_reads_are_those_of_the_whole_record(data: st.DataObject) -> None:
    schema = data.draw(st.sampled_from(SCHEMAS))
    value = data.draw(records(schema))
    wanted = data.draw(st.sets(st.sampled_from([field.name for field in schema.fields])))
    written = schema.encode(value)
    whole = schema.decode(written)
    found = schema.prefix(wanted)(written)
    assert found == {name: whole[name] for name in wanted}
    assert {name: type(each) for name, each in found.items()} == {name: type(whole[name]) for name in wanted}


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_a_prefix_of_broken_bytes_says_so_or_reads_what_is_whole(data: st.DataObject) -> None:
    """Whatever stands there, it ends, and with no other error than the one that names the record."""
    schema = data.draw(st.sampled_from(SCHEMAS))
    written = bytearray(schema.encode(sample(schema)))
    for _ in range(data.draw(st.integers(1, 4))):
        written[data.draw(st.integers(5, len(written) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(5, len(written)))
    names = [field.name for field in schema.fields]
    try:
        found = schema.prefix(names[: data.draw(st.integers(1, len(names)))])(bytes(written[:cut]))
    except PoisonError:
        return
    assert found


def _body(schema: Schema, value: dict[str, Any], count: int) -> bytes:
    buffer = BytesIO()
    leading = {**schema.definition, "fields": schema.definition["fields"][:count]}
    fastavro.schemaless_writer(buffer, fastavro.parse_schema(leading), value)
    return buffer.getvalue()


def test_nested_types_are_defined_within_a_prefix() -> None:
    schema = catalog().schema("blacklist/notice")
    value = sample(schema)
    read = schema.prefix(["related_persons"])
    assert read(schema.encode(value))["related_persons"] == value["related_persons"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"decided_date": "2026-03-02"}, "decided_date"),
        ({"fine_amount": 1.5}, "fine_amount"),
        ({"fine_amount": Decimal("0.0000001")}, "fine_amount"),
        ({"fine_amount": Decimal("NaN")}, "fine_amount"),
        ({"party_name": None}, "party_name"),
        ({"penalty_kinds": "2"}, "penalty_kinds"),
        ({"penalty_kinds": [2]}, r"penalty_kinds\[0\]"),
        ({"is_public": "否"}, "is_public"),
        ({"is_public": None}, "is_public"),
        ({"is_litigated": 1}, "is_litigated"),
        ({"fine": Decimal(1)}, "fine"),
    ],
)
def test_encode_names_the_field_and_never_its_content(change: dict[str, Any], field: str) -> None:
    schema = catalog().schema("enforcement/penalty")
    with pytest.raises(ContractError, match=rf"enforcement/penalty v1: .*field {field}$") as raised:
        schema.encode({**sample(schema), **change})
    assert "2026-03-02" not in str(raised.value)


def test_encode_names_a_field_that_is_absent_and_one_within_a_list() -> None:
    schema = catalog().schema("inspection/result")
    value = sample(schema)
    del value["item_name"]
    with pytest.raises(ContractError, match="field item_name"):
        schema.encode(value)
    value = sample(schema)
    value["inspectors"][1]["name"] = 5
    with pytest.raises(ContractError, match=r"field inspectors\[1\]\.name"):
        schema.encode(value)


def test_absent_optional_fields_take_their_default() -> None:
    schema = catalog().schema("complaint/lead")
    value = sample(schema)
    for field in schema.fields:
        if field.has_default:
            del value[field.name]
    assert schema.check(value) == []
    read = schema.decode(schema.encode(value))
    assert read["is_public"] is True and read["complainant_phone"] is None


def test_bytes_that_are_no_record_are_refused() -> None:
    schema = catalog().schema("hub/clock-alert")
    data = schema.encode(sample(schema))
    other = catalog().schema("hub/clock-signal")
    for broken in (b"", b"\x00\x00", b"hello", data[:-1], data + b"\x00", data[:5] + b"\xff" * 12):
        with pytest.raises(PoisonError):
            catalog().decode(broken)
    with pytest.raises(ContractError, match="id 65535"):
        catalog().decode(b"\x00\x00\x00\xff\xff" + data[5:])
    with pytest.raises(ContractError, match="not written with hub/clock-signal"):
        other.decode(data)
    with pytest.raises(ContractError):
        other.prefix(["rule"])(data)


def test_single_object_encoding_is_read_too() -> None:
    schema = catalog().schema("inspection/result")
    value = sample(schema)
    body = schema.encode(value)[5:]
    mark = bytes.fromhex(schema.fingerprint)[::-1]
    assert catalog().decode(b"\xc3\x01" + mark + body) == (schema, value)
    with pytest.raises(ContractError, match="fingerprint 0102030405060708"):
        catalog().decode(b"\xc3\x01" + bytes(range(8, 0, -1)) + body)


@pytest.mark.parametrize(
    ("change", "field", "code", "words"),
    [
        ({"party_name": ""}, "party_name", "empty", "必填"),
        ({"party_name": None}, "party_name", "missing", "必填"),
        ({"item_code": "1" * 15}, "item_code", "length", "15个字符，超过上限14个"),
        ({"party_kind": "企业"}, "party_kind", "code", "行政相对人类别"),
        ({"result_codes": ["1", "2"]}, "result_codes[1]", "code", "抽查检查结果"),
        ({"result_codes": []}, "result_codes", "empty", "必填"),
        ({"check_date": datetime(2026, 3, 2)}, "check_date", "type", "日期"),
        ({"is_public": None}, "is_public", "missing", "必填"),
        ({"inspectors": None}, "inspectors", "missing", "必填"),
        ({"inspectors": [{"name": "才" * 51}]}, "inspectors[0].name", "length", "51个字符"),
        ({"备注": "x"}, "备注", "unknown", "没有此字段"),
    ],
)
def test_check_names_field_problem_and_remedy(
    change: dict[str, Any], field: str, code: str, words: str
) -> None:
    schema = catalog().schema("inspection/result")
    faults = schema.check({**sample(schema), **change})
    assert [(fault.field, fault.code) for fault in faults] == [(field, code)]
    assert words in faults[0].problem
    assert faults[0].remedy.startswith("请")


def test_check_lists_every_fault_at_once() -> None:
    schema = catalog().schema("inspection/result")
    value = sample(schema, result_date="昨天", party_kind="9", inspecting_body="局" * 101)
    del value["item_name"]
    assert [fault.field for fault in schema.check(value)] == [
        "party_kind", "result_date", "item_name", "inspecting_body",
    ]


def test_amounts_outside_the_decimal_are_named() -> None:
    schema = catalog().schema("support/grant")
    for amount in (Decimal(10) ** 12, Decimal("0.0000001"), Decimal("Infinity")):
        faults = schema.check(sample(schema, grant_amount=amount))
        assert [(fault.field, fault.code) for fault in faults] == [("grant_amount", "precision")]
    assert schema.check(sample(schema, grant_amount=Decimal("999999999999.999999"))) == []


def test_unknown_schemas_are_named() -> None:
    for arguments in (("no/such",), ("inspection/result", 99), ("inspection/result", 1, "secret"),
                      ("hub/rejection", 1, "public")):
        with pytest.raises(ContractError):
            catalog().schema(*arguments)
    schema = catalog().schema("inspection/result")
    assert catalog().schema("inspection/result", 1, "full") is schema is catalog().by_id(schema.id)
    assert schema.decode(schema.encode(sample(schema, check_date=date(1949, 10, 1))))["check_date"] == date(
        1949, 10, 1
    )
