"""The commands of subscriptions as an operator types them, on a real Kafka, with a developer who listens."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner, Result

from hub.cli.main import build
from hub.delivery.settings import SETTINGS_TOPIC, new_key
from hub.domain.webhook import parse_secret

if TYPE_CHECKING:
    from tests.conftest import CreateTopics, KafkaLike

ROOT = Path(__file__).resolve().parents[2]
NAME = "government-procurement"
BECAUSE = ["--reason", "首次接入", "--by", "李四"]


@pytest.fixture
def hub(
    kafka: KafkaLike, create_topics: CreateTopics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    create_topics(SETTINGS_TOPIC, partitions=1, config={"cleanup.policy": "compact"})
    create_topics("audit.acts.v1", partitions=1)
    for name, value in {
        "BOOTSTRAP_SERVERS": kafka.bootstrap, "DATA": str(tmp_path), "ALLOWED_NETWORKS": "127.0.0.1",
        "LOG_LEVEL": "error",
    }.items():
        monkeypatch.setenv(f"HUB_{name}", value)
    app = build(["subscriptions"])

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["subscriptions", *arguments])

    yield run


@contextmanager
def listening(*arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "hub.cli.main", "listen", *arguments], cwd=ROOT, text=True, stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    try:
        found = re.search(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())
        assert found
        yield found[0], process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        process.stdout.close()


def test_a_department_is_taken_in(hub: Any, tmp_path: Path) -> None:
    refused = hub("address", NAME, "http://127.0.0.1:9/", *BECAUSE)
    assert refused.exit_code == 1 and "hub subscriptions rotate" in refused.output
    rotated = json.loads(hub("rotate", NAME, *BECAUSE, "--json").output)
    assert rotated["public"].startswith("whpk_") and rotated["keys"][0]["kind"] == "ed25519"
    with listening("--key", rotated["public"]) as (url, process):
        done = hub("address", NAME, url, *BECAUSE)
        assert (done.exit_code, done.output.split("\t")[:2]) == (0, [NAME, "open"])
        process.send_signal(signal.SIGTERM)
        assert process.stdout is not None
        assert "asked whether it agrees" in process.stdout.read()
    shown = json.loads(hub("show", NAME, "--json").output)
    assert shown["state"] == "open" and shown["url"] == url and shown["is_verified"]
    assert [line["changed_by"] for line in shown["history"]] == ["李四", "李四"]


def test_who_listens_with_another_key_is_not_taken_in(hub: Any) -> None:
    hub("rotate", NAME, *BECAUSE)
    with listening("--key", str(parse_secret(new_key("ed25519")).public)) as (url, _):
        refused = hub("address", NAME, url, *BECAUSE)
    assert refused.exit_code == 1 and "HTTP 401" in refused.output
    assert json.loads(hub("show", NAME, "--json").output)["url"] is None


def test_settings_are_changed_and_shown(hub: Any, tmp_path: Path) -> None:
    assert hub("pause", NAME, *BECAUSE).exit_code == 0
    limits = ("--rate", "60", "--office-hours", "08:30-12:00", "--contact", "值班席")
    assert hub("set", NAME, *limits, *BECAUSE).exit_code == 0
    token = json.loads(hub("token", NAME, *BECAUSE, "--json").output)
    assert token["token"].startswith("hubt_") and token["has_token"]
    secret_file = tmp_path / "new.secret"
    rotated = hub("rotate", NAME, "--kind", "hmac", "--secret-file", str(secret_file), *BECAUSE)
    secret = secret_file.read_text().strip()
    assert rotated.exit_code == 0 and secret.startswith("whsec_") and secret not in rotated.output
    assert secret_file.stat().st_mode & 0o777 == 0o600
    assert hub("resume", NAME, *BECAUSE).exit_code == 0
    found = hub("list", "--json")
    assert found.exit_code == 1  # no address yet
    (line,) = [each for each in json.loads(found.output) if each["subscription"] == NAME]
    assert (line["rate_per_minute"], line["office_hours"], line["contact"], line["is_paused"], line["revision"]) == (
        60, "08:30-12:00", "值班席", False, 5,
    )
    for hidden in (secret, token["token"]):
        assert hidden not in hub("show", NAME).output + found.output


@pytest.mark.parametrize(("arguments", "code", "said"), [
    (["show", "nobody"], 2, "There is no subscription"),
    (["set", NAME, *BECAUSE], 2, "--office-hours"),
    (["set", NAME, "--office-hours", "9-5", *BECAUSE], 1, "08:30-12:00,14:30-18:00"),
    (["set", NAME, "--receiver-key", "whsec_x", *BECAUSE], 1, "whpk_"),
    (["set", NAME, "--rate", "-1", *BECAUSE], 2, "--rate"),
    (["pause", NAME, "--reason", " "], 1, "reason"),
    (["rotate", NAME, "--kind", "rsa", *BECAUSE], 2, "ed25519 or hmac"),
    (["address", NAME, "http://10.0.0.1/", *BECAUSE], 1, "not allowed"),
    (["address", NAME, "http://1.1.1.1/", *BECAUSE], 1, "https alone"),
    (["address", NAME, "department", *BECAUSE], 1, "http://"),
])  # fmt: skip
def test_what_is_wrong_is_said(hub: Any, arguments: list[str], code: int, said: str) -> None:
    result = hub(*arguments)
    assert result.exit_code == code
    assert said in result.output


def test_listen_needs_a_key() -> None:
    app = build(["listen"])
    nothing = CliRunner().invoke(app, ["listen"])
    assert nothing.exit_code == 2 and "--key" in nothing.output
    bad = CliRunner().invoke(app, ["listen", "--key", "x"])
    assert bad.exit_code == 1 and "whsec_" in bad.output
