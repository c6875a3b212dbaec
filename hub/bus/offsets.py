"""Records of a partition that finish out of order, and the offset that may be committed meanwhile."""

from __future__ import annotations


class OffsetTracker:
    """The records of one partition that are under way. Not thread-safe.

    ``take`` in the order of the offsets, ``finish`` in any order. What may be committed is the offset
    behind which nothing is open: a record that takes long holds the commit back, never the others.
    """

    __slots__ = ("_next", "_open")

    def __init__(self) -> None:
        self._open: dict[int, None] = {}
        self._next: int | None = None

    def __len__(self) -> int:
        """How many records are open."""
        return len(self._open)

    def take(self, offset: int) -> bool:
        """Notes that a record was read. ``False`` if it was read before: it is under way or finished."""
        if self._next is not None and offset < self._next:
            return False
        self._open[offset] = None
        self._next = offset + 1
        return True

    def finish(self, offset: int) -> None:
        """Notes that nothing is left to do for a record. Repeats change nothing."""
        self._open.pop(offset, None)

    def committable(self) -> int | None:
        """The offset from which on a next owner has to read; ``None`` if nothing was read."""
        return next(iter(self._open), self._next)

    @property
    def ahead(self) -> int:
        """How many offsets lie between what may be committed and what was read: repeated after a kill at most."""
        first = self.committable()
        return 0 if first is None or self._next is None else self._next - first
