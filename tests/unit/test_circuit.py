"""When an endpoint is left alone, and when it is asked again."""

from __future__ import annotations

import pytest

from hub.domain.circuit import Circuit, CircuitState


def test_one_subject_alone_never_opens_it() -> None:
    circuit = Circuit(threshold=3)
    assert not any(circuit.failed("a", 0.0) for _ in range(50))
    assert circuit.asks(0.0)


def test_opens_for_many_subjects_and_lets_one_request_through_after_its_delay() -> None:
    circuit = Circuit(threshold=3, delay=1.0)
    assert [circuit.failed(subject, 10.0) for subject in "abc"] == [False, False, True]
    assert (circuit.asks(10.5), circuit.wait(10.5)) == (False, 0.5)
    assert circuit.asks(11.0)
    assert circuit.state is CircuitState.HALF_OPEN
    assert not circuit.asks(11.0), "only one is let through"
    circuit.succeeded()
    assert circuit.asks(11.0) and circuit.wait(11.0) == 0.0


def test_stays_away_longer_each_time_up_to_a_bound() -> None:
    circuit = Circuit(threshold=2, delay=1.0, longest=5.0)
    now, pauses = 0.0, []
    circuit.failed("a", now)
    circuit.failed("b", now)
    for _ in range(5):
        pauses.append(circuit.wait(now))
        now += pauses[-1]
        assert circuit.asks(now)
        assert circuit.failed("a", now)
    assert pauses == [1.0, 2.0, 4.0, 5.0, 5.0]


def test_requests_that_were_under_way_change_nothing() -> None:
    circuit = Circuit(threshold=2, delay=1.0)
    circuit.failed("a", 0.0)
    assert circuit.failed("b", 0.0)
    assert not circuit.failed("c", 0.9)
    assert circuit.wait(0.9) == pytest.approx(0.1)


def test_a_wish_to_be_left_alone_is_obeyed_at_once() -> None:
    circuit = Circuit(threshold=8, delay=1.0)
    assert circuit.failed("a", 0.0, wish=30.0)
    assert circuit.wait(0.0) == 30.0


def test_a_success_forgets_what_was() -> None:
    circuit = Circuit(threshold=2)
    circuit.failed("a", 0.0)
    circuit.succeeded()
    assert not circuit.failed("b", 0.0)
