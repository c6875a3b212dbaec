"""A client of the event hub of Gannan's market supervision, for programs of departments.

It needs Python 3.11 and nothing else (ed25519 keys: the package ``cryptography``), and knows nothing of the hub's code.
"""

from hub_client.client import Batch, Event, EventResult, HubClient, Notice
from hub_client.errors import HubClientError, RefusedError, SignatureError, UnreachableError
from hub_client.signature import sign, verify
from hub_client.transport import Retry, Transport

__all__ = [
    "Batch", "Event", "EventResult", "HubClient", "HubClientError", "Notice", "RefusedError", "Retry", "SignatureError",
    "Transport", "UnreachableError", "sign", "verify",
]
