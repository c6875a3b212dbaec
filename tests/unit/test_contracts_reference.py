"""Code lists, regions and departments are whole and agree with the schemas."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from hub.contracts.codes import load_code_lists
from hub.contracts.fields import Field
from hub.domain.identifiers import is_uscc
from hub.errors import ContractError
from tests.support_contracts import ROOT, catalog

HEAD = "name: x\ntitle: 甲\nversion: '1'\nsource: s\n"
PARTY_BLOCK = [
    "record_unique_identity", "region_code", "department_code", "department_name", "party_kind", "party_name",
    "party_uscc", "party_registration_number", "party_certificate_kind", "party_certificate_number",
    "legal_representative", "is_public", "nonpublic_reason",
]


def _all_fields(fields: tuple[Field, ...]) -> Iterator[Field]:
    for field in fields:
        yield field
        yield from _all_fields(field.items)


def test_every_code_list_is_used_and_none_is_missing() -> None:
    used = {f.code_list for schema in catalog().schemas for f in _all_fields(schema.fields) if f.code_list}
    assert used == set(catalog().codes)


def test_codes_fit_the_fields_that_hold_them() -> None:
    for schema in catalog().schemas:
        for field in _all_fields(schema.fields):
            if field.code_list is not None:
                assert field.max_length is not None
                assert max(map(len, catalog().codes[field.code_list].entries)) <= field.max_length, field


def test_every_domain_record_begins_with_the_party_and_every_text_has_a_limit() -> None:
    for schema in catalog().schemas:
        # The end of a term is about a record, and brings nothing of its party but the key.
        if schema.view == "full" and not schema.name.startswith("hub/") and schema.name != "clock/term":
            assert [field.name for field in schema.fields[: len(PARTY_BLOCK)]] == PARTY_BLOCK
        for field in _all_fields(schema.fields):
            assert field.type != "string" or field.max_length, field
            assert field.type != "decimal" or field.unit == "万元"
            assert any("\u4e00" <= char <= "\u9fff" for char in field.title)


def test_texts_of_exports_find_their_code() -> None:
    codes = catalog().codes
    assert codes["inspection-result"].resolve("通过登记的住所(经营场所)无法联系") == "6"
    assert codes["inspection-result"].resolve(" 未发现问题 ") == "1"
    assert codes["inspection-result"].resolve("a") == "A"
    assert codes["penalty-kind"].resolve("没收违法所得") == "3"
    assert codes["party-kind"].resolve("法人及非法人组织") == "02"
    assert codes["region"].resolve("合作市") == "623001" and codes["region"].title_of("623027") == "夏河县"
    assert codes["region"].resolve("兰州市") is None
    for code_list in codes.values():
        for code, entry in code_list.entries.items():
            assert {code_list.resolve(text) for text in (code, entry.title, *entry.aliases)} == {code}


def test_departments_have_valid_codes_and_known_regions() -> None:
    departments = yaml.safe_load((ROOT / "reference/departments.yaml").read_text("utf-8"))["departments"]
    assert len(departments) >= 25
    for department in departments:
        assert is_uscc(department["code"]) and department["code"].startswith("11")
        assert department["code"][2:8] == department["region"]
        assert department["region"] in catalog().codes["region"]
        # Organisation codes that begin with 99 were never issued.
        assert department["code"][8:10] == "99"
    for key in ("id", "code", "name"):
        assert len({department[key] for department in departments}) == len(departments)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: other\ntitle: 甲\nversion: '1'\nsource: s\nentries: {}\n", "calls itself other"),
        (f"{HEAD}entries:\n  1: {{title: 一}}\n", "quotation marks"),
        (f"{HEAD}entries:\n  '1': {{title: 一}}\n  '2': {{title: 一}}\n", "both"),
        ("- 1\n", "not a code list"),
    ],
)
def test_faulty_code_lists_are_named(tmp_path: Path, text: str, words: str) -> None:
    folder = tmp_path / "reference" / "codes"
    folder.mkdir(parents=True)
    (folder / "x.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ContractError, match=rf"x\.yaml: .*{words}"):
        load_code_lists(tmp_path)
