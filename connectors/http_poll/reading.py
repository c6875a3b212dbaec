"""One reading: page after page into a spool, from where the last one ended or a little before."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import structlog

from connectors.http_poll.client import Api, ApiError, GoneError, LaterError
from connectors.http_poll.page import read_page
from connectors.http_poll.records import RecordColumns
from connectors.http_poll.settings import HttpPollSettings
from hub.intake.mapping import RowMapping
from hub.intake.spool import CursorState, Spool, SpoolWriter, digest

#: Pages of one reading beyond are an interface that turns in circles under ever new cursors.
_MOST_PAGES = 100_000
_log = structlog.get_logger()


class Reading:
    """How far the interface has been read, and the reading of what is new. ``now`` is seconds since 1970.

    ``has_more`` and ``pause`` (seconds) say of the last ``take`` that it ended before the last page, and when the
    interface wants to be asked again.
    """

    def __init__(
        self, settings: HttpPollSettings, mapping: RowMapping, folder: Path, now: Callable[[], float] = time.time
    ) -> None:
        self._settings = settings
        self._mapping = mapping
        self._path = folder / "cursor.db"
        self._now = now
        self._opened: CursorState | None = None
        self.api = Api(settings)
        self.has_more = False
        self.pause = 0.0

    def take(self, path: Path) -> bool:
        """Reads into a spool; false if there is nothing new. What a page had is kept when a later one fails.

        :raises ApiError: when not even the first page came.
        """
        is_behind, self.has_more, self.pause = self.has_more, False, 0.0
        writer, columns = SpoolWriter(path), RecordColumns(self._mapping)
        try:
            return self._take(writer, columns, is_behind)
        finally:
            writer.drop()
            self.api.close()  # nothing is held open while what was read is told

    def _take(self, writer: SpoolWriter, columns: RecordColumns, is_behind: bool) -> bool:
        state, began = self._state(), self._now()
        # A look back may wait, what is new goes first: how far back it goes depends on the last one alone.
        looks_back = not is_behind and state.is_due(began)
        is_back = False
        cursor = (state.low if looks_back else state.high) or self._settings.start
        asked: set[str | None] = set()
        is_whole = False
        while not is_whole:
            if cursor in asked or len(asked) >= _MOST_PAGES:
                raise ApiError(
                    f"{self._settings.label}: 翻页没有尽头 / the pages have no end: page {len(asked)} names a cursor "
                    "that was asked for before; nothing of this reading is taken"
                )
            try:
                page = read_page(self.api.get(cursor), self._settings)
            except ApiError as error:
                if isinstance(error, GoneError) and not asked and cursor != self._settings.start:
                    # The window is out of reach then; or all is read anew, of which the hub knows what it was told.
                    _log.warning("the interface does not know a cursor any more", source=self._settings.label)
                    cursor = state.high if looks_back else self._settings.start
                    looks_back, is_back = False, looks_back
                    continue
                if not self._stop(error, is_first=not asked):
                    raise
                break
            asked.add(cursor)
            self._add(writer, columns, page.records)
            cursor = page.next or cursor
            is_whole = page.is_last
            # A look back goes to its end: half of it would have to be done again.
            if not is_whole and not looks_back and writer.rows >= self._settings.portion_rows:
                self.has_more = True
                break
        is_back = is_back or (looks_back and is_whole)
        high = state.high if looks_back and not is_whole else cursor
        if not writer.rows:
            if asked:
                state.advance(began, high, has_looked_back=is_back)
            return False
        writer.finish(
            columns=columns.names(), mapping=self._mapping.model_dump_json(), began=began, high=high,
            has_looked_back=is_back,
            name=f"{self._settings.label} {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(began))}",
        )  # fmt: skip
        return True

    def settle(self, spool: Spool) -> None:
        """Moves the cursor. The spool may go afterwards."""
        meta = spool.meta
        self._state().advance(
            meta["began"], meta["high"], has_looked_back=meta["has_looked_back"], told=spool.path
        )

    def close(self) -> None:
        """May be called twice."""
        self.api.close()
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def _stop(self, error: ApiError, *, is_first: bool) -> bool:
        """Whether a failure ends the reading in order: it comes behind pages that are kept, or it is a wish to be
        left alone for a while, which is no failure."""
        if isinstance(error, LaterError):
            self.pause, self.has_more = max(error.seconds, 0.001), True
        elif is_first:
            return False
        else:
            self.has_more = True
        _log.warning("the reading ends early", source=self._settings.label, reason=str(error))
        return True

    def _add(self, writer: SpoolWriter, columns: RecordColumns, records: list[object]) -> None:
        """Those that are not just as they were told."""
        lines = [columns.line(record) for record in records]
        told = self._state().is_told([(key, digest(line)) for line, key in lines])
        fresh = [entry for entry, is_told in zip(lines, told, strict=True) if not is_told]
        writer.add([line for line, _ in fresh], keys=[key for _, key in fresh])

    def _state(self) -> CursorState:
        if self._opened is None:
            # The last page is read again and again: what was told of it has to be known.
            self._opened = CursorState(self._path, self._settings.overlap_seconds, keeps=True)
        return self._opened
