"""What a bench used of its machine."""

from __future__ import annotations

import resource


def cpu_seconds() -> float:
    """CPU seconds that this process has used, all its threads, user and system together."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
