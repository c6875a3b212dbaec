"""Answers out of the log itself: for what the index does not hold, or has lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from hub.bus.reader import partitions_of_all, read_after, read_topics
from hub.bus.records import Record, header
from hub.domain.murmur2 import partition_of

_DECISIONS = "routing.decisions.v1"


class LogScan:
    """Reads whole partitions; each question opens a client of its own. Raises BrokerError."""

    def __init__(self, bootstrap: str, topics: Sequence[str], compacted: frozenset[str]) -> None:
        self._bootstrap, self._topics, self._compacted = bootstrap, list(topics), compacted

    def of_subject(self, subject: str) -> list[Record]:
        """All records of a subject: one partition of each topic is read."""
        wanted = subject.encode()
        return self._latest(
            record for record in self._of_partition(subject) if header(record.headers, "ce_subject") == wanted
        )

    def of_id(self, id: str) -> list[Record]:
        """All records of the fact that an id belongs to: of a record, of what caused one, or of the fact itself.

        The topics are read until the id is met, then the partition of its subject.
        """
        found = self._find(id.encode())
        if found is None:
            return []
        subject, entities = found
        return self._latest(
            record for record in self._of_partition(subject)
            if header(record.headers, "ce_correlationid") in entities
        )

    def after(self, offsets: Mapping[tuple[str, int], int]) -> list[Record]:
        """What stands on the log from these offsets on."""
        return list(read_after(self._bootstrap, offsets)) if offsets else []

    def all(self) -> Iterator[Record]:
        """All records of all topics."""
        return read_topics(self._bootstrap, self._topics)

    def _find(self, id: bytes) -> tuple[str, set[bytes]] | None:
        """The subject and the facts of an id; where it is no record's own, all facts that name it as their cause."""
        caused: set[bytes] = set()
        subject = b""
        for record in self.all():
            headers = dict(record.headers)
            entity = headers.get("ce_correlationid")
            if entity is None:
                continue
            if id in (headers.get("ce_id"), entity):
                return (headers.get("ce_subject") or b"").decode("utf-8", "replace"), {entity}
            if headers.get("ce_causationid") == id:
                caused.add(entity)
                subject = subject or headers.get("ce_subject") or b""
        return (subject.decode("utf-8", "replace"), caused) if caused else None

    def _of_partition(self, subject: str) -> Iterator[Record]:
        counts = partitions_of_all(self._bootstrap, [_DECISIONS, *self._topics])
        count = counts.get(_DECISIONS, 0)
        narrow = [name for name in self._topics if counts.get(name, 0) != count]
        wide = [name for name in self._topics if name not in narrow]
        yield from read_topics(self._bootstrap, wide, partition_of(subject.encode(), count) if count else 0)
        if narrow:
            yield from read_topics(self._bootstrap, narrow)

    def _latest(self, records: Iterator[Record]) -> list[Record]:
        return latest(records, self._compacted)


def latest(records: Iterator[Record], compacted: frozenset[str]) -> list[Record]:
    """The records without those of compacted topics that a later one of the same key has replaced."""
    kept: dict[tuple[str, int, bytes | int | None], Record] = {}
    for record in records:
        name = record.key if record.topic in compacted else record.offset
        known = kept.get((record.topic, record.partition, name))
        if known is None or known.offset < record.offset:
            kept[record.topic, record.partition, name] = record
    return [record for record in kept.values() if record.value is not None]
