"""What is said to the process that reads, and what it answers when a portion is at its end."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from hub.domain.facts import FactRule


class Setup(NamedTuple):
    """Of which source. ``root`` is the folder of the catalog, ``facts`` are the rules of topics that declare some.
    ``config`` is a ``SourceConfig`` in pickle by itself: the settings of a connector in a file beside ``sources.yaml``
    can be read only once that connector, the one of this name and ``base``, is loaded."""

    root: Path
    connector: str
    base: Path | None
    config: bytes
    data_dir: Path
    subject_secret: bytes
    facts: Mapping[str, FactRule]


class Job(NamedTuple):
    """The portion of that handle's content behind its first ``behind`` rows."""

    content: Any
    behind: int


class Ended(NamedTuple):
    """There is no more of it; ``error`` is what the portion raised."""

    error: Exception | None = None
