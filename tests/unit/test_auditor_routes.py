"""An auditor by the table of routes: every page can be read, and every route that changes something refuses."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from hub.domain.rights import RIGHTS
from hub.web.marks import marks_of
from tests.support_console import Stage, client_of, sent
from tests.support_portal import portal_pages
from tests.support_site import Site

AUDITOR = "over-looker"
#: Of each parameter of a path something that is there.
THERE = {
    "departments/{name}": "finance",
    "channels/{name}": "gsxt", "calendars/{name}": "gannan", "versions/{number}": "2", "class/{name}": "",
    "endpoints/{name}": "works-bidding", "{request_id}": "none", "{source}": "permits", "{id_}": "abc123",
    "{what}": "release", "{name}": "x", "{key_id}": "x", "{report_id}": "x",
}


@pytest.fixture(scope="module")
def made() -> Iterator[Site]:
    with pytest.MonkeyPatch.context() as patch:
        stage = Stage()
        stage.use_memory(patch)
        yield stage.site(extra=portal_pages())


def filled(path: str) -> str:
    for pattern, value in THERE.items():
        replaced = re.sub(r"\{\w+\}", value, pattern)
        path = path.replace(pattern, replaced)
    return path


def routes(made: Site, method: str) -> list[tuple[str, str]]:
    """(path, right) of the site's routes with that method."""
    return [
        (path, mark.right) for methods, path, marks in marks_of(made.app) for mark in marks
        if method in methods.split(",") and mark.right
    ]


def test_every_route_that_changes_something_refuses_an_auditor(made: Site) -> None:
    refused = 0
    for path, right in routes(made, "POST"):
        if RIGHTS[right].auditor != "none":
            continue
        answer = client_of(made, AUDITOR).post(filled(path), data=sent(AUDITOR, reason="示例", name="x"))
        assert answer.status_code == 403, (path, answer.status_code)
        refused += 1
    assert refused >= 20, "routes of the console, the portal and the accounts are among them"
    # What an auditor may send: the own account, and a purpose before a look.
    assert {right for path, right in routes(made, "POST") if RIGHTS[right].auditor != "none"} <= {
        "profile.use", "letters.look",
    }


def test_every_page_of_the_console_can_be_read_by_an_auditor_and_offers_nothing_to_do(made: Site) -> None:
    pages = [path for path, right in routes(made, "GET") if path.startswith(("/console", "/oversight", "/trace"))]
    assert len(pages) >= 18
    for path in pages:
        answer = client_of(made, AUDITOR).get(filled(path))
        assert answer.status_code in (200, 404, 422), (path, answer.status_code)
        if answer.status_code != 200:
            assert "{request_id}" in path or "letters/" in path, path
        forms = re.findall(r'<form method="post" action="([^"]+)"', answer.text)
        assert set(forms) <= {"/language", "/sign-out"}, (path, forms)


def test_an_auditor_has_no_page_that_answers_for_a_department(made: Site) -> None:
    pages = [path for path, right in routes(made, "GET") if right == "portal.read"]
    assert len(pages) >= 5
    for path in pages:
        assert client_of(made, AUDITOR).get(filled(path)).status_code == 403, path
