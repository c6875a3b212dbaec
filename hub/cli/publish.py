"""``hub publish``: events by hand, through the same contract as any other."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer

from hub import wiring
from hub.bus.publisher import KafkaPublisher
from hub.bus.records import Output
from hub.cli.common import AsJson, Data, errors_as_sentences, print_json, settings_of
from hub.contracts.cloudevents import to_headers
from hub.contracts.fields import Field
from hub.domain.events import Envelope, entity_id, event_id, new_traceparent
from hub.domain.identifiers import subject_key
from hub.domain.publicity import NONPUBLIC_REASON, PROBLEM, can_be_kept_back, lacks_reason, remedy
from hub.errors import InputError

SOURCE = "/sources/manual"
#: How ``hub.domain.plain`` writes them, read back.
_READERS: dict[str, Callable[[str], Any]] = {
    "date": date.fromisoformat,
    "timestamp": datetime.fromisoformat,
    "decimal": Decimal,
}


def publish(
    type: Annotated[str, typer.Argument(metavar="TYPE", help="事件类型 / e.g. inspection.result.recorded")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON 文件：一个事件一行 / one event a line")],
    version: Annotated[int, typer.Option(min=1, help="版本号 / version of the record")] = 1,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Publishes the events of a JSON Lines file; all of them, or none if one does not fit its schema."""
    with errors_as_sentences():
        settings = settings_of(data)
        catalog = wiring.open_catalog(settings)
        hub_map = wiring.open_map(settings, catalog)
        topic = hub_map.topic_of_event(type)
        schema = catalog.schema(hub_map.topics[topic].schema_ or "")
        has_reason = can_be_kept_back([field.name for field in schema.fields])
        secret, outputs, ids = wiring.subject_secret(settings), list[Output](), list[str]()
        for number, plain in _read(file):
            value = _typed(plain, schema.fields)
            faults = schema.check(value)
            if faults:
                raise InputError("\n".join(f"{file}:{number}: {f.field}: {f.problem} ({f.remedy})" for f in faults))
            if has_reason and lacks_reason(value):
                raise InputError(f"{file}:{number}: {NONPUBLIC_REASON}: {PROBLEM} ({remedy()})")
            # Of the topic, as intake has it: a penalty and an inspection may share a number.
            key = f"{topic}|{value['record_unique_identity']}"
            subject = subject_key(
                value.get("party_uscc"),
                value.get("party_registration_number"),
                value.get("party_certificate_number"),
                value["party_name"],
                secret,
            )
            envelope = Envelope(
                id=event_id(SOURCE, key, version),
                source=SOURCE,
                type=type,
                subject=subject,
                time=datetime.now(UTC),
                correlation_id=entity_id(SOURCE, key),
                traceparent=new_traceparent(event_id(SOURCE, key, version)),
                sequence=version,
            )
            outputs.append(Output(topic, subject.encode(), schema.encode(value), to_headers(envelope)))
            ids.append(envelope.id)
        publisher = KafkaPublisher(settings.bootstrap, client_id="hub-publish")
        try:
            publisher.publish(outputs)
        finally:
            publisher.close()
    if as_json:
        print_json({"topic": topic, "ids": ids})
    else:
        typer.echo("\n".join(ids))


def _typed(value: Mapping[str, Any], fields: Sequence[Field]) -> dict[str, Any]:
    """JSON has neither dates nor decimals: their texts are read. What cannot be read stays, and is refused."""
    by_name = {field.name: field for field in fields}
    return {name: _one(item, by_name[name]) if name in by_name else item for name, item in value.items()}


def _one(value: Any, field: Field) -> Any:
    if isinstance(value, list) and field.is_array:
        return [_typed(item, field.items) if isinstance(item, dict) else item for item in value]
    if isinstance(value, str) and field.type in _READERS:
        with suppress(ValueError, ArithmeticError):
            return _READERS[field.type](value)
    return value


def _read(file: Path) -> list[tuple[int, dict[str, Any]]]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: {error}") from error
    rows = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                value = json.loads(line)
            except ValueError as error:
                raise InputError(f"{file}:{number}: not JSON: {error}") from error
            if not isinstance(value, dict):
                raise InputError(f"{file}:{number}: an event is an object")
            rows.append((number, value))
    if not rows:
        raise InputError(f"{file}: no event in it")
    return rows
