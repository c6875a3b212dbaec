"""What a person asks of notices that wait: ``delivery.commands.v1``.

A command stands on the partition of what it is about; one that is about all stands on each.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Literal, NamedTuple

from hub.bus.records import Output, Record
from hub.contracts.catalog import Catalog
from hub.contracts.cloudevents import to_headers
from hub.domain.events import Envelope, derive_id, new_traceparent
from hub.errors import ContractError, PoisonError

COMMANDS_TOPIC = "delivery.commands.v1"
COMMAND_SCHEMA = "hub/delivery-command"


class Command(NamedTuple):
    """``notice_id`` is the one notice that is meant; ``None`` means all of the subscription."""

    kind: Literal["release", "drop"]
    subscription: str
    notice_id: str | None
    asked_by: str
    reason: str
    asked_at: datetime


def read_command(record: Record, catalog: Catalog) -> Command:
    """Raises PoisonError or ContractError for a record that is no command."""
    if record.value is None:
        raise PoisonError("a command without a value")
    schema, found = catalog.decode(record.value)
    if schema.name != COMMAND_SCHEMA:
        raise ContractError(f"{record.topic} holds commands, not {schema.name}")
    return Command(**{name: found[name] for name in Command._fields})


def write_command(command: Command, partitions: Iterable[int], catalog: Catalog) -> list[Output]:
    """The command for each of some partitions of the inbox."""
    outputs = []
    for partition in partitions:
        id = derive_id(
            "command", command.subscription, command.kind, command.notice_id or "", command.asked_at.isoformat(),
            str(partition),
        )
        envelope = Envelope(
            id=id, source="/operators", type="delivery.command.given", subject=command.subscription,
            time=command.asked_at, correlation_id=id, causation_id=id, traceparent=new_traceparent(id),
        )
        value = catalog.schema(COMMAND_SCHEMA).encode({"command_id": id, **command._asdict()})
        outputs.append(Output(COMMANDS_TOPIC, command.subscription.encode(), value, to_headers(envelope), partition))
    return outputs
