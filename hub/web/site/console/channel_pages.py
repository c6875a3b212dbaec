"""Public channels: what stands on each, how it answers, which deadlines hang on it, and withdrawals that are stuck."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response

from hub.contracts.map import HubMap
from hub.contracts.map_models import ChannelModel
from hub.disclosure.service import group_of
from hub.disclosure.status import ChannelStatus
from hub.domain.desk import is_person
from hub.errors import InputError, UsageError
from hub.ops.snapshot import GroupState, RiskCount
from hub.state.channel_index import LISTED
from hub.web.site.answers import go_on
from hub.web.site.caller import not_here
from hub.web.site.console.answers import Changer, Posted, Reader, desk_refused
from hub.web.site.console.desks import ConsoleDesks
from hub.web.site.guard import site_of
from hub.web.site.pages import NavEntry, PageSet

PATH = "/console/channels"
#: The order in which the page shows how records stand.
STANDINGS = ("public", "waiting", "stuck", "refused", "withdrawn")
#: The list that is shown first, if there is anything in it.
FIRST = ("stuck", "refused", "waiting")


class Shown(NamedTuple):
    """One channel. ``group`` is its reader as the last snapshot has it, ``None`` where no look is good any more;
    ``circuit`` is ``closed``, ``open``, ``half-open`` or ``unknown``; ``risks`` are deadlines that its backlog breaks.
    """

    name: str
    channel: ChannelModel
    counts: Mapping[str, int]
    status: ChannelStatus | None
    circuit: str
    group: GroupState | None
    risks: tuple[RiskCount, ...]

    @property
    def is_troubled(self) -> bool:
        bad = self.circuit == "open" or (self.group is not None and self.group.verdict in ("stopped", "stalled"))
        return bad or bool(self.counts.get("stuck") or self.risks)


def deadlines_of(hub_map: HubMap, channel: str) -> list[tuple[str, str]]:
    """(title, basis) of the rules of the map that a receipt of this channel can meet."""
    found = []
    for rule in hub_map.model.clocks.values():
        if not any(each.startswith("disclosure.receipt.") for each in rule.met_by):
            continue
        named = rule.channels or rule.met_where.get("channel", channel)
        if channel in ([named] if isinstance(named, str) else named):
            found.append((rule.title, rule.basis))
    return found


def channel_pages(desks: ConsoleDesks) -> PageSet:
    """The routes of this module."""
    router, desk, channels = APIRouter(include_in_schema=False), desks.channels, desks.hub_map.channels

    def shown_of(name: str) -> Shown:
        found, group, status = desks.snapshot(), group_of(name), desk.status(name)
        risks = tuple(each for each in found.risk_counts if each.group == group) if found else ()
        return Shown(
            name, channels[name], desk.counts(name), status, status.circuit if status else "unknown",
            next((each for each in found.groups if each.group == group), None) if found else None, risks,
        )

    def listed(request: Request, caller: Reader) -> Response:
        found = sorted((shown_of(name) for name in channels), key=lambda each: not each.is_troubled)
        return site_of(request).renderer.page(
            request, "console-channels.html", caller, found=found, standings=STANDINGS, clocks=desks.clocks
        )

    def one(request: Request, caller: Reader, name: str, show: str = "", after: str = "") -> Response:
        if name not in channels or show not in ("", *LISTED):
            raise not_here()
        shown = shown_of(name)
        show = show or next((each for each in FIRST if shown.counts.get(each)), FIRST[0])
        base = f"{PATH}/{name}"
        page = desk.page(name, show, after or None)
        following = f"{base}?{urlencode({'show': show, 'after': page.cursor})}" if page.cursor else None
        context: dict[str, Any] = {
            "shown": shown, "show": show, "lists": LISTED, "entries": page.entries, "standings": STANDINGS,
            "page": {"next": following, "is_first": not after}, "base": base, "receipts": desk.page(name, "receipts"),
            "reconciled": desk.reconciled(name), "deadlines": deadlines_of(desks.hub_map, name),
            "is_person": is_person, "clocks": desks.clocks,
        }
        return site_of(request).renderer.page(request, "console-channel.html", caller, **context)

    def again(request: Request, caller: Changer, name: str, form: Posted) -> Response:
        if name not in channels:
            raise not_here()
        record = form.text("record", 100)
        try:
            desk.give_again(name, [record] if record else [], caller.actor, form.text("reason", 500))
        except (InputError, UsageError) as error:
            return desk_refused(request, caller, error, f"{PATH}/{name}")
        return go_on(request, f"{PATH}/{name}", "withdrawals-given")

    router.add_api_route(PATH, listed, methods=["GET"])
    router.add_api_route(f"{PATH}/{{name}}", one, methods=["GET"])
    router.add_api_route(f"{PATH}/{{name}}/again", again, methods=["POST"])
    return PageSet(router, (NavEntry(PATH, "nav.channels", "console.read", 125),))
