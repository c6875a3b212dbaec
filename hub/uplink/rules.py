"""Which record asks for an answer to the platform, and which: a function of the record alone.

=========================================  =========================================================
``complaint.lead.accepted``                claim (认领)
``complaint.lead.verified``, ``mediated``  feedback (反馈)
``complaint.lead.resolved``                end (结束)
``intake.row.rejected`` of the platform    return (退回)
=========================================  =========================================================

A lead is the platform's if its channel is ``national`` and its number that of the task, which begins as the numbers of
that platform do. What the source itself says
of its leads is the platform's own word and is not told back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hub.bus.records import Record, header
from hub.contracts.catalog import Catalog
from hub.contracts.cloudevents import from_headers
from hub.contracts.codec import Schema
from hub.domain.events import Envelope, derive_id, output_id
from hub.domain.scrubbing import scrub
from hub.errors import PoisonError
from hub.uplink.answer import Action, LeadAnswer, Uplink

LEADS_TOPIC, REJECTIONS_TOPIC = "complaint.leads.v1", "intake.rejections.v1"
LEAD_SCHEMA, REJECTION_SCHEMA = "complaint/lead", "hub/rejection"
TOPICS = (LEADS_TOPIC, REJECTIONS_TOPIC)
CHANNEL = "national"
_ACTIONS: Mapping[bytes, Action] = {
    b"complaint.lead.accepted": "claim",
    b"complaint.lead.verified": "feedback",
    b"complaint.lead.mediated": "feedback",
    b"complaint.lead.resolved": "end",
}
_REJECTED = b"intake.row.rejected"
#: What leaves is what a partner may see: free text has lost personal numbers and the names that are masked.
_VIEW = "partner"
#: A platform's field holds no more than ours (``resolution``).
_MAX_TEXT = 2000


class Rules:
    """``answer`` for one platform."""

    def __init__(self, uplink: Uplink, catalog: Catalog) -> None:
        self._uplink, self._catalog = uplink, catalog
        self._own = f"/sources/{uplink.source}".encode()
        self._prefix = uplink.task_prefix or ""

    def answer(self, record: Record) -> tuple[Envelope, LeadAnswer] | None:
        """The answer that a record asks for; ``None`` for none.

        :raises HubError: one that no retry mends, for a record that asks for one and cannot be read.
        """
        type_, is_own = header(record.headers, "ce_type") or b"", header(record.headers, "ce_source") == self._own
        # By the headers alone: most leads and refusals are none of the platform's.
        if type_ == _REJECTED and is_own:
            return self._returned(*self._read(record, REJECTION_SCHEMA))
        if type_ in _ACTIONS and not is_own:
            return self._handled(*self._read(record, LEAD_SCHEMA), _ACTIONS[type_])
        return None

    def _read(self, record: Record, name: str) -> tuple[Envelope, Schema, dict[str, Any]]:
        if record.value is None:
            raise PoisonError("an event without a value")
        schema, value = self._catalog.decode(record.value)
        if schema.name != name:
            raise PoisonError(f"an event of this type holds {name}, not {schema.name}")
        return from_headers(record.headers), schema, value

    def _handled(
        self, envelope: Envelope, schema: Schema, value: Mapping[str, Any], action: Action
    ) -> tuple[Envelope, LeadAnswer] | None:
        if value["channel"] != CHANNEL or not value["record_unique_identity"].startswith(self._prefix):
            return None
        shown = self._catalog.projection(schema, _VIEW).apply(value)
        # The number of the task is not hidden from who gave it, also where the lead is about a person.
        return envelope, LeadAnswer(
            output_id(envelope.id, f"uplink:{self._uplink.source}:{action}"), value["record_unique_identity"], action,
            envelope.time, shown["handling_department"] or shown["department_name"],
            shown["handling_department_code"] or shown["department_code"], shown["resolution"],
            shown["accepted_date"], shown["resolved_date"],
        )  # fmt: skip

    def _returned(
        self, envelope: Envelope, schema: Schema, value: Mapping[str, Any]
    ) -> tuple[Envelope, LeadAnswer] | None:
        task_no = self._uplink.returned_task(value["sheet"])
        if task_no is None:
            return None
        # Of the content, not of the refusal: the same task distributed once more is given back once.
        answer_id = derive_id("uplink", self._uplink.source, "return", task_no, value["row_digest"])
        text = scrub(f"{value['problem']}；{value['remedy']}", [])[:_MAX_TEXT]
        return envelope, LeadAnswer(answer_id, task_no, "return", envelope.time, None, None, text)
