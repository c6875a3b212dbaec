"""The site on disk: pages of records are the truth, everything else follows from them.

    site/records/ab/<id>.html      a record, or the page that says when and why it was withdrawn
    site/enterprises/<subject>.html   site/lists/<n>.html   site/index.html   site/feed.xml   site/style.css

Pages of records are written first, then what follows from them. Which enterprises that concerns stands in a note
beside the hub's data until all is written, so that after a kill exactly these are written anew; without the note,
and after a start of the machine, everything. That is why pages of records alone are synchronised with the disk.
"""

from __future__ import annotations

import heapq
import json
import os
import uuid
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connectors.government_website.entry import HEAD_BYTES, Entry, enterprise_path, read_mark, record_path
from connectors.government_website.pages import (
    OTHER,
    SECTIONS,
    TEMPLATES,
    by_section,
    render,
    section_of,
    template_digest,
)
from hub.disclosure import write_whole

#: Changes with every start of the machine.
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Look:
    """What all pages of a site have in common. ``url`` is without a slash at its end."""

    title: str
    url: str
    feed_entries: int
    list_entries: int


def read_entries(root: Path) -> Iterator[Entry]:
    """Every record that has a page, withdrawn ones too, in any order. Raises OSError."""
    folder = root / "records"
    if not folder.exists():
        return
    for shard in sorted(folder.iterdir()):
        with os.scandir(shard) as files:
            for each in files:
                if not each.name.endswith(".html"):
                    continue  # half of a page, of before a kill
                if (entry := read_entry(root, f"records/{shard.name}/{each.name}")) is not None:
                    yield entry


def read_entry(root: Path, path: str) -> Entry | None:
    """The record whose page has this path, if the page is one of ours. Raises OSError."""
    try:
        with open(root / path, "rb") as file:
            entry = read_mark(file.read(HEAD_BYTES))
    except FileNotFoundError:
        return None
    return entry if entry is not None and entry.path == path else None


class Site:
    """Not thread-safe; blocks. Any OSError leaves the site readable: ``open`` again puts it right."""

    def __init__(self, root: Path, note: Path, look: Look) -> None:
        self._root, self._note, self._look = root, note, look
        self.entries: dict[str, Entry] = {}
        self._of: dict[str, set[str]] = defaultdict(set)
        self._counts: Counter[str] = Counter()
        #: Subjects in the order of the list; one that has nothing left keeps its place until the next start.
        self._places: dict[str, int] = {}

    def open(self) -> None:
        """Reads the pages and brings what follows from them up to date. Raises OSError."""
        self.entries.clear()
        self._of.clear()
        self._counts.clear()
        for entry in read_entries(self._root):
            self._keep(entry)
        first: dict[str, str] = {
            subject: min(self.entries[each].first_published_at or "" for each in members)
            for subject, members in self._of.items() if members
        }
        self._places = {
            subject: place for place, subject in enumerate(sorted(first, key=lambda each: (first[each], each)))
        }
        touched = self._touched()
        if touched is None:
            self._empty_strangers()
        # Places may have moved up since the last start, and left pages of the list behind.
        left = [int(path.stem) for path in (self._root / "lists").glob("*.html") if path.stem.isdecimal()]
        lists = sorted({*range(self._list_count()), *(number - 1 for number in left)})
        self._write_followers(set(self._of) if touched is None else touched, lists)
        self._write_note([])

    def is_as_known(self, correlation_id: str) -> bool:
        """Whether the page of a record is still the one that we know of. Raises OSError."""
        return read_entry(self._root, record_path(correlation_id)) == self.entries.get(correlation_id)

    def doubt(self) -> None:
        """Somebody else put pages there: the next ``open`` writes everything anew that follows from pages."""
        self._note.unlink(missing_ok=True)

    def _empty_strangers(self) -> None:
        """Pages of enterprises of which nothing is public: whose they are is not known any more."""
        known = {enterprise_path(subject) for subject in self._of}
        for path in (self._root / "enterprises").glob("*.html"):
            if f"enterprises/{path.name}" not in known:
                self._put_enterprise(f"enterprises/{path.name}", [])

    def write(self, changed: Iterable[tuple[Entry, bytes]]) -> None:
        """Puts these pages of records in their places, and all that follows from them. Raises OSError."""
        pages = list(changed)
        subjects = {entry.subject for entry, _ in pages if entry.subject}
        subjects |= {
            before.subject for entry, _ in pages
            if (before := self.entries.get(entry.correlation_id)) is not None and before.subject
        }
        self._write_note(sorted(subjects))
        for entry, page in pages:
            self._put(entry.path, page, is_synced=True)
            self._keep(entry)
        lists = set()
        for subject in sorted(subjects):
            place = self._places.setdefault(subject, len(self._places))
            lists.add(place // self._look.list_entries)
        self._write_followers(subjects, lists)
        self._write_note([])

    def _keep(self, entry: Entry) -> None:
        before = self.entries.get(entry.correlation_id)
        if before is not None and before.is_public:
            self._of[before.subject].discard(before.correlation_id)
            self._counts[section_of(before.kind)] -= 1
        self.entries[entry.correlation_id] = entry
        if entry.is_public:
            self._of[entry.subject].add(entry.correlation_id)
            self._counts[section_of(entry.kind)] += 1

    # -- what follows ---------------------------------------------------------------------------

    def _write_followers(self, subjects: Collection[str], lists: Iterable[int]) -> None:
        for subject in sorted(subjects):
            self._put_enterprise(enterprise_path(subject), [self.entries[each] for each in self._of[subject]])
        self._write_lists(lists)
        self._write_front()

    def _put_enterprise(self, path: str, members: list[Entry]) -> None:
        newest = max(members, key=_age, default=None)
        self._put_page(
            path, "enterprise.html", root="../", sections=by_section(members),
            name=newest.name if newest else "", code=newest.code if newest else "",
        )

    def _list_count(self) -> int:
        return -(-len(self._places) // self._look.list_entries)

    def _write_lists(self, numbers: Iterable[int]) -> None:
        wanted, size = sorted(set(numbers)), self._look.list_entries
        ordered = list(self._places)
        for number in wanted:
            members = [
                max((self.entries[each] for each in self._of[subject]), key=_age)
                for subject in ordered[number * size:(number + 1) * size] if self._of[subject]
            ]
            self._put_page(f"lists/{number + 1}.html", "list.html", root="../", number=number + 1, members=members)

    def _write_front(self) -> None:
        size = self._look.feed_entries
        public = heapq.nlargest(size, (each for each in self.entries.values() if each.is_public), key=_age)
        shown = heapq.nlargest(size, (each for each in self.entries.values() if each.first_published_at), key=_age)
        counts = [(title, self._counts[title]) for title in dict.fromkeys([*SECTIONS.values(), OTHER])
                  if self._counts[title]]
        self._put("style.css", (TEMPLATES / "style.css").read_bytes())
        self._put_page("feed.xml", "feed.xml", newest=shown,
                       updated_at=shown[0].updated_at if shown else "1970-01-01T00:00:00.000Z")
        self._put_page("index.html", "index.html", root="", counts=counts, newest=public, lists=self._list_count())

    def _put_page(self, path: str, template: str, **given: Any) -> None:
        self._put(path, render(template, site=self._look, **given))

    def _put(self, path: str, content: bytes, *, is_synced: bool = False) -> None:
        """Writes a file unless it is so already."""
        target = self._root / path
        try:
            if target.read_bytes() == content:
                return
        except FileNotFoundError:
            target.parent.mkdir(parents=True, exist_ok=True)
        write_whole(target, content, is_synced=is_synced)

    # -- the note -------------------------------------------------------------------------------

    def _touched(self) -> list[str] | None:
        """Subjects whose pages may be old; ``None`` if that is not known."""
        try:
            found = json.loads(self._note.read_bytes())
        except (OSError, ValueError):
            return None
        is_ours = isinstance(found, dict) and found.get("of") == self._identity()
        return list(found["touched"]) if is_ours else None

    def _write_note(self, touched: list[str]) -> None:
        self._note.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self._note, json.dumps({"of": self._identity(), "touched": touched}).encode(), is_synced=False)

    def _identity(self) -> str:
        """Another folder, another title, other templates, or a machine that was started anew, perhaps after a loss of
        power that took some: all pages that follow are written anew."""
        return f"{self._root} {self._look} {template_digest()} {_boot()}"


def _boot() -> str:
    """By what this start of the machine is known; something new each time where it is not said."""
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return uuid.uuid4().hex


def _age(entry: Entry) -> tuple[str, str]:
    return entry.updated_at, entry.correlation_id
