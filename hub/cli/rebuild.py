"""``hub rebuild``: the due index, or the ledger, made anew from the log, or held against it."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from hub.cli.common import AsJson, Data, errors_as_sentences, print_json, settings_of
from hub.cli.on_record import on_record
from hub.clocks.rebuild import PartitionReport, Rebuild, whole_digest
from hub.wiring import LedgerRebuild, clocks_rebuild

#: How long a running stage may take to miss its index and write it.
_PATIENCE_SECONDS = 60


def rebuild(
    verify: Annotated[bool, typer.Option("--verify", help="只核对，不写入 / compare only, write nothing")] = False,
    ledger: Annotated[bool, typer.Option("--ledger", help="台账索引 / the ledger instead of the due index")] = False,
    reason: Annotated[str, typer.Option("--reason", help="原因 / why; it stays on record")] = "重建索引",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """重建索引 / makes the due index anew from clock.states.v1 (or the ledger); exit 1 if they differ in the end."""
    if ledger:
        _rebuild_ledger(verify, reason, data, as_json)
        return
    with errors_as_sentences():
        settings = settings_of(data)
        work = clocks_rebuild(settings)
        if not verify:
            with on_record(settings, "index.rebuild", "clock.states.v1", reason):
                if not work.rebuild():
                    _say("计时进程正在运行，由它重写索引 (the running stage writes it)")
                    _wait(work)
        reports = work.verify()
        if as_json:
            print_json(_as_json(reports))
        else:
            _print(reports)
        if not _are_same(reports):
            raise typer.Exit(1)


def _rebuild_ledger(verify: bool, reason: str, data: Data, as_json: bool) -> None:
    with errors_as_sentences():
        settings = settings_of(data)
        work = LedgerRebuild(settings, _say)
        if not verify:
            with on_record(settings, "index.rebuild", "ledger", reason):
                work.rebuild()
        found = work.verify()
        if as_json:
            print_json(found.as_dict())
        else:
            for line in found.examples:
                typer.echo(f"\t{line}")
            word = "一致 same" if found.is_same else "不一致 DIFFERENT"
            typer.echo(
                f"{found.facts:,} facts, {found.records:,} records, {found.desks:,} desks with "
                f"{found.entries:,} entries\t{word}"
            )
            for kind, count in found.differences.items():
                typer.echo(f"\t{kind}: {count:,}")
    if not found.is_same:
        raise typer.Exit(1)


def _wait(work: Rebuild) -> None:
    """Until index and topic agree, or patience ends: what differs then is shown."""
    until = time.monotonic() + _PATIENCE_SECONDS
    while not _are_same(reports := work.verify()) and time.monotonic() < until:
        clocks = sum(report.clocks for report in reports)
        behind = sum(report.missing[0] + report.moved[0] for report in reports)
        _say(f"  {clocks - behind:,}/{clocks:,}")
        time.sleep(1)


def _say(line: str) -> None:
    typer.echo(line, err=True)


def _are_same(reports: list[PartitionReport]) -> bool:
    return all(report.is_same for report in reports)


def _as_json(reports: list[PartitionReport]) -> dict[str, object]:
    return {
        "is_same": _are_same(reports),
        "topic_digest": whole_digest(report.topic_digest for report in reports),
        "index_digest": whole_digest(report.index_digest for report in reports),
        "partitions": [report._asdict() for report in reports],
    }


def _print(reports: list[PartitionReport]) -> None:
    for report in reports:
        word = "一致 same" if report.is_same else "不一致 DIFFERENT"
        typer.echo(f"{report.partition}\t{report.clocks}\t{report.topic_digest[:16]}\t{report.index_digest[:16]}\t{word}")
        for name, (count, clock_ids) in (
            ("缺少 missing", report.missing), ("多余 extra", report.extra), ("时刻不同 moved", report.moved),
        ):
            if count:
                typer.echo(f"\t{name}: {count}, {' '.join(clock_ids)}")
    typer.echo(f"日志 topic {whole_digest(report.topic_digest for report in reports)}")
    typer.echo(f"索引 index {whole_digest(report.index_digest for report in reports)}")
