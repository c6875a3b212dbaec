"""When to try again, decided as a value: no clock, no sleep, no chance of its own.

The caller counts attempts (the first try is attempt 1), brings a number between 0 and 1 for the
jitter, and does what the decision says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

#: "Try the same request again": request timeout, too early (RFC 8470), too many requests.
RETRYABLE_CLIENT_STATUSES = frozenset({408, 425, 429})
#: What speaks of the content alone: nobody says it who has not read what was sent. Other 4xx may be the words of a
#: wrong path, of a gateway with nothing behind it or of a proxy with a limit of its own.
REFUSING_STATUSES = frozenset({400, 409, 422})
#: No outside system may hold us longer than this by a Retry-After: a slip of units (milliseconds
#: for seconds) would otherwise park a queue for weeks without anyone being told.
LONGEST_RETRY_AFTER_SECONDS = 3600.0


def doubled(number: int, *, first: float, longest: float) -> float:
    """Seconds of wait ``number`` (from 0), each twice the one before, at most ``longest``."""
    # Beyond twenty doublings every wait is the longest; the power alone would grow without bound.
    return min(longest, first * 2.0 ** min(number, 20))


@dataclass(frozen=True, slots=True)
class RetryAt:
    """Try again in ``delay_seconds``."""

    delay_seconds: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Stop trying here; ``reason`` is a sentence for the operator."""

    reason: str


RetryDecision = RetryAt | GiveUp


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential delays with jitter.

    ``max_attempts`` counts the first try. The n-th delay is
    ``first_delay_seconds * factor ** (n - 1)``, at most ``max_delay_seconds``, and varied by
    ``jitter`` (0.2 = up to a fifth shorter or longer), so that many that failed together do not
    come back together. The defaults suit a retry in place: about 3 s in all, after which whoever
    holds the queue waits longer.
    """

    max_attempts: int = 4
    first_delay_seconds: float = 0.2
    factor: float = 3.0
    max_delay_seconds: float = 5.0
    jitter: float = 0.2

    def decide(
        self, attempts: int, *, retry_after_seconds: float | None = None, chance: float = 0.5
    ) -> RetryDecision:
        """What to do after ``attempts`` failed tries; ``chance`` in [0, 1] places the jitter.

        A wish of the other side (Retry-After) is a floor under the delay. If it is beyond
        ``max_delay_seconds`` waiting here would hold up the batch, so the decision is to give up.
        """
        if attempts >= self.max_attempts:
            return GiveUp(f"{attempts} attempts failed")
        if retry_after_seconds is not None and retry_after_seconds > self.max_delay_seconds:
            return GiveUp(f"the other side asks to wait {retry_after_seconds:.0f} s")
        delay = min(self.first_delay_seconds * self.factor ** (attempts - 1), self.max_delay_seconds)
        delay *= 1 + self.jitter * (2 * chance - 1)
        return RetryAt(max(delay, retry_after_seconds or 0.0))


#: Seconds between attempts of Standard Webhooks 1.0: 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h; three
#: days and some hours in all.
STANDARD_DELAYS = (5.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0)


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long to wait between attempts that are hours apart, varied by ``jitter`` as in RetryPolicy."""

    delays: tuple[float, ...] = STANDARD_DELAYS
    jitter: float = 0.1

    def delay(self, number: int, *, chance: float = 0.5) -> float | None:
        """Seconds before the attempt after wait ``number`` (from 0); ``None`` when all were in vain."""
        if number >= len(self.delays):
            return None
        return self.delays[number] * (1 + self.jitter * (2 * chance - 1))


#: By the name that the map gives: for a system that must answer within the day, for most, and for one that is looked
#: after once a week.
SCHEDULES: Mapping[str, Schedule] = {
    "brisk": Schedule((5.0, 30.0, 120.0, 600.0, 1800.0, *(3600.0,) * 6)),
    "standard": Schedule(),
    "patient": Schedule((60.0, 900.0, 3600.0, 21_600.0, *(86_400.0,) * 7)),
}


def is_success(status: int) -> bool:
    """Whether an HTTP status says that the work was done: 2xx and nothing else."""
    return 200 <= status < 300


def is_permanent(status: int) -> bool:
    """Whether an HTTP status refuses the request for good: 4xx but 408, 425 and 429.

    A redirect (3xx) is a failure that may pass: following it would send records to an address
    that nobody entered.
    """
    return 400 <= status < 500 and status not in RETRYABLE_CLIENT_STATUSES


def retry_after_seconds(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds that a ``Retry-After`` header asks for (RFC 9110, 10.2.3: seconds or a date).

    ``None`` if there is none or it says nothing readable; at most an hour. ``now`` is aware.
    """
    text = headers.get("Retry-After", "").strip()
    if not text:
        return None
    if text.isascii() and text.isdigit():
        # A text of thousands of digits is not worth an int() of it: it is beyond the limit anyway.
        seconds = float(text) if len(text) < 10 else LONGEST_RETRY_AFTER_SECONDS
    else:
        try:
            moment = parsedate_to_datetime(text)
        except ValueError:
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        seconds = (moment - now).total_seconds()
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER_SECONDS)
