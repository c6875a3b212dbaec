"""A notice that went out as a file is proved like any other."""

from __future__ import annotations

import json
from pathlib import Path

from hub.bus.records import Output, Record
from hub.delivery.proof import collect, find_notice, verify
from hub.delivery.settings import SubscriptionSettings
from hub.domain.vault import Vault
from hub.domain.webhook import new_secret, parse_secret, sign
from hub.routing.stage import RoutingStage
from tests.support_contracts import catalog
from tests.support_filedrop import Drop, now
from tests.unit.test_routing import NOTICES, event, hub_map

NAME = "government-procurement"
HUB_KEY, DEPARTMENT_KEY = new_secret("ed25519"), new_secret("ed25519")


def test_a_receipt_of_a_file_and_a_signed_answer_are_proved(tmp_path: Path) -> None:
    happened = event(NOTICES, "blacklist.notice.listed", list_kind="serious", is_public=True)
    (outputs,) = RoutingStage(hub_map(), catalog()).handle([happened])
    records = [happened, *(_record(output, number) for number, output in enumerate(outputs))]
    inbox = next(record for record in records if record.topic == f"inbox.{NAME}")
    public = parse_secret(DEPARTMENT_KEY).public
    assert public is not None
    drop = Drop(tmp_path, key=HUB_KEY, name=NAME, receiver_keys=[public])
    try:
        drop.desk.take([inbox])
        drop.desk.wait(lambda: drop.department.home.exists() and bool(drop.department.names()))
        (package,) = drop.department.names()
        line = json.loads((drop.department.home / "outbox" / f"{package}.jsonl").read_bytes())
        data = json.loads(line["body"])["data"]
        body = json.dumps({
            **{name: data[name] for name in ("notice_id", "event_id", "correlation_id", "subject", "subscription")},
            "status": "acted", "measure": data["expected_measures"][0], "acted_on": "2026-03-04",
            "case_number": "甘南财采〔2026〕3号",
        })
        headers = sign([parse_secret(DEPARTMENT_KEY)], "answer-1", now(), body.encode())
        drop.department.put("today.answers.jsonl", json.dumps({"headers": headers, "body": body}))
        assert drop.look() == 1
        written = drop.desk.written
    finally:
        drop.close()
    records += [_record(output, 100 + number) for number, output in enumerate(written)]
    settings = SubscriptionSettings(NAME, revision=1, receiver_keys=(public,), changed_by="李四", changed_at=now())
    settings = settings.with_key(HUB_KEY, Vault(b"made up"), now())
    notice = find_notice([inbox], data["notice_id"])
    document = json.loads(json.dumps(collect(notice, records, [settings], catalog(), at=now(), by="李四")))
    found = {check.what: check.is_right for check in verify(document, catalog())}
    assert found == dict.fromkeys((
        "file", "schemas", "notice", "event", "content", "decision", "receipt", "signature", "answer",
        "signature of the answer",
    ), True)


def _record(output: Output, offset: int) -> Record:
    return Record(output.topic, 3, offset, 1772413200000 + offset, output.key, output.value, output.headers)
