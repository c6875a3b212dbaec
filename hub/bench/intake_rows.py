"""Inspection results by the million, made up: as a department exports them, and as its database keeps them."""

from __future__ import annotations

import csv
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

from hub.domain.check_digits import ALPHABET, organisation_check_character, uscc_check_character

_HEADINGS = (
    "序号",
    "抽查计划编号",
    "抽查计划名称",
    "抽查任务名称",
    "检查编号",
    "检查对象名称",
    "统一社会信用代码/注册号",
    "法定代表人",
    "抽查事项",
    "事项编码",
    "检查机关",
    "检查人员",
    "检查日期",
    "检查结果",
    "结果形成日期",
    "是否公示",
    "不公示理由",
    "备注",
)
_RESULTS = ("未发现问题", "未发现问题", "未发现问题", "发现问题经责令已改正", "未按规定公示应当公示的信息")


def write_export(path: Path, rows: int, run: str, *, name: Callable[[int], str] | None = None) -> None:
    """An export of inspection results in GB18030 with a title row, ``rows`` rows, made-up enterprises."""
    codes = [made_up_code(number) for number in range(min(rows, 50_000))]
    with path.open("w", encoding="gb18030", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["2026年度双随机抽查检查结果汇总表"])
        writer.writerow(_HEADINGS)
        for number in range(rows):
            day = number % 28 + 1
            title = name(number) if name else f"合作市雪域牦牛乳业第{number % 50_000}分公司"
            writer.writerow(
                (
                    number + 1,
                    "JH2026-001",
                    "2026年度双随机抽查计划",
                    f"第{number % 12 + 1}批",
                    f"JC{run}-{number:08d}",
                    title,
                    codes[number % len(codes)],
                    "扎西东智",
                    "年报公示信息检查",
                    "",
                    "合作市市场监督管理局",
                    "才让卓玛、王实验",
                    f"2026/3/{day}",
                    _RESULTS[number % len(_RESULTS)],
                    f"2026040{day % 9 + 1}",
                    "是",
                    "",
                    "",
                )
            )


def fill_table(url: str, password: str, rows: int) -> int:
    """A table ``bench_inspection`` of that many inspection results, as the database types them; its bytes."""
    import psycopg

    codes = [made_up_code(number) for number in range(min(rows, 50_000))]
    day = date(2026, 3, 1)
    with psycopg.connect(url, password=password) as connection:
        connection.execute("DROP TABLE IF EXISTS bench_inspection")
        connection.execute(
            "CREATE TABLE bench_inspection (id bigint PRIMARY KEY, plan_number text, plan_name text, task_name text,"
            " behaviour_number text, party_name text, party_code text, legal_representative text, item_name text,"
            " item_code text, inspecting_body text, inspectors text, checked_on date, results text, result_on date,"
            " is_public boolean, nonpublic_reason text, remark text)"
        )
        with connection.cursor().copy("COPY bench_inspection FROM STDIN") as copy:
            for number in range(rows):
                copy.write_row(
                    (
                        number + 1, "JH2026-001", "2026年度双随机抽查计划", f"第{number % 12 + 1}批",
                        f"JC-{number:08d}", f"合作市雪域牦牛乳业第{number % 50_000}分公司",
                        codes[number % len(codes)], "扎西东智",
                        "年报公示信息检查", None, "合作市市场监督管理局", "才让卓玛、王实验",
                        day + timedelta(days=number % 28), _RESULTS[number % len(_RESULTS)],
                        day + timedelta(days=30 + number % 9), True, None, None,
                    )
                )  # fmt: skip
        found = connection.execute("SELECT pg_table_size('bench_inspection')").fetchone()
    return int(found[0]) if found else 0


def made_up_code(number: int) -> str:
    """A valid code of an enterprise that cannot exist: the ninth character on is a counter."""
    digits = ""
    for _ in range(5):
        number, rest = divmod(number, len(ALPHABET))
        digits = ALPHABET[rest] + digits
    body = f"91623000MA9{digits}"
    body += organisation_check_character(body[8:16])
    return body + uscc_check_character(body)
