"""What is said to the process that reads, and the last thing that it answers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from hub.domain.facts import FactRule
from hub.intake.sources import SourceConfig


class Job(NamedTuple):
    """The portion of ``handle`` behind its first ``behind`` rows. ``root`` is the folder of the catalog, ``facts`` are
    the rules of topics that declare some."""

    root: Path
    config: SourceConfig
    data_dir: Path
    subject_secret: bytes
    facts: Mapping[str, FactRule]
    handle: Any
    behind: int


class Ended(NamedTuple):
    """There is no more; ``error`` is what the portion raised."""

    error: Exception | None = None
