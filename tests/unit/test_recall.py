"""Whoever was sent a fact learns that it was corrected or taken back, and nobody else does."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.bus.records import Output
from hub.contracts.map import HubMap
from hub.domain.events import output_id
from hub.domain.recall import Holder, Holding, Subscriber, after, effect_of, recipients, routed_before
from hub.domain.where import compile_where
from hub.errors import PoisonError
from hub.routing.holdings import HOLDINGS
from tests.support_contracts import ROOT, catalog
from tests.support_routing import NOTICES, NOW, Log, asked, decision, notices, version

PROCUREMENT, BIDDING = "government-procurement", "works-bidding"
RAW = yaml.safe_load((ROOT / "topics.yaml").read_text(encoding="utf-8"))


def changed_map(folder: Path, **bidding: Any) -> HubMap:
    """The project's map with other settings of one subscription; ``gone=True`` takes it out."""
    raw = copy.deepcopy(RAW)
    if bidding.pop("gone", False):
        del raw["subscriptions"][BIDDING]
        raw["clocks"]["push-blacklist-notice"]["subscriptions"].remove(BIDDING)
    else:
        raw["subscriptions"][BIDDING] |= bidding
    path = folder / "topics.yaml"
    path.write_text(yaml.safe_dump(raw, allow_unicode=True), encoding="utf-8")
    return HubMap.load(path, catalog(), ROOT / "reference")


def routed(log: Log, *args: Any, of: HubMap | None = None, **content: Any) -> list[Output]:
    """What a stage that has just started makes of a version; the log keeps who holds it."""
    (outputs,) = log.stage(of).handle([version(*args, **content)])
    log.write(outputs)
    return outputs


def signals(outputs: list[Output], kind: str) -> list[tuple[str, str | None]]:
    found = [catalog().decode(each.value or b"")[1] for each in outputs if each.topic == "clock.signals.v1"]
    return [(each["rule"], each["target"]) for each in found if each["kind"] == kind and each["target"]]


def test_a_removal_goes_to_those_who_hold_it_whatever_it_says() -> None:
    log = Log()
    assert asked(routed(log, 1, "listed", list_kind="serious")) == {PROCUREMENT: "apply", BIDDING: "apply"}
    # The record says now what neither would match.
    outputs = routed(log, 2, "removed", list_kind="other")
    assert asked(outputs) == {PROCUREMENT: "lift", BIDDING: "lift"}
    assert {name: each["view"] for name, each in notices(outputs).items()} == {PROCUREMENT: "partner", BIDDING: "full"}
    [holding] = log.holdings()
    assert not holding.is_held and holding.sequence == 2 and holding.routed == (1, 2)


def test_the_id_of_a_recall_follows_from_event_and_rule() -> None:
    log = Log()
    routed(log, 1, "listed", list_kind="serious")
    outputs = routed(log, 2, "removed", list_kind="serious")
    for name, notice in notices(outputs).items():
        assert notice["rule"] == f"subscription:{name}"
        assert notice["notice_id"] == output_id(notice["event_id"], notice["rule"])
    assert [out["target"] for out in decision(outputs)["outputs"] if out["action"] == "lift"] == [PROCUREMENT, BIDDING]


def test_a_removal_of_what_nobody_got_reaches_nobody_and_says_so() -> None:
    log = Log()
    outputs = routed(log, 2, "removed", list_kind="serious")
    assert notices(outputs) == {}
    never = {"rule": f"subscription:{BIDDING}", "reason": "never got what is taken back"}
    assert never in decision(outputs)["withheld"]
    # Its listing, which comes late, is old news then.
    late = routed(log, 1, "listed", list_kind="serious")
    assert notices(late) == {}
    assert {"rule": f"subscription:{BIDDING}", "reason": "version 2 was routed before"} in decision(late)["withheld"]


def test_an_amendment_lifts_where_it_is_no_longer_of_concern_and_applies_where_it_newly_is() -> None:
    log = Log()
    assert asked(routed(log, 1, "listed", list_kind="abnormal")) == {PROCUREMENT: "apply"}
    assert asked(routed(log, 2, "amended", list_kind="serious")) == {PROCUREMENT: "amend", BIDDING: "apply"}
    outputs = routed(log, 3, "amended", list_kind="abnormal")
    assert asked(outputs) == {PROCUREMENT: "amend", BIDDING: "lift"}
    [said] = [out for out in decision(outputs)["outputs"] if out["action"] == "lift"]
    assert (said["target"], said["reason"]) == (BIDDING, "no longer of concern: list_kind does not hold")
    # What was lifted is not lifted again.
    assert asked(routed(log, 4, "removed", list_kind="serious")) == {PROCUREMENT: "lift"}


@pytest.mark.parametrize(
    ("change", "amended", "reason"),
    [
        ({"where": {"list_kind": "other"}}, "lift", "no longer of concern: list_kind does not hold"),
        ({"events": ["blacklist.notice.listed"]}, "amend", None),
        ({"ended_on": "2026-01-01"}, "amend", None),
        (
            {"from": "enforcement.penalties.v1", "events": ["enforcement.penalty.recorded"], "where": {}},
            "lift", "no longer of concern: the subscription reads another topic now",
        ),
    ],
    ids=["narrowed", "asks no more", "ended", "moved"],
)
def test_a_subscription_that_changed_since_is_recalled_all_the_same(
    tmp_path: Path, change: dict[str, Any], amended: str, reason: str | None
) -> None:
    after = changed_map(tmp_path, **change, view="public")
    log = Log()
    routed(log, 1, "listed", list_kind="serious")
    other = Log()
    other.records = list(log.records)
    outputs = routed(log, 2, "removed", of=after, list_kind="serious")
    # In the view on record, not in the one of now.
    assert (notices(outputs)[BIDDING]["action"], notices(outputs)[BIDDING]["view"]) == ("lift", "full")
    outputs = routed(other, 2, "amended", of=after, list_kind="serious")
    assert asked(outputs)[BIDDING] == amended
    [said] = [out for out in decision(outputs)["outputs"] if out["target"] == BIDDING and out["kind"] != "clock"]
    assert said["reason"] == reason


def test_an_ended_subscription_gets_nothing_new(tmp_path: Path) -> None:
    # The record was taken on 2 March 2026, Asia/Shanghai.
    for ended_on, is_sent in (("2026-03-03", True), ("2026-03-02", False), ("2025-12-31", False)):
        log = Log()
        outputs = routed(log, 1, "listed", of=changed_map(tmp_path, ended_on=ended_on), list_kind="serious")
        assert (BIDDING in notices(outputs)) is is_sent


def test_a_holder_that_left_the_map_is_named_and_goes_on_holding(tmp_path: Path) -> None:
    log = Log()
    routed(log, 1, "listed", list_kind="serious")
    outputs = routed(log, 2, "removed", of=changed_map(tmp_path, gone=True), list_kind="serious")
    assert asked(outputs) == {PROCUREMENT: "lift"}
    [held] = decision(outputs)["withheld"]
    assert held["rule"] == f"subscription:{BIDDING}" and "is not in the map any more" in held["reason"]
    [holding] = log.holdings()
    assert [each.subscription for each in holding.holders if each.is_holding] == [BIDDING]


def test_what_was_routed_brings_nothing_when_it_is_read_again() -> None:
    log, records = Log(), [
        version(1, "listed", list_kind="serious"),
        version(2, "amended", list_kind="abnormal"),
        version(3, "removed", list_kind="abnormal"),
    ]
    for outputs in log.stage().handle(records):
        log.write(outputs)
    before = log.holdings()
    again = log.stage()
    assert again.handle(records) == [[], [], []]
    assert again.handle(records[:1]) == [[]]
    assert log.holdings() == before


def test_a_kill_before_the_holding_was_written_brings_the_same_again() -> None:
    log, records = Log(), [version(1, "listed", list_kind="serious"), version(2, "removed", list_kind="serious")]
    # The outputs are on the log, the holdings not: they are written behind them.
    first = log.stage().handle(records)
    assert log.stage().handle(records) == first
    log.write(first[0])
    assert log.stage().handle(records) == [[], first[1]]


def test_a_batch_with_a_poison_record_is_forgotten_whole() -> None:
    log = Log()
    stage = log.stage()
    good = version(1, "listed", list_kind="serious")
    with pytest.raises(PoisonError):
        stage.handle([good, version(1, "listed", row="r2")._replace(value=b"no avro at all")])
    (outputs,) = stage.handle([good])
    assert asked(outputs) == {PROCUREMENT: "apply", BIDDING: "apply"}
    # As is what the lane could not take, a record that is too long, say.
    stage.take_back()
    assert stage.handle([good]) == [outputs]


def test_partitions_that_went_are_forgotten_and_read_again_when_they_come_back() -> None:
    log = Log()
    stage = log.stage()
    stage.on_assigned([(NOTICES, 3)])
    (outputs,) = stage.handle([version(1, "listed", list_kind="serious")])
    stage.on_revoked([(NOTICES, 3)])
    stage.on_assigned([(NOTICES, 3)])
    # Nothing of it was written: it is routed as if for the first time.
    assert stage.handle([version(1, "listed", list_kind="serious")]) == [outputs]


def test_an_older_holding_behind_a_newer_one_does_not_count() -> None:
    log = Log()
    routed(log, 1, "listed", list_kind="serious")
    old = log.records[-1]
    routed(log, 2, "removed", list_kind="serious")
    log.records.append(old)
    assert log.stage().handle([version(2, "removed", list_kind="serious")]) == [[]]


def test_what_nobody_holds_is_forgotten_when_no_event_of_it_can_come_again() -> None:
    log = Log()
    routed(log, 1, "listed", list_kind="serious")
    for days, count in ((2000, 0), (1000, 0)):
        stage = log.stage()
        stage.handle([version(1, "listed", row="other", list_kind="other")])
        assert sum(map(len, stage.tick(NOW + timedelta(days=days)))) == count  # it is held
    routed(log, 2, "removed", list_kind="serious")
    for days, count in ((1000, 0), (1100, 1)):
        stage = log.stage()
        stage.handle([version(1, "listed", row="other", list_kind="other")])
        [wave] = stage.tick(NOW + timedelta(days=days))
        assert [(each.topic, each.value, each.partition) for each in wave] == [(HOLDINGS, None, 3)] * count


def test_rows_of_two_topics_with_one_name_are_two_facts() -> None:
    log = Log()
    routed(log, 1, "listed", list_kind="serious")
    assert notices(routed(log, 1, "withdrawn", topic="enforcement.penalties.v1")) == {}
    assert asked(routed(log, 2, "removed", list_kind="serious")) == {PROCUREMENT: "lift", BIDDING: "lift"}


def test_a_recall_starts_its_own_clock_and_ends_those_of_the_listing() -> None:
    log = Log()
    outputs = routed(log, 1, "listed", list_kind="serious")
    assert signals(outputs, "start") == [
        ("push-blacklist-notice", PROCUREMENT), ("push-blacklist-notice", BIDDING),
    ]
    assert signals(outputs, "cancel") == []
    outputs = routed(log, 2, "amended", list_kind="abnormal")
    assert signals(outputs, "start") == [("recall-notice", BIDDING)]
    assert signals(outputs, "cancel") == [
        ("push-blacklist-notice", BIDDING), ("act-and-answer", BIDDING), ("register-notice", BIDDING),
    ]
    # Applied anew: there is nothing left to take back.
    outputs = routed(log, 3, "amended", list_kind="serious")
    assert (signals(outputs, "start"), signals(outputs, "cancel")) == ([], [("recall-notice", BIDDING)])
    outputs = routed(log, 4, "removed", list_kind="serious")
    assert signals(outputs, "start") == [("recall-notice", PROCUREMENT), ("recall-notice", BIDDING)]


WHERES: list[dict[str, Any]] = [
    {}, {"list_kind": "serious"}, {"list_kind": "abnormal"}, {"list_kind": ["abnormal", "serious"]}, {"list_kind": "x"},
]


@settings(max_examples=300, deadline=None)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["listed", "amended", "removed"]), st.sampled_from(["serious", "abnormal"]),
            st.lists(st.sampled_from(WHERES), min_size=3, max_size=3),
            st.booleans(),
        ),
        min_size=1, max_size=8,
    )
)
def test_whoever_got_it_and_is_not_to_have_it_any_more_got_its_lift_last(steps: list[Any]) -> None:
    """Any versions of a fact, any changes of the map between them, any of them read twice."""
    holding: Holding | None = None
    last: dict[str, str] = {}
    for number, (word, kind, wheres, is_repeated) in enumerate(steps, 1):
        subscribers = {
            name: Subscriber(name, name, "full", True, True, compile_where(where), frozenset(where))
            for name, where in zip("abc", wheres, strict=True)
        }
        fields = {"list_kind": kind}
        for _ in range(1 + is_repeated):
            if routed_before(holding, number):
                continue
            sent, _ = recipients(
                subscribers, effect_of(f"a.b.{word}"), fields, holding, number, 0, asked=subscribers.values()
            )
            assert len({each.subscriber.name for each in sent}) == len(sent)
            for each in sent:
                name = each.subscriber.name
                if each.action != "apply":
                    assert last.get(name) in ("apply", "amend")  # nobody else got one
                last[name] = each.action
            of = Holding("t", "c", "s", word, number, (number,), 0, ())
            holders = [Holder(e.subscriber.name, "full", e.action, f"n{number}", number, 0) for e in sent]
            if holders or holding is not None or word == "removed":
                holding = after(holding, of, holders)
        for name, action in last.items():
            concern = subscribers[name].unconcerned(fields) is None
            if word == "removed":
                assert action == "lift"
            elif word == "amended":
                assert (action != "lift") == concern
    held = {each.subscription: each.action for each in holding.holders} if holding is not None else {}
    assert held == last


def test_the_moment_of_the_end_is_the_beginning_of_its_day() -> None:
    ended_at = int(datetime(2026, 3, 1, 16, tzinfo=UTC).timestamp() * 1000)  # 2 March, 0:00 in Shanghai
    one = Subscriber("a", "subscription:a", "full", True, True, ended_at=ended_at)
    assert one.wants({}, ended_at - 1) and not one.wants({}, ended_at)
