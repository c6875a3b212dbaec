"""Answers by Kafka: in ``answers.<subscription>``, out the feedback or ``answer-problems.<subscription>``.

That the department wrote them is proved by the right to write that topic. What does not fit comes back as a problem
document (RFC 9457) with the place of the answer; it holds up nothing that is behind it.

An answer needs its notice, and the index of notices gets it from the inbox, by a stage of its own. "Unknown" is said
only when that stage has read all that stood in the inbox before the answer came.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol

import structlog

from hub.bus.commits import GroupOffsets
from hub.bus.records import Output, Record
from hub.bus.spans import SpanReader
from hub.bus.stage import Stage
from hub.contracts.catalog import Catalog
from hub.contracts.documents import parse
from hub.delivery.answers import AnswerDesk, NoticeReader, Signed, TakenAnswer
from hub.delivery.indexing import NoticeWriter
from hub.delivery.message import read_notices
from hub.domain.direct import inbox_of, problems_of
from hub.domain.plain import to_json
from hub.domain.problem import ProblemError
from hub.domain.webhook import ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER
from hub.errors import HubError, IndexUnavailableError

SOURCE = "/stages/delivery"
#: As by HTTP.
MAX_ANSWER_BYTES = 65_536
#: Faults of one answer that are named: an answer of nothing but wrong names would have thousands.
MAX_FAULTS = 100
_SIGNED_BY = (ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER)
_log = structlog.get_logger()


class IndexStage(Stage):
    """Puts notices into the index as they enter the inbox: the department may answer as soon as it has read.

    While Redis is away the lane waits in place. Records that are no notices are passed over; who writes the receipts
    puts them to the dead letters.
    """

    def __init__(self, catalog: Catalog, index: NoticeWriter) -> None:
        self._catalog, self._index = catalog, index

    def handle(self, records: Sequence[Record]) -> Sequence[Sequence[Output]]:
        self._index.put(list(read_notices(records, self._catalog)))
        return [[] for _ in records]


class Progress(Protocol):
    """Whether all that now stands in the inbox of a subscription is in the index. Raises BrokerError."""

    def __call__(self, subscription: str) -> bool: ...

    def close(self) -> None: ...


class AnswersStage(Stage):
    """Checks answers and makes records of them.

    ``keys`` gives what answers of a subscription are verified with; ``is_signing_required`` whether an answer without
    a signature is refused. ``is_indexed`` is closed with the stage.
    """

    def __init__(
        self, topics: Mapping[str, str], catalog: Catalog, notices: NoticeReader, keys: Callable[[str], Sequence[str]],
        is_signing_required: Callable[[str], bool], is_indexed: Progress,
    ) -> None:
        #: Topic -> subscription.
        self._topics = dict(topics)
        self._is_signing_required, self._is_indexed = is_signing_required, is_indexed
        self._came_at = datetime(1970, 1, 1, tzinfo=UTC)
        # An answer came when Kafka took it: a deadline is met by that moment, and a signature is judged by it, however
        # long the hub stood still meanwhile.
        self._desk = AnswerDesk(catalog, notices, keys, lambda: self._came_at)
        self._sure: set[str] = set()

    def handle(self, records: Sequence[Record]) -> Sequence[Sequence[Output]]:
        # All of these came before now: what is in the index by now decides.
        self._sure.clear()
        return [[self._take(record)] for record in records]

    def close(self) -> None:
        self._is_indexed.close()

    def _take(self, record: Record) -> Output:
        self._came_at = datetime.fromtimestamp(record.timestamp / 1000, UTC)
        subscription = self._topics[record.topic]
        try:
            taken = self._checked(subscription, record)
        except ProblemError as problem:
            return self._refused(subscription, record, problem)
        except HubError:
            raise
        except Exception as error:  # what nobody foresaw is the answer's fault too: it must not stop those behind it
            _log.error("answer.fault", topic=record.topic, partition=record.partition, offset=record.offset,
                       error=type(error).__name__)
            unfit = ProblemError(422, "unfit-content", "内容不符合格式", f"not to be read: {type(error).__name__}")
            return self._refused(subscription, record, unfit)
        _log.info("feedback.accepted", feedback_id=taken.feedback_id, notice_id=taken.notice_id, way="kafka")
        return taken.output

    def _checked(self, subscription: str, record: Record) -> TakenAnswer:
        content = record.value
        if not content:
            raise ProblemError(400, "malformed", "内容为空", "the record has no value")
        if len(content) > MAX_ANSWER_BYTES:
            raise ProblemError(413, "too-large", "内容过大", f"an answer may hold {MAX_ANSWER_BYTES} bytes")
        document = parse(content)
        if document.get("subscription") != subscription:
            raise ProblemError(403, "not-yours", "不是本订阅的反馈",
                               f"answers on this topic are of the subscription {subscription!r}")
        signed = self._signature(subscription, record, content)

        def take() -> TakenAnswer:
            return self._desk.take(document, way="kafka", source=SOURCE, content=content, signed=signed)

        try:
            return take()
        except ProblemError as problem:
            if problem.slug != "unknown-notice":
                raise
        if subscription not in self._sure:
            if not self._is_indexed(subscription):
                raise IndexUnavailableError(f"not all notices of {subscription} are in the index yet")
            self._sure.add(subscription)
        return take()

    def _signature(self, subscription: str, record: Record, content: bytes) -> Signed | None:
        given = {name.lower(): (value or b"").decode("ascii", "replace") for name, value in reversed(record.headers)}
        headers = {name: given[name] for name in _SIGNED_BY if name in given}
        if not headers and not self._is_signing_required(subscription):
            return None
        return self._desk.authenticate(subscription, headers, content)

    def _refused(self, subscription: str, record: Record, problem: ProblemError) -> Output:
        problem.errors = problem.errors[:MAX_FAULTS]
        place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
        instance = f"/{record.topic}/{record.partition}/{record.offset}"
        _log.info("feedback.refused", problem=problem.slug, **place)
        return Output(
            problems_of(subscription), record.key, to_json({**problem.document(instance), "answer": place}),
            [("content-type", b"application/problem+json")],
        )


class IndexProgress:
    """Whether the group that fills the index has read all of an inbox. One object serves one thread."""

    def __init__(self, bootstrap: str, group: str, partitions: Callable[[str], int]) -> None:
        self._offsets, self._reader = GroupOffsets(bootstrap), SpanReader(bootstrap)
        self._group, self._partitions = group, partitions

    def __call__(self, subscription: str) -> bool:
        """Raises BrokerError."""
        inbox = inbox_of(subscription)
        places = [(inbox, number) for number in range(self._partitions(inbox))]
        ends = self._reader.ends_of(places)
        committed = self._offsets.read([self._group])[self._group]
        return all(committed.get(place, 0) >= end for place, end in ends.items())

    def close(self) -> None:
        self._reader.close()
