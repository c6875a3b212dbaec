"""Where uploaded files lie, in the folder ``UPLOADS`` of their source's own:

===============================  ============================================================
``staged/<id>/``                 what was uploaded, with ``upload.json`` (who, when, of whom)
``staged/<id>/look.json``        what a look at it showed
``staged/<id>/handed.json``      that it was handed in, by whom and when
``<name>``                       handed in, and not read yet
``done/``, ``refused/``          read by intake, with what it says of it
===============================  ============================================================

``<name>`` holds the id, so that no file takes another's place and each finds its own report. A process killed at any
moment leaves a file staged, handed in or read; handing it in again is a repeat.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any, NamedTuple

#: So long what was uploaded is kept here: it holds personal data, and what was handed in is on the log.
KEEP = timedelta(days=7)
_ID_LENGTH = 12
#: A name with our endings behind it has to fit into the 255 bytes of a file system.
_MOST_STEM_BYTES, _MOST_SUFFIX = 120, 10
_CHUNK = 1 << 20


class Upload(NamedTuple):
    """One uploaded file. ``name`` is as its sender calls it, ``file`` as it is called here. ``handed_at`` and
    ``handed_by`` are ``None`` while it is only looked at."""

    id: str
    name: str
    file: str
    size: int
    by: str
    at: datetime
    handed_at: datetime | None = None
    handed_by: str | None = None


class Verdict(NamedTuple):
    """What intake says of a file: ``counts`` as in ``Counts.as_dict`` or, where it was refused, ``refusal`` with
    ``problem`` and ``problem_en``. ``errors`` is the list of problems, if there is one."""

    counts: Mapping[str, Any] | None
    refusal: Mapping[str, str] | None
    errors: Path | None


class UploadBox:
    """The files of one source. ``folder`` is ``UPLOADS`` in its own folder; made when it is first needed. Processes may
    share it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def stage(self, name: str, content: IO[bytes], by: str, at: datetime) -> Upload:
        """Keeps a copy. ``name`` is one that a file may have: the caller has asked."""
        id_ = uuid.uuid4().hex[:_ID_LENGTH]
        place = self._folder / "staged" / id_
        place.mkdir(parents=True, mode=0o700)
        os.chmod(self._folder, 0o700)
        file = _file_name(name, id_)
        with os.fdopen(os.open(place / file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as target:
            shutil.copyfileobj(content, target, _CHUNK)
            target.flush()
            os.fsync(target.fileno())
            size = target.tell()
        made = Upload(id_, name, file, size, by, at)
        _write(place / "upload.json", {"name": name, "file": file, "size": size, "by": by, "at": at.isoformat()})
        return made

    def find(self, id_: str) -> Upload | None:
        """The upload of that id, while it is kept."""
        if len(id_) != _ID_LENGTH or not id_.isalnum() or not id_.isascii():
            return None
        said = _read(self._staged(id_) / "upload.json")
        if said is None:
            return None
        handed = _read(self._staged(id_) / "handed.json") or {}
        at = datetime.fromisoformat(handed["at"]) if handed else None
        return Upload(
            id_, said["name"], said["file"], said["size"], said["by"], datetime.fromisoformat(said["at"]), at,
            handed.get("by"),
        )

    def all(self) -> list[Upload]:
        """What is kept, the latest first."""
        ids = [each.name for each in (self._folder / "staged").glob("*")]
        found = [upload for id_ in ids if (upload := self.find(id_)) is not None]
        return sorted(found, key=lambda each: (each.at, each.id), reverse=True)

    def path(self, upload: Upload) -> Path:
        """The copy that is kept."""
        return self._staged(upload.id) / upload.file

    def folder_of(self, upload: Upload) -> Path:
        """What belongs to it lies here, and goes with it."""
        return self._staged(upload.id)

    def look_of(self, upload: Upload) -> dict[str, Any] | None:
        """What ``keep_look`` kept."""
        return _read(self._staged(upload.id) / "look.json")

    def keep_look(self, upload: Upload, look: Mapping[str, Any]) -> None:
        _write(self._staged(upload.id) / "look.json", look)

    def hand_in(self, upload: Upload, by: str, at: datetime) -> bool:
        """Puts it where intake reads; whole, in one step. False if it was handed in before."""
        if _read(self._staged(upload.id) / "handed.json") is not None or self.verdict(upload) is not None:
            return False
        is_first = True
        try:
            os.link(self.path(upload), self._folder / upload.file)
        except FileExistsError:
            is_first = False  # a click before this one, killed in between or at the same time
        _write(self._staged(upload.id) / "handed.json", {"by": by, "at": at.isoformat()})
        return is_first

    def is_waiting(self, upload: Upload) -> bool:
        """Whether intake has it still to read."""
        return (self._folder / upload.file).exists()

    def verdict(self, upload: Upload) -> Verdict | None:
        """What intake says of it, once it has read it."""
        report = _read(self._folder / "done" / f"{upload.file}.report.json")
        if report is not None:
            named = report.get("errors_file")
            errors = self._folder / "done" / Path(named).name if named else None
            return Verdict(report, None, errors if errors is not None and errors.exists() else None)
        refusal = _read(self._folder / "refused" / f"{upload.file}.refused.json")
        return None if refusal is None else Verdict(None, refusal, None)

    def sweep(self, now: datetime) -> int:
        """Removes what was uploaded longer ago than KEEP, and what intake has moved aside; how many. What intake has
        still to read stays."""
        gone = 0
        for upload in self.all():
            if now - upload.at <= KEEP or self.is_waiting(upload):
                continue
            for folder in ("done", "refused"):
                for path in (self._folder / folder).glob(f"*{upload.id}*"):
                    path.unlink(missing_ok=True)
            shutil.rmtree(self._staged(upload.id), ignore_errors=True)
            gone += 1
        return gone

    def _staged(self, id_: str) -> Path:
        return self._folder / "staged" / id_


def _file_name(name: str, id_: str) -> str:
    stem, dot, suffix = name.rpartition(".")
    if not dot or not stem:
        stem, suffix = name, ""
    short = stem.encode()[:_MOST_STEM_BYTES].decode("utf-8", "ignore")
    return f"{short}.{id_}{'.' if suffix else ''}{suffix[:_MOST_SUFFIX]}"


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return found


def _write(path: Path, content: Mapping[str, Any]) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(content, file, ensure_ascii=False)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
