"""Signatures, against the specification's vector and the reference library."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
import standardwebhooks
from hypothesis import given
from hypothesis import strategies as st

from hub.domain.webhook import MAX_SIGNATURES, SignatureError, parse_secret, sign, verify
from hub.errors import InputError

# The example of the Standard Webhooks specification and its libraries.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
AT = datetime.fromtimestamp(1614265330, UTC)
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
OTHER = "whsec_" + base64.b64encode(bytes(range(32))).decode()


def test_the_vector_of_the_specification() -> None:
    headers = sign([parse_secret(SECRET)], ID, AT, BODY)
    assert headers == {"webhook-id": ID, "webhook-timestamp": "1614265330", "webhook-signature": SIGNATURE}
    assert verify([parse_secret(SECRET)], headers, BODY, AT) == ID


@given(st.binary(min_size=24, max_size=64), st.text("abc-0123", min_size=1), st.text())
def test_both_sides_understand_the_reference_library(key: bytes, message_id: str, text: str) -> None:
    secret = "whsec_" + base64.b64encode(key).decode()
    library = standardwebhooks.Webhook(secret)
    now, body = datetime.now(UTC), text.encode()
    theirs = library.sign(message_id, now, text)
    ours = sign([key], message_id, now, body)
    assert ours["webhook-signature"] == theirs
    assert verify([key], {**ours, "webhook-signature": theirs}, body, now) == message_id


def test_the_reference_library_accepts_ours() -> None:
    body = '{"类型":"blacklist.notice.listed"}'
    headers = sign([parse_secret(OTHER), parse_secret(SECRET)], ID, datetime.now(UTC), body.encode())
    for secret in (SECRET, OTHER):
        assert standardwebhooks.Webhook(secret).verify(body, headers) == {"类型": "blacklist.notice.listed"}


def test_a_rotated_secret_counts_on_both_sides() -> None:
    old, new = parse_secret(SECRET), parse_secret(OTHER)
    assert verify([new, old], sign([old], ID, AT, BODY), BODY, AT) == ID
    assert verify([new], sign([old, new], ID, AT, BODY), BODY, AT) == ID


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-id": "msg_other"}, {"webhook-id": ""}, {"webhook-timestamp": "1614265331"},
        {"webhook-timestamp": "soon"}, {"webhook-timestamp": "-1"}, {"webhook-timestamp": "9" * 5000},
        {"webhook-timestamp": "１６１４２６５３３０"}, {"webhook-signature": ""},
        {"webhook-signature": "v1,"},
        {"webhook-signature": SIGNATURE.replace("v1,", "v1a,")}, {"webhook-signature": "ÿ é"},
        {"webhook-signature": "v1,x " * MAX_SIGNATURES + SIGNATURE},
    ],
)
def test_whatever_is_changed_does_not_pass(change: dict[str, str]) -> None:
    headers = {**sign([parse_secret(SECRET)], ID, AT, BODY), **change}
    with pytest.raises(SignatureError):
        verify([parse_secret(SECRET)], headers, BODY, AT)


def test_another_body_or_secret_or_none_does_not_pass() -> None:
    headers = sign([parse_secret(SECRET)], ID, AT, BODY)
    for keys, body in (([parse_secret(SECRET)], BODY + b" "), ([parse_secret(OTHER)], BODY), ([], BODY)):
        with pytest.raises(SignatureError):
            verify(keys, headers, body, AT)


@pytest.mark.parametrize("seconds", [-301, 301])
def test_beyond_the_tolerance(seconds: int) -> None:
    headers = sign([parse_secret(SECRET)], ID, AT, BODY)
    with pytest.raises(SignatureError, match="timestamp"):
        verify([parse_secret(SECRET)], headers, BODY, AT + timedelta(seconds=seconds))
    assert verify([parse_secret(SECRET)], headers, BODY, AT + timedelta(seconds=seconds // 301 * 299)) == ID


@pytest.mark.parametrize(
    "text",
    ["", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_", "whsec_not base64!", "whsec_é",
     "whsec_" + base64.b64encode(bytes(23)).decode(), "whsec_" + base64.b64encode(bytes(65)).decode()],
)
def test_a_bad_secret_is_refused_and_not_quoted(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_secret(text)
    assert len(text) < 8 or text[6:] not in str(caught.value)
