"""The table of rights, and that every route of the whole application asks for one of them or says why not."""

from __future__ import annotations

import re

import pytest
import redis
from fastapi import APIRouter

from hub.domain.rights import (
    KEY_SCOPES,
    RIGHTS,
    ROLES,
    STANDINGS,
    WIDE_SCOPES,
    as_table,
    reaches,
    role_faults,
    scope_of,
    standings,
)
from hub.settings import PROJECT_ROOT
from hub.web.marks import Mark, marks_of
from hub.web.readers import ALL, OWN_SCOPES
from hub.web.site.console.pages import console_pages
from hub.web.site.messages import LANGUAGES, catalog
from hub.web.site.pages import PageSet
from tests.support_console import Stage
from tests.support_portal import portal_pages
from tests.support_site import Site, site

#: POST routes that change nothing: to look at personal data is a form, because its purpose goes on record.
LOOKS = {"personal.read", "letters.look"}


@pytest.fixture(scope="module")
def application() -> Site:
    """No route is asked for anything: there is no Redis behind it."""
    return site(redis.Redis(port=1), [*portal_pages(), lambda: console_pages(Stage().desks())])


def test_the_document_holds_the_table_that_the_code_has() -> None:
    text = (PROJECT_ROOT / "docs" / "accounts.md").read_text(encoding="utf-8")
    found = re.search(r"<!-- rights -->\n(.*?)<!-- end -->", text, re.DOTALL)
    assert found is not None and found[1] == as_table()


def test_an_auditor_sees_all_and_changes_nothing() -> None:
    for action, right in RIGHTS.items():
        expected = {"self"} if action == "profile.use" else {"none"} if right.is_change else {"all", "none"}
        assert right.auditor in expected, action
    assert role_faults(["auditor", "clerk"]) == ["roles-auditor-alone"]


def test_only_wide_standings_reach_beyond_their_department() -> None:
    for right in RIGHTS.values():
        assert {right.clerk, right.leader, right.administrator} <= {"none", "self", "own"}


def test_who_leads_follows_from_role_and_department() -> None:
    assert standings(["administrator", "clerk"], "market-supervision") == ("lead", "clerk")
    assert standings(["administrator"], "hezuo-market-supervision") == ("administrator",)
    assert scope_of("accounts.change", ["clerk", "administrator"], "finance") == "own"
    assert scope_of("accounts.change", (), "finance") == "none"
    with pytest.raises(KeyError):
        scope_of("accounts.wish", ["clerk"], "finance")


@pytest.mark.parametrize(("scope", "expected"), [("none", False), ("self", False), ("own", False), ("all", True)])
def test_another_department_is_reached_by_all_alone(scope: str, expected: bool) -> None:
    assert reaches(scope, "finance", "taxation") is expected  # type: ignore[arg-type]


def test_every_route_of_the_site_has_one_right_or_says_why_it_is_open(application: Site) -> None:
    routes = list(marks_of(application.app))
    assert len(routes) > 20
    for methods, path, marks in routes:
        assert len(marks) == 1, f"{methods} {path}: {marks}"
    rights = {mark.right for _, _, marks in routes for mark in marks if mark.right}
    keys = {mark.key for _, _, marks in routes for mark in marks if mark.key}
    assert keys | OWN_SCOPES | {ALL} == set(KEY_SCOPES) and {ALL} == WIDE_SCOPES
    # Actions of panels and of helpers stand in no route.
    assert rights | {"portal.read"} | LOOKS >= set(RIGHTS)


def test_what_changes_something_asks_for_a_right_to_change(application: Site) -> None:
    for methods, path, (mark,) in marks_of(application.app):
        if mark.right and set(methods.split(",")) - {"GET", "HEAD"}:
            assert RIGHTS[mark.right].is_change or mark.right in LOOKS, path


def test_a_route_without_a_mark_is_found() -> None:
    router, inner = APIRouter(), APIRouter()
    router.add_api_route("/forgotten", lambda: "", methods=["GET"])
    inner.add_api_route("/deeper", lambda: "", methods=["POST"])
    router.include_router(inner, prefix="/forgotten")
    app = site(redis.Redis(port=1), [lambda: PageSet(router)]).app
    app.mount("/elsewhere", lambda scope, receive, send: None)  # type: ignore[arg-type, return-value]
    assert {path for _, path, marks in marks_of(app) if not marks} == {"/forgotten", "/forgotten/deeper"}
    assert [Mark] == list({type(mark) for _, _, marks in marks_of(app) for mark in marks})


@pytest.mark.parametrize("language", LANGUAGES)
def test_roles_and_rights_have_words(language: str) -> None:
    words = catalog(language)
    assert {f"right.{action}" for action in RIGHTS} == {key for key in words if key.startswith("right.")}
    assert all(f"role.{role}" in words for role in ROLES)
    assert set(STANDINGS) - set(ROLES) == {"lead"}
