"""What can go wrong between a department's program and the hub."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class HubClientError(Exception):
    """Something went wrong; nothing else is raised by this package but faults of its own use."""


class UnreachableError(HubClientError):
    """The hub gave no answer in all attempts. Whether it took anything is not known; to send it again is safe."""


class SignatureError(HubClientError):
    """The signature does not prove that the hub sent this."""


class RefusedError(HubClientError):
    """The hub refused a request: a problem document (RFC 9457). ``errors`` points at each fault of what was sent."""

    def __init__(self, status: int, document: Mapping[str, Any]) -> None:
        self.status = status
        #: Kind of the problem, e.g. ``/problems/invalid``; it never changes.
        self.type = str(document.get("type", "about:blank"))
        self.title = str(document.get("title", ""))
        self.detail = str(document.get("detail", ""))
        self.errors: Sequence[Mapping[str, str]] = document.get("errors", ())
        faults = "; ".join(f"{each.get('pointer')}: {each.get('detail')}" for each in self.errors)
        super().__init__(" ".join(part for part in (f"{status} {self.title}", self.detail, faults) if part))
