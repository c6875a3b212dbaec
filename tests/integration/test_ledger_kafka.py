"""The ledger on a real Kafka and Valkey: what it holds is what the log says, and questions are answered from it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest
import redis

from hub.bench.ledger_traffic import FINANCE, FROM, HEZUO, MARKET, SUBSCRIPTION, Traffic
from hub.bus.records import Output
from hub.domain.desk import Colour, NoticeState
from hub.domain.events import output_id
from hub.errors import UsageError
from hub.ops.ledger import desk_queries, queries
from hub.ops.ledger.reading import followed_topics
from hub.settings import load
from hub.state.desk_index import PREFIX, DeskIndex
from hub.state.ledger_index import LedgerIndex
from hub.web.site.portal.desk import LedgerDesk
from hub.web.site.portal.notice import LedgerNotices
from hub.wiring import LedgerRebuild
from tests.support_contracts import catalog
from tests.support_ledger import (
    contents,
    has_read,
    held_against_log,
    ledger_topics,
    running,
    service,
    view,
    wait_until,
    write,
    write_events,
)
from tests.support_routing import hub_map
from tests.support_topics import having

if TYPE_CHECKING:
    from tests.conftest import IndexLike, KafkaLike

EVENTS = 400
TODAY = date(2026, 8, 11)


@pytest.fixture(scope="module")
def log(kafka: KafkaLike) -> Iterator[tuple[str, int]]:
    """A log with some hundred events, and how many records that are."""
    with ledger_topics(kafka.bootstrap) as bootstrap:
        yield bootstrap, write_events(bootstrap, TRAFFIC, range(EVENTS))


TRAFFIC = Traffic(catalog(), salt="ledger-test")


def test_what_is_held_is_what_the_log_says_and_comes_again_after_a_wipe(
    log: tuple[str, int], redis_client: redis.Redis
) -> None:
    bootstrap, count = log
    with running(service(bootstrap, redis_client)) as stage:
        wait_until(lambda: has_read(redis_client, count), "all records")
        first = contents(redis_client)
        redis_client.flushall()
        wait_until(lambda: has_read(redis_client, count), "all records anew")
        wait_until(lambda: stage.records >= 2 * count, "all of them anew")
    assert contents(redis_client) == first
    found = held_against_log(bootstrap, redis_client)
    assert found.is_same, found.examples
    # Of a met clock the state that it ran is gone from the index, as compaction takes it from the log.
    assert found.facts == EVENTS and count - EVENTS // 2 == found.records
    # Desks of two departments; and each penalty on two channels.
    assert found.desks == 2 + 2 and found.entries == (5 + 2) * EVENTS // 4


def test_a_record_that_is_missing_or_strange_is_named(log: tuple[str, int], redis_client: redis.Redis) -> None:
    bootstrap, count = log
    with running(service(bootstrap, redis_client)):
        wait_until(lambda: has_read(redis_client, count), "all records")
    one, other = (key for key, _ in zip(redis_client.scan_iter(match="hub:ledger:e:*"), range(2), strict=False))
    redis_client.delete(one)
    redis_client.append(other, bytes.fromhex("0010000000ffffff00000000"))
    redis_client.hset(f"hub:desk:{HEZUO}:score", "2026-07-01|disclose-penalty|met", 1)
    redis_client.hdel("hub:channel:gsxt:records", redis_client.hkeys("hub:channel:gsxt:records")[0])
    redis_client.zremrangebyrank("hub:channel:creditchina:receipts", 0, 0)
    assert redis_client.zremrangebyrank(f"hub:desk:{HEZUO}:open-leads", 0, 0) == 1
    found = held_against_log(bootstrap, redis_client)
    assert not found.is_same
    assert found.differences.keys() == {
        "missing record", "record that is not on the log", "count", "order: open-leads", "desk: records",
        "order: receipts",
    }


def test_it_is_made_anew_by_command_with_and_without_a_stage_and_held_against_the_log(
    log: tuple[str, int], redis_client: redis.Redis, valkey: IndexLike
) -> None:
    bootstrap, count = log
    settings = load(bootstrap_servers=bootstrap, redis_index_url=valkey.url)
    work = LedgerRebuild(settings)
    work.rebuild()
    assert work.verify().is_same
    before = contents(redis_client)
    redis_client.delete(*redis_client.keys("hub:ledger:e:*"))
    found = work.verify()
    assert found.differences["missing record"] == found.records > 0
    with running(service(bootstrap, redis_client, lease_seconds=30)):
        wait_until(LedgerIndex(redis_client).has_owner, "the stage")
        work.rebuild()
        assert has_read(redis_client, count)
        assert work.verify().is_same
    assert contents(redis_client) == before


def test_the_way_of_an_event_is_told_from_the_index_to_each_end(
    log: tuple[str, int], redis_client: redis.Redis
) -> None:
    bootstrap, count = log
    with running(service(bootstrap, redis_client)):
        wait_until(lambda: has_read(redis_client, count), "all records")
    penalty, listing, lead, permit = (TRAFFIC.event_id(40 + kind) for kind in range(4))
    with view(bootstrap, redis_client) as ledger:
        found = queries.trace(ledger, penalty)
        assert (found.origin, found.note) == ("index", "")
        assert [(end.kind, end.target, end.end) for end in found.ends] == [
            ("channel", "gsxt", "published"), ("channel", "creditchina", "published"),
            ("clock", "disclose-penalty", "met"),
        ]
        assert found.ends[0].rule == "publish-penalties"
        assert {step.version for step in found.steps if step.topic == "routing.decisions.v1"} == {"bench"}
        # The fact itself, and by the notice: the same way.
        assert queries.trace(ledger, found.steps[0].correlation_id) == found
        notice = output_id(listing, f"subscription:{SUBSCRIPTION}")
        by_notice = queries.trace(ledger, notice)
        assert by_notice == queries.trace(ledger, listing)
        assert ("subscription", SUBSCRIPTION, "answered: acted") in [end[2:4] + end[5:6] for end in by_notice.ends]
        assert [end.end for end in queries.trace(ledger, lead).ends] == [None]
        (nobody,) = queries.trace(ledger, permit).ends
        assert (nobody.end, nobody.reason) == ("matched nobody", "no rule concerns it")
        # What the index has no name for: a web page is told so, the command line looks on the log.
        order = found.ends[0].id
        unknown = queries.trace(ledger, order)
        assert unknown.steps == [] and "does not know this id" in unknown.note
        scanned = queries.trace(ledger, order, may_scan=True)
        assert (scanned.origin, scanned.steps, scanned.ends) == ("log", found.steps, found.ends)
        # A subject with all its facts.
        history = queries.history(ledger, TRAFFIC.subject(40))
        assert {step.correlation_id for step in history.steps} == {
            queries.trace(ledger, TRAFFIC.event_id(number)).steps[0].correlation_id for number in range(40, 45)
        }
        assert queries.history(ledger, TRAFFIC.subject(40), may_scan=True) == history
        redis_client.flushall()
        assert queries.trace(ledger, penalty).note.startswith("The index is empty")
        by_log = queries.trace(ledger, penalty, may_scan=True)
        assert (by_log.origin, by_log.steps, by_log.ends) == ("log", found.steps, found.ends)
        assert queries.history(ledger, TRAFFIC.subject(40), may_scan=True).steps == history.steps


def test_a_department_reads_its_own_desk_by_deadline_in_pages_that_inserts_do_not_move(
    log: tuple[str, int], redis_client: redis.Redis
) -> None:
    bootstrap, count = log
    desks = DeskIndex(redis_client)
    with running(service(bootstrap, redis_client)), view(bootstrap, redis_client) as ledger:
        wait_until(lambda: has_read(redis_client, count), "all records")
        first = desk_queries.clocks(ledger, "hezuo-market-supervision", TODAY, limit=30)
        assert first.total == EVENTS // 4
        # Another clock comes before all of them.
        early = Traffic(catalog(), salt="early")
        write(bootstrap, list(early.of_event(60_002))[-1:])
        wait_until(lambda: desks.count(HEZUO, "due") > EVENTS // 4, "the clock")
        seen, cursor = list(first.entries), first.cursor
        while cursor is not None:
            page = desk_queries.clocks(ledger, HEZUO, TODAY, cursor=cursor, limit=30)
            seen, cursor = seen + page.entries, page.cursor
        assert len({clock.clock_id for clock in seen}) == len(seen) == EVENTS // 4
        assert [clock.due_on for clock in seen] == sorted(clock.due_on for clock in seen)
        assert {clock.title for clock in seen} == {"投诉举报受理时限"}
        colours = {clock.colour: clock.due_on for clock in reversed(seen)}
        assert colours[Colour.RED] <= TODAY < colours[Colour.AMBER] < colours[Colour.GREEN]

        inbox = desk_queries.notices(ledger, "finance", limit=5)
        assert inbox.total == EVENTS // 4 and inbox.cursor is not None
        newest = inbox.entries[0]
        assert (newest.state, newest.answer, newest.measure, newest.way, newest.end) == (
            NoticeState.ANSWERED, "acted", "restrict-government-procurement", "http", "delivered",
        )
        assert desk_queries.notices(ledger, "finance", is_waiting=True).entries == []
        shown = desk_queries.notice(ledger, "finance", newest.notice_id, TODAY)
        assert shown is not None and [clock.status for clock in shown.clocks] == ["met"]
        # What the portal makes of it; the content of this traffic cannot be read, which costs nothing else.
        portal = LedgerNotices(ledger)
        seen_by_portal = portal.view("finance", newest.notice_id, TODAY)
        assert seen_by_portal is not None and portal.content(seen_by_portal) is None
        kinds = [each.kind for each in portal.passages("finance", seen_by_portal)]
        assert kinds[:3] == ["event", "notice", "receipt"] and {"answer", "clock"} <= set(kinds)
        (explained,) = portal.explained(seen_by_portal)
        assert explained.state.status == "met" and explained.why["rule"]["basis"]
        assert portal.standing("finance", newest.notice_id, [explained.state.clock_id]) == (
            "answered", [(explained.state.rule, "met")]
        )
        assert portal.view(HEZUO, newest.notice_id, TODAY) is None
        assert portal.standing(HEZUO, newest.notice_id, []) is None and LedgerDesk(ledger).is_filled()
        # The same notice is on nobody else's desk, and no name reaches another's key.
        assert desk_queries.notice(ledger, HEZUO, newest.notice_id, TODAY) is None
        for guess in (f"{FINANCE}:inbox", "*", "", "hub:desk"):
            with pytest.raises(UsageError):
                desk_queries.notices(ledger, guess)

        leads = desk_queries.leads(ledger, HEZUO, limit=200)
        assert len(leads.entries) == EVENTS // 4
        assert desk_queries.leads(ledger, HEZUO, region="623021").entries == []
        for name in (HEZUO, "finance"):
            assert desk_queries.totals(ledger, name) == (
                desk_queries.clocks(ledger, name, TODAY, limit=1).total,
                desk_queries.notices(ledger, name, is_waiting=True, limit=1).total,
                desk_queries.leads(ledger, name, limit=1).total,
            )
        board = desk_queries.scoreboard(ledger, "finance", (FROM + timedelta(days=20)).date())
        assert [(title, counts.met, counts.open) for title, counts in board[30]] == [
            ("采取措施并反馈时限", EVENTS // 4, 0)
        ]
        assert desk_queries.scoreboard(ledger, MARKET, TODAY) == {30: [], 90: []}
    assert all(key.decode().startswith((f"{PREFIX}{HEZUO}:", f"{PREFIX}{FINANCE}:", "hub:desk-of-lead"))
               for key in redis_client.scan_iter(match="hub:desk*"))


def test_what_a_department_had_part_in_is_listed_by_the_index_and_by_the_log(
    log: tuple[str, int], redis_client: redis.Redis
) -> None:
    bootstrap, count = log
    with running(service(bootstrap, redis_client)), view(bootstrap, redis_client) as ledger:
        wait_until(lambda: has_read(redis_client, count), "all records")
        found = queries.part_of(ledger, "finance", limit=EVENTS)
        assert found.origin == "index"
        assert len({step.correlation_id for step in found.steps}) == EVENTS // 4
        some = queries.part_of(ledger, "finance", limit=10)
        assert len({step.correlation_id for step in some.steps}) == 10 and "10 of 100" in some.note
        redis_client.flushall()
        by_log = queries.part_of(ledger, "finance", limit=EVENTS, may_scan=True)
        assert by_log.origin in ("log", "index")
        assert by_log.steps == found.steps


def test_a_topic_that_came_between_two_processes_is_followed_by_the_second(
    log: tuple[str, int], redis_client: redis.Redis
) -> None:
    late, (bootstrap, count), index = "inbox.works-bidding", log, LedgerIndex(redis_client)
    assert late in followed_topics(hub_map())
    with running(service(bootstrap, redis_client)):
        wait_until(lambda: has_read(redis_client, count), "all records")
    with having(bootstrap, [late]):
        assert write(bootstrap, [Output(late, b"S", None, [("ce_id", b"1")], 5)]) == 1
        # At once, while the group still remembers what the first one had.
        with running(service(bootstrap, redis_client)):
            wait_until(lambda: index.offsets().get((late, 5)) == 1, "the record of the new topic")
