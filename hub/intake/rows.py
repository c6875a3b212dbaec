"""What a connector gives to the hub: rows, faults, and portions of work."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from hub.domain.source_manifest import SourceManifest
from hub.errors import InputError


class Problem(NamedTuple):
    """One thing wrong with one row, in words that a department's clerk reads.

    ``column`` is the heading as it stands in the file, ``field`` the schema's field, ``value``
    what stood there, already masked where it is an ID number or a phone number. ``problem`` says
    what is wrong, ``remedy`` what would be right.
    """

    code: str
    column: str | None
    field: str | None
    value: str | None
    problem: str
    remedy: str


class Place(NamedTuple):
    """Where a row stands: ``row`` is counted from 1 as a spreadsheet shows it, heading included."""

    file: str
    sheet: str | None
    row: int


class Row(NamedTuple):
    """One row that fits its mapping.

    ``kind`` names the mapping. ``natural_key`` identifies the row within its source for ever.
    ``state_type`` is the event type that the row's own state calls for (recorded, removed,
    accepted, ...), ``amended_type`` the one for a change that leaves the state as it was.
    ``value`` has every field of the schema that the mapping fills, the party block among them.
    ``warnings`` are problems that did not keep the row out. ``is_removed`` says that its system has the
    row no more: ``value`` is then its last content, both types are that of the removal, and nothing
    becomes of it where the row was never told, or its removal was told already. ``unread_code`` is what
    stood in the column of the enterprise's code and is none: only where the source asks the register of
    enterprises who is meant (``identity: register``), else it is a fault.
    """

    kind: str
    natural_key: str
    state_type: str
    amended_type: str
    value: dict[str, Any]
    place: Place
    warnings: tuple[Problem, ...] = ()
    is_removed: bool = False
    unread_code: str | None = None


class RowFault(NamedTuple):
    """One row that cannot be taken, with everything that is wrong with it (at least one problem).

    ``digest`` identifies the content of the row as it stood (16 hex).
    """

    place: Place
    problems: tuple[Problem, ...]
    digest: str


class Batch(NamedTuple):
    """Consecutive rows and faults of a portion.

    ``rows_read`` counts the rows of the portion up to the end of this batch; it must equal the
    number of items given so far, and it is what ``batches`` is asked to resume behind.
    ``done`` is how much of ``Portion.size`` has been read, for a progress bar.
    ``skipped`` counts rows so far that are not data (blank, totals, repeated headings).
    """

    items: Sequence[Row | RowFault]
    rows_read: int
    done: int = 0
    skipped: int = 0


@dataclass(slots=True)
class Counts:
    """What became of the rows of a portion: ``read == accepted + repeated + waiting + witnessed +
    rejected``, always.

    ``accepted`` is by the last word of the event type (recorded, amended, removed, ...),
    ``rejected`` and ``warnings`` by problem code; a row with several problems counts once,
    under its first. ``waiting`` rows wait until a person says whose they are, ``witnessed`` ones say what
    another source has said before; both are on record. ``skipped`` rows (blank, totals, repeated headings)
    are not data and are not in ``read``.
    """

    accepted: dict[str, int] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)
    warnings: dict[str, int] = field(default_factory=dict)
    repeated: int = 0
    read: int = 0
    skipped: int = 0
    waiting: int = 0
    witnessed: int = 0

    @property
    def accepted_total(self) -> int:
        """Rows that became an event."""
        return sum(self.accepted.values())

    @property
    def rejected_total(self) -> int:
        """Rows that were not taken."""
        return sum(self.rejected.values())

    def as_dict(self) -> dict[str, Any]:
        """For a report; keys as the attributes."""
        return {
            "read": self.read,
            "accepted": dict(sorted(self.accepted.items())),
            "accepted_total": self.accepted_total,
            "repeated": self.repeated,
            "waiting": self.waiting,
            "witnessed": self.witnessed,
            "rejected": dict(sorted(self.rejected.items())),
            "rejected_total": self.rejected_total,
            "warnings": dict(sorted(self.warnings.items())),
            "skipped": self.skipped,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Counts:
        """The reverse of ``as_dict``."""
        return cls(
            dict(data["accepted"]),
            dict(data["rejected"]),
            dict(data["warnings"]),
            int(data["repeated"]),
            int(data["read"]),
            int(data["skipped"]),
            # Positions of an earlier version have neither.
            int(data.get("waiting", 0)),
            int(data.get("witnessed", 0)),
        )

    def add(self, other: Counts) -> None:
        """Adds the counts of another portion."""
        for mine, theirs in (
            (self.accepted, other.accepted),
            (self.rejected, other.rejected),
            (self.warnings, other.warnings),
        ):
            for key, number in theirs.items():
                mine[key] = mine.get(key, 0) + number
        self.repeated += other.repeated
        self.read += other.read
        self.skipped += other.skipped
        self.waiting += other.waiting
        self.witnessed += other.witnessed


class LoggedProblem(NamedTuple):
    """A problem as it is told to the sender; ``is_rejected`` is false for a warning."""

    place: Place
    problem: Problem
    is_rejected: bool


class Refusal(InputError):
    """The whole file cannot be taken.

    ``code`` is a short word for counting; the message is for a clerk, Chinese first.
    """

    def __init__(self, code: str, chinese: str, english: str) -> None:
        super().__init__(f"{chinese}\n{english}")
        self.code = code
        self.chinese = chinese
        self.english = english

    def __reduce__(self) -> tuple[type[Refusal], tuple[str, str, str]]:
        """In pickle: the arguments of the base are others."""
        return Refusal, (self.code, self.chinese, self.english)


class TableReading(NamedTuple):
    """How many rows a whole table had when it was read, whether or not anything of it is told. ``identity`` is another
    for each reading, ``read_at`` is aware. ``is_vouched``: nothing is new, and the manifest of that day says so too."""

    identity: str
    name: str
    rows: int
    read_at: datetime
    is_vouched: bool


class Handle(NamedTuple):
    """By what another process finds a portion. ``rows`` is how many it has, about; ``content`` is its source's own,
    is said in pickle, and tells nothing that ``identity`` may not."""

    rows: int
    content: Any


class Portion(Protocol):
    """A finite piece of work of a source: one file, one snapshot of a table.

    *Identity.* ``identity`` is the same after a restart as long as the content is the same, and
    another as soon as the content differs. ``name`` is for people. ``size`` is what ``Batch.done``
    counts up to (bytes, rows; ``None`` when unknown).

    *Position.* ``batches(n)`` gives the rows behind the first ``n``, in an order that never
    changes for the same identity. It is called with the ``rows_read`` of the last batch whose
    every event the broker has acknowledged; what was given after it is given again.

    *Failure halfway.* ``batches`` raises ``Refusal`` when the portion as a whole cannot be taken
    (before the first row, if that can be known), ``InputError`` when it changed underneath, and
    any ``OSError`` as it comes; the engine keeps what was acknowledged and says so. A row that
    cannot be taken is a ``RowFault`` in the batch, never an exception.

    *The end.* The engine calls ``finish`` once every row is acknowledged and marked, or ``refuse``
    when a ``Refusal`` was raised. A process killed meanwhile calls it again with the same
    arguments, so both must be repeatable.

    *Threads.* One portion is used by one thread, that of its source. ``close`` is called by the engine,
    always, last, also when nothing was read or ``batches`` was left in the middle; it may be called twice.

    *Words.* ``identity`` and ``name`` go into logs and records: no secret, no personal data.

    *Elsewhere.* A large portion may be read by a process beside the hub's. One that can has a method ``handle`` which
    gives a ``Handle``, or ``None`` after all, and may raise what ``batches`` raises; its source has a method ``reopen``
    that makes the same portion of the handle's ``content``, in another process and on a source made anew, or raises
    ``InputError`` where it is not the same any more. Such a twin is asked for its batches and closed; everything else
    is asked of the portion itself.
    """

    @property
    def identity(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def size(self) -> int | None: ...

    def batches(self, rows_finished: int) -> Iterator[Batch]: ...

    def finish(self, counts: Counts, problems: Iterable[LoggedProblem]) -> None: ...

    def refuse(self, refusal: Refusal) -> None: ...

    def close(self) -> None: ...


class Source(Protocol):
    """A connector's way into one department's system.

    *Making.* A connector is called with a ``SourceContext`` and has a class attribute ``Settings``, the
    model of what ``sources.yaml`` may say to it. Making a source raises ``ContractError`` for settings
    and mappings that cannot work; it connects to nothing and writes nothing, so that ``check`` and lists
    can make one at any time.

    *Failure.* ``portions`` raises ``InfrastructureError`` or ``OSError`` when the system does not answer:
    the service gives the source up, waits, and makes it anew. No other source is held up by that.

    *Memory.* What a source has to remember lies in the context's ``folder``, and is moved by ``finish``
    alone, so that a kill at any moment finds it as it was. Lost, it must cost time and no fact.

    ``topics`` maps each event topic that its rows go to, to the name of the schema.
    ``target(kind)`` says where rows of that mapping go: (topic, schema name).
    ``portions()`` gives what waits at this moment, oldest first, and returns when there is no
    more; the service calls it again half a second later. It must not give a portion that is
    still being written, and the next portion is asked for when the last one is finished. A source is used
    by one thread; whoever made it closes it (the session does), perhaps more than once.

    A source that people may upload files to has ``uploads`` (``hub.intake.UploadFiles``), and gives what lies there
    as portions too.

    A source whose department may sign manifests of the day has beside these ``manifest_folder``: a folder out of
    which the hub takes them, as ``hub.intake.guards.manifest_box`` says, before and after ``portions``. For a class
    without it ``manifest_key`` is refused. What else of the common settings and its own does not go together a class
    may say in ``config_faults(config)``, a static method that gives a line for each fault. A source that reads tables
    whole is a ``CountedSource`` too.
    """

    @property
    def name(self) -> str: ...

    def target(self, kind: str) -> tuple[str, str]: ...

    @property
    def topics(self) -> Mapping[str, str]: ...

    def portions(self) -> Iterator[Portion]: ...

    def waits(self) -> bool:
        """Whether there is anything to read, also if it is still being written."""
        ...

    def check(self) -> list[str]:
        """Problems of the source as it stands (folder, headings of waiting files); publishes nothing."""
        ...

    def close(self) -> None: ...


class CountedSource(Protocol):
    """A source that reads tables whole, whose manifests count rows. It is told each manifest, the one in force last,
    also those of before its start; ``readings`` gives what it counted since it was last asked."""

    @property
    def manifest_folder(self) -> Path | None: ...

    def expect(self, manifest: SourceManifest) -> None: ...

    def readings(self) -> list[TableReading]: ...
