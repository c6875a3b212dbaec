"""An interface that is polled: pages and cursors, what is told once, and everything that it may answer instead."""

from __future__ import annotations

import gzip
import json
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Response

from connectors.http_poll.client import MOST_WAIT_SECONDS, Answer, ApiError, GoneError, retry_after
from hub.intake import Counts, Row, RowFault, SourceConfig
from hub.sandbox.faults import Fault, Faults, Limit
from hub.sandbox.open_interface import sample_records
from tests.support_http_poll import PAGING, TOKEN, OpenInterface, at, drain, http_config, open_http, record
from tests.support_outlets import OutletServer, Reply
from tests.support_served import served


def told(items: list[Row | RowFault]) -> list[tuple[str, str | None]]:
    assert all(isinstance(item, Row) for item in items), items
    return [(item.value["behaviour_number"], item.value.get("remark")) for item in items if isinstance(item, Row)]


def numbers(*wanted: int) -> list[tuple[str, str | None]]:
    return [(f"JC{number:06d}", None) for number in wanted]


def put(interface: OpenInterface, *wanted: int, **more: Any) -> None:
    for number in wanted:
        interface.feed.put(record(number, **more))


def once(**faults: Any) -> Faults:
    given = {name: fault if isinstance(fault, Fault) else Fault(count=fault) for name, fault in faults.items()}
    return Faults.model_validate({name: fault.model_dump() for name, fault in given.items()})


@pytest.mark.parametrize("paging", PAGING)
def test_every_way_of_paging_gives_each_record_once(
    paging: str, open_interface: OpenInterface, tmp_path: Path
) -> None:
    entry = open_interface.settings(paging, page_size=3)
    put(open_interface, *range(1, 9))
    assert told(drain(open_http(entry, tmp_path))) == numbers(*range(1, 9))
    assert drain(open_http(entry, tmp_path)) == []
    put(open_interface, 9)
    assert told(drain(open_http(entry, tmp_path))) == numbers(9), "of the last page what is new alone"
    for remark in ("改", None, "改"):
        put(open_interface, 9, remark=remark)
        assert told(drain(open_http(entry, tmp_path))) == [("JC000009", remark)], "back to what it was is news too"
    assert drain(open_http(entry, tmp_path)) == []


def test_objects_within_objects_become_columns(open_interface: OpenInterface, tmp_path: Path) -> None:
    given = record(1, results=["未发现问题", "发现问题经责令已改正"], plan={"number": "JH1", "name": "2026年计划"})
    given["party"] = {"name": "合作市雪域牦牛乳业有限责任公司", "uscc": "91623000739699913A"}  # its alias
    open_interface.feed.put(given)
    (row,) = drain(open_http(open_interface.settings(), tmp_path))
    assert isinstance(row, Row)
    assert [each["name"] for each in row.value["inspectors"]] == ["才让卓玛", "王实验"]
    assert row.value["result_codes"] == ["1", "E"] and row.value["plan_number"] == "JH1"
    assert row.value["party_uscc"] == "91623000739699913A" and row.value["is_public"] is True


def test_what_the_sandbox_has_is_taken(open_interface: OpenInterface, tmp_path: Path) -> None:
    for each in sample_records(40):
        open_interface.feed.put(each)
    items = drain(open_http(open_interface.settings(), tmp_path))
    assert len(items) == 40 and all(isinstance(item, Row) for item in items), items


def test_a_portion_has_its_bound_and_the_rest_follows_at_once(open_interface: OpenInterface, tmp_path: Path) -> None:
    put(open_interface, *range(1, 11))
    entry = open_interface.settings(page_size=2, portion_rows=4, every_seconds=3600)
    source = open_http(entry, tmp_path)
    sizes = []
    for portion in source.portions():
        sizes.append(sum(len(batch.items) for batch in portion.batches(0)))
        portion.finish(Counts(), iter(()))
        portion.close()
    assert sizes == [4, 4, 2] and not source.waits()
    source.close()


def test_a_reading_that_is_not_finished_moves_no_cursor(open_interface: OpenInterface, tmp_path: Path) -> None:
    put(open_interface, 1, 2)
    entry = open_interface.settings()
    assert told(drain(open_http(entry, tmp_path), is_finished=False)) == numbers(1, 2)
    put(open_interface, 3)
    source = open_http(entry, tmp_path)
    first = next(iter(source.portions()))
    assert told([item for batch in first.batches(0) for item in batch.items]) == numbers(1, 2), "as it was read"
    first.close()
    source.close()
    assert told(drain(open_http(entry, tmp_path))) == numbers(1, 2, 3)


def test_too_many_requests_wait_as_long_as_they_are_told(open_interface: OpenInterface, tmp_path: Path) -> None:
    put(open_interface, 1)
    open_interface.plan.set(once(limit=Limit(count=1, seconds=600)))
    source = open_http(open_interface.settings(), tmp_path)
    assert list(source.portions()) == [] and source.pause == 600
    assert source.waits(), "there may be something"
    assert list(source.portions()) == [], "it is not asked before"
    source.close()


@pytest.mark.parametrize("fault", [{"limit": Limit(count=1, seconds=0)}, {"down": 1}, {"broken": 1}])
def test_what_came_before_a_failure_is_kept(
    fault: dict[str, Any], open_interface: OpenInterface, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(open_interface, *range(1, 7))
    source = open_http(open_interface.settings(page_size=2), tmp_path)
    get, asked = source._reading.api.get, []

    def second_fails(cursor: str | None) -> Answer:
        asked.append(cursor)
        if len(asked) == 2:
            open_interface.plan.set(once(**fault))
        return get(cursor)

    monkeypatch.setattr(source._reading.api, "get", second_fails)
    items: list[Row | RowFault] = []
    while not asked or source.waits():
        items += drain(source)
    assert told(items) == numbers(*range(1, 7))
    assert asked[1] == asked[2], "it went on with the page that had failed"


def test_a_first_page_that_fails_is_an_error_that_helps(open_interface: OpenInterface, tmp_path: Path) -> None:
    put(open_interface, 1)
    for fault, said in (
        (once(down=1), "status 503"), (once(broken=1), "not JSON"), (once(elsewhere=1), "leads elsewhere"),
        (once(stuck=5), "no end"),
    ):  # fmt: skip
        open_interface.plan.set(fault)
        with pytest.raises(ApiError, match=said):
            drain(open_http(open_interface.settings(), tmp_path))
    open_interface.plan.set(Faults())
    assert told(drain(open_http(open_interface.settings(), tmp_path))) == numbers(1), "nothing was taken of them"


def test_a_token_that_is_not_taken_is_said_and_never_shown(
    open_interface: OpenInterface, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(**more: Any) -> str:
        (text,) = open_http(open_interface.settings(**more), tmp_path).check()
        return text

    assert "401" in said(token="another-word") and "another-word" not in said(token="another-word")
    assert "none is set" in said(token=None)
    assert "NO_SUCH_TOKEN" in said(token=None, token_env="NO_SUCH_TOKEN")
    monkeypatch.setenv("BAD_TOKEN", "line\nbreak")
    assert "no header can carry" in said(token=None, token_env="BAD_TOKEN")
    monkeypatch.setenv("GOOD_TOKEN", TOKEN)
    assert open_http(open_interface.settings(token=None, token_env="GOOD_TOKEN"), tmp_path).check() == []


def test_a_cursor_that_is_gone_begins_anew(open_interface: OpenInterface, tmp_path: Path) -> None:
    put(open_interface, 1, 2)
    entry = open_interface.settings(page_size=1, overlap_seconds=0)
    drain(open_http(entry, tmp_path))
    put(open_interface, 3)
    open_interface.plan.set(once(gone=1))
    assert told(drain(open_http(entry, tmp_path))) == numbers(3), "what was told is known"


def test_a_bad_record_costs_itself_alone(open_interface: OpenInterface, tmp_path: Path) -> None:
    deep: Any = "x"
    for _ in range(60):
        deep = {"in": deep}
    put(open_interface, 1, 2)
    put(open_interface, 3, remark="a\u0000b")
    put(open_interface, 4, plan=deep)
    put(open_interface, 5, checked_on="昨天")
    put(open_interface, 6)
    open_interface.plan.set(once(doubled=1))
    items = drain(open_http(open_interface.settings(), tmp_path))
    assert [isinstance(item, Row) for item in items] == [False, True, False, False, False, True]
    faults = [item for item in items if isinstance(item, RowFault)]
    assert ["stands twice" in faults[0].problems[0].problem, "U+0000" in faults[1].problems[0].problem] == [True, True]
    assert "nested too deeply" in faults[2].problems[0].problem
    assert faults[3].problems[0].code == "date" and faults[3].place.sheet == "number=JC000005"
    assert all(len(each.digest) == 16 and each.problems[0].remedy for each in faults)


def test_check_names_wrong_records_and_keeps_nothing(open_interface: OpenInterface, tmp_path: Path) -> None:
    put(open_interface, 1)
    put(open_interface, 2, checked_on="昨天")
    found = open_http(open_interface.settings(), tmp_path).check()
    assert len(found) == 2 and found[0].startswith("第 2 条") and "checked_on" in found[0]
    assert list(tmp_path.iterdir()) == []
    (said,) = open_http(open_interface.settings(records="data.rows"), tmp_path).check()
    assert "data.rows is no list of records" in said
    (said,) = open_http(open_interface.settings(records="date.items"), tmp_path).check()
    assert "there is no date" in said


def page(*records: dict[str, Any], **paging: Any) -> str:
    return json.dumps({"data": {"items": list(records)}, "paging": paging})


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (page(record(1), sync=True, has_more=False), "paging.sync is no cursor"),
        (page(record(1), sync="a\nb", has_more=False), "paging.sync is no cursor"),
        (page(record(1), sync=None, has_more=True), "no cursor says which"),
        (page(record(1), sync="1", has_more="no"), "neither true nor false"),
        ('{"data": {"items": []}, "data": {"items": []}}', "data stands twice"),
        ('{"data": {"items": {}}}', "no list of records"),
        ("[]", "is no object"),
        ("<html>", "not JSON"),
        ('{"data": NaN}', "not JSON"),
        ("x" * 2000, "more than 1024 bytes"),
    ],
    ids=range(10),
)
def test_answers_that_are_not_as_the_settings_say(body: str, said: str, tmp_path: Path) -> None:
    with OutletServer(lambda seen, repeats: Reply(200, body)) as server:
        most = 1024 if len(body) == 2000 else 1 << 20
        entry = at(server.url, max_page_bytes=most)
        with pytest.raises(ApiError, match=said):
            drain(open_http(entry, tmp_path))
        assert not list(tmp_path.rglob("*.spool*"))


def test_a_page_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    app, packed = FastAPI(), gzip.compress(b" " * (64 << 20))
    app.get("/{path:path}")(lambda: Response(packed, headers={"Content-Encoding": "gzip"}))
    with served(app) as url:
        entry = at(url, max_page_bytes=1 << 20)
        with pytest.raises(ApiError, match="more than 1048576 bytes"):
            drain(open_http(entry, tmp_path))


def test_the_token_goes_to_its_own_origin_alone(tmp_path: Path) -> None:
    with OutletServer(lambda seen, repeats: Reply(200, "[]")) as stranger:
        answers: list[Reply] = []
        with OutletServer(lambda seen, repeats: answers.pop(0)) as server:
            entry = at(server.url, "link", records=None)
            for headers in ({"Location": f"{stranger.url}/x"}, {"Location": "file:///etc/passwd"}, {"Location": "//["}):
                answers[:] = [Reply(302, "", headers)]
                with pytest.raises(ApiError, match=r"elsewhere|no address"):
                    drain(open_http(entry, tmp_path))
            answers[:] = [Reply(200, "[]", {"Link": f'<{stranger.url}/x>; rel="next"'})]
            with pytest.raises(ApiError, match="elsewhere"):
                drain(open_http(entry, tmp_path / "new"))
            answers[:] = [Reply(307, "", {"Location": "/moved?page=1"}), Reply(200, json.dumps([record(1)]))]
            assert told(drain(open_http(entry, tmp_path))) == numbers(1)
            assert server.seen[-1].path.startswith("/moved")
            answers[:] = [Reply(302, "", {"Location": "/again"})] * 9
            with pytest.raises(ApiError, match="redirections"):
                drain(open_http(entry, tmp_path / "other"))
            sent = [{name.lower(): text for name, text in seen.headers.items()} for seen in server.seen]
            assert all(headers["authorization"] == f"Bearer {TOKEN}" for headers in sent)
        assert stranger.seen == []


def test_retry_after_is_seconds_or_a_date_and_has_a_bound() -> None:
    now = 1_783_000_000.0
    assert retry_after(None, now) is None and retry_after("soon", now) is None and retry_after("-3", now) is None
    assert retry_after(" 7 ", now) == 7 and retry_after("99999999", now) == MOST_WAIT_SECONDS
    assert retry_after(formatdate(now + 90, usegmt=True), now) == 90
    assert retry_after(formatdate(now - 90, usegmt=True), now) == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"url": "ftp://host/x"}, "no address"),
        ({"url": "https://host:99999/x"}, "no address"),
        ({"url": "https://user:word@host/x"}, "holds a user or password"),
        ({"paging": "record"}, "record_cursor go together"),
        ({"next_cursor": "a"}, "next_cursor go together"),
        ({"has_more": "a"}, "has_more is for"),
        ({"start": "a"}, "start is for"),
        ({"token": "a", "token_env": "B"}, "one of token, token_env"),
        ({"token_header": "X: y"}, "no name of a header"),
    ],
)
def test_settings_that_cannot_work_are_named(change: dict[str, Any], said: str) -> None:
    good = {
        "name": "a", "connector": "http-poll", "department_code": "11623000013999917X", "department_name": "b",
        "region_code": "623000", "url": "https://host/x", "mapping": "inspection-results",
    }  # fmt: skip
    assert SourceConfig.parse(good)[1] == []
    config, faults = SourceConfig.parse({**good, **change})
    assert config is None and any(said in fault for fault in faults), faults


@pytest.mark.parametrize("status", [404, 405, 410, 413])
def test_what_answers_in_the_interfaces_place_passes_nothing_over(
    status: int, open_interface: OpenInterface, tmp_path: Path
) -> None:
    """A gateway while the interface is set up anew: nothing is taken, and the reading goes on where it was."""
    put(open_interface, 1, 2, 3)
    entry = open_interface.settings(page_size=2)
    assert told(drain(open_http(entry, tmp_path))) == numbers(1, 2, 3)
    put(open_interface, 4, 5)
    with OutletServer(lambda seen, repeats: Reply(status, "<html><h1>nginx</h1></html>")) as server:
        for _ in range(2):
            with pytest.raises(ApiError, match=str(status)):
                drain(open_http({**entry, "url": server.url}, tmp_path))
    assert told(drain(open_http(entry, tmp_path))) == numbers(4, 5)


def test_a_gone_cursor_at_the_very_start_is_an_error(tmp_path: Path) -> None:
    with OutletServer(lambda seen, repeats: Reply(410, "")) as server:
        entry = at(server.url)
        with pytest.raises(GoneError):
            drain(open_http(entry, tmp_path))


def test_the_label_holds_no_parameter() -> None:
    config = http_config({"url": "https://host/api/x?key=word", "mapping": "inspection-results"})
    assert getattr(config.settings, "label", None) == "host/api/x"
