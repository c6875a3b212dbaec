"""The whole web application on a real Kafka: what a clerk enters by a page is on the log, once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import pytest

from hub.bus.reader import read_topics
from hub.bus.records import header
from hub.intake.facts.testimony import WITNESSES_TOPIC
from hub.intake.guards.log import GUARD_TOPICS
from tests.integration.test_entry_pages import filled
from tests.integration.test_site import HTML
from tests.support_browser import Pages, pages
from tests.support_contracts import catalog
from tests.support_http_intake import hub_map
from tests.support_site import PASSWORD
from tests.support_topics import having

if TYPE_CHECKING:
    from tests.conftest import IndexLike, KafkaLike

RESULTS = "inspection.results.v1"
#: What a source writes whose facts another may report, too.
TOPICS = sorted({RESULTS, WITNESSES_TOPIC, *hub_map().facts(), *GUARD_TOPICS})
SOURCES = """
sources:
  - {{name: finance-by-hand, connector: http, department_code: "{code}", department_name: 甘南州财政局,
     region_code: "623000", events: [inspection.result.*]}}
  - {{name: finance-exports, folder: in, department_code: "{code}", department_name: 甘南州财政局,
     region_code: "623000", mappings: [inspection-results]}}
"""


@pytest.fixture
def site(kafka: KafkaLike, valkey: IndexLike, tmp_path: Path) -> Iterator[Pages]:
    code = hub_map().departments["finance"]["code"]
    (tmp_path / "sources.yaml").write_text(SOURCES.format(code=code), encoding="utf-8")
    with having(kafka.bootstrap, TOPICS), pages(kafka.bootstrap, valkey.url, tmp_path) as running:
        yield running


def test_what_is_entered_twice_is_one_event(site: Pages, kafka: KafkaLike) -> None:
    path = "/desk/entry/finance-by-hand/inspection.result.recorded"
    with closing(httpx2.Client(base_url=site.url, headers={**HTML, "origin": site.url}, timeout=60)) as browser:
        assert browser.post("/sign-in", data={"name": "fin-clerk", "password": PASSWORD}).status_code == 303
        assert "finance-exports" in browser.get("/desk/uploads").text and path in browser.get("/desk/entry").text
        (token,) = set(re.findall(r'name="_token" value="([^"]+)"', browser.get(path).text))
        answers = [browser.post(path, data={**filled("JC-by-hand"), "_token": token}) for _ in range(2)]
    assert [each.status_code for each in answers] == [200, 200] and "已入库" in answers[0].text
    (record,) = [
        each for each in read_topics(kafka.bootstrap, [RESULTS])
        if header(each.headers, "ce_source") == b"/sources/finance-by-hand"
    ]
    assert catalog().decode(record.value or b"")[1]["record_unique_identity"] == "JC-by-hand"
    assert (header(record.headers, "ce_id") or b"").decode() in answers[0].text
