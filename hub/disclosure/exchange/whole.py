"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, content: bytes, *, is_synced: bool = True) -> None:
    """Writes ``path``, readable by all, by way of a file beside it, on disk before it has its name.

    Not ``is_synced``: whole for every reader and after a kill, but a loss of power may take it. For what follows from
    something else, and is written again by whoever starts after that.

    The folder has to be there. Raises OSError, and then ``path`` is as it was, or new. A name that begins with a full
    stop and ends in ``.part`` is what a kill may leave behind; the next writing of the same file takes it over.
    """
    part = path.with_name(f".{path.name}.part")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o644)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            if is_synced:
                os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    if not is_synced:
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
