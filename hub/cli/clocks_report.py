"""``hub clocks report``: punctuality by rule, department and month."""

from __future__ import annotations

import csv
import sys
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Annotated, Any

import typer

from hub.cli import clocks_common as common
from hub.clocks.report import Axis, Report, Row
from hub.errors import UsageError

app = typer.Typer()

#: Columns of the table for people, by the names of the figures.
_COLUMNS = {
    "total": "总数", "due": "应完成", "met": "按期", "met_late": "超期完成", "overdue": "超期未完成",
    "running": "计时中", "suspended": "中止", "cancelled": "取消", "ended": "期满",
    "median_days_late": "超期中位数", "worst_days_late": "最长超期",
    "punctuality": "按期率",
}
_AXES = {Axis.RULE: "规则", Axis.DEPARTMENT: "责任部门", Axis.MONTH: "月份"}


class Format(StrEnum):
    """How a report is written."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


@app.command("report")
def report(
    by: Annotated[list[Axis] | None, typer.Option(help="分组，可重复 / breakdown, repeatable")] = None,
    first: Annotated[str | None, typer.Option("--from", metavar="DATE", help="到期日不早于 / due from")] = None,
    last: Annotated[str | None, typer.Option("--to", metavar="DATE", help="到期日不晚于 / due until")] = None,
    form: Annotated[Format, typer.Option("--format", help="格式")] = Format.TABLE,
) -> None:
    """Punctuality: met in time out of all that can be judged. Lateness in working days; the month is the due day's."""
    with common.errors():
        now = datetime.now(UTC)
        days = (_day(first), _day(last))
        found = common.open_view().report(now, by=tuple(by or (Axis.RULE,)), first=days[0], last=days[1])
        names = common.department_names() if Axis.DEPARTMENT in found.by else {}
    if form is Format.JSON:
        rows = [_keys(found, row, names) | row.plain() for row in found.rows]
        made = {"as_of": now, "from": days[0], "to": days[1], "rows": rows, "sum": found.sum.plain()}
        typer.echo(common.dump(made))
    elif form is Format.CSV:
        write_csv(found, names)
    else:
        print_table(found, names)


def write_csv(found: Report, names: dict[str, str]) -> None:
    """A line for each row, without the sum: what reads it adds up itself."""
    head = [name for axis in found.by for name in _names_of(axis)]
    writer = csv.DictWriter(sys.stdout, [*head, *_COLUMNS], lineterminator="\n")
    writer.writeheader()
    for row in found.rows:
        writer.writerow(_keys(found, row, names) | row.plain())


def print_table(found: Report, names: dict[str, str]) -> None:
    """For people: tab-separated, the sum last."""
    typer.echo("\t".join([*(_AXES[axis] for axis in found.by), *_COLUMNS.values()]))
    for row in found.rows:
        typer.echo("\t".join([*(_place(axis, key, names) for axis, key in _pairs(found, row)), *_cells(row)]))
    typer.echo("\t".join(["合计", *("" for _ in found.by[1:]), *_cells(found.sum)]))


def _pairs(found: Report, row: Row) -> list[tuple[Axis, str]]:
    return list(zip(found.by, row.key, strict=True))


def _names_of(axis: Axis) -> tuple[str, ...]:
    return ("department", "department_name") if axis is Axis.DEPARTMENT else (axis.value,)


def _keys(found: Report, row: Row, names: dict[str, str]) -> dict[str, Any]:
    keys: dict[str, Any] = {}
    for axis, key in _pairs(found, row):
        keys[axis.value] = key
        if axis is Axis.DEPARTMENT:
            keys["department_name"] = names.get(key, "")
    return keys


def _place(axis: Axis, key: str, names: dict[str, str]) -> str:
    if axis is Axis.DEPARTMENT:
        return f"{key} {names[key]}" if key in names else key or "-"
    return key


def _cells(row: Row) -> list[str]:
    plain = row.plain()
    rate = plain.pop("punctuality")
    cells = ["-" if value is None else f"{value:g}" for value in plain.values()]
    return [*cells, "-" if rate is None else f"{rate:.1%}"]


def _day(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text!r} 不是 YYYY-MM-DD 日期 (not a date)") from None
