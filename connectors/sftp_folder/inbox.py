"""Files on their way in: fetched piece by piece into the source's own folder, whole before they are read.

=========================================  =============================================================
``incoming/<key>/about.json``              which file of the server it is
``incoming/<key>/part``                    what has come so far
``incoming/<key>/file/<name>``             the whole file, to be read
=========================================  =============================================================

``key`` stands for name, size and time of change: a file that is written anew is another one. Only a name that
``name_of`` found safe ever becomes the name of a file here.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Literal, NamedTuple

from connectors.export_folder.file import is_safe_name
from connectors.sftp_folder.server import Entry, Server
from hub.intake.spool import replace, write_json

#: Made safe at a time. What lies before the last piece is whole, also after a loss of power.
PIECE = 1 << 20
#: With our endings and a time behind it, a name has to stay below the 255 bytes of every file system.
MOST_NAME_BYTES = 200

Progress = Literal["whole", "partly", "changed"]


class Remote(NamedTuple):
    """A file of the server in one of its states; ``changed`` in seconds since 1970."""

    name: bytes
    size: int
    changed: int

    @property
    def key(self) -> str:
        """A short name for it that is safe everywhere."""
        text = b"%d|%d|" % (self.size, self.changed) + self.name
        return hashlib.blake2b(text, digest_size=10).hexdigest()

    @property
    def label(self) -> str:
        """A name for people and for our own files: its own where that is safe."""
        return name_of(self.name) or f"unsafe-{hashlib.blake2b(self.name, digest_size=4).hexdigest()}"

    def is_as(self, entry: Entry | None) -> bool:
        """Whether that is what lies there."""
        return entry is not None and (entry.size, entry.changed) == (self.size, self.changed)

    def as_dict(self) -> dict[str, object]:
        return {"name": self.name.hex(), "size": self.size, "changed": self.changed}

    @classmethod
    def from_dict(cls, data: dict[str, object]) -> Remote:
        """The reverse of ``as_dict``; raises KeyError, ValueError."""
        return cls(bytes.fromhex(str(data["name"])), int(str(data["size"])), int(str(data["changed"])))


class Fetched(NamedTuple):
    """A file that is here whole."""

    remote: Remote
    path: Path


def name_of(name: bytes) -> str | None:
    """The name in letters (UTF-8, else GB18030), or ``None`` where it may not name a file of ours."""
    for encoding in ("utf-8", "gb18030"):
        try:
            text = name.decode(encoding)
        except UnicodeDecodeError:
            continue
        is_short = len(text.encode()) <= MOST_NAME_BYTES
        return text if text not in ("", ".", "..") and is_safe_name(text) and is_short else None
    return None


class Inbox:
    """The files of one source. Used by one thread. Lost, they are fetched again."""

    def __init__(self, folder: Path, now: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder / "incoming"
        self._now = now

    def whole(self) -> list[Fetched]:
        """Files to be read, oldest first."""
        found = []
        for place in self._places():
            remote = _about(place)
            paths = list((place / "file").glob("*")) if remote else []
            if remote and len(paths) == 1:
                found.append(Fetched(remote, paths[0]))
        return sorted(found, key=lambda item: (item.remote.changed, item.remote.name))

    def fetch(self, server: Server, remote: Remote, until: float) -> Progress:
        """Goes on with a file until it is whole or the time has come. One that changed meanwhile is given up.

        Raises what ``Server`` raises; what has come so far stays.
        """
        name = name_of(remote.name)
        assert name is not None, "only safe names are fetched"
        place = self._folder / remote.key
        part = place / "part"
        if not part.exists():
            (place / "file").mkdir(parents=True, exist_ok=True, mode=0o700)
            write_json(place / "about.json", remote.as_dict())
            part.touch(0o600)
        at = max(part.stat().st_size - PIECE, 0)
        with part.open("r+b") as file, server.reading(server.path(remote.name)) as read:
            file.truncate(at)
            file.seek(at)
            while at < remote.size and (piece := read(at, min(PIECE, remote.size - at))):
                file.write(piece)
                file.flush()
                os.fsync(file.fileno())
                at += len(piece)
                if self._now() >= until and at < remote.size:
                    return "partly"
        if at != remote.size or not remote.is_as(server.look(server.path(remote.name))):
            self.drop(remote)
            return "changed"
        replace(part, place / "file" / name)
        return "whole"

    def keep(self, keys: Collection[str]) -> None:
        """Gives up what is not whole and not among these any more."""
        for place in self._places():
            if place.name not in keys and (place / "part").exists():
                shutil.rmtree(place, ignore_errors=True)

    def drop(self, remote: Remote) -> None:
        """It was read to its end, or given up."""
        shutil.rmtree(self._folder / remote.key, ignore_errors=True)

    def _places(self) -> list[Path]:
        return list(self._folder.iterdir()) if self._folder.is_dir() else []


def _about(place: Path) -> Remote | None:
    try:
        return Remote.from_dict(json.loads((place / "about.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError):
        return None
