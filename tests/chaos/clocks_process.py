"""One process of the clocks stage with rules that fall due within an hour, to be killed by tests.

Run as ``python -m tests.chaos.clocks_process BOOTSTRAP REDIS_URL`` from the root of the project.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from hub.bus.lane import Lane
from hub.clocks.calendars import CalendarReader
from hub.clocks.loader import KafkaStateLoader
from hub.clocks.stage import ClocksStage
from hub.clocks.wire import INPUTS
from hub.contracts.calendars import load_calendars
from hub.contracts.catalog import Catalog
from hub.domain.clocks import ClockRule, Due
from hub.state.due_index import DueIndex

ROOT = Path(__file__).resolve().parents[2]
GROUP = "clocks-chaos"


def _rule(id: str, hours: int, warn: tuple[int, ...] = (), escalate: tuple[int, ...] = ()) -> ClockRule:
    return ClockRule(
        id=id, title="时限", starts_on=("inspection.result.recorded",), counts_from="result_date",
        due=Due(hours, "hours"), met_by=("disclosure.receipt.published",), warn=warn, escalate=escalate,
        cancelled_by=("inspection.result.withdrawn",), escalates_to="market-supervision",
    )


_PLAIN = _rule("plain", 6)
_WARNED = _rule("warned", 6, warn=(2,))
_LADDER = _rule("ladder", 24, warn=(5, 2, 1))
_CHASED = _rule("chased", 6, escalate=(1, 3))
#: Ends years ahead: it has nothing to say, but another calendar moves it.
_DAYS = ClockRule(
    id="days", title="时限", starts_on=("inspection.result.recorded",), counts_from="result_date",
    due=Due(900, "working-days"), met_by=("disclosure.receipt.published",),
)
RULES = {rule.id: rule for rule in (_PLAIN, _WARNED, _LADDER, _CHASED, _DAYS)}


def main(bootstrap: str, redis_url: str) -> None:
    with redis.Redis.from_url(redis_url, socket_timeout=5, retry=Retry(NoBackoff(), 0)) as client:
        catalog, files = Catalog.load(ROOT), load_calendars(ROOT)
        news = CalendarReader(bootstrap, catalog)
        stage = ClocksStage(
            rules=RULES, calendars=news.read().calendars(files), catalog=catalog, news=news,
            loader=KafkaStateLoader(bootstrap), index=DueIndex(client), map_version="chaos",
        )
        lane = Lane(stage, name="clocks", topics=INPUTS, group=GROUP, bootstrap=bootstrap, tick_seconds=0.25)
        signal.signal(signal.SIGTERM, lambda *_: lane.stop())
        lane.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
