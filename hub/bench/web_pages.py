"""The pages that people and programs walk in the bench of the web side."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple
from urllib.parse import quote, urlencode

from hub.bench.ledger_traffic import SUBSCRIPTION, Traffic
from hub.bench.web_walk import Page
from hub.domain.events import output_id
from hub.ops.letters import Letter

#: Of four events in turn the second is a listing, which is notified.
_KINDS, _LISTING = 4, 1


def listings(events: int) -> range:
    """Which of so many events brought a notice."""
    return range(_LISTING, events, _KINDS)


class Things(NamedTuple):
    """What pages about something are about: any of so many events, letters and requests at random."""

    events: int
    traffic: Traffic
    letters: Sequence[Letter]
    requests: Sequence[str]

    def event(self, chance: random.Random) -> str:
        """An event that brought a notice."""
        return self.traffic.event_id(chance.randrange(self.events // _KINDS) * _KINDS + _LISTING)

    def notice(self, chance: random.Random) -> str:
        return output_id(self.event(chance), f"subscription:{SUBSCRIPTION}")


def _plain(*paths: str) -> list[Page]:
    return [Page(path, _always(path)) for path in paths]


def _always(path: str) -> Callable[[random.Random], str]:
    return lambda chance: path


def portal_pages() -> list[Page]:
    """Lists of a department's desk."""
    return _plain(
        "/", "/desk/deadlines", "/desk/notices", "/desk/notices?show=all", "/desk/leads", "/desk/scoreboard",
        "/desk/subscriptions", "/desk/uploads", "/desk/entry",
    )


def notice_page(things: Things) -> Page:
    """For the department whose notices the traffic holds."""
    return Page("/desk/notices/ID", lambda chance: f"/desk/notices/{things.notice(chance)}")


def console_pages(things: Things) -> list[Page]:
    """What operators and auditors look at."""
    def letter(chance: random.Random) -> Letter:
        return chance.choice(things.letters)

    return [
        *_plain(
            "/console", "/console/flow", "/console/risks", "/console/endpoints", "/console/letters",
            "/console/requests", "/console/replay", "/console/sources", "/console/map",
            "/console/channels", "/console/channels/gsxt", "/console/calendars",
        ),
        Page("/console/letters/class/NAME", lambda each: f"/console/letters/class/{quote(letter(each).class_name)}"),
        Page("/console/letters/one", lambda each: f"/console/letters/one?{urlencode({'place': letter(each).spot})}"),
        Page("/console/requests/ID", lambda chance: f"/console/requests/{chance.choice(things.requests)}"),
    ]


def auditor_pages() -> list[Page]:
    return _plain("/audit")


def interface(things: Things) -> list[Page]:
    """What a department's program reads."""
    return [
        *_plain("/v1/notices", "/v1/clocks", "/v1/holdings"),
        Page("/v1/notices/ID", lambda chance: f"/v1/notices/{things.notice(chance)}"),
        Page("/v1/events/ID/trace", lambda chance: f"/v1/events/{things.event(chance)}/trace"),
    ]


#: The same server, the same way through it, and nothing to find out.
CONSTANT = Page("constant page", _always("/healthz"))
