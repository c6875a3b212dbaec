"""What a sink is: the contract between the hub and the connector of one public channel."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, ClassVar, Literal

from hub.bus.outlet import AttemptFailedError
from hub.contracts.connector_settings import ConnectorSettings
from hub.contracts.fields import Field
from hub.errors import OutletError

Action = Literal["publish", "amend", "withdraw"]
#: What a channel may have done for each action. ``unchanged``: it was so already.
STATUSES: Mapping[str, frozenset[str]] = {
    "publish": frozenset({"published", "replaced", "unchanged"}),
    "amend": frozenset({"published", "replaced", "unchanged"}),
    "withdraw": frozenset({"withdrawn", "unchanged"}),
}
REFUSED = "refused"
#: A refusal's reason is kept for people; a page of HTML is not one.
MAX_REASON = 500
#: As the receipt's schema has it: a reference cut short would lead nowhere.
MAX_REFERENCE = 500


@dataclass(frozen=True, slots=True)
class Order:
    """One thing to be done at the channel.

    ``order_id`` is its identity (a UUID): the same id is the same order, whenever and however often it comes.
    ``correlation_id`` is the record that all its versions speak of, ``sequence`` the version, from 1. ``content`` is
    the record in the channel's view, as the fields of ``kind`` (a schema, e.g. ``enforcement/penalty``) have it:
    dates as dates, amounts as ``Decimal``. Of a withdrawal it is the record that is taken back, or the end of its
    term, and ``reason`` says to the public why. ``publish_until`` is the last day of publication where the record
    names one (公示截止期): the hub orders the withdrawal by itself when it has passed, and what would be shown after it
    comes as a withdrawal too. ``is_reissued``: the channel said that it had done this before, and a person asks for it
    again; it is to be done although the version is the same.
    """

    order_id: str
    channel: str
    action: Action
    correlation_id: str
    subject: str
    sequence: int
    kind: str
    content: Mapping[str, Any]
    ordered_at: datetime
    reason: str | None = None
    publish_until: date | None = None
    is_reissued: bool = False
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the channel answered for good.

    ``status`` is one of ``STATUSES`` of the action, or ``refused`` with the reason. ``public_reference`` is under what
    the public finds it (at most 500 characters). ``received_at`` is the channel's own time (aware); ``None`` on a
    refusal, or where it says none: the hub's time counts.
    """

    status: str
    public_reference: str | None = None
    reason: str | None = None
    received_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class NotYet:
    """The channel has it and answers later: ``collect`` will bring the receipt."""


@dataclass(frozen=True, slots=True)
class TryAgain:
    """This order of a batch failed in a way that may pass; the others of the batch are not touched by it."""

    reason: str


Result = Receipt | NotYet | TryAgain


@dataclass(frozen=True, slots=True)
class PublicRecord:
    """One record that the channel says is public. ``sequence`` is the version, ``None`` where it does not know."""

    correlation_id: str
    sequence: int | None = None
    subject: str | None = None
    public_reference: str | None = None
    updated_at: datetime | None = None


class BatchRefusedError(OutletError):
    """The channel did not take the batch as a whole, and did nothing of it; the hub sends it in halves."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a sink can do and how it wants to be called.

    ``max_batch`` orders in one ``send``, ``max_concurrent`` calls of ``send`` at a time. ``answers_later``: ``send``
    may give ``NotYet``; ``collect`` is then called every ``collect_seconds``. ``max_under_way`` bounds the orders that
    are read and have no receipt yet (about 3 KB of memory each). ``lists_public``: ``public`` works.
    """

    max_batch: int = 1
    max_concurrent: int = 8
    answers_later: bool = False
    collect_seconds: float = 5.0
    max_under_way: int = 2000
    lists_public: bool = False


@dataclass(frozen=True, slots=True)
class SinkContext:
    """What the hub lends to a sink.

    ``settings`` is the connector's own ``Settings``. ``folder`` is a place of the channel's own on this machine, made
    by whoever first writes there. ``now`` gives aware UTC. ``fields(kind)`` are the fields of a schema in the
    channel's view with titles, codes and lengths; ``codes(name)`` a code list, code -> title. Both raise
    ``ContractError`` if unknown.
    """

    channel: str
    title: str
    settings: Any
    folder: Path
    now: Callable[[], datetime]
    fields: Callable[[str], Sequence[Field]]
    codes: Callable[[str], Mapping[str, str]]


class Sink(ABC):
    """Carries out orders at one public channel. ``Settings`` says what the file of endpoints may say to it.

    Made once in any thread, with its context, and without touching the outside world; then used in one event loop,
    ``close`` last. Nothing may block the loop: files and drivers that block belong into ``asyncio.to_thread``.

    What the hub does: it gives the orders of one enterprise, and those of one record, strictly one after the other,
    the next when the one before has its receipt; in one ``send`` there are never two of either. It writes the
    receipts, tries again with growing waits, stops asking while the channel is down, sends a batch in halves until
    the record that spoils it is alone, and leaves out what is withdrawn before it went out. A sink tries once, keeps no
    queue and never drops an order by itself.

    What a sink has to hold: **an order that comes again does nothing twice.** After a kill, or a reply that was lost,
    the same ``order_id`` comes again, and the receipt is then that of the first time, or ``unchanged``.
    """

    Settings: ClassVar[type[ConnectorSettings]]
    #: Who reads what this sink makes. One for the public serves no channel whose audience is the government: what that
    #: may see would become public.
    audience: ClassVar[Literal["public", "government"]] = "public"
    capabilities: Capabilities

    @abstractmethod
    async def send(self, orders: Sequence[Order]) -> Sequence[Result]:
        """One attempt at 1 to ``max_batch`` orders; one result for each, in the same order.

        A refusal of one record for good is its ``Receipt`` with the status ``refused``; a failure of one that may pass
        is ``TryAgain``. Of the whole: raise ``AttemptFailedError`` for what may pass (no answer, no right to ask), with
        the wait that the channel wishes for; ``BatchRefusedError`` where it did nothing of a batch. Never lasts for
        long: each request has a deadline of its own.
        """

    async def collect(self) -> Sequence[tuple[str, Receipt]]:
        """Receipts that came later, with their order ids. Each is given again and again until ``settle`` names it.

        Raises as ``send`` does. Not called unless the sink ``answers_later``.
        """
        return []

    async def settle(self, order_ids: Collection[str]) -> None:  # noqa: B027  (most have nothing to forget)
        """The receipts of these orders stand on the log: they need not be given again. May name one twice."""

    def public(self) -> AsyncIterator[PublicRecord]:
        """Everything of the hub's that the channel says is public, in any order, each record once.

        Raises as ``send`` does. NotImplementedError unless the sink ``lists_public``.
        """
        raise NotImplementedError

    async def close(self) -> None:  # noqa: B027  (some hold nothing)
        """Releases what it holds; called once, last, in the loop."""


def fault_of(result: object, action: str) -> str | None:
    """What is wrong with the result of an order with this action; ``None`` if it is one that may be kept."""
    if not isinstance(result, Receipt):
        return None if isinstance(result, NotYet | TryAgain) else f"a result that is none: {type(result).__name__}"
    if result.status == REFUSED:
        return None if result.reason else "a refusal without a reason"
    if result.status not in STATUSES[action]:
        return f"a receipt that does not fit {action!r}"
    if result.received_at is not None and result.received_at.tzinfo is None:
        return "a receipt with a time without a zone"
    if result.public_reference is not None and len(result.public_reference) > MAX_REFERENCE:
        return "a receipt with too long a reference"
    return None


__all__ = [
    "MAX_REASON", "MAX_REFERENCE", "REFUSED", "STATUSES", "Action", "AttemptFailedError", "BatchRefusedError",
    "Capabilities", "NotYet", "Order", "PublicRecord", "Receipt", "Result", "Sink", "SinkContext", "TryAgain",
    "fault_of",
]
