"""What a source needs that asks the register: the question, and the answers of people as they come."""

from __future__ import annotations

from hub.bus.follower import Follower
from hub.bus.publisher import Publisher
from hub.contracts.catalog import Catalog
from hub.intake.facts.turn import FactDesk
from hub.intake.identity.gate import IdentityGate
from hub.intake.identity.register_log import RegisterFeed
from hub.intake.identity.settler import Settler
from hub.intake.identity.waits import DECISIONS_TOPIC, Decision, WaitLog
from hub.intake.ledger import Ledger
from hub.intake.versions import EventWriter, utc_now


class Identities:
    """Of one source; used by its thread, between two portions or in its turn, with nothing under way.

    Raises InfrastructureError while nobody has loaded a register, BrokerError, IndexUnavailableError.
    """

    def __init__(
        self, source: str, catalog: Catalog, bootstrap: str, feed: RegisterFeed, writer: EventWriter, ledger: Ledger,
        publisher: Publisher, facts: FactDesk | None = None,
    ) -> None:
        self._source, self._bootstrap, self._feed = source, bootstrap, feed
        self._log = WaitLog(catalog)
        self._made: list[Decision] = []
        self.gate = IdentityGate(source, writer, self._log, feed.get(), {})
        self._settler = Settler(self.gate, writer, catalog, ledger, publisher, facts)
        self._follower = Follower(bootstrap, DECISIONS_TOPIC)

    def read(self) -> None:
        """Takes up what waits as the log has it: of another process, or of one that was killed."""
        waits, self._made = self._log.read_all(self._bootstrap, self._source)
        self.gate.take_up(waits)
        self._settler.tidy(utc_now())

    def hears(self) -> bool:
        """Whether people have decided something of this source since it was settled; looks once a second at most."""
        read = self._log.read_decision
        news = [read(each.value) for each in self._follower.news() if each.value is not None]
        self._made += [each for each in news if each.source == self._source]
        return bool(self._made)

    def settle(self) -> None:
        """Does what people have decided since. A newer register counts from here on."""
        self.gate.register = self._feed.get()
        self.hears()
        made, self._made = self._made, []
        self._settler.settle(made, utc_now())

    def close(self) -> None:
        self._follower.close()
