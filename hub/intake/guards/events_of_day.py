"""Which events the hub took of a source on a day, from their headers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime

from hub.bus.reader import read_topics
from hub.domain.calendar import local_date, start_of
from hub.intake.tentative import PRIOR_STATE
from hub.intake.versions import source_uri

#: Of a source's events those alone have a cause that waited until a person decided.
_CAUSED = "ce_causationid"


def events_of_day(bootstrap: str, topics: Sequence[str], source: str, day: date) -> Iterator[str]:
    """Ids of the events of a source whose time is on that day (Asia/Shanghai). Reads from that day to the ends of
    the topics; without those that a person decided on, which the source was not told as accepted. Raises
    BrokerError."""
    uri = source_uri(source).encode()
    for record in read_topics(bootstrap, topics, since=start_of(day)):
        headers = dict(record.headers)
        if headers.get("ce_source") != uri or PRIOR_STATE in headers or _CAUSED in headers:
            continue
        time, id_ = headers.get("ce_time"), headers.get("ce_id")
        if time and id_ and local_date(datetime.fromisoformat(time.decode())) == day:
            yield id_.decode()
