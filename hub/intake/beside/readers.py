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

import structlog

from hub.domain.facts import FactRule
from hub.intake.beside.columns import Columns
from hub.intake.beside.messages import Ended, Job, Setup
from hub.intake.rows import Handle, Portion
from hub.intake.sources import SourceConfig

#: Rows from which on a process, whose start takes a second, is worth it.
_LEAST_ROWS = 50_000
#: Room between the two for a batch: one is taken while the next is made. As much as Linux gives to anybody.
_PIPE_BYTES = 1 << 20
#: An answer that is cut off, or one of a build that was exchanged meanwhile.
_UNREAD = (EOFError, OSError, pickle.UnpicklingError, AttributeError, ImportError, TypeError)
_log = structlog.get_logger()


def same_modules() -> dict[str, str]:
    """The environment of a process of Python that finds the modules which this one finds."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


class ReaderLostError(Exception):
    """The process that read has ended without a word; what it gave is good."""


class Readers:
    """Shared by all sources of a process. ``root`` is the folder of the catalog; no more than ``most`` read at a time,
    by default one less than there are processors."""

    def __init__(self, root: Path, *, most: int | None = None, least_rows: int = _LEAST_ROWS) -> None:
        self.root, self.least_rows = root, least_rows
        self.free = threading.Semaphore(len(os.sched_getaffinity(0)) - 1 if most is None else most)


class Beside:
    """Of one source; used by its thread. A process that has read a portion to its end reads the next one too, until
    ``rest`` is called."""

    def __init__(
        self, readers: Readers, config: SourceConfig, data_dir: Path, subject_secret: bytes,
        facts: Mapping[str, FactRule],
    ) -> None:
        self._readers, self._config = readers, config
        self._means = (data_dir, subject_secret, dict(facts))
        self._process: ReaderProcess | None = None

    def begin(self, portion: Portion, behind: int) -> Reading | None:
        """The portion behind its first ``behind`` rows, read by another process; ``None`` where that is not worth it,
        cannot be done, or no processor is to spare. Raises what opening the portion raises."""
        handle: Handle | None = portion.handle() if hasattr(portion, "handle") else None
        if handle is None or handle.rows - behind < self._readers.least_rows:
            return None
        if self._process is None or not self._process.is_idle:
            self._process = self._start()
        return None if self._process is None else Reading(self._process, Job(handle.content, behind))

    def rest(self) -> None:
        """Nothing is read for now. May be called twice."""
        if self._process is not None:
            self._process.close()
            self._process = None

    def _start(self) -> ReaderProcess | None:
        config = self._config
        try:
            said = pickle.dumps(config, pickle.HIGHEST_PROTOCOL)
        except (pickle.PicklingError, TypeError, AttributeError) as error:  # settings of a connector's own kind
            _log.info("large portions are read here", source=config.name, reason=str(error))
            return None
        setup = Setup(self._readers.root, config.connector, config.base, said, *self._means)
        if not self._readers.free.acquire(blocking=False):
            return None
        try:
            return ReaderProcess(pickle.dumps(setup, pickle.HIGHEST_PROTOCOL), self._readers.free)
        except OSError as error:
            self._readers.free.release()
            _log.warning("no process to read beside", source=config.name, error=str(error))
            return None


class ReaderProcess:
    """Whoever has it calls ``close``; ``place`` is given back then. ``is_idle`` while it could be asked."""

    def __init__(self, setup: bytes, place: threading.Semaphore) -> None:
        self._place: threading.Semaphore | None = place
        self.is_idle = True
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "hub.intake.beside.process"], env=same_modules(),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._asked, self._answers = self._process.stdin, self._process.stdout
        with suppress(OSError):  # then there is less room
            fcntl.fcntl(self._answers.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._said = setup

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, job: Job) -> None:
        """Raises ReaderLostError."""
        self.is_idle = False
        try:
            self._asked.write(self._said + pickle.dumps(job, pickle.HIGHEST_PROTOCOL))
            self._asked.flush()
        except OSError as error:
            raise self._lost(error) from error
        self._said = b""

    def answer(self) -> Columns | Ended:
        """The next one. Raises ReaderLostError."""
        try:
            found: Columns | Ended = pickle.load(self._answers)  # noqa: S301  of a process that this one has started
        except _UNREAD as error:
            raise self._lost(error) from error
        self.is_idle = isinstance(found, Ended)
        return found

    def close(self) -> None:
        """May be called twice."""
        self.is_idle = False
        if self._place is None:
            return
        self._process.kill()
        self._process.wait()
        for pipe in (self._asked, self._answers):
            with suppress(OSError):  # what is not written yet finds nobody
                pipe.close()
        self._place.release()
        self._place = None

    def _lost(self, error: BaseException) -> ReaderLostError:
        self.close()
        return ReaderLostError(f"{type(error).__name__}, exit code {self._process.returncode}")


class Reading:
    """One portion; whoever has it calls ``close``, which ends the process of a portion that is not at its end."""

    def __init__(self, process: ReaderProcess, job: Job) -> None:
        self.process, self._job = process, job

    def __iter__(self) -> Iterator[Columns]:
        """Raises what ``Portion.batches`` raises, and ReaderLostError."""
        self.process.ask(self._job)
        while not isinstance(answer := self.process.answer(), Ended):
            yield answer
        if answer.error is not None:
            raise answer.error

    def close(self) -> None:
        if not self.process.is_idle:
            self.process.close()
