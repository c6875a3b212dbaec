"""The contract between a lane and the stage that it runs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from hub.bus.records import Output, Record


class Stage:
    """What a stage does with records; the lane does all the rest.

    One thread calls all methods, one at a time. Every record may come again after a kill or a
    rebalance, so all effects must be idempotent. Outputs are written, and acknowledged by all in-sync
    replicas, before the offsets of their records are committed.

    ``handle`` gives one list of outputs for each record, in the same order. It may raise

    - a ``HubError`` with ``is_retryable``: the lane backs off in place and calls again with the same
      records; nothing is skipped;
    - anything else: the lane calls again record by record, and the one that raises goes to the
      stage's dead letters, while those after it pass.
    """

    def handle(self, records: Sequence[Record]) -> Sequence[Sequence[Output]]:
        raise NotImplementedError

    def take_back(self) -> None:
        """What the last ``handle`` returned was not taken: what it remembers of those records is to be forgotten."""

    def on_assigned(self, partitions: Sequence[tuple[str, int]]) -> None:
        """These partitions are ours from now on; called before their first record."""

    def on_revoked(self, partitions: Sequence[tuple[str, int]]) -> None:
        """These partitions are no longer ours; all that was handled of them is committed or will come again.

        Called also when a write failed, with ``on_assigned`` behind it: what the stage remembers of them
        may be ahead of the log and has to be forgotten.
        """

    def tick(self, now: datetime) -> Sequence[Sequence[Output]]:
        """Called as time goes on, also when no record comes. Returns waves of outputs.

        A wave is written when all of the one before it are acknowledged: what says that something was
        said goes into a later wave than what says it. If a write fails, the rest is not written.
        """
        return ()

    def close(self) -> None:
        """The lane has ended; release what the stage holds."""
