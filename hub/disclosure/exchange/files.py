"""Batches as files in one folder, receipts as files in another: the common part of such sinks.

``folder/out`` takes a batch as one file, whole or not at all; whoever reads it takes it away. ``folder/in`` is where
receipt files arrive. What was read goes to ``in/done``, what could not be used, or not all of it, to ``in/rejected``
with a text beside it that says why. Neither ``out`` nor ``in`` is made here: a network folder that is not mounted must
not turn into a local one.
"""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import structlog

from hub.bus.outlet import AttemptFailedError
from hub.disclosure.exchange.batches import Batch, Draft
from hub.disclosure.exchange.ledger import NOT_OPEN, Ledger
from hub.disclosure.exchange.standing import Change
from hub.disclosure.exchange.whole import write_whole
from hub.disclosure.sink import REFUSED, NotYet, Order, Receipt, Result
from hub.errors import InputError

#: Far above any receipt file; beyond it somebody put something else there.
MAX_RECEIPT_BYTES = 64 * 1024 * 1024
UNUSED = "Nothing of this file was used; its rows wait for a receipt that can be."
_log = structlog.get_logger()


class ReceiptFileError(InputError):
    """A receipt file that cannot be used."""


class IncompleteFileError(ReceiptFileError):
    """A receipt file that ends too early."""


@dataclass(frozen=True, slots=True)
class RowAnswer:
    """What a receipt file says of one row. ``status`` ``None``: the channel did what the row asks for."""

    order_id: str
    status: str | None = None
    reason: str | None = None
    reference: str | None = None
    received_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ReceiptFile:
    """A receipt file: the name of the batch file that it answers, and its rows; perhaps not all of the batch.

    ``faults`` are rows that say nothing readable, each as one sentence.
    """

    batch: str
    answers: Sequence[RowAnswer]
    faults: Sequence[str] = ()


class FileFormat(ABC):
    """How a channel's files look. Knows nothing of folders."""

    def refusal(self, order: Order, change: Change) -> str | None:
        """Why the channel's format cannot hold this record for good; ``None`` if it can."""
        return None

    def group(self, order: Order) -> str:
        """Orders of one group share files."""
        return ""

    def reference(self, order: Order) -> str | None:
        """Under what the public finds the record, where the receipt does not say it."""
        return None

    @abstractmethod
    def write(self, draft: Draft) -> tuple[str, bytes]:
        """Name and bytes of the batch file; the same for the same draft. All its rows are of one group."""

    @abstractmethod
    def read(self, content: bytes) -> ReceiptFile:
        """Raises ReceiptFileError, and IncompleteFileError if the end is missing."""


class FileExchange:
    """One channel's folders. All calls block; they may come from several threads.

    ``resend_after``: a batch without an answer for so long is put there once more, under the same name, as its
    receipt may have been lost. ``settle_seconds``: a receipt file must have kept still for so long before it is read.
    """

    def __init__(
        self, channel: str, folder: Path, ledger: Ledger, form: FileFormat, now: Callable[[], datetime], *,
        resend_after: timedelta, settle_seconds: float,
    ) -> None:
        self._out, self._in = folder / "out", folder / "in"
        self._ledger, self._form, self._now = ledger, form, now
        self._resend_after, self._settle_seconds = resend_after, settle_seconds
        self._log = _log.bind(channel=channel)

    def send(self, orders: Sequence[Order]) -> list[Result]:
        """Raises AttemptFailedError when a folder is not there or cannot be written."""
        self._check_folders()
        found = self._ledger.sort(orders)
        results: dict[str, Result] = dict(found.receipts)
        groups: dict[str, list[tuple[Order, Change]]] = {}
        for order, change in found.rows:
            reason = self._form.refusal(order, change)
            if reason is not None:
                results[order.order_id] = Receipt(REFUSED, reason=reason)
            else:
                groups.setdefault(self._form.group(order), []).append((order, change))
        for rows in groups.values():
            self._ledger.enter(rows, self._now(), self._form.write, self._form.reference)
        self._put(self._ledger.unsent())
        return [results.get(order.order_id, NotYet()) for order in orders]

    def collect(self) -> list[tuple[str, Receipt]]:
        """Raises AttemptFailedError as ``send`` does."""
        self._check_folders()
        for path in self._arrived():
            try:
                self._take(path)
            except OSError as error:
                # It may be gone, or not ours to move: the others are read all the same.
                self._log.warning("exchange.not_read", file=path.name, error=error.strerror)
        self._put(self._ledger.unsent(self._now() - self._resend_after))
        return self._ledger.answers()

    def _check_folders(self) -> None:
        for folder in (self._out, self._in):
            if not folder.is_dir():
                raise AttemptFailedError(f"the folder {folder} is not there", is_unreachable=True)

    def _put(self, batches: Sequence[Batch]) -> None:
        for batch in batches:
            path = self._out / batch.name
            try:
                if not path.exists():
                    write_whole(path, batch.content)
            except OSError as error:
                raise AttemptFailedError(f"{path}: {error.strerror}", is_unreachable=True) from error
            self._ledger.note_sent(batch.name, self._now())

    # -- receipts -------------------------------------------------------------------------------

    def _arrived(self) -> Iterator[Path]:
        before = time.time() - self._settle_seconds
        try:
            found = sorted(each.name for each in os.scandir(self._in) if each.is_file(follow_symlinks=False)
                           and not each.name.startswith(".") and each.stat().st_mtime <= before)
        except OSError as error:
            raise AttemptFailedError(f"{self._in}: {error.strerror}", is_unreachable=True) from error
        yield from (self._in / name for name in found)

    def _take(self, path: Path) -> None:
        try:
            if path.stat().st_size > MAX_RECEIPT_BYTES:
                raise ReceiptFileError(f"larger than {MAX_RECEIPT_BYTES} bytes")
            problems = self._take_answers(self._form.read(path.read_bytes()))
        except ReceiptFileError as error:
            problems = [str(error), UNUSED]
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            # A format that does not see through a file must not hold up those behind it.
            problems = [f"it cannot be read ({type(error).__name__})", UNUSED]
        if not problems:
            self._move(path, "done")
            return
        text = "\n".join([f"{path.name}:", *(f"  {problem}" for problem in problems), ""])
        moved = self._move(path, "rejected")
        write_whole(moved.with_name(f"{moved.name}.why.txt"), text.encode())
        self._log.warning("exchange.receipt_file_rejected", file=path.name, problems=problems[:5])

    def _take_answers(self, found: ReceiptFile) -> list[str]:
        if not self._ledger.knows(found.batch):
            return [f"it answers {found.batch!r}, which is no batch of this channel"]
        problems = list(found.faults)
        doubled = 0
        for answer in found.answers:
            problem = self._ledger.answer(
                answer.order_id, answer.status, reason=answer.reason, reference=answer.reference,
                received_at=answer.received_at, batch=found.batch,
            )
            doubled += problem == NOT_OPEN
            if problem is not None:
                problems.append(f"row {answer.order_id}: {problem}")
        if found.answers and doubled == len(found.answers) == len(problems):
            return [f"a second receipt for {found.batch}: all its rows were answered before, the first answers count"]
        return problems

    def _move(self, path: Path, to: str) -> Path:
        """Where it is then; of two with one name neither is lost."""
        folder = self._in / to
        folder.mkdir(exist_ok=True)
        target, number = folder / path.name, 1
        while target.exists():
            number += 1
            target = folder / f"{path.stem}~{number}{path.suffix}"
        os.rename(path, target)
        return target
