"""What a connector offers whose files people may upload."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from hub.intake.rows import Portion, Refusal

#: Folder within a source's own where uploaded files wait to be read. Folders within it are not the connector's to look
#: at, but for ``done`` and ``refused``, which it makes.
UPLOADS = "uploads"


class RawRow(NamedTuple):
    """A row as it stands in the file: its number as a spreadsheet shows it, and its cells as text."""

    number: int
    cells: list[str]


class UploadFiles(Protocol):
    """The attribute ``uploads`` of a source that takes uploaded files.

    Its ``portions`` gives the files that lie in ``UPLOADS`` of its own folder. One that is finished goes to ``done``
    there, with ``<name>.report.json`` (``Counts.as_dict`` and ``errors_file``) and, where there are problems, the list
    of them beside it; one that is refused to ``refused``, with ``<name>.refused.json`` (``code``, ``problem``,
    ``problem_en``). Used by one thread at a time.
    """

    @property
    def titles(self) -> Sequence[str]:
        """What it takes, in Chinese."""

    def refusal_of_name(self, name: str) -> Refusal | None:
        """Why a file of that name would never be read."""

    def file(self, path: Path) -> Portion:
        """A file as a portion, wherever it lies; to be closed. It is neither finished nor refused for a look."""

    def raw_rows(self, path: Path, numbers: Collection[int]) -> Iterator[RawRow]:
        """The heading of a file as written, then its rows of these numbers. Raises Refusal."""
