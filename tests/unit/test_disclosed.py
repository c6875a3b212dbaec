"""Records on channels as an index holds them: in whatever order they are read, it is what the log folds to."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from functools import reduce
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.disclosure.book import fold
from hub.disclosure.reconcile import Comparison, Difference
from hub.disclosure.status import Reconciled
from hub.domain.desk import Mark, marks_of
from hub.domain.disclosed import ChannelEntry, Step, join_channel, state_of
from hub.ops.ledger.desk_facts import FactKey, add_disclosed, add_order, joined
from hub.state.channel_index import LAST_RECEIPTS, RECORDS
from hub.state.desk_index import DeskIndex, Entry, pack
from tests.support_contracts import catalog
from tests.support_outlets import order
from tests.unit.test_disclosure_book import answered

NOW = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
STEP = Step("o", "gsxt", "c-1", "s", "publish", 1, "t", NOW, "published", received_at=NOW)
STATUSES = {"publish": ("published", "refused", "unchanged", "superseded"), "amend": ("replaced", "refused"),
            "withdraw": ("withdrawn", "refused")}


def value_of_order(number: int, action: str, sequence: int) -> dict[str, Any]:
    return {"order_id": f"{number:08x}-0000-5000-8000-000000000000", "action": action, "sequence": sequence,
            "ordered_at": NOW + timedelta(seconds=number), "correlation_id": "c", "subject": "s", "channel": "gsxt"}


def value_of_end(number: int, status: str) -> dict[str, Any]:
    return {"order_id": f"{number:08x}-0000-5000-8000-000000000000", "status": status, "channel": "gsxt",
            "correlation_id": "c", "subject": "s", "received_at": NOW + timedelta(minutes=number),
            "public_reference": "GS-1" if status in ("published", "replaced") else None,
            "reason": "权限不足" if status == "refused" else None}


def entry(*steps: tuple[str, int, str | None]) -> ChannelEntry:
    parts = []
    for number, (action, sequence, status) in enumerate(steps, 1):
        parts.append(ChannelEntry.ordered(value_of_order(number, action, sequence)))
        if status is not None:
            parts.append(ChannelEntry.ended(value_of_end(number, status)))
    return reduce(join_channel, parts, None) or pytest.fail("no step")


@pytest.mark.parametrize(("steps", "standing"), [
    ([("publish", 1, None)], "waiting"),
    ([("publish", 1, "published")], "public"),
    ([("publish", 1, "refused")], "refused"),
    ([("publish", 1, "published"), ("withdraw", 2, "withdrawn")], "withdrawn"),
    ([("publish", 1, "published"), ("withdraw", 2, "refused")], "stuck"),
    ([("publish", 1, "published"), ("withdraw", 2, "refused"), ("withdraw", 2, None)], "waiting"),
    ([("publish", 1, "published"), ("withdraw", 2, "refused"), ("withdraw", 2, "withdrawn")], "withdrawn"),
])  # fmt: skip
def test_a_record_stands_on_a_channel_in_one_way_and_is_listed_and_counted_by_it(
    steps: list[tuple[str, int, str | None]], standing: str
) -> None:
    found = entry(*steps)
    assert found.standing == standing and marks_of(found) == {Mark("", "", standing)}
    assert ChannelEntry.parse(json.loads(pack(found))) == found
    places = RECORDS.places(found)
    assert (standing in places) is (standing in ("waiting", "stuck", "refused"))
    assert ("receipts" in places) is any(status for _, _, status in steps)


def test_a_receipt_that_is_read_before_its_order_stands_nowhere_yet_and_is_not_lost() -> None:
    early = ChannelEntry.ended(value_of_end(1, "published"))
    assert early.standing is None and marks_of(early) == frozenset() and RECORDS.places(early).keys() == {"receipts"}
    assert join_channel(early, ChannelEntry.ordered(value_of_order(1, "publish", 1))).standing == "public"


STEPS = st.lists(
    st.sampled_from(sorted(STATUSES)).flatmap(
        lambda action: st.tuples(
            st.just(action), st.integers(1, 3), st.sampled_from([None, *STATUSES[action]])
        )
    ), min_size=1, max_size=6, unique_by=lambda step: step[1],
)


@settings(max_examples=40)
@given(STEPS, st.randoms(use_true_random=False))
def test_the_entry_says_what_the_fold_of_the_log_says(
    steps: list[tuple[Any, int, str | None]], chance: random.Random
) -> None:
    records = []
    for action, sequence, status in steps:
        given_order = order("A", sequence, action=action)
        records += answered(given_order, status, "GS-1" if status in ("published", "replaced") else None,
                            reason="r") if status else [given_order]  # fmt: skip
    (state,) = fold(records, catalog())
    again = records + chance.sample(records, len(records))
    chance.shuffle(again)
    facts: dict[FactKey, Entry] = {}
    for record in again:
        schema, value = catalog().decode(record.value or b"")
        if schema.name == "hub/disclosure-order":
            add_order(facts, value)
        else:
            add_disclosed(facts, record, value)
    ((key, found),) = facts.items()
    assert isinstance(found, ChannelEntry) and key == FactKey(state.channel, RECORDS.name, state.correlation_id)
    assert found.state is not None and found.standing == state.standing
    assert (found.state.is_public, found.state.sequence, found.state.public_reference) == (
        state.is_public, state.sequence, state.public_reference,
    )
    assert joined(RECORDS.name, found, found) == found


def test_of_receipts_the_last_alone_keep_a_place() -> None:
    index = DeskIndex(None, prefix="x:", shelves=(RECORDS,))  # type: ignore[arg-type]  # nothing is asked of it
    commands = index.commands("gsxt", RECORDS, "c", entry(("publish", 1, None)), entry(("publish", 1, "published")))
    at = [each[0] for each in commands]
    assert at == ["ZREM", "ZADD", "ZREMRANGEBYRANK", "HSET"]
    assert commands[2] == ["ZREMRANGEBYRANK", "x:gsxt:receipts", 0, -LAST_RECEIPTS - 1]


def test_a_reconciliation_is_kept_with_every_kind_counted_and_the_first_named() -> None:
    gone = Difference("missing", "c-1", "s", 1, None, "GS-1", "publish", state_of([STEP]))
    found = Comparison([gone, *[Difference("unknown", f"x-{n}", None, None, 1, None) for n in range(60)]], 7, 2)
    kept = Reconciled.from_dict(json.loads(json.dumps(Reconciled.of(found, NOW).as_dict())))
    assert (kept.at, kept.same, kept.under_way, kept.counts) == (NOW, 7, 2, {"missing": 1, "unknown": 60})
    assert len(kept.differences) == 50
    assert kept.differences[0][:6] == ("missing", "c-1", "s", 1, None, "GS-1")
