"""The read pages answer out of the ledger's index what they answer out of the log, page by page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest
import redis
from fastapi.testclient import TestClient

from hub.bus.clients import new_producer
from hub.bus.records import Record
from hub.bus.tail import Tail
from hub.clocks.wire import Cause, StateWriter
from hub.domain.clocks import Status
from hub.domain.plain import to_plain
from hub.ops.holdings import HOLDINGS
from hub.ops.holdings_shelf import HoldingsShelf
from hub.ops.ledger.view import Ledger
from hub.state.ledger_index import LedgerIndex
from hub.web.app import create_app
from hub.web.cursor import Cursors
from hub.web.ledger_holdings import LedgerHoldings
from hub.web.ledger_readers import ledger_readers
from hub.web.log_readers import log_readers
from hub.web.pages import pages_router
from hub.web.readers import Holdings, Readers
from tests.conftest import IndexLike, KafkaLike
from tests.support_contracts import catalog
from tests.support_ledger import has_read, running, service, view, wait_until
from tests.support_pages import BIDDING, PROCUREMENT, Season, Tokens, season
from tests.support_routing import NOW, hub_map
from tests.support_topics import having

TOPICS = [
    "blacklist.notices.v1", "routing.decisions.v1", "routing.holdings.v1", "disclosure.orders.v1",
    "disclosure.receipts.v1", f"inbox.{PROCUREMENT}", f"inbox.{BIDDING}", "delivery.receipts.v1",
    "discipline.feedback.v1", "clock.signals.v1", "clock.states.v1",
]
FILTERS = {
    "/v1/notices": ["", "state=parked", "state=waiting", "state=delivered"],
    "/v1/clocks": ["", "status=open", "status=met", "due_before=2026-03-03T12:00:00%2B08:00"],
    "/v1/holdings": ["", "stale=true"],
}


class World:
    def __init__(self, made: Season, ledger: Ledger, client: redis.Redis, bootstrap: str) -> None:
        self.made, self.ledger, self.redis, self.bootstrap = made, ledger, client, bootstrap
        self.shelf = HoldingsShelf(Tail(bootstrap, [HOLDINGS], is_whole=True), catalog())
        self.by_log = log_readers(
            made.read, catalog(), list(hub_map().subscriptions), hub_map().own_topics(), lambda: made, lambda: 0.0
        )

    def client(self, readers: Readers, token: str) -> TestClient:
        titles = {name: rule.title for name, rule in hub_map().clocks.items()}
        router = pages_router(readers, Tokens(), Cursors(b"made up"), titles, lambda: NOW)
        return TestClient(create_app([("", router)]), headers={"Authorization": f"Bearer {token}"})

    def both(self, token: str = "hubt_procurement") -> tuple[TestClient, TestClient]:
        """The index, which may not ask the log, and the log."""
        return self.client(self.readers(_NOBODY), token), self.client(self.by_log, token)

    def readers(self, log: Readers) -> Readers:
        return ledger_readers(self.ledger, log, self.shelf, lambda: NOW)


class _Nobody:
    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the log was asked for {name}")


_NOBODY = Readers(*(_Nobody() for _ in Readers._fields))


@pytest.fixture(scope="module")
def world(kafka: KafkaLike, valkey: IndexLike) -> Iterator[World]:
    made = season()
    made.clock("c5", "finance-code", Status.MET_LATE, days=-3)
    states = StateWriter(catalog())
    with ExitStack() as kept:
        client = kept.enter_context(redis.Redis.from_url(valkey.url))
        client.flushall()
        kept.enter_context(having(kafka.bootstrap, TOPICS))
        kept.enter_context(running(service(kafka.bootstrap, client)))
        for number, state in enumerate(made.clocks):
            output = states.state(state, 3, Cause("e"), NOW)
            at = made.records[number].timestamp
            made.records.append(Record(output.topic, 3, number, at, output.key, output.value, output.headers))
        producer = new_producer(kafka.bootstrap, client_id="test")
        for each in made.records:
            producer.produce(
                each.topic, each.value, each.key, 3, timestamp=each.timestamp,
                headers=list(each.headers),
            )
        assert producer.flush(30) == 0
        wait_until(lambda: has_read(client, len(made.records)) and LedgerIndex(client).is_filled(), "all records")
        yield World(made, kept.enter_context(view(kafka.bootstrap, client)), client, kafka.bootstrap)
        client.flushall()


def walk(client: TestClient, path: str, query: str, limit: int) -> list[dict[str, Any]]:
    found, cursor = list[dict[str, Any]](), ""
    for _ in range(50):
        answer = client.get(f"{path}?{query}&limit={limit}{cursor}".replace("?&", "?"))
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found += page["items"]
        if page["next"] is None:
            return found
        cursor = f"&cursor={page['next']}"
    raise AssertionError("the pages have no end")


@pytest.mark.parametrize("limit", [1, 2, 200])
@pytest.mark.parametrize(("path", "query"), [(path, query) for path, each in FILTERS.items() for query in each])
@pytest.mark.parametrize("token", ["hubt_procurement", "hubt_bidding"])
def test_lists(world: World, token: str, path: str, query: str, limit: int) -> None:
    by_index, by_log = world.both(token)
    found = walk(by_index, path, query, limit)
    assert found == walk(by_log, path, query, 200)
    assert found or query


def test_single_things_and_those_of_others(world: World) -> None:
    own, theirs = world.made.notice("r1", PROCUREMENT), world.made.notice("r1", BIDDING)
    by_index, by_log = world.both()
    for path in (
        f"/v1/notices/{own['notice_id']}", f"/v1/notices/{theirs['notice_id']}", "/v1/notices/none",
        f"/v1/events/{own['event_id']}/trace", "/v1/events/none/trace", "/v1/clocks/c1", "/v1/clocks/c5",
    ):
        one, other = by_index.get(path), by_log.get(path)
        assert (one.status_code, one.json()) == (other.status_code, other.json()), path


def test_a_clock_that_is_on_no_desk_is_looked_for_on_the_log(world: World) -> None:
    mixed = world.client(world.readers(world.by_log), "hubt_procurement")
    assert mixed.get("/v1/clocks/d1").status_code == mixed.get("/v1/clocks/none").status_code == 404


def test_who_sees_all_departments_is_told_by_the_log(world: World) -> None:
    mixed = world.client(world.readers(world.by_log), "huba_auditor")
    by_log = world.client(world.by_log, "huba_auditor")
    for path in ("/v1/notices", "/v1/clocks", "/v1/holdings"):
        assert walk(mixed, path, "", 2) == walk(by_log, path, "", 200) != []


def test_a_walk_begins_with_the_index_and_ends_with_the_log(world: World) -> None:
    mixed = world.client(world.readers(world.by_log), "hubt_procurement")
    first = mixed.get("/v1/notices?limit=2").json()
    # An index that is being filled anew knows nothing for certain.
    filled = world.redis.hget("hub:ledger:meta", "filled")
    world.redis.hdel("hub:ledger:meta", "filled")
    try:
        assert not LedgerIndex(world.redis).is_filled()
        rest = mixed.get("/v1/notices", params={"limit": 200, "cursor": first["next"]}).json()
        missing = mixed.get("/v1/notices/none")
    finally:
        world.redis.hset("hub:ledger:meta", "filled", filled or b"1")
    whole = walk(world.client(world.by_log, "hubt_procurement"), "/v1/notices", "", 200)
    assert json.dumps([*first["items"], *rest["items"]]) == json.dumps(whole)
    assert missing.status_code == 404


def test_holdings_that_the_index_has_let_go_of_are_told_by_the_log(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_log = walk(world.client(world.by_log, "hubt_procurement"), "/v1/holdings", "", 200)
    since = int(NOW.timestamp() * 1000)
    world.shelf.read_on()
    # Facts of one version that are younger than the floor are whole in the index, others may not be.
    for floor, log in ((since - 1, _NOBODY), (since + 1, world.by_log)):
        monkeypatch.setattr(world.ledger.index, "floor_ms", partial(int, floor))
        one_version = {
            world.made.notice(row, PROCUREMENT)["correlation_id"] for row in ("r1", "r2", "r3", "r4")
        }
        wanted = [each for each in by_log if each["correlation_id"] in one_version]
        lines = [line for line in world.shelf.lines([PROCUREMENT], None, 9) if line.position[0] in one_version]
        assert [line.position[0] for line in lines] == [each["correlation_id"] for each in wanted] != []
        holdings = world.readers(log).holdings
        for line, each in zip(lines, wanted, strict=True):
            before = (line.position[0], line.position[1], "")
            [found] = holdings.page([PROCUREMENT], before, 1)
            assert to_plain(found.as_dict()) == each
    asked = world.client(world.readers(_NOBODY), "hubt_procurement")
    with pytest.raises(AssertionError, match="the log was asked for page"):
        asked.get("/v1/holdings")


def test_too_much_that_may_be_out_of_date_is_told_by_the_log(world: World) -> None:
    def page(most: int, log: Holdings) -> list[str]:
        shelf = HoldingsShelf(Tail(world.bootstrap, [HOLDINGS], is_whole=True), catalog())
        holdings = LedgerHoldings(world.ledger, log, shelf, lambda: NOW, most=most)
        return [each.correlation_id for each in holdings.page([PROCUREMENT], None, 9, only_stale=True)]

    assert page(1, _NOBODY.holdings) == [world.made.notice("r5", PROCUREMENT)["correlation_id"]]
    assert page(0, world.by_log.holdings) == page(1, _NOBODY.holdings)
    with pytest.raises(AssertionError, match="the log was asked for page"):
        page(0, _NOBODY.holdings)
