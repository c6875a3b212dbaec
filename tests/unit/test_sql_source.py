"""The SQL source without a server: settings, keys, values, what is held."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from connectors.sql.settings import SqlSettings
from connectors.sql.snapshot import Difference, reasons
from connectors.sql.source import MAPPINGS
from hub.intake import ContractError, HeldPortions, InputError, Place, Row, RowFault, SourceConfig, UsageError
from hub.intake.build import source_context
from hub.intake.mapping import RowReader, ValueFault, as_text, layout_of, load_mapping, mapping_names
from hub.intake.settings import parse_settings
from hub.intake.sources import load_sources
from hub.intake.spool import dump, dump_all, loader, values
from hub.intake.spool.values import join
from tests.support_intake import catalog
from tests.support_sql import (
    BLACKLIST_COLUMNS,
    INSPECTION_COLUMNS,
    drain,
    execute,
    insert,
    inspection_row,
    listing_row,
    open_sql,
    sql_config,
)

GIVEN: dict[str, Any] = {"url": "sqlite:///x.db", "table": "t", "mapping": "penalties", "mode": "snapshot"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"url": "postgresql://a:b@h/d"}, "password_env"),
        ({"url": "???"}, "postgresql://user@host"),
        ({"query": "SELECT 1"}, "exactly one of table, query"),
        ({"table": None}, "exactly one of table, query"),
        ({"mode": "increasing"}, "needs cursor"),
        ({"mode": "outbox", "cursor": "id"}, "needs operation"),
        ({"after": "delete"}, "for mode outbox"),
        ({"mode": "outbox", "cursor": "id", "operation": "op", "after": "mark"}, "mark_column"),
        ({"password": "x", "password_env": "Y"}, "one of password, password_env"),
        ({"encoding": "gb99"}, "unknown encoding"),
        ({"time_zone": "Nowhere/There"}, "unknown time zone"),
        ({"max_removed_share": 2}, "max_removed_share"),
    ],
)
def test_settings_that_cannot_work_are_refused(changes: dict[str, Any], words: str) -> None:
    model, faults = parse_settings(SqlSettings, {**GIVEN, **changes}, None)
    assert model is None and words in "\n".join(faults)
    assert not any("a:b" in fault for fault in faults)


def test_every_fault_of_a_file_is_named_by_source_and_setting(tmp_path: Path) -> None:
    common = {"department_code": "11623000013999917X", "department_name": "局", "region_code": "623000"}
    sources = [
        {"name": "a", **common, "connector": "sql", **GIVEN, "portion_rows": 0, "tabel": 1},
        {"name": "b", **common, "region_code": "x", "folder": "in"},
        {"name": "c", **common, "connector": "no.such:Thing"},
        {"name": "d", **common, "folder": "in", "mappings": ["penalties"]},
        {"name": "d", **common, "folder": "in2", "mappings": ["penalties"]},
        7,
    ]
    path = tmp_path / "sources.yaml"
    path.write_text(yaml.safe_dump({"sources": sources}), encoding="utf-8")
    with pytest.raises(ContractError) as caught:
        load_sources(path)
    said = str(caught.value)
    for words in ("sources.yaml", "source a: portion_rows", "source a: tabel", "source b: region_code",
                  "source b: mappings", "source c: connector: unknown connector no.such:Thing", "source d: name",
                  "source number 6"):  # fmt: skip
        assert words in said


def test_a_secret_of_the_environment_is_looked_up_when_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = SqlSettings(**GIVEN, password_env="TEST_SECRET_WORD")
    monkeypatch.delenv("TEST_SECRET_WORD", raising=False)
    with pytest.raises(ContractError, match="TEST_SECRET_WORD"):
        settings.secret("password")
    monkeypatch.setenv("TEST_SECRET_WORD", "hush")
    assert settings.secret("password") == "hush"
    assert "hush" not in repr(SqlSettings.model_validate({**GIVEN, "password": "hush"}))


def test_values_come_out_of_the_spool_as_they_went_in() -> None:
    load = loader("gb18030", "Asia/Shanghai")
    row = ("文", 1, 2**70, 0.1, True, None, Decimal("1.230"), date(2026, 3, 1), datetime(2026, 3, 1, 9, 30),
           datetime(2026, 3, 1, 9, 30, tzinfo=UTC), {"$d": "x", "y": 1}, "\ud800")  # fmt: skip
    assert load(dump(row)) == list(row)
    assert load(dump(["雪域".encode("gb18030"), b"\1", memoryview(b"\0")])) == ["雪域", True, False]
    (fault,) = load(dump([b"\xff\xff"]))
    assert isinstance(fault, ValueFault) and fault.code == "encoding"
    (moment,) = loader("utf-8", "UTC")(dump([datetime(2026, 3, 1, 23, 0)]))
    assert as_text(moment) == "2026-03-02 07:00:00"


@pytest.mark.parametrize(
    ("value", "text"),
    [(Decimal("1E+3"), "1000"), (Decimal("0.10"), "0.10"), (12.0, "12"), (1e-7, "0.0000001"), (True, "是"),
     (None, ""), (date(2026, 3, 1), "2026-03-01"), (["甲", "乙"], "甲、乙"), ({"a": 1}, '{"a": 1}')],
)  # fmt: skip
def test_values_as_a_clerk_would_write_them(value: Any, text: str) -> None:
    assert as_text(value) == text


@pytest.mark.parametrize("name", mapping_names(MAPPINGS))
def test_the_mappings_that_come_along_are_whole(name: str, tmp_path: Path) -> None:
    mapping = load_mapping(name, MAPPINGS)
    assert mapping.events.removed is not None
    open_sql("sqlite:///x.db", tmp_path, mapping=name, mode="snapshot", cursor=None)


@pytest.mark.parametrize(
    "changes",
    [{}, {"uscc": "91623000739699913A"}, {"uscc": " ９１623000739699913a "}, {"listing_document": " 合市 监〔2026〕1 "},
     {"uscc": "无"}, {"listed_on": "昨天"}, {"uscc": "916230007396999131"}, {"party_name": None, "uscc": None},
     {"listing_document": None}],
)  # fmt: skip
def test_the_key_alone_is_the_key_of_the_row(changes: dict[str, Any], tmp_path: Path) -> None:
    row = listing_row(1, **changes)
    config = sql_config("sqlite:///x.db")
    layout = layout_of(load_mapping("blacklist-notices", MAPPINGS), list(row))
    reader = RowReader(layout, source_context(config, catalog(), tmp_path))
    read, key = reader.read_values(list(row.values()), Place("t", None, 1)), reader.natural_key(list(row.values()))
    if isinstance(read, Row):
        assert key == read.natural_key
    elif "listed_on" in changes:
        assert key == f"{row['listing_document']}|{row['party_name']}", "faulty elsewhere, it is still known"
    else:
        assert isinstance(read, RowFault) and key is None


@pytest.mark.parametrize(
    ("found", "count"),
    [
        (Difference(0, 0, 0, 0, 0, 0), 0),
        (Difference(10, 0, 10, 0, 0, 0), 0),
        (Difference(99, 100, 0, 0, 1, 0), 0),
        (Difference(89, 100, 0, 0, 11, 0), 1),
        (Difference(0, 100, 0, 0, 100, 0), 2),
        (Difference(100, 100, 0, 60, 0, 0), 1),
        (Difference(100_000, 101_001, 0, 0, 1001, 0), 1),
        (Difference(100, 101, 0, 0, 1, 1), 1),
        (Difference(100, 100, 0, 0, 0, 1), 0),
    ],
)
def test_what_is_out_of_bounds(found: Difference, count: int) -> None:
    assert len(reasons(found, SqlSettings(**GIVEN))) == count


def test_of_two_who_decide_one_is_first(tmp_path: Path) -> None:
    portions = HeldPortions(tmp_path, "a")
    portions.hold("abc123", "t", ["why"], {"removed": 3}, [])
    portions.hold("abc123", "t", ["again"], {"removed": 4}, [])
    (held,) = portions.all()
    assert held.reasons == ["why"] and held.verdict is None
    for by, reason in (("", "x"), ("张三", " ")):
        with pytest.raises(UsageError):
            portions.decide("abc123", "released", by=by, reason=reason)
    with pytest.raises(UsageError, match="abc123"):
        portions.decide("../abc123", "released", by="张三", reason="x")
    portions.decide("abc123", "released", by="张三", reason="x")
    with pytest.raises(InputError, match="decided already"):
        portions.decide("abc123", "discarded", by="李四", reason="y")
    assert [held.verdict for held in portions.all()] == ["released"]
    portions.settle("abc123", "let-through")
    assert portions.all() == [] and portions.find("abc123") is None
    assert [entry["what"] for entry in portions.history()] == ["held", "released", "let-through"]


def test_what_is_shown_of_removed_persons_is_masked(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/r.db"
    execute(url, f"CREATE TABLE listing ({BLACKLIST_COLUMNS})")
    rows = [listing_row(n) for n in range(1, 5)]
    rows[0] |= {"party_name": "扎西东智", "certificate_number": "623021185006153029"}
    rows[1] |= {"uscc": "91623000739699913A"}
    insert(url, "listing", rows)
    given: dict[str, Any] = {"table": "listing", "mapping": "blacklist-notices", "mode": "snapshot", "cursor": None}
    source = open_sql(url, tmp_path / "data", **given)
    assert len(drain(source)) == 4
    execute(url, "DELETE FROM listing WHERE rowid < 3")
    time.sleep(0.005)
    assert drain(source) == []
    (held,) = HeldPortions(source._folder, source.name).all()
    assert "扎西东智" not in str(held) and "623021185006153029" not in str(held)
    assert any("91623000739699913A" in line for line in held.preview)


def test_a_mapping_that_changes_reads_what_was_spooled_and_is_known_anew(tmp_path: Path) -> None:
    """An unfinished spool that lacks a column is dropped; the same table under another mapping is told again."""
    url = f"sqlite:///{tmp_path}/r.db"
    execute(url, f"CREATE TABLE inspection ({INSPECTION_COLUMNS}, ny TEXT)")
    insert(url, "inspection", [inspection_row(1)])
    mapping = yaml.safe_load((MAPPINGS / "inspection-results.yaml").read_text(encoding="utf-8"))
    path = tmp_path / "own.yaml"
    given: dict[str, Any] = {"mapping": str(path), "mode": "snapshot", "cursor": None}
    path.write_text(yaml.safe_dump(mapping), encoding="utf-8")
    assert len(drain(open_sql(url, tmp_path / "data", **given), is_finished=False)) == 1
    mapping["columns"].append({"heading": "ny", "field": "item_code", "required": True, "default": "x"})
    mapping["columns"] = [c for c in mapping["columns"] if c["heading"] != "item_code"]
    path.write_text(yaml.safe_dump(mapping), encoding="utf-8")
    assert len(drain(open_sql(url, tmp_path / "data", **given))) == 1
    assert drain(open_sql(url, tmp_path / "data", **given)) == []
    del mapping["columns"][-1]
    path.write_text(yaml.safe_dump(mapping), encoding="utf-8")
    assert len(drain(open_sql(url, tmp_path / "data", **given))) == 1


def test_a_wrong_table_is_named_by_check(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/r.db"
    execute(url, "CREATE TABLE inspection (id INTEGER, behaviour_number TEXT)")
    (problem,) = open_sql(url, tmp_path / "data").check()
    assert "party_name" in problem and "behaviour_number" in problem
    (problem,) = open_sql(f"sqlite:///{tmp_path}/none.db", tmp_path / "data").check()
    assert "none.db" in problem and not (tmp_path / "none.db").exists()
    config, faults = SourceConfig.parse({**sql_config(url).flat(), "cursor": None})
    assert config is None and "needs cursor" in faults[0]


_SPOOLED = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(-(2**70), 2**70), st.text(),
    st.sampled_from(["\ud800", "\x7f\x1f\"\\/"]), st.dates(), st.datetimes(),
    st.decimals(allow_nan=False, allow_infinity=False), st.floats(), st.binary(max_size=4),
    st.lists(st.one_of(st.floats(), st.text(), st.dates()), max_size=2),
)  # fmt: skip


@given(st.lists(_SPOOLED, max_size=5))
def test_a_line_of_a_spool_is_the_same_whichever_writer_wrote_it(row: list[Any]) -> None:
    assert dump(row) == values._encode(row).encode("utf-8", "surrogatepass")


_USUAL = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 5), st.text(max_size=3), st.dates(),
    st.decimals(allow_nan=False, allow_infinity=False, places=2), st.datetimes(),
)  # fmt: skip
_CELLS = st.one_of(_USUAL, _USUAL, _USUAL, _SPOOLED, st.just({"$d": 1}), st.just({"$d": "2026-03-01", "a": 1}))


@given(st.integers(0, 4).flatmap(lambda width: st.lists(st.lists(_CELLS, min_size=width, max_size=width), max_size=5)))
def test_a_batch_of_a_spool_is_written_and_read_as_its_rows_are(rows: list[list[Any]]) -> None:
    lines = dump_all(rows)
    assert lines == list(map(dump, rows)) == dump_all([tuple(row) for row in rows])
    load = loader("gb18030", "UTC")
    # Beside a cell that is read the exact way.
    exact = [load(join([line, b"[0.5]"]))[0] for line in lines]
    for _ in range(2):
        assert repr(load(join(lines))) == repr(exact)


def test_rows_of_a_spool_need_not_be_equally_long_or_short() -> None:
    rows: list[list[Any]] = [["甲", date(2026, 3, 1)], ["乙"], ["丙" * 1_000_001, 1, 2]]
    assert dump_all(rows) == list(map(dump, rows)) and b"$x" in dump_all(rows[2:])[0]
    assert loader("gb18030", "Asia/Shanghai")(join(dump_all(rows[:2]))) == rows[:2]


@pytest.mark.parametrize("cursor", [7, "甲", date(2026, 3, 1), datetime(2026, 3, 1, 9, 30), Decimal("1.50"), None])
def test_a_cursor_is_kept_as_json_and_comes_back(cursor: object) -> None:
    assert loader("utf-8", "Asia/Shanghai")(dump(values.plain(cursor))) == cursor
