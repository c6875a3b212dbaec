"""What a department says of a day: how many rows it sent, and a digest of them, so that nothing and dead differ.

As JSON, in UTF-8:

    {"source": "gannan-law", "date": "2026-03-02", "count": 3, "digest": "…", "files": {"a.csv": "<sha256>"}}

``files``, of a source that is a folder, names every file of the day with the SHA-256 of its bytes, and ``count`` is
the number of their rows. Without ``files`` (a source that hands in by HTTP) ``count`` is the number of events that
were answered with ``accepted`` on that day. Of a table that is read whole ``count`` is the number of its rows, and no
file is named: ``files`` is empty or left out. ``digest`` is the SHA-256, in hex, of the sorted lines, each with a line
feed behind it: ``<sha256>  <name>`` of the files (what ``sha256sum *`` prints), or the ``event_id`` of each event; of a
table there are none.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal, NamedTuple

from hub.errors import InputError

#: More than any department sends in a day.
MAX_FILES, MAX_COUNT = 10_000, 100_000_000
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_FIELDS = {"source", "date", "count", "digest", "files"}

Verdict = Literal["agrees", "differs"]


@dataclass(frozen=True, slots=True)
class SourceManifest:
    """One day of one source. ``files`` maps names to digests; ``None`` where events are counted."""

    source: str
    day: date
    count: int
    digest: str
    files: Mapping[str, str] | None


class TakenFile(NamedTuple):
    """A file as the hub took it."""

    name: str
    sha256: str
    rows: int


class Comparison(NamedTuple):
    """What a manifest says beside what the hub took. ``missing`` are the names of files that never came or came with
    another content; ``rows_short`` how many rows fewer there are here (negative: more)."""

    verdict: Verdict
    announced: int
    taken: int
    missing: tuple[str, ...]
    says: str

    @property
    def rows_short(self) -> int:
        return self.announced - self.taken


def lines_digest(lines: Iterable[str]) -> str:
    """SHA-256 of the sorted lines, each with a line feed behind it."""
    return hashlib.sha256("".join(f"{line}\n" for line in sorted(lines)).encode()).hexdigest()


def files_digest(files: Mapping[str, str]) -> str:
    return lines_digest(f"{sha256}  {name}" for name, sha256 in files.items())


def parse_manifest(content: bytes, source: str) -> SourceManifest:
    """The manifest of that source. Raises InputError naming the field, what is wrong and what would be right."""
    try:
        found = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise InputError("the manifest is no JSON in UTF-8") from None
    if not isinstance(found, dict) or not {"source", "date", "count", "digest"} <= found.keys() <= _FIELDS:
        raise InputError(f"a manifest is an object of {', '.join(sorted(_FIELDS))}, `files` of folders alone")
    if found["source"] != source:
        raise InputError(f"source: this is {source}, the manifest is for another")
    count, digest = found["count"], found["digest"]
    if type(count) is not int or not 0 <= count <= MAX_COUNT:
        raise InputError(f"count: a whole number from 0 to {MAX_COUNT}")
    if not isinstance(digest, str) or not _SHA256.fullmatch(digest):
        raise InputError("digest: 64 hexadecimal digits in lower case")
    files = _files(found.get("files"))
    if files is not None and files_digest(files) != digest:
        raise InputError("digest: it is not that of `files`: SHA-256 of the sorted lines `<sha256>  <name>`")
    if not count and digest != lines_digest([]) and files is None:
        raise InputError("digest: with count 0 it is that of no bytes, e3b0c442…")
    return SourceManifest(source, _day(found["date"]), count, digest, files)


def _day(text: Any) -> date:
    try:
        if isinstance(text, str) and _DATE.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise InputError("date: a day like 2026-03-02")


def _files(found: Any) -> dict[str, str] | None:
    if found is None:
        return None
    if not isinstance(found, dict) or len(found) > MAX_FILES:
        raise InputError(f"files: an object of names and SHA-256, {MAX_FILES} at most")
    for name, sha256 in found.items():
        if not name or len(name) > 255 or not name.isprintable() or "/" in name:
            raise InputError("files: a name that is none")
        if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
            raise InputError(f"files: {name[:60]}: 64 hexadecimal digits in lower case")
    return dict(found)


def compare_files(manifest: SourceManifest, taken: Iterable[TakenFile]) -> Comparison:
    """A manifest of files against all files that the hub ever took of the source."""
    rows = {file.sha256: file.rows for file in taken}
    files = manifest.files or {}
    missing = tuple(sorted(name for name, sha256 in files.items() if sha256 not in rows))
    count = sum(rows.get(sha256, 0) for sha256 in files.values())
    says = []
    if missing:
        says.append(f"{len(missing)} of {len(files)} files have not come: {', '.join(missing[:3])}")
    if count != manifest.count:
        says.append(f"{manifest.count} rows were announced, {count} were read")
    return Comparison("differs" if says else "agrees", manifest.count, count, missing, "; ".join(says) or "agrees")


def compare_rows(manifest: SourceManifest, rows: int | None) -> Comparison:
    """A manifest of a table against the rows that the last reading of that day found; ``None`` without a reading."""
    if rows is None:
        says = f"{manifest.count} rows were announced, the table was not read on that day"
        return Comparison("differs", manifest.count, 0, (), says)
    if rows != manifest.count:
        says = f"{manifest.count} rows were announced, the table had {rows}"
        return Comparison("differs", manifest.count, rows, (), says)
    return Comparison("agrees", manifest.count, rows, (), "agrees")


def compare_events(manifest: SourceManifest, event_ids: Iterable[str]) -> Comparison:
    """A manifest of events against the ids of those that the hub took on that day."""
    taken = set(event_ids)
    says = []
    if len(taken) != manifest.count:
        says.append(f"{manifest.count} events were announced, {len(taken)} were taken")
    elif lines_digest(taken) != manifest.digest:
        says.append(f"{len(taken)} events both here and there, but not the same ones")
    return Comparison("differs" if says else "agrees", manifest.count, len(taken), (), "; ".join(says) or "agrees")
