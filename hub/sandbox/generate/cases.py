"""Rows as a department means them, before a clerk types them.

A case is one dictionary heading -> cell. Mixes of results, reasons and kinds follow samples that
were published (78 of 97 inspections without findings; 70 % of listings for a missing annual
report, 25 % for an address where nobody is found).
"""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from random import Random

from hub.sandbox.generate import names
from hub.sandbox.generate.codes import make_id_number
from hub.sandbox.generate.columns import Cell
from hub.sandbox.generate.departments import Department
from hub.sandbox.generate.enterprise import Enterprise

Case = dict[str, Cell]

#: Texts of the code list inspection-result, with their share in the sample of 97.
RESULTS = {
    "未发现问题": 78,
    "未按规定公示应当公示的信息": 10,
    "发现问题经责令已改正": 6,
    "通过登记的住所(经营场所)无法联系": 3,
    "发现问题待后续处理": 1,
    "未发现开展本次抽查涉及的经营活动": 1,
    "违反食药规定": 1,
    "已关闭停业或正在组织清算": 1,
}
_ITEMS = {
    "food": "食品经营监督检查",
    "medicine": "药品经营质量检查",
    "tourism": "旅行社经营检查",
    "hotel": "公共场所卫生检查",
    "culture": "娱乐场所经营检查",
    "gas": "特种设备使用检查",
    "retail": "价格行为检查",
    "school": "学校食堂检查",
}
#: trade -> (kind of violation, facts, legal basis)
_VIOLATIONS = {
    "food": (
        "经营超过保质期的食品",
        "货架上陈列待售的食品已超过保质期",
        "《中华人民共和国食品安全法》第一百二十四条第一款第五项",
    ),
    "medicine": (
        "虚假宣传",
        "在店堂内宣称其虫草制品可以治疗疾病",
        "《中华人民共和国反不正当竞争法》第二十条第一款",
    ),
    "tourism": ("不合理低价游", "以低于成本的价格招徕游客并诱导购物", "《中华人民共和国旅游法》第九十八条"),
    "hotel": (
        "未取得卫生许可证从事公共场所经营",
        "未取得卫生许可证擅自营业",
        "《公共场所卫生管理条例》第十四条",
    ),
    "culture": ("未按规定办理变更登记", "变更主要负责人后未办理变更登记", "《娱乐场所管理条例》第四十九条"),
}
_VIOLATION_ELSE = ("未明码标价", "销售的商品未标明价格", "《中华人民共和国价格法》第四十二条")
ABNORMAL_REASONS = {
    "未按期年报": 70,
    "通过登记的住所或者经营场所无法联系": 25,
    "公示信息隐瞒真实情况、弄虚作假": 3,
    "未在责令期限内公示": 2,
}
_LEADS = (
    ("食品安全", "称购买的酸奶有异味"),
    ("价格", "称结账价格高于标价"),
    ("虚假宣传", "称宣传内容与实物不符"),
    ("质量/售后", "称商品有质量问题而商家拒绝退换"),
    ("假冒侵权", "称所售商品疑为假冒"),
    ("旅游购物", "称所购虫草等级不符"),
    ("特种设备", "称电梯久未检验"),
    ("无证经营", "称其没有营业执照"),
)


def _draw(rng: Random, weights: dict[str, int]) -> str:
    return rng.choices(tuple(weights), weights=tuple(weights.values()))[0]


def make_inspection(rng: Random, who: Enterprise, by: Department, number: int, day: date) -> Case:
    """One result of a double-random inspection that ended on ``day``."""
    results = [_draw(rng, RESULTS)]
    if results[0] != "未发现问题" and rng.random() < 0.2:
        results.append(
            next(r for r in ("发现问题经责令已改正", "未按规定公示应当公示的信息") if r != results[0])
        )
    is_public = rng.random() > 0.02
    return {
        "抽查计划编号": f"{by.short}抽计〔{day.year}〕{day.month:02d}号",
        "抽查计划名称": f"{day.year}年度{by.name}双随机抽查工作计划",
        "抽查任务名称": f"{day.year}年{day.month}月{_ITEMS.get(who.trade, '登记事项检查')}",
        "检查编号": f"{by.short}检{day.year}{number:06d}",
        "检查对象名称": who.name,
        "统一社会信用代码/注册号": who.code,
        "法定代表人": who.legal_representative,
        "抽查事项": _ITEMS.get(who.trade, "登记事项检查"),
        "事项编码": f"{by.region}{20100000 + number % 37:08d}",
        # The department's own list: its code, 1, and a serial of the item.
        "检查实施清单编码": f"{by.code}1{number % 37:05d}",
        "检查形式": "日常",
        "检查机关": by.name,
        "检查人员": (names.person_name(rng), names.person_name(rng)),
        "检查日期": day - timedelta(days=rng.randrange(6)),
        "检查结果": tuple(results),
        "结果形成日期": day,
        "是否公示": "是" if is_public else "否",
        "不公示理由": None if is_public else "涉及商业秘密",
        "备注": None,
    }


def _rarer(kinds: tuple[str, ...], number: int) -> tuple[str, ...]:
    """Of the fines with a warning some with something else; by the number, so that no draw of chance is another."""
    rarer = {0: ("通报批评", "罚款"), 1: ("罚款", "暂扣/吊销许可证"), 2: ("罚款", "暂扣/吊销执照")}
    return rarer.get(number % 12, kinds) if kinds == ("警告", "罚款") else kinds


def make_penalty(
    rng: Random, who: Enterprise, by: Department, number: int, day: date, *, is_person: bool | None = None
) -> Case:
    """One penalty decided on ``day``; one in sixteen is of a natural person unless it is said."""
    violation, facts, basis = _VIOLATIONS.get(who.trade, _VIOLATION_ELSE)
    kinds: tuple[str, ...] = rng.choice(
        (("警告",), ("罚款",), ("罚款",), ("警告", "罚款"), ("罚款", "没收违法所得"))
    )
    kinds = _rarer(kinds, number)
    certificate = next((kind.removeprefix("暂扣/吊销") for kind in kinds if kind.startswith("暂扣/吊销")), None)
    fine = Decimal(rng.randrange(5, 600)) / 100 if "罚款" in kinds else None
    seized = Decimal(rng.randrange(1, 9000)) / 10_000 if "没收违法所得" in kinds else None
    content = "；".join(
        filter(
            None,
            (
                "给予警告" if "警告" in kinds else "",
                "给予通报批评" if "通报批评" in kinds else "",
                f"罚款{fine}万元" if fine is not None else "",
                f"没收违法所得{seized}万元" if seized is not None else "",
                f"暂扣{certificate}三个月" if certificate is not None else "",
            ),
        )
    )
    case: Case = {
        "行政相对人名称": who.name,
        "行政相对人类别": who.party_kind,
        "统一社会信用代码": who.uscc or None,
        "工商注册号": who.registration_number or None,
        "法定代表人": who.legal_representative,
        "法定代表人证件类型": "身份证",
        "法定代表人证件号码": who.legal_representative_id,
        "证件类型": None,
        "证件号码": None,
        "行政处罚决定书文号": f"{by.short}处罚〔{day.year}〕{number}号",
        "违法行为类型": violation,
        "违法事实": f"{day.year}年{day.month}月，经查，当事人{facts}。",
        "处罚依据": basis,
        "处罚程序": "简易程序" if kinds == ("警告",) else "普通程序",
        "处罚类别": kinds,
        "处罚内容": content,
        "罚款金额（万元）": fine,
        "没收违法所得、没收非法财物的金额（万元）": seized,
        "暂扣或吊销证照名称及编号": certificate and f"{certificate} {by.short}证{day.year}{number:06d}号",
        "处罚决定日期": day,
        "处罚有效期": date(2099, 12, 31),
        "公示截止期": date(day.year + 3, day.month, min(day.day, 28)),
        "处罚机关": by.name,
        "处罚机关统一社会信用代码": by.code,
        "数据来源单位": by.name,
        "数据来源单位统一社会信用代码": by.code,
        "行政处罚名称": f"{violation}案",
        "行政处罚编号": f"{by.short}罚{day.year}{number:06d}",
        "案件来源": "检查发现",
        "检查行为编号": f"{by.short}检{day.year}{number:06d}",
        "是否听证": "否",
        "是否涉刑案件": "否",
        "是否行政复议": "否",
        "是否行政诉讼": "否",
        "备注": None,
    }
    if rng.random() < 1 / 16 if is_person is None else is_person:
        person = names.person_name(rng)
        case |= {
            "行政相对人名称": person,
            "行政相对人类别": "自然人",
            "统一社会信用代码": None,
            "工商注册号": None,
            "法定代表人": None,
            "法定代表人证件类型": None,
            "法定代表人证件号码": None,
            "证件类型": "身份证",
            "证件号码": make_id_number(rng, who.region),
        }
    return case


def make_notice(
    rng: Random,
    who: Enterprise,
    by: Department,
    number: int,
    day: date,
    reason: str | None = None,
    *,
    is_serious: bool = False,
) -> Case:
    """One listing on ``day``. A reason given makes it a listing as abnormal, else one in 25 is serious."""
    is_serious = is_serious or (reason is None and rng.random() < 0.04)
    people: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    if is_serious:
        people = tuple(names.person_name(rng) for _ in range(rng.choice((1, 2))))
        numbers = tuple(make_id_number(rng, who.region) for _ in people)
    kind = "异入" if not is_serious else "严入"
    return {
        "名单类型": "严重违法失信名单" if is_serious else "经营异常名录",
        "企业名称": who.name,
        "统一社会信用代码": who.uscc or None,
        "注册号": who.registration_number or None,
        "法定代表人": who.legal_representative,
        "证件类型": "身份证",
        "证件号码": who.legal_representative_id,
        "列入原因": "侵害消费者权益" if is_serious else reason or _draw(rng, ABNORMAL_REASONS),
        "列入日期": day,
        "列入决定机关": by.name,
        "列入文号": f"{by.short}{kind}〔{day.year}〕第{number:04d}号",
        "相关人员姓名": people or None,
        "相关人员身份证件号码": numbers or None,
        "违法性质": "严重违法失信" if is_serious else None,
        "处理结果": "列入名单并公示" if is_serious else None,
        "移出原因": None,
        "移出日期": None,
        "移出决定机关": None,
        "移出文号": None,
        "备注": None,
    }


def make_lead(rng: Random, who: Enterprise, by: Department, number: int, day: date) -> Case:
    """One lead received on ``day``, not yet accepted."""
    category, summary = rng.choice(_LEADS)
    is_anonymous = rng.random() < 0.3
    return {
        "线索编号": f"XS{day.year}{by.region}{number:07d}",
        "线索类型": rng.choices(("投诉", "举报"), (7, 3))[0],
        "来源渠道": rng.choices(("12315平台", "12345热线", "国家系统推送"), (6, 2, 1))[0],
        "被投诉举报单位": who.name,
        "统一社会信用代码": who.uscc or None,
        "所在地区": who.place,
        "问题类别": category,
        "内容摘要": f"消费者{summary}，要求处理。",
        "登记日期": day,
        "承办单位": by.name,
        "投诉人姓名": None if is_anonymous else names.person_name(rng),
        # 100 is no mobile prefix: nobody has this number.
        "联系电话": None if is_anonymous else f"100{rng.randrange(100_000_000):08d}",
        "是否匿名": "是" if is_anonymous else "否",
        "风险等级": rng.choices(("高", "中", "低"), (1, 3, 6))[0],
        "处理状态": "待受理",
        "受理日期": None,
        "办结日期": None,
        "办理结果": None,
        "备注": None,
    }


MAKERS = {
    "inspection-results": make_inspection,
    "penalties": make_penalty,
    "blacklist-notices": make_notice,
    "complaint-leads": make_lead,
}
