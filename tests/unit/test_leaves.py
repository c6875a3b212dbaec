"""Which subscriptions wait by design, and until when, by the map and the settings in force."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from hub.bus.records import Record
from hub.contracts.calendars import load_calendars
from hub.delivery.leaves import Leaves
from hub.delivery.settings import SealedKey, SettingsLog, SubscriptionSettings
from hub.domain.lag import Leave
from tests.support_contracts import ROOT, catalog

KEY = SealedKey("k1", "ed25519", b"sealed", "public", datetime(2026, 1, 1, tzinfo=UTC))
OPEN = SubscriptionSettings(
    "works-bidding", 1, url="https://works.example/hooks", is_verified=True, keys=(KEY,),
    office_hours="08:30-12:00,14:30-18:00",
)
GROUP = "hub-delivery-works-bidding"
#: A Monday in Gannan: 18:05, and 10:05.
EVENING, MORNING = datetime(2026, 3, 2, 10, 5, tzinfo=UTC), datetime(2026, 3, 2, 2, 5, tzinfo=UTC)


class Log:
    """The topic of settings as a tail of it."""

    def __init__(self, *settings: SubscriptionSettings) -> None:
        self.is_new, self.is_closed = True, False
        self.came = [self.record(each) for each in settings]

    @staticmethod
    def record(settings: SubscriptionSettings) -> Record:
        output = SettingsLog(catalog()).entry(settings)
        return Record(output.topic, 0, 0, 0, output.key, output.value, [])

    def look(self) -> list[Record]:
        found, self.came, self.is_new = self.came, [], False
        return found

    def close(self) -> None:
        self.is_closed = True


def is_working_day(day: date) -> bool:
    return load_calendars(ROOT)["gannan"].is_working_day(day)


def leaves(log: Log, way: str = "webhook") -> Leaves:
    tail: Any = log
    found = Leaves({"works-bidding": way}, tail, SettingsLog(catalog()), is_working_day)
    found.look()
    return found


def test_a_push_waits_for_the_next_office_hour_and_for_nothing_within() -> None:
    found = leaves(Log(OPEN))
    assert found.of(GROUP, EVENING) == Leave(datetime(2026, 3, 3, 0, 30, tzinfo=UTC))
    assert found.of(GROUP, MORNING) is None
    # Over holidays, the county's own among them, it is the first working day behind them.
    assert found.of(GROUP, datetime(2026, 9, 30, 10, 5, tzinfo=UTC)) == Leave(datetime(2026, 10, 9, 0, 30, tzinfo=UTC))
    assert found.of("hub-routing", EVENING) is None
    assert leaves(Log(replace(OPEN, office_hours=None))).of(GROUP, EVENING) is None
    assert leaves(Log()).of(GROUP, EVENING) is None


@pytest.mark.parametrize("way", ["file", "pull", "kafka"])
def test_what_a_department_takes_itself_waits_for_it_at_any_hour(way: str) -> None:
    found = leaves(Log(replace(OPEN, url=None, is_verified=False)), way)
    assert found.of(GROUP, EVENING) == found.of(GROUP, MORNING) == Leave()


@pytest.mark.parametrize("way", ["webhook", "file", "pull", "kafka"])
def test_who_is_paused_has_no_leave(way: str) -> None:
    assert leaves(Log(replace(OPEN, is_paused=True)), way).of(GROUP, EVENING) is None


def test_nothing_lies_ready_that_nobody_can_sign_but_on_kafka_which_needs_no_key() -> None:
    for log in (Log(), Log(replace(OPEN, keys=()))):
        found = {way: leaves(log, way).of(GROUP, EVENING) for way in ("file", "pull", "kafka")}
        assert found == {"file": None, "pull": None, "kafka": Leave()}


def test_settings_that_change_hold_from_the_next_look_on() -> None:
    log = Log(OPEN)
    found = leaves(log)
    # Of two with one revision the first holds; what is no record of settings is passed over.
    log.came = [
        log.record(replace(OPEN, office_hours=None)), Record("t", 0, 1, 0, b"works-bidding", b"no settings", []),
    ]
    found.look()
    assert found.of(GROUP, EVENING) is not None
    log.came = [log.record(replace(OPEN, revision=2, office_hours="00:00-24:00"))]
    found.look()
    assert found.of(GROUP, EVENING) is None
    log.came, log.is_new = [log.record(OPEN)], True
    found.look()
    assert found.of(GROUP, EVENING) is not None
    found.close()
    assert log.is_closed


def test_hours_that_cannot_be_read_are_no_leave() -> None:
    assert leaves(Log(replace(OPEN, office_hours="late"))).of(GROUP, EVENING) is None
