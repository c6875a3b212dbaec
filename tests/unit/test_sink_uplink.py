"""The provincial uplink: rows as the national standard wants them, in batches whose numbers only grow."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from connectors.provincial_uplink.acts import load_standard, row_of, withheld
from connectors.provincial_uplink.sink import TRIES
from hub.disclosure import REFUSED, AttemptFailedError, BatchRefusedError, Ledger, Receipt, Result, Sink, TryAgain
from hub.sandbox.faults import Fault, FaultPlan, Faults, Limit
from hub.sandbox.provincial_system import create_provincial_system
from hub.sandbox.row_register import RowRegister
from tests.support_contracts import catalog, sample
from tests.support_served import served
from tests.support_sinks import NOW, an_order, open_sink, send, with_sink

INSPECTION = "inspection/result"
GOOD: dict[str, Any] = {
    "item_code": "01234567890123", "checklist_code": "11623000013999917X1-0007", "region_code": "623001",
    "party_certificate_number": None, "party_certificate_kind": None,
}


class Province:
    def __init__(self, folder: Path, url: str, plan: FaultPlan) -> None:
        self.folder, self.url, self.plan, self.now = folder, url, plan, NOW

    @property
    def sink(self) -> Sink:
        return open_sink(
            "provincial-uplink", self.folder, now=lambda: self.now, url=self.url, source_code="623000-market",
        )

    def fail(self, sink: Sink, *orders: Any) -> str:
        with pytest.raises(AttemptFailedError) as caught:
            send(sink, *orders)
        return str(caught.value)

    @property
    def register(self) -> RowRegister:
        return RowRegister(self.folder / "provincial.sqlite")

    def shown(self) -> dict[str, dict[str, Any]]:
        register = self.register
        try:
            return register.shown()
        finally:
            register.close()

    def batches(self) -> list[str]:
        register = self.register
        try:
            return register.batches()
        finally:
            register.close()


@pytest.fixture
def province(tmp_path: Path) -> Iterator[Province]:
    plan = FaultPlan()
    with served(create_provincial_system(tmp_path, plan)) as url:
        yield Province(tmp_path, url, plan)


def test_every_column_is_a_field_of_its_schema_and_every_code_has_a_value() -> None:
    standard = load_standard()
    for kind, act in standard.acts.items():
        schema = catalog().schema(kind)
        fields = {field.name: field for field in schema.fields}
        assert {column.field for column in act.columns if column.field} <= fields.keys(), kind
        assert withheld(act, fields.keys()) == []
        assert all(set(standard.codes[c.codes]) == set(catalog().codes["party-kind"].entries)
                   for c in act.columns if c.codes)


def test_a_row_as_the_standard_has_it() -> None:
    schema = catalog().schema(INSPECTION)
    row = row_of(INSPECTION, sample(schema, **GOOD), schema.fields, load_standard())
    assert row.faults == []
    expected = {
        "supervise_item_implement_code": "01234567890123", "supervise_item_check_icode": "11623000013999917X1-0007",
        "party_nature": "02", "party_certificate_kind": "001", "party_certificate_number": "91623000739699913A",
        "check_date": "2026-03-03", "region_code": "623001",
    }
    assert {name: row.values[name] for name in expected} == expected and len(row.values["inspectors"]) == 2


@pytest.mark.parametrize(("content", "says"), [
    ({"item_code": "123"}, "supervise_item_implement_code（监管事项目录编码）：格式不对，应为14 位数字"),
    ({"checklist_code": "11623000013999917X7"},
     "supervise_item_check_icode（检查实施清单编码）：格式不对，应为统一社会信用代码"),
    ({"item_code": None}, "supervise_item_implement_code（监管事项目录编码）：必填，不能为空"),
    ({"address": "长" * 401}, "address（注册/经营地址）：401 个字符，最多 400 个"),
    ({"inspectors": [{"name": "才让卓玛", "certificate_number": None}]}, "inspectors（检查人员）：有 1 项，至少 2 项"),
    ({"result_codes": []}, "result_codes（检查结果）：必填，不能为空"),
    ({"region_code": "62300"}, "region_code（行政区划代码）：格式不对，应为6 位数字"),
    ({"party_uscc": None}, "party_certificate_number（统一社会信用代码）：必填，不能为空"),
])
def test_what_the_standard_does_not_take_is_named_by_its_column(content: dict[str, Any], says: str) -> None:
    schema = catalog().schema(INSPECTION)
    row = row_of(INSPECTION, sample(schema, **{**GOOD, **content}), schema.fields, load_standard())
    assert any(fault.startswith(says) for fault in row.faults), row.faults


def test_a_refused_record_is_not_sent_and_the_others_are(province: Province) -> None:
    bad, good = an_order("a", penalty_content="长" * 1001), an_order("b")
    refused, done = send(province.sink, bad, good)
    assert refused.status == REFUSED and "penalty_content（处罚内容）：1001 个字符，最多 1000 个" in refused.reason
    assert done.status == "published" and list(province.shown()) == [good.correlation_id]
    assert send(province.sink, replace(bad, action="withdraw", sequence=2, order_id="x"))[0].status == "withdrawn"
    (other,) = send(province.sink, an_order("c", kind="licensing/permit"))
    assert other.status == REFUSED and "只报送行政检查行为" in other.reason


def test_what_the_view_withholds_is_left_out_and_not_judged(province: Province) -> None:
    send(province.sink, an_order("a", fine_amount=Decimal("1.5")))
    (row,) = province.shown().values()
    assert "case_source" not in row and "party_name" in row and row["fine_amount"] == "1.5"
    act = load_standard().acts["enforcement/penalty"]
    view = {field.name for field in catalog().projection("enforcement/penalty", "public").schema.fields}
    assert "case_source" in withheld(act, view) and "party_name" not in withheld(act, view)


def test_a_lost_answer_brings_the_same_batch_again_before_anything_new(province: Province) -> None:
    a, b, c = an_order("a"), an_order("b"), an_order("c")
    province.plan.set(Faults(lose_receipt=Fault(count=1)))
    province.fail(province.sink, a, b)
    assert province.batches() == ["2026030200001"]
    found = send(province.sink, b, c)
    assert [each.status for each in found] == ["published", "published"]
    assert province.batches() == ["2026030200001", "2026030200002"]
    assert send(province.sink, a)[0].status == "published", "its answer came with the batch that was sent again"
    assert len(province.batches()) == 2


def test_an_order_that_comes_again_has_the_receipt_of_the_first_time(province: Province) -> None:
    order = an_order("a")
    first = send(province.sink, order)
    assert send(province.sink, order) == first
    province.now += timedelta(days=8)
    send(province.sink, an_order("b"))
    assert send(province.sink, order) == [Receipt("unchanged", order.correlation_id)]


def test_numbers_go_on_over_a_kill_and_a_refused_batch(province: Province) -> None:
    send(province.sink, an_order("a"))
    province.plan.set(Faults(down=Fault(count=1)))
    province.fail(province.sink, an_order("b"))
    send(province.sink, an_order("b"))
    province.now += timedelta(days=1)
    send(province.sink, an_order("c"), an_order("d"))
    assert province.batches() == ["2026030200001", "2026030200002", "2026030300001"]


def test_a_batch_that_found_nobody_goes_before_one_of_other_orders(province: Province) -> None:
    a, b = an_order("a"), an_order("b")
    province.plan.set(Faults(down=Fault(count=1)))
    province.fail(province.sink, a)
    assert send(province.sink, b)[0].status == "published"
    assert province.batches() == ["2026030200001", "2026030200002"]
    assert send(province.sink, a)[0].status == "published" and len(province.batches()) == 2


def test_an_old_batch_that_is_refused_holds_up_no_other_orders(province: Province) -> None:
    a, b, c = an_order("a"), an_order("b"), an_order("c")
    province.plan.set(Faults(down=Fault(count=1), spoiled_subjects=["合作市a有限责任公司"]))
    province.fail(province.sink, a, b)
    assert send(province.sink, c)[0].status == "published"
    with pytest.raises(BatchRefusedError):
        send(province.sink, a, b)
    assert [send(province.sink, each)[0].status for each in (a, b)] == [REFUSED, "published"]


def test_numbers_that_were_used_before_are_passed_over(province: Province) -> None:
    send(province.sink, an_order("a"))
    for path in (province.folder / "data/disclosure/channel").glob("ledger*"):
        path.unlink()
    assert "2026030200001 was used before" in province.fail(province.sink, an_order("b"))
    assert send(province.sink, an_order("b"))[0].status == "published"
    assert province.batches() == ["2026030200001", "2026030200002"]


def test_a_row_that_the_answer_does_not_name_is_tried_again(province: Province) -> None:
    a, b = an_order("a"), an_order("b")
    province.plan.set(Faults(lose_answer=Fault(count=1), answer_twice=Fault(rate=1)))
    first, second = send(province.sink, a, b)
    assert isinstance(first, TryAgain) and second.status == "published"
    assert send(province.sink, a)[0].status == "published" and len(province.batches()) == 1


def test_a_refused_row_has_the_words_of_the_province(province: Province) -> None:
    province.plan.set(Faults(refuse_record=Fault(count=1)))
    refused, done = send(province.sink, an_order("a"), an_order("b"))
    assert (refused.status, refused.reason) == (REFUSED, "不予受理：按故障计划退回") and done.status == "published"
    assert send(province.sink, an_order("a", 2, "amend"))[0].status == "published"


def with_words(count: int, message: str) -> FastAPI:
    """A province that refuses every row, at such length."""
    app = FastAPI()

    @app.post("/api/v1/exchange/{table}/{number}")
    async def take(request: Request) -> JSONResponse:
        rows = (await request.json())["rows"]
        assert len(rows) == count
        return JSONResponse({"results": [{"cd_id": row["cd_id"], "code": 1, "message": message} for row in rows]})

    return app


@pytest.mark.parametrize(("count", "message"), [(1000, ""), (100, "字" * 250), (100, "\U00020bb7" * 500)])
def test_the_answer_to_a_full_batch_is_read_to_its_end(count: int, message: str, tmp_path: Path) -> None:
    with served(with_words(count, message)) as url:
        sink = open_sink("provincial-uplink", tmp_path, url=url, source_code="623000-market", max_batch=1000)
        found = send(sink, *(an_order(f"n{number}") for number in range(count)))
    assert {(each.status, each.reason) for each in found} == {(REFUSED, message or "（未说明原因）")}


def test_a_batch_that_is_never_answered_is_given_up_and_its_rows_go_in_others(province: Province) -> None:
    a, b, c = an_order("a"), an_order("b"), an_order("c")
    province.plan.set(Faults(lose_receipt=Fault(count=TRIES)))
    province.fail(province.sink, a, b)
    # The province has the rows, and the hub cannot know it: under another number they are the same rows.
    assert send(province.sink, c)[0].status == "published"
    assert province.batches() == ["2026030200001", "2026030200002"]
    assert [send(province.sink, each)[0].status for each in (a, b)] == ["published", "published"]
    assert [province.register.publications_of(each.order_id) for each in (a, b, c)] == [1, 1, 1]


def test_what_a_batch_that_was_given_up_may_have_shown_can_be_withdrawn(province: Province) -> None:
    send(province.sink, an_order("a"))
    send(province.sink, an_order("a", 2, "withdraw"))
    province.plan.set(Faults(lose_receipt=Fault(count=TRIES)))
    province.fail(province.sink, an_order("a", 3, "amend"))
    assert send(province.sink, an_order("b"))[0].status == "published"
    # Its publication is left out for the withdrawal, which has to go although the hub knows of nothing public.
    assert send(province.sink, an_order("a", 4, "withdraw"))[0].status == "withdrawn"
    assert list(province.shown()) == [an_order("b").correlation_id]
    assert send(province.sink, an_order("a", 5, "withdraw"))[0].status == "unchanged", "now it is known"


def test_what_was_given_up_is_published_by_its_first_name(province: Province) -> None:
    send(province.sink, an_order("a"))
    send(province.sink, an_order("a", 2, "withdraw"))
    third = an_order("a", 3, "amend")
    province.plan.set(Faults(lose_receipt=Fault(count=TRIES)))
    province.fail(province.sink, third)
    send(province.sink, an_order("b"))
    assert send(province.sink, third)[0].status == "published", "as it would have been the first time"
    assert province.register.publications_of(third.order_id) == 1


def test_a_kill_between_giving_up_and_sending_again_loses_nothing(province: Province) -> None:
    a, b = an_order("a"), an_order("b")
    province.plan.set(Faults(lose_receipt=Fault(count=1)))
    province.fail(province.sink, a, b)
    ledger = Ledger(province.folder / "data/disclosure/channel")
    (batch,) = ledger.unsent()
    ledger.cancel(batch.name, is_sure=False)
    ledger.close()
    assert [each.status for each in send(province.sink, a, b)] == ["published", "published"]
    assert [province.register.publications_of(each.order_id) for each in (a, b)] == [1, 1]
    assert province.batches() == ["2026030200001", "2026030200002"]


@contextmanager
def answering(status: int, content: str, folder: Path) -> Iterator[Sink]:
    """A sink whose province says the same to everything."""
    app = FastAPI()

    @app.post("/{path:path}")
    async def answer(path: str) -> Response:
        return Response(content, status_code=status)

    with served(app) as url:
        yield open_sink("provincial-uplink", folder, now=lambda: NOW, url=url, source_code="623000-market")


@pytest.mark.parametrize(("status", "content", "says"), [
    (413, "<html>nginx</html>", "HTTP status 413 without"), (404, '{"detail": "Not Found"}', "HTTP status 404 without"),
    (403, "<html>blocked</html>", "HTTP status 403 without"), (403, '{"title": "令牌无效"}', "not accept our token"),
    (401, "<html>", "not accept our token"),
])  # fmt: skip
def test_an_answer_that_is_not_the_provinces_own_refuses_no_row(
    status: int, content: str, says: str, tmp_path: Path
) -> None:
    with answering(status, content, tmp_path) as sink, pytest.raises(AttemptFailedError, match=says) as caught:
        send(sink, an_order("a"))
    assert not caught.value.is_unreachable, "of a batch that is too much for a proxy the hub makes smaller ones"


@pytest.mark.parametrize(("status", "content", "reason"), [
    (400, "", "HTTP 400"), (422, '{"title": "不符"}', "HTTP 422: 不符"),
    (413, '{"title": "内容过大", "detail": "too much"}', "HTTP 413: 内容过大: too much"),
])  # fmt: skip
def test_a_refusal_of_the_provinces_own_is_one(status: int, content: str, reason: str, tmp_path: Path) -> None:
    with answering(status, content, tmp_path) as sink:
        assert send(sink, an_order("a")) == [Receipt(REFUSED, reason=reason)]


def result_status(result: Result) -> str:
    assert isinstance(result, Receipt)
    return result.status


def test_waits_that_the_province_asks_for_give_no_batch_up(province: Province) -> None:
    plans = Faults(limit=Limit(count=TRIES + 2)), Faults(shut_out=Fault(count=TRIES + 2))

    async def work(sink: Sink) -> None:
        for faults, order in zip(plans, (an_order("a"), an_order("b")), strict=True):
            province.plan.set(faults)
            for _ in range(TRIES + 2):
                with pytest.raises(AttemptFailedError):
                    await sink.send([order])
            assert [result_status(each) for each in await sink.send([order])] == ["published"]

    with_sink(province.sink, work)
    assert province.batches() == ["2026030200001", "2026030200002"]


def test_a_batch_to_which_nothing_comes_in_time_is_halved_in_the_end(tmp_path: Path) -> None:
    app, seen = FastAPI(), list[tuple[str, int]]()

    @app.post("/api/v1/exchange/{table}/{number}")
    async def take(number: str, request: Request) -> dict[str, Any]:
        rows = (await request.json())["rows"]
        seen.append((number, len(rows)))
        if len(rows) > 1:
            await asyncio.sleep(1)
        return {"results": [{"cd_id": row["cd_id"], "code": 0} for row in rows]}

    a, b = an_order("a"), an_order("b")

    async def work(sink: Sink) -> list[Any]:
        for number in range(1, TRIES + 1):
            with pytest.raises(AttemptFailedError) as caught:
                await sink.send([a, b])
            assert caught.value.is_unreachable == (number < TRIES), "then it is the batch's fault: the hub halves it"
        return [*await sink.send([a]), *await sink.send([b])]

    with served(app) as url:
        sink = open_sink("provincial-uplink", tmp_path, now=lambda: NOW, url=url, source_code="623000-market",
                         timeout_seconds=0.2)
        assert [each.status for each in with_sink(sink, work)] == ["published", "published"]
    assert seen == [("2026030200001", 2)] * TRIES + [("2026030200002", 1), ("2026030200003", 1)]
