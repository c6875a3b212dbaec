"""``hub connect``: the departments' systems that are read, one at a time."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hub.cli import connect_held
from hub.cli.common import settings_of
from hub.cli.connect_form import form
from hub.errors import HubError, UsageError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from hub.intake.engine import Outcome
    from hub.intake.prepared import Reached
    from hub.intake.rows import Portion
    from hub.intake.session import IntakeSession

app = typer.Typer(help="数据来源 / sources: what departments' systems send", no_args_is_help=True)

app.add_typer(connect_held.app, name="held")
app.command("form")(form)

AsJson = Annotated[bool, typer.Option("--json", help="JSON")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="来源名称 / name of the source")]
#: How often the folder is looked at while the command keeps running.
_POLL_SECONDS = 0.5


@app.command("list")
def list_sources(as_json: AsJson = False) -> None:
    """Sources of sources.yaml: name, connector, department, and what is set of the connector's own."""
    from hub.intake.sources import load_sources

    with _errors():
        sources = load_sources(settings_of().sources)
    if as_json:
        typer.echo(_dump([source.flat() for source in sources.values()]))
        return
    for source in sources.values():
        given = source.settings.model_dump(mode="json", exclude_unset=True)
        own = " ".join(f"{name}={_short(value)}" for name, value in given.items())
        typer.echo("\t".join((source.name, source.connector, source.department_name, own)))


@app.command("check")
def check(name: Name, as_json: AsJson = False) -> None:
    """Checks configuration, mappings, and the headings of the files that wait; publishes nothing."""
    from hub.intake.build import build_source
    from hub.intake.sources import load_sources
    from hub.wiring import open_catalog

    with _errors():
        settings = settings_of()
        sources = load_sources(settings.sources)
        if name not in sources:
            raise UsageError(f"There is no source {name!r}; there are: {', '.join(sources) or 'none'}.")
        source = build_source(sources[name], open_catalog(settings), settings.data)
        problems = source.check()
    if as_json:
        typer.echo(_dump({"source": name, "ok": not problems, "problems": problems}))
    else:
        for problem in problems:
            typer.echo(problem)
        if not problems:
            typer.echo(f"{name}: 配置和待处理文件的表头均正常 / configuration and headings are in order")
    raise typer.Exit(1 if problems else 0)


@app.command("schema")
def schema(
    connector: Annotated[
        str, typer.Argument(metavar="CONNECTOR", help="连接器 / connector, `common`, or `mapping` for a mapping file")
    ],
    as_json: AsJson = False,
) -> None:
    """What a file may say to a source or a sink, or what a mapping may say: tables in Markdown, or JSON Schema for a
    form. A connector of your own is named as in sources.yaml, and seen from its folder."""
    from hub.disclosure.registry import SINKS, find_sink
    from hub.intake.mapping.reference import mapping_schema, mapping_tables
    from hub.intake.registry import find_connector
    from hub.intake.settings import settings_schema, settings_table
    from hub.intake.sources import CommonSettings

    if connector == "mapping":
        typer.echo(_dump(mapping_schema()) if as_json else mapping_tables(), nl=as_json)
        return
    with _errors():
        if connector == "common":
            model: type[BaseModel] = CommonSettings
        elif connector in SINKS:
            model = find_sink(connector).Settings
        else:
            model = find_connector(connector, settings_of().sources.parent).Settings
    typer.echo(_dump(settings_schema(model)) if as_json else settings_table(model), nl=as_json)


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="名称 / name, lower case with hyphens")],
    folder: Annotated[
        Path | None, typer.Argument(metavar="FOLDER", help="写到哪里 / where to write it; else beside sources.yaml")
    ] = None,
) -> None:
    """Writes a connector to begin with: one Python file, a mapping, a README. See docs/connectors.md."""
    from hub.intake.template import write_template

    with _errors():
        for path in write_template(name, folder or settings_of().sources.parent):
            typer.echo(str(path))


@app.command("run")
def run(
    name: Name,
    once: Annotated[bool, typer.Option("--once", help="读完现有文件即止 / end when nothing waits")] = False,
    as_json: AsJson = False,
) -> None:
    """Reads a source and publishes; without --once until interrupted. Exit 1 if a file was refused."""
    with _errors():
        from hub.intake.session import tune_interpreter
        from hub.wiring import build_intake

        session = build_intake(settings_of(), name)
        tune_interpreter()
        outcomes: list[Outcome] = []
        try:
            with session, _progress() as bar:
                while True:
                    outcomes += _show(session, bar, as_json)
                    if once and not session.source.waits():
                        break
                    time.sleep(_POLL_SECONDS)
        except KeyboardInterrupt:
            # What was under way is found again on the log by the next run.
            typer.echo("interrupted", err=True)
    if as_json:
        typer.echo(_dump(_summary(name, outcomes)))
    raise typer.Exit(1 if any(outcome.status == "refused" for outcome in outcomes) else 0)


def _show(session: IntakeSession, bar: _Bar, as_json: bool) -> Iterator[Outcome]:
    for outcome in session.run_pending(bar.advance, bar.begin):
        bar.end()
        if not as_json:
            typer.echo(_line(outcome))
        yield outcome


def _line(outcome: Outcome) -> str:
    counts = outcome.counts
    if outcome.status == "refused":
        return f"{outcome.name}: 未接收 / refused: {outcome.reason}"
    if outcome.status != "finished":
        return f"{outcome.name}: {outcome.status}: {outcome.reason or ''}"
    kinds = ", ".join(f"{word} {number}" for word, number in sorted(counts.accepted.items()))
    accepted = f"{counts.accepted_total} ({kinds})" if kinds else "0"
    return (
        f"{outcome.name}: 读取 {counts.read} 行, 接收 {accepted}, "
        f"重复 {counts.repeated}, 退回 {counts.rejected_total}, 提示 {sum(counts.warnings.values())}"
    )


def _summary(name: str, outcomes: list[Outcome]) -> dict[str, Any]:
    from hub.intake.rows import Counts

    total = Counts()
    for outcome in outcomes:
        total.add(outcome.counts)
    portions = [
        {"name": one.name, "status": one.status, "reason": one.reason, **one.counts.as_dict()}
        for one in outcomes
    ]
    return {"source": name, "portions": portions, "total": total.as_dict()}


class _Bar:
    """Nothing is shown where nobody looks."""

    def begin(self, portion: Portion) -> None:
        """A portion begins."""

    def advance(self, portion: Portion, reached: Reached) -> None:
        """A batch was read."""

    def end(self) -> None:
        """The portion ended."""


class _RichBar(_Bar):
    def __init__(self, progress: Any) -> None:
        self._progress = progress
        self._task: Any = None

    def begin(self, portion: Portion) -> None:
        self._task = self._progress.add_task(portion.name, total=None, rows=0)

    def advance(self, portion: Portion, reached: Reached) -> None:
        self._progress.update(self._task, completed=reached.done, total=portion.size, rows=reached.rows_read)

    def end(self) -> None:
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None


@contextmanager
def _progress() -> Iterator[_Bar]:
    """A bar on stderr when that is a terminal."""
    if not sys.stderr.isatty():
        yield _Bar()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[rows]:,} 行"), TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield _RichBar(progress)


def _short(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)


@contextmanager
def _errors() -> Iterator[None]:
    """Errors as a sentence on stderr: exit 2 for a misuse, 1 for everything else."""
    try:
        yield
    except UsageError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    except HubError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
