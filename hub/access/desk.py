"""Where accounts are made and changed, and what follows from it. Every change has who and why.

That somebody is about to change an account is on record first, then the account, then the report that it makes due. A
kill in between leaves an account whose report is made by ``settle_reports``, which runs before the next change and
when the web side starts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from typing import NamedTuple

from hub.access import passwords
from hub.access.accounts import Account, State, new_account, parse_roles, seal_password
from hub.access.record import Acts, actor_of
from hub.access.refusal import RefusalError
from hub.access.reports import Report, report_id_of, report_of
from hub.bus.revision_desk import RevisionDesk
from hub.domain.acts import Actor
from hub.domain.rights import WIDE_ROLES, Role, Scope, reaches, scope_of
from hub.domain.vault import Vault

_BY_OWNER = "本人修改密码"
Change = Callable[[Account | None], Account]


class Person(NamedTuple):
    """Who asks. ``account`` is none for whoever holds the machine and gives commands: rights do not bind him."""

    actor: Actor
    account: Account | None = None


class AccountsDesk:
    """``on_change`` hears of each account that was changed here, at once. All methods block, and raise RefusalError
    for what is refused (then nothing is on record) and BrokerError for what could not be written."""

    def __init__(
        self, accounts: RevisionDesk[Account], reports: RevisionDesk[Report], vault: Vault,
        departments: Collection[str], acts: Acts, on_change: Callable[[Account], object] = lambda account: None,
    ) -> None:
        self._accounts, self._reports, self._vault = accounts, reports, vault
        self._departments, self._acts, self._on_change = departments, acts, on_change

    def create(
        self, name: str, display_name: str, department: str, roles: Iterable[str], password: str, *, by: Person,
        reason: str, must_change: bool = True,
    ) -> Account:
        """An account with a first password, which its owner has to change."""
        given = parse_roles(roles)
        if department not in self._departments:
            raise RefusalError("department-unknown", department=department)
        made = new_account(name, display_name, department, given)
        _check_may_manage(by, department, given)
        passwords.check(password, name)
        ready = replace(
            made.with_password(seal_password(name, password, self._vault), must_change=must_change),
            reportable=made.reportable,
        )

        def change(current: Account | None) -> Account:
            if current is not None:
                raise RefusalError("name-taken", name=name)
            return ready

        return self._change("create", name, change, by, reason)

    def set_password(self, name: str, password: str, *, by: Person, reason: str, must_change: bool = True) -> Account:
        """A password that somebody else gives; its owner has to change it."""
        passwords.check(password, name)
        sealed = seal_password(name, password, self._vault)

        def change(current: Account | None) -> Account:
            account = _known(current, name, by)
            _check_may_manage(by, account.department, account.roles)
            return account.with_password(sealed, must_change=must_change)

        return self._change("password", name, change, by, reason)

    def change_own_password(self, account: Account, present: str, password: str) -> Account:
        """Raises RefusalError if ``present`` is not right, or the new one is not taken or the same."""
        passwords.check(password, account.name)
        if passwords.normalise(present) == passwords.normalise(password):
            raise RefusalError("password-same")
        if not account.opens_with(present, self._vault):
            raise RefusalError("password-wrong")
        sealed = seal_password(account.name, password, self._vault)

        def change(current: Account | None) -> Account:
            # What opened it just now may have been taken back meanwhile: then this change is nobody's.
            if current is None or current.epoch != account.epoch:
                raise RefusalError("password-wrong")
            return current.with_password(sealed, must_change=False)

        return self._change("password", account.name, change, Person(actor_of(account), account), _BY_OWNER)

    def set_roles(self, name: str, roles: Iterable[str], *, by: Person, reason: str) -> Account:
        given = parse_roles(roles)

        def change(current: Account | None) -> Account:
            account = _known(current, name, by)
            _check_not_self(by, name)
            _check_may_manage(by, account.department, {*account.roles, *given})
            return account.with_roles(given)

        return self._change("roles", name, change, by, reason)

    def set_state(self, name: str, state: State, *, by: Person, reason: str) -> Account:
        def change(current: Account | None) -> Account:
            account = _known(current, name, by)
            _check_not_self(by, name)
            _check_may_manage(by, account.department, account.roles)
            return account.with_state(state)

        return self._change("disable" if state == "disabled" else "enable", name, change, by, reason)

    def acknowledge(self, report_id: str, *, by: Person, note: str) -> Report:
        """The lead agency takes note of a change."""

        def change(current: Report | None) -> Report:
            if current is None:
                raise RefusalError("report-unknown", name=report_id)
            return current.acknowledged(by.actor.name)

        note = _reason(note)
        change(self._reports.read().get(report_id))
        with self._acts.acting("access.report.acknowledge", by.actor, report_id, note):
            return self._reports.change(report_id, change, by=by.actor.name, reason=note)

    def reports(self) -> list[Report]:
        """All of them, the oldest first. Raises BrokerError."""
        return sorted(self._reports.read().values(), key=lambda each: each.made_at)

    def accounts(self) -> list[Account]:
        """All of them, by name. Raises BrokerError."""
        return [account for _, account in sorted(self._accounts.read().items())]

    def settle_reports(self) -> list[Report]:
        """Makes the reports of accounts in force that a kill left unmade. Returns those."""
        due = {report_id_of(each): each for each in self._accounts.read().values() if each.reportable}
        known = self._reports.read() if due else {}
        return [report for id_, account in due.items() if id_ not in known and (report := self._report(account))]

    def _change(self, what: str, name: str, change: Change, by: Person, reason: str) -> Account:
        reason = _reason(reason)
        # The next revision would hide what is still to be reported of the last one.
        self.settle_reports()
        wanted = change(self._accounts.read().get(name))
        details = [("department", wanted.department), ("roles", ",".join(wanted.roles)), ("state", wanted.state)]
        with self._acts.acting(f"access.account.{what}", by.actor, name, reason, details=details) as outcome:
            changed = self._accounts.change(name, change, by=by.actor.name, reason=reason)
            self._on_change(changed)
            if report := self._report(changed):
                outcome.append(f"reported as {report.report_id}")
        return changed

    def _report(self, account: Account) -> Report | None:
        report = report_of(account)
        if report is None:
            return None

        def change(current: Report | None) -> Report:
            if current is not None:
                raise _MadeError
            return report

        try:
            made = self._reports.change(report.report_id, change, by=report.made_by, reason=report.made_reason)
        except _MadeError:
            return None
        # Its delivery: from here on the lead agency has it.
        self._acts.look(
            "access.report.make", Actor(report.made_by, "api", report.department), report.report_id, report.made_reason,
            details=[("account", account.name), ("changes", ",".join(report.changes))],
        )
        return made


class _MadeError(Exception):
    """Another process made the report meanwhile."""


def _reason(text: str) -> str:
    if not text.strip():
        raise RefusalError("reason-missing")
    return text.strip()


def _known(current: Account | None, name: str, by: Person) -> Account:
    """Another department's account is not there for somebody who may not see it."""
    if current is None or (
        by.account is not None and not reaches(_scope(by.account), by.account.department, current.department)
    ):
        raise RefusalError("account-unknown", name=name)
    return current


def _check_not_self(by: Person, name: str) -> None:
    if by.account is not None and by.account.name == name:
        raise RefusalError("not-yourself")


def _check_may_manage(by: Person, department: str, roles: Collection[Role]) -> None:
    if by.account is None:
        return
    scope = _scope(by.account)
    if not reaches(scope, by.account.department, department):
        raise RefusalError("department-unknown", department=department)
    if scope != "all" and set(roles) & set(WIDE_ROLES):
        raise RefusalError("roles-wide")


def _scope(account: Account) -> Scope:
    return scope_of("accounts.change", account.acting_roles, account.department)
