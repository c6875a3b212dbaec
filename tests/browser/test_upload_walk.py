"""A clerk uploads a dirty export, reads what is wrong, mends the rows and uploads them again; by mouse and phone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis
from openpyxl import load_workbook
from playwright.sync_api import Page, expect

from hub.settings import load
from hub.web.site.portal.upload_pages import upload_pages
from tests.browser.conftest import SignIn, faults_of, is_scrolled_sideways, shot
from tests.support_browser import Pages
from tests.support_served import served
from tests.support_site import site as made_site
from tests.support_uploads import DIRT, NAME, Uploads, export, rows

if TYPE_CHECKING:
    from tests.conftest import IndexLike

RIGHT = {"检查日期": "2026-03-02", "检查结果": "未发现问题", "检查对象名称": "合作市示例商行"}


@pytest.fixture(scope="module")
def uploads(tmp_path_factory: pytest.TempPathFactory) -> Uploads:
    return Uploads(tmp_path_factory.mktemp("uploads"))


@pytest.fixture(scope="module")
def site(valkey: IndexLike, tmp_path_factory: pytest.TempPathFactory, uploads: Uploads) -> Iterator[Pages]:
    """The pages of uploads, and an intake in another thread that takes what is handed in."""
    ending = threading.Event()

    def intake() -> None:
        while not ending.wait(0.1):
            uploads.take()

    thread = threading.Thread(target=intake)
    with redis.Redis.from_url(valkey.url) as client:
        client.flushdb()
        made = made_site(client, [lambda: upload_pages({NAME: ("finance", uploads.desk)})])
        thread.start()
        try:
            with served(made.app) as url:
                yield Pages(url, made.app, load(data=tmp_path_factory.mktemp("portal")))
                made.parts.ending.set()
        finally:
            ending.set()
            thread.join()
        client.flushdb()


def send(page: Page, path: Path) -> None:
    page.get_by_label("文件", exact=False).last.set_input_files(path)
    page.get_by_role("button", name="读取并预览").click()


def test_a_dirty_export_is_mended_and_all_of_it_is_taken(
    sign_in: SignIn, site: Pages, uploads: Uploads, tmp_path: Path
) -> None:
    dirty, mended = tmp_path / "三月抽查.csv", tmp_path / "三月抽查（已改正）.xlsx"
    dirty.write_bytes(export(rows(5, *DIRT)))
    page = sign_in("fin-clerk")
    page.get_by_role("link", name="上传导出文件").click()
    shot(page, "upload-empty-desk")
    send(page, dirty)
    expect(page.get_by_text("日期无法识别").first).to_be_visible()
    shot(page, "upload-looked-desk")
    assert faults_of(page) == []
    page.get_by_role("button", name="提交（接收5行）").click()
    # It says by itself that intake has taken it.
    expect(page.get_by_text("接收的行已安全入库")).to_be_visible()
    shot(page, "upload-taken-desk")
    assert faults_of(page) == []

    page.get_by_label("用途").fill("改正三月抽查导出")
    with page.expect_download() as download:
        page.get_by_role("button", name="记录用途并下载").click()
    download.value.save_as(mended)
    book = load_workbook(mended)
    heading, *wrong = book.worksheets[0].iter_rows()
    columns = {cell.value: at for at, cell in enumerate(heading)}
    for line, (column, right) in zip(wrong, RIGHT.items(), strict=True):
        line[columns[column]].value = right
    book.save(mended)

    page.get_by_role("link", name="上传另一个文件").click()
    send(page, mended)
    page.get_by_role("button", name="提交（接收3行）").click()
    expect(page.get_by_text("接收的行已安全入库")).to_be_visible()
    expect(page.get_by_text("问题清单")).to_have_count(0)
    assert len(uploads.index) == 8


def test_a_phone_shows_the_same_and_a_stranger_file_says_why(sign_in: SignIn, site: Pages, tmp_path: Path) -> None:
    dirty, letter = tmp_path / "四月抽查.csv", tmp_path / "一封信.csv"
    dirty.write_bytes(export(rows(2, *DIRT, {"统一社会信用代码/注册号": "91623000739699913B"})))
    letter.write_text("各位同事：附件请查收。", encoding="utf-8")
    page = sign_in("fin-clerk", width="phone")
    page.goto(f"{site.url}/desk/uploads")
    send(page, dirty)
    expect(page.get_by_text("待提交").first).to_be_visible()
    for name in ("looked", "list", "refused"):
        if name != "looked":
            page.goto(f"{site.url}/desk/uploads")
        if name == "refused":
            send(page, letter)
            expect(page.get_by_text("没有找到表头")).to_be_visible()
        assert not is_scrolled_sideways(page), name
        shot(page, f"upload-{name}-phone")
        assert faults_of(page) == [], name


def test_a_file_that_is_too_large_is_told_before_it_is_sent(sign_in: SignIn, site: Pages, tmp_path: Path) -> None:
    large = tmp_path / "all.csv"
    with large.open("wb") as file:
        file.truncate(21 * 1024 * 1024)
    page = sign_in("fin-clerk")
    page.goto(f"{site.url}/desk/uploads")
    send(page, large)
    assert page.url == f"{site.url}/desk/uploads"
    assert "不超过" in page.locator("#file-hint").inner_text()
    assert "20 MB" in page.locator("#file").evaluate("input => input.validationMessage")
