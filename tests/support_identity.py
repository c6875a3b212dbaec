"""A register, and what an intake that asks it leaves on the topics."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hub.bus.publisher import KafkaPublisher
from hub.bus.reader import read_topics
from hub.domain.facts import FactRule
from hub.intake import Counts, SourceConfig
from hub.intake.build import open_session
from hub.intake.engine import Outcome
from hub.intake.identity.desk import IdentityDesk
from hub.intake.identity.load import load_register
from hub.intake.identity.waits import Decision, Wait
from hub.intake.session import IntakeSession, Means
from hub.intake.versions import utc_now
from tests.support_intake import INSPECTION, catalog, config, csv_bytes, inspection

IDENTITY_TOPICS = ("identity.enterprises.v1", "identity.waits.v1", "identity.decisions.v1")
TOPICS = ("inspection.results.v1", "intake.rejections.v1")
SECRET = b"only-for-tests"
CODE = "统一社会信用代码/注册号"
REGISTER = (
    ("91623000739699913A", "合作市雪域牦牛乳业有限责任公司", "合作市", "扎西东智", "623000200001232", ""),
    ("92623001MA99ABC10Q", "合作市兴旺超市", "合作市", "才让卓玛", "", ""),
    ("92623025MA99ABC29E", "玛曲县兴旺超市", "玛曲县", "丹增", "", ""),
    ("93623025MA99KX2388", "玛曲县阿万仓牦牛农民专业合作社", "", "索南", "", "玛曲县阿万仓藏羊合作社"),
)
HEADINGS = ("统一社会信用代码", "企业名称", "行政区划", "法定代表人", "注册号", "曾用名")


def write_register(path: Path, rows: Sequence[Sequence[str]] = REGISTER, encoding: str = "gb18030") -> Path:
    lines = [HEADINGS, *rows]
    path.write_bytes("\r\n".join(",".join(line) for line in lines).encode(encoding))
    return path


class IdentityHub:
    """One source that asks the register, on topics that all tests of a module share."""

    def __init__(self, bootstrap: str, redis_url: str, base: Path) -> None:
        self.bootstrap, self.redis_url = bootstrap, redis_url
        self.folder, self.data = base / "in", base / "data"
        self.folder.mkdir(parents=True)
        self.facts: dict[str, FactRule] = {}
        self.source = f"hezuo-{uuid.uuid4().hex[:8]}"
        self.publisher = KafkaPublisher(bootstrap, client_id="test")
        self.desk = IdentityDesk(bootstrap, catalog(), self.publisher, utc_now)
        load_register(write_register(base / "register.csv"), bootstrap, catalog(), self.publisher, utc_now())

    def config(self) -> SourceConfig:
        return config(self.folder, name=self.source, identity="register", errors="csv", mappings=["inspection-results"])

    def session(self) -> IntakeSession:
        means = Means(catalog(), self.bootstrap, self.redis_url, self.data, SECRET, facts=self.facts)
        return open_session(self.config(), means)

    def run(self) -> Counts:
        with self.session() as session:
            return total(list(session.run_pending()))

    def drop(self, name: str, *rows: dict[str, str]) -> None:
        (self.folder / name).write_bytes(csv_bytes(INSPECTION, rows))

    def waits(self, state: str = "waiting") -> list[Wait]:
        return [each for each in self.desk.waits()[0] if each.source == self.source and each.state == state]

    def decide(self, wait: Wait, uscc: str | None) -> Decision:
        return self.desk.decide(wait.wait_id, uscc, by="王实验", reason="与营业执照核对")

    def records(self, topic: str = TOPICS[0]) -> list[dict[str, Any]]:
        """Headers (text), key and value of the source's records, by partition and offset."""
        found = []
        for record in read_topics(self.bootstrap, [topic]):
            headers = {name: value.decode() for name, value in record.headers}
            if headers["ce_source"] == f"/sources/{self.source}":
                value = catalog().decode(record.value or b"")[1]
                found.append({**headers, "key": record.key, "value": value})
        return found


def total(outcomes: Sequence[Outcome]) -> Counts:
    found = Counts()
    for outcome in outcomes:
        found.add(outcome.counts)
    return found


def nameless(number: int = 1, **more: str) -> dict[str, str]:
    """A row of a shop that two counties have, without a code and a representative: nobody can be sure."""
    return inspection(number, **{"检查对象名称": "兴旺超市", CODE: "", "法定代表人": "", **more})
