"""What an order changes at a channel that knows no versions: it follows from how the record stands there."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum

from hub.disclosure.sink import Order
from hub.domain.plain import to_json


class Change(StrEnum):
    """What is done to the row of a record, as the national exchange names it (``cd_operation``).

        unknown ──insert──▶ public ──update──▶ public
           │                 │  ▲
           │          delete │  │ insert: of a later version, or where a person asks
           └──delete───▶ withdrawn ──delete──▶ withdrawn: where a person asks
    """

    INSERT = "i"
    UPDATE = "u"
    DELETE = "d"

    @property
    def status(self) -> str:
        """The receipt's status, once it is done."""
        return {"i": "published", "u": "replaced", "d": "withdrawn"}[self.value]


@dataclass(frozen=True, slots=True)
class Standing:
    """How a record stands at the channel: its version, a digest of its content, the order that made it so.

    ``is_doubtful``: it may be public although we know of nothing, since a batch that would have made it so was given
    up without an answer.
    """

    sequence: int
    is_public: bool
    digest: str
    order_id: str
    reference: str | None = None
    is_doubtful: bool = False


def digest_of(order: Order) -> str:
    """A digest of kind and content: equal ones need not be sent again."""
    return hashlib.sha256(to_json([order.kind, order.content])).hexdigest()


def change_of(order: Order, known: Standing | None) -> Change | None:
    """What the order changes; ``None`` if nothing.

    A withdrawal of what is not known here is carried out: the folder with what we know may have been lost, and what
    should be gone must go. So is one that a person asks for again: the channel may have put back what we took away.
    """
    if known is None:
        return Change.DELETE if order.action == "withdraw" else Change.INSERT
    if order.action == "withdraw":
        is_asked_again = order.is_reissued and order.order_id != known.order_id
        may_be_public = known.is_public or known.is_doubtful or is_asked_again
        return Change.DELETE if may_be_public and order.sequence >= known.sequence else None
    if order.sequence < known.sequence or order.order_id == known.order_id:
        return None
    if order.sequence == known.sequence and not order.is_reissued and (
        not known.is_public or known.digest == digest_of(order)
    ):
        # The same version again, by another rule: what was withdrawn at it stays withdrawn, unless a person asks.
        return None
    return Change.UPDATE if known.is_public else Change.INSERT
