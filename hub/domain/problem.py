"""Problem documents (RFC 9457): what was wrong with what somebody sent, for its sender to repair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hub.domain.characters import mask_personal
from hub.errors import InputError

#: One entry of ``errors``: ``pointer`` (RFC 6901, into what was sent) and ``detail``.
Fault = dict[str, str]


def fault(path: Sequence[str | int], detail: str) -> Fault:
    """A fault at ``path``, given as the names and indexes on the way to it. A name that is a personal number, which
    only a muddled or hostile sender gives, is masked: answers are kept and logged."""
    steps = (mask_personal(str(step)).replace("~", "~0").replace("/", "~1") for step in path)
    return {"pointer": "".join(f"/{step}" for step in steps), "detail": detail}


class ProblemError(InputError):
    """Something that the hub refuses, by whatever way it came.

    ``slug`` names the kind of problem and never changes; ``title`` is Chinese and the same for all problems of a
    kind, ``detail`` English and about this one. ``status`` is HTTP's; ``headers`` go with an answer by HTTP.
    """

    def __init__(
        self,
        status: int,
        slug: str,
        title: str,
        detail: str,
        errors: Sequence[Fault] = (),
        *,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.slug = slug
        self.title = title
        self.errors = list(errors)
        self.headers = dict(headers or {})

    def document(self, instance: str) -> dict[str, object]:
        """The problem as ``application/problem+json``; ``instance`` is what was asked, as a URI reference."""
        document: dict[str, object] = {
            "type": f"/problems/{self.slug}",
            "title": self.title,
            "status": self.status,
            "detail": str(self),
            "instance": instance,
        }
        if self.errors:
            document["errors"] = self.errors
        return document
