"""The pages as programs and attackers see them: sessions, forms of other sites, other departments, live parts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import httpx2
import pytest
import redis
from argon2 import PasswordHasher
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from starlette.testclient import TestClient

from hub.access import passwords
from hub.access.key_uses import KeyUses
from hub.access.refusal import RefusalError
from hub.access.sessions import IDLE, LONGEST, Sessions, digest_of, form_token
from hub.access.throttle import ACCOUNT_TRIES, ADDRESS_TRIES, WINDOW, Throttle
from hub.web.marks import marks_of
from hub.web.site.caller import Caller
from hub.web.site.form import Form
from hub.web.site.guard import allowed, posted, site_of
from hub.web.site.live import Live, Pace, live
from hub.web.site.pages import PageSet
from hub.web.site.personal import KIND, state_purpose
from tests.support_site import PASSWORD, ROOT_PERSON, Asked, Site, account, heard, site, utc_now

ORIGIN = "http://127.0.0.1"
HTML = {"accept": "text/html"}
NOW = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def quick_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a hash costs is not what is asked here."""
    monkeypatch.setattr(passwords, "_HASHER", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


@pytest.fixture
def here(redis_client: redis.Redis) -> Site:
    return site(redis_client)


class Browser:
    """A client that keeps cookies, and sends forms as a browser on our pages does."""

    def __init__(self, given: Site, base_url: str = ORIGIN) -> None:
        self.client = TestClient(given.app, base_url=base_url, follow_redirects=False, raise_server_exceptions=False)
        self.origin = base_url

    def get(self, path: str, **headers: str) -> httpx2.Response:
        return self.client.get(path, headers={**HTML, **headers})

    def post(self, path: str, data: dict[str, Any], origin: str | None = "own", token: str | None = "own") -> Any:
        headers = dict(HTML)
        if origin is not None:
            headers["origin"] = self.origin if origin == "own" else origin
        if token is not None:
            data = {**data, "_token": form_token(self.session or "") if token == "own" else token}
        return self.client.post(path, data=data, headers=headers)

    @property
    def session(self) -> str | None:
        return self.client.cookies.get("hub-session") or self.client.cookies.get("__Host-session")

    def sign_in(self, name: str, password: str = PASSWORD, **more: Any) -> Any:
        return self.post("/sign-in", {"name": name, "password": password, **more})


def signed_in(given: Site, name: str) -> Browser:
    browser = Browser(given)
    assert browser.sign_in(name).status_code == 303
    return browser


# -- coming in ---------------------------------------------------------------------------------


def test_redis_holds_nothing_that_opens_a_session(here: Site, redis_client: redis.Redis) -> None:
    browser = signed_in(here, "fin-clerk")
    id_ = browser.session or ""
    assert len(id_) >= 43
    keys: list[bytes] = list(redis_client.scan_iter())
    values: list[Any] = [redis_client.get(key) for key in keys if key.startswith(b"hub:session:")]
    assert len(values) == 1
    held = b"".join([*keys, *values])
    assert id_.encode() not in held and form_token(id_).encode() not in held and digest_of(id_).encode() in held


def test_the_cookie_is_the_hosts_own_by_https(here: Site) -> None:
    plain = Browser(here).sign_in("fin-clerk").headers["set-cookie"]
    assert plain.startswith("hub-session=") and "Secure" not in plain
    assert "HttpOnly" in plain and "SameSite=lax" in plain
    secure = Browser(here, "https://hub.example").sign_in("fin-clerk")
    cookie = secure.headers["set-cookie"]
    assert cookie.startswith("__Host-session=") and "Secure" in cookie and "Path=/" in cookie and "Domain" not in cookie
    assert "max-age" in secure.headers["strict-transport-security"]


def test_a_wrong_name_a_wrong_password_and_a_disabled_account_are_told_alike(here: Site) -> None:
    here.parts.desk.set_state("tax-clerk", "disabled", by=ROOT_PERSON, reason="离岗")
    answers = [
        Browser(here).sign_in(name, password)
        for name, password in [("nobody", PASSWORD), ("fin-clerk", "wrong password"), ("tax-clerk", PASSWORD)]
    ]
    assert {answer.status_code for answer in answers} == {401}
    names = ("nobody", "fin-clerk", "tax-clerk")
    assert len({answer.text.replace(name, "") for answer, name in zip(answers, names, strict=True)}) == 1


def test_tries_and_sessions_are_on_record_without_what_was_typed(here: Site) -> None:
    Browser(here).sign_in("my secret in the wrong field", "x")
    Browser(here).sign_in("fin-clerk", "wrong password")
    signed_in(here, "fin-clerk")
    acts = [(each.asked.actor, each.state) for each in here.desks.acts.read()]
    assert acts == [("unknown", "failed"), ("fin-clerk", "failed"), ("fin-clerk", "done")]


def test_tries_on_an_account_are_slowed_down_whether_it_is_one_or_not(here: Site) -> None:
    for name in ("nobody", "fin-clerk"):
        browser = Browser(here)
        codes = [browser.sign_in(name, "wrong password").status_code for _ in range(ACCOUNT_TRIES + 1)]
        assert codes == [401] * ACCOUNT_TRIES + [429]
        answer = browser.sign_in(name)
        assert answer.status_code == 429 and 0 < int(answer.headers["retry-after"]) <= WINDOW.total_seconds()


def test_tries_from_an_address_are_slowed_down(redis_client: redis.Redis) -> None:
    throttle = Throttle(redis_client)
    waits = [throttle.wait(f"name-{number}", "10.0.0.9") for number in range(ADDRESS_TRIES + 1)]
    assert waits[:-1] == [None] * ADDRESS_TRIES and waits[-1] is not None
    assert throttle.wait("name-0", "10.0.0.10") is None
    throttle.forgive("name-1", "10.0.0.9")
    assert throttle.wait("name-1", "10.0.0.9") is not None
    assert all(redis_client.pttl(key) > 0 for key in redis_client.scan_iter("hub:tries:*"))


@pytest.mark.parametrize(
    "place", ["//elsewhere.example/", "https://elsewhere.example/", "/\\elsewhere.example", "/\n/x"]
)
def test_no_link_leads_elsewhere_after_coming_in(here: Site, place: str) -> None:
    assert Browser(here).sign_in("fin-clerk", next=place).headers["location"] == "/"


def test_coming_in_makes_a_new_session_and_ends_the_one_of_before(here: Site) -> None:
    browser = signed_in(here, "fin-clerk")
    before = browser.session
    browser.sign_in("fin-clerk")
    assert browser.session != before
    assert here.parts.door.who(before or "") is None and here.parts.door.who(browser.session or "") is not None


# -- sessions ----------------------------------------------------------------------------------


def test_a_session_ends_without_use_and_at_the_end_of_the_day(redis_client: redis.Redis) -> None:
    sessions, who = Sessions(redis_client), account("fin-clerk", "finance", "clerk")
    id_ = sessions.begin(who, "10.0.0.9", "a browser", NOW)
    used = NOW
    while used < NOW + LONGEST - IDLE:
        used += IDLE - timedelta(minutes=1)
        assert sessions.find(id_, used) is not None
    assert sessions.find(id_, NOW + LONGEST) is None
    idle = sessions.begin(who, "10.0.0.9", "a browser", NOW)
    assert sessions.find(idle, NOW + IDLE) is None
    assert [each.handle for each in sessions.of("fin-clerk", NOW)] != []
    sessions.end_all("fin-clerk")
    assert sessions.of("fin-clerk", NOW) == [] and sessions.find(idle, NOW) is None


def test_to_look_at_a_session_is_no_use_of_it(redis_client: redis.Redis) -> None:
    sessions = Sessions(redis_client)
    id_ = sessions.begin(account("fin-clerk", "finance", "clerk"), "10.0.0.9", "a browser", NOW)
    for minutes in range(1, 30):
        seen = sessions.peek(id_, NOW + timedelta(minutes=minutes))
        assert seen is not None and seen.seen == NOW
    assert sessions.peek(id_, NOW + IDLE) is None and sessions.find(id_, NOW + IDLE) is None
    assert sessions.peek("never was", NOW) is None


@pytest.mark.parametrize("change", ["password", "roles", "state"])
def test_every_change_of_the_account_ends_its_sessions_also_where_redis_was_not_told(here: Site, change: str) -> None:
    browser = signed_in(here, "fin-clerk")
    assert browser.get("/profile").status_code == 200
    desk = here.parts.desk
    if change == "password":
        desk.set_password("fin-clerk", "another good sentence", by=ROOT_PERSON, reason="调整")
    elif change == "roles":
        desk.set_roles("fin-clerk", ["leader"], by=ROOT_PERSON, reason="调整")
    else:
        desk.set_state("fin-clerk", "disabled", by=ROOT_PERSON, reason="调整")
    assert browser.get("/profile").headers["location"] == "/sign-in?next=/profile"


def test_a_session_is_ended_by_its_owner_alone(here: Site) -> None:
    mine, other, foreign = signed_in(here, "fin-clerk"), signed_in(here, "fin-clerk"), signed_in(here, "tax-clerk")
    assert mine.post("/profile/sessions/end", {"handle": digest_of(foreign.session or "")}).status_code == 404
    assert mine.post("/profile/sessions/end", {"handle": digest_of(other.session or "")}).status_code == 303
    assert other.get("/profile").status_code == 303 and foreign.get("/profile").status_code == 200


def test_without_redis_pages_say_so_and_nobody_is_let_in(redis_client: redis.Redis) -> None:
    away = site(redis.Redis(host="127.0.0.1", port=1))
    browser = Browser(away)
    browser.client.cookies.set("hub-session", "whatever")
    answer = browser.get("/profile")
    assert answer.status_code == 503 and "暂时无法受理" in answer.text and answer.headers["retry-after"]
    assert browser.get("/profile", accept="application/json").json()["type"] == "/problems/unavailable"


# -- forms of others ---------------------------------------------------------------------------


def forms(given: Site) -> list[str]:
    return [path for methods, path, _ in marks_of(given.app) if "POST" in methods]


def test_no_form_is_taken_from_another_site_or_without_the_sessions_token(here: Site) -> None:
    browser = signed_in(here, "lead-admin")
    other = signed_in(here, "fin-clerk")
    paths = forms(here)
    assert len(paths) >= 9
    for path in paths:
        place = path.replace("{name}", "fin-clerk").replace("{report_id}", "x")
        for origin in ("https://elsewhere.example", "null", None):
            assert browser.post(place, {"reason": "x"}, origin=origin).status_code == 403, (place, origin)
        if path not in ("/sign-in", "/language"):
            for token in (None, "", form_token(other.session or "")):
                assert browser.post(place, {"reason": "x"}, token=token).status_code == 403, (place, token)
    assert browser.get("/profile").status_code == 200  # it was not signed out


def test_forms_are_read_within_bounds(here: Site) -> None:
    browser = signed_in(here, "fin-admin")
    assert browser.post("/accounts", {"reason": "很" * 70_000}).status_code == 413
    assert browser.post("/accounts", {"name": "x" * 101, "reason": "x"}).status_code == 422
    headers = {**HTML, "origin": ORIGIN, "content-type": "application/json"}
    assert browser.client.post("/accounts", content=b"{}", headers=headers).status_code == 415


# -- rights ------------------------------------------------------------------------------------


def test_nobody_sees_a_page_without_coming_in(here: Site) -> None:
    for methods, path, (mark,) in marks_of(here.app):
        if mark.open_to is None and "GET" in methods:
            answer = TestClient(here.app, base_url=ORIGIN).get(path.format(name="fin-clerk", report_id="x"))
            assert answer.status_code == 401, path
            assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("person", ["fin-admin", "fin-leader"])
def test_another_departments_account_is_not_there(here: Site, person: str) -> None:
    browser = signed_in(here, person)
    foreign, none = browser.get("/accounts/tax-clerk"), browser.get("/accounts/no-such-one")
    assert foreign.status_code == none.status_code == 404
    assert foreign.text.replace("tax-clerk", "no-such-one") == none.text
    assert "tax-clerk" not in browser.get("/accounts?q=tax").text.replace('value="tax"', "")
    assert browser.get("/accounts/fin-clerk").status_code == 200
    assert "taxation" not in browser.get("/accounts?department=taxation").text.replace("department=taxation", "")


def test_another_departments_account_is_not_changed(here: Site) -> None:
    browser = signed_in(here, "fin-admin")
    for what in ("roles", "state", "password"):
        answer = browser.post(f"/accounts/tax-clerk/{what}", {"reason": "x", "roles": "clerk", "state": "disabled"})
        assert answer.status_code == 404, what
    # The department of a form is not the caller's to choose.
    form = {"name": "fin-two", "display_name": "示例", "department": "taxation", "roles": "clerk", "reason": "新到岗"}
    assert browser.post("/accounts", form).status_code == 201
    made = here.parts.accounts.get("fin-two")
    assert made is not None and made.department == "finance" and made.must_change_password


def test_an_auditor_reads_everything_and_changes_nothing(here: Site) -> None:
    browser = signed_in(here, "over-looker")
    for path in ("/console", "/accounts", "/accounts/tax-clerk", "/reports", "/audit"):
        assert browser.get(path).status_code == 200, path
    for path in set(forms(here)) - {"/sign-in", "/language", "/sign-out", "/password", "/profile/sessions/end"}:
        place = path.replace("{name}", "fin-clerk").replace("{report_id}", "x")
        assert browser.post(place, {"reason": "x", "roles": "clerk"}).status_code == 403, path


@pytest.mark.parametrize(("person", "status"), [("fin-clerk", 403), ("night-watch", 403), ("fin-admin", 200)])
def test_accounts_are_seen_by_who_has_the_right(here: Site, person: str, status: int) -> None:
    assert signed_in(here, person).get("/accounts").status_code == status


def test_a_department_sees_its_own_acts_alone(here: Site) -> None:
    signed_in(here, "tax-clerk")
    text = signed_in(here, "fin-admin").get("/audit").text
    assert "fin-admin" in text and "tax-clerk" not in text
    assert "tax-clerk" in signed_in(here, "lead-admin").get("/audit").text


# -- answers -----------------------------------------------------------------------------------


def test_every_answer_says_what_browsers_have_to_refuse(here: Site) -> None:
    browser = signed_in(here, "fin-admin")
    for path in ("/", "/accounts", "/no-such-page", "/static/site.css", "/openapi.json", "/sign-in"):
        headers = browser.get(path).headers
        assert "'unsafe" not in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "same-origin")
        assert headers["cache-control"] == ("public, max-age=604800" if "/static/" in path else "no-store"), path


def test_what_somebody_typed_is_text_on_the_page(here: Site) -> None:
    bad = "<script>alert(1)</script>"
    assert bad not in Browser(here).sign_in(bad).text
    assert bad not in signed_in(here, "fin-admin").get(f"/accounts?q={bad}").text


def test_faults_are_pages_for_people_and_problems_for_programs(here: Site) -> None:
    browser = signed_in(here, "fin-clerk")
    assert "<h1>没有此页面</h1>" in browser.get("/no-such-page").text
    answer = browser.client.get("/accounts", headers={"accept": "application/json"})
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/forbidden")
    assert browser.get("/profile/x/y", accept="application/json").json()["status"] == 404


# -- keys of programs --------------------------------------------------------------------------


def test_a_use_of_a_key_is_noted_once_a_minute(redis_client: redis.Redis) -> None:
    uses = KeyUses(redis_client)
    for seconds, noted in ((0, 0), (30, 0), (70, 70), (-100, -100)):  # the last by a clock that was set back
        uses.used("k", NOW + timedelta(seconds=seconds))
        assert uses.last(["k", "never"]) == {"k": NOW + timedelta(seconds=noted)}


def test_a_key_opens_what_it_is_for_until_it_ends(here: Site) -> None:
    client = TestClient(here.app, base_url=ORIGIN)
    made = here.desks.keys.create("对接", "finance", ["key.read"], 30, actor=ROOT_PERSON.actor, reason="对接")
    assert client.get("/v1/key").status_code == 401
    here.add_key(made.key)
    bearer = {"authorization": f"Bearer {made.text}"}
    assert client.get("/v1/key", headers=bearer).json()["department"] == "finance"
    assert client.get("/v1/reports", headers=bearer).status_code == 403
    assert here.parts.key_uses.last([made.key.key_id, "never"]).keys() == {made.key.key_id}
    here.add_key(here.desks.keys.revoke(made.key.key_id, actor=ROOT_PERSON.actor, reason="停用"))
    assert client.get("/v1/key", headers=bearer).status_code == 401


def test_a_program_sees_the_reports_of_its_department(here: Site) -> None:
    for name in ("fin-clerk", "tax-clerk"):
        here.parts.desk.set_roles(name, ["leader"], by=ROOT_PERSON, reason="调整")
    for report in here.parts.desk.reports():
        here.parts.note(report)
    made = here.desks.keys.create("对接", "finance", ["reports.read"], 30, actor=ROOT_PERSON.actor, reason="对接")
    here.add_key(made.key)
    answer = TestClient(here.app).get("/v1/reports", headers={"authorization": f"Bearer {made.text}"})
    assert [each["account"] for each in answer.json()["reports"]] == ["fin-clerk"]


# -- personal data and live parts --------------------------------------------------------------


def looks() -> PageSet:
    router = APIRouter()

    def look(
        request: Request, caller: Annotated[Caller, Depends(allowed("personal.read"))],
        form: Annotated[Form, Depends(posted)],
    ) -> Response:
        caller.must_see("finance")
        try:
            state_purpose(site_of(request).acts, caller, "event-1", ["party_certificate_number"], form.text("purpose"))
        except RefusalError as refusal:
            return JSONResponse({"refused": refusal.slug}, 422)
        return JSONResponse({"shown": True})

    router.add_api_route("/looks", look, methods=["POST"])
    return PageSet(router)


def test_a_look_at_personal_data_has_a_purpose_on_record(redis_client: redis.Redis) -> None:
    given = site(redis_client, [looks])
    browser = signed_in(given, "fin-clerk")
    assert browser.post("/looks", {"purpose": " 查 "}).json() == {"refused": "purpose-missing"}
    assert browser.post("/looks", {"purpose": "核实案件主体"}).json() == {"shown": True}
    (act,) = [each for each in given.desks.acts.read() if each.asked.kind == KIND]
    assert (act.asked.actor, act.asked.reason, act.asked.department) == ("fin-clerk", "核实案件主体", "finance")
    assert signed_in(given, "tax-clerk").post("/looks", {"purpose": "核实案件主体"}).status_code == 404
    assert signed_in(given, "fin-admin").post("/looks", {"purpose": "核实案件主体"}).status_code == 403
    given.desks.log.fails_on = {"audit.acts.v1"}
    assert browser.post("/looks", {"purpose": "核实案件主体"}).status_code == 503


def test_a_live_part_tells_what_changed_and_ends_with_the_session_or_the_process(here: Site) -> None:
    browser = signed_in(here, "lead-admin")
    found = here.parts.door.who(browser.session or "")
    assert found is not None
    caller = Caller(found[1], found[0], browser.session or "", "profile.use", "self")
    numbers = iter([1, 1, 2, 2])

    def listen(last: str, until: str) -> list[str]:
        def look() -> Live:
            number = next(numbers, 2)
            if until == "process" and number == 2:
                here.parts.ending.set()
            return Live(str(number), f"number {number}")

        request: Any = Asked(here, browser.session or "", last)
        return heard(live(request, caller, look, Pace(0.001, 0.0, 0.0)))

    said = listen("", "process")
    assert said[0] == "retry: 3000\n\n" and ": still here\n\n" in said
    told = [part for part in said if "data:" in part]
    assert [part.split("\n")[0:3] for part in told] == [
        ["event: message", "data: number 1", "id: message=1"], ["event: message", "data: number 2", "id: message=2"],
    ]
    here.parts.ending.clear()
    here.parts.desk.set_state("lead-admin", "disabled", by=ROOT_PERSON, reason="离岗")
    # A browser that comes back is not told again what it knows, and out of its session it is told nothing.
    assert listen("message=2", "session") == ["retry: 3000\n\n"]


def test_a_page_that_stands_open_keeps_nobody_in(redis_client: redis.Redis) -> None:
    clock = [utc_now()]
    given = site(redis_client, now=lambda: clock[0])
    browser = signed_in(given, "lead-admin")
    given.parts.ending.set()  # streams end at once: what is asked here is their opening
    for _ in range(4):
        clock[0] += IDLE / 4
        answer = browser.client.get("/live/nav")
    assert answer.status_code == 401
    assert browser.get("/profile").status_code == 303
