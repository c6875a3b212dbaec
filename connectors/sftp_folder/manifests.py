"""Manifests of the day on their way: fetched like files, given to the hub, moved on the server when it has judged them.

The hub takes manifests out of a folder (``manifest_folder`` of a source) and moves each to ``done`` or ``refused``
there. That folder is one of the source's own here, so what the hub decided shows, also after a kill, by where a
manifest lies; what was given and is not judged yet stands in the inbox as it came.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from connectors.sftp_folder.inbox import Fetched, Inbox
from connectors.sftp_folder.outbox import Outbox
from hub.intake import MANIFEST_NAME
from hub.intake.spool import replace

#: Beyond the hub refuses a manifest; it is not even fetched.
MOST_MANIFEST_BYTES = 4 << 20
Where = Literal["archive", "refused"]
_PLACES: dict[str, Where] = {"done": "archive", "refused": "refused"}


class Manifests:
    """Of one source whose department signs manifests. Used by one thread."""

    def __init__(self, folder: Path, inbox: Inbox, outbox: Outbox) -> None:
        self.folder = folder / "manifests"
        self._inbox, self._outbox = inbox, outbox

    def fetched(self) -> list[Fetched]:
        """Manifests and signatures that were fetched and that the hub has not judged yet."""
        return [item for item in self._inbox.whole() if is_manifest(item.path.name)]

    def give(self) -> None:
        """Lays what was fetched where the hub takes it; its patience with a missing signature begins here."""
        for item in self.fetched():
            target = self.folder / item.path.name
            if not target.exists() and self._judged(item) is None:
                self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                draft = target.with_name(f".{target.name}.tmp")
                shutil.copyfile(item.path, draft)
                replace(draft, target)

    def end(self) -> None:
        """What the hub has judged goes back to the server: the move, and of a refused one the reason."""
        for item in self.fetched():
            judged = self._judged(item)
            if judged is None:
                continue
            where, path = judged
            reason = path.with_name(f"{path.name}.refused.txt")
            self._outbox.add(item.remote, where, _digest(item.path), _copier(reason))
            self._inbox.drop(item.remote)
            path.unlink()
            reason.unlink(missing_ok=True)

    def _judged(self, item: Fetched) -> tuple[Where, Path] | None:
        """Where the hub has moved this very content. A second of the same name got a mark into its own."""
        content = item.path.read_bytes()
        stem = item.path.name.partition(".")[0]
        for name, where in _PLACES.items():
            for path in sorted((self.folder / name).glob(f"{stem}.*")):
                is_same_kind = path.suffix == item.path.suffix
                if is_same_kind and path.stat().st_size == len(content) and path.read_bytes() == content:
                    return where, path
        return None


def is_manifest(name: str) -> bool:
    return MANIFEST_NAME.fullmatch(name) is not None


def _copier(reason: Path) -> Callable[[Path], None]:
    """Writes the reason beside the name that it is called with, where there is one."""

    def write(path: Path) -> None:
        if reason.exists():
            shutil.copyfile(reason, path.with_name(f"{path.name}.refused.txt"))

    return write


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
