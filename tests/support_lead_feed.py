"""The stand-in of the national platform on a port of its own, tasks for it, and sources that read it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import uvicorn

from connectors.lead_feed.source import LeadFeed
from hub.bus.flow import Flow
from hub.bus.records import Output, Record
from hub.contracts.cloudevents import to_headers
from hub.domain.events import Envelope, entity_id, event_id
from hub.intake import Counts, Place, Problem, Row, RowFault, SourceConfig
from hub.intake.build import source_context
from hub.intake.versions import EventWriter
from hub.sandbox.faults import FaultPlan
from hub.sandbox.national_book import NationalBook
from hub.sandbox.national_platform import PlatformFaults, create_national_platform
from hub.uplink import Uplink
from hub.uplink.engine import UplinkEngine
from hub.uplink.receipts import RECEIPTS_TOPIC
from tests.support_contracts import sample
from tests.support_intake import catalog

TOKEN = "the-token-of-the-tests"
NAME = "national-leads"


class Platform:
    """Runs until ``close``. ``book`` is a second hand on what it keeps; ``faults`` are those in force."""

    def __init__(self, data: Path, token: str = TOKEN, faults: PlatformFaults | None = None) -> None:
        self.faults = FaultPlan(faults or PlatformFaults())
        self._listening = socket.create_server(("127.0.0.1", 0))
        app = create_national_platform(data, token, self.faults)
        config = uvicorn.Config(app, log_level="warning", access_log=False, lifespan="on", ws="none")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._listening]})
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive()
            time.sleep(0.005)
        self.book = NationalBook(data / "national.sqlite")
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    def close(self) -> None:
        self.book.close()
        self._server.should_exit = True
        self._thread.join(20)
        self._listening.close()

    def __enter__(self) -> Platform:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def blocks(
    number: int, given: Mapping[tuple[str, str], str | None] | None = None, kind: str = "complaintInfo"
) -> dict[str, dict[str, str]]:
    """A task as it should be, with elements changed by block and name, or left out (``None``)."""
    subject = {
        "complaintInfo": {
            "complaintObject": "合作市雪域牦牛乳业有限责任公司", "complaintObjectCertCode": "91623000739699913A",
            "complaintType": "食品安全", "complaintTerritory": "合作市", "disputeDate": "2026-02-27",
            "complaintDetail": "称购买的酸奶有异味，要求处理。", "complainantName": "才让卓玛",
            "complainantPhone": "10012345678",
        },
        "tipInfo": {
            "tipObject": "合作市雪域牦牛乳业有限责任公司", "tipObjectCertCode": "91623000739699913A",
            "tipType": "无证经营", "tipDetail": "称其没有营业执照。",
        },
        "riskWarning": {
            "riskObject": "合作市雪域牦牛乳业有限责任公司", "riskObjectCertCode": "91623000739699913A",
            "domain": "食品安全", "title": "多次投诉同一批次产品", "level": "高", "props": "近30日投诉12件",
        },
    }[kind]  # fmt: skip
    task: dict[str, dict[str, str]] = {
        "taskInfo": {
            "taskNo": f"GJXS2026{number:010d}", "taskName": "关于雪域牦牛乳业的线索", "status": "分发",
            "distributeTime": "2026-03-02 09:30:00", "unionDeptName": "合作市市场监督管理局",
            "unionRegionName": "合作市", "unionRegionCode": "623001", "inspectClaim": "请核实处置",
        },
        kind: dict(subject),
    }  # fmt: skip
    for (block, name), text in (given or {}).items():
        if text is None:
            task.get(block, {}).pop(name, None)
        else:
            task.setdefault(block, {})[name] = text
    return task


def feed_config(url: str, **more: Any) -> SourceConfig:
    return SourceConfig.of({
        "name": NAME, "connector": "lead-feed", "url": url, "token": TOKEN, "every_seconds": 0.001,
        "department_code": "116230009900000171", "department_name": "甘南州市场监督管理局", "region_code": "623000",
        **more,
    })  # fmt: skip


def open_feed(url: str, data: Path, **more: Any) -> LeadFeed:
    return LeadFeed(source_context(feed_config(url, **more), catalog(), data))


def drain(source: LeadFeed) -> list[Row | RowFault]:
    """Every item of every portion that waits now, finished."""
    items: list[Row | RowFault] = []
    with contextlib.closing(source):
        for portion in source.portions():
            for batch in portion.batches(0):
                items += batch.items
            portion.finish(Counts(read=len(items)), iter(()))
            portion.close()
    return items


class Uplinked:
    """An engine of the uplink in a loop of its own, and what it has finished."""

    def __init__(self, uplink: Uplink) -> None:
        self.finished: list[tuple[Record, list[Output]]] = []
        self.runner = asyncio.Runner()
        self.engine = UplinkEngine(uplink, catalog(), lambda: datetime.now(UTC), delays=(0.005, 0.02))
        self.engine.attach(cast(Flow, self))

    def finish(self, record: Record, outputs: Sequence[Output]) -> None:
        self.finished.append((record, list(outputs)))

    def bring(self, *records: Record, until: Callable[[], bool] | None = None) -> list[dict[str, Any]]:
        """Takes the records and waits until all are finished, or for what is said; gives the receipts."""
        wanted = len(self.finished) + len(records)

        async def wait() -> None:
            self.engine.take(records)
            while not (until() if until else len(self.finished) == wanted):
                await asyncio.sleep(0.005)

        self.runner.run(asyncio.wait_for(wait(), 30))
        return self.receipts()

    def receipts(self) -> list[dict[str, Any]]:
        outputs = [output for _, made in self.finished for output in made if output.topic == RECEIPTS_TOPIC]
        return [catalog().decode(output.value or b"")[1] for output in outputs]

    def close(self) -> None:
        self.runner.run(self.engine.close())
        self.runner.close()


def lead_output(
    number: int, word: str, *, source: str = "hezuo-market", task_no: str | None = None, **content: Any
) -> Output:
    """What a department's system tells of a lead: ``word`` is the last of the event type."""
    task_no = task_no or f"GJXS2026{number:010d}"
    schema = catalog().schema("complaint/lead")
    status = word if word != "amended" else "accepted"
    value = sample(schema, number, record_unique_identity=task_no, channel="national", status=status, **content)
    uri, natural = f"/sources/{source}", f"complaint.leads.v1|{task_no}"
    version = ["received", "accepted", "verified", "mediated", "resolved", "amended"].index(word) + 1
    subject = f"uscc:{value['party_uscc']}"
    envelope = Envelope(
        id=event_id(uri, natural, version), source=uri, type=f"complaint.lead.{word}", subject=subject,
        time=datetime(2026, 3, 4, 2, 30, tzinfo=UTC), correlation_id=entity_id(uri, natural), sequence=version,
    )  # fmt: skip
    return Output("complaint.leads.v1", subject.encode(), schema.encode(value), to_headers(envelope))


def rejection_output(source: str, sheet: str | None, row_digest: str = "a" * 16, number: int = 1) -> Output:
    """A refusal as intake writes it."""
    writer = EventWriter(source, lambda kind: ("", ""), catalog().schema, b"only-for-tests")
    problem = Problem("jurisdiction", "unionRegionCode", "region_code", "620100", "任务不属于本辖区：620100", "请改派")
    fault = RowFault(Place(source, sheet, number), (problem,), row_digest)
    return writer.rejection(f"{source}|portion", fault, 0, datetime(2026, 3, 4, 2, 30, tzinfo=UTC))[1]


def read_record(output: Output, offset: int = 0) -> Record:
    """An output as it is read again."""
    return Record(output.topic, 0, offset, 1772591400000, output.key, output.value, output.headers)
