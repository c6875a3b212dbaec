"""What pages of the console share: who may, what a desk refused, and lists that are kept for some seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from typing import Annotated, TypeVar

from fastapi import Depends, Request, Response

from hub.domain.characters import mask_personal
from hub.errors import HubError
from hub.web.log_readers import Kept
from hub.web.site.caller import Caller
from hub.web.site.form import Form
from hub.web.site.guard import allowed, posted, site_of

Reader = Annotated[Caller, Depends(allowed("console.read"))]
Changer = Annotated[Caller, Depends(allowed("console.change"))]
Posted = Annotated[Form, Depends(posted)]
T = TypeVar("T")
#: What another process did is seen after so long; what was done here, at once.
KEEP_SECONDS = 5.0


def desk_refused(request: Request, caller: Caller, error: HubError, back: str) -> Response:
    """A page that says what the desk said, and leads back; 422. What may be tried again is the frame's to say."""
    if error.is_retryable:
        raise error
    return site_of(request).renderer.page(
        request, "console-refused.html", caller, status=422, said=mask_personal(str(error)), back=back
    )


class Fresh:
    """Lists that are read from topics, made once for everybody who asks within some seconds. Thread-safe."""

    def __init__(
        self, monotonic: Callable[[], float] = time.monotonic, *, keep_seconds: float | None = None
    ) -> None:
        self._monotonic = monotonic
        self._keep_seconds = KEEP_SECONDS if keep_seconds is None else keep_seconds
        self.forget()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """What was made for ``key`` a moment ago, or is made now; who asks for another waits for nobody."""
        # Both methods of a dictionary are one step: of two that begin at once one is kept by both.
        kept = self._kept.setdefault(key, Kept(self._monotonic, keep_seconds=self._keep_seconds))
        return kept.get(key, make)

    def forget(self) -> None:
        """After a change: the next one who asks sees it."""
        self._kept: dict[Hashable, Kept] = {}
