"""What every source promises (``hub/intake/rows.py``), asked of every connector.

A connector joins with a harness in ``sources.py``. What it cannot do it declares there with the reason;
the test is then skipped with that reason, and never otherwise.
"""

from __future__ import annotations

import logging
import pickle
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import structlog

from hub.intake import Batch, Counts, InputError, LoggedProblem, Place, Portion, Problem, Row, RowFault, SourceConfig
from hub.intake.beside.readers import Beside, Readers
from hub.intake.registry import CONNECTORS
from tests.contract.sources import FEATURES, HARNESSES, Harness
from tests.support_intake import ROOT

Item = Row | RowFault
#: More than two batches of every connector.
MANY = 2300


@pytest.fixture(params=HARNESSES, ids=lambda harness: harness.name)
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Harness]:
    kind: type[Harness] = request.param
    made = kind(tmp_path, request.getfixturevalue(kind.needs) if kind.needs else None)
    yield made
    made.end()


def needs(harness: Harness, feature: str) -> None:
    assert feature in FEATURES
    if feature in harness.cannot:
        pytest.skip(f"{harness.name} declares: {harness.cannot[feature]}")


def many() -> list[dict[str, Any]]:
    return [{"number": number, "remark": f"第{number}行"} for number in range(1, MANY + 1)]


def one_portion(harness: Harness) -> Portion:
    portion = next(iter(harness.open().portions()))
    assert portion is not None
    return portion


def read(portion: Portion, behind: int = 0) -> list[Item]:
    return [item for batch in portion.batches(behind) for item in batch.items]


def contents(items: list[Item]) -> list[Any]:
    return [(item.natural_key, item.value) if isinstance(item, Row) else item.problems for item in items]


def finish(portion: Portion) -> None:
    problem = Problem("date", "日期", "check_date", "昨天", "日期无法识别", "应为 2026-03-01")
    problems = iter([LoggedProblem(Place("x", None, 1), problem, True)])
    portion.finish(Counts(read=1, rejected={"date": 1}), problems)


def test_every_connector_of_the_hub_has_a_harness() -> None:
    assert {name for name in CONNECTORS if any(h.name.startswith(name) for h in HARNESSES)} == set(CONNECTORS)
    for made in HARNESSES:
        assert set(made.cannot) <= set(FEATURES) and all(made.cannot.values())


def test_it_says_where_its_rows_go(harness: Harness) -> None:
    source = harness.open()
    assert source.name == "contract-source"
    assert source.target(kind_of(harness)) == harness.target
    assert dict(source.topics) == dict([harness.target])


def kind_of(harness: Harness) -> str:
    harness.put([{"number": 1}])
    portion = one_portion(harness)
    (row,) = read(portion)
    portion.close()
    assert isinstance(row, Row)
    return row.kind


def test_identity_and_rows_are_the_same_after_a_restart(harness: Harness) -> None:
    harness.put(many())
    first = one_portion(harness)
    known, told = first.identity, contents(read(first))
    assert len(told) == MANY
    first.close()
    second = one_portion(harness)
    assert second.identity == known and second.name == first.name
    assert contents(read(second)) == told
    second.close()


def test_another_content_is_another_identity(harness: Harness) -> None:
    harness.put([{"number": 1}])
    first = one_portion(harness)
    read(first)
    known = first.identity
    finish(first)
    first.close()
    harness.put([{"number": 1, "remark": "改"}, {"number": 2}])
    time.sleep(0.005)
    second = one_portion(harness)
    assert second.identity != known
    second.close()


def test_it_resumes_at_every_boundary(harness: Harness) -> None:
    harness.put(many())
    whole = one_portion(harness)
    batches: list[Batch] = list(whole.batches(0))
    whole.close()
    items = [item for batch in batches for item in batch.items]
    ends = [batch.rows_read for batch in batches]
    assert len(ends) > 2 and ends == sorted(ends) and ends[-1] == MANY
    given = 0
    for batch in batches:
        given += len(batch.items)
        assert batch.rows_read == given, "rows_read is the number of items given so far"
    for behind in [*ends, 1, ends[0] - 1, ends[0] + 1]:
        portion = one_portion(harness)
        rest = list(portion.batches(behind))
        assert contents([item for batch in rest for item in batch.items]) == contents(items[behind:])
        assert not rest or rest[-1].rows_read == MANY
        portion.close()


def test_a_process_beside_reads_the_same(harness: Harness) -> None:
    harness.put(many())
    portion = one_portion(harness)
    handle = portion.handle() if hasattr(portion, "handle") else None
    assert handle is not None
    assert MANY / 3 < handle.rows < MANY * 3
    content = pickle.loads(pickle.dumps(handle.content))
    twin = reopened(harness, content)
    assert twin.identity == portion.identity and twin.name == portion.name
    told = [(batch.rows_read, batch.done, contents(list(batch.items))) for batch in portion.batches(7)]
    assert [(batch.rows_read, batch.done, contents(list(batch.items))) for batch in twin.batches(7)] == told
    twin.close()
    again = reopened(harness, content)
    harness.change(portion)
    with pytest.raises(InputError):
        read(again)
    again.close()
    with pytest.raises(InputError):
        read(reopened(harness, content))
    portion.close()


def test_a_process_of_its_own_finds_the_connector(harness: Harness) -> None:
    harness.put(many())
    portion = one_portion(harness)
    config = SourceConfig.of(harness.entry(), harness.folder)
    beside = Beside(Readers(ROOT, most=1, least_rows=0), config, harness.data, b"only-for-tests", {})
    reading = beside.begin(portion, 7)
    assert reading is not None
    with closing(reading):
        told = [tuple(columns.reached) for columns in reading]
    assert told == [(batch.rows_read, batch.done, batch.skipped) for batch in portion.batches(7)]
    beside.rest()
    portion.close()


def reopened(harness: Harness, content: object) -> Portion:
    source: Any = harness.open()
    twin: Portion = source.reopen(content)
    return twin


def test_a_reading_that_stops_leaves_no_trace(harness: Harness) -> None:
    harness.put(many())
    portion = one_portion(harness)
    batches = portion.batches(0)
    first = next(iter(batches))
    portion.close()
    again = one_portion(harness)
    assert contents(read(again))[: len(first.items)] == contents(list(first.items))
    again.close()


def test_a_row_that_cannot_be_taken_is_a_fault_in_its_place(harness: Harness) -> None:
    harness.put([
        {"number": 1}, {"number": 2, "date": "昨天"}, {"number": 3, "remark": "长" * 3000}, {"number": 4},
        {"number": 5, "date": "2026-02-30"},
    ])  # fmt: skip
    portion = one_portion(harness)
    items = read(portion)
    portion.close()
    assert [isinstance(item, Row) for item in items] == [True, False, False, True, False]
    for item in items:
        if isinstance(item, RowFault):
            assert item.problems and len(item.digest) == 16
            assert all(problem.code and problem.problem and problem.remedy for problem in item.problems)
    assert items[1].place.row < items[4].place.row


@pytest.mark.parametrize(
    "text", ["𠮷野家 ཀན་ལྷོ།", "a\tb", "“引号”, ''; DROP", "0", "=1+1 说明", "é" * 200], ids=lambda text: text[:4]
)
def test_texts_arrive_as_they_are(harness: Harness, text: str) -> None:
    if text.startswith("=") and harness.has_files:
        text = text[1:]  # a formula costs a file its row, on purpose
    harness.put([{"number": 1, "remark": text, "party": f"合作市{text[:3].strip()}有限责任公司"}])
    portion = one_portion(harness)
    (row,) = read(portion)
    portion.close()
    assert isinstance(row, Row) and row.value["remark"] == text


def test_nothing_is_nothing(harness: Harness) -> None:
    needs(harness, "null")
    harness.put([{"number": 1, "remark": None}, {"number": 2, "remark": ""}, {"number": 3, "date": None}])
    portion = one_portion(harness)
    first, second, third = read(portion)
    portion.close()
    assert isinstance(first, Row) and isinstance(second, Row)
    assert first.value.get("remark") is None and second.value.get("remark") is None
    assert isinstance(third, RowFault) and third.problems[0].code == "required"


def test_bytes_are_read_or_a_fault(harness: Harness) -> None:
    needs(harness, "bytes")
    good = "雪域牦牛乳业有限公司"
    harness.put([
        {"number": 1, "party": good.encode("gb18030")}, {"number": 2, "party": b"\xff\xff\xff"}, {"number": 3},
    ])  # fmt: skip
    portion = one_portion(harness)
    first, second, third = read(portion)
    portion.close()
    assert isinstance(first, Row) and first.value["party_name"] == good
    assert isinstance(second, RowFault) and second.problems[0].code == "encoding"
    assert isinstance(third, Row)


def test_finish_can_be_said_twice_and_ends_it(harness: Harness) -> None:
    harness.put([{"number": 1}, {"number": 2}])
    portion = one_portion(harness)
    read(portion)
    finish(portion)
    if harness.name != "export-folder":  # a file has moved; its own test has the kill in between
        finish(portion)
    portion.close()
    time.sleep(0.005)
    source = harness.open()
    assert not source.waits()
    if "repeat-is-silent" not in harness.cannot:
        assert list(source.portions()) == []
    source.close()


def test_it_can_be_closed_at_any_time(harness: Harness) -> None:
    harness.put([{"number": 1}])
    source = harness.open()
    portion = next(iter(source.portions()))
    portion.close()
    portion.close()
    source.close()
    source.close()
    assert len(read(one_portion(harness))) == 1


def test_what_changes_underneath_is_said(harness: Harness) -> None:
    harness.put(many())
    portion = one_portion(harness)
    batches = portion.batches(0)
    next(iter(batches))
    harness.change(portion)
    with pytest.raises(InputError):
        list(batches)
    portion.close()


def test_check_keeps_and_publishes_nothing(harness: Harness) -> None:
    harness.put([{"number": 1}])
    source = harness.open()
    assert source.check() == []
    source.close()
    portion = one_portion(harness)
    assert len(read(portion)) == 1
    portion.close()


def test_settings_that_are_unknown_or_missing_are_named(harness: Harness) -> None:
    given = {**harness.entry(), "no_such_setting": 1, "region_code": "甘南"}
    names = {"export-folder": "folder", "sftp-folder": "host", "template": "database", "lead-feed": "url"}
    required = names.get(harness.name, "mapping")
    del given[required]
    config, faults = SourceConfig.parse(given, harness.folder)
    assert config is None
    assert {fault.partition(":")[0] for fault in faults} >= {"no_such_setting", "region_code", required}


def test_secrets_are_in_no_words(harness: Harness, caplog: pytest.LogCaptureFixture) -> None:
    needs(harness, "secret")
    harness.put([{"number": 1}])
    config = SourceConfig.of(harness.entry(), harness.folder)
    told: list[str] = [repr(config), str(config), str(config.flat())]
    with caplog.at_level(logging.DEBUG), structlog.testing.capture_logs() as logs:
        source = harness.open()
        portion = next(iter(source.portions()))
        told += [repr(source), repr(portion), portion.identity, portion.name]
        read(portion)
        portion.close()
        source.close()
    told += [str(logs), caplog.text]
    _, faults = SourceConfig.parse({**harness.entry(), "password": ["a-word-of-the-tests"]}, harness.folder)
    assert faults
    assert not any("a-word-of-the-tests" in text for text in [*told, *faults])

