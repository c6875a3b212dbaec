"""Who counts as a natural person, whatever is said of what kind a party is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hub.domain.identifiers import is_personal_number
from hub.domain.scrubbing import is_identity_number

#: 自然人, of the codes party-kind.
NATURAL_PERSON = "01"
#: 法人, 非法人组织, 个体工商户: no natural persons.
_ORGANISATIONS = frozenset({"02", "03", "04"})
#: All of the codes certificate-kind: identity card, passport, permits of residents. No organisation has one.
_PERSONAL_CERTIFICATES = frozenset({"01", "02", "03", "04", "05"})


def is_personal_certificate(kind: str | None, number: str | None) -> bool:
    """Whether a party's certificate is a person's: by its kind, or by a number of the form of an ID card's."""
    return kind in _PERSONAL_CERTIFICATES or (bool(number) and is_personal_number(str(number)))


def counts_as_person(value: Mapping[str, Any]) -> bool:
    """Whether the party of a record is protected as a person: it is one, or nobody says what it is, or it has a
    personal certificate and no code of an enterprise. Then no word of its sender makes it an organisation."""
    if value.get("party_kind") not in _ORGANISATIONS:
        return True
    uscc, number = value.get("party_uscc"), value.get("party_registration_number")
    if (uscc and not is_identity_number(uscc)) or (number and not is_identity_number(number)):
        return False
    # What is left in the place of a code is a person's number.
    if uscc or number:
        return True
    return is_personal_certificate(value.get("party_certificate_kind"), value.get("party_certificate_number"))
