"""``hub schemas``: check and list the schemas."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from hub import settings
from hub.contracts.lock import LOCK_FILE, check_schemas, read_lock, read_variants, update_lock
from hub.errors import ContractError

app = typer.Typer(help="数据合同：模式与视图 / schemas and their views", no_args_is_help=True)

#: Wide enough for every column of the list.
_PIPE_WIDTH = 140
_Json = Annotated[bool, typer.Option("--json", help="output for programs")]


def _root() -> Path:
    return settings.load().home


@app.command()
def check(
    is_updating: Annotated[
        bool, typer.Option("--update-lock", help="为新模式编号 / give ids to schemas that have none")
    ] = False,
    as_json: _Json = False,
) -> None:
    """Compare the schemas with their lock and all versions with each other (FULL_TRANSITIVE).

    A locked schema may not change: a change is written as v2.avsc beside it. Exit 0 if all is
    well, 1 if something is wrong.
    """
    root = _root()
    try:
        added = update_lock(root) if is_updating else []
        faults = [asdict(fault) for fault in check_schemas(root)]
        count = len(read_variants(root))
    except ContractError as error:
        added, count = [], 0
        faults = [{"schema": "", "field": "", "problem": str(error)}]
    if as_json:
        typer.echo(
            json.dumps(
                {"checked": count, "added": [asdict(line) for line in added], "faults": faults},
                ensure_ascii=False,
            )
        )
    else:
        for line in added:
            typer.echo(f"id {line.id}: {line.name} v{line.version} {line.view}")
        for fault in faults:
            where = " ".join(part for part in (fault["schema"], fault["field"]) if part)
            typer.echo(f"{where}: {fault['problem']}" if where else fault["problem"])
        if not faults:
            typer.echo(f"{count} schemas and views agree with {LOCK_FILE}")
    if faults:
        raise typer.Exit(1)


@app.command("list")
def list_schemas(as_json: _Json = False) -> None:
    """List every schema version in every view, with its id and fingerprint."""
    root = _root()
    try:
        locked, variants = read_lock(root), read_variants(root)
    except ContractError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    rows = [
        {
            "id": line.id if (line := locked.get(variant.key)) else None,
            "name": variant.name,
            "version": variant.version,
            "view": variant.view,
            "title": variant.definition.get("title", ""),
            "fields": len(variant.definition["fields"]),
            "fingerprint": variant.fingerprint,
        }
        for variant in variants
    ]
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False))
        return
    table = Table("id", "schema", "version", "view", "title", "fields", "fingerprint", box=box.SIMPLE_HEAD)
    for row in rows:
        table.add_row(*("-" if value is None else str(value) for value in row.values()))
    # Where the output is no terminal rich assumes 80 columns and would cut the names.
    Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH).print(table)
