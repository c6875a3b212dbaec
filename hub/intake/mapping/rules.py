"""What a mapping says of a row whose cells are read: whose it is, what state it is in, by what it is known."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from hub.domain.parties import NATURAL_PERSON, is_personal_certificate
from hub.intake.mapping.columns import Columns
from hub.intake.mapping.model import RowMapping

#: ``record_unique_identity`` holds 100 characters; longer natural keys end in their digest.
IDENTITY_LENGTH = 100


class Rules:
    """Of one mapping; ``value`` are a row's fields throughout. ``asks_register`` is the source's."""

    def __init__(self, mapping: RowMapping, columns: Columns, *, asks_register: bool) -> None:
        self.mapping = mapping
        self._asks_register = asks_register
        #: Whether a row may be kept from the public, and has to say why.
        self.asks_reason = columns.can_be_kept_back
        self.key_fields = mapping.key_fields
        self._late_defaults = columns.late_defaults
        self.key_parts = [(entry,) if isinstance(entry, str) else tuple(entry) for entry in mapping.natural_key]

    def fill_late(self, value: dict[str, Any]) -> None:
        """Fields that take another's value where they are empty."""
        for field, other in self._late_defaults:
            if value.get(field) is None and other in value:
                value[field] = value[other]

    def settle_party(self, value: dict[str, Any]) -> bool:
        """What kind of party it is, where no column says it. True where that is not known and only safe, which its
        sender is to be told."""
        if value["party_kind"] is not None:
            return False
        party, code = self.mapping.party, value.get("party_uscc")
        is_guess = False
        if code:
            (kind,) = self.kinds_of_parties([code])
        elif value.get("party_registration_number"):
            kind = party.organisation
        elif is_personal_certificate(value.get("party_certificate_kind"), value.get("party_certificate_number")):
            kind = NATURAL_PERSON
        elif party.unknown is not None:
            kind = party.unknown
        elif self._asks_register and not value.get("party_certificate_number"):
            # Nothing is told of it before the register or a person has said which enterprise it is; the register is
            # not asked for who has a certificate (``IdentityGate.doubts``).
            kind = party.organisation
        else:
            kind, is_guess = NATURAL_PERSON, True
        value["party_kind"] = kind
        return is_guess

    def kinds_of_parties(self, codes: Sequence[str]) -> list[str]:
        """What kind of party each unified social credit code says."""
        party = self.mapping.party
        return [party.household if code[:2] == "92" else party.organisation for code in codes]

    def state_type(self, value: dict[str, Any]) -> str:
        """The event type of the row's state."""
        for state in self.mapping.events.states:
            if state.when.holds(value):
                return state.type
        return self.mapping.events.initial

    def natural_key(self, value: dict[str, Any]) -> str | None:
        """By what the row is known within its source; ``None`` where a part is missing (``key_lack`` says which)."""
        parts = []
        for names in self.key_parts:
            for name in names:
                found = value.get(name)
                if found is not None:
                    parts.append(str(found))
                    break
            else:
                return None
        return "|".join(parts)

    def key_lack(self, value: dict[str, Any]) -> list[str]:
        """The first field of each part of the natural key that nothing fills."""
        return [names[0] for names in self.key_parts if all(value.get(name) is None for name in names)]


def identity(natural_key: str) -> str:
    """The natural key as a record holds it."""
    if len(natural_key) <= IDENTITY_LENGTH:
        return natural_key
    digest = hashlib.blake2b(natural_key.encode(), digest_size=16).hexdigest()
    return f"{natural_key[: IDENTITY_LENGTH - 33]}~{digest}"
