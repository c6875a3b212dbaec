"""``hub calendar``: when a period of working days ends. What changes a calendar is in ``calendar_change``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import date
from enum import StrEnum
from typing import Annotated

import typer

from hub.cli import calendar_change
from hub.contracts.calendars import load_calendars
from hub.domain.calendar import Calendar
from hub.errors import HubError, InputError
from hub.settings import load

app = typer.Typer(help="工作日计算 / working days", no_args_is_help=True)

_CHUNK = 2000


class CalendarName(StrEnum):
    """Calendars by the names of their files."""

    cn = "cn"
    gannan = "gannan"


app.command("list")(calendar_change.list_calendars)
app.command()(calendar_change.add)
app.command()(calendar_change.diff)
app.command()(calendar_change.publish)


@app.command()
def due(
    start: Annotated[str, typer.Argument(metavar="DATE", help='YYYY-MM-DD，或 "-" 逐行读 "date,n" / or "-"')],
    n: Annotated[int | None, typer.Argument(metavar="N", help="工作日数 / working days, 1 or more")] = None,
    calendar: Annotated[CalendarName, typer.Option(help="cn 全国, gannan 甘南州")] = CalendarName.cn,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object a line")] = False,
) -> None:
    """The last day of a period of N working days from DATE; the day after DATE is day 1.

    One ISO date a line, with " provisional" behind it where it touches a year that the State Council
    has not published. Exit 2 for input that is no date or number, naming the line.
    """
    try:
        table = load_calendars(load().home)[calendar.value]
        if start == "-":
            if n is not None:
                raise InputError('"-" 之后不需要天数 ("-" takes date and number from each line)')
            _write_all(table, _read_lines(), as_json)
        elif n is None:
            raise InputError("缺少工作日数 (N is missing)")
        else:
            sys.stdout.write(_answer(table, _parse_date(start), n, as_json))
    except HubError as error:
        typer.echo(f"错误 error: {error}", err=True)
        raise typer.Exit(2) from error


def _write_all(table: Calendar, lines: Iterator[tuple[int, str]], as_json: bool) -> None:
    chunk: list[str] = []
    try:
        for number, line in lines:
            try:
                day, comma, n = line.partition(",")
                if not comma:
                    raise InputError(f"应为 date,n，实为 {line!r} (not date,n)")
                chunk.append(_answer(table, _parse_date(day.strip()), _parse_number(n.strip()), as_json))
            except InputError as error:
                raise InputError(f"第{number}行 line {number}: {error}") from error
            if len(chunk) >= _CHUNK:
                sys.stdout.write("".join(chunk))
                chunk.clear()
    finally:
        # What came before a wrong line is answered.
        sys.stdout.write("".join(chunk))
        sys.stdout.flush()


def _read_lines() -> Iterator[tuple[int, str]]:
    for number, raw in enumerate(sys.stdin.buffer, 1):
        yield number, raw.decode("utf-8-sig", errors="replace").strip()


def _parse_date(text: str) -> date:
    try:
        # fromisoformat also takes 20260915 and week dates, which are no dates of these files.
        if len(text) == 10 and text[4] == text[7] == "-":
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise InputError(f"{text!r} 不是 YYYY-MM-DD 日期 (not a date)")


def _parse_number(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise InputError(f"{text!r} 不是工作日数 (not a number of working days)")
    return int(text)


def _answer(table: Calendar, start: date, n: int, as_json: bool) -> str:
    found = table.due_date(start, n)
    if not as_json:
        return f"{found.date} provisional\n" if found.is_provisional else f"{found.date}\n"
    return json.dumps(
        {
            "start": str(start), "n": n, "due": str(found.date), "is_provisional": found.is_provisional,
            "calendar": table.name, "calendar_version": table.version,
        },
        ensure_ascii=False,
    ) + "\n"
