"""Places on topics as short text: ``routing.dead-letters.v1/3:0-17,19``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from hub.errors import InputError


class Spot(NamedTuple):
    """One record's place."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}:{self.partition}:{self.offset}"


def parse_spot(text: str) -> Spot:
    """``topic:partition:offset`` as ``str(Spot)`` writes it. Raises InputError."""
    parts = text.split(":")
    if len(parts) != 3 or not parts[0] or not all(part.isascii() and part.isdigit() for part in parts[1:]):
        raise InputError(f"{text!r} is no place; a place is written topic:partition:offset")
    return Spot(parts[0], int(parts[1]), int(parts[2]))


def format_spots(spots: Iterable[Spot], most: int) -> list[str]:
    """Texts of at most ``most`` characters (100 or more) that together name the spots, for ``parse_spots``."""
    offsets: dict[tuple[str, int], list[int]] = defaultdict(list)
    for spot in sorted(set(spots)):
        offsets[spot.topic, spot.partition].append(spot.offset)
    texts: list[str] = []
    for (topic, partition), numbers in offsets.items():
        head, line = f"{topic}/{partition}:", ""
        for piece in _ranges(numbers):
            if line and len(line) + len(piece) + 1 > most:
                texts.append(line)
                line = ""
            line = f"{line},{piece}" if line else head + piece
        texts.append(line)
    return texts


def parse_spots(texts: Iterable[str]) -> set[Spot]:
    """The spots that ``format_spots`` wrote. Raises InputError for a text that it did not."""
    found: set[Spot] = set()
    for text in texts:
        head, _, ranges = text.partition(":")
        topic, _, partition = head.rpartition("/")
        try:
            for piece in ranges.split(","):
                first, _, last = piece.partition("-")
                found.update(
                    Spot(topic, int(partition), offset) for offset in range(int(first), int(last or first) + 1)
                )
        except ValueError:
            raise InputError(f"{text!r} names no places") from None
    return found


def _ranges(numbers: list[int]) -> Iterable[str]:
    start = last = numbers[0]
    for number in numbers[1:]:
        if number != last + 1:
            yield _range(start, last)
            start = number
        last = number
    yield _range(start, last)


def _range(start: int, last: int) -> str:
    return str(start) if start == last else f"{start}-{last}"
