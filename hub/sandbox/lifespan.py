"""How long a stand-in's application keeps what it stands on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from fastapi import FastAPI


class Closable(Protocol):
    """A register or a book."""

    def close(self) -> None: ...


def closing(kept: Closable) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """The lifespan of an application at whose end ``kept`` is closed."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        try:
            yield
        finally:
            kept.close()

    return lifespan
