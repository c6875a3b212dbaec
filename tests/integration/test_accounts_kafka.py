"""The whole application on a real Kafka: every route is marked; accounts by command are in force at its pages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import httpx2
import pytest
from typer.testing import CliRunner

from hub.cli.main import build
from hub.web.marks import marks_of
from tests.support_browser import Pages, pages
from tests.support_served import wait_until
from tests.support_site import PASSWORD

if TYPE_CHECKING:
    from tests.conftest import IndexLike, KafkaLike

OTHER = "quiet yaks walk uphill"


@pytest.fixture(scope="module")
def running(kafka: KafkaLike, valkey: IndexLike, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    with pages(kafka.bootstrap, valkey.url, tmp_path_factory.mktemp("site")) as found:
        yield found


@pytest.fixture
def command(running: Pages, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.setenv("HUB_DATA", str(running.settings.data))
    monkeypatch.setenv("HUB_BOOTSTRAP_SERVERS", running.settings.bootstrap)
    monkeypatch.setenv("HUB_REDIS_INDEX_URL", running.settings.redis_url)
    return CliRunner()


def accounts(command: CliRunner, *words: str, stdin: str | None = None, code: int = 0) -> str:
    done = command.invoke(build(["accounts"]), ["accounts", *words], input=stdin)
    assert done.exit_code == code, done.output
    return done.output


def code_of_sign_in(running: Pages, name: str, password: str) -> int:
    data = {"name": name, "password": password}
    return httpx2.post(f"{running.url}/sign-in", data=data, headers={"origin": running.url}, timeout=30).status_code


def test_every_route_of_the_whole_application_is_marked_once(running: Pages) -> None:
    routes = list(marks_of(running.app))
    paths = {path for _, path, _ in routes}
    assert {"/accounts", "/v1/events", "/v1/feedback", "/v1/notices", "/asyncapi", "/healthz"} <= paths
    assert {path: marks for _, path, marks in routes if len(marks) != 1} == {}


def test_an_account_by_command_is_in_force_at_the_pages(running: Pages, command: CliRunner) -> None:
    why = ["--reason", "新到岗"]
    made = accounts(
        command, "create", "by-command", "--display-name", "示例", "--department", "finance", "--role", "leader",
        "--stdin", "--keep", *why, stdin=f"{PASSWORD}\n",
    )
    assert made.startswith("by-command\tactive\tfinance\tleader") and PASSWORD not in made
    wait_until(lambda: code_of_sign_in(running, "by-command", PASSWORD) == 303, "the account")
    assert "by-command" in accounts(command, "reports", code=1)
    generated = json.loads(accounts(command, "password", "by-command", "--generate", "--json", *why))["password"]
    shown = json.loads(accounts(command, "show", "by-command", "--json"))
    assert generated != PASSWORD and shown["must_change_password"]
    accounts(command, "disable", "by-command", *why)
    wait_until(lambda: code_of_sign_in(running, "by-command", generated) in (401, 429), "its end")
    accounts(command, "disable", "by-command", *why, code=1)
    accounts(command, "show", "no-such-one", code=2)


def test_no_password_is_an_argument_or_taken_without_anybody_to_ask(command: CliRunner) -> None:
    words = ["create", "two", "--display-name", "示例", "--department", "finance", "--role", "clerk", "--reason", "x"]
    accounts(command, *words, "--generate", "--stdin", code=2)
    accounts(command, *words, code=2)
    accounts(command, *words, "--password", OTHER, code=2)
