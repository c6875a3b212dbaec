"""Uploading an export by a page: preview, errors, handing in, what comes back; and who may not."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import redis

from hub.access.sessions import form_token
from hub.ops.acts import ACTS_TOPIC
from hub.web.site.portal.upload_pages import MOST_BYTES, upload_pages
from tests.integration.test_intake import Hub, bootstrap, hub  # noqa: F401  # fixtures count for these too
from tests.integration.test_site import HTML, Browser, quick_hashes, signed_in  # noqa: F401
from tests.support_site import Site, site
from tests.support_uploads import DIRT, NAME, Uploads, cells_of, export, rows

PATH = "/desk/uploads"
ID_NUMBER = "623021185006153029"


@pytest.fixture
def uploads(tmp_path: Path) -> Uploads:
    return Uploads(tmp_path)


@pytest.fixture
def here(redis_client: redis.Redis, uploads: Uploads) -> Site:
    return site(redis_client, [lambda: upload_pages({NAME: ("finance", uploads.desk)})])


def send(browser: Browser, content: bytes, name: str = "三月抽查.csv", source: str = NAME, **headers: str) -> Any:
    fields = {"source": source, "_token": form_token(browser.session or "")}
    asked = {**HTML, "origin": browser.origin, **headers}
    return browser.client.post(PATH, data=fields, files={"file": (name, content)}, headers=asked)


def test_a_dirty_export_is_read_mended_and_uploaded_again(here: Site, uploads: Uploads) -> None:
    browser = signed_in(here, "fin-clerk")
    at = send(browser, export(rows(5, *DIRT))).headers["location"]
    text = browser.get(at).text
    assert "待提交" in text and "提交（接收5行）" in text and "去年春天" in text and "检查结果" in text
    assert uploads.take() == []  # to look hands nothing in
    assert browser.post(f"{at}/hand-in", {}).status_code == 303
    assert "等待接收" in browser.get(at).text
    uploads.take()
    assert "已接收</span>" in browser.get(at).text
    listed = cells_of(browser.get(f"{at}/problems").content)
    assert listed[0][0] == "行号" and len(listed) == 4

    again = send(browser, export(rows(8))).headers["location"]
    text = browser.get(again).text
    assert "提交（接收3行）" in text and "5行与已接收的相同" in text and "问题清单" not in text
    browser.post(f"{again}/hand-in", {})
    uploads.take()
    assert len(uploads.index) == 8


def test_handing_in_is_on_record_once(here: Site, uploads: Uploads) -> None:
    browser = signed_in(here, "fin-clerk")
    at = send(browser, export(rows(2))).headers["location"]
    for _ in range(2):
        assert browser.post(f"{at}/hand-in", {}).status_code == 303
    (found,) = [each for each in here.desks.acts.read() if each.asked.kind == "sources.upload"]
    assert (found.asked.actor, found.state) == ("fin-clerk", "done") and len(uploads.take()) == 1


def test_without_a_record_nothing_is_handed_in(here: Site, uploads: Uploads) -> None:
    browser = signed_in(here, "fin-clerk")
    at = send(browser, export(rows(2))).headers["location"]
    here.desks.log.fails_on.add(ACTS_TOPIC)
    assert browser.post(f"{at}/hand-in", {}).status_code == 503
    assert uploads.take() == []


def test_personal_numbers_are_masked_until_a_purpose_is_stated(here: Site, uploads: Uploads) -> None:
    browser = signed_in(here, "fin-clerk")
    wrong = {"统一社会信用代码/注册号": ID_NUMBER, "检查日期": "去年春天", "备注": f"身份证{ID_NUMBER}"}
    at = send(browser, export(rows(1, wrong)), f"张三{ID_NUMBER}.csv").headers["location"]
    assert ID_NUMBER not in browser.get(at).text and ID_NUMBER not in browser.get(PATH).text
    assert ID_NUMBER not in str(cells_of(browser.get(f"{at}/problems").content))
    assert browser.post(f"{at}/rows", {"purpose": ""}).status_code == 422
    assert [each for each in here.desks.acts.read() if each.asked.kind == "personal.data.look"] == []
    answer = browser.post(f"{at}/rows", {"purpose": "改正三月抽查导出"})
    assert answer.status_code == 200 and ID_NUMBER in str(cells_of(answer.content))
    assert ID_NUMBER not in answer.headers["content-disposition"]
    (found,) = [each for each in here.desks.acts.read() if each.asked.kind == "personal.data.look"]
    assert found.asked.reason == "改正三月抽查导出"


def test_another_department_finds_nothing(here: Site) -> None:
    at = send(signed_in(here, "fin-clerk"), export(rows(2))).headers["location"]
    other = signed_in(here, "tax-clerk")
    assert send(other, export(rows(1))).status_code == 404
    for path in (at, f"{at}/problems", f"/live/uploads/{NAME}/{at.rpartition('/')[2]}"):
        assert other.get(path).status_code == 404
    for word in ("hand-in", "rows"):
        assert other.post(f"{at}/{word}", {"purpose": "看看别人的数据"}).status_code == 404
    text = other.get(PATH).text
    assert "三月抽查" not in text and NAME not in text and "没有可上传的数据来源" in text


@pytest.mark.parametrize("name", ["fin-admin", "night-watch", "over-looker"])
def test_who_may_not_enter_records_may_not_upload(here: Site, name: str) -> None:
    browser = signed_in(here, name)
    assert browser.get(PATH).status_code == 403 and send(browser, export(rows(1))).status_code == 403


def test_a_file_comes_from_our_own_page_and_of_this_session(here: Site, uploads: Uploads) -> None:
    browser = signed_in(here, "fin-clerk")
    assert send(browser, export(rows(1)), origin="https://elsewhere.example").status_code == 403
    fields = {"source": NAME, "_token": "another"}
    answer = browser.client.post(
        PATH, data=fields, files={"file": ("a.csv", b"x")}, headers={**HTML, "origin": browser.origin}
    )
    assert answer.status_code == 403 and uploads.desk.all() == []


def test_what_is_too_large_is_refused_with_words(here: Site, uploads: Uploads) -> None:
    answer = send(signed_in(here, "fin-clerk"), b"x" * (MOST_BYTES + 100_000))
    assert answer.status_code == 413 and "不超过20 MB" in answer.text and uploads.desk.all() == []


def test_a_stranger_sends_nothing(here: Site, uploads: Uploads) -> None:
    browser = Browser(here)
    assert send(browser, export(rows(1))).status_code == 303  # to the door
    assert uploads.desk.all() == []


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        (b"", "a.csv", "空"), (b"\x00\x01\x02" * 100, "a.csv", "二进制"), (b"PK\x03\x04junk", "a.xlsx", "未接收"),
        ("这是一封信".encode(), "a.csv", "表头"), (b"x", ".a.csv", "临时文件"), (b"x", "a.errors.xlsx", "问题清单"),
        (b"x", "..\\..\\etc\\passwd", "表头"),
    ],
)
def test_a_file_that_is_none_is_answered_never_failed(here: Site, content: bytes, name: str, said: str) -> None:
    browser = signed_in(here, "fin-clerk")
    answer = send(browser, content, name)
    if answer.status_code == 303:
        at = answer.headers["location"]
        answer = browser.get(at)
        assert answer.status_code == 200 and "提交（" not in answer.text
        assert browser.post(f"{at}/hand-in", {}).status_code == 422
    else:
        assert answer.status_code == 422
    assert "未接收" in answer.text and said in answer.text


def test_no_file_and_no_rows_say_what_to_do(here: Site) -> None:
    browser = signed_in(here, "fin-clerk")
    assert "请选择一个文件" in browser.post(PATH, {"source": NAME}).text
    at = send(browser, export([])).headers["location"]
    assert "文件中没有数据行" in browser.get(at).text and "提交（" not in browser.get(at).text


def test_both_languages_have_every_state(here: Site, uploads: Uploads) -> None:
    browser = signed_in(here, "fin-clerk")
    browser.client.cookies.set("lang", "en")
    at = send(browser, export(rows(1, *DIRT))).headers["location"]
    refused = send(browser, b"").headers["location"]
    assert "To be handed in" in browser.get(at).text and "Not usable" in browser.get(refused).text
    browser.post(f"{at}/hand-in", {})
    assert "waiting to be taken" in browser.get(at).text
    uploads.take()
    assert "Rows taken" in browser.get(at).text and "Recent uploads" in browser.get(PATH).text


def test_intake_reads_what_was_handed_in(hub: Hub) -> None:  # noqa: F811
    """The real engine, Kafka and index: the file becomes events, once, and the desk finds what became of it."""
    uploads = Uploads(hub.base, hub.source)
    (hub.base / "in").mkdir(exist_ok=True)
    for content, accepted, repeated in ((export(rows(4, *DIRT)), 4, 0), (export(rows(7)), 3, 4)):
        upload = uploads.desk.stage("a.csv", io.BytesIO(content), "fin-clerk")
        uploads.desk.look(upload, 30)
        assert uploads.desk.hand_in(upload, "fin-clerk")
        hub.run()
        verdict = uploads.desk.verdict(upload)
        assert verdict is not None and verdict.counts is not None
        assert (verdict.counts["accepted_total"], verdict.counts["repeated"]) == (accepted, repeated)
    assert len(hub.records()) == 7
