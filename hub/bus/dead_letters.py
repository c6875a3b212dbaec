"""Dead letters: the record byte for byte, and in headers why it could not be processed.

Header names follow KIP-1034 (``__streams.errors.*``), so that tools which know Kafka Streams' dead
letters read ours; the hub's own additions are ``__hub.errors.*``.
"""

from __future__ import annotations

from datetime import UTC, datetime

from hub.bus.records import Headers, Output, Record

PREFIX = "__streams.errors."
OWN_PREFIX = "__hub.errors."
#: On a record that was put back: which letter it was, and by which request. They stay on it, so that a letter that
#: comes back names the earlier one.
REDRIVEN_PREFIX = "__hub.redriven."
#: A message of an exception can quote anything; what is longer helps nobody.
_MAX_MESSAGE = 2000


def dead_letter_topic(stage: str) -> str:
    return f"{stage}.dead-letters.v1"


def to_dead_letter(
    record: Record,
    stage: str,
    error: BaseException,
    *,
    attempts: int,
    first_failed_at: datetime,
    last_failed_at: datetime | None = None,
    rule_version: str = "",
) -> Output:
    """``record`` as it goes to the dead letters of ``stage``. Times are aware."""
    last = last_failed_at or first_failed_at
    added = [
        (PREFIX + "exception", type(error).__name__),
        (PREFIX + "message", str(error)[:_MAX_MESSAGE]),
        (PREFIX + "topic", record.topic),
        (PREFIX + "partition", str(record.partition)),
        (PREFIX + "offset", str(record.offset)),
        (OWN_PREFIX + "attempts", str(attempts)),
        (OWN_PREFIX + "first-failed-at", first_failed_at.astimezone(UTC).isoformat()),
        (OWN_PREFIX + "last-failed-at", last.astimezone(UTC).isoformat()),
        (OWN_PREFIX + "rule-version", rule_version),
    ]
    headers = [*record.headers, *((name, value.encode()) for name, value in added)]
    return Output(dead_letter_topic(stage), record.key, record.value, headers)


def origin_of(record: Record) -> tuple[str, int, int] | None:
    """(topic, partition, offset) that a dead letter came from, or ``None`` if its headers do not say."""
    topic, partition, offset = (last_header(record.headers, PREFIX + part) for part in ("topic", "partition", "offset"))
    if topic is None or partition is None or offset is None:
        return None
    return topic.decode(), int(partition), int(offset)


def last_header(headers: Headers, name: str) -> bytes | None:
    """The last header of that name. The hub's own stand behind those with which a record came: whoever wrote it does
    not choose where it is put back."""
    return next((value for key, value in reversed(headers) if key == name), None)


def without_errors(record: Record) -> Headers:
    """The headers as they were before the record failed."""
    return [(name, value) for name, value in record.headers if not name.startswith((PREFIX, OWN_PREFIX))]


def redriven(letter: Record, request_id: str) -> Output | None:
    """``letter`` as it is put back: to the place that it came from, with its key, bytes and ids, marked with what it
    was. ``None`` if it does not say where it came from."""
    origin = origin_of(letter)
    if origin is None:
        return None
    place = f"{letter.topic}:{letter.partition}:{letter.offset}"
    kept = [(name, value) for name, value in without_errors(letter) if not name.startswith(REDRIVEN_PREFIX)]
    marks = [(REDRIVEN_PREFIX + "letter", place.encode()), (REDRIVEN_PREFIX + "request", request_id.encode())]
    return Output(origin[0], letter.key, letter.value, [*kept, *marks], origin[1])


def earlier_letter(letter: Record) -> str | None:
    """The place of the letter that this record was before it was put back, if it was one."""
    found = last_header(letter.headers, REDRIVEN_PREFIX + "letter")
    return found.decode("utf-8", "replace") if found is not None else None
