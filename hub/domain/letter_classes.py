"""Which dead letters have one cause: their class, whose name is the same for every letter of it, today and tomorrow."""

from __future__ import annotations

import re

from hub.domain.characters import mask_personal
from hub.domain.events import derive_id

#: What differs from letter to letter of one cause: ids, digests, numbers, and what was quoted out of a record.
_ID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b|\b[0-9a-f]{16,}\b", re.IGNORECASE)
#: Names of fields, schemas and topics are quoted too, and tell causes apart: those stay.
_QUOTED = re.compile(r"'(?![a-z][a-z_./-]*')[^']*'|\"(?![a-z][a-z_./-]*\")[^\"]*\"")
_NUMBER = re.compile(r"\d+")
_MAX = 300


def normalise_message(message: str) -> str:
    """``message`` without what differs from record to record; at most 300 characters, without personal numbers.

    >>> normalise_message("there is no schema with the id 4711")
    'there is no schema with the id #'
    """
    text = _QUOTED.sub("'…'", _ID.sub("<id>", mask_personal(message)))
    return " ".join(_NUMBER.sub("#", text).split())[:_MAX]


def class_name(stage: str, exception: str, message: str, rule_version: str) -> str:
    """``routing-ContractError-1a2b3c4d``: a function of its arguments; ``message`` may be normalised already."""
    digest = derive_id("dead-letter-class", stage, exception, normalise_message(message), rule_version)
    return f"{stage}-{exception or 'unknown'}-{digest[:8]}"
