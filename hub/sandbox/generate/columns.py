"""The four kinds of export and the headings that departments give them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

#: A cell before it is written: empty, text, a date, an amount in 万元, or several texts.
Cell = str | date | Decimal | tuple[str, ...] | None


def _headings(text: str) -> tuple[str, ...]:
    return tuple(text.split())


@dataclass(frozen=True, slots=True)
class Kind:
    """An export kind: its name, title, headings, and which of them mean what.

    ``key``, ``name``, ``required_date``, ``coded`` and ``code`` name the columns whose faults have one
    clear verdict; ``coded`` takes values of a closed list; ``code`` holds the enterprise's code.
    ``reported`` are columns of a department that reports to the province: the national standard
    requires them, and a plain template has no place for them.
    """

    name: str
    title: str
    headings: tuple[str, ...]
    key: str
    party: str
    required_date: str
    coded: str
    code: str
    amount: str | None = None
    reported: tuple[str, ...] = ()


INSPECTIONS = Kind(
    "inspection-results",
    "双随机抽查检查结果汇总表",
    _headings(
        """
        序号 抽查计划编号 抽查计划名称 抽查任务名称 检查编号 检查对象名称
        统一社会信用代码/注册号 法定代表人 抽查事项 事项编码 检查机关 检查人员 检查日期 检查结果
        结果形成日期 是否公示 不公示理由 备注
        """
    ),
    key="检查编号",
    party="检查对象名称",
    required_date="结果形成日期",
    coded="检查结果",
    code="统一社会信用代码/注册号",
    reported=_headings("检查实施清单编码 检查形式"),
)
PENALTIES = Kind(
    "penalties",
    "行政处罚信息公示表（双公示）",
    _headings(
        """
        行政相对人名称 行政相对人类别 统一社会信用代码 工商注册号 法定代表人 法定代表人证件类型
        法定代表人证件号码 证件类型 证件号码 行政处罚决定书文号 违法行为类型 违法事实 处罚依据
        处罚程序 处罚类别 处罚内容 罚款金额（万元） 没收违法所得、没收非法财物的金额（万元）
        暂扣或吊销证照名称及编号 处罚决定日期 处罚有效期 公示截止期 处罚机关
        处罚机关统一社会信用代码 数据来源单位 数据来源单位统一社会信用代码 备注
        """
    ),
    key="行政处罚决定书文号",
    party="行政相对人名称",
    required_date="处罚决定日期",
    coded="处罚类别",
    code="统一社会信用代码",
    amount="罚款金额（万元）",
    reported=_headings(
        "行政处罚名称 行政处罚编号 案件来源 检查行为编号 是否听证 是否涉刑案件 是否行政复议 是否行政诉讼"
    ),
)
NOTICES = Kind(
    "blacklist-notices",
    "列入（移出）名单信息表",
    _headings(
        """
        名单类型 企业名称 统一社会信用代码 注册号 法定代表人 证件类型 证件号码 列入原因 列入日期
        列入决定机关 列入文号 相关人员姓名 相关人员身份证件号码 违法性质 处理结果 移出原因
        移出日期 移出决定机关 移出文号 备注
        """
    ),
    key="列入文号",
    party="企业名称",
    required_date="列入日期",
    coded="名单类型",
    code="统一社会信用代码",
)
LEADS = Kind(
    "complaint-leads",
    "投诉举报线索登记表",
    _headings(
        """
        线索编号 线索类型 来源渠道 被投诉举报单位 统一社会信用代码 所在地区 问题类别 内容摘要
        登记日期 承办单位 投诉人姓名 联系电话 是否匿名 风险等级 处理状态 受理日期 办结日期
        办理结果 备注
        """
    ),
    key="线索编号",
    party="被投诉举报单位",
    required_date="登记日期",
    coded="处理状态",
    code="统一社会信用代码",
)
KINDS: dict[str, Kind] = {kind.name: kind for kind in (INSPECTIONS, PENALTIES, NOTICES, LEADS)}

#: Columns that hold numbers as text: the ones a clerk's input method fills with full-width digits.
CODE_COLUMNS = frozenset(
    {
        "统一社会信用代码/注册号",
        "统一社会信用代码",
        "工商注册号",
        "注册号",
        "法定代表人证件号码",
        "证件号码",
    }
)
