"""What is worked out for a batch at a time is what is worked out row by row, on whatever comes."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.contracts.cloudevents import from_headers, to_headers
from hub.domain.events import IdMaker, derive_id, entity_id, event_id, new_traceparent
from hub.domain.identifiers import subject_key
from hub.errors import ContractError, InputError
from hub.intake import Place, Problem, Row, RowFault
from hub.intake.column import DOUBT, Column, Table
from hub.intake.content import Contents, canonical_text
from hub.intake.encoder import RowEncoder
from hub.intake.mapping.parsers import number_parser, text_parser
from hub.intake.mapping.wholes import whole_numbers, whole_texts
from hub.intake.versions import EventWriter, Identified
from hub.state.seen_index import SeenRow
from tests.support_intake import catalog
from tests.unit.test_intake_encoder import NAMES, values

SECRET = b"only-for-tests"
#: Values that are equal and not the same, and what a schema does not know.
_ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-1, 2), st.sampled_from([Decimal(1), Decimal("1.0"), 1.0, 0.0]),
    st.dates(), st.datetimes(), st.text(max_size=3), st.sampled_from(["\ud800", "甲", "1"]),
    st.lists(st.sampled_from(["01", "02"]), max_size=2), st.just([{"name": "王实验", "certificate": None}]),
)
_rows = st.lists(st.dictionaries(st.sampled_from(["a", "b", "c"]), _ODD), max_size=8)


@given(st.lists(st.lists(_ODD, max_size=8), max_size=4))
def test_a_column_gives_what_its_function_gives(batches: list[list[Any]]) -> None:
    column = Column(lambda content: f"{type(content).__name__} {content!r}")
    for batch in batches:
        assert column(batch) == [f"{type(content).__name__} {content!r}" for content in batch]


def test_a_column_forgets_rather_than_grow_and_never_remembers_a_doubt() -> None:
    asked: list[str] = []

    def make(content: str) -> Any:
        asked.append(content)
        return DOUBT if content == "?" else content.upper()

    column = Column(make)
    for start in range(0, 30_000, 1000):
        batch = [f"a{number}" for number in range(start, start + 1000)]
        assert column(batch) == [text.upper() for text in batch]
    assert len(column._texts) <= 4096
    again = Column(make)
    asked.clear()
    assert again(["?", "x", "?", "x", "x", "x"]) == [DOUBT, "X", DOUBT, "X", "X", "X"]
    assert asked == ["?", "x", "?"]


@given(_rows)
def test_a_table_has_all_that_its_rows_have(rows: list[dict[str, Any]]) -> None:
    table = Table(rows)
    assert set(table.names) == set().union(*rows) and len(table.names) == len(set(table.names))
    for name, column in zip(table.names, table.columns, strict=True):
        assert list(column) == [row.get(name) for row in rows]
    assert table.is_of(list(rows)) and not table.is_of([*rows, {}])
    assert not rows or not table.is_of([dict(row) for row in rows])


_DIFFERENT = st.lists(
    st.one_of(st.text(max_size=4), st.sampled_from(["\ud800", "甲" * 2000, "乙" * 40])), min_size=2, max_size=6,
    unique=True,
)  # fmt: skip


@settings(deadline=None)
@given(st.lists(_DIFFERENT, min_size=2, max_size=5))
def test_texts_that_differ_give_the_same_all_at_once(batches: list[list[str]]) -> None:
    contents, encoder = Contents(), RowEncoder(catalog().schema("inspection/result"))
    for texts in batches:
        rows = [_row(party_name=text, remark=text, behaviour_number=text).value for text in texts]
        assert contents.of(Table(rows)) == [canonical_text(row).encode("utf-8", "replace") for row in rows]
        for row, body in zip(rows, encoder.encode_all(Table(rows)), strict=True):
            if "\ud800" in row["remark"]:
                assert body is None
            else:
                assert body == encoder.encode(row)


_CELLS = st.lists(st.one_of(
    st.text(max_size=6), st.text("0123456789.E+ -JC甲（", max_size=9),
    st.sampled_from([" 甲 ", "=A1", "#REF!", "1.2E+15", "JC 12", "\t", "\x07", "\u200b", "１２", "无", "甲" * 101]),
), min_size=1, max_size=3)  # fmt: skip


@settings(max_examples=400)
@given(_CELLS, st.sampled_from([None, 5, 100]))
def test_cells_that_are_read_all_at_once_are_what_their_parsers_give(cells: list[str], most: int | None) -> None:
    for whole, parse in ((whole_texts, text_parser), (whole_numbers, number_parser)):
        found = whole(most)(cells)
        if found is not None:
            assert found == [parse(most)(cell.strip()) for cell in cells]
            assert all(cell and cell[0] not in "=#" for cell in found)


def test_ordinary_cells_are_read_all_at_once() -> None:
    assert whole_texts(9)([" 甲公司", "乙 公司 "]) == ["甲公司", "乙 公司"]
    assert whole_numbers(9)(["JC-1 ", "JC-2"]) == ["JC-1", "JC-2"]
    assert whole_numbers(9)(["JC-1", "〔2026〕1号"]) is None


@given(st.lists(_rows, max_size=3))
def test_contents_are_the_canonical_text(batches: list[list[dict[str, Any]]]) -> None:
    contents = Contents()
    for rows in batches:
        assert contents.of(Table(rows)) == [canonical_text(row).encode("utf-8", "replace") for row in rows]


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_a_batch_is_encoded_as_its_rows_are(name: str, data: st.DataObject) -> None:
    schema = catalog().schema(name)
    fields = [field.name for field in schema.fields]
    dirty = st.dictionaries(st.sampled_from([*fields, "nothing"]), _ODD, max_size=3)
    batch = [
        {**row, **dirt} for row, dirt in data.draw(st.lists(st.tuples(values(schema.fields), dirty), max_size=5))
    ]
    encoder = RowEncoder(schema)
    for _ in range(2):
        for row, body in zip(batch, encoder.encode_all(Table(batch)), strict=True):
            if body is not None:
                assert body == encoder.encode(row) == schema.encode(row)


def test_ordinary_rows_are_encoded_together() -> None:
    writer = _writer()
    items = [writer.identify(_row(remark=remark, is_public=number % 2 == 0)) for number, remark in enumerate("甲乙丙")]
    encode = writer.target("inspection-results")[1]
    assert writer.bodies(items) == [encode(item.row.value) for item in items]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=9), min_size=1, max_size=4))
def test_an_id_maker_gives_the_derived_id(parts: list[str]) -> None:
    maker = IdMaker("event", "/sources/a")
    assert maker.make("\x1f".join(parts)) == derive_id("event", "/sources/a", *parts)


def _writer() -> EventWriter:
    return EventWriter("hezuo", lambda kind: ("inspection.results.v1", "inspection/result"), catalog().schema, SECRET)


def _row(**more: Any) -> Row:
    value = {
        "record_unique_identity": "JC-1", "region_code": "623000", "department_code": "11623000013999917X",
        "department_name": "甘南州市场监督管理局", "party_kind": "02", "party_name": "合作市雪域牦牛乳业有限责任公司",
        "inspection_kind": "double-random", "result_date": date(2026, 3, 2), "check_date": date(2026, 3, 1),
        "result_codes": ["1"], "behaviour_number": "JC-1", "item_name": "年报公示信息检查",
        "inspecting_body": "合作市市场监督管理局", "inspectors": [], **more,
    }  # fmt: skip
    types = ("inspection.result.recorded", "inspection.result.amended")
    return Row("inspection-results", "JC-1", *types, value, Place("a.csv", None, 3))


_CODES = st.sampled_from([
    None, "91623000739699913A", " 9162 3000739699913a", "无", "", "办理中", "623021185006153029", "12345",
    "623000200001232",
])  # fmt: skip


@given(_CODES, _CODES, st.sampled_from([None, "623021185006153029", "H123"]), st.sampled_from([None, "", "扎西东智"]))
def test_the_subject_is_that_of_all_four_fields(
    code: str | None, number: str | None, certificate: str | None, name: str | None
) -> None:
    writer = _writer()
    item = writer.identify(_row(
        party_uscc=code, party_registration_number=number, party_certificate_number=certificate, party_name=name or "",
    ))  # fmt: skip
    for _ in range(2):  # a code that was met before, too
        try:
            expected = subject_key(code, number, certificate, name, SECRET)
        except InputError:
            with pytest.raises(InputError):
                writer.event(item, None, datetime(2026, 3, 2, tzinfo=UTC))
        else:
            output, _ = writer.event(item, None, datetime(2026, 3, 2, tzinfo=UTC))
            assert output.key == expected.encode()


def test_an_event_has_the_headers_of_its_envelope() -> None:
    writer, now = _writer(), datetime(2026, 3, 2, 1, 2, 3, 4000, tzinfo=UTC)
    item = writer.identify(_row(party_uscc="91623000739699913A"))
    output, after = writer.event(item, SeenRow(4, b"12345678", "inspection.result.recorded"), now)
    envelope = from_headers(output.headers)
    assert output.headers == to_headers(envelope)
    assert (envelope.id, envelope.correlation_id) == (
        event_id("/sources/hezuo", "inspection.results.v1|JC-1", 5),
        entity_id("/sources/hezuo", "inspection.results.v1|JC-1"),
    )
    assert (envelope.type, envelope.sequence, envelope.time) == ("inspection.result.amended", 5, now)
    assert (envelope.natural_key, envelope.digest) == (item.key.hex(), after.digest.hex())
    assert envelope.traceparent == new_traceparent(envelope.id)


def test_a_batch_is_identified_as_its_rows_are_and_faults_stay() -> None:
    fault = RowFault(Place("a.csv", None, 4), (Problem("date", None, None, None, "", ""),), "0" * 16)
    rows = [
        _row(), _row()._replace(is_removed=True), _row()._replace(unread_code="9162300073969991"),
        _row(party_name="\ud800"), _row(item_name="其他"),
    ]  # fmt: skip
    found = _writer().identify_all([rows[0], fault, *rows[1:]])
    assert found[1] is fault
    items = [item for item in found if isinstance(item, Identified)]
    assert items == [_writer().identify(row) for row in rows]
    assert len({item.digest for item in items}) == len(rows)
    assert len({item.key for item in items}) == 1


def test_digests_hang_on_the_secret() -> None:
    def of(secret: bytes) -> bytes:
        make = EventWriter("a", lambda kind: ("t", "inspection/result"), catalog().schema, secret).keyed
        return make("甲", 16)

    assert of(b"one") != of(b"two")
    assert of(b"one") == of(b"one")
    assert len(of(b"x" * 200)) == 16


def test_what_the_schema_refuses_is_named_as_before() -> None:
    writer = _writer()
    item = writer.identify(_row(check_date="2026-03-01"))
    assert writer.bodies([item, item]) == [None, None]
    with pytest.raises(ContractError, match="check_date"):
        writer.event(item, None, datetime(2026, 3, 2, tzinfo=UTC), body=None)
