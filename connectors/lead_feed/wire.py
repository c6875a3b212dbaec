"""The wire to the national platform: everything about it that nobody has told us, in one place.

The names of the elements are those of a public sample of the national joint-supervision format (2019). No
description of the interface itself is public. What follows is assumed, each with its number in the README; where
the platform does it otherwise, this module is what changes.

1.  ``GET {url}/tasks?region=R&after=N&limit=L`` gives the tasks that are meant for region R behind number N,
    oldest first, at most L, as ``<tasks><task>…</task></tasks>``.
2.  Numbers only grow. A task that changes comes again under a new number, whole.
3.  The answer's headers say how it goes on: ``X-Feed-Next`` is the number of its last task (N where there is
    none), ``X-Feed-More`` is ``1`` where there are more. So a page that cannot be read does not end the reading.
4.  The same number and limit give the same tasks, today and in a year.
5.  A task has ``taskInfo``, one of ``complaintInfo``, ``tipInfo``, ``riskWarning``, and perhaps ``processInfo``.
6.  The names of ``complaintInfo`` carry its kind in front (``complaintObject``), those of ``tipInfo`` theirs.
7.  ``taskInfo/distributeTime`` says when it was distributed; ``…Info/complainantName`` and ``complainantPhone``
    who complained, left out where nobody said his name.
8.  Times are those of Beijing, ``yyyy-MM-dd HH:mm:ss``.
9.  The hub shows itself by ``Authorization: Bearer TOKEN``.
10. ``POST {url}/answers`` takes one ``<taskAnswer>``. The platform knows an answer by its id (``answerId``, and
    ``Idempotency-Key``): the same id again changes nothing and is answered with the first receipt.
11. 2xx with an ``<answerReceipt>`` that names the ``answerId``: it is done. 400, 409, 422, and any other 4xx but 401,
    403, 408, 425, 429 with such a receipt: refused for good, with its ``reason``. Everything else may pass: a 404
    alone is a gateway's while the platform is set up anew.
12. An answer says all times that are known, so that one that overtakes an earlier one is complete. What comes
    behind a later status is answered as ``unchanged``.
13. ``退回`` is an answer of the status 反馈 whose suggestion begins with 退回 and says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta, timezone
from urllib.parse import urlencode
from xml.etree.ElementTree import Element, SubElement, tostring

from connectors.lead_feed.safe_xml import Bounds, UnreadableError, read_xml
from hub.uplink import REFUSING_STATUSES, Exchange, LeadAnswer, Receipt, UnclearAnswerError

NEXT, MORE = "X-Feed-Next", "X-Feed-More"
#: The block that a task is about -> the word for it, which the mapping reads, and what stands before its names.
SUBJECTS = {"complaintInfo": ("投诉", "complaint"), "tipInfo": ("举报", "tip"), "riskWarning": ("风险预警", "risk")}
STATUSES = {"claim": "认领", "feedback": "反馈", "end": "结束", "return": "反馈"}
RETURNED = "退回"
#: As the receipt's schema has it.
_MAX_REASON, _MAX_REFERENCE = 500, 200
_BEIJING = timezone(timedelta(hours=8))
_TIME = "%Y-%m-%d %H:%M:%S"
_RECEIPT_BOUNDS = Bounds(depth=4, elements=50, text=10_000)


def page_address(url: str, region: str, after: int, limit: int) -> str:
    """Where the next tasks are asked for."""
    return f"{url}/tasks?{urlencode({'region': region, 'after': after, 'limit': limit})}"


def credentials(token: str | None) -> dict[str, str]:
    """The headers by which the platform knows the hub."""
    return {"Authorization": f"Bearer {token}"} if token is not None else {}


def task_elements(root: Element) -> list[Element]:
    """The tasks of a page.

    :raises UnreadableError: if it is no page of tasks.
    """
    if root.tag != "tasks":
        raise UnreadableError("xml-form", f"XML 的根元素是 {ascii(root.tag)[:40]}，不是 tasks", "根元素应为 tasks")
    return [element for element in root if element.tag == "task"]


def answer_exchange(url: str, token: str | None, answer: LeadAnswer) -> Exchange:
    """The request that brings an answer to the platform."""
    root = Element("taskAnswer")
    when = answer.at.astimezone(_BEIJING).strftime(_TIME)
    claimed, ended = (
        f"{day.isoformat()} 00:00:00" if day is not None else None for day in (answer.claimed_on, answer.ended_on)
    )
    given: dict[str, str | None] = {
        "answerId": answer.answer_id,
        "taskNo": answer.task_no,
        "status": STATUSES[answer.action],
        "unionDeptName": answer.department_name,
        "unionDeptCode": answer.department_code,
        "claimTime": claimed or (when if answer.action == "claim" else None),
    }
    if answer.action == "end":
        given |= {"endTime": ended or when, "endReason": answer.text or "已办结"}
    if answer.action in ("feedback", "end") and answer.text:
        given |= {"feedbackTime": when, "feedbackSuggestion": answer.text}
    if answer.action == "return":
        given |= {"feedbackTime": when, "feedbackSuggestion": f"{RETURNED}：{answer.text}"}
    for name, text in given.items():
        if text is not None:
            SubElement(root, name).text = _writable(text)
    body: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    headers = {
        "Content-Type": "application/xml; charset=utf-8", "Idempotency-Key": answer.answer_id, **credentials(token)
    }  # fmt: skip
    return Exchange("POST", f"{url}/answers", headers, body)


def read_receipt(status: int, body: bytes, answer: LeadAnswer) -> Receipt:
    """What the platform made of an answer.

    :raises UnclearAnswerError: if it says nothing that shows that the platform has read it: it is asked again.
    """
    if status in (401, 403):
        # Not a refusal of this answer but of us: the token is wrong for every one.
        raise UnclearAnswerError(f"HTTP status {status}: the platform does not accept our token")
    try:
        root = read_xml(body, _RECEIPT_BOUNDS)
        found: Mapping[str, str] = {element.tag: (element.text or "").strip() for element in root}
        is_own = root.tag == "answerReceipt" and found.get("answerId") == answer.answer_id
    except UnreadableError:
        found, is_own = {}, False
    if 200 <= status < 300:
        reference = found.get("reference") or None
        if not is_own or len(reference or "") > _MAX_REFERENCE:
            raise UnclearAnswerError(f"HTTP status {status} without a readable receipt of this answer")
        return Receipt("delivered", reference, None)
    if not is_own and status not in REFUSING_STATUSES:
        raise UnclearAnswerError(f"HTTP status {status} without a receipt of this answer: not the platform's own word")
    reason = " ".join(f"HTTP {status} {found.get('reason', '')}".split())
    return Receipt("refused", None, reason[:_MAX_REASON])


def _writable(text: str) -> str:
    """``text`` without the signs that XML 1.0 cannot hold, e.g. those that copying from a terminal leaves."""
    return "".join(sign for sign in text if sign in "\t\n\r" or " " <= sign < "\ud800" or "\ue000" <= sign <= "\ufffd"
                   or sign > "\uffff")  # fmt: skip
