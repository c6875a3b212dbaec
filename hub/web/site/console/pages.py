"""All pages of the console as one part of the site."""

from __future__ import annotations

from fastapi import APIRouter

from hub.web.site.console.answers import Fresh
from hub.web.site.console.calendar_pages import calendar_pages
from hub.web.site.console.channel_pages import channel_pages
from hub.web.site.console.desks import ConsoleDesks
from hub.web.site.console.endpoint_pages import endpoint_pages
from hub.web.site.console.flow_pages import flow_pages
from hub.web.site.console.letter_pages import letter_pages
from hub.web.site.console.map_pages import map_pages
from hub.web.site.console.replay_pages import replay_pages
from hub.web.site.console.request_pages import request_pages
from hub.web.site.console.source_pages import source_pages
from hub.web.site.pages import PageSet


def console_pages(desks: ConsoleDesks) -> PageSet:
    """The routes and entries of every page group, which work with ``desks``."""
    router, fresh = APIRouter(include_in_schema=False), Fresh()
    found = [
        flow_pages(desks), endpoint_pages(desks), channel_pages(desks), letter_pages(desks, fresh),
        request_pages(desks, fresh), replay_pages(desks, fresh), source_pages(desks),
        calendar_pages(desks), map_pages(desks),
    ]
    for each in found:
        router.include_router(each.router)
    return PageSet(router, tuple(entry for each in found for entry in each.nav))
