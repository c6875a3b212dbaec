"""Proof of a notice: everything the log holds of it, in one file, and whether it fits together.

The file holds the records byte for byte: the event, the decision, the notice, its receipts, the answers, the clocks of
the fact. What can be derived is not taken from the file but derived anew when it is checked: ids, the view's content,
the body that was handed over, its digest, its signature.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from hub.bus.records import Record, header
from hub.contracts.catalog import Catalog
from hub.delivery.message import read_inbox, to_body
from hub.delivery.receipts import RECEIPTS_TOPIC
from hub.delivery.settings import SubscriptionSettings
from hub.domain.direct import is_departments
from hub.domain.events import output_id
from hub.domain.plain import instant_text
from hub.domain.webhook_keys import parse_public
from hub.errors import HubError, InputError

FORMAT = "gannan-hub-proof/1"
DECISIONS_TOPIC, FEEDBACK_TOPIC = "routing.decisions.v1", "discipline.feedback.v1"
_OF_THE_NOTICE = (RECEIPTS_TOPIC, FEEDBACK_TOPIC)


class Check(NamedTuple):
    """One thing that was looked at. ``is_right`` is ``None`` where the file alone cannot tell."""

    what: str
    is_right: bool | None
    found: str


def find_notice(records: Iterable[Record], notice_id: str) -> Record:
    """The notice among the records of the inboxes. Raises InputError if it is not there."""
    wanted = notice_id.encode()
    for record in records:
        if header(record.headers, "ce_id") == wanted:
            return record
    raise InputError(f"no inbox holds the notice {notice_id}")


def collect(
    notice: Record, records: Iterable[Record], settings: Sequence[SubscriptionSettings], catalog: Catalog, *,
    at: datetime, by: str,
) -> dict[str, Any]:
    """The proof of ``notice`` as a document for JSON. ``settings`` are all that are known of its subscription."""
    fields = read_inbox(notice, catalog)
    kept = [notice, *(record for record in records if _belongs(record, fields, catalog))]
    kept.sort(key=lambda record: (record.timestamp, record.topic, record.partition, record.offset))
    values = [catalog.decode(record.value)[0] for record in kept if record.value is not None]
    values.append(catalog.decode(fields["data"])[0])
    keys = {key.public: key for each in settings for key in each.keys if key.public is not None}
    document: dict[str, Any] = {
        "format": FORMAT,
        "notice_id": fields["notice_id"],
        "made_at": instant_text(at),
        "made_by": by,
        "records": [_written(record) for record in kept],
        "schemas": {str(schema.id): schema.definition for schema in values},
        "keys": [{"public": public, "created_at": instant_text(key.created_at)} for public, key in keys.items()],
        "receiver_keys": sorted({key for each in settings for key in each.receiver_keys}),
    }
    return {**document, "digest": _digest(document)}


def _belongs(record: Record, notice: Mapping[str, Any], catalog: Catalog) -> bool:
    """Whether a record is part of the notice's story: of its event, its own, or a clock of the same fact."""
    if record.topic.startswith("inbox.") or record.value is None or record.topic.endswith(".dead-letters.v1"):
        return False
    if is_departments(record.topic):
        return False  # its headers are the department's word; what was taken of it stands on the topic of answers
    if header(record.headers, "ce_correlationid") != notice["correlation_id"].encode():
        return False
    if record.topic in _OF_THE_NOTICE:
        return bool(catalog.decode(record.value)[1]["notice_id"] == notice["notice_id"])
    if record.topic == DECISIONS_TOPIC:
        return bool(catalog.decode(record.value)[1]["event_id"] == notice["event_id"])
    if record.topic.startswith("clock."):
        return True
    return bool(header(record.headers, "ce_id") == notice["event_id"].encode())


def verify(document: Any, catalog: Catalog) -> Iterator[Check]:
    """Looks at every part of a proof; asks nobody. Raises InputError for what is no proof at all."""
    try:
        if document["format"] != FORMAT:
            raise InputError(f"the file is of the format {document['format']!r}, not {FORMAT!r}")
        rest = {name: value for name, value in document.items() if name != "digest"}
        records = [_read(each) for each in document["records"]]
        keys, receiver_keys = [key["public"] for key in document["keys"]], list(document["receiver_keys"])
        notice_id, digest = document["notice_id"], document["digest"]
        enclosed = dict(document["schemas"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"the file is no proof of a notice: {type(error).__name__}") from error
    yield Check("file", digest == _digest(rest), "as it was written" if digest == _digest(rest) else "was changed")
    ours = all(catalog.by_id(int(id)).definition == definition for id, definition in enclosed.items())
    yield Check("schemas", ours, f"{len(enclosed)}, as this hub has them under lock" if ours else "not this hub's")
    try:
        yield from _verify(notice_id, records, keys, receiver_keys, catalog)
    except HubError as error:
        yield Check("records", False, str(error))


def _verify(
    notice_id: str, records: Sequence[Record], keys: Sequence[str], receiver_keys: Sequence[str], catalog: Catalog
) -> Iterator[Check]:
    inbox = find_notice((record for record in records if record.topic.startswith("inbox.")), notice_id)
    notice = read_inbox(inbox, catalog)
    derived = output_id(notice["event_id"], notice["rule"])
    yield Check("notice", derived == notice_id == notice["notice_id"], f"{_place(inbox)}, by rule {notice['rule']}")

    events = [record for record in records if header(record.headers, "ce_id") == notice["event_id"].encode()]
    yield Check("event", len(events) == 1, ", ".join(map(_place, events)) or "is missing")
    for event in events:
        schema, value = catalog.decode(event.value or b"")
        projected = catalog.projection(schema, notice["view"])
        seen = catalog.decode(notice["data"])[1]
        is_view = projected.schema.decode(projected.encode(value)) == seen
        yield Check("content", is_view, f"the event in the view {notice['view']!r}, and nothing else")

    decisions = [catalog.decode(record.value or b"")[1] for record in records if record.topic == DECISIONS_TOPIC]
    named = [
        each for each in decisions
        if each["map_version"] == notice["map_version"]
        and any((out["output_id"], out["rule"]) == (notice_id, notice["rule"]) for out in each["outputs"])
    ]
    yield Check("decision", bool(named), f"by map {notice['map_version']}" if named else "names no such notice")

    body = to_body(notice, catalog)
    receipts = _values(records, RECEIPTS_TOPIC, catalog)
    for receipt in receipts:
        is_direct = receipt["method"] == "kafka"
        yield from _check_direct(receipt, inbox) if is_direct else _check_receipt(receipt, body, keys)
    if not receipts:
        yield Check("receipt", None, "none: it has not been delivered, parked or dropped yet")
    for answer in _values(records, FEEDBACK_TOPIC, catalog):
        yield from _check_answer(answer, receiver_keys)


def _check_receipt(receipt: Mapping[str, Any], body: bytes, keys: Sequence[str]) -> Iterator[Check]:
    said = f"{receipt['status']} at attempt {receipt['attempts']}, {instant_text(receipt['finished_at'])}"
    if receipt["content_digest"] is None:
        yield Check("receipt", None if receipt["status"] == "delivered" else True, said)
        return
    is_same = receipt["content_digest"] == hashlib.sha256(body).hexdigest()
    yield Check("receipt", is_same, f"{said}; {len(body)} bytes" if is_same else f"{said}; of other content")
    yield _check_signature("signature", receipt["notice_id"], receipt["signed_at"], body, receipt["signature"], keys)


def _check_direct(receipt: Mapping[str, Any], inbox: Record) -> Iterator[Check]:
    """By Kafka nothing is handed over: the record in the inbox is itself what the department has."""
    said = f"{receipt['status']} by Kafka, {instant_text(receipt['finished_at'])}"
    if receipt["content_digest"] is None:
        yield Check("receipt", None if receipt["status"] == "delivered" else True, said)
        return
    value = inbox.value or b""
    is_same = (receipt["content_digest"], receipt["place"]) == (hashlib.sha256(value).hexdigest(), _place(inbox))
    yield Check("receipt", is_same, f"{said}; {len(value)} bytes" if is_same else f"{said}; of another record")
    yield Check(
        "acknowledged", True if is_same else None,
        f"by the committed offset of {receipt['endpoint']}; the record stands in the inbox itself, and none is signed",
    )


def _check_answer(answer: Mapping[str, Any], keys: Sequence[str]) -> Iterator[Check]:
    said = f"{answer['status']}, {instant_text(answer['received_at'])}"
    if answer["content"] is None:
        yield Check("answer", None, f"{said}; not kept as it came")
        return
    content = json.loads(answer["content"])
    is_same = all(content.get(name) == answer[name] for name in ("notice_id", "status", "measure", "case_number"))
    yield Check("answer", is_same, said if is_same else f"{said}; not what the department wrote")
    if answer["signature"] is None:
        yield Check("signature of the answer", None, f"none; it came by {answer['way']}, where another proof stands")
        return
    yield _check_signature(
        "signature of the answer", answer["signed_as"], answer["signed_at"], answer["content"], answer["signature"],
        keys,
    )


def _check_signature(what: str, id: str, at: datetime, body: bytes, signature: str, keys: Sequence[str]) -> Check:
    signatures = signature.split()
    if not any(each.startswith("v1a,") for each in signatures):
        return Check(what, None, "by a shared secret (HMAC): proves it between the two sides, not to a third")
    message = f"{id}.{int(at.timestamp())}.".encode() + body
    for key in keys:
        if parse_public(key).verify(message, signatures):
            return Check(what, True, f"ed25519, {key}, {instant_text(at)}")
    return Check(what, False, "of none of the keys on record")


def _values(records: Iterable[Record], topic: str, catalog: Catalog) -> list[dict[str, Any]]:
    return [catalog.decode(record.value or b"")[1] for record in records if record.topic == topic]


def _place(record: Record) -> str:
    return f"{record.topic}/{record.partition}/{record.offset}"


def _digest(document: Mapping[str, Any]) -> str:
    canonical = json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _written(record: Record) -> dict[str, Any]:
    def text(raw: bytes | None) -> str | None:
        return None if raw is None else base64.b64encode(raw).decode()

    return {
        "topic": record.topic, "partition": record.partition, "offset": record.offset, "timestamp": record.timestamp,
        "key": text(record.key), "value": text(record.value),
        "headers": [[name, text(value)] for name, value in record.headers],
    }


def _read(written: Mapping[str, Any]) -> Record:
    def raw(text: str | None) -> bytes | None:
        return None if text is None else base64.b64decode(text, validate=True)

    return Record(
        str(written["topic"]), int(written["partition"]), int(written["offset"]), int(written["timestamp"]),
        raw(written["key"]), raw(written["value"]), [(name, raw(value) or b"") for name, value in written["headers"]],
    )
