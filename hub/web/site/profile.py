"""The own account: its facts, its sessions, its password."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse

from hub.access.passwords import LEAST
from hub.access.refusal import RefusalError
from hub.domain.rights import RIGHTS
from hub.web.site.answers import again, go_on
from hub.web.site.caller import Caller, not_here
from hub.web.site.form import Form
from hub.web.site.guard import PASSWORD_PATH, SIGN_IN_PATH, allowed, cookie_name, posted, set_cookie, site_of
from hub.web.site.pages import PageSet
from hub.web.site.render import FLASH_COOKIE

User = Annotated[Caller, Depends(allowed("profile.use"))]
#: Whoever has to change his password first may do just that.
DueUser = Annotated[Caller, Depends(allowed("profile.use", while_password_is_due=True))]


def profile_pages() -> PageSet:
    """The routes of this module."""
    router = APIRouter(include_in_schema=False)
    router.add_api_route("/profile", _show, methods=["GET"])
    router.add_api_route("/profile/sessions/end", _end_session, methods=["POST"])
    router.add_api_route(PASSWORD_PATH, _ask_password, methods=["GET"])
    router.add_api_route(PASSWORD_PATH, _change_password, methods=["POST"])
    return PageSet(router)


def _show(request: Request, caller: User) -> Response:
    parts = site_of(request)
    rights = [(action, scope) for action in RIGHTS if (scope := caller.scope_in(action)) != "none"]
    return parts.renderer.page(
        request, "profile.html", caller, rights=rights, sessions=parts.door.sessions_of(caller.account)
    )


def _end_session(request: Request, caller: User, form: Annotated[Form, Depends(posted)]) -> Response:
    door, handle = site_of(request).door, form.text("handle", 64)
    found = next((each for each in door.sessions_of(caller.account) if each.handle == handle), None)
    if found is None:
        raise not_here()
    door.sign_out(found)
    return go_on(request, "/profile", "session-ended")


def _context(caller: Caller) -> dict[str, Any]:
    return {"least": LEAST, "is_due": caller.account.must_change_password, "refusal": None}


def _ask_password(request: Request, caller: DueUser) -> Response:
    return site_of(request).renderer.page(request, "password.html", caller, **_context(caller))


def _change_password(request: Request, caller: DueUser, form: Annotated[Form, Depends(posted)]) -> Response:
    parts = site_of(request)
    try:
        if form.secret("password") != form.secret("password_again"):
            raise RefusalError("password-repeat")
        present, wanted = form.secret("present_password"), form.secret("password")
        changed = parts.desk.change_own_password(caller.account, present, wanted)
    except RefusalError as refusal:
        return again(request, "password.html", caller, refusal, _context(caller))
    # Every session ended with the old password; this browser goes back to the door.
    parts.door.sign_out_all(changed.name)
    answer = RedirectResponse(SIGN_IN_PATH, 303)
    answer.delete_cookie(cookie_name(request), path="/", secure=request.url.scheme == "https", httponly=True)
    set_cookie(request, answer, FLASH_COOKIE, "password-changed", seconds=60)
    return answer
