"""The lock holds every schema; versions that do not fit together are named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from fastavro import schemaless_reader, schemaless_writer
from typer.testing import CliRunner

from hub.cli.schemas import app
from hub.contracts.catalog import Catalog
from hub.contracts.compatibility import cannot_read, full_transitive
from hub.contracts.lock import LOCK_FILE, check_schemas, read_lock, update_lock
from hub.errors import ContractError
from tests.support_contracts import ROOT, catalog, sample


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(ROOT / "schemas", tmp_path / "schemas")
    shutil.copytree(ROOT / "reference" / "codes", tmp_path / "reference" / "codes")
    monkeypatch.setenv("HUB_HOME", str(tmp_path))
    return tmp_path


def _write_next(home: Path, name: str, **changes: Any) -> Path:
    path = home / "schemas" / name / "v1.avsc"
    definition = json.loads(path.read_text(encoding="utf-8"))
    definition["fields"] += changes.get("add", [])
    definition["fields"] = [f for f in definition["fields"] if f["name"] not in changes.get("remove", [])]
    for field in definition["fields"]:
        field.update(changes.get("change", {}).get(field["name"], {}))
    path = path.with_name("v2.avsc")
    path.write_text(json.dumps(definition, ensure_ascii=False), encoding="utf-8")
    return path


def _field(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": "string", "title": "新", "doc": "New.", "privacy": "public", **more}


def test_the_project_agrees_with_its_lock() -> None:
    assert check_schemas(ROOT) == []
    assert sorted(line.id for line in read_lock(ROOT).values()) == list(range(1, len(read_lock(ROOT)) + 1))


def test_a_changed_schema_is_refused_everywhere(home: Path) -> None:
    path = home / "schemas/inspection/result/v1.avsc"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"privacy": "internal"', '"privacy": "public"', 1), encoding="utf-8")
    before = (home / LOCK_FILE).read_bytes()
    assert any("write v2.avsc" in fault.problem for fault in check_schemas(home))
    with pytest.raises(ContractError, match=r"v2\.avsc"):
        update_lock(home)
    with pytest.raises(ContractError, match="differs from"):
        Catalog.load(home)
    assert (home / LOCK_FILE).read_bytes() == before


def test_a_new_version_gets_the_next_ids_and_both_are_read(home: Path) -> None:
    old = Catalog.load(home)
    last = max(schema.id for schema in old.schemas)
    _write_next(home, "inspection/result", add=[_field("weather", type=["null", "string"], default=None)])
    with pytest.raises(ContractError, match="is not in"):
        Catalog.load(home)
    assert [(line.id, line.view) for line in update_lock(home)] == [
        (last + 1, "full"), (last + 2, "public"), (last + 3, "partner"), (last + 4, "uplink"),
    ]
    assert update_lock(home) == []
    new = Catalog.load(home)
    for schema in old.schemas:
        assert new.by_id(schema.id).fingerprint == schema.fingerprint
    first = old.schema("inspection/result")
    assert new.schema("inspection/result").version == 2
    assert new.decode(first.encode(sample(first)))[0].version == 1


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"add": [_field("weather")]}, "weather"),
        ({"remove": ["item_name"]}, "item_name"),
        ({"change": {"result_date": {"type": "string"}}}, "result_date"),
        ({"change": {"behaviour_number": {"type": ["null", "string"], "default": None}}}, "behaviour_number"),
    ],
)
def test_versions_that_cannot_read_each_other_are_refused(
    home: Path, changes: dict[str, Any], field: str
) -> None:
    _write_next(home, "inspection/result", **changes)
    assert field in {fault.field for fault in check_schemas(home)}
    with pytest.raises(ContractError, match=f"field {field}"):
        update_lock(home)


def test_all_pairs_of_versions_are_compared() -> None:
    def version(*fields: dict[str, Any]) -> dict[str, Any]:
        return {"type": "record", "name": "A", "fields": list(fields)}

    one = version({"name": "a", "type": "string"}, {"name": "b", "type": "string", "default": ""})
    two = version({"name": "a", "type": "string"})
    three = version({"name": "a", "type": "string"}, {"name": "b", "type": "int", "default": 0})
    assert full_transitive([(1, one), (2, two)]) == full_transitive([(2, two), (3, three)]) == []
    assert {(f.reader, f.writer, f.field) for f in full_transitive([(1, one), (2, two), (3, three)])} == {
        (1, 3, "b"), (3, 1, "b"),
    }


@pytest.mark.parametrize(
    ("reader", "writer", "is_readable"),
    [
        ("string", "string", True),
        ("string", "int", False),
        (["null", "string"], "string", True),
        ("string", ["null", "string"], False),
        ({"type": "array", "items": "string"}, {"type": "array", "items": "int"}, False),
    ],
)
def test_the_verdict_is_that_of_an_avro_reader(reader: Any, writer: Any, is_readable: bool) -> None:
    """What is called readable fastavro reads; what is called unreadable it refuses for some value."""
    from io import BytesIO

    reads = {"type": "record", "name": "A", "fields": [{"name": "a", "type": reader}]}
    writes = {"type": "record", "name": "A", "fields": [{"name": "a", "type": writer}]}
    assert (not list(cannot_read(reads, writes))) == is_readable
    values: list[Any] = [None, "x"] if isinstance(writer, list) else [[1]]
    if isinstance(writer, str):
        values = ["x"] if writer == "string" else [1]
    outcomes = []
    for value in values:
        buffer = BytesIO()
        schemaless_writer(buffer, writes, {"a": value})
        buffer.seek(0)
        try:
            outcomes.append(schemaless_reader(buffer, writes, reads) == {"a": value})
        except Exception:  # fastavro refuses with errors of several trees
            outcomes.append(False)
    assert all(outcomes) == is_readable


def test_decimals_of_another_scale_do_not_fit() -> None:
    def amount(scale: int) -> dict[str, Any]:
        kind = {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": scale}
        return {"type": "record", "name": "A", "fields": [{"name": "a", "type": ["null", kind]}]}

    assert list(cannot_read(amount(6), amount(6))) == []
    assert [name for name, _ in cannot_read(amount(6), amount(2))] == ["a"]


def test_a_locked_schema_cannot_vanish_and_a_damaged_lock_is_named(home: Path) -> None:
    (home / "schemas/support/grant/v1.avsc").unlink()
    assert {fault.schema for fault in check_schemas(home)} == {
        "support/grant v1", "support/grant v1 (public)", "support/grant v1 (partner)",
        "support/grant v1 (uplink)",
    }
    (home / LOCK_FILE).write_text("{", encoding="utf-8")
    with pytest.raises(ContractError, match=r"lock\.json"):
        check_schemas(home)


def test_the_command_checks_updates_and_lists(home: Path) -> None:
    run = CliRunner().invoke
    assert run(app, ["check"]).exit_code == 0
    _write_next(home, "complaint/lead")
    result = run(app, ["check", "--json"])
    assert result.exit_code == 1
    assert len(json.loads(result.stdout)["faults"]) == 4
    result = run(app, ["check", "--update-lock", "--json"])
    assert result.exit_code == 0 and len(json.loads(result.stdout)["added"]) == 4
    rows = json.loads(run(app, ["list", "--json"]).stdout)
    assert {(row["name"], row["version"], row["view"]) for row in rows} == {
        (schema.name, schema.version, schema.view) for schema in Catalog.load(home).schemas
    }
    assert "complaint/lead" in run(app, ["list"]).stdout
    (home / "schemas/complaint/lead/v2.avsc").write_text("{}", encoding="utf-8")
    result = run(app, ["check"])
    assert result.exit_code == 1 and "complaint/lead/v2.avsc" in result.stdout
    assert run(app, ["list"]).exit_code == 1
    assert run(app, ["check", "--nonsense"]).exit_code == 2


def test_fingerprints_are_those_of_the_avro_specification() -> None:
    """The specification's CRC, in a second hand: table-free, bit by bit."""
    from fastavro.schema import to_parsing_canonical_form

    def crc64(data: bytes) -> int:
        empty = 0xC15D213AA4D7A795
        value = empty
        for byte in data:
            value ^= byte
            for _ in range(8):
                value = value >> 1 ^ (empty if value & 1 else 0)
        return value

    assert crc64(b'"int"') == 0x7275D51A3F395C8F  # as Avro's own tests have it
    for schema in catalog().schemas:
        text = to_parsing_canonical_form(schema.definition)
        assert int(schema.fingerprint, 16) == crc64(text.encode())
