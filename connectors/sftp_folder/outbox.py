"""What goes back to the server: reports, lists of problems, and the move of a file that was read.

All of it is a task in the source's own folder first (``outgoing/<key>/``), so that the end of a file depends
on no network: a server that is away, or an account that may not write, holds up nothing that is read.
"""

from __future__ import annotations

import json
import os
import posixpath
import shutil
import sqlite3
from collections.abc import Callable, Collection
from contextlib import closing
from itertools import chain, count
from pathlib import Path
from typing import Literal

import structlog

from connectors.sftp_folder.inbox import Remote
from connectors.sftp_folder.server import RefusedError, Server
from connectors.sftp_folder.settings import SftpFolderSettings
from hub.intake.spool import write_json

#: A server that says no so often has said it; the next look tries again.
_MOST_REFUSALS = 3
_log = structlog.get_logger()


class Told:
    """Which files of the server were told: a small database. Lost, they are read again and known again."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "told.db"

    def has(self, remotes: Collection[Remote]) -> set[Remote]:
        """Those of them that were told in this very state."""
        if not self._path.exists():
            return set()
        with closing(self._open()) as database:
            known = set(database.execute("SELECT name, size, changed FROM told"))
        return {remote for remote in remotes if tuple(remote) in known}

    def add(self, remote: Remote) -> None:
        """Safe when it returns."""
        with closing(self._open()) as database, database:
            database.execute("INSERT OR REPLACE INTO told VALUES (?, ?, ?)", remote)

    def forget(self, remote: Remote) -> None:
        """It lies there no more."""
        with closing(self._open()) as database, database:
            database.execute("DELETE FROM told WHERE name = ? AND size = ? AND changed = ?", remote)

    def keep(self, names: Collection[bytes]) -> None:
        """Forgets all whose name is not among these."""
        if not self._path.exists():
            return
        with closing(self._open()) as database, database:
            gone = [(name,) for (name,) in database.execute("SELECT name FROM told") if name not in names]
            database.executemany("DELETE FROM told WHERE name = ?", gone)

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        database = sqlite3.connect(self._path)
        database.execute(
            "CREATE TABLE IF NOT EXISTS told (name BLOB PRIMARY KEY, size INTEGER NOT NULL, changed INTEGER NOT NULL)"
        )
        return database


class Outbox:
    """The tasks of one source. Used by one thread."""

    def __init__(self, folder: Path, settings: SftpFolderSettings, told: Told) -> None:
        self._folder = folder / "outgoing"
        self._settings = settings
        self._told = told
        self._warned: set[str] = set()
        self.has_news = False

    def add(
        self, remote: Remote, where: Literal["archive", "refused"], sha256: str, write: Callable[[Path], None]
    ) -> None:
        """A file is finished. ``write`` makes its reports, whose names begin with the name of the path that it
        is called with. Repeatable."""
        place, draft = self._folder / remote.key, self._folder / f".{remote.key}.new"
        shutil.rmtree(draft, ignore_errors=True)
        (draft / "reports").mkdir(parents=True, mode=0o700)
        write(draft / "reports" / remote.label)
        write_json(draft / "task.json", {**remote.as_dict(), "where": where, "sha256": sha256})
        shutil.rmtree(place, ignore_errors=True)
        os.replace(draft, place)
        self._told.add(remote)
        self.has_news = True

    def deliver(self, server: Server) -> None:
        """Does what is to be done. What the server refuses stays for the next look, and is said once.

        :raises ServerError: when the server goes away; what was done is done.
        """
        self.has_news = False
        refusals = 0
        for place in sorted(self._folder.glob("[!.]*")):
            try:
                task = json.loads((place / "task.json").read_text(encoding="utf-8"))
                remote = Remote.from_dict(task)
            except (OSError, ValueError, KeyError, TypeError):
                shutil.rmtree(place, ignore_errors=True)
                continue
            try:
                self._put(server, place)
                self._move(server, place, remote, task)
            except RefusedError as error:
                refusals += 1
                if place.name not in self._warned:
                    self._warned.add(place.name)
                    _log.warning("the server does not take what goes back; it is kept and tried again",
                                 file=remote.label, reason=str(error))  # fmt: skip
                if refusals >= _MOST_REFUSALS:
                    return
                continue
            self._warned.discard(place.name)
            shutil.rmtree(place, ignore_errors=True)

    def _put(self, server: Server, place: Path) -> None:
        for report in sorted((place / "reports").glob("[!.]*")):
            server.put(report, server.path(self._settings.reports or "", report.name))
            report.unlink()

    def _move(self, server: Server, place: Path, remote: Remote, task: dict[str, object]) -> None:
        folder = self._settings.archive if task["where"] == "archive" else self._settings.refused
        if folder is None:
            return
        if "target" in task:  # cut off behind a move, perhaps
            self._give_back(server, remote, bytes.fromhex(str(task["target"])))
        source = server.path(remote.name)
        if not remote.is_as(server.look(source)):
            return  # it is gone, or another one came under its name
        name = remote.name if remote.label.encode() == remote.name else remote.label.encode()
        target = _free(server, server.path(folder, name), str(task["sha256"])[-8:])
        write_json(place / "task.json", {**task, "target": target.hex()})
        server.move(source, target)
        self._give_back(server, remote, target)
        self._told.forget(remote)

    def _give_back(self, server: Server, remote: Remote, target: bytes) -> None:
        """If what lies there was written anew in the very moment of the move: that one has not been read."""
        moved = server.look(target)
        if moved is not None and not remote.is_as(moved):
            mark = Remote(remote.name, moved.size, moved.changed).key[:8]
            server.move(target, _free(server, server.path(remote.name), mark))


def _free(server: Server, path: bytes, mark: str) -> bytes:
    """That path, or one beside it with the mark in its name and, where that is taken too, a number."""
    stem, ending = posixpath.splitext(path)
    numbered = (b"%s.%s.%d%s" % (stem, mark.encode(), number, ending) for number in count(2))
    paths = chain([path, b"%s.%s%s" % (stem, mark.encode(), ending)], numbered)
    return next(each for each in paths if server.look(each) is None)
