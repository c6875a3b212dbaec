"""Settings of subscriptions: keys under seal, rotation, the gate that they open and close."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from hub.delivery.gate import Gate
from hub.delivery.settings import SettingsLog, SubscriptionSettings, digest_of, new_key, new_token, shown_url
from hub.domain.office_hours import Span, parse_office_hours
from hub.domain.vault import Vault
from hub.domain.webhook import parse_secret
from hub.errors import ContractError, InputError
from tests.support_contracts import catalog

NOW = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)  # a Monday, 09:00 in Gannan
VAULT = Vault(b"a secret of the hub, made up")


def settings_of(**more: Any) -> SubscriptionSettings:
    found = SubscriptionSettings("procurement", url="https://department.example/hook", is_verified=True)
    return replace(found.with_key(new_key("ed25519"), VAULT, NOW), **more)


def test_what_is_sealed_is_opened_by_the_same_secret_and_in_its_place_alone() -> None:
    sealed = VAULT.seal("whsec_x", "procurement/1")
    assert VAULT.open(sealed, "procurement/1") == "whsec_x"
    assert sealed != VAULT.seal("whsec_x", "procurement/1")
    assert b"whsec_x" not in sealed
    for vault, data, place in (
        (Vault(b"another"), sealed, "procurement/1"),
        (VAULT, sealed, "bidding/1"),
        (VAULT, sealed[:-1] + bytes([sealed[-1] ^ 1]), "procurement/1"),
        (VAULT, b"", "procurement/1"),
    ):
        with pytest.raises(ContractError, match="HUB_VAULT_SECRET"):
            vault.open(data, place)


def test_settings_come_back_from_the_log_as_they_were() -> None:
    settings = settings_of(
        revision=3, rate_per_minute=60, office_hours="08:30-12:00", contact="政府采购监督科值班席", changed_by="李四",
        reason="更换接收系统", changed_at=NOW, token_digest=digest_of(new_token()), receiver_keys=("whpk_x",),
    )
    output = SettingsLog(catalog()).entry(settings)
    assert SettingsLog(catalog()).read(output.value) == settings
    assert (output.topic, output.key, output.partition) == ("subscription.settings.v1", b"procurement", 0)
    with pytest.raises(ContractError):
        SettingsLog(catalog()).read(None)


def test_no_secret_stands_in_what_is_printed_or_written() -> None:
    text, token = new_key("hmac"), new_token()
    settings = replace(
        SubscriptionSettings("procurement", url="https://u:p@department.example/hook?token=hidden")
        .with_key(text, VAULT, NOW), token_digest=digest_of(token),
    )
    value = SettingsLog(catalog()).entry(settings).value or b""
    for hidden in (text, text.removeprefix("whsec_"), token):
        assert hidden not in repr(settings)
        assert hidden.encode() not in value
    assert "hidden" not in repr(settings)
    assert shown_url(settings.url or "") == "https://department.example/hook"


def test_two_keys_sign_while_one_is_rotated() -> None:
    first, second = new_key("hmac"), new_key("ed25519")
    settings = SubscriptionSettings("procurement").with_key(first, VAULT, NOW)
    settings = settings.with_key(second, VAULT, NOW, keep=timedelta(hours=24))
    assert settings.secrets(VAULT, NOW) == [second, first]
    assert [key.public for key in settings.keys] == [parse_secret(second).public, None]
    assert settings.secrets(VAULT, NOW + timedelta(hours=24)) == [second]
    # A third one does not lengthen the life of the first; what has retired is gone from the settings.
    third = new_key("ed25519")
    settings = settings.with_key(third, VAULT, NOW + timedelta(hours=23), keep=timedelta(hours=24))
    assert settings.secrets(VAULT, NOW + timedelta(hours=25)) == [third, second]
    assert len(settings.with_key(new_key("hmac"), VAULT, NOW + timedelta(hours=30)).keys) == 3
    with pytest.raises(InputError):
        settings.with_key("no secret", VAULT, NOW)


def test_a_token_opens_its_own_subscription() -> None:
    token = new_token()
    settings = SubscriptionSettings("procurement", token_digest=digest_of(token))
    assert settings.opens_with(token)
    assert not settings.opens_with(new_token())
    assert not SubscriptionSettings("procurement").opens_with("")


@pytest.mark.parametrize(("changes", "reason"), [
    ({}, None),
    ({"url": None}, "no address is set"),
    ({"is_verified": False}, "has not agreed"),
    ({"is_paused": True}, "paused"),
    ({"keys": ()}, "no key"),
    ({"disabled_reason": "HTTP 410: the endpoint is gone"}, "410"),
])  # fmt: skip
def test_why_nothing_is_sent_is_said(changes: dict[str, object], reason: str | None) -> None:
    blocked = settings_of(**changes).why_blocked()
    assert blocked is None if reason is None else blocked is not None and reason in blocked


class Time:
    def __init__(self) -> None:
        self.now, self.seconds = NOW, 0.0

    def gate(self, settings: SubscriptionSettings) -> Gate:
        gate = Gate(lambda: self.now, lambda: self.seconds, lambda day: day != date(2026, 3, 3) and day.weekday() < 5)
        gate.use(settings)
        return gate


@pytest.mark.parametrize(("local", "is_open"), [
    ("2026-03-02T08:29:59", False), ("2026-03-02T08:30:00", True), ("2026-03-02T11:59:59", True),
    ("2026-03-02T12:00:00", False), ("2026-03-02T14:30:00", True), ("2026-03-02T18:00:00", False),
    ("2026-03-03T09:00:00", False), ("2026-03-07T09:00:00", False),
])  # fmt: skip
def test_office_hours_are_those_of_working_days_in_local_time(local: str, is_open: bool) -> None:
    time = Time()
    gate = time.gate(settings_of(office_hours="08:30-12:00,14:30-18:00"))
    time.now = datetime.fromisoformat(f"{local}+08:00")
    assert (gate.reason is None) == is_open == gate.admits()


def test_office_hours_that_are_none_are_refused_with_what_would_be_right() -> None:
    assert parse_office_hours("00:00-24:00") == (Span(0, 1440),)
    for text in ("", "9-12", "12:00-08:00", "08:00-08:00", "08:00-12:00,11:00-13:00", "08:00-24:01", "25:00-26:00"):
        with pytest.raises(InputError, match=r"08:30-12:00"):
            parse_office_hours(text)


@pytest.mark.parametrize("rate", [1, 30, 60, 600, 6000])
def test_the_rate_is_kept_and_reached(rate: int) -> None:
    time, went = Time(), 0
    gate = time.gate(settings_of(rate_per_minute=rate))
    for _ in range(60_000):
        while gate.admits():
            gate.count()
            went += 1
        time.seconds += 0.01
    # Ten minutes, and at most one second's worth at once at their beginning; who looks a moment late loses it.
    assert rate * 10 * 0.98 - 1 <= went <= rate * 10 + max(1, rate // 60) + 1


def test_a_gate_that_the_hub_shut_opens_with_other_settings() -> None:
    gate = Time().gate(settings_of())
    gate.close("HTTP 410: the endpoint is gone")
    assert not gate.admits() and gate.reason == "HTTP 410: the endpoint is gone"
    gate.use(settings_of())
    assert gate.admits()
