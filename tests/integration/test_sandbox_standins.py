"""The stand-ins on real sockets, as the hub's own stages and any other program meet them."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
from fastapi import FastAPI

from hub.delivery import answers
from hub.delivery.engine import DeliveryEngine
from hub.delivery.webhook import WebhookEndpoint, WebhookTransport
from hub.domain.events import derive_id
from hub.domain.plain import to_json
from hub.domain.recall import effect_of
from hub.domain.webhook import parse_secret, sign, verify
from hub.errors import UsageError
from hub.sandbox.department import LIFT_MEASURE, NoticeData, answer_notice, create_department
from hub.sandbox.disclosure_system import create_disclosure_system, holds_id_number
from hub.sandbox.faults import Fault, FaultPlan, Faults, Slowness
from hub.sandbox.places import bind
from tests.support_contracts import IDENTITY_NUMBER, ROOT, catalog
from tests.support_delivery import Desk
from tests.support_disclosure import ChannelDesk, platform
from tests.support_outlets import QUICK, OutletServer, Reply, Seen, notice, notice_id, order, penalty
from tests.support_served import served, wait_until

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
USCC = "91623000739699913A"
NAME = "合作市雪域牦牛乳业有限责任公司"


class Answer(NamedTuple):
    status: int
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


def ask(method: str, url: str, body: bytes | None = None, **headers: str) -> Answer:
    request = urllib.request.Request(url, data=body, method=method)
    for name, value in headers.items():
        request.add_header(name.replace("_", "-"), value)
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return Answer(response.status, response.read().decode())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.read().decode())


def now() -> datetime:
    return datetime.now(UTC)


# The disclosure system


class Channel:
    """Sends orders to a running disclosure system."""

    def __init__(self, url: str) -> None:
        self.url = url

    def put(
        self, order_id: str, sequence: int = 1, action: str = "publish", *, entity: str = "e1",
        channel: str = "gsxt", key: str | None = None, **content: Any,
    ) -> Answer:
        body = {
            "order_id": order_id, "channel": channel, "action": action, "sequence": sequence,
            "kind": "enforcement/penalty", "subject": USCC,
            "content": {"party_name": NAME, "party_uscc": USCC, "penalty_content": "罚款", **content},
        }
        return ask(
            "PUT", f"{self.url}/api/v1/records/{entity}", to_json(body),
            Content_Type="application/json", Idempotency_Key=order_id if key is None else key,
        )

    def status(self, *given: Any, **content: Any) -> str:
        return str(self.put(*given, **content).json["receipt"]["status"])

    @property
    def stats(self) -> dict[str, int]:
        found: dict[str, int] = ask("GET", f"{self.url}/api/v1/stats").json
        return found

    def public(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = ask("GET", f"{self.url}/api/v1/records?subject={USCC}").json["records"]
        return found


@pytest.fixture
def plan() -> FaultPlan:
    return FaultPlan()


@pytest.fixture
def channel(tmp_path: Path, plan: FaultPlan) -> Iterator[Channel]:
    with served(create_disclosure_system(tmp_path, plan, catalog())) as url:
        yield Channel(url)


def test_same_order_brings_same_receipt_and_publishes_once(channel: Channel) -> None:
    first, second = channel.put("o1"), channel.put("o1")
    assert (first.status, second.status) == (201, 200)
    assert first.json == second.json
    assert first.json["receipt"]["status"] == "published"
    assert datetime.fromisoformat(first.json["receipt"]["received_at"]).tzinfo is not None
    stats = channel.stats
    assert stats["published"] == stats["max_publications_per_order"] == stats["repeated_orders"] == 1
    assert stats["requests"] == 2


def test_older_version_changes_nothing(channel: Channel) -> None:
    assert channel.status("o2", 2, penalty_content="新") == "published"
    assert channel.status("o1", 1, penalty_content="旧") == "unchanged"
    assert [record["content"]["penalty_content"] for record in channel.public()] == ["新"]
    assert channel.status("o3", 3, "amend", penalty_content="更新") == "replaced"
    assert [record["sequence"] for record in channel.public()] == [3]


def test_same_version_through_another_rule_changes_nothing(channel: Channel) -> None:
    assert channel.status("rule-a", 1) == "published"
    assert channel.status("rule-b", 1) == "unchanged"
    assert channel.stats["currently_public"] == 1


def test_withdrawn_record_is_gone_and_old_publication_does_not_bring_it_back(channel: Channel) -> None:
    channel.put("o1", 1)
    assert channel.status("o3", 3, "withdraw") == "withdrawn"
    assert channel.public() == []
    assert channel.status("o2", 2) == "unchanged"
    assert channel.public() == []
    gone = ask("GET", f"{channel.url}/api/v1/records/gsxt/e1")
    assert gone.status == 410 and "罚款" not in gone.text
    assert channel.status("o4", 4) == "published"
    assert [record["sequence"] for record in channel.public()] == [4]


def test_withdrawal_before_publication_is_remembered(channel: Channel) -> None:
    assert channel.status("o2", 2, "withdraw") == "unchanged"
    assert channel.status("o1", 1) == "unchanged"
    assert channel.stats["currently_public"] == 0


def test_channels_are_apart(channel: Channel) -> None:
    channel.put("o1", channel="gsxt")
    channel.put("o2", channel="creditchina")
    channel.put("o3", 2, "withdraw", channel="gsxt")
    assert [record["channel"] for record in channel.public()] == ["creditchina"]


@pytest.mark.parametrize("content", [
    {"remark": IDENTITY_NUMBER},
    {"remark": f"当事人身份证号码{IDENTITY_NUMBER}，已处理"},
    {"remark": "".join(chr(ord(digit) + 0xFEE0) for digit in IDENTITY_NUMBER)},
    {"related_persons": [{"name": "扎西", "certificate_number": IDENTITY_NUMBER}]},
    {"remark": int(IDENTITY_NUMBER)},
])
def test_id_number_is_refused_and_not_kept(channel: Channel, tmp_path: Path, content: Any) -> None:
    answer = channel.put("o1", **content)
    assert answer.status == 422
    assert json.loads(answer.text)["status"] == 422
    assert IDENTITY_NUMBER not in answer.text
    assert channel.stats["refused"] == 1 and channel.public() == []
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("disclosure.sqlite*"))
    assert IDENTITY_NUMBER.encode() not in kept


def test_codes_of_enterprises_and_longer_numbers_are_no_id_numbers() -> None:
    assert not holds_id_number({"party_uscc": USCC, "remark": f"决定书{IDENTITY_NUMBER}01号"})
    assert not holds_id_number(IDENTITY_NUMBER[:17] + "0")
    assert holds_id_number({"a": [{IDENTITY_NUMBER: None}]})


@pytest.mark.parametrize(("change", "status"), [
    ({"key": "another"}, 400), ({"channel": "elsewhere"}, 422), ({"action": "erase"}, 422),
    ({"sequence": -1}, 422),
])
def test_malformed_order_is_refused(channel: Channel, change: dict[str, Any], status: int) -> None:
    assert channel.put("o1", **change).status == status
    assert channel.stats["currently_public"] == 0


def test_public_pages_show_chinese_titles_and_escape(channel: Channel) -> None:
    channel.put("o1", procedure="ordinary", penalty_kinds=["2"], fine_amount="2.500000",
                violation_kind="<script>alert(1)</script>", department_name="甘南州市场监督管理局")
    for text in (USCC, USCC.lower(), "雪域牦牛", ""):
        assert NAME in ask("GET", f"{channel.url}/?q={quote(text)}").text
    assert "没有查询到" in ask("GET", f"{channel.url}/?q=%25").text
    page = ask("GET", f"{channel.url}/enterprise/{USCC}").text
    for text in ("行政处罚信息", "处罚程序", catalog().codes["penalty-procedure"].title_of("ordinary"), "2.5 万元"):
        assert text in page
    assert "<script>" not in page and "&lt;script&gt;" in page
    assert "http" not in page.replace("http-equiv", "")
    elsewhere = ask("GET", f"{channel.url}/enterprise/{USCC}?channel=creditchina")
    assert elsewhere.status == 404 and "另见" in elsewhere.text


def test_register_outlives_its_process(tmp_path: Path) -> None:
    receipts = []
    for _ in range(2):
        with served(create_disclosure_system(tmp_path, FaultPlan())) as url:
            receipts.append(Channel(url).put("o1").json)
            stats = Channel(url).stats
    assert receipts[0] == receipts[1]
    assert stats["published"] == 1 and stats["requests"] == 2


def test_faults_come_as_planned_and_a_lost_receipt_doubles_nothing(channel: Channel, plan: FaultPlan) -> None:
    plan.set(Faults(down=Fault(count=1)))
    assert [channel.put("o1").status, channel.put("o1").status] == [503, 201]
    body = to_json({"lose_receipt": {"count": 1}})
    assert ask("POST", f"{channel.url}/faults", body, Content_Type="application/json").status == 200
    assert [channel.put("o2", 2, remark="b").status, channel.put("o2", 2, remark="b").status] == [500, 200]
    plan.set(Faults(refuse=Fault(rate=1.0)))
    assert channel.put("o3", 3).status == 422
    assert ask("POST", f"{channel.url}/faults", b"{}", Content_Type="application/json").status == 200
    assert channel.put("o3", 3, remark="c").status == 201
    assert channel.stats["max_publications_per_order"] == 1
    assert ask("POST", f"{channel.url}/faults", b'{"dwon": {}}', Content_Type="application/json").status == 422


def test_slowness_without_a_rate_is_for_everybody() -> None:
    plan = FaultPlan(Faults(slow=Slowness(seconds=0.1)))
    assert plan.faults.slow.rate == 1.0
    plan.set(Faults(slow=Slowness(seconds=0.1, count=2)))
    assert plan.faults.slow.rate == 0.0


def test_disclosure_and_stand_in_understand_each_other(channel: Channel, plan: FaultPlan, tmp_path: Path) -> None:
    plan.set(Faults(down=Fault(count=1), lose_receipt=Fault(count=1)))
    desk = ChannelDesk(platform(tmp_path, channel.url, channel="gsxt", max_batch=1), channel="gsxt")
    try:
        records = [
            order("a", 1, channel="gsxt"), order("b", 2, channel="gsxt"),
            order("a", 3, channel="gsxt", action="amend", data=penalty("public", penalty_content="罚款二万元")),
            order("b", 4, channel="gsxt", action="withdraw"),
        ]
        # One by one: of two at once the later overtakes the earlier.
        outputs = [output for each in records for made in desk.handle([each]) for output in made]
    finally:
        desk.close()
    decoded = [catalog().decode(output.value)[1]["status"] for output in outputs if output.value]
    assert decoded == ["published", "published", "replaced", "withdrawn"]
    stats = channel.stats
    assert stats["currently_public"] == stats["max_publications_per_order"] == 1


# A department


def signed(body: bytes, message_id: str, secret: str = SECRET, at: datetime | None = None) -> dict[str, str]:
    return sign([parse_secret(secret)], message_id, at or now(), body)


def notice_body(number: int, event_type: str = "blacklist.notice.listed", **data: Any) -> bytes:
    return to_json({"type": event_type, "timestamp": now(), "data": {
        "notice_id": f"notice-{number}", "event_id": f"event-{number}", "event_type": event_type,
        "correlation_id": f"entity-{number}", "subject": USCC, "subscription": "procurement",
        "view": "partner", "action": effect_of(event_type),
        "expected_measures": ["restrict-government-procurement", "restrict-honours"],
        "legal_basis": None, "issued_at": now(), "sequence": 1, "record": {"party_name": NAME}, **data,
    }})


def send(url: str, number: int, body: bytes | None = None, **options: Any) -> Answer:
    body = notice_body(number) if body is None else body
    return ask("POST", f"{url}/hook", body, **signed(body, f"notice-{number}", **options))


def stats_of(url: str) -> dict[str, Any]:
    found: dict[str, Any] = ask("GET", f"{url}/stats").json
    return found


def department(data: Path, feedback_url: str, plan: FaultPlan | None = None) -> FastAPI:
    return create_department("甘南州财政局", "procurement", SECRET, feedback_url, data, plan or FaultPlan())


def accept(seen: Seen, repeats: int) -> Reply:
    return Reply(202)


def test_a_test_event_is_taken_and_booked_nowhere(tmp_path: Path) -> None:
    body = json.dumps({
        "type": "hub.endpoint.test", "timestamp": "2026-03-04T02:00:00.000Z",
        "data": {"subscription": "procurement", "test_id": "test-1", "note": "测试事件"},
    }).encode()
    with OutletServer(accept) as hub, served(department(tmp_path, f"{hub.url}/v1/feedback")) as url:
        assert send(url, 1, body).status == 204
        assert stats_of(url)["notices"] == 0


def test_notice_is_taken_once_and_answered_with_a_signed_measure(tmp_path: Path) -> None:
    with OutletServer(accept) as hub, served(department(tmp_path, f"{hub.url}/v1/feedback")) as url:
        assert [send(url, 1).status, send(url, 1).status] == [204, 204]
        wait_until(lambda: stats_of(url)["answered"] == 1, "the answer")
        stats = stats_of(url)
        assert (stats["notices"], stats["repeats"], stats["pending"]) == (1, 1, 0)
        [seen] = hub.seen
        feedback = json.loads(seen.body)
        message_id = verify([parse_secret(SECRET)], seen.headers, seen.body, now())
        assert message_id == derive_id("feedback", "notice-1", feedback["status"])
        assert answers.Answer.model_validate_json(seen.body).notice_id == "notice-1"
        listed = ask("GET", f"{url}/api/v1/notices?subject={USCC}").json["notices"]
        assert [item["feedback"] for item in listed] == [feedback]
        assert NAME in ask("GET", f"{url}/").text


@pytest.mark.parametrize("options", [
    {"secret": "whsec_" + base64.b64encode(bytes(32)).decode()},
    {"at": now() - timedelta(minutes=10)},
])
def test_wrong_secret_or_old_signature_is_401(tmp_path: Path, options: dict[str, Any]) -> None:
    with served(department(tmp_path, "http://127.0.0.1:9/")) as url:
        assert send(url, 1, **options).status == 401
        assert stats_of(url)["notices"] == 0


@pytest.mark.parametrize("change", [
    {"webhook-signature": "nonsense"}, {"webhook-signature": "v1,%%%"}, {"webhook-id": "other"}, {},
])
def test_tampered_or_missing_headers_are_401(tmp_path: Path, change: dict[str, str]) -> None:
    body = notice_body(1)
    with served(department(tmp_path, "http://127.0.0.1:9/")) as url:
        headers = {**signed(body, "notice-1"), **change} if change else {}
        assert ask("POST", f"{url}/hook", body, **headers).status == 401
        assert stats_of(url)["notices"] == 0


@pytest.mark.parametrize("body", [b"[]", b"{", b"{}", notice_body(1, subscription="another")])
def test_signed_nonsense_is_refused_for_good(tmp_path: Path, body: bytes) -> None:
    with served(department(tmp_path, "http://127.0.0.1:9/")) as url:
        assert send(url, 1, body).status == 422
        assert stats_of(url)["notices"] == 0


def test_answers_outlive_a_restart_while_the_hub_is_away(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nowhere = f"http://127.0.0.1:{taken.getsockname()[1]}/v1/feedback"
    with served(department(tmp_path, nowhere)) as url:
        for number in range(20):
            assert send(url, number).status == 204
        wait_until(lambda: any(item["attempts"] for item in ask(
            "GET", f"{url}/api/v1/notices").json["notices"]), "a failed attempt")
        assert stats_of(url)["pending"] == 20
    with OutletServer(accept) as hub, served(department(tmp_path, f"{hub.url}/v1/feedback")) as url:
        wait_until(lambda: stats_of(url)["answered"] == 20, "all answers")
        told = Counter(json.loads(seen.body)["notice_id"] for seen in hub.seen)
        assert told == Counter({f"notice-{number}": 1 for number in range(20)})


def test_passing_faults_of_the_hub_are_tried_again_and_refusals_are_not(tmp_path: Path) -> None:
    def answer(seen: Seen, repeats: int) -> Reply:
        if json.loads(seen.body)["notice_id"] == "notice-2":
            return Reply(422)
        return Reply([503, 404, 202][min(repeats, 2)])

    with OutletServer(answer) as hub, served(department(tmp_path, hub.url)) as url:
        send(url, 1)
        send(url, 2)
        wait_until(lambda: stats_of(url)["pending"] == 0, "both answers")
        stats = stats_of(url)
        assert (stats["answered"], stats["refused"]) == (1, 1)
        told = Counter(json.loads(seen.body)["notice_id"] for seen in hub.seen)
        assert told == {"notice-1": 3, "notice-2": 1}
        assert len({seen.body for seen in hub.seen}) == 2


def notice_data(number: int, event_type: str = "blacklist.notice.listed") -> NoticeData:
    return NoticeData.model_validate(json.loads(notice_body(number, event_type))["data"])


def test_answers_are_a_function_of_the_notice_and_keep_their_shares() -> None:
    answers = [answer_notice(notice_data(number), now()) for number in range(3000)]
    assert answers[:50] == [answer_notice(notice_data(number), now()) for number in range(50)]
    shares = Counter(answer["status"] for answer in answers)
    assert 0.90 < shares["acted"] / 3000 < 0.94
    assert 0.045 < shares["inapplicable"] / 3000 < 0.075
    assert 0.01 < shares["objected"] / 3000 < 0.03
    assert {answer["measure"] for answer in answers} == {"restrict-government-procurement", None}
    assert all(answer["reason"] for answer in answers if answer["status"] != "acted")
    for kind in ("blacklist.notice.removed", "enforcement.penalty.withdrawn"):
        lifted = {
            (answer["status"], answer["measure"])
            for answer in (answer_notice(notice_data(number, kind), now()) for number in range(200))
        }
        assert lifted == {("acted", LIFT_MEASURE)}


def test_delivery_department_and_feedback_rules_fit_together(tmp_path: Path) -> None:
    plan = FaultPlan(Faults(down=Fault(count=1), lose_receipt=Fault(count=1)))
    indexed: dict[str, Any] = {}

    class Index:
        def put(self, notices: Any) -> None:
            indexed.update((found.notice_id, found) for found in notices)

    with OutletServer(accept) as hub, served(department(tmp_path, hub.url, plan)) as url:
        endpoint = WebhookEndpoint(f"{url}/hook", SECRET)
        transport = WebhookTransport(endpoint, now)
        desk = Desk(DeliveryEngine(
            "procurement", transport, catalog(), now, Index(), lambda partitions: iter(()), policy=QUICK
        ))
        try:
            desk.handle([notice(f"subject-{number}", number) for number in range(40)])
        finally:
            desk.close()
        wait_until(lambda: stats_of(url)["answered"] == 40, "all answers")
        assert stats_of(url)["repeats"] == 1  # the one whose 204 was lost
        for seen in hub.seen:
            feedback = answers.Answer.model_validate_json(seen.body)
            answers.check_answer(feedback, indexed[feedback.notice_id])
    assert {json.loads(seen.body)["notice_id"] for seen in hub.seen} == {
        notice_id(f"subject-{number}", number) for number in range(40)
    }


# All of them in one process


@contextlib.contextmanager
def sandbox(data: Path, feedback_url: str) -> Iterator[tuple[dict[str, Any], subprocess.Popen[bytes]]]:
    command = [
        sys.executable, "-m", "hub.sandbox.service", "--data", str(data), "--feedback-url", feedback_url,
        "--department", "procurement=甘南州财政局", "--department", "works-bidding=甘南州发展和改革委员会",
    ]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        ready: dict[str, Any] = {}

        def is_ready() -> bool:
            assert process.poll() is None
            with contextlib.suppress(FileNotFoundError):
                ready.update(json.loads((data / "sandbox.json").read_text("utf-8")))
            # A killed run leaves its file: only the process named in it answers.
            return ready.get("pid") == process.pid

        wait_until(is_ready, "sandbox.json of this process")
        yield ready, process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(20)


def test_service_keeps_addresses_secrets_and_facts_over_kill_and_stop(tmp_path: Path) -> None:
    data = tmp_path / "sandbox"
    with OutletServer(lambda seen, repeats: Reply(503)) as away, sandbox(data, away.url) as (first, process):
        place = first["departments"]["procurement"]
        body = notice_body(1)
        assert ask("POST", place["url"], body, **signed(body, "notice-1", place["secret"])).status == 204
        assert Channel(first["disclosure"]["url"]).put("o1").status == 201
        wave = ask("POST", f"{first['national']['url']}/distribute", b'{"count": 3}', Content_Type="application/json")
        assert (wave.status, wave.json["entries"]) == (200, 3)
        for name in ("sandbox.json", "identity.json"):
            assert (data / name).stat().st_mode & 0o777 == 0o600
        second_one = subprocess.run(
            [sys.executable, "-m", "hub.sandbox.service", "--data", str(data), "--feedback-url", away.url],
            cwd=ROOT, capture_output=True, timeout=60,
        )
        assert second_one.returncode == 2 and b"Another sandbox" in second_one.stderr
        os.kill(process.pid, signal.SIGKILL)
        process.wait(20)
    with OutletServer(accept) as hub, sandbox(data, hub.url) as (second, process):
        assert {**second, "pid": 0} == {**first, "pid": 0}
        assert Channel(second["disclosure"]["url"]).put("o1").status == 200
        tasks = f"{second['national']['url']}/tasks?region=623000&after=0&limit=9"
        given = ask("GET", tasks, b"", Authorization=f"Bearer {second['national']['token']}")
        assert given.status == 200 and given.text.count("<task>") == 3
        assert ask("GET", tasks, b"").status == 401
        assert "甘南州财政局" in ask("GET", place["page"]).text
        wait_until(lambda: len(hub.seen) == 1, "the answer that was kept")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert not (data / "sandbox.json").exists()


def test_two_sandboxes_that_start_at_once_never_share_a_port() -> None:
    with bind(None, None) as first:
        port = first.getsockname()[1]
        with pytest.raises(UsageError, match=f"Port {port} of 127.0.0.1 is taken"):
            bind(port, None)
        with bind(None, port) as second:
            assert second.getsockname()[1] != port
            second.listen()  # as its server will
