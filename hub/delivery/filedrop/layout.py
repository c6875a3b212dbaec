"""The folders of one subscription, and how a file is written whole or not at all.

    <root>/<subscription>/outbox/     packages that wait to be acknowledged
    <root>/<subscription>/archive/    packages that were
    <root>/<subscription>/inbox/      where the department puts its files
    <root>/<subscription>/done/       its files, once they were read
    <root>/<subscription>/results/    what became of each of them
    <root>/.hub/<subscription>/       the hub's own ledger; <root>/.hub/<subscription>.lock

A department is let into its own folder; ``.hub`` is nobody's but the hub's.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

#: ``government-procurement-20260302-090000-1a2b3c4d``; a manifest is signed under it, so it holds no full stop.
PACKAGE = re.compile(r"[a-z0-9-]+-\d{8}-\d{6}-[0-9a-f]{8}(-\d+)?")
MANIFEST, SIGNATURE = ".manifest.json", ".manifest.sig"
#: Ends the name of what is being written: no pattern of a department's programs takes it for a file.
_PART = ".part"


class Layout:
    """Where things stand. The root has to be there: an unmounted share must not be written beside."""

    def __init__(self, root: Path, subscription: str) -> None:
        self.root, self.subscription = root, subscription
        self.home = root / subscription
        self.outbox, self.archive = self.home / "outbox", self.home / "archive"
        self.inbox, self.done, self.results = self.home / "inbox", self.home / "done", self.home / "results"
        self.own = root / ".hub" / subscription
        self.lock = root / ".hub" / f"{subscription}.lock"

    def prepare(self) -> None:
        """Makes the folders that are missing. Raises OSError: no root, no right, or a link in place of a folder."""
        if not self.root.is_dir():
            raise FileNotFoundError(2, "the folder of the file drop is not there", str(self.root))
        for folder in (self.home, self.outbox, self.archive, self.inbox, self.done, self.results, self.own):
            # A link would lead what the hub writes to where whoever made it wants it.
            if folder.is_symlink():
                raise NotADirectoryError(20, "a link stands in place of a folder", str(folder))
            folder.mkdir(parents=True, exist_ok=True)


def write_whole(folder: Path, files: Mapping[str, bytes]) -> None:
    """Writes the files into ``folder`` under their names, in the order given, the last one last.

    Each is on disk before it gets its name. Raises OSError, and then none of them is there.
    """
    waiting = {name: folder / f".{name}{_PART}" for name in files}
    named: list[Path] = []
    try:
        for name, content in files.items():
            _write(waiting[name], content)
        for name in files:
            os.rename(waiting[name], folder / name)
            named.append(folder / name)
            # What was named first is there first also after a loss of power.
            sync(folder)
    except BaseException:
        for path in (*reversed(named), *waiting.values()):
            remove(path)
        raise


def replace_whole(path: Path, content: bytes) -> None:
    """Writes one file over the one of that name. Raises OSError, and then that one is still there, or the new one."""
    waiting = path.with_name(f".{path.name}{_PART}")
    try:
        _write(waiting, content)
        os.rename(waiting, path)
    except BaseException:
        remove(waiting)
        raise
    sync(path.parent)


def _write(path: Path, content: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o660)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync(folder: Path) -> None:
    """Puts the names in ``folder`` on disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove(path: Path) -> None:
    """Removes a file as far as that is possible: it may be gone, and who clears up has an error to tell already."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return


def is_part(name: str) -> bool:
    """Whether a file of that name was being written when its writer ended."""
    return name.startswith(".") and name.endswith(_PART)


def package_of(name: str) -> str | None:
    """The package that a file of ``outbox`` belongs to."""
    stem = name.partition(".")[0]
    return stem if PACKAGE.fullmatch(stem) else None
