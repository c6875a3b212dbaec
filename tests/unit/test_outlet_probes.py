"""Endpoints are asked at the rhythm that they allow, and what they said is known as long as it holds."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from hub.bus.records import Output
from hub.contracts.probes import OutletAnswer, answer_headers, probe_headers, read_answer
from hub.delivery.outlet_probes import OutletProbes
from hub.delivery.rehearsal import Receipt
from hub.delivery.settings import SealedKey, SubscriptionSettings
from hub.errors import BrokerError, InputError
from hub.ops.outlets import Outlets
from tests.support_served import wait_until

NOW = datetime(2026, 7, 1, 2, 0, tzinfo=UTC)
KEY = SealedKey("k1", "ed25519", b"sealed", "public", NOW)
OPEN = SubscriptionSettings("works-bidding", url="https://works.example/hooks", is_verified=True, keys=(KEY,))


class Log:
    """A publisher that keeps what it is given, and fails as often as it is told."""

    def __init__(self, failures: int = 0) -> None:
        self.failures, self.outputs, self.is_closed = failures, list[Output](), False

    def publish(self, outputs: Sequence[Output]) -> None:
        if self.failures:
            self.failures -= 1
            raise BrokerError("away")
        self.outputs += outputs

    def close(self) -> None:
        self.is_closed = True

    @property
    def answers(self) -> list[OutletAnswer]:
        return [found for output in self.outputs if (found := read_answer(output.headers)) is not None]


class Endpoints:
    """Answers as told, by subscription: a status, or an error that is raised."""

    def __init__(self, **said: int | Exception) -> None:
        self.said, self.asked = {name.replace("_", "-"): answer for name, answer in said.items()}, list[str]()

    async def __call__(self, current: SubscriptionSettings) -> Receipt:
        self.asked.append(current.subscription)
        answer = self.said[current.subscription]
        if isinstance(answer, Exception):
            raise answer
        return Receipt("test-1", NOW, 120, answer, answer < 300, "", "" if answer < 300 else f"HTTP {answer}")


def probes(log: Log, endpoints: Endpoints, *settings: SubscriptionSettings) -> OutletProbes:
    known = {each.subscription: each for each in settings}
    # Some thousandths of a second apart, and all at once at first.
    return OutletProbes(dict.fromkeys(known, 0.0005), known.get, endpoints, log, lambda: NOW, first_seconds=-2.0)


def run_until(service: OutletProbes, condition: Callable[[], bool]) -> None:
    thread = threading.Thread(target=service.run)
    thread.start()
    try:
        wait_until(condition, "the probes")
    finally:
        service.stop()
        thread.join(20)
    assert not thread.is_alive()


def test_what_an_endpoint_said_stands_on_the_log_again_and_again() -> None:
    log, endpoints = Log(), Endpoints(works_bidding=204)
    run_until(probes(log, endpoints, OPEN), lambda: len(log.answers) > 2)
    assert set(log.answers) == {OutletAnswer("works-bidding", True, 0.12, 0.0)}
    first = log.outputs[0]
    assert (first.topic, first.key, first.value) == ("ops.probes.v1", b"works-bidding", None)
    headers = dict(first.headers)
    assert (headers["ce_issynthetic"], headers["ce_type"]) == (b"true", b"ops.probe.answered")
    assert log.is_closed


def test_one_that_fails_keeps_no_other_from_being_asked() -> None:
    procurement = replace(OPEN, subscription="government-procurement")
    leads = replace(OPEN, subscription="leads-gannan")
    # The log is away for the first answer, one has an address that may not be asked, one finds a fault of ours.
    log = Log(failures=1)
    endpoints = Endpoints(
        works_bidding=503, government_procurement=InputError("not allowed"), leads_gannan=ValueError("x")
    )
    service = probes(log, endpoints, OPEN, procurement, leads)
    run_until(service, lambda: len(log.answers) > 3 and endpoints.asked.count("leads-gannan") > 1)
    # What cannot be asked takes no notice either; a fault of ours says nothing of the endpoint.
    assert {(found.outlet, found.is_taken) for found in log.answers} == {
        ("works-bidding", False), ("government-procurement", False)
    }
    assert endpoints.asked.count("government-procurement") > 1


@pytest.mark.parametrize(
    "current",
    [None, replace(OPEN, is_paused=True), replace(OPEN, url=None), replace(OPEN, is_verified=False),
     replace(OPEN, keys=()), replace(OPEN, is_paused=True, disabled_reason="HTTP 410")],
    ids=["unknown", "paused", "no address", "not agreed", "no key", "paused and gone"],
)
def test_who_gets_nothing_is_not_asked_and_that_is_said(current: SubscriptionSettings | None) -> None:
    log, endpoints = Log(), Endpoints(works_bidding=204)
    service = OutletProbes({"works-bidding": 5}, lambda name: current, endpoints, log, lambda: NOW)
    # At every beat: who listens may have been away.
    said = [asyncio.run(service.ask("works-bidding", 300)) for _ in range(2)]
    assert said == log.answers == [OutletAnswer("works-bidding", False, 0.0, 300, is_asked=False)] * 2
    assert endpoints.asked == []


def test_an_endpoint_that_is_gone_is_said_to_take_nothing_and_is_not_sent_to() -> None:
    log, endpoints = Log(), Endpoints(works_bidding=204)
    gone = replace(OPEN, disabled_reason="HTTP 410")
    service = OutletProbes({"works-bidding": 5}, lambda name: gone, endpoints, log, lambda: NOW)
    assert asyncio.run(service.ask("works-bidding", 300)) == OutletAnswer("works-bidding", False, 0.0, 300)
    assert endpoints.asked == []


def test_a_pause_takes_the_outlet_out_of_what_is_known_and_its_end_brings_it_back() -> None:
    log, endpoints, outlets = Log(), Endpoints(works_bidding=503), Outlets(lambda: 0.0)
    current = OPEN
    service = OutletProbes({"works-bidding": 5}, lambda name: current, endpoints, log, lambda: NOW)

    def told() -> dict[str, dict[str, float | None]]:
        asyncio.run(service.ask("works-bidding", 300))
        outlets.take(log.answers[-1])
        return outlets.latest()

    assert told() == {"works-bidding": {"answered": None}}
    current = replace(OPEN, is_paused=True)
    assert told() == {}
    current = OPEN
    endpoints.said["works-bidding"] = 204
    assert told() == {"works-bidding": {"answered": 0.12}}


def test_an_answer_holds_for_three_beats() -> None:
    time = [0.0]
    outlets = Outlets(lambda: time[0])
    assert outlets.latest() == {}
    outlets.take(OutletAnswer("works-bidding", True, 0.12, 300))
    outlets.take(OutletAnswer("leads-gannan", False, 10.0, 300))
    assert outlets.latest() == {"leads-gannan": {"answered": None}, "works-bidding": {"answered": 0.12}}
    time[0] = 900.0
    assert outlets.latest()["works-bidding"] == {"answered": 0.12}
    # Nobody asks any more: of the endpoint nothing is known, bad or good.
    time[0] = 901.0
    assert outlets.latest() == {}


def test_headers_say_what_was_told_and_others_are_no_answer() -> None:
    said = OutletAnswer("works-bidding", False, 1.25, 300)
    headers = answer_headers(said, "/stages/delivery", NOW)
    assert read_answer(headers) == said
    skipped = said._replace(is_asked=False)
    assert read_answer(answer_headers(skipped, "/stages/delivery", NOW)) == skipped
    assert read_answer(probe_headers("1", "/stages/ops", "ops.probe.sent", "log", NOW)) is None
    assert read_answer([]) is None
    assert read_answer([(name, value) for name, value in headers if name != "ce_probeseconds"]) is None
    assert read_answer([(name, b"soon" if name == "ce_probeseconds" else value) for name, value in headers]) is None
