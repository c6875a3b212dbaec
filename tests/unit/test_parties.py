"""Whose name is a person's: what intake makes of a row that does not say it, and what no view lets through."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.export_folder.source import MAPPINGS
from hub.intake import Row
from hub.intake.versions import with_code
from tests.support_contracts import IDENTITY_NUMBER, sample
from tests.support_intake import KINDS, catalog, csv_bytes, open_folder, read_all, rows_of

NAME, COMPANY = "扎西东智", "合作市雪域牦牛乳业有限责任公司"
CODE, HOUSEHOLD, REGISTRATION = "91623000739699913A", "92623001MA997GBJ9D", "623000200001232"
PENALTY = {
    "行政处罚决定书文号": "甘南市监处罚〔2026〕12号", "违法行为类型": "无照经营",
    "违法事实": f"当事人{NAME}于家中无照经营", "处罚依据": "法", "处罚类别": "罚款",
    "处罚内容": f"对{NAME}罚款", "罚款金额（万元）": "0.1",
    "处罚决定日期": "2026-03-01",
}
HEADINGS = ["行政相对人名称", "行政相对人类别", "统一社会信用代码", "工商注册号", "证件类型", "证件号码", *PENALTY]


def penalties(folder: Path, *rows: dict[str, str], headings: list[str] = HEADINGS, **more: Any) -> list[Row]:
    folder = folder / "in"
    folder.mkdir()
    (folder / "a.csv").write_bytes(csv_bytes(headings, [{"行政相对人名称": NAME, **PENALTY, **row} for row in rows]))
    return rows_of(folder, **{"mappings": ["penalties"], **more})


def public(value: dict[str, Any]) -> dict[str, Any]:
    return catalog().projection("enforcement/penalty", "public").apply(value)


@pytest.mark.parametrize("headings", [HEADINGS, [name for name in HEADINGS if name != "行政相对人类别"]])
@pytest.mark.parametrize("certificate", [
    {"证件类型": "身份证", "证件号码": IDENTITY_NUMBER}, {"证件号码": IDENTITY_NUMBER}, {"证件类型": "身份证"},
    {"证件类型": "护照", "证件号码": "E12345678"}, {"证件类型": "台胞证", "证件号码": "08123456"},
])  # fmt: skip
def test_who_has_a_personal_certificate_and_no_code_is_a_person(
    tmp_path: Path, headings: list[str], certificate: dict[str, str]
) -> None:
    (row,) = penalties(tmp_path, certificate, headings=headings)
    assert row.value["party_kind"] == "01" and row.warnings == ()
    shown = public(row.value)
    assert NAME not in str(shown) and shown["party_name"] == "扎**"


@pytest.mark.parametrize(("codes", "kind"), [
    ({"统一社会信用代码": CODE}, "02"), ({"工商注册号": REGISTRATION}, "02"), ({"统一社会信用代码": HOUSEHOLD}, "04"),
    # The operator's card beside the code of the shop.
    ({"统一社会信用代码": HOUSEHOLD, "证件类型": "身份证", "证件号码": IDENTITY_NUMBER}, "04"),
    ({"工商注册号": REGISTRATION, "证件号码": IDENTITY_NUMBER}, "02"),
])  # fmt: skip
def test_a_code_says_what_kind_of_party_it_is(tmp_path: Path, codes: dict[str, str], kind: str) -> None:
    (row,) = penalties(tmp_path, {"行政相对人名称": COMPANY, **codes})
    assert row.value["party_kind"] == kind and row.warnings == ()
    assert public(row.value)["party_name"] == COMPANY


def test_of_whom_only_a_name_is_known_counts_as_a_person_and_the_sender_is_told(tmp_path: Path) -> None:
    rows = penalties(tmp_path, {}, {"统一社会信用代码": CODE}, {"行政相对人类别": "法人", "行政相对人名称": COMPANY})
    assert [row.value["party_kind"] for row in rows] == ["01", "02", "02"]
    assert NAME not in str(public(rows[0].value)) and public(rows[2].value)["party_name"] == COMPANY
    (warning,) = rows[0].warnings
    assert (warning.code, warning.field, warning.value) == ("party-kind", "party_kind", None)
    assert "按自然人处理" in warning.problem and NAME not in warning.problem
    assert "统一社会信用代码" in warning.remedy and "“行政相对人类别”" in warning.remedy
    assert rows[1].warnings == rows[2].warnings == ()


def test_the_remedy_names_no_column_that_the_export_cannot_have(tmp_path: Path) -> None:
    (row,) = penalties(tmp_path, {}, mappings=[own_mapping(tmp_path / "own.yaml", without="party_kind")])
    (warning,) = row.warnings
    assert "类别" not in warning.remedy and "统一社会信用代码" in warning.remedy


def own_mapping(path: Path, *, without: str | None = None, **changes: object) -> str:
    raw = yaml.safe_load((MAPPINGS / "penalties.yaml").read_text(encoding="utf-8"))
    raw["columns"] = [column for column in raw["columns"] if column["field"] != without]
    path.write_text(yaml.safe_dump({**raw, **changes}, allow_unicode=True), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("identity", ["as-given", "register"])
def test_a_mapping_of_enterprises_alone_may_say_what_a_name_is(tmp_path: Path, identity: str) -> None:
    mapping = own_mapping(tmp_path / "own.yaml", party={"unknown": "03"})
    rows = penalties(tmp_path, {}, {"证件号码": IDENTITY_NUMBER}, mappings=[mapping], identity=identity)
    assert [(row.value["party_kind"], row.warnings) for row in rows] == [("03", ()), ("01", ())]


def test_where_the_register_is_asked_the_kind_follows_the_match(tmp_path: Path) -> None:
    """Nothing is published of a name that the register does not know; so it may be taken for an enterprise's."""
    named, person, other = penalties(
        tmp_path, {}, {"证件号码": IDENTITY_NUMBER}, {"证件号码": "E12345678"}, identity="register"
    )
    assert named.value["party_kind"] == "02" and named.warnings == ()
    assert with_code(named.value, HOUSEHOLD)["party_kind"] == "04"
    assert person.value["party_kind"] == "01" and person.warnings == ()
    # Who has a certificate of whatever kind is not asked about, and goes out as the row says.
    assert other.value["party_kind"] == "01" and [warning.code for warning in other.warnings] == ["party-kind"]


_TEXTS = {
    "统一社会信用代码": ["", "无", CODE, IDENTITY_NUMBER], "工商注册号": ["", "无"],
    "行政相对人类别": ["", "法人", "自然人"], "证件类型": ["", "身份证", "护照", "02"],
    "证件号码": ["", "-", IDENTITY_NUMBER, "E12345678"],
}  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(st.fixed_dictionaries({name: st.sampled_from(texts) for name, texts in _TEXTS.items()}), max_size=5))
def test_no_name_without_code_or_word_is_published(tmp_path_factory: Any, rows: list[dict[str, str]]) -> None:
    folder: Path = tmp_path_factory.mktemp("in")
    given_rows = [{"行政相对人名称": NAME, **PENALTY, **row} for row in rows]
    (folder / "a.csv").write_bytes(csv_bytes(HEADINGS, given_rows))
    for item, row in zip(read_all(open_folder(folder, mappings=["penalties"])), rows, strict=True):
        if not isinstance(item, Row):
            continue
        has_certificate = row["证件类型"] != "" or row["证件号码"] == IDENTITY_NUMBER
        is_organisation = row["行政相对人类别"] != "自然人" and (
            row["统一社会信用代码"] == CODE or (row["行政相对人类别"] == "法人" and not has_certificate)
        )
        assert (NAME in str(public(item.value))) == is_organisation, row


@pytest.mark.parametrize("kind", ["02", "03", "04"])
@pytest.mark.parametrize("certificate", [
    {"party_certificate_kind": "02", "party_certificate_number": "E12345678"},
    {"party_certificate_kind": None, "party_certificate_number": IDENTITY_NUMBER},
    {"party_certificate_kind": None, "party_certificate_number": "623021500615302"},
    {"party_certificate_kind": "01", "party_certificate_number": None},
    {"party_certificate_kind": None, "party_certificate_number": None, "party_uscc": IDENTITY_NUMBER},
])  # fmt: skip
def test_no_word_makes_an_organisation_of_a_personal_certificate(kind: str, certificate: dict[str, Any]) -> None:
    schema = catalog().schema("enforcement/penalty")
    value = sample(schema, party_kind=kind, party_name=NAME, record_unique_identity=f"12号|{NAME}", **{
        "party_uscc": None, "party_registration_number": None, "legal_representative": NAME, **certificate,
    })  # fmt: skip
    value |= {"violation_facts": f"当事人{NAME}", "penalty_content": f"对{NAME}罚款"}
    shown = public(value)
    assert NAME not in str(shown) and IDENTITY_NUMBER not in str(shown)
    cleaned = catalog().projection(schema, "public").clean(value, f"撤销对{NAME}的处罚")
    assert cleaned == "撤销对扎**的处罚"


@pytest.mark.parametrize("more", [
    {}, {"party_uscc": None}, {"party_registration_number": None},
    # No certificate of a person: the sender's word counts.
    {"party_uscc": None, "party_registration_number": None, "party_certificate_kind": None,
     "party_certificate_number": "事证第162300000123号"},
])  # fmt: skip
def test_an_organisation_stays_one(more: dict[str, Any]) -> None:
    schema = catalog().schema("enforcement/penalty")
    value = sample(schema, party_kind="02", party_name=COMPANY, **more)
    assert public(value)["party_name"] == COMPANY


def test_rows_of_all_mappings_may_say_what_their_party_is() -> None:
    for name in KINDS:
        raw = yaml.safe_load((MAPPINGS / f"{name}.yaml").read_text(encoding="utf-8"))
        assert "party_kind" in {column["field"] for column in raw["columns"]}, name
