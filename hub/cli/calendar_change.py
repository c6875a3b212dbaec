"""``hub calendar list|add|diff|publish``: changing a calendar, and seeing what that moves before it counts."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hub.cli.common import AsJson, Data, print_json, settings_of
from hub.domain.calendar import SHANGHAI, Calendar
from hub.errors import HubError, InputError, UsageError

if TYPE_CHECKING:
    from hub.clocks.calendar_desk import CalendarDesk, Comparison, Difference
    from hub.clocks.calendar_preview import Moved
    from hub.settings import Settings

_SHOWN = 20
_LINE_SECONDS = 2.0
_WEEKDAYS = "一二三四五六日"
Name = Annotated[str | None, typer.Argument(metavar="[NAME]", help="日历，默认全部 / a calendar, default all")]


def open_desk(data: Path | None = None) -> CalendarDesk:
    """Calendars and clocks of the hub that the settings name."""
    # Here, not above: the wiring brings every stage and client library, which `due` does not need.
    from hub.wiring import calendar_desk

    return calendar_desk(settings_of(data))


def list_calendars(data: Data = None, as_json: AsJson = False) -> None:
    """Calendars: years, version of the file, every version ever in force, and whether the file differs from it.

    Without a hub that runs, only the files are listed.
    """
    from hub.contracts.calendars import load_calendars

    with _errors():
        settings = settings_of(data)
        files = load_calendars(settings.home)
        try:
            _ = settings.bootstrap
        except UsageError:
            log = None
        else:
            log = open_desk(data).log()
    found = []
    for name, file in files.items():
        versions = log.of(name) if log is not None else []
        current = versions[-1].calendar if versions else None
        found.append({
            "calendar": name, "title": file.title, "extends": file.base,
            "first_year": file.first_year, "last_year": file.last_year, "file": file.version,
            "in_force": current.version if current else (file.version if log is not None else None),
            "is_published": current is not None,
            "differs": current is not None and current.version != file.version,
            "versions": [
                {
                    "version": each.calendar.version, "published_at": each.published_at,
                    "published_by": each.published_by, "notice": each.notice, "change_id": each.change_id,
                }
                for each in versions
            ],
        })
    if as_json:
        print_json(found)
        return
    if log is None:
        typer.echo("没有运行中的枢纽，只列文件 (no hub runs: files only)", err=True)
    for line in found:
        _print_calendar(line, log is not None)


def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="日历 / calendar: cn, gannan …")],
    day: Annotated[str | None, typer.Argument(metavar="[DATE]", help="YYYY-MM-DD")] = None,
    rest: Annotated[str | None, typer.Option(help="休息，节日名称 / a day off, with its title")] = None,
    work: Annotated[str | None, typer.Option(help="周末上班，节日名称 / a worked weekend day, with its title")] = None,
    notice: Annotated[str | None, typer.Option(help="依据文件，如文号 / the notice that says so")] = None,
    year: Annotated[int | None, typer.Option(help="整年 / a whole year, with --from")] = None,
    source: Annotated[
        Path | None, typer.Option("--from", help="该年的 notice, rest, work / YAML file of the year")
    ] = None,
    data: Data = None,
) -> None:
    """Writes a day or a year into the file of a calendar. It counts only once it is published.

    A day that cannot be right is refused with file, day and what would be right; nothing is written then.
    """
    from hub.contracts.calendar_files import add_day, add_year

    with _errors():
        home = settings_of(data).home
        if year is not None:
            if source is None or day or rest or work:
                raise UsageError("整年：hub calendar add NAME --year YEAR --from FILE.yaml (a year comes from a file)")
            path = add_year(home, name, year, source, notice)
            typer.echo(f"已写入 {path}：{year}年 (added: {year})")
        else:
            if day is None or source is not None or bool(rest) is bool(work):
                raise UsageError(
                    "单日：hub calendar add NAME DATE --rest TITLE 或 --work TITLE，加 --notice TEXT"
                    " (a day is either a day off or a worked one)"
                )
            if not (notice or "").strip():
                raise UsageError("缺少依据文件 --notice (the notice is missing)")
            path = add_day(home, name, _parse_date(day), "rest" if rest else "work", rest or work or "", notice or "")
            typer.echo(f"已写入 {path}：{day} {'休息' if rest else '上班'}（{rest or work}） (added)")
    typer.echo("尚未生效。查看影响：hub calendar diff；生效：hub calendar publish (not in force yet)")


def diff(name: Name = None, data: Data = None, as_json: AsJson = False) -> None:
    """What publishing would change: days, and every open clock that would move. Exit 0 nothing differs, 1 differs."""
    with _errors():
        seen = open_desk(data).compare(name)
    if as_json:
        print_json(_as_data(seen))
    else:
        _print_comparison(seen, None)
    raise typer.Exit(0 if seen.is_same else 1)


def publish(
    notice: Annotated[str, typer.Option(help="依据文件或原因 / notice or reason")],
    by: Annotated[str, typer.Option(help="发布人 / who publishes")],
    name: Name = None,
    yes: Annotated[bool, typer.Option("--yes", help="不再询问 / does not ask")] = False,
    patience: Annotated[
        float, typer.Option(min=1, help="多少秒没有进展即停止等待 / seconds without progress until it stops waiting")
    ] = 30.0,
    data: Data = None,
) -> None:
    """Puts the files into force and waits until every open clock is counted anew. Exit 0 done, 1 not yet.

    A calendar is published with what it extends and what extends it. Called again it publishes nothing twice
    and goes on showing the progress.
    """
    if not notice.strip() or not by.strip():
        typer.echo("错误 error: --notice 和 --by 不能为空 (must not be empty)", err=True)
        raise typer.Exit(2)
    with _errors():
        desk = open_desk(data)
        seen = desk.compare(name)
        _print_comparison(seen, _SHOWN)
        if all(each.is_published for each in seen.calendars):
            typer.echo("已经生效，不再发布 (in force already: nothing is published)")
        else:
            if not yes:
                typer.confirm("确认发布? publish?", abort=True)
            _publish(settings_of(data), desk, seen, notice.strip(), by.strip())
        _wait(desk, seen, patience)


def _publish(settings: Settings, desk: CalendarDesk, seen: Comparison, notice: str, by: str) -> None:
    from hub.cli.on_record import on_record  # it brings the wiring: see open_desk

    names = ",".join(each.name for each in seen.calendars)
    moved = [("clocks to count anew", str(len(seen.preview.behind))), ("clocks moved", str(len(seen.preview.moved)))]
    with on_record(settings, "calendar.publish", names, notice, by=by, details=moved) as outcome:
        for change in desk.publish(seen, notice=notice, by=by, at=datetime.now(UTC)):
            outcome.append(change.calendar.version)
            typer.echo(f"已发布 {change.calendar.version}  {change.change_id} (published)")


# -- what people see --------------------------------------------------------------------------


def _print_calendar(line: dict[str, Any], is_hub_there: bool) -> None:
    base = f"，含 {line['extends']}" if line["extends"] else ""
    typer.echo(f"{line['calendar']}  {line['title']}  {line['first_year']}-{line['last_year']}{base}")
    if not line["versions"]:
        note = "（未发布过，以文件为准 never published: the file counts）" if is_hub_there else ""
        typer.echo(f"  文件 file  {line['file']}{note}")
        return
    note = "不同，见 hub calendar diff (differs)" if line["differs"] else "相同 (the same)"
    typer.echo(f"  文件 file  {line['file']}  {note}")
    for number, each in enumerate(reversed(line["versions"])):
        mark = "生效 in force" if number == 0 else "曾用 before"
        at = each["published_at"].astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M:%S")
        typer.echo(f"  {mark}  {each['version']}  {at}  {each['published_by']}  {each['notice']}")


def _print_comparison(seen: Comparison, limit: int | None) -> None:
    for each in seen.calendars:
        typer.echo(_headline(each))
        for year in each.years_added:
            typer.echo(f"  {year}年  新公布 (published for the first time)")
        for year in each.years_removed:
            typer.echo(f"  {year}年  撤回公布 (no longer published)")
        for change in each.days:
            weekday = _WEEKDAYS[change.day.weekday()]
            typer.echo(f"  {change.day} 星期{weekday}  {change.before} → {change.after}")
    found = seen.preview
    typer.echo(
        f"未结时限 {found.open}，须重算 {len(found.behind)}，日期变动 {len(found.moved)}"
        f" ({found.open} open clocks, {len(found.behind)} to count anew, {len(found.moved)} move)"
    )
    for rule, count in found.by_rule().items():
        typer.echo(f"  {rule}: {count}")
    for moved in found.moved[:limit]:
        typer.echo("\t".join((moved.clock_id, moved.rule, moved.subject, _move(moved))))
    if limit is not None and len(found.moved) > limit:
        typer.echo(f"  …另有{len(found.moved) - limit}个：hub calendar diff (and more)")


def _headline(each: Difference) -> str:
    head = f"日历 {each.name} {each.file.title}："
    if each.previous is None:
        return f"{head}未发布过，文件 {each.file.version} (never published)"
    if each.is_published:
        return f"{head}与生效版本相同 {each.file.version} (as in force)"
    return f"{head}生效 {each.previous.version} → 文件 {each.file.version} (differs)"


def _move(moved: Moved) -> str:
    before = f"{moved.old_due}{' 暂定' if moved.was_provisional else ''}"
    return f"{before} → {moved.new_due}{' 暂定' if moved.is_provisional else ''}"


def _as_data(seen: Comparison) -> dict[str, Any]:
    return {
        "is_same": seen.is_same,
        "calendars": [
            {
                "calendar": each.name, "in_force": _version(each.previous), "file": each.file.version,
                "is_published": each.is_published, "years_added": each.years_added,
                "years_removed": each.years_removed, "days": [change._asdict() for change in each.days],
            }
            for each in seen.calendars
        ],
        "clocks": {
            "open": seen.preview.open, "to_count_anew": len(seen.preview.behind),
            "by_rule": seen.preview.by_rule(), "moved": [moved._asdict() for moved in seen.preview.moved],
        },
    }


def _version(calendar: Calendar | None) -> str | None:
    return calendar.version if calendar else None


# -- waiting ----------------------------------------------------------------------------------


def _wait(desk: CalendarDesk, seen: Comparison, patience: float) -> None:
    """Shows how the open clocks are counted anew. Exit 1 if that comes to a standstill."""
    total = len(seen.preview.behind)
    left, changed_at = total, monotonic()
    try:
        with _shown(total) as show:
            for left_now in desk.follow(seen):
                now = monotonic()
                if left_now != left:
                    left, changed_at = left_now, now
                    total = max(total, left)
                show(total - left, total)
                if left and now - changed_at > patience:
                    break
    except KeyboardInterrupt:
        _go_on("已中断 (interrupted)", left)
    if left:
        _go_on(
            f"{patience:.0f}秒内没有时限被重算，时限服务可能没有运行：hub run clocks"
            " (no clock was counted anew: does the clocks stage run?)",
            left,
        )
    typer.echo(f"完成：{total}个未结时限已按新日历计算 (done: {total} open clocks count by it)")


def _go_on(reason: str, left: int) -> None:
    typer.echo(reason, err=True)
    typer.echo(
        f"日历已生效，还有{left}个时限待重算；再次执行本命令可继续查看进度，不会重复发布"
        f" (it is in force, {left} clocks are left; the same command again shows the progress)",
        err=True,
    )
    raise typer.Exit(1)


@contextmanager
def _shown(total: int) -> Iterator[Any]:
    """A function that shows (done, total): as a bar on a terminal, else as a line now and then."""
    if not sys.stdout.isatty():
        yield _Lines()
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("重算时限"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        task = progress.add_task("", total=total)
        yield lambda done, all_of: progress.update(task, completed=done, total=all_of)


class _Lines:
    def __init__(self) -> None:
        self._last: tuple[int, int] | None = None
        self._next = 0.0

    def __call__(self, done: int, total: int) -> None:
        is_end = done == total
        if (done, total) == self._last or (not is_end and monotonic() < self._next):
            return
        self._last, self._next = (done, total), monotonic() + _LINE_SECONDS
        typer.echo(f"重算 {done}/{total}")


def _parse_date(text: str) -> date:
    try:
        if len(text) == 10 and text[4] == text[7] == "-":
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise InputError(f"{text!r} 不是 YYYY-MM-DD 日期 (not a date)")


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except (UsageError, InputError) as error:
        typer.echo(f"错误 error: {error}", err=True)
        raise typer.Exit(2) from error
    except HubError as error:
        typer.echo(f"错误 error: {error}", err=True)
        raise typer.Exit(1) from error
