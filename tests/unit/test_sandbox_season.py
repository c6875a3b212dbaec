"""The demo season: the same bytes each time, whole in its ingredients, and its manifest is the truth.

The truth is tested by reading every file with the connector and deciding on every row with intake's
own rule, without a broker.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from hub.cli.sandbox import app
from hub.contracts.catalog import Catalog
from hub.errors import UsageError
from hub.intake.build import build_source
from hub.intake.rows import Row, RowFault
from hub.intake.sources import SourceConfig
from hub.intake.versions import EventWriter
from hub.sandbox.generate.columns import KINDS
from hub.sandbox.generate.departments import DEPARTMENTS, HEZUO_MARKET
from hub.sandbox.generate.enterprise import traced_enterprise
from hub.sandbox.generate.manifest import FILE_NAME, PROBLEM_CODES, FileTruth, Manifest, RejectedRow
from hub.sandbox.generate.season import MIN_SIZE, generate_season
from hub.sandbox.generate.waves import WAVES, row_counts
from hub.state.seen_index import SeenRow

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 8, 1, tzinfo=UTC)


class Season(NamedTuple):
    folder: Path
    manifest: Manifest


@pytest.fixture(scope="module")
def season(tmp_path_factory: pytest.TempPathFactory) -> Season:
    folder = tmp_path_factory.mktemp("season")
    return Season(folder, generate_season(folder))


def _bytes(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        generate_season(tmp_path / name, seed, MIN_SIZE)
    first, second, other = (_bytes(tmp_path / name) for name in "abc")
    assert first == second
    assert first.keys() == other.keys() and all(first[name] != other[name] for name in first)


def test_the_manifest_is_written_and_read_back(season: Season) -> None:
    text = (season.folder / FILE_NAME).read_text("utf-8")
    assert Manifest.from_json(text) == season.manifest
    assert json.loads(text)["totals"] == season.manifest.totals


def test_the_numbers_add_up(season: Season) -> None:
    manifest = season.manifest
    for file in manifest.files:
        rejected, later = sum(file.rejected.values()), sum(file.amended.values())
        assert file.rows == file.new + later + file.repeated + rejected
        assert sum(file.events.values()) == file.new + later
        assert rejected == len(file.rejected_rows) == sum(file.problems.values())
    totals = manifest.totals
    assert totals["rows"] == manifest.size == 5000
    assert totals["new"] == len(manifest.entities) == totals["entities"]
    assert sum(entity.version for entity in manifest.entities) == totals["new"] + totals["amended"]
    assert 0.025 < totals["rejected"] / 5000 < 0.035
    assert 0.055 < totals["repeated"] / 5000 < 0.065
    amended = sum(n for type_, n in totals["amended_by_type"].items() if type_.endswith(".amended"))
    assert 0.015 < amended / 5000 < 0.025


@pytest.mark.parametrize("size", [MIN_SIZE, 1777, 5000, 123_457])
def test_the_waves_share_all_rows(size: int) -> None:
    assert sum(row_counts(size)) == size and min(row_counts(size)) > 0


def test_names_and_times_are_in_the_order_of_arrival(season: Season) -> None:
    for by in DEPARTMENTS:
        names = [file.name for file in season.manifest.of_source(by.source)]
        assert names == sorted(names)
        paths = [season.folder / by.source / name for name in names]
        assert sorted(paths, key=lambda p: p.stat().st_mtime_ns) == paths
        assert sorted(p.name for p in (season.folder / by.source).iterdir()) == names
        times = [datetime.fromtimestamp(path.stat().st_mtime, UTC) for path in paths]
        assert [f"{time:%Y-%m-%d}" for time in times] == [name[:10] for name in names]


def test_every_ingredient_is_there(season: Season) -> None:
    manifest, totals = season.manifest, season.manifest.totals
    assert {file.source for file in manifest.files} == {by.source for by in DEPARTMENTS}
    assert {file.kind for file in manifest.files} == set(KINDS)
    assert {file.form for file in manifest.files} == {"csv-utf-8-bom", "csv-utf-8", "csv-gb18030", "xlsx"}
    assert set(totals["rejected_by_fault"]) == set(PROBLEM_CODES)
    assert set(totals["traits"]) == {
        "not-public", "summary", "warning-only", "natural-person", "abnormal", "serious",
    }  # fmt: skip
    assert set(totals["events"]) == {
        "inspection.result.recorded", "inspection.result.amended", "enforcement.penalty.recorded",
        "enforcement.penalty.amended", "blacklist.notice.listed", "blacklist.notice.amended",
        "blacklist.notice.removed", "complaint.lead.received", "complaint.lead.amended",
        "complaint.lead.accepted", "complaint.lead.resolved",
    }  # fmt: skip
    assert totals["warned"] > 0
    assert any({"summary"} == set(entity.traits) for entity in manifest.entities)
    assert any({"warning-only"} == set(entity.traits) for entity in manifest.entities)


def test_facts_lie_before_their_files() -> None:
    for wave in WAVES:
        assert date(2026, 5, 6) <= wave.since <= wave.until < wave.day <= date(2026, 7, 31)


def test_the_traced_enterprise_is_inspected_penalised_listed_and_removed(season: Season) -> None:
    traced = season.manifest.traced
    assert (traced.name, traced.uscc) == (traced_enterprise().name, traced_enterprise().uscc)
    assert [step.event_type for step in traced.steps] == [
        "inspection.result.recorded",
        "enforcement.penalty.recorded",
        "blacklist.notice.listed",
        "blacklist.notice.removed",
    ]
    assert traced.steps[2].natural_key == traced.steps[3].natural_key
    days = [step.day for step in traced.steps]
    assert days == sorted(days) and all(step.day < step.file[:10] for step in traced.steps)


def test_a_season_that_is_too_small_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        generate_season(tmp_path, 1, MIN_SIZE - 1)


class Seen(NamedTuple):
    """What the connector and intake's rule make of one file."""

    events: Counter[str]
    new: int
    repeated: int
    rejected: list[tuple[int, str]]
    warned: int
    rows: list[Row]


class Reader:
    """A source's intake without broker and index."""

    def __init__(self, folder: Path, catalog: Catalog, source: str) -> None:
        by = next(by for by in DEPARTMENTS if by.source == source)
        config = SourceConfig.of({
            "name": source, "folder": folder / source, "department_code": by.code, "department_name": by.name,
            "region_code": by.region, "mappings": list(KINDS), "settle_seconds": 0,
        })  # fmt: skip
        self._source = build_source(config, catalog, folder / ".hub")
        self.portions = list(self._source.portions())
        self._writer = EventWriter(source, self._source.target, catalog.schema, b"season")
        self.index: dict[str, tuple[SeenRow, str]] = {}

    def read(self, at: int) -> Seen:
        seen = Seen(Counter(), 0, 0, [], 0, [])
        portion = self.portions[at]
        items = [item for batch in portion.batches(0) for item in batch.items]
        portion.close()
        new = repeated = warned = 0
        for item in items:
            if isinstance(item, RowFault):
                assert len(item.problems) == 1
                seen.rejected.append((item.place.row, item.problems[0].code))
                continue
            seen.rows.append(item)
            warned += any(w.code == "check-digit" and w.field == "party_uscc" for w in item.warnings)
            identified = self._writer.identify(item)
            before = self.index.get(identified.natural)
            if before is not None and before[0].digest == identified.digest:
                repeated += 1
                continue
            output, after = self._writer.event(identified, before and before[0], NOW)
            type_ = dict(output.headers)["ce_type"].decode()
            new += before is None
            seen.events[type_] += 1
            self.index[identified.natural] = (after, type_)
        return seen._replace(new=new, repeated=repeated, warned=warned)

    def close(self) -> None:
        self._source.close()


def _expected(row: RejectedRow) -> tuple[int, str]:
    return row.row, PROBLEM_CODES[row.fault]


@pytest.mark.parametrize("source", [by.source for by in DEPARTMENTS])
def test_the_connector_makes_of_the_files_what_the_manifest_says(season: Season, source: str) -> None:
    reader = Reader(season.folder, Catalog.load(ROOT), source)
    files = season.manifest.of_source(source)
    assert [portion.name for portion in reader.portions] == [file.name for file in files]
    for at, file in enumerate(files):
        seen = reader.read(at)
        assert seen.rejected == [_expected(row) for row in file.rejected_rows]
        assert (seen.new, seen.repeated, seen.warned) == (file.new, file.repeated, file.warned), file.name
        assert dict(seen.events) == file.events, file.name
        _check_days(file, seen.rows)
    reader.close()
    found = {natural.split("|", 1)[1]: state for natural, state in reader.index.items()}
    assert {key: (row.version, row.state, last) for key, (row, last) in found.items()} == {
        entity.natural_key: (entity.version, entity.state, entity.last_event)
        for entity in season.manifest.entities
        if entity.source == source
    }


def _check_days(file: FileTruth, rows: list[Row]) -> None:
    """No fact is later than its file, and none before May."""
    names = (
        "check_date", "result_date", "decided_date", "listed_date", "removed_date", "received_date",
        "accepted_date", "resolved_date",
    )  # fmt: skip
    days = {row.value[name] for row in rows for name in names if row.value.get(name) is not None}
    assert date(2026, 5, 1) <= min(days) and max(days) < date.fromisoformat(file.name[:10])


def test_the_burst_lists_a_quarter_of_all_rows_at_once(season: Season) -> None:
    files = season.manifest.of_source(HEZUO_MARKET.source)
    burst = max(files, key=lambda file: file.rows)
    assert (burst.name, burst.rows) == ("2026-07-03-经营异常名录.csv", 1250)
    reader = Reader(season.folder, Catalog.load(ROOT), HEZUO_MARKET.source)
    at = [portion.name for portion in reader.portions].index(burst.name)
    rows = reader.read(at).rows
    reader.close()
    reasons = Counter(str(row.value["listing_reason_code"]) for row in rows)
    assert 0.65 < reasons["a1"] / len(rows) < 0.75 and 0.2 < reasons["a4"] / len(rows) < 0.3
    assert {row.value["listed_date"] for row in rows} == {date(2026, 7, 1), date(2026, 7, 2)}
    named = [row.value["party_name"] for row in rows]
    assert len(set(named)) == len(named)


def test_a_result_that_is_not_public_has_a_reason(season: Season) -> None:
    reader = Reader(season.folder, Catalog.load(ROOT), HEZUO_MARKET.source)
    hidden = [row for at in range(3) for row in reader.read(at).rows if row.value.get("is_public") is False]
    reader.close()
    assert hidden and all(row.value["nonpublic_reason"] for row in hidden)


def test_the_command_writes_a_season(tmp_path: Path) -> None:
    arguments = ["generate", "--folder", str(tmp_path), "--seed", "5", "--size", str(MIN_SIZE)]
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exit_code == 0
    manifest = Manifest.from_json((tmp_path / FILE_NAME).read_text("utf-8"))
    assert {k: v for k, v in json.loads(result.stdout).items() if k in manifest.totals} == manifest.totals
    told = CliRunner().invoke(app, arguments)
    assert told.exit_code == 0 and manifest.traced.name in told.stdout
    assert CliRunner().invoke(app, [*arguments[:-1], "3"]).exit_code == 2


def test_the_command_writes_one_file_without_faults(tmp_path: Path) -> None:
    path = tmp_path / HEZUO_MARKET.source / "many.csv"
    arguments = ["bulk", "--file", str(path), "--kind", "penalties", "--rows", "300", "--form", "csv-gb18030"]
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert json.loads(result.stdout)["bytes"] == path.stat().st_size
    os.utime(path, (0, (datetime.now(UTC) - timedelta(hours=1)).timestamp()))
    reader = Reader(tmp_path, Catalog.load(ROOT), HEZUO_MARKET.source)
    seen = reader.read(0)
    reader.close()
    assert (seen.new, seen.repeated, seen.rejected) == (300, 0, [])
    assert CliRunner().invoke(app, [*arguments[:-1], "parquet"]).exit_code == 2
