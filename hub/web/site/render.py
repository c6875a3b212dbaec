"""Templates into pages, in the language of whoever asks."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from functools import cache, partial
from pathlib import Path
from typing import Any

import jinja2
from fastapi import Request, Response
from fastapi.responses import HTMLResponse

from hub.domain.plain import instant_text
from hub.domain.rights import ROLES
from hub.web.site.caller import Caller
from hub.web.site.messages import LANGUAGES, has, language_of, say
from hub.web.site.pages import Registry

HERE = Path(__file__).parent
STATIC, TEMPLATES = HERE / "static", HERE / "templates"
LANGUAGE_COOKIE, FLASH_COOKIE = "lang", "flash"
_BEIJING = timezone(timedelta(hours=8))


class Renderer:
    """``departments`` are names by id. ``registry`` is given once all parts of the site are known."""

    def __init__(self, departments: Mapping[str, str]) -> None:
        self.departments, self.registry = departments, Registry(())
        self._env = jinja2.Environment(
            loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined,
            # Templates change with the process alone: looking for each at every page costs more than some pages.
            trim_blocks=True, lstrip_blocks=True, auto_reload=False,
        )
        self._env.globals.update(
            static=static_url, languages=LANGUAGES, all_roles=ROLES, department=self._department, moment=moment_text,
            instant=instant_text, millis=moment_of_millis,
        )

    def page(
        self, request: Request, template: str, caller: Caller | None = None, *, status: int = 200, **context: Any
    ) -> Response:
        """The page as an answer; what the last request left to be said is said and forgotten."""
        language = language_of(request.cookies.get(LANGUAGE_COOKIE))
        flash = request.cookies.get(FLASH_COOKIE, "")
        html = self._env.get_template(template).render(
            request=request, user=caller, t=partial(say, language), has=has, language=language,
            nav=self.registry.nav(caller) if caller else [], path=request.url.path,
            flash=f"flash.{flash}" if has(f"flash.{flash}") else None, **context,
        )
        answer = HTMLResponse(html, status_code=status)
        if flash:
            answer.delete_cookie(FLASH_COOKIE, path="/")
        return answer

    def _department(self, id_: str | None) -> str:
        return self.departments.get(id_ or "", id_ or "—")


@cache
def static_url(name: str) -> str:
    """Address of a static file; another content is another address, so that browsers may keep it."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
    return f"/static/{name}?v={digest}"


def moment_of_millis(millis: int) -> datetime:
    """Milliseconds since the epoch, as indexes hold them, as a moment."""
    return datetime.fromtimestamp(millis / 1000, UTC)


def moment_text(moment: datetime) -> str:
    """A moment as people here read it, in their time, e.g. ``2026-03-02 09:00``."""
    return f"{moment.astimezone(_BEIJING):%Y-%m-%d %H:%M}"
