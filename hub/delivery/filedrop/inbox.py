"""The department's inbox: which files have come whole, and where they go when they were read."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import structlog

from hub.delivery.filedrop.layout import Layout, package_of, replace_whole, sync
from hub.delivery.filedrop.results import Result, write_result
from hub.delivery.filedrop.tables import MAX_BYTES

MAX_SIGNATURE_BYTES = 16_384
#: Files looked at, and bytes read, in one go; what is beyond has its turn next time.
_MAX_FILES, _MAX_READ = 1000, 4 * MAX_BYTES
#: Being written, or open in Excel or WPS.
_OPEN = "~$"
_UNFINISHED_STARTS, _UNFINISHED_ENDS = (".", _OPEN), (".tmp", ".part", ".crdownload", ".filepart")
#: So long a file ``~$…`` says that its workbook is open somewhere: longer than a day at the office. Excel writes it
#: when it opens a workbook and removes it when it closes it; an older one was left by a program that crashed.
OPEN_FOR = timedelta(hours=12)
_log = structlog.get_logger()


class Timing(NamedTuple):
    """How often is looked, how long a file has to keep still, how long its signature may come after it; seconds.

    File servers note the time of a copy under way only every two seconds or so.
    """

    look_seconds: float = 2.0
    settle_seconds: float = 5.0
    signature_seconds: float = 60.0


class Stamp(NamedTuple):
    size: int
    modified: int


class Letter(NamedTuple):
    """A file that has settled; ``content`` is ``None`` if it is too large to be read."""

    name: str
    stamp: Stamp
    content: bytes | None
    signature: bytes | None
    age_seconds: float


class Inbox:
    """The inbox of one subscription, used by one thread at a time. ``now`` gives aware UTC, ``monotonic`` seconds."""

    def __init__(
        self, layout: Layout, now: Callable[[], datetime], timing: Timing,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._layout, self._now, self._timing, self._monotonic = layout, now, timing, monotonic
        self._seen: dict[str, tuple[Stamp, float]] = {}
        #: Of which it was said that they are open somewhere.
        self._said: set[str] = set()

    def collect(self) -> list[Letter]:
        """The files that have kept still for long enough, the oldest first."""
        self._layout.prepare()
        with os.scandir(self._layout.inbox) as entries:
            names = sorted(entry.name for _, entry in zip(range(_MAX_FILES), entries, strict=False))
        stamps = {name: stamp for name in names if (stamp := self._stamp(name)) is not None}
        clock = self._monotonic()
        seen = self._seen
        self._seen = {
            name: seen[name] if name in seen and seen[name][0] == stamp else (stamp, clock)
            for name, stamp in stamps.items()
        }
        opened = {name for name in names if name.startswith(_OPEN) and self._is_recent(name)}
        held = {name for name in stamps if not opened.isdisjoint((_OPEN + name, _OPEN + name[2:]))}
        self._said &= held
        found: list[Letter] = []
        read = 0
        for name, (stamp, since) in sorted(self._seen.items(), key=lambda item: item[1][0].modified):
            if name.endswith(".sig") or clock - since < self._timing.settle_seconds:
                continue
            if name in held:
                self._say_open(name)
                continue
            signature = f"{name}.sig"
            if signature in self._seen and clock - self._seen[signature][1] < self._timing.settle_seconds:
                continue
            read += stamp.size if stamp.size <= MAX_BYTES else 0
            if read > _MAX_READ:
                break
            try:
                content = self._content(name, MAX_BYTES) if stamp.size <= MAX_BYTES else None
                signed = self._content(signature, MAX_SIGNATURE_BYTES) if signature in self._seen else None
            except OSError as error:
                # Taken back just now, or not the hub's to read: the others have their turn all the same.
                _log.warning("filedrop.unreadable", subscription=self._layout.subscription, error=error.strerror)
                continue
            found.append(Letter(name, stamp, content, signed, clock - since))
        return found

    def _stamp(self, name: str) -> Stamp | None:
        """Size and time of a plain file that is not being written; ``None`` for anything else."""
        if name.startswith(_UNFINISHED_STARTS) or name.lower().endswith(_UNFINISHED_ENDS):
            return None
        try:
            # A link could lead anywhere, a pipe would hold up whoever opens it.
            state = os.stat(self._layout.inbox / name, follow_symlinks=False)
        except OSError:
            return None
        return Stamp(state.st_size, state.st_mtime_ns) if stat.S_ISREG(state.st_mode) else None

    def _is_recent(self, name: str) -> bool:
        """Whether a file ``~$…`` is of a program that runs. The clock of a share may be off to either side."""
        try:
            changed = os.stat(self._layout.inbox / name, follow_symlinks=False).st_mtime
        except OSError:
            return False
        return abs(self._now().timestamp() - changed) < OPEN_FOR.total_seconds()

    def _say_open(self, name: str) -> None:
        if name not in self._said:
            self._said.add(name)
            _log.info(
                "filedrop.open_elsewhere", subscription=self._layout.subscription,
                package=package_of(name), longest_hours=OPEN_FOR / timedelta(hours=1),
            )

    def _content(self, name: str, most: int) -> bytes:
        handle = os.open(self._layout.inbox / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as file:
            return file.read(most + 1)

    def finish(self, letter: Letter, result: Result) -> None:
        """Writes the result, then moves the file and its signature; in a thread. Raises OSError."""
        name, content = write_result(result)
        replace_whole(self._layout.results / name, content)
        if self._stamp(letter.name) != letter.stamp:
            return  # another file has come under its name, to be read in its turn
        for each in (letter.name, f"{letter.name}.sig"):
            target = self._free(self._layout.done / each)
            try:
                os.rename(self._layout.inbox / each, target)
            except FileNotFoundError:
                continue  # there is no signature, or the department took the file back
        sync(self._layout.done)

    def _free(self, path: Path) -> Path:
        """``path``, or one beside it where a file of that name is there already."""
        if not path.exists():
            return path
        at = self._now().strftime("%Y%m%d%H%M%S%f")
        return path.with_name(f"{path.stem[:200]}.{at}{path.suffix}")
