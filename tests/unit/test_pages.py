"""The read pages: what a caller may read of its own, in pages that miss and double nothing, and nothing of others."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from fastapi.testclient import TestClient

from hub.delivery.settings import SubscriptionSettings, digest_of
from hub.errors import BrokerError
from hub.web.app import create_app
from hub.web.callers import AnyOf, SubscriptionCallers
from hub.web.cursor import Cursors
from hub.web.log_readers import BusyError, Kept
from hub.web.readers import OWN_SCOPES, Caller
from tests.support_pages import BIDDING, PROCUREMENT, Season, Tokens, season


def client_of(made: Season, token: str | None = "hubt_procurement", **more: Any) -> TestClient:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return TestClient(create_app([("", made.router(**more))]), headers=headers)


@pytest.fixture
def made() -> Season:
    return season()


def walk(client: TestClient, path: str, limit: int) -> list[dict[str, Any]]:
    """All items, page by page, by the cursor and by the link, which have to say the same."""
    found: list[dict[str, Any]] = []
    address = f"{path}{'&' if '?' in path else '?'}limit={limit}"
    for _ in range(50):
        answer = client.get(address)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert len(page["items"]) <= limit
        found += page["items"]
        if page["next"] is None:
            assert "link" not in answer.headers
            return found
        link = answer.headers["link"]
        assert link.endswith('>; rel="next"')
        address = link[1:].partition(">")[0]
        assert parse_qs(urlsplit(address).query)["cursor"] == [page["next"]]
    raise AssertionError("the pages have no end")


PATHS = [
    "/v1/notices", "/v1/notices/{notice}", "/v1/clocks", "/v1/clocks/c1", "/v1/holdings", "/v1/events/{event}/trace",
]


def filled(path: str, made: Season) -> str:
    notice = made.notice("r1", PROCUREMENT)
    return path.format(notice=notice["notice_id"], event=notice["event_id"])


# -- who may ask -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS)
def test_every_route_answers_its_owner_and_asks_who_that_is(path: str, made: Season) -> None:
    path = filled(path, made)
    assert client_of(made).get(path).status_code == 200
    for token in (None, "hubt_of-nobody", ""):
        refused = client_of(made, token).get(path)
        assert refused.status_code == 401 and refused.headers["www-authenticate"] == "Bearer"
        assert refused.json()["type"] == "/problems/unauthenticated"
    basic = TestClient(create_app([("", made.router())])).get(path, headers={"Authorization": "Basic hubt_procurement"})
    assert basic.status_code == 401


@pytest.mark.parametrize("path", PATHS)
def test_a_key_is_good_for_its_scopes_alone(path: str, made: Season) -> None:
    answer = client_of(made, "huba_clocks").get(filled(path, made))
    assert answer.status_code == (200 if "clocks" in path else 403)
    if answer.status_code == 403:
        assert answer.json()["type"] == "/problems/forbidden"


def test_each_use_of_a_key_is_noted_where_it_is_good(made: Season) -> None:
    class Keys:
        def find(self, token: str) -> Caller | None:
            found = Tokens().find(token)
            return found._replace(key_id=token.removeprefix("huba_")) if found and token.startswith("huba_") else found

    used: list[str] = []
    app = create_app([("", made.router(Keys(), used=used.append))])
    for path, token in (("/v1/clocks", "huba_clocks"), ("/v1/notices", "huba_clocks"), ("/v1/notices", "huba_none"),
                        ("/v1/notices", "hubt_procurement"), ("/v1/clocks/none", "huba_clocks")):
        TestClient(app).get(path, headers={"Authorization": f"Bearer {token}"})
    assert used == ["clocks", "clocks"]


def test_the_token_of_a_subscription_is_its_departments() -> None:
    settings = {
        name: SubscriptionSettings(name, token_digest=digest_of(f"hubt_{name}")) for name in (PROCUREMENT, BIDDING)
    }
    callers = AnyOf([SubscriptionCallers(settings, {PROCUREMENT: "A", BIDDING: "B", "gone": "C"}), Tokens()])
    found = callers.find(f"hubt_{BIDDING}")
    assert found is not None
    assert (found.department, found.subscriptions, found.scopes) == ("B", frozenset((BIDDING,)), OWN_SCOPES)
    assert not found.sees_all
    assert callers.find("hubt_nobody") is None and callers.find("huba_auditor") is not None
    # What stands on the log is a digest: it opens nothing.
    assert callers.find(digest_of(f"hubt_{BIDDING}")) is None


# -- what it sees ----------------------------------------------------------------------------------


def test_notices_with_their_ends_and_answers(made: Season) -> None:
    items = walk(client_of(made), "/v1/notices", 200)
    assert {each["subscription"] for each in items} == {PROCUREMENT}
    by_row = {each["notice_id"]: each for each in items}
    first = by_row[made.notice("r1", PROCUREMENT)["notice_id"]]
    assert (first["state"], first["attempts"]) == ("delivered", 1)
    assert [answer["status"] for answer in first["answers"]] == ["acted"]
    assert by_row[made.notice("r2", PROCUREMENT)["notice_id"]]["answers"] == []
    states = sorted(each["state"] for each in items)
    assert states == ["delivered", "delivered", "delivered", "parked", "waiting", "waiting"]
    assert "data" not in first and "record" not in json.dumps(items)


def test_a_notice_that_was_parked_and_released_is_delivered(made: Season) -> None:
    made.records.reverse()
    made.end("r3", PROCUREMENT)
    made.records.insert(0, made.records.pop())
    notice = made.notice("r3", PROCUREMENT)["notice_id"]
    assert client_of(made).get(f"/v1/notices/{notice}").json()["state"] == "delivered"


def test_filters(made: Season) -> None:
    client = client_of(made)
    assert [each["state"] for each in walk(client, "/v1/notices?state=parked", 10)] == ["parked"]
    assert [each["clock_id"] for each in walk(client, "/v1/clocks?status=open", 10)] == ["c0", "c1", "c2", "c3"]
    assert [each["clock_id"] for each in walk(client, "/v1/clocks?status=met", 10)] == ["c4"]
    due = walk(client, "/v1/clocks?due_before=2026-03-03T12:00:00%2B08:00", 10)
    assert [(each["clock_id"], each["is_overdue"]) for each in due] == [("c0", True), ("c1", True), ("c4", False)]
    assert due[0]["title"] == "采取措施并反馈时限"
    [stale] = walk(client, "/v1/holdings?stale=true", 10)
    assert stale["correlation_id"] == made.notice("r5", PROCUREMENT)["correlation_id"]
    assert stale["delivered"]["action"] == "apply" and "lift" in stale["stale"]


def test_an_auditor_sees_every_department(made: Season) -> None:
    client = client_of(made, "huba_auditor")
    assert {each["subscription"] for each in walk(client, "/v1/notices", 3)} == {PROCUREMENT, BIDDING}
    assert {each["department"] for each in walk(client, "/v1/clocks", 3)} == {"finance-code", "reform-code"}
    assert client.get("/v1/clocks/d1").status_code == 200
    event = made.notice("r1", BIDDING)["event_id"]
    topics = {step["topic"] for step in client.get(f"/v1/events/{event}/trace").json()["steps"]}
    assert {"routing.decisions.v1", "inbox.works-bidding", "inbox.government-procurement"} <= topics


def test_nothing_of_another_department_is_seen_also_by_guessing_ids(made: Season) -> None:
    client = client_of(made)
    theirs = made.notice("r1", BIDDING)
    guessed = {
        f"/v1/notices/{theirs['notice_id']}": "unknown-notice", "/v1/clocks/d1": "unknown-clock",
        "/v1/notices/none": "unknown-notice", "/v1/clocks/none": "unknown-clock",
        "/v1/events/none/trace": "unknown-event",
    }
    for path, slug in guessed.items():
        answer = client.get(path)
        assert (answer.status_code, answer.json()["type"]) == (404, f"/problems/{slug}"), path
    said = [client.get(path).json() for path in guessed if "notices" in path]
    # What is another's and what is not there cannot be told apart.
    assert len({json.dumps({k: v for k, v in each.items() if k != "instance"}) for each in said}) == 1
    everything = "".join(client.get(path).text for path in ("/v1/notices", "/v1/clocks", "/v1/holdings"))
    assert BIDDING not in everything and "reform-code" not in everything


def test_a_trace_shows_the_own_way_and_nobody_elses(made: Season) -> None:
    event = made.notice("r1", PROCUREMENT)["event_id"]
    steps = client_of(made).get(f"/v1/events/{event}/trace").json()["steps"]
    assert [each["topic"] for each in steps] == [
        "blacklist.notices.v1", "inbox.government-procurement", "delivery.receipts.v1", "discipline.feedback.v1",
    ]
    assert BIDDING not in json.dumps(steps) and "gsxt" not in json.dumps(steps)


def test_the_trace_of_an_event_that_went_to_others_alone_is_not_there(made: Season) -> None:
    only = season()
    only.records = [each for each in only.records if each.topic != f"inbox.{BIDDING}"]
    event = only.notice("r1", PROCUREMENT)["event_id"]
    assert client_of(only, "hubt_bidding").get(f"/v1/events/{event}/trace").status_code == 404
    assert client_of(only).get(f"/v1/events/{event}/trace").status_code == 200


# -- pages -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 2, 3, 200])
@pytest.mark.parametrize("path", ["/v1/notices", "/v1/clocks", "/v1/holdings"])
def test_pages_hold_everything_once(path: str, limit: int, made: Season) -> None:
    keys = [json.dumps(each, sort_keys=True) for each in walk(client_of(made), path, limit)]
    whole = [json.dumps(each, sort_keys=True) for each in walk(client_of(made), path, 200)]
    assert keys == whole and len(set(keys)) == len(keys) == {"/v1/notices": 6}.get(path, 5)


def test_what_comes_in_between_moves_nothing(made: Season) -> None:
    moment = [0.0]
    client = client_of(made, monotonic=lambda: moment[0])
    first = client.get("/v1/notices?limit=2").json()
    before = {each["notice_id"] for each in walk(client, "/v1/notices", 200)}
    for row in ("a", "b", "z"):
        made.route(row)
    made.clock("a0", "finance-code")
    moment[0] += 60.0
    rest, cursor = list(first["items"]), first["next"]
    while cursor is not None:
        page = client.get("/v1/notices", params={"limit": 2, "cursor": cursor}).json()
        rest, cursor = rest + page["items"], page["next"]
    ids = [each["notice_id"] for each in rest]
    assert len(ids) == len(set(ids)) and before <= set(ids)


def test_a_fold_is_kept_for_a_while(made: Season) -> None:
    moment = [0.0]
    client = client_of(made, monotonic=lambda: moment[0])
    walk(client, "/v1/notices", 1)
    assert made.reads == 1
    moment[0] += 11.0
    client.get("/v1/notices")
    assert made.reads == 2


@pytest.mark.parametrize("cursor", ["x", "", "AAAA", "not base64!", "A" * 512, "令牌"])
def test_a_cursor_that_is_none_is_refused(cursor: str, made: Season) -> None:
    answer = client_of(made).get("/v1/notices", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/unfit-cursor")


def test_a_cursor_is_good_for_its_own_question_and_caller_alone(made: Season) -> None:
    client = client_of(made)
    cursor = client.get("/v1/notices?limit=1").json()["next"]
    assert client.get("/v1/notices", params={"cursor": cursor, "limit": 3}).status_code == 200
    for path in (f"/v1/clocks?cursor={cursor}", f"/v1/notices?state=parked&cursor={cursor}"):
        assert client.get(path).status_code == 400
    assert client_of(made, "hubt_bidding").get(f"/v1/notices?cursor={cursor}").status_code == 400
    other = Cursors(b"another hub").write(("2026-01-01", "x"), {"path": "/v1/notices"})
    assert client.get(f"/v1/notices?cursor={other}").status_code == 400


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("limit=0", "/limit"), ("limit=201", "/limit"), ("limit=x", "/limit"), ("state=gone", "/state"),
        ("stat=parked", "/stat"), ("limit=1&limit=2", "/limit"), ("cursor=" + "A" * 600, "/cursor"),
    ],
)
def test_a_parameter_that_does_not_fit_is_named(query: str, pointer: str, made: Season) -> None:
    answer = client_of(made).get(f"/v1/notices?{query}")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert [each["pointer"] for each in answer.json()["errors"]] == [pointer]


def test_a_moment_needs_its_zone(made: Season) -> None:
    answer = client_of(made).get("/v1/clocks?due_before=2026-03-03T12:00:00")
    assert answer.status_code == 422 and "zone" in answer.json()["errors"][0]["detail"]


# -- faults ----------------------------------------------------------------------------------------


def test_a_broker_that_is_away_is_said_with_when_to_come_again(made: Season) -> None:
    def away(topics: Any, subject: Any = None) -> Any:
        raise BrokerError("away: 10.0.0.1:9092")

    made.read = away  # type: ignore[method-assign]
    answer = client_of(made).get("/v1/notices")
    assert answer.status_code == 503 and answer.headers["retry-after"] == "30"
    assert "10.0.0.1" not in answer.text


def test_who_cannot_be_served_in_time_is_told_so() -> None:
    kept = Kept(lambda: 0.0, patience_seconds=0.01)
    told: list[type[BaseException]] = []

    def ask() -> None:
        try:
            kept.get("b", lambda: 2)
        except BusyError as error:
            told.append(type(error))

    def make() -> int:
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
        return 1

    assert kept.get("a", make) == 1 and told == [BusyError]
    assert kept.get("b", lambda: 2) == 2


def test_what_failed_is_not_kept() -> None:
    kept = Kept(lambda: 0.0)
    with pytest.raises(BrokerError):
        kept.get("a", _fail)
    assert kept.get("a", lambda: 5) == 5 == kept.get("a", _fail)


def _fail() -> int:
    raise BrokerError("away")


def test_moments_are_texts_with_their_zone(made: Season) -> None:
    [each, *_] = client_of(made).get("/v1/clocks").json()["items"]
    assert datetime.fromisoformat(each["due_at"]) - datetime(2026, 3, 2, 1, tzinfo=UTC) < timedelta(days=1)
