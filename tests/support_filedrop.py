"""A department without a server: what its clerk and its programmer do with a folder."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import openpyxl
import standardwebhooks

from hub.bus.records import Output
from hub.delivery.answers import AnswerDesk
from hub.delivery.engine import DeliveryEngine
from hub.delivery.filedrop.box import FileBox, Packing
from hub.delivery.filedrop.columns import Columns
from hub.delivery.filedrop.inbox import Timing
from hub.delivery.filedrop.reader import FolderReader
from hub.domain.circuit import Circuit
from hub.domain.webhook import new_secret, parse_secret
from hub.state.notice_index import Notice
from tests.support_contracts import catalog
from tests.support_delivery import Desk, InMemoryNotices
from tests.support_outlets import QUICK

NAME = "procurement"
KEY = new_secret("hmac")
MEASURES = {"restrict-government-procurement": "依法限制参加政府采购活动"}
AT_ONCE = Timing(look_seconds=0.05, settle_seconds=0.0, signature_seconds=0.0)
QUICKLY = Packing(window_seconds=0.1)


def now() -> datetime:
    return datetime.now(UTC)


def columns() -> Columns:
    return Columns(catalog(), MEASURES)


class Package(NamedTuple):
    """A package as the department's program reads it: verified to the last byte."""

    name: str
    manifest: dict[str, Any]
    #: Notice id -> body.
    notices: dict[str, dict[str, Any]]
    files: dict[str, bytes]


class Department:
    """Sees its own folder, and nothing else of the hub."""

    def __init__(self, home: Path, key: str = KEY) -> None:
        self.home, self._key = home, key

    def names(self) -> list[str]:
        """Packages that wait, the oldest first: those whose manifest is there."""
        return sorted(path.name.partition(".")[0] for path in (self.home / "outbox").glob("*.manifest.json"))

    def read(self, name: str, folder: str = "outbox") -> Package:
        outbox = self.home / folder
        content = (outbox / f"{name}.manifest.json").read_bytes()
        webhook = standardwebhooks.Webhook(self._key)
        headers = json.loads((outbox / f"{name}.manifest.sig").read_bytes())
        webhook.verify(content.decode(), headers)
        manifest = json.loads(content)
        assert headers["webhook-id"] == manifest["package"] == name
        files = {each["name"]: (outbox / each["name"]).read_bytes() for each in manifest["files"]}
        for each in manifest["files"]:
            assert len(files[each["name"]]) == each["size"]
            assert hashlib.sha256(files[each["name"]]).hexdigest() == each["sha256"]
        notices: dict[str, dict[str, Any]] = {}
        for line in files[f"{name}.jsonl"].splitlines():
            entry = json.loads(line)
            body = webhook.verify(entry["body"], entry["headers"])
            notices[entry["headers"]["webhook-id"]] = {**body, "raw": entry["body"].encode()}
        digests = {each["notice_id"]: each["sha256"] for each in manifest["notices"]}
        assert digests == {id: hashlib.sha256(each["raw"]).hexdigest() for id, each in notices.items()}
        assert manifest["count"] == len(notices)
        return Package(name, manifest, notices, files)

    def packages(self) -> list[Package]:
        return [self.read(name) for name in self.names()]

    def put(self, name: str, content: bytes | str | Mapping[str, Any]) -> None:
        """A file into the inbox, as a program does it: whole under its name."""
        if isinstance(content, Mapping):
            content = json.dumps(content, ensure_ascii=False)
        raw = content.encode() if isinstance(content, str) else content
        waiting = self.home / "inbox" / f".{name}.tmp"
        waiting.write_bytes(raw)
        waiting.rename(self.home / "inbox" / name)

    def fill(self, package: Package, rows: Mapping[str, Mapping[str, Any]]) -> bytes:
        """The package's own workbook with the form filled in: notice id (or 全部) -> heading -> text."""
        book = openpyxl.load_workbook(io.BytesIO(package.files[f"{package.name}.xlsx"]))
        sheet = book["反馈"]
        headings = [cell.value for cell in sheet[1]]
        for row in sheet.iter_rows(min_row=2):
            for heading, value in rows.get(str(row[0].value), {}).items():
                row[headings.index(heading)].value = value
        out = io.BytesIO()
        book.save(out)
        return out.getvalue()

    def result(self, name: str) -> dict[str, Any]:
        """What the hub says of a file: counts by their names, and the faults as lists of texts."""
        path = self.home / "results" / f"{name}.result.xlsx"
        if not path.exists():
            found: dict[str, Any] = json.loads(path.with_suffix(".json").read_text())
            return found
        book = openpyxl.load_workbook(path)
        counts = {str(row[0]): row[1] for row in book["处理结果"].iter_rows(min_row=2, values_only=True)}
        faults = [list(row) for row in book["问题清单"].iter_rows(min_row=2, values_only=True)]
        return {**counts, "faults": faults}

    def files(self, folder: str) -> list[str]:
        return sorted(path.name for path in (self.home / folder).iterdir())


def table(*rows: Sequence[str]) -> str:
    """A CSV of the rows."""
    out = io.StringIO(newline="")
    csv.writer(out).writerows(rows)
    return out.getvalue()


class Drop:
    """A box and its reader with an engine around them, without Kafka. ``is_safe`` is what Kafka says of writes."""

    def __init__(
        self, root: Path, *, packing: Packing = QUICKLY, before: Drop | None = None, timing: Timing = AT_ONCE,
        receiver_keys: Sequence[str] = (), key: str = KEY, name: str = NAME,
    ) -> None:
        self.is_safe = True
        self.index: InMemoryNotices = before.index if before else InMemoryNotices()
        circuit = Circuit(threshold=2, delay=0.05, longest=0.05)
        self.box = FileBox(name, root, columns(), now, packing=packing, on_written=circuit.succeeded)
        self.box.keys = [parse_secret(key)]
        self.desk: Desk = Desk(DeliveryEngine(
            name, self.box, catalog(), now, self.index, before.desk.load if before else lambda _: iter(()),
            policy=QUICK, circuit=circuit, method="file",
        ))
        self.reader = FolderReader(
            self.box, columns(), AnswerDesk(catalog(), self, lambda name: [], now), self, self._write,
            lambda: (receiver_keys, [key]), now, timing=timing,
        )
        self.department = Department(root / name, key)

    def get(self, notice_id: str) -> Notice | None:
        return self.index.found.get(notice_id)

    async def _write(self, outputs: Sequence[Output]) -> bool:
        if self.is_safe:
            self.desk.written.extend(outputs)
        return self.is_safe

    def look(self) -> int:
        """One look of the reader; how many files it finished."""
        done: list[int] = []

        async def look() -> None:
            done.append(await self.reader.look())

        self.desk._run(look())
        return done[0]

    def packages(self, count: int = 1) -> list[Package]:
        """The packages in the outbox, once there are so many."""
        self.desk.wait(lambda: self.department.home.exists() and len(self.department.names()) >= count)
        # The folder shows a package a moment before the box knows of it.
        self.desk.wait(lambda: not self.box._fresh and all(each.package for each in self.box._offers.values()))
        return self.department.packages()

    def answers(self) -> list[dict[str, Any]]:
        return [
            catalog().decode(output.value or b"")[1]
            for output in self.desk.written if output.topic == "discipline.feedback.v1"
        ]

    def close(self) -> None:
        self.desk.close()

