"""What a department answers to a notice: checked in one place, whatever way it came.

    received      the transport's own acknowledgement: a receipt, see ``receipts``
    registered    the department has entered it, under a case number of its own
    acted, inapplicable, objected
                  what came of it: the measure taken, or why none, or why the notice is wrong

What does not fit is a ProblemError that names every fault, to be said in the way's own form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, Literal, NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict, Field

from hub.bus.records import Output
from hub.contracts.catalog import Catalog
from hub.contracts.cloudevents import to_headers
from hub.contracts.documents import validated
from hub.domain.events import Envelope, child_traceparent, new_traceparent, output_id
from hub.domain.problem import ProblemError, fault
from hub.domain.recall import effect_of
from hub.domain.webhook import SIGNATURE_HEADER, TIMESTAMP_HEADER, SignatureError, parse_verifier, verify
from hub.errors import ContractError
from hub.state.notice_index import Notice

FEEDBACK_TOPIC = "discipline.feedback.v1"
FEEDBACK_SCHEMA = "hub/discipline-feedback"
#: The measure of a notice that takes back an earlier one: what was restricted is free again.
LIFT_MEASURE = "解除限制"

#: Codes of ``feedback-way``.
Way = Literal["http", "file", "kafka", "portal"]


class NoticeReader(Protocol):
    """The part of NoticeIndex that answers need. Raises IndexUnavailableError."""

    def get(self, notice_id: str) -> Notice | None: ...


class Answer(BaseModel):
    """What a department answers. Unknown names are refused: a slip of the pen would be lost silently."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    notice_id: str = Field(min_length=1, max_length=36)
    subscription: str = Field(min_length=1, max_length=100)
    correlation_id: str = Field(min_length=1, max_length=36)
    event_id: str = Field(min_length=1, max_length=36)
    subject: str = Field(min_length=1, max_length=200)
    status: Literal["registered", "acted", "inapplicable", "objected"]
    measure: str | None = Field(default=None, max_length=50)
    case_number: str | None = Field(default=None, max_length=128)
    reason: str | None = Field(default=None, max_length=2000)
    acted_on: date | None = None
    #: First and last day on which the measure holds.
    effective_from: date | None = None
    effective_until: date | None = None


class Signed(NamedTuple):
    """The department's signature over what came: the message id, the time that it covers (aware), the signatures."""

    message_id: str
    at: datetime
    signature: str


class TakenAnswer(NamedTuple):
    """An answer that fits: its id and notice, and the record that is still to be written."""

    feedback_id: str
    notice_id: str
    output: Output


class AnswerDesk:
    """Checks answers and makes records of them. Thread-safe as the index is; ``now`` gives aware UTC.

    ``keys`` gives what answers of a subscription are verified with, ``whsec_`` secrets and ``whpk_`` public keys, and
    is asked each time, so that a rotated one counts at once.
    """

    def __init__(
        self, catalog: Catalog, notices: NoticeReader, keys: Callable[[str], Sequence[str]],
        now: Callable[[], datetime],
    ) -> None:
        self._schema = catalog.schema(FEEDBACK_SCHEMA)
        self._notices, self._keys, self._now = notices, keys, now

    def authenticate(self, subscription: object, headers: Mapping[str, str], content: bytes) -> Signed:
        """The signature in ``headers`` (names in lower case) over ``content``. Raises ProblemError 401."""
        # An unknown subscription fails like a wrong signature: nobody learns which ones exist.
        keys = [parse_verifier(text) for text in self._keys(subscription)] if isinstance(subscription, str) else []
        try:
            message_id = verify(keys, headers, content, self._now())
        except SignatureError as error:
            raise ProblemError(401, "unauthenticated", "签名无效", str(error)) from None
        at = datetime.fromtimestamp(int(headers[TIMESTAMP_HEADER]), UTC)
        return Signed(message_id, at, headers[SIGNATURE_HEADER])

    def take(
        self, document: Mapping[str, Any], *, way: Way, source: str, content: bytes | None, signed: Signed | None,
        answered_by: str | None = None,
    ) -> TakenAnswer:
        """The record of an answer, if it fits its notice.

        ``content`` is what stands on record, as it came; with ``signed`` the department cannot deny it, and nobody
        can alter it unseen. ``source`` is who read it, as a URI reference; ``answered_by`` the account of a person who
        answered by a page. Blocks for the index. Raises ProblemError
        for what does not fit, IndexUnavailableError while nobody can tell.
        """
        answer = validated(Answer, document)
        notice = check_answer(answer, self._notices.get(answer.notice_id))
        received_at = self._now()
        # Of two measures that a notice expects, each is answered for itself.
        what = f"{answer.status}:{answer.measure}" if answer.measure else answer.status
        feedback_id = output_id(notice.notice_id, f"feedback:{what}")
        try:
            value = self._schema.encode({
                "feedback_id": feedback_id,
                **answer.model_dump(),
                "department_code": notice.department_code,
                "action": notice.action,
                "answered_by": answered_by,
                "way": way,
                "content": content,
                "signed_as": signed.message_id if signed else None,
                "signed_at": signed.at if signed else None,
                "signature": signed.signature if signed else None,
                "received_at": received_at,
            })
        except ContractError as error:
            # What no check above foresees but the schema refuses is still the sender's to repair.
            raise ProblemError(422, "unfit-content", "内容不符合格式", str(error)) from error
        envelope = Envelope(
            id=feedback_id, source=source, type=f"discipline.feedback.{answer.status}", subject=notice.subject,
            time=received_at, correlation_id=notice.correlation_id, causation_id=notice.notice_id,
            traceparent=child_traceparent(new_traceparent(notice.event_id), feedback_id),
        )
        output = Output(FEEDBACK_TOPIC, notice.subject.encode(), value, to_headers(envelope))
        return TakenAnswer(feedback_id, notice.notice_id, output)


def check_answer(answer: Answer, notice: Notice | None) -> Notice:
    """The notice, if ``answer`` answers it; otherwise raises ProblemError.

    A notice of another subscription is as unknown as none. A measure has to be one that the notice named:
    departments act on the list of measures in force, not beyond it.
    """
    if notice is None or notice.subscription != answer.subscription:
        raise ProblemError(404, "unknown-notice", "未找到该通知",
                           "no notice of this subscription has this id", [fault(("notice_id",), "unknown")])
    faults = [
        fault((name,), "differs from the notice")
        for name in ("subject", "correlation_id", "event_id")
        if getattr(answer, name) != getattr(notice, name)
    ]
    if answer.status == "acted":
        if not answer.measure:
            faults.append(fault(("measure",), "已采取措施的须填写措施 (acted needs a measure)"))
        elif not _is_expected(answer.measure, notice):
            faults.append(fault(("measure",), "措施不在通知所列范围内 (not a measure that the notice names)"))
    elif answer.status in ("inapplicable", "objected") and not answer.reason:
        faults.append(fault(("reason",), f"不适用或有异议的须说明理由 ({answer.status} needs a reason)"))
    if answer.effective_until and answer.effective_until < (answer.effective_from or answer.effective_until):
        faults.append(fault(("effective_until",), "截止日期早于生效日期 (ends before it begins)"))
    if faults:
        raise ProblemError(422, "invalid", "反馈与通知不符", "the answer does not fit the notice", faults)
    return notice


def _is_expected(measure: str, notice: Notice) -> bool:
    is_recall = (notice.action or effect_of(notice.event_type)) == "lift"
    return measure in notice.expected_measures or (is_recall and measure == LIFT_MEASURE)
