"""What a department puts into its inbox: forms, JSON, signed lines, and what is none of them."""

from __future__ import annotations

import base64
import io
import json
import os
import time
import zipfile
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import openpyxl
import pytest
from structlog.testing import capture_logs

from hub.delivery.filedrop.box import Packing
from hub.delivery.filedrop.inbox import Timing
from hub.delivery.filedrop.replies import parse_day
from hub.delivery.filedrop.sheets import Sheet, write_xlsx
from hub.delivery.filedrop.tables import MAX_BYTES, UnreadableError, read_tables
from hub.domain.webhook import new_secret, parse_secret, sign
from hub.errors import IndexUnavailableError
from tests.support_contracts import IDENTITY_NUMBER
from tests.support_filedrop import KEY, NAME, Department, Drop, Package, now, table
from tests.support_outlets import notice, notice_id

A, B, C = (notice_id(subject, 1) for subject in "ABC")
HEAD = ("通知编号", "收到情况", "拒收原因", "反馈状态", "采取措施", "案件编号", "采取措施日期", "说明")
MEASURE = "restrict-government-procurement"
DEPARTMENT_KEY = new_secret("ed25519")
PUBLIC = parse_secret(DEPARTMENT_KEY).public or ""


class Scene(NamedTuple):
    drop: Drop
    department: Department
    package: Package

    def ack(self, content: Any, end: str = ".ack.csv") -> dict[str, Any]:
        """Puts a file for the package, has it read, and gives what the hub says of it."""
        name = f"{self.package.name}{end}"
        self.department.put(name, content)
        assert self.drop.look() == 1
        assert self.department.files("inbox") == [] and name in self.department.files("done")
        return self.department.result(name)


@pytest.fixture
def open_scene(tmp_path: Path) -> Iterator[Callable[..., Scene]]:
    made: list[Drop] = []

    def make(**more: Any) -> Scene:
        drop = Drop(tmp_path, packing=Packing(window_seconds=10.0, max_notices=3), **more)
        made.append(drop)
        drop.desk.take([notice(subject, 1)._replace(offset=place) for place, subject in enumerate("ABC")])
        (package,) = drop.packages()
        return Scene(drop, drop.department, package)

    yield make
    for drop in made:
        drop.close()


@pytest.fixture
def scene(open_scene: Callable[..., Scene]) -> Scene:
    return open_scene()


# -- what a clerk does ----------------------------------------------------------------------------


def test_a_clerk_fills_in_the_workbook_itself(scene: Scene) -> None:
    content = scene.department.fill(scene.package, {
        A: {"收到情况": "已收到", "反馈状态": "已采取措施", "采取措施": "依法限制参加政府采购活动",
            "案件编号": "甘南财采〔2026〕3号", "采取措施日期": date(2026, 3, 4)},
        B: {"收到情况": "拒收", "拒收原因": "不属本部门职责"},
        C: {"反馈状态": "不适用", "说明": "该企业已注销"},
    })
    result = scene.ack(content, ".xlsx")
    assert result["faults"] == []
    assert (result["结果"], result["已收到"], result["拒收"], result["反馈"]) == ("全部有效", 2, 1, 2)
    assert scene.drop.desk.ends() == {A: "delivered", B: "parked", C: "delivered"}
    acted, inapplicable = scene.drop.answers()
    assert (acted["notice_id"], acted["status"], acted["measure"]) == (A, "acted", MEASURE)
    assert (acted["case_number"], acted["acted_on"], acted["way"]) == ("甘南财采〔2026〕3号", date(2026, 3, 4), "file")
    assert (acted["subject"], acted["subscription"], acted["content"]) == ("A", NAME, None)
    assert (inapplicable["notice_id"], inapplicable["reason"]) == (C, "该企业已注销")
    assert scene.department.names() == [], "all was said: the package is filed away"


def test_one_line_acknowledges_the_whole_package(scene: Scene) -> None:
    rows = table(HEAD, ("全部", "已收到"), (B, "拒收", "案号缺失"))
    assert scene.ack(rows)["已收到"] == 2
    assert scene.drop.desk.ends() == {A: "delivered", B: "parked", C: "delivered"}


def test_answers_may_come_later_in_files_of_their_own(scene: Scene) -> None:
    scene.ack({"received": "all"}, ".ack.json")
    scene.department.put("三月份.answers.csv", table(
        ("通知编号", "反馈状态", "案件编号"), (A, "已登记", "甘南财采〔2026〕3号"), (B, "registered", "4号"),
    ).encode("gb18030"))
    assert scene.drop.look() == 1
    assert scene.department.result("三月份.answers.csv")["反馈"] == 2
    assert [answer["status"] for answer in scene.drop.answers()] == ["registered", "registered"]


def test_repeated_acknowledgements_change_nothing(scene: Scene) -> None:
    scene.ack({"received": [A]}, ".ack.json")
    again = scene.ack({"received": [A, B], "refused": {}}, ".ack.json")
    assert (again["received"], again["repeated"], again["faults"]) == (1, 1, [])
    other = scene.ack(table(HEAD, (A, "拒收", "改主意了")))
    assert other["faults"][0][5] == "此前已有不同的签收结果，不再更改"
    assert scene.drop.desk.ends() == {A: "delivered", B: "delivered"}
    assert len(scene.department.files("done")) == 3


# -- what is wrong in a row -------------------------------------------------------------------------

BAD_ROWS: list[tuple[tuple[str, ...], str, str, str]] = [
    ((A, "看过了"), "收到情况", "看不懂的收到情况", "请填：已收到，或 拒收"),
    ((A, "拒收"), "拒收原因", "拒收没有说明原因", "请填写拒收原因"),
    ((A, "拒收", "因" * 301), "拒收原因", "拒收原因超过 300 字", "请缩短至 300 字以内"),
    ((A, "", "案号缺失"), "收到情况", "填了拒收原因，但没有填收到情况", "拒收的请在“收到情况”填：拒收"),
    (("", "已收到"), "通知编号", "没有通知编号", "请照抄包内表格中的通知编号"),
    (("no-such", "已收到"), "通知编号", "这个包里没有这条通知", "请照抄包内表格中的通知编号"),
    ((A, "", "", "处理中"), "反馈状态", "看不懂的反馈状态", "请填：已登记、已采取措施、不适用 或 有异议"),
    ((A, "", "", "", MEASURE), "反馈状态", "填了反馈内容，但没有反馈状态",
     "请填：已登记、已采取措施、不适用 或 有异议"),
    ((A, "", "", "已采取措施"), "采取措施", "已采取措施的须填写措施 (acted needs a measure)",
     "请从期望措施中选填：依法限制参加政府采购活动"),
    ((A, "", "", "已采取措施", "罚款"), "采取措施", "措施不在通知所列范围内 (not a measure that the notice names)",
     "请从期望措施中选填：依法限制参加政府采购活动"),
    ((A, "", "", "不适用"), "说明", "不适用或有异议的须说明理由 (inapplicable needs a reason)",
     "请填写说明，不超过 2000 字"),
    ((A, "", "", "已采取措施", MEASURE, "", "下周一"), "采取措施日期", "看不懂的日期", "请填写如 2026-03-04 的日期"),
    (("全部", "", "", "已登记"), "通知编号", "反馈须逐条填写，不能对“全部”填写", "请在各通知所在的行填写反馈"),
    (("ffffffff", "", "", "已登记"), "通知编号", "没有向本订阅发出过这条通知", "请照抄包内表格中的通知编号"),
    (("x" * 99, "", "", "已登记"), "通知编号", "String should have at most 36 characters", "请核对通知编号"),
    ((A, "", "", "已登记", "", "号" * 129), "案件编号", "String should have at most 128 characters",
     "请填写案件编号，不超过 128 字"),
]  # fmt: skip


@pytest.mark.parametrize(("row", "column", "problem", "remedy"), BAD_ROWS)
def test_a_bad_row_is_named_and_the_others_count(
    scene: Scene, row: tuple[str, ...], column: str, problem: str, remedy: str
) -> None:
    result = scene.ack(table(HEAD, (B, "已收到"), row, (C, "", "", "已登记", "", "5号")))
    (fault,) = result["faults"]
    assert fault[2:4] == [3, column]
    assert fault[5:] == [problem, remedy]
    assert fault[0] == f"{scene.package.name}.ack.csv"
    assert scene.drop.desk.ends() == {B: "delivered", C: "delivered"}
    assert [answer["notice_id"] for answer in scene.drop.answers()] == [C]


def test_a_formula_is_no_answer(scene: Scene) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for row in (HEAD, (A, "已收到"), (B, "=A2"), ('=HYPERLINK("http://x.example")', "已收到")):
        sheet.append(row)
    out = io.BytesIO()
    book.save(out)
    result = scene.ack(out.getvalue(), ".ack.xlsx")
    assert [(fault[2], fault[5]) for fault in result["faults"]] == [(3, "单元格是公式"), (4, "单元格是公式")]
    assert scene.drop.desk.ends() == {A: "delivered"}


# -- what is no such file -------------------------------------------------------------------------


def archive(**members: bytes | str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as package:
        for name, content in members.items():
            package.writestr(name.replace("__", "/"), content)
    return out.getvalue()


def workbook_with(sheet: str, doctype: str = "") -> bytes:
    """A workbook of one sheet out of its XML."""
    space = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    relations = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr("xl/workbook.xml", f'<workbook {space} xmlns:r="{relations}"><sheets>'
                                            '<sheet name="反馈" sheetId="1" r:id="r1"/></sheets></workbook>')
        package.writestr("xl/_rels/workbook.xml.rels",
                         '<Relationships><Relationship Id="r1" Target="worksheets/s.xml"/></Relationships>')
        content = f"<worksheet {space}><sheetData>{sheet}</sheetData></worksheet>"
        package.writestr("xl/worksheets/s.xml", doctype + content)
    return out.getvalue()


def cell(text: str) -> str:
    return f'<c t="inlineStr"><is><t>{text}</t></is></c>'


ENTITY = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
OUTSIDE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]>'
HEAD_CELLS = f"<row>{cell('通知编号')}{cell('收到情况')}</row>"
HOSTILE: list[tuple[str, bytes, str]] = [
    (".ack.csv", b"", "文件是空的"),
    (".ack.csv", b" \r\n ", "文件是空的"),
    (".ack.csv", os.urandom(64) + b"\0\xff\xfe\x80", "不是 CSV 或 XLSX 表格"),
    (".ack.csv", b"a,b\r\n" + b'"' * 3 + b"x,y", "第 2 行引号不成对，或内容过长"),
    (".ack.csv", b"x" * (MAX_BYTES + 1), "文件超过 4 MB"),
    (".ack.csv", "甲,乙\r\n1,2".encode(), "找不到反馈表：没有含“通知编号”和“收到情况”（或“反馈状态”）的表头"),
    (".ack.csv", b"a\n" * 20_002, "超过 20000 行"),
    (".ack.xlsx", b"\xd0\xcf\x11\xe0" + b"\0" * 600, "旧格式（.xls）或加密的工作簿"),
    (".ack.xlsx", b"PK\x03\x04 no archive", "工作簿已损坏，无法读取（BadZipFile）"),
    (".ack.xlsx", archive(a="b"), "压缩包不是 Excel 工作簿"),
    (".ack.xlsx", archive(xl__workbook_xml="x"), "压缩包不是 Excel 工作簿"),
    (".ack.xlsx", archive(**{"xl__workbook.xml": "<x>", "xl__vbaProject.bin": "x"}), "工作簿含有宏"),
    (".ack.xlsx", archive(**{"xl__workbook.xml": b"\0" * (40 << 20)}), "压缩内容异常：解压后体积过大"),
    (".ack.xlsx", archive(**{"xl__workbook.xml": "<x>"}), "工作簿已损坏，无法读取（ExpatError）"),
    (".ack.xlsx", archive(**dict.fromkeys(map(str, range(600)), "")), "压缩内容异常：解压后体积过大"),
    (".ack.xlsx", workbook_with(HEAD_CELLS, ENTITY), "工作簿的 XML 含有实体声明"),
    (".ack.xlsx", workbook_with(HEAD_CELLS, OUTSIDE), "工作簿的 XML 含有实体声明"),
    (".ack.xlsx", workbook_with('<row><c t="s"><v>9</v></c></row>'), "工作簿已损坏，无法读取（IndexError）"),
    (".ack.xlsx", workbook_with('<row><c t="s"><v>-1</v></c></row>'), "工作簿已损坏，无法读取（IndexError）"),
    (".ack.xlsx", workbook_with("<row/>" * 20_001), "超过 20000 行"),
    (".ack.json", b"{", "不是 UTF-8 编码的 JSON"),
    (".ack.json", b"\xff\xfe", "不是 UTF-8 编码的 JSON"),
    (".ack.json", b"[" * 100_000, "不是 UTF-8 编码的 JSON"),
    (".ack.json", b"[]", "JSON 文件须是一个对象"),
    (".ack.docx", b"x", "看不懂的文件名"),
    (".jpg", b"x", "看不懂的文件名"),
]  # fmt: skip


@pytest.mark.parametrize(("end", "content", "problem"), HOSTILE, ids=range(len(HOSTILE)))
def test_what_is_no_form_is_refused_whole(scene: Scene, end: str, content: bytes, problem: str) -> None:
    result = scene.ack(content, end)
    if end.endswith(".json"):
        (fault,) = result["faults"]
        assert (fault["problem"], result["verdict"]) == (problem, "未受理") and fault["remedy"]
    else:
        (row,) = result["faults"]
        assert (row[5], result["结果"]) == (problem, "未受理") and row[6]
    assert scene.drop.desk.written == []


def test_files_that_are_none_are_left_alone(scene: Scene, tmp_path: Path) -> None:
    inbox, name = scene.department.home / "inbox", scene.package.name
    secret = tmp_path / "secret"
    secret.write_text(json.dumps({"received": "all"}))
    (inbox / f"{name}.ack.json").symlink_to(secret)
    os.mkfifo(inbox / "pipe.answers.csv")
    (inbox / "folder.answers.csv").mkdir()
    (inbox / f"~${name}.ack.xlsx").write_bytes(b"open in Excel")
    (inbox / f"{name}.ack.xlsx").write_bytes(b"half")
    (inbox / f"{name}.form.csv.tmp").write_bytes(b"half")
    assert scene.drop.look() == 0
    assert scene.drop.desk.written == [] and scene.department.files("results") == []
    assert secret.exists()


@pytest.mark.parametrize(("content", "field", "problem"), [
    ({"received": "some"}, "received", "须是不超过 20000 项的列表"),
    ({"received": [1]}, "received", "通知编号须是文本"),
    ({"refused": [A]}, "refused", "须是一个对象"),
    ({"refused": {A: " "}}, "refused", "拒收没有说明原因，或原因过长"),
    ({"answers": {}}, "answers", "须是不超过 20000 项的列表"),
    ({"answers": ["x"]}, "answers", "反馈须是一个对象"),
    ({"answers": [{"notice_id": A, "status": "done"}]}, "反馈状态",
     "Input should be 'registered', 'acted', 'inapplicable' or 'objected'"),
    ({"answers": [{"notice_id": A, "status": "registered", "subject": "B"}]}, "subject", "differs from the notice"),
    ({"answers": [{"notice_id": A, "status": "registered", "note": "x"}]}, "note", "Extra inputs are not permitted"),
    ({"answers": [{"notice_id": 7, "status": "registered"}]}, "通知编号", "Input should be a valid string"),
    ({"answers": [{"notice_id": A, "subscription": "land", "status": "registered"}]}, "通知编号",
     "没有向本订阅发出过这条通知"),
    ({"ack": "all"}, "ack", "没有这个栏目"),
])  # fmt: skip
def test_faults_in_json_are_named(scene: Scene, content: dict[str, Any], field: str, problem: str) -> None:
    result = scene.ack({**content, "refused": {C: "案号缺失"} | content.get("refused", {})}
                       if isinstance(content.get("refused", {}), dict) else content, ".ack.json")
    (fault,) = result["faults"]
    assert (fault["field"], fault["problem"]) == (field, problem)
    assert fault["remedy"]


def test_an_unknown_package_is_said(scene: Scene) -> None:
    for name, problem in (
        (f"{NAME}-20200101-000000-00000000.ack.csv", "没有发出过这个包"),
        ("三月.answers.csv", "文件名没有写明是哪个包"),
    ):
        scene.department.put(name, table(HEAD, (A, "已收到")))
        assert scene.drop.look() == 1
        (fault,) = scene.department.result(name)["faults"]
        assert fault[5] == problem
    assert scene.drop.desk.written == []


# -- time, disks and indexes -----------------------------------------------------------------------


def test_a_file_that_still_grows_is_left_alone(open_scene: Callable[..., Scene]) -> None:
    scene = open_scene(timing=Timing(0.05, 0.2, 0.0))
    path = scene.department.home / "inbox" / f"{scene.package.name}.ack.csv"
    for part in (table(HEAD), f"{A},已收到\r\n", f"{B},已收到\r\n"):
        with path.open("a", encoding="utf-8", newline="") as file:
            file.write(part)
        assert scene.drop.look() == 0
    time.sleep(0.25)
    assert scene.drop.look() == 1
    assert scene.drop.desk.ends() == {A: "delivered", B: "delivered"}


def test_what_excel_left_behind_holds_an_answer_back_no_longer_than_a_day_of_work(scene: Scene) -> None:
    name = f"{scene.package.name}.ack.csv"
    scene.department.put(name, table(HEAD, ("全部", "已收到")))
    lock = scene.department.home / "inbox" / f"~${name}"
    lock.write_bytes(b"a clerk")
    with capture_logs() as logs:
        assert scene.drop.look() == scene.drop.look() == 0
    assert [each["event"] for each in logs] == ["filedrop.open_elsewhere"], "said, and once"
    for hours in (11, -11):  # the share's clock may be ahead
        age(lock, hours)
        assert scene.drop.look() == 0
    age(lock, 13)
    assert scene.drop.look() == 1
    assert scene.drop.desk.ends() == {A: "delivered", B: "delivered", C: "delivered"}
    assert scene.department.files("inbox") == [lock.name], "it is not the hub's to remove"


def test_a_lock_of_a_time_that_cannot_be_holds_nothing_back(scene: Scene) -> None:
    name = f"{scene.package.name}.ack.csv"
    lock = scene.department.home / "inbox" / f"~${name[2:]}"  # as Word and WPS shorten it
    lock.write_bytes(b"a clerk")
    scene.department.put(name, table(HEAD, ("全部", "已收到")))
    assert scene.drop.look() == 0
    age(lock, -24 * 365)
    assert scene.drop.look() == 1


def test_a_file_that_waited_and_is_open_again_is_said_again(scene: Scene) -> None:
    name = f"{scene.package.name}.ack.csv"
    lock = scene.department.home / "inbox" / f"~${name}"
    with capture_logs() as logs:
        for _ in range(2):
            lock.write_bytes(b"a clerk")
            scene.department.put(name, table(HEAD, (A, "已收到")))
            assert scene.drop.look() == 0
            lock.unlink()
            assert scene.drop.look() == 1
    assert [each["event"] for each in logs].count("filedrop.open_elsewhere") == 2


def age(path: Path, hours: float) -> None:
    """Makes the file so old."""
    then = time.time() - hours * 3600
    os.utime(path, (then, then))


def test_a_file_stays_until_all_of_it_is_safe(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"{scene.package.name}.ack.json"
    scene.department.put(name, {"received": [A], "answers": [
        {"notice_id": A, "status": "registered", "case_number": "3号"},
    ]})

    def away(notice_id: str) -> Any:
        raise IndexUnavailableError

    with monkeypatch.context() as patch:
        patch.setattr(scene.drop, "get", away)
        scene.drop.reader._notices = scene.drop
        assert scene.drop.look() == 0, "nobody can tell whether the answer fits"
    scene.drop.is_safe = False
    assert scene.drop.look() == 0, "Kafka has not acknowledged it"
    scene.drop.is_safe = True
    results = scene.department.home / "results"
    results.rmdir()
    results.write_text("no folder")
    for _ in range(3):
        with pytest.raises(OSError, match="exists"):
            scene.drop.look()
    results.unlink()
    assert scene.department.files("inbox") == [name]
    assert scene.drop.look() == 1
    assert len(scene.drop.answers()) == 1
    assert scene.drop.desk.ends() == {A: "delivered"}


# -- signatures ---------------------------------------------------------------------------------


def signed(name: str, content: bytes, key: str = DEPARTMENT_KEY, **news: str) -> bytes:
    return json.dumps({**sign([parse_secret(key)], name.partition(".")[0], now(), content), **news}).encode()


def test_a_signed_file_counts(open_scene: Callable[..., Scene]) -> None:
    scene = open_scene(receiver_keys=[PUBLIC])
    name, content = f"{scene.package.name}.ack.csv", table(HEAD, (A, "已收到")).encode()
    scene.department.put(f"{name}.sig", signed(name, content))
    scene.department.put(name, content)
    assert scene.drop.look() == 1
    assert scene.drop.desk.ends() == {A: "delivered"}
    assert scene.department.files("done") == [name, f"{name}.sig"]


@pytest.mark.parametrize(("make", "problem"), [
    (lambda name, content: None, "文件没有签名"),
    (lambda name, content: b"{", "签名文件不是 JSON 对象"),
    (lambda name, content: b"[]", "签名文件不是 JSON 对象"),
    (lambda name, content: b"{}", "签名无效"),
    (lambda name, content: signed(name, content + b" "), "签名无效"),
    (lambda name, content: signed(name, content, new_secret("ed25519")), "签名无效"),
    (lambda name, content: signed(name, content, KEY), "签名无效"),
    (lambda name, content: signed("another", content), "签名不属于这个文件"),
    (lambda name, content: signed(name, content, **{"webhook-timestamp": "1"}), "签名无效"),
])  # fmt: skip
def test_a_file_that_is_not_signed_as_agreed_is_refused(
    open_scene: Callable[..., Scene], make: Callable[[str, bytes], bytes | None], problem: str
) -> None:
    scene = open_scene(receiver_keys=[PUBLIC])
    name, content = f"{scene.package.name}.ack.csv", table(HEAD, (A, "已收到")).encode()
    signature = make(name, content)
    if signature is not None:
        scene.department.put(f"{name}.sig", signature)
    scene.department.put(name, content)
    assert scene.drop.look() == 1
    (fault,) = scene.department.result(name)["faults"]
    assert fault[5].startswith(problem)
    assert scene.drop.desk.written == []


def test_without_keys_of_its_own_a_signature_is_verified_when_it_is_there(scene: Scene) -> None:
    name, content = f"{scene.package.name}.ack.csv", table(HEAD, (A, "已收到")).encode()
    scene.department.put(f"{name}.sig", signed(name, content, new_secret("hmac")))
    scene.department.put(name, content)
    scene.drop.look()
    assert scene.drop.desk.written == []
    scene.department.put(f"{name}.sig", signed(name, content, KEY))
    scene.department.put(name, content)
    scene.drop.look()
    assert scene.drop.desk.ends() == {A: "delivered"}


def test_a_signature_may_come_after_its_file(open_scene: Callable[..., Scene]) -> None:
    scene = open_scene(receiver_keys=[PUBLIC], timing=Timing(0.05, 0.0, 60.0))
    name, content = f"{scene.package.name}.ack.csv", table(HEAD, (A, "已收到")).encode()
    scene.department.put(name, content)
    assert scene.drop.look() == 0
    scene.department.put(f"{name}.sig", signed(name, content))
    assert scene.drop.look() == 1
    assert scene.drop.desk.ends() == {A: "delivered"}


def test_answers_that_are_signed_one_by_one_stand_on_record_as_they_came(open_scene: Callable[..., Scene]) -> None:
    scene = open_scene(receiver_keys=[PUBLIC])

    def line(notice: str, key: str) -> bytes:
        data = scene.package.notices[notice]["data"]
        body = json.dumps({
            **{name: data[name] for name in ("notice_id", "event_id", "correlation_id", "subject", "subscription")},
            "status": "registered", "case_number": "甘南财采〔2026〕3号",
        }, ensure_ascii=False)
        headers = sign([parse_secret(key)], f"answer-{notice}", now(), body.encode())
        return json.dumps({"headers": headers, "body": body}).encode()

    lines = [line(A, DEPARTMENT_KEY), line(B, new_secret("ed25519")), b"{}", b"", b'{"headers": [], "body": "{}"}']
    scene.department.put("day.answers.jsonl", b"\n".join(lines))
    assert scene.drop.look() == 1
    result = scene.department.result("day.answers.jsonl")
    assert [(fault["row"], fault["problem"][:4]) for fault in result["faults"]] == [
        (3, "看不懂的"), (5, "看不懂的"), (2, "签名无效"),
    ]
    (answer,) = scene.drop.answers()
    assert (answer["signed_as"], answer["way"]) == (f"answer-{A}", "file")
    assert answer["signature"].startswith("v1a,")
    assert json.loads(answer["content"])["case_number"] == "甘南财采〔2026〕3号"
    assert scene.drop.desk.ends() == {A: "delivered"}, "who answers has received"


# -- smaller parts ------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "day"), [
    ("2026-03-04", date(2026, 3, 4)), ("2026/3/4", date(2026, 3, 4)), ("2026.3.4", date(2026, 3, 4)),
    ("2026年3月4日", date(2026, 3, 4)), ("20260304", date(2026, 3, 4)), ("46085", date(2026, 3, 4)),
    ("46085.5", date(2026, 3, 4)), ("2026-03-04T00:00:00", date(2026, 3, 4)), ("2026-02-30", None), ("昨天", None),
    ("99999999", None), ("1", None),
])  # fmt: skip
def test_days_as_they_are_written(text: str, day: date | None) -> None:
    assert parse_day(text) == day
    if text == "46085":
        assert parse_day(text, 1462) == date(2026, 3, 4) + timedelta(days=1462)


def test_tables_are_read_in_every_form_that_offices_write() -> None:
    rows = [["通知编号", "收到情况"], ["n", "已收到"]]
    texts = [table(*rows), table(*rows).replace(",", "\t"), table(*rows).replace(",", ";")]
    for text in texts:
        for encoding in ("utf-8", "utf-8-sig", "utf-16", "gb18030"):
            (found,) = read_tables(text.encode(encoding))
            assert [line.cells for line in found.lines] == rows
    (sheet,) = read_tables(write_xlsx([Sheet("表", "t", rows[0], [rows[1]])]))
    assert [line.cells for line in sheet.lines] == rows and sheet.name == "表"


def test_a_workbook_with_a_password_is_refused() -> None:
    content = bytearray(archive(**{"xl__workbook.xml": "<x/>"}))
    place = content.find(b"PK\x01\x02")
    content[place + 8] |= 1
    with pytest.raises(UnreadableError, match="文件有密码"):
        read_tables(bytes(content))


def test_logs_hold_nothing_of_what_a_department_wrote(scene: Scene) -> None:
    name = f"{scene.package.name}.ack.csv"
    with capture_logs() as logs:
        scene.department.put(name, table(HEAD, (A, "拒收", f"{IDENTITY_NUMBER}不属我局"), (B, IDENTITY_NUMBER)))
        scene.department.put(f"{IDENTITY_NUMBER}.answers.csv", base64.b64encode(os.urandom(99)))
        assert scene.drop.look() == 2
    text = json.dumps(logs, default=str, ensure_ascii=False)
    assert "filedrop.read" in text and IDENTITY_NUMBER not in text and "不属我局" not in text
