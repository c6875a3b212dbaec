"""A department answers a notice by a page: the form as the document that programs send, checked by the same desk."""

from __future__ import annotations

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from hub.bus.records import Output
from hub.delivery.answers import LIFT_MEASURE, AnswerDesk, NoticeReader
from hub.domain.problem import ProblemError, fault
from hub.ops.ledger.desk_queries import DeskNotice
from hub.web.site.form import Form

SOURCE = "/web/portal"
_ACTED = "acted:"
_OTHERS = ("registered", "inapplicable", "objected")
#: Notices whose last answer of this process is remembered, and for how long: a second click comes within seconds.
_REMEMBERED, _REMEMBERED_SECONDS = 1000, 20.0


class _Safe(NamedTuple):
    """An answer that is on the log."""

    feedback_id: str
    content: str
    until: float


class Answering:
    """``publish`` blocks until Kafka has acknowledged. Thread-safe."""

    def __init__(
        self, desk: AnswerDesk, notices: NoticeReader, publish: Callable[[Sequence[Output]], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._desk, self._notices, self._publish, self._monotonic = desk, notices, publish, monotonic
        #: Notice -> its last answer.
        self._safe: OrderedDict[str, _Safe] = OrderedDict()
        self._lock = threading.Lock()

    def choices(self, notice: DeskNotice) -> list[str]:
        """What may be answered: the measures that the notice names first. Raises IndexUnavailableError."""
        known = self._notices.get(notice.notice_id)
        measures = list(known.expected_measures) if known is not None else []
        if notice.action == "lift":
            measures = [LIFT_MEASURE]
        return [*(_ACTED + each for each in measures), *_OTHERS]

    def answer(self, notice: DeskNotice, form: Form, account: str) -> str:
        """Puts the answer on the log once, however often it is sent; gives its id.

        Raises ProblemError that names every fault, BrokerError where it is not known to be safe: then sending it
        again is right.
        """
        choice = form.text("choice", 100)
        if choice not in self.choices(notice):
            raise ProblemError(422, "invalid", "内容未通过校验", "no answer was chosen",
                               [fault(("choice",), "请选择一项反馈 (choose what to answer)")])
        document = _document(notice, choice, form)
        content = json.dumps(document | {"account": account}, ensure_ascii=False, sort_keys=True)
        taken = self._desk.take(
            document, way="portal", source=SOURCE, content=content.encode(), signed=None, answered_by=account
        )
        # One after another: of two clicks the second finds what the first made safe. Another process does not see
        # that, and writes the same id again, which every reader takes for the one that it has. Who goes back to an
        # earlier answer means that one: it is the last on the log, and the last counts.
        with self._lock:
            known, now = self._safe.pop(notice.notice_id, None), self._monotonic()
            if known is None or known[:2] != (taken.feedback_id, content) or now >= known.until:
                self._publish([taken.output])
                known = _Safe(taken.feedback_id, content, now + _REMEMBERED_SECONDS)
            self._safe[notice.notice_id] = known
            if len(self._safe) > _REMEMBERED:
                self._safe.popitem(last=False)
        return taken.feedback_id


def _document(notice: DeskNotice, choice: str, form: Form) -> dict[str, Any]:
    is_acted = choice.startswith(_ACTED)
    document: dict[str, Any] = {
        "notice_id": notice.notice_id, "subscription": notice.subscription, "correlation_id": notice.correlation_id,
        "event_id": notice.event_id, "subject": notice.subject, "status": "acted" if is_acted else choice,
        "measure": choice.removeprefix(_ACTED) if is_acted else None,
    }
    names = ("case_number", "reason", *(("acted_on", "effective_from", "effective_until") if is_acted else ()))
    return document | {name: form.text(name) or None for name in names}
