"""The desk where a department's people hand in files of one source: a look first, then intake reads it.

A look is made beside the requests by one thread of the process, whoever asks first; it reads and compares, and
publishes nothing. To hand in is to put the file where the source's own connector reads it, in the process of intake:
with its ids, its turn, its guards and its list of problems.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import IO, NamedTuple

from hub.errors import InputError
from hub.intake.errors_file import write_errors
from hub.intake.problem_log import ProblemLog
from hub.intake.rows import LoggedProblem
from hub.intake.uploads.box import Upload, UploadBox, Verdict
from hub.intake.uploads.contract import UploadFiles
from hub.intake.uploads.look import Look, Looker
from hub.intake.uploads.mend import write_rows

#: Problems that a page shows; the list has all of them.
SHOWN = 100
#: So long a page waits for a look before it shows how far it is: a usual file is read within.
AT_ONCE_SECONDS = 1.5


class Progress(NamedTuple):
    """Bytes read so far, of a total that is 0 while it is not known."""

    done: int
    total: int


class UploadDesk:
    """Uploads of one source. Threads may share it. ``now`` gives aware UTC.

    ``looks`` is where looks are made, for all sources of a process: one at a time, so that pages keep answering.
    """

    def __init__(
        self, source: str, files: UploadFiles, looker: Looker, box: UploadBox, looks: ThreadPoolExecutor,
        now: Callable[[], datetime],
    ) -> None:
        self.source, self.titles = source, list(files.titles)
        self._files, self._looker, self._box, self._looks, self._now = files, looker, box, looks, now
        self._lock, self._running = threading.Lock(), dict[str, Future[Look]]()
        self._progress: dict[str, Progress] = {}

    def stage(self, name: str, content: IO[bytes], by: str) -> Upload:
        """Takes a file in, to be looked at. Raises Refusal for a name under which it would never be read, or none."""
        refusal = self._files.refusal_of_name(name)
        if refusal is not None:
            raise refusal
        self._box.sweep(self._now())
        return self._box.stage(name, content, by, self._now())

    def find(self, id_: str) -> Upload | None:
        return self._box.find(id_)

    def all(self) -> list[Upload]:
        """What is kept, the latest first."""
        return self._box.all()

    def look(self, upload: Upload, wait_seconds: float = 0.0) -> Look | Progress:
        """What a look shows, or how far it is. The first who asks begins it, after a restart as well."""
        kept = self._box.look_of(upload)
        if kept is not None:
            return Look(**kept)
        with self._lock:
            running = self._running.get(upload.id)
            if running is None:
                running = self._running[upload.id] = self._looks.submit(self._make, upload)
        try:
            return running.result(wait_seconds)
        except TimeoutError:
            return self._progress.get(upload.id, Progress(0, 0))

    def problems(self, upload: Upload) -> list[LoggedProblem]:
        """The first of those that the look found, SHOWN at most; values are masked."""
        return list(islice(self._logged(upload), SHOWN))

    def hand_in(self, upload: Upload, by: str) -> bool:
        """Hands it in; False if it was before. Raises InputError for a file that would be refused or holds nothing to
        take: then nothing is handed in."""
        look = self.look(upload, AT_ONCE_SECONDS)
        if isinstance(look, Progress):
            raise InputError(f"{upload.id}: it is still being looked at")
        if look.status == "refused" or not look.read:
            raise InputError(f"{upload.id}: no row of it can be taken")
        return self._box.hand_in(upload, by, self._now())

    def is_waiting(self, upload: Upload) -> bool:
        """Whether intake has it still to read."""
        return self._box.is_waiting(upload)

    def verdict(self, upload: Upload) -> Verdict | None:
        """What intake says of it, once it has read it."""
        return self._box.verdict(upload)

    def list_of_problems(self, upload: Upload) -> Path | None:
        """The list of problems as a file: that of intake, else that of the look; ``None`` where there are none."""
        verdict = self._box.verdict(upload)
        if verdict is not None:
            return verdict.errors
        look = self.look(upload)
        if isinstance(look, Progress) or not look.problems:
            return None
        return write_errors(self._box.path(upload), self._logged(upload), "xlsx", look.problems)

    def rows_to_mend(self, upload: Upload) -> Path | None:
        """The rejected rows in the sender's own columns, with everything in them; ``None`` where there are none.

        Raises Refusal.
        """
        target = self._box.folder_of(upload) / "mend.xlsx"
        return write_rows(target, self._files, self._box.path(upload), self._logged(upload))

    def _make(self, upload: Upload) -> Look:
        def told(done: int, total: int | None) -> None:
            self._progress[upload.id] = Progress(done, total or 0)

        log = ProblemLog(self._box.folder_of(upload), upload.id)
        try:
            found = self._looker.look(self._files.file(self._box.path(upload)), log, told)
            self._box.keep_look(upload, found.as_dict())
            return found
        finally:
            log.close()
            with self._lock:
                self._running.pop(upload.id, None)
            self._progress.pop(upload.id, None)

    def _logged(self, upload: Upload) -> Iterable[LoggedProblem]:
        log = ProblemLog(self._box.folder_of(upload), upload.id)
        try:
            yield from log.read()
        except FileNotFoundError:
            return
