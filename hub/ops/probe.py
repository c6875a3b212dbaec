"""A synthetic record at a rhythm, written and read back: whether the log takes and gives records, and how quickly.

It goes to a topic of its own that nobody routes, says of itself that it is synthetic, and holds nothing. What outlets
said to theirs stands on the same topic (:mod:`hub.delivery.outlet_probes`) and is taken from there.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import structlog
from confluent_kafka import Consumer, KafkaException, TopicPartition

from hub.bus.clients import new_consumer
from hub.bus.publisher import Publisher
from hub.bus.records import Output
from hub.contracts.probes import SENT, TOPIC, probe_headers, read_answer
from hub.errors import BrokerError, HubError
from hub.ops.outlets import LATE_BEATS, Outlets

#: The outlet that the log itself is to the metrics.
OUTLET = "log"
STEPS = ("published", "read")
#: For a question to the broker, however soon a probe has to be back.
_REQUEST_SECONDS = 10.0
log = structlog.get_logger()


class LogProbe:
    """``run`` blocks until ``stop``, which any thread may call, as ``latest``. ``seconds`` is the rhythm,
    ``patience_seconds`` how long a probe that was written may take to be read.

    A probe that fails is logged and shows as one that did not come back; the next beat tries again.
    """

    def __init__(
        self, bootstrap: str, publisher: Publisher, *, seconds: float, topic: str = TOPIC,
        patience_seconds: float = 10.0, monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bootstrap, self._publisher, self._topic = bootstrap, publisher, topic
        self._seconds, self._patience_seconds, self._monotonic = seconds, patience_seconds, monotonic
        self._consumer: Consumer | None = None
        self._stopping = threading.Event()
        self._latest: tuple[float, Mapping[str, float]] | None = None
        self._outlets = Outlets(monotonic)

    def latest(self) -> dict[str, dict[str, float | None]]:
        """Seconds from the writing of the latest probe until it was acknowledged by all in-sync replicas, and until it
        was read; ``None`` where none came back of late. Beside it the outlets that are asked, with their answers."""
        found = self._latest
        if found is None or self._monotonic() - found[0] > LATE_BEATS * self._seconds:
            own: dict[str, float | None] = dict.fromkeys(STEPS)
        else:
            own = {step: found[1].get(step) for step in STEPS}
        return {OUTLET: own, **self._outlets.latest()}

    def run(self) -> None:
        try:
            while not self._stopping.is_set():
                began = self._monotonic()
                try:
                    self._latest = began, self.probe()
                except HubError as error:
                    log.warning("the probe did not come back", error=str(error))
                self._stopping.wait(max(self._seconds - (self._monotonic() - began), 0.1))
        finally:
            self._close()
            self._publisher.close()

    def stop(self) -> None:
        self._stopping.set()

    def probe(self) -> dict[str, float]:
        """One probe: seconds by step. Raises BrokerError if it is not acknowledged, or not read within the patience."""
        id = str(uuid.uuid4())
        try:
            consumer = self._listening()
            began = self._monotonic()
            headers = probe_headers(id, "/stages/ops", SENT, OUTLET, datetime.now(UTC))
            self._publisher.publish([Output(self._topic, id.encode(), None, headers, 0)])
            published = self._monotonic() - began
            while self._monotonic() - began < published + self._patience_seconds:
                message = consumer.poll(0.2)
                if message is None or message.error() is not None:
                    continue
                if (answer := read_answer(list(message.headers() or ()))) is not None:
                    self._outlets.take(answer)
                elif message.key() == id.encode():
                    return {"published": published, "read": self._monotonic() - began}
        except (KafkaException, BrokerError) as error:
            self._close()
            raise BrokerError(f"{self._topic}: {error}") from error
        self._close()
        raise BrokerError(f"{self._topic}: the probe was written and not read within {self._patience_seconds:.0f} s")

    def _listening(self) -> Consumer:
        """A consumer at the end of the topic; its position is fixed before anything is written."""
        if self._consumer is None:
            consumer = new_consumer(self._bootstrap, group="hub-probe", client_id="probe")
            place = TopicPartition(self._topic, 0)
            try:
                _, place.offset = consumer.get_watermark_offsets(place, timeout=_REQUEST_SECONDS)
                consumer.assign([place])
            except KafkaException:
                consumer.close()
                raise
            self._consumer = consumer
        return self._consumer

    def _close(self) -> None:
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None
