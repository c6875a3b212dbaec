"""One answer of the interface: its records, and where the next page is."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, NamedTuple

from connectors.http_poll.client import Answer, ApiError
from connectors.http_poll.settings import HttpPollSettings
from hub.intake import InputError, doubled_names, look_up, parse_json

#: Longer texts are no cursors; they would go into an address.
_MOST_CURSOR = 4096


class Page(NamedTuple):
    """``next`` is the cursor behind it, ``None`` where the answer names none; ``is_last`` says that no page
    follows now: a cursor that is there all the same is where the next reading begins."""

    records: list[Any]
    next: str | None
    is_last: bool


def read_page(answer: Answer, settings: HttpPollSettings) -> Page:
    """Takes an answer apart.

    :raises ApiError: naming what is not as the settings say. A record that is wrong in itself is none of it.
    """
    try:
        value = parse_json(answer.body)
        if names := doubled_names(value):
            raise InputError(f"{names[0][:100]} stands twice")
        records = look_up(value, settings.records)
        where = settings.records or "the answer"
        if not isinstance(records, list):
            raise InputError(f"{where} is no list of records (setting records)")
        return Page(records, *_next(answer, value, records, settings))
    except InputError as error:
        raise ApiError(f"{settings.label}: the answer cannot be used: {error}") from None


def _next(
    answer: Answer, value: Any, records: list[Any], settings: HttpPollSettings
) -> tuple[str | None, bool]:
    if settings.paging == "none":
        return None, True
    if settings.paging == "link":
        return answer.next_link, answer.next_link is None
    if settings.paging == "cursor":
        found = _cursor(look_up(value, settings.next_cursor or ""), settings.next_cursor)
    else:
        last = records[-1] if records else None
        found = _cursor(look_up(last, settings.record_cursor or ""), settings.record_cursor) if records else None
        if records and found is None:
            raise InputError(f"the last record has no {settings.record_cursor} (setting record_cursor)")
    if settings.has_more is not None:
        has_more = look_up(value, settings.has_more)
        if type(has_more) is not bool:
            raise InputError(f"{settings.has_more} is neither true nor false (setting has_more)")
        if has_more and found is None:
            raise InputError(f"{settings.has_more} says that a page follows, and no cursor says which")
        return found, not has_more
    if settings.paging == "record":
        return found, len(records) < settings.page_size
    return found, found is None


def _cursor(value: Any, path: str | None) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        value = f"{value:f}" if isinstance(value, Decimal) else str(value)
    if not isinstance(value, str) or len(value) > _MOST_CURSOR or not value.isprintable():
        raise InputError(f"{path} is no cursor: a text or a number of at most {_MOST_CURSOR} characters")
    return value
