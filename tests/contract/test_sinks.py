"""What every sink promises (``hub/disclosure/sink.py``), asked of every connector of a channel.

A sink joins with a harness in ``sinks.py``. What it cannot do it declares there with the reason; the test is then
skipped with that reason, and never otherwise.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import pytest
from fastapi import FastAPI, Response

from hub.disclosure import (
    REFUSED,
    STATUSES,
    AttemptFailedError,
    BatchRefusedError,
    ContractError,
    NotYet,
    Order,
    PublicRecord,
    Receipt,
    Result,
    Sink,
    TryAgain,
)
from hub.disclosure.registry import SINKS
from hub.disclosure.sink import fault_of
from hub.domain.events import derive_id
from tests.contract.sinks import CHANNEL, FEATURES, HARNESSES, Harness
from tests.support_contracts import catalog, sample
from tests.support_served import served

T = TypeVar("T")
KIND = "enforcement/penalty"
#: How often a channel that answers later is asked before it counts as silent.
PATIENCE = 200


@pytest.fixture(params=HARNESSES, ids=lambda harness: harness.name)
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Harness]:
    made: Harness = request.param(tmp_path)
    with made.running():
        yield made


def needs(harness: Harness, feature: str) -> None:
    assert feature in FEATURES
    if feature in harness.cannot:
        pytest.skip(f"{harness.name} declares: {harness.cannot[feature]}")


def make(name: str, version: int = 1, action: Any = "publish", **more: Any) -> Order:
    """An order for one record of one enterprise of its own."""
    schema = catalog().schema(KIND)
    content = catalog().projection(schema, "public").apply(
        sample(schema, version, fine_amount=Decimal("1234.500000"), party_name=f"合作市{name}有限责任公司")
    )
    given: dict[str, Any] = {
        "order_id": derive_id("order", name, str(version), action), "channel": CHANNEL, "action": action,
        "correlation_id": derive_id("entity", name), "subject": f"subject-{name}", "sequence": version, "kind": KIND,
        "content": content, "ordered_at": datetime(2026, 3, 2, 1, 0, tzinfo=UTC), "publish_until": date(2027, 3, 1),
        "reason": "处罚决定被依法撤销" if action == "withdraw" else None,
    }  # fmt: skip
    return Order(**{**given, **more})


def use(harness: Harness, work: Callable[[Sink], Awaitable[T]], **settings: Any) -> T:
    """Runs ``work`` with a sink of its own, as a process does that begins and ends."""

    async def run() -> T:
        sink = harness.open(**settings)
        try:
            return await work(sink)
        finally:
            await sink.close()

    return asyncio.run(run())


async def carry_out(harness: Harness, sink: Sink, orders: Sequence[Order]) -> list[Receipt]:
    """Receipts of the orders, whenever the channel gives them."""
    results: list[Result] = []
    for start in range(0, len(orders), sink.capabilities.max_batch):
        results += await sink.send(orders[start:start + sink.capabilities.max_batch])
    waiting = {order.order_id for order, result in zip(orders, results, strict=True) if isinstance(result, NotYet)}
    late: dict[str, Receipt] = {}
    for _ in range(PATIENCE):
        if waiting <= late.keys():
            break
        harness.answer()
        late.update(await sink.collect())
    assert waiting <= late.keys()
    await sink.settle(waiting)
    found = [late.get(order.order_id, result) for order, result in zip(orders, results, strict=True)]
    for order, receipt in zip(orders, found, strict=True):
        assert fault_of(receipt, order.action) is None
    assert not any(isinstance(each, TryAgain) for each in found)
    return found  # type: ignore[return-value]  # looked at just before


def statuses(harness: Harness, *orders: Order) -> list[str]:
    return [receipt.status for receipt in use(harness, lambda sink: carry_out(harness, sink, orders))]


def test_every_sink_of_the_hub_has_a_harness() -> None:
    assert {harness.name for harness in HARNESSES} == set(SINKS)
    for made in HARNESSES:
        assert set(made.cannot) <= set(FEATURES) and all(made.cannot.values())


def test_what_it_declares_is_what_it_has(harness: Harness) -> None:
    async def look(sink: Sink) -> None:
        can = sink.capabilities
        assert can.max_batch >= 1 and can.max_concurrent >= 1 and can.max_under_way >= can.max_batch
        assert can.lists_public == ("listing" not in harness.cannot)
        assert can.answers_later == ("answers-at-once" in harness.cannot)
        assert (can.max_batch > 1) == ("batch" not in harness.cannot)
        assert inspect.iscoroutinefunction(sink.send) and inspect.iscoroutinefunction(sink.close)

    use(harness, look)


def test_a_record_is_published_replaced_and_withdrawn(harness: Harness) -> None:
    entity = make("a").correlation_id
    assert statuses(harness, make("a")) == ["published"]
    assert harness.public() == {entity: 1}
    assert statuses(harness, make("a", 2, "amend")) == ["replaced"]
    assert harness.public() == {entity: 2}
    assert statuses(harness, make("a", 3, "withdraw")) == ["withdrawn"]
    assert harness.public() == {}


def test_a_receipt_says_where_the_public_finds_it_and_when(harness: Harness) -> None:
    (receipt,) = use(harness, lambda sink: carry_out(harness, sink, [make("a")]))
    assert receipt.public_reference and receipt.reason is None
    assert receipt.received_at is None or receipt.received_at.tzinfo is not None
    again = use(harness, lambda sink: carry_out(harness, sink, [make("a")]))
    assert again[0].public_reference == receipt.public_reference


def test_an_order_that_comes_again_after_a_kill_does_nothing_twice(harness: Harness) -> None:
    first, second = make("a"), make("b")
    assert statuses(harness, first, second) == ["published", "published"]
    for status in statuses(harness, first, second):
        assert status in ("published", "unchanged")
    assert [harness.publications(order.order_id) for order in (first, second)] == [1, 1]


def test_an_older_version_never_replaces_a_newer_one(harness: Harness) -> None:
    statuses(harness, make("a", 3))
    assert statuses(harness, make("a", 2, "amend")) == ["unchanged"]
    assert harness.public() == {make("a").correlation_id: 3}


def test_a_publication_of_before_its_withdrawal_does_not_bring_it_back(harness: Harness) -> None:
    assert set(statuses(harness, make("a", 2, "withdraw"))) <= STATUSES["withdraw"]
    assert statuses(harness, make("a", 1)) == ["unchanged"]
    assert harness.public() == {}


def test_what_is_asked_for_again_is_done_again(harness: Harness) -> None:
    """The channel says that it did, and a person saw that it did not last."""
    statuses(harness, make("a"), make("a", 1, "withdraw"))
    again = make("a", order_id=derive_id("again"), is_reissued=True)
    assert statuses(harness, again) == ["published"]
    assert harness.public() == {again.correlation_id: 1}


def test_a_withdrawal_that_is_asked_for_again_is_done_again(harness: Harness) -> None:
    """What was withdrawn is back: of that the process that withdrew it knows nothing, nor does the next one."""
    publication, withdrawal = make("a"), make("a", 2, "withdraw")
    again, once_more = (
        make("a", 2, "withdraw", order_id=derive_id("again", str(number)), is_reissued=True) for number in range(2)
    )

    async def send(sink: Sink) -> None:
        await carry_out(harness, sink, [publication])
        put_back = harness.back_up()
        await carry_out(harness, sink, [withdrawal])
        assert harness.public() == {}
        put_back()
        assert harness.public() == {publication.correlation_id: 1}
        (receipt,) = await carry_out(harness, sink, [again])
        assert receipt.status == "withdrawn" and harness.public() == {}
        put_back()

    use(harness, send)
    assert statuses(harness, once_more) == ["withdrawn"]
    assert harness.public() == {}
    (receipt,) = use(harness, lambda sink: carry_out(harness, sink, [once_more]))
    assert receipt.status in ("withdrawn", "unchanged"), "it came again after a kill"


def test_a_batch_has_a_result_for_each_order_in_its_order(harness: Harness) -> None:
    needs(harness, "batch")
    orders = [make(f"n{number}") for number in range(15)]
    statuses(harness, *orders[::3])
    expected = ["unchanged" if number % 3 == 0 else "published" for number in range(15)]
    found = statuses(harness, *[make(f"n{n}", order_id=derive_id("other", str(n))) for n in range(15)])
    assert found == expected
    assert set(harness.public()) == {order.correlation_id for order in orders}


def test_one_refused_record_of_a_batch_refuses_no_other(harness: Harness) -> None:
    needs(harness, "batch")
    needs(harness, "refusal")
    orders = [make(f"n{number}") for number in range(5)]
    harness.refuse([orders[2].subject])

    async def send(sink: Sink) -> list[Receipt]:
        try:
            return await carry_out(harness, sink, orders)
        except BatchRefusedError:
            assert harness.public() == {}, "nothing of a refused batch is done"
            return [receipt for each in orders for receipt in await carry_out(harness, sink, [each])]

    found = use(harness, send)
    assert [receipt.status for receipt in found] == ["published"] * 2 + [REFUSED] + ["published"] * 2
    assert found[2].reason and len(found[2].reason) <= 500
    assert len(harness.public()) == 4


def test_a_batch_that_is_refused_as_a_whole_says_so(harness: Harness) -> None:
    needs(harness, "batch-refused")
    orders = [make("a"), make("b")]
    harness.refuse([orders[0].subject])
    with pytest.raises(BatchRefusedError):
        use(harness, lambda sink: sink.send(orders))


async def as_the_hub(sink: Sink, orders: Sequence[Order], rounds: int) -> dict[str, Receipt]:
    """Sends them as the hub does: what failed together goes in halves, what failed alone comes again behind the rest.

    The receipts after so many requests at most.
    """
    found: dict[str, Receipt] = {}
    waiting = [list(orders)]
    for _ in range(rounds):
        if not waiting:
            break
        batch = waiting.pop(0)
        try:
            results = await sink.send(batch)
        except (BatchRefusedError, AttemptFailedError):
            half = max(1, len(batch) // 2)
            waiting += [each for each in (batch[:half], batch[half:]) if each]
            continue
        for order, result in zip(batch, results, strict=True):
            if isinstance(result, Receipt):
                found[order.order_id] = result
            else:
                waiting.append([order])
    return found


def test_a_record_on_which_the_channel_breaks_holds_up_no_other(harness: Harness) -> None:
    needs(harness, "breaks")
    statuses(harness, make("old"))
    orders, late = [make(f"n{number}") for number in range(12)], make("old", 2, "withdraw")
    bad, good = orders[7], [order for order in orders if order is not orders[7]]
    harness.break_on([bad.subject])

    async def send(sink: Sink) -> dict[str, Receipt]:
        fitting = orders[: sink.capabilities.max_batch]
        found = await as_the_hub(sink, fitting, 40)
        # Quite other orders go at once, also while the one that fails is tried again and again.
        for each in (late, bad):
            found.update(await as_the_hub(sink, [each], 1))
        return found

    found = use(harness, send)
    assert {order_id: receipt.status for order_id, receipt in found.items()} == {
        **{order.order_id: "published" for order in good}, late.order_id: "withdrawn"
    }
    assert harness.public() == {order.correlation_id: 1 for order in good}
    harness.break_on([])
    assert statuses(harness, bad) == ["published"]
    assert {harness.publications(order.order_id) for order in orders} == {1}


def test_after_a_refusal_a_later_version_goes(harness: Harness) -> None:
    needs(harness, "refusal")
    harness.refuse([make("a").subject])
    assert statuses(harness, make("a")) == [REFUSED]
    harness.refuse([])
    assert statuses(harness, make("a", 2, "amend")) == ["published"]


def test_a_channel_that_is_down_is_a_failure_that_passes(harness: Harness) -> None:
    harness.be_down(True)

    async def send(sink: Sink) -> None:
        with pytest.raises(AttemptFailedError):
            await sink.send([make("a")])
            # Where taking is not answering, the failure shows at the latest when the answer is looked for.
            await sink.collect()

    use(harness, send)
    harness.be_down(False)
    assert statuses(harness, make("a")) == ["published"]


def test_a_reply_that_is_lost_publishes_once(harness: Harness) -> None:
    needs(harness, "lost-reply")
    harness.lose_reply()

    async def send(sink: Sink) -> list[Receipt]:
        with pytest.raises(AttemptFailedError):
            await sink.send([make("a")])
        return await carry_out(harness, sink, [make("a")])

    assert use(harness, send)[0].status == "published"
    assert harness.publications(make("a").order_id) == 1


def test_being_shut_out_is_no_refusal_of_a_record(harness: Harness) -> None:
    needs(harness, "unauthorised")
    harness.shut_out()

    async def send(sink: Sink) -> None:
        for orders in ([make("a")], [make("a"), make("b")][: sink.capabilities.max_batch]):
            with pytest.raises(AttemptFailedError):
                await sink.send(orders)

    use(harness, send)


def test_what_answers_in_the_channels_place_refuses_nothing(harness: Harness) -> None:
    """A wrong path, a gateway with nothing behind it, a proxy that takes no more than a megabyte."""
    needs(harness, "gateway")
    gateway, says = FastAPI(), [404, 403, 405, 410, 413]

    @gateway.api_route("/{path:path}", methods=["GET", "POST", "PUT", "DELETE"])
    async def answer(path: str) -> Response:
        return Response("<html><h1>nginx</h1></html>", status_code=says[0], media_type="text/html")

    async def send(sink: Sink) -> None:
        while says:
            for orders in ([make("a")], [make("old", 2, "withdraw")]):
                with pytest.raises(AttemptFailedError):
                    await sink.send(orders)
            with pytest.raises((AttemptFailedError, BatchRefusedError)):
                await sink.send([make("b"), make("c")])
            says.pop(0)

    statuses(harness, make("old"))
    with served(gateway) as url:
        use(harness, send, url=url)
    orders = [make("a"), make("b"), make("c"), make("old", 2, "withdraw")]
    assert statuses(harness, *orders) == ["published"] * 3 + ["withdrawn"]
    assert harness.public() == {order.correlation_id: 1 for order in orders[:3]}


def test_it_lists_everything_that_is_public_and_nothing_else(harness: Harness) -> None:
    needs(harness, "listing")
    orders = [make(f"n{number}") for number in range(230)]  # more than a page of any of them
    gone = [make(f"n{number}", 2, "withdraw") for number in range(0, 230, 10)]
    amended = [make(f"n{number}", 2, "amend") for number in range(1, 230, 10)]
    statuses(harness, *orders)
    statuses(harness, *gone)
    statuses(harness, *amended)

    async def look(sink: Sink) -> list[PublicRecord]:
        return [record async for record in sink.public()]

    found = use(harness, look)
    assert len({record.correlation_id for record in found}) == len(found)
    listed = {record.correlation_id: record.sequence for record in found}
    expected = {order.correlation_id: 1 for order in orders} | {each.correlation_id: 2 for each in amended}
    for each in gone:
        del expected[each.correlation_id]
    assert listed.keys() == expected.keys()
    assert all(version is None or version == expected[entity] for entity, version in listed.items())
    assert all(record.updated_at is None or record.updated_at.tzinfo is not None for record in found)


def test_a_listing_of_a_channel_that_is_down_fails_aloud(harness: Harness) -> None:
    needs(harness, "listing")
    harness.be_down(True)

    async def look(sink: Sink) -> list[PublicRecord]:
        return [record async for record in sink.public()]

    with pytest.raises(AttemptFailedError):
        use(harness, look)


def test_many_sends_at_a_time(harness: Harness) -> None:
    async def send(sink: Sink) -> list[str]:
        orders = [make(f"n{number}") for number in range(sink.capabilities.max_concurrent)]
        found = await asyncio.gather(*(carry_out(harness, sink, [each]) for each in orders))
        return [receipt.status for (receipt,) in found]

    assert set(use(harness, send)) == {"published"}


def test_secrets_stay_out_of_sight(harness: Harness) -> None:
    needs(harness, "secret")
    sink = harness.open()
    assert "a-word-of-the-tests" not in repr(sink) + repr(vars(sink))
    with pytest.raises(ContractError) as caught:
        harness.open(no_such_setting="a-word-of-the-tests")
    assert "no_such_setting" in str(caught.value) and "a-word-of-the-tests" not in str(caught.value)
