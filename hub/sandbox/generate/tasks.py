"""Made-up tasks of the national platform: complaints, reports and warnings, some anonymous, some not ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from hub.sandbox.generate import names
from hub.sandbox.generate.enterprise import make_register

#: Regions of other prefectures: what the platform should have sent there.
ELSEWHERE = {"620100": "兰州市", "622900": "临夏回族自治州", "510000": "四川省"}
_CASES = (
    ("食品安全", "称购买的酸奶有异味"), ("价格", "称结账价格高于标价"), ("虚假宣传", "称宣传内容与实物不符"),
    ("旅游购物", "称所购虫草等级不符"), ("特种设备", "称电梯久未检验"), ("无证经营", "称其没有营业执照"),
)  # fmt: skip
_RISKS = (("食品安全", "多次投诉同一批次产品"), ("消费维权", "短期内投诉量异常上升"))
_KINDS = {"complaintInfo": 60, "tipInfo": 25, "riskWarning": 15}
_FIRST_DAY = date(2026, 3, 2)

#: Block of the task -> its elements.
Blocks = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class NationalTask:
    """A task as it is distributed; ``is_ours`` says whether it belongs to the prefecture, ``code`` is that of the
    enterprise (USCC or registration number)."""

    task_no: str
    code: str
    party_name: str
    region: str
    is_ours: bool
    is_anonymous: bool
    blocks: Blocks


def make_tasks(seed: int, count: int, *, first: int = 1) -> Iterator[NationalTask]:
    """``count`` tasks numbered from ``first``; three in a hundred belong elsewhere."""
    rng = Random(f"national {seed} {first}")
    register = make_register(rng, min(max(count, 1), 400))
    for number in range(first, first + count):
        who = rng.choice(register)
        is_ours = rng.random() >= 0.03
        region = who.region if is_ours else rng.choice(tuple(ELSEWHERE))
        place = names.REGIONS[region][0] if is_ours else ELSEWHERE[region]
        day = _FIRST_DAY + timedelta(days=rng.randrange(90))
        task_no = f"GJXS{day.year}{number:010d}"
        info = {
            "taskNo": task_no, "taskName": f"关于{who.name}的线索", "status": "分发",
            "distributeTime": f"{day.isoformat()} {rng.randrange(8, 18):02d}:{rng.randrange(60):02d}:00",
            "initiateUnitName": "国家“互联网+监管”系统", "unionDeptName": f"{place}市场监督管理局",
            "unionRegionName": place, "unionRegionCode": region, "supervisionMatterCode": f"{number % 37:014d}",
            "inspectClaim": "请按职能核实处置并反馈",
        }  # fmt: skip
        kind = rng.choices(tuple(_KINDS), weights=tuple(_KINDS.values()))[0]
        is_anonymous = kind != "riskWarning" and rng.random() < 0.3
        if kind == "riskWarning":
            domain, title = rng.choice(_RISKS)
            block = {
                "riskObject": who.name, "riskObjectCertCode": who.code, "fxyjId": f"FX{number:08d}", "domain": domain,
                "province": "甘肃省", "title": title, "level": rng.choice("高中低"),
                "createdAt": info["distributeTime"], "source": "风险预警中心", "ruleId": f"R{number % 9:03d}",
                "props": f"近30日投诉{rng.randrange(5, 60)}件",
            }  # fmt: skip
        else:
            prefix = "complaint" if kind == "complaintInfo" else "tip"
            category, story = rng.choice(_CASES)
            block = {
                f"{prefix}Object": who.name, f"{prefix}ObjectCertCode": who.code, f"{prefix}Type": category,
                f"{prefix}Territory": place, "serviceType": "商品", "serviceName": category,
                "disputeDate": (day - timedelta(days=3)).isoformat(), f"{prefix}Detail": f"消费者{story}，要求处理。",
            }  # fmt: skip
            if not is_anonymous:
                # 100 is no mobile prefix: nobody has this number.
                block |= {
                    "complainantName": names.person_name(rng), "complainantPhone": f"100{rng.randrange(10**8):08d}"
                }  # fmt: skip
        yield NationalTask(task_no, who.code, who.name, region, is_ours, is_anonymous, {"taskInfo": info, kind: block})
