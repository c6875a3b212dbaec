"""The sink of a government website: records become pages, at once."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Sequence
from datetime import datetime

from connectors.government_website.entry import Entry, entry_of
from connectors.government_website.pages import describe, render
from connectors.government_website.settings import WebsiteSettings
from connectors.government_website.site import Look, Site, read_entries
from hub.disclosure import (
    AttemptFailedError,
    Capabilities,
    Change,
    Order,
    PublicRecord,
    Receipt,
    Result,
    Sink,
    SinkContext,
    change_of,
)

#: What the page of a withdrawn record says where the order gives no reason.
NO_REASON = "依法撤下"


class GovernmentWebsite(Sink):
    """Writes the pages of a folder that a web server serves. One process of the hub serves a channel."""

    Settings = WebsiteSettings

    def __init__(self, context: SinkContext) -> None:
        self._settings: WebsiteSettings = context.settings
        self._context, self._root = context, self._settings.folder
        self._url = self._settings.url.rstrip("/")
        self._look = Look(
            self._settings.site_title, self._url, self._settings.feed_entries, self._settings.list_entries
        )
        self._site: Site | None = None
        self._handle: int | None = None
        self._turn = asyncio.Lock()
        self.capabilities = Capabilities(max_batch=self._settings.max_batch, max_concurrent=1, lists_public=True)

    async def send(self, orders: Sequence[Order]) -> Sequence[Result]:
        async with self._turn:
            return await asyncio.to_thread(self._send, orders)

    async def public(self) -> AsyncIterator[PublicRecord]:
        for entry in await asyncio.to_thread(self._read):
            yield PublicRecord(
                entry.correlation_id, entry.sequence, entry.subject, f"{self._url}/{entry.path}",
                datetime.fromisoformat(entry.updated_at),
            )

    def _read(self) -> list[Entry]:
        self._check_folder()
        try:
            return [entry for entry in read_entries(self._root) if entry.is_public]
        except OSError as error:
            raise AttemptFailedError(f"{error.filename}: {error.strerror}", is_unreachable=True) from error

    def _check_folder(self) -> None:
        if not self._root.is_dir():
            raise AttemptFailedError(f"the folder {self._root} is not there", is_unreachable=True)

    def _send(self, orders: Sequence[Order]) -> list[Result]:
        self._check_folder()
        try:
            site = self._site = self._trusted(orders) or self._open()
            return self._write(site, orders)
        except OSError as error:
            # What is on disk may be ahead of what we know of it.
            self._site = None
            raise AttemptFailedError(f"{error.filename}: {error.strerror}", is_unreachable=True) from error

    def _trusted(self, orders: Sequence[Order]) -> Site | None:
        """The site as we know it, unless a record that is asked for again is not there as we know it."""
        site = self._site
        if site is None or all(site.is_as_known(order.correlation_id) for order in orders if order.is_reissued):
            return site
        # Perhaps a backup of all of it was put back: what we know is worth nothing, what follows from it neither.
        site.doubt()
        return None

    def _open(self) -> Site:
        self._lock()
        site = Site(self._root, self._context.folder / "site.json", self._look)
        site.open()
        return site

    def _lock(self) -> None:
        """Two that write one site would not know of each other's pages. A process that is killed lets go of it."""
        if self._handle is not None:
            return
        self._context.folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(self._context.folder / "site.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise AttemptFailedError("another process writes this site", is_unreachable=True) from None
        self._handle = handle

    async def close(self) -> None:
        async with self._turn:
            if self._handle is not None:
                os.close(self._handle)
            self._handle = None

    def _write(self, site: Site, orders: Sequence[Order]) -> list[Result]:
        pages: list[tuple[Entry, bytes]] = []
        results: list[Result] = []
        for order in orders:
            before = site.entries.get(order.correlation_id)
            change = change_of(order, before.standing if before else None)
            is_later_withdrawal = (
                order.action == "withdraw" and before is not None and order.sequence > before.sequence
            )
            if change is not None or is_later_withdrawal:
                entry = entry_of(order, before, self._context.now(), NO_REASON)
                pages.append((entry, self._page(entry, order)))
            results.append(self._receipt(order, before, change, pages[-1][0] if change else before))
        if pages:
            site.write(pages)
        return results

    def _receipt(self, order: Order, before: Entry | None, change: Change | None, after: Entry | None) -> Receipt:
        reference = f"{self._url}/{after.path}" if after is not None and after.is_public else None
        if before is not None and before.order_id == order.order_id:
            return Receipt(_first_status(before), reference, None, datetime.fromisoformat(before.updated_at))
        if change is None or (change is Change.DELETE and before is None):
            return Receipt("unchanged", reference)
        return Receipt(change.status, reference, None, self._context.now())

    def _page(self, entry: Entry, order: Order) -> bytes:
        given = {"site": self._look, "root": "../../", "entry": entry}
        if not entry.is_public:
            return render("gone.html", **given)
        lines = describe(order.content, self._context.fields(order.kind), self._context.codes)
        return render("record.html", **given, lines=lines)


def _first_status(entry: Entry) -> str:
    """What the order that made the page was answered: it comes again after a kill."""
    if not entry.is_public:
        return "withdrawn" if entry.first_published_at is not None else "unchanged"
    return "published" if entry.updated_at == entry.first_published_at else "replaced"
