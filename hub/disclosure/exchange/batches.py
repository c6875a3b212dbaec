"""Batches of rows and their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from hub.disclosure.exchange.standing import Change
from hub.disclosure.sink import Order

#: The day of a batch number is the channel's.
SHANGHAI = ZoneInfo("Asia/Shanghai")
#: Five digits, as the national exchange has them: 2019041100002 is the second batch of 2019-04-11.
MAX_NUMBER = 99_999


@dataclass(frozen=True, slots=True)
class Draft:
    """A batch that is about to be written. ``number`` is day and serial, ``made_at`` aware UTC.

    ``digest`` is one of its orders: a number that comes again, because what we knew was lost, names another file.
    """

    number: str
    digest: str
    made_at: datetime
    rows: Sequence[tuple[Order, Change]]


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch as it stands in the ledger: the same name and bytes, however often it is sent."""

    name: str
    number: str
    content: bytes
    order_ids: tuple[str, ...]


def next_number(last: str | None, now: datetime, first: int = 1) -> str:
    """The number behind ``last``, e.g. ``2019041100002``; ``first`` is the serial that a day begins with.

    It only grows: a clock that goes back stays on the day of the last one. A day with more than 99,999 batches goes
    on in the next day's numbers.
    """
    today = now.astimezone(SHANGHAI).strftime("%Y%m%d")
    if last is None or today > last[:8]:
        return f"{today}{first:05d}"
    if int(last[8:]) >= MAX_NUMBER:
        following = datetime.strptime(last[:8], "%Y%m%d").toordinal() + 1
        return f"{datetime.fromordinal(following):%Y%m%d}{first:05d}"
    return f"{last[:8]}{int(last[8:]) + 1:05d}"
