"""Connects the console's pages of public channels: the index of the ledger, and withdrawals that are given again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hub.bus.publisher import Publisher
from hub.contracts.catalog import Catalog
from hub.contracts.map import HubMap
from hub.disclosure.book import fold
from hub.disclosure.reconcile import refused_withdrawals
from hub.disclosure.reissue import orders_of, reissue
from hub.disclosure.status import ChannelStatus, Reconciled
from hub.domain.acts import Actor
from hub.domain.disclosed import ChannelEntry
from hub.errors import InputError
from hub.ops.acts import ActsDesk
from hub.ops.ledger.queries import records_of
from hub.ops.ledger.view import Ledger
from hub.settings import Settings
from hub.state.channel_index import RECORDS, channel_index
from hub.state.desk_index import DeskIndex, Page
from hub.wiring.channel_notes import ChannelNotes
from hub.wiring.ledger import ledger_view
from hub.wiring.parts import open_redis, utc_now

_PAGE = 25
#: Records whose orders are fetched in one request, some ten milliseconds each; of more the command takes care.
MOST_AT_ONCE = 200


class ChannelDesk:
    """The protocol ``Channels`` of the console. Methods raise IndexUnavailableError where Redis does not answer."""

    def __init__(
        self, index: DeskIndex, notes: ChannelNotes, ledger: Ledger, publisher: Publisher, acts: ActsDesk
    ) -> None:
        self._index, self._notes, self._ledger = index, notes, ledger
        self._publisher, self._acts = publisher, acts

    def counts(self, channel: str) -> Mapping[str, int]:
        return {mark.outcome: count for mark, count in self._index.marks(channel)}

    def status(self, channel: str) -> ChannelStatus | None:
        return self._notes.status(channel)

    def reconciled(self, channel: str) -> Reconciled | None:
        return self._notes.reconciled(channel)

    def page(self, channel: str, order: str, cursor: str | None = None) -> Page[ChannelEntry]:
        return self._index.page(
            channel, RECORDS, order, cursor=cursor, limit=_PAGE, is_reversed=order == "receipts"
        )

    def give_again(self, channel: str, records: Sequence[str], who: Actor, reason: str) -> int:
        """The orders are read from the log by their places, and judged there: the index only says where to look.

        Raises InputError where nothing (any more) is stuck, where there are more than MOST_AT_ONCE, or where the index
        does not hold the orders any more; BrokerError.
        """
        wanted = list(records) or [
            entry.correlation_id for entry in
            self._index.page(channel, RECORDS, "stuck", limit=MOST_AT_ONCE + 1).entries
        ]
        if len(wanted) > MOST_AT_ONCE:
            raise InputError(
                f"more than {MOST_AT_ONCE} withdrawals are stuck on {channel}: hub disclosure withdraw {channel} gives "
                "all of them again"
            )
        found = records_of(self._ledger, wanted)
        states = [each for each in fold(found, self._ledger.catalog, channel) if each.correlation_id in wanted]
        if gone := set(wanted) - {each.correlation_id for each in states}:
            raise InputError(
                f"the orders of {len(gone)} records are not in the index (any more), e.g. {min(gone)}: "
                f"hub disclosure withdraw {channel} finds them on the log"
            )
        differences = refused_withdrawals(states)
        if not differences:
            raise InputError(f"nothing that was asked for is stuck on {channel} any more")
        orders = orders_of(found, {each.state.order_id for each in differences if each.state and each.state.order_id})
        details = [("withdrawals", str(len(differences)))]
        with self._acts.acting("disclosure.withdraw", who, channel, reason, details=details) as outcome:
            why = reason.strip()[:500]
            outputs = list(reissue(differences, orders, self._ledger.catalog, by=who.name, why=why, now=utc_now()))
            self._publisher.publish(outputs)
            outcome.append(f"{len(outputs)} withdrawals given again")
        return len(outputs)

    def close(self) -> None:
        self._ledger.close()


def channel_desk(
    settings: Settings, hub_map: HubMap, catalog: Catalog, publisher: Publisher, acts: ActsDesk
) -> ChannelDesk:
    """The desk of a process that keeps it. No colour of a deadline is asked of this ledger: it needs no calendar."""
    client = open_redis(settings)
    return ChannelDesk(
        channel_index(client), ChannelNotes(client), ledger_view(settings, hub_map, catalog, {}), publisher,
        acts,
    )
