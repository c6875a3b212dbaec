"""Accounts: an administrator manages those of his department, the lead agency's those of all."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from hub.access import passwords
from hub.access.accounts import Account
from hub.access.refusal import RefusalError
from hub.domain.rights import ROLES, WIDE_ROLES
from hub.web.site.answers import again, go_on
from hub.web.site.caller import Caller
from hub.web.site.form import Form
from hub.web.site.guard import allowed, posted, site_of
from hub.web.site.pages import NavEntry, PageSet
from hub.web.site.paging import page_of

Reader = Annotated[Caller, Depends(allowed("accounts.read"))]
Manager = Annotated[Caller, Depends(allowed("accounts.change"))]
Posted = Annotated[Form, Depends(posted)]
PATH = "/accounts"


def accounts_pages() -> PageSet:
    """The routes of this module."""
    router = APIRouter(prefix=PATH, include_in_schema=False)
    router.add_api_route("", _list, methods=["GET"])
    router.add_api_route("", _create, methods=["POST"])
    router.add_api_route("/new", _ask_new, methods=["GET"])
    router.add_api_route("/{name}", _show, methods=["GET"])
    router.add_api_route("/{name}/roles", _set_roles, methods=["POST"])
    router.add_api_route("/{name}/state", _set_state, methods=["POST"])
    router.add_api_route("/{name}/password", _set_password, methods=["POST"])
    return PageSet(router, (NavEntry(PATH, "nav.accounts", "accounts.read", 700),))


def _list(
    request: Request, caller: Reader, department: str = "", q: str = "", after: str = ""
) -> Response:
    parts, wanted = site_of(request), q.strip().lower()
    seen = [each for each in parts.accounts.all() if caller.sees(each.department)]
    found = [
        each for each in seen
        if department in ("", each.department) and (wanted in each.name or wanted in each.display_name.lower())
    ]
    page = page_of(found, lambda each: each.name, PATH, after, department=department, q=q)
    departments = sorted({each.department for each in seen})
    return parts.renderer.page(
        request, "accounts.html", caller, page=page, departments=departments, department_asked=department, q=q,
        count=len(found),
    )


def _ask_new(request: Request, caller: Manager) -> Response:
    return site_of(request).renderer.page(request, "account-new.html", caller, **_new_context(request, caller, {}))


def _create(request: Request, caller: Manager, form: Posted) -> Response:
    parts, name = site_of(request), form.text("name", 100).lower()
    password = passwords.generate(name)
    department = form.text("department", 60) if caller.scope == "all" else caller.account.department
    try:
        made = parts.desk.create(
            name, form.text("display_name", 200), department, form.many("roles"), password, by=caller.person,
            reason=form.text("reason"),
        )
    except RefusalError as refusal:
        context = _new_context(request, caller, form.shown())
        return again(request, "account-new.html", caller, refusal, context)
    return _page(request, caller, made, password=password, status=201)


def _show(request: Request, caller: Reader, name: str) -> Response:
    return _page(request, caller, _account(request, caller, name))


def _set_roles(request: Request, caller: Manager, name: str, form: Posted) -> Response:
    account = _account(request, caller, name)
    try:
        site_of(request).desk.set_roles(name, form.many("roles"), by=caller.person, reason=form.text("reason"))
    except RefusalError as refusal:
        return again(request, "account.html", caller, refusal, _context(request, caller, account))
    site_of(request).door.sign_out_all(name)
    return go_on(request, f"{PATH}/{name}", "roles-changed")


def _set_state(request: Request, caller: Manager, name: str, form: Posted) -> Response:
    account, is_ending = _account(request, caller, name), form.text("state", 20) != "active"
    try:
        site_of(request).desk.set_state(
            name, "disabled" if is_ending else "active", by=caller.person, reason=form.text("reason")
        )
    except RefusalError as refusal:
        return again(request, "account.html", caller, refusal, _context(request, caller, account))
    site_of(request).door.sign_out_all(name)
    return go_on(request, f"{PATH}/{name}", "account-disabled" if is_ending else "account-enabled")


def _set_password(request: Request, caller: Manager, name: str, form: Posted) -> Response:
    parts, account, password = site_of(request), _account(request, caller, name), passwords.generate(name)
    try:
        changed = parts.desk.set_password(name, password, by=caller.person, reason=form.text("reason"))
    except RefusalError as refusal:
        return again(request, "account.html", caller, refusal, _context(request, caller, account))
    parts.door.sign_out_all(name)
    return _page(request, caller, changed, password=password)


def _account(request: Request, caller: Caller, name: str) -> Account:
    """Raises ProblemError 404 for one that is not there for him."""
    found = site_of(request).accounts.get(name)
    caller.must_see(found.department if found else None)
    assert found is not None  # what is nobody's is not seen
    return found


def _page(
    request: Request, caller: Caller, account: Account, *, password: str | None = None, status: int = 200
) -> Response:
    context = _context(request, caller, account) | {"password": password}
    return site_of(request).renderer.page(request, "account.html", caller, status=status, **context)


def _context(request: Request, caller: Caller, account: Account) -> dict[str, Any]:
    is_manager = caller.may("accounts.change") and account.name != caller.account.name
    is_wide = bool(set(account.roles) & set(WIDE_ROLES))
    return {
        "account": account, "password": None, "refusal": None, "grantable": _grantable(caller),
        "may_change": is_manager and (not is_wide or caller.scope_in("accounts.change") == "all"),
    }


def _new_context(request: Request, caller: Caller, given: Any) -> dict[str, Any]:
    names = site_of(request).renderer.departments
    shown = names if caller.scope == "all" else {caller.account.department: names[caller.account.department]}
    return {"departments": shown, "grantable": _grantable(caller), "given": given, "refusal": None}


def _grantable(caller: Caller) -> list[str]:
    return [role for role in ROLES if role not in WIDE_ROLES or caller.scope_in("accounts.change") == "all"]
