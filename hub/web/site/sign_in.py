"""Coming in, going out, and the language, which everybody may choose."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse

from hub.access.sessions import LONGEST
from hub.access.sign_in import TooMany
from hub.web.marks import open_to
from hub.web.site.caller import Caller
from hub.web.site.form import Form
from hub.web.site.guard import (
    LIVE_PATH,
    PASSWORD_PATH,
    SIGN_IN_PATH,
    allowed,
    caller_of,
    check_origin,
    cookie_name,
    posted,
    set_cookie,
    site_of,
)
from hub.web.site.messages import LANGUAGES
from hub.web.site.pages import PageSet
from hub.web.site.render import LANGUAGE_COOKIE

_YEAR = 365 * 24 * 3600
_EVERYONE = [open_to("everyone: whoever is not in yet; by our own origin alone"), Depends(check_origin)]
_MAX_NAME = 100


def local_path(path: str) -> str:
    """``path`` if it leads to a place of this site, else the first page: no link sends anybody elsewhere."""
    is_ours = path.startswith("/") and path[1:2] not in ("/", "\\") and path.isprintable()
    return path if is_ours and not path.startswith((SIGN_IN_PATH, LIVE_PATH)) else "/"


def sign_in_pages() -> PageSet:
    """The routes of this module."""
    router = APIRouter(include_in_schema=False)
    router.add_api_route(
        SIGN_IN_PATH, _ask, methods=["GET"], dependencies=[open_to("everyone: this is where one comes in")]
    )
    router.add_api_route(SIGN_IN_PATH, _sign_in, methods=["POST"], dependencies=_EVERYONE)
    router.add_api_route("/sign-out", _sign_out, methods=["POST"])
    router.add_api_route("/language", _choose, methods=["POST"], dependencies=_EVERYONE)
    return PageSet(router)


async def _ask(request: Request, next: str = "/") -> Response:
    caller = await caller_of(request)
    if caller is not None:
        return RedirectResponse(caller.home, 303)
    return site_of(request).renderer.page(request, "sign-in.html", next=local_path(next), name="", refusal=None)


def _sign_in(request: Request, form: Annotated[Form, Depends(posted)]) -> Response:
    parts, name, following = site_of(request), form.text("name", _MAX_NAME), local_path(form.text("next"))
    address = request.client.host if request.client else "unknown"
    found = parts.door.sign_in(name, form.secret("password"), address, request.headers.get("user-agent", ""))
    if found is None or isinstance(found, TooMany):
        minutes = -(-int(found.wait.total_seconds()) // 60) if found else 0
        page = parts.renderer.page(
            request, "sign-in.html", status=429 if found else 401, next=following, name=name,
            refusal="sign-in.too-many" if found else "sign-in.wrong", minutes=minutes,
        )
        if found:
            page.headers["retry-after"] = str(int(found.wait.total_seconds()))
        return page
    if (old := request.cookies.get(cookie_name(request))) and (before := parts.door.who(old)):
        parts.door.sign_out(before[0])
    account = found.account
    place = PASSWORD_PATH if account.must_change_password else following
    answer = RedirectResponse(place, 303)
    set_cookie(request, answer, cookie_name(request), found.session_id, seconds=int(LONGEST.total_seconds()))
    return answer


def _sign_out(
    request: Request, caller: Annotated[Caller, Depends(allowed("profile.use", while_password_is_due=True))]
) -> Response:
    site_of(request).door.sign_out(caller.session)
    answer = RedirectResponse(SIGN_IN_PATH, 303)
    answer.delete_cookie(cookie_name(request), path="/", secure=request.url.scheme == "https", httponly=True)
    return answer


def _choose(request: Request, form: Annotated[Form, Depends(posted)]) -> Response:
    answer = RedirectResponse(local_path(form.text("next")) if form.text("at") != SIGN_IN_PATH else SIGN_IN_PATH, 303)
    if (language := form.text("language", 5)) in LANGUAGES:
        set_cookie(request, answer, LANGUAGE_COOKIE, language, seconds=_YEAR)
    return answer
