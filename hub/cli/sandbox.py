"""``hub sandbox``: exports of made-up departments, for the demo and for measurements."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from hub.cli.common import AsJson, errors_as_sentences, print_json
from hub.errors import UsageError
from hub.sandbox.generate.bulk import write_bulk
from hub.sandbox.generate.columns import KINDS
from hub.sandbox.generate.manifest import FILE_NAME, Manifest
from hub.sandbox.generate.season import generate_season
from hub.sandbox.generate.writing import FORMATS

app = typer.Typer(help="演示数据：虚构部门的导出文件 / made-up exports", no_args_is_help=True)

_Seed = Annotated[int, typer.Option(help="种子，相同则文件逐字节相同 / the same seed gives the same bytes")]
_KINDS, _FORMS = " | ".join(KINDS), " | ".join(FORMATS)


@app.command()
def generate(
    folder: Annotated[Path, typer.Option(help="写入的文件夹 / where the sources' folders are made")],
    seed: _Seed = 20260701,
    size: Annotated[int, typer.Option(help="总行数 / rows of all files together")] = 5000,
    as_json: AsJson = False,
) -> None:
    """Write a season of three departments' exports, and manifest.json: what the hub has to make of it.

    Exit 2 when the size is too small or the folder cannot be written.
    """
    with _writing():
        manifest = generate_season(folder, seed, size)
    if as_json:
        print_json({"manifest": str(folder / FILE_NAME), "files": len(manifest.files), **manifest.totals})
    else:
        _tell(folder, manifest)


def _tell(folder: Path, manifest: Manifest) -> None:
    for file in manifest.files:
        rejected = sum(file.rejected.values())
        later = sum(file.amended.values())
        typer.echo(
            f"{file.source}/{file.name}  {file.rows}行：新{file.new}，变更{later}，"
            f"重复{file.repeated}，应退回{rejected}"
        )
    totals = manifest.totals
    typer.echo(
        f"合计 {len(manifest.files)} 个文件 {totals['rows']} 行：新{totals['new']}，变更{totals['amended']}，"
        f"重复{totals['repeated']}，应退回{totals['rejected']}"
    )
    typer.echo(f"跟踪主体：{manifest.traced.name} {manifest.traced.uscc}")
    typer.echo(f"清单 manifest: {folder / FILE_NAME}")


@app.command()
def bulk(
    file: Annotated[Path, typer.Option(help="写入的文件 / the file to write")],
    kind: Annotated[str, typer.Option(help=f"导出种类 / {_KINDS}")],
    rows: Annotated[int, typer.Option(min=1, help="行数 / rows")],
    form: Annotated[str, typer.Option(help=f"格式与编码 / {_FORMS}")] = "csv-utf-8",
    seed: _Seed = 20260701,
    as_json: AsJson = False,
) -> None:
    """Write one export of any size, without faults.

    Exit 2 when kind or form is unknown, or the form cannot hold so many rows.
    """
    with _writing():
        write_bulk(file, kind, form, rows, seed)
        size = file.stat().st_size
    if as_json:
        print_json({"file": str(file), "kind": kind, "form": form, "rows": rows, "bytes": size})
    else:
        typer.echo(f"{file}：{rows} 行，{size} 字节")


@contextmanager
def _writing() -> Iterator[None]:
    with errors_as_sentences():
        try:
            yield
        except OSError as error:
            raise UsageError(f"无法写入 (cannot write): {error}") from error
