"""Keys that stand on the log are sealed: who reads the topic cannot sign as the hub."""

from __future__ import annotations

import hashlib
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hub.errors import ContractError

_NONCE_BYTES = 12


class Vault:
    """AES-256-GCM under the hub's own secret. ``name`` binds what is sealed to its place: moved to another
    subscription's settings it cannot be opened."""

    def __init__(self, secret: bytes) -> None:
        # A secret of any length, of whose bits enough are random, becomes a key for this use alone.
        self._cipher = AESGCM(hashlib.blake2b(secret, digest_size=32, person=b"hub-vault").digest())

    def seal(self, text: str, name: str) -> bytes:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, text.encode(), name.encode())

    def open(self, sealed: bytes, name: str) -> str:
        """Raises ContractError if it was sealed with another secret or for another place."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], name.encode()).decode()
        except (InvalidTag, ValueError):
            raise ContractError(
                f"the key of {name} was sealed with another secret; all processes of a hub need one HUB_VAULT_SECRET"
            ) from None
