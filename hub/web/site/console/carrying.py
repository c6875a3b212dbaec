"""Carrying out what was approved, beside the pages: a large one takes longer than a browser waits."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from hub.domain.acts import Actor
from hub.domain.acts import Request as ActRequest
from hub.errors import HubError
from hub.web.site.console.desks import Carry

log = structlog.get_logger()


class Carrier:
    """At most one thread for a request. A kill leaves the request approved, to be carried out anew: desks write the
    same records with the same ids. How it ended is on record by the desk."""

    def __init__(self, on_end: Callable[[], object] = lambda: None) -> None:
        """``on_end`` is called when one has ended, however."""
        self._lock, self._running, self._on_end = threading.Lock(), set[str](), on_end

    def is_running(self, request_id: str) -> bool:
        with self._lock:
            return request_id in self._running

    def start(self, request: ActRequest, who: Actor, carry: Carry) -> threading.Thread | None:
        """``None`` if it is under way already."""
        id_ = request.asked.request_id
        with self._lock:
            if id_ in self._running:
                return None
            self._running.add(id_)
        thread = threading.Thread(target=self._run, args=(request, who, carry), name=f"act-{id_[:8]}", daemon=True)
        thread.start()
        return thread

    def _run(self, request: ActRequest, who: Actor, carry: Carry) -> None:
        id_ = request.asked.request_id
        try:
            carry(request, who)
        except HubError as error:
            log.error("an approved act was not carried out", request=id_, error=type(error).__name__)
        finally:
            with self._lock:
                self._running.discard(id_)
            self._on_end()
