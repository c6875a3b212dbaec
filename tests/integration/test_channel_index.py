"""The index of channels in a real Valkey: counts, lists in order, the last receipts, and what a record costs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import redis

from hub.domain.disclosed import ChannelEntry, join_channel
from hub.domain.events import derive_id
from hub.ops.ledger.desk_facts import FactKey
from hub.ops.ledger.desks import Desks
from hub.state.channel_index import LAST_RECEIPTS, RECORDS, channel_index
from hub.state.desk_index import Entry

NOW = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
#: What docs/operating.md says that a record on a channel takes; what the server itself keeps comes on top.
BYTES = 500


def facts(numbers: range, status: str | None, action: str = "publish", sequence: int = 1) -> dict[FactKey, Entry]:
    found: dict[FactKey, Entry] = {}
    for number in numbers:
        record = derive_id("record", str(number))
        at = NOW + timedelta(seconds=number)
        value = {
            "order_id": derive_id("order", record, action), "action": action, "sequence": sequence, "ordered_at": at,
            "correlation_id": record, "subject": "91623000MA0000000X", "status": status, "received_at": at,
            "public_reference": f"https://example.invalid/gs/{number:012d}" if status == "published" else None,
            "reason": "权限不足" if status == "refused" else None,
        }
        key = FactKey("gsxt" if number % 2 else "website", RECORDS.name, record)
        ordered = ChannelEntry.ordered(value)
        found[key] = ordered if status is None else join_channel(ordered, ChannelEntry.ended(value))
    return found


def write(client: redis.Redis, desks: Desks, given: dict[FactKey, Entry]) -> None:
    with client.pipeline() as pipe:
        for command in desks.commands(given):
            pipe.execute_command(*command)  # type: ignore[no-untyped-call]  # redis-py has no types for it
        pipe.execute()


def test_records_are_counted_listed_and_cost_what_is_said(redis_client: redis.Redis) -> None:
    index = channel_index(redis_client)
    desks, before = Desks(index), int(redis_client.info("memory")["used_memory"])
    write(redis_client, desks, facts(range(4000), "published"))
    taken = int(redis_client.info("memory")["used_memory"]) - before
    assert 0 < taken < 4000 * BYTES, taken / 4000
    write(redis_client, desks, facts(range(0, 20), "refused", "withdraw", 2))
    write(redis_client, desks, facts(range(20, 30), None, "withdraw", 2))
    write(redis_client, desks, facts(range(20, 30), None, "withdraw", 2))
    counts = {mark.outcome: count for mark, count in index.marks("gsxt") if count}
    assert counts == {"public": 1985, "stuck": 10, "waiting": 5}
    assert (index.count("website", "stuck"), index.count("website", "receipts")) == (10, LAST_RECEIPTS)
    page = index.page("gsxt", RECORDS, "stuck", limit=4)
    assert [entry.correlation_id for entry in page.entries] == [derive_id("record", str(n)) for n in (1, 3, 5, 7)]
    assert page.cursor is not None
    rest = index.page("gsxt", RECORDS, "stuck", cursor=page.cursor)
    assert len(rest.entries) == 6 and rest.cursor is None
    latest = index.page("website", RECORDS, "receipts", limit=1, is_reversed=True).entries[0]
    assert latest.correlation_id == derive_id("record", "3998")
