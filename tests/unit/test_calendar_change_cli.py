"""``hub calendar list|add|diff|publish`` without a broker: what is shown, asked, written, refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path

import pytest
import structlog
from typer.testing import CliRunner

from hub.cli import calendar_change
from hub.cli.calendar import app
from hub.clocks.calendar_desk import CalendarDesk, Comparison
from hub.clocks.calendars import CalendarChange, CalendarLog
from hub.contracts.calendar_files import add_day
from hub.contracts.calendars import load_calendars
from hub.domain.calendar import Calendar
from hub.domain.clock_fold import apply
from hub.domain.clocks import ClockState
from hub.errors import UsageError
from tests.support_clocks import CALENDARS, RULES, SUBJECT, at, signal
from tests.support_contracts import ROOT, catalog


def clock(entity: str, counts_from: str) -> ClockState:
    start = signal("start", entity, counts_from, counts_from=counts_from, entity=entity)
    return apply(None, start, RULES["disclose"], CALENDARS["gannan"])[0]


EARLY, LATE = clock("e1", "2026-09-01"), clock("e2", "2026-09-30")


class Desk(CalendarDesk):
    """A desk on a log in memory, with two clocks."""

    def __init__(self, files: Mapping[str, Calendar]) -> None:
        super().__init__("nowhere", catalog(), RULES, files)
        self.kept = CalendarLog()
        self.progress = [0]
        self.acts: list[tuple[str, str, str]] = []

    def log(self) -> CalendarLog:
        log = CalendarLog()
        for name in self.files:
            for change in self.kept.of(name):
                log.add(change)
        return log

    def ends(self) -> Mapping[int, int]:
        return {}

    def states(self) -> Iterable[ClockState]:
        return [EARLY, LATE]

    def publish(self, seen: Comparison, *, notice: str, by: str, at: datetime) -> list[CalendarChange]:
        changes = self.log().changes_to([each.file for each in seen.calendars], notice=notice, by=by, at=at)
        return [change for change in changes if self.kept.add(change)]

    def follow(self, seen: Comparison) -> Iterator[int]:
        yield from self.progress


@pytest.fixture(autouse=True)
def log_as_before() -> Iterator[None]:
    """A command sends the log to its standard error, which ends with it here."""
    yield
    structlog.reset_defaults()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(ROOT / "reference" / "calendars", tmp_path / "reference" / "calendars")
    monkeypatch.setenv("HUB_HOME", str(tmp_path))
    monkeypatch.setenv("HUB_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("HUB_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    return tmp_path


@pytest.fixture
def desk(home: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """The files have two days off more than what is in force."""
    made = Desk(CALENDARS)
    for change in made.kept.changes_to(CALENDARS.values(), notice="初次", by="张三", at=at("2026-10-01")):
        made.kept.add(change)
    for day in (20, 21):
        add_day(home, "gannan", date(2026, 10, day), "rest", "藏历新年", "决定")
    made.files = load_calendars(home)
    monkeypatch.setattr(calendar_change, "open_desk", lambda data=None: made)

    @contextmanager
    def on_record(settings: object, kind: str, target: str, reason: str, **more: object) -> Iterator[list[str]]:
        made.acts.append((kind, target, reason))
        yield []

    monkeypatch.setattr("hub.cli.on_record.on_record", on_record)
    return made


def run(*arguments: str, answer: str = "") -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(arguments), input=answer)
    return result.exit_code, result.stdout, result.stderr


PUBLISH = ("publish", "--notice", "州政办发〔2026〕3号", "--by", "张三")


def test_add_writes_the_file_and_says_how_it_goes_on(home: Path) -> None:
    code, out, _ = run("add", "gannan", "2026-02-24", "--rest", "藏历新年", "--notice", "决定")
    assert code == 0
    assert "gannan.yaml" in out and "hub calendar publish" in out
    assert not load_calendars(home)["gannan"].is_working_day(date(2026, 2, 24))


def test_add_takes_a_year_from_a_file(home: Path) -> None:
    (home / "2027.yaml").write_text("notice: 通知\nrest: {元旦: [2027-01-01]}\n")
    assert run("add", "cn", "--year", "2027", "--from", str(home / "2027.yaml"))[0] == 0
    assert load_calendars(home)["cn"].last_year == 2027


@pytest.mark.parametrize(
    "arguments",
    [
        ("gannan", "2026-10-03", "--rest", "某节", "--notice", "x"),
        ("gannan", "2026-10-9", "--rest", "某节", "--notice", "x"),
        ("gannan", "2026-10-09", "--rest", "某节"),
        ("gannan", "2026-10-09", "--notice", "x"),
        ("gannan", "2026-10-09", "--rest", "某节", "--work", "某节", "--notice", "x"),
        ("gannan", "--rest", "某节", "--notice", "x"),
        ("cn", "--year", "2027"),
        ("lhasa", "2026-10-09", "--rest", "某节", "--notice", "x"),
    ],
)
def test_a_wrong_add_is_exit_2_and_writes_nothing(home: Path, arguments: tuple[str, ...]) -> None:
    code, out, err = run("add", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("错误 error: ")
    assert load_calendars(home)["gannan"].version == CALENDARS["gannan"].version


def test_list_without_a_hub_shows_the_files(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HUB_BOOTSTRAP_SERVERS")
    code, out, err = run("list", "--json")
    assert (code, "no hub runs" in err) == (0, False)
    cn, gannan = json.loads(out)
    assert (cn["calendar"], cn["extends"], cn["last_year"], cn["in_force"]) == ("cn", None, 2026, None)
    assert (gannan["extends"], gannan["file"]) == ("cn", CALENDARS["gannan"].version)
    code, out, err = run("list")
    assert "cn  全国工作日历  2010-2026" in out and "no hub runs" in err


def test_list_shows_versions_and_whether_the_file_differs(desk: Desk) -> None:
    cn, gannan = json.loads(run("list", "--json")[1])
    assert (cn["differs"], gannan["differs"]) == (False, True)
    assert gannan["in_force"] == CALENDARS["gannan"].version != gannan["file"]
    assert [each["notice"] for each in gannan["versions"]] == ["初次"]
    out = run("list")[1]
    assert "不同" in out and "生效 in force" in out and "2026-10-01 08:00:00" in out
    desk.kept = CalendarLog()
    assert "never published" in run("list")[1]


def test_diff_names_days_and_the_clocks_that_move(desk: Desk) -> None:
    code, out, _ = run("diff", "gannan")
    assert code == 1
    assert "2026-10-20 星期二  上班 → 休息（藏历新年）" in out
    assert f"{LATE.clock_id}\tdisclose\t{SUBJECT}\t2026-11-04 → 2026-11-06" in out
    assert "  disclose: 1\n" in out
    assert EARLY.clock_id not in out
    found = json.loads(run("diff", "--json")[1])
    assert found["is_same"] is False
    assert [each["calendar"] for each in found["calendars"]] == ["cn", "gannan"]
    assert found["calendars"][0]["days"] == []
    assert found["calendars"][1]["days"][0] == {
        "day": "2026-10-20", "before": "上班", "after": "休息（藏历新年）"
    }
    assert (found["clocks"]["open"], found["clocks"]["to_count_anew"]) == (2, 2)
    assert found["clocks"]["by_rule"] == {"disclose": 1}
    (moved,) = found["clocks"]["moved"]
    assert (moved["rule"], moved["old_due"], moved["new_due"]) == ("disclose", "2026-11-04", "2026-11-06")


def test_diff_is_exit_0_where_nothing_differs(desk: Desk) -> None:
    desk.files = CALENDARS
    assert run("diff")[0] == 0
    # Never published, and every clock counts by the files.
    desk.kept = CalendarLog()
    assert run("diff")[0] == 0
    assert json.loads(run("diff", "--json")[1])["calendars"][0]["in_force"] is None


def test_diff_of_a_calendar_that_is_not_there_is_misuse(desk: Desk) -> None:
    assert run("diff", "lhasa")[0] == 2


def test_publish_asks_first(desk: Desk) -> None:
    code, out, _ = run(*PUBLISH, answer="n\n")
    assert code == 1
    assert "2026-11-04 → 2026-11-06" in out
    assert len(desk.kept.of("gannan")) == 1 and desk.acts == []


def test_publish_writes_what_differs_and_waits(desk: Desk) -> None:
    desk.progress = [2, 1, 0]
    code, out, _ = run(*PUBLISH, answer="y\n")
    assert code == 0
    change = desk.kept.of("gannan")[-1]
    assert (change.notice, change.published_by, change.number) == ("州政办发〔2026〕3号", "张三", 2)
    assert change.previous_version == CALENDARS["gannan"].version
    assert len(desk.kept.of("cn")) == 1
    (act,) = desk.acts
    assert act[0] == "calendar.publish" and "gannan" in act[1] and act[2] == "州政办发〔2026〕3号"
    assert f"已发布 {change.calendar.version}" in out
    assert "重算 0/2\n" in out and "重算 2/2\n" in out and "done: 2 open clocks" in out


def test_publish_again_publishes_nothing_and_goes_on_showing(desk: Desk) -> None:
    assert run(*PUBLISH, "--yes")[0] == 0
    code, out, _ = run(*PUBLISH, "gannan")
    assert code == 0
    assert "nothing is published" in out
    assert [change.number for change in desk.kept.of("gannan")] == [1, 2]


def test_publish_says_so_where_nobody_counts(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter(range(1000))
    monkeypatch.setattr("hub.cli.calendar_change.monotonic", lambda: float(next(seconds)))
    desk.progress = [2] * 100
    code, _, err = run(*PUBLISH, "--yes", "--patience", "5")
    assert code == 1
    assert "hub run clocks" in err and "2 clocks are left" in err
    assert len(desk.kept.of("gannan")) == 2


def test_publish_says_how_to_go_on_when_interrupted(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def follow(seen: Comparison) -> Iterator[int]:
        yield 2
        raise KeyboardInterrupt

    monkeypatch.setattr(desk, "follow", follow)
    code, _, err = run(*PUBLISH, "--yes")
    assert code == 1
    assert "interrupted" in err and "the same command again" in err


@pytest.mark.parametrize("missing", [("--notice", " ", "--by", "x"), ("--notice", "x", "--by", ""), ("--by", "x")])
def test_publish_needs_notice_and_person(desk: Desk, missing: tuple[str, ...]) -> None:
    assert run("publish", *missing, "--yes")[0] == 2
    assert len(desk.kept.of("gannan")) == 1


def test_what_changed_since_it_was_looked_at_is_not_published(desk: Desk) -> None:
    seen = desk.compare()
    for change in desk.kept.changes_to(desk.files.values(), notice="文", by="李四", at=at("2026-10-02")):
        desk.kept.add(change)
    with pytest.raises(UsageError, match="look again"):
        CalendarDesk.publish(desk, seen, notice="文", by="张三", at=at("2026-10-02"))
