"""Signatures, against the specification's vector, the reference library and PyNaCl."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import nacl.exceptions
import nacl.signing
import pytest
import standardwebhooks
from hypothesis import given
from hypothesis import strategies as st

from hub.domain.webhook import (
    MAX_SIGNATURES,
    KeyKind,
    SignatureError,
    SigningKey,
    new_secret,
    parse_public,
    parse_secret,
    parse_verifier,
    sign,
    verify,
)
from hub.errors import InputError

# The example of the Standard Webhooks specification and its libraries.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
AT = datetime.fromtimestamp(1614265330, UTC)
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def encode(prefix: str, raw: bytes) -> str:
    return prefix + base64.b64encode(raw).decode()


OTHER = encode("whsec_", bytes(range(32)))
PRIVATE = encode("whsk_", bytes(range(32)))
KEYS: list[SigningKey] = [parse_secret(SECRET), parse_secret(PRIVATE)]
seeds = st.binary(min_size=32, max_size=32)
ids = st.text("abcXYZ-_0123", min_size=1, max_size=40)
moments = st.datetimes(datetime(2026, 1, 1), datetime(2036, 1, 1), timezones=st.just(UTC))


def check_foreign(keys: Sequence[str], message_id: str, at: datetime, body: bytes, headers: dict[str, str]) -> None:
    """Every signature of ``headers`` by another's hand: the order is that of the keys."""
    message = f"{message_id}.{int(at.timestamp())}.".encode() + body
    signatures = headers["webhook-signature"].split(" ")
    assert len(signatures) == len(keys)
    for secret, signature in zip(keys, signatures, strict=True):
        mark, _, text = signature.partition(",")
        raw = base64.b64decode(secret.partition("_")[2])
        if secret.startswith("whsec_"):
            assert mark == "v1"
            assert standardwebhooks.Webhook(secret).sign(message_id, at, body.decode()) == signature
        else:
            assert mark == "v1a"
            key = nacl.signing.SigningKey(raw[:32])
            assert key.sign(message).signature == base64.b64decode(text)
            key.verify_key.verify(message, base64.b64decode(text))


def test_the_vector_of_the_specification() -> None:
    headers = sign([parse_secret(SECRET)], ID, AT, BODY)
    assert headers == {"webhook-id": ID, "webhook-timestamp": "1614265330", "webhook-signature": SIGNATURE}
    assert verify([parse_secret(SECRET)], headers, BODY, AT) == ID


@given(
    st.lists(st.builds(encode, st.just("whsec_"), st.binary(min_size=24, max_size=64))
             | st.builds(encode, st.just("whsk_"), seeds), min_size=1, max_size=4),
    ids, moments, st.text(),
)
def test_every_signature_is_that_of_other_libraries(
    secrets: list[str], message_id: str, at: datetime, text: str
) -> None:
    body = text.encode()
    keys = [parse_secret(secret) for secret in secrets]
    headers = sign(keys, message_id, at, body)
    check_foreign(secrets, message_id, at, body, headers)
    for key in keys:
        assert verify([key], headers, body, at) == message_id
        if key.public is not None:
            assert verify([parse_public(key.public)], headers, body, at) == message_id


@given(seeds, ids, st.binary())
def test_what_others_sign_is_accepted(seed: bytes, message_id: str, body: bytes) -> None:
    foreign = nacl.signing.SigningKey(seed)
    signature = foreign.sign(f"{message_id}.{int(AT.timestamp())}.".encode() + body).signature
    headers = {"webhook-id": message_id, "webhook-timestamp": str(int(AT.timestamp())),
               "webhook-signature": f"v2,AAAA {encode('v1a,', signature)}"}
    public = encode("whpk_", foreign.verify_key.encode())
    assert verify([parse_secret(OTHER), parse_verifier(public)], headers, body, AT) == message_id
    assert parse_secret(encode("whsk_", seed)).public == public


@given(seeds)
def test_a_private_key_is_read_in_both_of_its_forms(seed: bytes) -> None:
    public = nacl.signing.SigningKey(seed).verify_key.encode()
    short, long = parse_secret(encode("whsk_", seed)), parse_secret(encode("whsk_", seed + public))
    assert short.public == long.public
    assert sign([short], ID, AT, BODY) == sign([long], ID, AT, BODY)
    with pytest.raises(InputError, match="public half"):
        parse_secret(encode("whsk_", seed + bytes(b ^ 1 for b in public)))


def test_the_reference_library_accepts_ours() -> None:
    body = '{"类型":"blacklist.notice.listed"}'
    keys = [parse_secret(text) for text in (OTHER, PRIVATE, SECRET)]
    headers = sign(keys, ID, datetime.now(UTC), body.encode())
    for secret in (SECRET, OTHER):
        assert standardwebhooks.Webhook(secret).verify(body, headers) == {"类型": "blacklist.notice.listed"}


@pytest.mark.parametrize("new", [OTHER, PRIVATE])
def test_a_rotated_secret_counts_on_both_sides(new: str) -> None:
    old, young = parse_secret(SECRET), parse_secret(new)
    assert verify([young, old], sign([old], ID, AT, BODY), BODY, AT) == ID
    headers = sign([young, old], ID, AT, BODY)
    assert len(headers["webhook-signature"].split(" ")) == 2
    for key in (young, old):
        assert verify([key], headers, BODY, AT) == ID


def test_a_retry_keeps_the_id_and_takes_the_time_of_the_attempt() -> None:
    first = sign(KEYS, ID, AT, BODY)
    second = sign(KEYS, ID, AT + timedelta(hours=2), BODY)
    assert first["webhook-id"] == second["webhook-id"] == ID
    assert int(second["webhook-timestamp"]) - int(first["webhook-timestamp"]) == 7200
    assert not set(first["webhook-signature"].split()) & set(second["webhook-signature"].split())
    assert verify(KEYS, second, BODY, AT + timedelta(hours=2)) == ID
    with pytest.raises(SignatureError, match="timestamp"):
        verify(KEYS, first, BODY, AT + timedelta(hours=2))


@pytest.mark.parametrize("key", KEYS, ids=["hmac", "ed25519"])
@pytest.mark.parametrize(
    "change",
    [
        {"webhook-id": "msg_other"}, {"webhook-id": ""}, {"webhook-id": "a.b"}, {"webhook-id": "通知"},
        {"webhook-timestamp": "1614265331"}, {"webhook-timestamp": ""},
        {"webhook-timestamp": "soon"}, {"webhook-timestamp": "-1"}, {"webhook-timestamp": "9" * 5000},
        {"webhook-timestamp": "１６１４２６５３３０"}, {"webhook-signature": ""},
        {"webhook-signature": "v1,"}, {"webhook-signature": "v1a,"}, {"webhook-signature": "v1a,é"},
        {"webhook-signature": encode("v1a,", bytes(64))}, {"webhook-signature": encode("v1a,", bytes(63))},
        {"webhook-signature": "ÿ é \ud800"},
    ],
)
def test_whatever_is_changed_does_not_pass(key: SigningKey, change: dict[str, str]) -> None:
    headers = {**sign([key], ID, AT, BODY), **change}
    with pytest.raises(SignatureError):
        verify([key], headers, BODY, AT)


@pytest.mark.parametrize("key", KEYS, ids=["hmac", "ed25519"])
def test_every_single_sign_counts(key: SigningKey) -> None:
    """Each sign of each header and each byte of the body, changed to others, makes it another message."""
    headers = sign([key], ID, AT, BODY)
    for name, value in headers.items():
        for place, sign_there in enumerate(value):
            for other in {"A", "Q", "g", "0", "9", "=", ","} - {sign_there}:
                changed = {**headers, name: value[:place] + other + value[place + 1 :]}
                with pytest.raises(SignatureError):
                    verify([key], changed, BODY, AT)
            with pytest.raises(SignatureError):
                verify([key], {**headers, name: value[:place] + value[place + 1 :]}, BODY, AT)
    for place in range(len(BODY)):
        for bit in range(8):
            body = bytearray(BODY)
            body[place] ^= 1 << bit
            with pytest.raises(SignatureError):
                verify([key], headers, bytes(body), AT)


def test_each_name_is_that_of_its_own_form() -> None:
    hmac_key, ed_key = KEYS
    for key, wrong in ((hmac_key, "v1a,"), (ed_key, "v1,")):
        headers = sign([key], ID, AT, BODY)
        text = headers["webhook-signature"].partition(",")[2]
        with pytest.raises(SignatureError):
            verify([key], {**headers, "webhook-signature": wrong + text}, BODY, AT)


def test_base64_has_one_spelling() -> None:
    headers = sign([KEYS[1]], ID, AT, BODY)
    text = headers["webhook-signature"]
    assert text.endswith("==")
    last = text[-3]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    twin = alphabet[alphabet.index(last) + 1]
    assert base64.b64decode(text[4:-3] + twin + "==") == base64.b64decode(text[4:])
    with pytest.raises(SignatureError):
        verify(KEYS, {**headers, "webhook-signature": text[:-3] + twin + "=="}, BODY, AT)


def test_only_so_many_guesses_are_looked_at() -> None:
    for key in KEYS:
        headers = sign([key], ID, AT, BODY)
        own = headers["webhook-signature"]
        enough = {**headers, "webhook-signature": "v1,x " * (MAX_SIGNATURES - 1) + own}
        assert verify([key], enough, BODY, AT) == ID
        with pytest.raises(SignatureError):
            verify([key], {**headers, "webhook-signature": "v1,x " * MAX_SIGNATURES + own}, BODY, AT)


def test_another_body_or_secret_or_none_does_not_pass() -> None:
    headers = sign(KEYS, ID, AT, BODY)
    stranger = parse_secret(encode("whsk_", bytes(32)))
    for keys, body in ((KEYS, BODY + b" "), ([parse_secret(OTHER), stranger], BODY), ([], BODY)):
        with pytest.raises(SignatureError):
            verify(keys, headers, body, AT)
    with pytest.raises(nacl.exceptions.BadSignatureError):
        assert stranger.public is not None
        raw = base64.b64decode(headers["webhook-signature"].split("v1a,")[1])
        nacl.signing.VerifyKey(base64.b64decode(stranger.public[5:])).verify(BODY, raw)


def test_an_id_with_a_full_stop_is_not_signed() -> None:
    with pytest.raises(InputError):
        sign(KEYS, "msg.1614265330", AT, BODY)


@pytest.mark.parametrize("seconds", [-301, 301])
def test_beyond_the_tolerance(seconds: int) -> None:
    headers = sign(KEYS, ID, AT, BODY)
    with pytest.raises(SignatureError, match="timestamp"):
        verify(KEYS, headers, BODY, AT + timedelta(seconds=seconds))
    assert verify(KEYS, headers, BODY, AT + timedelta(seconds=seconds // 301 * 299)) == ID


@pytest.mark.parametrize("kind", ["hmac", "ed25519"])
def test_a_new_secret_is_new_and_of_its_kind(kind: KeyKind) -> None:
    texts = {new_secret(kind) for _ in range(20)}
    assert len(texts) == 20
    for text in texts:
        key = parse_secret(text)
        assert key.kind == kind
        assert (key.public is None) == (kind == "hmac")
        assert verify([parse_verifier(text)], sign([key], ID, AT, BODY), BODY, AT) == ID
        assert text.partition("_")[2] not in repr(key) + str(vars(key))


@pytest.mark.parametrize(
    "text",
    ["", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_", "whsec_not base64!", "whsec_é", encode("whsec_", bytes(23)),
     encode("whsec_", bytes(65)), "whsk_", "whsk_not base64!", encode("whsk_", bytes(31)), encode("whsk_", bytes(33)),
     encode("whsk_", bytes(63)), encode("whpk_", bytes(32))],
)
def test_a_bad_secret_is_refused_and_not_quoted(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_secret(text)
    assert len(text) < 8 or text[6:] not in str(caught.value)


@pytest.mark.parametrize("text", ["", "whpk_", "whpk_é", encode("whpk_", bytes(31)), encode("whpk_", bytes(64)), OTHER])
def test_a_bad_public_key_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        parse_public(text)
