"""A lead on a department's desk: what it says, its clocks, and by which record it is claimed and closed. No page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from hub.bus.log_reader import Position
from hub.bus.records import Record, header
from hub.domain.clocks import ClockState
from hub.errors import ContractError, PoisonError
from hub.intake.forms import Filled, Form, FormDesk
from hub.ops.ledger.desk_queries import DeskLead, lead_of
from hub.ops.ledger.queries import trace
from hub.ops.ledger.view import Ledger
from hub.web.site.portal.notice import Line, clock_states, lines_of
from hub.web.site.portal.own_events import filled_of

LEAD_TOPIC, SCHEMA = "complaint.leads.v1", "complaint/lead"
CLAIM, CLOSE = "complaint.lead.accepted", "complaint.lead.resolved"
#: Leads of the national platform: what a department tells of one under its number goes back up (hub/uplink).
NATIONAL = "national"


class LeadView(NamedTuple):
    """``lines`` are the lead as the public view shows it; ``clocks`` those that the department owns. ``source`` is the
    one of its own sources by which the lead is claimed and closed, ``None`` where that is not done here; ``by`` says
    whether it is the lead's own record (``record``) or goes back to the platform above (``uplink``)."""

    lead: DeskLead
    lines: list[Line]
    clocks: list[ClockState]
    source: str | None
    by: str
    value: Mapping[str, Any]


class Leads(Protocol):
    """Raises IndexUnavailableError, BrokerError."""

    def view(self, department: str, correlation_id: str) -> LeadView | None:
        """``None`` where it lies on another desk, or nowhere."""

    def filled(self, found: LeadView, form: Form) -> Filled | None:
        """The lead as a form of the same record holds it; ``None`` where its number is not the whole of it."""


def is_due(view: LeadView, type_: str) -> bool:
    """Whether a lead is still to be claimed, or to be closed. A page that was opened before may ask for what another
    has done since; a later claim would begin the period of a lead anew that is long closed."""
    return view.lead.status == "received" if type_ == CLAIM else view.lead.status != "resolved"


def stands(view: LeadView, said: Mapping[str, str]) -> bool:
    """Whether the lead's record says all of this already."""
    return all(str(view.value.get(name)) == text for name, text in said.items())


class LedgerLeads:
    """Leads out of the ledger. ``desks`` are those of entry by hand: department and desk by the name of a source."""

    def __init__(self, ledger: Ledger, desks: Mapping[str, tuple[str, FormDesk]]) -> None:
        self._ledger, self._desks = ledger, desks

    def view(self, department: str, correlation_id: str) -> LeadView | None:
        lead = lead_of(self._ledger, department, correlation_id)
        if lead is None:
            return None
        steps = trace(self._ledger, correlation_id).steps
        places = [Position(each.topic, each.partition, each.offset) for each in steps if each.topic == LEAD_TOPIC]
        records = self._ledger.reader.fetch(places).values()
        latest = max(records, key=lambda each: int(_said(each, "ce_sequence") or "1"), default=None)
        code = self._ledger.code_of(department)
        clocks = list(clock_states(each for each in steps if each.details.get("owner_department") == code).values())
        if latest is None or latest.value is None:
            return LeadView(lead, [], clocks, None, "", {})
        try:
            schema, value = self._ledger.catalog.decode(latest.value)
            public = self._ledger.catalog.projection(schema, "public")
        except (ContractError, PoisonError):
            return LeadView(lead, [], clocks, None, "", {})
        lines = lines_of(schema, public.apply(value), self._ledger.catalog.codes)
        source, by = self._way(department, latest, value)
        return LeadView(lead, lines, clocks, source, by, value)

    def filled(self, found: LeadView, form: Form) -> Filled | None:
        return filled_of(found.value, form)

    def _way(self, department: str, record: Record, value: Mapping[str, Any]) -> tuple[str | None, str]:
        own = {
            name: desk for name, (whose, desk) in self._desks.items()
            if whose == department and {CLAIM, CLOSE} <= set(desk.types)
        }
        source = _said(record, "ce_source").removeprefix("/sources/")
        if source in own:
            return source, "record"
        if value.get("channel") == NATIONAL and own:
            return min(own), "uplink"
        return None, ""


def _said(record: Record, name: str) -> str:
    return (header(record.headers, name) or b"").decode()
