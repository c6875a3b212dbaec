"""Database servers for tests. Where one is not installed its tests say so and are skipped; on CI they fail."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from hub.bench import databases
from hub.bench.databases import PASSWORD, Server
from hub.errors import MissingMeansError

__all__ = ["PASSWORD", "Server", "mariadb", "postgresql"]


@contextlib.contextmanager
def _or_skip(start: Callable[[], AbstractContextManager[Server]]) -> Iterator[Server]:
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(start())
        except MissingMeansError as error:
            if os.environ.get("CI"):
                pytest.fail(str(error), pytrace=False)
            pytest.skip(str(error))
        yield server


def postgresql() -> AbstractContextManager[Server]:
    """A PostgreSQL of its own."""
    return _or_skip(databases.postgresql)


def mariadb() -> AbstractContextManager[Server]:
    """A MariaDB of its own."""
    return _or_skip(databases.mariadb)
