"""Ranges of time as forms give them, in Gannan's time."""

from __future__ import annotations

from datetime import datetime

from hub.delivery.replay_desk import Range
from hub.domain.calendar import SHANGHAI
from hub.errors import InputError


def range_of(since: str, until: str, superseded: bool, now: datetime) -> Range:
    """Moments as a browser's field gives them; what is to come nobody has looked at.

    Raises InputError for what is no moment.
    """
    return Range(_moment("since", since), min(_moment("until", until), now), (), superseded)


def _moment(field: str, text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI)
    except ValueError as error:
        raise InputError(f"{field}: {text!r} is no moment like 2026-03-02T09:00") from error
