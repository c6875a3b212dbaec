"""What the hub believes to be public, what a channel says is, and the orders that mend the difference."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.bus.records import Record
from hub.contracts.cloudevents import from_headers
from hub.disclosure import PublicRecord, Receipt
from hub.disclosure.book import fold
from hub.disclosure.orders import OrderReader
from hub.disclosure.reasons import withdrawal_reason
from hub.disclosure.receipts import ReceiptWriter
from hub.disclosure.reconcile import Comparison, compare, refused_withdrawals
from hub.disclosure.reissue import orders_of, reissue
from hub.domain.disclosed import State
from tests.support_contracts import catalog
from tests.support_disclosure import as_record
from tests.support_outlets import NOW, order, order_id

LATER = datetime(2026, 3, 3, tzinfo=UTC)
MILLIS = int(NOW.timestamp() * 1000)


def answered(record: Record, status: str, reference: str | None = "GS-1", *, reason: str | None = None) -> list[Record]:
    """An order and its receipt."""
    read = OrderReader(catalog()).read(record)
    output = ReceiptWriter(catalog(), lambda: NOW).write(record, read, Receipt(status, reference, reason, NOW))
    return [record, as_record(output, timestamp=MILLIS)]


def one(records: Sequence[Record]) -> State:
    (state,) = fold(records, catalog())
    return state


def public(name: str, sequence: int | None, **more: Any) -> PublicRecord:
    return PublicRecord(f"entity-{name}", sequence, name, f"GS-{name}", **more)


@pytest.mark.parametrize(
    ("steps", "is_public", "sequence"),
    [
        ([("publish", 1, "published", "G")], True, 1),
        ([("publish", 1, "published", "G"), ("amend", 2, "replaced", "G")], True, 2),
        ([("publish", 1, "published", "G"), ("amend", 2, "refused", None)], True, 1),
        ([("publish", 1, "superseded", None), ("amend", 2, "published", "G")], True, 2),
        ([("publish", 1, "published", "G"), ("withdraw", 2, "withdrawn", None)], False, 2),
        ([("withdraw", 2, "withdrawn", None), ("publish", 3, "published", "G")], True, 3),
        # The older version comes late, out of the dead letters, say.
        ([("amend", 2, "published", "G"), ("publish", 1, "unchanged", "G")], True, 2),
        ([("withdraw", 2, "unchanged", None), ("publish", 1, "unchanged", None)], False, 2),
        ([("publish", 1, "refused", None)], False, 0),
        # Its publication was over before it went out.
        ([("publish", 1, "withdrawn", None)], False, 1),
        ([("publish", 1, "published", "G"), ("amend", 2, "withdrawn", None)], False, 2),
        ([("amend", 2, "withdrawn", None), ("amend", 3, "published", "G")], True, 3),
    ],
)  # fmt: skip
def test_the_state_follows_from_orders_and_receipts(
    steps: list[tuple[Any, int, str, str | None]], is_public: bool, sequence: int
) -> None:
    records = [
        each for action, number, status, reference in steps
        for each in answered(order("A", number, action=action), status, reference, reason="r")
    ]
    state = one(records)
    assert (state.is_public, state.sequence, state.is_open) == (is_public, sequence, False)
    for seed in range(3):
        random.Random(seed).shuffle(records)
        assert one(records + records) == state, "repeats and the order of reading change nothing"


def test_an_order_without_a_receipt_is_open_and_channels_are_apart() -> None:
    records = [*answered(order("A", 1), "published"), order("A", 2, action="amend"),
               *answered(order("A", 1, channel="creditchina"), "refused", None, reason="r"),
               order("B", 9)._replace(value=b"garbage"), order("B", 9)._replace(value=None)]  # fmt: skip
    state = next(each for each in fold(records, catalog()) if each.channel == "website")
    assert (state.is_public, state.sequence, state.is_open) == (True, 1, True)
    assert [each.channel for each in fold(records, catalog(), "website")] == ["website"]


def test_a_withdrawal_that_was_refused_is_named_until_one_is_carried_out() -> None:
    """Also where nothing was public by our record: the publication that it overtook may have gone through."""
    for before in (
        answered(order("A", 1), "published"),
        answered(order("A", 1), "superseded", None, reason="overtaken by the order x"), [],
    ):
        refused = [*before, *answered(order("A", 2, action="withdraw"), "refused", None, reason="权限不足")]
        state = one(refused)
        assert state.stuck is not None and (state.stuck.sequence, state.stuck.reason) == (2, "权限不足")
        (found,) = refused_withdrawals([state])
        assert (found.kind, found.remedy, found.ours) == ("still-public", "withdraw", 2)
        wanted = orders_of(refused, {state.stuck.order_id})
        (again,) = reissue([found], wanted, catalog(), by="张三", why="已恢复权限", now=LATER)
        # The withdrawal itself comes again, with its version and its reason, and not what it was to take back.
        read = OrderReader(catalog()).read(as_record(again))
        assert (read.order.action, read.order.sequence, read.order.is_reissued) == ("withdraw", 2, True)
        assert read.fields["reissue_of"] == state.stuck.order_id
        assert one([*refused, as_record(again)]).stuck is None, "under way"
        assert one([*refused, *answered(as_record(again), "refused", None, reason="r")]).stuck is not None
        over = one([*refused, *answered(as_record(again), "withdrawn", None)])
        assert (over.stuck, over.is_public, refused_withdrawals([over])) == (None, False, [])


def test_a_publication_that_was_refused_is_not_stuck() -> None:
    assert one(answered(order("A", 1), "refused", None, reason="r")).stuck is None


def differences(records: Sequence[Record], listed: Sequence[PublicRecord], began: datetime = LATER) -> Comparison:
    return compare(fold(records, catalog(), "website"), listed, began)


def season() -> list[Record]:
    return [
        *answered(order("A", 1), "published"), *answered(order("B", 1), "published"),
        *answered(order("B", 2, action="amend"), "replaced"), *answered(order("C", 1), "published"),
        *answered(order("C", 2, action="withdraw"), "withdrawn", None), *answered(order("D", 1), "published"),
    ]  # fmt: skip


def test_what_agrees_has_no_difference() -> None:
    found = differences(season(), [public("A", 1), public("B", 2), public("D", None)])
    assert (found.differences, found.same, found.under_way) == ([], 3, 0)


def test_each_difference_is_named_with_its_remedy() -> None:
    found = differences(season(), [public("B", 1), public("C", 1), public("D", 5), public("X", 1)])
    assert [(each.kind, each.correlation_id, each.ours, each.theirs, each.remedy) for each in found.differences] == [
        ("missing", "entity-A", 1, None, "publish"),
        ("other-version", "entity-B", 2, 1, "amend"),
        ("other-version", "entity-D", 1, 5, None),
        ("still-public", "entity-C", 2, 1, "withdraw"),
        ("unknown", "entity-X", None, 1, None),
    ]


def test_what_is_under_way_is_not_judged() -> None:
    records = [*season(), order("A", 2, action="withdraw")]
    found = differences(records, [public("B", 2), public("D", 1)])
    assert (found.differences, found.under_way) == ([], 1)
    # All receipts came after the list was begun: it says nothing of them.
    assert differences(season(), [], NOW - timedelta(seconds=1)).under_way == 4


def test_mending_gives_new_orders_that_say_who_asked_and_why() -> None:
    records = season()
    found = differences(records, [public("B", 1), public("C", 1), public("D", 5), public("X", 1)]).differences
    wanted = {each.state.order_id for each in found if each.state is not None and each.state.order_id}
    orders = orders_of(records, wanted)

    def mend() -> list[Any]:
        return list(reissue(found, orders, catalog(), by="张三", why="页面缺失", now=LATER))

    outputs = mend()
    assert outputs == mend(), "asked for twice it is the same order"
    read = [catalog().decode(output.value)[1] for output in outputs]
    assert [(each["action"], each["correlation_id"], each["sequence"]) for each in read] == [
        ("publish", "entity-A", 1), ("amend", "entity-B", 2), ("withdraw", "entity-C", 2),
    ]  # fmt: skip
    for output, fields in zip(outputs, read, strict=True):
        assert (fields["asked_by"], fields["asked_why"]) == ("张三", "页面缺失")
        envelope = from_headers(output.headers)
        assert (envelope.id, envelope.causation_id) == (fields["order_id"], fields["reissue_of"])
        given_again = OrderReader(catalog()).read(as_record(output)).order
        assert given_again.is_reissued and "张三" not in repr(given_again) and "页面缺失" not in repr(given_again)
        assert output.key == fields["subject"].encode()
    # While it is open nothing more is given; when it is answered and did not last either, the next is another one.
    opened = [*records, as_record(outputs[0], 50)]
    assert not any(each.correlation_id == "entity-A" for each in differences(opened, []).differences)
    again = [*records, *answered(as_record(outputs[0], 50), "published")]
    (still,) = [each for each in differences(again, []).differences if each.correlation_id == "entity-A"]
    (second,) = reissue([still], orders_of(again, {str(still.state.order_id)}), catalog(), by="b", why="w", now=LATER)  # type: ignore[union-attr]  # it has one
    assert from_headers(second.headers).id not in {fields["order_id"] for fields in read}


def test_a_refused_reissue_is_no_dead_end() -> None:
    records = answered(order("A", 1), "published")
    (first,) = differences(records, []).differences
    (output,) = reissue([first], orders_of(records, {order_id("A", 1)}), catalog(), by="b", why="w", now=LATER)
    records += answered(as_record(output, 50), "refused", None, reason="停机")
    (second,) = differences(records, []).differences
    (again,) = reissue([second], orders_of(records, {order_id("A", 1)}), catalog(), by="b", why="w", now=LATER)
    assert from_headers(again.headers).id != from_headers(output.headers).id


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_channel_that_did_as_it_was_told_never_differs(data: st.DataObject) -> None:
    """Any orders, whatever of them was refused or left out: what the answers left public is what the fold says."""
    there: dict[str, int] = {}
    records: list[Record] = []
    offset = 0
    for name in "AB":
        for number in range(1, data.draw(st.integers(1, 6)) + 1):
            offset += 1
            action = data.draw(st.sampled_from(["publish", "amend", "withdraw"]))
            given_order = order(name, number, action=action)._replace(offset=offset)
            entity, fate = f"entity-{name}", data.draw(st.sampled_from(["done", "done", "refused", "superseded"]))
            if fate != "done":
                records += answered(given_order, fate, None, reason="r")
            elif action == "withdraw":
                records += answered(given_order, "withdrawn" if entity in there else "unchanged", None)
                there.pop(entity, None)
            else:
                records += answered(given_order, "replaced" if entity in there else "published")
                there[entity] = number
    found = differences(records, [PublicRecord(entity, sequence) for entity, sequence in there.items()])
    assert (found.differences, found.same) == ([], len(there))


@pytest.mark.parametrize(
    ("event_type", "content", "said"),
    [
        ("clock.term.expired", {"title": "行政处罚公示期满", "ended_on": "2029-03-02"},
         "公示期满：行政处罚公示期满，至2029-03-02"),
        ("blacklist.notice.removed", {"removal_reason": "已补报年报"}, "已移出名单：已补报年报"),
        ("blacklist.notice.removed", {}, "已移出名单"),
        ("enforcement.penalty.amended", {}, "信息已变更，变更后依法不再公示"),
        ("enforcement.penalty.withdrawn", {"department_name": "合作市财政局"}, "合作市财政局撤回该信息"),
        ("enforcement.penalty.withdrawn", {}, "信息提供部门撤回该信息"),
        ("blacklist.notice.removed", {"removal_reason": "长" * 900}, "已移出名单：" + "长" * 494),
    ],
)  # fmt: skip
def test_a_withdrawal_says_why(event_type: str, content: dict[str, Any], said: str) -> None:
    assert withdrawal_reason(event_type, content) == said
