"""What a flow says of writes that are of no record: safe, or nobody knows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer

from hub.bus.flow import Flow, FlowHandler
from hub.bus.records import Output

OUTPUT = Output("t", b"k", b"v", [])


class Broker:
    """Stands for the client: acknowledges at the next flush, or does not."""

    def __init__(self, error: KafkaError | None = None, left: int = 0, is_refusing: bool = False) -> None:
        self._error, self._left, self._is_refusing = error, left, is_refusing
        self._waiting: list[Callable[[Any, Any], None]] = []

    def produce(self, *_: Any, on_delivery: Callable[[Any, Any], None], **__: Any) -> None:
        if self._is_refusing:
            raise KafkaException(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE))
        self._waiting.append(on_delivery)

    def flush(self, seconds: float) -> int:
        for on_delivery in self._waiting:
            on_delivery(self._error, None)
        return self._left


def written(broker: Broker | None, before: Callable[[Flow], None] = lambda flow: None) -> bool:
    flow = Flow(cast("FlowHandler", None), name="x", topics=[], group="x", bootstrap="127.0.0.1:9")
    flow._session, flow._producer = 1, cast("Producer | None", broker)
    before(flow)
    try:
        return asyncio.run(flow.write([OUTPUT]))
    finally:
        flow._loop.close()


def test_a_write_is_safe_once_all_is_acknowledged() -> None:
    assert written(Broker()) is True


@pytest.mark.parametrize("broker", [
    None, Broker(left=1), Broker(KafkaError(KafkaError._MSG_TIMED_OUT)), Broker(is_refusing=True),
], ids=["no session", "not in time", "given up", "not taken"])  # fmt: skip
def test_otherwise_nobody_knows(broker: Broker | None) -> None:
    assert written(broker) is False


def test_what_was_lost_before_makes_the_session_one_that_begins_anew() -> None:
    lost = Broker(KafkaError(KafkaError._MSG_TIMED_OUT))

    def before(flow: Flow) -> None:
        flow._producer = cast("Producer", lost)
        flow.finish(None, [OUTPUT])
        lost.flush(0)
        flow._producer = cast("Producer", Broker())

    assert written(None, before) is False
