"""``hub proof``: what the log holds of one notice as a file, and whether such a file fits together."""

from __future__ import annotations

import getpass
import json
import os
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from hub import wiring
from hub.bus.publisher import KafkaPublisher
from hub.bus.reader import read_topics
from hub.cli.common import AsJson, Data, errors_as_sentences, print_json, settings_of
from hub.delivery.message import read_inbox
from hub.delivery.proof import collect, find_notice, verify
from hub.errors import InputError, UsageError

_SIGNS = {True: "ok ", False: "BAD", None: "-  "}


def proof(
    notice_id: Annotated[str, typer.Argument(help="notice id, or `verify` and a file")],
    file: Annotated[Path | None, typer.Argument(help="the file that is checked")] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="a new file for the proof")] = None,
    by: Annotated[
        str | None, typer.Option("--by", help="操作人 / who makes it; otherwise the user of this machine")
    ] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """送达证明 / `hub proof NOTICE -o FILE` writes what proves a notice; `hub proof verify FILE` checks it offline."""
    with errors_as_sentences():
        if notice_id == "verify":
            if file is None:
                raise UsageError("Name the file: hub proof verify FILE.")
            _verify(file, as_json)
            return
        if file is not None or output is None:
            raise UsageError("Name where the proof goes: hub proof NOTICE -o FILE.")
        settings = settings_of(data)
        catalog = wiring.open_catalog(settings)
        topics = wiring.open_map(settings, catalog).own_topics()
        notice = find_notice(read_topics(settings.bootstrap, [t for t in topics if t.startswith("inbox.")]), notice_id)
        # All of one subject stands on one partition.
        records = read_topics(settings.bootstrap, topics, notice.partition)
        with closing(KafkaPublisher(settings.bootstrap, client_id="hub-proof")) as publisher:
            desk = wiring.settings_desk(settings, catalog, publisher)
            known = [each for _, each in desk.history(read_inbox(notice, catalog)["subscription"])]
        found = collect(notice, records, known, catalog, at=datetime.now(UTC), by=by or getpass.getuser())
        _write(output, found)
    if as_json:
        print_json({"file": str(output), "records": len(found["records"]), "digest": found["digest"]})
    else:
        typer.echo(f"{output}: {len(found['records'])} records, sha256 {found['digest']}")


def _write(path: Path, document: dict[str, Any]) -> None:
    try:
        # It holds the event whole: as private as the record itself.
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump(document, file, ensure_ascii=False, indent=1)
            file.write("\n")
    except OSError as error:
        raise UsageError(f"{path} cannot be written as a new file: {error.strerror}.") from error


def _verify(path: Path, as_json: bool) -> None:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON") from error
    checks = list(verify(document, wiring.open_catalog(settings_of())))
    if as_json:
        print_json([check._asdict() for check in checks])
    else:
        for check in checks:
            typer.echo(f"{_SIGNS[check.is_right]}  {check.what}\t{check.found}")
    if any(check.is_right is False for check in checks):
        raise typer.Exit(1)
