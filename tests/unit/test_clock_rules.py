"""Every clock of the project's own map, from an event to its due day, through routing and the fold.

The expected days were counted by hand in the calendar of Gannan: in 2026 April 6, May 1, 4 and 5 are off.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

from hub.bus.records import Record
from hub.clocks.periods import department_entity, period_starts
from hub.clocks.wire import SignalReader
from hub.contracts.cloudevents import from_headers, to_headers
from hub.contracts.map import HubMap
from hub.domain.clock_fold import apply
from hub.domain.clocks import ClockState, Signal, Status
from hub.domain.events import Envelope, entity_id, event_id
from hub.routing.stage import RoutingStage
from tests.support_clocks import CALENDARS
from tests.support_contracts import ROOT, catalog, sample

MAP = HubMap.load(ROOT / "topics.yaml", catalog(), ROOT / "reference")
RULES = MAP.clocks
CODES = {name: str(entry["code"]) for name, entry in MAP.departments.items()}
READER = SignalReader(RULES, CODES)
FINANCE = CODES["finance"]
#: Monday, 9:00 in Gannan.
MORNING = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
MONDAY = date(2026, 3, 2)
PENALTY: dict[str, Any] = {"is_public": True, "procedure": "ordinary", "penalty_kinds": ["2"], "decided_date": MONDAY}


def signals(type: str, at: datetime = MORNING, *, row: str = "r1", **content: Any) -> list[Signal]:
    """What an event of this type, come in at ``at``, says to the clocks."""
    topic = MAP.topic_of_event(type)
    schema = catalog().schema(MAP.topics[topic].schema_ or "")
    entity = entity_id("market", row)
    value = sample(schema, **content)
    subject = value.get("party_uscc") or "91623000739699913A"
    envelope = Envelope(
        id=event_id("market", f"{row}{type}{at}", 1), source="/sources/market", type=type, subject=subject,
        time=at, correlation_id=entity, natural_key=row,
    )  # fmt: skip
    if schema.name.startswith("hub/"):
        return list(READER.of_receipt(envelope, value | {"correlation_id": entity}))
    record = Record(
        topic, 0, 0, int(at.timestamp() * 1000), subject.encode(), schema.encode(value), to_headers(envelope)
    )
    stage = RoutingStage(MAP, catalog(), lambda: at)
    if type.endswith(".removed"):
        # A removal takes back what somebody got.
        listed = envelope._replace(
            id=event_id("market", f"{row}listed", 1), type="blacklist.notice.listed", sequence=0
        )
        stage.handle([record._replace(headers=to_headers(listed))])
    [outputs] = stage.handle([record])
    found = [output for output in outputs if output.topic == "clock.signals.v1"]
    said = {"start": "started", "meet": "met", "cancel": "cancelled", "suspend": "suspended", "resume": "resumed"}
    for output in found:
        kind = catalog().decode(output.value or b"")[1]["kind"]
        assert from_headers(output.headers).type == f"clock.signal.{said[kind]}"
        assert from_headers(output.headers).type in MAP.topics["clock.signals.v1"].events
    return [READER.of_signal(catalog().decode(output.value or b"")[1]) for output in found]


def clock(rule: str, given: Iterable[Signal]) -> ClockState:
    """The one clock of a rule that these signals make."""
    states: dict[str, ClockState] = {}
    for signal in given:
        if signal.rule == rule:
            states[signal.clock_id], _ = apply(
                states.get(signal.clock_id), signal, RULES[rule], CALENDARS[RULES[rule].calendar]
            )
    [state] = list(states.values())[:1]
    return state


def period(rule: str, day: date, department: str = "finance") -> list[Signal]:
    """The start of the period of ``day`` for one department, as the calendar gives it."""
    now = datetime(day.year, day.month, day.day, 4, tzinfo=UTC)
    return [one for one in period_starts(RULES[rule], CODES, now) if one.subject == CODES[department]]


class Case(NamedTuple):
    """A rule, what starts it, when it is due, and what meets it."""

    rule: str
    start: str
    content: dict[str, Any]
    due_on: date
    meet: str | None = None
    meeting: Mapping[str, Any] = MappingProxyType({})


def moment(day: int, hour: int) -> datetime:
    return datetime(2026, 3, day, hour, tzinfo=UTC)



def receipt(noun: str, said: str = "recorded") -> dict[str, Any]:
    return {"channel": "gsxt", "event_type": f"{noun}.{said}", "action": "publish"}


CASES = [
    Case("disclose-inspection-result", "inspection.result.recorded", {"is_public": True, "result_date": MONDAY},
         date(2026, 3, 30), "disclosure.receipt.published", receipt("inspection.result")),
    Case("disclose-penalty", "enforcement.penalty.recorded", PENALTY,
         date(2026, 3, 30), "disclosure.receipt.published", receipt("enforcement.penalty")),
    Case("disclose-permit", "licensing.permit.recorded", {"is_public": True, "decided_date": MONDAY},
         date(2026, 3, 30), "disclosure.receipt.published", receipt("licensing.permit")),
    Case("disclose-support-grant", "support.grant.recorded", {"is_public": True, "granted_date": date(2026, 4, 3)},
         # April 7 is day 1, the four days after April 30 are off: April has 17 days, May 6 to 8 the rest.
         date(2026, 5, 7), "disclosure.receipt.published", receipt("support.grant")),
    Case("disclose-blacklist-notice", "blacklist.notice.listed", {"is_public": True, "listed_date": MONDAY},
         date(2026, 3, 30), "disclosure.receipt.published", receipt("blacklist.notice")),
    Case("push-blacklist-notice", "blacklist.notice.listed", {"list_kind": "abnormal", "listed_date": MONDAY},
         date(2026, 3, 16), "delivery.receipt.delivered",
         {"subscription": "government-procurement", "event_type": "blacklist.notice.listed", "action": "apply"}),
    Case("act-and-answer", "delivery.receipt.delivered",
         {"subscription": "works-bidding", "finished_at": MORNING, "action": "apply"}, date(2026, 3, 9),
         "discipline.feedback.acted", {"subscription": "works-bidding", "action": None}),
    Case("register-notice", "delivery.receipt.delivered",
         {"subscription": "works-bidding", "finished_at": MORNING, "action": "apply"}, date(2026, 3, 4),
         "discipline.feedback.registered", {"subscription": "works-bidding", "action": "apply"}),
    Case("recall-notice", "blacklist.notice.removed", {"list_kind": "abnormal"},
         date(2026, 3, 5), "delivery.receipt.delivered",
         {"subscription": "government-procurement", "event_type": "blacklist.notice.removed", "action": "lift"}),
    Case("answer-recall", "delivery.receipt.delivered",
         {"subscription": "works-bidding", "finished_at": MORNING, "action": "lift"}, date(2026, 3, 9),
         "discipline.feedback.acted", {"subscription": "works-bidding", "action": "lift"}),
    Case("accept-lead", "complaint.lead.received", {"received_date": MONDAY}, date(2026, 3, 11),
         "complaint.lead.accepted", {"accepted_date": date(2026, 3, 4)}),
    Case("mediate-complaint", "complaint.lead.accepted", {"lead_kind": "complaint", "accepted_date": MONDAY},
         date(2026, 5, 8), "complaint.lead.mediated", {"lead_kind": "complaint", "resolved_date": None}),
    Case("tell-complainant", "complaint.lead.mediated", {"lead_kind": "complaint"}, date(2026, 3, 11),
         "complaint.lead.told", {"lead_kind": "complaint", "resolved_date": None}),
    Case("verify-report", "complaint.lead.received", {"lead_kind": "report", "received_date": MONDAY},
         date(2026, 3, 23), "complaint.lead.verified", {"lead_kind": "report", "resolved_date": None}),
    Case("withdraw-changed-penalty", "enforcement.penalty.amended", PENALTY, date(2026, 3, 5),
         "disclosure.receipt.replaced", receipt("enforcement.penalty", "amended")),
    # The third day is a Sunday.
    Case("decide-referral", "enforcement.referral.proposed", {"proposed_date": date(2026, 3, 5)}, date(2026, 3, 9),
         "enforcement.referral.decided", {"decision": "approved", "decided_at": moment(6, 2)}),
    Case("transfer-referral", "enforcement.referral.decided", {"decision": "approved", "decided_at": moment(1, 10)},
         MONDAY, "enforcement.referral.transferred", {"transferred_at": moment(2, 9)}),
    Case("answer-referral", "enforcement.referral.transferred", {"transferred_at": MORNING}, date(2026, 3, 5),
         "enforcement.referral.answered", {"answered_at": moment(5, 15)}),
    Case("decide-repair", "credit.repair.applied", {"applied_date": MONDAY}, date(2026, 3, 11),
         "credit.repair.decided", {"decision": "approved", "decided_date": date(2026, 3, 11)}),
    Case("push-repair", "credit.repair.decided", {"decision": "approved", "decided_date": MONDAY}, date(2026, 3, 5),
         "credit.repair.pushed", {"pushed_date": date(2026, 3, 4)}),
    Case("end-penalty-publication", "enforcement.penalty.recorded", {**PENALTY, "publish_until": None},
         date(2029, 3, 2)),
    Case("end-penalty-publication", "enforcement.penalty.recorded", {**PENALTY, "publish_until": date(2027, 1, 2)},
         date(2027, 1, 2)),
    Case("open-early-removal", "blacklist.notice.listed", {"list_kind": "serious", "listed_date": MONDAY},
         date(2027, 3, 2)),
    Case("end-serious-listing", "blacklist.notice.listed", {"list_kind": "serious", "listed_date": date(2024, 2, 29)},
         date(2027, 2, 28)),
]  # fmt: skip
#: Of 2026: May 31 is a Sunday, so the first working day after it.
PERIODS = {
    "file-work-plan": ("work-plan", date(2026, 4, 30)),
    "file-progress-report": ("progress-report", date(2026, 6, 1)),
    "file-annual-summary": ("annual-summary", date(2026, 11, 30)),
    "complete-catalogue": ("catalogue", date(2026, 6, 1)),
    "enter-behaviour": ("behaviour-entry", date(2026, 6, 1)),
    "set-up-lead-mechanism": ("lead-mechanism", date(2026, 6, 1)),
    "complete-inspections": ("inspections-completed", date(2026, 11, 30)),
    "complete-disclosure": ("disclosure-completed", date(2026, 11, 30)),
    "run-tasks-in-system": ("tasks-in-system", date(2026, 12, 31)),
    "draw-every-year": ("draw", date(2026, 12, 31)),
    "publish-news": ("news", date(2026, 3, 31)),
}


def filing(
    kind: str, at: datetime = MORNING, *, row: str = "f1", department: str = FINANCE, **more: Any
) -> list[Signal]:
    content: dict[str, Any] = {"kind": kind, "party_uscc": department, "department_code": department, "period": None,
               "filed_date": at.date()}  # fmt: skip
    return signals("supervision.filing.recorded", at, row=row, **(content | more))


def test_no_rule_of_the_map_is_left_out() -> None:
    assert {case.rule for case in CASES} | set(PERIODS) == set(RULES)
    assert all(rule.basis and rule.source for rule in RULES.values())


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.rule}-{case.due_on}")
def test_an_event_starts_its_clock_and_another_meets_it(case: Case) -> None:
    started = signals(case.start, **case.content)
    state = clock(case.rule, started)
    assert (state.status, state.due_on) == (Status.RUNNING, case.due_on)
    if case.meet is not None:
        met = signals(case.meet, moment(4, 15), **case.meeting)
        state = clock(case.rule, [*started, *met])
        assert (state.status, state.due_on) == (Status.MET, case.due_on)


@pytest.mark.parametrize("rule", PERIODS)
def test_the_calendar_starts_a_period_and_the_filing_of_the_department_meets_it(rule: str) -> None:
    kind, due_on = PERIODS[rule]
    started = period(rule, MONDAY)
    state = clock(rule, started)
    assert (state.status, state.due_on, state.owner_department) == (Status.RUNNING, due_on, FINANCE)
    assert state.correlation_id == department_entity(FINANCE)
    filed = [*filing(kind, row="f1"), *filing(kind, row="f2")]
    assert {signal.rule for signal in filed} == {rule}
    assert clock(rule, [*started, *filed]).status is Status.MET
    # Of the prefecture's departments, no county's.
    assert len(RULES[rule].departments) == 23
    assert filing(kind, department=CODES["hezuo-public-security"]) == []
    assert period(rule, MONDAY, "hezuo-public-security") == []


def test_news_has_to_come_twice_a_month() -> None:
    started = period("publish-news", MONDAY)
    once = filing("news", row="n1")
    assert clock("publish-news", [*started, *once]).status is Status.RUNNING
    next_month = filing("news", datetime(2026, 4, 1, 1, tzinfo=UTC), row="n2")
    assert [signal.target for signal in next_month] == ["2026-04"]
    # 17:00 UTC on March 31 is April 1 in Gannan, and the record has the last word.
    assert [one.target for one in filing("news", datetime(2026, 3, 31, 17, tzinfo=UTC), filed_date=date(2026, 4, 1))] \
        == ["2026-04"]  # fmt: skip
    assert [one.target for one in filing("news", period="2026-02")] == ["2026-02"]
    # A year alone names no month.
    assert [one.target for one in filing("news", period="2026")] == ["2026-03"]


def test_a_plan_is_of_the_year_that_it_names() -> None:
    assert [one.target for one in filing("work-plan", period="2027")] == ["2027"]
    assert [one.target for one in filing("work-plan", period="2027-04")] == ["2027"]
    assert [one.target for one in filing("work-plan", period="next year")] == ["2026"]


def test_testing_does_not_count_for_a_complaint() -> None:
    started = signals("complaint.lead.accepted", lead_kind="complaint", accepted_date=MONDAY)
    stopped = signals("complaint.lead.suspended", moment(4, 1))
    assert clock("mediate-complaint", [*started, *stopped]).status is Status.SUSPENDED
    resumed = signals("complaint.lead.resumed", moment(11, 1))
    # Five working days later than May 8: the Saturday May 9 is worked.
    state = clock("mediate-complaint", [*started, *stopped, *resumed])
    assert (state.status, state.due_on) == (Status.RUNNING, date(2026, 5, 14))


def test_hours_run_from_the_decision_and_not_from_its_entry() -> None:
    late = signals("enforcement.referral.decided", moment(4, 1), decision="approved", decided_at=moment(2, 1))
    assert clock("transfer-referral", late).due_at == moment(3, 1)
    # A date to come is not believed: the entry counts.
    early = signals("enforcement.referral.decided", moment(4, 1), decision="approved", decided_at=moment(9, 1))
    assert clock("transfer-referral", early).due_at == moment(5, 1)
    refused = signals("enforcement.referral.decided", decision="refused")
    assert [signal.rule for signal in refused] == ["decide-referral"]


def test_each_change_of_a_penalty_begins_its_withdrawal_anew_on_each_channel() -> None:
    first = [one for one in signals("enforcement.penalty.amended", **PENALTY) if one.rule == "withdraw-changed-penalty"]
    # The report to the province is none: nothing was public there.
    assert [one.target for one in first] == ["gsxt", "creditchina", "website"]
    met = signals("disclosure.receipt.replaced", moment(3, 1), **receipt("enforcement.penalty", "amended"))
    again = signals("enforcement.penalty.withdrawn", moment(9, 1), **PENALTY)
    of_gsxt = [one for one in [*first, *met, *again] if one.target == "gsxt"]
    state = clock("withdraw-changed-penalty", of_gsxt)
    assert (state.status, state.due_on) == (Status.RUNNING, date(2026, 3, 12))
    # Also of one that is public no more: it has to be withdrawn.
    hidden = signals("enforcement.penalty.amended", **(PENALTY | {"is_public": False}))
    assert {one.kind for one in hidden if one.rule == "withdraw-changed-penalty"} == {"start"}
    # Its first publication starts nothing.
    assert "withdraw-changed-penalty" not in {one.rule for one in signals("enforcement.penalty.recorded", **PENALTY)}


def test_a_changed_penalty_may_be_the_first_that_is_published() -> None:
    """The version before was refused; its own late receipt says nothing of this one."""
    rule, started = "withdraw-changed-penalty", signals("enforcement.penalty.amended", **PENALTY)
    for said, status in (("amended", Status.MET), ("recorded", Status.RUNNING)):
        met = signals("disclosure.receipt.published", moment(3, 1), **receipt("enforcement.penalty", said))
        assert clock(rule, [one for one in [*started, *met] if one.target in ("gsxt", None)]).status is status
    # Nor does it say anything that a withdrawal was refused: what should be gone may be public, and the clock runs on.
    refused = receipt("enforcement.penalty", "withdrawn") | {"action": "withdraw"}
    assert signals("disclosure.receipt.refused", moment(3, 1), **refused) == []
    left_out = signals("disclosure.receipt.superseded", moment(3, 1), **receipt("enforcement.penalty", "amended"))
    assert left_out == []


@pytest.mark.parametrize(("rule", "noun", "content", "counting"), [
    ("disclose-inspection-result", "inspection.result", {"is_public": True, "result_date": MONDAY},
     {"gsxt", "creditchina", "website"}),
    ("disclose-penalty", "enforcement.penalty", PENALTY, {"gsxt"}),
    ("disclose-permit", "licensing.permit", {"is_public": True, "decided_date": MONDAY}, {"gsxt"}),
    ("disclose-support-grant", "support.grant", {"is_public": True, "granted_date": MONDAY}, {"gsxt"}),
])
def test_a_report_to_the_government_is_no_publication(
    rule: str, noun: str, content: dict[str, Any], counting: set[str]
) -> None:
    started = signals(f"{noun}.recorded", **content)
    met = set()
    for channel in MAP.channels:
        said = receipt(noun) | {"channel": channel}
        state = clock(rule, [*started, *signals("disclosure.receipt.published", moment(3, 1), **said)])
        met |= {channel} if state.status is Status.MET else set()
    assert met == counting


@pytest.mark.parametrize(("rule", "start", "content"), [
    ("disclose-penalty", "enforcement.penalty.recorded", PENALTY),
    ("disclose-blacklist-notice", "blacklist.notice.listed", {"is_public": True, "listed_date": MONDAY}),
])  # fmt: skip
def test_what_was_over_before_it_was_shown_ends_the_clock_of_its_publication(
    rule: str, start: str, content: dict[str, Any]
) -> None:
    said = receipt(start.rpartition(".")[0])
    for action, channel, status in (
        ("publish", "gsxt", Status.MET), ("amend", "gsxt", Status.MET), ("withdraw", "gsxt", Status.RUNNING),
        ("publish", "website", Status.RUNNING),
    ):  # fmt: skip
        of = said | {"action": action, "channel": channel}
        met = signals("disclosure.receipt.withdrawn", moment(3, 1), **of)
        assert clock(rule, [*signals(start, **content), *met]).status is status


def test_who_leaves_a_list_has_no_term_left() -> None:
    listed = signals("blacklist.notice.listed", list_kind="serious", listed_date=MONDAY)
    removed = signals("blacklist.notice.removed", moment(9, 1), list_kind="serious")
    for rule in ("open-early-removal", "end-serious-listing"):
        assert clock(rule, [*listed, *removed]).status is Status.CANCELLED


@pytest.mark.parametrize("action", ["apply", "amend", "lift", None])
def test_a_recall_and_what_it_takes_back_keep_out_of_each_others_clocks(action: str | None) -> None:
    of: dict[str, Any] = {"subscription": "works-bidding", "action": action}
    told = of | {"event_type": "blacklist.notice.amended", "finished_at": MORNING}
    delivered = {(s.rule, s.kind) for s in signals("delivery.receipt.delivered", MORNING, **told)}
    answered = {(s.rule, s.kind) for s in signals("discipline.feedback.acted", MORNING, **of)}
    if action == "lift":
        assert delivered == {
            ("recall-notice", "meet"), ("answer-recall", "start"), ("act-and-answer", "cancel"),
            ("register-notice", "cancel"),
        }  # fmt: skip
        assert answered == {("answer-recall", "meet")}
    else:
        # Receipts and answers of a time that knew no recall count as they did then.
        assert delivered == {
            ("push-blacklist-notice", "meet"), ("act-and-answer", "start"), ("answer-recall", "cancel"),
            ("register-notice", "start"),
        }  # fmt: skip
        assert answered == {("act-and-answer", "meet"), ("register-notice", "meet")}


@pytest.mark.parametrize("action", ["apply", "amend", "lift"])
def test_a_lead_that_was_pushed_runs_by_the_deadlines_of_leads_alone(action: str) -> None:
    told: dict[str, Any] = {
        "subscription": "leads-hezuo", "event_type": "complaint.lead.received", "finished_at": MORNING,
    }
    found = {(s.rule, s.kind) for s in signals("delivery.receipt.delivered", MORNING, **told, action=action)}
    assert not {rule for rule, kind in found if kind == "start"}
    received = signals("complaint.lead.received", received_date=MONDAY, lead_kind="complaint")
    assert "accept-lead" in {each.rule for each in received if each.kind == "start"}
