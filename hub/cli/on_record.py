"""What every command that acts goes through: who does it and why is on record before it takes effect."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from hub import wiring
from hub.domain.acts import Actor
from hub.settings import Settings


def machine_user() -> str:
    """The account of this machine that runs the command, by its number.

    Not by ``LOGNAME`` or ``USER``, which anybody sets: a second person must not be an environment variable. Who came
    by ``sudo`` is named as he was before it; only the superuser is believed there, and he could write anything anyway.
    """
    number = os.getuid()
    before = os.environ.get("SUDO_UID", "")
    if number == 0 and before.isdigit():
        number = int(before)
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"uid-{number}"


def this_actor() -> Actor:
    """Who acts by this command."""
    return Actor(machine_user(), "command")


@contextmanager
def on_record(
    settings: Settings, kind: str, target: str, reason: str, *, by: str | None = None,
    details: Sequence[tuple[str, str]] = (),
) -> Iterator[list[str]]:
    """What is done within is an act on record; the list takes words on its outcome.

    ``by`` is whom the command was given for, where that is not the machine's user. Raises InputError without a
    reason, BrokerError if it cannot be put on record: then nothing is done.
    """
    named = [("by", by)] if by else []
    with wiring.open_acts(settings) as desk, desk.acting(
        kind, this_actor(), target, reason, details=[*details, *named]
    ) as outcome:
        yield outcome
