"""Who keeps a record from the public says why, whichever way the record comes in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from connectors.export_folder.source import MAPPINGS
from hub.contracts.cloudevents_http import Incoming
from hub.domain.plain import to_plain
from hub.domain.problem import ProblemError
from hub.domain.publicity import PROBLEM, can_be_kept_back, lacks_reason, remedy
from hub.intake import Row, RowFault
from hub.intake.build import source_context
from hub.intake.forms import Filled, read_filled
from hub.intake.mapping import RowReader, layout_of, load_mapping
from hub.intake.rows import Place
from hub.wiring.http_intake import entry_form
from hub.wiring.sources_http import department_facts
from tests.support_contracts import catalog, sample
from tests.support_http_intake import data, hub_map, receiver, source
from tests.support_intake import INSPECTION, KINDS, config, csv_bytes, inspection, open_folder, read_all

TYPES = sorted(department_facts(hub_map()))
TYPE = "inspection.result.recorded"
EVERYTHING = tuple({".".join([*name.split(".")[:2], "*"]) for name in TYPES})
REASON = "涉及国家秘密"


@pytest.mark.parametrize(("value", "is_lacking"), [
    ({}, False), ({"is_public": True}, False), ({"is_public": False}, True), ({"is_public": None}, False),
    ({"is_public": 0}, False), ({"is_public": "false"}, False),
    *(({"is_public": False, "nonpublic_reason": text}, True) for text in (None, "", "  ", "\u3000")),
    ({"is_public": False, "nonpublic_reason": REASON}, False), ({"is_public": True, "nonpublic_reason": ""}, False),
])  # fmt: skip
def test_a_reason_is_asked_of_what_is_kept_from_the_public(value: dict[str, Any], is_lacking: bool) -> None:
    assert lacks_reason(value) == is_lacking


@pytest.mark.parametrize("type_", TYPES)
def test_every_event_by_http_that_is_kept_back_says_why(type_: str) -> None:
    its = receiver(source(events=EVERYTHING))
    attributes = {"specversion": "1.0", "id": "案-1", "source": its.uri, "type": type_}
    form = entry_form(type_, hub_map(), catalog())
    assert can_be_kept_back([field.name for field in form.fields])
    (told,) = [field for field in form.fields if field.name == "nonpublic_reason"]
    assert "不予公开时必填" in told.help
    value = _plain(form.schema)
    for without in ({"nonpublic_reason": None}, {"nonpublic_reason": " "}):
        with pytest.raises(ProblemError) as caught:
            its.read(Incoming(attributes, {**value, "is_public": False, **without}), frozenset(TYPES))
        (fault,) = caught.value.errors
        assert (caught.value.status, fault["pointer"]) == (422, "/data/nonpublic_reason")
        assert PROBLEM in fault["detail"] and remedy() in fault["detail"]
    taken = its.read(Incoming(attributes, {**value, "is_public": False, "nonpublic_reason": REASON}), frozenset(TYPES))
    assert taken.row.value["nonpublic_reason"] == REASON
    assert its.read(Incoming(attributes, {**value, "nonpublic_reason": None}), frozenset(TYPES)).row.value["is_public"]


def _plain(schema: str) -> dict[str, Any]:
    made = to_plain({**sample(catalog().schema(schema)), "party_certificate_number": None, "is_public": True})
    assert isinstance(made, dict)
    return {
        name: content for name, content in made.items()
        if name not in ("record_unique_identity", "department_code", "department_name")
    }


def test_a_form_is_told_so_at_its_own_field() -> None:
    form = entry_form(TYPE, hub_map(), catalog())
    filled = {**data(1), "is_public": "否", "nonpublic_reason": ""}
    given, told = receiver(source()), {**filled, "nonpublic_reason": REASON}
    with pytest.raises(ProblemError) as caught:
        read_filled(form, Filled("JC-1", filled), given, frozenset(TYPES), catalog().codes)
    assert [fault["pointer"] for fault in caught.value.errors] == ["/fields/nonpublic_reason"]
    taken = read_filled(form, Filled("JC-1", told), given, frozenset(TYPES), catalog().codes)
    assert taken.row.value["is_public"] is False


def without_requires(path: Path, *, without: str | None = None, **changes: object) -> str:
    raw = yaml.safe_load((MAPPINGS / "inspection-results.yaml").read_text(encoding="utf-8"))
    raw |= {"requires": [], "columns": [column for column in raw["columns"] if column["field"] != without], **changes}
    path.write_text(yaml.safe_dump(raw, allow_unicode=True), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("is_own", [True, False])
def test_rows_say_why_whether_or_not_their_mapping_asks(tmp_path: Path, is_own: bool) -> None:
    mapping = without_requires(tmp_path / "own.yaml") if is_own else "inspection-results"
    folder = tmp_path / "in"
    folder.mkdir()
    rows = [
        inspection(1, 是否公示="否"), inspection(2, 是否公示="否", 不公示理由=REASON), inspection(3),
        inspection(4, 是否公示="否", 不公示理由=" "), inspection(5, 是否公示="", 不公示理由=""),
    ]  # fmt: skip
    (folder / "a.csv").write_bytes(csv_bytes(INSPECTION, rows))
    items = read_all(open_folder(folder, mappings=[mapping]))
    assert [type(item) for item in items] == [RowFault, Row, Row, RowFault, Row]
    for item in (items[0], items[3]):
        assert isinstance(item, RowFault)
        (problem,) = item.problems
        assert (problem.code, problem.field) == ("required", "nonpublic_reason")
        assert ("“不公示理由”" in problem.remedy) and (problem.problem == PROBLEM) == is_own


def test_a_mapping_without_a_column_for_the_reason_keeps_nothing_back(tmp_path: Path) -> None:
    mapping = without_requires(tmp_path / "own.yaml", without="nonpublic_reason")
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.csv").write_bytes(csv_bytes(INSPECTION[:-2], [inspection(1, 是否公示="否"), inspection(2)]))
    fault, row = read_all(open_folder(folder, mappings=[mapping]))
    assert isinstance(fault, RowFault) and isinstance(row, Row)
    assert fault.problems[0].problem == PROBLEM and fault.problems[0].remedy == remedy()


@pytest.mark.parametrize("kind", KINDS)
def test_a_constant_is_a_reason_too(kind: str, tmp_path: Path) -> None:
    raw = yaml.safe_load((MAPPINGS / f"{kind}.yaml").read_text(encoding="utf-8"))
    raw["columns"] = [column for column in raw["columns"] if column["field"] not in ("is_public", "nonpublic_reason")]
    for reason, is_taken in ((None, False), (REASON, True)):
        constants = {"is_public": False, **({"nonpublic_reason": reason} if reason else {})}
        path = tmp_path / f"{is_taken}.yaml"
        changed = {**raw, "constants": {**raw.get("constants", {}), **constants}, "requires": []}
        path.write_text(yaml.safe_dump(changed, allow_unicode=True), encoding="utf-8")
        read = _reader(str(path))
        headings = [column["heading"] for column in raw["columns"]]
        cells = [_CELLS.get(heading, "") for heading in headings]
        place = Place("a.csv", None, 2)
        (found,) = read.all_texts([cells], [place])
        assert found == read.read_texts(list(cells), place)
        problems = found.problems if isinstance(found, RowFault) else ()
        assert ("nonpublic_reason" not in [problem.field for problem in problems]) == is_taken


_CELLS = {**inspection(), "内容摘要": "称购买的酸奶有异味"}


def _reader(path: str) -> RowReader:
    mapping = load_mapping(path)
    context = source_context(config(Path("/nowhere")), catalog(), Path())
    return RowReader(layout_of(mapping, [column.heading for column in mapping.columns]), context)


@given(st.lists(st.tuples(st.sampled_from(["是", "否", ""]), st.sampled_from(["", REASON, "无"])), max_size=6))
def test_together_as_one_by_one(cells: list[tuple[str, str]]) -> None:
    read = _together()
    raws = [
        [inspection(number, 是否公示=is_public, 不公示理由=reason).get(heading, "") for heading in INSPECTION]
        for number, (is_public, reason) in enumerate(cells)
    ]
    places = [Place("a.csv", None, number) for number in range(len(raws))]
    found = read.all_texts(raws, places)
    assert found == [read.read_texts(list(raw), place) for raw, place in zip(raws, places, strict=True)]
    assert [isinstance(item, RowFault) for item in found] == [cell == ("否", "") for cell in cells]


def _together() -> RowReader:
    mapping = load_mapping("inspection-results", MAPPINGS).model_copy(update={"requires": []})
    context = source_context(config(Path("/nowhere")), catalog(), Path())
    return RowReader(layout_of(mapping, list(INSPECTION)), context)
