"""How a file leaves its folder: only what was read or refused, and never onto another one.

Between the last look and the move of a name another file may come under that name. So a file is first held under a
name that nobody reads, looked at there, and moved on or given back. What a kill leaves held is given back too.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

#: Begins the name of what is held. Hidden, so no export.
_HELD = ".told."
#: File systems take 255 bytes for a name; ours may stand before it, and our endings behind it.
_MOST_NAME_BYTES, _MOST_STEM_BYTES = 200, 150


class Stamp(NamedTuple):
    """By what a file is known again without being read. A move keeps all three."""

    size: int
    modified: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> Stamp:
        return cls(status.st_size, status.st_mtime_ns, status.st_ino)


def is_short(name: str) -> bool:
    """Whether there is room for our endings."""
    return len(os.fsencode(name)) <= _MOST_NAME_BYTES


def marked(name: str, mark: str) -> str:
    """The name with a mark before its ending, and short."""
    stem, suffix = os.path.splitext(name)
    short = os.fsencode(stem)[:_MOST_STEM_BYTES].decode("utf-8", "ignore")
    return f"{short or 'file'}.{mark}{suffix[:20]}"


def move(path: Path, seen: Stamp, target: Path) -> bool:
    """Moves the file that was seen there to ``target``, a name that is free; nothing is done where it is gone. False
    if another one has come under its name meanwhile: that stays, or is given back, and is to be read."""
    give_back(path.parent)
    held = path.with_name(_HELD + (path.name if is_short(path.name) else marked(path.name, "long")))
    try:
        if Stamp.of(path.lstat()) != seen:
            return False
        os.rename(path, held)
    except FileNotFoundError:
        return True
    if Stamp.of(held.lstat()) == seen:
        os.rename(held, target)
        return True
    give_back(path.parent)
    return False


def give_back(folder: Path) -> None:
    """What is held there gets its name back, or another where that was taken meanwhile."""
    for held in list(folder.glob(f"{_HELD}[!.]*")):
        path, status = held.with_name(held.name.removeprefix(_HELD)), held.lstat()
        try:
            os.link(held, path, follow_symlinks=False)  # unlike a move, never onto another
        except OSError:
            # A kill between the two left it under both; else the name is taken, or links are not to be had.
            if not _is_there(path, status):
                os.rename(held, path.with_name(marked(path.name, f"{status.st_ino:x}-{status.st_mtime_ns:x}")))
                continue
        held.unlink()


def _is_there(path: Path, status: os.stat_result) -> bool:
    try:
        return os.path.samestat(path.lstat(), status)
    except FileNotFoundError:
        return False
