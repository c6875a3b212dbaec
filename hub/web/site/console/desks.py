"""What the console's pages work with: desks of the stages, as values and as calls.

What changes something puts itself on record as an act before it takes effect. A desk that refuses raises InputError or
UsageError, whose sentence the page shows; BrokerError and IndexUnavailableError where the hub cannot do it now.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import NamedTuple, Protocol

from hub.bus.records import Record
from hub.clocks.calendar_desk import Comparison
from hub.clocks.calendars import CalendarLog
from hub.contracts.map import HubMap
from hub.delivery.settings import SubscriptionSettings
from hub.delivery.waits import Waiting
from hub.disclosure.status import ChannelStatus, Reconciled
from hub.domain.acts import Actor
from hub.domain.acts import Request as ActRequest
from hub.domain.calendar import Calendar
from hub.domain.disclosed import ChannelEntry
from hub.intake.guards.log import Alert
from hub.intake.guards.watch import Status
from hub.intake.held import Held, Verdict
from hub.ops.dead_letters import Preview, Wanted
from hub.ops.letter_content import Content, View
from hub.ops.letters import Letter
from hub.ops.map_log import MapVersion
from hub.ops.snapshot import Snapshot
from hub.state.desk_index import Page
from hub.web.site.replays import Replays


class Clockwork(NamedTuple):
    """A rule of deadlines as pages name it. ``owner`` is ``source``, ``subscriber`` or a department's id."""

    title: str
    owner: str
    basis: str


class Way(NamedTuple):
    """A subscription of the map: whose it is, and how it is handed over."""

    title: str
    department: str
    delivery: str
    fallback: str | None = None


class Promise(NamedTuple):
    """A day of a source: what its manifest announces and what was taken of it.

    ``verdict`` is ``agrees``, ``differs``, ``missing`` (no manifest came) or ``open``: nothing was found to differ so
    far, of events counted once their day is over. ``files`` is ``None`` where events or rows of a table are counted,
    ``taken`` where nobody has counted yet.
    """

    source: str
    day: date
    verdict: str
    announced: int | None = None
    taken: int | None = None
    files: int | None = None
    is_signed: bool = False
    received_at: datetime | None = None
    says: str = ""
    is_table: bool = False


class Endpoints(Protocol):
    """How departments receive, and what waits for them."""

    def settings(self) -> Mapping[str, SubscriptionSettings]: ...

    def waiting(self) -> Sequence[Waiting]: ...

    def release(self, subscription: str, who: Actor, reason: str) -> None:
        """Tries again now what waits for it."""

    def pause(self, subscription: str, who: Actor, reason: str) -> None: ...

    def resume(self, subscription: str, who: Actor, reason: str) -> None:
        """Goes on; an endpoint that had said that it is no more is asked first."""


class Letters(Protocol):
    """The part of DeadLetterDesk that pages need."""

    def letters(self, *, stage: str | None = None, class_name: str | None = None) -> list[Letter]: ...

    def find(self, place: str) -> tuple[Letter, Record]: ...

    def look(self, place: str, who: Actor, why: str, view: View) -> Content: ...

    def preview(self, wanted: Wanted) -> Preview: ...

    def ask(self, wanted: Wanted, preview: Preview, who: Actor, reason: str) -> ActRequest: ...

    def redrive(self, request: ActRequest, who: Actor) -> int: ...


class Requests(Protocol):
    """The part of ActsDesk that pages need."""

    def read(self) -> list[ActRequest]: ...

    def approve(self, request_id: str, who: Actor, reason: str) -> ActRequest: ...

    def refuse(self, request_id: str, who: Actor, reason: str) -> ActRequest: ...


class Sources(Protocol):
    """Sources, whether they speak, and portions of theirs that wait for a person."""

    def status(self) -> tuple[Sequence[Status], Sequence[Alert]]: ...

    def manifests(self) -> Sequence[Promise]:
        """What sources said of their days, the newest first, and the days of which nothing was said."""

    def held(self) -> Sequence[tuple[str, Held]]:
        """(source, portion), of all sources."""

    def decide(self, source: str, id_: str, verdict: Verdict, who: Actor, reason: str) -> None: ...


class Channels(Protocol):
    """What stands on each channel of the map, out of an index, and withdrawals that are given again."""

    def counts(self, channel: str) -> Mapping[str, int]:
        """How many records stand in which way (:data:`hub.domain.disclosed.Standing`)."""

    def status(self, channel: str) -> ChannelStatus | None:
        """How its sender stands; ``None`` where none runs."""

    def reconciled(self, channel: str) -> Reconciled | None:
        """What the last comparison with the channel's own list found, as far as it is known."""

    def page(self, channel: str, order: str, cursor: str | None = None) -> Page[ChannelEntry]:
        """Records in one of the orders of the index; of ``receipts`` the last answered stand first."""

    def give_again(self, channel: str, records: Sequence[str], who: Actor, reason: str) -> int:
        """Gives refused withdrawals again, of some records or (none named) of all; returns how many."""


class Calendars(Protocol):
    """The part of CalendarDesk that pages need; what is changed is changed by command."""

    def files(self) -> Mapping[str, Calendar]:
        """The calendars of the files as they are now. Raises ContractError."""

    def log(self) -> CalendarLog: ...

    def compare(self, name: str | None = None) -> Comparison:
        """What publishing would move: reads all clocks, some seconds a hundred thousand."""


class Maps(Protocol):
    """Which versions of the map were in use."""

    def read(self) -> list[MapVersion]:
        """The oldest first."""


#: Carries out what was approved.
Carry = Callable[[ActRequest, Actor], object]


@dataclass(frozen=True)
class ConsoleDesks:
    """``snapshot`` gives the latest look at the hub, ``None`` where none is good any more. ``clocks`` and ``ways`` are
    the map's; ``carries`` says by kind of act what the console itself carries out after an approval."""

    snapshot: Callable[[], Snapshot | None]
    endpoints: Endpoints
    letters: Letters
    requests: Requests
    replays: Replays
    sources: Sources
    channels: Channels
    calendars: Calendars
    maps: Maps
    hub_map: HubMap
    clocks: Mapping[str, Clockwork] = field(default_factory=dict)
    ways: Mapping[str, Way] = field(default_factory=dict)
    carries: Mapping[str, Carry] = field(default_factory=dict)
