"""The problems of one portion of work while it is read: a file of lines, continued after a kill.

The position of the portion says how long the file was when its last batch was safe. What lies behind
was written for rows that are going to be read again, and is cut off.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from hub.intake.rows import LoggedProblem, Place, Problem


class ProblemLog:
    """One portion's log. Values in it are masked already."""

    def __init__(self, folder: Path, identity: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        name = hashlib.blake2b(identity.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
        self._path = folder / f"{name}.problems.jsonl"
        self._file: BinaryIO | None = None
        self.length = 0

    def resume(self, length: int) -> bool:
        """Opens the log at that length in bytes. False if less is there: then the portion is to be
        read from its start, and the log is empty."""
        self._file = self._path.open("r+b" if self._path.exists() else "w+b")
        is_whole = self._file.seek(0, os.SEEK_END) >= length
        self.length = length if is_whole else 0
        self._file.truncate(self.length)
        self._file.seek(self.length)
        return is_whole

    def append(self, problems: Iterable[LoggedProblem]) -> int:
        """Writes the problems through to the system; the length behind them."""
        assert self._file is not None
        lines = b"".join(
            json.dumps([*entry.place, *entry.problem, entry.is_rejected], ensure_ascii=False).encode(
                "utf-8", "replace"
            )
            + b"\n"
            for entry in problems
        )
        if lines:
            self._file.write(lines)
            self._file.flush()
            self.length += len(lines)
        return self.length

    def read(self) -> Iterator[LoggedProblem]:
        """All problems, in the order of the rows."""
        if self._file is not None:
            self._file.flush()
        with self._path.open("rb") as file:
            for line in file:
                values = json.loads(line)
                yield LoggedProblem(Place(*values[:3]), Problem(*values[3:9]), values[9])

    def remove(self) -> None:
        """Closes and deletes the log."""
        self.close()
        self._path.unlink(missing_ok=True)

    def close(self) -> None:
        """Closes the log and leaves it for a later resume."""
        if self._file is not None:
            self._file.close()
            self._file = None
