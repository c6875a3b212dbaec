"""``hub dead-letters``: what could not be processed, why, and another try."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from hub import wiring
from hub.bus.dead_letters import OWN_PREFIX, PREFIX, origin_of, without_errors
from hub.bus.publisher import KafkaPublisher
from hub.bus.reader import read_topics
from hub.bus.records import Output, Record
from hub.cli.common import AsJson, Data, errors_as_sentences, print_json, settings_of
from hub.errors import UsageError
from hub.settings import Settings

app = typer.Typer(help="死信 / dead letters", no_args_is_help=True)


def _read(settings: Settings) -> list[Record]:
    topics = [name for name in wiring.open_map(settings).topics if name.endswith(".dead-letters.v1")]
    return sorted(read_topics(settings.bootstrap, topics), key=lambda record: record.timestamp)


def _describe(record: Record) -> dict[str, Any]:
    headers = {name: value.decode("utf-8", "replace") for name, value in record.headers}
    return {
        "place": f"{record.topic}:{record.partition}:{record.offset}",
        "id": headers.get("ce_id", ""),
        "type": headers.get("ce_type", ""),
        "reason": headers.get(PREFIX + "exception", ""),
        "message": headers.get(PREFIX + "message", ""),
        "from": ":".join(map(str, origin_of(record) or ())),
        "failed_at": headers.get(OWN_PREFIX + "first-failed-at", ""),
        "bytes": len(record.value or b""),
    }


@app.command("list")
def list_letters(data: Data = None, as_json: AsJson = False) -> None:
    """All dead letters, the oldest first. Exit 1 if there are any."""
    with errors_as_sentences():
        found = [_describe(record) for record in _read(settings_of(data))]
    if as_json:
        print_json(found)
    else:
        for entry in found:
            typer.echo("\t".join(str(entry[name]) for name in ("place", "type", "reason", "message")))
    raise typer.Exit(1 if found else 0)


@app.command()
def show(
    place: Annotated[str, typer.Argument(help="topic:partition:offset, as `list` prints it")],
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """One dead letter: its headers and reason. Its content is not shown: it may hold personal data."""
    with errors_as_sentences():
        found = _find(settings_of(data), place)
    described = _describe(found) | {"headers": {n: v.decode("utf-8", "replace") for n, v in found.headers}}
    if as_json:
        print_json(described)
    else:
        for name, value in described.items():
            typer.echo(f"{name:10} {value}")


@app.command()
def redrive(
    place: Annotated[str, typer.Argument(help="topic:partition:offset, as `list` prints it")],
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Puts one dead letter back where it came from, with its bytes and id; repeats are absorbed."""
    with errors_as_sentences():
        settings = settings_of(data)
        found = _find(settings, place)
        origin = origin_of(found)
        if origin is None:
            raise UsageError(f"{place} does not say where it came from.")
        publisher = KafkaPublisher(settings.bootstrap, client_id="hub-redrive")
        try:
            publisher.publish([Output(origin[0], found.key, found.value, without_errors(found))])
        finally:
            publisher.close()
    if as_json:
        print_json({"redriven": place, "to": origin[0]})
    else:
        typer.echo(f"{place} -> {origin[0]}")


def _find(settings: Settings, place: str) -> Record:
    for record in _read(settings):
        if place == f"{record.topic}:{record.partition}:{record.offset}":
            return record
    raise UsageError(f"There is no dead letter {place}; see `hub dead-letters list`.")
