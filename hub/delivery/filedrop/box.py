"""The transport of a department without a server: notices gathered into packages, until somebody says what of them.

Each notice is one attempt of the engine, which lasts until the department acknowledges or refuses it, as with a
department that fetches: order, receipts, parking, release and takeover are those of every other way.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import structlog

from hub.bus.outlet import AttemptFailedError
from hub.delivery.filedrop.columns import Columns
from hub.delivery.filedrop.layout import MANIFEST, Layout, write_whole
from hub.delivery.filedrop.ledger import Held, Ledger, Outcome, Verdict
from hub.delivery.filedrop.package import Notice, TableForm, build, name_of
from hub.delivery.receipts import Sent
from hub.delivery.transport import Taken, WithdrawnError
from hub.domain.webhook import SIGNATURE_HEADER, SigningKey, sign
from hub.errors import HubError, OutletError

#: Notices that are offered at a time, each of another subject.
MAX_OFFERED = 4000
_MAX_REASON = 300
_SHANGHAI = ZoneInfo("Asia/Shanghai")
_log = structlog.get_logger()


class Packing(NamedTuple):
    """When a package is closed: so long after its first notice, or when it holds so many or so much of bodies."""

    window_seconds: float = 30.0
    max_notices: int = 500
    max_bytes: int = 4 * 1024 * 1024
    form: TableForm = "xlsx"


class _Offer:
    __slots__ = ("body", "digest", "end", "package")

    def __init__(self, body: bytes, end: asyncio.Future[Taken]) -> None:
        self.body, self.end = body, end
        self.digest = hashlib.sha256(body).hexdigest()
        self.package: str | None = None


class FileBox:
    """The transport of one subscription, in one event loop. ``now`` gives aware UTC.

    ``root`` is the folder of the whole file drop and has to be there. Whoever makes the box holds the lock of the
    subscription while it is used (see ``Layout.lock``). ``on_written`` is called when the folder took a package, or
    showed one that it holds: an attempt ends days later and cannot tell whether the folder is well.
    """

    max_concurrent = MAX_OFFERED
    address = ""

    def __init__(
        self, subscription: str, root: Path, columns: Columns, now: Callable[[], datetime], *,
        packing: Packing | None = None, monotonic: Callable[[], float] = time.monotonic,
        on_written: Callable[[], None] = lambda: None,
    ) -> None:
        self.subscription, self._columns, self._now = subscription, columns, now
        self._packing, self._monotonic, self._on_written = packing or Packing(), monotonic, on_written
        self.layout = Layout(root, subscription)
        self.ledger = Ledger(self.layout, subscription)
        self.keys: Sequence[SigningKey] = ()
        self._offers: dict[str, _Offer] = {}
        self._fresh: dict[str, _Offer] = {}
        self._news = asyncio.Event()
        self._opening: asyncio.Lock | None = None
        self._is_open = False
        self._gathering: asyncio.Task[None] | None = None
        #: Refused notices that the engine was told of; see ``settle``.
        self._told: set[str] = set()
        self._log = _log.bind(subscription=subscription)

    async def open(self) -> None:
        """Reads the folder back, once. Raises OSError while that is not possible."""
        self._opening = self._opening or asyncio.Lock()
        async with self._opening:
            if not self._is_open:
                await asyncio.to_thread(self.ledger.open)
                self._is_open = True

    # -- the engine's side ----------------------------------------------------------------------

    async def attempt(self, notice_id: str, body: bytes, traceparent: str | None) -> Taken:
        """Offers a notice until the department acknowledges or refuses it, or it is called off (WithdrawnError).

        Raises AttemptFailedError if its package cannot be written now.
        """
        offer = self._offers[notice_id] = _Offer(body, asyncio.get_running_loop().create_future())
        try:
            try:
                await self.open()
            except OSError as error:
                raise _failed(error) from error
            if not self._attach(notice_id, offer):
                self._fresh[notice_id] = offer
                self._news.set()
                if self._gathering is None or self._gathering.done():
                    self._gathering = asyncio.get_running_loop().create_task(self._gather())
            return await offer.end
        finally:
            # Another attempt for the same notice may have begun: what is there is removed by its own.
            for offers in (self._offers, self._fresh):
                if offers.get(notice_id) is offer:
                    del offers[notice_id]

    async def prepare(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """What is offered is made when it is asked for."""

    def call_off(self) -> None:
        """Ends all offers: their partitions go to somebody else, who finds them in the folder."""
        for offer in self._offers.values():
            if not offer.end.done():
                offer.end.set_exception(WithdrawnError("no longer offered here"))
        # Whether the engine got what it was told onto the log is not known: it is told again.
        self._told.clear()

    async def close(self) -> None:
        self.call_off()
        if self._gathering is not None:
            self._gathering.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._gathering

    def _attach(self, notice_id: str, offer: _Offer) -> bool:
        """Whether a package carries the notice already; if the department has spoken of it, that ends the offer."""
        held = self.ledger.find(notice_id, offer.digest)
        if held is None:
            return False
        offer.package = held.sent.file
        self._on_written()
        if held.verdict is not None:
            self._end(notice_id, offer, held)
        return True

    def _end(self, notice_id: str, offer: _Offer, held: Held) -> None:
        verdict = held.verdict
        if verdict is None or offer.end.done():
            return
        reason = None
        if not verdict.is_received:
            reason = f"refused by the department: {verdict.reason or ''}"[:_MAX_REASON]
            self._told.add(notice_id)
        offer.end.set_result(Taken(None, verdict.is_received, held.sent, reason))

    # -- the department's side --------------------------------------------------------------------

    async def judge(self, package: str, verdicts: Mapping[str, Verdict]) -> dict[str, Outcome]:
        """What the department says of notices of a package; when this returns, the engine has been told.

        On disk first: a kill does not take back what was said. Raises OSError, and then nothing was noted.
        """
        outcomes = await asyncio.to_thread(self.ledger.say, package, verdicts, self._now())
        ending: dict[str, _Offer] = {}
        for notice_id, outcome in outcomes.items():
            offer = self._offers.get(notice_id)
            if offer is None or outcome == "unknown" or offer.package != package:
                continue
            held = self.ledger.find(notice_id, offer.digest)
            if held is not None:
                self._end(notice_id, offer, held)
                ending[notice_id] = offer
        # The engine goes on in tasks of its own, which have their turn now.
        while any(self._offers.get(notice_id) is offer for notice_id, offer in ending.items()):
            await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        return outcomes

    @property
    def told(self) -> frozenset[str]:
        """Refused notices whose parking is to be made sure of before ``settle``."""
        return frozenset(self._told)

    async def settle(self, notice_ids: frozenset[str]) -> None:
        """The parking of these is safe on the log, unless they were called off meanwhile. Raises OSError."""
        settled = notice_ids & self._told
        await asyncio.to_thread(self.ledger.settle, settled)
        self._told -= settled

    # -- packages -------------------------------------------------------------------------------

    async def _gather(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            if not self._fresh:
                continue
            await self._fill()
            while batch := self._take():
                await self._write(batch)
                if not self._is_full():
                    break
            if self._fresh:
                self._news.set()

    async def _fill(self) -> None:
        until = self._monotonic() + self._packing.window_seconds
        while not self._is_full() and (left := until - self._monotonic()) > 0:
            try:
                await asyncio.wait_for(self._news.wait(), left)
            except TimeoutError:
                return
            self._news.clear()

    def _is_full(self) -> bool:
        size = sum(len(offer.body) for offer in self._fresh.values())
        return len(self._fresh) >= self._packing.max_notices or size >= self._packing.max_bytes

    def _take(self) -> dict[str, _Offer]:
        """The next package's offers. What a package carries by now is left to it."""
        batch: dict[str, _Offer] = {}
        size = 0
        for notice_id, offer in list(self._fresh.items()):
            if offer.end.done() or self._attach(notice_id, offer):
                del self._fresh[notice_id]
                continue
            if batch and (len(batch) >= self._packing.max_notices or size + len(offer.body) > self._packing.max_bytes):
                break
            del self._fresh[notice_id]
            batch[notice_id] = offer
            size += len(offer.body)
        return batch

    async def _write(self, batch: Mapping[str, _Offer]) -> None:
        bodies = {notice_id: offer.body for notice_id, offer in batch.items()}
        try:
            package = await asyncio.to_thread(self._put_out, bodies)
        except Exception as error:
            # Whatever it is, the offers must not wait for a package that never comes.
            failed = _failed(error)
            self._log.warning("filedrop.not_written", notices=len(batch), error=str(failed))
            for offer in batch.values():
                if not offer.end.done():
                    offer.end.set_exception(failed)
            return
        self._log.info("filedrop.written", package=package, notices=len(batch))
        for notice_id, offer in batch.items():
            self._attach(notice_id, offer)

    def _put_out(self, bodies: Mapping[str, bytes]) -> str:
        """Writes one package; in a thread. Raises OSError or OutletError, and then nothing of it is there."""
        self.layout.prepare()
        at, keys = self._now().replace(microsecond=0), list(self.keys)
        if not keys:
            raise OutletError("no key signs")
        base = name = name_of(self.subscription, list(bodies), at.astimezone(_SHANGHAI))
        number = 2
        while self.ledger.knows(name) or (self.layout.outbox / (name + MANIFEST)).exists():
            name, number = f"{base}-{number}", number + 1
        notices, sent = [], {}
        for notice_id, body in bodies.items():
            headers = sign(keys, notice_id, at, body)
            notices.append(Notice(notice_id, headers, body))
            sent[notice_id] = Sent(hashlib.sha256(body).hexdigest(), at, headers[SIGNATURE_HEADER], name)
        files = build(name, self.subscription, notices, at, keys, self._columns, self._packing.form)
        # The ledger goes before: what is in the folder without it is cleared away at the next start.
        self.ledger.begin(name, sent, at)
        try:
            write_whole(self.layout.outbox, files)
        except BaseException:
            self.ledger.forget(name)
            raise
        self.ledger.is_out(name)
        return name


def _failed(error: Exception) -> AttemptFailedError:
    if isinstance(error, OSError):
        return AttemptFailedError(f"the folder takes no file: {error.strerror or type(error).__name__}")
    if isinstance(error, HubError):
        return AttemptFailedError(str(error))
    return AttemptFailedError(f"fault of the hub: {type(error).__name__}")
