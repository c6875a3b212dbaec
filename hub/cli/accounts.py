"""``hub accounts``: people who come in by pages, and keys of departments' programs. Every change is on record."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Annotated, Any

import typer

from hub import wiring
from hub.access import passwords
from hub.access.accounts import Account
from hub.access.desk import AccountsDesk, Person
from hub.bus.publisher import KafkaPublisher
from hub.cli import accounts_keys, accounts_reports
from hub.cli.common import AsJson, Data, errors_as_sentences, print_json, settings_of
from hub.cli.on_record import this_actor
from hub.domain.plain import instant_text
from hub.domain.rights import ROLE_NAMES
from hub.errors import UsageError
from hub.settings import Settings

app = typer.Typer(help="账号、变动报备、程序接口密钥 / accounts, reports, keys of programs", no_args_is_help=True)
app.add_typer(accounts_keys.app, name="keys")
app.command("reports")(accounts_reports.reports)

Name = Annotated[str, typer.Argument(metavar="NAME", help="账号名 / name of the account")]
Reason = Annotated[str, typer.Option("--reason", help="原因 / why; it stays on record")]
Roles = Annotated[list[str], typer.Option("--role", help=f"角色，可多次 / role, several: {', '.join(ROLE_NAMES)}")]
Generate = Annotated[bool, typer.Option("--generate", help="生成密码，只显示一次 / make a password and show it once")]
FromStdin = Annotated[bool, typer.Option("--stdin", help="从标准输入读取密码 / the password is a line of stdin")]
Keep = Annotated[bool, typer.Option("--keep", help="首次登录不必修改 / its owner need not change it first")]


@contextmanager
def _desk(settings: Settings) -> Iterator[AccountsDesk]:
    catalog = wiring.open_catalog(settings)
    with closing(KafkaPublisher(settings.bootstrap, client_id="hub-accounts")) as publisher:
        yield wiring.accounts_desk(settings, wiring.open_map(settings, catalog), catalog, publisher)


def _person() -> Person:
    return Person(this_actor())


def _password(name: str, generate: bool, from_stdin: bool) -> str:
    """Never an argument: those stand in the list of processes and in the shell's history."""
    if generate and from_stdin:
        raise UsageError("--generate and --stdin exclude each other.")
    if generate:
        return passwords.generate(name)
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise UsageError("There is nobody to ask for a password: give --generate, or --stdin and a line with it.")
    return str(typer.prompt("密码 / password", hide_input=True, confirmation_prompt=True))


def _plain(account: Account) -> dict[str, Any]:
    return {
        "name": account.name, "display_name": account.display_name, "department": account.department,
        "roles": list(account.roles), "state": account.state, "has_password": account.password is not None,
        "must_change_password": account.must_change_password, "revision": account.revision,
        "changed_by": account.changed_by, "changed_at": instant_text(account.changed_at), "reason": account.reason,
    }


def _say(account: Account, as_json: bool, password: str | None = None) -> None:
    found = _plain(account) | ({"password": password} if password else {})
    if as_json:
        print_json(found)
        return
    typer.echo(_line(account))
    if password:
        typer.echo(f"password\t{password}")


def _line(account: Account) -> str:
    state = "password due" if account.is_active and account.must_change_password else account.state
    return "\t".join((account.name, state, account.department, ",".join(account.roles), account.display_name))


@app.command()
def create(
    name: Name,
    display_name: Annotated[str, typer.Option("--display-name", help="姓名 / name of the person")],
    department: Annotated[str, typer.Option("--department", help="部门 / department, an id of the map's departments")],
    role: Roles,
    reason: Reason,
    generate: Generate = False,
    stdin: FromStdin = False,
    keep: Keep = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Makes an account. The password is asked for, read from stdin or generated; its owner changes it first."""
    with errors_as_sentences():
        settings = settings_of(data)
        password = _password(name, generate, stdin)
        with _desk(settings) as desk:
            made = desk.create(
                name, display_name, department, role, password, by=_person(), reason=reason, must_change=not keep
            )
    _say(made, as_json, password if generate else None)


@app.command("list")
def list_accounts(
    department: Annotated[str | None, typer.Option("--department", help="只列此部门 / of this department")] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Every account: state, department, roles, name of the person. Exit 1 if there is none."""
    with errors_as_sentences(), _desk(settings_of(data)) as desk:
        found = [each for each in desk.accounts() if department in (None, each.department)]
    if as_json:
        print_json([_plain(each) for each in found])
    else:
        for each in found:
            typer.echo(_line(each))
    raise typer.Exit(0 if found else 1)


@app.command()
def show(name: Name, data: Data = None, as_json: AsJson = False) -> None:
    """One account and who changed it last. No password is shown. What was changed before: hub acts list --target."""
    with errors_as_sentences(), _desk(settings_of(data)) as desk:
        found = _found(desk, name)
    if as_json:
        print_json(_plain(found))
        return
    for field, value in _plain(found).items():
        typer.echo(f"{field}\t{','.join(value) if isinstance(value, list) else value}")


@app.command()
def disable(name: Name, reason: Reason, data: Data = None, as_json: AsJson = False) -> None:
    """Its owner comes in no more, and all its sessions end."""
    with errors_as_sentences(), _desk(settings_of(data)) as desk:
        changed = desk.set_state(name, "disabled", by=_person(), reason=reason)
    _say(changed, as_json)


@app.command()
def enable(name: Name, reason: Reason, data: Data = None, as_json: AsJson = False) -> None:
    """Its owner may come in again, by the password of before."""
    with errors_as_sentences(), _desk(settings_of(data)) as desk:
        changed = desk.set_state(name, "active", by=_person(), reason=reason)
    _say(changed, as_json)


@app.command()
def password(
    name: Name,
    reason: Reason,
    generate: Generate = False,
    stdin: FromStdin = False,
    keep: Keep = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Gives an account another password; all its sessions end. Its owner changes it first unless --keep."""
    with errors_as_sentences():
        settings = settings_of(data)
        with _desk(settings) as desk:
            _found(desk, name)
            text = _password(name, generate, stdin)
            changed = desk.set_password(name, text, by=_person(), reason=reason, must_change=not keep)
    _say(changed, as_json, text if generate else None)


@app.command()
def roles(name: Name, role: Roles, reason: Reason, data: Data = None, as_json: AsJson = False) -> None:
    """Gives an account these roles and no others; all its sessions end."""
    with errors_as_sentences(), _desk(settings_of(data)) as desk:
        changed = desk.set_roles(name, role, by=_person(), reason=reason)
    _say(changed, as_json)


def _found(desk: AccountsDesk, name: str) -> Account:
    found = next((each for each in desk.accounts() if each.name == name), None)
    if found is None:
        raise UsageError(f"There is no account {name!r}; see `hub accounts list`.")
    return found
