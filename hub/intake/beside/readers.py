"""Processes that read beside the intake, as many as the machine has processors to spare."""

from __future__ import annotations

import fcntl
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog

from hub.domain.facts import FactRule
from hub.intake.beside.columns import PreparedElsewhere
from hub.intake.beside.messages import Ended, Job
from hub.intake.prepared import Prepared
from hub.intake.rows import Handle, Portion
from hub.intake.sources import SourceConfig

#: Rows from which on a process, whose start takes a second, is worth it.
_LEAST_ROWS = 50_000
#: Room between the two for a batch: one is taken while the next is made. As much as Linux gives to anybody.
_PIPE_BYTES = 1 << 20
_log = structlog.get_logger()


class ReaderLostError(Exception):
    """The process that read has ended without a word; what it gave is good."""


class Readers:
    """Shared by all sources of a process. ``root`` is the folder of the catalog; no more than ``most`` read at a
    time."""

    def __init__(self, root: Path, *, most: int | None = None, least_rows: int = _LEAST_ROWS) -> None:
        self.root, self.least_rows = root, least_rows
        spare = (os.process_cpu_count() if hasattr(os, "process_cpu_count") else os.cpu_count() or 1) - 1
        self.free = threading.Semaphore(max(spare, 0) if most is None else most)


class Beside:
    """Of one source; used by its thread."""

    def __init__(
        self, readers: Readers, config: SourceConfig, data_dir: Path, subject_secret: bytes,
        facts: Mapping[str, FactRule],
    ) -> None:
        self._readers, self._config, self._data_dir = readers, config, data_dir
        self._subject_secret, self._facts = subject_secret, dict(facts)

    def begin(self, portion: Portion, behind: int) -> Reading | None:
        """The portion behind its first ``behind`` rows, read by another process; ``None`` where that is not worth it,
        cannot be done, or no processor is to spare. Raises what opening the portion raises."""
        handle: Handle | None = portion.handle() if hasattr(portion, "handle") else None
        if handle is None or handle.rows - behind < self._readers.least_rows:
            return None
        job = Job(
            self._readers.root, self._config, self._data_dir, self._subject_secret, self._facts, handle.content, behind
        )
        try:
            said = pickle.dumps(job, pickle.HIGHEST_PROTOCOL)
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            # A connector of a file beside sources.yaml has settings that no other process can load.
            _log.info("portion is read here", source=self._config.name, portion=portion.name, reason=str(error))
            return None
        if not self._readers.free.acquire(blocking=False):
            return None
        try:
            return Reading(said, self._readers.free)
        except OSError as error:
            self._readers.free.release()
            _log.warning("no process to read beside", source=self._config.name, error=str(error))
            return None


class Reading:
    """One process; whoever has it calls ``close``. ``place`` is given back then."""

    def __init__(self, job: bytes, place: threading.Semaphore) -> None:
        self._place: threading.Semaphore | None = place
        path = os.pathsep.join(filter(None, sys.path))
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "hub.intake.beside.process"], env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        with suppress(OSError):  # then there is less room
            fcntl.fcntl(self._process.stdout, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._job = job

    def __iter__(self) -> Iterator[Prepared]:
        """Raises what ``Portion.batches`` raises, and ReaderLostError."""
        answers: Any = self._process.stdout
        try:
            assert self._process.stdin is not None
            with self._process.stdin as stdin:
                stdin.write(self._job)
        except OSError as error:
            raise ReaderLostError(self._end(error)) from error
        while True:
            try:
                answer = pickle.load(answers)  # noqa: S301  of a process that this one has started
            except (EOFError, pickle.UnpicklingError, OSError) as error:
                raise ReaderLostError(self._end(error)) from error
            if isinstance(answer, Ended):
                if answer.error is not None:
                    raise answer.error
                return
            yield PreparedElsewhere(answer)

    def close(self) -> None:
        """May be called twice."""
        if self._place is None:
            return
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):  # what is not written yet finds nobody
                    pipe.close()
        self._place.release()
        self._place = None

    def _end(self, error: BaseException) -> str:
        self.close()
        return f"{type(error).__name__}, exit code {self._process.returncode}"
