"""Limits by caller: exact under concurrency, fair between callers, and no reason for the API to stand still."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx2 as httpx
import pytest
from fastapi import APIRouter
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from hub.domain.quota import Quota, take
from hub.state.quotas import MemoryQuotas, RedisQuotas
from hub.web.app import create_app, health_router
from hub.web.quota import address_of, limit

if TYPE_CHECKING:
    from tests.conftest import IndexLike

QUOTA, ADDRESS = Quota("caller", 50), Quota("address", 10)
START = 1_772_413_200_000_000
KNOWN = {"hubt_a": "subscription:a", "hubk_b": "source:b"}


class Clock:
    def __init__(self) -> None:
        self.micros = START

    def __call__(self) -> int:
        return self.micros

    def advance(self, seconds: float) -> None:
        self.micros += int(seconds * 1_000_000)


def app_of(quotas: Any, *, caller: Quota | None = QUOTA, address: Quota | None = ADDRESS) -> Any:
    router = APIRouter()

    @router.get("/v1/thing")
    async def thing() -> dict[str, str]:
        return {"status": "ok"}

    app = create_app([("", router), ("", health_router(lambda: None))])
    limit(app, quotas=quotas, identify=KNOWN.get, caller=caller, address=address)
    return app


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


# -- the sum ---------------------------------------------------------------------------------------


@given(
    st.integers(1, 200), st.integers(1, 120),
    st.lists(st.integers(0, 30_000_000), min_size=1, max_size=300),
)
def test_no_window_ever_holds_more_than_twice_the_limit(count: int, window: int, steps: list[int]) -> None:
    """A full bucket and what flows in meanwhile: the most that a token bucket lets through in one window."""
    quota, full_at, now, let_in = Quota("q", count, window), 0, START, list[int]()
    for step in steps:
        now += step
        full_at, verdict = take(quota, full_at, now)
        if verdict.is_allowed:
            let_in.append(now)
            assert verdict.retry_seconds == 0
        else:
            assert verdict.retry_seconds >= 1 and verdict.remaining == 0
            # What it is told is true: so long afterwards one goes through.
            assert take(quota, full_at, now + verdict.retry_seconds * 1_000_000)[1].is_allowed
        assert 0 <= verdict.remaining <= count
    for first in let_in:
        assert sum(first <= each < first + quota.window for each in let_in) <= 2 * count


def test_a_clock_that_steps_back_gives_nothing_away() -> None:
    full_at = 0
    for _ in range(QUOTA.limit):
        full_at, verdict = take(QUOTA, full_at, START)
    full_at, verdict = take(QUOTA, full_at, START - 3_600_000_000)
    assert not verdict.is_allowed


# -- several processes -----------------------------------------------------------------------------


@asynccontextmanager
async def redis_quotas(url: str, clock: Clock | None, fallback: Any = None) -> AsyncIterator[RedisQuotas]:
    quotas = RedisQuotas(Redis.from_url(url), fallback or MemoryQuotas(), now=clock)
    try:
        yield quotas
    finally:
        await quotas.close()


def test_several_processes_share_one_limit(valkey: IndexLike, redis_client: Any) -> None:
    async def ask() -> list[Any]:
        clock = Clock()
        async with redis_quotas(valkey.url, clock) as first, redis_quotas(valkey.url, clock) as second:
            asked = [each.take("subscription:a", QUOTA) for _ in range(60) for each in (first, second)]
            return await asyncio.gather(*asked)

    verdicts = asyncio.run(ask())
    assert Counter(each.is_allowed for each in verdicts) == {True: 50, False: 70}
    assert sorted(each.remaining for each in verdicts if each.is_allowed) == list(range(50))


def test_redis_and_memory_count_alike(valkey: IndexLike, redis_client: Any) -> None:
    async def ask() -> None:
        clock = Clock()
        memory = MemoryQuotas(clock)
        async with redis_quotas(valkey.url, clock) as shared:
            for step in range(200):
                clock.advance(0.37 if step % 7 else 0.0)
                assert await shared.take("a", ADDRESS) == await memory.take("a", ADDRESS), step

    asyncio.run(ask())


def test_an_entry_goes_when_the_bucket_is_full_again(valkey: IndexLike, redis_client: Any) -> None:
    async def ask() -> None:
        async with redis_quotas(valkey.url, None) as quotas:
            assert (await quotas.take("a", QUOTA)).remaining == 49

    asyncio.run(ask())
    (key,) = redis_client.keys("hub:quota:*")
    assert 0 < redis_client.pttl(key) <= QUOTA.emission / 1000


def test_without_redis_each_process_counts_for_itself_and_asks_again_later() -> None:
    clock, moment = Clock(), [0.0]
    fallback = MemoryQuotas(clock)

    async def ask() -> None:
        # A port on which nobody listens.
        client = Redis.from_url("redis://127.0.0.1:1/0", socket_connect_timeout=1)
        quotas = RedisQuotas(client, fallback, now=clock, monotonic=lambda: moment[0])
        verdicts = [await quotas.take("a", ADDRESS) for _ in range(12)]
        assert [each.is_allowed for each in verdicts] == [True] * 10 + [False] * 2
        asked: list[int] = []

        async def script(keys: list[str], args: list[int]) -> list[int]:
            asked.append(args[0])
            return [1, ADDRESS.emission]

        quotas._take = script  # type: ignore[assignment]
        assert not (await quotas.take("a", ADDRESS)).is_allowed and asked == []
        moment[0] += 5.0
        assert (await quotas.take("a", ADDRESS)).remaining == 9 and len(asked) == 1
        await quotas.close()

    asyncio.run(ask())


def test_memory_is_bounded() -> None:
    quotas = MemoryQuotas(Clock(), most=100)

    async def ask() -> None:
        for number in range(1000):
            await quotas.take(f"address {number}", ADDRESS)

    asyncio.run(ask())
    assert len(quotas._full_at) == 100


# -- by HTTP ---------------------------------------------------------------------------------------


def test_requests_at_once_are_let_in_up_to_the_limit_exactly() -> None:
    app = app_of(MemoryQuotas(Clock()))

    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://hub.example") as client:
            return await asyncio.gather(*(client.get("/v1/thing", headers=bearer("hubt_a")) for _ in range(80)))

    answers = asyncio.run(ask())
    assert Counter(each.status_code for each in answers) == {200: 50, 429: 30}


def test_what_a_refusal_says() -> None:
    clock = Clock()
    client = TestClient(app_of(MemoryQuotas(clock)))
    answers = [client.get("/v1/thing", headers=bearer("hubt_a")) for _ in range(51)]
    first, last = answers[0], answers[-1]
    assert first.headers["ratelimit-policy"] == '"caller";q=50;w=60'
    assert first.headers["ratelimit"] == '"caller";r=49;t=2'
    assert (last.status_code, last.headers["retry-after"]) == (429, "2")
    assert last.headers["ratelimit"] == '"caller";r=0;t=60'
    assert last.headers["content-type"] == "application/problem+json"
    problem = last.json()
    assert problem["type"] == "/problems/quota-exceeded" and problem["instance"] == "/v1/thing"
    assert (problem["status"], problem["violated-policies"]) == (429, ["caller"])
    clock.advance(2)
    assert client.get("/v1/thing", headers=bearer("hubt_a")).status_code == 200


def test_callers_do_not_use_up_each_others_limits() -> None:
    client = TestClient(app_of(MemoryQuotas(Clock())))
    for _ in range(51):
        last = client.get("/v1/thing", headers=bearer("hubt_a"))
    assert last.status_code == 429
    assert client.get("/v1/thing", headers=bearer("hubk_b")).status_code == 200
    assert client.get("/v1/thing").headers["ratelimit"].startswith('"address";r=9;')


def test_made_up_tokens_buy_nothing() -> None:
    client = TestClient(app_of(MemoryQuotas(Clock())))
    statuses = [client.get("/v1/thing", headers=bearer(f"hubt_guess-{number}")).status_code for number in range(12)]
    assert statuses == [200] * 10 + [429] * 2


def test_health_is_never_limited() -> None:
    client = TestClient(app_of(MemoryQuotas(Clock())))
    for _ in range(40):
        assert client.get("/healthz").status_code == client.get("/readyz").status_code == 200
    assert "ratelimit" not in client.get("/healthz").headers


def test_no_limit_is_none() -> None:
    client = TestClient(app_of(MemoryQuotas(Clock()), caller=None, address=None))
    assert {client.get("/v1/thing").status_code for _ in range(40)} == {200}


def test_the_description_says_so() -> None:
    paths = TestClient(app_of(MemoryQuotas(Clock()))).get("/openapi.json").json()["paths"]
    assert "429" in paths["/v1/thing"]["get"]["responses"]
    assert "429" not in paths["/healthz"]["get"]["responses"]


@pytest.mark.parametrize(
    ("host", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::"),
        ("::ffff:192.0.2.7", "192.0.2.7"), ("testclient", "testclient"), (None, ""),
    ],
)  # fmt: skip
def test_one_machine_is_one_address(host: str | None, counted: str) -> None:
    assert address_of({"type": "http", "client": (host, 1) if host else None}) == counted
