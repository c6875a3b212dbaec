"""What Prometheus is told of the spans."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

COUNTERS: Mapping[str, str] = {
    "hub_spans_exported": "Spans that the receiver took, repeats included",
    "hub_spans_refused": "Spans that the receiver refused for good",
}
UNSENT = "hub_spans_unsent"


class SpanFigures(Collector):
    """Written by the service, collected by any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._exported = self._refused = self._unsent = 0

    @property
    def exported(self) -> int:
        return self._exported

    @property
    def unsent(self) -> int:
        return self._unsent

    @property
    def refused(self) -> int:
        return self._refused

    def hold(self, count: int) -> None:
        """So many are to be handed over."""
        with self._lock:
            self._unsent = count

    def taken(self, count: int, refused: int) -> None:
        """Of ``count`` that were handed over ``refused`` were not kept."""
        with self._lock:
            self._exported, self._refused = self._exported + count - refused, self._refused + refused
            self._unsent = 0

    def describe(self) -> Iterable[Metric]:
        return self.collect()

    def collect(self) -> Iterator[Metric]:
        with self._lock:
            exported, refused, unsent = self._exported, self._refused, self._unsent
        for (name, text), value in zip(COUNTERS.items(), (exported, refused), strict=True):
            yield CounterMetricFamily(name, text, value=value)
        yield GaugeMetricFamily(UNSENT, "Spans in hand that the receiver has not taken", value=unsent)
