"""The generator: right in form, the same bytes each time, readable by the tools of the trade."""

from __future__ import annotations

import csv
from datetime import date
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest
import yaml
from openpyxl import load_workbook
from stdnum.cn import uscc
from stdnum.iso7064 import mod_11_10

from hub.errors import UsageError
from hub.sandbox.generate import cases, codes
from hub.sandbox.generate.bulk import write_bulk
from hub.sandbox.generate.columns import KINDS
from hub.sandbox.generate.departments import DEPARTMENTS
from hub.sandbox.generate.enterprise import make_register, traced_enterprise
from hub.sandbox.generate.noise import Fault, mistype_code, spoil
from hub.sandbox.generate.writing import FORMATS

REGISTER = make_register(Random(7), 1500)


def test_codes_of_the_register_are_right_in_form() -> None:
    for enterprise in [*REGISTER, traced_enterprise()]:
        if enterprise.uscc and enterprise.uscc[0] != "N":  # stdnum refuses prefixes with a letter
            uscc.validate(enterprise.uscc)
        if enterprise.uscc:
            assert codes.is_uscc(enterprise.uscc)
            assert codes.organisation_check(enterprise.uscc[8:16]) == enterprise.uscc[16]
        if enterprise.registration_number:
            mod_11_10.validate(enterprise.registration_number)
        assert codes.is_id_number(enterprise.legal_representative_id)
        assert enterprise.legal_representative_id[6:9] == "185"
        assert enterprise.code


def test_the_register_has_every_sort_of_subject() -> None:
    assert {enterprise.kind for enterprise in REGISTER} == {
        "company",
        "shop",
        "cooperative",
        "collective",
        "temple",
        "school",
    }
    assert any(not enterprise.uscc for enterprise in REGISTER)
    assert len({enterprise.code for enterprise in REGISTER}) == len(REGISTER)


def test_wrong_and_mistyped_codes() -> None:
    for enterprise in REGISTER:
        if enterprise.uscc:
            assert not codes.is_uscc(codes.make_wrong_check(enterprise.uscc))
            typed = codes.make_look_alike(enterprise.uscc)
            assert typed is not None and typed.replace("O", "0") == enterprise.uscc


@pytest.mark.parametrize("kind", KINDS)
def test_a_case_fills_its_headings_and_a_fault_changes_one_cell(kind: str) -> None:
    rng, shape, seen = Random(3), KINDS[kind], set()
    for number in range(400):
        case = cases.MAKERS[kind](rng, rng.choice(REGISTER), DEPARTMENTS[0], number, date(2026, 6, 30))
        assert set(case) == {*shape.headings, *shape.reported} - {"序号"}
        wrong, fault, heading = spoil(rng, shape, case)
        assert [h for h in case if wrong[h] != case[h]] == [heading]
        seen.add(fault)
        if fault is Fault.NEGATIVE_AMOUNT:
            amount = wrong[heading]
            assert isinstance(amount, Decimal) and amount < 0
        mistyped = mistype_code(shape, case)
        if mistyped is not None:
            assert [h for h in case if mistyped[h] != case[h]] == [shape.code]
    assert seen == set(Fault) - (set() if shape.amount else {Fault.NEGATIVE_AMOUNT})


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_bytes(kind: str, form: str, tmp_path: Path) -> None:
    paths = [tmp_path / str(n) / "export" for n in range(3)]
    counts = [
        write_bulk(path, kind, form, 60, seed, dirt=0.2, faults=0.1)
        for path, seed in zip(paths, (1, 1, 2), strict=True)
    ]
    assert counts[0] == counts[1] > 0
    assert paths[0].read_bytes() == paths[1].read_bytes() != paths[2].read_bytes()


@pytest.mark.parametrize("form", [form for form, codec in FORMATS.items() if codec])
def test_a_text_export_decodes_and_has_its_rows(form: str, tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    write_bulk(path, "penalties", form, 200, 5)
    assert path.read_bytes().startswith(b"\xef\xbb\xbf") == (form == "csv-utf-8-bom")
    with path.open(encoding=FORMATS[form], newline="") as file:
        rows = list(csv.reader(file))
    assert tuple(rows[2]) == (*KINDS["penalties"].headings, "", "")
    assert len([row for row in rows[3:] if any(row)]) == 200


def test_a_workbook_opens_with_merged_title_rows(tmp_path: Path) -> None:
    path = tmp_path / "export.xlsx"
    write_bulk(path, "inspection-results", "xlsx", 50, 5)
    sheet = load_workbook(path).worksheets[0]
    assert {str(merged) for merged in sheet.merged_cells.ranges} == {"A1:R1", "A2:R2"}
    rows = list(sheet.iter_rows(values_only=True))
    assert rows[2][: len(KINDS["inspection-results"].headings)] == KINDS["inspection-results"].headings
    assert len([row for row in rows[3:] if any(row)]) == 50


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        write_bulk(tmp_path / "x", "unknown", "xlsx", 1, 1)
    with pytest.raises(UsageError):
        write_bulk(tmp_path / "x", "penalties", "xlsx", 2_000_000, 1)


REFERENCE = Path(__file__).parents[2] / "reference"

CODED = [
    ("inspection-results", "检查结果", ("inspection-result",)),
    ("penalties", "处罚类别", ("penalty-kind",)),
    ("penalties", "处罚程序", ("penalty-procedure",)),
    ("penalties", "行政相对人类别", ("party-kind",)),
    ("penalties", "证件类型", ("certificate-kind",)),
    ("blacklist-notices", "名单类型", ("list-kind",)),
    ("blacklist-notices", "列入原因", ("listing-reason",)),
    ("complaint-leads", "线索类型", ("lead-kind",)),
    ("complaint-leads", "来源渠道", ("lead-channel",)),
    ("complaint-leads", "风险等级", ("risk-level",)),
    ("complaint-leads", "处理状态", ("lead-status",)),
]


@pytest.mark.parametrize(("kind", "heading", "lists"), CODED)
def test_coded_texts_are_in_the_code_lists(kind: str, heading: str, lists: tuple[str, ...]) -> None:
    known: set[str] = set()
    for name in lists:
        entries = yaml.safe_load((REFERENCE / "codes" / f"{name}.yaml").read_text("utf-8"))["entries"]
        for entry in entries.values():
            known |= {str(entry["title"]), *map(str, entry.get("aliases", ()))}
    rng = Random(11)
    written: set[object] = set()
    for number in range(600):
        case = cases.MAKERS[kind](rng, rng.choice(REGISTER), DEPARTMENTS[0], number, date(2026, 6, 30))
        cell = case[heading]
        written |= set(cell) if isinstance(cell, tuple) else {cell} - {None}
    assert written and written <= known


def test_kinds_of_penalty_that_are_easily_mistaken_are_among_the_cases() -> None:
    rng, written = Random(11), set()
    for number in range(600):
        case = cases.make_penalty(rng, rng.choice(REGISTER), DEPARTMENTS[0], number, date(2026, 6, 30))
        kinds, certificate = case["处罚类别"], case["暂扣或吊销证照名称及编号"]
        assert isinstance(kinds, tuple)
        written |= set(kinds)
        assert bool(certificate) == any("吊销" in kind for kind in kinds)
    assert {"通报批评", "暂扣/吊销许可证", "暂扣/吊销执照"} <= written


def test_departments_are_those_of_the_reference() -> None:
    listed = yaml.safe_load((REFERENCE / "departments.yaml").read_text("utf-8"))["departments"]
    known = {entry["code"]: entry["name"] for entry in listed}
    for department in DEPARTMENTS:
        uscc.validate(department.code)
        assert known[department.code] == department.name
