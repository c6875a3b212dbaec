"""Channels by files: batches that are there once, and receipts that are cut, doubled, foreign or lost."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from hub.disclosure import REFUSED, AttemptFailedError, Change, NotYet, Receipt, Sink, change_of
from hub.disclosure.exchange import Standing, digest_of
from hub.disclosure.exchange import files as files_module
from hub.disclosure.exchange.batches import next_number
from hub.sandbox.faults import Fault, FaultPlan, Faults
from hub.sandbox.file_channel import CreditChinaChannel, PlatformFileChannel
from tests.support_sinks import NOW, an_order, collect, open_sink, send

MADE: dict[str, dict[str, Any]] = {
    "credit-china": {"source_code": "623000-market"}, "collaboration-platform-files": {},
}


@pytest.fixture(params=MADE)
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    made = Desk(request.param, tmp_path)
    yield made
    made.channel.close()


class Desk:
    """A sink that is opened anew for each call, as after a kill, and the channel on the other side."""

    def __init__(self, connector: str, folder: Path) -> None:
        self.connector, self.folder, self.plan = connector, folder, FaultPlan()
        self.now = NOW
        make = CreditChinaChannel if connector == "credit-china" else PlatformFileChannel
        self.channel: Any = make(folder / "share", folder, self.plan)

    @property
    def sink(self) -> Sink:
        return open_sink(
            self.connector, self.folder, now=lambda: self.now, folder="share", settle_seconds=0, **MADE[self.connector]
        )

    def out(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (self.folder / "share/out").iterdir()}

    def rejected(self) -> dict[str, str]:
        found = (self.folder / "share/in/rejected").glob("*.why.txt")
        return {path.name.removesuffix(".why.txt"): path.read_text() for path in found}


def test_an_order_that_comes_again_in_another_batch_is_in_one_file(desk: Desk) -> None:
    a, b, c = an_order("a"), an_order("b"), an_order("c")
    assert send(desk.sink, a, b) == [NotYet(), NotYet()]
    before = desk.out()
    send(desk.sink, b, c)
    send(desk.sink, a, b, c)
    after = desk.out()
    assert len(before) == 1 and len(after) == 2 and before.items() <= after.items()
    desk.channel.turn()
    assert {each.status for each in collect(desk.sink).values()} == {"published"}


def test_a_row_without_an_answer_is_taken_back_although_nothing_is_known_to_be_public(desk: Desk) -> None:
    """Its publication was over before the file was answered, and it comes again as a withdrawal."""
    for order in (an_order("a"), an_order("a", 1, "withdraw")):
        send(desk.sink, order)
        desk.channel.turn()
        assert order.order_id in collect(desk.sink)
    amended, over = an_order("a", 2, "amend"), an_order("a", 2, "withdraw")
    assert send(desk.sink, amended) == [NotYet()]
    assert send(desk.sink, over) == [NotYet()]
    for _ in range(2):
        desk.channel.turn()
    found = collect(desk.sink)
    assert (found[amended.order_id].status, found[over.order_id].status) == ("published", "withdrawn")


def test_a_kill_between_the_ledger_and_the_file_gives_the_same_file(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: dict[str, bytes] = {}

    def killed(path: Path, content: bytes) -> None:
        written[path.name] = content
        raise OSError(5, "killed")

    with monkeypatch.context() as patch:
        patch.setattr(files_module, "write_whole", killed)
        with pytest.raises(AttemptFailedError, match="killed"):
            send(desk.sink, an_order("a"))
    assert desk.out() == {}
    send(desk.sink, an_order("b"))
    assert written.items() <= desk.out().items() and len(desk.out()) == 2


def test_a_kill_behind_the_file_leaves_it_as_it_is(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("hub.disclosure.exchange.ledger.Ledger.note_sent", lambda *_: None)
        send(desk.sink, an_order("a"))
    (path,) = (desk.folder / "share/out").iterdir()
    before = path.stat().st_mtime_ns, path.read_bytes()
    send(desk.sink, an_order("a"))
    assert (path.stat().st_mtime_ns, path.read_bytes()) == before and len(desk.out()) == 1


def test_a_lost_receipt_brings_the_same_file_again_and_publishes_once(desk: Desk) -> None:
    order = an_order("a")
    send(desk.sink, order)
    before = desk.out()
    desk.plan.set(Faults(lose_receipt=Fault(count=1)))
    desk.channel.turn()
    desk.now += timedelta(hours=23)
    assert collect(desk.sink) == {} and desk.out() == {}
    desk.now += timedelta(hours=2)
    assert collect(desk.sink) == {} and desk.out() == before
    desk.channel.turn()
    assert collect(desk.sink)[order.order_id].status == "published"
    assert desk.channel.register.publications_of(order.order_id) == 1


def test_a_row_without_an_answer_waits_and_the_others_have_theirs(desk: Desk) -> None:
    orders = [an_order("a"), an_order("b")]
    send(desk.sink, *orders)
    desk.plan.set(Faults(lose_answer=Fault(count=1)))
    desk.channel.turn()
    assert list(collect(desk.sink)) == [orders[1].order_id] and desk.rejected() == {}
    desk.now += timedelta(hours=25)
    collect(desk.sink)
    desk.channel.turn()
    assert collect(desk.sink).keys() == {order.order_id for order in orders}


def test_a_receipt_that_is_cut_short_is_named_and_not_used(desk: Desk) -> None:
    orders = [an_order(name) for name in "abc"]
    send(desk.sink, *orders)
    desk.plan.set(Faults(cut_receipt=Fault(count=1)))
    desk.channel.turn()
    assert collect(desk.sink) == {}
    (why,) = desk.rejected().values()
    assert "cut short" in why and "Nothing of this file was used" in why
    desk.now += timedelta(hours=25)
    collect(desk.sink)
    desk.channel.turn()
    assert collect(desk.sink).keys() == {order.order_id for order in orders}


def test_a_doubled_and_a_foreign_receipt_are_named_and_take_nothing_away(desk: Desk) -> None:
    order = an_order("a")
    send(desk.sink, order)
    desk.plan.set(Faults(answer_twice=Fault(count=1), foreign_receipt=Fault(count=1)))
    desk.channel.turn()
    found = collect(desk.sink)
    assert found.keys() == {order.order_id} and found[order.order_id].status == "published"
    texts = "\n".join(desk.rejected().values())
    assert len(desk.rejected()) == 2
    assert "the first answers count" in texts and "which is no batch of this channel" in texts
    assert collect(desk.sink) == found, "until it is settled it is given again"


def test_a_refused_row_says_why_and_refuses_no_other(desk: Desk) -> None:
    orders = [an_order("a"), an_order("b")]
    send(desk.sink, *orders)
    desk.plan.set(Faults(refuse_record=Fault(count=1)))
    desk.channel.turn()
    found = collect(desk.sink)
    assert [found[order.order_id].status for order in orders] == [REFUSED, "published"]
    assert "按故障计划退回" in str(found[orders[0].order_id].reason)


def test_folders_that_are_not_mounted_are_not_made(desk: Desk) -> None:
    (desk.folder / "share").rename(desk.folder / "elsewhere")
    with pytest.raises(AttemptFailedError, match="share/out is not there"):
        send(desk.sink, an_order("a"))
    with pytest.raises(AttemptFailedError, match="is not there"):
        collect(desk.sink)
    assert not (desk.folder / "share").exists()


def test_what_is_no_receipt_is_named_and_the_others_are_read(desk: Desk) -> None:
    order = an_order("a")
    send(desk.sink, order)
    desk.channel.turn()
    folder = desk.folder / "share/in"
    (folder / "0-noise.bin").write_bytes(b"\xff\xfe\xff" * 100)
    (folder / "0-list.json").write_text("[1, 2]")
    (folder / "0-empty.csv").write_text("")
    (folder / "0-wide.csv").write_text(f'file,"{"x" * 200_000}"')
    (folder / "0-deep.json").write_text("[" * 100_000)
    (folder / "0-odd.json").write_text('{"file": "x", "count": 1, "answers": [{"order_id": "a", "status": 200}]}')
    (folder / ".half.part").write_text("half")
    assert collect(desk.sink).keys() == {order.order_id}
    assert desk.rejected().keys() == {
        "0-noise.bin", "0-list.json", "0-empty.csv", "0-wide.csv", "0-deep.json", "0-odd.json"
    }
    assert (folder / ".half.part").exists(), "somebody writes it still"


def test_a_ledger_that_was_lost_sends_anew_under_another_name(desk: Desk) -> None:
    order = an_order("a")
    send(desk.sink, order)
    desk.channel.turn()
    for path in (desk.folder / "data/disclosure/channel").glob("ledger*"):
        path.unlink()
    send(desk.sink, an_order("b"), order)
    collect(desk.sink)
    assert len(desk.rejected()) == 1, "the receipt of a file that nobody knows any more"
    desk.channel.turn()
    assert collect(desk.sink).keys() == {order.order_id, an_order("b").order_id}
    assert desk.channel.register.publications_of(order.order_id) == 1


# -- 信用中国 -------------------------------------------------------------------------------------


@pytest.fixture
def credit(tmp_path: Path) -> Iterator[Desk]:
    made = Desk("credit-china", tmp_path)
    yield made
    made.channel.close()


def rows(desk: Desk) -> list[dict[str, str]]:
    return [
        row for content in desk.out().values()
        for row in csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""))
    ]


def test_a_penalty_as_the_template_has_it(credit: Desk) -> None:
    order = an_order(
        "a", fine_amount=Decimal("1234.500000"), confiscated_amount=Decimal("0.000001"), valid_until=None,
        penalty_kinds=["2", "5", "7"], publish_until=date(2027, 3, 1), decided_date=date(2026, 3, 1),
        violation_facts="第一行\n第二行",
    )
    send(credit.sink, order)
    (name,) = credit.out()
    assert name.startswith("CF_623000-market_2026030200001_") and name.endswith(".csv")
    (row,) = rows(credit)
    assert [row["cd_id"], row["cd_source"], row["cd_batch"], row["cd_operation"], row["record_unique_identity"]] == [
        order.order_id, "623000-market", "2026030200001", "i", order.correlation_id
    ]
    assert row["cd_time"] == "2026-03-02T01:00:00.000Z"
    assert {key: row[key] for key in ("CF_XDR_LB", "CF_CFLB", "CF_NR_FK", "CF_NR_WFFF")} == {
        "CF_XDR_LB": "法人及非法人组织", "CF_CFLB": "罚款;暂扣/吊销许可证",
        "CF_NR_FK": "1234.5", "CF_NR_WFFF": "0.000001",
    }
    assert (row["CF_JDRQ"], row["CF_GSJZQ"], row["CF_YXQ"]) == ("2026/03/01", "2027/03/01", "")
    assert row["CF_SY"] == "第一行 第二行"
    assert row["CF_XDR_ZJHM"] == row["CF_FR_ZJHM"] == "", "what the view withholds is empty"


def test_a_permit_without_an_end_is_for_ever(credit: Desk) -> None:
    kind = "licensing/permit"
    send(
        credit.sink, an_order("a", kind=kind, valid_until=None, permit_kind="04", party_kind="04"),
        an_order("b", kind=kind, valid_until=date(2150, 1, 1)), an_order("c"),
    )
    assert sorted(name[:2] for name in credit.out()) == ["CF", "XK"]
    permits = {row["XK_XDR_MC"]: row for row in rows(credit) if "XK_XKWS" in row}
    assert permits["合作市a有限责任公司"]["XK_YXQZI"] == permits["合作市b有限责任公司"]["XK_YXQZI"] == "2099/12/31"
    first = permits["合作市a有限责任公司"]
    assert (first["XK_XKLB"], first["XK_XDR_LB"]) == ("核准", "个体工商户")


def test_a_withdrawal_is_a_row_with_the_operation_d_and_its_reason(credit: Desk) -> None:
    for order in (an_order("a"), an_order("a", 2, "amend"), an_order("a", 3, "withdraw")):
        send(credit.sink, order)
        (row,) = rows(credit)
        credit.channel.turn()
        collect(credit.sink)
    assert (row["cd_operation"], row["BZ"]) == ("d", "处罚决定被依法撤销")
    assert credit.channel.register.shown() == {} and credit.channel.register.gone() == {order.correlation_id}


@pytest.mark.parametrize(("content", "says"), [
    ({"violation_kind": " "}, "CF_WFXW（违法行为类型）：必填，不能为空"),
    ({"violation_facts": "长" * 2001}, "CF_SY（违法事实）：2001 个字符，最多 2000 个"),
    ({"penalty_kinds": []}, "CF_CFLB（处罚类别）：必填，不能为空"),
    ({"fine_amount": Decimal("-1")}, "CF_NR_FK（罚款金额）：-1"),
])
def test_what_the_template_cannot_hold_is_refused_with_its_column(
    credit: Desk, content: dict[str, Any], says: str
) -> None:
    bad, good = an_order("a", **content), an_order("b")
    refused, waits = send(credit.sink, bad, good)
    assert isinstance(refused, Receipt) and refused.status == REFUSED and says in str(refused.reason)
    assert waits == NotYet() and len(rows(credit)) == 1
    withdrawal = an_order("a", 2, "withdraw", **content)
    assert send(credit.sink, withdrawal) == [NotYet()], "what is to go goes all the same"


def test_files_in_gb18030_hold_rare_characters(tmp_path: Path) -> None:
    (tmp_path / "share/out").mkdir(parents=True)
    (tmp_path / "share/in").mkdir()
    sink = open_sink("credit-china", tmp_path, folder="share", encoding="gb18030", source_code="623000")
    send(sink, an_order("a", legal_representative="𠮷玛"))
    (path,) = (tmp_path / "share/out").iterdir()
    (row,) = csv.DictReader(io.StringIO(path.read_bytes().decode("gb18030"), newline=""))
    assert row["CF_FRDB"] == "𠮷玛" and row["CF_XDR_MC"] == "合作市a有限责任公司"


def test_another_kind_of_record_is_refused(credit: Desk) -> None:
    (refused,) = send(credit.sink, an_order("a", kind="inspection/result"))
    assert refused.status == REFUSED and "双公示只收 行政处罚" in refused.reason


def test_wrong_rows_of_a_receipt_are_named_and_the_others_count(credit: Desk) -> None:
    a, b, c = orders = [an_order(name) for name in "abc"]
    send(credit.sink, *orders)
    (name,) = credit.out()
    lines = [
        "file,cd_id,result,reason,reference,time", f"{name},{a.order_id},1,,GS-1,2026-03-02T09:00:00+08:00",
        f"{name},{b.order_id},2,,,", f"{name},{c.order_id},1,,,2026-03-02 09:00",
        f"{name},{a.order_id},0,另说,,", "END,4",
    ]
    (credit.folder / "share/in/r.csv").write_bytes("\r\n".join(lines).encode("gb18030"))
    found = collect(credit.sink)
    assert found.keys() == {a.order_id}
    assert found[a.order_id] == Receipt("published", "GS-1", None, datetime(2026, 3, 2, 1, tzinfo=UTC))
    why = credit.rejected()["r.csv"]
    assert "row 3: result is '2'" in why and "row 4: time '2026-03-02 09:00' has no zone" in why
    assert f"row {a.order_id}: not open" in why


def test_without_a_reference_the_public_finds_it_by_the_number_of_the_decision(credit: Desk) -> None:
    order = an_order("a", document_number="甘南市监处罚〔2026〕12号")
    send(credit.sink, order)
    (name,) = credit.out()
    text = f"file,cd_id,result,reason,reference,time\n{name},{order.order_id},1,,,\nEND,1\n"
    (credit.folder / "share/in/r.csv").write_text(text)
    assert collect(credit.sink)[order.order_id].public_reference == "甘南市监处罚〔2026〕12号"


def test_a_receipt_that_does_not_fit_its_row_waits_for_one_that_does(tmp_path: Path) -> None:
    desk = Desk("collaboration-platform-files", tmp_path)
    order = an_order("a")
    send(desk.sink, order)
    (name,) = desk.out()
    receipt = {"status": "withdrawn", "public_reference": None, "received_at": NOW.isoformat()}
    answers = [{"order_id": order.order_id, "status": 200, "receipt": receipt}, {"order_id": "x", "status": 503}, 7]
    (tmp_path / "share/in/r.json").write_text(json.dumps({"file": name, "count": 3, "answers": answers}))
    assert collect(desk.sink) == {}
    why = desk.rejected()["r.json"]
    assert "withdrawn is no answer to the operation i" in why and "answer 3: has no order_id" in why
    assert "answer 2, x: HTTP status 503; the row waits" in why
    desk.channel.close()


# -- numbers and standings ------------------------------------------------------------------------


def test_numbers_of_batches_only_grow() -> None:
    assert next_number(None, NOW) == "2026030200001" and next_number(None, NOW, 40) == "2026030200040"
    assert next_number("2026030200001", NOW) == "2026030200002"
    assert next_number("2026030200001", NOW + timedelta(hours=15)) == "2026030300001", "midnight in Gansu"
    assert next_number("2026030300007", NOW) == "2026030300008", "a clock that went back"
    assert next_number("2026033199999", NOW) == "2026040100001", "a full day"


def test_what_an_order_changes_follows_from_how_the_record_stands() -> None:
    first, second, gone = an_order("a"), an_order("a", 2, "amend"), an_order("a", 2, "withdraw")
    stands = Standing(1, True, digest_of(first), "other")
    assert change_of(first, None) is Change.INSERT and change_of(gone, None) is Change.DELETE
    assert change_of(first, stands) is None and change_of(second, stands) is Change.UPDATE
    assert change_of(an_order("a", penalty_content="另"), stands) is Change.UPDATE, "by another rule"
    assert change_of(gone, stands) is Change.DELETE
    assert change_of(gone, Standing(3, True, "", "")) is None, "older than what stands there"
    withdrawn = Standing(2, False, "", gone.order_id)
    assert change_of(second, withdrawn) is None and change_of(an_order("a", 3, "amend"), withdrawn) is Change.INSERT
