"""Accounts, what is reported of them, and keys of programs: on a log in memory."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TypedDict

import pytest
from argon2 import PasswordHasher

from hub.access import passwords
from hub.access.accounts import ACCOUNTS_TOPIC, Account, new_account
from hub.access.desk import AccountsDesk, Person
from hub.access.keys import KEYS_TOPIC
from hub.access.refusal import RefusalError
from hub.access.reports import REPORTS_TOPIC
from hub.bus.records import Output
from hub.domain.acts import Actor
from hub.errors import BrokerError, ContractError
from tests.support_contracts import PHONE
from tests.support_site import PASSWORD, ROOT_PERSON, VAULT, Desks, Ticket, account, desks

OTHER = "quiet yaks walk uphill"


class Why(TypedDict):
    by: Person
    reason: str


@pytest.fixture(autouse=True)
def quick_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a hash costs is not what is asked here."""
    monkeypatch.setattr(passwords, "_HASHER", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


def person(made: Account) -> Person:
    return Person(Actor(made.name, "portal", made.department), made)


def given(found: Desks, name: str, department: str, *roles: str) -> Account:
    return found.accounts.create(
        name, "示例", department, roles, PASSWORD, by=ROOT_PERSON, reason="新到岗", must_change=False
    )


def slug(error: pytest.ExceptionInfo[RefusalError]) -> str:
    return error.value.slug


# -- passwords ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("password", "expected"), [
    ("elevenchars", "password-short"), ("x" * 129, "password-long"), ("Password123456", "password-common"),
    ("woaini1314520", "password-common"), ("qwertyuiop12345", "password-common"),
    ("aaaaaaaaaaaaaaa", "password-simple"), ("123456789012", "password-simple"), ("abcdefghijklmn", "password-simple"),
    ("my fin-clerk login", "password-personal"),
    ("ＰＡＳＳＷＯＲＤ１２３４５６", "password-common"),
])
def test_passwords_that_are_guessed_first_are_refused(password: str, expected: str) -> None:
    with pytest.raises(RefusalError) as error:
        passwords.check(password, "fin-clerk")
    assert slug(error) == expected


@pytest.mark.parametrize("password", ["quiet yaks walk uphill", "草原上的牦牛今天很安静地吃草", "all small letters"])
def test_any_long_sentence_is_a_password(password: str) -> None:
    passwords.check(password, "fin-clerk")


def test_a_generated_password_is_taken_and_never_the_same() -> None:
    made = {passwords.generate("abc") for _ in range(50)}
    assert len(made) == 50
    for each in made:
        passwords.check(each, "abc")


def test_the_same_keys_are_the_same_password_on_every_machine() -> None:
    assert passwords.is_right("cafe\u0301 au lait 12", passwords.hash_password("caf\u00e9 au lait 12"))


def test_nobodys_password_is_compared_like_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str] = []

    class Counting:
        def verify(self, phc: str, password: str) -> bool:
            compared.append(phc)
            return True

    monkeypatch.setattr(passwords, "_HASHER", Counting())
    monkeypatch.setattr(passwords, "_nobodys", lambda: "a hash of nobody's")
    assert not passwords.is_right("whatever it is", None)
    assert compared == ["a hash of nobody's"]


def test_the_hash_on_the_log_is_sealed() -> None:
    found = desks()
    made = given(found, "fin-clerk", "finance", "clerk")
    assert all(b"argon2" not in (record.value or b"") for record in found.log.records(ACCOUNTS_TOPIC))
    assert made.opens_with(PASSWORD, VAULT) and not made.opens_with(OTHER, VAULT)
    # Moved to another account's record it opens nothing.
    with pytest.raises(ContractError):
        Account("tax-clerk", password=made.password).opens_with(PASSWORD, VAULT)


# -- accounts ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ab", "Fin-clerk", "9clerk", "fin_clerk", "fin clerk", f"c{PHONE}", "x" * 41, ""])
def test_a_name_has_one_form_and_no_number_of_a_person(name: str) -> None:
    with pytest.raises(RefusalError) as error:
        new_account(name, "示例", "finance", ["clerk"])
    assert slug(error) == "name-form"


def test_an_account_is_made_once_with_who_and_why() -> None:
    found = desks()
    made = given(found, "fin-clerk", "finance", "clerk")
    assert (made.revision, made.changed_by, made.reason) == (1, "root", "新到岗")
    assert found.accounts.accounts() == [made]
    (act,) = found.acts.read()
    assert (act.asked.kind, act.asked.target, act.state) == ("access.account.create", "fin-clerk", "done")
    with pytest.raises(RefusalError) as error:
        given(found, "fin-clerk", "finance", "clerk")
    assert slug(error) == "name-taken"


@pytest.mark.parametrize(("changes", "expected"), [
    ({"department": "no-such"}, "department-unknown"), ({"roles": ["king"]}, "role-unknown"),
    ({"roles": []}, "roles-none"), ({"roles": ["auditor", "clerk"]}, "roles-auditor-alone"),
    ({"reason": "  "}, "reason-missing"), ({"display_name": " "}, "display-name-missing"),
    ({"password": "short"}, "password-short"),
])
def test_what_is_refused_leaves_nothing_on_record(changes: dict[str, object], expected: str) -> None:
    found = desks()
    values = {"name": "fin-clerk", "display_name": "示例", "department": "finance", "roles": ["clerk"],
              "password": PASSWORD, "reason": "新到岗", **changes}
    with pytest.raises(RefusalError) as error:
        found.accounts.create(**values, by=ROOT_PERSON)  # type: ignore[arg-type]
    assert slug(error) == expected
    assert found.accounts.accounts() == [] and found.acts.read() == []


def test_every_change_that_matters_ends_the_sessions_of_before() -> None:
    found = desks()
    epochs = [given(found, "fin-clerk", "finance", "clerk").epoch]
    desk, why = found.accounts, Why(by=ROOT_PERSON, reason="调整")
    epochs.append(desk.set_roles("fin-clerk", ["leader"], **why).epoch)
    epochs.append(desk.set_password("fin-clerk", OTHER, **why).epoch)
    epochs.append(desk.set_state("fin-clerk", "disabled", **why).epoch)
    epochs.append(desk.set_state("fin-clerk", "active", **why).epoch)
    assert epochs == sorted(set(epochs))
    with pytest.raises(RefusalError) as error:
        desk.set_state("fin-clerk", "active", **why)
    assert slug(error) == "state-same"


def test_a_disabled_account_does_not_open() -> None:
    found = desks()
    given(found, "fin-clerk", "finance", "clerk")
    ended = found.accounts.set_state("fin-clerk", "disabled", by=ROOT_PERSON, reason="离岗")
    assert not ended.opens_with(PASSWORD, VAULT)


def test_the_own_password_is_changed_by_whoever_knows_it() -> None:
    found = desks()
    made = given(found, "fin-clerk", "finance", "clerk")
    for present, wanted, expected in [
        (OTHER, "another good sentence", "password-wrong"), (PASSWORD, PASSWORD, "password-same"),
        (PASSWORD, "short", "password-short"),
    ]:
        with pytest.raises(RefusalError) as error:
            found.accounts.change_own_password(made, present, wanted)
        assert slug(error) == expected
    changed = found.accounts.change_own_password(made, PASSWORD, OTHER)
    assert changed.opens_with(OTHER, VAULT) and not changed.must_change_password
    # Whoever still holds the account as it was, in another session, changes nothing any more.
    with pytest.raises(RefusalError) as error:
        found.accounts.change_own_password(made, PASSWORD, "a third good sentence")
    assert slug(error) == "password-wrong"


# -- who may change whom -----------------------------------------------------------------------


def test_an_administrator_manages_his_department_alone() -> None:
    found = desks()
    admin = person(given(found, "fin-admin", "finance", "administrator"))
    given(found, "tax-clerk", "taxation", "clerk")
    desk, why = found.accounts, "调整"
    with pytest.raises(RefusalError) as unknown:
        desk.set_roles("nobody-here", ["clerk"], by=admin, reason=why)
    with pytest.raises(RefusalError) as other:
        desk.set_roles("tax-clerk", ["clerk"], by=admin, reason=why)
    # Another department's account and none at all are told in the same words.
    assert slug(unknown) == slug(other) == "account-unknown"
    with pytest.raises(RefusalError) as error:
        desk.create("tax-two", "示例", "taxation", ["clerk"], PASSWORD, by=admin, reason=why)
    assert slug(error) == "department-unknown"
    made = desk.create("fin-two", "示例", "finance", ["clerk"], PASSWORD, by=admin, reason=why)
    assert made.changed_by == "fin-admin"


def test_who_sees_all_is_made_by_the_lead_agency() -> None:
    found = desks()
    admin = person(given(found, "fin-admin", "finance", "administrator"))
    lead = person(given(found, "lead-admin", "market-supervision", "administrator"))
    given(found, "fin-clerk", "finance", "clerk")
    for role in ("auditor", "operator"):
        with pytest.raises(RefusalError) as error:
            found.accounts.set_roles("fin-clerk", [role], by=admin, reason="调整")
        assert slug(error) == "roles-wide"
        assert found.accounts.set_roles("fin-clerk", [role], by=lead, reason="调整").roles == (role,)
        # What the lead agency gave, the department does not take over by a password of its own.
        with pytest.raises(RefusalError) as error:
            found.accounts.set_password("fin-clerk", OTHER, by=admin, reason="调整")
        assert slug(error) == "roles-wide"


def test_nobody_changes_himself_and_a_clerk_changes_nobody() -> None:
    found = desks()
    admin, clerk = given(found, "fin-admin", "finance", "administrator"), given(found, "fin-clerk", "finance", "clerk")
    with pytest.raises(RefusalError) as error:
        found.accounts.set_roles("fin-admin", ["clerk"], by=person(admin), reason="调整")
    assert slug(error) == "not-yourself"
    with pytest.raises(RefusalError) as error:
        found.accounts.set_state("fin-admin", "disabled", by=person(admin), reason="调整")
    assert slug(error) == "not-yourself"
    with pytest.raises(RefusalError):
        found.accounts.set_state("fin-admin", "disabled", by=person(clerk), reason="调整")


# -- reports -----------------------------------------------------------------------------------


def test_changes_of_who_answers_for_a_department_are_reported() -> None:
    found = desks()
    desk, why = found.accounts, Why(by=ROOT_PERSON, reason="人员调整")
    given(found, "fin-admin", "finance", "administrator", "clerk")
    given(found, "fin-clerk", "finance", "clerk")
    desk.set_roles("fin-clerk", ["leader"], **why)
    desk.set_state("fin-admin", "disabled", **why)
    desk.set_password("fin-clerk", OTHER, **why)
    desk.set_roles("fin-clerk", ["clerk"], **why)
    assert [(each.account, *each.changes) for each in desk.reports()] == [
        ("fin-admin", "+administrator"), ("fin-clerk", "+leader"), ("fin-admin", "-administrator"),
        ("fin-clerk", "-leader"),
    ]
    kinds = [request.asked.kind for request in found.acts.read()]
    assert kinds.count("access.report.make") == 4


def test_the_lead_agency_takes_note_once() -> None:
    found = desks()
    given(found, "fin-admin", "finance", "administrator")
    (report,) = found.accounts.reports()
    noted = found.accounts.acknowledge(report.report_id, by=ROOT_PERSON, note="知悉")
    assert (noted.acknowledged_by, noted.made_by, noted.made_reason) == ("root", "root", "新到岗")
    with pytest.raises(RefusalError) as error:
        found.accounts.acknowledge(report.report_id, by=ROOT_PERSON, note="知悉")
    assert slug(error) == "report-done"
    with pytest.raises(RefusalError) as error:
        found.accounts.acknowledge("no-such", by=ROOT_PERSON, note="知悉")
    assert slug(error) == "report-unknown"


def test_a_report_that_a_kill_left_unmade_is_made_before_the_next_change() -> None:
    found = desks()
    found.log.fails_on = {REPORTS_TOPIC}
    with pytest.raises(BrokerError):
        given(found, "fin-admin", "finance", "administrator")
    assert [each.name for each in found.accounts.accounts()] == ["fin-admin"] and found.accounts.reports() == []
    found.log.fails_on = set()
    found.accounts.set_password("fin-admin", OTHER, by=ROOT_PERSON, reason="调整")
    (report,) = found.accounts.reports()
    assert (report.account, report.changes) == ("fin-admin", ("+administrator",))
    assert found.accounts.settle_reports() == []
    assert len(found.log.records(REPORTS_TOPIC)) == 1


def test_a_change_that_cannot_be_put_on_record_is_not_made() -> None:
    found = desks()
    found.log.fails_on = {"audit.acts.v1"}
    with pytest.raises(BrokerError):
        given(found, "fin-clerk", "finance", "clerk")
    assert found.accounts.accounts() == []


def test_of_two_who_change_at_once_both_changes_stand() -> None:
    found = desks()
    given(found, "fin-clerk", "finance", "clerk")
    late: list[int] = []
    log, original = found.log, found.log.publish_async

    def another_first(outputs: Sequence[Output]) -> Ticket:
        if outputs[0].topic == ACCOUNTS_TOPIC and not late:
            late.append(1)
            AccountsDesk.set_state(found.accounts, "fin-clerk", "disabled", by=ROOT_PERSON, reason="另一人先改")
        return original(outputs)

    log.publish_async = another_first  # type: ignore[method-assign]
    changed = found.accounts.set_roles("fin-clerk", ["leader"], by=ROOT_PERSON, reason="调整")
    assert (changed.state, changed.roles, changed.revision) == ("disabled", ("leader",), 3)


# -- keys --------------------------------------------------------------------------------------

NOW = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)


def test_a_key_is_kept_as_its_digest_and_ends() -> None:
    moment = [NOW]
    found = desks(lambda: moment[0])
    actor = ROOT_PERSON.actor
    key, text = found.keys.create("对接", "finance", ["reports.read"], 30, actor=actor, reason="对接")
    assert text.startswith("huba_")
    assert all(text.encode() not in (record.value or b"") for record in found.log.records(KEYS_TOPIC))
    assert key.opens_at(NOW + timedelta(days=29)) and not key.opens_at(NOW + timedelta(days=30))
    ended = found.keys.revoke(key.key_id[:8], actor=actor, reason="停用")
    assert not ended.opens_at(NOW)
    with pytest.raises(RefusalError) as error:
        found.keys.revoke(key.key_id, actor=actor, reason="停用")
    assert slug(error) == "key-ended"


@pytest.mark.parametrize(("department", "scopes", "days", "reason", "expected"), [
    ("no-such", ["key.read"], 30, "对接", "department-unknown"), ("finance", ["all"], 30, "对接", "key-scope"),
    ("finance", ["clocks.read", "all.read"], 30, "对接", "key-scope-wide"),
    ("finance", ["key.read"], 731, "对接", "key-expiry"), ("finance", ["key.read"], 30, " ", "reason-missing"),
])
def test_keys_that_are_refused(department: str, scopes: list[str], days: int, reason: str, expected: str) -> None:
    found = desks()
    with pytest.raises(RefusalError) as error:
        found.keys.create("对接", department, scopes, days, actor=ROOT_PERSON.actor, reason=reason)
    assert slug(error) == expected
    assert found.keys.keys() == []


def test_an_account_of_tests_is_what_the_desk_would_make() -> None:
    assert account("fin-clerk", "finance", "clerk").opens_with(PASSWORD, VAULT)
