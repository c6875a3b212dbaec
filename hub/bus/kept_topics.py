"""Small topics that are read once and kept: each question reads on from where the last one stopped.

For processes that are asked again and again. Reading a topic from its beginning costs a client and all of the topic
each time; reading on costs one question for its ends, and the answer is as exact.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Generic, TypeVar

from hub.bus.batch import Place
from hub.bus.records import Record
from hub.bus.tail import Tail

T = TypeVar("T")


class KeptTopics(Generic[T]):
    """What ``read`` makes of the records of small topics, in the order of each partition; it is called once for a
    record, and ``None`` is left out. What age removes is forgotten. Threads may share it.
    """

    def __init__(self, tail: Tail, read: Callable[[Record], T | None]) -> None:
        self._tail, self._read = tail, read
        self._lock = threading.Lock()
        self._found: dict[tuple[Place, int], T] = {}
        self._starts: Mapping[Place, int] = {}

    def all(self) -> list[T]:
        """Everything up to the ends of now. Raises BrokerError."""
        with self._lock:
            if self._tail.is_new:
                self._found.clear()
            for record in self._tail.look():
                found = self._read(record)
                if found is not None:
                    self._found[(record.topic, record.partition), record.offset] = found
            self._forget(self._tail.starts)
            return list(self._found.values())

    def _forget(self, starts: Mapping[Place, int]) -> None:
        if starts == self._starts:
            return
        self._starts = starts
        for place, offset in [key for key in self._found if key[1] < starts.get(key[0], 0)]:
            del self._found[place, offset]


class KeptTable:
    """A compacted topic as ``TableLoader`` gives it, of which the latest of each key is kept. Threads may share it."""

    def __init__(self, tail: Tail) -> None:
        self._tail, self._lock = tail, threading.Lock()
        self._values: dict[tuple[int, bytes], bytes] = {}

    def __call__(self, partitions: Collection[int]) -> Iterator[tuple[int, bytes, bytes | None]]:
        """(partition, key, value) of some partitions, up to their ends of now. Raises BrokerError."""
        with self._lock:
            if self._tail.is_new:
                self._values.clear()
            for record in self._tail.look():
                key = (record.partition, record.key or b"")
                if record.value is None:
                    self._values.pop(key, None)
                else:
                    self._values[key] = record.value
            found = list(self._values.items())
        yield from ((partition, key, value) for (partition, key), value in found if partition in partitions)
