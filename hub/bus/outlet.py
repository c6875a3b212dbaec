"""How one attempt at an outside system fails."""

from __future__ import annotations

from hub.errors import OutletError


class AttemptFailedError(OutletError):
    """One attempt failed in a way that may pass.

    ``retry_after_seconds`` is the other side's wish; ``is_unreachable`` says that it gave no HTTP
    answer at all (refused, timed out, cut off).
    """

    def __init__(
        self, message: str, *, retry_after_seconds: float | None = None, is_unreachable: bool = False
    ) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds
        self.is_unreachable = is_unreachable
