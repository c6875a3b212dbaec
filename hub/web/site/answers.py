"""How pages answer a form: go on with a word, or show it again with what was wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from hub.access.refusal import RefusalError
from hub.web.site.caller import Caller
from hub.web.site.form import Form
from hub.web.site.guard import set_cookie, site_of
from hub.web.site.messages import has
from hub.web.site.render import FLASH_COOKIE


def go_on(request: Request, path: str, flash: str) -> Response:
    """To ``path``, which says ``flash.<flash>`` once. KeyError for words that the catalog does not have."""
    if not has(f"flash.{flash}"):
        raise KeyError(flash)
    answer = RedirectResponse(path, 303)
    set_cookie(request, answer, FLASH_COOKIE, flash, seconds=60)
    return answer


def again(
    request: Request, template: str, caller: Caller, refusal: RefusalError, context: Mapping[str, Any]
) -> Response:
    """The page once more, with the refusal at its head; 422."""
    return site_of(request).renderer.page(request, template, caller, status=422, **{**context, "refusal": refusal})


def seen_otherwise(form: Form, count: int) -> int | None:
    """How many whoever sent the form has seen, by its field ``count``, if it is not so many now. What was looked at is
    then not what would be done: it is shown once more, with 409."""
    seen = form.text("count", 20)
    if seen == str(count):
        return None
    return int(seen) if seen.isdecimal() else 0
