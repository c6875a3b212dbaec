"""Live parts: who is told, how often that is asked, and the counts of the navigation by one stream."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import Any

import pytest
import redis
from fastapi import APIRouter, Request

from hub.errors import BrokerError, IndexUnavailableError
from hub.web.site import nav_counts
from hub.web.site.caller import Caller
from hub.web.site.live import Live, Pace, live
from hub.web.site.pages import NavEntry, PageSet
from tests.support_console import Stage, StandInDoor, client_of
from tests.support_site import Asked, Site, heard, site

OPENING = "retry: 3000\n\n"


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    made = Stage()
    made.use_memory(monkeypatch)
    return made


def asked(made: Site, name: str, last: str = "", path: str = "/live/x") -> Any:
    return Asked(made, name, last, path)


def caller_of(made: Site, name: str, action: str = "profile.use") -> Caller:
    found = made.parts.door.peek(name)
    assert found is not None
    return Caller(found[1], found[0], name, "profile.use", "self").for_action(action)


class Leaving:
    """A door that lets in ``times`` times, and is then away or shut."""

    def __init__(self, made: Site, times: int, error: Exception | None = None) -> None:
        self._door, self._times, self._error = made.parts.door, times, error

    def peek(self, id_: str) -> Any:
        self._times -= 1
        if self._times >= 0:
            return self._door.peek(id_)
        if self._error is not None:
            raise self._error
        return None


# -- who is told -------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [None, IndexUnavailableError("away")])
def test_a_stream_that_always_changes_ends_with_the_session(stage: Stage, error: Exception | None) -> None:
    made = stage.site()
    caller = caller_of(made, "night-watch")
    made.parts.door = Leaving(made, 3, error)  # type: ignore[assignment]  # it knows the one call that is made
    numbers = count()
    said = heard(live(asked(made, "night-watch"), caller, lambda: Live(str(next(numbers)), "x"), Pace(0.0, 60.0, 0.0)))
    # One look and one question before each event, and one after it.
    assert said[0] == OPENING and len(said) <= 4 and len([part for part in said if "data:" in part]) == 2


def test_who_listens_is_asked_for_by_a_clock_of_its_own(stage: Stage) -> None:
    made = stage.site()
    caller = caller_of(made, "night-watch")
    made.parts.door = Leaving(made, 0)  # type: ignore[assignment]  # as above
    looks = []

    def look() -> Live:
        looks.append(1)
        return Live("same", "x")

    # The next look and the next sign of life are far: the end of the session is not waited for that long.
    said = heard(live(asked(made, "night-watch"), caller, look, Pace(3600.0, 3600.0, 0.05)))
    assert len(looks) == 1 and len(said) == 2


def test_what_was_looked_for_meanwhile_is_not_told_to_who_is_gone(stage: Stage) -> None:
    made = stage.site()
    caller = caller_of(made, "night-watch")
    door: Any = made.parts.door

    def look() -> Live:
        made.parts.door = Leaving(made, 0)  # type: ignore[assignment]  # as above
        return Live("1", "secret")

    assert heard(live(asked(made, "night-watch"), caller, look, Pace(0.0, 60.0, 0.0))) == [OPENING]
    assert door.uses == 0


def test_a_right_that_was_taken_away_ends_the_stream(stage: Stage) -> None:
    made = stage.site()
    caller = caller_of(made, "night-watch", "console.read")
    numbers = count()

    def look() -> Live:
        number = next(numbers)
        if number == 2:
            account = made.parts.accounts.get("night-watch")
            assert account is not None
            made.add(replace(account.with_roles(["clerk"]), revision=account.revision + 1))
        return Live(str(number), f"number {number}")

    said = heard(live(asked(made, "night-watch"), caller, look, Pace(0.0, 60.0, 0.0)))
    assert [part.split("\n")[1] for part in said[1:]] == ["data: number 0", "data: number 1"]


def test_a_page_that_stands_open_uses_no_session(stage: Stage) -> None:
    made = stage.site()
    door: Any = made.parts.door
    made.parts.ending.set()
    client = client_of(made, "night-watch")
    for path in ("/live/nav", "/live/console/flow", "/live/console/requests/none", "/live/no-such"):
        client.get(path)
    assert isinstance(door, StandInDoor) and door.uses == 0
    client.get("/console")
    assert door.uses == 1


def test_live_parts_stand_under_one_address(stage: Stage) -> None:
    made = stage.site()
    with pytest.raises(ValueError, match="/live/"):
        live(asked(made, "night-watch", path="/console/x"), caller_of(made, "night-watch"), lambda: Live("1", ""))


def test_who_comes_back_says_what_he_heard_by_header_or_address(stage: Stage) -> None:
    made = stage.site()
    caller, pace, id_ = caller_of(made, "night-watch"), Pace(0.0, 0.0, 60.0), "已受理|a=1&b=2"

    def first(request: Any) -> str:
        return heard(live(request, caller, lambda: Live(id_, "x"), pace), most=2)[1]

    last = first(asked(made, "night-watch")).split("id: ")[1].strip()
    assert last.isascii()
    assert first(asked(made, "night-watch", last)) == ": still here\n\n"
    escaped = last.replace("%", "%25").replace("=", "%3D")
    assert first(asked(made, "night-watch", path=f"/live/x?last-event-id={escaped}")) == ": still here\n\n"
    assert "data: x" in first(asked(made, "night-watch", "7"))


# -- the counts of the navigation --------------------------------------------------------------


def counted(monkeypatch: pytest.MonkeyPatch, numbers: dict[str, int | None], looked: list[tuple[str, str]]) -> Site:
    """A site whose entries of the navigation wait for so many; ``None`` cannot be had. The last look ends streams."""
    monkeypatch.setattr(nav_counts, "PACE", Pace(look=0.0))
    ends = "/console/last"

    def entry(path: str, action: str) -> NavEntry:
        def waiting(request: Request, caller: Caller) -> int:
            looked.append((path, f"{caller.action} {caller.scope}"))
            if path == ends:
                made.parts.ending.set()
            if (number := numbers.get(path, 0)) is None:
                raise BrokerError("away")
            return number

        return NavEntry(path, "nav.reports", action, 900 + len(numbers), waiting)

    actions = {"/console/a": "console.read", "/console/b": "console.read", "/desk/c": "portal.read",
               "/accounts/d": "accounts.read", ends: "profile.use"}
    found = tuple(entry(*each) for each in actions.items())
    made = site(redis.Redis(port=1), [lambda: PageSet(APIRouter(), found)])
    made.parts.door = StandInDoor(made)  # type: ignore[assignment]  # it knows the two calls that pages make
    return made


def told(made: Site, name: str, last: str = "") -> tuple[list[tuple[str, str]], str]:
    """(path, number) of each event that one is told, and the id of the last."""
    made.parts.ending.clear()
    text = client_of(made, name).get("/live/nav", headers={"last-event-id": last}).text
    parts = [part.split("\n") for part in text.split("\n\n") if part.startswith("event:")]
    said = [(part[0].removeprefix("event: "), part[1].removeprefix("data:").strip()) for part in parts]
    return said, parts[-1][2].removeprefix("id: ") if parts else last


def test_counts_are_looked_at_for_who_has_the_right_and_told_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[tuple[str, str]] = []
    made = counted(monkeypatch, {"/console/a": 3, "/desk/c": 4, "/accounts/d": 5}, looked)
    said, _ = told(made, "over-looker")
    assert said == [("/reports", ""), ("/console/a", "3"), ("/console/b", ""), ("/accounts/d", "5"),
                    ("/console/last", "")]
    assert looked == [("/console/a", "console.read all"), ("/console/b", "console.read all"),
                      ("/accounts/d", "accounts.read all"), ("/console/last", "profile.use self")]
    looked.clear()
    assert told(made, "fin-leader")[0] == [
        ("/reports", ""), ("/desk/c", "4"), ("/accounts/d", "5"), ("/console/last", ""),
    ]
    assert ("/accounts/d", "accounts.read own") in looked and not any("console.read" in each for _, each in looked)


def test_who_comes_back_is_told_the_counts_that_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers: dict[str, int | None] = {"/console/a": 3, "/console/b": 1}
    made = counted(monkeypatch, numbers, [])
    said, last = told(made, "night-watch")
    assert len(said) == 3 and told(made, "night-watch", last) == ([], last)
    numbers["/console/b"] = 2
    changed, last = told(made, "night-watch", last)
    assert changed == [("/console/b", "2")] and told(made, "night-watch", last) == ([], last)


def test_a_count_that_cannot_be_had_stays_and_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers: dict[str, int | None] = {"/console/a": 3, "/console/b": 1}
    made = counted(monkeypatch, numbers, [])
    _, last = told(made, "night-watch")
    numbers.update({"/console/a": None, "/console/b": 7})
    assert told(made, "night-watch", last)[0] == [("/console/b", "7")]


def test_a_page_has_one_stream_for_all_counts_and_one_of_its_own(stage: Stage) -> None:
    made = stage.site()
    for name in ("night-watch", "over-looker"):
        for path, most in {"/console": 1, "/console/flow": 2, "/console/risks": 1, "/console/requests": 1}.items():
            page = client_of(made, name).get(path).text
            assert page.count("sse-connect=") == most and page.count('sse-connect="/live/nav"') == 1, path
            assert 'sse-swap="/console/risks"' in page and 'sse-swap="/console/requests"' in page
    # Who has nothing that is counted asks for no counts.
    assert "sse-connect" not in client_of(made, "fin-clerk").get("/").text
