"""How many rows a table should have, by the signed manifests of its department."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import NamedTuple

from hub.intake import SourceManifest, local_date
from hub.intake.spool import write_json


class Claim(NamedTuple):
    """What a manifest says of the table: its ``day``, like 2026-03-02, and the number of rows."""

    day: str
    rows: int


class Claims:
    """The manifests in force, and the claim that is still unmet. Used by one thread.

    A snapshot that a claim held back stays judged by it until a manifest of a later day comes, the table meets it, or a
    person lets a snapshot through: else midnight would let through what nobody looked at. It stands in ``path``.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._of_days: dict[date, Claim] = {}

    def take(self, manifest: SourceManifest, now: float) -> bool:
        """Another manifest is in force; whether it says something new of today."""
        today, claim = _day(now), Claim(manifest.day.isoformat(), manifest.count)
        is_news = manifest.day == today and self._of_days.get(today) != claim
        kept = {day: each for day, each in self._of_days.items() if day >= today}
        self._of_days = {**kept, manifest.day: claim}
        return is_news

    def has_today(self, now: float) -> bool:
        """Whether the manifest of today has come."""
        return _day(now) in self._of_days

    def at(self, moment: float) -> Claim | None:
        """By what a reading of that moment is judged."""
        return self._of_days.get(_day(moment)) or self._unmet()

    def not_met(self, claim: Claim) -> None:
        """A snapshot is held back for it."""
        write_json(self._path, claim)

    def settled(self) -> None:
        """The table meets it, or somebody has decided."""
        self._path.unlink(missing_ok=True)

    def _unmet(self) -> Claim | None:
        try:
            return Claim(*json.loads(self._path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None


def _day(moment: float) -> date:
    return local_date(datetime.fromtimestamp(moment, UTC))
