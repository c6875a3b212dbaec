"""Connects the desks where people's acts are put on record, and the acts that two stages' desks make together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime

from hub.bus.publisher import KafkaPublisher, Publisher
from hub.bus.table_loader import TableLoader
from hub.bus.tail import Tail
from hub.delivery.replay_desk import Plan, Range, ReplayDesk
from hub.delivery.waits import WAITS_TOPIC
from hub.domain.acts import Actor, Request
from hub.domain.plain import instant_text
from hub.errors import InputError
from hub.ops.acts import ACTS_TOPIC, ActsDesk
from hub.ops.dead_letters import DeadLetterDesk
from hub.ops.letter_shelf import LetterShelf
from hub.settings import Settings
from hub.wiring.parts import open_catalog, open_map, utc_now


def acts_desk(settings: Settings, publisher: Publisher, *, is_kept: bool = False) -> ActsDesk:
    """The desk of a process that has a publisher. ``is_kept`` is for one that is asked again and again; it has one."""
    tail = Tail(settings.bootstrap, [ACTS_TOPIC]) if is_kept else None
    return ActsDesk(settings.bootstrap, publisher, open_catalog(settings), utc_now, tail)


@contextmanager
def open_acts(settings: Settings) -> Iterator[ActsDesk]:
    """The desk for one command."""
    with closing(KafkaPublisher(settings.bootstrap, client_id="hub-acts")) as publisher:
        yield acts_desk(settings, publisher)


def dead_letter_desk(settings: Settings, publisher: Publisher, acts: ActsDesk | None = None) -> DeadLetterDesk:
    """Dead letters of every stage, and the acts that speak of them. With a desk of ``acts`` it is that of a process
    that is asked again and again."""
    catalog = open_catalog(settings)
    topics = list(open_map(settings, catalog).topics)
    shelf = LetterShelf(settings.bootstrap, topics) if acts is not None else None
    return DeadLetterDesk(
        settings.bootstrap, publisher, catalog, topics, acts or acts_desk(settings, publisher), shelf
    )


REPLAY = "notices.replay"
#: Its details, by name.
_FROM, _TO, _TYPES, _SUPERSEDED = "from", "to", "event types", "with superseded"


class Replays:
    """Replays as acts: asked by one, approved by another, carried out as they were asked."""

    def __init__(self, desk: ReplayDesk, acts: ActsDesk) -> None:
        self._desk, self._acts = desk, acts

    def plan(self, subscription: str, wanted: Range) -> Plan:
        """What would be sent now; see ``ReplayDesk.plan``."""
        return self._desk.plan(subscription, wanted)

    def ask(self, plan: Plan, wanted: Range, who: Actor, reason: str) -> Request:
        """Puts on record that somebody wants it. Raises InputError without a reason or where there is nothing."""
        if not plan.records:
            raise InputError("there is nothing to send again")
        details = [
            (_FROM, instant_text(wanted.since)), (_TO, instant_text(wanted.until)),
            *((_TYPES, each) for each in wanted.event_types), (_SUPERSEDED, str(wanted.with_superseded)),
            ("count", str(plan.count)), ("left out as superseded", str(plan.superseded)),
        ]
        return self._acts.ask(REPLAY, who, plan.subscription, reason, details=details, needs_second=True)

    def carry_out(self, request: Request, who: Actor) -> Plan:
        """Sends what was approved, as far as it still holds; what was superseded since is left out. Begun anew it
        goes on where it stopped. Raises InputError without an approval."""
        if request.asked.kind != REPLAY:
            raise InputError(f"{request.asked.request_id} is a request of {request.asked.kind}, not of {REPLAY}")
        subscription, wanted = request.asked.target, _range_of(request)
        with self._acts.carrying_out(request, who) as outcome:
            plan = self._desk.plan(subscription, wanted, request.asked.request_id)
            count = self._desk.write(plan, request.asked.request_id)
            outcome.append(
                f"{count + plan.done} put into the inbox again, {plan.superseded} superseded, {plan.under_way} on "
                "their way anyway"
            )
        return plan


def _range_of(request: Request) -> Range:
    details = request.asked.details
    given = dict(details)
    return Range(
        datetime.fromisoformat(given[_FROM]), datetime.fromisoformat(given[_TO]),
        tuple(value for name, value in details if name == _TYPES), given[_SUPERSEDED] == str(True),
    )


def replays(settings: Settings, publisher: Publisher, acts: ActsDesk | None = None) -> Replays:
    """Replays of the subscriptions of the map."""
    catalog = open_catalog(settings)
    ways = {name: entry.delivery for name, entry in open_map(settings, catalog).subscriptions.items()}
    waits = TableLoader(settings.bootstrap, topic=WAITS_TOPIC)
    desk = ReplayDesk(settings.bootstrap, publisher, catalog, ways, waits)
    return Replays(desk, acts or acts_desk(settings, publisher))
