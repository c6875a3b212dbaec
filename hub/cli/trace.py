"""``hub trace``: the way of an event, an enterprise, or what a department had part in, to every end."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, date, datetime
from typing import Annotated

import typer

from hub import wiring
from hub.cli.common import AsJson, Data, errors_as_sentences, print_json, settings_of
from hub.domain.calendar import start_of
from hub.errors import UsageError
from hub.ops.ledger import queries
from hub.ops.ledger.queries import Trace
from hub.ops.trace import Step
from hub.ops.trace_ends import End
from hub.settings import Settings


def trace(
    event: Annotated[
        str | None, typer.Argument(metavar="EVENT_ID", help="事件、通知等的编号 / id of an event, a notice, an order")
    ] = None,
    subject: Annotated[str | None, typer.Option(help="企业代码 / code of an enterprise")] = None,
    department: Annotated[str | None, typer.Option(help="部门 / id or code of a department")] = None,
    since: Annotated[
        str | None, typer.Option(help="仅与 --department：自何日起 / with --department: from that day on, 2026-07-01")
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, max=10_000, help="仅与 --department：最多几件 / with --department: facts at most")
    ] = 100,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """The way of one event, one enterprise or one department: each step, its rule and version, and how it ended.

    From the ledger's index; where that does not hold it, from the log, which takes longer and is said.
    """
    with errors_as_sentences():
        if sum(given is not None for given in (event, subject, department)) != 1:
            raise UsageError("Name an EVENT_ID, --subject CODE or --department ID, one of the three.")
        if since is not None and department is None:
            raise UsageError("--since goes with --department.")
        found = read_trace(
            settings_of(data), event, subject=subject, department=department, since=_moment(since), limit=limit
        )
    if found.note:
        typer.echo(f"hub: {found.note}", err=True)
    if as_json:
        ends = {end.id: end for end in found.ends}
        print_json([_as_json(step, found) | {"ends": _ends_at(step, ends)} for step in found.steps])
    elif not found.steps:
        typer.echo("hub: nothing on the log speaks of it.", err=True)
    else:
        print_trace(found)
    raise typer.Exit(0 if found.steps else 1)


def read_trace(
    settings: Settings, event: str | None = None, *, subject: str | None = None, department: str | None = None,
    since: datetime | None = None, limit: int = 100,
) -> Trace:
    """The way of one of the three, with what has come onto the log to this moment."""
    with wiring.open_ledger(settings) as ledger:
        if event is not None:
            return queries.trace(ledger, event, is_exact=True, may_scan=True)
        if subject is not None:
            return queries.history(ledger, subject, is_exact=True, may_scan=True)
        return queries.part_of(ledger, department or "", since=since, limit=limit, may_scan=True)


def print_trace(found: Trace) -> None:
    """One line a step, in groups of one fact; behind them how each branch of it ended."""
    chains: dict[str, list[Step]] = defaultdict(list)
    for step in found.steps:
        chains[step.correlation_id].append(step)
    for correlation_id, chain in chains.items():
        typer.echo(f"\n{correlation_id}")
        for step in chain:
            typer.echo(f"  {step.at:%H:%M:%S.%f}"[:-3] + f"  {step.what}")
        for end in found.ends:
            if end.correlation_id == correlation_id:
                typer.echo(f"    ⇒ {end.line}")


def _as_json(step: Step, found: Trace) -> dict[str, object]:
    return {**vars(step), "origin": found.origin}


def _ends_at(step: Step, ends: dict[str, End]) -> list[dict[str, object]]:
    """The branches that this step is the end of, or, of a decision, those that began with it."""
    named = {step.id, *(str(value) for name, value in step.details.items() if name.endswith("_id"))}
    return [
        end._asdict() for end in ends.values()
        if end.id in named and end.at == step.at and end.correlation_id == step.correlation_id
    ]


def _moment(day: str | None) -> datetime | None:
    if day is None:
        return None
    try:
        return start_of(date.fromisoformat(day)).astimezone(UTC)
    except ValueError:
        raise UsageError(f"--since {day!r} is no day: write 2026-07-01.") from None
