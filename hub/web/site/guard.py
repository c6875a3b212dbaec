"""Who may ask for what: the dependency that every page has.

``Depends(allowed("accounts.read"))`` gives the Caller. What changes something carries the token of its session, in the
form (``_token``) or in a header (``X-Form-Token``, as htmx sends it), and comes from our own origin.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool

from hub.access.keys import ApiKey
from hub.access.sessions import is_form_token
from hub.domain.problem import ProblemError
from hub.domain.rights import KEY_SCOPES, RIGHTS
from hub.web.marks import Mark, marked
from hub.web.site.caller import Caller
from hub.web.site.form import MAX_FIELDS, MAX_FORM_BYTES, Form, read_form
from hub.web.site.parts import SiteParts

#: Where a password that somebody else gave is changed, before anything else.
PASSWORD_PATH, SIGN_IN_PATH = "/password", "/sign-in"
#: Browsers ask for what is under it by themselves, as long as a page stands open.
LIVE_PATH = "/live/"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class ElsewhereError(Exception):
    """The browser has to go to ``path`` first. ``status`` and ``slug`` are what a program is told instead."""

    def __init__(self, path: str, status: int, slug: str) -> None:
        super().__init__(path)
        self.path, self.status, self.slug = path, status, slug


def site_of(request: Request) -> SiteParts:
    """The parts of the site that the application was made with."""
    return cast(SiteParts, request.app.state.site)


def cookie_name(request: Request) -> str:
    """By https the browser itself holds the cookie to this host, whole and secure (``__Host-``, RFC 6265bis)."""
    return "__Host-session" if is_secure(request) else "hub-session"


def is_secure(request: Request) -> bool:
    """Whether the browser speaks https with us, or with a proxy that is trusted (HUB_TRUSTED_PROXIES)."""
    return request.url.scheme == "https"


def set_cookie(request: Request, response: Response, name: str, value: str, *, seconds: int | None = None) -> None:
    response.set_cookie(
        name, value, max_age=seconds, path="/", httponly=True, samesite="lax", secure=is_secure(request)
    )


def check_origin(request: Request) -> None:
    """Raises ProblemError 403 for what another site sent, or what does not say where it comes from."""
    origin = request.headers.get("origin")
    if origin != f"{request.url.scheme}://{request.headers.get('host', '')}":
        raise ProblemError(403, "foreign-origin", "请求来源不明", "a form is taken from this site's own pages alone")


async def caller_of(request: Request) -> Caller | None:
    """Who is signed in, for the action ``profile.use``; ``None`` if nobody is. Under ``/live/`` that is no use of the
    session: a page that stands open does not keep anybody in."""
    id_, door = request.cookies.get(cookie_name(request)), site_of(request).door
    look = door.peek if request.url.path.startswith(LIVE_PATH) else door.who
    found = await run_in_threadpool(look, id_) if id_ else None
    if id_ is None or found is None:
        return None
    session, account = found
    return Caller(account, session, id_, "profile.use", "self")


def allowed(
    action: str, *, while_password_is_due: bool = False, most: int = MAX_FORM_BYTES, files: int = 0,
    fields: int = MAX_FIELDS,
) -> Callable[[Request], Any]:
    """A dependency that gives the Caller, and refuses whoever may not do ``action`` at all.

    ``most``, ``files`` and ``fields`` bound the form, which is read only for somebody who is signed in.

    Raises ElsewhereError for whoever has to sign in or change his password first, ProblemError 403 otherwise.
    KeyError at import for an action that the table does not have.
    """
    if action not in RIGHTS:
        raise KeyError(action)

    async def depend(request: Request) -> Caller:
        caller = await caller_of(request)
        if caller is None:
            raise ElsewhereError(SIGN_IN_PATH, 401, "unauthenticated")
        if request.method not in _SAFE:
            request.state.form_bounds = (most, files, fields)
            await _check_token(request, caller)
        if caller.account.must_change_password and not while_password_is_due:
            raise ElsewhereError(PASSWORD_PATH, 403, "password-due")
        caller = caller.for_action(action)
        if caller.scope == "none":
            raise ProblemError(403, "forbidden", "无权进行此操作", f"your roles do not allow {action}")
        return caller

    async def depend_and_close(request: Request) -> AsyncIterator[Caller]:
        """What was sent with files lies in temporary ones, which go with the request, also with a refused one."""
        try:
            yield await depend(request)
        finally:
            await request.close()

    return marked(depend_and_close if files else depend, Mark(right=action))


async def posted(request: Request) -> Form:
    """The form of a request, as a dependency; read once, whoever asks for it."""
    found: Form | None = getattr(request.state, "form", None)
    if found is None:
        most, files, fields = getattr(request.state, "form_bounds", (MAX_FORM_BYTES, 0, MAX_FIELDS))
        found = request.state.form = await read_form(request, most, files, fields)
    return found


def keyed(scope: str) -> Callable[[Request], Awaitable[ApiKey]]:
    """A dependency for programs: gives the key (``Authorization: Bearer huba_…``) if it has ``scope``.

    Raises ProblemError 401 without a key that opens, 403 for one without the scope.
    """
    if scope not in KEY_SCOPES:
        raise KeyError(scope)

    async def depend(request: Request) -> ApiKey:
        parts = site_of(request)
        scheme, _, text = request.headers.get("authorization", "").partition(" ")
        key = parts.keys.find(text.strip(), parts.now()) if scheme.lower() == "bearer" else None
        if key is None:
            raise ProblemError(
                401, "unauthenticated", "密钥无效", "a valid key is needed", headers={"WWW-Authenticate": "Bearer"}
            )
        if scope not in key.scopes:
            raise ProblemError(403, "forbidden", "密钥无此权限", f"the key does not have the scope {scope}")
        await run_in_threadpool(parts.key_uses.used, key.key_id, parts.now())
        return key

    return marked(depend, Mark(key=scope))


async def _check_token(request: Request, caller: Caller) -> None:
    check_origin(request)
    token = request.headers.get("x-form-token") or (await posted(request)).text("_token", 200)
    if not is_form_token(caller.session_id, token):
        raise ProblemError(403, "form-expired", "页面已过期", "the form is of another session: open the page again")
