"""One lead: what its department sees of it, and how it is claimed and closed by the record that counts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, cast

import pytest
import redis

from hub.bus.records import Record
from hub.contracts.cloudevents import to_headers
from hub.domain.desk import LeadEntry
from hub.domain.events import Envelope, entity_id, event_id, new_traceparent
from hub.intake.forms import FormDesk
from hub.ops.ledger.desk_facts import FactKey
from hub.ops.ledger.desks import moved_leads
from hub.ops.ledger.view import Ledger
from hub.state.desk_index import LEADS
from hub.web.site.portal.lead_pages import lead_pages
from hub.web.site.portal.leads import CLAIM, CLOSE, LEAD_TOPIC, LedgerLeads
from tests.integration.test_entry_pages import OnceDesk
from tests.integration.test_event_pages import SeasonIndex
from tests.integration.test_site import quick_hashes, signed_in  # noqa: F401  # the fixture counts for these too
from tests.support_contracts import catalog, sample
from tests.support_http_intake import hub_map, receiver, source
from tests.support_ledger import calendars
from tests.support_portal import NOW, TODAY, MemoryDesk, MemoryReader
from tests.support_routing import SUBJECT
from tests.support_site import Site, site

OWN, FEED, PHONE = "finance-leads", "national-leads", "13900000000"
FINANCE = str(hub_map().departments["finance"]["code"])


class Leads:
    """A log with a lead of each source: ``own`` of the department's HTTP source, ``national`` of the platform's feed,
    ``files`` of an export."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.entries: dict[str, LeadEntry] = {}
        for name, channel in ((OWN, "12345"), (FEED, "national"), ("exports", "12345")):
            self.add(name, channel)

    def add(self, name: str, channel: str, status: str = "received", **more: Any) -> str:
        schema, row = catalog().schema("complaint/lead"), f"L-{name}"
        dates = {"accepted_date": None, "resolved_date": None, "resolution": None, **more}
        value = sample(
            schema, record_unique_identity=row, channel=channel, lead_kind="complaint", status=status,
            received_date=date(2026, 3, 2), complainant_phone=PHONE, handling_department_code=FINANCE,
            region_code="623001", is_anonymous=False, **dates,
        )
        fact = entity_id(name, row)
        sequence = self.entries[fact].sequence + 1 if fact in self.entries else 1
        envelope = Envelope(
            id=event_id(name, row, sequence), source=f"/sources/{name}", type=f"complaint.lead.{status}",
            subject=SUBJECT, time=NOW, correlation_id=fact, traceparent=new_traceparent(row), sequence=sequence,
            natural_key=row,
        )
        self.records.append(Record(
            LEAD_TOPIC, 0, len(self.records), 0, SUBJECT.encode(), schema.encode(value), to_headers(envelope)
        ))
        self.entries[fact] = LeadEntry(
            sequence, fact, envelope.id, SUBJECT, "complaint", status, "623001", "2026-03-02", None, channel, None
        )
        return fact

    def of(self, name: str) -> str:
        return entity_id(name, f"L-{name}")


class Desks:
    """Leads of the finance department alone."""

    def __init__(self, leads: Leads) -> None:
        self._leads = leads

    def entries(self, department: str, shelf: Any, names: Sequence[str]) -> dict[str, LeadEntry]:
        return {each: self._leads.entries[each] for each in names if department == FINANCE and each in
                self._leads.entries}


@pytest.fixture
def leads() -> Leads:
    return Leads()


@pytest.fixture
def desk() -> OnceDesk:
    return OnceDesk()


def ledger_of(leads: Leads) -> Ledger:
    return Ledger(
        cast(Any, SeasonIndex(cast(Any, leads))), cast(Any, Desks(leads)), cast(Any, MemoryReader(leads.records)),
        cast(Any, None), catalog(), hub_map(), calendars(),
    )


def forms_of(desk: OnceDesk) -> dict[str, tuple[str, FormDesk]]:
    """The department's own source, with the forms of a lead."""
    given = source(OWN, events=["complaint.lead.*"], department_code=FINANCE, department_name="甘南州财政局")
    types = (CLAIM, CLOSE, "complaint.lead.amended")
    return {OWN: ("finance", FormDesk(receiver(given), desk, dict.fromkeys(types, "complaint/lead"), catalog()))}


@pytest.fixture
def here(redis_client: redis.Redis, leads: Leads, desk: OnceDesk) -> Site:
    ledger, desks = ledger_of(leads), forms_of(desk)
    return site(redis_client, [
        lambda: lead_pages(LedgerLeads(ledger, desks), MemoryDesk(), desks, lambda: TODAY)
    ])


def test_a_lead_of_the_own_source_is_claimed_as_its_next_version(here: Site, leads: Leads, desk: OnceDesk) -> None:
    path, browser = f"/desk/leads/{leads.of(OWN)}", signed_in(here, "fin-clerk")
    text = browser.get(path).text
    assert "受理时限即告完成" in text and PHONE not in text
    assert browser.post(f"{path}/claim", {"on": "2026-03-03"}).status_code == 303
    (taken,) = desk.taken
    assert taken.type == CLAIM and taken.row.natural_key == f"L-{OWN}"
    assert taken.row.value["accepted_date"] == date(2026, 3, 3) and taken.row.value["status"] == "accepted"
    # Nothing of the lead is lost by it, what the page does not show neither.
    assert taken.row.value["complainant_phone"] == PHONE
    (act,) = [each for each in here.desks.acts.read() if each.asked.kind == "records.enter"]
    assert (act.asked.actor, act.state) == ("fin-clerk", "done")


def test_two_clicks_claim_once(here: Site, leads: Leads, desk: OnceDesk) -> None:
    path, browser = f"/desk/leads/{leads.of(OWN)}/claim", signed_in(here, "fin-clerk")
    assert [browser.post(path, {"on": "2026-03-03"}).status_code for _ in range(2)] == [303, 303]
    assert len(desk.taken) == 1


def test_it_is_closed_with_what_came_of_it(here: Site, leads: Leads, desk: OnceDesk) -> None:
    path, browser = f"/desk/leads/{leads.of(OWN)}/close", signed_in(here, "fin-leader")
    empty = browser.post(path, {"on": "2026-03-04", "resolution": " "})
    assert empty.status_code == 422 and "办理结果为必填项" in empty.text and desk.taken == []
    late = browser.post(path, {"on": "2026-03-05", "resolution": "已责令改正"})
    assert late.status_code == 422 and "日期晚于今日" in late.text and "已责令改正" in late.text and desk.taken == []
    assert browser.post(path, {"on": "2026-03-04", "resolution": "已责令改正"}).status_code == 303
    (taken,) = desk.taken
    assert (taken.type, taken.row.value["resolution"]) == (CLOSE, "已责令改正")


def test_an_old_page_takes_back_nothing(here: Site, leads: Leads, desk: OnceDesk) -> None:
    path, browser = f"/desk/leads/{leads.of(OWN)}", signed_in(here, "fin-clerk")
    leads.add(OWN, "12345", "accepted", accepted_date=date(2026, 3, 3))
    # What stands there already is done; another day would be another claim.
    assert browser.post(f"{path}/claim", {"on": "2026-03-03"}).status_code == 303
    again = browser.post(f"{path}/claim", {"on": "2026-03-04"})
    assert again.status_code == 409 and "线索状态已变化" in again.text and "/close" in again.text
    closed = {"accepted_date": date(2026, 3, 3), "resolved_date": date(2026, 3, 4), "resolution": "已责令改正"}
    leads.add(OWN, "12345", "resolved", **closed)
    assert browser.post(f"{path}/claim", {"on": "2026-03-03"}).status_code == 409
    assert browser.post(f"{path}/close", {"on": "2026-03-04", "resolution": "不予立案"}).status_code == 409
    assert browser.post(f"{path}/close", {"on": "2026-03-04", "resolution": "已责令改正"}).status_code == 303
    assert desk.taken == []


def test_a_lead_that_another_department_took_over_is_gone(here: Site, leads: Leads, desk: OnceDesk) -> None:
    fact, browser = leads.of(OWN), signed_in(here, "fin-clerk")
    assert browser.get(f"/desk/leads/{fact}").status_code == 200
    owner = FactKey("another", LEADS.name, fact)
    moved = dict(moved_leads({owner: leads.entries[fact]._replace(sequence=2)}, {fact: FINANCE}))
    leads.entries[fact] = cast(LeadEntry, moved[FactKey(FINANCE, LEADS.name, fact)])
    answers = [browser.get(f"/desk/leads/{fact}"), browser.get(f"/live/leads/{fact}"),
               browser.post(f"/desk/leads/{fact}/claim", {"on": "2026-03-03"})]
    assert [each.status_code for each in answers] == [404] * 3 and desk.taken == []


@pytest.mark.parametrize("on", ["", "昨天", "2026-13-01"])
def test_a_day_that_is_none_is_said(here: Site, leads: Leads, desk: OnceDesk, on: str) -> None:
    answer = signed_in(here, "fin-clerk").post(f"/desk/leads/{leads.of(OWN)}/claim", {"on": on})
    assert answer.status_code == 422 and "未受理" in answer.text and desk.taken == []


def test_a_national_lead_goes_back_up_under_its_number(here: Site, leads: Leads, desk: OnceDesk) -> None:
    path, browser = f"/desk/leads/{leads.of(FEED)}", signed_in(here, "fin-clerk")
    assert "回传国家平台" in browser.get(path).text
    assert browser.post(f"{path}/claim", {"on": "2026-03-03"}).status_code == 303
    (taken,) = desk.taken
    assert taken.row.natural_key == f"L-{FEED}" and taken.row.value["channel"] == "national"


def test_a_lead_of_another_system_is_handled_there(here: Site, leads: Leads, desk: OnceDesk) -> None:
    path, browser = f"/desk/leads/{leads.of('exports')}", signed_in(here, "fin-clerk")
    text = browser.get(path).text
    assert "在来源系统中办理" in text and "/claim" not in text
    assert browser.post(f"{path}/claim", {"on": "2026-03-03"}).status_code == 404 and desk.taken == []


def test_another_department_and_whoever_may_not_enter(here: Site, leads: Leads, desk: OnceDesk) -> None:
    path = f"/desk/leads/{leads.of(OWN)}"
    other = signed_in(here, "tax-clerk")
    answers = [other.get(path), other.post(f"{path}/claim", {"on": "2026-03-03"}),
               other.get(path.replace("/desk", "/live")), signed_in(here, "fin-clerk").get("/desk/leads/none")]
    assert [each.status_code for each in answers] == [404] * 4
    admin = signed_in(here, "fin-admin")
    assert "/claim" not in admin.get(path).text and admin.post(f"{path}/claim", {"on": "2026-03-03"}).status_code == 403
    assert desk.taken == []


def test_both_languages_have_the_page(here: Site, leads: Leads) -> None:
    browser = signed_in(here, "fin-clerk")
    browser.client.cookies.set("lang", "en")
    for name in (OWN, FEED, "exports"):
        assert browser.get(f"/desk/leads/{leads.of(name)}").status_code == 200
