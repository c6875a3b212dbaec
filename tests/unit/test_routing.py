"""The routing stage on records: what goes where, what is held back and why, and what is poison."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from hub.bus.records import Output, Record, header
from hub.contracts.calendars import load_calendars
from hub.contracts.cloudevents import from_headers, to_headers
from hub.contracts.codec import Schema
from hub.contracts.map import HubMap
from hub.domain.events import Envelope, child_traceparent, entity_id, event_id, new_traceparent, output_id
from hub.domain.routing import public_action
from hub.errors import PoisonError
from hub.routing.holdings import HOLDINGS
from hub.routing.stage import RoutingStage
from tests.support_contracts import IDENTITY_NUMBER, ROOT, catalog, sample

NOW = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
SUBJECT = "91623000739699913A"
PENALTIES, NOTICES, LEADS = "enforcement.penalties.v1", "blacklist.notices.v1", "complaint.leads.v1"
PUBLISHED = {"is_public": True, "procedure": "ordinary", "penalty_kinds": ["1", "2"]}


@cache
def hub_map() -> HubMap:
    return HubMap.load(ROOT / "topics.yaml", catalog(), ROOT / "reference")


def changed_map(folder: Path, change: Any) -> HubMap:
    """The project's map after ``change`` was called with its content."""
    raw = yaml.safe_load((ROOT / "topics.yaml").read_text(encoding="utf-8"))
    change(raw)
    path = folder / "topics.yaml"
    path.write_text(yaml.safe_dump(raw, allow_unicode=True), encoding="utf-8")
    return HubMap.load(path, catalog(), ROOT / "reference")


def event(topic: str, type: str, **content: Any) -> Record:
    """One event as intake writes it, version 2 of row r1."""
    schema = catalog().schema(hub_map().topics[topic].schema_ or "")
    envelope = Envelope(
        id=event_id("market", "r1", 2),
        source="/sources/market",
        type=type,
        subject=SUBJECT,
        time=NOW,
        correlation_id=entity_id("market", "r1"),
        traceparent=new_traceparent("r1"),
        sequence=2,
        natural_key="r1",
    )
    value = schema.encode(sample(schema, **content))
    return Record(topic, 3, 17, 1772413200000, SUBJECT.encode(), value, to_headers(envelope))


def handle(record: Record, of: HubMap | None = None) -> list[Output]:
    """What a fact that nobody was sent before brings; who holds it now is looked at in test_recall.py."""
    [outputs] = RoutingStage(of or hub_map(), catalog(), lambda: NOW).handle([record])
    outputs = [output for output in outputs if output.topic != HOLDINGS]
    assert all(output.key == record.key and output.partition is None for output in outputs)
    return outputs


def values(outputs: list[Output], topic: str) -> list[dict[str, Any]]:
    return [catalog().decode(output.value or b"")[1] for output in outputs if output.topic == topic]


def signals(outputs: list[Output], rule: str) -> list[dict[str, Any]]:
    """The signals for the clocks of one rule."""
    return [value for value in values(outputs, "clock.signals.v1") if value["rule"] == rule]


def decision(outputs: list[Output]) -> Mapping[str, Any]:
    [found] = values(outputs, "routing.decisions.v1")
    assert outputs[-1].topic == "routing.decisions.v1"
    return found


def test_the_last_word_of_the_type_says_what_happens_in_public() -> None:
    actions = [public_action(f"a.b.{word}") for word in ("recorded", "listed", "amended", "withdrawn", "removed")]
    assert actions == ["publish", "publish", "amend", "withdraw", "withdraw"]


def test_a_public_penalty_goes_to_every_channel_in_its_view_and_starts_its_clock() -> None:
    record = event(PENALTIES, "enforcement.penalty.recorded", **PUBLISHED, decided_date=date(2026, 2, 27))
    outputs = handle(record)
    orders = values(outputs, "disclosure.orders.v1")
    assert [(order["channel"], order["action"], order["view"]) for order in orders] == [
        ("gsxt", "publish", "public"),
        ("creditchina", "publish", "public"),
        ("website", "publish", "public"),
        ("province", "publish", "uplink"),
    ]
    whole = catalog().schema("enforcement/penalty").decode(record.value or b"")
    for order in orders:
        assert order["data"] == catalog().projection("enforcement/penalty", order["view"]).encode(whole)
    assert {signal["rule"] for signal in values(outputs, "clock.signals.v1")} == {
        "disclose-penalty", "end-penalty-publication",
    }  # fmt: skip
    [signal] = signals(outputs, "disclose-penalty")
    assert (signal["kind"], signal["rule"], signal["counts_from"], signal["target"]) == (
        "start", "disclose-penalty", date(2026, 2, 27), None,
    )  # fmt: skip
    assert signal["owner_department"] == whole["department_code"]
    assert signal["occurred_at"] == datetime.fromtimestamp(record.timestamp / 1000, UTC)
    found = decision(outputs)
    assert (found["is_matched"], found["reason"], found["withheld"]) == (True, None, [])
    assert (found["input_topic"], found["input_partition"], found["input_offset"]) == (PENALTIES, 3, 17)
    assert [output["output_id"] for output in found["outputs"]] == [
        (header(output.headers, "ce_id") or b"").decode() for output in outputs[:-1]
    ]


def test_outputs_are_caused_by_the_event_and_have_ids_of_it_and_the_rule() -> None:
    record = event(PENALTIES, "enforcement.penalty.recorded", **PUBLISHED)
    given = from_headers(record.headers)
    outputs = handle(record)
    for output in outputs:
        caused = from_headers(output.headers)
        assert (caused.causation_id, caused.correlation_id) == (given.id, given.correlation_id)
        assert (caused.subject, caused.sequence) == (SUBJECT, 2)
        assert caused.traceparent == child_traceparent(given.traceparent or "", caused.id)
    ids = [from_headers(output.headers).id for output in outputs]
    assert len(set(ids)) == len(ids)
    assert ids[0] == output_id(given.id, "route:publish-penalties:gsxt")
    assert ids[-1] == output_id(given.id, "decision")
    assert outputs == handle(record)  # again: the same bytes


@pytest.mark.parametrize("kind", catalog().codes["penalty-kind"].entries)
def test_of_all_kinds_of_penalty_a_warning_alone_is_not_public(kind: str) -> None:
    """令45 holds back who was only warned; 通报批评 is public by its nature, alone as well."""
    for kinds in ([kind], ["1", kind]):
        outputs = handle(event(PENALTIES, "enforcement.penalty.recorded", **{**PUBLISHED, "penalty_kinds": kinds}))
        channels = {order["channel"] for order in values(outputs, "disclosure.orders.v1")}
        started = {signal["rule"] for signal in values(outputs, "clock.signals.v1")}
        if kind == "1":
            assert channels == {"province"} and started == set()
        else:
            assert channels == {"gsxt", "creditchina", "website", "province"}
            assert started == {"disclose-penalty", "end-penalty-publication"}


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ({**PUBLISHED, "is_public": False, "nonpublic_reason": "涉及国家秘密"}, "is_public"),
        ({**PUBLISHED, "procedure": "summary"}, "procedure"),
        ({**PUBLISHED, "penalty_kinds": ["1"]}, "penalty_kinds"),
    ],
)
def test_what_is_held_back_names_rule_and_field(content: dict[str, Any], field: str) -> None:
    found = decision(handle(event(PENALTIES, "enforcement.penalty.recorded", **content)))
    # What the public does not see is reported all the same.
    assert [(output["rule"], output["target"]) for output in found["outputs"]] == [
        ("route:report-penalties:province", "province")
    ]
    because = ": 涉及国家秘密" if field == "is_public" else ""
    assert found["withheld"] == [
        {"rule": f"route:publish-penalties:{channel}", "reason": f"{field} does not hold{because}"}
        for channel in ("gsxt", "creditchina", "website")
    ]


@pytest.mark.parametrize(
    ("said", "shown"),
    [(None, "the department gives no reason"), ("", "the department gives no reason"),
     (f"扎西东智（{IDENTITY_NUMBER}）系未成年人", "扎**（******）系未成年人"), ("密" * 600, "密" * 500)],
)
def test_why_a_record_is_not_public_is_on_record_without_what_is_personal(said: str | None, shown: str) -> None:
    content = {**PUBLISHED, "is_public": False, "party_kind": "01", "party_name": "扎西东智", "nonpublic_reason": said}
    found = decision(handle(event(PENALTIES, "enforcement.penalty.recorded", **content)))
    assert {held["reason"] for held in found["withheld"]} == {f"is_public does not hold: {shown}"}


def test_an_amendment_out_of_the_condition_takes_back_and_cancels_the_clock() -> None:
    outputs = handle(event(PENALTIES, "enforcement.penalty.amended", **{**PUBLISHED, "is_public": False}))
    orders = values(outputs, "disclosure.orders.v1")
    assert [(order["channel"], order["action"]) for order in orders] == [
        ("gsxt", "withdraw"),
        ("creditchina", "withdraw"),
        ("website", "withdraw"),
        ("province", "amend"),
    ]
    assert [order["reason"] for order in orders] == ["no longer public: is_public"] * 3 + [None]
    [signal] = signals(outputs, "disclose-penalty")
    assert (signal["kind"], signal["counts_from"]) == ("cancel", None)
    found = decision(outputs)
    assert [output["action"] for output in found["outputs"] if "clock:" not in output["rule"]] == [
        *["withdraw"] * 3, "amend"
    ]
    assert all(held["reason"].startswith("is_public does not hold: ") for held in found["withheld"])


def test_an_amendment_within_the_condition_amends_and_starts_anew() -> None:
    outputs = handle(event(PENALTIES, "enforcement.penalty.amended", **PUBLISHED))
    assert [order["action"] for order in values(outputs, "disclosure.orders.v1")] == ["amend"] * 4
    assert [signal["kind"] for signal in signals(outputs, "disclose-penalty")] == ["start"]


def test_a_withdrawal_asks_no_condition() -> None:
    outputs = handle(event(PENALTIES, "enforcement.penalty.withdrawn", **{**PUBLISHED, "is_public": False}))
    assert [order["action"] for order in values(outputs, "disclosure.orders.v1")] == ["withdraw"] * 4
    assert [signal["kind"] for signal in signals(outputs, "disclose-penalty")] == ["cancel"]
    assert decision(outputs)["withheld"] == []


def test_every_notice_has_a_clock_of_its_own() -> None:
    outputs = handle(event(NOTICES, "blacklist.notice.listed", list_kind="serious"))
    started = signals(outputs, "push-blacklist-notice")
    assert [(signal["kind"], signal["rule"], signal["target"]) for signal in started] == [
        ("start", "push-blacklist-notice", "government-procurement"),
        ("start", "push-blacklist-notice", "works-bidding"),
    ]
    assert len({signal["signal_id"] for signal in started}) == 2
    # Who gets no notice has no clock.
    outputs = handle(event(NOTICES, "blacklist.notice.listed", list_kind="abnormal"))
    assert [signal["target"] for signal in signals(outputs, "push-blacklist-notice")] == ["government-procurement"]


def test_a_clock_narrowed_to_some_subscriptions_starts_for_those_alone(tmp_path: Path) -> None:
    def narrow(raw: Any) -> None:
        raw["clocks"]["push-blacklist-notice"]["subscriptions"] = ["works-bidding"]

    outputs = handle(event(NOTICES, "blacklist.notice.listed", list_kind="serious"), changed_map(tmp_path, narrow))
    assert [signal["target"] for signal in signals(outputs, "push-blacklist-notice")] == ["works-bidding"]


def test_a_notice_says_what_is_expected_and_on_what_ground() -> None:
    record = event(NOTICES, "blacklist.notice.listed", list_kind="serious")
    outputs = handle(record)
    [notice] = values(outputs, "inbox.works-bidding")
    assert notice["department_code"] == "11623000990000025U"
    assert notice["expected_measures"] == ["依法限制参加工程招标投标", "依法限制参加评先评优"]
    assert notice["legal_basis"] == hub_map().subscriptions["works-bidding"].basis
    assert (notice["event_type"], notice["sequence"]) == ("blacklist.notice.listed", 2)
    assert notice["map_version"] == hub_map().version
    assert notice["data"] == record.value  # the full view: the bytes as they came
    [partner] = values(outputs, "inbox.government-procurement")
    schema, _ = catalog().decode(partner["data"])
    assert (schema.name, schema.view) == ("blacklist/notice", "partner")


def test_the_full_view_is_passed_on_without_being_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_alone(raw: Any) -> None:
        raw["routes"].clear()
        raw["clocks"].clear()
        del raw["subscriptions"]["government-procurement"]

    of = changed_map(tmp_path, full_alone)
    record = event(NOTICES, "blacklist.notice.listed", list_kind="serious")
    decoded: list[str] = []
    decode_body = Schema.decode_body

    def spy(schema: Schema, data: bytes, start: int) -> dict[str, Any]:
        decoded.append(schema.name)
        return decode_body(schema, data, start)

    monkeypatch.setattr(Schema, "decode_body", spy)  # Schema.decode and Catalog.decode both come through here
    # Bytes behind the fields of the rules: whoever decoded the whole record would stumble over them.
    odd = record._replace(value=(record.value or b"") + b"\x01")
    outputs = handle(odd, of)
    assert decoded == []
    assert [output.topic for output in outputs] == ["inbox.works-bidding", "routing.decisions.v1"]
    [notice] = values(outputs, "inbox.works-bidding")
    assert notice["data"] == odd.value
    assert decoded == ["hub/inbox-record"]  # by this test: the spy sees


def test_who_is_asked_for_by_no_rule_is_on_record() -> None:
    found = decision(handle(event(LEADS, "complaint.lead.told")))
    assert (found["is_matched"], found["reason"]) == (False, "matched nobody: no rule asks for it")


def test_an_event_that_the_map_does_not_know_is_on_record() -> None:
    found = decision(handle(event(LEADS, "complaint.lead.forgotten")))
    assert found["reason"] == f"matched nobody: the map knows no complaint.lead.forgotten on {LEADS}"
    assert not found["is_matched"]


def test_a_step_of_a_case_meets_its_clock() -> None:
    [signal] = values(handle(event(LEADS, "complaint.lead.accepted")), "clock.signals.v1")
    assert (signal["kind"], signal["rule"], signal["counts_from"]) == ("meet", "accept-lead", None)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda record: record._replace(headers=[]), "no header ce_id: it is not an event of the hub"),
        (
            lambda record: record._replace(headers=[one for one in record.headers if one[0] != "ce_type"]),
            "no header ce_type",
        ),
        (lambda record: record._replace(value=None), "no value"),
        (lambda record: record._replace(value=b"\x00\x00"), "shorter than its schema id"),
        (lambda record: record._replace(value=b"no avro at all"), "no frame"),
        (lambda record: record._replace(value=b"\x00\x7f\xff\xff\xff" + b"x" * 9), "no schema with the id"),
        (lambda record: record._replace(value=record.value[:12]), "not a record of enforcement/penalty"),
        (
            lambda record: record._replace(value=event(LEADS, "complaint.lead.received").value),
            "enforcement.penalties.v1 carries enforcement/penalty, not complaint/lead",
        ),
    ],
)
def test_what_can_never_be_routed_is_poison(change: Any, said: str) -> None:
    record = change(event(PENALTIES, "enforcement.penalty.recorded", **PUBLISHED))
    with pytest.raises(PoisonError, match=said):
        handle(record)


def test_a_reader_that_was_compiled_before_refuses_another_schema_all_the_same() -> None:
    stage = RoutingStage(hub_map(), catalog(), lambda: NOW)
    good = event(PENALTIES, "enforcement.penalty.recorded", **PUBLISHED)
    stage.handle([good])
    with pytest.raises(PoisonError, match="carries enforcement/penalty"):
        stage.handle([good, good._replace(value=event(LEADS, "complaint.lead.received").value)])


def test_the_end_of_a_term_withdraws_what_it_allowed_and_no_other_end_does() -> None:
    def outputs_of(rule: str) -> list[Output]:
        return handle(event("clock.terms.v1", "clock.term.expired", rule=rule))

    orders = values(outputs_of("end-penalty-publication"), "disclosure.orders.v1")
    assert [(order["channel"], order["action"], order["sequence"]) for order in orders] == [
        ("gsxt", "withdraw", 2),
        ("creditchina", "withdraw", 2),
        ("website", "withdraw", 2),
    ]
    listing = values(outputs_of("end-serious-listing"), "disclosure.orders.v1")
    assert [(order["channel"], order["action"]) for order in listing] == [("gsxt", "withdraw")]
    # That a year is over opens a door; it ends nothing that is public.
    held = outputs_of("open-early-removal")
    assert values(held, "disclosure.orders.v1") == []
    assert not decision(held)["is_matched"]


def ends(record: Record) -> dict[str, date | None]:
    return {order["channel"]: order["ends_on"] for order in values(handle(record), "disclosure.orders.v1")}


def test_an_order_names_the_last_day_of_its_publication() -> None:
    """Of the channels that the end of the term withdraws it from: a report to the government has no term."""
    decided = {**PUBLISHED, "decided_date": date(2024, 2, 29)}
    for type in ("enforcement.penalty.recorded", "enforcement.penalty.amended"):
        named = ends(event(PENALTIES, type, **decided, publish_until=date(2025, 3, 1)))
        assert named == {**dict.fromkeys(("gsxt", "creditchina", "website"), date(2025, 3, 1)), "province": None}
        longest = ends(event(PENALTIES, type, **decided, publish_until=None))
        assert longest == {**dict.fromkeys(("gsxt", "creditchina", "website"), date(2027, 2, 28)), "province": None}
    assert set(ends(event(PENALTIES, "enforcement.penalty.withdrawn", **decided)).values()) == {None}
    # One that is published no more has none either, nor has what no term ends.
    assert set(ends(event(PENALTIES, "enforcement.penalty.amended", **{**decided, "is_public": False})).values()) == {
        None
    }
    listed = {"listed_date": date(2024, 2, 29), "is_public": True}
    assert ends(event(NOTICES, "blacklist.notice.listed", **listed, list_kind="serious")) == {
        "gsxt": date(2027, 2, 28), "province": None,
    }  # fmt: skip
    assert ends(event(NOTICES, "blacklist.notice.listed", **listed, list_kind="abnormal"))["gsxt"] is None
    permit = event("licensing.permits.v1", "licensing.permit.recorded", is_public=True, valid_until=date(2020, 1, 1))
    assert set(ends(permit).values()) == {None}
    assert ends(event(PENALTIES, "enforcement.penalty.recorded", **{**decided, "decided_date": date(9999, 1, 1)},
                      publish_until=None))["gsxt"] is None  # fmt: skip


def test_a_notice_names_the_end_of_its_period() -> None:
    listed = event(NOTICES, "blacklist.notice.listed", list_kind="serious", listed_date=date(2026, 9, 15))
    stage = RoutingStage(hub_map(), catalog(), lambda: NOW, calendars=load_calendars(ROOT))
    [outputs] = stage.handle([listed])
    found = {notice["subscription"]: notice["deliver_by"] for notice in values(outputs, "inbox.works-bidding")}
    # Ten working days of Gannan's calendar after 2026-09-15: the 29th ends at 16:00 UTC.
    assert found == {"works-bidding": datetime(2026, 9, 29, 16, tzinfo=UTC)}
    # Without a calendar nothing is said of it.
    [notice] = values(handle(listed), "inbox.works-bidding")
    assert notice["deliver_by"] is None
    # The recall has a period of its own, which counts from the day on which the removal came in.
    removed = event(NOTICES, "blacklist.notice.removed", list_kind="serious", listed_date=date(2026, 9, 15))
    later = {"ce_id": b"later", "ce_sequence": b"3"}
    removed = removed._replace(headers=[(name, later.get(name, value)) for name, value in removed.headers])
    [outputs] = stage.handle([removed])
    [notice] = values(outputs, "inbox.works-bidding")
    assert (notice["action"], notice["deliver_by"]) == ("lift", datetime(2026, 3, 5, 16, tzinfo=UTC))


@pytest.mark.parametrize(("region", "channel", "inboxes"), [
    ("623001", "national", ["inbox.leads-hezuo"]),
    ("623000", "12345", ["inbox.leads-gannan"]),
    ("623025", "national", ["inbox.leads-gannan"]),  # a county that is not connected yet
    ("623001", "12315", []),  # what market supervision enters itself
])
def test_a_lead_reaches_the_department_of_its_place(region: str, channel: str, inboxes: list[str]) -> None:
    lead = event(LEADS, "complaint.lead.received", region_code=region, channel=channel, status="received")
    outputs = handle(lead)
    assert [output.topic for output in outputs if output.topic.startswith("inbox.")] == inboxes
    for inbox in inboxes:
        [notice] = values(outputs, inbox)
        assert (notice["action"], notice["view"]) == ("apply", "full")
        assert "按照部门职能" in notice["legal_basis"]
    # What the department does with it is its own word, and nobody's notice.
    assert not [
        output for output in handle(event(LEADS, "complaint.lead.accepted", region_code=region, channel=channel))
        if output.topic.startswith("inbox.")
    ]


def test_every_lead_that_is_to_be_claimed_reaches_one_department() -> None:
    for region in catalog().codes["region"].entries:
        for channel in ("national", "12345"):
            outputs = handle(event(LEADS, "complaint.lead.received", region_code=region, channel=channel))
            assert len([output for output in outputs if output.topic.startswith("inbox.")]) == 1, region
