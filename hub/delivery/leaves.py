"""Which subscriptions wait by design: outside of office hours, or until a department takes what lies ready for it.

Seen from outside, by the map and the settings in force, for whoever judges how far their groups are behind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime

from hub.bus.tail import Tail
from hub.delivery.service import group_of
from hub.delivery.settings import SettingsLog, SubscriptionSettings
from hub.domain.lag import Leave
from hub.domain.office_hours import next_office_time, parse_office_hours
from hub.errors import ContractError, InputError, PoisonError


class Leaves:
    """``ways`` is the way of delivery by subscription, ``tail`` reads the topic of settings. One thread's.

    Who is shut at any hour (paused, gone, without address or key) has no leave: nobody knows until when.
    """

    def __init__(
        self, ways: Mapping[str, str], tail: Tail, settings_log: SettingsLog, is_working_day: Callable[[date], bool]
    ) -> None:
        self._names = {group_of(name): name for name in ways}
        self._ways, self._tail, self._log, self._is_working_day = ways, tail, settings_log, is_working_day
        self._in_force: dict[str, SubscriptionSettings] = {}

    def look(self) -> None:
        """Takes the settings of now. Raises BrokerError."""
        if self._tail.is_new:
            self._in_force = {}
        for record in self._tail.look():
            try:
                found = self._log.read(record.value)
            except (ContractError, PoisonError):
                continue  # delivery says so
            known = self._in_force.get(found.subscription)
            if known is None or found.revision > known.revision:
                self._in_force[found.subscription] = found

    def of(self, group: str, at: datetime) -> Leave | None:
        """The leave of a group at a moment, aware."""
        name = self._names.get(group)
        if name is None:
            return None
        way, current = self._ways[name], self._in_force.get(name, SubscriptionSettings(name))
        if way == "kafka":  # signed by nobody; a pause takes the right to read away
            return None if current.is_paused else Leave()
        if current.why_blocked(is_pushed=way == "webhook") is not None:
            return None
        return Leave() if way != "webhook" else self._until_the_office_opens(current.office_hours, at)

    def close(self) -> None:
        self._tail.close()

    def _until_the_office_opens(self, hours: str | None, at: datetime) -> Leave | None:
        try:
            opens_at = next_office_time(at, parse_office_hours(hours), self._is_working_day) if hours else at
        except InputError:
            return None  # delivery stands still by that and says so
        return Leave(opens_at) if opens_at > at else None
