"""The map: the real one loads; a wrong one is refused with every fault at its line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hub.contracts.map import HubMap, MapError
from hub.domain.clocks import Due
from hub.errors import ContractError
from hub.settings import load as load_settings
from hub.wiring import consumer_groups, topic_specs
from tests.support_contracts import ROOT, catalog

TEXT = (ROOT / "topics.yaml").read_text(encoding="utf-8")
Load = Callable[[str], HubMap]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def load(text: str) -> HubMap:
        path = tmp_path / "topics.yaml"
        path.write_text(text, encoding="utf-8")
        return HubMap.load(path, catalog(), ROOT / "reference")

    return load


def after(text: str, anchor: str, old: str, new: str) -> str:
    """``text`` with the first ``old`` behind ``anchor`` replaced; both have to be there."""
    start = text.index(anchor)
    at = text.index(old, start)
    return text[:at] + new + text[at + len(old) :]


def line_of(text: str, part: str) -> int:
    """Line, from 1, of a part that stands in the text once."""
    assert text.count(part) == 1, part
    return text[: text.index(part)].count("\n") + 1


def faults(load: Load, text: str) -> list[str]:
    """The faults of a text, one line each, without the heading; no fault is an error of the test."""
    with pytest.raises(MapError) as caught:
        load(text)
    heading, *lines = str(caught.value).split("\n")
    count = len(caught.value.faults)
    assert heading == f"topics.yaml has {count} fault{'s' if count != 1 else ''}:"
    assert len(lines) == count
    return lines


def test_the_projects_map_loads(load: Load) -> None:
    hub_map = load(TEXT)
    assert hub_map.topic_of_event("complaint.lead.accepted") == "complaint.leads.v1"
    assert hub_map.topics["inbox.works-bidding"].schema_ == "hub/inbox-record"
    assert "routing.decisions.v1" not in hub_map.routed_topics()
    assert set(hub_map.rule_tables()) == {
        (topic, event) for topic in hub_map.routed_topics() for event in hub_map.topics[topic].events
    }
    with pytest.raises(ContractError, match="unheard"):
        hub_map.topic_of_event("no.event.unheard")


#: (anchor, text behind it, what it becomes, a part of the new text whose line is named, what is said of it)
FAULTS = [
    ("  licensing.permits.v1:", "schema: licensing/permit", "schema: licensing/permits", "licensing/permits\n",
     "topics.licensing.permits.v1.schema: unknown schema 'licensing/permits' (perhaps 'licensing/permit')"),
    ("  publish-support-grants:", "from: support.grants.v1", "from: support.grant.v1", "support.grant.v1",
     "routes.publish-support-grants.from: unknown topic 'support.grant.v1' (perhaps 'support.grants.v1')"),
    ("  publish-permits:", "licensing.permit.amended", "licensing.permit.changed", "licensing.permit.changed",
     "routes.publish-permits.events.1: unknown event of licensing.permits.v1 'licensing.permit.changed' "
     "(perhaps 'licensing.permit.amended')"),
    ("  publish-penalties:", "procedure: ordinary", "proceedure: ordinary", "proceedure",
     "routes.publish-penalties.where.proceedure: unknown field of enforcement/penalty 'proceedure' "
     "(perhaps 'procedure')"),
    ("  publish-blacklist-notices:", "{is_public: true}", "{listed_date: {after: 2026-01-01}}", "{after:",
     "routes.publish-blacklist-notices.where.listed_date: unknown test 'after'; the tests are gte, lte, prefix, "
     "exists, not (see docs/map.md for the tests there are)"),
    ("  government-procurement:", "department: finance", "department: finances", "finances",
     "subscriptions.government-procurement.department: unknown department 'finances' (perhaps 'finance')"),
    ("  government-procurement:", "probe_minutes: 5\n", "probe_minutes: 5\n    delivery: pull\n", "probe_minutes: 5\n",
     "subscriptions.government-procurement.probe_minutes: probe_minutes without delivery: webhook "
     "(only an endpoint can be asked)"),
    ("  works-bidding:", "restrict-honours", "restrict-honour", "restrict-honour]",
     "subscriptions.works-bidding.measures.1: unknown measure 'restrict-honour' (perhaps 'restrict-honours')"),
    ("  push-blacklist-notice:", "due: {working_days: 10}", "due: {working_days: 10, hours: 222}", "hours: 222",
     "clocks.push-blacklist-notice.due: a period has one unit (one of working_days, calendar_days, "
     "hours, months, years, by)"),
    ("  accept-lead:", "owner: source\n", "owner: source\n    owner: finance\n", "owner: finance",
     "'owner' stands here a second time (keep one of the two)"),
    ("  gsxt:", "view: public", "view: public\n    colour: red", "colour: red",
     "channels.gsxt.colour: 'colour' is not a setting here (see docs/map.md for those that are)"),
    ("version: 1", "min_in_sync: 2", "min_in_sync: 4", "min_in_sync: 4",
     "min_in_sync: 4 in-sync replicas of 3 (at most as many as replicas)"),
    ("  intake.rejections.v1:", "retention: 400d", "retention: 400 days", "400 days",
     "topics.intake.rejections.v1.retention: "
     "a period is a number with d, h or y, e.g. 1095d, or forever (found: '400 days')"),
    ("  act-and-answer:", "    basis:", "    reason:", "    reason:", "clocks.act-and-answer.reason: "
     "'reason' is not a setting here (see docs/map.md for those that are)"),
    ("  disclose-inspection-result:", "counts_from: result_date", "counts_from: plan_name", "plan_name",
     "clocks.disclose-inspection-result.counts_from: 'plan_name' is no date (a date of inspection/result)"),
]  # fmt: skip


def test_all_faults_are_said_at_once_each_at_its_line(load: Load) -> None:
    text = TEXT
    for anchor, old, new, _, _ in FAULTS:
        text = after(text, anchor, old, new)
    expected = [(line_of(text, part), said) for *_, part, said in FAULTS]
    # A setting that was renamed is missing, too: that is said at what it is missing from.
    expected.append((line_of(text, "  act-and-answer:"), "clocks.act-and-answer.basis: 'basis' is missing (add it)"))
    assert sorted(faults(load, text)) == sorted(f"topics.yaml:{line}: {said}" for line, said in expected)


@pytest.mark.parametrize(("anchor", "old", "new", "part", "said"), FAULTS[:10])
def test_a_single_fault_is_a_single_message(load: Load, anchor: str, old: str, new: str, part: str, said: str) -> None:
    text = after(TEXT, anchor, old, new)
    assert faults(load, text) == [f"topics.yaml:{line_of(text, part)}: {said}"]


#: (text behind which it stands, what it becomes from, what it becomes, part whose line is named, what is said)
AUDIENCES = [
    ("  website:", "view: public", "view: uplink", "view: uplink\n    connector: government-website",
     "channels.website.view: view 'uplink' for everybody to see (view: public, or audience: government for a system of "
     "the government's own, with its legal basis)"),
    ("  gsxt:", "view: public", "view: partner", "view: partner\n    connector: collaboration-platform",
     "channels.gsxt.view: view 'partner' for everybody to see (view: public, or audience: government for a system of "
     "the government's own, with its legal basis)"),
    ("  province:", "view: uplink", "view: full", "view: full\n    connector: provincial-uplink",
     "channels.province.view: Input should be 'public', 'partner' or 'uplink' (found: 'full')"),
    ("  province:", "audience: government", "audience: gov", "audience: gov\n",
     "channels.province.audience: Input should be 'public' or 'government' (found: 'gov')"),
    ("  disclose-support-grant:", "    met_where: {channel: gsxt}\n", "", None,
     "clocks.disclose-support-grant.met_by: a receipt of province would meet it, and its audience is the government "
     "(name the channels that count: met_where: {channel: …})"),
    ("  disclose-support-grant:", "{channel: gsxt}", "{channel: gsx}", "{channel: gsx}",
     "clocks.disclose-support-grant.met_where.channel: unknown channel 'gsx' (perhaps 'gsxt')"),
    ("  withdraw-changed-penalty:", "[gsxt, creditchina, website]", "[gsxt, radio]", "[gsxt, radio]",
     "clocks.withdraw-changed-penalty.channels.1: unknown channel 'radio' "
     "(known: creditchina, gsxt, province, website)"),
    ("  withdraw-changed-penalty:", "    channels: [gsxt, creditchina, website]\n", "", None,
     "clocks.withdraw-changed-penalty.met_by: a receipt of province would meet it, and its audience is the government "
     "(name the channels that count: channels)"),
    ("  disclose-permit:", "owner: source", "channels: [website]\n    owner: source", "channels: [website]\n    owner",
     "clocks.disclose-permit.channels: channels without per: channel (add it, or met_where: {channel: …})"),
]  # fmt: skip


@pytest.mark.parametrize(("anchor", "old", "new", "part", "said"), AUDIENCES)
def test_who_reads_a_channel_decides_what_it_shows_and_what_it_counts_for(
    load: Load, anchor: str, old: str, new: str, part: str | None, said: str
) -> None:
    text = after(TEXT, anchor, old, new)
    # Without a part of its own the fault stands at the clock's `met_by`.
    line = line_of(text, part) if part else text[: text.index("met_by:", text.index(anchor))].count("\n") + 1
    assert faults(load, text) == [f"topics.yaml:{line}: {said}"]


def test_a_channel_is_for_the_public_unless_it_says_so(load: Load) -> None:
    channels = load(TEXT).channels
    assert {name: channel.audience for name, channel in channels.items()} == {
        "gsxt": "public", "creditchina": "public", "website": "public", "province": "government",
    }
    assert load(TEXT.replace("    audience: government\n    view: uplink", "    view: public")).channels["province"]


#: (clock, text behind it, what it becomes, part of the new text whose line is named, place in the clock, what is said)
CLOCK_FAULTS = [
    ("end-penalty-publication", "until: publish_until", "until: publish_till", "publish_till", ".until",
     "unknown field of enforcement/penalty 'publish_till' (perhaps 'publish_until')"),
    ("end-penalty-publication", "until: publish_until", "until: remark", "until: remark", ".until",
     "'remark' is no date (a date of enforcement/penalty)"),
    ("end-penalty-publication", "on_due: expire", "on_due: expire\n    escalate: [7]", "escalate: [7]", ".escalate",
     "escalate with on_due: expire (nobody is late at the end of a term)"),
    ("end-penalty-publication", "    on_due: expire\n", "", "  end-penalty-publication:", "",
     "no event meets it (met_by, or on_due: expire for a term that just ends)"),
    ("publish-news", "{kind: news}", "{kinds: news}", "{kinds:", ".met_where.kinds",
     "unknown field of supervision/filing 'kinds' (perhaps 'kind')"),
    ("publish-news", "{kind: news}", "{kind: 7}", "{kind: 7}", ".met_where.kind",
     "7 is no string to be equal to (it would never hold on a field of supervision/filing)"),
    ("publish-news", "met_on: filed_date", "met_on: title", "met_on: title", ".met_on",
     "'title' is no date (a date of supervision/filing)"),
    ("publish-news", 'by: "31"', 'by: "11-30"', '{by: "11-30"}\n    met_by: [supervision.filing.recorded]\n'
     "    met_where: {kind: news}", ".due.by", "'11-30' is no day of a month (by: \"31\" is the last day)"),
    ("publish-news", "departments: [prefecture]", "departments: [prefectures]", "[prefectures]", ".departments.0",
     "unknown department 'prefectures' (perhaps 'prefecture')"),
    ("publish-news", "every: month", "every: month\n    starts_on: [credit.repair.applied]",
     "starts_on: [credit.repair."
     "applied]\n    departments", ".starts_on", "starts_on with per: period (the calendar starts it, no event)"),
    ("publish-news", "warn: [5, 1]", "warn: [31, 1]", "warn: [31, 1]", ".warn.0",
     "31 is not within the period (a later warning)"),
    ("file-work-plan", "    every: year\n", "", "per: period\n    departments: [prefecture]\n    due: {by: \"04-30\"}",
     ".per", "per: period without every (every: year, or every: month)"),
    ("file-work-plan", 'by: "04-30"', 'by: "02-30"', "02-30", ".due.by", "there is no 02-30 (a day of that month)"),
    ("file-work-plan", 'by: "04-30"', 'by: "30"', 'by: "30"', ".due.by",
     "'30' is no day of a year (month and day, by: \"04-30\")"),
    ("mediate-complaint", "    resumed_by: [complaint.lead.resumed]\n", "", "suspended_by: [complaint.lead.suspended]\n"
     "    warn: [10, 3]", ".suspended_by", "suspended_by without resumed_by (a clock that is stopped has to go on)"),
    ("mediate-complaint", "warn: [10, 3]", "warn: [45, 3]", "warn: [45, 3]", ".warn.0",
     "45 is not within the period (a later warning)"),
    ("mediate-complaint", "[10, 3]", "[3, 3]", "[3, 3]", ".warn", "3 stands there twice (each level once)"),
    ("mediate-complaint", "    escalates_to: market-supervision\n", "", "escalate: [5]\n    basis: 自受理投诉",
     ".escalate", "escalate without escalates_to (name the department)"),
    ("mediate-complaint", "starts_on: [complaint.lead.accepted]\n    where: {lead_kind: complaint}\n    counts_from: "
     "accepted_date", "every: year", "  mediate-complaint:", "", "no event starts it (starts_on, or per: period)"),
    ("disclose-permit", "    warn:", "    met_where: {statuss: unchanged}\n    warn:", "met_where: {statuss:",
     ".met_where.statuss", "unknown field of hub/disclosure-receipt 'statuss' (perhaps 'status')"),
    ("disclose-permit", "    warn:", "    met_on: received_at\n    warn:", "met_on: received_at", ".met_on",
     "met_on with hub/disclosure-receipt (receipts and answers count when they came)"),
    ("recall-notice", "    where: {action: lift}", "    where: {action: lifted}", "where: {action: lifted}",
     ".where.action", "unknown action of a notice 'lifted' (perhaps 'lift')"),
    ("answer-recall", "met_where: {action: lift}", "met_where: {action: [lift, x]}", "met_where: {action: [lift, x]}",
     ".met_where.action", "unknown action of a notice 'x' (known: amend, apply, lift)"),
    ("disclose-permit", "    cancelled_by: [licensing.permit.withdrawn]\n", "    cancelled_where: {is_public: true}\n",
     "cancelled_where: {is_public: true}", ".cancelled_where",
     "cancelled_where without cancelled_by (name what cancels it)"),
    ("disclose-permit", "    warn:", "    subscriptions: [works-bidding]\n    warn:",
     "subscriptions: [works-bidding]\n    warn", ".subscriptions",
     "subscriptions without per: subscription (add it)"),
    ("recall-notice", "[delivery.receipt.delivered]", "[delivery.receipt.replayed]", "[delivery.receipt.replayed]",
     ".met_by.0", "'delivery.receipt.replayed' is of a replay (what is sent again is no event)"),
]  # fmt: skip


@pytest.mark.parametrize(("clock", "old", "new", "part", "place", "said"), CLOCK_FAULTS)
def test_a_clock_that_makes_no_sense_is_refused(
    load: Load, clock: str, old: str, new: str, part: str, place: str, said: str
) -> None:
    text = after(TEXT, f"  {clock}:", old, new)
    assert f"topics.yaml:{line_of(text, part)}: clocks.{clock}{place}: {said}" in faults(load, text)


def test_a_clock_says_what_the_map_says(load: Load) -> None:
    clocks = load(TEXT).clocks
    term, news, plan = (clocks[name] for name in ("end-penalty-publication", "publish-news", "file-work-plan"))
    assert (term.due, term.until, term.on_due, term.met_by) == (Due(3, "years"), "publish_until", "expire", ())
    assert (news.due, news.every, news.meets, news.per) == (Due(0, "date", 0, 31), "month", 2, "period")
    assert (plan.due, plan.every, plan.escalate) == (Due(0, "date", 4, 30), "year", (5,))
    assert "market-supervision" in plan.departments and "hezuo-market-supervision" not in plan.departments
    assert clocks["withdraw-changed-penalty"].repeats
    assert clocks["mediate-complaint"].suspended_by == ("complaint.lead.suspended",)
    assert clocks["mediate-complaint"].resumed_by == ("complaint.lead.resumed",)
    months = load(after(TEXT, "  end-penalty-publication:", "{years: 3}", "{months: 3}")).clocks
    assert months["end-penalty-publication"].due == Due(3, "months")


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("{penalty_kinds: [2, 3]}", "2 is no string to be equal to"),
        ("{is_public: 'yes'}", "'yes' is no boolean to be equal to"),
        ("{decided_date: 2026-01-01}", "'2026-01-01' is no date to be equal to"),
        ("{decided_date: {gte: 2026}}", "gte 2026 is no bound for date"),
        ("{fine_amount: {gte: 0.5}}", "gte '0.5' is no bound for decimal"),
        ("{penalty_kinds: {gte: '2'}}", "gte '2' is no bound for a list"),
        ("{is_public: {not: {lte: true}}}", "lte is a number, a date or text"),
        ("{fine_amount: {prefix: '1'}}", "prefix is of one text"),
        ("{procedure: {not: 1}}", "1 is no string to be equal to"),
    ],
)
def test_a_condition_that_could_never_hold_is_refused(load: Load, condition: str, said: str) -> None:
    text = after(TEXT, "  publish-permits:", "{is_public: true}", condition)
    text = after(text, "  publish-permits:", "from: licensing.permits.v1", "from: enforcement.penalties.v1")
    text = after(
        text,
        "  publish-permits:",
        "[licensing.permit.recorded, licensing.permit.amended, licensing.permit.withdrawn]",
        "[enforcement.penalty.recorded]",
    )
    found = faults(load, text)
    assert len(found) == 1
    assert found[0].startswith(f"topics.yaml:{line_of(text, condition)}: routes.publish-permits.where.")
    assert said in found[0]


@pytest.mark.parametrize(
    "condition", ["{decided_date: {gte: 2026-01-01, lte: 2026-12-31}}", "{fine_amount: {gte: 5}}", "{remark: null}"]
)
def test_a_condition_of_the_right_type_is_taken(load: Load, condition: str) -> None:
    text = after(TEXT, "  publish-penalties:", "where:\n      is_public: true", f"where: {condition}\n    channels: []")
    rest = text.index("      procedure: ordinary")
    text = text[:rest].replace("\n    channels: []", "") + text[text.index("    channels:", rest) :]
    assert load(text).routes["publish-penalties"].where


def test_a_subscription_to_the_hubs_own_topic_is_refused(load: Load) -> None:
    text = after(TEXT, "  works-bidding:", "from: blacklist.notices.v1", "from: disclosure.receipts.v1")
    text = after(
        text,
        "  works-bidding:",
        "[blacklist.notice.listed, blacklist.notice.amended, blacklist.notice.removed]",
        "[disclosure.receipt.refused]",
    )
    text = after(text, "  works-bidding:", "    where: {list_kind: serious}\n", "")
    [found] = faults(load, text)
    assert "disclosure.receipts.v1 is the hub's own topic" in found


def test_comments_and_order_of_words_leave_the_version_a_rule_changes_it(load: Load) -> None:
    version = load(TEXT).version
    assert load("# 说明\n\n" + TEXT.replace("topics:\n", "topics:  # all of them\n", 1)).version == version
    assert load(after(TEXT, "  accept-lead:", "{working_days: 7}", "\n      working_days: 7")).version == version
    assert load(after(TEXT, "  accept-lead:", "working_days: 7", "working_days: 8")).version != version
    assert load(after(TEXT, "  publish-penalties:", "procedure: ordinary", "procedure: summary")).version != version


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "topics.yaml:1: "),
        ("- a\n- b\n", "topics.yaml:1: "),
        ("version: 1\ntopics: {\n", "topics.yaml: line 3, column 1: not YAML"),
    ],
)
def test_a_file_that_is_no_map_is_refused(load: Load, text: str, said: str) -> None:
    with pytest.raises(ContractError) as caught:
        load(text)
    assert said in str(caught.value)


def test_a_map_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"absent\.yaml"):
        HubMap.load(tmp_path / "absent.yaml", catalog(), ROOT / "reference")


def test_who_reads_kafka_himself_has_topics_to_answer_on(load: Load) -> None:
    name = "works-bidding"

    found = load(after(TEXT, f"  {name}:\n", "    view: full\n", "    view: full\n    delivery: kafka\n"))
    assert found.delivered_by("kafka") == [name]
    answers, problems = found.topics[f"answers.{name}"], found.topics[f"answer-problems.{name}"]
    assert answers.owner == problems.owner == found.subscriptions[name].department
    assert answers.schema_ is None and problems.retention.days == 90
    theirs = set(found.topics) - set(found.own_topics())
    # What departments write is not read as the hub's own word.
    assert theirs == {f"answers.{name}", f"answer-problems.{name}"}
    specs = {spec.name: spec.configs for spec in topic_specs(load_settings(), found)}
    assert specs[f"answers.{name}"]["message.timestamp.type"] == "LogAppendTime"
    assert "message.timestamp.type" not in specs[f"inbox.{name}"]
    groups = consumer_groups(found)
    assert groups[f"hub-delivery-{name}"] == (f"inbox.{name}",)
    assert groups["hub-direct-answers"] == (f"answers.{name}",)


def test_an_inbox_has_as_many_partitions_as_the_topic_of_its_notices(load: Load) -> None:
    text = TEXT.replace("  blacklist.notices.v1:\n", "  blacklist.notices.v1:\n    partitions: 5\n", 1)
    found = load(text).topics
    assert found["inbox.works-bidding"].partitions == found["blacklist.notices.v1"].partitions == 5
