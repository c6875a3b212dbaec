"""The government website: what stands on the pages, and what a kill may leave behind."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from defusedxml import ElementTree

from connectors.government_website import site as site_module
from connectors.government_website.entry import Entry, file_key, read_mark
from connectors.government_website.site import read_entries
from hub.disclosure import AttemptFailedError, Order, PublicRecord, Receipt, Result, Sink, write_whole
from tests.support_sinks import NOW, an_order, open_sink, send, with_sink

URL = "https://www.example.org/credit"
NASTY = "\"'><script>alert(1)</script>&amp;\u202e\x00]]>"
ATOM = "{http://www.w3.org/2005/Atom}"


class Web:
    """A site, and a clock that goes on by a minute with every batch."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root, self.now = folder, folder / "site", NOW
        self.root.mkdir()

    @property
    def sink(self) -> Sink:
        return open_sink(
            "government-website", self.folder, now=lambda: self.now, folder="site", url=f"{URL}/", list_entries=10
        )

    def send(self, *orders: Order) -> list[str]:
        self.now += timedelta(minutes=1)
        return [result.status for result in send(self.sink, *orders)]

    def page(self, path: str) -> str:
        return (self.root / path).read_text()

    def pages(self) -> dict[str, bytes]:
        return {
            str(path.relative_to(self.root)): path.read_bytes() for path in sorted(self.root.rglob("*"))
            if path.is_file() and not path.name.startswith(".")
        }

    def entry(self, order: Order) -> Entry:
        return {each.correlation_id: each for each in read_entries(self.root)}[order.correlation_id]

    def public(self) -> set[str]:
        async def look(sink: Sink) -> list[PublicRecord]:
            return [record async for record in sink.public()]

        return {record.correlation_id for record in with_sink(self.sink, look)}


@pytest.fixture
def web(tmp_path: Path) -> Web:
    return Web(tmp_path)


class Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def tags(page: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = Links()
    parser.feed(page)
    return parser.found


def test_a_record_is_found_from_the_front_page_by_its_enterprise(web: Web) -> None:
    first, second = an_order("a"), replace(an_order("b", kind="licensing/permit"), subject="subject-a")
    assert web.send(first, second) == ["published", "published"]
    record, enterprise = web.entry(first), web.page("enterprises/subject-a.html")
    assert record.path in web.page("index.html") and "行政处罚" in web.page("index.html")
    assert web.entry(second).path in enterprise and record.path in enterprise
    assert "行政许可（1）" in enterprise and "行政处罚（1）" in enterprise
    page = web.page(record.path)
    for text in ("合作市a有限责任公司", "罚款金额", "1.5 万元", "2026年3月3日", 'lang="zh-CN"'):
        assert text in page
    assert "enterprises/subject-a.html" in web.page("lists/1.html")


def test_every_link_of_every_page_leads_somewhere_on_the_site(web: Web) -> None:
    web.send(*(an_order(f"n{number}") for number in range(25)))
    web.send(an_order("n3", 2, "withdraw"))
    pages = {name: content.decode() for name, content in web.pages().items() if name.endswith(".html")}
    assert "lists/3.html" in pages
    for name, page in pages.items():
        for tag, attributes in tags(page):
            assert tag != "script"
            target = attributes.get("href") or attributes.get("src")
            if target and not target.startswith("data:"):
                assert ((web.root / name).parent / target).resolve().is_file(), f"{name} -> {target}"


def test_names_are_shown_as_they_are_and_do_nothing(web: Web) -> None:
    order = replace(
        an_order("a", party_name=NASTY, document_number=f"1{NASTY}", penalty_content=NASTY), subject=f"../../{NASTY}"
    )
    web.send(order)
    for name, content in web.pages().items():
        page = content.decode()
        assert "<script" not in page and "\u202e" not in page and "\x00" not in page, name
        assert ".." not in name and "<" not in name
    assert "&lt;script&gt;alert(1)" in web.page("index.html")
    assert ElementTree.fromstring(web.page("feed.xml")) is not None
    assert "default-src 'none'" in web.page("index.html")
    assert web.send(replace(order, order_id="other")) == ["unchanged"], "the mark is read back"


def test_a_withdrawn_record_leaves_a_page_that_says_when_and_why_and_nothing_else(web: Web) -> None:
    order = an_order("a", document_number="甘南市监处罚〔2026〕12号")
    web.send(order)
    path = web.entry(order).path
    assert web.send(an_order("a", 2, "withdraw")) == ["withdrawn"]
    page = web.page(path)
    assert "处罚决定被依法撤销" in page and "2026年3月2日 09:02" in page
    everything = b"".join(web.pages().values()).decode()
    for text in ("合作市a有限责任公司", "甘南市监处罚", "subject-a"):
        assert text not in everything
    assert "没有公示信息" in web.page("enterprises/subject-a.html") and web.public() == set()
    (entry,) = ElementTree.fromstring(web.page("feed.xml")).findall(f"{ATOM}entry")
    assert entry.findtext(f"{ATOM}title") == "公示信息已撤下"
    assert web.send(an_order("a", 1)) == ["unchanged"] and web.send(an_order("a", 3, "amend")) == ["published"]
    assert "合作市a有限责任公司" in web.page("index.html")


def test_a_later_withdrawal_of_what_is_gone_keeps_older_versions_away(web: Web) -> None:
    web.send(an_order("a", 1, "withdraw"))
    assert web.send(an_order("a", 3, "withdraw")) == ["unchanged"]
    assert web.send(an_order("a", 2, "amend")) == ["unchanged"] and web.public() == set()


def test_the_feed_is_atom_with_the_newest_first(web: Web) -> None:
    orders = [an_order(f"n{number}") for number in range(3)]
    for order in orders:
        web.send(order)
    web.send(an_order("n0", 2, "amend"))
    feed = ElementTree.fromstring(web.page("feed.xml"))
    entries = feed.findall(f"{ATOM}entry")
    ids = [entry.findtext(f"{ATOM}id") for entry in entries]
    assert ids == [f"{URL}/{web.entry(order).path}" for order in (orders[0], orders[2], orders[1])]
    assert feed.findtext(f"{ATOM}updated") == entries[0].findtext(f"{ATOM}updated") == "2026-03-02T01:04:00.000Z"
    assert entries[0].findtext(f"{ATOM}published") == "2026-03-02T01:01:00.000Z"


def test_an_enterprise_that_changes_its_subject_leaves_the_page_of_before(web: Web) -> None:
    web.send(an_order("a"))
    web.send(replace(an_order("a", 2, "amend"), subject="subject-new"))
    assert "没有公示信息" in web.page("enterprises/subject-a.html")
    assert web.entry(an_order("a")).path in web.page("enterprises/subject-new.html")


class KilledError(BaseException):
    """Ends like a kill: nothing behind it runs."""


def killing(after: int) -> Callable[..., None]:
    count = 0

    def write(path: Path, content: bytes, *, is_synced: bool) -> None:
        nonlocal count
        count += 1
        if count > after:
            raise KilledError
        write_whole(path, content, is_synced=is_synced)

    return write


def test_a_kill_between_any_two_files_is_put_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batches = [
        [an_order(f"n{number}") for number in range(4)],
        [an_order("n1", 2, "withdraw"), an_order("n2", 2, "amend"), an_order("m")],
    ]

    def carry_out(web: Web, kill_at: int | None) -> bool:
        web.send(*batches[0])
        was_killed = False
        if kill_at is not None:
            with monkeypatch.context() as patch:
                patch.setattr(site_module, "write_whole", killing(kill_at))
                try:
                    web.send(*batches[1])
                except KilledError:
                    was_killed = True
            web.now -= timedelta(minutes=1)
        web.send(*batches[1])
        return was_killed

    (tmp_path / "whole").mkdir()
    whole = Web(tmp_path / "whole")
    carry_out(whole, None)
    for kill_at in range(100):
        (tmp_path / str(kill_at)).mkdir()
        web = Web(tmp_path / str(kill_at))
        was_killed = carry_out(web, kill_at)
        assert web.pages() == whole.pages(), kill_at
        if not was_killed:
            break
    assert kill_at > 8


def test_without_the_note_everything_that_follows_is_written_anew(web: Web) -> None:
    orders = [an_order(f"n{number}") for number in range(12)]
    web.send(*orders)
    web.send(an_order("n5", 2, "withdraw"))
    before = web.pages()
    (web.folder / "data/disclosure/channel/site.json").unlink()
    for name in before:
        if not name.startswith("records/"):
            (web.root / name).write_text("old")
    (web.root / "lists/9.html").write_text("left behind")
    assert web.send(orders[0]) == ["published"], "the receipt of the first time"
    after = web.pages()
    assert "没有公示信息" in web.page("enterprises/subject-n5.html")
    assert all(b"old" != content != b"left behind" for content in after.values())
    assert {name: content for name, content in after.items() if not name.startswith("lists/")} == {
        name: content for name, content in before.items() if not name.startswith("lists/")
    }
    assert "n11" in web.page("lists/1.html") or "n11" in web.page("lists/2.html")


def test_after_a_start_of_the_machine_what_a_loss_of_power_took_is_there(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    web.send(an_order("a"), an_order("b"))
    before = web.pages()
    for name in ("index.html", "enterprises/subject-a.html", "feed.xml"):
        (web.root / name).write_bytes(b"")
    boot = web.folder / "boot_id"
    boot.write_text("another")
    monkeypatch.setattr(site_module, "BOOT_ID", boot)
    web.send(an_order("a"))
    assert web.pages() == before
    monkeypatch.setattr(site_module, "BOOT_ID", web.folder / "not-said")
    (web.root / "index.html").unlink()
    web.send(an_order("a"))
    assert web.pages() == before


def test_what_is_public_is_read_from_the_pages(web: Web) -> None:
    a, b = an_order("a"), an_order("b")
    web.send(a, b)
    assert web.public() == {a.correlation_id, b.correlation_id}
    (web.root / web.entry(a).path).unlink()
    stray = web.root / "records/00"
    stray.mkdir(exist_ok=True)
    (stray / "note.html").write_text("<p>no page of ours</p>")
    (stray / "copy.html").write_bytes((web.root / web.entry(b).path).read_bytes())
    (stray / ".half.html.part").write_text("half")
    assert web.public() == {b.correlation_id}


def test_a_disk_that_is_full_is_a_failure_that_passes(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    web.send(an_order("a"))

    def full(path: Path, content: bytes, **_: object) -> None:
        raise OSError(28, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(site_module, "write_whole", full)
        with pytest.raises(AttemptFailedError, match="No space left"):
            web.send(an_order("b"))
    assert web.send(an_order("b")) == ["published"] and len(web.public()) == 2


def test_two_processes_do_not_write_one_site(web: Web) -> None:
    async def send_both(first: Sink) -> None:
        await first.send([an_order("a")])
        second = web.sink
        with pytest.raises(AttemptFailedError, match="another process writes this site"):
            await second.send([an_order("b")])
        await second.close()

    with_sink(web.sink, send_both)
    assert web.send(an_order("b")) == ["published"]


@pytest.mark.parametrize(("head", "is_one"), [
    (b"", False), (b'<meta name="hub-record" content="{}">', False),
    (b'<meta name="hub-record" content="[1">', False), (b'<meta name="hub-record" content="7">', False),
])
def test_a_page_with_a_mark_that_cannot_be_read_is_none_of_ours(head: bytes, is_one: bool) -> None:
    assert (read_mark(head) is not None) == is_one


def test_file_names_are_harmless() -> None:
    assert file_key("91623000739699913A") == "91623000739699913A"
    names = [file_key(text) for text in ("../x", "a/b", "", "扎西", "x" * 65)]
    assert len(set(names)) == len(names) and all(re.fullmatch(r"x-[0-9a-f]{32}", name) for name in names)


def test_the_mark_holds_no_more_than_the_entry(web: Web) -> None:
    web.send(an_order("a"))
    match = re.search(r'name="hub-record" content="([^"]*)"', web.page(web.entry(an_order("a")).path))
    assert match is not None
    found: dict[str, Any] = json.loads(match[1].replace("&#34;", '"'))
    assert found.keys() == set(Entry.__dataclass_fields__)


def result_statuses(results: Sequence[Result]) -> list[str]:
    return [result.status if isinstance(result, Receipt) else "" for result in results]


def test_a_backup_that_was_put_back_is_seen_when_a_withdrawal_is_given_again(web: Web) -> None:
    """In the same process, whose memory says that it is gone; and from its enterprise, the lists and the feed."""
    names = [f"n{number}" for number in range(25)]
    web.send(*(an_order(name) for name in names))
    before = web.pages()
    later = an_order("n24", 2, "withdraw")
    again = [
        replace(an_order(name, 2, "withdraw"), order_id=f"again-{name}", is_reissued=True) for name in ("n24", "n3")
    ]

    async def work(sink: Sink) -> list[str]:
        await sink.send([later, an_order("n3", 2, "withdraw")])
        gone = web.pages()
        for path, content in before.items():
            (web.root / path).write_bytes(content)
        results = [statuses for each in again for statuses in result_statuses(await sink.send([each]))]
        assert web.pages().keys() == gone.keys()
        return results

    assert with_sink(web.sink, work) == ["withdrawn", "withdrawn"]
    left = {path for path in web.pages() if re.search("合作市(n24|n3)有", web.page(path))}
    assert left == set() and an_order("n24").correlation_id not in web.public()
    assert web.page("index.html").count("合作市") > 0


def test_a_page_that_was_taken_away_is_written_again_when_it_is_asked_for(web: Web) -> None:
    order = an_order("a")

    async def work(sink: Sink) -> list[Result]:
        await sink.send([order])
        (web.root / web.entry(order).path).unlink()
        return list(await sink.send([replace(order, order_id="again", is_reissued=True)]))

    (receipt,) = with_sink(web.sink, work)
    assert isinstance(receipt, Receipt) and receipt.status == "published" and len(web.public()) == 1


def test_what_is_asked_for_again_and_stands_as_it_should_costs_no_reading_of_the_site(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[None] = []
    usual = site_module.Site.open

    def note(site: site_module.Site) -> None:
        opened.append(None)
        usual(site)

    monkeypatch.setattr(site_module.Site, "open", note)
    first, second = (an_order(name, 2, "withdraw") for name in "ab")

    async def work(sink: Sink) -> None:
        await sink.send([an_order("a"), an_order("b")])
        await sink.send([first, second])
        for each in (first, second):
            (receipt,) = await sink.send([replace(each, order_id=f"again-{each.order_id}", is_reissued=True)])
            assert isinstance(receipt, Receipt) and receipt.status == "withdrawn"

    with_sink(web.sink, work)
    assert len(opened) == 1
