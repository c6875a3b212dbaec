"""Who may do what: one table that people and tests read.

A department's thing is seen and changed by that department alone, unless the table says ``all``. Whoever may not see
a thing is told that it is not there. Basis: the plan of 2021, 三(一)1(1) “准确分配权限,做到适时更新,动态管理”.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple, get_args

Role = Literal["clerk", "leader", "administrator", "operator", "auditor"]
#: ``own`` is the own department, ``self`` the own account.
Scope = Literal["none", "self", "own", "all"]
#: Columns of the table. ``lead`` is an administrator of the agency that leads (牵头单位): no role that anybody is
#: given, but what follows from role and department.
Standing = Literal["clerk", "leader", "administrator", "lead", "operator", "auditor"]

ROLES: tuple[Role, ...] = get_args(Role)
STANDINGS: tuple[Standing, ...] = get_args(Standing)
#: 州市场监督管理局 leads (“发挥市场监管部门牵头作用”); changes of leaders and administrators are reported to it.
LEAD_AGENCY = "market-supervision"
#: Who answers for a department: a change of these is reported, “分管领导和管理员如有变动请及时向同级牵头单位报备”.
REPORTED_ROLES: tuple[Role, ...] = ("administrator", "leader")
#: Roles that see beyond their department. The lead agency gives them, no department gives them itself.
WIDE_ROLES: tuple[Role, ...] = ("operator", "auditor")
ROLE_NAMES: Mapping[Role, str] = {
    "clerk": "经办人", "leader": "分管领导", "administrator": "管理员", "operator": "运维", "auditor": "审计",
}
_ORDER: tuple[Scope, ...] = ("none", "self", "own", "all")


class Right(NamedTuple):
    """One action: what it is, whether it changes something, and how far each standing reaches."""

    title: str
    is_change: bool
    clerk: Scope
    leader: Scope
    administrator: Scope
    lead: Scope
    operator: Scope
    auditor: Scope

    def scope(self, standing: Standing) -> Scope:
        found: Scope = getattr(self, standing)
        return found


#: Action -> right. Columns: clerk, leader, administrator, lead, operator, auditor.
RIGHTS: Mapping[str, Right] = {
    "profile.use": Right("本人账号与会话", True, "self", "self", "self", "self", "self", "self"),
    "portal.read": Right("部门工作台", False, "own", "own", "own", "own", "none", "none"),
    "notices.answer": Right("反馈通知", True, "own", "own", "none", "none", "none", "none"),
    "records.enter": Right("录入与上传本部门数据", True, "own", "own", "none", "none", "none", "none"),
    "subscriptions.change": Right("管理本部门订阅", True, "none", "own", "own", "own", "none", "none"),
    "console.read": Right("运行控制台", False, "none", "none", "none", "none", "all", "all"),
    "console.change": Right("处置运行事项", True, "none", "none", "none", "none", "all", "none"),
    "letters.look": Right("注明用途后查看死信", False, "none", "none", "none", "none", "all", "all"),
    "accounts.read": Right("查看账号", False, "none", "own", "own", "all", "none", "all"),
    "accounts.change": Right("管理账号", True, "none", "none", "own", "all", "none", "none"),
    "reports.read": Right("查看变动报备", False, "none", "own", "own", "all", "none", "all"),
    "reports.acknowledge": Right("签收变动报备", True, "none", "none", "none", "all", "none", "none"),
    "audit.read": Right("查看操作记录", False, "none", "none", "own", "all", "none", "all"),
    "departments.read": Right("查看各部门办理情况与事件经过", False, "none", "none", "none", "none", "none", "all"),
    "personal.read": Right("注明用途后查看个人信息", False, "own", "own", "none", "none", "none", "none"),
}

#: What a department's program may be given by a key; each names the interface that asks for it.
KEY_SCOPES: Mapping[str, str] = {
    "key.read": "查询密钥本身的状态",
    "reports.read": "读取本部门变动报备",
    "notices.read": "读取本部门的通知",
    "clocks.read": "读取本部门的时限",
    "holdings.read": "读取本部门持有的记录",
    "trace.read": "追踪与本部门有关的事件",
    "all.read": "上述读取不限本部门（审计用，仅限牵头单位）",
}
#: Scopes that reach beyond the own department: for keys of the lead agency alone.
WIDE_SCOPES = frozenset({"all.read"})


def standings(roles: Iterable[Role], department: str) -> tuple[Standing, ...]:
    """The columns that count for somebody of these roles in that department."""
    return tuple("lead" if role == "administrator" and department == LEAD_AGENCY else role for role in roles)


def scope_of(action: str, roles: Iterable[Role], department: str) -> Scope:
    """How far somebody may do ``action``: the widest of what his roles give. KeyError for an action that is none."""
    right = RIGHTS[action]
    return max((right.scope(each) for each in standings(roles, department)), key=_ORDER.index, default="none")


def reaches(scope: Scope, own: str, department: str) -> bool:
    """Whether a scope of somebody of ``own`` takes in what is of ``department``."""
    return scope == "all" or (scope == "own" and own == department)


def role_faults(roles: Iterable[Role]) -> list[str]:
    """Why roles cannot be one person's, as slugs: ``roles-none``, or ``roles-auditor-alone`` (who audits changes
    nothing and works for nobody whom he looks at)."""
    given = set(roles)
    if not given:
        return ["roles-none"]
    return ["roles-auditor-alone"] if "auditor" in given and len(given) > 1 else []


def as_table() -> str:
    """The table as Markdown, as docs/accounts.md shows it."""
    heads = ["Action", "What it is", "经办人 clerk", "分管领导 leader", "管理员 administrator",
             "牵头单位管理员 lead", "运维 operator", "审计 auditor"]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for action, right in RIGHTS.items():
        cells = [f"`{action}`", right.title, *("–" if scope == "none" else scope for scope in right[2:])]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
