"""Unread records beside open clocks: which clocks a backlog endangers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from hub.domain.at_risk import Backlog, ClockKey, ClocksMet, OpenClock, Task, at_risk, counts
from hub.domain.clocks import ClockRule, clock_id
from hub.settings import load
from hub.wiring import open_map

NOW = datetime(2026, 7, 1, 2, tzinfo=UTC)
RULES = open_map(load()).clocks
PUBLISHED = frozenset(("disclosure.receipt.published", "disclosure.receipt.replaced"))
DELIVERED = frozenset(("delivery.receipt.delivered",))


def rules_of(task: Task, rules: dict[str, ClockRule] | None = None) -> set[str]:
    """The rules whose clocks the task meets; a clock's id is derived anew from rule and target."""
    known = rules or dict(RULES)
    targets = (None, task.channel, task.subscription)
    ids = {clock_id(task.correlation_id, rule, target): rule for rule in known for target in targets}
    found = ClocksMet(known).of(task)
    assert found <= ids.keys()
    return {ids[id] for id in found}


def test_an_order_meets_the_disclosure_clock_of_its_kind_of_fact_and_of_no_other() -> None:
    task = Task("c-1", PUBLISHED, "inspection.result.recorded", channel="gsxt", action="publish")
    assert rules_of(task) == {"disclose-inspection-result"}
    penalty = task._replace(event_type="enforcement.penalty.amended", action="amend")
    assert rules_of(penalty) == {"disclose-penalty", "withdraw-changed-penalty"}
    recorded = task._replace(event_type="enforcement.penalty.recorded")
    assert rules_of(recorded) == {"disclose-penalty"}


def test_what_goes_to_the_province_meets_no_clock_of_making_public() -> None:
    for type in ("inspection.result.recorded", "enforcement.penalty.recorded", "enforcement.penalty.amended"):
        assert rules_of(Task("c-1", PUBLISHED, type, channel="province", action="publish")) == set()


def test_a_clock_for_each_channel_is_that_of_the_orders_channel() -> None:
    task = Task("c-1", frozenset(("disclosure.receipt.withdrawn",)), "enforcement.penalty.withdrawn", "creditchina")
    assert ClocksMet(RULES).of(task) == {clock_id("c-1", "withdraw-changed-penalty", "creditchina")}


def test_a_notice_meets_the_push_of_its_subscription_and_a_lift_the_recall() -> None:
    task = Task("c-1", DELIVERED, "blacklist.notice.listed", subscription="works-bidding", action="apply")
    assert ClocksMet(RULES).of(task) == {clock_id("c-1", "push-blacklist-notice", "works-bidding")}
    lift = task._replace(event_type="blacklist.notice.removed", action="lift")
    assert ClocksMet(RULES).of(lift) == {clock_id("c-1", "recall-notice", "works-bidding")}
    # The rule is narrowed to two subscriptions: another one's notice meets nothing of it.
    assert ClocksMet(RULES).of(task._replace(subscription="tobacco-retail")) == frozenset()


def test_an_answer_that_waits_meets_the_clocks_of_answering() -> None:
    task = Task("c-1", frozenset(("discipline.feedback.acted",)), subscription="works-bidding", action="apply")
    assert rules_of(task) == {"act-and-answer", "register-notice"}


def test_a_fact_meets_the_clock_of_its_entity_also_where_its_headers_do_not_say_all() -> None:
    assert rules_of(Task("c-1", frozenset(("complaint.lead.accepted",)))) == {"accept-lead"}
    assert rules_of(Task("c-1", frozenset(("complaint.lead.verified",)))) == {"verify-report"}


def test_terms_and_clocks_of_the_calendar_are_met_by_no_record() -> None:
    filed = Task("c-1", frozenset(("supervision.filing.recorded",)))
    assert rules_of(filed) == set()


def key(id: str) -> ClockKey:
    return 0, id


def keys(*ids: str) -> frozenset[ClockKey]:
    return frozenset(map(key, ids))


def clock(number: int, due: float, rule: str = "disclose-penalty") -> OpenClock:
    return OpenClock(f"clock-{number}", rule, f"subject-{number}", NOW + timedelta(seconds=due))


def test_a_clock_due_before_the_backlog_is_read_is_at_risk_and_a_later_one_is_not() -> None:
    clocks = {key(each.clock_id): each for each in (clock(1, 50), clock(2, 150), clock(3, -5), clock(4, 10))}
    backlog = Backlog("hub-disclosure-gsxt", 100.0, keys("clock-1", "clock-2", "clock-3", "clock-9"))
    found = at_risk([backlog], clocks, NOW)
    assert [(risk.clock_id, risk.is_late) for risk in found] == [("clock-3", True), ("clock-1", False)]
    assert found[1].read_by == NOW + timedelta(seconds=100)
    assert counts(found) == {("disclose-penalty", "hub-disclosure-gsxt"): 2}


def test_a_backlog_without_an_end_endangers_every_clock_in_it() -> None:
    clocks = {key(each.clock_id): each for each in (clock(1, 10**9), clock(2, 5))}
    found = at_risk([Backlog("g", None, frozenset(clocks))], clocks, NOW)
    assert [(risk.clock_id, risk.read_by) for risk in found] == [("clock-2", None), ("clock-1", None)]


def test_what_lies_ready_for_a_department_endangers_what_is_past_due_and_nobody_knows_when_it_is_taken() -> None:
    clocks = {key(each.clock_id): each for each in (clock(1, 3600), clock(2, -5))}
    found = at_risk([Backlog("g", 0.0, frozenset(clocks), is_ready=True)], clocks, NOW)
    assert [(risk.clock_id, risk.read_by, risk.is_late) for risk in found] == [("clock-2", None, True)]


def test_of_two_ways_to_meet_a_clock_the_sooner_one_counts() -> None:
    clocks = {key("clock-1"): clock(1, 50)}
    ids = frozenset(clocks)
    stopped, quick, slow = Backlog("a", None, ids), Backlog("b", 20.0, ids), Backlog("c", 90.0, ids)
    assert at_risk([stopped, quick], clocks, NOW) == []
    assert [risk.group for risk in at_risk([stopped, slow], clocks, NOW)] == ["c"]
    assert [risk.group for risk in at_risk([stopped], clocks, NOW)] == ["a"]


def test_a_record_that_was_moved_to_another_enterprise_waits_for_the_clock_of_its_partition() -> None:
    clocks = {(0, "clock-1"): clock(1, 50), (5, "clock-1"): clock(1, 70)._replace(subject="subject-after")}
    found = at_risk([Backlog("g", None, frozenset(((5, "clock-1"),)))], clocks, NOW)
    assert [(risk.clock_id, risk.subject) for risk in found] == [("clock-1", "subject-after")]


IDS = st.sets(st.sampled_from([f"clock-{number}" for number in range(6)]))


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.none() | st.floats(0, 1000), IDS), max_size=5),
    st.dictionaries(st.integers(0, 5), st.floats(-500, 1500), max_size=6),
)
def test_each_clock_is_listed_once_and_only_where_nothing_saves_it(
    given_backlogs: list[tuple[str, float | None, set[str]]], dues: dict[int, float]
) -> None:
    clocks = {key(f"clock-{number}"): clock(number, due) for number, due in dues.items()}
    backlogs = [Backlog(group, seconds, keys(*ids)) for group, seconds, ids in given_backlogs]
    found = at_risk(backlogs, clocks, NOW)
    assert len({risk.clock_id for risk in found}) == len(found)
    assert [risk.due_at for risk in found] == sorted(risk.due_at for risk in found)
    listed = {risk.clock_id for risk in found}
    for (_, id), each in clocks.items():
        waits = [backlog.seconds for backlog in backlogs if key(id) in backlog.clocks]
        saved = any(s is not None and NOW + timedelta(seconds=s) < each.due_at for s in waits)
        assert (id in listed) == (bool(waits) and not saved)
