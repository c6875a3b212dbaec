"""Connects the desks where people's acts are put on record."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from hub.bus.publisher import KafkaPublisher, Publisher
from hub.ops.acts import ActsDesk
from hub.ops.dead_letters import DeadLetterDesk
from hub.settings import Settings
from hub.wiring.parts import open_catalog, open_map, utc_now


def acts_desk(settings: Settings, publisher: Publisher) -> ActsDesk:
    """The desk of a process that has a publisher."""
    return ActsDesk(settings.bootstrap, publisher, open_catalog(settings), utc_now)


@contextmanager
def open_acts(settings: Settings) -> Iterator[ActsDesk]:
    """The desk for one command."""
    with closing(KafkaPublisher(settings.bootstrap, client_id="hub-acts")) as publisher:
        yield acts_desk(settings, publisher)


def dead_letter_desk(settings: Settings, publisher: Publisher) -> DeadLetterDesk:
    """Dead letters of every stage, and the acts that speak of them."""
    catalog = open_catalog(settings)
    topics = list(open_map(settings, catalog).topics)
    return DeadLetterDesk(settings.bootstrap, publisher, catalog, topics, acts_desk(settings, publisher))
