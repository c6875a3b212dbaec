"""What stands on record of a second source of a fact: a witness, or a conflict."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from hub.bus.reader import read_topics
from hub.bus.records import Output
from hub.contracts.catalog import Catalog
from hub.contracts.cloudevents import to_headers
from hub.domain.events import Envelope, derive_id
from hub.intake.facts.entries import Owner
from hub.intake.tentative import tentative_headers
from hub.intake.versions import Identified, source_uri
from hub.state.seen_index import SeenRow

WITNESSES_TOPIC = "intake.witnesses.v1"
WITNESS_SCHEMA, WITNESS_EVENT = "hub/witness", "intake.witness.recorded"


def read_witnesses(bootstrap: str, catalog: Catalog) -> list[dict[str, Any]]:
    """What the topic holds, the newest first, without the content. Raises BrokerError."""
    found = {}
    for record in read_topics(bootstrap, [WITNESSES_TOPIC]):
        if record.value is not None:
            value = catalog.decode(record.value)[1]
            del value["data"]
            found[value["witness_id"]] = value
    return sorted(found.values(), key=lambda each: (each["recorded_at"], each["witness_id"]), reverse=True)


class Testimonies:
    """Of one source."""

    def __init__(self, source: str, catalog: Catalog) -> None:
        self._source, self._uri, self._schema = source, source_uri(source), catalog.schema(WITNESS_SCHEMA)

    def make(
        self, item: Identified, output: Output, fact: bytes, owner: Owner, differs: Sequence[str], in_force: str,
        now: datetime,
    ) -> Output:
        """That a row, whose event is or would be ``output``, says what ``owner`` has told."""
        id_ = derive_id("witness", self._uri, item.natural, item.digest.hex(), owner.event_id)
        place, subject = item.row.place, (output.key or b"").decode()
        value = self._schema.encode({
            "witness_id": id_, "kind": "conflict" if differs else "same", "topic": output.topic, "fact": fact.hex(),
            "subject": subject, "source": self._source, "first_source": owner.source,
            "first_event_id": owner.event_id, "in_force": in_force, "differs": list(differs),
            "file": place.file[:500], "row": place.row, "data": output.value, "recorded_at": now,
        })
        headers = to_headers(Envelope(
            id=id_, source=self._uri, type=WITNESS_EVENT, subject=subject, time=now,
            correlation_id=owner.correlation_id, causation_id=owner.event_id,
        ))
        return Output(WITNESSES_TOPIC, output.key, value, headers)


def with_row(testimony: Output, item: Identified, after: SeenRow, before: SeenRow | None) -> Output:
    """The testimony of a row that is no event, so that the index of rows is rebuilt by it. ``before`` is what was
    published of the row, ``after`` what the index holds now. A conflict that is an event as well has that for it."""
    return testimony._replace(headers=[
        *testimony.headers, ("ce_sequence", b"%d" % after.version), ("ce_naturalkey", item.key.hex().encode()),
        ("ce_digest", item.digest.hex().encode()), *tentative_headers(before, item.row.state_type),
    ])
