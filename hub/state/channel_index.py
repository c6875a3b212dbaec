"""Redis index of what stands on each public channel, and how it stands there; counts, queues and the last receipts.

The ``ledger`` stage keeps it as it keeps the desks, in one step with its position, and makes it anew with them. Ids,
codes, references and reasons of refusals alone: no content of a record. At most 500 bytes a record with
one order (a test holds that against the server), 100 more for each further one: a million on a channel take 500 MB.

======================  ================================================================
``<channel>:records``   correlation id -> entry (:class:`hub.domain.disclosed.ChannelEntry`)
``<channel>:waiting``   those without a receipt, in order of their last order
``<channel>:stuck``     those whose withdrawal was refused; ``<channel>:refused`` others
``<channel>:receipts``  the last 50 that were answered
``<channel>:score``     how many stand in which way
======================  ================================================================
"""

from __future__ import annotations

import redis

from hub.domain.disclosed import ChannelEntry
from hub.state.desk_index import DeskIndex, Shelf

PREFIX = "hub:channel:"
#: Receipts that a page shows.
LAST_RECEIPTS = 50
#: Ways of standing that somebody may want the list of.
LISTED = ("waiting", "stuck", "refused")


def _places(entry: ChannelEntry) -> dict[str, str]:
    standing, answer = entry.standing, entry.last_answer
    found: dict[str, str] = {}
    if standing in LISTED:
        found[standing] = f"{entry.last_order:013d}:{entry.correlation_id}"
    if answer is not None:
        found["receipts"] = f"{answer[0]:013d}:{entry.correlation_id}"
    return found


RECORDS = Shelf("records", ChannelEntry, _places, (*LISTED, "receipts"), {"receipts": LAST_RECEIPTS})


def channel_index(client: redis.Redis) -> DeskIndex:
    """The index; its "departments" are the channels of the map."""
    return DeskIndex(client, prefix=PREFIX, shelves=(RECORDS,))
