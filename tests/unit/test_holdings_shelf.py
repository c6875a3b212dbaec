"""The shelf of holdings: in order, cursor-stable, read on, begun anew after an error; and what may be out of date."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Sequence
from typing import Any, cast

import pytest

from hub.bus.records import Record
from hub.bus.tail import Tail
from hub.domain.recall import Holder, Holding
from hub.errors import BrokerError, ContractError, InfrastructureError, PoisonError
from hub.ops.holdings_shelf import HoldingsShelf
from hub.routing.holdings import HOLDINGS, HoldingCodec, key_of
from tests.support_contracts import catalog

TOPIC = "blacklist.notices.v1"


class FakeTail:
    """A topic in memory. ``fault`` is raised behind the first part of the next look."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.at, self.is_new, self.fault = 0, True, cast("Exception | None", None)

    def parts(self) -> Iterator[list[Record]]:
        self.is_new = False
        while self.at < len(self.records):
            part = self.records[self.at : self.at + 2]
            self.at += len(part)
            yield part
            if self.fault is not None:
                error, self.fault = self.fault, None
                self.close()
                raise error

    def close(self) -> None:
        self.at, self.is_new = 0, True

    def put(
        self, id: str, holders: Sequence[tuple[str, int]] = (), routed: tuple[int, ...] = (1,), topic: str = TOPIC
    ) -> None:
        held = tuple(Holder(name, "partner", "apply", f"{id}-{at}", at, 1000) for name, at in holders)
        holding = Holding(topic, id, "s", "blacklist.notice.listed", max(routed), routed, 1000, held)
        self._write(key_of(topic, id.encode()), HoldingCodec(catalog()).encode(holding))

    def forget(self, id: str, topic: str = TOPIC) -> None:
        self._write(key_of(topic, id.encode()), None)

    def _write(self, key: bytes, value: bytes | None) -> None:
        self.records.append(Record(HOLDINGS, 0, len(self.records), 0, key, value, []))


def shelf_of(tail: FakeTail, **more: Any) -> HoldingsShelf:
    return HoldingsShelf(cast(Tail, tail), catalog(), **more)


def ids(shelf: HoldingsShelf, *names: str, doubtful: bool = False) -> list[tuple[str, str]]:
    shelf.read_on()
    found = shelf.lines(names, None, 10_000, only_doubtful=doubtful)
    return [(each.position[0], each.position[2]) for each in found]


def test_random_stories_read_on_are_what_they_are_when_read_anew() -> None:
    chance, tail, names = random.Random(5), FakeTail(), ("a", "b", "c")
    shelf = shelf_of(tail)
    # Enough in the first look to be sorted at once, afterwards a few at a time.
    for step in [1500, *[7] * 12]:
        for _ in range(step):
            id = f"{chance.randrange(900):04d}"
            if chance.random() < 0.15:
                tail.forget(id)
            else:
                routed = tuple(range(1, chance.randrange(2, 4)))
                tail.put(id, [(name, chance.choice(routed)) for name in names if chance.random() < 0.5], routed)
        again = FakeTail()
        again.records = tail.records
        for doubtful in (False, True):
            found = ids(shelf, *names, doubtful=doubtful)
            assert found == sorted(set(found)) == ids(shelf_of(again), *names, doubtful=doubtful)
            again.close()
    every = ids(shelf, "b")
    after: tuple[str, ...] | None = None
    walked = []
    while page := shelf.lines(["b"], after, 7):
        walked += [(each.position[0], each.position[2]) for each in page]
        after = page[-1].position
    assert walked == every and len(every) > 100


def test_what_comes_and_goes_moves_nothing_from_one_page_to_another() -> None:
    tail = FakeTail()
    for id in "bdfh":
        tail.put(id, [("a", 1), ("z", 1)])
    shelf = shelf_of(tail)
    shelf.read_on()
    first = shelf.lines(["a", "z"], None, 3)
    assert [each.position[0::2] for each in first] == [("b", "a"), ("b", "z"), ("d", "a")]
    tail.put("c", [("a", 1)])
    tail.put("e", [("a", 1)])
    tail.forget("f")
    shelf.read_on()
    rest = shelf.lines(["a", "z"], first[-1].position, 10)
    assert [each.position[0::2] for each in rest] == [("d", "z"), ("e", "a"), ("h", "a"), ("h", "z")]


def test_rows_of_two_topics_with_one_id_are_two_facts() -> None:
    tail = FakeTail()
    tail.put("x", [("a", 1)])
    tail.put("x", [("a", 1)], topic="inspection.results.v1")
    tail.forget("x")
    shelf = shelf_of(tail)
    shelf.read_on()
    assert [each.position for each in shelf.lines(["a"], None, 9)] == [("x", "inspection.results.v1", "a")]


def test_what_was_settled_is_in_doubt_again_when_its_fact_changes() -> None:
    tail = FakeTail()
    tail.put("one-version", [("a", 1)])
    tail.put("x", [("a", 2)], (1, 2))
    tail.put("late", [("a", 1), ("b", 2)], (1, 2))
    shelf = shelf_of(tail)
    assert ids(shelf, "a", doubtful=True) == [("late", "a"), ("x", "a")]
    line = shelf.lines(["a"], ("late", TOPIC, "a"), 2, only_doubtful=True)[0]
    shelf.settle(line)
    assert ids(shelf, "a", doubtful=True) == [("late", "a")]
    # What an owner wrote that had lost the partition does not count.
    tail.put("x", [("a", 1)], (1,))
    assert ids(shelf, "a", doubtful=True) == [("late", "a")]
    tail.put("x", [("a", 3)], (1, 2, 3))
    assert ids(shelf, "a", doubtful=True) == [("late", "a"), ("x", "a")]
    # Of what has changed since it was looked at nothing is settled.
    shelf.settle(line)
    assert ids(shelf, "a", doubtful=True) == [("late", "a"), ("x", "a")]


def test_after_an_error_it_is_read_again_whole() -> None:
    tail = FakeTail()
    for id in "abcde":
        tail.put(id, [("a", 1)])
    shelf, tail.fault = shelf_of(tail), BrokerError("away")
    with pytest.raises(BrokerError):
        shelf.read_on()
    assert len(ids(shelf, "a")) == 5
    tail.records.append(Record(HOLDINGS, 0, 9, 0, b"t:x", b"no holding", []))
    tail.put("f", [("a", 1)])
    for _ in range(2):
        # Said each time, and nothing is passed over behind it.
        with pytest.raises((ContractError, PoisonError)):
            shelf.read_on()
    del tail.records[-2]
    assert len(ids(shelf, "a")) == 6


def test_who_waits_for_others_too_long_is_told_to_come_again() -> None:
    tail, reached, go_on = FakeTail(), threading.Event(), threading.Event()
    tail.put("a", [("a", 1)])

    class Slow(FakeTail):
        def parts(self) -> Iterator[list[Record]]:
            reached.set()
            go_on.wait(30)
            yield tail.records

    shelf = shelf_of(Slow(), patience_seconds=0.01)
    thread = threading.Thread(target=shelf.read_on)
    thread.start()
    try:
        assert reached.wait(30)
        with pytest.raises(InfrastructureError, match="try again"):
            shelf.lines(["a"], None, 1)
    finally:
        go_on.set()
        thread.join()
    assert len(shelf.lines(["a"], None, 1)) == 1
