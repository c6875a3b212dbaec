"""What the commands of ``hub clocks`` share: words, options, and the clocks that they ask."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated

import typer

from hub.cli.common import moment_of as moment_of
from hub.cli.common import settings_of
from hub.clocks.view import ClocksView
from hub.domain.clocks import ClockState, Status
from hub.domain.plain import to_plain
from hub.errors import HubError, UsageError
from hub.settings import load

TITLES = {
    Status.AWAITING: "待起算", Status.RUNNING: "计时中", Status.SUSPENDED: "中止",
    Status.MET: "按期完成", Status.MET_LATE: "超期完成", Status.CANCELLED: "已取消", Status.EXPIRED: "期满",
}
CHANGES = {
    "started": "起算", "restarted": "重新起算", "amended": "起算日变更",
    "met": "按期完成", "met-late": "超期完成", "met-early": "起算前已完成",
    "cancelled": "取消", "suspended": "中止", "resumed": "恢复",
    "repeated": "重复触发（不变）", "counted": "计数", "met-again": "再次完成（不变）", "ignored": "不适用",
    "warned": "预警", "breached": "超期", "escalated": "超期提醒", "expired": "期满", "rederived": "日历更新后重算",
}
AsJson = Annotated[bool, typer.Option("--json", help="JSON")]
AsOf = Annotated[
    str | None, typer.Option("--as-of", metavar="MOMENT", help="当时的状态，如 / as it stood at 2026-11-01T00:00")
]
ClockId = Annotated[str, typer.Argument(metavar="ID", help="时限编号，或其开头 / id or its beginning")]


def open_view(as_of: datetime | None = None) -> ClocksView:
    """The clocks of the hub that the settings name, as they stand or as they stood."""
    # Here, not above: the wiring brings every stage and client library, which --help does not need.
    from hub.contracts.calendars import load_calendars
    from hub.wiring import clock_parts, clocks_view, open_catalog, open_map

    settings = settings_of()
    if as_of is None:
        return clocks_view(settings)
    from hub.clocks.asof import view_as_of

    catalog = open_catalog(settings)
    rules, departments = clock_parts(settings, open_map(settings, catalog))
    return view_as_of(
        settings.bootstrap, catalog, rules=rules, files=load_calendars(settings.home), departments=departments,
        moment=as_of,
    )


def department_names() -> dict[str, str]:
    """Codes of departments to their names."""
    from hub.wiring import open_map

    return {str(each["code"]): str(each["name"]) for each in open_map(load()).departments.values()}


def status_word(state: ClockState) -> str:
    title = TITLES[state.status]
    return f"{title}（已超期）" if state.is_open and state.breached_at else title


def dump(value: object) -> str:
    return json.dumps(to_plain(value), ensure_ascii=False, indent=2)


@contextmanager
def errors() -> Iterator[None]:
    try:
        yield
    except UsageError as error:
        typer.echo(f"错误 error: {error}", err=True)
        raise typer.Exit(2) from error
    except HubError as error:
        typer.echo(f"错误 error: {error}", err=True)
        raise typer.Exit(1) from error
