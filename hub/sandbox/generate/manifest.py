"""The truth about a demo season: what the hub has to make of every row of it.

A hub that read the files in the order of their names has, for each, ``new`` first versions,
``amended`` later versions by event type, ``repeated`` rows that became nothing, and ``rejected``
rows; together these are all ``rows``.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self, TypeVar

FILE_NAME = "manifest.json"

#: Fault of a row -> problem code under which intake counts its refusal.
PROBLEM_CODES = {
    "missing-key": "required",
    "missing-name": "required",
    "missing-date": "required",
    "bad-date": "date",
    "unknown-value": "code",
    "bad-length": "length",
    "negative-amount": "amount",
    "look-alike-code": "look-alike",
}

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """``row`` as a spreadsheet counts it, from 1, headings included; ``column`` has the fault."""

    row: int
    fault: str
    column: str


@dataclass(frozen=True, slots=True)
class FileTruth:
    """One file. ``events`` counts its events by type, first versions among them; ``warned`` are rows
    that are taken although the check character of a USCC fails (with ``check_digit: warn``)."""

    source: str
    kind: str
    name: str
    form: str
    rows: int
    new: int
    amended: dict[str, int]
    repeated: int
    rejected: dict[str, int]
    events: dict[str, int]
    warned: int
    rejected_rows: tuple[RejectedRow, ...]

    @property
    def problems(self) -> dict[str, int]:
        """Refused rows by intake's problem code."""
        return _sum({PROBLEM_CODES[fault]: number} for fault, number in self.rejected.items())


@dataclass(frozen=True, slots=True)
class Entity:
    """The last that the hub knows of one natural key.

    ``state`` is the event type of its state, ``last_event`` that of its last version. ``traits`` are
    of its last version: not-public, summary (简易程序), warning-only, natural-person, abnormal, serious.
    """

    source: str
    kind: str
    natural_key: str
    state: str
    last_event: str
    version: int
    traits: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One event of the traced enterprise; ``day`` is the ISO date of the fact."""

    file: str
    kind: str
    natural_key: str
    event_type: str
    day: str


@dataclass(frozen=True, slots=True)
class Traced:
    """The enterprise that the demo follows, and its events in their order."""

    source: str
    name: str
    uscc: str
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """A whole season; ``files`` in the order of arrival, sources mixed."""

    seed: int
    size: int
    files: tuple[FileTruth, ...]
    traced: Traced
    entities: tuple[Entity, ...]

    @property
    def totals(self) -> dict[str, Any]:
        """rows, new, amended, repeated, rejected, warned; and by type, fault and trait."""
        return {
            "rows": sum(file.rows for file in self.files),
            "new": sum(file.new for file in self.files),
            "amended": sum(sum(file.amended.values()) for file in self.files),
            "repeated": sum(file.repeated for file in self.files),
            "rejected": sum(sum(file.rejected.values()) for file in self.files),
            "warned": sum(file.warned for file in self.files),
            "events": _sum(file.events for file in self.files),
            "amended_by_type": _sum(file.amended for file in self.files),
            "rejected_by_fault": _sum(file.rejected for file in self.files),
            "rejected_by_problem": _sum(file.problems for file in self.files),
            "entities": len(self.entities),
            "traits": _sum(Counter(entity.traits) for entity in self.entities),
        }

    def of_source(self, source: str) -> tuple[FileTruth, ...]:
        """The files of one source, in the order of arrival."""
        return tuple(file for file in self.files if file.source == source)

    def to_json(self) -> str:
        """The manifest as a text; ``totals`` are written for people and not read back."""
        data = {"seed": self.seed, "size": self.size, "totals": self.totals}
        return json.dumps(data | asdict(self), ensure_ascii=False, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The reverse of ``to_json``. Raises KeyError or TypeError for what is no manifest."""
        data = json.loads(text)
        traced = data["traced"]
        return cls(
            seed=data["seed"],
            size=data["size"],
            files=tuple(
                _make(FileTruth, file | {"rejected_rows": _all(RejectedRow, file["rejected_rows"])})
                for file in data["files"]
            ),
            traced=_make(Traced, traced | {"steps": _all(Step, traced["steps"])}),
            entities=tuple(
                _make(Entity, entity | {"traits": tuple(entity["traits"])}) for entity in data["entities"]
            ),
        )


def _make(kind: type[_T], data: Mapping[str, Any]) -> _T:
    return kind(**data)


def _all(kind: type[_T], data: Iterable[Mapping[str, Any]]) -> tuple[_T, ...]:
    return tuple(_make(kind, entry) for entry in data)


def _sum(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    return dict(sorted(total.items()))
